"""The language model as writer of claims, false claims and texts: what it is asked, and how its answers are checked.

Two forms with the same schema (LLM-Oasis, arXiv 2411.19655, section 3.2): `one_call` asks for all four steps of a
passage at once, as the paper does; `multi_call` asks for one step at a time. Each stage asks for what it needs; an
answer that another stage has paid for is read from the store.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.llm import Answer, Ledger, Request, Sampling, Template, estimate
from tasks.llm_asking import Asking, asking_in
from tasks.stage import Plan, Stage
from tasks.strict import StrictModel
from tasks.text.alignment import align
from tasks.text.assembly import MAX_WORDS
from tasks.text.windows import window_of

Backend = Literal["rules", "one_call", "multi_call"]

MAX_WINDOW = 0.5  # of the factual text that the unfactual one may differ in
_PRONOUNS = frozenset({"he", "she", "it", "they", "we", "you", "i", "this", "that", "these", "those", "who", "which"})


class Generator(StrictModel):
    """The section `generator` of params.yaml: who writes. Listed by every stage that asks."""

    backend: Backend = Field(description="rules: no language model; one_call: one prompt a passage; multi_call: a step")
    sampling: Asking

    @model_validator(mode="after")
    def _a_model_where_one_is_asked(self) -> "Generator":
        if self.backend != "rules":
            self.sampling.require_model(f"backend '{self.backend}'", "generator")
        return self

    @property
    def settings(self) -> Sampling:
        """The same as `tasks.llm` takes it."""
        return self.sampling.settings


# --- what comes back --------------------------------------------------------------------------------------------


class Claim(StrictModel):
    """A claim, and the words of the passage that say it."""

    claim: str = Field(min_length=1, max_length=400)
    quote: str = Field(min_length=1, max_length=2000)


class Claims(StrictModel):
    """Step 1."""

    claims: list[Claim] = Field(min_length=1, max_length=100)


class Falsified(StrictModel):
    """Step 2. By name: the paper's own prompt and its annotation sheets have the two in different orders."""

    original: str = Field(min_length=1, max_length=400)
    altered: str = Field(min_length=1, max_length=400)


class Factual(StrictModel):
    """Step 3."""

    text: str = Field(min_length=1, max_length=8000)


class Unfactual(StrictModel):
    """Step 4."""

    text: str = Field(min_length=1, max_length=8000)


class Whole(StrictModel):
    """All four steps of a passage."""

    claims: list[Claim] = Field(min_length=1, max_length=100)
    falsified: Falsified
    factual_text: str = Field(min_length=1, max_length=8000)
    unfactual_text: str = Field(min_length=1, max_length=8000)


# --- what is asked ----------------------------------------------------------------------------------------------

_CLAIMS = (
    "List every claim that the passage makes, in its order. A claim is atomic: it cannot be divided further. It can be "
    "checked without any other text: name its subject by a noun, never by a pronoun. It has at most 15 words, leaves "
    "nothing out with dots, and turns nothing into a fact that the passage only supposes. With each claim give "
    "`quote`: the words of the passage that say it, copied exactly."
)
_FALSIFY = (
    "Choose the claim that matters most to the passage and make it false by a small change: another value of the same "
    "kind, such that the new claim contradicts the old one and is plausible, yet wrong. Do not change names of people, "
    "places or organisations, dates, years or numbers. Do not negate the verb. Do not put a word of the same or of a "
    "wider meaning. Give `original`, the claim exactly as listed, and `altered`."
)
_FACTUAL = (
    "Tell the claims as a text of fluent English, in their order, with other words and other sentence forms than the "
    "passage wherever the meaning allows it. Keep every claim and every detail, and add none."
)
_UNFACTUAL = (
    "Give the factual text once more, equal to it character by character but for the part that tells the original "
    "claim, which tells the altered claim instead. Do not hint at the change."
)
_ROLE = "You prepare data for research on fact checking, out of passages of an encyclopedia. "

ONE_CALL = Template(
    "oasis.one_call",
    "1",
    _ROLE + "Make four things and answer with one JSON object that has them as `claims`, `falsified`, `factual_text` "
    f"and `unfactual_text`.\n\n1. {_CLAIMS}\n\n2. {_FALSIFY}\n\n3. {_FACTUAL}\n\n4. {_UNFACTUAL}",
    "The passage is of the page named in `title`.\n$title\n$passage",
)
LIST_CLAIMS = Template(
    "oasis.list_claims", "1", _ROLE + _CLAIMS, "The passage is of the page named in `title`.\n$title\n$passage"
)
FALSIFY = Template("oasis.falsify", "1", _ROLE + _FALSIFY, "$passage\nIts claims, one a line:\n$claims")
FACTUAL = Template("oasis.factual", "1", _ROLE + _FACTUAL, "$passage\nIts claims, one a line:\n$claims")
UNFACTUAL = Template("oasis.unfactual", "1", _ROLE + _UNFACTUAL, "$factual\n$original\n$altered")


# --- how answers are checked ------------------------------------------------------------------------------------


