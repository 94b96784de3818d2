"""How the video line grows: memory at 4K, cost by the number of videos, decision by the number of takes.

python -m bench.video_scale. The videos are made here, in a temporary folder; each measurement is a process of its own.
CPU is user + system time. Run it on an idle machine.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import yaml

from bench.results import Row

HERE = Path(__file__).resolve().parent
ROWS = HERE / "video_scale.json"
UHD, UHD_FPS, SHORT_S, LONG_S = (3840, 2160), 12, 40, 120  # both longer than what a pass holds before it writes
FEW, MANY = 4, 40
TAKES = 100_000
CLIP_S, CLIP_SCENES, KINDS = 6, 3, (13, 14, 15, 16)  # seeds


def texture(seed: int, width: int, height: int) -> np.ndarray:
    """Return soft blotches of full contrast, uint8 (height, width)."""
    import cv2

    noise = np.random.default_rng(seed).random((height // 8, width // 8), dtype=np.float32)
    soft = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 2), (width, height), interpolation=cv2.INTER_CUBIC)
    return ((soft - soft.min()) / (soft.max() - soft.min()) * 255).clip(0, 255).astype(np.uint8)


def scenes(seed: int, size: tuple[int, int], frames: int, count: int, lighter: int = 0) -> Iterator[np.ndarray]:
    """Yield yuv420p frames: `count` scenes with hard cuts between, in each a window sliding over a texture.

    `lighter` tells copies apart by grey levels: other bytes, other pictures, and the same differences between them.
    """
    width, height = size
    per_scene = -(-frames // count)
    for number in range(frames):
        scene, at = divmod(number, per_scene)
        if at == 0:
            wide = texture(1000 * seed + scene, width + 4 * per_scene, height) // 2 + np.uint8(lighter)
            chroma = np.random.default_rng((seed, scene)).integers(64, 192, 2, np.uint8)
        planes = [
            wide[:, 4 * at : 4 * at + width].ravel(),
            *(np.full(width * height // 4, c, np.uint8) for c in chroma),
        ]
        yield np.concatenate(planes).reshape(height * 3 // 2, width)


def write_clip(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], fps: int) -> Path:
    """Encode yuv420p frames as H.264."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for number, planes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def parameters() -> dict[str, Any]:
    return dict(yaml.safe_load((HERE.parent / "params.yaml").read_text()))


def scan_one(path: Path, store: Path) -> str:
    """Do what scan_video does with a file that it has not met; return the file's content hash."""
    from tasks.content import content_hash
    from tasks.video.scan import Floor, Job, Settings, scan_video_file

    known = parameters()
    settings, floor = Settings(**known["scan_video"]), Floor(**known["floor"])
    source_id = content_hash(path)
    assert scan_video_file(Job(source_id, str(path), str(store), settings, floor)), f"{path}: nothing was decoded"
    return source_id


def find_shots_of(source_id: str, store_url: Path) -> None:
    """Do what detect_shots does with a video that was scanned."""
    from tasks.store import Store
    from tasks.video.scan import Settings, joined, stored
    from tasks.video.shots import Seen, ShotJob, find_shots, packed
    from tasks.video.thumbnails import ColorDifference, Thumbnails
    from tasks.video.transitions import Rules

    known = parameters()
    store = Store(str(store_url))
    records = stored(store, [source_id], Settings(**known["scan_video"]))[source_id]
    frames = joined(store, [records[ColorDifference.name]])
    seen = Seen(tuple(records[Thumbnails.name].blobs), packed(frames.column("i_frame").to_numpy()))
    find_shots(ShotJob(seen, str(store_url), Rules(**known["detect_shots"])))


