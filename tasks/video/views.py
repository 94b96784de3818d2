"""How a decoded frame is shown to those who look at it: small, upright, grey or in colour.

What is asked of a video needs small pictures, and making them costs more than looking at them. So the 8-bit YUV that
nearly all video is coded in is halved by exact means of 2x2, each plane once for all views; swscale turns anything
else into that first. Frames of two fields have their lines blended in pairs before anything else, so that no comb is
seen; wide colours (HDR, BT.2020) are shown as `tones` has them.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from tasks.tables import Reject
from tasks.video import tones

cv2.setNumThreads(1)

_LARGE = 1_000_000  # pixels: to work out wide colours of so many takes 0.04 s and 60 MB
_SMALL = 9_000  # pixels: averaging so few by area costs less than 0.01 ms

_MATRICES = {  # Kr and Kb of each matrix that YUV is made with (ITU-T H.273, table 4)
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.ITU624: (0.299, 0.114),
    Colorspace.SMPTE170M: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
_SMPTE170M = 6  # NTSC's; the same as BT.601's, 5, which PyAV gives this name
_YCGCO = 8
_UNSPECIFIED = 2
_RGB = 0  # also said of YUV, by encoders that were given RGB
_HDR: dict[int, tones.Transfer] = {ColorTrc.SMPTE2084: "pq", ColorTrc.ARIB_STD_B67: "hlg"}
_NOT_FOR_DISPLAY = {ColorTrc.LINEAR, ColorTrc.LOG, ColorTrc.LOG_SQRT, ColorTrc.SMPTE428}
_PRIMARIES: dict[int, str] = {
    ColorPrimaries.BT709: "bt709",
    ColorPrimaries.BT2020: "bt2020",
    ColorPrimaries.SMPTE432: "p3",
}
_TEN_BITS = ("yuv420p10le", "yuv422p10le", "yuv444p10le")


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


@dataclass(frozen=True)
class Color:
    """How a frame's samples are meant, numbered as in ITU-T H.273; 2 (0 for the range) where it is not said."""

    matrix: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    primaries: int = _UNSPECIFIED
    color_range: int = ColorRange.UNSPECIFIED


@dataclass(frozen=True)
class Wide:
    """Colours that have to be worked out for an SDR screen, coded in 10 bits."""

    transfer: tones.Transfer
    primaries: str


class Planes:
    """The three planes of a YUV frame, and their halves, each made once when first asked for.

    Of 8 bits, or of 10 where colours are `wide`; a grey frame has its chroma made up. With `fields`, each pair of lines
    is blended first: they lie in two fields, taken at two times.
    """

    def __init__(
        self, frame: av.VideoFrame, matrix: int, limited: bool, *, wide: Wide | None = None, fields: bool = False
    ):
        self.matrix = matrix  # as ITU-T H.273 numbers them
        self.limited = limited  # black is 16 and white 235, as in most video
        self.wide = wide
        kind = np.uint16 if wide else np.uint8
        images = [_plane(plane, kind) for plane in frame.planes]
        if len(images) < 3:
            images = [images[0], *[np.full((1, 1), 128, np.uint8)] * 2]
        self._levels = [[_blended(image) if fields else image] for image in images]

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


def _plane(plane: Any, kind: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    samples = np.frombuffer(memoryview(plane), kind)
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: plane.height, : plane.width]


def _blended(image: np.ndarray) -> np.ndarray:
    tall = len(image) // 2 * 2
    return cv2.addWeighted(image[:tall:2], 0.5, image[1:tall:2], 0.5, 0) if tall else image


@dataclass(frozen=True)
class _Way:
    """How frames of one kind become planes: by swscale into `pixels` first, unless that is empty."""

    pixels: str
    matrix: int
    limited: bool
    wide: Wide | None = None


