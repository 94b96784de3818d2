"""The falsification of a passage: one salient claim, one word of it swapped, every check passed; or why not.

LLM-Oasis (arXiv 2411.19655, section 3.2, step 2): exactly one claim, the one most relevant, subtly. A pair that a check
rejects is tried again with the next candidate, then with the next claim by salience. Candidates are checked with the
words that they are made of; one that passes is parsed, and checked once more as it reads. Of those that pass, a
language model may look at a claim's first few: then the most natural comes first, and none but these is taken.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from spacy.language import Language

from tasks.tables import Reject
from tasks.text.contexts import Contexts
from tasks.text.entailment import BY_CONSTRUCTION, Entailment
from tasks.text.plausibility import CHECK, FAULT, Plausibility
from tasks.text.salience import ranked
from tasks.text.slots import Corpus, Parsed, parse
from tasks.text.swaps import Candidates, Swap, Values
from tasks.text.validators import Known, Limits, Pair, Verdict, failed, validate
from tasks.text.wordnet import WordNet

MAX_CANDIDATES = 8  # of a claim
MAX_PAIRS = 40  # of a passage
VALUE_SHARE, VALUE_FREE = 0.01, 3  # a pair of values ("large", "small") is taken for so many passages, at most


@dataclass(frozen=True)
class Falsified:
    """A passage's claims with one of them made false. Spans are characters of the claim and of the false one."""

    number: int  # of the claim, from 0
    claim: str
    false_claim: str
    old: str  # as written
    new: str
    old_lemma: str
    new_lemma: str
    old_span: tuple[int, int]
    new_span: tuple[int, int]
    relation: str  # antonym, exclusive, sibling, cousin or slot
    role: str  # of the word in the claim: predicate, object, apposition, quality or modifier
    file: str  # the lexicographer file of the old word
    verdicts: tuple[Verdict, ...]
    tried: int  # pairs rejected before this one


@dataclass(frozen=True)
class Sources:
    """What candidates and checks are drawn from; made once for all passages."""

    wordnet: WordNet
    corpus: Corpus
    contexts: Contexts
    candidates: Candidates

    @classmethod
    def of(cls, wordnet: WordNet, claims: Iterable[Parsed], texts: Iterable[str]) -> "Sources":
        """Return the sources of a corpus: all its claims, and all its texts (passages, or whole pages)."""
        corpus, contexts = Corpus(claims, wordnet), Contexts(texts, wordnet)
        return cls(wordnet, corpus, contexts, Candidates(wordnet, corpus, contexts))


def most_of_a_value(passages: int) -> int:
    """Return for how many of so many passages one pair of values may be taken."""
    return max(VALUE_FREE, math.floor(VALUE_SHARE * passages))


def falsify(
    text: str,
    title: str,
    claims: Sequence[Parsed],
    sources: Sources,
    nlp: Language,
    rng: np.random.Generator,
    *,
    limits: Limits | None = None,
    page_text: str = "",
    taken: Mapping[Values, int] | None = None,
    most: int = VALUE_FREE,
    entailment: Entailment | None = None,
    plausibility: Plausibility | None = None,
) -> Falsified | Reject:
    """Return the claims of a passage `text` with one made false, or a Reject with what stood most in the way.

    `page_text`: more of the page, in which the new value must not stand either. `taken`: how often each pair of values
    was taken for the passages before: rarer ones are preferred, and those taken `most` times are left out. Reasons:
    no_claims, no_candidate, value_share (all that was found was taken so often), or what was wrong with most pairs: the
    name of a check that they failed, or implausible (plausibility.py).
    """
    limits = limits or Limits()
    taken = taken or {}
    if not claims:
        return Reject("no_claims", "the passage has no claim")
    told = [claim.text for claim in claims]
    standings = ranked(told, text, title)
    refused, common = _Refused(), 0
    for number in sorted(range(len(claims)), key=lambda n: standings[n].rank):
        claim, standing = claims[number], standings[number].standing
        if standing <= limits.standing:
            continue
        found = sources.candidates.swaps(claim, text, rng, taken)
        rare = [swap for swap in found if taken.get((swap.slot.lemma, swap.new_lemma), 0) < most]
        common += len(found) - len(rare)
        known = Known(
            wordnet=sources.wordnet,
            corpus=sources.corpus,
            contexts=sources.contexts,
            page_text=f"{text}\n{page_text}",
            claims=told,
            new_claims=told,
            standing=standing,
        )
        sound = _sound(number, claim, rare[:MAX_CANDIDATES], known, limits, nlp, entailment, refused)
        for swap, pair, passed in _best_first(sound, plausibility):
            verdicts = asked(pair, passed, text, entailment, plausibility)
            if not (reasons := faults(verdicts, entailment)):
                return _falsified(number, claim, swap, sources.corpus, verdicts, refused.pairs)
            refused.add(reasons)
    tried = refused.pairs
    if not tried and common:
        detail = f"each of {common} swaps found is of two words that {most} passages have; more passages allow more"
        return Reject("value_share", detail)
    if not tried:
        return Reject("no_candidate", f"{len(claims)} claims: {_SOUGHT}")
    reason, times = max(sorted(refused.reasons.items()), key=lambda item: item[1])
    return Reject(reason, f"{times} of {tried} pairs; {dict(sorted(refused.reasons.items()))}", reason, times, tried)