def peak_mb() -> float:
    """Return the peak memory of this process. Not ru_maxrss, which a child begins with at its parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def peak_of_scan(folder: Path) -> dict[str, float]:
    """Scan the one video of a folder; return the peak memory of this process in MB, and that before it began."""
    import tasks.video.scan  # noqa: F401  what it imports is memory too, but of the start

    before = peak_mb()
    (video,) = folder.glob("*.mp4")
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as store:
        scan_one(video, Path(store))
    return {"before_mb": before, "peak_mb": peak_mb()}


def cost_of_videos(folder: Path) -> dict[str, float]:
    """Scan the videos of a folder and find their shots, one after the other into one store; return CPU seconds."""
    from tasks.video import transnet

    transnet.judge(np.zeros((100, 27, 48, 3), np.uint8))  # loads the weights
    videos = sorted(folder.glob("*.mp4"))
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as store:
        begun = time.process_time()
        for source_id in [scan_one(video, Path(store)) for video in videos]:
            find_shots_of(source_id, Path(store))
        return {"videos": len(videos), "cpu_s": time.process_time() - begun}


def synthetic_scores(takes: int) -> pa.Table:
    """Return a table as score_takes writes it: values at random, about where the thresholds of a set lie."""
    from tasks.video.selection import TakeSet, active_rules

    known = parameters()
    chosen = TakeSet(**known["select_takes"]["pretrain"])
    limits: dict[tuple[str, str], float] = {}
    for rule, threshold in active_rules(chosen):
        if isinstance(threshold, int | float):
            limits[rule.score, rule.keeps] = float(threshold)
    generator = np.random.default_rng(0)

    from tasks.video.score_takes import SCORES

    keyframes = known["score_takes"]["keyframes"]

    def numbers(name: str) -> np.ndarray:
        low, high = limits.get((name, ">=")), limits.get((name, "<="))
        if low is None or high is None:
            one = next((limit for limit in (low, high) if limit is not None), 0.0)
            low = one - (abs(one) or 1.0) if low is None else low
            high = one + (abs(one) or 1.0) if high is None else high
        margin = (high - low) / 20  # each rule rejects about one in twenty of those that it meets
        return generator.uniform(low - margin, high + margin, takes)

    def column(field: pa.Field) -> pa.Array:
        kind = field.type
        if field.name == "take_id":
            return pa.array(
                [f"{number // 30:016x}-{number % 30 * 250}-{number % 30 * 250 + 240}" for number in range(takes)]
            )
        if field.name == "source_id":
            return pa.array([f"{number // 30:064x}" for number in range(takes)])
        if field.name in ("start_pts", "end_pts"):
            return pa.array([number % 30 * 250 + 240 * (field.name == "end_pts") for number in range(takes)], kind)
        if pa.types.is_string(kind):
            return pa.array([f"{field.name} {number // 30}" for number in range(takes)])
        if pa.types.is_floating(kind):
            return pa.array(numbers(field.name), kind)
        if pa.types.is_integer(kind):
            return pa.array(numbers(field.name).astype(np.int64), kind)
        if pa.types.is_list(kind):
            values = pa.array(generator.integers(0, 1000, takes * keyframes)).cast(kind.value_type)
            return pa.ListArray.from_arrays(range(0, takes * keyframes + 1, keyframes), values).cast(kind)
        raise TypeError(f"no rule to fill column {field.name} of type {kind}")

    return pa.Table.from_arrays([column(field) for field in SCORES], schema=SCORES)


def synthetic_duplicates(scores: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the tables as find_duplicates writes them: of five takes two are copies of one another."""
    from tasks.video.find_duplicates import DUPLICATES, MATCHES

    ids, sources = (scores.column(name).to_pylist() for name in ("take_id", "source_id"))
    first = [number - 1 if number % 5 == 1 else number for number in range(len(ids))]
    second = [number for number, at in enumerate(first) if number != at]
    made: dict[str, Any] = {
        "place": range(len(ids)),
        "take_id": ids,
        "source_id": sources,
        "cluster_id": [ids[number] for number in first],
        "rank": [number - at for number, at in enumerate(first)],
        "nearest_take_id": [ids[number] for number in first],
    }

    pairs = {"take_id": [ids[number] for number in second], "other_take_id": [ids[first[number]] for number in second]}

    def column(field: pa.Field, given: dict[str, Any], rows: int) -> pa.Array:
        if field.name in given:
            return pa.array(given[field.name]).cast(field.type)
        empty = {pa.types.is_boolean: False, pa.types.is_string: "", pa.types.is_floating: 0.0, pa.types.is_integer: 0}
        (value,) = (value for is_kind, value in empty.items() if is_kind(field.type))
        return pa.array([value] * rows, field.type)

    return (
        pa.Table.from_arrays([column(field, made, len(ids)) for field in DUPLICATES], schema=DUPLICATES),
        pa.Table.from_arrays([column(field, pairs, len(second)) for field in MATCHES], schema=MATCHES),
    )


def time_of_decision(folder: Path) -> dict[str, float]:
    """Decide over the two tables of a folder three times, as select_takes does; return medians of wall and CPU time."""
    from tasks.video.selection import TakeSet, decide

    chosen = TakeSet(**parameters()["select_takes"]["pretrain"])
    walls, cpus = [], []
    for _ in range(3):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        decided = decide(
            folder / "scores.parquet",
            folder / "duplicates.parquet",
            folder / "matches.parquet",
            chosen,
            excluded={},
            included={},
            embeddings=folder / "embeddings.parquet",  # as in the set for pre-training, no sample is drawn
        )
        walls.append(time.perf_counter() - begun)
        cpus.append(time.process_time() - begun_cpu)
    left = [count for _, count in decided.funnel]
    rejecting = sum(after < before for before, after in itertools.pairwise(left))
    times = {"wall_s": statistics.median(walls), "cpu_s": statistics.median(cpus)}
    return {**times, "takes": left[0], "kept": left[-1], "rejecting": rejecting}


