"""Which clips a take is cut into: short ones, VISTA's needles, and long ones, its haystacks. All begin with a frame.

A take is cut into as few equal parts as are short enough; a take between the two lengths gives short clips alone.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lengths:
    """How long clips are, in seconds."""

    min_clip_s: float
    max_clip_s: float
    min_long_s: float
    max_long_s: float


@dataclass(frozen=True)
class Span:
    """A stretch [start_pts, end_pts) of a video, and how many frames are shown in it."""

    start_pts: int
    end_pts: int
    frames: int


def clip_spans(frame_pts: np.ndarray, end_pts: int, seconds_per_pts: float, lengths: Lengths) -> list[Span]:
    """Return the clips of a take with frames at `frame_pts` (int64, growing) that is over at `end_pts`.

    Short ones first, then long ones, each in order of time; one of both lengths stands once.
    """
    found = [
        *_parts(frame_pts, end_pts, seconds_per_pts, lengths.min_clip_s, lengths.max_clip_s),
        *_parts(frame_pts, end_pts, seconds_per_pts, lengths.min_long_s, lengths.max_long_s),
    ]
    return list(dict.fromkeys(found))


def _parts(frame_pts: np.ndarray, end_pts: int, seconds_per_pts: float, least_s: float, most_s: float) -> list[Span]:
    """Return a take in equal parts, up to half a frame; none where they would be too short."""
    duration = (end_pts - int(frame_pts[0])) * seconds_per_pts
    count = max(1, math.ceil(duration / most_s - 1e-9))
    if duration / count < least_s - 1e-9:
        return []
    wanted = frame_pts[0] + np.arange(1, count) * (end_pts - frame_pts[0]) / count
    after = np.searchsorted(frame_pts, wanted)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(frame_pts) - 1)
    cuts = np.where(wanted - frame_pts[before] <= frame_pts[after] - wanted, before, after)
    edges = [0, *(int(cut) for cut in cuts), len(frame_pts)]
    times = [*(int(pts) for pts in frame_pts), end_pts]
    return [Span(times[first], times[last], last - first) for first, last in itertools.pairwise(edges) if last > first]
