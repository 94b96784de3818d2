"""What is said of a clip's numbers: the truth, or nothing."""

from pathlib import Path

import numpy as np
import pytest

from tasks.video.captions import Fact
from tasks.video.colour_names import COLOURS
from tasks.video.measured import SAMPLED, Measured
from tasks.video.measured_captions import VOCABULARY, camera, clip_caption, clip_facts, segments
from tasks.video.picture_facts import PLACES, Look, look_at
from tasks.video.question_forms import clause, forms_of
from tasks.video.scores import MOTION, Motion
from tests.tasks.video.clips import texture, write_clip
from tests.tasks.video.consumed import consume
from tests.tasks.video.measures import PICTURES, SAMPLES, clip, shares_of

GREEN = shares_of(picture={"green": 0.7, "grey": 0.1})


def values(one: Measured, kind: str) -> dict[str, str]:
    return {fact.subject: fact.value for fact in clip_facts(one) if fact.kind == kind}


# --- colours ---


def test_a_colour_that_fills_most_of_the_picture_dominates_it() -> None:
    assert values(clip(GREEN), "dominant_colour")["the picture"] == "green"


@pytest.mark.parametrize(
    "colours",
    [{"green": 0.4}, {"green": 0.5, "blue": 0.3}, {"green": 0.5, "grey": 0.5}, {}],
    ids=["too little", "another is near", "as much of another", "no colour"],
)
def test_a_doubtful_colour_is_not_named(colours: dict[str, float]) -> None:
    assert values(clip(shares_of(picture=colours)), "dominant_colour") == {}


def test_a_colour_that_one_picture_lacks_does_not_dominate_the_clip() -> None:
    pictures = [GREEN] * PICTURES
    pictures[4] = shares_of(picture={"green": 0.2, "blue": 0.6})
    assert values(clip(pictures), "dominant_colour") == {}


def test_a_part_has_its_own_colour() -> None:
    found = values(clip(shares_of(picture={"green": 0.7}, upper={"blue": 0.8})), "dominant_colour")
    assert found["the upper part of the picture"] == "blue"
    assert found["the picture"] == found["the left side of the picture"] == "green"
    caption = clip_caption(clip(shares_of(picture={"green": 0.7}, upper={"blue": 0.8})))
    assert "The picture is mostly green and the upper part of the picture is mostly blue." in caption
    assert "left side" not in caption  # it is as the whole


def test_a_change_of_colour_is_told_with_before_and_after() -> None:
    pictures = [GREEN] * 5 + [shares_of(picture={"blue": 0.8})] * 5
    found = clip(pictures)
    assert values(found, "colour_before") == {"the picture": "green"}
    assert values(found, "colour_after") == {"the picture": "blue"}
    assert "mostly green at first, mostly blue at last" in clip_caption(found)
    told = [caption for caption, _ in segments(found)]
    assert [("more blue" in one, "less green" in one) for one in told].count((True, True)) == 1


# --- light and motion ---


@pytest.mark.parametrize(
    ("luma", "word"), [(50, "dark"), (90, ""), (118, "medium"), (141, ""), (190, "bright")], ids=str
)
def test_light_has_a_word_away_from_the_bounds(luma: float, word: str) -> None:
    assert values(clip(luma=luma), "brightness") == ({"the picture": word} if word else {})


def test_light_that_leaves_its_band_has_no_word() -> None:
    assert values(clip(luma=[190] * 19 + [120]), "brightness") == {}


@pytest.mark.parametrize(("last", "word"), [(150, "brightens"), (90, ""), (40, "darkens")])
def test_a_change_of_light_is_told(last: float, word: str) -> None:
    found = clip(luma=np.linspace(95, last, SAMPLES))
    assert values(found, "change") == ({"the picture": word} if word else {})


def test_light_that_goes_up_and_down_does_not_brighten() -> None:
    assert values(clip(luma=[60] * 8 + [160] * 4 + [80] * 4 + [140] * 4), "change") == {}


@pytest.mark.parametrize(("speed", "word"), [(5, "little"), (28, ""), (50, "moderate"), (90, ""), (200, "much")])
def test_motion_has_a_word_away_from_the_bounds(speed: float, word: str) -> None:
    assert values(clip(motion_px_s=speed), "motion") == ({"the picture": word} if word else {})


def test_motion_that_is_not_known_has_no_word() -> None:
    assert values(clip(motion_px_s=np.nan, camera_px_s=np.nan, object_px_s=np.nan), "motion") == {}


@pytest.mark.parametrize(
    ("changes", "word"),
    [((9, 1, 1), "on the left"), ((1, 9, 1), "in the middle"), ((1, 1, 9), "on the right"), ((5, 4, 4), "")],
)
def test_most_of_the_motion_has_a_place(changes: tuple[float, ...], word: str) -> None:
    found = values(clip(changes=changes, camera_px_s=0.5), "object_position")
    assert found == ({"most of the motion": word} if word else {})
    assert values(clip(changes=changes, camera_px_s=80), "object_position") == {}  # the camera moves all


# --- the camera ---


@pytest.mark.parametrize(
    ("x", "y", "zoom", "word"),
    [
        *((60, 0, 0, "moves left"), (-60, 0, 0, "moves right"), (0, 60, 0, "moves up"), (0, -60, 0, "moves down")),
        *((0, 0, 0.2, "moves closer"), (0, 0, -0.2, "moves away"), (50, 40, 0, ""), (15, 0, 0, "")),
    ],
)
def test_the_camera_goes_against_what_is_seen(x: float, y: float, zoom: float, word: str) -> None:
    found = clip(pan_x_px_s=x, pan_y_px_s=y, zoom_per_s=zoom, camera_px_s=60, object_px_s=5)
    assert values(found, "camera_motion") == ({"the camera": word} if word else {})