@dataclass
class _Refused:
    """The pairs of a passage that were rejected so far, and how many by each check."""

    pairs: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reasons: Sequence[str]) -> None:
        self.reasons.update(reasons)
        self.pairs += 1


class _Sound(NamedTuple):
    swap: Swap
    pair: Pair
    verdicts: tuple[Verdict, ...]


def _sound(
    number: int,
    claim: Parsed,
    swaps: Sequence[Swap],
    known: Known,
    limits: Limits,
    nlp: Language,
    entailment: Entailment | None,
    refused: _Refused,
) -> Iterator[_Sound]:
    """Yield the swaps that pass the checks without a model, as they read; the others are added to `refused`."""
    for swap in swaps:
        if refused.pairs >= MAX_PAIRS:
            return
        told = [*known.claims[:number], swap.new_claim.text, *known.claims[number + 1 :]]
        new_known = replace(known, new_claims=told)
        verdicts = validate(pair := Pair(claim, swap.new_claim), new_known, limits)
        if not faults(verdicts, entailment):
            [read] = parse([swap.new_claim.text], nlp)
            verdicts = validate(pair := Pair(claim, read), new_known, limits)
        if reasons := faults(verdicts, entailment):
            refused.add(reasons)
        else:
            yield _Sound(swap, pair, verdicts)


def _best_first(sound: Iterator[_Sound], plausibility: Plausibility | None) -> Iterable[_Sound]:
    """Return a claim's sound swaps as they come; with a language model the first few, the most natural before."""
    if plausibility is None:
        return sound
    shown = list(islice(sound, plausibility.candidates))
    if not shown:
        return shown
    return [shown[place] for place in plausibility.order(shown[0].pair.old.text, [s.pair.new.text for s in shown])]


def asked(
    pair: Pair,
    verdicts: tuple[Verdict, ...],
    text: str,
    entailment: Entailment | None,
    plausibility: Plausibility | None,
) -> tuple[Verdict, ...]:
    """Return a pair's verdicts with those of the models that there are; each is asked where nothing fails before."""
    if plausibility is not None and not faults(verdicts, entailment):
        verdicts = (*verdicts, plausibility.verdict(pair.old.text, pair.new.text))
    if entailment is not None and not faults(verdicts, entailment):
        verdicts = (*verdicts, *entailment.verdicts(text, pair.old.text, pair.new.text, verdicts))
    return verdicts


def faults(verdicts: Sequence[Verdict], entailment: Entailment | None) -> list[str]:
    """Return what is wrong with a pair, without what an entailment model is asked for, where there is one."""
    replaced = BY_CONSTRUCTION if entailment is not None else frozenset()
    return [FAULT if name == CHECK else name for name in failed(verdicts) if name not in replaced]


_SOUGHT: Final = (
    "of their common nouns and adjectives (not of the subject, a name, what is hedged or one of several) none has an "
    "antonym, a word of the same closed class, a co-hyponym in WordNet or another of the corpus in its place that is "
    "about as common and at home beside the words about it; more passages with claims make more such words known"
)


def _falsified(
    number: int, claim: Parsed, swap: Swap, corpus: Corpus, verdicts: tuple[Verdict, ...], tried: int
) -> Falsified:
    slot = swap.slot
    return Falsified(
        *(number, claim.text, swap.new_claim.text, swap.old, swap.new, slot.lemma, swap.new_lemma),
        *(swap.old_span, swap.new_span, swap.relation, slot.role, corpus.file(slot.lemma, slot.pos)),
        *(verdicts, tried),
    )
