"""From labels to a decision: Algorithm 1 of LLM-Oasis (arXiv 2411.19655), and who gives the labels.

A judge may be a trained verifier, the lexical one, or a language model behind an endpoint: all are asked alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

Label = Literal["entailment", "contradiction", "neutral"]
LABELS: Final[tuple[Label, ...]] = get_args(Label)  # in the order of a verifier's answers


class Judge(Protocol):
    """Says how claims stand to evidence."""

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        """Return how each claim stands to the evidence in the same place; an answer depends on that pair alone."""


@dataclass(frozen=True)
class Decision:
    """What Algorithm 1 made of a claim: `labels` are those of the passages that it looked at, in rank order."""

    labels: tuple[Label, ...]

    @property
    def factual(self) -> bool:
        """Whether the claim counts as true: unless the first label that is not neutral is contradiction."""
        return next((label == "entailment" for label in self.labels if label != "neutral"), True)

    @property
    def all_neutral(self) -> bool:
        """Whether no passage said anything, none at all included: the claim counts as true for want of evidence."""
        return all(label == "neutral" for label in self.labels)

    @property
    def rank(self) -> int | None:
        """The place of the passage that decided, from 0; None where all are neutral."""
        return None if self.all_neutral else len(self.labels) - 1


def decide(labels: Sequence[Label]) -> Decision:
    """Walk labels in rank order up to the first that is not neutral."""
    stop = next((place + 1 for place, label in enumerate(labels) if label != "neutral"), len(labels))
    return Decision(tuple(labels[:stop]))


def text_is_factual(claims: Sequence[Decision]) -> bool:
    """Say whether a text is factual: all of its claims are."""
    return all(claim.factual for claim in claims)


def decide_all(
    judge: Judge,
    claims: Sequence[str],
    evidences: Sequence[Sequence[str]],
    decided: Callable[[int], None] = lambda claims: None,
) -> list[Decision]:
    """Return Algorithm 1's decision on each claim, given its passages in rank order.

    The judge is asked rank by rank, about the claims that are still open: what comes after a decision is never judged.
    `decided` is told of how many claims that was, rank by rank.
    """
    found: list[list[Label]] = [[] for _ in claims]
    deepest = max(map(len, evidences), default=0)
    left = len(claims)
    for rank in range(deepest):
        still = [n for n, seen in enumerate(found) if len(evidences[n]) > rank and _is_open(seen)]
        decided(left - len(still))
        left = len(still)
        if not still:
            break
        labels = judge.labels([claims[n] for n in still], [evidences[n][rank] for n in still])
        for n, label in zip(still, labels, strict=True):
            found[n].append(label)
    decided(left)
    return [Decision(tuple(seen)) for seen in found]


def _is_open(seen: Sequence[Label]) -> bool:
    return not seen or seen[-1] == "neutral"
