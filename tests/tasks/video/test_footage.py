"""Parts of clips in the place of one clip, `middle` sampling, and terms that hold together."""

from fractions import Fraction

import numpy as np
import pytest

from tasks.video.augmentations import spatial_needle, temporal_needle, two_needles
from tasks.video.composition import Built, Canvas, Clip
from tasks.video.footage import Footage, Part, laid
from tasks.video.sampling import middle, seen
from tasks.video.terms import joined

FPS = Fraction(12)
CANVAS = Canvas(640, 360, FPS)


def clip(name: str, frames: int, source: str, start: int = 0) -> Clip:
    return Clip(name, source, "data", f"{source}.mp4", start, start + frames, Fraction(1, 12), frames, 640, 360)


def on_canvas(built: Built) -> list[list[tuple[str, int]]]:
    """Return clip and tick of each piece on each frame, those on top last: a plain walk over the pieces."""
    frames: list[list[tuple[str, int]]] = [[] for _ in range(built.composition.frames)]
    for piece in built.composition.pieces:
        ticks = piece.clip.ticks(FPS)
        for n in range(piece.frames):
            assert piece.end == "loop" or piece.first + n < ticks
            frames[piece.at + n].append((piece.clip.clip_id, (piece.first + n) % ticks))
    return frames


HAYSTACK = Footage(
    (Part(clip("a", 30, "s"), 5, 25), Part(clip("b", 20, "s", 40), 0, 20), Part(clip("c", 50, "s", 70), 0, 15)), FPS
)
LONG = [("a", n) for n in range(5, 30)] + [("b", n) for n in range(20)] + [("c", n) for n in range(15)]
NEEDLE = Footage((Part(clip("needle", 40, "n"), 7, 24),), FPS)
SHORT = [("needle", n) for n in range(7, 31)]


@pytest.mark.parametrize("seed", range(6))
def test_a_needle_in_several_clips_leaves_all_of_them(seed: int) -> None:
    stands = {footage.stand_in(): footage for footage in (HAYSTACK, NEEDLE)}
    long, short = stands
    built = laid(temporal_needle(long, short, CANVAS, np.random.default_rng(seed), margin_s=1.0), stands)
    (span,) = built.truth.spans
    shown = [frame[-1] for frame in on_canvas(built)]
    assert shown[span.start : span.end] == SHORT and (span.first, span.last) == (7, 31)
    assert shown[: span.start] + shown[span.end :] == LONG
    assert built.truth.clips == ("needle",)


@pytest.mark.parametrize("seed", range(6))
def test_two_parts_of_a_part_of_a_clip_are_in_order(seed: int) -> None:
    stands = {footage.stand_in(): footage for footage in (HAYSTACK, NEEDLE)}
    long, short = stands
    rng = np.random.default_rng(seed)
    built = laid(two_needles(long, short, CANVAS, rng, margin_s=0.5, min_gap_s=1.0), stands)
    shown = [frame[-1] for frame in on_canvas(built)]
    inside = [shown[span.start : span.end] for span in built.truth.spans]
    assert inside[0] + inside[1] == SHORT
    assert [(part[0][1], part[-1][1] + 1) for part in inside] == [(s.first, s.last) for s in built.truth.spans]
    assert [frame for frame in shown if frame[0] != "needle"] == LONG


def test_a_part_of_a_clip_is_shown_again_and_again() -> None:
    stands = {footage.stand_in(): footage for footage in (HAYSTACK, NEEDLE)}
    long, short = stands
    built = laid(spatial_needle(long, short, CANVAS, np.random.default_rng(0)), stands)
    shown = on_canvas(built)
    assert [frame[0] for frame in shown] == LONG
    assert [frame[1] for frame in shown] == [SHORT[n % len(SHORT)] for n in range(len(LONG))]


def test_footage_is_of_one_source() -> None:
    with pytest.raises(ValueError, match="one source"):
        Footage((Part(clip("a", 30, "s"), 0, 30), Part(clip("b", 20, "t"), 0, 20)), FPS)


@pytest.mark.parametrize(("frames", "count"), [(100, 8), (101, 16), (17, 16), (16, 16), (5, 8), (1, 3)])
def test_middle_sampling_takes_the_centres_of_equal_parts(frames: int, count: int) -> None:
    wanted = [int((n + 0.5) * frames / count) for n in range(count)] if frames > count else list(range(frames))
    wanted += [frames - 1] * (count - len(wanted))
    assert middle(frames, count) == wanted
    assert seen(middle(frames, count), 0, frames) == min(frames, count)


def test_what_lasts_as_long_as_a_step_is_always_seen() -> None:
    for frames in range(20, 90):
        step = -(-frames // 16)
        sampled = middle(frames, 16)
        assert all(seen(sampled, start, start + step) for start in range(frames - step + 1))


def test_terms_that_hold_together() -> None:
    assert joined(["CC0-1.0", "CC BY 3.0", "CC0-1.0"]) == "CC BY 3.0 AND CC0-1.0"
    assert joined(["CC BY-SA 4.0", "BSD-3-Clause"]) == "BSD-3-Clause AND CC BY-SA 4.0"
    assert joined(["CC BY-SA 4.0", "CC BY-NC 4.0"]) is None
    assert joined(["unstated", "CC BY-SA 4.0"]) is None
    assert joined(["CC BY-ND 4.0"]) is None and joined(["CC BY-NC-ND 4.0", "MIT"]) is None
    assert joined(["CC BY-NC 4.0"]) == "CC BY-NC 4.0"
