"""One decode, many consumers: the pass over a video file from which every later number comes.

A consumer says which frames it wants (every one, or the one nearest each tick of a clock) and how it wants to see
them. Frames are known by presentation time (pts), never by index, so variable frame rates need no special case.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
import pyarrow as pa

from tasks.tables import Reject
from tasks.video.probe import open_video, raise_trouble
from tasks.video.views import Color, Planes, Scaler, View


class Picture:
    """A decoded frame, its time, and its views (each made once, when first asked for)."""

    __slots__ = ("_frame", "_planes", "_scaler", "_time_base", "_views", "before", "pts")

    def __init__(self, frame: av.VideoFrame, pts: int, before: "Picture | None", time_base: Fraction, scaler: Scaler):
        self._frame = frame
        self._planes: Planes | None = None
        self._time_base = time_base
        self._scaler = scaler
        self._views: dict[View, np.ndarray] = {}
        self.pts = pts
        self.before = before  # the frame shown just before this one

    @property
    def i_frame(self) -> bool:
        """True for a frame coded without reference to others."""
        return bool(self._frame.key_frame)

    def seconds_since(self, other: "Picture") -> float:
        """Return the time from `other` to this frame in seconds."""
        return float((self.pts - other.pts) * self._time_base)

    def image(self, view: View) -> np.ndarray:
        """Return the frame as `view` wants it: uint8 (H, W) for gray, (H, W, 3) for colour. Not to be written to."""
        if view not in self._views:
            if self._planes is None:
                self._planes = self._scaler.planes(self._frame)
            self._views[view] = self._scaler.image(self._frame, self._planes, view)
        return self._views[view]


Keep = Callable[[pa.Table], str]  # puts a table away and returns its name


class Consumer(Protocol):
    """What takes part in a pass. Its result depends on the frames and on `params` alone.

    `finish` returns a small summary and the names under which its tables were put away.
    """

    name: str  # of its result in the store
    version: str  # raised when its numbers change

    @property
    def per_s(self) -> float | None: ...  # the frame nearest each 1/per_s seconds; None: every frame

    @property
    def params(self) -> dict[str, Any]: ...

    def see(self, picture: Picture) -> None: ...

    def finish(self) -> tuple[dict[str, Any], list[str]]: ...


@dataclass
class PassCounts:
    """What one pass met. Times are pts in the stream's time base."""

    decoded_frames: int = 0
    corrupt_frames: int = 0  # shown, but the decoder had to conceal damage
    decoder_errors: int = 0  # packets that gave no frame
    repaired_pts: int = 0  # missing, set to the frame before + one frame's duration; or not growing, frame not shown
    reshaped_frames: int = 0  # of another size or pixel aspect than the first
    start_pts: int = 0
    end_pts: int = 0  # when the last frame's time is over
    width: int = 0  # as displayed: upright, square pixels
    height: int = 0
    rotation_deg: int = 0  # to the left, by which frames are turned to be shown upright
    mirrored: int = 0  # 1 where they are mirrored, left to right, before that


class _Clock:
    """Picks the frame nearest each tick. Ticks are counted from the first frame; a frame is picked at most once."""

    def __init__(self, per_s: float, time_base: Fraction):
        ticks = Fraction(per_s).limit_denominator(1000) * time_base  # per unit of pts, kept exact
        self._num, self._den = ticks.numerator, ticks.denominator
        self._first_pts = 0
        self._tick = 0
        self._picked: Picture | None = None

    def pick(self, now: Picture) -> Iterator[Picture]:
        before = now.before
        if before is None:
            self._first_pts, self._tick = now.pts, 1
            yield from self._once(now)
            return
        latest = self._scaled(now.pts) // self._den  # the last tick that is not after `now`
        if self._tick > latest:
            return
        middle = self._scaled(before.pts) + self._scaled(now.pts)
        if 2 * self._tick * self._den <= middle:
            yield from self._once(before)
        if 2 * latest * self._den > middle:
            yield from self._once(now)
        self._tick = latest + 1

    def close(self, last: Picture, end_pts: int) -> Iterator[Picture]:
        if self._tick * self._den < self._scaled(end_pts):
            yield from self._once(last)

    def _scaled(self, pts: int) -> int:
        return (pts - self._first_pts) * self._num

    def _once(self, picture: Picture) -> Iterator[Picture]:
        if picture is not self._picked:
            self._picked = picture
            yield picture


