"""Boundaries of made-up films whose cuts, dissolves, fades and flashes are known."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tasks.store import Store
from tasks.video import thumbnails, transnet
from tasks.video.frames import run_pass
from tasks.video.likeness import small_of, strangeness
from tasks.video.mixtures import runs
from tasks.video.shots import (
    Seen,
    ShotJob,
    boundaries_of,
    color_difference,
    find_shots,
    gaps_in,
    packed,
    shot_rows,
    stored_shots,
)
from tasks.video.thumbnails import ColorDifference, Thumbnails, read_thumbnails
from tasks.video.transitions import STRANGE, Boundary, Rules, find_boundaries
from tests.cases import rest
from tests.conftest import REPOSITORY
from tests.tasks.video import clips
from tests.tasks.video.films import DOUBTFUL, KINDS, QUIET
from tests.tasks.video.scenes import Film, Image, Scene, joined, with_flash

RULES = Rules(8, 3, 6, 1.6, 0.4, 0.75, 0.3, 0.5)


def small(images: list[Image]) -> np.ndarray:
    return np.stack([cv2.resize(image, (48, 27), interpolation=cv2.INTER_AREA) for image in images])


def found_in(images: list[Image]) -> list[Boundary]:
    frames = small(images)
    return find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, transnet.judge)[0]


def no_i_frames(frames: np.ndarray) -> np.ndarray:
    return np.arange(len(frames)) == 0


def never(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    raise AssertionError("the network was asked")


def deaf(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Answer as the network that knows nothing of what it is shown."""
    return np.zeros(len(window) - 50, np.float32), np.zeros(len(window) - 50, np.float32)


def with_title(images: list[Image], last: int, gone: int) -> list[Image]:
    """Return the frames with large letters that fade out after frame `last`."""
    letters = np.zeros_like(images[0])
    cv2.putText(letters, "A BURROW", (40, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 8)
    shares = np.interp(range(len(images)), [last, gone], [1, 0])
    return [
        np.clip(image + share * letters, 0, 255).astype(np.uint8) for image, share in zip(images, shares, strict=True)
    ]


def a_film(seed: int) -> Film:
    """Return a film of seven scenes with each kind of transition, in any order, and cuts a few frames apart."""
    rng = np.random.default_rng(seed)
    kinds = [("cut", 0)] * 4 + [("dissolve", int(rng.integers(6, 30))), ("fade", int(rng.integers(12, 30)))]
    kinds = [kinds[i] for i in rng.permutation(len(kinds))]
    scenes = []
    for number in range(len(kinds) + 1):
        soft = any(kind != "cut" for kind, _ in kinds[max(0, number - 1) : number + 1])
        frames = int(rng.choice([8, 14, 40, 60])) + (60 if soft else 0)
        pan, zoom = float(rng.choice([0, 1, 3, 8])), float(rng.choice([1, 1.3, 0.8]))
        scenes.append(Scene(int(rng.integers(10**9)), frames, pan_px=pan, zoom=zoom, things=int(rng.integers(6))))
    return joined(scenes, kinds)


def score(film: Film, found: list[Boundary]) -> tuple[int, int, int]:
    """Return (right, extra, missed); a boundary is right if it lies within a frame of a planted one."""
    left = list(found)
    right = 0
    for end, start in film.boundaries:
        hit = next((b for b in left if b.end - 1 <= start and b.start + 1 >= end), None)
        if hit is not None:
            left.remove(hit)
            right += 1
    return right, len(left), len(film.boundaries) - right


def test_cuts_dissolves_and_fades_of_made_up_films_are_found() -> None:
    scores = [score(film, found_in(film.images)) for film in map(a_film, range(2))]
    right, extra, missed = np.sum(scores, axis=0)
    assert 2 * right / (2 * right + extra + missed) >= 0.95


@pytest.mark.slow
def test_f1_over_many_films_is_above_the_target() -> None:
    scores = [score(film, found_in(film.images)) for film in map(a_film, range(100, 130))]
    right, extra, missed = np.sum(scores, axis=0)
    assert 2 * right / (2 * right + extra + missed) >= 0.95


def scores_of(kinds: Iterable[str], seeds: Iterable[int]) -> np.ndarray:
    """Return (right, extra, missed) over made-up films of some kinds."""
    made = [KINDS[kind](np.random.default_rng(seed)) for seed in seeds for kind in kinds]
    return np.sum([score(film, found_in(film.images)) for film in made], axis=0)


def f1(scores: np.ndarray) -> float:
    right, extra, missed = scores.tolist()
    return float(2 * right / (2 * right + extra + missed))


def some(kinds: Iterable[str]) -> list[Any]:
    """Return kinds as parameters; those that the network must look at are slow."""
    return [case for kind in kinds for case in (rest(kind) if kind in DOUBTFUL else [kind])]


@pytest.mark.parametrize("kind", some(kind for kind in KINDS if kind not in QUIET))
def test_each_kind_of_boundary_is_found(kind: str) -> None:
    assert f1(scores_of([kind], [0])) >= 0.8  # of at least two: at most one is wrong


@pytest.mark.parametrize("kind", some(QUIET))
def test_what_moves_or_flashes_is_no_boundary(kind: str) -> None:
    assert scores_of([kind], [0]).tolist() == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "least"),
    [("cuts", 0.95), ("2 to 5", 0.95), ("dissolves", 0.95), ("fades", 0.95), ("wipes", 0.8)],
)
def test_f1_over_many_films_is_above_the_target_for_each_kind(word: str, least: float) -> None:
    assert f1(scores_of([kind for kind in KINDS if word in kind], range(20, 24))) >= least


