"""Four-way choices: the right option under a letter drawn at random, and three that are wrong."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.video.wording import normalised

LETTERS = "ABCD"


class Choice(NamedTuple):
    """Four options in the order of their letters, the letter of the right one, and where the wrong ones come from."""

    options: tuple[str, str, str, str]
    key: str
    sources: tuple[str, str, str, str]  # clip of each option; of the right one, the clip asked of


def choice(
    right: tuple[str, str], wrong: Sequence[tuple[str, str]], rng: np.random.Generator, *, key: str | None = None
) -> Choice:
    """Return a choice of (option, clip) pairs, in an order of `rng` with the right one under a letter of it, or `key`.

    Raises ValueError where there are not three wrong ones, or two options are the same once normalised.
    """
    if len(wrong) != len(LETTERS) - 1:
        raise ValueError(f"a choice has three wrong options, not {len(wrong)}")
    if len({normalised(option) for option, _ in (right, *wrong)}) != len(LETTERS):
        raise ValueError(f"options are not distinct: {[right[0], *(option for option, _ in wrong)]}")
    letter = key or LETTERS[int(rng.integers(len(LETTERS)))]
    ordered = [wrong[int(place)] for place in rng.permutation(len(wrong))]
    ordered.insert(LETTERS.index(letter), right)
    a, b, c, d = ordered
    return Choice((a[0], b[0], c[0], d[0]), letter, (a[1], b[1], c[1], d[1]))


def drawn_letter(rng: np.random.Generator) -> str:
    """Return the letter that is to be right."""
    return LETTERS[int(rng.integers(len(LETTERS)))]


def option_lines(options: Sequence[str]) -> str:
    """Return options as lines, "A. ...", as they stand in a question."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))
