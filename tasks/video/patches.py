"""Frozen features of a video's patches: colours by name, light, edges by direction, and what differs over time.

What a small model can be taught on a desk to see in an hour of film stands here ready: VISTA (arXiv 2412.00927) trains
on top of image encoders that were taught on far more.
"""

from functools import cache

import cv2
import numpy as np

from tasks.video.colour_names import COLOURS, names

WIDTH, HEIGHT = 8, 9  # of a patch in pixels: a cell of a grid of 8 x 8 has 4 x 2 of them
_LEVELS = 64  # of each of red, green and blue, that a colour's name is looked up by
DIRECTIONS = 4  # of edges: vertical, rising, horizontal, falling
NAMES: tuple[str, ...] = (
    *(f"share of {colour}" for colour in COLOURS),
    *(f"mean {channel}" for channel in ("red", "green", "blue")),
    "spread of light",
    *(f"edges, direction {number}" for number in range(DIRECTIONS)),
    *(f"{channel} beyond its median over time" for channel in ("red", "green", "blue")),
    "change since the frame before",
)
FEATURES = len(NAMES)


def grid_of(width_px: int, height_px: int) -> tuple[int, int]:
    """Return rows and columns of patches. Raises ValueError where they do not cover a picture of this size."""
    if width_px % WIDTH or height_px % HEIGHT or min(width_px, height_px) < 1:
        raise ValueError(f"{width_px} x {height_px} pixels are no whole patches of {WIDTH} x {HEIGHT}")
    return height_px // HEIGHT, width_px // WIDTH


def patch_features(video_THW3: np.ndarray) -> np.ndarray:
    """Return features of uint8 RGB (T, H, W, 3): uint8 (T, rows, columns, FEATURES); 255 is 1, signed ones are at 128.

    Differences are to the median over all frames, and to the frame before (the first one's is 0).
    """
    rows, columns = grid_of(*video_THW3.shape[2:0:-1])
    light_THW = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in video_THW3])
    mean = _pooled(video_THW3) / 255
    square = _pooled(np.square(light_THW, dtype=np.uint16)[..., None]) - _pooled(light_THW[..., None]) ** 2
    change = np.abs(np.diff(mean, axis=0, prepend=mean[:1])).max(axis=-1, keepdims=True)
    found = np.concatenate(
        [
            _shares(video_THW3, rows, columns),
            mean,
            2 * np.sqrt(np.maximum(square, 0)) / 255,
            _edges(light_THW),
            (mean - np.median(mean, axis=0)) / 2 + 128 / 255,
            change,
        ],
        axis=-1,
    )
    return np.clip(np.rint(found * 255), 0, 255).astype(np.uint8)


def _shares(video_THW3: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return which share of each patch has each of COLOURS, (T, rows, columns, colours)."""
    frames, height, width, _ = video_THW3.shape
    red, green, blue = (video_THW3[..., channel].astype(np.int32) >> 2 for channel in range(3))
    named = _names_of_colours()[(red * _LEVELS + green) * _LEVELS + blue]  # the last place: no name
    places = (np.arange(height) // HEIGHT)[:, None] * columns + np.arange(width) // WIDTH
    places = places + (np.arange(frames) * rows * columns)[:, None, None]
    count = len(COLOURS) + 1
    counts = np.bincount((places * count + named).ravel(), minlength=frames * rows * columns * count)
    return counts.reshape(frames, rows, columns, count)[..., :-1] / (WIDTH * HEIGHT)


def _pooled(images_THWC: np.ndarray) -> np.ndarray:
    """Return means over patches, float32 (T, rows, columns, C)."""
    frames, height, width, channels = images_THWC.shape
    rows, columns = grid_of(width, height)
    sums = images_THWC.reshape(frames, height, columns, WIDTH, channels).sum(axis=3, dtype=np.float32)
    sums = sums.reshape(frames, rows, HEIGHT, columns, channels).sum(axis=2)
    return np.asarray(sums / (WIDTH * HEIGHT))


def _edges(light_THW: np.ndarray) -> np.ndarray:
    """Return the mean strength of edges in each of DIRECTIONS, (T, rows, columns, DIRECTIONS), 1 at most."""
    light = light_THW.astype(np.int16)
    x, y = np.zeros_like(light), np.zeros_like(light)
    x[:, :, 1:-1] = light[:, :, 2:] - light[:, :, :-2]
    y[:, 1:-1] = light[:, 2:] - light[:, :-2]
    wide, tall = np.abs(x), np.abs(y)
    strength = np.maximum(wide, tall)
    upright, flat, rising = wide > 2 * tall, tall > 2 * wide, (x > 0) == (y > 0)
    slanted = ~(upright | flat)
    kinds = (upright, slanted & rising, flat, slanted & ~rising)
    of_each = np.stack([strength * kind for kind in kinds], axis=-1)
    return np.minimum(_pooled(of_each) * (4 / 255), 1)


@cache
def _names_of_colours() -> np.ndarray:
    """Return the place in COLOURS of each colour by its red, green and blue, and one beyond where it has no name."""
    levels = (np.arange(_LEVELS) * 4 + 2).astype(np.uint8)
    red, green, blue = np.meshgrid(levels, levels, levels, indexing="ij")
    image = np.stack([blue, green, red], axis=-1).reshape(_LEVELS * _LEVELS, _LEVELS, 3)
    return names(image).ravel().astype(np.int64) % (len(COLOURS) + 1)
