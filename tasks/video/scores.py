"""What sampled frames say of a take: brightness, motion and a hash for near-duplicates.

Luma and motion are read as the sheet of Presto / LongTake-HD makes them exact (its steps 3 and 5).
"""

from array import array
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)  # the flow's result depends on how many threads share it


class Luma:
    """Mean grey level of a frame, 0 (black) to 255 (white). The table: pts, luma."""

    name = "video.luma"
    version = "3"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._pts = array("q")
        self._luma = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        self._luma.append(float(np.mean(picture.image(self._view))))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        table = pa.table({"pts": np.asarray(self._pts), "luma": np.asarray(self._luma)})
        return {"samples": len(table)}, [self._keep(table)]


class Motion:
    """Mean speed of the picture's points in pixels a second, as at 720p: mean |(u, v)| / dt * 720 / short side.

    (u, v) is dense DIS flow from the frame before, dt the time between the two. The table: pts, motion_px_s (null
    for a video's first frame).
    """

    name = "video.motion"
    version = "4"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._pts = array("q")
        self._motion = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        before = picture.before
        if before is None:
            self._motion.append(float("nan"))
            return
        now = picture.image(self._view)
        flow = self._flow.calc(before.image(self._view), now, None)  # type: ignore[call-overload]
        speed = mean_length(flow) / picture.seconds_since(before)
        self._motion.append(float(speed * 720 / min(now.shape)))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        motion = np.asarray(self._motion)
        table = pa.table({"pts": np.asarray(self._pts), "motion_px_s": pa.array(motion, mask=np.isnan(motion))})
        return {"samples": len(table)}, [self._keep(table)]


def mean_length(flow: np.ndarray) -> float:
    """Return the mean of |(u, v)| over a field of float32 (H, W, 2), the same to the last bit on every run.

    Not by cv2.magnitude: its last bits depend on where in memory the field lies.
    """
    u, v = flow[..., 0], flow[..., 1]
    return float(np.sqrt(u * u + v * v).mean(dtype=np.float64))


class DifferenceHash:
    """64 bits of a frame: is each of 9x8 grey blocks brighter than its right neighbour? Row by row, first bit highest.

    The table: pts, dhash (uint64).
    """

    name = "video.difference_hash"
    version = "3"
    _view = View("gray", size=(9, 8))

    def __init__(self, keep: Keep, *, per_s: float):
        self._keep = keep
        self.per_s = per_s
        self._pts = array("q")
        self._hash = array("Q")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s}

    def see(self, picture: Picture) -> None:
        image = picture.image(self._view)
        bits = np.packbits(image[:, :-1] > image[:, 1:])
        self._pts.append(picture.pts)
        self._hash.append(int.from_bytes(bits.tobytes(), "big"))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        table = pa.table({"pts": np.asarray(self._pts), "dhash": np.asarray(self._hash)})
        return {"samples": len(table)}, [self._keep(table)]
