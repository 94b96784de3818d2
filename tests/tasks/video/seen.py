"""What is to be seen in a decoded picture of a generated clip, found from its pixels alone.

Colours by their nearness in CIE Lab; shapes by likeness to templates that Pillow draws from formulas of its own.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw

_SIDE = 96  # of a template


def pictures(path: Path) -> Iterator[np.ndarray]:
    """Yield all frames of a video, uint8 (H, W, 3) RGB."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def lab(picture: np.ndarray) -> np.ndarray:
    """Return CIE Lab of sRGB, float32 in L 0..100, by OpenCV."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def distance(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    both = lab(np.array([[one, other]], np.uint8))[0]
    return float(np.linalg.norm(both[0] - both[1]))


class Palette:
    """Which of some colours is nearest in CIE Lab to any colour, and no further than `most`; else none."""

    def __init__(self, colours: Mapping[str, tuple[int, int, int]], most: float = 16) -> None:
        self.names = list(colours)
        steps = np.arange(2, 256, 4)
        cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), 3).reshape(64, 64 * 64, 3)
        known = lab(np.array([list(colours.values())], np.uint8))[0]
        apart = np.stack([np.linalg.norm(lab(cube) - one, axis=2) for one in known])
        nearest = np.where(apart.min(0) < most, apart.argmin(0), len(known))
        self._nearest = nearest.ravel().astype(np.uint8)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the number of the colour of each pixel, uint8 (H, W)."""
        red, green, blue = (channel >> 2 for channel in cv2.split(picture))
        return np.asarray(self._nearest.take((red.astype(np.int32) << 12) + (green.astype(np.int32) << 6) + blue))


def largest_body(mask: np.ndarray) -> np.ndarray:
    """Return the connected part of a mask with the largest body: lines and letters, up to 6 pixels thick, have none."""
    if np.count_nonzero(mask) < 80:
        return np.zeros_like(mask)
    body = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=8)
    if count == 1 or stats[1:, cv2.CC_STAT_AREA].max() < 80:
        return np.zeros_like(mask)
    inside = labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    y, x = np.nonzero(inside)
    found = mask.astype(np.uint8)
    cv2.floodFill(found, None, (int(x[0]), int(y[0])), 2, flags=8)
    return np.asarray(found == 2)


def centroid(mask: np.ndarray) -> np.ndarray:
    """Return (x, y) of a mask."""
    y, x = np.nonzero(mask)
    return np.array([x.mean(), y.mean()])


def shapes_of(mask: np.ndarray) -> list[str]:
    """Return the templates that a mask, cut to its bounds, is most like, the likest first."""
    y, x = np.nonzero(mask)
    cut = mask[y.min() : y.max() + 1, x.min() : x.max() + 1].astype(np.uint8) * 255
    height, width = cut.shape
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(cut, size, interpolation=cv2.INTER_LINEAR) > 127
    fitted = np.zeros((_SIDE, _SIDE), bool)
    top, left = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    fitted[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sorted(templates(), key=lambda name: -_overlap(templates()[name], fitted))


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@cache
def templates() -> dict[str, np.ndarray]:
    """Return a mask for each shape, its longer side filling the template."""
    n = 10 * _SIDE

    def polygon(points: list[tuple[float, float]]) -> Image.Image:
        image = Image.new("L", (n, n))
        ImageDraw.Draw(image).polygon([(n / 2 + x * n / 3, n / 2 + y * n / 3) for x, y in points], 255)
        return image

    def discs(*circles: tuple[float, float, float, int]) -> Image.Image:
        image = Image.new("L", (n, n))
        for x, y, radius, ink in circles:
            box = [n / 2 + (side * n) / 3 for side in (x - radius, y - radius, x + radius, y + radius)]
            ImageDraw.Draw(image).ellipse(box, ink)
        return image

    turn = 2 * np.pi
    star = [((1, 0.43)[i % 2] * np.sin(turn * i / 10), -(1, 0.43)[i % 2] * np.cos(turn * i / 10)) for i in range(10)]
    bar, end = 0.33, 1.0
    cross = [(-bar, -end), (bar, -end), (bar, -bar), (end, -bar), (end, bar), (bar, bar)]
    cross += [(-x, -y) for x, y in cross]
    t = np.linspace(0, turn, 200)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    drawn = {
        "circle": discs((0, 0, 1, 255)),
        "ring": discs((0, 0, 1, 255), (0, 0, 0.52, 0)),
        "crescent": discs((0, 0, 1, 255), (0.55, 0, 0.82, 0)),
        "square": polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
        "triangle": polygon([(0, -1), (np.sqrt(3) / 2, 0.5), (-np.sqrt(3) / 2, 0.5)]),
        "hexagon": polygon([(np.cos(turn * i / 6), np.sin(turn * i / 6)) for i in range(6)]),
        "star": polygon(star),
        "cross": polygon(cross),
        "heart": polygon(list(zip(np.sin(t) ** 3, y, strict=True))),
    }
    return {name: _filled(np.asarray(image) > 127) for name, image in drawn.items()}


def _filled(mask: np.ndarray) -> np.ndarray:
    y, x = np.nonzero(mask)
    cut = mask[y.min() : y.max() + 1, x.min() : x.max() + 1].astype(np.uint8) * 255
    scale = _SIDE / max(cut.shape)
    small = cv2.resize(cut, (round(cut.shape[1] * scale), round(cut.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    fitted = np.zeros((_SIDE, _SIDE), bool)
    top, left = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    fitted[top : top + small.shape[0], left : left + small.shape[1]] = small > 127
    return fitted
