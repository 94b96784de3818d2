"""Triplets for the verifier and pairs for the retriever, out of claims, passages and the texts F and U.

LLM-Oasis (arXiv 2411.19655, section 3.5). The paper takes as neutral the window of the same page that an entailment
model finds most neutral; here it is one of that page that shares words with the claim but not what it says, or else the
nearest of another page that does not name what the claim is about.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_TOLD = 0.5  # of a claim's words that a neutral window of its page may hold: with more it may tell the claim
NEAREST = 30  # windows of other pages, the nearest by their words, among which a neutral one is sought
_FUNCTION_WORDS = (
    "the and for with that this these those from are was were has had have been being not but his her its their "
    "they them who whom whose which what when where while also into onto over under than then there such some any "
    "all each other more most many much one two can could may might will would shall should did does"
)
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_STEM = 6  # letters: "builder" and "building" are one


@dataclass(frozen=True)
class Window:
    """A window of a page: its document and the sentences [first, last) that it holds."""

    document_id: str
    title: str
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Told:
    """A passage with what was made of it. `place` are the columns that say where it is from; "" where there is none."""

    place: Mapping[str, str]
    window: Window  # the passage itself
    claims: Sequence[tuple[str, str]]  # id, claim
    factual: str
    unfactual: str
    false_id: str
    false_claim: str
    relation: str


def triplets(told: Told, neutrals: Mapping[str, tuple[Window, str]]) -> Iterator[dict[str, Any]]:
    """Yield the triplets of a passage; `neutrals` gives of claims a neutral window and where it is from."""
    title = told.place["title"]
    passage = (told.window.text, "passage", title)
    factual, unfactual = (told.factual, "factual", title), (told.unfactual, "unfactual", title)
    number = 0

    def row(premise: tuple[str, str, str], hypothesis: tuple[str, str], label: str, claim: str, come: str = "") -> Any:
        nonlocal number
        number += 1
        return {
            "triplet_id": f"{told.place['passage_id']}-{number:03}",
            **told.place,
            **{"premise": premise[0], "premise_kind": premise[1], "premise_title": premise[2]},
            **{"hypothesis": hypothesis[0], "hypothesis_kind": hypothesis[1]},
            **{"label": label, "claim_id": claim, "neutral_from": come, "relation": told.relation},
        }

    for claim_id, text in told.claims:
        claim = (text, "claim")
        for premise in (passage, factual):
            if premise[0]:
                yield row(premise, claim, "entailment", claim_id)
        if claim_id in neutrals:
            window, come = neutrals[claim_id]
            yield row((window.text, "window", window.title), claim, "neutral", claim_id, come)
        if claim_id == told.false_id:
            false = (told.false_claim, "false_claim")
            for premise in (passage, factual):
                if premise[0]:
                    yield row(premise, false, "contradiction", claim_id)
            if told.unfactual:
                yield row(unfactual, false, "entailment", claim_id)
                yield row(unfactual, claim, "contradiction", claim_id)


def retrieval_pairs(told: Told) -> Iterator[dict[str, Any]]:
    """Yield each claim, true or false, with the documents that speak of it: the passage, F and U."""
    passage_id = told.place["passage_id"]
    documents = [(told.window.document_id, "passage")]
    documents += [(f"{passage_id}-f", "factual")] if told.factual else []
    documents += [(f"{passage_id}-u", "unfactual")] if told.unfactual else []
    queries = [(text, "claim", claim_id) for claim_id, text in told.claims]
    queries += [(told.false_claim, "false_claim", told.false_id)] if told.false_claim else []
    place = {name: told.place[name] for name in told.place if name not in ("licence", "credit", "url")}
    for query, kind, claim_id in queries:
        for document_id, document_kind in documents:
            yield {
                **place,
                **{"query": query, "query_kind": kind, "claim_id": claim_id},
                **{"document_id": document_id, "document_kind": document_kind},
            }


def neutral_window(claim: str, title: str, windows: Sequence[Window], apart: Window | None = None) -> Window | None:
    """Return the window that shares most with a claim without holding more than `MAX_TOLD` of what it says.

    What it says are its content words without the title's. `apart`: a passage of the same page, of which it may share
    no sentence.
    """
    said = stems(claim) - stems(title)
    best: tuple[float, str, Window] | None = None
    for window in windows:
        if apart is not None and window.first < apart.last and apart.first < window.last:
            continue
        held = len(said & stems(window.text)) / len(said) if said else 1.0
        if held <= MAX_TOLD and (best is None or (held, window.document_id) > best[:2]):
            best = (held, window.document_id, window)
    return best[2] if best else None


def neutral_elsewhere(subject: str, windows: Iterable[Window]) -> Window | None:
    """Return the first window, of other pages, that does not name the `subject` of a claim, the stem that tells it.

    It may say the same of something else, which neither entails nor contradicts the claim.
    """
    return next((w for w in windows if subject and subject not in stems(f"{w.title} {w.text}")), None)


def stems(text: str) -> frozenset[str]:
    """Return the content words of a text and its numbers, cut to their first letters."""
    words = re.findall(r"\d+|[^\W\d_]{3,}", text.lower())
    return frozenset(word[:_STEM] for word in words if word not in _FUNCTION)
