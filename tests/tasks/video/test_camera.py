"""Camera against things: pans, zooms, rolls of known size, and things that move before a still or moving camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.video.camera import camera_motion
from tasks.video.scores import MOTION, Motion
from tests.tasks.video import clips
from tests.tasks.video.consumed import consume

HEIGHT, WIDTH, FPS = 360, 640, 24
AT_720P = 720 / HEIGHT


def seen_by(
    *, pan: tuple[float, float] = (0, 0), zoom: float = 0, roll_deg: float = 0, backdrop: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return two seconds of a backdrop that shifts by `pan` px/s, grows by e^zoom and turns by `roll_deg` a second."""
    backdrop = clips.texture(5, HEIGHT, WIDTH) if backdrop is None else backdrop
    centre = np.array([WIDTH, HEIGHT]) / 2
    images = []
    for number in range(2 * FPS + 1):
        t = number / FPS
        angle, scale = np.radians(roll_deg * t), np.exp(zoom * t)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.hstack([turn, (centre + np.array(pan) * t - turn @ centre)[:, None]])
        images.append(cv2.warpAffine(backdrop, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return images


def with_things(images: list[np.ndarray], px_s: float) -> list[np.ndarray]:
    """Draw four textured things that move to the right, over a fifth of the picture."""
    rng = np.random.default_rng(3)
    side = 110
    places = [(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT - side)) for _ in range(4)]
    found = []
    for number, image in enumerate(images):
        drawn = image.copy()
        for which, (x, y) in enumerate(places):
            left, top = round(x + px_s * number / FPS) % (WIDTH - side), round(y)
            drawn[top : top + side, left : left + side] = clips.texture(20 + which, side, side)
        found.append(drawn)
    return found


def motion(tmp_path: Path, images: list[np.ndarray]) -> dict[str, float]:
    """Return the median of each score over the samples."""
    path = clips.write_clip(tmp_path / "clip.mp4", images, fps=FPS)
    table = consume(path, lambda keep: Motion(keep, per_s=4, short_side_px=144))[1]
    assert all(table.column(name)[0].as_py() is None for name in MOTION)
    return {name: float(np.median(table.column(name).to_numpy()[1:])) for name in MOTION}


@pytest.mark.parametrize("pan", [(50, 0), (-80, 0), (0, 30), (40, -20)])
def test_a_pan_is_the_cameras(tmp_path: Path, pan: tuple[float, float]) -> None:
    found = motion(tmp_path, seen_by(pan=pan))
    speed = AT_720P * np.hypot(*pan)
    assert found["pan_x_px_s"] == pytest.approx(AT_720P * pan[0], abs=0.2 * speed)
    assert found["pan_y_px_s"] == pytest.approx(AT_720P * pan[1], abs=0.2 * speed)
    assert found["camera_px_s"] == pytest.approx(speed, rel=0.2)
    assert found["object_px_s"] < 0.15 * speed
    assert abs(found["zoom_per_s"]) < 0.02
    assert abs(found["roll_deg_s"]) < 1


@pytest.mark.parametrize("zoom", [0.2, 0.08, -0.1])
def test_a_zoom_is_the_cameras(tmp_path: Path, zoom: float) -> None:
    found = motion(tmp_path, seen_by(zoom=zoom))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    mean_px = np.hypot(x - WIDTH / 2, y - HEIGHT / 2).mean()
    assert found["zoom_per_s"] == pytest.approx(zoom, rel=0.1)
    assert found["camera_px_s"] == pytest.approx(AT_720P * abs(zoom) * mean_px, rel=0.15)
    assert found["object_px_s"] < 0.25 * found["camera_px_s"]
    assert np.hypot(found["pan_x_px_s"], found["pan_y_px_s"]) < 5


@pytest.mark.parametrize("roll_deg", [10, -15])
def test_a_roll_is_the_cameras(tmp_path: Path, roll_deg: float) -> None:
    found = motion(tmp_path, seen_by(roll_deg=roll_deg))
    assert found["roll_deg_s"] == pytest.approx(roll_deg, rel=0.1)
    assert abs(found["zoom_per_s"]) < 0.02
    assert found["object_px_s"] < 0.2 * found["camera_px_s"]


def test_what_moves_before_a_still_camera_is_not_the_cameras(tmp_path: Path) -> None:
    found = motion(tmp_path, with_things(seen_by(), 120))
    assert found["camera_px_s"] < 10
    assert found["object_px_s"] > 40


def test_a_pan_is_found_behind_things_that_move_against_it(tmp_path: Path) -> None:
    found = motion(tmp_path, with_things(seen_by(pan=(50, 0)), -70))
    assert found["pan_x_px_s"] == pytest.approx(100, rel=0.15)
    assert found["object_px_s"] > 30


@pytest.mark.parametrize("share", [1 / 2, 2 / 3])
def test_a_plain_sky_does_not_hide_the_pan_below_it(tmp_path: Path, share: float) -> None:
    backdrop = clips.texture(5, HEIGHT, WIDTH)
    backdrop[: round(share * HEIGHT)] = (120, 150, 200)
    found = motion(tmp_path, seen_by(pan=(50, 0), backdrop=backdrop))
    assert found["camera_px_s"] == pytest.approx(100, rel=0.15)
    assert found["object_px_s"] < 15


@pytest.mark.parametrize("shape", [(9, 16), (16, 9)])
def test_the_fit_recovers_the_model_from_a_field_with_a_third_of_outliers(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2
    truth = {"pan_x": rng.normal(0, 2, 40), "pan_y": rng.normal(0, 2, 40)}
    truth |= {"zoom": rng.normal(0, 0.05, 40), "roll": rng.normal(0, 0.05, 40)}
    fields = np.empty((40, *shape, 3), np.float32)
    for n in range(40):
        pan_x, pan_y, zoom, roll = (truth[name][n] for name in ("pan_x", "pan_y", "zoom", "roll"))
        fields[n, ..., 0] = pan_x + zoom * x - roll * y
        fields[n, ..., 1] = pan_y + roll * x + zoom * y
        fields[n, ..., 2] = 1
        off = rng.permutation(x.size)[: x.size // 3]
        fields[n, ..., :2].reshape(-1, 2)[off] += rng.normal((3, -3), 1, (len(off), 2))
    found = camera_motion(fields)
    for name, values in truth.items():
        np.testing.assert_allclose(found[name], values, atol=0.03 if name.startswith("pan") else 0.005)
