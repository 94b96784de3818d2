"""How far apart neighbouring keyframes of a take lie: PSNR and SSIM on luma (LongTake-HD, step 6).

As the sheet of Presto / LongTake-HD makes them exact; SSIM after Wang et al. 2004 (11x11 Gaussian, sigma 1.5).
"""

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np

cv2.setNumThreads(1)

NAME = "video.diversity"
VERSION = "2"
LIBRARIES = ("numpy", "opencv-python-headless")

EQUAL_DB = 100.0  # what is said of equal pictures, whose PSNR is infinite; one level in one pixel is below it
_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_WINDOW, _SIGMA = 11, 1.5


def luma(image: np.ndarray, short_side_px: int = 256) -> np.ndarray:
    """Return the luma, uint8 (h, w), of a BGR or grey picture, its short side brought to `short_side_px`."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    height, width = grey.shape
    scale = short_side_px / min(height, width)
    if scale == 1:
        return grey
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """Return 10 log10(255^2 / MSE) of two luma pictures of one size, at most 100 (equal pictures)."""
    _check(a, b)
    mse = float(np.square(a.astype(np.int32) - b).mean())
    return min(EQUAL_DB, 10 * math.log10(_PEAK**2 / mse)) if mse else EQUAL_DB


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean SSIM of two luma pictures of one size, over all whole 11x11 windows; 1 for equal pictures.

    Raises ValueError where a side is shorter than a window.
    """
    _check(a, b)
    if min(a.shape) < _WINDOW:
        raise ValueError(f"a picture of {a.shape[1]}x{a.shape[0]} is smaller than a window of {_WINDOW}x{_WINDOW}")
    x, y, mean_x, mean_y, both, squares, covariance, variances = _room(a.shape, threading.get_ident())
    np.copyto(x, a)
    np.copyto(y, b)
    _blur(x, mean_x)
    _blur(y, mean_y)
    np.multiply(mean_x, mean_y, out=both)
    np.multiply(mean_x, mean_x, out=squares)
    cv2.accumulateSquare(mean_y, squares)
    np.multiply(x, y, out=mean_x)
    _blur(mean_x, covariance)
    np.multiply(x, x, out=mean_x)
    cv2.accumulateSquare(y, mean_x)
    _blur(mean_x, variances)  # of both together
    covariance -= both
    variances -= squares
    # (2 both + C1) (2 covariance + C2) / ((squares + C1) (variances + C2)), in the arrays that are there
    both += _C1 / 2
    covariance += _C2 / 2
    both *= covariance
    squares += _C1
    variances += _C2
    squares *= variances
    both /= squares
    rim = _WINDOW // 2
    inside = both[rim:-rim, rim:-rim]
    return 4 * float(inside.mean(dtype=np.float64))  # cv2.sumElems has other last bits elsewhere in memory


@lru_cache(maxsize=4)
def _room(shape: tuple[int, ...], _thread: int) -> list[np.ndarray]:
    """Return arrays that are kept: asking the system for new ones takes longer than SSIM itself."""
    return [np.empty(shape, np.float32) for _ in range(8)]


def neighbours(images: Sequence[np.ndarray]) -> dict[str, float | None]:
    """Return psnr_db_{mean,min,max} and ssim_{mean,min,max} over the N-1 pairs of neighbouring pictures (uint8, BGR).

    All are None where there is no pair.
    """
    lumas = [luma(image) for image in images]
    pairs = list(itertools.pairwise(lumas))
    return {
        **spread("psnr_db", [psnr_db(a, b) for a, b in pairs]),
        **spread("ssim", [ssim(a, b) for a, b in pairs]),
    }


def spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Return NAME_mean, NAME_min and NAME_max of values, None where there are none."""
    if not values:
        return {f"{name}_{part}": None for part in ("mean", "min", "max")}
    found: Mapping[str, float] = {"mean": math.fsum(values) / len(values), "min": min(values), "max": max(values)}
    return {f"{name}_{part}": value for part, value in found.items()}


def _blur(image: np.ndarray, result: np.ndarray) -> None:
    cv2.GaussianBlur(image, (_WINDOW, _WINDOW), _SIGMA, dst=result, borderType=cv2.BORDER_REFLECT_101)


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"luma pictures of one size are compared, not of {a.shape} and {b.shape}")
