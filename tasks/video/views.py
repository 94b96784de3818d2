"""How a decoded frame is shown to those who look at it: small, upright, grey or in colour.

What is asked of a video needs small pictures, and making them costs more than looking at them. So the 8-bit YUV that
nearly all video is coded in is halved by exact means of 2x2, each plane once for all views; swscale turns anything
else into that first.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

cv2.setNumThreads(1)

_SMALL = 9_000  # pixels: averaging so few by area costs less than 0.01 ms

_MATRICES = {  # Kr and Kb of each matrix that YUV is made with (ITU-T H.273, table 4)
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.ITU624: (0.299, 0.114),
    Colorspace.SMPTE170M: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
}


@dataclass(frozen=True)
class View:
    """How a consumer sees a frame: `format` is "gray" or "bgr24", upright, scaled by averaging.

    Either `size` (width, height) in pixels, whatever the aspect, or `short_side` in pixels with the displayed aspect,
    or `halved_to`: halved as long as the shorter side keeps that many pixels; or full size.
    """

    format: str
    size: tuple[int, int] | None = None
    short_side: int | None = None
    halved_to: int | None = None

    def fit(self, width: float, height: float) -> tuple[int, int]:
        """Return (width, height) of this view of a picture that is displayed at `width` x `height`."""
        if self.size:
            return self.size
        if not self.short_side:
            wide, tall = round(width), round(height)
            while self.halved_to and min(wide, tall) // 2 >= self.halved_to:
                wide, tall = wide // 2, tall // 2
            return wide, tall
        scale = self.short_side / min(width, height)
        even = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
        return even[0], even[1]


class Planes:
    """The three planes of an 8-bit YUV frame, and their halves, each made once when first asked for."""

    def __init__(self, frame: av.VideoFrame, matrix: int, limited: bool):
        self.matrix = matrix  # as ITU-T H.273 numbers them
        self.limited = limited  # black is 16 and white 235, as in most video
        self._levels = [[_plane(frame, number)] for number in range(3)]

    def shrunk(self, plane: int, width: int, height: int) -> np.ndarray:
        """Return a plane (0: luma) at `width` x `height`: halved while it is large, the rest by area or bilinear."""
        levels = self._levels[plane]
        for image in levels:
            tall, wide = image.shape
            if image.size <= _SMALL or wide < 2 * width or tall < 2 * height:
                break
            if image is levels[-1]:
                even = image[: tall // 2 * 2, : wide // 2 * 2]
                levels.append(cv2.resize(even, (wide // 2, tall // 2), interpolation=cv2.INTER_AREA))
        if image.shape == (height, width):
            return image
        rest = cv2.INTER_AREA if image.size <= _SMALL else cv2.INTER_LINEAR
        return cv2.resize(image, (width, height), interpolation=rest)


def is_planar_8_bit(frame: av.VideoFrame) -> bool:
    """Say whether a frame is YUV of 8 bits in three planes, as nearly all video is."""
    pixels = frame.format
    return pixels.name.startswith("yuv") and len(frame.planes) == 3 and all(c.bits == 8 for c in pixels.components)


def _plane(frame: av.VideoFrame, number: int) -> np.ndarray:
    plane = frame.planes[number]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


@dataclass
class Scaler:
    """Makes the views of one stream's frames. A view keeps the size that it has of the first frame."""

    pixel_aspect: Fraction  # width over height
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    _sizes: dict[View, tuple[int, int]] = field(default_factory=dict)
    _planar: dict[str, bool] = field(default_factory=dict)  # by pixel format: asking each frame would cost

    def display_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Return (width, height) in pixels as shown: upright, with square pixels."""
        width, height = round(frame.width * self.pixel_aspect), frame.height
        return (height, width) if _quarter_turns(frame) % 2 else (width, height)

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Return the planes of a frame of any pixel format."""
        if not frame.format.name.startswith(("yuv", "nv", "p0")):
            matrix = int(Colorspace.ITU601)
            plain = self._reformatted(frame, "yuv444p", dst_colorspace=matrix, dst_color_range=ColorRange.JPEG)
            return Planes(plain, matrix, limited=False)
        matrix, limited = _matrix(frame), _is_limited(frame)
        if not self._is_planar(frame):
            same = {"src_colorspace": matrix, "dst_colorspace": matrix}
            to = ColorRange.MPEG if limited else ColorRange.JPEG
            frame = self._reformatted(frame, "yuv420p", dst_color_range=to, **same)
        return Planes(frame, matrix, limited)

    def image(self, frame: av.VideoFrame, planes: Planes, view: View) -> np.ndarray:
        """Return the frame, whose planes are `planes`, as `view` has it: uint8 (H, W), or (H, W, 3) for colour."""
        if view not in self._sizes:
            self._sizes[view] = view.fit(*self.display_size(frame))
        turns = _quarter_turns(frame)
        width, height = self._sizes[view] if turns % 2 == 0 else self._sizes[view][::-1]
        if view.format == "gray":
            image = planes.shrunk(0, width, height)
            image = cv2.LUT(image, _FROM_LIMITED) if planes.limited else image
        else:
            yuv = cv2.merge([planes.shrunk(number, width, height) for number in range(3)])
            image = cv2.transform(yuv, _to_bgr(planes.matrix, planes.limited))
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _is_planar(self, frame: av.VideoFrame) -> bool:
        name = frame.format.name
        if name not in self._planar:
            self._planar[name] = is_planar_8_bit(frame)
        return self._planar[name]

    def _reformatted(self, frame: av.VideoFrame, pixels: str, **colors: Any) -> av.VideoFrame:
        return self._reformatter.reformat(frame, format=pixels, threads=1, **colors)


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Return how many quarter turns to the left (0 to 3) show the frame upright, from its rotation flag."""
    return round(frame.rotation / 90) % 4


def _is_limited(frame: av.VideoFrame) -> bool:
    """Say whether black is 16 and white 235, as in most video."""
    return not (frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG)


def _matrix(frame: av.VideoFrame) -> int:
    """Return the frame's colour matrix; where it does not say, what players take for its size."""
    known = next((space for space in _MATRICES if space == frame.colorspace), None)
    if known is not None:
        return int(known)
    return int(Colorspace.ITU709 if frame.height > 576 else Colorspace.ITU601)


_FROM_LIMITED = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


def _to_bgr(matrix: int, limited: bool) -> np.ndarray:
    """Return the 3x4 matrix that makes full-range B, G, R of 8-bit Y, Cb, Cr."""
    if (matrix, limited) not in _TO_BGR:
        red, blue = _MATRICES[Colorspace(matrix)]
        green = 1 - red - blue
        luma, chroma, black = (255 / 219, 255 / 224, 16) if limited else (1.0, 1.0, 0)
        rows = [
            (1, 2 * (1 - blue), 0),
            (1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green),
            (1, 0, 2 * (1 - red)),
        ]
        scaled = [(luma * y, chroma * cb, chroma * cr) for y, cb, cr in rows]
        _TO_BGR[matrix, limited] = np.array([(y, cb, cr, -black * y - 128 * (cb + cr)) for y, cb, cr in scaled])
    return _TO_BGR[matrix, limited]


_TO_BGR: dict[tuple[int, bool], np.ndarray] = {}
