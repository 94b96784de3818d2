"""Wrong answers: values of the same kind from other captions, so that who misses the needle is drawn to them.

VISTA (arXiv 2412.00927) takes them from the haystack's captions, and from other cells' in a grid.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.video.captions import Fact, facts_of
from tasks.video.sightings import Shown, values_of
from tasks.video.wording import clashes, holds_too, normalised

NEEDED = 3


class Distractor(NamedTuple):
    """A wrong option, and the clip whose caption it comes from."""

    value: str
    clip_id: str


def usable(fact: Fact, asked_of: Shown, others: Sequence[Shown]) -> list[Distractor]:
    """Return the wrong values for a fact that the captions of `others` offer: one each, the first clip's.

    Usable is a value of the same kind that is no value of that kind, in whole or in part, anywhere in the clip asked
    of, and that says nothing of another usable one. What implies the truth is not usable either: what is implied can
    never be wrong beside it, and would else be right more often than others.
    """
    true = list(values_of(Shown(asked_of.clip), fact.kind).values())
    found: list[Distractor] = []
    tried: set[str] = set()
    for other in others:
        for key, value in values_of(other, fact.kind).items():
            if key in tried:
                continue
            tried.add(key)
            if any(holds_too(value, one) or holds_too(one, value) for one in (*true, fact.value)):
                continue
            if not any(clashes(value, one.value) for one in found):
                found.append(Distractor(value, other.clip["clip_id"]))
    return found


def drawn(
    fact: Fact, found: Sequence[Distractor], shares: "Shares", rng: np.random.Generator
) -> tuple[Distractor, ...]:
    """Return three of the usable wrong values, in random order, rare ones as readily as they are asked."""
    weights = np.array([shares.weight(fact.kind, one.value) for one in found])
    places = rng.choice(len(found), NEEDED, replace=False, p=weights / weights.sum())
    return tuple(found[int(place)] for place in places)


class Shares:
    """How common each value of a kind is among captions: what is common is asked less often.

    Else the most common value would most often be right, and a question could be answered without its video. Made of
    the clips alone, so an item does not depend on others.
    """

    def __init__(self, clips: Iterable[Mapping[str, Any]]) -> None:
        self._counts: dict[str, Counter[str]] = {}
        for clip in clips:
            for kind, value in {(fact.kind, normalised(fact.value)) for fact in facts_of(clip)}:
                self._counts.setdefault(kind, Counter())[value] += 1

    def weight(self, kind: str, value: str) -> float:
        """Return how readily a value is asked: 1 for one of mean frequency, more for rare ones; unseen ones as once."""
        counts = self._counts.get(kind)
        if not counts:
            return 1.0
        return counts.total() / len(counts) / max(counts[normalised(value)], 1)
