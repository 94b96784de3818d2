"""Wrong answers: values of the same sort from other captions, so that who misses the needle is drawn to them.

VISTA (arXiv 2412.00927) takes them from the haystack's captions, and from other cells' in a grid.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from tasks.video.captions import Fact
from tasks.video.question_forms import sort_of
from tasks.video.sightings import Shown, values_of
from tasks.video.wording import clashes, holds_too, normalised

NEEDED = 3


class Distractor(NamedTuple):
    """A wrong option, and the clip whose caption it comes from."""

    value: str
    clip_id: str


def usable(fact: Fact, asked_of: Shown, others: Sequence[Shown], known: Set[str]) -> list[Distractor]:
    """Return the wrong values for a fact that the captions of `others` offer: one each, the first clip's.

    Usable is a value of the same sort that is no value of the fact's kind, in whole or in part, anywhere in the clip
    asked of, and that says nothing of another usable one. Those of other kinds are usable if they are among the values
    `known` of this one, else they would be seen to be wrong. What implies the truth is not usable either: what is
    implied can never be wrong beside it, and would else be right more often than others.
    """
    true = list(values_of(Shown(asked_of.clip), fact.kind).values())
    found: list[Distractor] = []
    tried: set[str] = set()
    for other in others:
        for key, value in _of_sort(other, fact.kind, known).items():
            if key in tried:
                continue
            tried.add(key)
            if any(holds_too(value, one) or holds_too(one, value) for one in (*true, fact.value)):
                continue
            if not any(clashes(value, one.value) for one in found):
                found.append(Distractor(value, other.clip["clip_id"]))
    return found


def _of_sort(shown: Shown, kind: str, known: Set[str]) -> dict[str, str]:
    """Return the values of a kind, then those known ones of other kinds of its sort."""
    found = values_of(shown, kind)
    for other in sorted(one for one in shown.facts if one != kind and sort_of(one) == sort_of(kind)):
        found |= {key: value for key, value in values_of(shown, other).items() if key in known and key not in found}
    return found


def drawn(found: Sequence[Distractor], rng: np.random.Generator) -> tuple[Distractor, ...]:
    """Return three of the usable wrong values, in random order."""
    return tuple(found[int(place)] for place in rng.permutation(len(found))[:NEEDED])


class Shares:
    """How often each value can be right, and how often it can be wrong beside a right one.

    A value that most clips have is right where it is asked for, and hardly ever a distractor, for it is true of most
    needles: whoever picks it answers without the video. So each value is asked as often as it can be a distractor.
    Clips of film and generated ones are counted apart, for a needle may be of one and its haystack of the other. All is
    counted in the clips alone: an item does not depend on other items.
    """

    def __init__(self, clips: Iterable[Mapping[str, Any]]) -> None:
        # by kind of clip, then of fact or sort: how many clips, how many sources have a value; "" counts those with any
        self._clips: dict[tuple[str, str], Counter[str]] = {}
        self._sources: dict[tuple[str, str], Counter[str]] = {}
        by_source: dict[tuple[str, str], dict[str, set[str]]] = {}
        for clip in clips:
            for kind, facts in Shown(clip).facts.items():
                values = {"", *(normalised(fact.value) for fact in facts)}
                self._clips.setdefault((clip["kind"], kind), Counter()).update(values)
                of_source = by_source.setdefault((clip["kind"], clip["source_id"]), {})
                of_source.setdefault(sort_of(kind), set()).update(values)
        for (clip_kind, _), sorts in by_source.items():
            for sort, values in sorts.items():
                self._sources.setdefault((clip_kind, sort), Counter()).update(values)

        self._known: dict[str, set[str]] = {}
        for (_, kind), counts in self._clips.items():
            self._known.setdefault(kind, set()).update(key for key in counts if key)

    def known(self, kind: str) -> Set[str]:
        """Return all values that a kind has in any clip, normalised."""
        return self._known.get(kind, set())

    def weights(self, kind: str, values: Iterable[str], case_kinds: tuple[str, str], *, grid: bool) -> dict[str, float]:
        """Return how readily each value is asked: 1 on the mean of its kind, 0 if it can never be a distractor.

        `case_kinds` are the kinds of the needle's clip and of the others; in a grid the others are of many sources.
        """
        needles = self._clips.get((case_kinds[0], kind), Counter())
        sources = self._sources.get((case_kinds[1], sort_of(kind)), Counter())
        if not needles[""] or not sources[""]:
            return dict.fromkeys(values, 1.0)

        def wrong(key: str) -> float:
            """How often a value is with the others and not in the needle."""
            there = float(sources[key] > 0) if grid else sources[key] / sources[""]
            return (1.0 - needles[key] / needles[""]) * there

        keys = [key for key in needles if key]
        total = sum(wrong(key) for key in keys)
        scale = sum(needles[key] for key in keys) / total if total else 0.0
        return {value: scale * wrong(normalised(value)) / max(needles[normalised(value)], 1) for value in values}
