"""Candidates for the falsification of a claim: one word of a permitted class swapped for another of its type.

LLM-Oasis (arXiv 2411.19655, section 3.2) forbids to change names, dates and numbers and to negate. Candidates come from
closed classes (exclusives.py), WordNet (siblings.py) and from what else stands in the same slot of the corpus; they
take the form of the old word, and must stand beside the words about it elsewhere.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tasks.text.contexts import LEAST_ALIKE, Contexts
from tasks.text.exclusives import are_exclusive, exclusives, is_meant_so
from tasks.text.inflection import article
from tasks.text.senses import zipf
from tasks.text.siblings import ANTONYMS, COUSINS, FARTHEST_ZIPF, RAREST_ZIPF, SIBLINGS, Swaps
from tasks.text.slots import (
    APPOSITION,
    MODIFIER,
    NEAR,
    OBJECT,
    PREDICATE,
    QUALITY,
    QUARTERS,
    Corpus,
    Parsed,
    Slot,
    Word,
)
from tasks.text.wordforms import compared, plural
from tasks.text.wordnet import Pos, WordNet

Values = tuple[str, str]  # lemmas of the old and the new word
EXCLUSIVES = "exclusive"  # a word of the same closed class
SAME_SLOT = "slot"  # a word that stands in the same slot of another claim
_WEIGHTS: Final = {ANTONYMS: 4.0, EXCLUSIVES: 4.0, SIBLINGS: 3.0, SAME_SLOT: 2.0, COUSINS: 1.0}
_ROLE_WEIGHTS: Final = {PREDICATE: 3.0, QUALITY: 3.0, APPOSITION: 2.0, MODIFIER: 2.0, OBJECT: 1.0}
# a noun with an article has a plural that is not much rarer, zipf; without one, not much more of a plural than the old
RARE_PLURAL, PLURAL_MARGIN = -1.6, 0.5
SUPERLATIVE = 0.2  # a superlative turned about is seldom subtle
# of words in the same slot where WordNet's siblings are not known since the old word has several meanings, cosine
ALIKE_IN_DOUBT = 0.11
PLAIN_ZIPF = 4.9  # a word of the slot that is more frequent must have one clear meaning
LONGEST_TERM = 4  # words of a fixed expression that are looked up in WordNet
# an adjective is at home beside a noun where texts have the two; else where it is as common as the old one is beside
# all nouns (cosine of "large" and "small" 0.22, of "open" and "shut" 0.09), and the old one is not often beside this
AS_COMMON, OFTEN = 0.18, 8
KNOWN = 2  # so often must texts have an adjective beside the old noun for them to tell what they lack beside the new

# what is hedged is often true of other values too
_HEDGES_WORDS: Final = """
    can could may might often sometimes usually typically generally commonly mostly frequently probably possibly perhaps
    largely mainly normally likely occasionally traditionally some many several most various certain any few other
    another not no never n't only or either neither nor if unless whether such e.g. almost nearly
    """
_HEDGES: Final = frozenset(_HEDGES_WORDS.split())
# kinds of these exclude each other also where they are farther apart than siblings; of other files they are too vague
_SLOT_FILES: Final = frozenset(
    {"noun.animal", "noun.artifact", "noun.communication", "noun.food", "noun.location"}
    | {"noun.object", "noun.person", "noun.plant", "noun.substance"}
)
# what is said "in" one of these may be said in others too
_FIELDS: Final = frozenset(["noun.cognition", "noun.state", "noun.communication"])
# what is taken, held or named along with others: another value is no contradiction
_OPEN_FRAMES_WORDS: Final = """
    include contain comprise feature have produce use involve cover offer provide support such like including with among
    affect influence share need require allow enable make see find encounter export import help play along own enjoy
    by via without through besides except beyond regarding concerning
    """
_OPEN_FRAMES: Final = frozenset(_OPEN_FRAMES_WORDS.split())

# words that say too little for another to contradict them
_VAGUE_WORDS: Final = """
    area region place district zone field section side center centre point state line story tale work body character
    role level common individual major minor significant important special original specific typical full complete
    entire new old great good bad strong high low true false present past actual potential
    leader pioneer artist economy department child personality notable figure person item entity organization
    organisation association company corporation manufacturer business enterprise anus floor transportation tip term
    institution agency tradition powder mixture organ sect belief attribute soldier melody tool device presence absence
    chair physical mental survey house appendage salt liquid principle
    landmass virtuoso humanist producer razor
    material script equator system computer machine instrument waterway complex
    word name title subject object matter member people man woman host day scene chain mass part piece
    native abstract absolute relative spontaneous extraordinary ordinary
    scholar theorist scientist thinker intellectual polymath socialist anarchist surrealist chemical compound fluid
    """
_VAGUE: Final = frozenset(_VAGUE_WORDS.split())
# what many are besides: no new values
_BROAD: Final = frozenset(["writer", "author", "musician", "designer", "performer", "dissident", "reformer"])
# words of WordNet that are apart there and not in use
_OVERLAPPING_PAIRS: Final = """
    city/town town/village village/hamlet country/state citizen/patriot teacher/professor businessman/merchant
    businessman/entrepreneur liquor/brew province/region novel/story writer/author writer/novelist writer/poet
    writer/playwright writer/essayist author/novelist scientist/physicist island/mainland politician/statesman boat/ship
    lyricist/poet singer/vocalist country/nation ruler/king actor/performer antiparticle/positron tree/shrub
    composer/songwriter playwright/dramatist officer/soldier church/temple writer/journalist writer/critic tree/bush
    herb/shrub author/poet author/playwright author/essayist author/journalist inlet/waterway film/documentary
    strategy/tactic passageway/conduit dish/meal actor/producer filmmaker/producer poet/journalist
    director/producer door/gate international/national drama/fiction theorist/scientist scholar/scientist
    duchy/principality grassland/parkland thinker/theorist journal/magazine anthology/periodical anthology/magazine
    bay/inlet shore/beach fiction/epic novel/epic representative/diplomat revolutionary/terrorist
    dictator/revolutionary emulsion/gel composer/conductor engineer/designer philosopher/theorist
    philosopher/polymath historian/scientist president/minister president/secretary minister/priest structure/surface
    structure/membrane mainland/cape island/cape peninsula/cape archipelago/cape slope/cliff aggregate/binder
    phrase/clause metal/solution gas/coal gas/water museum/archive building/housing municipality/province
    territory/empire esteem/disgrace poet/scholar equipment/weaponry mainland/subcontinent screenwriter/playwright
    polymer/hydrocarbon molecule/polymer king/emperor statesman/prince anthropologist/naturalist
    coastline/border journal/newspaper secretary/minister screenwriter/dramatist songwriter/bandleader
    composer/bandleader river/creek statesman/secretary seafood/butter textile/toy minister/chancellor
