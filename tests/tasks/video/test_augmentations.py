"""The seven layouts: lengths, places and times by the rules, and what does not go together."""

import dataclasses
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tasks.keys import canonical_json
from tasks.tables import Reject
from tasks.video.augmentations import (
    concatenation,
    grid,
    spatial_needle,
    spatiotemporal_needle,
    temporal_needle,
    two_needles,
)
from tasks.video.captions import CLIPS
from tasks.video.composition import Box, Canvas, Clip, Composition, Piece, fitted, from_dict, to_dict

CANVAS = Canvas(640, 360, Fraction(12))


def clip(name: str, frames: int, *, fps: int = 12, start: int = 0, source: str = "", **size: int) -> Clip:
    """Return a clip of a file that nobody opens; its times are in units of 1/(1000 fps)."""
    begin, base = 1000 * start, Fraction(1, 1000 * fps)
    shown = size.get("width", 640), size.get("height", 360)
    return Clip(
        name, source or f"file of {name}", "data", f"{name}.mp4", begin, begin + 1000 * frames, base, frames, *shown
    )


HAYSTACK, NEEDLE = clip("haystack", 120), clip("needle", 30)


def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def on_canvas(composition: Composition) -> list[list[tuple[str, int]]]:
    """Return what is seen on each frame, pieces from below to above as (clip, tick): a plain walk over the pieces."""
    frames: list[list[tuple[str, int]]] = [[] for _ in range(composition.frames)]
    for piece in composition.pieces:
        ticks = piece.clip.ticks(composition.canvas.fps)
        for n in range(piece.frames):
            tick = piece.first + n
            tick = tick % ticks if piece.end == "loop" else min(tick, ticks - 1)
            if piece.box == (0, 0, composition.canvas.width, composition.canvas.height):
                frames[piece.at + n].clear()
            frames[piece.at + n].append((piece.clip.clip_id, tick))
    return frames


# --- 1, 2: concatenation ---


