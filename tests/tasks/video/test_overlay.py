"""Static overlays: logos and captions of known place over made-up films, after any encoder, and what is none."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from tasks.store import Store
from tasks.video import overlay
from tasks.video.frames import run_pass
from tasks.video.overlay import EdgeMaps, OverlayScore, edges, read_edge_maps, take_overlay
from tests.cases import rest
from tests.tasks.video import clips, codecs
from tests.tasks.video.scenes import Scene

CODECS = list(codecs.CODECS)
LEAST = 0.002  # area from which an overlay counts


def score(tmp_path: Path, images: list[np.ndarray], codec: str = "h264") -> OverlayScore:
    store = Store(str(tmp_path / "store"))
    path = codecs.encode(tmp_path / "clip", images, codec)
    consumer = EdgeMaps(store.table_blob, per_s=2, short_side_px=90)
    counts = run_pass(path, [consumer], frame_s=1 / 24)
    summary, blobs = consumer.finish()
    return take_overlay(*read_edge_maps(store, blobs, summary["first_pts"], counts.start_pts, counts.end_pts))


def scene(seed: int, kind: str) -> list[np.ndarray]:
    """Return five seconds of a pan, a zoom, or of many things before a slow camera."""
    options = {
        "pan": {"pan_px": 1.6, "things": 2},
        "zoom": {"pan_px": 0.5, "zoom": 1.6, "things": 2},
        "things": {"pan_px": 0.6, "things": 14},
    }
    return Scene(seed, 120, height=270, width=480, **options[kind]).images  # type: ignore[arg-type]


def marked(images: list[np.ndarray], seed: int, alpha: float) -> tuple[list[np.ndarray], tuple[float, ...]]:
    """Draw a logo of 8 % of width and height in a corner: a ring and a bar, white with a dark rim; and say where."""
    height, width = images[0].shape[:2]
    tall, wide = round(0.08 * height), round(0.08 * width)
    right, bottom = seed % 2, seed // 2 % 2
    left = width - wide - round(0.04 * width) if right else round(0.04 * width)
    top = height - tall - round(0.05 * height) if bottom else round(0.05 * height)
    layers = []
    for grow in (2, 0):
        mask = np.zeros((8 * tall, 8 * wide), np.uint8)
        cv2.circle(mask, (4 * tall, 4 * tall), 3 * tall, 255, tall + 8 * grow)
        cv2.rectangle(mask, (8 * tall + 8, tall), (8 * wide - 16, 3 * tall), 255, -1)
        cv2.rectangle(mask, (8 * tall + 8, 5 * tall), (8 * wide - 8 * tall // 3, 7 * tall), 255, -1)
        layers.append(cv2.resize(mask, (wide, tall), interpolation=cv2.INTER_AREA)[..., None] / 255 * alpha)
    found = []
    for image in images:
        drawn = image.astype(np.float32)
        part = drawn[top : top + tall, left : left + wide]
        for opaque, color in zip(layers, (20, 240), strict=True):
            part += opaque * (color - part)
        found.append(drawn.astype(np.uint8))
    return found, (left / width, top / height, (left + wide) / width, (top + tall) / height)


def captioned(images: list[np.ndarray]) -> list[np.ndarray]:
    height, width = images[0].shape[:2]
    found = []
    for image in images:
        drawn = image.copy()
        for thick, color in ((5, (0, 0, 0)), (2, (255, 255, 255))):
            cv2.putText(drawn, "so it goes on and on", (width // 6, height - 24), 0, height / 300, color, thick, 16)
        found.append(drawn)
    return found


@pytest.mark.parametrize("kind", ["pan", *rest("zoom", "things")])
def test_a_logo_is_found_where_it_is_and_only_where_there_is_one(tmp_path: Path, kind: str) -> None:
    """Half transparent, a white one over a bright sky may escape: three of four are asked for."""
    found: dict[float, int] = {1.0: 0, 0.6: 0}
    for seed in range(4):
        images = scene(seed, kind)
        codec = CODECS[(seed + 2 * len(kind)) % len(CODECS)]
        assert score(tmp_path / f"{seed}", images, codec).area < LEAST
        for alpha in found:
            drawn, place = marked(images, seed, alpha)
            answer = score(tmp_path / f"{seed} {alpha}", drawn, codec)
            near = [np.abs(np.subtract(box, place)).max() < 0.05 for box in answer.boxes]
            assert len(near) == sum(near)  # nothing else
            found[alpha] += LEAST <= answer.area <= 0.02
    assert found[1.0] == 4
    assert found[0.6] >= 3


def test_a_caption_that_stays_is_found(tmp_path: Path) -> None:
    found = score(tmp_path, captioned(scene(5, "pan")))
    assert found.area > 0.01
    assert all(top > 0.75 for _, top, _, _ in found.boxes)


def test_still_pictures_and_a_slow_pan_are_no_overlay(tmp_path: Path) -> None:
    """Nothing can be said where nothing moves: not of a logo, not of credits."""
    still = [scene(1, "pan")[0]] * 120
    slow = Scene(2, 120, height=270, width=480, pan_px=0.05, things=0).images
    for number, images in enumerate((still, captioned(still), marked(still, 0, 1.0)[0], slow)):
        found = score(tmp_path / str(number), images)
        assert found.area == 0
        assert found.still_share > 0.7


@pytest.mark.parametrize("seed", [0, *rest(1, 2, 3)])
def test_things_before_a_still_camera_make_no_overlay_of_the_backdrop(tmp_path: Path, seed: int) -> None:
    for things in (3, 12):
        images = Scene(seed, 120, height=270, width=480, pan_px=0, things=things).images
        assert score(tmp_path / str(things), images).area == 0


def test_credits_that_roll_over_a_framed_card_are_no_overlay(tmp_path: Path) -> None:
    card = np.full((270, 480, 3), (40, 90, 60), np.uint8)
    cv2.rectangle(card, (40, -10), (440, 280), (190, 210, 190), 3)
    roll = np.zeros((1200, 480), np.uint8)
    for line in range(50):
        cv2.putText(roll, f"{chr(65 + line % 26)}. Surname {line}", (150, 24 * line), 0, 0.6, 255, 2, 16)
    images = [np.maximum(card, roll[5 * i : 5 * i + 270, :, None]) for i in range(120)]
    assert score(tmp_path, images).area < LEAST


def test_edges_are_central_differences_in_steps_of_four_towards_zero() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    dx, dy = edges(image)
    wide = image.astype(int)
    np.testing.assert_array_equal(dx[1:-1, 1:-1], np.trunc((wide[1:-1, 2:] - wide[1:-1, :-2]) / 8))
    np.testing.assert_array_equal(dy[1:-1, 1:-1], np.trunc((wide[2:, 1:-1] - wide[:-2, 1:-1]) / 8))


def test_maps_of_a_span_are_read_from_the_chunks_that_hold_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store"))
    path = clips.write_clip(tmp_path / "clip.mp4", clips.moving(1, 96, 5))
    monkeypatch.setattr(overlay, "CHUNK_BYTES", 90_000)
    consumer = EdgeMaps(store.table_blob, per_s=4, short_side_px=90)
    counts = run_pass(path, [consumer], frame_s=1 / 24)
    summary, blobs = consumer.finish()
    assert len(blobs) > 3
    pts = np.concatenate([store.read_table_blob(name).column("pts").to_numpy() for name in blobs])
    whole = read_edge_maps(store, blobs, summary["first_pts"], counts.start_pts, counts.end_pts)
    assert whole[0].shape == (len(pts), 90, 160)
    read: list[str] = []
    read_table_blob = store.read_table_blob

    def watched(name: str) -> pa.Table:
        read.append(name)
        return read_table_blob(name)

    monkeypatch.setattr(store, "read_table_blob", watched)
    for first, last in ((0, 3), (5, 6), (2, 11), (7, 7)):
        read.clear()
        span = read_edge_maps(store, blobs, summary["first_pts"], int(pts[first]), int(pts[last]))
        for found, expected in zip(span, whole, strict=True):
            assert np.array_equal(found, expected[first:last]) or first == last
        assert len(read) < len(blobs)
    assert take_overlay(*read_edge_maps(store, blobs, summary["first_pts"], 10**9, 10**9 + 1)).area == 0