@dataclass
class Scaler:
    """Makes the views of one stream's frames. A view keeps the size that it has of the first frame."""

    pixel_aspect: Fraction  # width over height
    declared: Color = Color()  # by the container; a frame's own word goes before
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    _sizes: dict[View, tuple[int, int]] = field(default_factory=dict)
    _ways: dict[tuple[Any, ...], _Way] = field(default_factory=dict)
    _turns: dict[int, tuple[int, bool]] = field(default_factory=dict)  # by rotation flag

    def display_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Return (width, height) in pixels as shown: upright, with square pixels."""
        width, height = max(1, round(frame.width * self.pixel_aspect)), frame.height
        return (height, width) if self.turns(frame)[0] % 2 else (width, height)

    def turns(self, frame: av.VideoFrame) -> tuple[int, bool]:
        """Return how a frame is shown upright: (quarter turns to the left, 0 to 3, after it was mirrored).

        Raises Reject `odd_rotation` for a display matrix that does not turn by quarters.
        """
        rotation = frame.rotation
        if rotation not in self._turns:
            self._turns[rotation] = _turns(frame)
        return self._turns[rotation]

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Return the planes of a frame of any pixel format. Raises Reject `unknown_color` where they would be wrong."""
        name = frame.format.name
        kind = (name, frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries, frame.height > 576)
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = self._way(frame)
        plain = frame
        if way.pixels and way.pixels != name:
            to = ColorRange.MPEG if way.limited else ColorRange.JPEG
            same = {"src_colorspace": way.matrix, "dst_colorspace": way.matrix}
            if way.pixels == "yuv444p":  # from RGB, or a palette of it
                same = {"dst_colorspace": way.matrix}
            plain = self._reformatter.reformat(frame, format=way.pixels, threads=1, dst_color_range=to, **same)
        return Planes(plain, way.matrix, way.limited, wide=way.wide, fields=frame.interlaced_frame)

    def image(self, frame: av.VideoFrame, planes: Planes, view: View) -> np.ndarray:
        """Return the frame, whose planes are `planes`, as `view` has it: uint8 (H, W), or (H, W, 3) for colour."""
        if view not in self._sizes:
            self._sizes[view] = view.fit(*self.display_size(frame))
        turns, mirrored = self.turns(frame)
        width, height = self._sizes[view] if turns % 2 == 0 else self._sizes[view][::-1]
        if planes.wide:
            image = _narrowed(planes, width, height, view.format)
        elif view.format == "gray":
            image = planes.shrunk(0, width, height)
            image = cv2.LUT(image, _FROM_LIMITED) if planes.limited else image
        else:
            yuv = cv2.merge([planes.shrunk(number, width, height) for number in range(3)])
            image = cv2.transform(yuv, _to_bgr(planes.matrix, planes.limited))
        if mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, turns)) if turns or mirrored else image

    def _way(self, frame: av.VideoFrame) -> _Way:
        color = _color(frame, self.declared)
        if color.transfer in _NOT_FOR_DISPLAY:
            raise Reject("unknown_color", f"its transfer is {ColorTrc(color.transfer).name.lower()}")
        name = frame.format.name
        if name.startswith(("gray", "ya", "mono")):
            # as it is where it has a range of its own, else black is 0
            pixels = "gray"
            return _Way(pixels, int(Colorspace.ITU601), limited=color.color_range == ColorRange.MPEG)
        wide = _wide(color)
        if not name.startswith(("yuv", "nv", "p0", "p2", "p4", "uyvy", "yvyu", "y2", "vuy", "ayuv", "xv")):
            if wide:
                raise Reject("unknown_color", f"RGB of {wide.transfer} in {wide.primaries} primaries")
            return _Way("yuv444p", int(Colorspace.ITU601), limited=False)
        if color.matrix in (_UNSPECIFIED, _RGB):  # what players take for its size
            usual = Colorspace.BT2020 if wide else Colorspace.ITU709 if frame.height > 576 else Colorspace.ITU601
            matrix = int(usual)
        elif color.matrix == _SMPTE170M:
            matrix = int(Colorspace.ITU601)
        elif color.matrix in _MATRICES or color.matrix == _YCGCO:
            matrix = color.matrix
        else:
            raise Reject("unknown_color", f"its colour matrix is number {color.matrix} of H.273")
        limited = not (name.startswith("yuvj") or color.color_range == ColorRange.JPEG)
        if wide:
            return _Way(name if name in _TEN_BITS else "yuv420p10le", matrix, limited, wide)
        return _Way("" if is_planar_8_bit(frame) else "yuv420p", matrix, limited)


