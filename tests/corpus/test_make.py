"""Planted clips as they are made: the frames, cuts and faults of the plan, seen by a plain decode."""

import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.corpus import make
from tests.corpus.plan import BY_ID, CODECS, Clip, boundaries
from tests.corpus.scenery import World
from tests.tasks.video.clips import read_all


def decoded(path: Path) -> list[np.ndarray]:
    """Return luma of all frames, 0 to 255."""
    return read_all(path, lambda frame: frame.to_ndarray(format="gray"))[1]


def encoded(clip: Clip, folder: Path) -> list[np.ndarray]:
    return decoded(make.make(clip, folder))


def rendered(name: str) -> np.ndarray:
    """Return luma of a clip's frames before they are coded, float32 (N, H, W)."""
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in make.pictures(BY_ID[name])]).astype(
        np.float32
    )


def differences(frames: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of each frame from the one before, 0 for the first."""
    return np.array([0.0, *(np.abs(b - a).mean() for a, b in itertools.pairwise(frames))])


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_keeps_number_time_and_content_of_frames(codec: str, tmp_path: Path) -> None:
    clip = BY_ID[f"short-{codec}"]
    path = make.make(clip, tmp_path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = stream.codec_context.name
        frames = list(container.decode(stream))
    assert {"libdav1d": "av1", "mpeg2video": "mpeg2"}.get(name, name) == codec
    times = np.array([frame.time or 0.0 for frame in frames])
    np.testing.assert_allclose(times - times[0], np.arange(clip.frames) / clip.fps, atol=0.001)
    plain = [frame.to_ndarray(format="rgb24") for frame in frames]
    errors = [np.abs(a.astype(float) - b).mean() for a, b in zip(plain, make.pictures(clip), strict=True)]
    assert np.mean(errors) < 8  # far less than two frames next to each other differ by


@pytest.mark.parametrize("name", ["close_cuts-hevc", "cut-mjpeg", "slides-hevc"])
def test_hard_cuts_are_at_the_planned_frames(name: str, tmp_path: Path) -> None:
    clip = BY_ID[name]
    difference = differences(np.stack(encoded(clip, tmp_path)).astype(np.float32))
    planted = [boundary.start for boundary in boundaries(clip)]
    assert sorted(np.argsort(difference)[-len(planted) :].tolist()) == planted


def test_a_dissolve_goes_from_one_shot_to_the_next_over_the_planned_frames() -> None:
    clip = BY_ID["dissolve-vp9"]
    frames = rendered(clip.id)
    (boundary,) = boundaries(clip)
    first, second = clip.shots
    one = np.stack([_alone(clip, 0, at) for at in range(boundary.end, boundary.start)])
    other = np.stack([_alone(clip, 1, at - boundary.end) for at in range(boundary.end, boundary.start)])
    shares = [_share(*three) for three in zip(frames[boundary.end : boundary.start], one, other, strict=True)]
    length = boundary.start - boundary.end
    np.testing.assert_allclose(shares, (np.arange(length) + 1) / (length + 1), atol=0.03)
    assert first.frames + second.frames - length == len(frames)


def _alone(clip: Clip, number: int, at: int) -> np.ndarray:
    """Return a frame of a shot as if nothing were mixed with it, luma."""
    shot = clip.shots[number]
    world = World(shot.seed, shot.camera, shot.path_s, clip.height, clip.width)
    return cv2.cvtColor(world.picture(at / clip.fps), cv2.COLOR_RGB2GRAY).astype(np.float32)


def _share(mixed: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Return how much of `other` is in `mixed`, by least squares."""
    apart = (other - one).ravel()
    return float((mixed - one).ravel() @ apart / (apart @ apart))


def test_a_fade_goes_through_black() -> None:
    clip = BY_ID["fade-mpeg2"]
    (boundary,) = boundaries(clip)
    luma = rendered(clip.id).mean(axis=(1, 2))
    middle = (boundary.end + boundary.start) // 2
    assert np.all(luma[middle - 2 : middle + 2] == 0)
    assert np.all(np.diff(luma[boundary.end - 1 : middle - 1]) < 0)
    assert np.all(np.diff(luma[middle + 1 : boundary.start + 1]) > 0)
    assert luma[boundary.end - 1] > 60 < luma[boundary.start]


def test_what_stands_still_does_and_what_pauses_has_grain() -> None:
    freeze, pause, static = (differences(rendered(n)[:, ::2, ::2]) for n in ("freeze-vp9", "pause-av1", "static-h264"))
    assert abs((freeze[1:] == 0).sum() / BY_ID["freeze-vp9"].fps - 2.0) <= 0.15
    still = 1.5 * np.median(static[1:])  # nothing but grain
    assert static[1:].min() > 0
    assert static[1:].max() < still
    assert abs((pause[1:] < still).sum() / BY_ID["pause-av1"].fps - 2.7) <= 0.15
    assert pause[1:].min() > 0


def test_exposure_is_off_by_as_much_as_planned() -> None:
    means = {name: rendered(name)[::10].mean() for name in ("dark-av1", "bright-mpeg2", "under-mjpeg", "over-h264")}
    assert 9 <= means["dark-av1"] <= 15
    assert 190 <= means["bright-mpeg2"] <= 212
    assert 20 <= means["under-mjpeg"] <= 180  # bright and dark enough on the whole
    assert 20 <= means["over-h264"] <= 180
    assert (rendered("under-mjpeg")[::10] <= 8).mean() > 0.35
    assert (rendered("over-h264")[::10] >= 247).mean() > 0.3
    good = np.concatenate([rendered(name)[::10] for name in ("pan-h264", "zoom-hevc", "turns-av1")])
    assert ((good <= 8) | (good >= 247)).mean() < 0.05


@pytest.mark.parametrize(("name", "axis"), [("bars-av1", 1), ("pillars-mpeg2", 2)])
def test_bars_are_black_on_both_sides(name: str, axis: int) -> None:
    frames = rendered(name)
    lines = frames.max(axis=tuple({0, 1, 2} - {axis})) == 0
    size = frames.shape[axis]
    inside = np.flatnonzero(~lines)
    for bar in (inside[0] / size, 1 - (inside[-1] + 1) / size):
        assert 0.09 <= bar <= 0.15
    assert len(inside) == inside[-1] - inside[0] + 1


def test_a_logo_and_text_rest_while_all_else_moves() -> None:
    for name in ("logo-hevc", "logo_soft-vp9"):
        resting = rendered(name).std(axis=0) < 12
        high, wide = np.nonzero(resting)
        assert resting.any()
        assert np.ptp(high) <= 0.09 * resting.shape[0]
        assert np.ptp(wide) <= 0.09 * resting.shape[1]
    assert (rendered("pan-h264").std(axis=0) < 12).mean() < 0.001
    assert (rendered("text-mjpeg")[:, 140:] > 240).mean() > 0.03


def test_a_blurred_clip_has_less_detail_than_a_sharp_one() -> None:
    sharp, blurred = (
        np.mean([cv2.Laplacian(image, cv2.CV_32F).var() for image in rendered(name)[::10]])
        for name in ("pan-h264", "blur-mpeg2")
    )
    assert blurred < 0.3 * sharp


def test_neighbours_of_a_loop_are_equal_and_those_of_stripes_are_opposite() -> None:
    for name, low, high in (("loop-h264", 30, 100), ("stripes-hevc", 0, 4), ("pan-h264", 8, 20)):
        frames = rendered(name)
        keys = frames[[round((i + 0.5) / 5 * len(frames)) for i in range(5)]]
        for a, b in itertools.pairwise(keys):
            assert low < 10 * np.log10(255**2 / np.square(a - b).mean()) < high


def test_copies_look_like_their_originals_once_crop_and_flip_are_undone() -> None:
    original, copy = rendered("objects-vp9"), rendered("copy_flipped-av1")
    assert np.abs(copy[:, :, ::-1] - original).mean() < 3
    late = BY_ID["copy_offset-mpeg2"]
    skipped = round(late.shots[0].start_s * late.fps)
    assert np.abs(rendered(late.id) - rendered(late.copy_of)[skipped:]).mean() < 3
    crop = BY_ID["copy_cropped-vp9"]
    share = crop.shots[0].cropped
    tall, wide = round(share * crop.height), round(share * crop.width)
    part = rendered(crop.copy_of)[10, tall : crop.height - tall, wide : crop.width - wide]
    assert np.abs(cv2.resize(part, (crop.width, crop.height)) - rendered(crop.id)[10]).mean() < 3
    coded = BY_ID["copy_coded-hevc"]
    small = [
        cv2.resize(rendered(name)[0], (96, 54), interpolation=cv2.INTER_AREA) for name in (coded.id, coded.copy_of)
    ]
    assert np.abs(small[0] - small[1]).mean() < 3


def test_a_land_is_the_same_at_every_size() -> None:
    small, large = (World(5, "pan", 5.0, height, height * 16 // 9).picture(2.0) for height in (180, 360))
    shrunk = [cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA).astype(float) for image in (small, large)]
    assert np.abs(shrunk[0] - shrunk[1]).mean() < 6
    assert np.corrcoef(shrunk[0].ravel(), shrunk[1].ravel())[0, 1] > 0.98


def test_a_clip_is_made_once_and_laid_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = BY_ID["low_fps-mjpeg"]
    laid = make.lay([clip], tmp_path / "videos", tmp_path / "cache")
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["low_fps-mjpeg.avi"]
    first = laid[clip.id].read_bytes()

    def never(*args: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(make, "encode", never)
    assert make.lay([clip], tmp_path / "videos", tmp_path / "cache")[clip.id].read_bytes() == first
    monkeypatch.setattr(make, "CODE", "other code")
    with pytest.raises(AssertionError, match="made again"):
        make.make(clip, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1  # nothing half made
