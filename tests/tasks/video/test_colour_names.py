"""Colours by name: what anybody calls so is named, what people would argue about is not."""

import cv2
import numpy as np
import pytest

from tasks.video.colour_names import COLOURS, PARTS, names, shares

CLEAR = {  # sRGB; colours of CSS and of things that nobody calls otherwise
    **{"red": [(214, 32, 38), (178, 24, 24)], "orange": [(250, 140, 22), (255, 140, 0)]},
    **{"yellow": [(252, 226, 48), (255, 255, 0)], "green": [(34, 150, 62), (0, 128, 0), (96, 140, 40)]},
    **{"cyan": [(60, 205, 220), (0, 255, 255)], "blue": [(38, 72, 214), (100, 160, 230)]},
    **{"purple": [(126, 42, 160), (128, 0, 128)], "pink": [(250, 132, 196), (255, 182, 203)]},
    **{"brown": [(120, 72, 30), (139, 69, 19)], "white": [(246, 246, 246)], "grey": [(128, 128, 128)]},
    "black": [(12, 12, 14), (0, 0, 0)],
}
ARGUABLE = {  # midway between two names
    **{"red or orange": (245, 90, 30), "orange or yellow": (250, 185, 40), "yellow or green": (200, 210, 50)},
    **{"green or cyan": (40, 190, 160), "grey or white": (215, 215, 215), "grey or black": (50, 50, 50)},
    **{"grey or blue": (120, 126, 138)},
}


def one(rgb: tuple[int, int, int]) -> str:
    place = int(names(np.full((1, 1, 3), rgb[::-1], np.uint8))[0, 0])
    return COLOURS[place] if place >= 0 else ""


@pytest.mark.parametrize(("name", "rgb"), [(name, rgb) for name, of in CLEAR.items() for rgb in of])
def test_clear_colours_have_their_names(name: str, rgb: tuple[int, int, int]) -> None:
    assert one(rgb) == name


@pytest.mark.parametrize("between", ARGUABLE)
def test_what_lies_between_two_names_has_none(between: str) -> None:
    assert one(ARGUABLE[between]) == ""


def test_shares_are_those_of_counted_pixels() -> None:
    rng = np.random.default_rng(3)
    palette = np.array([rgb[0][::-1] for rgb in CLEAR.values()], np.uint8)
    image = palette[rng.integers(0, len(palette), (90, 120))]
    found = shares(image)
    for row, (top, bottom, left, right) in zip(found, PARTS.values(), strict=True):
        part = image[round(top * 90) : round(bottom * 90), round(left * 120) : round(right * 120)]
        for place, name in enumerate(COLOURS):
            same = (part == palette[list(CLEAR).index(name)]).all(axis=2)
            assert row[place] == pytest.approx(same.mean())


def test_parts_are_where_their_names_say() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, 90:] = (214, 72, 38)  # blue, in BGR
    image[60:, :90] = (62, 150, 34)  # green
    by_part = dict(zip(PARTS, shares(image), strict=True))
    assert by_part["the right side of the picture"][COLOURS.index("blue")] == 1
    assert by_part["the left side of the picture"][COLOURS.index("green")] == pytest.approx(1 / 3)
    assert by_part["the lower part of the picture"][COLOURS.index("green")] == pytest.approx(0.75)
    assert by_part["the upper part of the picture"][COLOURS.index("green")] == 0
    assert by_part["the middle of the picture"][COLOURS.index("black")] > 0.7


def test_large_pictures_are_judged_as_small_ones() -> None:
    small = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    large = cv2.resize(small, (1280, 720), interpolation=cv2.INTER_NEAREST)
    assert np.abs(shares(large) - shares(cv2.resize(small, (128, 72), interpolation=cv2.INTER_NEAREST))).max() < 0.01
