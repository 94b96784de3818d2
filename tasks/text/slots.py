"""The slots of a claim: words of its predicate that name a kind, a role, a material or a quality, and what holds them.

A slot is a common noun as predicate, apposition or object, or an adjective of one; never a word of the subject, of a
name, a date or a number. `Corpus` counts over all claims what stands in a slot and how many values a subject has there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from tasks.text.exclusives import are_exclusive
from tasks.text.wordnet import Pos, WordNet

BATCH = 256  # claims
# what part of a place is meant; they stand before names too, and are no part of them in small letters
QUARTERS: Final = frozenset(
    (
        *("northern", "southern", "eastern", "western", "central"),
        *("northeastern", "northwestern", "southeastern", "southwestern"),
    )
)
_SUBJECTS: Final = {"nsubj", "nsubjpass", "csubj", "csubjpass", "expl"}
PREDICATE, OBJECT, APPOSITION, QUALITY, MODIFIER = "predicate", "object", "apposition", "quality", "modifier"
# the weight of what other slots of the role tell, in subjects, where a slot has few of its own (see `functional`)
PRIOR_SUBJECTS = 5.0
NEAR = 4  # steps between two nouns by what they share: up to here they are values of one kind


class Word(NamedTuple):
    """A token as the parser read it. head: the place of what it depends on, its own for the root."""

    text: str
    lemma: str
    pos: str  # universal part of speech
    tag: str  # of the Penn treebank
    dep: str
    head: int
    entity: str  # type of the name, date or number that it is part of, or ""
    start: int  # characters of the claim
    end: int


@dataclass(frozen=True)
class Parsed:
    """A claim and its words."""

    text: str
    words: tuple[Word, ...]

    @cached_property
    def root(self) -> int:
        """The place of the main verb; -1 of a claim without words."""
        return next((i for i, word in enumerate(self.words) if word.head == i), -1)

    @cached_property
    def subject(self) -> frozenset[int]:
        """The places of the words of the subject."""
        heads = {i for i, word in enumerate(self.words) if word.dep in _SUBJECTS and word.head == self.root}
        return frozenset(i for i in range(len(self.words)) if heads & set(self.above(i)))

    @cached_property
    def subject_text(self) -> str:
        """The subject in lower case, without an article."""
        words = [self.words[i] for i in sorted(self.subject)]
        words = words[1:] if words and words[0].tag == "DT" else words
        return " ".join(word.text.lower() for word in words)

    @cached_property
    def slots(self) -> "tuple[Slot, ...]":
        """The slots, in the order of the words."""
        found = (_slot(self, place) for place in range(len(self.words)) if place not in self.subject)
        return tuple(slot for slot in found if slot is not None)

    def above(self, place: int) -> Iterator[int]:
        """Yield a word's place and those of all that it depends on, up to the root."""
        seen: set[int] = set()
        while place not in seen:
            seen.add(place)
            yield place
            place = self.words[place].head

    def below(self, place: int) -> list[int]:
        """Return the places of the words that depend on one directly."""
        return [i for i, word in enumerate(self.words) if word.head == place and i != place]


@dataclass(frozen=True)
class Slot:
    """A place in a claim whose word may be swapped, and the frame: role and word that hold it, "object of found"."""

    place: int
    role: str
    frame: str
    lemma: str
    pos: Pos


def parse(texts: Iterable[str], nlp: Language) -> Iterator[Parsed]:
    """Yield each claim with its words, in order."""
    for doc in nlp.pipe(texts, batch_size=BATCH):
        yield _parsed(doc)


def _parsed(doc: Doc) -> Parsed:
    words = (
        Word(t.text, t.lemma_.lower(), t.pos_, t.tag_, t.dep_, t.head.i, t.ent_type_, t.idx, t.idx + len(t.text))
        for t in doc
    )
    return Parsed(doc.text, tuple(words))


# --- slots ---

_NOUN_ROLES: Final = {
    **{"attr": PREDICATE, "oprd": PREDICATE, "acomp": PREDICATE},
    **{"dobj": OBJECT, "pobj": OBJECT, "appos": APPOSITION},
}


