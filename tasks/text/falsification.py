"""The falsification of a passage: one salient claim, one word of it swapped, every check passed; or why not.

LLM-Oasis (arXiv 2411.19655, section 3.2, step 2): exactly one claim, the one most relevant, subtly. A pair that a check
rejects is tried again with the next candidate, then with the next claim by salience. Candidates are checked with the
words that they are made of; one that passes is parsed, and checked once more as it reads.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from spacy.language import Language

from tasks.tables import Reject
from tasks.text.contexts import Contexts
from tasks.text.entailment import BY_CONSTRUCTION, Entailment
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
    tried: int  # pairs before this one


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
) -> Falsified | Reject:
    """Return the claims of a passage `text` with one made false, or a Reject with what stood most in the way.

    `page_text`: more of the page, in which the new value must not stand either. `taken`: how often each pair of values
    was taken for the passages before: rarer ones are preferred, and those taken `most` times are left out. Reasons:
    no_claims, no_candidate, value_share (all that was found was taken so often), or the name of the check that rejected
    most pairs.
    """
    limits = limits or Limits()
    taken = taken or {}
    if not claims:
        return Reject("no_claims", "the passage has no claim")
    told = [claim.text for claim in claims]
    standings = ranked(told, text, title)
    reasons: Counter[str] = Counter()
    tried = common = 0
    for number in sorted(range(len(claims)), key=lambda n: standings[n].rank):
        if standings[number].standing <= limits.standing:
            continue
        found = sources.candidates.swaps(claims[number], text, rng, taken)
        rare = [swap for swap in found if taken.get((swap.slot.lemma, swap.new_lemma), 0) < most]
        common += len(found) - len(rare)
        for swap in rare[:MAX_CANDIDATES]:
            if tried == MAX_PAIRS:
                break
            new_claims = [*told[:number], swap.new_claim.text, *told[number + 1 :]]
            known = Known(
                wordnet=sources.wordnet,
                corpus=sources.corpus,
                contexts=sources.contexts,
                page_text=f"{text}\n{page_text}",
                claims=told,
                new_claims=new_claims,
                standing=standings[number].standing,
            )
            verdicts = validate(Pair(claims[number], swap.new_claim), known, limits)
            if not faults(verdicts, entailment):
                [read] = parse([swap.new_claim.text], nlp)
                verdicts = judged(Pair(claims[number], read), known, limits, text, entailment)
            if not faults(verdicts, entailment):
                return _falsified(number, claims[number], swap, sources.corpus, verdicts, tried)
            reasons.update(faults(verdicts, entailment))
            tried += 1
    if not tried and common:
        detail = f"each of {common} swaps found is of two words that {most} passages have; more passages allow more"
        return Reject("value_share", detail)
    if not tried:
        return Reject("no_candidate", f"{len(claims)} claims: {_SOUGHT}")
    reason, times = max(sorted(reasons.items()), key=lambda item: item[1])
    return Reject(reason, f"{times} of {tried} pairs; {dict(sorted(reasons.items()))}", reason, times, tried)


def judged(pair: Pair, known: Known, limits: Limits, text: str, entailment: Entailment | None) -> tuple[Verdict, ...]:
    """Return the verdicts on a pair as it reads; an entailment model is asked where nothing else fails."""
    verdicts = validate(pair, known, limits)
    if entailment is None or faults(verdicts, entailment):
        return verdicts
    return (*verdicts, *entailment.verdicts(text, pair.old.text, pair.new.text, verdicts))


def faults(verdicts: Sequence[Verdict], entailment: Entailment | None) -> list[str]:
    """Return the checks that a pair fails, without those that an entailment model stands for, where there is one."""
    replaced = BY_CONSTRUCTION if entailment is not None else frozenset()
    return [name for name in failed(verdicts) if name not in replaced]


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
