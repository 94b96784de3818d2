"""The strip: small pictures of a video, four a second, kept with their times.

Whatever is asked of keyframes later is answered from here, without a decode.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.store import Store
from tasks.video.frames import Keep, Picture
from tasks.video.views import View

cv2.setNumThreads(1)

CHUNK_BYTES = 8 * 2**20  # of JPEG a blob; what a pass holds in memory before it is written
SCHEMA = pa.schema([pa.field("pts", pa.int64(), nullable=False), pa.field("jpeg", pa.binary(), nullable=False)])


class Strip:
    """Keeps sampled frames as JPEG, in chunks that are written as soon as they are full.

    The tables (one a chunk): pts, jpeg. The summary: frames, bytes, and first_pts of each chunk.
    """

    name = "video.strip"
    version = "4"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int, jpeg_quality: int):
        self._keep = keep
        self.per_s = per_s
        self._view = View("bgr24", short_side=short_side_px)
        self._quality = jpeg_quality
        self._pts: list[int] = []
        self._jpeg: list[bytes] = []
        self._size = 0
        self._blobs: list[str] = []
        self._first_pts: list[int] = []
        self._frames = self._bytes = 0

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side, "jpeg_quality": self._quality}

    def see(self, picture: Picture) -> None:
        image = picture.image(self._view)
        done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        assert done, "a decoded frame can always be written as JPEG"
        self._pts.append(picture.pts)
        self._jpeg.append(jpeg.tobytes())
        self._size += len(jpeg)
        if self._size >= CHUNK_BYTES:
            self._write()

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        self._write()
        return {"frames": self._frames, "bytes": self._bytes, "first_pts": self._first_pts}, self._blobs

    def _write(self) -> None:
        if not self._pts:
            return
        self._first_pts.append(self._pts[0])
        self._frames += len(self._pts)
        self._bytes += self._size
        self._blobs.append(self._keep(pa.table({"pts": self._pts, "jpeg": self._jpeg}, schema=SCHEMA)))
        self._pts, self._jpeg, self._size = [], [], 0


def strip_times(store: Store, blobs: Sequence[str]) -> np.ndarray:
    """Return the pts of all pictures of a strip, int64, growing. Raises StoreError where a chunk is gone."""
    chunks = []
    for name in blobs:
        chunks.append(store.read_table_blob(name, columns=["pts"]).column("pts").to_numpy())
    return np.concatenate(chunks) if chunks else np.empty(0, np.int64)


def strip_pictures(
    store: Store, blobs: Sequence[str], first_pts: Sequence[int], wanted: Sequence[int]
) -> dict[int, bytes]:
    """Return the JPEG bytes of the pictures with these pts; only the chunks that hold them are read."""
    found: dict[int, bytes] = {}
    chunk_of = np.searchsorted(first_pts, np.asarray(wanted), side="right") - 1
    for chunk in np.unique(chunk_of):
        table = store.read_table_blob(blobs[int(chunk)])
        here = pa.array([p for p, c in zip(wanted, chunk_of, strict=True) if c == chunk], pa.int64())
        rows = table.filter(pc.is_in(table.column("pts"), here))
        found.update(zip(rows.column("pts").to_pylist(), rows.column("jpeg").to_pylist(), strict=True))
    return found


def nearest(times: np.ndarray, wanted: Sequence[float], start: int, end: int) -> list[int]:
    """Return for each wanted pts the nearest of `times` in [start, end); of two as near, the earlier.

    Where none lies in the span, shorter than the strip's step, the nearest of all. `times` is not empty.
    """
    inside = times[np.searchsorted(times, start) : np.searchsorted(times, end)]
    inside = inside if len(inside) else times
    return [int(inside[np.argmin(np.abs(inside - centre))]) for centre in wanted]
