"""Compositions as pictures: one pass over their clips, in step, and one encode; no file in between, and no sound.

A clip that fills the canvas and is in its format goes through untouched. Memory holds the open decoders, one frame of
the canvas, and small pieces up to a limit, whatever the length.
"""

import contextlib
import hashlib
import itertools
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, VideoReformatter

from tasks.keys import StoredFunction
from tasks.video.composition import Canvas, Clip, Composition
from tasks.video.encoding import ColorTags, add_h264, mux, open_mp4, shape
from tasks.video.fitting import MATRIX, Fitter, blank, interpolation, paste
from tasks.video.reading import Counts, Reader

RENDER = StoredFunction("video.render", "1", __name__, libraries=("av", "numpy"))

_HELD_BYTES = 192_000_000  # of pieces smaller than the canvas that are made at once and held


@dataclass(frozen=True)
class Encoding:
    """How a composition is encoded: "h264" (MP4; crf 0 is lossless) or "ffv1" (Matroska; lossless, ignores the rest).

    H.264 is written in 4:2:0; FFV1 keeps the pixel format of the canvas.
    """

    codec: str = "h264"
    crf: float = 23
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        if self.codec not in ("h264", "ffv1"):
            raise ValueError(f"codec is 'h264' or 'ffv1', not {self.codec!r}")

    @property
    def suffix(self) -> str:
        """What the file's name ends in."""
        return ".mp4" if self.codec == "h264" else ".mkv"


@dataclass(frozen=True)
class Rendered:
    """What a file of a composition holds, and what it took."""

    frames: int
    bytes: int
    sha256: str
    counts: Counts


@dataclass
class _Kept:
    size: int
    worth: float  # what it costs to make again, a byte
    pictures: dict[int, av.VideoFrame]
    until: float  # a time that goes on as things go


class Shelf:
    """Small pieces made for one composition and kept for the next, up to so many bytes.

    A loader that draws many compositions from few clips (grids above all) decodes each clip once. Those go first that
    are long unused and cheap to make again (GreedyDual-Size, Cao and Irani 1997): a film's clip is decoded from an
    I-frame far before it. Holds for one process, as long as the files do not change.
    """

    def __init__(self, max_bytes: int):
        self.bytes = 0
        self._max_bytes = max_bytes
        self._kept: dict[Hashable, _Kept] = {}
        self._now = 0.0

    def get(self, key: Hashable) -> dict[int, av.VideoFrame] | None:
        """Return pictures by tick, None where there are none."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        kept.until = self._now + kept.worth
        self._kept[key] = kept  # behind those of equal worth that were not used since
        return kept.pictures

    def put(self, key: Hashable, size: int, pictures: dict[int, av.VideoFrame], cost: float) -> None:
        """Keep pictures of `size` bytes that took `cost` to make, in whatever unit."""
        if key in self._kept:
            self.bytes -= self._kept.pop(key).size
        worth = cost / max(size, 1)
        self._kept[key] = _Kept(size, worth, pictures, self._now + worth)
        self.bytes += size
        while self.bytes > self._max_bytes:
            first = min(self._kept, key=lambda one: self._kept[one].until)
            gone = self._kept.pop(first)
            self.bytes -= gone.size
            self._now = gone.until


class _Lane:
    """One run through a clip, or several where it falls back, for pieces in a box of one size that follow each other.

    `ticks` are those of the clip that will be taken, in order. With `held` all of them are made at the first.
    """

    def __init__(self, clip: Clip, size: tuple[int, int], canvas: Canvas, counts: Counts, shelf: Shelf | None):
        self.clip, self.size = clip, size
        self._canvas, self._counts, self._shelf = canvas, counts, shelf
        self.ticks: list[int] = []
        self.until = -1  # the last frame of the canvas on which it is seen
        self.held = False
        self._taken = 0
        self._pictures = self._made()

    @property
    def bytes(self) -> int:
        """How much its pictures take up when held."""
        share = 1.5 if self._canvas.pixels == "yuv420p" else 3
        return int(len(set(self.ticks)) * self.size[0] * self.size[1] * share)

    def take(self) -> av.VideoFrame:
        """Return the picture of the next tick. Its file is closed after the last."""
        picture = next(self._pictures)
        self._taken += 1
        if self._taken == len(self.ticks):
            self._pictures.close()
        return picture

    def close(self) -> None:
        self._pictures.close()

    def _made(self) -> Generator[av.VideoFrame]:
        ticks = tuple(sorted(set(self.ticks)))
        key = self.clip, self.size, self._canvas, ticks
        pictures = self._shelf.get(key) if self._shelf and self.held else None
        if pictures is None:
            with contextlib.closing(Reader(self.clip, self._counts)) as reader:
                fitter = Fitter(*self.size, self._canvas, reader.aspect, reader.declared)
                if not self.held:
                    for run in _rising(self.ticks):
                        yield from self._run(reader, fitter, run)
                    return
                before = self._counts.decoded_frames
                pictures = dict(zip(ticks, self._run(reader, fitter, ticks), strict=True))
            if self._shelf:
                pixels = (self._counts.decoded_frames - before) * self.clip.width * self.clip.height
                self._shelf.put(key, self.bytes, pictures, pixels)
        yield from (pictures[tick] for tick in self.ticks)

    def _run(self, reader: Reader, fitter: Fitter, ticks: Sequence[int]) -> Iterator[av.VideoFrame]:
        before: av.VideoFrame | None = None
        for frame in reader.frames(ticks, self._canvas.fps):
            if frame is not before:
                before, picture = frame, fitter.fit(frame)
                self._counts.fitted_frames += 1
            yield picture


def _rising(ticks: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield runs of ticks that do not fall: a clip that begins anew is read anew."""
    begun = 0
    for end in range(1, len(ticks) + 1):
        if end == len(ticks) or ticks[end] < ticks[end - 1]:
            yield ticks[begun:end]
            begun = end


