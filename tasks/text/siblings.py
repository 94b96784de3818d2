"""Words that may stand where another stands and make the sentence false: of its type, by WordNet, and of its frequency.

For the subtle falsification of LLM-Oasis (arXiv 2411.19655, section 3.2): no names, dates, numbers, no negation, no
near-synonym, nothing more general or more special. Whether a candidate happens to be true too, the caller checks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.text.senses import CLEAR_COUNT, Senses, zipf
from tasks.text.wordforms import negates
from tasks.text.wordnet import (
    ANTONYM,
    HYPONYM,
    SIMILAR,
    USAGE,
    Pos,
    Synset,
    WordNet,
)

ANTONYMS, SIBLINGS, COUSINS = "antonym", "sibling", "cousin"
_ORDER: Final = {ANTONYMS: 0, SIBLINGS: 1, COUSINS: 2}

# a candidate is taken only where it is often read in the sense wanted
COMMON_SHARE = 0.4
# zipf: log10 of occurrences in 1e9 words; "pewter" has 2.9, "bronze" 4.2, "river" 5.0
RAREST_ZIPF, FARTHEST_ZIPF = 2.4, 1.8
# a word that counted texts lack must be used in so many glosses: "pewter" is in 2, "maestro" in none
GLOSSES = 2
# how many kinds there may be below what two words share: artist has about 90, vertebrate 3,000, person 7,000
BROADEST_PARENT, BROADEST_GRANDPARENT, BROADEST_ABSTRACT = 400, 150, 80
COUNTED = 5000  # farther no kinds are counted
BROADER_PARENT = 30  # ... or so many times those below the word, where that is more: a mammal may be a vertebrate
# of the kinds below two words, the larger to the smaller: mammal and bird are alike in size, mammal and fetus not
UNLIKE_SIZES, SMALL_SIZE = 20, 3
ENOUGH = 5  # with so many antonyms and siblings, cousins are not looked for
_NO_FILES: Final = {"noun.time", "noun.quantity", "noun.Tops"}  # dates and numbers; things of all kinds
# near kinds of these are apart (novel and poem, monarchy and dictatorship) ...
_NEARLY_CONCRETE: Final = {"noun.communication", "noun.group", "noun.shape", "noun.state"}
# ... of these where the candidate has one meaning (boxing and wrestling), and of any other abstract file none are:
# "prestige" of "prominence", "harm" of "infection"
_ABSTRACT: Final = {"noun.act", "noun.cognition", "noun.process"}
_CONCRETE: Final = {
    *("noun.animal", "noun.artifact", "noun.body", "noun.food", "noun.location", "noun.object", "noun.person"),
    *("noun.plant", "noun.substance"),
}
KNOWN_FOR = 2  # people and places are called by few of the words for them: so often, and a candidate at least once
_WITH_INSTANCES: Final = {"noun.person", "noun.location", "noun.object"}
# words that say nothing by themselves, or that anything of their type may be called besides
_LIGHT_NOUNS: Final = """
    amount art category class component device equivalent example form group kind lot material member name number part
    person piece result series set sort structure system term thing type unit use variety way
    churchman clergyman cleric follower genius hero investigator maker master observer originator phase practitioner
    prelate site terrain virtuoso
"""
_LIGHT_ADJECTIVES: Final = """
    certain different early few former general last late latter little main many more most much next only other own
    particular same several similar specific such various
"""
_LIGHT: Final[dict[Pos, frozenset[str]]] = {
    "n": frozenset(_LIGHT_NOUNS.split()),
    "v": frozenset({"be", "have", "do"}),
    "a": frozenset(_LIGHT_ADJECTIVES.split()),
    "r": frozenset(),
}
_NUMBERS: Final = {"cardinal", "ordinal"}
_COLOURS: Final = ("chromatic color", "achromatic color")
_COLOUR_HEADS: Final = {"chromatic", "achromatic", "black", "white"}  # the last two are heads themselves
_HURTS: Final = re.compile(
    r"\b(offensive|derogatory|disparag\w*|contemptuous|insulting|obscen\w*|vulgar|slur|prostitut\w*|sexual\w*|"
    r"promiscu\w*|terms? of (abuse|contempt))\b"
)
_MARKED: Final = re.compile(r"\b(slang|informal|colloquial|archaic|obsolete|dated|euphemis\w*)\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word to put for another."""

    word: str  # a base form
    relation: str  # "antonym", "sibling" (one direct hypernym) or "cousin" (one a step higher for either or both)
    sense: int  # of the word that is replaced, from 1
    candidate_sense: int
    zipf_distance: float


