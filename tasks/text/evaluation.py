"""The two tasks of LLM-Oasis (arXiv 2411.19655, 3.4): whole texts, and single claims, decided by a judge."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language

from tasks.text.claims import extract
from tasks.text.decision import Decision, Judge, decide_all, text_is_factual
from tasks.text.drawn_triplets import balanced_accuracy
from tasks.text.sentences import sentence_spans

Search = Callable[[Sequence[str], int], list[list[str]]]


@dataclass(frozen=True)
class Text:
    """A text whose facts are asked for; `factual` is the truth. `told` are the spans of the claims that it tells."""

    text_id: str
    passage_id: str
    page_id: str
    title: str
    topic: str
    relation: str  # of the swap in the passage's false claim
    text: str
    factual: bool
    told: tuple[tuple[int, int], ...]
    claims: tuple[str, ...]  # the true ones, in the order of the spans


@dataclass(frozen=True)
class Found:
    """A claim that was extracted from a text: its place, the documents found for it, and which told claim it is.

    `number` is that of the told claim whose span it shares most of; None where it shares nothing.
    """

    claim: str
    start: int
    end: int
    number: int | None
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A claim with its evidence, and whether it is true: the second task."""

    claim: str
    evidence: str
    factual: bool
    passage_id: str
    topic: str
    relation: str


def texts_of(
    unfactual: Iterable[Mapping[str, Any]], paraphrases: Iterable[Mapping[str, Any]], relations: Mapping[str, str]
) -> list[Text]:
    """Return F and U of each passage that has both, in the order of the passages.

    `unfactual` are rows of UNFACTUAL_TEXT_GENERATION, `paraphrases` of PARAPHRASE_GENERATION, `relations` by passage.
    F of a passage without U is left out, so that both kinds are of the same passages.
    """
    by_passage = {row["passage_id"]: row for row in paraphrases}
    found = []
    for row in sorted(unfactual, key=lambda row: row["passage_id"]):
        true = by_passage[row["passage_id"]]
        kinds = (("f", true["paraphrase"], true, True), ("u", row["unfactual_text"], row, False))
        for end, text, spans, factual in kinds:
            found.append(
                Text(
                    text_id=f"{row['passage_id']}-{end}",
                    **{name: row[name] for name in ("passage_id", "page_id", "title", "topic")},
                    relation=relations.get(row["passage_id"], ""),
                    text=text,
                    factual=factual,
                    told=tuple((span["start"], span["end"]) for span in spans["claim_spans"]),
                    claims=tuple(true["claims"]),
                )
            )
    return found


def cases_of(falsified: Iterable[Mapping[str, Any]], paraphrases: Iterable[Mapping[str, Any]]) -> list[Case]:
    """Return each told claim with its F (true), and each false claim with the F of its passage.

    `falsified` are rows of CLAIM_FALSIFICATION. Evidence is the factual text, never the passage nor U.
    """
    false = {row["passage_id"]: row for row in falsified}
    found = []
    for row in sorted(paraphrases, key=lambda row: row["passage_id"]):
        swap = false.get(row["passage_id"])
        claims = [(claim, True) for claim in row["claims"]]
        claims += [(claim, False) for claim in swap["unfactual_claim"]] if swap else []
        relation = swap["relation"] if swap else ""
        for claim, factual in claims:
            found.append(Case(claim, row["paraphrase"], factual, row["passage_id"], row["topic"], relation))
    return found


def found_in(texts: Sequence[Text], nlp: Language, search: Search, k: int) -> list[list[Found]]:
    """Return the claims of each text, extracted from the text itself, with k documents for each."""
    extracted = [extract(one.text, one.title, sentence_spans(one.text, one.title), nlp).claims for one in texts]
    queries = list(dict.fromkeys(claim.text for claims in extracted for claim in claims))
    documents = dict(zip(queries, search(queries, k), strict=True))
    return [
        [
            Found(
                claim.text,
                claim.quote_start,
                claim.quote_end,
                _told(text.told, claim.quote_start, claim.quote_end),
                tuple(documents[claim.text]),
            )
            for claim in claims
        ]
        for text, claims in zip(texts, extracted, strict=True)
    ]


def _told(spans: Sequence[tuple[int, int]], start: int, end: int) -> int | None:
    shared = [min(end, last) - max(start, first) for first, last in spans]
    most = max(shared, default=0)
    return shared.index(most) if most > 0 else None


def decided(judge: Judge, found: Sequence[Sequence[Found]], evidence: Mapping[str, str]) -> list[list[Decision]]:
    """Return Algorithm 1's decision on each claim of each text; `evidence` is the text of each document."""
    flat = [claim for claims in found for claim in claims]
    decisions = iter(
        decide_all(judge, [one.claim for one in flat], [[evidence[name] for name in one.documents] for one in flat])
    )
    return [[next(decisions) for _ in claims] for claims in found]


def text_accuracy(texts: Sequence[Text], decisions: Sequence[Sequence[Decision]]) -> float:
    """Return the balanced accuracy over texts: task 1."""
    return balanced_accuracy([text.factual for text in texts], [text_is_factual(one) for one in decisions])


def claim_accuracy(cases: Sequence[Case], decisions: Sequence[Decision]) -> float:
    """Return the balanced accuracy over claims with evidence: task 2."""
    return balanced_accuracy([case.factual for case in cases], [one.factual for one in decisions])


def decided_cases(judge: Judge, cases: Sequence[Case]) -> list[Decision]:
    """Return Algorithm 1's decision on each claim, which has one passage as its evidence."""
    return decide_all(judge, [case.claim for case in cases], [[case.evidence] for case in cases])
