"""Frames made to fit a box of a canvas: upright, in square pixels, in the canvas's colours, never stretched.

What is transparent lies on black. HDR and wide colours are shown as `tones` has them.
"""

import contextlib
import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from tasks.tables import Reject
from tasks.video.composition import Box, Canvas, Clip, fitted
from tasks.video.encoding import samples
from tasks.video.reading import Counts, Reader
from tasks.video.views import Color, Scaler, View

MATRIX = {"bt709": int(Colorspace.ITU709), "bt601": int(Colorspace.ITU601)}
BLACK = (16, 128, 128)  # Y, Cb, Cr in limited range
_BY_SWSCALE = {  # matrices that swscale knows
    Colorspace.ITU709,
    Colorspace.FCC,
    Colorspace.ITU601,
    Colorspace.SMPTE240M,
}
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT


def interpolation(source_width: float, width: int) -> int:
    """Return how swscale scales a picture: by area to a smaller one, else bicubic; rounded, with whole chroma."""
    return int((Interpolation.BICUBIC if width > source_width else Interpolation.AREA) | _EXACT)


@dataclass(frozen=True)
class _Way:
    """How frames of one kind become pictures of size (width, height), as shown, at (x, y) in their box."""

    place: Box
    turns: int = 0
    mirrored: bool = False
    untouched: bool = False
    alpha: bool = False
    by_views: bool = False  # greys, wide colours and matrices that swscale has not
    matrix: int | None = None  # None: RGB
    limited: bool = False


def natural_matrix(clip: Clip) -> str:
    """Return the matrix of the canvas on which a clip's colours stay as they are: "bt709" where neither is its own.

    Raises Reject as `Reader` and views.Scaler do.
    """
    with contextlib.closing(Reader(clip, Counts())) as reader:
        first = next(reader.frames([0], Fraction(1)))
        own = Scaler(reader.aspect, reader.declared).planes(first).matrix
    return "bt601" if own == MATRIX["bt601"] else "bt709"


class Fitter:
    """Makes a stream's frames fit a box of `width` x `height` on a canvas.

    Raises Reject `odd_rotation` and `unknown_color` as views.Scaler does.
    """

    def __init__(self, width: int, height: int, canvas: Canvas, aspect: Fraction, declared: Color):
        self._box = Box(0, 0, width, height)
        self._canvas = canvas
        self._scaler = Scaler(aspect, declared)
        self._reformatter = VideoReformatter()
        self._ways: dict[tuple[Any, ...], _Way] = {}

    def fit(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the box's picture in the canvas's pixel format: the very frame where nothing is to be done."""
        kind = (
            *(frame.format.name, frame.width, frame.height, frame.rotation),
            *(frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries),
        )
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = self._way(frame)
        if way.untouched:
            return frame
        picture = self._shown(frame, way) if way.by_views else self._scaled(frame, way)
        turned = (way.turns or way.mirrored) and not way.by_views
        if not turned and way.place == self._box:
            return picture
        whole = blank(self._box.width, self._box.height, self._canvas.pixels)
        if not turned:
            paste(whole, picture, way.place)
            return whole
        upright = blank(way.place.width, way.place.height, self._canvas.pixels)
        for lying, plane in zip(picture.planes, upright.planes, strict=True):
            image = samples(lying)
            samples(plane)[...] = np.rot90(image[:, ::-1] if way.mirrored else image, way.turns)
        if way.place == self._box:
            return upright
        paste(whole, upright, way.place)
        return whole

    def _way(self, frame: av.VideoFrame) -> _Way:
        canvas, pixels = self._canvas, frame.format
        planes = self._scaler.planes(frame)
        turns, mirrored = self._scaler.turns(frame)
        place = fitted(*self._scaler.display_size(frame), self._box, canvas.unit)
        way = _Way(place, turns, mirrored, limited=planes.limited)
        if pixels.has_palette or any(component.is_alpha for component in pixels.components):
            if planes.wide:
                raise Reject("unknown_color", "transparent HDR or BT.2020: what it is to be laid on is not known")
            return dataclasses.replace(way, alpha=True, matrix=None if self._is_rgb(frame) else planes.matrix)
        if self._is_rgb(frame):
            return way
        if planes.wide or planes.matrix not in _BY_SWSCALE or pixels.name.startswith(("gray", "mono")):
            return dataclasses.replace(way, by_views=True)
        same = pixels.name == canvas.pixels and planes.limited and planes.matrix == MATRIX[canvas.matrix]
        size = (frame.width, frame.height) == self._box[2:]
        untouched = same and size and place == self._box and not turns and not mirrored
        return dataclasses.replace(way, matrix=planes.matrix, untouched=untouched)

    def _is_rgb(self, frame: av.VideoFrame) -> bool:
        return bool(frame.format.is_rgb or frame.format.has_palette)

    def _scaled(self, frame: av.VideoFrame, way: _Way) -> av.VideoFrame:
        """Return the frame as it lies in the file, at its size on the canvas, in the canvas's colours."""
        matrix, limited = way.matrix, way.limited
        if way.alpha:
            frame, matrix, limited = self._on_black(frame, way), None, False
        width, height = way.place[2:] if way.turns % 2 == 0 else way.place[3:1:-1]
        picture: av.VideoFrame = self._reformatter.reformat(
            frame,
            width,
            height,
            self._canvas.pixels,
            src_colorspace=matrix,
            src_color_range=ColorRange.MPEG if limited else ColorRange.JPEG,
            dst_colorspace=MATRIX[self._canvas.matrix],
            dst_color_range=ColorRange.MPEG,
            interpolation=interpolation(frame.width, width),
            threads=1,
        )
        return picture

    def _on_black(self, frame: av.VideoFrame, way: _Way) -> av.VideoFrame:
        """Return a transparent frame as RGB on black."""
        source_range = ColorRange.MPEG if way.limited else ColorRange.JPEG
        rgba = self._reformatter.reformat(
            frame,
            format="rgba",
            src_colorspace=way.matrix,
            src_color_range=source_range,
            dst_color_range=ColorRange.JPEG,
            interpolation=interpolation(frame.width, frame.width),
            threads=1,
        ).to_ndarray()
        shown = (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127) // 255
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(shown.astype(np.uint8)), "rgb24")

    def _shown(self, frame: av.VideoFrame, way: _Way) -> av.VideoFrame:
        """Return the frame upright at its size on the canvas, by way of the picture that consumers of a pass see."""
        view = View("bgr24", size=(way.place.width, way.place.height))
        image = self._scaler.image(frame, self._scaler.planes(frame), view)
        picture: av.VideoFrame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, "bgr24"),
            format=self._canvas.pixels,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=MATRIX[self._canvas.matrix],
            dst_color_range=ColorRange.MPEG,
            interpolation=interpolation(1, 1),
            threads=1,
        )
        return picture


def blank(width: int, height: int, pixels: str) -> av.VideoFrame:
    """Return a black frame."""
    frame = av.VideoFrame(width, height, pixels)
    for plane, level in zip(frame.planes, BLACK, strict=True):
        np.frombuffer(memoryview(plane), np.uint8)[...] = level  # what pads its lines too
    return frame


def paste(onto: av.VideoFrame, picture: av.VideoFrame, box: Box) -> None:
    """Copy a picture of a box's size to its place on a frame of the same pixel format."""
    for number, (target, source) in enumerate(zip(onto.planes, picture.planes, strict=True)):
        step_x = onto.width // target.width if number else 1
        step_y = onto.height // target.height if number else 1
        x, y = box.x // step_x, box.y // step_y
        samples(target)[y : y + source.height, x : x + source.width] = samples(source)
