"""A clip as pictures for a composition: its frames by a steady clock, each made to fit a box of the canvas.

Times are those shown in the file (pts), so a variable rate needs no special case. A picture is upright, without combs,
in square pixels and in the canvas's colours; what is transparent lies on black. HDR and wide colours are shown as
`tones` has them. A file that does not hold what its clip claims is rejected, never filled up.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from tasks.tables import Reject
from tasks.video.composition import Box, Canvas, Clip, fitted, look_ahead_s
from tasks.video.encoding import samples
from tasks.video.probe import open_video
from tasks.video.progressive import progressive
from tasks.video.views import Color, Scaler, View
from tasks.video.virtual import OtherFileError, read_take

MATRIX = {"bt709": int(Colorspace.ITU709), "bt601": int(Colorspace.ITU601)}
BLACK = (16, 128, 128)  # Y, Cb, Cr in limited range
_SMPTE_170M = 6  # in H.273 the matrix of BT.601 has two numbers, and swscale and views know the other, 5
_BY_SWSCALE = {  # matrices that swscale knows
    Colorspace.ITU709,
    Colorspace.FCC,
    Colorspace.ITU601,
    Colorspace.SMPTE240M,
}
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT


@dataclass
class Counts:
    """What making a composition took."""

    decoders: int = 0  # opened, each for a run through a clip
    decoded_frames: int = 0
    fitted_frames: int = 0
    composed_frames: int = 0
    encodes: int = 0


def interpolation(source_width: float, width: int) -> int:
    """Return how swscale scales a picture: by area to a smaller one, else bicubic; rounded, with whole chroma."""
    return int((Interpolation.BICUBIC if width > source_width else Interpolation.AREA) | _EXACT)


class Reader:
    """Reads a clip. Raises Reject as `open_video` does.

    And `frames_differ` where the file's time base is not the clip's, `alpha_not_decoded` for VP9 or VP8 with alpha.
    """

    def __init__(self, clip: Clip, counts: Counts):
        self.clip = clip
        self._counts = counts
        with open_video(clip.file) as (_, stream):
            codec = stream.codec_context
            self.aspect = stream.sample_aspect_ratio or Fraction(1)
            matrix = _one_number(codec.colorspace)
            self.declared = Color(matrix, codec.color_trc, codec.color_primaries, codec.color_range)
            self._fields_apart = codec.name == "hevc"
            if stream.time_base != clip.time_base:
                raise self._differs(f"its unit of time is {stream.time_base} s, the clip's {clip.time_base} s")
            if stream.metadata.get("alpha_mode", "0") != "0":
                detail = f"{clip.file}: FFmpeg's {codec.name} decoder leaves its alpha out: convert it to ProRes 4444"
                raise Reject("alpha_not_decoded", detail)

    def frames(self, ticks: Iterable[int], fps: Fraction) -> Iterator[av.VideoFrame]:
        """Yield the frame shown at each of `ticks`, which never fall: tick k is k / fps after the clip's beginning.

        The same object is yielded as long as a frame is shown. Raises Reject: `frames_differ` where the file shows no
        frame at the clip's beginning, or more or fewer than the clip claims; `corrupt_frames`, `field_pictures`.
        """
        self._counts.decoders += 1
        found = self._found()
        shown: av.VideoFrame | None = None
        after = next(found, None)
        for tick in ticks:
            due = self.clip.start_pts + math.floor((tick / fps + look_ahead_s(fps)) / self.clip.time_base)
            while after is not None and after[0] <= due:
                shown = after[1]
                after = next(found, None)
            assert shown is not None, "a clip's first frame is at its beginning"
            yield shown

    def _found(self) -> Iterator[tuple[int, av.VideoFrame]]:
        clip, count = self.clip, 0
        try:
            for pts, frame in progressive(read_take(clip.file, clip.start_pts, clip.end_pts), clip.time_base):
                if frame.is_corrupt:
                    raise Reject("corrupt_frames", f"{clip.file}: the decoder concealed damage at pts {pts}")
                if count == 0 and self._fields_apart and frame.interlaced_frame:
                    raise Reject("field_pictures", f"{clip.file}: each picture is a field: FFmpeg joins none")
                count += 1
                self._counts.decoded_frames += 1
                if frame.colorspace == _SMPTE_170M:
                    frame.colorspace = _one_number(_SMPTE_170M)
                yield pts, frame
        except OtherFileError as error:
            raise Reject("frames_differ", str(error)) from None
        if count != clip.frames:
            raise self._differs(f"{count} frames can be decoded, the clip claims {clip.frames}")

    def _differs(self, what: str) -> Reject:
        return Reject("frames_differ", f"{self.clip.file}, clip {self.clip.clip_id}: {what}: scan and cut it again")


def _one_number(matrix: int) -> int:
    return MATRIX["bt601"] if matrix == _SMPTE_170M else matrix


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
