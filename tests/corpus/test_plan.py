"""The planted corpus as it is planned: complete, consistent, always the same."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.conftest import REPOSITORY
from tests.corpus.evaluate import kind_of, plan_hash
from tests.corpus.plan import (
    BY_ID,
    CLIPS,
    CODECS,
    FAULTS,
    FLASH,
    GOOD,
    MIN_TAKE_S,
    SIZES,
    SMALL,
    Boundary,
    Clip,
    Join,
    Shot,
    boundaries,
    starts,
    takes,
)


def kinds(clip: Clip) -> set[str]:
    """Return the faults, joins and good kinds that a clip shows."""
    joins = {kind_of(b, boundaries(clip), clip.frames) for b in boundaries(clip)}
    copied = {clip.id.rsplit("-", 1)[0]} if clip.copy_of else set()
    return {take.kind for take in takes(clip)} | joins | copied


def test_every_codec_has_every_fault() -> None:
    shown = {codec: set().union(*(kinds(clip) for clip in CLIPS if clip.codec == codec)) for codec in CODECS}
    copies = {"copy_coded", "copy_cropped", "copy_flipped", "copy_offset"}
    joins = {"cut", "close cut", "dissolve", "fade"}
    expected = (set(FAULTS) - {"near-duplicate"}) | {GOOD, FLASH} | copies | joins
    assert shown == dict.fromkeys(CODECS, expected)


def test_two_hundred_clips_from_180_to_720_lines_of_five_seconds_or_more() -> None:
    assert len(CLIPS) >= 200
    assert len({clip.id for clip in CLIPS}) == len(CLIPS)
    assert {clip.height for clip in CLIPS} == set(SIZES)
    long = [clip for clip in CLIPS if takes(clip)[0].kind != "too short"]
    assert min(clip.seconds for clip in long) >= 4.9
    assert all(clip.fps >= 12 or takes(clip)[0].kind == "low frame rate" for clip in CLIPS)


def test_forty_clips_show_every_fault_and_all_codecs() -> None:
    assert len(SMALL) == len(set(SMALL)) == 40
    assert set().union(*map(kinds, SMALL)) == set().union(*map(kinds, CLIPS))
    assert min(Counter(clip.codec for clip in SMALL).values()) >= 6
    for clip in SMALL:
        assert not clip.copy_of or BY_ID[clip.copy_of] in SMALL


@pytest.mark.parametrize("codec", CODECS)
def test_the_truth_of_every_clip_is_consistent(codec: str) -> None:
    for clip in CLIPS:
        if clip.codec == codec:
            check_truth(clip)


def check_truth(clip: Clip) -> None:
    parts, between = takes(clip), boundaries(clip)
    assert [parts[0].start, parts[-1].end] == [0, clip.frames]
    for before, after, boundary in zip(parts, parts[1:], between, strict=False):
        assert 0 <= before.start < before.end == boundary.end <= boundary.start == after.start < after.end
    for take in parts:
        seconds = (take.end - take.start) / clip.fps
        if take.kind == "too short":
            assert seconds <= MIN_TAKE_S - 0.5
        elif take.kind != "slide show":
            assert seconds >= MIN_TAKE_S + 0.6


def test_a_copy_shows_the_same_as_its_original_in_another_codec() -> None:
    copies = [clip for clip in CLIPS if clip.copy_of]
    assert len(copies) == 4 * len(CODECS)
    for copy in copies:
        (shot,), (of,) = copy.shots, BY_ID[copy.copy_of].shots
        assert copy.codec != BY_ID[copy.copy_of].codec
        assert (shot.seed, shot.camera, shot.path_s) == (of.seed, of.camera, of.path_s)
        assert shot.start_s + shot.frames / copy.fps <= of.path_s + 1e-9
        assert takes(copy)[0].group == takes(BY_ID[copy.copy_of])[0].group == copy.copy_of
    lone = [take for clip in CLIPS for take in takes(clip) if not take.group]
    assert len({shot.seed for clip in CLIPS if not clip.copy_of for shot in clip.shots}) == len(lone) + len(copies)


def test_frames_of_a_dissolve_belong_to_both_shots_and_those_of_a_fade_have_black_between() -> None:
    shots = tuple(Shot(seed, "pan", 100, 5.0) for seed in range(3))
    clip = Clip("a", "h264", 180, 24, shots, (Join("dissolve", 10), Join("fade", 20)))
    assert starts(clip) == [0, 90, 194]
    assert clip.frames == 294
    assert boundaries(clip) == [Boundary(90, 100, "dissolve"), Boundary(180, 204, "fade")]
    assert [(take.start, take.end) for take in takes(clip)] == [(0, 90), (100, 180), (204, 294)]


def test_the_plan_is_the_same_in_every_process() -> None:
    code = "from tests.corpus.evaluate import plan_hash; from tests.corpus.plan import CLIPS; print(plan_hash(CLIPS))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert found == {plan_hash(CLIPS) + "\n"}