"""
_OVERLAPPING: Final = frozenset(frozenset(pair.split("/")) for pair in _OVERLAPPING_PAIRS.split())


@dataclass(frozen=True)
class Swap:
    """One word of a claim for another. Spans are characters of the claim and of the new one."""

    slot: Slot
    old: str
    new: str
    new_lemma: str
    relation: str  # of siblings.py, "exclusive" or "slot"
    new_claim: Parsed
    old_span: tuple[int, int]
    new_span: tuple[int, int]


class Candidates:
    """Proposes swaps with a WordNet database and a corpus; what it has once worked out it keeps."""

    def __init__(self, wordnet: WordNet, corpus: Corpus, contexts: Contexts) -> None:
        self._net, self._corpus, self._contexts = wordnet, corpus, contexts
        self._siblings = Swaps(wordnet)

    def swaps(
        self, claim: Parsed, text: str, rng: np.random.Generator, taken: Mapping[Values, int] | None = None
    ) -> list[Swap]:
        """Return the swaps of a claim of a passage `text`, the one to try first before the others.

        The order is drawn by weight (relation, role, closeness in frequency, how often the slot has the word), divided
        by how often the two values were `taken` before. Words that a hedge or negation reaches have none.
        """
        taken = taken or {}
        found = [
            (swap, weight / (1 + taken.get((slot.lemma, swap.new_lemma), 0)))
            for slot in claim.slots
            if self._is_permitted(claim, slot)
            for swap, weight in self._of_slot(claim, slot, text)
        ]
        keys = [-math.log(weight) - float(rng.gumbel()) for _, weight in found]
        return [found[n][0] for n in sorted(range(len(found)), key=lambda n: (keys[n], n))]

    def _is_permitted(self, claim: Parsed, slot: Slot) -> bool:
        """Say whether another value in a slot would contradict the claim: it is no example, no one of several."""
        if "-" in claim.text[max(0, claim.words[slot.place].start - 1) : claim.words[slot.place].end + 1]:
            return False  # part of a compound
        if _is_hedged(claim, slot.place):
            return False
        above = [claim.words[i] for i in claim.above(slot.place)]
        if any(word.lemma in _OPEN_FRAMES for word in above[1:]) or slot.lemma in _VAGUE:
            return False
        if slot.frame.endswith(" in") and self._corpus.file(slot.lemma, "n") in _FIELDS:
            return False  # "in ecology, a niche is ...", "in order to"
        if slot.frame.endswith(" until"):
            return False  # "until his birth" is no claim that anyone makes
        if sum(word.lemma == slot.lemma for word in claim.words) > 1:
            return False  # "the River Nile is a river": the name tells the kind
        if slot.pos == "a" and _is_measured(claim, slot.place):
            return False  # "970 kilometres long", "longer than it is wide"
        if slot.role == MODIFIER:
            head = claim.words[slot.place].head
            if slot.lemma in QUARTERS and not self._is_place(claim.words[head], slot.lemma):
                return False  # "the central thinkers", "the western tradition"
            return claim.words[head].pos == "PROPN" or _is_definite(claim, head)
        if slot.role == OBJECT:
            return claim.words[slot.place].tag == "NN" or _is_definite(claim, slot.place)
        return True

    def _is_place(self, word: Word, quarter: str) -> bool:
        if word.pos == "PROPN" or word.lemma == "part":
            return True
        return quarter != "central" and self._corpus.file(word.lemma, "n") in ("noun.location", "noun.object")

    def _of_slot(self, claim: Parsed, slot: Slot, text: str) -> Iterator[tuple[Swap, float]]:
        values = self._corpus.values(slot)
        own = {word.lemma for word in claim.words}
        for word, relation in self._proposed(slot, text):
            form = self._form(claim, slot, word)
            if word.endswith("ess") and slot.lemma[-3:] != "ess" and slot.role == PREDICATE:
                continue  # "actress" of a man
            if form is None or word in own or word in _VAGUE | _BROAD or frozenset((word, slot.lemma)) in _OVERLAPPING:
                continue
            alike = self._contexts.similarity(slot.lemma, word)
            if alike < LEAST_ALIKE[slot.pos] or not self._keeps_terms(claim, slot, word):
                continue
            if not self._is_at_home(claim, slot, word, form) or self._goes_together(slot, word, relation):
                continue
            distance = abs(zipf(word) - zipf(slot.lemma))
            new_claim, old_span, new_span = put(claim, slot.place, form, word)
            weight = _WEIGHTS[relation] * _ROLE_WEIGHTS[slot.role] * math.exp(-distance) * alike
            weight *= (1 + math.log1p(values[word])) * (SUPERLATIVE if claim.words[slot.place].tag == "JJS" else 1)
            old = claim.words[slot.place].text
            yield Swap(slot, old, form, word, relation, new_claim, old_span, new_span), weight

    def _proposed(self, slot: Slot, text: str) -> Iterator[tuple[str, str]]:
        """Yield (word, relation): of a closed class, WordNet's, then those of the corpus that stand near in it."""
        sets = exclusives(slot.lemma, slot.pos)
        if sets and is_meant_so(slot.lemma, slot.pos, frozenset(re.findall(r"[a-z]+", text.lower()))):
            yield from ((word, EXCLUSIVES) for word in sets)
        found = self._siblings.siblings_for_swap(slot.lemma, slot.pos, text=text)
        yield from ((c.word, c.relation) for c in found if not are_exclusive(c.word, slot.lemma, slot.pos))
        if self._corpus.file(slot.lemma, slot.pos) not in _SLOT_FILES:
            return
        known = {candidate.word for candidate in found}
        alike = LEAST_ALIKE["n"] if found else ALIKE_IN_DOUBT
        for word in sorted(self._corpus.values(slot).keys() - known - set(sets)):
            if self._contexts.similarity(slot.lemma, word) >= alike and self._is_like(slot.lemma, word):
                yield word, SAME_SLOT

    def _is_at_home(self, claim: Parsed, slot: Slot, word: str, form: str) -> bool:
        """Say whether texts have the new word beside the words that it would stand beside here."""
        near = self._contexts
        if slot.role == MODIFIER:
            held = claim.words[claim.words[slot.place].head].lemma
            if near.beside(word, held) or near.beside(form, held):
                return True
            return near.similarity(slot.lemma, word) >= AS_COMMON and near.beside(slot.lemma, held) < OFTEN
        if slot.pos != "n":
            return True
        below = [claim.words[i] for i in claim.below(slot.place)]
        if any(w.text == "of" for w in below) and not self._corpus.takes_of(word):
            return False
        told = [w for w in below if not w.entity and w.text.islower() and w.text.isalpha()]
        for compound in (w.text for w in told if w.dep == "compound"):
            fixed = near.before(compound, slot.lemma) >= OFTEN  # "capital city"
            if not (near.before if fixed else near.beside)(compound, word):
                return False
        known = (w.text for w in told if w.dep == "amod" and near.beside(w.text, slot.lemma) >= KNOWN)
        return all(near.beside(other, word) for other in known)

    def _goes_together(self, slot: Slot, word: str, relation: str) -> bool:
        """Say whether some people are both: "painter and sculptor". One page need not tell all that its subject was."""
        if relation == ANTONYMS or slot.pos != "n" or self._corpus.file(slot.lemma, "n") != "noun.person":
            return False
        together = self._net.told_together(slot.lemma, word, "noun.person")
        return together + self._corpus.called_both(slot.lemma, word) > 0

    def _is_like(self, old: str, new: str) -> bool:
        """Say whether another word of the slot is about as frequent, near in WordNet and of one clear meaning."""
        if abs(zipf(new) - zipf(old)) > FARTHEST_ZIPF or zipf(new) < RAREST_ZIPF or new != new.lower():
            return False
        if not self._siblings.siblings_for_swap(new, "n") and zipf(new) > PLAIN_ZIPF:
            return False
        return 0 < self._corpus.steps_apart(old, new, "n") <= NEAR

    # --- form ---

    def _form(self, claim: Parsed, slot: Slot, word: str) -> str | None:
        """Return a base form in the form of the old word, or None where it has none."""
        tag = claim.words[slot.place].tag
        if tag in ("JJR", "JJS"):
            return compared(word, tag)
        if slot.pos == "a":
            return word
        ratio = _plural_ratio(word)
        if tag == "NNS":
            return plural(word) if ratio >= RARE_PLURAL else None
        if _has_indefinite(claim, slot.place):
            return word if ratio >= RARE_PLURAL else None
        if _has_determiner(claim, slot.place):
            return word
        return word if ratio <= _plural_ratio(slot.lemma) + PLURAL_MARGIN else None

    def _keeps_terms(self, claim: Parsed, slot: Slot, word: str) -> bool:
        """Say whether each fixed expression that the old word belongs to has a counterpart with the new one.

        "capital city" has none with "town", "chemical element" has "chemical compound".
        """
        for first in range(max(0, slot.place - LONGEST_TERM + 1), slot.place + 1):
            for end in range(max(slot.place, first + 1) + 1, min(len(claim.words), first + LONGEST_TERM) + 1):
                term = [w.text.lower() for w in claim.words[first:end]]
                lemmas = [w.lemma for w in claim.words[first:end]]
                at = slot.place - first
                terms = [(kind, old) for kind in _TERM_KINDS for old in (term, lemmas) if self._is_term(old, kind)]
                for kind, old in terms:
                    new = [*old[:at], word, *old[at + 1 :]]
                    if not (kind == "n" and self._corpus.steps_apart(" ".join(old), " ".join(new), "n") <= NEAR):
                        return False
        return True

    def _is_term(self, words: list[str], pos: Pos) -> bool:
        return all(word.isalpha() for word in words) and self._net.lemma(" ".join(words), pos) is not None


