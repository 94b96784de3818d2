"""Black bars: letterbox above and below, pillarbox at the sides."""

from array import array
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)

SIDES = ("bar_top", "bar_bottom", "bar_left", "bar_right")
_BLACK = 12.0  # mean grey level of a line up to which it belongs to a bar
_FLAT = 28  # grey level that no pixel of such a line exceeds: what a codec's ringing leaves of an edge
_LOW = 0.1  # quantile over a take: bars are there in every sample, dark places are not


class Letterbox:
    """How much of each side is black and flat, as shares of the height (top, bottom) and of the width (left, right).

    The line in which a bar ends counts by the part of it that is black. A picture that is all black is all bar. The
    table: pts, bar_top, bar_bottom, bar_left, bar_right.
    """

    name = "video.letterbox"
    version = "1"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._pts = array("q")
        self._bars = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        self._bars.extend(bars(picture.image(self._view)))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        shares = np.asarray(self._bars, np.float32).reshape(-1, len(SIDES))
        columns = {side: shares[:, number] for number, side in enumerate(SIDES)}
        table = pa.table({"pts": np.asarray(self._pts), **columns})
        return {"samples": len(table)}, [self._keep(table)]


def bars(image: np.ndarray) -> list[float]:
    """Return the shares of a grey picture that are bars: top, bottom (of its height), left, right (of its width)."""
    found: list[float] = []
    for axis in (1, 0):
        mean = cv2.reduce(image, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        if min(mean[0], mean[-1]) > _BLACK:  # most pictures: nothing more to look at
            found += [0.0, 0.0]
            continue
        black = (mean <= _BLACK) & (cv2.reduce(image, axis, cv2.REDUCE_MAX).ravel() <= _FLAT)
        if black.all():
            found += [1.0, 1.0]
        else:
            found += [_bar(mean, black), _bar(mean[::-1], black[::-1])]
    return found


def _bar(mean: np.ndarray, black: np.ndarray) -> float:
    """Return the share of lines that begin black, with the black part of the line in which the picture begins."""
    count = int(np.argmin(black))  # the first that is not
    if not count or count + 1 >= len(mean):
        return count / len(mean)
    level, first, second = (float(m) for m in (mean[:count].mean(), mean[count], mean[count + 1]))
    part = (second - first) / (second - level) if second > level else 0.0
    return (count + min(max(part, 0.0), 1.0)) / len(mean)


def take_letterbox(shares: np.ndarray) -> float:
    """Return the share of the picture's area that is bars throughout a take, from those of its samples, (n, 4).

    Bars are what is black in nine of ten samples at least, so that dark frames make none. 0 without samples.
    """
    if not len(shares):
        return 0.0
    top, bottom, left, right = (float(np.quantile(side, _LOW, method="lower")) for side in np.asarray(shares).T)
    return 1 - max(0.0, 1 - top - bottom) * max(0.0, 1 - left - right)
