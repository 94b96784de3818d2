"""Generated sources: what captions and facts say is what the pixels of the decoded file show."""

import itertools
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tasks.video.picture_facts import PLACES
from tasks.video.scene_files import Encoding, Job, encode_scene, scene_of, told, yuv420
from tasks.video.scene_pictures import BOARD, draw_thing, frames_of
from tasks.video.scene_words import BACKGROUNDS, COLOURS, DIRECTIONS, TYPEFACES, UNLIKE
from tasks.video.scenes import Scene, Thing, Track
from tests.tasks.video import seen
from tests.tasks.video.clips import texture
from tests.tasks.video.scene_jobs import SETTINGS, Told, facts, job_of

SOURCES = 4
SHORT = replace(SETTINGS, min_events=2, max_events=3)


@cache
def palette(background: str) -> seen.Palette:
    """Return the colours that may be seen in a source, by that of its background; none for a film picture."""
    behind = {"the background": BACKGROUNDS[background]} if background else {}
    hidden = {background, *UNLIKE.get(background, ())}
    return seen.Palette({**{n: one for n, one in COLOURS.items() if n not in hidden}, "the sign": BOARD, **behind})


class Source:
    """A source that was drawn, encoded and decoded."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.scene: Scene = scene_of(job)
        self.path = folder / f"{job.name}.mp4"
        looks = encode_scene(self.scene, job, self.path)
        self.clips: list[Told] = [
            told(clip, self.scene, job.settings.fps, look) for clip, look in zip(self.scene.clips, looks, strict=True)
        ]
        self.palette = palette(self.scene.background.colour)
        starts = {clip.start for clip in self.scene.clips}
        self.labels: list[np.ndarray] = []  # of each frame: which colour each pixel has
        self.firsts: dict[int, np.ndarray] = {}  # the first picture of each clip, RGB
        self.greys: list[np.ndarray] = []  # of each frame: mean of each ninth, rows of three
        for number, picture in enumerate(seen.pictures(self.path)):
            grey = picture @ np.array([0.299, 0.587, 0.114])
            self.greys.append(np.array([[c.mean() for c in np.array_split(r, 3, 1)] for r in np.array_split(grey, 3)]))
            self.labels.append(self.palette(picture))
            if number in starts:
                self.firsts[number] = picture
        sign = self.scene.sign
        self.sign_box = (sign.top, sign.top + sign.height, sign.left, sign.left + sign.width) if sign else (0, 0, 0, 0)

    def of(self, clip: Told) -> list[np.ndarray]:
        first = round(clip["start_s"] * self.job.settings.fps)
        return self.labels[first : first + clip["frames"]]

    def where(self, labels: np.ndarray, colour: str) -> np.ndarray:
        """Return the pixels of the largest thing of a colour, the sign left out; none where there is no such thing."""
        mask = labels == self.palette.names.index(colour)
        top, bottom, left, right = self.sign_box
        mask[top:bottom, left:right] = False
        return seen.largest_body(mask)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    folder = tmp_path_factory.mktemp("sources")
    return [Source(job_of(number), folder) for number in range(SOURCES)]


def clips_of(sources: list[Source]) -> list[tuple[Source, Told]]:
    return [(source, clip) for source in sources for clip in source.clips]


def colour_in(subject: str) -> str | None:
    """Return the colour that a subject such as "the red circle" names."""
    return next((name for name in COLOURS if f" {name} " in subject), None)


# --- what can be told apart ---


def test_named_colours_are_far_apart() -> None:
    for one, other in itertools.combinations(COLOURS, 2):
        assert seen.distance(COLOURS[one], COLOURS[other]) > 30, (one, other)


def test_colours_of_the_file_are_bt709() -> None:
    patches = np.array([[[r, g, b]] for r in (0, 90, 255) for g in (0, 160, 255) for b in (0, 60, 255)], np.float64)
    y = patches @ [0.2126, 0.7152, 0.0722]
    cb, cr = (patches[..., 2] - y) / 1.8556, (patches[..., 0] - y) / 1.5748
    for patch, luma, blue, red in zip(patches, y[:, 0], cb[:, 0], cr[:, 0], strict=True):
        planes = yuv420(np.full((2, 2, 3), patch[0], np.uint8))
        expected = [16 + luma * 219 / 255] * 4 + [128 + blue * 224 / 255, 128 + red * 224 / 255]
        np.testing.assert_allclose(np.concatenate([plane.ravel() for plane in planes]), expected, atol=1.01)


# --- facts against pixels ---


def test_where_a_clip_is_lightest_and_darkest_its_pictures_show(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        first = round(clip["start_s"] * 12)
        greys = np.mean(source.greys[first : first + clip["frames"]], axis=0).ravel()
        for kind, place in (("brightest_part", greys.argmax()), ("darkest_part", greys.argmin())):
            for said in facts(clip, kind).values():
                assert said == PLACES[place], (source.path, clip["start_s"])
                assert f"{kind.removesuffix('_part')} at its {said}" in clip["caption"]
                checked += 1
    assert checked > 8


def test_the_colour_that_most_of_a_picture_has_is_near_that_of_its_pixels(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        for colour in facts(clip, "dominant_colour").values():
            labels = source.of(clip)[0]
            of_background = source.scene.background.colour
            assert colour == of_background or (labels == source.palette.names.index(colour)).mean() > 0.2
            checked += 1
    assert checked > 5


def test_each_named_colour_is_in_the_picture(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        for segment in clip["segments"]:
            picture = source.of(clip)[round(segment["frame_s"] * 12)]
            said = facts(segment, "object_colour")
            found = {name for name in COLOURS if name in source.palette.names and source.where(picture, name).any()}
            assert set(said.values()) == found, (source.path, segment)
            checked += len(said)
    assert checked > 200


def test_each_shape_has_the_colour_that_is_said_of_it(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        words = facts(clip, "glyph")
        picture = source.of(clip)[0]
        for subject, colour in facts(clip, "object_colour").items():
            mask = source.where(picture, colour)
            if subject in words or not mask.any():  # letters cut holes; what appears is not there yet
                continue
            likest = seen.shapes_of(mask)[: 1 if " large " in subject else 2]  # the corners of small ones are soft
            assert subject.split()[-1] in likest, (source.path, clip["caption"], subject)
            assert facts(clip, "object_shape")[f"the {colour} object"] == subject.split()[-1]
            checked += 1
    assert checked > 30


def test_large_is_larger_than_small(sources: list[Source]) -> None:
    areas: dict[str, list[float]] = {"large": [], "small": []}
    for source, clip in clips_of(sources):
        for subject, size in facts(clip, "object_size").items():
            colour = colour_in(subject)
            if colour is None:
                continue
            first, last = (source.where(source.of(clip)[at], colour).sum() for at in (0, -1))
            if size == "growing":
                assert last > 3 * first
            elif size == "shrinking":
                assert first > 3 * last
            elif first:
                areas[size].append(first)
    assert min(areas["large"]) > 2 * max(areas["small"])


def test_things_move_where_it_is_said(sources: list[Source]) -> None:
    checked = set()
    for source, clip in clips_of(sources):
        for subject, motion in facts(clip, "object_motion").items():
            colour = colour_in(subject)
            assert colour is not None
            masks = [source.where(picture, colour) for picture in source.of(clip)[::4]]
            places = np.array([seen.centroid(mask) for mask in masks if mask.any()])
            way = places[-1] - places[0]
            if motion == "still":
                assert np.ptp(places, axis=0).max() < 1.5, (source.path, subject)
            elif motion in DIRECTIONS:
                expected = np.array(DIRECTIONS[motion]) / np.hypot(*DIRECTIONS[motion])
                assert np.hypot(*way) > 60 and way @ expected / np.hypot(*way) > 0.995, (source.path, subject)
            else:
                x, y = (places - places.mean(0)).T
                area = float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)  # above 0: clockwise, y downwards
                assert area > 2000 if motion.startswith("clockwise") else area < -2000
            checked.add(motion)
    assert len(checked) > 6


def test_a_moving_thing_keeps_its_pace(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        for subject, motion in facts(clip, "object_motion").items():
            if motion not in ("left", "right") or subject.split()[-1] in ("crescent",):
                continue
            masks = [source.where(picture, colour_in(subject) or "") for picture in source.of(clip)]
            x = np.array([seen.centroid(mask)[0] for mask in masks])
            line = np.polyval(np.polyfit(np.arange(len(x)), x, 1), np.arange(len(x)))
            assert np.abs(x - line).max() < 1
            checked += 1
    assert checked


def test_a_thing_is_drawn_where_it_is_to_a_fraction_of_a_pixel() -> None:
    steps = np.arange(0, 3, 0.11)
    thing = Thing("circle", "white", "large")
    ones = np.ones(len(steps))
    track = Track(thing, thing, 60 + steps, 50 + steps / 2, 20 * ones, 0 * ones, ones > 0, 0)
    for at, step in enumerate(steps):
        canvas = np.zeros((100, 120, 3), np.uint8)
        draw_thing(canvas, track, at, TYPEFACES["train"][0])
        light = canvas[..., 1].astype(float)
        y, x = np.indices(light.shape)
        found = np.array([(x * light).sum(), (y * light).sum()]) / light.sum()
        np.testing.assert_allclose(found, [60 + step, 50 + step / 2], atol=0.1)


def test_what_happens_at_once_happens_when_it_is_said(sources: list[Source]) -> None:
    """Found frame by frame from pixels; the segments' captions tell between which centre frames."""
    found = set()
    for source, clip in clips_of(sources):
        for subject, verb in facts(clip, "change").items():
            if verb not in ("appears", "disappears", "changes colour"):
                continue
            after = facts(clip, "colour_after").get(next(iter(facts(clip, "colour_after")), ""))
            colour = colour_in(subject) or after
            assert colour
            there = [source.where(picture, colour).any() for picture in source.of(clip)]
            gone = verb == "disappears"
            at = there.index(not gone)
            assert there == [gone] * at + [not gone] * (len(there) - at)
            told_as = {"appears": "has appeared", "disappears": "has disappeared", "changes colour": "has turned from"}
            told_in = [n for n, one in enumerate(clip["segments"]) if told_as[verb] in one["caption"]]
            centres = [round(one["frame_s"] * 12) for one in clip["segments"]]
            assert told_in == [next(n for n, centre in enumerate(centres) if centre >= at)]
            assert facts(clip, "colour_before").keys() == facts(clip, "colour_after").keys()
            found.add(verb)
    assert found == {"appears", "disappears", "changes colour"}