def _slot(claim: Parsed, place: int) -> Slot | None:
    word = claim.words[place]
    if word.entity or word.text != word.text.lower() or not word.text.isalpha() or _is_of_name(claim, place):
        return None
    first = place
    while claim.words[first].dep == "conj" and claim.words[first].head != first:
        first = claim.words[first].head
    dep, head = claim.words[first].dep, claim.words[claim.words[first].head]
    if word.tag in ("NN", "NNS"):
        role = _NOUN_ROLES.get(dep)
        return Slot(place, role, f"{role} of {_holder(claim, first)}", word.lemma, "n") if role else None
    if word.tag in ("JJ", "JJS", "JJR") and dep in ("amod", "acomp", "attr"):  # the last: "is the largest of"
        role = MODIFIER if dep == "amod" else QUALITY
        held = head.lemma if dep != "amod" or head.pos == "NOUN" or word.lemma in QUARTERS else ""
        return Slot(place, role, f"{role} of {held}", word.lemma, "a") if held else None
    return None


def _holder(claim: Parsed, place: int) -> str:
    """Return the verb or preposition that a noun depends on, a preposition with what it belongs to: "serve as"."""
    head = claim.words[claim.words[place].head]
    if head.dep not in ("prep", "agent"):
        return head.lemma
    return f"{claim.words[head.head].lemma} {head.lemma}"


def _is_of_name(claim: Parsed, place: int) -> bool:
    """Say whether a word belongs to a name: "river" of "the river Nile"."""
    near = [claim.words[i] for i in (place - 1, place + 1) if 0 <= i < len(claim.words)]
    parts = [w for w in near if w.pos == "PROPN" and (claim.words[w.head] == claim.words[place] or w.dep == "appos")]
    held = claim.words[claim.words[place].head]
    return any(w.dep in ("compound", "appos", "nmod") for w in parts) or (
        claim.words[place].dep in ("compound", "nmod") and held.pos == "PROPN"
    )


# --- the corpus ---


class Corpus:
    """What the claims of all passages tell: the values of each slot, and what is said of each subject."""

    def __init__(self, claims: Iterable[Parsed], wordnet: WordNet) -> None:
        """Count over `claims` (each once, in any order)."""
        self._net = wordnet
        self._steps: dict[tuple[str, str, Pos], int] = {}
        self._values: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._said: dict[str, Counter[str]] = defaultdict(Counter)
        self._having: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self._governing: set[str] = set()
        self._called: dict[str, set[str]] = defaultdict(set)
        taken: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for claim in claims:
            self._said[claim.subject_text].update({word.lemma for word in claim.words})
            self._governing.update(claim.words[word.head].lemma for word in claim.words if word.text == "of")
            for slot in claim.slots:
                file = self.file(slot.lemma, slot.pos)
                if slot.role == PREDICATE:
                    self._called[slot.lemma].add(claim.subject_text)
                if file:
                    self._values[slot.frame, file][slot.lemma] += 1
                    self._having[slot.frame].setdefault(slot.lemma, set()).add(claim.subject_text)
                    taken[slot.frame, file][claim.subject_text].add(slot.lemma)
        self._subjects = {key: len(subjects) for key, subjects in taken.items()}
        self._single = {key: sum(not self._has_two(v, key[1]) for v in s.values()) for key, s in taken.items()}
        self._role_subjects: Counter[tuple[str, str]] = Counter()
        self._role_single: Counter[tuple[str, str]] = Counter()
        for (frame, file), subjects in self._subjects.items():
            role = frame.split(" ", 1)[0], file
            self._role_subjects[role] += subjects
            self._role_single[role] += self._single[frame, file]

    def file(self, lemma: str, pos: Pos) -> str:
        """Return the lexicographer file of a word's first sense, or "" where WordNet lacks it."""
        senses = self._net.senses(lemma, pos)
        return senses[0].file if senses else ""

    def values(self, slot: Slot) -> Counter[str]:
        """Return how often each word stands in the same slot: the same frame and lexicographer file."""
        return self._values.get((slot.frame, self.file(slot.lemma, slot.pos)), Counter())

    def functional(self, slot: Slot, other: str) -> float:
        """Return the share of subjects with a slot's value that have not `other` in it too, in [0, 1].

        Few subjects have the same value: for them the slot speaks, and for it the slots of the same role and type, by
        the share of their subjects without two values of a kind, which are antonyms or near under one hypernym. With
        k = PRIOR_SUBJECTS: share = (single + k * share of the slot) / (subjects + k), and so on up.
        """
        file = self.file(slot.lemma, slot.pos)
        role = slot.role, file
        prior = (self._role_single[role] + 1) / (self._role_subjects[role] + 1)
        share = _shrunk(self._single.get((slot.frame, file), 0), self._subjects.get((slot.frame, file), 0), prior)
        having = self._having[slot.frame].get(slot.lemma, set())
        both = having & self._having[slot.frame].get(other, set())
        return _shrunk(len(having) - len(both), len(having), share)

    def said_of(self, subject: str) -> Counter[str]:
        """Return in how many claims of a subject (as `Parsed.subject_text`) each lemma stands."""
        return self._said.get(subject, Counter())

    def takes_of(self, lemma: str) -> bool:
        """Say whether a word governs "of" in some claim: there are presidents of a country, and no revolutionaries."""
        return lemma in self._governing

    def called_both(self, one: str, other: str) -> int:
        """Return how many subjects are called by both words: people are of several professions."""
        return len(self._called.get(one, set()) & self._called.get(other, set()))

    def steps_apart(self, one: str, other: str, pos: Pos) -> int:
        """Return `steps_apart` of two words; what was once worked out is kept."""
        first, last = sorted((one, other))
        if (first, last, pos) not in self._steps:
            self._steps[first, last, pos] = steps_apart(self._net, first, last, pos)
        return self._steps[first, last, pos]

    def _has_two(self, values: Sequence[str] | set[str], file: str) -> bool:
        pos: Pos = "a" if file.startswith("adj") else "n"
        ordered = sorted(values)
        pairs = ((one, other) for n, one in enumerate(ordered) for other in ordered[n + 1 :])
        return any(self.steps_apart(one, other, pos) <= NEAR for one, other in pairs)


