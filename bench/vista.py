"""What composing costs beside a plain decode and encode of as many frames: python -m bench.vista

The clips are cut from the film at the sizes of the desk run. Each try is a process of its own; figures are frames per
CPU-second (user + system, start-up left out), ours between two of the peer's, and the median of the ratios is kept. Run
it on an idle machine.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
ROWS = HERE / "vista.json"
FILM = Path("data/raw/video/files/big_buck_bunny.mp4")
TARGET = 0.8  # of a plain decode and encode
SAMPLED, SAMPLED_PX = 32, 112  # frames that a loader takes of a video, and their side
CRF, PRESET = 23, "veryfast"


@dataclass(frozen=True)
class Figure:
    """One figure: its video (width, height, frames a second, seconds of haystack), and what is done with it."""

    label: str
    size: tuple[int, int]
    fps: int
    haystack_s: float
    build: str
    sampled: bool = False
    target: float | None = TARGET


LONG, LARGE = (640, 360), (1920, 1080)
FIGURES = {
    "temporal": Figure("temporal needle", LONG, 12, 20, "temporal"),
    "two": Figure("two needles", LONG, 12, 20, "two"),
    "spatiotemporal": Figure("spatiotemporal needle", LONG, 12, 20, "spatiotemporal"),
    "spatial": Figure("spatial needle, 1080p", LARGE, 8, 6, "spatial"),
    "grid": Figure("grid of 64, 1080p, beside 64 decodes and one encode", LARGE, 8, 3, "grid"),
    "sampled-temporal": Figure(
        f"{SAMPLED} frames of a temporal needle for a loader, beside a decode of all",
        LONG,
        12,
        20,
        "temporal",
        True,
        None,
    ),
    "sampled-spatial": Figure(
        f"{SAMPLED} frames of a spatial needle, 1080p, beside a decode of all", LARGE, 8, 6, "spatial", True, None
    ),
    "sampled-grid": Figure("8 frames of a grid, beside 64 decodes", LARGE, 8, 3, "grid", True, None),
}


def make_clips(film: Path, folder: Path, figure: Figure) -> None:
    """Cut haystack, needle and cells of one figure from the film, each at its size and rate, by our own renderer."""
    from tasks.video.composition import Canvas, Clip, Composition, Piece
    from tasks.video.probe import probe
    from tasks.video.rendering import Encoding, render_file

    facts = probe(film)
    base = Fraction(facts["time_base_num"], facts["time_base_den"])
    size = facts["coded_width"], facts["coded_height"]
    times = _times(film)
    clips: list[dict[str, Any]] = []

    def cut(name: str, at_s: float, length_s: float, canvas: Canvas) -> None:
        first = next(n for n, pts in enumerate(times) if pts * base >= at_s)
        last = next(n for n, pts in enumerate(times) if pts * base >= at_s + length_s)
        clip = Clip("film", "film", str(film.parent), film.name, times[first], times[last], base, last - first, *size)
        frames = min(clip.ticks(canvas.fps), round(length_s * canvas.fps))
        path = folder / f"{name}.mp4"
        render_file(Composition(canvas, frames, (Piece(clip, canvas.whole, 0, frames),)), path, Encoding(crf=20))
        made = probe(path)
        unit = [made["time_base_num"], made["time_base_den"]]
        end = round(frames / canvas.fps / Fraction(*unit))
        clips.append(
            {
                "name": name,
                "path": str(path),
                "frames": frames,
                "unit": unit,
                "end_pts": end,
                "width": canvas.width,
                "height": canvas.height,
            }
        )

    small = Canvas(640, 360, Fraction(12))
    if figure.build == "grid":
        for number in range(64):
            cut(f"cell{number}", 20 + 3.1 * number, figure.haystack_s, small)
    else:
        cut("haystack", 30, figure.haystack_s, Canvas(*figure.size, Fraction(figure.fps)))
        cut("needle", 120, 3, small)
    (folder / "clips.json").write_text(json.dumps(clips))
    if figure.build == "grid" and not figure.sampled:  # for the peer to encode
        render_file(built(folder, figure), folder / "grid.mp4", Encoding("h264", crf=12, preset="ultrafast"))


def _times(film: Path) -> list[int]:
    import av

    with av.open(str(film)) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(packet.pts for packet in packets if packet.size and packet.pts is not None)


def built(folder: Path, figure: Figure) -> Any:
    """Return the composition of a figure."""
    import numpy as np

    from tasks.video import augmentations
    from tasks.video.composition import Canvas, Clip

    clips = [
        Clip(
            one["name"], one["name"], str(folder), Path(one["path"]).name, 0, one["end_pts"], Fraction(*one["unit"]),
            one["frames"], one["width"], one["height"],
        )
        for one in json.loads((folder / "clips.json").read_text())
    ]  # fmt: skip
    canvas, rng = Canvas(*figure.size, Fraction(figure.fps)), np.random.default_rng(0)
    build: dict[str, Callable[[], Any]] = {
        "temporal": lambda: augmentations.temporal_needle(*clips, canvas, rng, margin_s=2),
        "two": lambda: augmentations.two_needles(*clips, canvas, rng, margin_s=2, min_gap_s=4),
        "spatiotemporal": lambda: augmentations.spatiotemporal_needle(*clips, canvas, rng, margin_s=2),
        "spatial": lambda: augmentations.spatial_needle(*clips, canvas, rng),
        "grid": lambda: augmentations.grid(clips, canvas, rng, length_s=figure.haystack_s),
    }
    return build[figure.build]().composition


def _sampled(composition: Any) -> list[int]:
    """Return the middles of equal parts of a video, as the paper samples."""
    count = min(SAMPLED, composition.frames if composition.canvas.unit == 2 else 8)
    return [int((n + 0.5) * composition.frames / count) for n in range(count)]


def ours(folder: Path, figure: Figure) -> int:
    """Render, or give a loader its frames. Returns how many frames there were."""
    from tasks.video.rendering import Encoding, render_file, sampled_frames

    composition = built(folder, figure)
    if figure.sampled:
        return len(sampled_frames(composition, _sampled(composition), (SAMPLED_PX, SAMPLED_PX)))
    target = folder / f"{os.getpid()}.mp4"
    return render_file(composition, target, Encoding(crf=CRF, preset=PRESET)).frames


def plain(folder: Path, figure: Figure) -> int:
    """Decode the clips with PyAV, one thread, and encode as many frames as ours: the clips', or the grid's."""
    import av

    composition = built(folder, figure)
    clips = list(dict.fromkeys(piece.clip.file for piece in composition.pieces))
    if figure.sampled:
        for clip in clips:
            for _ in _decoded(clip):
                pass
        return len(_sampled(composition))
    frames: Iterator[Any]
    if figure.build == "grid":
        for clip in clips:
            for _ in _decoded(clip):
                pass
        frames = _decoded(folder / "grid.mp4")
    elif composition.frames == composition.pieces[0].frames:  # the haystack is as long as the video
        frames = _decoded(clips[0])
    else:
        frames = (frame for clip in clips for frame in _decoded(clip))
    options = {"preset": PRESET, "crf": str(CRF), "threads": "1", "mbtree": "0"}
    count = 0
    with av.open(str(folder / f"{os.getpid()}.mp4"), "w") as out:
        stream: Any = out.add_stream("libx264", rate=figure.fps, options=options)
        stream.width, stream.height = figure.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            frame.pts, frame.time_base, frame.pict_type = count, Fraction(1, figure.fps), 0
            out.mux(stream.encode(frame))
            count += 1
        out.mux(stream.encode(None))
    return count


def _decoded(path: Path) -> Iterator[Any]:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if (frame.width, frame.height) != (0, 0):
                yield frame


@dataclass(frozen=True)
class Try:
    """One run of one contender."""

    frames: int
    cpu_s: float
    peak_mb: float


def measure_here(name: str, who: str, folder: Path) -> Try:
    import av  # noqa: F401 — imported before the clock starts
    import numpy as np  # noqa: F401

    import tasks.video.augmentations
    import tasks.video.rendering  # noqa: F401

    begun = time.process_time()
    frames = {"ours": ours, "plain": plain}[who](folder, FIGURES[name])
    cpu_s = time.process_time() - begun
    return Try(frames, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run(name: str, who: str, folder: Path, film: Path) -> str:
    """Make the clips of a figure, or run one contender, in a process of its own. Returns what it printed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.vista", "--only", name, "--who", who, "--folder", str(folder)]
    done = subprocess.run([*command, "--input", str(film)], env=env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def row_of(name: str, film: Path, tries: int) -> dict[str, Any]:
    """Measure one figure in turns."""
    figure = FIGURES[name]
    with tempfile.TemporaryDirectory(prefix="bench-vista-") as folder_name:
        folder = Path(folder_name)
        run(name, "make", folder, film)  # not here: a process takes its parent's peak memory for its own
        turns = ["plain", *["ours", "plain"] * tries]
        done = [Try(**json.loads(run(name, who, folder, film).splitlines()[-1])) for who in turns]
    mine, theirs = done[1::2], done[::2]
    assert all(one.frames == done[0].frames for one in done), "both make as many frames"
    ratios = [(done[at - 1].cpu_s + done[at + 1].cpu_s) / 2 / done[at].cpu_s for at in range(1, len(done), 2)]
    ratio = statistics.median(ratios)
    speed = [statistics.median(one.frames / one.cpu_s for one in each) for each in (mine, theirs)]
    return {
        "figure": figure.label,
        "frames": done[0].frames,
        "ours": f"{speed[0]:.0f} frames / CPU-s",
        "beside": f"{speed[1]:.0f}",
        "result": round(ratio, 3),
        "each": [round(one, 3) for one in ratios],
        "peak_mb": round(max(one.peak_mb for one in mine)),
        "peak_mb_beside": round(max(one.peak_mb for one in theirs)),
        "target": figure.target,
        "met": None if figure.target is None else ratio >= figure.target,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--input", type=Path, default=FILM, help="a film (default: the one that fetch_video fetched)")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--figures", nargs="*", choices=FIGURES, default=list(FIGURES), help="default: all")
    for name in ("--only", "--who", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.only and told.who == "make":
        make_clips(told.input, Path(told.folder), FIGURES[told.only])
    elif told.only:
        print(json.dumps(asdict(measure_here(told.only, told.who, Path(told.folder)))))
    if told.only:
        return
    if not told.input.exists():
        raise SystemExit(f"{told.input} is missing: make it with 'dvc repro fetch_video', or name a file by --input")
    load = psutil.getloadavg()[0]
    rows = []
    for name in told.figures:
        rows.append(row_of(name, told.input, told.tries))
        print("| " + " | ".join(str(rows[-1][key]) for key in ("figure", "ours", "beside", "result", "peak_mb")) + " |")
    if told.figures == list(FIGURES):
        header = {"input": told.input.name, "tries": told.tries, "target": TARGET, "cores": os.cpu_count()}
        ROWS.write_text(json.dumps({**header, "load_before": round(load, 1), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