PROCESSES: dict[str, Callable[[Path], dict[str, float]]] = {
    function.__name__: function for function in (peak_of_scan, cost_of_videos, time_of_decision)
}


def measure(function: Callable[[Path], dict[str, float]], folder: Path) -> dict[str, float]:
    """Run a function over a folder in a process of its own, with one thread."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.video_scale", "--run", function.__name__, str(folder)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def memory(root: Path) -> Row:
    """Compare the peak memory of scanning a short and a long 4K video."""
    peaks = {}
    for seconds in (SHORT_S, LONG_S):
        folder = root / f"{seconds}s"
        folder.mkdir()
        write_clip(folder / "uhd.mp4", scenes(1, UHD, UHD_FPS * seconds, 2), UHD, UHD_FPS)
        peaks[seconds] = measure(peak_of_scan, folder)
    short, long = (peaks[seconds]["peak_mb"] for seconds in (SHORT_S, LONG_S))
    return Row(
        f"peak memory of a worker, scan of {UHD[0]}x{UHD[1]} H.264",
        f"{LONG_S} s of video: {long:.0f} MB, {peaks[LONG_S]['before_mb']:.0f} of them before it begins",
        f"{SHORT_S} s of video: {short:.0f} MB",
        f"{long / short:.2f}x",
        "<= 1.1x: bounded",
        long <= 1.1 * short,
    )


def growth(root: Path) -> Row:
    """Compare the cost of few videos and of ten times as many, each with content of its own."""
    size, fps = (426, 240), 24
    costs = {}
    for count in (FEW, MANY):
        folder = root / f"{count}"
        folder.mkdir()
        for number in range(count):  # as many of each kind, so that the network is asked as often for each
            lighter, kind = divmod(number, FEW)
            frames = scenes(KINDS[kind], size, CLIP_S * fps, CLIP_SCENES, lighter)
            write_clip(folder / f"{number:03d}.mp4", frames, size, fps)
        costs[count] = measure(cost_of_videos, folder)["cpu_s"]
    return Row(
        f"scan and shots of {MANY} videos of {CLIP_S} s, {size[0]}x{size[1]}, one worker",
        f"{costs[MANY]:.1f} s CPU",
        f"{FEW} videos: {costs[FEW]:.1f} s CPU",
        f"{costs[MANY] / costs[FEW]:.1f}x",
        f"<= {1.1 * MANY / FEW:g}x",
        costs[MANY] <= 1.1 * MANY / FEW * costs[FEW],
    )


def decision(root: Path) -> Row:
    """Time the decision over many takes."""
    from tasks.tables import write_table

    scores = synthetic_scores(TAKES)
    duplicates, matches = synthetic_duplicates(scores)
    for name, table in (("scores", scores), ("duplicates", duplicates), ("matches", matches)):
        write_table(root / f"{name}.parquet", table, table.schema)
    took = measure(time_of_decision, root)
    return Row(
        f"decision over {TAKES:,} synthetic takes, with near-duplicates",
        f"{took['wall_s']:.2f} s ({took['cpu_s']:.2f} s CPU)",
        "",
        f"{took['kept']:.0f} kept, {took['rejecting']:.0f} steps reject some",
        "< 1 s",
        took["wall_s"] < 1,
    )


PARTS: dict[str, Callable[[Path], Row]] = {part.__name__: part for part in (memory, growth, decision)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--part", choices=PARTS, help="only this one; rows are kept only of all together")
    parser.add_argument("--run", nargs=2, metavar=("FUNCTION", "FOLDER"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.run:
        print(json.dumps(PROCESSES[told.run[0]](Path(told.run[1]))))
        return
    load = psutil.getloadavg()[0]
    rows = []
    for name, part in PARTS.items():
        if told.part in (None, name):
            with tempfile.TemporaryDirectory(prefix=f"bench-scale-{name}-") as root:
                rows.append(asdict(part(Path(root))))
    if not told.part:
        ROWS.write_text(
            json.dumps({"cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows}, indent=1) + "\n"
        )
    print("| figure | ours | beside | result | target | met |\n|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row.values()) + " |")


if __name__ == "__main__":
    main()