def _shrunk(single: float, subjects: float, prior: float) -> float:
    return (single + PRIOR_SUBJECTS * prior) / (subjects + PRIOR_SUBJECTS)


FAR = 99  # steps between words that share nothing near


def steps_apart(net: WordNet, one: str, other: str, pos: Pos) -> int:
    """Return how many steps are between two words: 0 of antonyms, 2 of co-hyponyms or words of an exclusive set.

    The shortest way over the common senses of both, to a hypernym of both and down again; FAR where there is none
    within six, where they share a sense, or where one is above the other.
    """
    if one == other or net.are_synonyms(one, other, pos):
        return FAR
    if other in net.antonyms(one, pos) or one in net.antonyms(other, pos):
        return 0
    if are_exclusive(one, other, pos):
        return 2
    if pos != "n":
        return 2 if _are_colours(net, one, other) else FAR
    best = FAR
    others = [_heights(net, word, pos) for word in (one, other)]
    for up in others[0]:
        for down in others[1]:
            shared = [up[s] + down[s] for s in up.keys() & down.keys() if up[s] and down[s]]
            best = min([best, *shared])
            if any(not up[s] or not down[s] for s in up.keys() & down.keys()):
                return FAR
    return best


def common_senses(net: WordNet, word: str, pos: Pos) -> tuple[int, ...]:
    """Return the senses of a word, from 0, that texts have: counted in a twentieth of its uses, and the first two."""
    counts = net.tag_counts(word, pos)
    return tuple(n for n, count in enumerate(counts) if n < 2 or count >= 0.05 * sum(counts) > 0)


def _heights(net: WordNet, word: str, pos: Pos) -> list[dict[int, int]]:
    """Return for each common sense the synsets above it (by offset), and how many steps; none more than three."""
    senses, found = net.senses(word, pos), []
    for n in common_senses(net, word, pos):
        height, layer = {senses[n].offset: 0}, [senses[n]]
        for steps in (1, 2, 3):
            layer = [above for synset in layer for above in net.hypernyms(synset)]
            for above in layer:
                height.setdefault(above.offset, steps)
        found.append(height)
    return found


def _are_colours(net: WordNet, one: str, other: str) -> bool:
    kinds = {s for name in ("chromatic color", "achromatic color") for s in net.senses(name, "n")}
    return all(
        any(kinds & net.ancestors(s) for s in net.senses(word, "n")) and net.senses(word, "a") for word in (one, other)
    )
