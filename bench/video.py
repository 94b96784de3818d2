"""What scanning a video costs beside a bare decode and PySceneDetect, same file, in turns: python -m bench.video

Each try is a process of its own. The figure is source frames per CPU-second (user + system, start-up left out), so it
says what one core does; the median of the tries is kept, and of the shares of the bare decode. Since the speed of a
machine drifts, a decode is measured before and after each other contender, and the mean of the two is what it is
compared with. Run it on an idle machine.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import yaml

HERE = Path(__file__).resolve().parent
ROWS = HERE / "video.json"
FILM = Path("data/raw/video/files/big_buck_bunny.mp4")
TARGET = 0.65  # of a bare decode, per core


@dataclass(frozen=True)
class Try:
    """One run of one contender. `found` is what it counted: cuts, or consumers' results."""

    frames: int
    cpu_s: float
    peak_mb: float
    found: str = ""


def bare_decode(path: Path) -> tuple[int, str]:
    """Decode every frame with PyAV, one thread, and look at none."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream)), ""


def scan(path: Path) -> tuple[int, str]:
    """All that `scan_video` does with a file that it has not met: probe, one pass, all consumers, store."""
    from tasks.content import content_hash
    from tasks.video.scan import Floor, Job, Settings, scan_video_file

    params = yaml.safe_load((HERE.parent / "params.yaml").read_text())
    settings, floor = Settings(**params["scan_video"]), Floor(**params["floor"])
    with tempfile.TemporaryDirectory(prefix="bench-video-") as folder:
        frames = scan_video_file(Job(content_hash(path), str(path), folder, settings, floor))
        kept = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return frames, f"{kept / 1e6:.0f} MB stored"


def scenedetect_opencv(path: Path) -> tuple[int, str]:
    """PySceneDetect as it comes: ContentDetector, OpenCV, automatic downscale."""
    return _scenedetect(path, "opencv")


def scenedetect_pyav(path: Path) -> tuple[int, str]:
    """The same over PyAV."""
    return _scenedetect(path, "pyav")


def _scenedetect(path: Path, backend: str) -> tuple[int, str]:
    from scenedetect import ContentDetector, SceneManager, open_video

    video = open_video(str(path), backend=backend)
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    frames = manager.detect_scenes(video)
    return int(frames), f"{len(manager.get_scene_list())} scenes"


@dataclass(frozen=True)
class Contender:
    """What is measured. `modules` are imported before the clock starts."""

    label: str
    modules: tuple[str, ...]
    run: Callable[[Path], tuple[int, str]]


CONTENDERS = {
    "decode": Contender("bare decode, PyAV, 1 thread", ("av",), bare_decode),
    "scan": Contender(
        "**this scan**: thumbnails, cuts, exposure, sharpness, bars, motion, edges, strip, luma pictures, store",
        ("tasks.video.scan", "pandas"),  # which pyarrow imports by itself, at its first array
        scan,
    ),
    "scenedetect-opencv": Contender(
        "PySceneDetect ContentDetector, OpenCV (default)", ("scenedetect",), scenedetect_opencv
    ),
    "scenedetect-pyav": Contender("PySceneDetect ContentDetector, PyAV", ("scenedetect",), scenedetect_pyav),
}


def shortened(path: Path, seconds: float, folder: Path) -> Path:
    """Return the first seconds of a film, its packets copied."""
    import av

    target = folder / f"first{path.suffix}"
    with av.open(str(path)) as source, av.open(str(target), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or (packet.is_keyframe and packet.pts * stream.time_base >= seconds):
                break
            packet.stream = copy
            sink.mux(packet)
    return target


def _length_s(path: Path) -> float:
    from tasks.video.probe import probe

    return float(probe(path)["duration_s"])


def measure_here(name: str, path: Path) -> Try:
    for module in CONTENDERS[name].modules:
        importlib.import_module(module)
    begun = time.process_time()
    frames, found = CONTENDERS[name].run(path)
    cpu_s = time.process_time() - begun
    return Try(frames, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, found)


def measure(name: str, path: Path) -> Try:
    """Run one contender in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.video", "--only", name, "--input", str(path)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return Try(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--input", type=Path, default=FILM, help="a video (default: the film that fetch_video fetched)")
    parser.add_argument("--seconds", type=float, default=60, help="only its first seconds; 0: all (default: 60)")
    parser.add_argument("--tries", type=int, default=9)
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if not told.input.exists():
        raise SystemExit(f"{told.input} is missing: make it with 'dvc repro fetch_video', or name a file by --input")
    if told.only:
        print(json.dumps(asdict(measure_here(told.only, told.input))))
        return
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-video-") as name:
        path = shortened(told.input, told.seconds, Path(name)) if told.seconds else told.input
        seconds = round(_length_s(path), 1)
        others = [name for name in CONTENDERS if name != "decode"]
        turns = [name for _ in range(told.tries) for one in others for name in ("decode", one)] + ["decode"]
        done = [measure(name, path) for name in turns]
    tries = {name: [one for turn, one in zip(turns, done, strict=True) if turn == name] for name in CONTENDERS}
    speed = {name: statistics.median(t.frames / t.cpu_s for t in each) for name, each in tries.items()}
    shares: dict[str, list[float]] = {"decode": [1.0], **{name: [] for name in others}}
    for at in range(1, len(turns), 2):
        shares[turns[at]].append((done[at - 1].cpu_s + done[at + 1].cpu_s) / 2 / done[at].cpu_s)
    share = {name: statistics.median(each) for name, each in shares.items()}
    rows = [
        {
            "contender": CONTENDERS[name].label,
            "frames": each[0].frames,
            "frames_per_cpu_s": round(speed[name]),
            "of_bare_decode": round(share[name], 3),
            "of_bare_decode_each": [round(one, 3) for one in shares[name]],
            "peak_mb": round(max(t.peak_mb for t in each)),
            "found": each[0].found,
        }
        for name, each in tries.items()
    ]
    met = share["scan"] >= TARGET
    header = {"input": told.input.name, "seconds": seconds, "tries": told.tries, "target": TARGET, "met": met}
    ROWS.write_text(
        json.dumps({**header, "cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows}, indent=1) + "\n"
    )
    print("| same file, in turns | frames / CPU-s | of a bare decode | peak memory | found |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['contender']} | {row['frames_per_cpu_s']} | {row['of_bare_decode']:.2f} | {row['peak_mb']} MB "
            f"| {row['found']} |"
        )
    print(f"\nTarget: the scan at {TARGET} of a bare decode per core: {'met' if met else 'not met'}")


if __name__ == "__main__":
    main()
