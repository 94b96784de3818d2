"""The frames of a virtual take: [start_pts, end_pts) of a video's main stream, whatever its container.

Needs PyAV alone: export_takes puts this file beside each manifest of virtual takes.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import av
from av.stream import Disposition

_STEPS_BACK_S = (0, 1, 4, 16, 64)  # before the take, to find an I-frame from which its first frame comes out whole


class OtherFileError(ValueError):
    """The file shows no frame where the take begins."""


def read_take(path: os.PathLike[str] | str, start_pts: int, end_pts: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (pts, frame) of each frame with start_pts <= pts < end_pts, in the order shown.

    Decodes from the I-frame before, in one thread; where that does not give a frame at `start_pts`, from further
    back, in the end the whole file. Raises OtherFileError where no frame is shown at `start_pts`.
    """
    for back_s in (*_STEPS_BACK_S, None):
        with av.open(os.fspath(path), metadata_errors="replace") as container:
            frames = take_of(container, start_pts, end_pts, back_s)
            first = next(frames, None)
            if first is None:
                continue
            yield first
            yield from frames
            return
    raise OtherFileError(f"{os.fspath(path)} shows no frame at pts {start_pts}: not the file that this take is of")


def take_of(
    container: Any, start_pts: int, end_pts: int, back_s: int | None = 0
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the take's frames from an open file: none where no frame at `start_pts` comes out.

    Decoded from an I-frame at least `back_s` before the take, or from the file's start where that is None.
    """
    frames = _from_before(container, start_pts, back_s)
    first = next((found for found in frames if found[0] >= start_pts), None)
    if first is None or first[0] != start_pts:
        return
    yield first
    for pts, frame in frames:
        if pts >= end_pts:
            return
        yield pts, frame


def main_stream(container: Any) -> Any:
    """Return the stream whose pts are meant: FFmpeg's best that is no cover art."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return best if best in moving else moving[0]


def _from_before(container: Any, start_pts: int, back_s: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield frames from an I-frame at least `back_s` before the take, or from the file's start where that is None."""
    stream = main_stream(container)
    stream.codec_context.thread_count = 1
    if back_s is None:
        packets = _packets(container, stream)
    else:
        try:
            container.seek(start_pts - round(back_s / stream.time_base), stream=stream)
        except av.error.FFmpegError:
            return
        found = _packets(container, stream)
        packet = next(found, None)
        while packet is not None and (not packet.is_keyframe or packet.pts is None):
            packet = next(found, None)
        if packet is None or packet.pts > start_pts:  # what is shown before it may lean on frames not decoded
            return
        packets = itertools.chain([packet], found)
    step = max(1, round(1 / (stream.average_rate * stream.time_base))) if stream.average_rate else 1
    last: int | None = None
    for frame in _decoded(stream, packets):
        pts = frame.pts
        if pts is None:
            pts = 0 if last is None else last + step
        if last is None or pts > last:  # else another frame has its time
            last = pts
            yield pts, frame


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets that hold data, up to where the container is torn."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError:
        return


def _decoded(stream: Any, packets: Iterator[Any]) -> Iterator[av.VideoFrame]:
    """Decode; a packet that the decoder refuses gives no frame."""
    for packet in packets:
        try:
            yield from stream.decode(packet)
        except av.error.FFmpegError:
            continue
    try:
        yield from stream.decode(None)
    except av.error.FFmpegError:
        return
