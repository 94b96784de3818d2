"""PSNR and SSIM of keyframes, against the definitions written out."""

import itertools
import time

import cv2
import numpy as np
import pytest
from scipy.ndimage import correlate

from tasks.video import diversity
from tests.tasks.video.scenes import Scene


def bgr(seed: int, height: int = 256, width: int = 456) -> np.ndarray:
    return Scene(seed, 1, height, width).images[0][..., ::-1].copy()


def grey(seed: int, height: int = 96, width: int = 120) -> np.ndarray:
    return cv2.cvtColor(bgr(seed, height, width), cv2.COLOR_BGR2GRAY)


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def ssim_by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equations 13 to 17: weighted means, variances and covariance about the window's own mean."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    x, y = a.astype(float), b.astype(float)
    windows_x = np.lib.stride_tricks.sliding_window_view(x, (11, 11))
    windows_y = np.lib.stride_tricks.sliding_window_view(y, (11, 11))
    total = 0.0
    for row in range(windows_x.shape[0]):
        for column in range(windows_x.shape[1]):
            p, q = windows_x[row, column], windows_y[row, column]
            mean_p, mean_q = (weights * p).sum(), (weights * q).sum()
            var_p, var_q = (weights * (p - mean_p) ** 2).sum(), (weights * (q - mean_q) ** 2).sum()
            cov = (weights * (p - mean_p) * (q - mean_q)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            total += (2 * mean_p * mean_q + c1) * (2 * cov + c2) / (mean_p**2 + mean_q**2 + c1) / (var_p + var_q + c2)
    return total / (windows_x.shape[0] * windows_x.shape[1])


@pytest.mark.parametrize("other", ["noise", "blur", "another", "shift", "black"])
def test_ssim_is_that_of_the_definition(other: str) -> None:
    a = grey(1)
    b = {
        "noise": noisy(a, 20),
        "blur": cv2.GaussianBlur(a, (0, 0), 3),
        "another": grey(2),
        "shift": np.roll(a, 4, axis=1),
        "black": np.zeros_like(a),
    }[other]
    assert diversity.ssim(a, b) == pytest.approx(ssim_by_definition(a, b), abs=2e-4)


def test_ssim_windows_are_gaussian_and_whole() -> None:
    """The mean of the map that scipy's exact correlation gives, its rim of five left out."""
    a, b = grey(3).astype(float), noisy(grey(3), 30).astype(float)
    line = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    kernel = np.outer(line, line) / line.sum() ** 2
    mean_a, mean_b = correlate(a, kernel), correlate(b, kernel)
    var_a, var_b = correlate(a * a, kernel) - mean_a**2, correlate(b * b, kernel) - mean_b**2
    cov = correlate(a * b, kernel) - mean_a * mean_b
    c1, c2 = 6.5025, 58.5225
    found = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / (mean_a**2 + mean_b**2 + c1) / (var_a + var_b + c2)
    expected = found[5:-5, 5:-5].mean()
    assert diversity.ssim(a.astype(np.uint8), b.astype(np.uint8)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("step", "db"), [(1, 48.13), (16, 24.05), (255, 0.0)])
def test_psnr_of_a_constant_difference_is_in_closed_form(step: int, db: float) -> None:
    a = np.zeros((40, 60), np.uint8)
    assert diversity.psnr_db(a, a + np.uint8(step)) == pytest.approx(db, abs=0.01)


def test_sheet_s_examples_of_psnr() -> None:
    """20 dB ~ MSE 650, 4 dB ~ MSE 25,900."""
    a = np.zeros((100, 100), np.uint8)
    for mse, db in ((650, 20), (25_900, 4)):
        step = round(mse**0.5)
        assert diversity.psnr_db(a, a + np.uint8(step)) == pytest.approx(db, abs=0.2)


def test_equal_pictures_have_the_finite_top_values_and_the_slightest_change_is_below() -> None:
    a = bgr(4)
    found = diversity.neighbours([a, a])
    assert found["psnr_db_mean"] == diversity.EQUAL_DB == 100
    assert found["ssim_mean"] == pytest.approx(1, abs=1e-6)
    one = diversity.luma(a).copy()
    one[0, 0] ^= 1
    assert diversity.psnr_db(one, diversity.luma(a)) < 100


def test_both_fall_as_noise_grows_and_are_low_between_strangers() -> None:
    a = grey(5, 256, 456)
    for measure in (diversity.psnr_db, diversity.ssim):
        values = [measure(a, noisy(a, sigma)) for sigma in (1, 3, 9, 27, 81)]
        assert values == sorted(values, reverse=True)
        assert measure(a, grey(6, 256, 456)) < measure(a, noisy(a, 9))


def test_both_are_symmetric() -> None:
    a, b = grey(7), grey(8)
    assert diversity.psnr_db(a, b) == diversity.psnr_db(b, a)
    assert diversity.ssim(a, b) == pytest.approx(diversity.ssim(b, a), abs=1e-7)


def test_neighbours_are_the_adjacent_pairs() -> None:
    images = [bgr(seed, 300, 500) for seed in range(5)]
    lumas = [diversity.luma(image) for image in images]
    assert all(min(picture.shape) == 256 for picture in lumas)
    pairs = [(diversity.psnr_db(a, b), diversity.ssim(a, b)) for a, b in itertools.pairwise(lumas)]
    found = diversity.neighbours(images)
    for place, name in enumerate(("psnr_db", "ssim")):
        values = [pair[place] for pair in pairs]
        assert found[f"{name}_mean"] == pytest.approx(sum(values) / 4)
        assert (found[f"{name}_min"], found[f"{name}_max"]) == (min(values), max(values))


def test_one_picture_has_no_neighbour() -> None:
    assert set(diversity.neighbours([bgr(9)]).values()) == {None}


def test_flat_black_pictures_are_equal_and_finite() -> None:
    black = np.zeros((256, 456, 3), np.uint8)
    assert diversity.neighbours([black, black])["ssim_mean"] == pytest.approx(1)


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(96, 120\) and \(96, 100\)"):
        diversity.psnr_db(grey(1), grey(1)[:, :100])
    with pytest.raises(ValueError, match="smaller than a window"):
        diversity.ssim(grey(1)[:8], grey(1)[:8])


def test_a_pair_takes_milliseconds() -> None:
    """The bound is loose, for a shared machine; the figure is in the module's report."""
    a, b = grey(10, 256, 456), grey(11, 256, 456)
    begun = time.process_time()
    for _ in range(20):
        diversity.ssim(a, b)
    assert (time.process_time() - begun) / 20 < 0.02


def test_ssim_is_the_same_to_the_last_bit_wherever_in_memory_it_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)

    def room(shape: tuple[int, int], _thread: int) -> list[np.ndarray]:
        size, found = 4 * shape[0] * shape[1], []
        for _ in range(8):
            raw = np.empty(size + 8192, np.uint8)
            start = -raw.ctypes.data % 4096 + 4 * int(rng.integers(0, 1024))
            found.append(raw[start : start + size].view(np.float32).reshape(shape))
        return found

    monkeypatch.setattr(diversity, "_room", room)
    for _ in range(8):  # where their terms are far apart: else sums are exact in any order
        one, other = (cv2.GaussianBlur(rng.integers(0, 256, (256, 456), np.uint8), (0, 0), sigma) for sigma in (3, 6))
        one[:, :228] = 0
        other = np.where(other > 127, 255, 0).astype(np.uint8)
        assert len({diversity.ssim(one, other) for _ in range(20)}) == 1
