"""What a loader lays out of kept pictures, against a plain decode that is scaled and pasted by hand."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.reformatter import Interpolation, VideoReformatter

from tasks.store import Store
from tasks.tables import Reject
from tasks.video.composition import Box, Canvas, Clip, Composition, Piece
from tasks.video.glimpses import (
    GlimpseJob,
    Glimpses,
    Sight,
    keep_glimpses,
    kept_glimpses,
    located_want,
    wanted,
)
from tests.tasks.video.composed import clip_of, write

CANVAS = Canvas(160, 96, Fraction(12))
SIGHT = Sight(4, 80, 48)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, Clip]:
    folder = tmp_path_factory.mktemp("clips")
    hay = clip_of(write(folder / "hay.mp4", 1, 24))
    needle = clip_of(write(folder / "needle.mp4", 2, 20), first=4, frames=12)
    return hay, needle


def overlaid(hay: Clip, needle: Clip) -> Composition:
    """The needle in a box, on frames 8 to 19 of 24."""
    return Composition(CANVAS, 24, (Piece(hay, CANVAS.whole, 0, 24), Piece(needle, Box(40, 20, 80, 48), 8, 12)))


def inserted(hay: Clip, needle: Clip) -> Composition:
    whole = CANVAS.whole
    pieces = (Piece(hay, whole, 0, 12), Piece(needle, whole, 12, 12), Piece(hay, whole, 24, 12, first=12))
    return Composition(CANVAS, 36, pieces)


def keep(store: Store, *seen: tuple[Composition, Sight]) -> int:
    """Make and keep what is seen; return how many frames were decoded."""
    return sum(keep_glimpses(GlimpseJob(want, store.url)) for want in wanted(seen).values())


def plain(clip: Clip, tick: int, width: int, height: int) -> np.ndarray:
    """A frame of a clip, by a decode of the whole file, scaled to RGB by swscale in one step."""
    import av

    first = int(clip.clip_id.split("-")[-2])
    with av.open(str(clip.file)) as container:
        frame = list(container.decode(video=0))[first + tick]
    flags = sum(int(Interpolation[name]) for name in ("AREA", "ACCURATE_RND", "FULL_CHR_H_INP", "FULL_CHR_H_INT"))
    scaled = VideoReformatter().reformat(
        frame, width, height, "rgb24", src_colorspace=1, src_color_range=1, dst_color_range=2, interpolation=flags
    )
    return np.asarray(scaled.to_ndarray())


def test_sampled_frames_show_each_piece_in_its_place(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    hay, needle = clips
    composition, store = overlaid(hay, needle), Store(tmp_path)
    keep(store, (composition, SIGHT))
    video = Glimpses(store, wanted([(composition, SIGHT)])).video(composition, SIGHT)
    assert SIGHT.numbers(composition) == [3, 9, 15, 21]
    assert video.shape == (4, 48, 80, 3)
    for place, frame in enumerate([3, 9, 15, 21]):
        expected = plain(hay, frame, 80, 48).astype(int)
        if 8 <= frame < 20:
            expected[10:34, 20:60] = plain(needle, frame - 8, 40, 24)
        assert np.abs(video[place].astype(int) - expected).max() <= 6  # two steps of rounding
        assert np.abs(video[place].astype(int) - expected).mean() < 1


def test_a_clip_is_decoded_once_for_all_that_shows_it(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    hay, needle = clips
    store = Store(tmp_path)
    seen = [(overlaid(hay, needle), SIGHT), (inserted(hay, needle), SIGHT), (overlaid(hay, needle), Sight(6, 40, 24))]
    assert keep(store, *seen) <= 24 + 20
    glimpses = Glimpses(store, wanted(seen))
    for composition, sight in seen:
        assert glimpses.video(composition, sight).shape == (sight.frames, sight.height_px, sight.width_px, 3)
    assert set(kept_glimpses(store, wanted(seen))) == set(wanted(seen))
    other = wanted([(overlaid(hay, needle), Sight(5, 80, 48))])
    assert not kept_glimpses(store, other)


def test_what_lies_elsewhere_is_the_same_by_content(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    hay, needle = clips
    moved = replace(hay, root="somewhere", path="else.mp4", clip_id="of another name")
    keys = [{w.key for w in wanted([(inserted(one, needle), SIGHT)]).values()} for one in (hay, moved)]
    assert keys[0] == keys[1]
    want = next(w for w in wanted([(inserted(moved, needle), SIGHT)]).values() if w.clip.root == "somewhere")
    assert located_want(want, {"somewhere": "/there"}).clip.file == Path("/there/else.mp4")


def test_little_memory_gives_the_same_pictures(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    hay, needle = clips
    store, composition = Store(tmp_path), inserted(hay, needle)
    keep(store, (composition, SIGHT))
    wants = wanted([(composition, SIGHT)])
    roomy, tight = (Glimpses(store, wants, max_bytes=most).video(composition, SIGHT) for most in (1 << 30, 1))
    np.testing.assert_array_equal(roomy, tight)


def test_a_short_video_is_padded_with_its_last_frame(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    _, needle = clips
    composition, store = Composition(CANVAS, 2, (Piece(needle, CANVAS.whole, 0, 2),)), Store(tmp_path)
    keep(store, (composition, SIGHT))
    video = Glimpses(store, wanted([(composition, SIGHT)])).video(composition, SIGHT)
    np.testing.assert_array_equal(video[1], video[3])
    assert not np.array_equal(video[0], video[1])


def test_cells_of_a_grid_meet_without_gap_or_overlap() -> None:
    canvas = Canvas(1920, 1080, Fraction(8), pixels="yuv444p")
    covered = np.zeros((144, 256), int)
    for row in range(8):
        for column in range(8):
            box = Sight(4, 256, 144).box(Box(240 * column, 135 * row, 240, 135), canvas)
            covered[box.y : box.y + box.height, box.x : box.x + box.width] += 1
    assert (covered == 1).all()


def test_a_box_too_small_to_be_seen_is_one_pixel(clips: tuple[Clip, Clip]) -> None:
    assert Sight(1, 8, 9).box(Box(158, 94, 2, 2), CANVAS) == Box(7, 8, 1, 1)


def test_a_file_that_is_another_is_rejected(clips: tuple[Clip, Clip], tmp_path: Path) -> None:
    hay, needle = clips
    strange = replace(hay, frames=hay.frames + 1, end_pts=hay.end_pts + hay.end_pts // hay.frames)
    with pytest.raises(Reject, match="claims"):
        keep(Store(tmp_path), (Composition(CANVAS, 24, (Piece(strange, CANVAS.whole, 0, 24),)), Sight(24, 80, 48)))
    assert needle.frames == 12
