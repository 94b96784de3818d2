"""Which NLI triplets a verifier is trained and validated on: balanced by class, no page in both parts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.text.decision import LABELS
from tasks.text.evidence import evidence_text


@dataclass(frozen=True)
class Triplet:
    """A claim, evidence, and how the one stands to the other: the place of its label in LABELS."""

    claim: str
    evidence: str
    label: int


def held_out_pages(pages: Iterable[str], share: float, rng: np.random.Generator) -> frozenset[str]:
    """Return a share of the pages, at least one, drawn by `rng`. Raises ValueError where less than two are given."""
    known = sorted(set(pages))
    if len(known) < 2:
        raise ValueError(f"{len(known)} pages to train on: one for training and one for validation are needed")
    count = min(max(1, round(share * len(known))), len(known) - 1)
    return frozenset(known[place] for place in rng.permutation(len(known))[:count].tolist())


def balanced(rows: Sequence[Mapping[str, Any]], most: int, rng: np.random.Generator) -> list[Triplet]:
    """Return at most so many rows (0: as many as there are), as many of each label, drawn by `rng`.

    Within a label the kinds of premise share its number as evenly as they can. Raises ValueError where a label is
    missing.
    """
    found: dict[str, list[Mapping[str, Any]]] = {label: [] for label in LABELS}
    for row in rows:
        found[row["label"]].append(row)
    lacks = [label for label, there in found.items() if not there]
    if lacks:
        raise ValueError(f"no triplet is labelled {lacks[0]}: give more passages, or look at build_oasis")
    each = min(map(len, found.values()))
    each = min(each, most // len(LABELS)) if most else each
    drawn = [row for label in LABELS for row in _evenly(found[label], each, lambda row: row["premise_kind"], rng)]
    return [_triplet(row) for row in drawn]


def _evenly(
    rows: Sequence[Mapping[str, Any]],
    count: int,
    kind_of: Callable[[Mapping[str, Any]], str],
    rng: np.random.Generator,
) -> list[Mapping[str, Any]]:
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for place in rng.permutation(len(rows)).tolist():
        kinds[kind_of(rows[place])].append(rows[place])
    drawn: list[Mapping[str, Any]] = []
    for turn in range(len(rows)):
        for kind in sorted(kinds):
            if turn < len(kinds[kind]) and len(drawn) < count:
                drawn.append(kinds[kind][turn])
        if len(drawn) == count:
            break
    return drawn


def _triplet(row: Mapping[str, Any]) -> Triplet:
    evidence = evidence_text(row["premise_kind"], row["premise_title"], row["premise"])
    return Triplet(row["hypothesis"], evidence, LABELS.index(row["label"]))


def balanced_accuracy(truth: Sequence[Any], told: Sequence[Any]) -> float:
    """Return the mean over the classes that occur of the share of each that was told right; 0 without any."""
    right: dict[Any, list[bool]] = defaultdict(list)
    for one, other in zip(truth, told, strict=True):
        right[one].append(one == other)
    return float(np.mean([np.mean(one) for one in right.values()])) if right else 0.0