_TERM_KINDS: Final[tuple[Pos, ...]] = ("n", "v", "r")


def put(claim: Parsed, place: int, form: str, lemma: str) -> tuple[Parsed, tuple[int, int], tuple[int, int]]:
    """Return a claim with one word changed and the article before it mended, and the spans of the word in both."""
    changed = {place: form}
    before = claim.words[place - 1] if place else None
    if before is not None and before.text.lower() in ("a", "an"):
        mended = article(form)
        changed[place - 1] = mended.capitalize() if before.text[0].isupper() else mended
    text, at, words = "", 0, list[Word]()
    for number, word in enumerate(claim.words):
        text += claim.text[at : word.start]
        new = changed.get(number, word.text)
        own = lemma if number == place else word.lemma
        words.append(word._replace(text=new, lemma=own, start=len(text), end=len(text) + len(new)))
        text += new
        at = word.end
    old, new_word = claim.words[place], words[place]
    made = replace(claim, text=text + claim.text[at:], words=tuple(words))
    return made, (old.start, old.end), (new_word.start, new_word.end)


def _plural_ratio(noun: str) -> float:
    """Return by how much a noun's plural is more frequent than its singular, zipf."""
    return zipf(plural(noun)) - zipf(noun)


def _determiners(claim: Parsed, place: int) -> list[Word]:
    first = place
    while claim.words[first].dep in ("conj", "appos") and claim.words[first].head != first:
        first = claim.words[first].head  # "a painter and sculptor"
    return [claim.words[i] for n in {first, place} for i in claim.below(n) if claim.words[i].dep in ("det", "poss")]


