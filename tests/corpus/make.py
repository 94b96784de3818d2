"""Makes the clips of the planted corpus, each once: what was made before, with the same plan and code, is found again.

`python -m tests.corpus.make [FOLDER]` makes all of them, and lays them into FOLDER under their names.
"""

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from tasks import env
from tests.corpus import scenery
from tests.corpus.plan import CLIPS, Clip, Shot, starts
from tests.corpus.scenery import Image, World

cv2.setNumThreads(1)

# encoder, suffix of the file, pixel format, options, and options that give fewer bits
ENCODERS: dict[str, tuple[str, str, str, dict[str, str], dict[str, str]]] = {
    "h264": ("libx264", "mp4", "yuv420p", {"preset": "veryfast", "crf": "20"}, {"crf": "29"}),
    "hevc": (
        "libx265",
        "mp4",
        "yuv420p",
        {"preset": "ultrafast", "crf": "22", "x265-params": "pools=none:frame-threads=1:log-level=error"},
        {"crf": "31"},
    ),
    "vp9": (
        "libvpx-vp9",
        "webm",
        "yuv420p",
        {"deadline": "realtime", "cpu-used": "8", "crf": "28", "b": "0"},
        {"crf": "42"},
    ),
    "av1": (
        "libsvtav1",
        "webm",
        "yuv420p",
        {"preset": "10", "crf": "30", "svtav1-params": "lp=1"},
        {"crf": "44"},
    ),
    "mpeg2": ("mpeg2video", "ts", "yuv420p", {"flags": "qscale", "global_quality": str(4 * 118), "bf": "2"}, {}),
    "mjpeg": ("mjpeg", "avi", "yuvj420p", {"flags": "qscale", "global_quality": str(3 * 118)}, {}),
}
_COARSER = {"mpeg2": {"global_quality": str(9 * 118)}, "mjpeg": {"global_quality": str(9 * 118)}}


def cache_folder() -> Path:
    """Return where clips are kept: `HEADRACE_TEST_CACHE`, or data/store/corpus of the main checkout."""
    if home := os.environ.get("HEADRACE_TEST_CACHE"):
        return Path(home)
    return Path(env.store_url(env.checkout_root(Path(__file__).parent))) / "corpus"


def _code() -> str:
    """Return the hash of all that decides what a planned clip looks like."""
    files = [Path(__file__), Path(scenery.__file__)]
    whole = b"".join(file.read_bytes() for file in files) + f"{av.__version__} {cv2.__version__}".encode()
    return hashlib.sha256(whole).hexdigest()


CODE = _code()


def cached(clip: Clip, folder: Path) -> Path:
    """Return where a clip lies, made or not: its name is a hash over the plan of it and the code that makes it."""
    plan = json.dumps(asdict(clip), sort_keys=True)
    name = hashlib.sha256(f"{CODE} {plan}".encode()).hexdigest()
    return folder / f"{name[:40]}.{ENCODERS[clip.codec][1]}"


def make(clip: Clip, folder: Path) -> Path:
    """Make a clip unless it is there. It appears whole or not at all, also where two processes make it."""
    target = cached(clip, folder)
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{uuid.uuid4().hex}.{target.suffix[1:]}"
        try:
            encode(clip, pictures(clip), partial)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def make_all(clips: Iterable[Clip], folder: Path, *, processes: int = 2, tell: bool = False) -> dict[str, Path]:
    """Make clips, the longest work first; return where each lies, by id."""
    clips = list(clips)
    missing = sorted(
        (clip for clip in clips if not cached(clip, folder).exists()),
        key=lambda clip: -clip.frames * clip.height**2,
    )
    if missing:
        with ProcessPoolExecutor(min(processes, len(missing))) as pool:
            for done, _ in enumerate(pool.map(make, missing, [folder] * len(missing)), 1):
                if tell:
                    print(f"\r{done} of {len(missing)} clips made", end="", file=sys.stderr, flush=True)
        if tell:
            print(file=sys.stderr)
    return {clip.id: cached(clip, folder) for clip in clips}