def test_hard_cuts_are_found_to_the_frame_without_the_network() -> None:
    film = joined([Scene(seed, frames) for seed, frames in enumerate([30, 5, 12, 40, 9])], [("cut", 0)] * 4)
    frames = small(film.images)
    found, seen = find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, never)
    assert [(b.end, b.start, b.kind) for b in found] == [(end, start, "cut") for end, start in film.boundaries]
    assert seen == 0


def test_frames_of_a_dissolve_or_fade_are_in_no_shot() -> None:
    film = joined([Scene(seed, 90, pan_px=0.5) for seed in (3, 4, 5)], [("dissolve", 16), ("fade", 20)])
    found = found_in(film.images)
    assert [b.kind for b in found] == ["gradual", "blank"]
    for boundary, (end, start) in zip(found, film.boundaries, strict=True):
        assert abs(boundary.end - end) <= 4
        assert abs(boundary.start - start) <= 4


def test_a_slow_dissolve_after_titles_that_fade_is_found_without_the_network() -> None:
    wide, close = Scene(60, 180, pan_px=0.05, things=1), Scene(61, 140, pan_px=0.1, things=1, light=0.8)
    film = joined([replace(wide, images=with_title(wide.images, 20, 50)), close], [("dissolve", 66)])
    frames = small(film.images)
    found, _ = find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, deaf)
    assert [b.kind for b in found] == ["gradual"]
    assert abs(found[0].end - film.boundaries[0][0]) <= 8
    assert abs(found[0].start - film.boundaries[0][1]) <= 8


@pytest.mark.parametrize(
    "kind", ["light that changes slowly", "zooms that start and stop", "large things that come in slowly", "explosions"]
)
def test_what_changes_slowly_is_no_dissolve_without_the_network(kind: str) -> None:
    for seed in range(3):
        frames = small(KINDS[kind](np.random.default_rng(seed)).images)
        assert find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, deaf)[0] == []


def test_a_long_gap_in_time_is_a_cut_whatever_is_seen() -> None:
    pts = np.cumsum([0] + [40] * 29 + [1100] + [40] * 29 + [900] + [40] * 9)
    gaps = gaps_in(pts, Fraction(1, 1000))
    assert gaps == (30,)
    frames = small(Scene(12, 70).images)
    found, _ = find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, never, gaps)
    assert [(b.end, b.start, b.kind) for b in found] == [(30, 30, "cut")]


def test_frames_far_apart_throughout_are_one_recording() -> None:
    assert gaps_in(np.arange(50) * 2, Fraction(1)) == ()  # one in two seconds
    assert gaps_in(np.array([0]), Fraction(1)) == ()


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("color", [(255, 255, 255), (255, 60, 40)])
@pytest.mark.parametrize("strength", [0.8, 1.0])
def test_a_flash_of_light_is_no_cut(frames: int, color: tuple[int, int, int], strength: float) -> None:
    assert found_in(with_flash(Scene(7, 120).images, 60, frames, strength, color)) == []


def test_a_glimpse_of_another_shot_is_two_cuts() -> None:
    images = Scene(8, 80).images
    images[40:44] = Scene(9, 4).images
    assert [(b.end, b.start) for b in found_in(images)] == [(40, 40), (44, 44)]


