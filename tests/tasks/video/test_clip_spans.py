"""How takes are cut: every frame once, equal parts, lengths that hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.video.captions import centre_frames
from tasks.video.clip_spans import Lengths, clip_spans

LENGTHS = Lengths(2, 4, 6, 20)


def spans(seconds: float, fps: int = 24, lengths: Lengths = LENGTHS) -> list[tuple[float, float]]:
    """Return the clips of a take of steady frames, that begins at 100 s, in seconds from there."""
    pts = 2400 * 100 + np.arange(round(seconds * fps)) * (2400 // fps)
    end = int(pts[-1]) + 2400 // fps
    return [
        ((s.start_pts - 240_000) / 2400, (s.end_pts - 240_000) / 2400) for s in clip_spans(pts, end, 1 / 2400, lengths)
    ]


@pytest.mark.parametrize(
    ("seconds", "clips"),
    [
        (1.5, []),
        (2, [(0, 2)]),
        (4, [(0, 4)]),
        (5, [(0, 2.5), (2.5, 5)]),
        (6, [(0, 3), (3, 6), (0, 6)]),
        (12, [(0, 4), (4, 8), (8, 12), (0, 12)]),
        (24, [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 24), (0, 12), (12, 24)]),
    ],
)
def test_a_take_gives_short_clips_and_if_long_enough_long_ones(
    seconds: float, clips: list[tuple[float, float]]
) -> None:
    assert spans(seconds) == clips


def test_a_clip_of_both_lengths_stands_once() -> None:
    assert spans(5, lengths=Lengths(2, 10, 4, 20)) == [(0, 5)]


def test_a_take_that_no_number_of_parts_fits_gives_none() -> None:
    assert spans(5, lengths=Lengths(3, 4, 6, 20)) == []


@given(st.lists(st.integers(1, 90), min_size=2, max_size=400), st.integers(1, 90))
@settings(max_examples=100, deadline=None)
def test_short_clips_hold_every_frame_once_at_any_frame_times(steps: list[int], last: int) -> None:
    pts = np.cumsum(np.array(steps, np.int64))
    found = clip_spans(pts, int(pts[-1]) + last, 0.01, Lengths(0.01, 4, 1e6, 1e6))
    assert [frame for span in found for frame in pts if span.start_pts <= frame < span.end_pts] == pts.tolist()
    assert all(span.frames == sum(span.start_pts <= frame < span.end_pts for frame in pts) for span in found)
    wanted = (pts[-1] + last - pts[0]) / len(found)
    gap = max(*steps, last)  # between frames: an edge is at most half of it from where it should be
    assert all(abs(span.end_pts - span.start_pts - wanted) <= gap + 1e-9 for span in found)


def test_segments_are_keyed_by_the_frames_of_the_reference_loader() -> None:
    """For 450 frames the loader of Presto expects 45, 135, 225, 315, 405."""
    assert [7 * number for number in centre_frames(450)] == [7 * frame for frame in (45, 135, 225, 315, 405)]
