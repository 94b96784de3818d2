"""What a model is shown of compositions: frames by `middle` sampling at its own size, rendered in the loader.

A clip is decoded once for all compositions that show it: a worker makes the pictures that they take of it, each at its
box's size on the model's canvas, and keeps them by content. Laying them out is then a matter of copying. Edges of
boxes are rounded to the model's pixels; `rendering.sampled_frames` gives what a file scaled down would show, to the
last bit, and decodes anew for each composition.
"""

import contextlib
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.store import Record, Store
from tasks.video.composition import Box, Canvas, Clip, Composition, Piece
from tasks.video.fitting import MATRIX, Fitter, interpolation
from tasks.video.reading import Counts, Reader
from tasks.video.sampling import middle

GLIMPSES = StoredFunction("video.glimpses", "1", __name__, libraries=("av", "numpy"))

Size = tuple[int, int]  # width, height in pixels
_LEVEL = 1  # of zlib: what is drawn is still for the most part


class Sight(NamedTuple):
    """What a model sees of a video: so many frames, each of so many pixels."""

    frames: int
    width_px: int
    height_px: int

    def numbers(self, composition: Composition) -> list[int]:
        """Return the frames of a composition that are sampled, its last again where it has too few."""
        return middle(composition.frames, self.frames)

    def box(self, box: Box, canvas: Canvas) -> Box:
        """Return where a box of a canvas lies on the model's: its edges rounded, one pixel or more of each side."""
        left, right = (round(x * self.width_px / canvas.width) for x in (box.x, box.x + box.width))
        top, bottom = (round(y * self.height_px / canvas.height) for y in (box.y, box.y + box.height))
        left, top = min(left, self.width_px - 1), min(top, self.height_px - 1)
        return Box(left, top, max(right - left, 1), max(bottom - top, 1))


class Want(NamedTuple):
    """Pictures of a clip that compositions take: for each size the ticks, rising, at `fps`."""

    clip: Clip
    fps: Fraction
    ticks: dict[Size, tuple[int, ...]]

    @property
    def params(self) -> dict[str, Any]:
        """What the pictures depend on beside the clip, as plain data."""
        sizes = {f"{width}x{height}": list(ticks) for (width, height), ticks in sorted(self.ticks.items())}
        return {"fps": [self.fps.numerator, self.fps.denominator], "ticks": sizes}

    @property
    def content(self) -> str:
        """Name the clip by what is in it, wherever its file lies."""
        clip = self.clip
        told = (clip.source_id, clip.start_pts, clip.end_pts, str(clip.time_base), clip.frames)
        return hashlib.sha256(canonical_json(list(told)).encode()).hexdigest()

    @property
    def key(self) -> str:
        """Where they are kept in the store."""
        return key_of(GLIMPSES.name, GLIMPSES.version, self.params, self.content)


def wanted(seen: Sequence[tuple[Composition, Sight]]) -> dict[str, Want]:
    """Return what all these compositions take of each clip, by clip_id and frame rate."""
    found: dict[str, tuple[Clip, Fraction, dict[Size, set[int]]]] = {}
    for composition, sight in seen:
        fps = composition.canvas.fps
        for _, piece, box, tick in _laid(composition, sight):
            _, _, sizes = found.setdefault(_name(piece.clip, fps), (piece.clip, fps, {}))
            sizes.setdefault((box.width, box.height), set()).add(tick)
    return {
        name: Want(clip, fps, {size: tuple(sorted(ticks)) for size, ticks in sorted(sizes.items())})
        for name, (clip, fps, sizes) in sorted(found.items())
    }


def _name(clip: Clip, fps: Fraction) -> str:
    return f"{clip.clip_id}@{fps}"


def _laid(composition: Composition, sight: Sight) -> Iterator[tuple[int, Piece, Box, int]]:
    """Yield (place in the sample, piece, box on the model's canvas, tick of its clip), those on top last."""
    boxes: dict[int, Box] = {}
    for place, frame in enumerate(sight.numbers(composition)):
        for number in composition.visible(frame):
            piece = composition.pieces[number]
            if number not in boxes:
                boxes[number] = sight.box(piece.box, composition.canvas)
            yield place, piece, boxes[number], piece.tick(frame, composition.canvas.fps)


# --- in a worker ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GlimpseJob:
    """What is wanted of one clip, whose file lies in the folder that its `root` names."""

    want: Want
    store_url: str


