"""Every frame at 48x27: how much it differs from the one before, and the small pictures themselves.

The size is that of TransNetV2 (Soucek and Lokoc 2020): small enough to forgive motion, and 3.9 kB a frame, so that
whatever is asked of the boundaries between shots is answered without another decode.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.store import Store
from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)

HEIGHT, WIDTH = 27, 48
THUMBNAIL = View("bgr24", size=(WIDTH, HEIGHT))
FRAME_BYTES = HEIGHT * WIDTH * 3
CHUNK_FRAMES = 2000  # in one blob, 7.8 MB before compression: what a pass holds in memory before it is written
SCHEMA = pa.schema([pa.field("bgr", pa.binary(FRAME_BYTES), nullable=False)])


class ColorDifference:
    """Mean absolute difference of RGB values (0 to 255) between each frame and the one before it.

    The table: pts, i_frame, color_difference (null for the first frame).
    """

    name = "video.color_difference"
    version = "4"
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


class Thumbnails:
    """Keeps every frame, in the order of time, in chunks that are written as soon as they are full.

    The tables (one a chunk): bgr, the bytes of uint8 (27, 48, 3).
    """

    name = "video.thumbnails"
    version = "3"
    per_s = None

    def __init__(self, keep: Keep):
        self._keep = keep
        self._held = bytearray()
        self._frames = 0
        self._blobs: list[str] = []

    @property
    def params(self) -> dict[str, Any]:
        return {}

    def see(self, picture: Picture) -> None:
        self._held += picture.image(THUMBNAIL).data
        self._frames += 1
        if len(self._held) == CHUNK_FRAMES * FRAME_BYTES:
            self._write()

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        self._write()
        return {"frames": self._frames}, self._blobs

    def _write(self) -> None:
        if not self._held:
            return
        data = pa.py_buffer(bytes(self._held))
        count = len(self._held) // FRAME_BYTES
        pictures = pa.FixedSizeBinaryArray.from_buffers(pa.binary(FRAME_BYTES), count, [None, data])
        self._blobs.append(self._keep(pa.table({"bgr": pictures}, schema=SCHEMA)))
        self._held = bytearray()


def read_thumbnails(store: Store, blobs: Sequence[str]) -> np.ndarray:
    """Return all frames of a video, uint8 (frames, 27, 48, 3) in BGR. Raises StoreError where a chunk is gone."""
    chunks = [_pixels(store.read_table_blob(name).column("bgr").combine_chunks()) for name in blobs]
    return np.concatenate(chunks) if chunks else np.empty((0, HEIGHT, WIDTH, 3), np.uint8)


def _pixels(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * FRAME_BYTES :]
    return data[: len(column) * FRAME_BYTES].reshape(-1, HEIGHT, WIDTH, 3)
