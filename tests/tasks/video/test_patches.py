"""Frozen features of patches, against loops over pixels and patterns whose features are known."""

import cv2
import numpy as np
import pytest

from tasks.video.colour_names import COLOURS, names
from tasks.video.patches import DIRECTIONS, FEATURES, HEIGHT, NAMES, WIDTH, grid_of, patch_features


def video_of(seed: int, frames: int = 3, rows: int = 2, columns: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (frames, rows * 3, columns * 2, 3)).astype(np.uint8)
    return small.repeat(HEIGHT // 3, axis=1).repeat(WIDTH // 2, axis=2)


def of(features: np.ndarray, name: str) -> np.ndarray:
    return features[..., NAMES.index(name)] / 255


def test_shares_means_and_spread_are_those_of_a_loop_over_patches() -> None:
    video = video_of(1)
    features = patch_features(video)
    assert features.shape == (3, 2, 3, FEATURES)
    for frame, row, column in np.ndindex(3, 2, 3):
        patch = video[frame, row * HEIGHT : (row + 1) * HEIGHT, column * WIDTH : (column + 1) * WIDTH]
        mine = features[frame, row, column]
        coarse = np.ascontiguousarray((patch[..., ::-1] >> 2 << 2) + 2)  # names are looked up by 64 levels
        named = names(coarse)
        for number, colour in enumerate(COLOURS):
            assert of(mine, f"share of {colour}") == pytest.approx((named == number).mean(), abs=0.003)
        for channel, name in enumerate(("red", "green", "blue")):
            assert of(mine, f"mean {name}") == pytest.approx(patch[..., channel].mean() / 255, abs=0.003)
        light = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
        assert of(mine, "spread of light") == pytest.approx(min(1, 2 * light.std()), abs=0.005)


@pytest.mark.parametrize(
    ("direction", "slope"), [(0, (1, 0)), (2, (0, 1))], ids=["light rises to the right", "light rises downwards"]
)
def test_edges_are_told_by_their_direction(direction: int, slope: tuple[int, int]) -> None:
    y, x = np.mgrid[: 3 * HEIGHT, : 3 * WIDTH]
    image = np.clip(100 + 4 * (slope[0] * x + slope[1] * y), 0, 255).astype(np.uint8)
    features = patch_features(np.repeat(image[None, ..., None], 3, axis=-1))[0, 1, 1]
    strengths = [of(features, f"edges, direction {number}") for number in range(DIRECTIONS)]
    assert strengths[direction] == pytest.approx(4 * 8 / 255, abs=0.005)
    assert sum(strengths) == pytest.approx(strengths[direction])


def test_what_differs_over_time_is_told_and_what_is_still_is_not() -> None:
    video = np.full((5, HEIGHT, 2 * WIDTH, 3), 100, np.uint8)
    video[2, :, WIDTH:, 0] = 200  # one frame of five, the right patch, red
    features = patch_features(video)
    beyond = of(features, "red beyond its median over time") - 128 / 255
    assert beyond[2, 0, 1] == pytest.approx(100 / 255 / 2, abs=0.003)
    assert np.abs(np.delete(beyond.reshape(-1), 5)).max() == pytest.approx(0, abs=0.003)
    change = of(features, "change since the frame before")[:, 0, 1]
    assert change == pytest.approx([0, 0, 100 / 255, 100 / 255, 0], abs=0.003)


def test_a_size_of_no_whole_patches_is_refused() -> None:
    assert grid_of(128, 72) == (8, 16)
    with pytest.raises(ValueError, match="130 x 72 pixels are no whole patches of 8 x 9"):
        grid_of(130, 72)
