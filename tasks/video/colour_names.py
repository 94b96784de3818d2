"""Basic colours by name, with gaps between them: a colour that two people might call differently has none.

Bounds are in CIE Lab (D65, OpenCV's of sRGB): lightness L 0 to 100, chroma C, hue in degrees.
"""

from collections.abc import Mapping

import cv2
import numpy as np

cv2.setNumThreads(1)

COLOURS = (
    *("red", "orange", "yellow", "green", "cyan", "blue"),
    *("purple", "pink", "brown", "white", "grey", "black"),
)
PARTS: Mapping[str, tuple[float, float, float, float]] = {  # top, bottom, left, right, as shares of the sides
    "the picture": (0, 1, 0, 1),
    "the upper part of the picture": (0, 1 / 3, 0, 1),
    "the lower part of the picture": (2 / 3, 1, 0, 1),
    "the left side of the picture": (0, 1, 0, 0.25),
    "the right side of the picture": (0, 1, 0.75, 1),
    "the middle of the picture": (0.3, 0.7, 0.35, 0.65),
}
_WIDE_PX = 128  # what is looked at: names are of areas, not of grain
_BLACK_L, _GREY_L, _WHITE_L = 16, (28, 80), 88
_GREY_C, _WHITE_C, _LEAST_C = 6, 9, 15
_HUES = (  # hue from, to (beyond 360 too), L from, to, least C
    ("red", 10, 45, 22, 62, 40),
    ("orange", 52, 76, 52, 85, 40),
    ("yellow", 84, 103.5, 76, 100, 40),
    ("green", 106, 172, 16, 79, _LEAST_C),
    ("green", 112, 172, 79, 92, _LEAST_C),
    ("cyan", 188, 230, 45, 95, _LEAST_C),
    ("blue", 242, 298, 16, 92, _LEAST_C),
    ("blue", 298, 307, 16, 60, 75),  # Lab bends the strongest blues
    ("purple", 312, 332, 16, 68, _LEAST_C + 3),
    ("pink", 336, 376, 66, 95, _LEAST_C),
    ("brown", 40, 82, 18, 48, _LEAST_C),
)


def names(image: np.ndarray) -> np.ndarray:
    """Return for each pixel of uint8 BGR (H, W, 3) the place of its name in COLOURS, int8 (H, W); -1 where it has none.

    A hue is of one name at most; what is too pale for a colour and too tinged for a grey has none.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    light, a, b = cv2.split(lab)
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    found = np.full(light.shape, -1, np.int8)
    for name, first, last, darkest, lightest, least in _HUES:
        is_hue = (first <= hue) & (hue <= last) if last < 360 else (first <= hue) | (hue <= last - 360)
        found[is_hue & (darkest <= light) & (light <= lightest) & (chroma >= least)] = COLOURS.index(name)
    found[(chroma <= _GREY_C) & (_GREY_L[0] <= light) & (light <= _GREY_L[1])] = COLOURS.index("grey")
    found[(chroma <= _WHITE_C) & (light >= _WHITE_L)] = COLOURS.index("white")
    found[light <= _BLACK_L] = COLOURS.index("black")
    return found


def shrunk(image: np.ndarray) -> np.ndarray:
    """Return a picture at the size that is looked at: at most 128 pixels wide."""
    height, width = image.shape[:2]
    if width <= _WIDE_PX:
        return image
    return cv2.resize(image, (_WIDE_PX, max(1, round(height * _WIDE_PX / width))), interpolation=cv2.INTER_AREA)


def shares(image: np.ndarray) -> np.ndarray:
    """Return which share of each of PARTS has each of COLOURS, float64 (parts, colours), of uint8 BGR (H, W, 3)."""
    named = names(shrunk(image))
    tall, wide = named.shape
    found = []
    for top, bottom, left, right in PARTS.values():
        part = named[
            round(top * tall) : max(round(bottom * tall), round(top * tall) + 1),
            round(left * wide) : max(round(right * wide), round(left * wide) + 1),
        ]
        found.append(np.bincount(part[part >= 0], minlength=len(COLOURS)) / part.size)
    return np.stack(found)
