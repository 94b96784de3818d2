"""Make one claim of each passage false: data/curated/falsified/.

falsified.parquet has the claim and its false form, with what was swapped for what; verdicts.parquet every check of each
pair with its figure; rejected.parquet the passages without a pair that passes; README.md is their card. One word of a
salient claim is swapped for one of its kind, from closed classes, WordNet and what else stands in its place in the
corpus. Section 3.2, step 2, of LLM-Oasis (arXiv 2411.19655).
"""

import functools
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from spacy.language import Language

from tasks import sources
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.progress import Progress
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_table, rejected_rows, write_table
from tasks.text.cards import falsified_card
from tasks.text.entailment import Entailment
from tasks.text.falsification import Falsified, Sources, falsify, most_of_a_value
from tasks.text.generator import Generator, asked_plan
from tasks.text.nli import Judge, Nli
from tasks.text.parser import load_parser
from tasks.text.parses import parsed_of, parses_of_claims
from tasks.text.plausibility import CHECK, Naturalness, Plausibility, Scorer, scorer_of
from tasks.text.records import CLAIMS, FALSIFIED, OWED, PAGES, PASSAGES, VERDICTS
from tasks.text.slots import Parsed
from tasks.text.swaps import Values
from tasks.text.validators import Limits
from tasks.text.wordnet import WordNet
from tasks.text.wordnet_files import wordnet_folder
from tasks.text.written_falsifications import requests_of, written


class FalsifyClaims(StrictModel):
    seed: int
    edit_ratio: float = Field(gt=0, le=1, description="edited tokens to tokens of the claim, at most")
    zipf_distance: float = Field(gt=0, description="between the frequencies of old and new word, at most")
    steps_apart: int = Field(ge=2, description="between old and new word by their hypernyms, at most")
    functional: float = Field(
        ge=0,
        le=1,
        description="share of subjects with the old value in the slot that have not the new too, at least",
    )
    standing: float = Field(ge=0, le=1, description="of the claim among its passage's, by salience; more than")
    strict: bool = Field(
        description="names, dates and numbers may not change; where false, they may. Mere negation is refused always"
    )
    nli: Nli
    language_model: Naturalness


class Own(StrictModel):
    models: str = Field(description="folder of weights of your own, one folder for each model")


class Params(StrictModel):
    own: Own
    generator: Generator
    falsify_claims: FalsifyClaims


def run(stage: Stage, params: Params) -> Report:
    """Falsify each passage that has claims, and write the pairs with their verdicts.

    Candidates and checks look at the whole corpus: a result is of all passages together, and none is stored alone.
    Passages are taken in the order of their ids, since how often two values were swapped before counts.
    """
    chosen = params.falsify_claims
    raw, curated = stage.dep("data/raw/passages"), stage.dep("data/curated/claims")
    passages = {row["passage_id"]: row for row in read_table(raw / "passages.parquet", PASSAGES).to_pylist()}
    pages = {row["page_id"]: row["text"] for row in read_table(raw / "pages.parquet", PAGES).to_pylist()}
    by_passage, unparsed = _parsed(stage, read_table(curated / "claims.parquet", CLAIMS).to_pylist(), passages)
    stage.check_rejects("passage", len(by_passage) + len(unparsed), len(unparsed))
    nlp = load_parser()
    corpus = [parsed for group in by_passage.values() for _, parsed in group]
    memory, downloads = HashMemory(stage.store), sources.downloads_folder(stage.root)
    wordnet = WordNet(wordnet_folder(downloads, lambda source: fetched_for(stage, source, memory)))
    found = Sources.of(wordnet, corpus, list(pages.values()))
    limits = Limits(**chosen.model_dump(exclude={"seed", "nli", "language_model"}))
    entailment, plausibility = _entailment(stage, params), _plausibility(stage, chosen.language_model, memory)
    models = entailment, plausibility
    outcomes: dict[str, Falsified | Reject] = {}
    if params.generator.backend != "rules":
        told = {key: [parsed for _, parsed in group] for key, group in sorted(by_passage.items())}
        outcomes = written(stage, params.generator, passages, pages, told, found, nlp, limits, *models)
    else:
        progress = Progress(len(by_passage), "passages", stage.info.address)
        rng_of = functools.partial(stage.rng, chosen.seed)
        for passage_id, outcome in falsify_all(by_passage, passages, pages, found, nlp, rng_of, limits, *models):
            outcomes[passage_id] = outcome
            progress.done(passage_id)
        progress.close()
        stage.count_done(len(outcomes))
    outcomes |= unparsed
    claim_ids = {passage_id: [claim for claim, _ in group] for passage_id, group in by_passage.items()}
    _write(stage, chosen, passages, claim_ids, outcomes, wordnet.licence)
    accepted = {key: found for key, found in outcomes.items() if isinstance(found, Falsified)}
    rejects = {key: found for key, found in outcomes.items() if isinstance(found, Reject)}
    figures = {"oasis": _figures(accepted, rejects, len(outcomes))}
    if entailment is not None:
        figures["nli"] = {"judged": entailment.judged, "agreement": round(entailment.agreement, 4)}
    if plausibility is not None:
        figures["language_model"] = _told_by(plausibility, accepted)
        stage.timing({"language_model/texts_read": plausibility.read})
    stage.metrics(figures)
    reasons = dict(Counter(reject.reason for reject in rejects.values()))
    return Report("passage", len(outcomes), len(accepted), reasons, "data/curated/falsified/falsified.parquet")


