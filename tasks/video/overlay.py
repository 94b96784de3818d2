"""What stands still over a picture that moves: logos, watermarks, burnt-in captions.

Temporal variance against spatial gradient, as watermarks are found (Dekel et al., CVPR 2017): over a take the gradients
of moving content cancel and those of an overlay add up, also where it is half transparent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from tasks.store import Store
from tasks.video.frames import Keep, Picture
from tasks.video.strip import Chunks
from tasks.video.views import View

cv2.setNumThreads(1)

CHUNK_BYTES = 8 * 2**20  # of maps in a blob before compression
SCHEMA = pa.schema(
    [
        pa.field("pts", pa.int64(), nullable=False),
        pa.field("height", pa.int16(), nullable=False),
        pa.field("width", pa.int16(), nullable=False),
        pa.field("dx", pa.binary(), nullable=False),
        pa.field("dy", pa.binary(), nullable=False),
    ]
)
_STEP = 4  # grey levels a pixel, of the gradients that are kept


class EdgeMaps:
    """Keeps the signed edges of sampled frames at about 160x90: what stands still is told from them, take by take.

    The tables (one a chunk): pts, height, width, and `dx`, `dy`: int8 (height, width), gradients in steps of 4 grey
    levels a pixel, rounded towards zero. The summary is that of the strip.
    """

    name = "video.edge_maps"
    version = "1"

    def __init__(self, keep: Keep, *, per_s: float, short_side_px: int):
        self.per_s = per_s
        self._view = View("gray", short_side=short_side_px)
        self._chunks = Chunks(keep, SCHEMA, CHUNK_BYTES)

    @property
    def params(self) -> dict[str, Any]:
        return {"per_s": self.per_s, "short_side_px": self._view.short_side}

    def see(self, picture: Picture) -> None:
        dx, dy = edges(picture.image(self._view))
        self._chunks.add((picture.pts, *dx.shape, dx.tobytes(), dy.tobytes()), 2 * dx.size)

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        return self._chunks.finish()


def edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central differences (dx, dy) of a grey picture in steps of 4 grey levels a pixel, int8 (H, W)."""
    pair = (cv2.Sobel(image, cv2.CV_16S, *order, ksize=1) for order in ((1, 0), (0, 1)))
    dx, dy = ((np.sign(d) * (np.abs(d) // (2 * _STEP))).astype(np.int8) for d in pair)
    return dx, dy


def read_edge_maps(
    store: Store, blobs: Sequence[str], first_pts: Sequence[int], start: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (dx, dy) of the samples in [start, end), int8 (n, H, W); only the chunks that hold them are read."""
    first, last = np.searchsorted(first_pts, (start, end - 1), side="right")
    tables = [store.read_table_blob(name) for name in blobs[max(0, int(first) - 1) : int(last)]]
    if not tables:
        return np.empty((0, 0, 0), np.int8), np.empty((0, 0, 0), np.int8)
    table = pa.concat_tables(tables)
    pts = table.column("pts").to_numpy()
    table = table.filter(pa.array((pts >= start) & (pts < end)))
    shape = (len(table), *((table.column(name)[0].as_py() if len(table) else 0) for name in ("height", "width")))
    dx, dy = (np.frombuffer(b"".join(table.column(n).to_pylist()), np.int8).reshape(shape) for n in ("dx", "dy"))
    return dx, dy


@dataclass(frozen=True)
class OverlayScore:
    """What stands still over a take. `boxes` are (left, top, right, bottom) as shares of width and height."""

    area: float  # share of the picture
    still_share: float  # mean correlation of the edges from sample to sample: near 1 nothing can be said, and area is 0
    boxes: tuple[tuple[float, float, float, float], ...]


# `kept` is the energy of the mean gradient as a share of the mean energy: 1 for what stands still, 1/n for what moves
_MOST_SAMPLES = 240  # of a take that are looked at, evenly spread
_KEPT = 0.6  # from which a place counts as standing still for the question whether the rest moves
_RESTS = 0.12  # share of the picture that stands still from which the camera rests, and nothing can be said
_MOVES = 0.25  # correlation of the remaining edges with the sample before, below which the picture moves
_SAMPLES = 6  # that must move for anything to be said
_FLOOR = 0.25  # + 1/n: `kept` of an overlay's places
_EDGE = 5.0  # grey levels a pixel of the mean gradient there
_CORNER = 3.0  # the same in its weaker direction: a line alone may slide along itself unseen
_ABOVE = 0.3  # by which `kept` exceeds that around an overlay, where it is ...
_AROUND = 0.35  # ... at most so much: the middle of a zoom and a resting backdrop fade out, an overlay ends
_ENDS = 0.55  # correlation of the mean gradients of a take's first and last third in an overlay: a zoom's middle drifts
_LEAST = 30  # places of a part ...
_THIN = 4  # ... and pixels of its shorter side: less is a line of the backdrop
_PARTS = 3  # that an overlay may have ...
_MOST = 0.3  # ... and share of the picture
_JOINED = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 7))
_NEAR, _RING = np.ones((5, 5), np.uint8), np.ones((17, 17), np.uint8)


def take_overlay(dx: np.ndarray, dy: np.ndarray) -> OverlayScore:
    """Return what stands still over the rest of a take, from the edges of its samples, int8 (n, H, W) each.

    Only samples in which the rest of the picture moves can tell; with fewer than six nothing is found.
    """
    every = -(-len(dx) // _MOST_SAMPLES) or 1
    field = _STEP * np.stack([dx[::every], dy[::every]], axis=1).astype(np.float32)
    if len(field) < 2:
        return OverlayScore(0.0, 1.0, ())
    whole = np.ones(field.shape[2:], bool)
    nothing = OverlayScore(0.0, float(_correlation(field, whole).mean()), ())
    kept, strength = _kept(field)
    rests = (kept > _KEPT) & (strength > _EDGE)
    if rests.mean() > _RESTS:
        return nothing
    elsewhere = cv2.dilate(rests.astype(np.uint8), _NEAR) == 0
    moves = np.append(False, _correlation(field, elsewhere) < _MOVES)
    if moves.sum() < _SAMPLES:
        return nothing
    boxes = []
    area = 0
    for part, box in _parts(field[moves]):
        area += int(part.sum())
        boxes.append(box)
    if len(boxes) > _PARTS or area > _MOST * whole.size:
        return nothing
    return OverlayScore(area / whole.size, nothing.still_share, tuple(boxes))


def _parts(field: np.ndarray) -> list[tuple[np.ndarray, tuple[float, float, float, float]]]:
    """Return (mask, box) of each region that stands still while all around it moves, of gradients (n, 2, H, W)."""
    kept, strength = _kept(field)
    mean, energy = field.mean(axis=0), (field**2).sum(axis=1).mean(axis=0)
    places = (kept > _FLOOR + 1 / len(field)) & (strength > _EDGE) & (_weaker(mean) > _CORNER)
    room = cv2.copyMakeBorder(places.astype(np.uint8), 9, 9, 9, 9, cv2.BORDER_CONSTANT)
    joined = cv2.morphologyEx(room, cv2.MORPH_CLOSE, _JOINED)[9:-9, 9:-9]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    still = (mean**2).sum(axis=0)
    third = len(field) // 3
    begins, ends = field[:third].mean(axis=0), field[-third:].mean(axis=0)
    tall, wide = joined.shape
    found = []
    for number in range(1, count):
        part = labels == number
        core = part & places
        left, top, across, down = stats[number, :4].tolist()
        if core.sum() < _LEAST or min(across, down) < _THIN or _cosine(begins[:, core], ends[:, core]) < _ENDS:
            continue
        near = cv2.dilate(part.astype(np.uint8), _NEAR)
        ring = (cv2.dilate(near, _RING) > 0) & (near == 0)
        inside = still[core].sum() / energy[core].sum()
        around = still[ring].sum() / (energy[ring].sum() + ring.sum())  # a flat surrounding counts as moving
        if inside - around > _ABOVE and around < _AROUND:
            found.append((part, (left / wide, top / tall, (left + across) / wide, (top + down) / tall)))
    return found


def _kept(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for 3x3 pixels the share of the gradients' energy that their mean keeps, and the mean's length."""
    still = cv2.blur((field.mean(axis=0) ** 2).sum(axis=0), (3, 3))
    energy = cv2.blur((field**2).sum(axis=1).mean(axis=0), (3, 3))
    return still / (energy + 1), np.sqrt(still)


def _weaker(mean: np.ndarray) -> np.ndarray:
    """Return the mean gradient over 5x5 pixels in the direction in which it is weaker (structure tensor)."""
    dx, dy = mean
    xx, yy, xy = (cv2.blur(product, (5, 5)) for product in (dx * dx, dy * dy, dx * dy))
    half = (xx - yy) / 2
    return np.sqrt(np.maximum((xx + yy) / 2 - np.sqrt(half * half + xy * xy), 0))


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float((first * second).sum() / max(np.sqrt((first**2).sum() * (second**2).sum()), 1))


def _correlation(field: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return how the gradients at `where` correlate with those of the sample before, (n - 1,)."""
    here = field[:, :, where]
    energy = (here * here).sum(axis=(1, 2))
    shared = (here[1:] * here[:-1]).sum(axis=(1, 2))
    return shared / np.maximum(np.sqrt(energy[1:] * energy[:-1]), 1)