def test_colliding_things_touch_once_and_part(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        for subject, other in facts(clip, "collides_with").items():
            by_shape = {subject.split()[-1]: colour for subject, colour in facts(clip, "object_colour").items()}
            gaps = []
            for picture in source.of(clip):
                one, two = (source.where(picture, by_shape[shape]) for shape in (subject.split()[-1], other))
                away = cv2.distanceTransform((~two).astype(np.uint8), cv2.DIST_L2, 5)
                gaps.append(float(away[one].min()))
            at = int(np.argmin(gaps))
            pointed = {subject.split()[-1], other} & {"star", "crescent", "triangle", "heart"}  # tips have no colour
            most = 14 if pointed else 9  # outlines are 2 to 3 px each
            assert gaps[at] < most and gaps[0] > 50 and gaps[-1] > 25, (source.path, gaps)
            assert 0 < at < len(gaps) - 1
            checked += 1
    assert checked


def test_blinking_things_come_and_go(sources: list[Source]) -> None:
    checked = 0
    for source, clip in clips_of(sources):
        for subject, verb in facts(clip, "change").items():
            if verb == "blinks":
                there = [source.where(picture, colour_in(subject) or "").any() for picture in source.of(clip)]
                assert there[0] and sum(a != b for a, b in itertools.pairwise(there)) >= 4
                checked += 1
    assert checked


def test_turning_things_turn_as_it_is_said(sources: list[Source]) -> None:
    """By the angle between the outline's farthest points of neighbouring frames, matched by rotation."""
    checked = 0
    for source, clip in clips_of(sources):
        for subject, verb in facts(clip, "change").items():
            if verb != "rotates":
                continue
            masks = [source.where(picture, colour_in(subject) or "") for picture in source.of(clip)[:6]]
            turns = [_best_turn(one, other) for one, other in itertools.pairwise(masks)]
            said = re.search(rf"{subject} rotates (\w+)", clip["caption"], re.IGNORECASE)
            assert said
            assert (np.median(turns) > 2) == (said[1] == "clockwise"), (source.path, subject, turns)
            assert abs(np.median(turns)) > 2
            checked += 1
    assert checked


def _best_turn(one: np.ndarray, other: np.ndarray) -> float:
    """Return the turn, in degrees clockwise on the screen, that brings one mask upon the other."""
    middle = seen.centroid(one)
    candidates = np.arange(-22.5, 23, 1.5)
    target = other.astype(np.float32)

    def overlap(degrees: float) -> float:
        matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), -degrees, 1)  # OpenCV's: anticlockwise
        matrix[:, 2] += seen.centroid(other) - middle
        turned = cv2.warpAffine(one.astype(np.float32), matrix, target.shape[::-1])
        return float((turned * target).sum())

    return float(max(candidates, key=overlap))


