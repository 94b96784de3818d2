"""What a video file says of itself: container and packets, read without decoding a frame (0.02 ms a frame)."""

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from tasks.tables import Reject
from tasks.video.edits import edits
from tasks.video.fields import FieldReader

NAME, VERSION = "video.probe", "2"  # of what `probe` returns, in the store
MAX_PIXELS = 8192 * 8192  # of a frame: twice 8K UHD; a header that claims more costs memory before it costs doubt
MAX_RATIO = 20  # of the displayed sides

_LISTS = {"applehttp", "concat", "concatf", "dash", "hls", "imf", "sdp"}  # formats that name other files
_LIST_HEADS = {b"#EXTM3U": "HLS", b"ffconcat": "concat", b"v=0": "SDP", b"<?xml": "XML", b"<MPD": "DASH"}
_TEXTS = {"adf", "bin", "idf", "tty", "xbin"}  # text that FFmpeg would paint
_FORMATS = ",".join(sorted(av.formats_available - _LISTS - _TEXTS))
_STILL_BRANDS = {"avif", "heic", "heix", "mif1"}  # of MP4 files that hold pictures
_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENODEV, errno.ENXIO}
_DOLBY = {"dav1", "dva1", "dvav", "dvh1", "dvhe"}  # codec tags of Dolby Vision
_MATRICES = {
    0: "gbr",
    1: "bt709",
    2: "",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
_FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}  # as FFmpeg writes them: coded, shown first


