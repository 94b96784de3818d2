"""Few frames of a clip are those of a full decode, whatever the codec, and cost less."""

from fractions import Fraction
from pathlib import Path

import pytest

from tasks.tables import Reject
from tasks.video.composition import Canvas, Clip, Composition, Piece
from tasks.video.reading import Counts, Reader
from tasks.video.rendering import Encoding, render_file
from tests.tasks.video import clips, odd
from tests.tasks.video.composed import Planes, clip_of, frames_of, planes_of, same, write
from tests.tasks.video.test_cutting import SOURCES, images, write_fields

FPS = Fraction(24)


def read(clip: Clip, ticks: list[int], counts: Counts) -> list[Planes]:
    """Return the planes shown at ticks of 24 a second; a frame that is shown longer is the same object."""
    reader = Reader(clip, counts)
    found = [planes_of(frame) for frame in reader.frames(ticks, FPS)]
    reader.close()
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_few_frames_are_those_of_a_full_decode(name: str, tmp_path: Path) -> None:
    codec, options = SOURCES[name]
    path = clips.write_clip(tmp_path / name, images(), codec=codec, options=options)
    for first, frames in ((0, 96), (7, 80), (24, 49)):
        clip = clip_of(path, first, frames)
        every = frames_of(clip)
        for ticks in ([0, frames - 1], [3, 11, 12, 40, frames - 9], list(range(5, frames, 9)), [frames // 2]):
            counts = Counts()
            found = read(clip, ticks, counts)
            assert len(found) == len(ticks)
            assert counts.decoders == 1, "no full decode was needed"
            assert all(same(one, every[tick]) for one, tick in zip(found, ticks, strict=True)), (first, ticks)


def test_few_frames_of_what_was_rendered_here(tmp_path: Path) -> None:
    clip = clip_of(write(tmp_path / "clip.mkv", 1, 96, fps=24, codec="ffv1", options={"level": "3"}))
    canvas = Canvas(160, 96, FPS)
    plan = Composition(canvas, 96, (Piece(clip, canvas.whole, 0, 96),))
    render_file(plan, tmp_path / "again.mp4", Encoding(preset="medium"))
    again, counts = clip_of(tmp_path / "again.mp4"), Counts()
    every = frames_of(again)
    assert all(same(one, every[n]) for one, n in zip(read(again, [4, 50, 95], counts), (4, 50, 95), strict=True))
    assert counts.decoders == 1


def test_a_gradual_refresh_is_no_place_to_begin(tmp_path: Path) -> None:
    refresh = {"x264-params": "keyint=24:min-keyint=24:scenecut=0:intra-refresh=1:bframes=0"}
    clip = clip_of(clips.write_clip(tmp_path / "refresh.ts", images(), options=refresh))
    every = frames_of(clip)
    for ticks in ([0, 30, 60, 95], [26], [50, 73]):
        found = read(clip, ticks, Counts())
        assert all(same(one, every[tick]) for one, tick in zip(found, ticks, strict=True))


def test_groups_of_pictures_without_a_wanted_frame_are_not_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", 1, 240, fps=24, options={"g": "24", "crf": "20"})
    clip, counts = clip_of(path), Counts()
    read(clip, [2, 50, 170], counts)
    assert counts.decoders == 1
    assert counts.decoded_frames < 30  # 3 + 3 + 3, and those that the decoder keeps back
    every = Counts()
    read(clip, list(range(240)), every)
    assert (every.decoders, every.decoded_frames) == (1, 240)


def test_frames_to_which_no_other_refers_are_left_out(tmp_path: Path) -> None:
    options = {"g": "250", "x264-params": "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0", "crf": "20"}
    path = write(tmp_path / "clip.mp4", 1, 120, fps=24, options=options)
    clip, counts = clip_of(path), Counts()
    (found,) = read(clip, [100], counts)
    assert same(found, frames_of(clip)[100])
    assert counts.decoded_frames < 50  # of three, two are left out on the way


def test_the_same_object_is_given_as_long_as_a_frame_is_shown(tmp_path: Path) -> None:
    clip = clip_of(write(tmp_path / "clip.mp4", 1, 10, fps=12))
    frames = list(Reader(clip, Counts()).frames(list(range(20)), FPS))
    assert [frames[n] is frames[n + 1] for n in range(0, 20, 2)] == [True] * 10
    assert len({id(frame) for frame in frames}) == 10


@pytest.mark.parametrize("coding", ["mpeg2video", "libx264"])
def test_few_frames_of_two_fields_are_those_without_combs_of_a_full_pass(tmp_path: Path, coding: str) -> None:
    clip = clip_of(write_fields(tmp_path / "fields.mkv", odd.woven(clips.moving(7, 96, 6)), coding))
    every = read(clip, list(range(48)), Counts())
    few = read(clip, [0, 30, 47], Counts())
    assert all(same(one, every[tick]) for one, tick in zip(few, (0, 30, 47), strict=True))


def test_few_frames_of_a_torn_file_are_its_own_or_none(tmp_path: Path) -> None:
    whole = clip_of(write(tmp_path / "whole.mkv", 1, 96, fps=24, options={"g": "12", "crf": "20"}))
    clips.cut_short(whole.file, tmp_path / "torn.mkv", 0.5)
    torn = Clip(**{**vars(whole), "path": "torn.mkv"})
    (found,) = read(torn, [20], Counts())
    assert same(found, frames_of(whole)[20])
    for ticks in ([90], [0, 95], [0, 20, 70]):
        with pytest.raises(Reject) as caught:
            read(torn, ticks, Counts())
        assert caught.value.reason in {"frames_differ", "corrupt_frames"}


def test_few_frames_of_uneven_times_are_those_on_screen(tmp_path: Path) -> None:
    times = [0, 40, 90, 400, 410, 420, 430, 440, 450, 460, 470, 1900, 1910, 1920, 1930, 1940, 1950, 1960, 2000, 2100]
    path = clips.write_clip(tmp_path / "uneven.mkv", clips.moving(1, 20, 3), pts=times, options={"g": "5", "bf": "2"})
    every = frames_of(clip_of(path))
    clip = Clip("c", "s", str(tmp_path), path.name, 0, 2100, Fraction(1, 1000), 19, 320, 180)
    found = read(clip, [0, 24, 47], Counts())
    assert all(same(one, every[n]) for one, n in zip(found, (0, 10, 17), strict=True))
