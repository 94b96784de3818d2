"""What is rendered, sample by sample: against a plain decode of the clips that went in."""

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tasks.keys import canonical_json
from tasks.video.augmentations import (
    concatenation,
    grid,
    spatial_needle,
    spatiotemporal_needle,
    temporal_needle,
    two_needles,
)
from tasks.video.composition import Box, Built, Canvas, Clip, Composition, Piece, to_dict
from tasks.video.reading import Counts
from tasks.video.rendering import Encoding, Shelf, Small, composed_frames, render_file, sampled_frames
from tests.tasks.video.composed import (
    LOSSLESS,
    SMALL,
    Planes,
    clip_of,
    cut,
    decoded,
    frames_of,
    outside,
    planes_of,
    resized,
    rgb_of,
    same,
    write,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def haystack(folder: Path) -> Clip:
    """36 frames inside a file of 48."""
    return clip_of(write(folder / "haystack.mp4", 1, 48), 6, 36)


@pytest.fixture(scope="module")
def needle(folder: Path) -> Clip:
    """10 frames inside a file of 20, of the haystack's size."""
    return clip_of(write(folder / "needle.mp4", 2, 20), 5, 10)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rendered(built: Built, folder: Path) -> list[Planes]:
    """Render without loss and decode plainly."""
    facts = render_file(built.composition, folder / "video.mkv", LOSSLESS)
    found = decoded(folder / "video.mkv")
    assert facts.frames == len(found) == built.composition.frames
    return found


def equal(found: list[Planes], expected: list[Planes]) -> bool:
    return len(found) == len(expected) and all(same(a, b) for a, b in zip(found, expected, strict=True))


# --- exactness, subset by subset ---


def test_concatenated_clips_follow_each_other_frame_by_frame(folder: Path, haystack: Clip, tmp_path: Path) -> None:
    parts = [clip_of(haystack.file, first, frames) for first, frames in ((0, 10), (12, 9), (21, 20))]
    built = concatenation(parts, SMALL)
    expected = [frame for part in parts for frame in frames_of(part)]
    assert equal(rendered(built, tmp_path), expected)
    assert len(expected) == 39
    assert [(span.start, span.end) for span in built.truth.spans] == [(0, 10), (10, 19), (19, 39)]
    assert built.truth.clips == tuple(part.clip_id for part in parts)


def test_an_inserted_needle_lengthens_the_video_and_every_sample_is_a_clips(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    starts = set()
    base, hidden = frames_of(haystack), frames_of(needle)
    for seed in range(3):
        built = temporal_needle(haystack, needle, SMALL, random(seed), margin_s=0.5)
        (span,) = built.truth.spans
        assert equal(rendered(built, tmp_path), base[: span.start] + hidden + base[span.start :])
        assert (span.end - span.start, span.first, span.last) == (10, 0, 10)
        assert built.truth.seconds() == [(span.start / 12, span.end / 12)]
        starts.add(span.start)
    assert len(starts) > 1


def test_a_needle_that_overwrites_takes_the_place_of_as_many_frames(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    built = temporal_needle(haystack, needle, SMALL, random(), margin_s=0.5, mode="overwrite")
    base, hidden, (span,) = frames_of(haystack), frames_of(needle), built.truth.spans
    assert equal(rendered(built, tmp_path), base[: span.start] + hidden + base[span.end :])


@pytest.mark.parametrize("mode", ["insert", "overwrite"])
def test_two_needle_parts_are_the_clip_and_the_rest_is_the_haystack(
    haystack: Clip, needle: Clip, tmp_path: Path, mode: Any
) -> None:
    built = two_needles(haystack, needle, SMALL, random(3), margin_s=0.5, min_gap_s=0.5, mode=mode)
    base, hidden, (one, two) = frames_of(haystack), frames_of(needle), built.truth.spans
    found = rendered(built, tmp_path)
    assert equal(found[one.start : one.end] + found[two.start : two.end], hidden)
    assert 6 <= one.start < one.end <= two.start - 6
    rest = found[: one.start] + found[one.end : two.start] + found[two.end :]
    if mode == "overwrite":
        base = base[: one.start] + base[one.end : two.start] + base[two.end :]
    assert equal(rest, base)


def test_a_spatial_needle_loops_in_its_box_and_nothing_else_changes(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    built = spatial_needle(haystack, needle, SMALL, random(1))
    box = built.truth.box
    assert box is not None
    base, hidden = frames_of(haystack), resized(needle, box.width, box.height)
    found = rendered(built, tmp_path)
    assert len(found) == 36
    for number, (frame, under) in enumerate(zip(found, base, strict=True)):
        assert same(outside(frame, box), outside(under, box))
        assert same(cut(frame, box), hidden[number % 10])


def test_the_last_frame_of_a_short_spatial_needle_stays_where_asked(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    built = spatial_needle(haystack, needle, SMALL, random(1), end="freeze")
    box = built.truth.box
    assert box is not None
    hidden = resized(needle, box.width, box.height)
    assert equal([cut(frame, box) for frame in rendered(built, tmp_path)], hidden + hidden[-1:] * 26)


def test_a_spatiotemporal_needle_is_seen_in_its_box_and_time_alone(
    haystack: Clip, needle: Clip, tmp_path: Path
) -> None:
    built = spatiotemporal_needle(haystack, needle, SMALL, random(5), margin_s=0.5)
    (span,), box = built.truth.spans, built.truth.box
    assert box is not None
    base, hidden = frames_of(haystack), resized(needle, box.width, box.height)
    found = rendered(built, tmp_path)
    assert equal(found[: span.start] + found[span.end :], base[: span.start] + base[span.end :])
    inside = found[span.start : span.end]
    assert equal([cut(frame, box) for frame in inside], hidden)
    under = base[span.start : span.end]
    assert equal([outside(frame, box) for frame in inside], [outside(frame, box) for frame in under])


def test_the_fitted_needle_is_the_needle_averaged_over_areas(haystack: Clip, tmp_path: Path) -> None:
    box = Box(20, 10, 80, 48)
    pieces = (Piece(haystack, SMALL.whole, 0, 4), Piece(haystack, box, 0, 4))
    render_file(Composition(SMALL, 4, pieces), tmp_path / "video.mkv", LOSSLESS)
    for frame, full in zip(decoded(tmp_path / "video.mkv"), frames_of(haystack), strict=False):
        luma = full[0].astype(float).reshape(48, 2, 80, 2).mean(axis=(1, 3))
        assert np.abs(cut(frame, box)[0] - luma).max() <= 1
        for plane, chroma in zip(cut(frame, box)[1:], full[1:], strict=True):
            wide = cv2.resize(chroma.astype(np.float32), (40, 24), interpolation=cv2.INTER_AREA)
            assert np.abs(plane - wide).mean() < 1.5  # sited a quarter of a sample to the left


@pytest.fixture(scope="module")
def cells(folder: Path) -> list[Clip]:
    """64 clips, 6 frames each but for some of 4."""
    paths = [write(folder / f"cell{n}.mp4", 100 + n, 4 if n % 9 == 0 else 6, width=80, height=46) for n in range(64)]
    return [clip_of(path) for path in paths]


def test_each_cell_of_a_grid_is_its_resized_clip(cells: list[Clip], tmp_path: Path) -> None:
    canvas = Canvas(320, 184, Fraction(12))  # of 40 x 23: an odd height, as 240 x 135 has
    built = grid(cells, canvas, random(2), length_s=0.5)
    found = rendered(built, tmp_path)
    assert len(found) == 6
    for number, clip in enumerate(cells):
        row, column = number // 8, number % 8
        expected = resized(clip, 40, 23, "yuv444p")
        expected += expected[-1:] * (6 - len(expected))
        assert equal([cut(frame, (40 * column, 23 * row, 40, 23)) for frame in found], expected)
    assert built.truth.cell is not None
    row, column = built.truth.cell
    assert built.truth.clips == (cells[8 * (row - 1) + column - 1].clip_id,)
    assert built.truth.box == Box(40 * (column - 1), 23 * (row - 1), 40, 23)


def test_a_grid_is_subsampled_once_over_the_whole_canvas(cells: list[Clip], tmp_path: Path) -> None:
    built = grid(cells, Canvas(320, 184, Fraction(12)), random(2), length_s=0.25)
    full = rendered(built, tmp_path)
    render_file(built.composition, tmp_path / "video.mp4", Encoding("h264", crf=0))
    for frame, coded in zip(full, decoded(tmp_path / "video.mp4"), strict=True):
        assert np.array_equal(frame[0], coded[0])
        for whole, half in zip(frame[1:], coded[1:], strict=True):
            assert half.shape == (92, 160)
            pairs = whole.astype(float).reshape(92, 2, 160, 2).mean(axis=(1, 3))
            assert np.abs(half - pairs).mean() < 1.5


def test_a_lossless_h264_file_holds_the_same_samples_as_ffv1(haystack: Clip, needle: Clip, tmp_path: Path) -> None:
    built = spatiotemporal_needle(haystack, needle, SMALL, random(5), margin_s=0.5)
    found = rendered(built, tmp_path)
    render_file(built.composition, tmp_path / "video.mp4", Encoding("h264", crf=0))
    assert equal(decoded(tmp_path / "video.mp4"), found)


# --- files ---


def every_kind(haystack: Clip, needle: Clip, cells: list[Clip]) -> dict[str, Built]:
    canvas = Canvas(320, 184, Fraction(12))
    return {
        "temporal": temporal_needle(haystack, needle, SMALL, random(1), margin_s=0.5),
        "two": two_needles(haystack, needle, SMALL, random(1), margin_s=0.5, min_gap_s=0.5),
        "spatial": spatial_needle(haystack, needle, SMALL, random(1)),
        "spatiotemporal": spatiotemporal_needle(haystack, needle, SMALL, random(1), margin_s=0.5),
        "grid": grid(cells, canvas, random(1), length_s=0.5),
    }


def test_one_pass_and_one_encode_for_each_video_and_no_other_file(
    haystack: Clip, needle: Clip, cells: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, str]] = []
    plain = av.open

    def watched(file: Any, mode: str | None = None, **rest: Any) -> Any:
        opened.append((Path(file).name, mode or "r"))
        return plain(file, mode, **rest)

    monkeypatch.setattr(av, "open", watched)
    decodes = {"temporal": (2, 46), "two": (2, 46), "spatial": (2, 46), "spatiotemporal": (2, 46)}
    for name, built in every_kind(haystack, needle, cells).items():
        opened.clear()
        target = tmp_path / name / f"{name}.mp4"
        target.parent.mkdir()
        facts = render_file(built.composition, target, Encoding())
        assert [one for one in opened if one[1] == "w"] == [(target.name, "w")]
        assert list(target.parent.iterdir()) == [target]
        expected = decodes.get(name, (64, sum(cell.frames for cell in cells)))
        assert (facts.counts.decoders, facts.counts.decoded_frames) == expected
        assert facts.counts.encodes == 1
        assert facts.counts.composed_frames == built.composition.frames
        clips = {piece.clip.path for piece in built.composition.pieces}
        assert {one[0] for one in opened if one[1] == "r"} == clips
        assert len([one for one in opened if one[1] == "r"]) == len(clips)  # none twice


def test_a_file_is_h264_of_the_canvas_without_sound(haystack: Clip, needle: Clip, tmp_path: Path) -> None:
    built = temporal_needle(haystack, needle, SMALL, random(1), margin_s=0.5)
    facts = render_file(built.composition, tmp_path / "video.mp4", Encoding(crf=30, preset="ultrafast"))
    data = (tmp_path / "video.mp4").read_bytes()
    assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert b"elst" not in data
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 160, 96)
        assert stream.average_rate == 12
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
        times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    assert times == pytest.approx([n / 12 for n in range(46)])


RENDER = """
import json, sys
from pathlib import Path
from tasks.video.composition import from_dict
from tasks.video.reading import Counts
from tasks.video.rendering import Encoding, Shelf, Small, render_file
render_file(from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), Encoding(sys.argv[3]))
"""


def test_the_same_plan_gives_the_same_bytes_whatever_lies_in_memory(
    haystack: Clip, needle: Clip, cells: list[Clip], tmp_path: Path
) -> None:
    kinds = every_kind(haystack, needle, cells)
    for name, codec in (("spatial", "h264"), ("grid", "h264"), ("two", "ffv1")):
        plan = canonical_json(to_dict(kinds[name].composition))
        for filled_with in ("1", "85"):
            run = [sys.executable, "-c", RENDER, plan, str(tmp_path / f"{name}{filled_with}"), codec]
            subprocess.run(run, check=True, env={**os.environ, "MALLOC_PERTURB_": filled_with})
        assert (tmp_path / f"{name}1").read_bytes() == (tmp_path / f"{name}85").read_bytes()
        here = render_file(kinds[name].composition, tmp_path / name, Encoding(codec))
        assert hashlib.sha256((tmp_path / f"{name}1").read_bytes()).hexdigest() == here.sha256


# --- frames for a loader ---


@pytest.mark.parametrize("kind", ["temporal", "two", "spatial", "spatiotemporal", "grid"])
def test_sampled_frames_are_those_of_the_lossless_file(
    kind: str, haystack: Clip, needle: Clip, cells: list[Clip], tmp_path: Path
) -> None:
    built = every_kind(haystack, needle, cells)[kind]
    render_file(built.composition, tmp_path / "video.mkv", LOSSLESS)
    wanted = [0, 5, 3, 3, built.composition.frames - 1]
    found = sampled_frames(built.composition, wanted, (64, 40))
    assert found.shape == (5, 40, 64, 3)
    with av.open(str(tmp_path / "video.mkv")) as container:
        every = list(container.decode(video=0))
    for image, number in zip(found, wanted, strict=True):
        small = cv2.resize(rgb_of(planes_of(every[number])), (64, 40), interpolation=cv2.INTER_AREA)
        assert np.abs(image - small).mean() < 1.0
        assert np.array_equal(image, Small(built.composition.canvas, (64, 40)).of(every[number]))


def test_a_loader_that_keeps_small_pieces_decodes_each_clip_once(cells: list[Clip]) -> None:
    canvas, shelf = Canvas(320, 184, Fraction(12)), Shelf(10**7)
    grids = [grid([cells[n] for n in random(seed).permutation(64)], canvas, random(seed)) for seed in range(3)]
    decoded_frames = []
    for built in grids:
        plain = sampled_frames(built.composition, [1, 4], (64, 40))
        counts = Counts()
        assert np.array_equal(sampled_frames(built.composition, [1, 4], (64, 40), counts, shelf), plain)
        decoded_frames.append(counts.decoded_frames)
    assert decoded_frames[0] > 100
    assert decoded_frames[1:] == [0, 0]


def test_what_a_shelf_keeps_is_bounded_and_the_longest_unused_go_first() -> None:
    shelf = Shelf(100)
    for name in "abc":
        for _ in range(2):
            shelf.put(name, 40, {}, 7)
        shelf.get("a")
    assert [shelf.get(name) is not None for name in "abc"] == [True, False, True]
    assert shelf.bytes == 80


def test_of_a_shelf_what_costs_most_to_make_again_stays_longest_and_goes_at_last() -> None:
    shelf = Shelf(100)
    shelf.put("film", 40, {}, 90)
    for number in range(10):
        shelf.put(number, 20, {}, 5)
    assert shelf.get("film") is not None
    assert [number for number in range(10) if shelf.get(number) is not None] == [7, 8, 9]
    for number in range(200):
        shelf.put(number, 20, {}, 5)
    assert shelf.get("film") is None
    assert shelf.bytes <= 100


def test_frames_that_do_not_rise_or_are_not_there_are_refused(haystack: Clip) -> None:
    composition = Composition(SMALL, 4, (Piece(haystack, SMALL.whole, 0, 4),))
    for wrong in ([2, 1], [1, 1], [4], [-1]):
        with pytest.raises(ValueError, match="frames must rise from 0 to 3"):
            list(composed_frames(composition, wrong))