def test_a_reader_of_text_finds_the_words(sources: list[Source]) -> None:
    engine = pytest.importorskip("rapidocr_onnxruntime").RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
    read = expected = 0
    for source in sources:
        for clip in source.clips[:2]:
            words = set(facts(clip, "glyph").values())
            if not words or re.search(r"appears", clip["caption"]):
                continue
            found, _ = engine(np.ascontiguousarray(source.firsts[round(clip["start_s"] * 12)][..., ::-1]))
            texts = {re.sub(r"\W", "", line[1]).upper() for line in found or []}
            expected, read = expected + len(words), read + len(words & texts)
    assert expected >= 6 and read >= 0.9 * expected, f"{read} of {expected} words"


# --- files ---


def test_a_clip_begins_with_a_frame_that_needs_no_other(sources: list[Source]) -> None:
    for source in sources[:3]:
        with av.open(str(source.path)) as container:
            stream = container.streams.video[0]
            keys = {packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.pts is not None}
            assert stream.average_rate == 12 and (stream.codec_context.width, stream.codec_context.height) == (640, 360)
            for clip in source.clips:
                assert clip["start_pts"] in keys
                assert clip["start_pts"] * stream.time_base == pytest.approx(clip["start_s"])
        assert len(source.labels) == source.scene.frames


