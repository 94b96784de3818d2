"""Sharpness: by closed formulas, and after real encoders at every size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import laplace

from tasks.video.sharpness import Sharpness, sharpness
from tests.cases import rest
from tests.tasks.video import clips, codecs
from tests.tasks.video.consumed import consume

THRESHOLD = 0.2


def natural(seed: int, height: int, width: int | None = None) -> np.ndarray:
    """Return a grey picture whose contrast is the same at each scale, as that of natural pictures is, and its edges."""
    width = width or height * 16 // 9
    rng = np.random.default_rng(seed)
    down, across = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    far = np.hypot(down, across)
    far[0, 0] = 1
    image = np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / far).real
    image = 40 * image / image.std() + 120
    for _ in range(8):
        corners = rng.uniform((0, 0), (width, height), (4, 2)).astype(np.int32)
        cv2.fillConvexPoly(image, cv2.convexHull(corners), float(rng.uniform(30, 220)))
    return np.clip(image, 0, 255).astype(np.uint8)


def colored(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def measured(path: Path) -> list[float | None]:
    found: list[float | None] = consume(path, lambda keep: Sharpness(keep, per_s=4))[1].column("sharpness").to_pylist()
    return found


def by_scipy(image: np.ndarray) -> float:
    """Return the formula over a whole picture: for one that is alike everywhere it is that of its best part."""
    quarter = image.reshape(image.shape[0] // 4, 4, -1, 4).mean(axis=(1, 3))
    fine, coarse = (laplace(i.astype(float))[1:-1, 1:-1] for i in (image, quarter))
    return float(np.sqrt((np.mean(fine**2) - 20) / np.mean(coarse**2)))


def test_sharpness_is_the_fine_laplacian_by_the_coarse() -> None:
    """A checkered pattern of wide soft waves, alike in every block."""
    y, x = np.mgrid[:360, :640]
    image = np.rint(128 + 50 * np.sin(x * 2 * np.pi / 13) * np.sin(y * 2 * np.pi / 11)).astype(np.uint8)
    assert sharpness(image) == pytest.approx(by_scipy(image), rel=0.05)


@pytest.mark.parametrize("height", [180, 360, 720])
def test_blur_is_told_whatever_the_contrast(height: int) -> None:
    side = 1 if height < 720 else 2  # as the pass halves it
    for seed in range(4):
        grey = natural(seed, height)
        scores = {}
        for sigma in (0, 1 / 250, 1 / 100):
            image = cv2.GaussianBlur(grey, (0, 0), sigma * height) if sigma else grey
            small = cv2.resize(image, None, fx=1 / side, fy=1 / side, interpolation=cv2.INTER_AREA)
            dull = np.rint(128 + (small.astype(float) - 128) * 0.5).astype(np.uint8)
            scores[sigma] = sharpness(small)
            assert sharpness(dull) < scores[sigma] + 0.05
            assert sigma or sharpness(dull) > 0.8 * scores[sigma]
        assert scores[0] > 0.3
        assert scores[1 / 250] < 0.6 * scores[0]
        assert scores[1 / 100] < 0.3 * scores[0]


@pytest.mark.parametrize("codec", codecs.CODECS)
@pytest.mark.parametrize("height", [180, *rest(360, 720)])
def test_a_blurred_take_is_told_from_a_sharp_one_after_any_encoder(tmp_path: Path, codec: str, height: int) -> None:
    """One threshold for all; at 180p the least blur is 0.7 px, and is only told from its own original."""
    wide = natural(7, height, height * 16 // 9 + 26)
    scores = {}
    for name, sigma in (("sharp", 0.0), ("soft", 1 / 250), ("blurred", 1 / 125)):
        image = cv2.GaussianBlur(wide, (0, 0), sigma * height) if sigma else wide
        frames = [colored(image[:, 2 * i : 2 * i + height * 16 // 9]) for i in range(13)]
        known = [v for v in measured(codecs.encode(tmp_path / name, frames, codec)) if v is not None]
        scores[name] = float(np.median(known))
    assert scores["sharp"] > THRESHOLD > scores["blurred"]
    assert scores["soft"] < (0.75 * scores["sharp"] if height == 180 else THRESHOLD)


@pytest.mark.parametrize("height", [180, 360])
def test_black_bars_change_nothing(height: int) -> None:
    for sigma in (0, height / 120):
        image = cv2.GaussianBlur(natural(3, height), (0, 0), sigma) if sigma else natural(3, height)
        boxed = image.copy()
        boxed[: height // 8] = boxed[-(height // 8) :] = 0
        assert (sharpness(image) < THRESHOLD) == (sharpness(boxed) < THRESHOLD) == bool(sigma)


def test_nothing_is_said_of_flat_pictures_and_of_every_second_sample(tmp_path: Path) -> None:
    assert measured(clips.write_clip(tmp_path / "flat.mp4", clips.flat(90, 24))) == [None] * 4
    seen = measured(clips.write_clip(tmp_path / "clip.mp4", [colored(natural(1, 180))] * 48))
    assert [value is None for value in seen] == [False, True] * 4
