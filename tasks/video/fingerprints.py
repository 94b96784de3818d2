"""What a take is recognised by: small pictures four times a second, and 64 signs of their lowest frequencies.

Made of the thumbnails alone. Near-duplicates are searched by the signs (after Haitsma and Kalker 2002: exact look-ups
of parts of a fingerprint, the bits of the query that are most in doubt tried both ways) and confirmed by the pictures.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pyarrow as pa

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.store import Record, Store
from tasks.video.thumbnails import read_thumbnails

cv2.setNumThreads(1)

NAME, VERSION = "video.fingerprints", "2"
STORED = StoredFunction(NAME, VERSION, __name__, libraries=("numpy", "opencv-python-headless"))

RATE = 4  # samples a second, each the mean of what is shown within REACH_S of it, weighted by a triangle
REACH_S = 0.25
HEIGHT, WIDTH = 18, 32
BAR = 24  # a row or column that is never brighter is a bar
LONGEST_BAR = 0.4  # of a side
LEAST_CONTRAST = 2.0  # standard deviation of luma, below which a picture tells nothing
LEAST_COLOR = 1.0  # root mean square of its lowest frequencies, below which a picture is grey
ASKED = 5  # samples of a take that are looked up, about: more of a long one, since ...
SPACING = (2, 8)  # ... they lie so many samples apart

Rect = tuple[float, float, float, float]  # left, right, top, bottom, as shares of the picture
FULL: Rect = (0.0, 1.0, 0.0, 1.0)
# What of a picture another may show: all of it, or less by up to a tenth on each side.
WINDOWS: tuple[Rect, ...] = (
    FULL,
    (0.05, 0.95, 0.05, 0.95),
    (0.01, 0.91, 0.01, 0.91),
    (0.09, 0.99, 0.01, 0.91),
    (0.01, 0.91, 0.09, 0.99),
    (0.09, 0.99, 0.09, 0.99),
    (0.07, 0.93, 0.0, 1.0),
    (0.0, 1.0, 0.07, 0.93),
    (0.1, 0.9, 0.1, 0.9),
)
REGIONS: tuple[Rect, ...] = (FULL, (0.18, 0.82, 0.18, 0.82))  # signs are of all of it, and of where no logo or text is


def _lowest(count: int) -> list[tuple[int, int]]:
    """Return the `count` lowest frequencies as (vertical, horizontal), the constant left out."""
    every = [(v, u) for v in range(8) for u in range(8) if u + v]
    return sorted(every, key=lambda at: (_frequency(*at), at))[:count]


def _frequency(v: int, u: int) -> float:
    return u + 1.3 * v


# The bits, from the lowest: 36 of luma, 16 of red less blue, 12 of red and blue less green.
_BITS = [(channel, v, u) for channel, count in enumerate((36, 16, 12)) for v, u in _lowest(count)]
_CHANNEL = np.array([channel for channel, _, _ in _BITS])
_SCALE = np.array([_frequency(v, u) for _, v, u in _BITS], np.float32)


def _mask(bits: Sequence[int]) -> np.uint64:
    return np.uint64(sum(1 << bit for bit in bits))


# The bits that are looked up together: of all channels, or of luma alone where a picture is grey.
TOKENS = (np.array([*range(18), *range(36, 47), *range(52, 59)]), np.arange(32))
MASKS = tuple(_mask(bits.tolist()) for bits in TOKENS)
_MIRROR = _mask([i for i, (_, _, u) in enumerate(_BITS) if u % 2])  # the signs that a mirrored picture has turned
_CHANNELS = tuple(_mask(np.flatnonzero(channel == _CHANNEL).tolist()) for channel in range(3))
# A band is what may be equal: 2 * region + 1 for grey. A flat picture has none and is left out.
BANDS = 2 * len(REGIONS)

PICTURES = pa.schema([pa.field("picture", pa.binary(HEIGHT * WIDTH), nullable=False)])
SIGNATURES = pa.schema(
    [
        pa.field("take", pa.int32(), nullable=False),
        pa.field("band", pa.uint8(), nullable=False),
        pa.field("signature", pa.uint64(), nullable=False),
        pa.field("beside", pa.uint64(), nullable=False),  # the signature of the other region
    ]
)
QUERIES = pa.schema(
    [
        *SIGNATURES,
        pa.field("window", pa.uint8(), nullable=False),
        pa.field("weak", pa.uint64(), nullable=False),  # the bits most in doubt, a byte for the number of each
    ]
)


# --- signatures -------------------------------------------------------------------------------------------------


def _cosines(size: int, low: float, high: float, count: int) -> np.ndarray:
    """Return cosines 0, 1, .. over [low, high) of an axis, averaged over each of its `size` pixels, (count, size)."""
    edges = np.arange(size + 1) / size
    left, right = np.maximum(edges[:-1], low), np.minimum(edges[1:], high)
    inside = right > left
    rows = [np.where(inside, right - left, 0.0) / (high - low)]
    for k in range(1, count):
        phase = np.pi * k / (high - low)
        rows.append(np.where(inside, np.sin(phase * (right - low)) - np.sin(phase * (left - low)), 0.0) / (np.pi * k))
    return np.stack(rows) * np.array([1.0] + [np.sqrt(2)] * (count - 1))[:, None]


@cache
def basis(window: Rect) -> np.ndarray:
    """Return what makes the 64 coefficients of a window of a picture: float32 (HEIGHT * WIDTH * 3, 64)."""
    across = _cosines(WIDTH, window[0], window[1], 8)
    down = _cosines(HEIGHT, window[2], window[3], 8)
    found = np.zeros((HEIGHT, WIDTH, 3, len(_BITS)), np.float32)
    for bit, (channel, v, u) in enumerate(_BITS):
        found[:, :, channel, bit] = np.outer(down[v], across[u])
    return found.reshape(-1, len(_BITS))


def within(region: Rect, window: Rect) -> Rect:
    """Return where a region of a picture lies that shows a window of another: as a part of that other."""
    left, right, top, bottom = window
    return (
        left + (right - left) * region[0],
        left + (right - left) * region[1],
        top + (bottom - top) * region[2],
        top + (bottom - top) * region[3],
    )


def signs_of(coefficients: np.ndarray, region: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return signatures, bands and weakest bits of a region of pictures, given its coefficients, float32 (N, 64).

    All are (N,): uint64, uint8, and uint64, of which each byte is the number of a bit.
    """
    scaled = coefficients * _SCALE
    strength = np.stack([np.sqrt(np.mean(scaled[:, channel == _CHANNEL] ** 2, axis=1)) for channel in range(3)], axis=1)
    scaled *= (strength >= (0.0, LEAST_COLOR, LEAST_COLOR))[:, _CHANNEL]
    grey = ~(strength[:, 1:] >= LEAST_COLOR).any(axis=1)
    weakness = np.abs(scaled) / np.maximum(strength, LEAST_COLOR)[:, _CHANNEL]
    weak = np.empty((len(scaled), 8), np.uint8)
    for kind, bits in enumerate(TOKENS):
        these = np.flatnonzero(grey == kind)
        order = np.argsort(weakness[these][:, bits], axis=1, kind="stable")
        weak[these] = bits[order[:, :8]]
    return (
        np.packbits(scaled > 0, axis=1, bitorder="little").view("<u8")[:, 0],
        np.asarray(2 * region + grey, np.uint8),
        weak.view("<u8")[:, 0],
    )