def _entailment(stage: Stage, params: Params) -> Entailment | None:
    """Return the entailment model that params.yaml names, or None. Raises StageError where it cannot be read."""
    nli, folder = params.falsify_claims.nli, stage.dep(params.own.models)
    if nli.backend == "none":
        return None
    try:
        return Entailment(Judge(folder / nli.model), nli.threshold)
    except ValueError as error:
        raise StageError(str(error)) from None


def _plausibility(stage: Stage, chosen: Naturalness, memory: HashMemory) -> Plausibility | None:
    """Return the language model that params.yaml names, or None where it is off. It is read when first needed."""
    if not chosen.candidates:
        return None

    def load() -> Scorer:
        file = fetched_for(stage, chosen.weights, memory)
        stage.log.info("%s: %s is read, which takes a minute", stage.info.address, chosen.weights.name)
        try:
            return scorer_of(file, chosen.threads)
        except ValueError as error:
            raise StageError(f"falsify_claims.language_model: {error}") from None

    return Plausibility(stage.store, chosen, load)


Told = Mapping[str, Sequence[tuple[str, Parsed]]]  # passage id -> its claims with their ids


def _parsed(
    stage: Stage, rows: Sequence[Mapping[str, Any]], passages: Mapping[str, Mapping[str, Any]]
) -> tuple[Told, dict[str, Reject]]:
    """Return the claims of each passage with their parses, and why others have none."""
    by_passage: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["passage_id"], row["number"])):
        by_passage[row["passage_id"]].append(row)
    texts = {key: [row["claim"] for row in mine] for key, mine in by_passage.items()}
    found, unparsed = parses_of_claims(stage, texts, {key: passages[key]["title"] for key in texts})
    told = {
        key: [(row["claim_id"], parsed_of(one)) for row, one in zip(by_passage[key], parses, strict=True)]
        for key, parses in found.items()
    }
    return told, unparsed


def falsify_all(
    by_passage: Told,
    passages: Mapping[str, Mapping[str, Any]],
    pages: Mapping[str, str],
    found: Sources,
    nlp: Language,
    rng_of: Callable[[str], np.random.Generator],
    limits: Limits,
    entailment: Entailment | None = None,
    plausibility: Plausibility | None = None,
) -> Iterator[tuple[str, Falsified | Reject]]:
    """Yield (passage id, outcome) of each passage. `pages`: page id -> text; `rng_of`: passage id -> its generator."""
    taken, most = Counter[Values](), most_of_a_value(len(by_passage))
    for passage_id, group in sorted(by_passage.items()):
        row, told = passages[passage_id], [parsed for _, parsed in group]
        outcome = falsify(
            *(row["text"], row["title"], told, found, nlp, rng_of(passage_id)),
            limits=limits,
            page_text=pages[row["page_id"]],
            taken=taken,
            most=most,
            entailment=entailment,
            plausibility=plausibility,
        )
        if isinstance(outcome, Falsified):
            taken[outcome.old_lemma, outcome.new_lemma] += 1
        yield passage_id, outcome


def plan(stage: Stage, params: Params) -> Plan:
    """Count the passages with claims: all are falsified again when one changes. With a language model, count calls."""
    claims = read_table(stage.dep("data/curated/claims") / "claims.parquet", CLAIMS).to_pylist()
    by_passage: dict[str, list[str]] = defaultdict(list)
    for row in sorted(claims, key=lambda row: (row["passage_id"], row["number"])):
        by_passage[row["passage_id"]].append(row["claim"])
    if params.generator.backend == "rules":
        return Plan("passage", len(by_passage), 0)
    rows = read_table(stage.dep("data/raw/passages") / "passages.parquet", PASSAGES).to_pylist()
    passages = {row["passage_id"]: row for row in rows}
    return asked_plan(stage, params.generator, requests_of(params.generator, passages, by_passage), "passage")