def _lanes(
    composition: Composition, seen: Sequence[tuple[int, list[int]]], counts: Counts, shelf: Shelf | None
) -> list[_Lane]:
    """Return the lane of each piece; `seen` are frames of the canvas with the pieces seen on them."""
    canvas, pieces = composition.canvas, composition.pieces
    when: list[list[int]] = [[] for _ in pieces]
    for frame, numbers in seen:
        for number in numbers:
            when[number].append(frame)
    lanes: list[_Lane] = []
    of_piece: dict[int, _Lane] = {}
    for number in sorted(range(len(pieces)), key=lambda n: (when[n][:1], n)):
        piece, frames = pieces[number], when[number]
        if not frames:
            continue
        ticks = [piece.tick(frame, canvas.fps) for frame in frames]
        size = piece.box.width, piece.box.height
        lane = next(
            (
                one
                for one in lanes
                if (one.clip, one.size) == (piece.clip, size) and one.until < frames[0] and one.ticks[-1] <= ticks[0]
            ),
            None,
        )
        if lane is None:
            lane = _Lane(piece.clip, size, canvas, counts, shelf)
            lanes.append(lane)
        lane.ticks += ticks
        lane.until = frames[-1]
        of_piece[number] = lane
    free = _HELD_BYTES
    for lane in lanes:
        lane.held = lane.size != (canvas.width, canvas.height) and lane.bytes <= free
        free -= lane.bytes if lane.held else 0
    nothing = _Lane(pieces[0].clip, (0, 0), canvas, counts, shelf)  # of pieces that are never seen
    return [of_piece.get(number, nothing) for number in range(len(pieces))]


def composed_frames(
    composition: Composition,
    frames: Sequence[int] | None = None,
    counts: Counts | None = None,
    shelf: Shelf | None = None,
) -> Iterator[av.VideoFrame]:
    """Yield the frames of the canvas, or those of the rising numbers `frames`, in the canvas's pixel format.

    A frame is good until the next is asked for, and not to be written to. Raises Reject as `Reader` and `Fitter` do.
    """
    counts = counts or Counts()
    canvas, pieces = composition.canvas, composition.pieces
    numbers = range(composition.frames) if frames is None else frames
    if any(after <= before for before, after in itertools.pairwise([-1, *numbers, composition.frames])):
        raise ValueError(f"frames must rise from 0 to {composition.frames - 1}: {list(numbers)[:20]}")
    seen = [(number, composition.visible(number)) for number in numbers]
    lanes = _lanes(composition, seen, counts, shelf)
    ground: av.VideoFrame | None = None
    laid: list[int] = []
    try:
        for _, on_it in seen:
            pictures = [lanes[number].take() for number in on_it]
            counts.composed_frames += 1
            if len(on_it) == 1 and pieces[on_it[0]].box == canvas.whole:
                yield pictures[0]
                continue
            if ground is None or (laid != on_it and pieces[on_it[0]].box != canvas.whole):
                ground = blank(canvas.width, canvas.height, canvas.pixels)
            laid = on_it
            for number, picture in zip(on_it, pictures, strict=True):
                paste(ground, picture, pieces[number].box)
            yield ground
    finally:
        for lane in lanes:
            lane.close()