def test_a_film_picture_lies_behind_a_source(tmp_path: Path) -> None:
    picture = texture(3, 256, 455)
    _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    source = Source(job_of(2, SHORT, jpeg.tobytes()), tmp_path)
    assert "In front of a film picture" in source.clips[0]["caption"]
    assert source.clips[0]["facts"][0] == {
        "kind": "background_texture",
        "subject": "the background",
        "value": "film picture",
    }
    assert not facts(source.clips[0], "background_colour")


def test_another_size_and_rate_shows_the_same(tmp_path: Path) -> None:
    small = replace(SETTINGS, width_px=320, height_px=180, fps=8, max_events=4)
    source = Source(job_of(1, small), tmp_path)
    assert source.labels[0].shape == (180, 320)
    labels = source.of(source.clips[0])[0]
    for colour in facts(source.clips[0]["segments"][0], "object_colour").values():
        assert (labels == source.palette.names.index(colour)).sum() > 60


def test_a_picture_differs_from_the_one_before_only_within_its_boxes() -> None:
    for number in (2, 3):
        before: np.ndarray | None = None
        for drawn in frames_of(scene_of(job_of(number, SHORT)), SHORT, None):
            outside = np.ones(drawn.picture.shape[:2], bool)
            for box in drawn.boxes:
                outside[box.slices] = False
            assert before is None or (drawn.picture == before)[outside].all()
            before = drawn.picture.copy()


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast"])
def test_a_file_shows_the_pictures_that_were_drawn(tmp_path: Path, preset: str) -> None:
    """Also where the encoder looks ahead: a picture that it still holds may not change."""
    job = replace(job_of(0, SHORT), encoding=Encoding(2, preset))
    encode_scene(scene_of(job), job, tmp_path / "clip.mp4")
    decoded = seen.pictures(tmp_path / "clip.mp4")
    for drawn in frames_of(scene_of(job), job.settings, None):
        for _ in range(drawn.times):
            error = np.abs(next(decoded).astype(int) - drawn.picture)
            assert error.mean() < 2 and (error.max(2) > 60).mean() < 0.01
    assert next(decoded, None) is None
