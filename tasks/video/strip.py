"""The strip: small pictures of a video, two a second, kept with their times; and grey ones of full size, for text.

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


class Chunks:
    """Rows with a time, put away as tables of `schema` as soon as `chunk_bytes` are held."""

    def __init__(self, keep: Keep, schema: pa.Schema, chunk_bytes: int):
        self._keep = keep
        self._schema = schema
        self._chunk_bytes = chunk_bytes
        self._rows: list[tuple[Any, ...]] = []
        self._held = 0
        self._blobs: list[str] = []
        self._first_pts: list[int] = []
        self._frames = self._bytes = 0

    def add(self, row: tuple[Any, ...], size: int) -> None:
        """Hold a row, whose first value is its pts, of `size` bytes."""
        self._rows.append(row)
        self._held += size
        if self._held >= self._chunk_bytes:
            self._write()

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        """Return the summary (frames, bytes, first_pts of each chunk) and the chunks' names."""
        self._write()
        return {"frames": self._frames, "bytes": self._bytes, "first_pts": self._first_pts}, self._blobs

    def _write(self) -> None:
        if not self._rows:
            return
        self._first_pts.append(self._rows[0][0])
        self._frames += len(self._rows)
        self._bytes += self._held
        columns = [pa.array(v, kind) for v, kind in zip(zip(*self._rows, strict=True), self._schema.types, strict=True)]
        self._blobs.append(self._keep(pa.table(columns, schema=self._schema)))
        self._rows, self._held = [], 0


class Strip:
    """Keeps sampled frames, small and in colour, as JPEG, in chunks that are written as soon as they are full.

    The tables (one a chunk): pts, jpeg. The summary: frames, bytes, and first_pts of each chunk.
    """

    name = "video.strip"
    version = "5"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int, jpeg_quality: int):
        self.per_s = per_s
        self._view = View("bgr24", short_side=short_side_px)
        self._quality = jpeg_quality
        self._chunks = Chunks(keep, SCHEMA, CHUNK_BYTES)

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side, "jpeg_quality": self._quality}

    def see(self, picture: Picture) -> None:
        jpeg = _jpeg(picture.image(self._view), self._quality)
        self._chunks.add((picture.pts, jpeg), len(jpeg))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        return self._chunks.finish()


class LumaPictures:
    """Keeps sampled frames, grey and of full size, for what small pictures have lost: text.

    The tables and the summary are those of the strip, and are read as it is.
    """

    name = "video.luma_pictures"
    version = "1"
    _view = View("gray")

    def __init__(self, keep: Keep, *, per_s: float, jpeg_quality: int):
        self.per_s = per_s
        self._quality = jpeg_quality
        self._chunks = Chunks(keep, SCHEMA, CHUNK_BYTES)

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "jpeg_quality": self._quality}

    def see(self, picture: Picture) -> None:
        jpeg = _jpeg(picture.image(self._view), self._quality)
        self._chunks.add((picture.pts, jpeg), len(jpeg))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        return self._chunks.finish()


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "a decoded frame can always be written as JPEG"
    return jpeg.tobytes()


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


def picture_of(jpeg: bytes, how: int) -> np.ndarray:
    """Return a picture of the strip as OpenCV reads it by `how`: (H, W, 3) BGR or (H, W), uint8."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how)
    assert image is not None, "what the scan wrote as JPEG can be read"
    return image


def nearest(times: np.ndarray, wanted: Sequence[float], start: int, end: int) -> list[int]:
    """Return for each wanted pts the nearest of `times` in [start, end); of two as near, the earlier.

    Where none lies in the span, shorter than the strip's step, the nearest of all. `times` is not empty.
    """
    inside = times[np.searchsorted(times, start) : np.searchsorted(times, end)]
    inside = inside if len(inside) else times
    return [int(inside[np.argmin(np.abs(inside - centre))]) for centre in wanted]


def gone(name: str, why: object) -> str:
    """Return what to tell where the pictures of the video `name` are not in the store."""
    return (
        f"the pictures of {name} are not in the store ({why}): this clone has the scan's tables only; "
        f"make them with 'dvc repro --force --single-item scan_video'"
    )
