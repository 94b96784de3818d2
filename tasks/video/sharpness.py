"""Sharpness: is the finest detail there that the coarser detail promises?"""

import itertools
from array import array
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.video.frames import Keep, Picture
from tasks.video.letterbox import bars
from tasks.video.views import View

cv2.setNumThreads(1)

BLOCKS = 9  # along the shorter side, where that leaves them 4 px at quarter size
_BEST = 1 / 12  # share of the blocks that is looked at
_LEAST = 20.0  # mean square of their coarser Laplacian in grey levels, below which nothing can be said
_NOISE = 20.0  # of the finer: 4^2 + 4 * 1^2, for noise of one grey level
_EVERY = 2  # samples: focus changes slowly


class Sharpness:
    """Deviation of the Laplacian as a share of that of the same picture at quarter size, where that is greatest.

    sharpness = sqrt(max(0, mean L(I)^2 - 20) / mean L(quarter of I)^2), L the 4-neighbour Laplacian, over the twelfth
    of a grid of about 16x9 blocks in which the latter is greatest, black bars left out; 20 is what white noise of one
    grey level gives. Contrast cancels; size does so far as natural pictures have as much contrast at each scale. I is
    the luma, halved while its short side keeps 240 px. About 0.3 to 1 in focus, below 0.25 blurred by 1/250 of the
    height or more, whatever the size or codec.

    Every second sample is measured. The table: pts, sharpness (null where it was not, or where all is flat).
    """

    name = "video.sharpness"
    version = "1"
    _view = View("gray", halved_to=240)

    def __init__(self, keep: Keep, *, per_s: float):
        self._keep = keep
        self.per_s = per_s
        self._pts = array("q")
        self._sharpness = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s}

    def see(self, picture: Picture) -> None:
        measured = len(self._pts) % _EVERY == 0
        self._pts.append(picture.pts)
        self._sharpness.append(sharpness(picture.image(self._view)) if measured else float("nan"))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        values = np.asarray(self._sharpness)
        table = pa.table({"pts": np.asarray(self._pts), "sharpness": pa.array(values, mask=np.isnan(values))})
        return {"samples": len(table)}, [self._keep(table)]


def sharpness(image: np.ndarray) -> float:
    """Return the sharpness of a grey picture, uint8 (H, W); NaN where it has no structure to tell by."""
    image = _without_bars(image)
    tall, wide = image.shape
    if min(tall, wide) < 64:
        return float("nan")
    quarter = _halved(_halved(image))
    blocks = _blocks(*quarter.shape)
    coarse = _energies(quarter, blocks)
    best = np.argsort(-coarse, kind="stable")[: max(1, round(len(blocks) * _BEST))]
    if coarse[best].mean() < _LEAST:
        return float("nan")
    fine = np.mean([_energy(image, *(4 * line for line in blocks[number])) for number in best])
    return float(np.sqrt(max(fine - _NOISE, 0) / coarse[best].mean()))


def _halved(image: np.ndarray) -> np.ndarray:
    tall, wide = (side // 2 for side in image.shape)
    return cv2.resize(image[: 2 * tall, : 2 * wide], (wide, tall), interpolation=cv2.INTER_AREA)


def _blocks(tall: int, wide: int) -> list[tuple[int, int, int, int]]:
    """Return (top, bottom, left, right) of a grid's blocks, one line within the picture's edge."""
    step = max(min(tall, wide) / BLOCKS, 4)
    rows = np.linspace(1, tall - 1, round(tall / step) + 1).astype(int).tolist()
    columns = np.linspace(1, wide - 1, round(wide / step) + 1).astype(int).tolist()
    return [(*down, *across) for down in itertools.pairwise(rows) for across in itertools.pairwise(columns)]


def _energies(image: np.ndarray, blocks: list[tuple[int, int, int, int]]) -> np.ndarray:
    laplacian = cv2.Laplacian(image, cv2.CV_32F, ksize=1)
    squares = cv2.integral(laplacian * laplacian, sdepth=cv2.CV_64F)
    top, bottom, left, right = np.asarray(blocks).T
    sums = squares[bottom, right] - squares[top, right] - squares[bottom, left] + squares[top, left]
    return sums / ((bottom - top) * (right - left))


def _energy(image: np.ndarray, top: int, bottom: int, left: int, right: int) -> float:
    """Return the mean squared Laplacian of a block that does not touch the picture's edge."""
    laplacian = cv2.Laplacian(image[top - 1 : bottom + 1, left - 1 : right + 1], cv2.CV_32F, ksize=1)
    return float(cv2.norm(laplacian[1:-1, 1:-1], cv2.NORM_L2SQR)) / ((bottom - top) * (right - left))


def _without_bars(image: np.ndarray) -> np.ndarray:
    tall, wide = image.shape
    top, bottom, left, right = bars(image)
    if not any((top, bottom, left, right)):
        return image
    rows = slice(_past(top, tall), tall - _past(bottom, tall))
    return image[rows, _past(left, wide) : wide - _past(right, wide)]


def _past(share: float, length: int) -> int:
    """Return where the picture surely has begun: two lines after a bar's end."""
    return int(np.ceil(share * length)) + 2 if share else 0