def test_a_concatenation_is_as_long_as_its_parts() -> None:
    parts = [clip("a", 30, source="s"), clip("b", 20, source="s", start=40), clip("c", 11, source="s", start=60)]
    built = concatenation(parts, CANVAS)
    assert on_canvas(built.composition) == [[(part.clip_id, n)] for part in parts for n in range(part.frames)]
    assert built.truth.seconds() == [(0, 2.5), (2.5, 50 / 12), (50 / 12, 61 / 12)]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (clip("b", 20, source="s", start=30 + 61), "5.08333 s apart"),
        (clip("b", 20, source="other", start=40), "different sources"),
        (clip("b", 20, source="s", start=29), "not in their order"),
    ],
)
def test_clips_that_are_no_chain_are_not_concatenated(second: Clip, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        concatenation([clip("a", 30, source="s"), second], CANVAS)
    with pytest.raises(ValueError, match="two or more"):
        concatenation([second], CANVAS)


def test_a_gap_of_exactly_five_seconds_is_allowed() -> None:
    parts = [clip("a", 30, source="s"), clip("b", 20, source="s", start=90)]
    assert concatenation(parts, CANVAS).composition.frames == 50


# --- 3, 4: needles in time ---


@pytest.mark.parametrize("mode", ["insert", "overwrite"])
def test_needles_come_at_every_allowed_time_alike(mode: Any) -> None:
    starts = []
    for seed in range(2000):
        built = temporal_needle(HAYSTACK, NEEDLE, CANVAS, drawn(seed), margin_s=1, mode=mode)
        (span,) = built.truth.spans
        starts.append(span.start)
        shown = on_canvas(built.composition)
        hay = [[("haystack", n)] for n in range(120)]
        needle = [[("needle", n)] for n in range(30)]
        after = span.start if mode == "insert" else span.end
        assert shown == hay[: span.start] + needle + hay[after:]
    allowed = range(12, 120 - 12 + 1 - (0 if mode == "insert" else 30))
    counts = np.bincount(starts, minlength=120)[allowed.start : allowed.stop]
    assert counts.sum() == 2000
    expected = 2000 / len(allowed)
    assert ((counts - expected) ** 2 / expected).sum() < len(allowed) + 4 * np.sqrt(2 * len(allowed))


@pytest.mark.parametrize("mode", ["insert", "overwrite"])
def test_the_parts_of_a_needle_keep_their_order_and_distance(mode: Any) -> None:
    gaps = set()
    for seed in range(300):
        built = two_needles(HAYSTACK, NEEDLE, CANVAS, drawn(seed), margin_s=1, min_gap_s=2, mode=mode)
        one, two = built.truth.spans
        shown = on_canvas(built.composition)
        assert len(shown) == (150 if mode == "insert" else 120)
        assert [frame for frame in shown if frame[0][0] == "needle"] == [[("needle", n)] for n in range(30)]
        assert shown[one.start] == [("needle", 0)]
        assert shown[two.start] == [("needle", two.first)]
        assert 12 <= one.first + 12 == 12
        assert one.last == two.first in range(12, 19)
        if mode == "insert":
            assert [frame for frame in shown if frame[0][0] != "needle"] == [[("haystack", n)] for n in range(120)]
        assert one.start >= 12
        assert two.start - one.end >= 24
        assert two.end <= len(shown) - 12
        gaps.add(two.start - one.end)
    assert min(gaps) == 24
    assert max(gaps) > 60


def test_each_pair_of_times_is_as_likely() -> None:
    haystack = clip("haystack", 30)
    seen: dict[tuple[int, int], int] = {}
    for seed in range(2000):
        built = two_needles(haystack, NEEDLE, CANVAS, drawn(seed), margin_s=1, min_gap_s=2 / 12)
        one, two = built.truth.spans
        pair = one.start, two.start - one.end + one.start
        seen[pair] = seen.get(pair, 0) + 1
    pairs = [(a, b) for a in range(12, 19) for b in range(a + 2, 19)]
    assert set(seen) == set(pairs)
    expected = 2000 / len(pairs)
    assert sum((seen[pair] - expected) ** 2 / expected for pair in pairs) < len(pairs) + 4 * np.sqrt(2 * len(pairs))


def test_a_haystack_without_room_is_rejected() -> None:
    for haystack in (clip("haystack", 23), clip("haystack", 50)):
        with pytest.raises(Reject) as caught:
            two_needles(haystack, NEEDLE, CANVAS, drawn(0), margin_s=1, min_gap_s=3)
        assert caught.value.reason == "haystack_too_short"
    with pytest.raises(Reject, match="no room"):
        temporal_needle(clip("haystack", 53), NEEDLE, CANVAS, drawn(0), margin_s=1, mode="overwrite")
    assert temporal_needle(clip("haystack", 54), NEEDLE, CANVAS, drawn(0), margin_s=1, mode="overwrite")
    with pytest.raises(Reject, match="no room"):
        spatiotemporal_needle(clip("haystack", 53), NEEDLE, CANVAS, drawn(0), margin_s=1)
    with pytest.raises(Reject, match="cannot be split"):
        two_needles(HAYSTACK, clip("needle", 1), CANVAS, drawn(0), margin_s=1, min_gap_s=1)


def test_a_needle_of_the_haystacks_own_source_is_refused() -> None:
    mine = clip("needle", 30, source=HAYSTACK.source_id)
    for build in (temporal_needle, spatiotemporal_needle):
        with pytest.raises(ValueError, match="own source"):
            build(HAYSTACK, mine, CANVAS, drawn(0), margin_s=1)
    with pytest.raises(ValueError, match="own source"):
        spatial_needle(HAYSTACK, mine, CANVAS, drawn(0))


# --- 5, 6: needles in space ---


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1280, 534), (322, 241)])
def test_a_small_needle_lies_on_the_picture_and_keeps_its_shape(size: tuple[int, int]) -> None:
    haystack = clip("haystack", 40, width=480, height=360)  # black bars left and right on the canvas
    needle = clip("needle", 30, width=size[0], height=size[1])
    places = []
    for seed in range(300):
        built = spatial_needle(haystack, needle, CANVAS, drawn(seed))
        box = built.truth.box
        assert box is not None
        assert not any(side % 2 for side in box)
        assert 80 <= box.x <= box.x + box.width <= 560
        assert 0 <= box.y <= box.y + box.height <= 360
        assert 0.15 * 360 - 1 <= min(box.width, box.height) <= 0.30 * 360 + 1
        assert abs(box.width / size[0] * size[1] - box.height) <= max(1, size[1] / size[0]) + 1
        assert fitted(*size, box, 2) == box  # no bars in it
        assert on_canvas(built.composition) == [[("haystack", n), ("needle", n % 30)] for n in range(40)]
        places.append(((box.x - 80) / (480 - box.width), box.y / (360 - box.height)))
    assert np.abs(np.mean(places, axis=0) - 0.5).max() < 0.06
    assert min(map(min, places)) < 0.03
    assert max(map(max, places)) > 0.97