@pytest.mark.parametrize("step_px", [3, 5, 8, 13])
def test_a_striped_curtain_that_is_drawn_past_is_no_wipe(step_px: int) -> None:
    columns = np.arange(320) + step_px * np.arange(140)[:, None]
    stripes = np.where(columns // 80 % 2 == 0, 234, 18).astype(np.uint8)
    images = [np.broadcast_to(row[None, :, None], (180, 320, 3)).copy() for row in stripes]
    frames = small(images)
    assert find_boundaries(color_difference(frames), no_i_frames(frames), frames, RULES, deaf)[0] == []


def test_a_dark_film_is_not_blank() -> None:
    first, second = (np.stack(Scene(seed, 60, pan_px=2).images) for seed in (12, 13))
    dark = list((np.concatenate([first, second]) * (10 / first.mean())).astype(np.uint8))
    frames = small(dark)
    assert frames.reshape(len(frames), -1, 3).std(axis=1).max() < 8
    assert [(b.end, b.start, b.kind) for b in found_in(dark)] == [(60, 60, "cut")]


@pytest.mark.parametrize("pan_px", [0, 4, 12])
def test_a_camera_that_moves_makes_no_cut(pan_px: float) -> None:
    assert found_in(Scene(10, 120, pan_px=pan_px, zoom=1.4).images) == []


def test_a_short_video_is_one_shot() -> None:
    assert found_in(Scene(11, 3).images) == []
    assert found_in(Scene(11, 1).images) == []


def test_strangeness_is_about_one_for_unrelated_pictures_in_any_light_and_small_for_a_camera_that_moves() -> None:
    scenes = [small_of(small(Scene(seed, 2, pan_px=8).images)) for seed in range(20)]
    first = np.stack([scene[0] for scene in scenes])
    moved = np.stack([scene[-1] for scene in scenes])
    other = np.roll(first, 1, axis=0)
    assert (strangeness(first, other) > STRANGE).all()
    np.testing.assert_allclose(strangeness(first / 8, other / 8), strangeness(first, other), rtol=1e-4)
    assert (strangeness(first, moved) < RULES.doubt_strangeness).all()
    assert (strangeness(first, first) == 0).all()


def quiet_then_doubtful() -> tuple[np.ndarray, np.ndarray, int]:
    """Return differences and thumbnails with 20 sure cuts, and a cut that motion makes doubtful, and where it lies."""
    scenes = [Scene(seed, 30, pan_px=0.5, things=0) for seed in range(21)]
    images = joined(scenes, [("cut", 0)] * 20).images
    fast = Scene(50, 120, pan_px=0, things=0).images[0]
    images += [np.roll(fast, 90 * i, axis=1) for i in range(40)]
    frames = small(images)
    return color_difference(frames), frames, 21 * 30


def test_an_i_frame_settles_a_doubt_where_the_encoder_marks_its_cuts() -> None:
    difference, frames, at = quiet_then_doubtful()
    marks = np.zeros(len(frames), bool)
    marks[0:at:30] = True
    marks[60] = False  # one was missed: 60 frames are the greatest distance
    asked: list[int] = []

    def judge(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(window))
        return np.zeros(len(window) - 50, np.float32), np.zeros(len(window) - 50, np.float32)

    marked = marks.copy()
    marked[at] = True
    ends = [b.end for b in find_boundaries(difference, marked, frames, RULES, judge)[0]]
    assert at in ends
    without = [b.end for b in find_boundaries(difference, marks, frames, RULES, judge)[0]]
    assert at not in without
    assert asked


@pytest.mark.parametrize("distance", [1, 12, 250])
def test_i_frames_at_a_fixed_distance_change_nothing(distance: int) -> None:
    for seed in (0, 1):
        film = KINDS["close cuts"](np.random.default_rng(seed))
        frames = small(film.images)
        difference = color_difference(frames)
        places = np.arange(len(frames)) % distance == 0
        with_them, without = (
            find_boundaries(difference, i, frames, RULES, never) for i in (places, no_i_frames(frames))
        )
        assert with_them == without


def test_the_network_answers_the_middle_of_a_window() -> None:
    film = joined([Scene(1, 50), Scene(2, 50)], [("cut", 0)])
    ends, within = transnet.judge(small(film.images))
    assert len(ends) == len(within) == 50
    assert int(np.argmax(ends)) == 49 - transnet.MARGIN  # the frame that a shot ends with
    assert ends.max() > 0.9
    assert np.sort(ends)[-2] < 0.1


@pytest.mark.slow
def test_windows_of_many_lengths_do_not_fill_the_memory() -> None:
    """Each length once, in a process that is set up as a stage: without a limit each costs some 60 MB for good.

    What the heap keeps for the next call comes and goes by 300 MB; without a limit this is 1000 MB.
    """
    code = """
import numpy as np, psutil
from pathlib import Path
from tasks import env
env.configure(Path.cwd())
from tasks.video import transnet
used = []
for frames in range(60, 100):
    transnet.judge(np.zeros((frames, 27, 48, 3), np.uint8))
    used.append(psutil.Process().memory_info().rss / 1e6)
print(min(used[30:]) - max(used[:15]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 500


def test_runs_are_the_spans_of_true() -> None:
    assert runs(np.array([True, False, True, True, False, True])) == [(0, 1), (2, 4), (5, 6)]
    assert runs(np.zeros(3, bool)) == []


def test_shots_lie_between_boundaries_by_time() -> None:
    pts = np.arange(100) * 40 + 7
    found = [Boundary(10, 10, "cut", 1.0), Boundary(30, 50, "gradual", 0.8), Boundary(90, 100, "blank", 1.0)]
    rows = shot_rows("video", pts, 4007, found)
    spans = [(row["start_pts"], row["end_pts"], row["frames"], row["begins"], row["ends"]) for row in rows]
    assert spans == [
        (7, 407, 10, "start", "cut"),
        (407, 1207, 20, "cut", "gradual"),
        (2007, 3607, 40, "gradual", "blank"),
    ]
    assert shot_rows("video", pts, 4007, []) == [rows[0] | {"end_pts": 4007, "frames": 100, "ends": "end"}]


# --- thumbnails ---


def scanned(path: Path, store: Store) -> tuple[list[str], np.ndarray, np.ndarray]:
    keep, difference = Thumbnails(store.table_blob), ColorDifference(store.table_blob)
    run_pass(path, [keep, difference], frame_s=1 / 24)
    summary, blobs = keep.finish()
    (table,) = difference.finish()[1]
    columns = store.read_table_blob(table)
    values = columns.column("color_difference").to_numpy(zero_copy_only=False)
    assert summary["frames"] == len(values)
    return blobs, np.nan_to_num(values), columns.column("i_frame").to_numpy()


def test_thumbnails_are_all_frames_and_give_the_same_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "CHUNK_FRAMES", 32)
    images = joined([Scene(1, 40), Scene(2, 45)], [("cut", 0)]).images
    path = clips.write_clip(tmp_path / "clip.mp4", images)
    store = Store(tmp_path / "store")
    blobs, difference, _ = scanned(path, store)
    frames = read_thumbnails(store, blobs)
    assert len(blobs) == 3
    assert frames.shape == (85, 27, 48, 3)
    np.testing.assert_allclose(color_difference(frames), difference, atol=1e-4)
    assert np.abs(frames[..., ::-1].astype(float) - small(images)).mean() < 4


def test_shots_are_found_once_for_the_same_thumbnails_i_frames_and_rules(tmp_path: Path) -> None:
    film = joined([Scene(3, 30), Scene(4, 30)], [("cut", 0)])
    path = clips.write_clip(tmp_path / "clip.mp4", film.images)
    store = Store(tmp_path / "store")
    blobs, _, i_frame = scanned(path, store)
    seen = Seen(tuple(blobs), packed(i_frame))
    assert stored_shots(store, {"a": seen}, RULES) == {}
    find_shots(ShotJob(seen, store.url, RULES))
    store.refresh()
    kept = stored_shots(store, {"a": seen, "copy": seen}, RULES)
    assert [row[:2] for row in kept["copy"].value["boundaries"]] == [[30, 30]]
    assert stored_shots(store, {"a": seen}, replace(RULES, cut_difference=9)) == {}
    assert stored_shots(store, {"a": Seen(tuple(blobs), packed(~i_frame))}, RULES) == {}
    assert stored_shots(store, {"a": replace(seen, gaps=(20,))}, RULES) == {}


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"crf": "23"}),
        ("libx264", {"crf": "30"}),
        ("libx264", {"crf": "28", "g": "12", "sc_threshold": "0"}),
        ("mpeg2video", {"g": "12", "b": "2000000"}),
        ("libx264", {"crf": "23", "g": "1"}),
    ],
)
def test_shots_of_encoded_films_are_those_of_the_film(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    lengths = [30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 3, 5, 12, 70, 40, 40]
    kinds = [("cut", 0)] * 15 + [("dissolve", 16), ("cut", 0)]
    film = joined([Scene(40 + i, n, pan_px=1, things=2) for i, n in enumerate(lengths)], kinds)
    path = clips.write_clip(tmp_path / "clip.mkv", film.images, codec=codec, options=options)
    store = Store(tmp_path / "store")
    blobs, _, i_frame = scanned(path, store)
    seen = Seen(tuple(blobs), packed(i_frame))
    find_shots(ShotJob(seen, store.url, RULES))
    store.refresh()
    record = stored_shots(store, {"a": seen}, RULES)["a"]
    assert score(film, boundaries_of(record)) == (len(kinds), 0, 0)
    assert record.value["judged_frames"] < 0.3 * len(film.images)