def sound_claims(text: str, claims: Sequence[Claim]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return the claims of an answer that are sound, with the place of each quote, and why others are not.

    A claim is dropped as repeated, too_long (over 15 words), pronoun (as its subject), cut_off (dots) or no_quote (its
    quote is not in the passage). They are in the order of their quotes.
    """
    found: dict[str, dict[str, Any]] = {}
    dropped = []
    for one in claims:
        claim = " ".join(one.claim.split())
        place = align(one.quote, text)
        if (reason := _fault(claim)) or claim.lower() in found or place is None:
            dropped.append({"text": claim, "reason": reason or ("repeated" if claim.lower() in found else "no_quote")})
            continue
        found[claim.lower()] = {
            **{"claim": claim, "quote_start": place.start, "quote_end": place.end, "method": place.method},
            "construction": "language_model",
        }
    return sorted(found.values(), key=lambda row: (row["quote_start"], row["quote_end"])), dropped


def _fault(claim: str) -> str:
    words = claim.split()
    if len(words) > MAX_WORDS:
        return "too_long"
    if claim.rstrip(" .").endswith("\u2026") or "..." in claim:
        return "cut_off"
    return "pronoun" if words[0].lower() in _PRONOUNS else ""


def check_claims(text: str) -> Callable[[Claims], None]:
    """Return the check of an answer of step 1 for a passage: one sound claim at least."""

    def check(value: Claims) -> None:
        _require_claims(text, value.claims)

    return check


def check_falsified(claims: Sequence[str]) -> Callable[[Falsified], None]:
    """Return the check of an answer of step 2: one of the claims, and another text in its place."""

    def check(value: Falsified) -> None:
        _require_falsified(claims, value)

    return check


def check_unfactual(factual: str) -> Callable[[Unfactual], None]:
    """Return the check of an answer of step 4: the factual text but for one window."""

    def check(value: Unfactual) -> None:
        _require_window(factual, value.text)

    return check


def check_whole(text: str) -> Callable[[Whole], None]:
    """Return the check of an answer that holds all four steps: those of the steps."""

    def check(value: Whole) -> None:
        claims = _require_claims(text, value.claims)
        _require_falsified([row["claim"] for row in claims], value.falsified)
        _require_window(value.factual_text, value.unfactual_text)

    return check


def _require_claims(text: str, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    sound, dropped = sound_claims(text, claims)
    if not sound:
        reasons = ", ".join(sorted({one["reason"] for one in dropped}))
        raise ValueError(f"no claim is sound: {reasons} (see the rules; quotes must stand in the passage as they are)")
    return sound


def _require_falsified(claims: Sequence[str], value: Falsified) -> None:
    known = {claim.lower() for claim in claims}
    original, altered = (" ".join(claim.split()) for claim in (value.original, value.altered))
    if original.lower() not in known:
        raise ValueError("`original` is none of the claims: copy one of them exactly")
    if altered.lower() in known:
        raise ValueError("`altered` is one of the claims: change the original")
    if len(altered.split()) > MAX_WORDS:
        raise ValueError(f"`altered` has over {MAX_WORDS} words")


def _require_window(factual: str, unfactual: str) -> None:
    window = window_of(factual, unfactual)
    if window is None:
        raise ValueError("the unfactual text equals the factual one: tell the altered claim in it")
    if max(end - start for start, end in (window.old, window.new)) > MAX_WINDOW * len(factual):
        raise ValueError("the unfactual text differs in more than the altered claim: change nothing else")


# --- asking -----------------------------------------------------------------------------------------------------


def claim_request(generator: Generator, passage_id: str, text: str, title: str) -> Request[Any]:
    """Return what asks for the claims of a passage; in `one_call`, for all four steps."""
    data = {"title": title, "passage": text}
    if generator.backend == "one_call":
        return Request(passage_id, ONE_CALL, data, Whole, check_whole(text))
    return Request(passage_id, LIST_CLAIMS, data, Claims, check_claims(text))


def false_request(passage_id: str, text: str, claims: Sequence[str], sample: int) -> Request[Any]:
    """Return what asks for one of the claims of a passage made false."""
    data = {"passage": text, "claims": "\n".join(claims)}
    return Request(passage_id, FALSIFY, data, Falsified, check_falsified(claims), sample)


def asked(stage: Stage, generator: Generator, requests: Sequence[Request[Any]], ledger: Ledger) -> list[Answer[Any]]:
    """Return the answers to `requests`, in their order. `ledger` holds what the whole run spends; it goes to MLflow.

    Raises StageError where no endpoint is set.
    """
    setting, remedy = f"generator.backend is '{generator.backend}'", "set generator.backend to rules"
    with asking_in(stage, generator.settings, ledger, "passages", setting=setting, remedy=remedy) as answers:
        return answers(requests)


def asked_plan(stage: Stage, generator: Generator, requests: Sequence[Request[Any]], unit: str) -> Plan:
    """Say how many calls there are to do, and about what they cost."""
    found = estimate(requests, generator.settings, stage.store, stage.knobs.llm.limits)
    return Plan(unit, found.calls, len(requests) - found.calls, notes=(found.note(),))
