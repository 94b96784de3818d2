"""What evaluate_factuality reads of the data set, and its figures: of both tasks, of groups, and of words alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.text.decision import Decision, text_is_factual
from tasks.text.drawn_triplets import balanced_accuracy
from tasks.text.evaluation import Case, Found, Text, cases_of, claim_accuracy, text_accuracy, texts_of
from tasks.text.leakage import claim_pairs, text_pairs, words_alone, words_alone_by_group
from tasks.text.oasis_tables import read_oasis
from tasks.text.retriever import documents_searched
from tasks.text.search import recall_at, windows_of_claims
from tasks.text.splits import page_groups
from tasks.text.verifier import TrainedJudge

RANKS = (1, 10, 30)


@dataclass(frozen=True)
class Tables:
    """What the stage reads of data/curated/oasis: rows of the test split, and all documents."""

    documents: dict[str, dict[str, Any]]
    texts: list[Text]
    cases: list[Case]
    falsified: list[dict[str, Any]]  # of both splits
    unfactual: list[dict[str, Any]]  # of both splits
    paraphrases: dict[str, dict[str, Any]]  # of the test split, by passage


@dataclass(frozen=True)
class Judged:
    """What one judge decided, claim by claim."""

    texts: list[list[Decision]]
    cases: list[Decision]


def read_tables(oasis: Path) -> Tables:
    documents = documents_searched(read_oasis(oasis, "documents"))
    falsified, unfactual, paraphrases = (
        read_oasis(oasis, name)
        for name in ("claim_falsification", "unfactual_text_generation", "paraphrase_generation")
    )
    told = {row["passage_id"]: row for row in paraphrases if row["split"] == "test"}
    relations = {row["passage_id"]: row["relation"] for row in falsified}
    return Tables(
        documents={row["document_id"]: dict(row) for row in documents},
        texts=texts_of((row for row in unfactual if row["split"] == "test"), told.values(), relations),
        cases=cases_of((row for row in falsified if row["split"] == "test"), told.values()),
        falsified=falsified,
        unfactual=unfactual,
        paraphrases=told,
    )


def task_figures(tables: Tables, found: Sequence[Sequence[Found]], judged: Judged) -> dict[str, float]:
    texts = tables.texts
    told = [text_is_factual(one) for one in judged.texts]
    claims = [one for decisions in judged.texts for one in decisions]
    right = {
        kind: [t == text.factual for t, text in zip(told, texts, strict=True) if text.factual == kind]
        for kind in (True, False)
    }
    return {
        "balanced_accuracy": text_accuracy(texts, judged.texts),
        "factual_right": _mean(right[True]),
        "unfactual_right": _mean(right[False]),
        "texts": len(texts),
        "claims": len(claims),
        "texts_without_claims": sum(not one for one in found),
        "share_all_neutral": _mean([one.all_neutral for one in claims]),
        "passages_judged_per_claim": _mean([len(one.labels) for one in claims]),
    }


def recall_figures(
    tables: Tables, found: Sequence[Sequence[Found]], claims: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Return how often a right window was found for the claims of the texts, for those whose told claim is known."""
    windows = windows_of_claims(claims, tables.documents.values())
    ids = {(row["passage_id"], row["claim"]): row["claim_id"] for row in claims}
    ranked, right = [], []
    for text_, extracted in zip(tables.texts, found, strict=True):
        for claim in extracted:
            told = None if claim.number is None else ids.get((text_.passage_id, text_.claims[claim.number]))
            if told in windows:
                ranked.append(claim.documents)
                right.append(windows[told])
    return {f"recall@{k}": recall_at(k, ranked, right) for k in RANKS}


def bars(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the figures are to reach by the sheet: `claim` and `e2e` are balanced accuracies."""
    lexical, text_alone = figures["lexical"], figures["probe"]["text_only_bacc"]
    return {
        "claim_over_lexical": lexical["claim_balanced_accuracy"] + 0.05,
        "e2e_over_lexical": lexical["e2e_balanced_accuracy"] + 0.05,
        "e2e_over_text_only": text_alone + 0.05,
        "claim_over_e2e": figures["e2e"]["balanced_accuracy"] + 0.1,
        "probe_at_most": 0.6,
    }


def without_evidence(judge: TrainedJudge, tables: Tables) -> float:
    """Return the balanced accuracy of the verifier on the second task's claims when it sees no evidence.

    It calls true what it holds to be entailed rather than contradicted.
    """
    told = judge.probabilities([case.claim for case in tables.cases], [""] * len(tables.cases))
    return balanced_accuracy([case.factual for case in tables.cases], (told[:, 0] >= told[:, 1]).tolist())


def shortcut_figures(tables: Tables) -> dict[str, float]:
    """Return what words alone tell. Folds part claims as the splits do, no page and no swapped pair of values on both
    sides; `by_page` does not keep the values apart, so it tells how well words that are put in are known by heart.
    """
    claims = claim_pairs(tables.falsified)
    pages = [row["page_id"] for row in tables.falsified]
    joined: dict[tuple[str, str], list[str]] = {}
    for row in tables.falsified:
        joined.setdefault((row["old_lemma"], row["new_lemma"]), []).append(row["page_id"])
    groups = {page: group[0] for group in page_groups(pages, joined.values()) for page in group}
    texts = (text_pairs(row for row in tables.unfactual if row["split"] == split) for split in ("train", "test"))
    return {
        "claim_only_bacc": words_alone_by_group(claims, [groups[page] for page in pages]),
        "claim_only_by_page_bacc": words_alone_by_group(claims, pages),
        "text_only_bacc": words_alone(*texts),
    }


def groups_of(tables: Tables, judged: tuple[Judged, Judged]) -> list[dict[str, Any]]:
    rows = []
    for by in ("topic", "relation"):
        for value in sorted({getattr(one, by) for one in (*tables.texts, *tables.cases)}):
            texts = [place for place, one in enumerate(tables.texts) if getattr(one, by) == value]
            cases = [place for place, one in enumerate(tables.cases) if getattr(one, by) == value]
            figures = [_group_figures(tables, one, texts, cases) for one in judged]
            rows.append(
                {
                    **{"by": by, "value": value, "texts": len(texts), "claims": len(cases)},
                    **{"e2e": figures[0][0], "lexical_e2e": figures[1][0]},
                    **{"claim": figures[0][1], "lexical_claim": figures[1][1]},
                }
            )
    return rows


def _group_figures(
    tables: Tables, judged: Judged, texts: Sequence[int], cases: Sequence[int]
) -> tuple[float | None, float | None]:
    """Return the balanced accuracies of some texts and cases, by their places; None without both kinds."""
    mine, theirs = [tables.texts[n] for n in texts], [tables.cases[n] for n in cases]
    e2e = text_accuracy(mine, [judged.texts[n] for n in texts]) if len({one.factual for one in mine}) == 2 else None
    claim = claim_accuracy(theirs, [judged.cases[n] for n in cases])
    return e2e, claim if len({one.factual for one in theirs}) == 2 else None


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
