"""Black bars: those of known size after any encoder, and none where a picture is only dark."""

from pathlib import Path

import numpy as np
import pytest

from tasks.video.letterbox import SIDES, Letterbox, bars, take_letterbox
from tests.tasks.video import clips, codecs
from tests.tasks.video.consumed import consume
from tests.tasks.video.scenes import Scene


def shares(path: Path) -> np.ndarray:
    table = consume(path, lambda keep: Letterbox(keep, per_s=4, short_side_px=144))[1]
    return np.stack([table.column(side).to_numpy() for side in SIDES], axis=1)


def barred(images: list[np.ndarray], top: float, bottom: float, left: float, right: float) -> list[np.ndarray]:
    height, width = images[0].shape[:2]
    found = [image.copy() for image in images]
    for image in found:
        image[: round(top * height)] = 0
        image[height - round(bottom * height) :] = 0
        image[:, : round(left * width)] = 0
        image[:, width - round(right * width) :] = 0
    return found


@pytest.mark.parametrize("codec", codecs.CODECS)
@pytest.mark.parametrize(
    "planted", [(0.12, 0.12, 0, 0), (0, 0, 0.125, 0.125), (0.02, 0.02, 0, 0), (0.05, 0.1, 0.03, 0)], ids=str
)
def test_bars_are_found_on_the_side_and_of_the_size_they_have(
    tmp_path: Path, codec: str, planted: tuple[float, float, float, float]
) -> None:
    images = barred(Scene(3, 36, height=360, width=640).images, *planted)
    found = shares(codecs.encode(tmp_path / "clip", images, codec))
    np.testing.assert_allclose(np.median(found, axis=0), planted, atol=0.01)
    top, bottom, left, right = planted
    assert take_letterbox(found) == pytest.approx(1 - (1 - top - bottom) * (1 - left - right), abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_pictures_without_bars_have_none(tmp_path: Path, seed: int) -> None:
    for light in (1.0, 0.3):
        path = clips.write_clip(tmp_path / f"{light}.mp4", Scene(seed, 36, light=light).images)
        assert take_letterbox(shares(path)) < 0.005


def test_a_fade_from_black_and_a_dark_sky_that_passes_make_no_bars() -> None:
    black, day = bars(np.zeros((144, 256), np.uint8)), bars(np.full((144, 256), 90, np.uint8))
    night = np.full((144, 256), 90, np.uint8)
    night[:50] = 3
    assert black == [1, 1, 1, 1]
    assert day == [0, 0, 0, 0]
    assert bars(night)[0] == pytest.approx(50 / 144)
    assert take_letterbox(np.array([black] * 5 + [bars(night)] * 5 + [day] * 3)) == 0
    assert take_letterbox(np.array([black] * 5)) == 1
    assert take_letterbox(np.empty((0, 4))) == 0


def test_the_line_in_which_a_bar_ends_counts_in_part() -> None:
    image = np.full((144, 256), 100, np.uint8)
    image[:10], image[10] = 0, 25  # three quarters black
    assert bars(image)[0] == pytest.approx(10.75 / 144)
