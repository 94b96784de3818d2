"""How much the picture changes from each frame to the next: the score that cuts are found by.

On 48x27 RGB frames, the size that TransNetV2 takes: small enough to forgive motion, large enough that a hard cut
stands at least twice as high as the frames around it.
"""

from array import array
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)

THUMBNAIL = View("bgr24", size=(48, 27))


class ColorDifference:
    """Mean absolute difference of RGB values (0 to 255) between each frame and the one before it.

    The table: pts, i_frame, color_difference (null for the first frame).
    """

    name = "video.color_difference"
    version = "2"
    per_s = None

    def __init__(self, keep: Keep):
        self._keep = keep
        self._pts = array("q")
        self._i_frame = array("b")
        self._difference = array("f")

    @property
    def params(self) -> dict[str, Any]:
        return {}

    def see(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        self._i_frame.append(picture.i_frame)
        if picture.before is None:
            self._difference.append(0.0)
            return
        now = picture.image(THUMBNAIL)
        self._difference.append(cv2.norm(now, picture.before.image(THUMBNAIL), cv2.NORM_L1) / now.size)

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        rows = np.arange(len(self._pts))
        table = pa.table(
            {
                "pts": pa.array(np.asarray(self._pts)),
                "i_frame": pa.array(np.asarray(self._i_frame, dtype=bool)),
                "color_difference": pa.array(np.asarray(self._difference), mask=rows == 0),
            }
        )
        return {"frames": len(table)}, [self._keep(table)]