def _has_indefinite(claim: Parsed, place: int) -> bool:
    return any(word.text.lower() in ("a", "an") for word in _determiners(claim, place))


def _has_determiner(claim: Parsed, place: int) -> bool:
    return bool(_determiners(claim, place))


def _is_hedged(claim: Parsed, place: int) -> bool:
    """Say whether a hedge, a negation or a quantity stands by the subject, the verb or what a word depends on."""
    near = claim.subject | set(claim.above(place)) | {claim.root}
    hedges = (
        i
        for i, word in enumerate(claim.words)
        if word.text.lower() in _HEDGES and word.tag != "RBS"  # "the most populous city" is one
        if not (word.text == "or" and i in claim.subject)  # "X, or Y, is a city"
    )
    return any(i in claim.subject or claim.words[i].head in near for i in hedges)


def _is_measured(claim: Parsed, place: int) -> bool:
    """Say whether an adjective has a measure, or is what something is compared by."""
    below = [claim.words[i] for i in claim.below(place)]
    if any(w.dep in ("npadvmod", "nummod", "quantmod") for w in below):
        return True
    compared_by = [w.text.lower() for w in claim.words[:place]]
    return claim.words[place].tag == "JJ" and ("than" in compared_by or compared_by[-1:] == ["as"])


def _is_definite(claim: Parsed, place: int) -> bool:
    """Say whether a noun phrase names the one that is meant, or says what the subject is."""
    word = claim.words[place]
    if word.dep in ("attr", "oprd") or (word.dep == "conj" and claim.words[word.head].dep == "attr"):
        return True
    if word.tag == "NN" and _has_indefinite(claim, place):
        return True
    return any(
        w.dep == "poss" or w.text.lower() in ("the", "its", "their", "his", "her") for w in _determiners(claim, place)
    )