def mirrored(signature: np.ndarray) -> np.ndarray:
    """Return the signatures of mirrored pictures, uint64; a channel without colour stays without signs."""
    found = np.zeros_like(signature)
    for channel in _CHANNELS:
        part = signature & channel
        found |= np.where(part == 0, part, part ^ (_MIRROR & channel))
    return found


def queried(samples: int) -> np.ndarray:
    """Return which of a take's samples are looked up."""
    step = int(np.clip(samples // ASKED, *SPACING))
    return np.arange((samples - 1) % step // 2, samples, step)


# --- pictures ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """A take of a video, in frames; `edges_s`: when each is shown, and when the last one ends, from the first frame."""

    first: int
    edges_s: np.ndarray


def active_area(brightest: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, right, top, bottom of what lies within black bars, given each pixel's brightest value (h, w)."""
    top, bottom = _within(brightest.max(axis=1) > BAR)
    left, right = _within(brightest.max(axis=0) > BAR)
    return left, right, top, bottom


def _within(lit: np.ndarray) -> tuple[int, int]:
    bars = [_bar(lit), _bar(lit[::-1])]
    return (bars[0], len(lit) - bars[1]) if lit.any() else (0, len(lit))


def _bar(lit: np.ndarray) -> int:
    """Return the length of a bar; beside it lies a pixel that it may cover in part."""
    dark = int(np.argmax(lit))
    return min(dark + 1, int(LONGEST_BAR * len(lit))) if dark else 0


def sample_times(span: Span) -> np.ndarray:
    """Return the times of a take's samples, whole steps of a clock that starts with the video; none sees beyond it."""
    start, end = float(span.edges_s[0]) + REACH_S, float(span.edges_s[-1]) - REACH_S
    return np.arange(np.ceil(start * RATE - 1e-6), np.floor(end * RATE + 1e-6) + 1) / RATE


def pictures_of(frames: Callable[[int, int], np.ndarray], span: Span) -> tuple[np.ndarray, Rect]:
    """Return a take's samples, float32 (N, HEIGHT, WIDTH, 3): luma, r - b, r + b - 2g; and its area without bars.

    `frames(first, end)` are thumbnails in BGR.
    """
    count = len(span.edges_s) - 1
    blocks = range(0, count, 1024)
    brightest = np.stack(
        [frames(span.first + at, span.first + min(count, at + 1024)).max(axis=(0, 3)) for at in blocks]
    ).max(axis=0)
    left, right, top, bottom = active_area(brightest)
    times = sample_times(span)
    shown_s = np.diff(span.edges_s)
    middles = span.edges_s[:-1] + shown_s / 2
    found = np.empty((len(times), HEIGHT, WIDTH, 3), np.float32)
    for number, time in enumerate(times):
        first, end = np.searchsorted(middles, (time - REACH_S, time + REACH_S))
        weights = np.maximum(0, REACH_S - np.abs(middles[first:end] - time)) * shown_s[first:end]
        if not weights.sum() > 0:  # frames are shown for longer than a sample reaches
            first = int(np.searchsorted(span.edges_s, time, side="right")) - 1
            end, weights = first + 1, np.ones(1)
        shown = frames(span.first + first, span.first + end)[:, top:bottom, left:right]
        mean = np.tensordot((weights / weights.sum()).astype(np.float32), shown.astype(np.float32), 1)
        found[number] = _opponents(cv2.resize(mean, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    height, width = brightest.shape
    return found, (left / width, right / width, top / height, bottom / height)


def _opponents(bgr: np.ndarray) -> np.ndarray:
    blue, green, red = bgr[..., 0], bgr[..., 1], bgr[..., 2]
    return np.stack([0.299 * red + 0.587 * green + 0.114 * blue, red - blue, red + blue - 2 * green], axis=-1)


# --- of a video, kept in the store ------------------------------------------------------------------------------


@dataclass(frozen=True)
class FingerprintJob:
    """One video for a worker: its thumbnails, when each frame is shown, and its takes as [first, end) of them."""

    thumbnail_blobs: tuple[str, ...]
    edges_s: np.ndarray
    takes: tuple[tuple[int, int], ...]
    store_url: str

    @property
    def input_hash(self) -> str:
        """What the result depends on."""
        edges = hashlib.sha256(np.ascontiguousarray(self.edges_s, "<f8").tobytes()).hexdigest()
        return canonical_json([list(self.thumbnail_blobs), edges, [list(take) for take in self.takes]])


def stored_fingerprints(store: Store, jobs: Mapping[str, FingerprintJob]) -> dict[str, Record]:
    """Return what is stored of `jobs` by source_id."""
    keys = {source_id: key_of(NAME, VERSION, {}, job.input_hash) for source_id, job in jobs.items()}
    found = store.get_whole(NAME, keys.values())
    return {source_id: found[key] for source_id, key in keys.items() if key in found}


def make_fingerprints(job: FingerprintJob) -> int:
    """Make and keep the fingerprints of a video's takes; return the number of samples. Raises StoreError.

    The blobs: pictures of all samples, their signatures, and the queries. The value: of each take, how many samples,
    when the first is, and the area without bars.
    """
    store = Store(job.store_url)
    frames = _Frames(store, job.thumbnail_blobs)
    luma, signatures, queries, takes = [], [], [], []
    for number, (first, end) in enumerate(job.takes):
        span = Span(first, job.edges_s[first : end + 1])
        pictures, area = pictures_of(frames, span)
        times = sample_times(span)
        takes.append([len(times), float(times[0]) if len(times) else 0.0, [round(side, 6) for side in area]])
        luma.append(levels(pictures))
        signatures.append(signature_table(number, pictures))
        queries.append(query_table(number, pictures))
    samples = np.concatenate([np.empty((0, HEIGHT, WIDTH), np.uint8), *luma])
    data = [None, pa.py_buffer(samples.tobytes())]
    column = pa.FixedSizeBinaryArray.from_buffers(PICTURES.field("picture").type, len(samples), data)
    tables = (
        pa.table({"picture": column}, schema=PICTURES),
        pa.concat_tables([SIGNATURES.empty_table(), *signatures]).combine_chunks(),
        pa.concat_tables([QUERIES.empty_table(), *queries]).combine_chunks(),
    )
    with store.writer() as writer:
        writer.put(NAME, VERSION, {}, job.input_hash, {"takes": takes}, [store.table_blob(table) for table in tables])
    return len(samples)


def levels(pictures: np.ndarray) -> np.ndarray:
    """Return luma in whole grey levels, uint8 (N, HEIGHT, WIDTH)."""
    return np.clip(np.rint(pictures[..., 0]), 0, 255).astype(np.uint8)


def signature_table(take: int, pictures: np.ndarray) -> pa.Table:
    """Return what a take is found by: each signature of its pictures once for as long as it stays."""
    return _table(take, pictures, 0).select(SIGNATURES.names)


def query_table(take: int, pictures: np.ndarray) -> pa.Table:
    """Return what a take is looked up by: the signatures of some of its pictures, within each of WINDOWS."""
    asked = pictures[queried(len(pictures))]
    return pa.concat_tables([_table(take, asked, window) for window in range(len(WINDOWS))])


def _table(take: int, pictures: np.ndarray, window: int) -> pa.Table:
    """Return what `rows_of` makes of a take's pictures, float32 (N, HEIGHT, WIDTH, 3); flat ones are left out."""
    pictures = pictures[pictures[..., 0].std(axis=(1, 2)) >= LEAST_CONTRAST].reshape(-1, HEIGHT * WIDTH * 3)
    coefficients = [pictures @ basis(within(region, WINDOWS[window])) for region in REGIONS]
    return rows_of(np.full(len(pictures), take, np.int32), coefficients, window)


def rows_of(take: np.ndarray, coefficients: Sequence[np.ndarray], window: int) -> pa.Table:
    """Return a row of QUERIES for each signature of a window of pictures, once for as long as it stays.

    `take` is int32 (N,), of each picture; `coefficients` are of each region, float32 (N, 64).
    """
    found = [signs_of(of_region, region) for region, of_region in enumerate(coefficients)]
    parts = []
    for (signature, band, weak), (beside, _, _) in zip(found, reversed(found), strict=True):
        new = np.ones(len(take), bool)
        new[1:] = (signature[1:] != signature[:-1]) | (take[1:] != take[:-1])
        columns = (take, band, signature, beside, np.full(len(take), window, np.uint8), weak)
        parts.append([column[new] for column in columns])
    return pa.table([np.concatenate(column) for column in zip(*parts, strict=True)], schema=QUERIES)


class _Frames:
    """The thumbnails of a video by number, of which it holds two chunks at a time."""

    def __init__(self, store: Store, blobs: Sequence[str]) -> None:
        self._store, self._blobs = store, blobs
        self._held: dict[int, np.ndarray] = {}
        self._size = 0

    def __call__(self, first: int, end: int) -> np.ndarray:
        if not self._size:
            self._size = len(self._chunk(0))
        parts = []
        for number in range(first // self._size, (end - 1) // self._size + 1):
            at = number * self._size
            parts.append(self._chunk(number)[max(0, first - at) : end - at])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _chunk(self, number: int) -> np.ndarray:
        if number not in self._held:
            while len(self._held) >= 2:
                del self._held[min(self._held)]
            self._held[number] = read_thumbnails(self._store, [self._blobs[number]])
        return self._held[number]


def read_pictures(store: Store, record: Record) -> list[np.ndarray]:
    """Return the luma of each take's samples, uint8 (N, HEIGHT, WIDTH)."""
    column = store.read_table_blob(record.blobs[0]).column("picture").combine_chunks()
    data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * HEIGHT * WIDTH :]
    samples = data[: len(column) * HEIGHT * WIDTH].reshape(-1, HEIGHT, WIDTH)
    return np.split(samples, np.cumsum([count for count, _, _ in record.value["takes"]]))[:-1]
