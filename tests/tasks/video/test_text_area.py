"""Text area on rendered captions over made-up scenes: how much, however small and pale, and nothing where none is."""

import time

import cv2
import numpy as np
import pytest
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from tasks.video.text_area import TextArea, mean_share, text_area
from tests.cases import rest
from tests.tasks.video.scenes import Scene

FONT = f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def scene(seed: int, height: int = 720, width: int = 1280) -> np.ndarray:
    """A luma frame without text."""
    image = Scene(seed, 1, 360, 640).images[0]
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_CUBIC)


def captioned(
    frame: np.ndarray, text: str, share: float, *, at: tuple[float, float] = (0.1, 0.8), contrast: float = 120
) -> tuple[np.ndarray, float]:
    """Return a frame with a line whose capitals are `share` of its height, and the share of area around its ink.

    The ink is brighter than the mean of what lies under it by `contrast` levels, or darker where it is bright.
    """
    height, width = frame.shape
    capital = ImageFont.truetype(FONT, 200).getbbox("H")
    font = ImageFont.truetype(FONT, 200 * share * height / (capital[3] - capital[1]))
    corner = at[0] * width, at[1] * height
    layer = Image.new("L", (width, height), 0)
    ImageDraw.Draw(layer).text(corner, text, fill=255, font=font)
    mask = np.asarray(layer, np.float64)[..., None] / 255
    rows, columns = np.nonzero(mask[..., 0])
    span = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    under = float(frame[span].mean())
    ink = under + contrast if under < 128 else under - contrast
    mixed = frame + mask[..., 0] * (np.clip(ink, 0, 255) - frame)
    area = (span[0].stop - span[0].start) * (span[1].stop - span[1].start) / frame.size
    return mixed.astype(np.uint8), area


@pytest.mark.parametrize("share", [0.025, 0.04, 0.07])
@pytest.mark.parametrize("seed", [1, *rest(2, 3)])
def test_a_caption_is_found_and_measured(share: float, seed: int) -> None:
    frame, area = captioned(scene(seed), "Directed by Jane Miller", share)
    found = text_area(frame)
    assert 0.6 * area < found.share < 2.2 * area  # boxes have a rim
    assert found.boxes >= 1
    assert found.confidence is not None and found.confidence > 0.6


@pytest.mark.parametrize("contrast", [120, 70, 45])
def test_pale_captions_are_found(contrast: float) -> None:
    frame, area = captioned(scene(4), "All rights reserved", 0.04, contrast=contrast)
    assert text_area(frame).share > 0.5 * area


@pytest.mark.parametrize("seed", [10, *rest(11, 12, 13)])
def test_a_scene_without_text_has_none(seed: int) -> None:
    assert text_area(scene(seed)) == TextArea(0.0, 0, None)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_frame_has_none(level: int) -> None:
    assert text_area(np.full((720, 1280), level, np.uint8)) == TextArea(0.0, 0, None)


def test_textures_are_no_text() -> None:
    """Noise, a grid and stripes: what edges alone would take for letters."""
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280), dtype=np.uint8)
    rows, columns = np.mgrid[:720, :1280]
    grid = np.where((rows // 12 + columns // 12) % 2, 200, 60).astype(np.uint8)
    stripes = np.where(columns // 6 % 2, 200, 60).astype(np.uint8)
    assert [text_area(frame).share for frame in (noise, grid, stripes)] == [0, 0, 0]


@pytest.mark.parametrize("size", [(360, 640), (720, 1280), *rest((2160, 3840), (1280, 720))])
def test_share_does_not_depend_on_the_size_of_the_frame(size: tuple[int, int]) -> None:
    frame, area = captioned(scene(5, *size), "Chapter One", 0.05, at=(0.1, 0.6))
    assert text_area(frame).share == pytest.approx(1.2 * area, rel=0.3)


def test_overlapping_and_several_lines_count_once() -> None:
    one, _ = captioned(scene(6), "The first line of all", 0.04, at=(0.1, 0.3))
    both, _ = captioned(one, "And a second below it", 0.04, at=(0.1, 0.6))
    assert text_area(both).boxes >= 2
    assert text_area(both).share == pytest.approx(2 * text_area(one).share, rel=0.3)
    page = np.full((720, 1280), 20, np.uint8)
    for line in range(14):
        page, _ = captioned(
            page, "Names of many people who helped with this film", 0.03, at=(0.02, 0.02 + line * 0.068)
        )
    assert 0.25 < text_area(page).share < 1


def test_result_is_the_same_every_time_and_the_mean_is_over_frames() -> None:
    plain, (frame, _) = scene(7), captioned(scene(7), "Produced in the Netherlands", 0.04)
    first = text_area(frame)
    assert text_area(frame) == first
    assert mean_share([plain, frame]) == pytest.approx(first.share / 2)
    assert mean_share([]) is None


def test_colour_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 \(H, W\), not uint8 \(72, 128, 3\)"):
        text_area(np.zeros((72, 128, 3), np.uint8))


def test_a_frame_costs_a_fraction_of_a_second() -> None:
    """The bound is loose, for a shared machine."""
    frame = scene(8)
    text_area(frame)
    begun = time.process_time()
    text_area(frame)
    assert time.process_time() - begun < 1
