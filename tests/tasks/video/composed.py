"""Clips and compositions for tests, and a plain reading of what was rendered."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation

from tasks.video.composition import Box, Canvas, Clip
from tasks.video.rendering import Encoding
from tests.tasks.video import clips, odd

Planes = list[np.ndarray]
LOSSLESS = Encoding("ffv1")
SMALL = Canvas(160, 96, Fraction(12))


def tagged(matrix: int = 1, color_range: int = 1) -> Any:
    """Return what tells a stream to be of BT.709 in limited range, or of other tags."""

    def tag(stream: Any) -> None:
        codec = stream.codec_context
        codec.colorspace, codec.color_range = matrix, color_range
        codec.color_primaries = codec.color_trc = matrix

    return tag


def noise(seed: int, frames: int, *, width: int = 160, height: int = 96) -> list[av.VideoFrame]:
    """Return frames of soft noise in motion, yuv420p in limited range, no two alike; all are colours of RGB."""
    found = []
    for image in clips.moving(seed, frames, 3, height=height, width=width):
        luma, chroma = 64 + image[..., 0] * np.float32(0.5), 96 + image[::2, ::2, 1:] * np.float32(0.25)
        planes = [luma, chroma[..., 0], chroma[..., 1]]
        found.append(odd.frame_of([np.rint(plane).astype(np.uint8) for plane in planes], "yuv420p"))
    return found


def write(
    path: Path,
    seed: int,
    frames: int,
    *,
    fps: int | Fraction = 12,
    codec: str = "libx264",
    matrix: int = 1,
    options: dict[str, str] | None = None,
    **size: int,
) -> Path:
    """Encode noise of BT.709 in limited range."""
    options = options or {"crf": "20", "preset": "veryfast"}
    base = 1 / Fraction(fps)
    return odd.write(
        path, noise(seed, frames, **size), codec, "yuv420p", fps=fps, base=base, options=options, setup=tagged(matrix)
    )


def clip_of(path: Path, first: int = 0, frames: int | None = None, *, source: str = "", **shown: int) -> Clip:
    """Return frames [first, first + frames) of a file as a clip, by a plain decode of the whole."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base, rate = stream.time_base, stream.average_rate
        decoded = list(container.decode(stream))
    times = [frame.pts for frame in decoded]
    step = round(1 / (rate * base))
    times.append(times[-1] + (decoded[-1].duration or step))
    last = len(decoded) if frames is None else first + frames
    source = source or hashlib.sha256(path.read_bytes()).hexdigest()
    size = shown.get("width", decoded[0].width), shown.get("height", decoded[0].height)
    name = f"{path.stem}-{first}-{last}"
    return Clip(name, source, str(path.parent), path.name, times[first], times[last], base, last - first, *size)


def planes_of(frame: av.VideoFrame) -> Planes:
    """Return the samples of a frame's planes, copied."""
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        found.append(rows[:, : plane.width].copy())
    return found


def decoded(path: Path, first: int = 0, frames: int | None = None) -> list[Planes]:
    """Return the planes of a file's frames: a plain decode."""
    with av.open(str(path)) as container:
        found = [planes_of(frame) for frame in container.decode(video=0)]
    return found[first : None if frames is None else first + frames]


def same(one: Planes, other: Planes) -> bool:
    """Say whether all samples of two frames are equal."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def cut(planes: Planes, box: Box | Sequence[int]) -> Planes:
    """Return what of a frame lies in a box; chroma may be halved."""
    x, y, width, height = box
    found = []
    for plane in planes:
        step = planes[0].shape[0] // plane.shape[0]
        found.append(plane[y // step : (y + height) // step, x // step : (x + width) // step])
    return found


def outside(planes: Planes, box: Box | Sequence[int]) -> Planes:
    """Return a frame whose box is blanked."""
    x, y, width, height = box
    found = []
    for plane in planes:
        step = planes[0].shape[0] // plane.shape[0]
        blanked = plane.copy()
        blanked[y // step : (y + height) // step, x // step : (x + width) // step] = 0
        found.append(blanked)
    return found


def resized(clip: Clip, width: int, height: int, pixels: str = "yuv420p") -> list[Planes]:
    """Return a clip's frames scaled by swscale, called by hand: by area, with accurate rounding.

    The clip is one that `clip_of` made: its name says which frames of the file it is.
    """
    flags = ("AREA", "ACCURATE_RND", "FULL_CHR_H_INP", "FULL_CHR_H_INT")
    value = sum(int(Interpolation[name]) for name in flags)
    kept = {"src_colorspace": 1, "dst_colorspace": 1, "src_color_range": 1, "dst_color_range": 1}
    first, last = map(int, clip.clip_id.split("-")[-2:])
    with av.open(str(clip.file)) as container:
        frames = list(container.decode(video=0))[first:last]
        return [planes_of(frame.reformat(width, height, pixels, interpolation=value, **kept)) for frame in frames]


def frames_of(clip: Clip) -> list[Planes]:
    """Return the planes of the frames of a clip that `clip_of` made, by a plain decode of its file."""
    first, last = map(int, clip.clip_id.split("-")[-2:])
    return decoded(clip.file, first, last - first)


def rgb_of(planes: Planes, *, red: float = 0.2126, blue: float = 0.0722) -> np.ndarray:
    """Return a frame of limited range as RGB, float (H, W, 3) in 0..255: the formulas of BT.709 or of other weights."""
    step = len(planes[0]) // len(planes[1])
    y = (planes[0].astype(float) - 16) / 219
    cb, cr = ((plane.astype(float) - 128) / 224 for plane in planes[1:])
    cb, cr = (np.kron(plane, np.ones((step, step))) for plane in (cb, cr))
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return 255 * np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=-1)
