"""What sampled frames say of a take: how bright it is, and how camera and things in it move.

Luma and motion are read as the sheet of Presto / LongTake-HD makes them exact (its steps 3 and 5).
"""

from array import array
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.video.camera import CELLS, camera_motion, coarse_field
from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)  # the flow's result depends on how many threads share it

MOTION = ("motion_px_s", "camera_px_s", "object_px_s", "pan_x_px_s", "pan_y_px_s", "zoom_per_s", "roll_deg_s")
_BATCH = 512  # fields that are fitted together: what a pass holds in memory
_DARK, _BRIGHT = 8, 247  # grey levels up to which a pixel is crushed, from which it is blown out


class Exposure:
    """Mean grey level of a frame, 0 (black) to 255 (white), and the shares of its pixels that are crushed or blown out.

    The table: pts, luma, dark_share (grey <= 8), bright_share (grey >= 247).
    """

    name = "video.exposure"
    version = "1"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._pts = array("q")
        self._shares = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        image = picture.image(self._view)
        counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
        self._pts.append(picture.pts)
        self._shares.append(float(counts @ _LEVELS / image.size))
        self._shares.append(float(counts[: _DARK + 1].sum() / image.size))
        self._shares.append(float(counts[_BRIGHT:].sum() / image.size))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        shares = np.asarray(self._shares).reshape(-1, 3)
        names = ("luma", "dark_share", "bright_share")
        table = pa.table({"pts": np.asarray(self._pts), **{n: shares[:, i] for i, n in enumerate(names)}})
        return {"samples": len(table)}, [self._keep(table)]


_LEVELS = np.arange(256, dtype=np.float64)


class Motion:
    """How fast the picture's points move, and how much of that is the camera's; pixels a second as at 720p.

    (u, v) is dense DIS flow from the frame before; speeds are |(u, v)| / dt * 720 / short side. `motion_px_s` is the
    mean over the picture. A robust fit splits it: `camera_px_s` is the mean speed of the global part (pan, zoom and
    roll), `object_px_s` that of the rest where there is structure to be seen moving. `pan_x_px_s`, `pan_y_px_s` are the
    global part at the centre (positive: what is seen moves right, down), `zoom_per_s` its growth (0.1: larger by a
    tenth each second), `roll_deg_s` its turn (positive: clockwise). The table: pts, and these (null for a video's
    first frame).
    """

    name = "video.motion"
    version = "5"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._pts = array("q")
        self._scales = array("d")  # of each field: 720p pixels a pixel, 1 / dt, mean length, pixels a cell
        self._fields: list[np.ndarray] = []
        self._found: list[np.ndarray] = []

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        before = picture.before
        if before is None:
            return
        now = picture.image(self._view)
        flow = self._flow.calc(before.image(self._view), now, None)  # type: ignore[call-overload]
        side = min(now.shape)
        self._scales.extend((720 / side, 1 / picture.seconds_since(before), mean_length(flow), side / CELLS))
        self._fields.append(coarse_field(flow, now))
        if len(self._fields) == _BATCH:
            self._fit()

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        self._fit()
        found = np.concatenate(self._found) if self._found else np.empty((0, len(MOTION)))
        rows = np.full((len(self._pts), len(MOTION)), np.nan, np.float32)
        rows[len(rows) - len(found) :] = found
        columns = {name: pa.array(rows[:, i], mask=np.isnan(rows[:, i])) for i, name in enumerate(MOTION)}
        return {"samples": len(rows)}, [self._keep(pa.table({"pts": np.asarray(self._pts), **columns}))]

    def _fit(self) -> None:
        if not self._fields:
            return
        pixel, per_s, length, cell = np.asarray(self._scales).reshape(-1, 4).T
        found = camera_motion(np.stack(self._fields))
        speeds = [length, found["camera"], found["things"], found["pan_x"], found["pan_y"]]
        turns = [found["zoom"] / cell, np.degrees(found["roll"]) / cell]
        self._found.append(np.stack([*(s * pixel * per_s for s in speeds), *(t * per_s for t in turns)], axis=1))
        self._fields, self._scales = [], array("d")


def mean_length(flow: np.ndarray) -> float:
    """Return the mean of |(u, v)| over a field of float32 (H, W, 2), the same to the last bit on every run.

    Not by cv2.magnitude: its last bits depend on where in memory the field lies.
    """
    u, v = flow[..., 0], flow[..., 1]
    return float(np.sqrt(u * u + v * v).mean(dtype=np.float64))
