"""The falsification of a passage: one salient claim, one word of it swapped, every check passed; or why not.

LLM-Oasis (arXiv 2411.19655, section 3.2, step 2): exactly one claim, the one most relevant, subtly. A pair that a check
rejects is tried again with the next candidate, then with the next claim by salience.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.tables import Reject
from tasks.text.contexts import Contexts
from tasks.text.salience import ranked
from tasks.text.slots import Corpus, Parsed
from tasks.text.swaps import Candidates, Score, Swap
from tasks.text.validators import Known, Limits, Pair, Verdict, failed, validate
from tasks.text.wordnet import WordNet

MAX_CANDIDATES = 8  # of a claim
MAX_PAIRS = 40  # of a passage


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
    relation: str  # antonym, sibling, cousin or slot
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


def falsify(
    text: str,
    title: str,
    claims: Sequence[Parsed],
    sources: Sources,
    rng: np.random.Generator,
    *,
    limits: Limits | None = None,
    page_text: str = "",
    score: Score | None = None,
) -> Falsified | Reject:
    """Return the claims of a passage `text` with one made false, or a Reject with what stood most in the way.

    `page_text`: more of the page, in which the new value must not stand either. `score`: how plausible a language model
    finds a sentence. Reasons: no_claims, no_candidate, or the name of the check that rejected most pairs.
    """
    limits = limits or Limits()
    if not claims:
        return Reject("no_claims", "the passage has no claim")
    told = [claim.text for claim in claims]
    standings = ranked(told, text, title)
    reasons: Counter[str] = Counter()
    tried = 0
    for number in sorted(range(len(claims)), key=lambda n: standings[n].rank):
        if standings[number].standing <= limits.standing:
            continue
        for swap in sources.candidates.swaps(claims[number], text, rng, score)[:MAX_CANDIDATES]:
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
            if not failed(verdicts):
                return _falsified(number, swap, sources.corpus, verdicts, tried)
            reasons.update(failed(verdicts))
            tried += 1
    if not tried:
        return Reject("no_candidate", f"no word of {len(claims)} claims has another to put for it")
    reason, times = max(sorted(reasons.items()), key=lambda item: item[1])
    return Reject(reason, f"{times} of {tried} pairs; {dict(sorted(reasons.items()))}", reason, times, tried)


def _falsified(number: int, swap: Swap, corpus: Corpus, verdicts: tuple[Verdict, ...], tried: int) -> Falsified:
    old, slot = swap.claim.text, swap.slot
    return Falsified(
        *(number, old, swap.new_claim.text, swap.old, swap.new, slot.lemma, swap.new_lemma),
        *(swap.old_span, swap.new_span, swap.relation, slot.role, corpus.file(slot.lemma, slot.pos)),
        *(verdicts, tried),
    )