def render_file(composition: Composition, target: Path, encoding: Encoding, shelf: Shelf | None = None) -> Rendered:
    """Compose and encode in one pass, one thread, and say what the file holds. The same plan gives the same bytes.

    `shelf` keeps small pieces for the next one. Raises Reject as `composed_frames` does; then no file is left.
    """
    counts = Counts()
    try:
        _encode(composition, target, encoding, counts, shelf)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return Rendered(composition.frames, target.stat().st_size, digest, counts)


def _encode(composition: Composition, target: Path, encoding: Encoding, counts: Counts, shelf: Shelf | None) -> None:
    canvas = composition.canvas
    base = 1 / canvas.fps
    pixels = canvas.pixels if encoding.codec == "ffv1" else "yuv420p"
    subsampler = VideoReformatter()
    packets: list[Any] = []
    counts.encodes += 1
    with _open(target, encoding) as out:
        stream = _stream(out, canvas, encoding)
        shape(stream, (canvas.width, canvas.height), pixels, base, _tags(canvas))
        for number, frame in enumerate(composed_frames(composition, None, counts, shelf)):
            if frame.format.name != pixels:
                frame = subsampler.reformat(frame, format=pixels, interpolation=interpolation(1, 1), threads=1)
            frame.pts, frame.time_base, frame.pict_type = number, base, PictureType.NONE
            packets += stream.encode(frame)
        mux(out, stream, [*packets, *stream.encode(None)], composition.frames)


def _open(target: Path, encoding: Encoding) -> Any:
    if encoding.codec == "h264":
        return open_mp4(target)
    return av.open(str(target), "w", format="matroska", options={"fflags": "+bitexact"})


def _stream(out: Any, canvas: Canvas, encoding: Encoding) -> Any:
    if encoding.codec == "ffv1":
        return out.add_stream("ffv1", rate=canvas.fps, options={"level": "3", "g": "1", "threads": "1"})
    stream = add_h264(out, canvas.fps, crf=encoding.crf, preset=encoding.preset)
    stream.codec_context.options = {**stream.codec_context.options, "a53cc": "0"}  # no captions of the sources
    return stream


def _tags(canvas: Canvas) -> ColorTags:
    if canvas.matrix == "bt709":
        return ColorTags(MATRIX["bt709"], ColorPrimaries.BT709, ColorTrc.BT709, ColorRange.MPEG)
    return ColorTags(MATRIX["bt601"], ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M, ColorRange.MPEG)


def sampled_frames(
    composition: Composition,
    frames: Sequence[int],
    size: tuple[int, int],
    counts: Counts | None = None,
    shelf: Shelf | None = None,
) -> np.ndarray:
    """Return some frames of a composition at `size` (width, height) without encoding it: uint8 (N, H, W, 3), RGB.

    `frames` may come in any order, and more than once. Equal to the last bit to the frames of the lossless FFV1 file,
    scaled by `Small`. Raises Reject as `composed_frames` does.
    """
    order, small = sorted(set(frames)), Small(composition.canvas, size)
    pictures = np.stack([small.of(frame) for frame in composed_frames(composition, order, counts, shelf)])
    return pictures[np.searchsorted(order, frames)]


class Small:
    """Scales frames of a canvas to RGB of `size` (width, height), by their samples alone."""

    def __init__(self, canvas: Canvas, size: tuple[int, int]):
        self._canvas, self._size = canvas, size
        self._reformatter = VideoReformatter()
        self._plain = blank(canvas.width, canvas.height, canvas.pixels)

    def of(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as uint8 (H, W, 3)."""
        paste(self._plain, frame, self._canvas.whole)  # else swscale minds where H.264 says that chroma lies
        scaled = self._reformatter.reformat(
            self._plain,
            *self._size,
            "rgb24",
            src_colorspace=MATRIX[self._canvas.matrix],
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=interpolation(frame.width, self._size[0]),
            threads=1,
        )
        image: np.ndarray = scaled.to_ndarray()
        return image