# --- tables -----------------------------------------------------------------------------------------------------


def _write(
    stage: Stage,
    chosen: FalsifyClaims,
    passages: Mapping[str, Mapping[str, Any]],
    claim_ids: Mapping[str, Sequence[str]],
    outcomes: Mapping[str, Falsified | Reject],
    wordnet_licence: str,
) -> None:
    out = stage.out("data/curated/falsified")
    parents = {passage_id: passages[passage_id]["page_id"] for passage_id in outcomes}
    accepted = {key: found for key, found in outcomes.items() if isinstance(found, Falsified)}
    rejects = {key: found for key, found in outcomes.items() if isinstance(found, Reject)}
    rows = [_row(passages[key], claim_ids[key], found) for key, found in accepted.items()]
    verdicts = [
        {"passage_id": key, "check": v.name, "passed": v.passed, "value": v.value, "threshold": v.threshold}
        for key, found in accepted.items()
        for v in found.verdicts
    ]
    write_table(out / "falsified.parquet", rows, FALSIFIED)
    write_table(out / "verdicts.parquet", verdicts, VERDICTS)
    write_table(
        out / "rejected.parquet", rejected_rows(rejects, stage=stage.name, unit="passage", parents=parents), REJECTED
    )
    parameters = {f"falsify_claims.{name}": value for name, value in _told_parameters(chosen).items()}
    made_from = {path: stage.dep_hash(path) for path in ("data/raw/passages", "data/curated/claims")}
    card = falsified_card(rows, len(outcomes), parameters, made_from, wordnet_licence)
    (out / "README.md").write_text(card)


def _told_parameters(chosen: FalsifyClaims) -> dict[str, Any]:
    """Return the parameters that the card tells: a language model that is off is none."""
    told, model = chosen.model_dump(exclude={"language_model"}), chosen.language_model
    if model.candidates:
        told |= {f"language_model.{name}": value for name, value in model.model_dump(exclude={"weights"}).items()}
        told["language_model.weights"] = f"{model.weights.origin}; {model.weights.credit}; {model.weights.licence}"
    return told


def _row(passage: Mapping[str, Any], claim_ids: Sequence[str], found: Falsified) -> dict[str, Any]:
    names = ("claim", "false_claim", "old", "new", "old_lemma", "new_lemma", "relation", "role", "file", "tried")
    return {
        "passage_id": passage["passage_id"],
        "page_id": passage["page_id"],
        "claim_id": claim_ids[found.number],
        **{name: getattr(found, name) for name in names},
        **{"old_start": found.old_span[0], "old_end": found.old_span[1]},
        **{"new_start": found.new_span[0], "new_end": found.new_span[1]},
        **{name: passage[name] for name in OWED},
    }


def _figures(accepted: Mapping[str, Falsified], rejects: Mapping[str, Reject], passages: int) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for verdict in (v for found in accepted.values() for v in found.verdicts):
        values[verdict.name].append(verdict.value)
    reasons = Counter(reject.reason for reject in rejects.values())
    return {
        "passages": passages,
        "accepted": len(accepted),
        "accept_rate": round(len(accepted) / passages, 4) if passages else 0.0,
        "edit_ratio_mean": round(statistics.mean(values["minimal_edit"]), 4) if accepted else 0.0,
        "negation_rate": _share_above_none(values["no_negation"]),
        "forbidden_edit_rate": _share_above_none(values["forbidden_spans"]),
        "value_pairs": len({(found.old_lemma, found.new_lemma) for found in accepted.values()}),
        **{f"reject_{reason}": count for reason, count in sorted(reasons.items())},
        **{
            f"relation_{relation}": count
            for relation, count in sorted(Counter(found.relation for found in accepted.values()).items())
        },
    }


def _told_by(plausibility: Plausibility, accepted: Mapping[str, Falsified]) -> dict[str, float]:
    rises = [verdict.value for found in accepted.values() for verdict in found.verdicts if verdict.name == CHECK]
    return {
        "judged": plausibility.judged,
        "implausible": plausibility.rejected,
        "rise_nats_mean": round(statistics.mean(rises), 4) if rises else 0.0,
    }


def _share_above_none(values: Sequence[float]) -> float:
    return round(sum(value > 0 for value in values) / len(values), 4) if values else 0.0


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