def keep_glimpses(job: GlimpseJob) -> int:
    """Make the pictures of a clip and keep them; return how many frames were decoded. Raises as `glimpses` does."""
    store, want, counts = Store(job.store_url), job.want, Counts()
    parts, place = [], 0
    segments = []
    for size, pictures in glimpses(want, counts).items():
        packed = zlib.compress(pictures.tobytes(), _LEVEL)
        segments.append({"size": list(size), "at": place, "bytes": len(packed)})
        parts.append(packed)
        place += len(packed)
    blob = store.put_blob(b"".join(parts))
    with store.writer() as writer:
        writer.put(GLIMPSES.name, GLIMPSES.version, want.params, want.content, {"segments": segments}, [blob])
    return counts.decoded_frames


def glimpses(want: Want, counts: Counts) -> dict[Size, np.ndarray]:
    """Return the pictures of a clip, decoded once: for each size uint8 (N, H, W, 3) RGB, in the order of its ticks.

    Raises Reject as `Reader` and `Fitter` do.
    """
    ticks = sorted({tick for of_size in want.ticks.values() for tick in of_size})
    found: dict[Size, list[np.ndarray]] = {size: [] for size in want.ticks}
    with contextlib.closing(Reader(want.clip, counts)) as reader:
        makers = {size: _Maker(size, want.fps, reader) for size in want.ticks}
        sets = {size: set(of_size) for size, of_size in want.ticks.items()}
        for tick, frame in zip(ticks, reader.frames(ticks, want.fps), strict=True):
            for size, maker in makers.items():
                if tick in sets[size]:
                    found[size].append(maker.picture(frame))
    return {size: np.stack(pictures) for size, pictures in found.items()}


class _Maker:
    """Makes frames fit a box of one size, in RGB."""

    def __init__(self, size: Size, fps: Fraction, reader: Reader):
        self._size = size
        even = size[0] + size[0] % 2, size[1] + size[1] % 2  # of the canvas; the box may be odd in 4:4:4
        self._canvas = Canvas(*even, fps, pixels="yuv444p")
        self._fitter = Fitter(*size, self._canvas, reader.aspect, reader.declared)
        self._reformatter = VideoReformatter()

    def picture(self, frame: Any) -> np.ndarray:
        image: np.ndarray = self._reformatter.reformat(
            self._fitter.fit(frame),
            format="rgb24",
            src_colorspace=MATRIX[self._canvas.matrix],
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=interpolation(1, 1),
            threads=1,
        ).to_ndarray()
        return image


# --- in the loader ----------------------------------------------------------------------------------------------


class Glimpses:
    """Pictures of clips as they are kept, unpacked when first asked for; at most `max_bytes` of them are held."""

    def __init__(self, store: Store, wants: Mapping[str, Want], max_bytes: int = 512_000_000):
        self._store, self._wants, self._free = store, wants, max_bytes
        self._records: dict[str, Record] = kept_glimpses(store, wants)
        self._held: OrderedDict[tuple[str, Size], np.ndarray] = OrderedDict()

    def video(self, composition: Composition, sight: Sight) -> np.ndarray:
        """Return the frames of a composition that a model sees: uint8 (T, H, W, 3), RGB, black where nothing lies.

        Raises KeyError for a clip of which nothing is kept.
        """
        shown = np.zeros((sight.frames, sight.height_px, sight.width_px, 3), np.uint8)
        for place, piece, box, tick in _laid(composition, sight):
            name, size = _name(piece.clip, composition.canvas.fps), (box.width, box.height)
            picture = self._pictures(name, size)[self._wants[name].ticks[size].index(tick)]
            shown[place, box.y : box.y + box.height, box.x : box.x + box.width] = picture
        return shown

    def _pictures(self, name: str, size: Size) -> np.ndarray:
        key = name, size
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        record = self._records[name]
        segment = next(one for one in record.value["segments"] if tuple(one["size"]) == size)
        with self._store.open_blob(record.blobs[0]) as file:
            file.seek(segment["at"])
            data = zlib.decompress(file.read(segment["bytes"]))
        pictures = np.frombuffer(data, np.uint8).reshape(-1, size[1], size[0], 3)
        self._held[key] = pictures
        self._free -= pictures.nbytes
        while self._free < 0 and len(self._held) > 1:
            self._free += self._held.popitem(last=False)[1].nbytes
        return pictures


def kept_glimpses(store: Store, wants: Mapping[str, Want]) -> dict[str, Record]:
    """Return what the store has of what is wanted, by name."""
    keys = {name: want.key for name, want in wants.items()}
    store.refresh(GLIMPSES.name)
    found = store.get_many(GLIMPSES.name, keys.values())
    held = {key for key, record in found.items() if all(store.has_blob(blob) for blob in record.blobs)}
    return {name: found[key] for name, key in keys.items() if key in held}


def located_want(want: Want, roots: Mapping[str, str]) -> Want:
    """Return what is wanted of a clip whose file can be opened; `roots` says where its folder lies."""
    return want._replace(clip=replace(want.clip, root=roots[want.clip.root]))