class Swaps:
    """Finds candidates in a WordNet database; what it has once worked out it keeps."""

    def __init__(self, wordnet: WordNet) -> None:
        self._net = wordnet
        self._senses = Senses(wordnet)
        self._sizes: dict[Synset, int] = {}
        self._found: dict[tuple[str, Pos, int], tuple[Candidate, ...]] = {}

    def siblings_for_swap(self, word: str, pos: Pos, sense: int | None = None, text: str = "") -> tuple[Candidate, ...]:
        """Return words to put for a base form: antonyms, then siblings, then cousins, each by closeness of zipf.

        `sense` (from 1) says what the word means, or else the `text` in which it stands; with neither, a word of
        several common meanings has no candidate. Names, numbers and dates have none and are none. Nouns have antonyms,
        siblings and, where these are few, cousins; colours have siblings as adjectives; all other words have antonyms.
        Raises ValueError for a sense that the word does not have.
        """
        senses = self._net.senses(word, pos)
        if sense is not None and not 1 <= sense <= len(senses):
            raise ValueError(f"{word!r} has {len(senses)} senses ({pos}): there is no sense {sense}")
        chosen = sense or self._senses.sense_in(word, pos, text)
        if not chosen or word != word.lower() or word in _LIGHT[pos]:
            return ()
        key = word, pos, chosen
        if key not in self._found:
            self._found[key] = self._candidates(word, senses, chosen)
        return self._found[key]

    def _candidates(self, word: str, senses: Sequence[Synset], chosen: int) -> tuple[Candidate, ...]:
        own = senses[chosen - 1]
        if self._is_name(own, word) or any(map(self._is_number_or_date, senses if own.pos == "a" else [own])):
            return ()
        found: dict[str, Candidate] = {}
        for other, synset, relation in self._proposed(word, own):
            if relation == COUSINS and sum(c.relation != COUSINS for c in found.values()) >= ENOUGH:
                break
            distance = abs(zipf(other) - zipf(word))
            if other in found or zipf(other) < RAREST_ZIPF or distance > FARTHEST_ZIPF:
                continue
            if self._is_apart(word, other, own, synset, relation):
                place = self._net.senses(other, own.pos).index(synset) + 1
                found[other] = Candidate(other, relation, chosen, place, distance)
        return tuple(sorted(found.values(), key=lambda c: (_ORDER[c.relation], c.zipf_distance, c.word)))

    # --- proposals ---

    def _proposed(self, word: str, own: Synset) -> Iterator[tuple[str, Synset, str]]:
        """Yield (word, synset, relation) of all that is near, cousins last."""
        yield from self._antonyms(word, own)
        if own.pos == "a":
            yield from self._colours(own)
        if own.pos != "n":
            return
        parents = self._parents(word, own)
        broadest, broadest_above = self._bounds(own)
        for parent in parents:
            if self._size(parent) <= broadest:
                yield from self._words(self._kinds(parent), SIBLINGS)
        for parent in parents:
            for grandparent in self._net.hypernyms(parent):
                if self._size(grandparent) <= broadest_above:
                    for aunt in self._kinds(grandparent):
                        aunts = [aunt] if own.file != "noun.person" else []  # "teacher" of "professor": not apart
                        yield from self._words([*aunts, *self._kinds(aunt)], COUSINS)
            if self._size(parent) <= broadest_above:
                for sibling in self._kinds(parent):
                    yield from self._words(self._kinds(sibling), COUSINS)

    def _bounds(self, own: Synset) -> tuple[int, int]:
        """Return how many kinds a parent and a grandparent may have for what is below them to be of one type."""
        if own.file == "noun.person":
            return BROADEST_PARENT, BROADEST_GRANDPARENT
        if own.file in _CONCRETE:
            return max(BROADEST_PARENT, BROADER_PARENT * self._size(own)), BROADEST_GRANDPARENT
        if own.file in _NEARLY_CONCRETE:
            return BROADEST_ABSTRACT, BROADEST_GRANDPARENT
        return (BROADEST_ABSTRACT, 0) if own.file in _ABSTRACT else (0, 0)

    def _parents(self, word: str, own: Synset) -> tuple[Synset, ...]:
        """Return the hypernyms that say of what type a noun is: those that it shares with an antonym, if any.

        A wife is a woman and a spouse; what tells her from a husband is below spouse.
        """
        parents = self._net.hypernyms(own)
        others = [p for _, synset, _ in self._antonyms(word, own) for p in self._net.hypernyms(synset)]
        return tuple(parent for parent in parents if parent in others) or parents

    def _kinds(self, synset: Synset) -> tuple[Synset, ...]:
        return self._net.related(synset, HYPONYM)

    def _words(self, synsets: Sequence[Synset], relation: str) -> Iterator[tuple[str, Synset, str]]:
        for synset in synsets:
            for word in synset.words:
                yield word, synset, relation

    def _antonyms(self, word: str, own: Synset) -> Iterator[tuple[str, Synset, str]]:
        for pointer in own.pointers:
            source = own.words[pointer.from_word - 1].lower() if pointer.from_word else word
            if pointer.symbol == ANTONYM and source == word:
                other = self._net.synset(pointer.pos, pointer.offset)
                yield other.words[max(pointer.to_word, 1) - 1], other, ANTONYMS

    def _colours(self, own: Synset) -> Iterator[tuple[str, Synset, str]]:
        """Yield the common adjectives of colour, where `own` is one: as nouns they are kinds of colour."""
        colours = [colour for name in _COLOURS for colour in self._net.senses(name, "n")]
        if not self._is_colour(own):
            return
        for colour in colours:
            for word in (name for kind in self._kinds(colour) for name in kind.words):
                for synset in self._net.senses(word, "a")[:1]:
                    if self._is_colour(synset):
                        yield word, synset, SIBLINGS

    def _is_colour(self, adjective: Synset) -> bool:
        heads = {word for head in self._heads(adjective) for word in head.words}
        return bool(heads & _COLOUR_HEADS) and (adjective.satellite or adjective.words[0] in _COLOUR_HEADS)

    def _heads(self, synset: Synset) -> tuple[Synset, ...]:
        return self._net.related(synset, SIMILAR) if synset.satellite else (synset,)

    # --- what a candidate must not be ---

    def _is_apart(self, word: str, other: str, own: Synset, synset: Synset, relation: str) -> bool:
        """Say whether `other`, meant as `synset`, is a common word of the same type whose meaning excludes `word`'s."""
        net, pos = self._net, own.pos
        if synset == own or synset.file != own.file or self._is_name(synset, other) or self._is_number_or_date(synset):
            return False
        if not re.fullmatch(r"[a-z]+(?:[ -][a-z]+)*", other):
            return False
        if self._is_marked(other, synset) or self._is_plural(other, synset):
            return False
        if relation != ANTONYMS and not self._is_common(other, synset):
            return False  # of an antonym the other word says what is meant
        if net.are_synonyms(word, other, pos) or net.is_hypernym(word, other, pos) or net.is_hypernym(other, word, pos):
            return False
        if relation == ANTONYMS:
            return not (negates(word, other) or _parts(word) <= _parts(other) or _parts(other) <= _parts(word))
        if other in _LIGHT[pos] or (own.file in _ABSTRACT and len(net.senses(other, pos)) > 1):
            return False
        called = own.file in _WITH_INSTANCES and net.instance_count(word, own.file) >= KNOWN_FOR
        if called and not net.instance_count(other, own.file):
            return False
        if word in other or other in word or _parts(word) & _parts(other):
            return False  # "granduncle" of "uncle"
        if pos == "n" and not self._are_alike_in_size(own, synset):
            return False
        if _parts(other) & {part for parent in net.hypernyms(own) for name in parent.words for part in _parts(name)}:
            return False  # "white woman" of "wife": a kind of what is above
        if any(_mentions(synset, name) for name in own.words) or any(_mentions(own, name) for name in synset.words):
            return False
        return pos != "a" or not self._are_similar(word, other)

    def _is_name(self, synset: Synset, word: str) -> bool:
        written = [own for own in (*synset.words[:1], *synset.words) if own.lower() in (word, synset.words[0].lower())]
        return synset.is_instance or any(own != own.lower() for own in written)

    def _is_number_or_date(self, synset: Synset) -> bool:
        if synset.file in _NO_FILES:
            return True
        return synset.pos == "a" and any(_NUMBERS & set(head.words) for head in self._heads(synset))

    def _is_marked(self, word: str, synset: Synset) -> bool:
        """Say whether a word is slang, old or hurtful in this sense, or hurts as another word for people."""
        if any(p.symbol == USAGE for p in synset.pointers) or _MARKED.search(synset.gloss):
            return True
        if _HURTS.search(synset.gloss):
            return True
        alike = (s for s in self._net.senses(word, synset.pos) if s.file == synset.file == "noun.person")
        return any(_HURTS.search(s.gloss) for s in alike)

    def _is_common(self, word: str, synset: Synset) -> bool:
        """Say whether a word is often read in this sense.

        Where counted texts do not have the word, it must be used in glosses, and this its first sense. Of several words
        together texts must have some.
        """
        senses, counts = self._net.senses(word, synset.pos), self._net.tag_counts(word, synset.pos)
        own = counts[senses.index(synset)]
        elsewhere = sum(n for p in _ALL if p != synset.pos for n in self._net.tag_counts(word, p))
        if not word.isalpha():
            return own >= CLEAR_COUNT
        if sum(counts) + elsewhere == 0:
            is_noun_only = synset.pos != "n" or self._net.lemma(word, "a") is None
            return senses[0] == synset and is_noun_only and self._net.gloss_count(word) >= GLOSSES
        return own > 0 and own >= COMMON_SHARE * sum(counts) and sum(counts) >= elsewhere

    def _is_plural(self, word: str, synset: Synset) -> bool:
        """Say whether a noun is the plural of another of its synset: "bacteria"."""
        forms = {*self._net.base_forms(word, "n"), *_latin_singulars(word)} - {word}
        return synset.pos == "n" and not forms.isdisjoint(synset.words)

    def _size(self, synset: Synset) -> int:
        """Return how many kinds there are below a synset, itself included; counted no farther than is of interest."""
        if synset not in self._sizes:
            seen, todo = {synset}, [synset]
            while todo and len(seen) < COUNTED:
                below = [kind for kind in self._kinds(todo.pop()) if kind not in seen]
                seen.update(below)
                todo.extend(below)
            self._sizes[synset] = len(seen)
        return self._sizes[synset]

    def _are_alike_in_size(self, one: Synset, other: Synset) -> bool:
        small, large = sorted((self._size(one), self._size(other)))
        return large <= UNLIKE_SIZES * max(small, SMALL_SIZE)

    def _are_similar(self, word: str, other: str) -> bool:
        """Say whether an adjective stands around the other as its head."""
        mine, others = set(self._net.senses(word, "a")), set(self._net.senses(other, "a"))
        near = {s for synset in mine for s in self._net.related(synset, SIMILAR)}
        return not near.isdisjoint(others)


_COMPARES: Final = re.compile(r"\b(than|unlike|not|(distin|differ|oppos)\w+ (from|to))\b[^,;]*$")
_ALL: Final[tuple[Pos, ...]] = ("n", "v", "a", "r")


def _parts(word: str) -> set[str]:
    return set(re.split("[ -]", word))


def _latin_singulars(word: str) -> list[str]:
    """Return what a learned plural may come from; WordNet's exceptions leave out those that it has as words."""
    endings = (("a", "um"), ("a", "on"), ("ae", "a"), ("i", "us"), ("es", "is"))
    return [word.removesuffix(plural) + singular for plural, singular in endings if word.endswith(plural)]


def _mentions(synset: Synset, word: str) -> bool:
    """Say whether a definition names a word to explain by it, and not for comparison ("larger than a violin")."""
    if word.lower() not in synset.definition.lower():
        return False  # as nearly always: no pattern is made
    found = re.finditer(rf"\b{re.escape(word.lower())}(s|es)?\b", synset.definition.lower())
    return any(not _COMPARES.search(synset.definition[: match.start()]) for match in found)
