"""Small videos with known content, encoded by the encoder that comes with PyAV."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

Image = np.ndarray  # uint8, (H, W, 3), RGB


def texture(seed: int, height: int = 180, width: int = 320) -> Image:
    """Return soft coloured blotches of full contrast, without an edge that a codec would smear."""
    noise = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    low, high = soft.min(axis=(0, 1)), soft.max(axis=(0, 1))
    return (255 * (soft - low) / (high - low)).astype(np.uint8)


def still(seed: int, frames: int, **size: int) -> list[Image]:
    """Return the same texture `frames` times."""
    return [texture(seed, **size)] * frames


def moving(seed: int, frames: int, step_px: int, *, height: int = 180, width: int = 320) -> list[Image]:
    """Return a window that slides `step_px` to the right over a texture with each frame."""
    wide = texture(seed, height, width + step_px * frames)
    return [np.ascontiguousarray(wide[:, i * step_px : i * step_px + width]) for i in range(frames)]


def flat(grey: int, frames: int, *, height: int = 180, width: int = 320) -> list[Image]:
    """Return frames of one grey level."""
    return [np.full((height, width, 3), grey, np.uint8)] * frames


def write_clip(
    path: Path,
    images: Sequence[Image],
    *,
    fps: int = 24,
    pts: Iterable[int] | None = None,
    codec: str = "libx264",
    rotation_deg: int = 0,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `images`; with `pts` (in milliseconds) at those times, else `fps` a second."""
    height, width = images[0].shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options={"preset": "veryfast", "crf": "18"} | (options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        base = Fraction(1, fps) if pts is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for image, time in zip(images, range(len(images)) if pts is None else pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, seconds: int = 1) -> Path:
    """Write a file with sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for i in range(seconds * 16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, i * 1000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_without_frames(path: Path) -> Path:
    """Write a container that declares a video stream and holds no packet of it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.open()
        container.start_encoding()
    return path


def cut_short(source: Path, target: Path, share: float) -> Path:
    """Copy the first `share` of a file's bytes."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def read_all(path: Path, change: Callable[[av.VideoFrame], np.ndarray]) -> tuple[list[int], list[np.ndarray]]:
    """Return the pts of all frames and what `change` makes of each: a plain decode, the oracle of the pass."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.pts for frame in frames], [change(frame) for frame in frames]
