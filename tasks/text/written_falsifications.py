"""False claims that a language model wrote: judged by the same checks as those that rules make."""

from collections.abc import Mapping, Sequence
from typing import Any

from spacy.language import Language

from tasks.llm import Answer, Ledger, Request
from tasks.stage import Stage
from tasks.tables import Reject
from tasks.text import generator as llm
from tasks.text.entailment import Entailment
from tasks.text.falsification import Falsified, Sources, asked, faults
from tasks.text.generator import Generator
from tasks.text.plausibility import Plausibility
from tasks.text.salience import ranked
from tasks.text.slots import Parsed, parse
from tasks.text.validators import Known, Limits, Pair, validate
from tasks.text.windows import window_of

SAMPLES = 3  # of a prompt of its own: a pair that a check rejects is asked for again

Claims = Mapping[str, Sequence[Parsed]]


def written(
    stage: Stage,
    generator: Generator,
    passages: Mapping[str, Mapping[str, Any]],
    pages: Mapping[str, str],
    claims: Claims,
    sources: Sources,
    nlp: Language,
    limits: Limits,
    entailment: Entailment | None,
    plausibility: Plausibility | None,
) -> dict[str, Falsified | Reject]:
    """Return of each passage a pair that passes all checks, or why there is none.

    Where the steps are asked for one by one, what is rejected is asked for again, `SAMPLES` times in all.
    """
    found: dict[str, Falsified | Reject] = {}
    ledger = Ledger(stage.knobs.llm.limits)
    samples = SAMPLES if generator.backend == "multi_call" else 1
    for sample in range(samples):
        todo = [key for key in claims if not isinstance(found.get(key), Falsified)]
        requests = [_request(generator, passages[key], claims[key], sample) for key in todo]
        for key, answer in zip(todo, llm.asked(stage, generator, requests, ledger) if todo else [], strict=True):
            page = f"{passages[key]['text']}\n{pages[passages[key]['page_id']]}"
            models = entailment, plausibility
            found[key] = _judged(answer, passages[key], page, claims[key], sources, nlp, limits, *models, sample)
    return found


def requests_of(
    generator: Generator, passages: Mapping[str, Mapping[str, Any]], claims: Mapping[str, Sequence[str]]
) -> list[Request[Any]]:
    """Return what is asked first of each passage."""
    return [
        llm.claim_request(generator, key, passages[key]["text"], passages[key]["title"])
        if generator.backend == "one_call"
        else llm.false_request(key, passages[key]["text"], told, 0)
        for key, told in claims.items()
    ]


def _request(generator: Generator, passage: Mapping[str, Any], claims: Sequence[Parsed], sample: int) -> Request[Any]:
    if generator.backend == "one_call":
        return llm.claim_request(generator, passage["passage_id"], passage["text"], passage["title"])
    return llm.false_request(passage["passage_id"], passage["text"], [claim.text for claim in claims], sample)


def _judged(
    answer: Answer[Any],
    passage: Mapping[str, Any],
    page_text: str,
    claims: Sequence[Parsed],
    sources: Sources,
    nlp: Language,
    limits: Limits,
    entailment: Entailment | None,
    plausibility: Plausibility | None,
    sample: int,
) -> Falsified | Reject:
    if answer.value is None:
        assert answer.reject is not None
        return answer.reject
    value = answer.value.falsified if isinstance(answer.value, llm.Whole) else answer.value
    told = [claim.text for claim in claims]
    original, altered = (" ".join(text.split()) for text in (value.original, value.altered))
    number = next(n for n, claim in enumerate(told) if claim.lower() == original.lower())
    standing = ranked(told, passage["text"], passage["title"])[number].standing
    [new] = parse([altered], nlp)
    known = Known(
        wordnet=sources.wordnet,
        corpus=sources.corpus,
        contexts=sources.contexts,
        page_text=page_text,
        claims=told,
        new_claims=[*told[:number], altered, *told[number + 1 :]],
        standing=standing,
    )
    pair = Pair(claims[number], new)
    verdicts = asked(pair, validate(pair, known, limits), passage["text"], entailment, plausibility)
    if reasons := faults(verdicts, entailment):
        return Reject(reasons[0], f"the pair of a language model, sample {sample}: {', '.join(reasons)}")
    window = window_of(told[number], altered)
    assert window is not None  # the check of the answer has refused a claim that is not altered
    old_lemma, new_lemma = (" ".join(word.lemma for word in words) for words in pair.changed())
    return Falsified(
        number=number,
        claim=told[number],
        false_claim=altered,
        old=told[number][slice(*window.old)],
        new=altered[slice(*window.new)],
        old_lemma=old_lemma,
        new_lemma=new_lemma,
        old_span=window.old,
        new_span=window.new,
        relation="language_model",
        role="unknown",
        file="",
        verdicts=verdicts,
        tried=sample,
    )