def test_a_camera_that_turns_back_or_rests_for_a_while_has_no_word() -> None:
    for speeds in ([80] * 10 + [-40] * 10, [120] * 12 + [0] * 8):
        assert values(clip(pan_x_px_s=speeds, camera_px_s=60, object_px_s=5), "camera_motion") == {}


def test_a_camera_is_not_judged_by_what_moves_before_it() -> None:
    assert values(clip(pan_x_px_s=60, camera_px_s=60, object_px_s=100), "camera_motion") == {}


def test_a_still_camera_is_still() -> None:
    assert values(clip(camera_px_s=0.6), "camera_motion") == {"the camera": "still"}
    assert values(clip(camera_px_s=[0.3] * 17 + [20] * 3), "camera_motion") == {}


@pytest.mark.parametrize(
    ("word", "step"),
    [
        ("moves right", (4, 0)),
        ("moves left", (-4, 0)),
        ("moves down", (0, 3)),
        ("moves up", (0, -3)),
        ("still", (0, 0)),
    ],
)
def test_a_window_that_slides_over_a_picture_is_a_camera_that_goes_there(
    word: str, step: tuple[int, int], tmp_path: Path
) -> None:
    """A real file: the window's way over the texture is the camera's."""
    scene = texture(5, 180 + 3 * 48, 320 + 4 * 48)
    x, y = (0 if one >= 0 else 47 * -one for one in step)
    windows = [(y + step[1] * n, x + step[0] * n) for n in range(48)]
    images = [np.ascontiguousarray(scene[top : top + 180, left : left + 320]) for top, left in windows]
    path = write_clip(tmp_path / "a.mp4", images)
    _, table = consume(path, lambda keep: Motion(keep, per_s=4, short_side_px=144))
    samples = {name: table.column(name).to_numpy() for name in MOTION} | {"luma": np.full(len(table), 90.0)}
    seen = Measured(
        *(
            0,
            48,
            (4, 14, 24, 33, 43),
            np.array([0]),
            Look(np.zeros((1, 6, len(COLOURS))), np.zeros((1, 9))),
            np.zeros((0, 3)),
        ),
        *(table.column("pts").to_numpy(), {name: samples[name] for name in SAMPLED}, 16 / 9),
    )
    assert camera(seen) == word


# --- light ---


@pytest.mark.parametrize("place", range(9))
def test_where_it_is_lightest_and_darkest_is_said_where_it_stays_so(place: int) -> None:
    light = np.full((PICTURES, 9), 100.0)
    light[:, place] += 20
    light[:, (place + 4) % 9] -= 20
    said = {fact.kind: fact.value for fact in clip_facts(clip(light=light))}
    assert said == {"brightest_part": PLACES[place], "darkest_part": PLACES[(place + 4) % 9]}
    assert clip_caption(clip(light=light)) == (
        f"The picture is brightest at its {PLACES[place]} and darkest at its {PLACES[(place + 4) % 9]}."
    )
    light[3, place] = 101  # in one picture hardly
    assert {fact.kind for fact in clip_facts(clip(light=light))} == {"darkest_part"}


def test_light_of_a_picture_is_that_of_its_ninths() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    grey = image @ np.array([0.114, 0.587, 0.299])
    means = [block.mean() for row in np.vsplit(grey, 3) for block in np.hsplit(row, 3)]
    np.testing.assert_allclose(look_at(image)[1], means, atol=0.6)  # OpenCV's grey is rounded


# --- facts and segments ---


def test_every_value_is_of_the_vocabulary_and_can_be_asked_for() -> None:
    for kind, words in VOCABULARY.items():
        for word in words:
            fact = Fact(kind, "the camera" if kind == "camera_motion" else "the upper part of the picture", word)
            assert forms_of(fact)
            assert word.split()[-1] in clause(fact)
    for one in (clip(GREEN, luma=190, motion_px_s=200, camera_px_s=0.5), clip(luma=np.linspace(90, 190, SAMPLES))):
        for fact in clip_facts(one):
            assert fact.value in VOCABULARY[fact.kind]


def test_subjects_are_unique_among_the_facts_of_a_kind() -> None:
    facts = clip_facts(clip(GREEN, luma=190, motion_px_s=200, camera_px_s=0.5, changes=(9, 1, 1)))
    assert len({(fact.kind, fact.subject) for fact in facts}) == len(facts) > 8


def test_five_segments_tell_what_is_new() -> None:
    quiet, busy = [10] * 8, [200] * 12
    told = segments(clip(GREEN, luma=[190] * 16 + [120] * 4, motion_px_s=quiet + busy))
    assert len(told) == 5
    assert told[0][0] == "Green is seen. The picture is bright. There is little motion."
    assert told[1][0] == "Colours, light and motion stay as they were."
    assert told[2][0] == "There is much motion now."
    assert told[4][0] == "The picture has become darker."
    assert Fact("brightness", "the picture", "medium") in told[4][1]
    assert Fact("dominant_colour", "the picture", "green") in told[4][1]


def test_of_motion_between_two_words_it_is_not_said_that_it_stays() -> None:
    assert {caption for caption, _ in segments(clip(GREEN))[1:]} == {"Colours and light stay as they were."}


def test_of_a_clip_without_anything_sure_nothing_is_said() -> None:
    assert clip_facts(clip()) == []
    assert clip_caption(clip()) == ""
