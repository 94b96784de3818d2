"""The stand-in for perceptual distance: zero to one, growing with what is done to a picture; and a take's content."""

import itertools
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tasks.video import perceptual
from tasks.video.backends import open_backend
from tests.tasks.video import checkpoints
from tests.tasks.video.scenes import Scene

SEEDS = [1, 2, 3, 4]


@cache
def wide(seed: int) -> np.ndarray:
    return Scene(seed, 1, 256, 712, things=12).images[0][..., ::-1].copy()


def picture(seed: int, left: int = 0) -> np.ndarray:
    """A picture of 456x256 out of a wider one, so that a shift brings in new content."""
    return np.ascontiguousarray(wide(seed)[:, left : left + 456])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return perceptual.HogLab().distances([a, b])[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_pictures_have_no_distance(seed: int) -> None:
    assert distance(picture(seed), picture(seed)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_distance_grows_with_blur(seed: int) -> None:
    a = picture(seed)
    found = [distance(a, cv2.GaussianBlur(a, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]
    assert found == sorted(found)
    assert found[0] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_distance_grows_with_a_pan(seed: int) -> None:
    found = [distance(picture(seed), picture(seed, left)) for left in (4, 16, 64, 256)]
    assert found == sorted(found)
    assert found[0] < 0.1 < found[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_distance_grows_with_noise_and_with_darkness(seed: int) -> None:
    a = picture(seed)
    noise = np.random.default_rng(0).normal(0, 1, a.shape)
    noisy = [distance(a, np.clip(a + sigma * noise, 0, 255).astype(np.uint8)) for sigma in (3, 10, 30)]
    darker = [distance(a, (a * gain).astype(np.uint8)) for gain in (0.9, 0.7, 0.4)]
    assert noisy == sorted(noisy) and darker == sorted(darker)


def test_other_content_lies_further_than_the_same_content_changed() -> None:
    others = [distance(picture(a), picture(b)) for a in SEEDS for b in SEEDS if a < b]
    changed = [distance(picture(s), cv2.GaussianBlur(picture(s, 8), (0, 0), 1)) for s in SEEDS]
    assert min(others) > 2 * max(changed)
    assert all(0 < value <= 1 for value in others + changed)


def test_nothing_in_common_is_nearly_one() -> None:
    """Stripes of one orientation and colour against those of the other."""
    ramp = 127.5 + 127.5 * np.sign(np.sin(np.arange(456) / 2))
    stripes = np.zeros((256, 456, 3), np.uint8)
    stripes[..., 2] = ramp
    other = np.zeros((256, 456, 3), np.uint8)
    other[..., 0] = ramp[:256, None]
    assert distance(stripes, other) > 0.8


def test_grey_and_colour_of_one_picture_differ_by_colour_alone() -> None:
    a = picture(1)
    grey = cv2.cvtColor(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert 0.02 < distance(a, grey) <= 1 / 3 + 0.05


def test_distances_are_symmetric_in_order_and_of_neighbours() -> None:
    images = [picture(seed) for seed in SEEDS]
    found = perceptual.HogLab().distances(images)
    assert found == [distance(a, b) for a, b in itertools.pairwise(images)]
    assert found == pytest.approx([distance(b, a) for a, b in itertools.pairwise(images)], abs=1e-6)
    assert perceptual.HogLab().distances(images[:1]) == []


# --- embedding ---


def test_embedding_is_of_unit_length_and_small() -> None:
    found = perceptual.embedding([picture(seed) for seed in SEEDS])
    assert found.dtype == np.float32 and found.shape == (242,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)


def test_takes_of_one_scene_lie_nearer_than_takes_of_others() -> None:
    takes = {
        (seed, part): perceptual.embedding([picture(seed, part * 60 + k) for k in (0, 20)])
        for seed in SEEDS
        for part in (0, 1)
    }
    for seed in SEEDS:
        same = takes[seed, 0] @ takes[seed, 1]
        assert all(same > takes[seed, 0] @ takes[other, part] for other in SEEDS if other != seed for part in (0, 1))


def test_embedding_of_flat_pictures_is_finite_and_of_no_picture_an_error() -> None:
    assert np.isfinite(perceptual.embedding([np.zeros((256, 456, 3), np.uint8)])).all()
    with pytest.raises(ValueError, match="no picture"):
        perceptual.embedding([])


# --- lpips, as far as it goes without torchvision ---


def test_lpips_without_its_trunk_names_file_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lpips.alexnet.safetensors: no such file. lpips needs .*'s AlexNet"):
        open_backend("perceptual", "lpips", tmp_path)


def test_lpips_without_its_packages_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    checkpoints.write(tmp_path / "alexnet.safetensors", {"features.0.bias": torch.zeros(64)})
    with pytest.raises(ValueError, match="needs the packages lpips and torchvision"):
        perceptual.Lpips(tmp_path).prepare()
