"""Factual and unfactual texts that a language model wrote: where each claim stands in them, and where they differ."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.llm import Ledger, Request
from tasks.stage import Stage
from tasks.tables import Reject
from tasks.text import generator as llm
from tasks.text.generator import Generator
from tasks.text.labelled import stems
from tasks.text.realisation import FalseClaim, Passage
from tasks.text.sentences import Span, sentence_spans
from tasks.text.windows import window_of

WRITTEN = "written"  # the way in which a claim is told
_FIXED = re.compile(r"\b(?:[A-Z][\w'-]*|\d[\d.,]*\d|\d)")


@dataclass(frozen=True)
class Asked:
    """A passage with its claims and the false one, where it has one."""

    passage: Passage
    claims: Sequence[str]
    false_claim: FalseClaim | None


def written(
    stage: Stage, generator: Generator, jobs: Mapping[str, Asked]
) -> tuple[dict[str, dict[str, Any]], dict[str, Reject]]:
    """Return the texts of each passage, as the rules give them, and why others have none."""
    found, rejects = {}, {}
    factual: dict[str, tuple[str, str | None]] = {}
    ledger = Ledger(stage.knobs.llm.limits)
    answers = llm.asked(stage, generator, [factual_request(generator, key, job) for key, job in jobs.items()], ledger)
    for (key, job), answer in zip(jobs.items(), answers, strict=True):
        if answer.value is None:
            assert answer.reject is not None
            rejects[key] = answer.reject
        elif isinstance(answer.value, llm.Whole):
            unfactual = answer.value.unfactual_text if job.false_claim is not None else None
            factual[key] = answer.value.factual_text, unfactual
        else:
            factual[key] = answer.value.text, None
    if generator.backend == "multi_call":
        asking = {key: job for key, job in jobs.items() if key in factual and job.false_claim is not None}
        requests = [_unfactual_request(key, job, factual[key][0]) for key, job in asking.items()]
        for key, answer in zip(asking, llm.asked(stage, generator, requests, ledger) if requests else [], strict=True):
            if answer.value is None:
                assert answer.reject is not None
                rejects[key] = answer.reject
            else:
                factual[key] = factual[key][0], answer.value.text
    for key, (text, other) in factual.items():
        if key not in rejects:
            found[key] = _value(jobs[key], text, other)
    return found, rejects


def factual_request(generator: Generator, passage_id: str, job: Asked) -> Request[Any]:
    """Return what asks for the factual text of a passage; in `one_call`, for all four steps."""
    if generator.backend == "one_call":
        return llm.claim_request(generator, passage_id, job.passage.text, job.passage.title)
    data = {"passage": job.passage.text, "claims": "\n".join(job.claims)}
    return Request(passage_id, llm.FACTUAL, data, llm.Factual, _tells(job.claims))


def _unfactual_request(passage_id: str, job: Asked, factual: str) -> Request[Any]:
    assert job.false_claim is not None
    data = {"factual": factual, "original": job.claims[job.false_claim.number], "altered": job.false_claim.text}
    return Request(passage_id, llm.UNFACTUAL, data, llm.Unfactual, llm.check_unfactual(factual))


def _tells(claims: Sequence[str]) -> Callable[[llm.Factual], None]:
    """Return the check of a factual text: the names and numbers of every claim stand in it."""

    def check(value: llm.Factual) -> None:
        for claim in claims:
            lost = [word for word in _FIXED.findall(claim)[1:] if word not in value.text]
            if lost:
                raise ValueError(f"a claim is not told whole, {', '.join(lost)} is missing: {claim}")

    return check


def _value(job: Asked, factual: str, unfactual: str | None) -> dict[str, Any]:
    spans = _spans(job.claims, factual)
    value: dict[str, Any] = {"factual": factual, "factual_spans": spans, "ways": [WRITTEN] * len(job.claims)}
    if unfactual is None:
        return {**value, "unfactual": None, "unfactual_spans": [], "old_window": None, "new_window": None}
    assert job.false_claim is not None
    window = window_of(factual, unfactual)
    assert window is not None  # of equal texts; the check of the answer has refused them
    number = job.false_claim.number
    told = [*job.claims[:number], job.false_claim.text, *job.claims[number + 1 :]]
    spans = _spans(told, unfactual)
    return {
        **value,
        "unfactual": unfactual,
        "unfactual_spans": spans,
        "old_window": window.old,
        "new_window": window.new,
    }


def _spans(claims: Sequence[str], text: str) -> list[Span]:
    """Return of each claim the sentence of the text that shares most with it, the first of equals."""
    sentences = sentence_spans(text, "") or [(0, len(text))]
    words = [stems(text[slice(*span)]) for span in sentences]
    found = []
    for claim in claims:
        mine = stems(claim)
        best = max(range(len(sentences)), key=lambda n: (len(mine & words[n]) / (len(mine | words[n]) or 1), -n))
        found.append(sentences[best])
    return found
