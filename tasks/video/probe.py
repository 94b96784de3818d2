"""What a video file says of itself: container and packets, read without decoding a frame (0.02 ms a frame)."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition

from tasks.tables import Reject

_POINTERS = {"applehttp", "concat", "concatf", "dash", "hls", "imf", "sdp"}  # formats that name other files
NAME, VERSION = "video.probe", "1"  # of what `probe` returns, in the store


@contextlib.contextmanager
def open_video(path: os.PathLike[str] | str) -> Iterator[tuple[Any, Any]]:
    """Open `path` and yield (container, its main video stream).

    Raises Reject: `unreadable` where FFmpeg knows no such format, `no_video_stream` for sound or cover art alone.
    """
    try:
        container = av.open(os.fspath(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise Reject("unreadable", detail=str(error.strerror or error)) from None
    with container:
        if _POINTERS & set(container.format.name.split(",")):
            raise Reject("unreadable", detail=f"a {container.format.name} list of other files, not a video")
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise Reject("no_video_stream", detail=f"the file holds {held}")
        best = container.streams.best("video")
        if moving[0].codec_context is None:
            raise Reject("no_decoder", detail="FFmpeg here has no decoder for this codec")
        yield container, best if best in moving else moving[0]


def probe(path: os.PathLike[str] | str) -> dict[str, Any]:
    """Return a video's facts: codec, sizes in pixels as coded, times in seconds, counts of packets.

    `source_frames` counts the packets of frames that are to be shown. `declared_s` is the length that the container
    promises (0 if it does not say). Raises Reject as `open_video` does, or `no_frames`.
    """
    with open_video(path) as (container, stream):
        codec = stream.codec_context
        starts: list[int] = []
        ends: list[int] = []
        counts = {"packets": 0, "source_frames": 0, "i_frames": 0, "video_bytes": 0}
        for packet in _packets(container, stream):
            counts["packets"] += 1
            counts["video_bytes"] += packet.size
            if packet.is_discard:  # cut away by an edit list
                continue
            counts["source_frames"] += 1
            counts["i_frames"] += packet.is_keyframe
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is not None:
                starts.append(pts)
                ends.append(pts + (packet.duration or 0))
        if not counts["source_frames"]:
            raise Reject("no_frames", detail="the video stream holds no packet")
        aspect = stream.sample_aspect_ratio or Fraction(1)
        span = max(ends) - min(starts) if starts else 0
        duration_s = float(span * stream.time_base) or _nominal_s(stream, counts["source_frames"])
        return {
            "container": container.format.name,
            "codec": codec.name,
            "pixel_format": codec.pix_fmt or "",
            "coded_width": codec.width,
            "coded_height": codec.height,
            "aspect_num": aspect.numerator,
            "aspect_den": aspect.denominator,
            "time_base_num": stream.time_base.numerator,
            "time_base_den": stream.time_base.denominator,
            "duration_s": duration_s,
            "declared_s": _declared_s(stream, min(starts, default=0)),
            "fps": counts["source_frames"] / duration_s if duration_s else 0.0,
            **counts,
        }


def short_side_px(facts: dict[str, Any]) -> int:
    """Return the shorter side of the displayed picture, in square pixels: the "720" of 720p, whatever the rotation."""
    width = round(facts["coded_width"] * Fraction(facts["aspect_num"], facts["aspect_den"]))
    return int(min(width, facts["coded_height"]))


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets that hold data, up to where the container is torn."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if packet.size:
            yield packet


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