def test_a_very_long_needle_fits_across() -> None:
    box = spatial_needle(HAYSTACK, clip("needle", 30, width=2000, height=100), CANVAS, drawn(0)).truth.box
    assert box is not None
    assert box.width <= 640
    assert 28 <= box.height <= 32


def test_a_spatiotemporal_needle_is_there_for_its_own_length_alone() -> None:
    starts = set()
    for seed in range(300):
        built = spatiotemporal_needle(HAYSTACK, NEEDLE, CANVAS, drawn(seed), margin_s=1)
        (span,) = built.truth.spans
        for n, frame in enumerate(on_canvas(built.composition)):
            above = [("needle", n - span.start)] if span.start <= n < span.start + 30 else []
            assert frame == [("haystack", n), *above]
        assert span.end == span.start + 30
        starts.add(span.start)
    assert (min(starts), max(starts)) == (12, 120 - 12 - 30)


# --- 7: grid ---


def test_a_grid_is_filled_row_by_row_and_one_cell_is_asked_of() -> None:
    canvas = Canvas(1920, 1080, Fraction(8))
    clips = [clip(f"c{n}", 20 if n % 2 else 60, fps=8 if n % 3 else 24) for n in range(64)]
    asked = set()
    for seed in range(300):
        composition, truth = grid(clips, canvas, drawn(seed))
        assert (composition.frames, composition.canvas.pixels) == (24, "yuv444p")
        for number, piece in enumerate(composition.pieces):
            assert piece.clip == clips[number]
            assert piece.box == (240 * (number % 8), 135 * (number // 8), 240, 135)
            assert (piece.at, piece.frames) == (0, 24)
        assert truth.cell is not None
        row, column = truth.cell
        assert truth.clips == (f"c{8 * (row - 1) + column - 1}",)
        assert truth.box == (240 * (column - 1), 135 * (row - 1), 240, 135)
        asked.add(truth.cell)
    assert len(asked) > 60
    assert {row for row, _ in asked} == {column for _, column in asked} == set(range(1, 9))
    last = on_canvas(composition)[23]
    assert last[:6] == [("c0", 19), ("c1", 19), ("c2", 23), ("c3", 6), ("c4", 23), ("c5", 19)]


def test_even_cells_are_composed_in_the_format_of_the_file() -> None:
    clips = [clip(f"c{n}", 30) for n in range(4)]
    assert grid(clips, CANVAS, drawn(0), rows=2, columns=2).composition.canvas.pixels == "yuv420p"


def test_a_grid_wants_distinct_clips_and_equal_cells() -> None:
    clips = [clip(f"c{n}", 30) for n in range(4)]
    with pytest.raises(ValueError, match="as many distinct clips"):
        grid(clips[:3], CANVAS, drawn(0), rows=2, columns=2)
    with pytest.raises(ValueError, match="as many distinct clips"):
        grid([*clips[:3], clips[0]], CANVAS, drawn(0), rows=2, columns=2)
    with pytest.raises(ValueError, match="no 3 x 1 equal cells"):
        grid(clips[:3], CANVAS, drawn(0), rows=1, columns=3)


# --- plans ---


def test_a_plan_is_plain_data_from_which_the_same_composition_comes() -> None:
    built = two_needles(HAYSTACK, NEEDLE, CANVAS, drawn(1), margin_s=1, min_gap_s=2)
    text = canonical_json(to_dict(built.composition))
    assert from_dict(json.loads(text)) == built.composition
    assert canonical_json(to_dict(from_dict(json.loads(text)))) == text
    assert text.count('"path"') == 2  # each clip once
    canonical_json(built.truth.to_dict())
    again = two_needles(HAYSTACK, NEEDLE, CANVAS, drawn(1), margin_s=1, min_gap_s=2)
    assert again == built


def test_a_clip_is_a_row_of_captioned_clips() -> None:
    row = dict.fromkeys(CLIPS.names) | {
        "clip_id": "c",
        "source_id": "s",
        "root": "data/raw/clips",
        "path": "videos/v.mp4",
        "start_pts": 512,
        "end_pts": 1536,
        "time_base_num": 1,
        "time_base_den": 6144,
        "frames": 2,
        "width_px": 640,
        "height_px": 360,
    }
    found = Clip.of(row)
    assert found == Clip("c", "s", "data/raw/clips", "videos/v.mp4", 512, 1536, Fraction(1, 6144), 2, 640, 360)
    assert found.file.as_posix() == "data/raw/clips/videos/v.mp4"
    assert (found.start_s, found.end_s) == (Fraction(1, 12), Fraction(1, 4))


def test_what_is_no_plan_is_refused() -> None:
    plan = to_dict(temporal_needle(HAYSTACK, NEEDLE, CANVAS, drawn(1), margin_s=1).composition)
    for wrong in ({**plan, "more": 1}, {**plan, "pieces": [{"clip": 0}]}, {"frames": 3}, {**plan, "clips": []}):
        with pytest.raises(ValueError, match=r"composition|keys"):
            from_dict(wrong)
    plan["pieces"][0]["frames"] = 10**6
    with pytest.raises(ValueError, match="piece 0"):
        from_dict(plan)


GOOD = Piece(HAYSTACK, CANVAS.whole, 0, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": Box(1, 0, 20, 20)}, "even pixels"),
        ({"box": Box(0, 0, 20, 21)}, "even pixels"),
        ({"box": Box(630, 0, 20, 20)}, "not on a canvas"),
        ({"box": Box(-2, 0, 20, 20)}, "not on a canvas"),
        ({"box": Box(0, 0, 0, 20)}, "not on a canvas"),
        ({"at": 10}, "frames 10 to 30 of 20"),
        ({"at": -1}, "frames -1 to 19"),
        ({"first": 101}, "ticks 101 to 121 of a clip that has 120"),
        ({"first": 120, "end": "loop"}, "of a clip that has 120"),
        ({"end": "stop"}, "end is one of"),
    ],
)
def test_a_piece_that_cannot_be_laid_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Composition(CANVAS, 20, (GOOD, dataclasses.replace(GOOD, **change)))


def test_a_frame_on_which_nothing_is_shown_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is shown on frame 20 of 21"):
        Composition(CANVAS, 21, (GOOD,))
    with pytest.raises(ValueError, match="nothing is shown"):
        Composition(CANVAS, 0, ())


@pytest.mark.parametrize(
    "wrong", [{"width": 641}, {"height": 0}, {"fps": Fraction(0)}, {"matrix": "bt2020"}, {"pixels": "rgb24"}]
)
def test_a_canvas_that_cannot_be_encoded_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a canvas of"):
        dataclasses.replace(CANVAS, **wrong)


@pytest.mark.parametrize(
    ("fps", "base", "frames", "ticks"),
    [
        (Fraction(12), Fraction(1, 1000), 36, 36),  # 3 s, in milliseconds
        (Fraction(24), Fraction(1, 1000), 73, 37),  # 73 frames: the last is shown at a tick of 12
        (Fraction(24), Fraction(1, 1000), 72, 36),
        (Fraction(30000, 1001), Fraction(1, 30000), 61, 25),  # 2.035 s
        (Fraction(10), Fraction(1, 1000), 1, 2),  # shown for 0.1 s: at 0 and at 1/12
        (Fraction(60), Fraction(1, 1000), 1, 1),
    ],
)
def test_a_clip_has_a_tick_for_each_twelfth_of_a_second_that_it_lasts(
    fps: Fraction, base: Fraction, frames: int, ticks: int
) -> None:
    for begin in range(0, 7):
        start, end = (round(n / fps / base) for n in (begin, begin + frames))
        assert Clip("c", "s", "r", "p", start, end, base, frames, 640, 360).ticks(Fraction(12)) == ticks