class _Audience:
    """The consumers of a pass, each shown what it asked for."""

    def __init__(self, consumers: Sequence[Consumer], time_base: Fraction):
        self._every = [c for c in consumers if c.per_s is None]
        self._sampling = [
            (_Clock(per_s, time_base), [c for c in consumers if c.per_s == per_s])
            for per_s in dict.fromkeys(c.per_s for c in consumers)
            if per_s is not None
        ]

    def show(self, now: Picture) -> None:
        for consumer in self._every:
            consumer.see(now)
        for clock, consumers in self._sampling:
            for picture in clock.pick(now):
                for consumer in consumers:
                    consumer.see(picture)

    def close(self, last: Picture, end_pts: int) -> None:
        for clock, consumers in self._sampling:
            for picture in clock.close(last, end_pts):
                for consumer in consumers:
                    consumer.see(picture)


def run_pass(
    path: os.PathLike[str] | str,
    consumers: Sequence[Consumer],
    *,
    frame_s: float,
    progress: Callable[[float], None] = lambda done_s: None,
) -> PassCounts:
    """Decode `path` once, one thread, and show each consumer the frames that it asked for.

    `frame_s` is the nominal duration of a frame, for those that carry no time of their own. `progress` gets the
    seconds decoded. Three frames are held in memory, whatever the length. Damage is counted, not raised; Reject is
    raised as `open_video` and `Scaler` do, and for `field_pictures`; OSError where the machine fails.
    """
    counts = PassCounts()
    last: Picture | None = None
    with open_video(path) as (container, stream):
        codec = stream.codec_context
        codec.thread_count = 1  # parallel by file: frame threads cost CPU and buy only latency
        declared = Color(codec.colorspace, codec.color_trc, codec.color_primaries, codec.color_range)
        scaler = Scaler(stream.sample_aspect_ratio or Fraction(1), declared)
        time_base = stream.time_base
        audience = _Audience(consumers, time_base)
        step = max(1, round(frame_s / time_base))
        aspect = codec.sample_aspect_ratio
        first_shape: tuple[Any, ...] = ()
        for frame in _frames(path, container, stream, counts):
            pts = frame.pts
            if frame.key_frame:  # where alone a stream may change its pixel aspect
                aspect = codec.sample_aspect_ratio
            shape = (frame.width, frame.height, aspect)
            counts.decoded_frames += 1
            counts.corrupt_frames += bool(frame.is_corrupt)
            if last is None:
                if frame.interlaced_frame and codec.name == "hevc":
                    raise Reject("field_pictures", "each of its pictures is a field: FFmpeg joins none")
                pts = 0 if pts is None else pts
                first_shape = shape
                turns, mirrored = scaler.turns(frame)
                counts.start_pts, counts.rotation_deg, counts.mirrored = pts, 90 * turns, int(mirrored)
                counts.width, counts.height = scaler.display_size(frame)
            elif pts is None:
                pts = last.pts + step
                counts.repaired_pts += 1
            elif pts <= last.pts:  # another frame has its time: to invent one would push those that follow
                counts.repaired_pts += 1
                continue
            counts.reshaped_frames += shape != first_shape
            if last is not None and last.before is not None:
                last.before.before = None  # three frames are enough, and a chain of them would keep the whole film
            last = Picture(frame, pts, last, time_base, scaler)
            audience.show(last)
            counts.end_pts = pts + (frame.duration or step)
            if counts.decoded_frames % 240 == 0:
                progress(float((pts - counts.start_pts) * time_base))
        if last is not None:
            audience.close(last, counts.end_pts)
    return counts


def _frames(path: os.PathLike[str] | str, container: Any, stream: Any, counts: PassCounts) -> Iterator[av.VideoFrame]:
    """Decode packet by packet; a packet that the decoder refuses is counted, and the pass goes on."""
    packets = container.demux(stream)
    flushed = False
    while not flushed:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:  # the container is torn here: no packet follows
            raise_trouble(error, path)
            counts.decoder_errors += 1
            packet = None
        flushed = packet is None or not packet.size
        try:
            frames = stream.decode(None if flushed else packet)
        except av.error.FFmpegError:
            counts.decoder_errors += 1
            continue
        yield from frames
