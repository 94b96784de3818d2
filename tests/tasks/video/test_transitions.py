"""Boundaries of made-up films whose cuts, dissolves, fades and flashes are known."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.store import Store
from tasks.video import thumbnails, transnet
from tasks.video.frames import run_pass
from tasks.video.shots import Seen, ShotJob, color_difference, find_shots, packed, shot_rows, stored_shots
from tasks.video.thumbnails import ColorDifference, Thumbnails, read_thumbnails
from tasks.video.transitions import Boundary, Rules, find_boundaries, runs
from tests.tasks.video import clips
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
    scores = [score(film, found_in(film.images)) for film in map(a_film, range(4))]
    right, extra, missed = np.sum(scores, axis=0)
    assert 2 * right / (2 * right + extra + missed) >= 0.95


@pytest.mark.slow
def test_f1_over_many_films_is_above_the_target() -> None:
    scores = [score(film, found_in(film.images)) for film in map(a_film, range(100, 130))]
    right, extra, missed = np.sum(scores, axis=0)
    assert 2 * right / (2 * right + extra + missed) >= 0.95


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


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_flash_of_light_is_no_cut(frames: int) -> None:
    assert found_in(with_flash(Scene(7, 120).images, 60, frames)) == []


def test_a_glimpse_of_another_shot_is_two_cuts() -> None:
    images = Scene(8, 80).images
    images[40:44] = Scene(9, 4).images
    assert [(b.end, b.start) for b in found_in(images)] == [(40, 40), (44, 44)]


@pytest.mark.parametrize("pan_px", [0, 4, 12])
def test_a_camera_that_moves_makes_no_cut(pan_px: float) -> None:
    assert found_in(Scene(10, 120, pan_px=pan_px, zoom=1.4).images) == []


def test_a_short_video_is_one_shot() -> None:
    assert found_in(Scene(11, 3).images) == []
    assert found_in(Scene(11, 1).images) == []


def test_the_network_answers_the_middle_of_a_window() -> None:
    film = joined([Scene(1, 50), Scene(2, 50)], [("cut", 0)])
    ends, within = transnet.judge(small(film.images))
    assert len(ends) == len(within) == 50
    assert int(np.argmax(ends)) == 49 - transnet.MARGIN  # the frame that a shot ends with
    assert ends.max() > 0.9
    assert np.sort(ends)[-2] < 0.1


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


def scanned(path: Path, store: Store) -> tuple[list[str], np.ndarray]:
    keep, difference = Thumbnails(store.table_blob), ColorDifference(store.table_blob)
    run_pass(path, [keep, difference], frame_s=1 / 24)
    summary, blobs = keep.finish()
    (table,) = difference.finish()[1]
    values = store.read_table_blob(table).column("color_difference").to_numpy(zero_copy_only=False)
    assert summary["frames"] == len(values)
    return blobs, np.nan_to_num(values)


def test_thumbnails_are_all_frames_and_give_the_same_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "CHUNK_FRAMES", 32)
    images = joined([Scene(1, 40), Scene(2, 45)], [("cut", 0)]).images
    path = clips.write_clip(tmp_path / "clip.mp4", images)
    store = Store(tmp_path / "store")
    blobs, difference = scanned(path, store)
    frames = read_thumbnails(store, blobs)
    assert len(blobs) == 3
    assert frames.shape == (85, 27, 48, 3)
    np.testing.assert_allclose(color_difference(frames), difference, atol=1e-4)
    assert np.abs(frames[..., ::-1].astype(float) - small(images)).mean() < 4


def test_shots_are_found_once_for_the_same_thumbnails_i_frames_and_rules(tmp_path: Path) -> None:
    film = joined([Scene(3, 30), Scene(4, 30)], [("cut", 0)])
    path = clips.write_clip(tmp_path / "clip.mp4", film.images)
    store = Store(tmp_path / "store")
    blobs, _ = scanned(path, store)
    flags = np.arange(60) == 0
    seen = Seen(tuple(blobs), packed(flags))
    assert stored_shots(store, {"a": seen}, RULES) == {}
    find_shots(ShotJob(seen, store.url, RULES))
    store.refresh()
    kept = stored_shots(store, {"a": seen, "copy": seen}, RULES)
    assert [row[:2] for row in kept["copy"].value["boundaries"]] == [[30, 30]]
    assert stored_shots(store, {"a": seen}, replace(RULES, cut_difference=9)) == {}
    assert stored_shots(store, {"a": Seen(tuple(blobs), packed(~flags))}, RULES) == {}
