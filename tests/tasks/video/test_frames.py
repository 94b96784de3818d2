"""The pass: one decode, each consumer sees what it asked for, by time, upright and in the displayed aspect."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tasks.video.frames import PassCounts, Picture, run_pass
from tasks.video.views import View
from tests.tasks.video import clips

GRAY = View("gray", size=(32, 18))


class Watcher:
    """A consumer that remembers what it was shown."""

    name, version = "test.watcher", "1"

    def __init__(self, per_s: float | None = None, view: View = GRAY):
        self.per_s = per_s
        self.view = view
        self.pts: list[int] = []
        self.before: list[int | None] = []
        self.images: list[np.ndarray] = []

    @property
    def params(self) -> dict[str, Any]:
        return {}

    def see(self, picture: Picture) -> None:
        self.pts.append(picture.pts)
        self.before.append(picture.before.pts if picture.before else None)
        self.images.append(picture.image(self.view))

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        return {}, []


def watch(path: Path, *consumers: Watcher) -> PassCounts:
    return run_pass(path, consumers, frame_s=1 / 24)


def nearest_by_search(pts: Sequence[int], end: int, time_base: Fraction, per_s: float) -> list[int]:
    """Return the frame nearest each tick from the first frame to the end of the last (the earlier of two as near)."""
    ticks = []
    while (tick := Fraction(len(ticks)) / Fraction(per_s)) < (end - pts[0]) * time_base:
        ticks.append(tick)
    chosen = [min(pts, key=lambda p: (abs((p - pts[0]) * time_base - tick), p)) for tick in ticks]
    return list(dict.fromkeys(chosen))


UNEVEN_MS = np.cumsum(np.random.default_rng(7).integers(5, 400, 60)).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_every_frame_is_shown_once_in_order_of_time_with_its_predecessor(tmp_path: Path, suffix: str) -> None:
    path = clips.write_clip(tmp_path / f"clip{suffix}", clips.moving(1, 50, 4), options={"bf": "3"})
    expected, _ = clips.read_all(path, lambda frame: frame)
    watcher = Watcher()
    counts = watch(path, watcher)
    assert counts.decoded_frames == 50
    assert len(watcher.pts) == 50
    assert watcher.pts == sorted(expected)
    assert counts.repaired_pts == 0
    assert watcher.before == [None, *watcher.pts[:-1]]


@pytest.mark.parametrize("per_s", [0.5, 2, 4, 24, 30])
@pytest.mark.parametrize("times", [None, UNEVEN_MS], ids=["constant", "variable"])
def test_sampled_frames_are_those_nearest_each_tick_by_time(
    tmp_path: Path, times: list[int] | None, per_s: float
) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", clips.moving(2, 60, 2, height=64, width=96), pts=times)
    every, sampled = Watcher(), Watcher(per_s)
    counts = watch(path, every, sampled)
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    assert sampled.pts == nearest_by_search(every.pts, counts.end_pts, base, per_s)
    before = dict(zip(every.pts, every.before, strict=True))
    assert sampled.before == [before[pts] for pts in sampled.pts]


def test_consumers_of_one_rate_see_the_same_frames_however_many_there_are(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", clips.moving(3, 60, 2, height=64, width=96), pts=UNEVEN_MS)
    alone, one, two = Watcher(4), Watcher(4), Watcher(4, View("bgr24", short_side=36))
    watch(path, alone)
    watch(path, one, Watcher(None), two, Watcher(3))
    assert alone.pts == one.pts == two.pts
    assert all(np.array_equal(a, b) for a, b in zip(alone.images, one.images, strict=True))


@pytest.mark.parametrize(("block", "largest"), [(16, 2), (10, 6)], ids=["whole halves", "a rest"])
def test_a_view_is_the_area_average_of_the_frame(tmp_path: Path, block: int, largest: int) -> None:
    """Exact but for rounding where the frame is halved without a rest, near it otherwise."""
    size = {"height": 18 * block, "width": 32 * block}
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(4, 5, 4, **size))
    watcher = Watcher()
    watch(path, watcher)
    _, full = clips.read_all(path, lambda frame: frame.to_ndarray(format="gray"))
    for seen, whole in zip(watcher.images, full, strict=True):
        blocks = whole.reshape(18, block, 32, block).mean(axis=(1, 3))
        assert np.abs(seen - blocks).mean() <= 1.5
        assert np.abs(seen - blocks).max() <= largest


def test_grey_views_use_the_whole_range(tmp_path: Path) -> None:
    for grey in (0, 100, 255):
        path = clips.write_clip(tmp_path / f"{grey}.mp4", clips.flat(grey, 3))
        watcher = Watcher()
        watch(path, watcher)
        assert np.abs(watcher.images[0].astype(int) - grey).max() <= 2


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_rotation_flags_are_applied(tmp_path: Path, rotation_deg: int) -> None:
    """A frame is shown upright: turned left by the flag's angle, as players turn it."""
    images = [clips.texture(5)]
    flat = clips.write_clip(tmp_path / "flat.mp4", images)
    turned = clips.write_clip(tmp_path / "turned.mp4", images, rotation_deg=rotation_deg)
    view = View("bgr24", short_side=90)
    lying, upright = Watcher(view=view), Watcher(view=view)
    watch(flat, lying)
    counts = watch(turned, upright)
    with av.open(str(turned)) as container:
        angle = next(container.decode(video=0)).rotation
    assert np.array_equal(upright.images[0], np.rot90(lying.images[0], angle // 90))
    assert (counts.width, counts.height) == ((320, 180) if rotation_deg == 180 else (180, 320))


def test_pixels_that_are_not_square_are_shown_in_the_displayed_aspect(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "wide.mp4", clips.still(6, 2), aspect=Fraction(4, 3))
    watcher = Watcher(view=View("gray", short_side=90))
    counts = watch(path, watcher)
    assert (counts.width, counts.height) == (427, 180)
    assert watcher.images[0].shape == (90, 214)


def test_a_torn_file_is_read_up_to_the_tear(tmp_path: Path) -> None:
    whole = clips.write_clip(
        tmp_path / "whole.mp4", clips.moving(7, 96, 4), container_options={"movflags": "faststart"}
    )
    watcher = Watcher()
    counts = watch(clips.cut_short(whole, tmp_path / "torn.mp4", 0.6), watcher)
    assert 0 < counts.decoded_frames < 96
    assert len(watcher.pts) == counts.decoded_frames


def test_frames_without_a_time_are_given_one_and_counted(tmp_path: Path) -> None:
    """A bare H.264 stream has no clock."""
    path = clips.write_clip(tmp_path / "bare.h264", clips.moving(8, 24, 4))
    watcher = Watcher()
    counts = watch(path, watcher)
    assert counts.decoded_frames == 24
    assert counts.repaired_pts >= 23
    assert watcher.pts == sorted(set(watcher.pts))


def test_times_that_do_not_grow_are_mended_and_counted(tmp_path: Path) -> None:
    """AVI keeps no presentation times: with B-frames those that a demuxer guesses run to and fro."""
    path = clips.write_clip(tmp_path / "clip.avi", clips.moving(8, 50, 4), options={"bf": "3"})
    watcher = Watcher()
    counts = watch(path, watcher)
    assert counts.decoded_frames == 50
    assert watcher.pts == sorted(set(watcher.pts))
    assert counts.repaired_pts > 0


def test_a_long_video_holds_three_frames_in_memory(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.still(9, 200, height=64, width=96))
    deepest = 0

    class Depth(Watcher):
        def see(self, picture: Picture) -> None:
            nonlocal deepest
            depth, link = 0, picture
            while link is not None:
                depth, link = depth + 1, link.before
            deepest = max(deepest, depth)

    watch(path, Depth(), Depth(4))
    assert deepest <= 3


def test_progress_is_told_in_seconds(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.still(10, 500, height=64, width=96), fps=50)
    told: list[float] = []
    run_pass(path, [], frame_s=1 / 50, progress=told.append)
    assert told == sorted(told)
    assert 0 < told[-1] <= 10
