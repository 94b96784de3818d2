"""Takes as MP4 files: packets copied from the first I-frame inside, or one accurate re-encode. No sound.

Time begins at 0 in the file, with no edit list: all that is in a file is shown, and each frame at its time.
"""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, VideoReformatter

from tasks.keys import StoredFunction
from tasks.tables import Reject
from tasks.video.encoding import ColorTags, add_h264, mux, open_mp4, samples, shape
from tasks.video.probe import open_video
from tasks.video.progressive import progressive
from tasks.video.virtual import OtherFileError, read_take

COPY = StoredFunction("video.cut_copy", "1", __name__, libraries=("av",))
ENCODE = StoredFunction("video.cut_encode", "1", __name__, libraries=("av",))

_IN_MP4 = {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"}
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG
_UNSPECIFIED = 2  # in ITU-T H.273
_SEEK_BEFORE_S = 1  # containers are searched by decoding time, which lies before the time shown


@dataclass(frozen=True)
class CutFacts:
    """What a file of a take holds. Times are pts of the source: [start_pts, end_pts) is what the file covers."""

    frames: int
    start_pts: int
    end_pts: int
    codec: str
    width_px: int  # as coded
    height_px: int
    bytes: int


@dataclass(frozen=True)
class EncodeSettings:
    """How takes are encoded: H.264 by libx264."""

    crf: float
    preset: str
    max_short_side_px: int  # 0: as it is


# --- copying ---


def cut_copy(
    path: os.PathLike[str] | str, start_pts: int, end_pts: int, target: Path, *, min_share: float = 0.0
) -> CutFacts:
    """Copy the packets of [start_pts, end_pts) that can be shown without any frame outside it.

    They begin at the first I-frame inside, and end before the first frame that needs one outside: frames before that
    I-frame are lost, and a few B-frames at the end. Raises Reject: `not_copyable`, or `too_little_survives` where less
    than `min_share` of the time would be left; and as `open_video` does.
    """
    with open_video(path) as (container, stream):
        codec = stream.codec_context.name
        name = stream.codec_context.codec.canonical_name
        if name not in _IN_MP4:
            raise Reject("not_copyable", f"an MP4 file cannot hold {codec}: set export_takes.mode: encode")
        packets = _packets_inside(container, stream, start_pts, end_pts)
        kept, end = _whole(packets, end_pts)
        start = kept[0].pts if kept else end_pts
        share = (end - start) / (end_pts - start_pts) if kept else 0.0
        if not kept or share < min_share:
            raise too_little(len(kept), share, min_share)
        with open_mp4(target) as out:
            mux(out, out.add_stream_from_template(stream, opaque=True), kept, end)
        size = stream.codec_context.width, stream.codec_context.height
    _check_begins_whole(target)
    return CutFacts(len(kept), start, end, name, *size, target.stat().st_size)


def too_little(frames: int, share: float, min_share: float) -> Reject:
    """Return the rejection of a copy that would keep but `frames`, a `share` of the take's time."""
    kept = f"{frames} of its frames can be copied" if frames else "no I-frame lies inside"
    detail = f"{kept}: set export_takes.mode: encode{', or lower the share' if frames else ''}"
    return Reject("too_little_survives", detail, "copied_share", share, min_share)


def _packets_inside(container: Any, stream: Any, start_pts: int, end_pts: int) -> list[Any]:
    """Return, in order of decoding, the packets from the first I-frame inside to the last that may lie inside."""
    try:
        container.seek(start_pts - round(_SEEK_BEFORE_S / stream.time_base), stream=stream)
    except av.error.FFmpegError:
        container.seek(0)
    found: list[Any] = []
    try:
        for packet in container.demux(stream):
            if not packet.size:
                break
            if not found and not packet.is_keyframe:
                continue
            if packet.dts is not None and packet.dts >= end_pts:
                break
            if packet.pts is None:
                raise Reject("not_copyable", "its packets carry no times: set export_takes.mode: encode")
            if not found and packet.pts < start_pts:
                continue
            if packet.is_discard:
                raise Reject("not_copyable", "an edit list hides some of its frames: set export_takes.mode: encode")
            if found and packet.pts < found[0].pts:
                continue  # shown before the I-frame, and made from frames before it
            found.append(packet)
    except av.error.FFmpegError as error:
        if not found:
            raise Reject("unreadable", detail=str(error.strerror or error)) from None
    return found


def _whole(packets: list[Any], end_pts: int) -> tuple[list[Any], int]:
    """Return the longest run of packets, in order of decoding, whose frames are all shown before any other's.

    So no frame in it needs one that is left out, and none is missing between those shown. Also returns when the first
    frame that is left out would be shown.
    """
    end, count = end_pts, len(packets)
    while True:
        shorter = next((n for n, packet in enumerate(packets[:count]) if packet.pts >= end), count)
        if shorter == count:
            return packets[:count], end
        count = shorter
        end = min(end, min(packet.pts for packet in packets[count:]))


def _check_begins_whole(target: Path) -> None:
    """Refuse a file whose first frame does not come out: its I-frame only begins a gradual refresh."""
    with open_video(target) as (container, stream):
        stream.codec_context.thread_count = 1
        try:
            first = next(iter(container.decode(stream)), None)
        except av.error.FFmpegError:
            first = None
        if first is None or first.pts != 0 or first.is_corrupt:
            raise Reject("not_copyable", "it cannot be decoded from its first I-frame: set export_takes.mode: encode")


# --- encoding ---


def cut_encode(
    path: os.PathLike[str] | str, start_pts: int, end_pts: int, target: Path, settings: EncodeSettings
) -> CutFacts:
    """Encode exactly the frames with start_pts <= pts < end_pts, each shown at its time, as H.264 with one thread.

    Upright whatever the rotation flag, without combs; pixel aspect and colour tags are kept; 4:2:0 in 8 bits, or in 10
    (High 10, which browsers do not show) where the transfer is PQ or HLG, whose mastering metadata is not passed on.
    An odd size loses its last row or column. Raises Reject:
    `frames_differ` where the file shows no frame at `start_pts`; and as `open_video` does.
    """
    with open_video(path) as (_, stream):
        time_base, aspect = stream.time_base, stream.sample_aspect_ratio or Fraction(1)
        rate = stream.average_rate or Fraction(25)
        codec = stream.codec_context
        declared = ColorTags(codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
    pixels: _Pixels | None = None
    encoded: Any = None
    packets: list[Any] = []
    frames = 0
    with open_mp4(target) as out:
        try:
            for pts, frame in progressive(read_take(path, start_pts, end_pts), time_base):
                if pixels is None:
                    pixels = _Pixels(frame, declared, aspect, settings.max_short_side_px)
                    encoded = _encoder(out, pixels, rate, time_base, settings)
                picture = pixels.of(frame)
                picture.pts, picture.time_base = pts, time_base
                picture.pict_type = PictureType.NONE
                packets += encoded.encode(picture)
                frames += 1
        except OtherFileError as error:
            raise Reject("frames_differ", str(error)) from None
        assert pixels is not None, "a take has a first frame"
        mux(out, encoded, [*packets, *encoded.encode(None)], end_pts)
    return CutFacts(frames, start_pts, end_pts, "h264", pixels.width, pixels.height, target.stat().st_size)


def _encoder(out: Any, pixels: "_Pixels", rate: Fraction, time_base: Fraction, settings: EncodeSettings) -> Any:
    stream = add_h264(out, rate, crf=settings.crf, preset=settings.preset)
    shape(stream, (pixels.width, pixels.height), pixels.format, time_base, pixels.color, pixels.aspect)
    return stream


class _Pixels:
    """Makes of a take's frames what is encoded: one size and format, upright, with even sides."""

    def __init__(self, first: av.VideoFrame, declared: ColorTags, aspect: Fraction, max_short_side_px: int) -> None:
        self._turns, self._mirrored = _upright(first)
        self._reformatter = VideoReformatter()
        self._is_yuv = first.format.name.startswith(("yuv", "nv", "p0"))
        self.color = _color(first, declared, is_yuv=self._is_yuv)
        self.format = "yuv420p10le" if self.color.transfer in _HDR else "yuv420p"
        short = min(first.width * aspect, Fraction(first.height))
        scale = min(Fraction(1), Fraction(max_short_side_px) / short) if max_short_side_px else Fraction(1)
        self._size = (first.width, first.height) if scale == 1 else _even(first.width * scale, first.height * scale)
        width, height = (side // 2 * 2 for side in self._size)
        self.width, self.height = (height, width) if self._turns % 2 else (width, height)
        self.aspect = 1 / aspect if self._turns % 2 else aspect

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame as it is encoded."""
        if (frame.width, frame.height, frame.format.name) != (*self._size, self.format):
            width, height = self._size
            frame = self._reformatter.reformat(
                frame,
                width,
                height,
                self.format,
                src_colorspace=self.color.matrix if self._is_yuv else None,
                src_color_range=self.color.range if self._is_yuv else None,
                dst_colorspace=self.color.matrix,
                dst_color_range=self.color.range,
                interpolation="AREA",
                threads=1,
            )
        if not self._turns and not self._mirrored and self._size == (self.width, self.height):
            return frame
        upright = av.VideoFrame(self.width, self.height, self.format)
        sample = np.uint16 if self.format.endswith("10le") else np.uint8
        for source_plane, plane in zip(frame.planes, upright.planes, strict=True):
            lying = samples(source_plane, sample)
            turned = np.rot90(lying[:, ::-1] if self._mirrored else lying, self._turns)
            samples(plane, sample)[...] = turned[: plane.height, : plane.width]
        return upright


def _even(width: Fraction, height: Fraction) -> tuple[int, int]:
    return max(2, 2 * round(width / 2)), max(2, 2 * round(height / 2))


def _upright(frame: av.VideoFrame) -> tuple[int, bool]:
    """Return how a frame is shown upright: (quarter turns to the left, after it was mirrored)."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return round(frame.rotation / 90) % 4, False
    a, b, _, c, d = (int(entry) for entry in np.frombuffer(matrix, np.int32)[:5])  # x' = ax + cy, y' = bx + dy
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    return round(-np.arctan2(b, a) / (np.pi / 2)) % 4, mirrored


def _color(frame: av.VideoFrame, declared: ColorTags, *, is_yuv: bool) -> ColorTags:
    """Return the tags to encode with: the frame's, the container's where it has none, else what players take."""
    matrix, primaries, transfer = (
        int(theirs if own in (0, _UNSPECIFIED) else own)
        for own, theirs in (
            (frame.colorspace, declared.matrix),
            (frame.color_primaries, declared.primaries),
            (frame.color_trc, declared.transfer),
        )
    )
    if not is_yuv:
        return ColorTags(int(Colorspace.ITU709), primaries, transfer, int(ColorRange.MPEG))
    if matrix in (0, _UNSPECIFIED):
        matrix = int(Colorspace.ITU709 if frame.height > 576 else Colorspace.SMPTE170M)
    full = (frame.color_range or declared.range) == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorTags(matrix, primaries, transfer, int(ColorRange.JPEG if full else ColorRange.MPEG))