def _turns(frame: av.VideoFrame) -> tuple[int, bool]:
    side_data: Any = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return round(frame.rotation / 90) % 4, False
    a, b, _, c, d = (int(entry) for entry in np.frombuffer(side_data, np.int32)[:5])  # x' = ax + cy, y' = bx + dy
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    turns = -np.arctan2(b, a) / (np.pi / 2)
    if abs(turns - round(turns)) > 0.05:
        raise Reject("odd_rotation", f"to be shown turned by {90 * turns:.0f} degrees")
    return round(turns) % 4, mirrored


def _color(frame: av.VideoFrame, declared: Color) -> Color:
    """Return what a frame says of its colours, and where it says nothing, what its container says."""
    own = Color(frame.colorspace, frame.color_trc, frame.color_primaries, frame.color_range)
    return Color(
        declared.matrix if own.matrix == _UNSPECIFIED else own.matrix,
        declared.transfer if own.transfer in (0, _UNSPECIFIED) else own.transfer,
        declared.primaries if own.primaries in (0, _UNSPECIFIED) else own.primaries,
        own.color_range or declared.color_range,
    )


def _wide(color: Color) -> Wide | None:
    """Return how to show HDR or BT.2020 colours, None for those of an SDR screen."""
    transfer = _HDR.get(color.transfer)
    if transfer is None:
        return Wide("gamma", "bt2020") if color.primaries == ColorPrimaries.BT2020 else None
    return Wide(transfer, _PRIMARIES.get(color.primaries, "bt2020"))


def _narrowed(planes: Planes, width: int, height: int, pixels: str) -> np.ndarray:
    """Return planes of wide colours at `width` x `height` for an SDR screen, gray or bgr24.

    A large gray one goes by luma alone: right for greys, up to 25 levels light for the strongest colours.
    """
    assert planes.wide, "only for wide colours"
    if pixels == "gray" and width * height > _LARGE:
        black, white = (64, 940) if planes.limited else (0, 1023)
        return cv2.LUT(planes.shrunk(0, width, height), tones.greys(planes.wide.transfer, black, white))
    yuv = cv2.merge([planes.shrunk(number, width, height) for number in range(3)]).astype(np.float32)
    to_bgr = _to_bgr(planes.matrix, planes.limited) * np.array([0.25, 0.25, 0.25, 1]) / 255  # of 10 bits, to 0..1
    rgb = cv2.transform(yuv, to_bgr[::-1].astype(np.float32))
    sdr = tones.shown(rgb, planes.wide.transfer, planes.wide.primaries)
    if pixels == "gray":
        red, blue = _MATRICES[Colorspace.ITU709]
        sdr = cv2.transform(sdr, np.array([[red, 1 - red - blue, blue]], np.float32))
    else:
        sdr = sdr[..., ::-1]
    return np.rint(sdr * 255).astype(np.uint8)


_FROM_LIMITED = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


def _to_bgr(matrix: int, limited: bool) -> np.ndarray:
    """Return the 3x4 matrix that makes full-range B, G, R of 8-bit Y, Cb, Cr."""
    if (matrix, limited) not in _TO_BGR:
        luma, chroma, black = (255 / 219, 255 / 224, 16) if limited else (1.0, 1.0, 0)
        if matrix == _YCGCO:  # Cg stands in Cb's place, Co in Cr's
            rows: list[tuple[float, float, float]] = [(1, -1, -1), (1, 1, 0), (1, -1, 1)]
        else:
            red, blue = _MATRICES[Colorspace(matrix)]
            green = 1 - red - blue
            rows = [
                (1, 2 * (1 - blue), 0),
                (1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green),
                (1, 0, 2 * (1 - red)),
            ]
        scaled = [(luma * y, chroma * cb, chroma * cr) for y, cb, cr in rows]
        _TO_BGR[matrix, limited] = np.array([(y, cb, cr, -black * y - 128 * (cb + cr)) for y, cb, cr in scaled])
    return _TO_BGR[matrix, limited]


_TO_BGR: dict[tuple[int, bool], np.ndarray] = {}
