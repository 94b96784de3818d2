"""A clip's frames by a steady clock: at each tick the one that is on screen, by the times shown in the file (pts).

Where all are wanted, all are decoded, and counted. Where few are, packets are read in order, and those of groups of
pictures that hold nothing wanted are let go; so are frames to which no other refers. A file that does not hold what
its clip claims is rejected, never filled up.
"""

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from tasks.tables import Reject
from tasks.video.composition import Clip, look_ahead_s
from tasks.video.probe import open_video
from tasks.video.progressive import progressive
from tasks.video.views import Color
from tasks.video.virtual import OtherFileError, main_stream, read_take, take_of

_STEPS_BACK_S = (0, 1, 4, 16)  # before the clip, to find an I-frame: not all containers are searched exactly
_SKIPPING = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"}  # decoders that can leave out frames one by one
_FEW = 4  # frames of the file for each that is wanted, above which they are looked for


@dataclass
class Counts:
    """What making a composition took."""

    decoders: int = 0  # opened, each for a run through a clip
    decoded_frames: int = 0
    fitted_frames: int = 0
    composed_frames: int = 0
    encodes: int = 0


class Reader:
    """Reads a clip. Raises Reject as `open_video` does.

    And `frames_differ` where the file's time base is not the clip's, `alpha_not_decoded` for VP9 or VP8 with alpha.
    """

    def __init__(self, clip: Clip, counts: Counts):
        self.clip = clip
        self._counts = counts
        self._opened = contextlib.ExitStack()
        self._fresh = True  # nothing is read yet
        with contextlib.ExitStack() as opened:
            self._container, stream = opened.enter_context(open_video(clip.file))
            codec = stream.codec_context
            self.aspect = stream.sample_aspect_ratio or Fraction(1)
            self.declared = Color(codec.colorspace, codec.color_trc, codec.color_primaries, codec.color_range)
            self._fields_apart = codec.name == "hevc"
            if stream.time_base != clip.time_base:
                raise self._differs(f"its unit of time is {stream.time_base} s, the clip's {clip.time_base} s")
            if stream.metadata.get("alpha_mode", "0") != "0":
                detail = f"{clip.file}: FFmpeg's {codec.name} decoder leaves its alpha out: convert it to ProRes 4444"
                raise Reject("alpha_not_decoded", detail)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def frames(self, ticks: Sequence[int], fps: Fraction) -> Iterator[av.VideoFrame]:
        """Yield the frame shown at each of `ticks`, which never fall: tick k is k / fps after the clip's beginning.

        The same object is yielded as long as a frame is shown. Raises Reject: `frames_differ` where the file shows no
        frame at the clip's beginning, or more or fewer than the clip claims; `corrupt_frames`, `field_pictures`.
        """
        clip, given = self.clip, 0
        begin = clip.start_s + look_ahead_s(fps)
        dues = [math.floor((begin + tick / fps) / clip.time_base) for tick in ticks]
        passed = Fraction(dues[-1] - clip.start_pts, clip.end_pts - clip.start_pts) * clip.frames
        if passed > _FEW * len(dues) and self._fresh:
            self._begin()
            with contextlib.suppress(_MustDecodeAllError):
                for frame in _few(self._container, clip, dues, self._counts):
                    yield frame
                    given += 1
                return
        yield from self._each(dues[given:])

    def _begin(self) -> None:
        self._fresh = False
        self._counts.decoders += 1

    def _each(self, dues: Sequence[int]) -> Iterator[av.VideoFrame]:
        found = self._checked()
        shown: av.VideoFrame | None = None
        after = next(found, None)
        for due in dues:
            while after is not None and after[0] <= due:
                shown = after[1]
                after = next(found, None)
            assert shown is not None, "a clip's first frame is at its beginning"
            yield shown

    def _checked(self) -> Iterator[tuple[int, av.VideoFrame]]:
        clip, count = self.clip, 0
        try:
            for pts, frame in progressive(self._all(), clip.time_base):
                if frame.is_corrupt:
                    raise Reject("corrupt_frames", f"{clip.file}: the decoder concealed damage at pts {pts}")
                if count == 0 and self._fields_apart and frame.interlaced_frame:
                    raise Reject("field_pictures", f"{clip.file}: each picture is a field: FFmpeg joins none")
                count += 1
                yield pts, frame
        except OtherFileError as error:
            raise Reject("frames_differ", str(error)) from None
        if count != clip.frames:
            raise self._differs(f"{count} frames can be decoded, the clip claims {clip.frames}")

    def _all(self) -> Iterator[tuple[int, av.VideoFrame]]:
        clip = self.clip
        found: Iterator[tuple[int, av.VideoFrame]] = iter(())
        if self._fresh:  # most clips can be decoded from the I-frame before them
            found = take_of(self._container, clip.start_pts, clip.end_pts)
        self._begin()
        first = next(found, None)
        if first is None:
            self.close()
            found = read_take(clip.file, clip.start_pts, clip.end_pts)
        for pts, frame in itertools.chain([first] if first else [], found):
            self._counts.decoded_frames += 1
            yield pts, frame

    def _differs(self, what: str) -> Reject:
        return Reject("frames_differ", f"{self.clip.file}, clip {self.clip.clip_id}: {what}: scan and cut it again")