@contextlib.contextmanager
def open_video(path: os.PathLike[str] | str) -> Iterator[tuple[Any, Any]]:
    """Open `path` and yield (container, its main video stream).

    Raises Reject: `unreadable` where FFmpeg knows no such format or the file only names others, `still_image`,
    `no_video_stream` for sound or cover art alone, `no_decoder`, `too_large`. Raises OSError where the machine fails.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(os.fspath(path), metadata_errors="replace", options=options)
    except av.error.FFmpegError as error:
        raise_trouble(error, path)
        known = "not a format of video" if isinstance(error, av.error.ArgumentError) else str(error.strerror or error)
        raise Reject("unreadable", detail=_what_it_is(path) or known) from None
    with container:
        if container.format.name.endswith("_pipe") or container.metadata.get("major_brand") in _STILL_BRANDS:
            raise Reject("still_image", detail=f"a picture ({container.format.name}), not a video")
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise Reject("no_video_stream", detail=f"the file holds {held}")
        best = container.streams.best("video")
        stream = best if best in moving else moving[0]
        codec = stream.codec_context
        if codec is None:
            raise Reject("no_decoder", detail="FFmpeg here has no decoder for this codec")
        if codec.width * codec.height > MAX_PIXELS:
            detail = f"says that its frames are {codec.width} x {codec.height}"
            raise Reject("too_large", detail, "frame_px", codec.width * codec.height, MAX_PIXELS)
        codec.options = {"max_pixels": str(MAX_PIXELS)}  # also for frames that grow later
        yield container, stream


def raise_trouble(error: av.error.FFmpegError, path: os.PathLike[str] | str) -> None:
    """Raise OSError if an error of FFmpeg's is the machine's and not the file's: what the file itself says when read.

    FFmpeg calls some torn files an input/output error: such a file is read to its end to learn whose fault it was.
    """
    if isinstance(error, OSError) and error.errno in _MACHINE:
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(path))
    with Path(path).open("rb") as file:
        while file.read(1 << 20) and error.errno == errno.EIO:
            pass


def probe(path: os.PathLike[str] | str) -> dict[str, Any]:
    """Return a video's facts: codec, sizes in pixels as coded, colours, times in seconds, counts of packets.

    Counts and times are of the frames that are to be shown, from the first I-frame on: a recording may begin before it.
    `source_frames` counts them, whether of one packet or of two fields. `declared_s` is the length that the container
    promises (0 if it does not say); `longest_gap_s` the longest time from one frame to the next. `transfer`,
    `primaries` and `matrix` are those of H.273 by ffprobe's names; the second letter of `field_order` is the field seen
    first; all are "" where the file does not say. Raises Reject as `open_video` does, and `no_frames`, `unreadable`,
    `encrypted`, `edit_list`, `unknown_color` or `odd_shape`; OSError as `open_video` does.
    """
    with open_video(path) as (container, stream):
        codec = stream.codec_context
        aspect = stream.sample_aspect_ratio or Fraction(1)
        _check_shape(codec.width * aspect, codec.height)
        if stream.codec_tag in _DOLBY and codec.color_trc == ColorTrc.UNSPECIFIED:
            raise Reject("unknown_color", detail="Dolby Vision without a base layer that others can show")
        if "mov" in container.format.name:
            _check_edits(path, stream.id)
        starts: list[int] = []
        ends: list[int] = []
        lead: list[int] = []  # times before the first I-frame
        may_be_field = codec.name == "h264" and codec.field_order > 1
        reader = FieldReader(codec.extradata) if may_be_field else None
        fields, keyed = 0, False
        counts = {"packets": 0, "source_frames": 0, "i_frames": 0, "video_bytes": 0}
        for packet in _packets(path, container, stream):
            counts["packets"] += 1
            counts["video_bytes"] += packet.size
            if packet.is_keyframe and packet.has_sidedata("encryption_info"):
                raise Reject("encrypted", detail="its frames are encrypted")
            if packet.is_keyframe and not keyed:  # what came before it cannot be decoded
                keyed, fields = True, 0
                counts |= {"source_frames": 0, "i_frames": 0}
                lead = starts
                starts, ends = [], []
            if packet.is_discard:  # cut away by an edit list
                continue
            if reader and reader.is_field(packet):
                fields += 1
            else:
                counts["source_frames"] += 1
            counts["i_frames"] += packet.is_keyframe
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is not None:
                starts.append(pts)
                ends.append(pts + (packet.duration or 0))
        counts["source_frames"] += (fields + 1) // 2
        if not counts["source_frames"]:
            raise Reject("no_frames", detail="the video stream holds no packet")
        if not codec.width or not codec.height:
            raise Reject("unreadable", detail="neither container nor packets tell the size of its frames")
        span = max(ends) - min(starts) if starts else 0
        duration_s = float(span * stream.time_base) or _nominal_s(stream, counts["source_frames"])
        starts.sort()
        declared_s = _declared_s(stream, min(lead + starts[:1], default=0))
        lead_s = float((starts[0] - min(lead)) * stream.time_base) if lead and starts else 0.0
        gap = max((after - before for before, after in itertools.pairwise(starts)), default=0)
        return {
            "container": container.format.name,
            "codec": codec.codec.canonical_name,
            "pixel_format": codec.pix_fmt or "",
            "bit_depth": max((component.bits for component in codec.format.components), default=0)
            if codec.format
            else 0,
            "transfer": _name(ColorTrc, codec.color_trc),
            "primaries": _name(ColorPrimaries, codec.color_primaries),
            "matrix": _MATRICES.get(codec.colorspace, str(codec.colorspace)),
            "color_range": {ColorRange.MPEG: "limited", ColorRange.JPEG: "full"}.get(codec.color_range, ""),
            "field_order": _FIELD_ORDERS.get(codec.field_order, ""),
            "coded_width": codec.width,
            "coded_height": codec.height,
            "aspect_num": aspect.numerator,
            "aspect_den": aspect.denominator,
            "time_base_num": stream.time_base.numerator,
            "time_base_den": stream.time_base.denominator,
            "duration_s": duration_s,
            "declared_s": max(0.0, declared_s - lead_s),
            "longest_gap_s": float(gap * stream.time_base),
            "fps": counts["source_frames"] / duration_s if duration_s else 0.0,
            **counts,
        }


def short_side_px(facts: dict[str, Any]) -> int:
    """Return the shorter side of the displayed picture, in square pixels: the "720" of 720p, whatever the rotation."""
    width = round(facts["coded_width"] * Fraction(facts["aspect_num"], facts["aspect_den"]))
    return int(min(width, facts["coded_height"]))


def _what_it_is(path: os.PathLike[str] | str) -> str:
    """Return what a file is that is kept from FFmpeg, "" where its head does not tell."""
    with Path(path).open("rb") as file:
        head = file.read(16).lstrip(b"\xef\xbb\xbf \r\n")
    kind = next((kind for start, kind in _LIST_HEADS.items() if head.startswith(start)), "")
    return f"a list of other files ({kind}), not a video" if kind else ""


def _check_shape(width: Fraction, height: int) -> None:
    if not width or not height:  # not known before a frame is decoded
        return
    ratio = float(max(width / height, height / width))
    if ratio > MAX_RATIO:
        raise Reject("odd_shape", f"shown at {round(width)} x {height}", "side_ratio", ratio, MAX_RATIO)


def _check_edits(path: os.PathLike[str] | str, track_id: int) -> None:
    """Raise Reject for an edit list that FFmpeg does not follow."""
    shown = [edit for edit in edits(path, track_id) if edit.start >= 0]
    if len(shown) > 1:
        raise Reject("edit_list", "the container splices it of several parts, whose times FFmpeg does not keep")
    if any(edit.rate != 1 for edit in shown):
        raise Reject("edit_list", f"the container plays it at {shown[0].rate:g} times its speed, FFmpeg does not")


def _packets(path: os.PathLike[str] | str, container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets that hold data, up to where the container is torn."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            raise_trouble(error, path)
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def _name(names: Any, number: int) -> str:
    """Return ffprobe's name of a colour tag, "" for 2, by which H.273 says "unspecified"."""
    if number == 2:
        return ""
    return str(names(number).name.lower().replace("_", "-")) if number in set(names) else str(number)


def _nominal_s(stream: Any, frames: int) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return float(frames / rate) if rate else 0.0


def _declared_s(stream: Any, start_pts: int) -> float:
    """Return the stream's length as its container promises it, in seconds; 0 where it does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska: 00:01:02.500000000, from time 0
    minutes, _, seconds = rest.partition(":")
    try:
        end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return end_s - float(start_pts * stream.time_base)
    except ValueError:
        return 0.0
