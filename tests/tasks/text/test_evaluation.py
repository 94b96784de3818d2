"""Both tasks: what is asked of which evidence, how claims of a text meet those that it tells, and what words tell."""

from collections.abc import Sequence
from typing import Any

import pytest

from tasks.text.decision import Decision, Label
from tasks.text.evaluation import (
    Found,
    cases_of,
    claim_accuracy,
    decided,
    decided_cases,
    found_in,
    text_accuracy,
    texts_of,
)
from tasks.text.factuality_page import _marked
from tasks.text.parser import load_parser


def spans(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    return [{"start": start, "end": end} for start, end in pairs]


F = "Anna Berg was a painter. Berg lived in Oslo."
U = "Anna Berg was a sculptor. Berg lived in Oslo."
PLACE = {"passage_id": "p-0", "page_id": "p", "title": "Anna Berg", "topic": "People"}
PARAPHRASES = [
    {**PLACE, "claims": ["Anna Berg was a painter.", "Berg lived in Oslo."], "paraphrase": F},
    {**PLACE, "passage_id": "q-0", "page_id": "q", "claims": ["Rain fell."], "paraphrase": "Rain fell."},
]
PARAPHRASES[0]["claim_spans"] = spans((0, 24), (25, 44))
PARAPHRASES[1]["claim_spans"] = spans((0, 10))
UNFACTUAL: list[dict[str, Any]] = [{**PLACE, "unfactual_text": U, "claim_spans": spans((0, 25), (26, 45))}]
FALSIFIED = [{**PLACE, "unfactual_claim": ["Anna Berg was a sculptor."], "relation": "sibling"}]


def test_both_texts_of_a_passage_are_asked_and_one_without_the_other_is_not() -> None:
    texts = texts_of(UNFACTUAL, PARAPHRASES, {"p-0": "sibling"})
    assert [(one.text_id, one.text, one.factual) for one in texts] == [("p-0-f", F, True), ("p-0-u", U, False)]
    assert texts[0].told == ((0, 24), (25, 44))
    assert texts[1].told == ((0, 25), (26, 45))
    assert texts[0].claims == texts[1].claims
    assert {one.relation for one in texts} == {"sibling"}


def test_evidence_of_single_claims_is_the_factual_text_alone() -> None:
    cases = cases_of(FALSIFIED, PARAPHRASES)
    assert [(case.claim, case.evidence, case.factual) for case in cases] == [
        ("Anna Berg was a painter.", F, True),
        ("Berg lived in Oslo.", F, True),
        ("Anna Berg was a sculptor.", F, False),
        ("Rain fell.", "Rain fell.", True),
    ]
    assert U not in {case.evidence for case in cases}


class Words:
    """Contradicts where the last word of the claim is not in the evidence; silent where its first is not."""

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        return [
            self._label(claim.strip(".").split(), evidence) for claim, evidence in zip(claims, evidences, strict=True)
        ]

    def _label(self, words: list[str], evidence: str) -> Label:
        if words[0] not in evidence:
            return "neutral"
        return "entailment" if words[-1] in evidence else "contradiction"


def test_texts_are_decided_by_their_own_claims_and_what_is_found_for_them() -> None:
    texts = texts_of(UNFACTUAL, PARAPHRASES, {})
    evidence = {"a": "Rain fell.", "b": "Anna Berg, a painter, moved to Oslo.", "c": "Berg, sculptor"}
    asked: list[str] = []

    def search(queries: Sequence[str], k: int) -> list[list[str]]:
        asked.extend(queries)
        return [["a", "b", "c"][:k] for _ in queries]

    found = found_in(texts, load_parser(), search, 3)
    assert len(asked) == len(set(asked))
    told = [[(claim.claim, claim.number) for claim in one] for one in found]
    assert told[0][0] == ("Anna Berg was a painter.", 0)
    assert told[1][0] == ("Anna Berg was a sculptor.", 0)
    assert {number for one in told for _, number in one} == {0, 1}
    for text, claims in zip(texts, found, strict=True):
        for claim in claims:
            assert 0 <= claim.start < claim.end <= len(text.text)
    decisions = decided(Words(), found, evidence)
    assert decisions[0][0].labels == ("neutral", "entailment")
    assert decisions[1][0].labels == ("neutral", "contradiction")
    assert text_accuracy(texts, decisions) == 1.0
    silent = [[Decision(()) for _ in one] for one in found]
    assert text_accuracy(texts, silent) == 0.5  # all true for want of evidence
    cases = cases_of(FALSIFIED, PARAPHRASES)
    assert claim_accuracy(cases, decided_cases(Words(), cases)) == 1.0


def test_a_text_without_claims_is_decided_without_a_question() -> None:
    texts = texts_of(UNFACTUAL, PARAPHRASES, {})
    found: list[list[Found]] = [[], []]
    assert decided(Words(), found, {}) == [[], []]
    assert text_accuracy(texts, [[], []]) == 0.5


@pytest.mark.parametrize(
    ("marks", "swapped", "html"),
    [
        ([(0, 3, "entailment")], None, '<mark class="entailment">a&lt;b</mark> c'),
        ([(0, 5, "contradiction"), (2, 5, "neutral")], None, '<mark class="contradiction">a&lt;b c</mark>'),
        ([(0, 3, "neutral")], (4, 5), '<mark class="neutral">a&lt;b</mark> <span class="swap">c</span>'),
        ([], None, "a&lt;b c"),
    ],
)
def test_marks_are_laid_over_escaped_text(
    marks: list[tuple[int, int, str]], swapped: tuple[int, int] | None, html: str
) -> None:
    assert _marked("a<b c", marks, swapped) == html
