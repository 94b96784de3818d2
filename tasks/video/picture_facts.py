"""What can be said of any clip by measuring its pictures: which colour is most of them, where they are lightest.

Said of film and of generated clips by the same rule, so that either kind can be the needle in the other: wrong answers
are values that the haystack's captions have (VISTA, arXiv 2412.00927). A word is said where the numbers are well within
its bounds in every picture; in between nothing is said.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from tasks.video.captions import Fact
from tasks.video.colour_names import COLOURS, PARTS, shares, shrunk
from tasks.video.wording import listed

PLACES = (  # thirds of the sides, row by row
    *("upper left corner", "top edge", "upper right corner"),
    *("left edge", "middle", "right edge"),
    *("lower left corner", "bottom edge", "lower right corner"),
)
VOCABULARY: dict[str, tuple[str, ...]] = {  # of each kind of fact: its values
    "dominant_colour": COLOURS,
    "brightest_part": PLACES,
    "darkest_part": PLACES,
}
WHOLE = "the picture"

# A colour dominates a part of the picture that has at least so much of it, and so many times as much as of any other.
_LEAST_SHARE = {WHOLE: 0.45}
_PART_SHARE = 0.6
_LEAST_RATIO = 2.0
_STILL_SHARE = 0.75  # of the least share, that each single picture has
_LIGHTER = 8.0  # grey levels, of the lightest ninth beyond any other, on the mean of the pictures
_EACH_LIGHTER = 3.0  # in each single picture


class Look(NamedTuple):
    """What is measured of a clip's pictures."""

    shares: np.ndarray  # (P, parts, colours), as `colour_names.shares` gives them
    light: np.ndarray  # (P, 9), mean grey level of each of PLACES


def look_at(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is measured of a picture, uint8 BGR (H, W, 3): its shares (parts, colours), its light (9,)."""
    image = shrunk(image)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return shares(image), cv2.resize(grey, (3, 3), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)


def picture_facts(look: Look) -> list[Fact]:
    """Return all that can be said without doubt."""
    facts = [Fact("dominant_colour", part, colour) for part in PARTS if (colour := dominant(look.shares, part))]
    if place := _lightest(look.light):
        facts.append(Fact("brightest_part", WHOLE, place))
    if place := _lightest(-look.light):
        facts.append(Fact("darkest_part", WHOLE, place))
    return facts


def picture_clauses(facts: Sequence[Fact]) -> list[str]:
    """Return the same as clauses of a caption."""
    said = {(fact.kind, fact.subject): fact.value for fact in facts}
    colours = {part: said["dominant_colour", part] for part in PARTS if ("dominant_colour", part) in said}
    named = [f"{part} is mostly {is_}" for part, is_ in colours.items() if part == WHOLE or is_ != colours.get(WHOLE)]
    lights = [
        f"{word} at its {said[kind, WHOLE]}"
        for kind, word in (("brightest_part", "brightest"), ("darkest_part", "darkest"))
        if (kind, WHOLE) in said
    ]
    return [*([listed(named)] if named else []), *([f"{WHOLE} is {listed(lights)}"] if lights else [])]


def dominant(shares_PKC: np.ndarray, part: str) -> str:
    """Return the colour that dominates a part of all pictures, "" where none does."""
    of_part = shares_PKC[:, list(PARTS).index(part)]
    mean = of_part.mean(axis=0)
    best, second = np.argsort(-mean, kind="stable")[:2]
    least = _LEAST_SHARE.get(part, _PART_SHARE)
    if mean[best] < least or mean[best] < _LEAST_RATIO * mean[second]:
        return ""
    lasts = (of_part[:, best] >= _STILL_SHARE * least) & (of_part.argmax(axis=1) == best)
    return COLOURS[int(best)] if lasts.all() else ""


def _lightest(light_P9: np.ndarray) -> str:
    """Return the place that is lighter than any other in all pictures, "" where none is."""
    best = int(light_P9.mean(axis=0).argmax())
    beyond = light_P9[:, best] - np.delete(light_P9, best, axis=1).max(axis=1)
    return PLACES[best] if beyond.mean() >= _LIGHTER and beyond.min() >= _EACH_LIGHTER else ""