def lay(clips: Iterable[Clip], folder: Path, cache: Path | None = None, *, tell: bool = False) -> dict[str, Path]:
    """Make what is missing and lay clips into `folder`, named by id: links where possible, else copies."""
    made = make_all(clips, cache or cache_folder(), tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    laid = {}
    for name, source in made.items():
        target = folder / f"{name}{source.suffix}"
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
        laid[name] = target
    return laid


def encode(clip: Clip, images: Iterable[Image], path: Path) -> None:
    """Write a clip's pictures in its codec, frame i at i / fps seconds after the first."""
    os.environ.setdefault("SVT_LOG", "1")  # of libsvtav1: errors alone
    name, _, pixels, options, fewer = ENCODERS[clip.codec]
    options = options | ((fewer or _COARSER[clip.codec]) if clip.worse else {})
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(name, rate=clip.fps, options=options))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, pixels
        stream.codec_context.thread_count = 1
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# --- pictures ---


def pictures(clip: Clip) -> Iterator[Image]:
    """Yield the frames of a clip, uint8 (H, W, 3) in RGB."""
    firsts = starts(clip)
    lines = [_frames(clip, shot) for shot in clip.shots]
    for number, (shot, line) in enumerate(zip(clip.shots, lines, strict=True)):
        join = clip.joins[number] if number < len(clip.joins) else None
        before = clip.joins[number - 1] if number else None
        half_in = before.frames // 2 if before and before.how == "fade" else 0
        half_out = join.frames // 2 if join and join.how == "fade" else 0
        mixed = join.frames if join and join.how == "dissolve" else 0
        first = before.frames if before and before.how == "dissolve" else 0  # these were mixed with the shot before
        for at in range(first, shot.frames):
            image = next(line)
            left = shot.frames - at  # frames to come, this one with them
            if at < half_in:
                image = cv2.convertScaleAbs(image, alpha=(at + 1) / (half_in + 1))
            if left <= half_out:
                image = cv2.convertScaleAbs(image, alpha=left / (half_out + 1))
            if left <= mixed:
                share = (mixed - left + 1) / (mixed + 1)
                image = cv2.addWeighted(image, 1 - share, next(lines[number + 1]), share, 0)
            yield image
        if join:
            yield from [np.zeros((clip.height, clip.width, 3), np.uint8)] * join.black
    assert firsts[-1] + clip.shots[-1].frames == clip.frames


def _frames(clip: Clip, shot: Shot) -> Iterator[Image]:
    """Yield the frames of a shot."""
    world = World(shot.seed, shot.camera, shot.path_s, clip.height, clip.width)
    last: tuple[float, Image] | None = None
    for number in range(shot.frames):
        time_s = _path_time(shot, number / clip.fps)
        if last and last[0] == time_s and shot.spoil == "freeze":
            yield last[1]
            continue
        image = _seen(world, shot, time_s)
        if shot.spoil in ("dark", "bright", "under", "over"):
            image = scenery.SPOIL[shot.spoil](image, shot.amount, shot.seed)
        image = scenery.grained(image, shot.seed, number)
        if shot.spoil in ("blur", "bars", "pillars", "logo"):
            image = scenery.SPOIL[shot.spoil](image, shot.amount, shot.seed)
        if shot.spoil == "text":
            line = (shot.seed + int(number / clip.fps / shot.amount)) % len(scenery.WORDS)
            image = scenery.captioned(image, scenery.WORDS[line])
        if shot.flash[0] <= number < sum(shot.flash):
            image = (image + 0.75 * (255.0 - image)).astype(np.uint8)
        last = time_s, image
        yield image


def _path_time(shot: Shot, time_s: float) -> float:
    """Return the time on the camera's path that is shown `time_s` after a shot's first frame."""
    if shot.spoil == "loop":  # forth and back each second; at the middle of each it turns
        return 2.0 + 0.35 * (1 - np.cos(2 * np.pi * time_s))
    start_s, length_s = shot.hold_s
    held = min(max(time_s - start_s, 0.0), length_s)
    return shot.start_s + time_s - held


def _seen(world: World, shot: Shot, time_s: float) -> Image:
    """Return what the camera shows, cropped and mirrored as the shot has it."""
    image = world.picture(time_s)
    if shot.cropped:
        tall, wide = round(shot.cropped * world.height), round(shot.cropped * world.width)
        part = image[tall : world.height - tall, wide : world.width - wide]
        image = cv2.resize(part, (world.width, world.height), interpolation=cv2.INTER_LINEAR)
    return image[:, ::-1].copy() if shot.mirrored else image


if __name__ == "__main__":
    where = make_all(CLIPS, cache_folder(), tell=True)
    if len(sys.argv) > 1:
        where = lay(CLIPS, Path(sys.argv[1]))
    size = sum(path.stat().st_size for path in where.values())
    print(f"{len(where)} clips, {sum(clip.seconds for clip in CLIPS) / 60:.1f} minutes, {size / 1e6:.0f} MB")