class _MustDecodeAllError(Exception):
    """Frames cannot be told by the times of packets, or one is damaged: only a full decode shows them."""


def _few(container: Any, clip: Clip, dues: Sequence[int], counts: Counts) -> Iterator[av.VideoFrame]:
    """Yield for each of `dues`, pts that never fall, the clip's last frame at or before it: as a full decode shows it.

    Raises _MustDecodeAllError; frames yielded before it are right.
    """
    start_pts, end_pts = clip.start_pts, clip.end_pts
    stream = main_stream(container)
    codec = stream.codec_context
    codec.thread_count = 1
    packets = _packets(container, stream, start_pts)
    waiting: deque[Any] = deque()  # read, not yet decoded
    inside: set[int] = set()  # decoded or waiting, not yet shown
    ready: dict[int, av.VideoFrame] = {}
    shown: av.VideoFrame | None = None
    seen, ended, flushed, whole_from = 0, False, False, start_pts

    def counted(packet: Any) -> bool:
        return bool(start_pts <= packet.pts < end_pts and not packet.is_discard)

    for due in dues:
        while not ended and (not waiting or waiting[-1].dts is None or waiting[-1].dts <= due):
            packet = next(packets, None)
            if packet is None:
                ended = True
                if seen != clip.frames:
                    raise _MustDecodeAllError(f"{seen} packets for {clip.frames} frames")
                break
            waiting.append(packet)
            if counted(packet):
                seen += 1
                inside.add(packet.pts)
        wanted = max((pts for pts in inside if pts <= due), default=None)
        if wanted is None:
            if shown is None:
                raise _MustDecodeAllError("nothing is shown at the clip's beginning")
            yield shown
            continue
        keys = [n for n, packet in enumerate(waiting) if packet.is_keyframe and packet.pts <= wanted]
        if keys and any(packet.pts == wanted for packet in waiting):
            for _ in range(keys[-1]):
                waiting.popleft()
            codec.flush_buffers()
            ready.clear()
            whole_from = waiting[0].pts
        while wanted not in ready:
            packet = waiting.popleft() if waiting else next(packets, None)
            if packet is None and flushed:
                raise _MustDecodeAllError(f"no frame comes out for pts {wanted}")
            flushed = packet is None
            if packet is not None and counted(packet):
                seen += packet.pts not in inside
                inside.add(packet.pts)
            if codec.name in _SKIPPING:
                codec.skip_frame = "NONREF" if packet is not None and packet.pts < wanted else "DEFAULT"
            for frame in _decoded(stream, packet):
                counts.decoded_frames += 1
                if frame.pts is None or frame.interlaced_frame or (frame.is_corrupt and frame.pts >= whole_from):
                    raise _MustDecodeAllError(
                        f"the frame at pts {frame.pts} is damaged, of two fields, or without a time"
                    )
                ready.setdefault(frame.pts, frame)
        shown = ready[wanted]
        inside = {pts for pts in inside if pts > wanted}
        ready = {pts: frame for pts, frame in ready.items() if pts > wanted}
        yield shown


def _packets(container: Any, stream: Any, start_pts: int) -> Iterator[Any]:
    """Yield packets that hold data from the I-frame at or before the clip's first frame on."""
    for back_s in _STEPS_BACK_S:
        try:
            container.seek(start_pts - round(back_s / stream.time_base), stream=stream)
            found = (packet for packet in container.demux(stream) if packet.size)
            first = next((packet for packet in found if packet.is_keyframe), None)
            if first is None or first.pts is None or first.pts > start_pts:
                continue
            yield first
            for packet in found:
                if packet.pts is None or (packet.dts is not None and packet.dts > packet.pts):
                    raise _MustDecodeAllError("a packet without a time, or decoded after it is shown")
                yield packet
            return
        except av.error.FFmpegError as error:
            raise _MustDecodeAllError(str(error)) from None
    raise _MustDecodeAllError("no I-frame is found before the clip")


def _decoded(stream: Any, packet: Any) -> list[av.VideoFrame]:
    try:
        return list(stream.decode(packet))
    except av.error.FFmpegError as error:
        raise _MustDecodeAllError(str(error)) from None
