"""Words that may stand where another stands and make the sentence false: of its type, by WordNet, and of its frequency.

For the subtle falsification of LLM-Oasis (arXiv 2411.19655, section 3.2): no names, dates, numbers, no negation, no
near-synonym, nothing more general or more special. Whether a candidate happens to be true too, the caller checks.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from tasks.text.wordnet import (
    ANTONYM,
    HYPONYM,
    SIMILAR,
    USAGE,
    Pos,
    Synset,
    WordNet,
)

ANTONYMS, SIBLINGS, COUSINS, OPPOSITES = "antonym", "sibling", "cousin", "opposite"
_ORDER: Final = {ANTONYMS: 0, SIBLINGS: 1, COUSINS: 2, OPPOSITES: 3}

# without a text around it a word is taken in its first sense, where counted texts leave little doubt that it is meant
CLEAR_SHARE, CLEAR_COUNT = 0.85, 2
# with a text: how strongly it must speak for a sense, and how much more than for one of another kind (see `_evidence`)
EVIDENCE, EVIDENCE_MARGIN = 0.15, 0.1
# a candidate is taken only where it is often read in the sense wanted
COMMON_SHARE = 0.4
# zipf: log10 of occurrences in 1e9 words; "pewter" has 2.9, "bronze" 4.2, "river" 5.0
RAREST_ZIPF, FARTHEST_ZIPF = 2.4, 1.8
# a word that counted texts lack must be used in so many glosses: "pewter" is in 2, "maestro" in none
GLOSSES = 2
# how many kinds there may be below what two words share: artist has about 90, vertebrate 3,000, person 7,000
BROADEST_PARENT, BROADEST_GRANDPARENT = 4000, 150
# of the kinds below two words, the larger to the smaller: mammal and bird are alike in size, mammal and fetus not
UNLIKE_SIZES, SMALL_SIZE = 20, 3
ENOUGH = 5  # with so many antonyms and siblings, cousins are not looked for
_NO_FILES: Final = {"noun.time", "noun.quantity", "noun.Tops"}  # dates and numbers; things of all kinds
_NUMBERS: Final = {"cardinal", "ordinal"}
_COLOURS: Final = ("chromatic color", "achromatic color")
_COLOUR_HEADS: Final = {"chromatic", "achromatic", "black", "white"}  # the last two are heads themselves
_NEGATIONS: Final = ("un", "in", "im", "il", "ir", "dis", "non", "non-", "anti", "a", "ab", "mis", "counter", "de")
_HURTS: Final = re.compile(
    r"\b(offensive|derogatory|disparag\w*|contemptuous|insulting|obscen\w*|vulgar|slur|prostitut\w*|sexual\w*|"
    r"promiscu\w*|terms? of (abuse|contempt))\b"
)
_MARKED: Final = re.compile(r"\b(slang|informal|colloquial|archaic|obsolete|dated|euphemis\w*)\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word to put for another."""

    word: str  # a base form
    relation: str  # "antonym", "sibling" (one direct hypernym), "cousin" (one a step higher for either or both) or
    # "opposite" (antonym of an adjective near it: "tiny", "large")
    shared: str  # the word above both; of antonyms empty
    sense: int  # of the word that is replaced, from 1
    candidate_sense: int
    file: str  # the lexicographer file of both
    zipf: float
    zipf_distance: float


class Swaps:
    """Finds candidates in a WordNet database; what it has once worked out it keeps."""

    def __init__(self, wordnet: WordNet) -> None:
        self._net = wordnet
        self._sizes: dict[Synset, int] = {}
        self._bags: dict[Synset, tuple[frozenset[str], frozenset[str]]] = {}

    def siblings_for_swap(self, word: str, pos: Pos, sense: int | None = None, text: str = "") -> tuple[Candidate, ...]:
        """Return words to put for a base form: antonyms, siblings, cousins, then opposites, each by closeness of zipf.

        `sense` (from 1) says what the word means, or else the `text` in which it stands; with neither, a word of
        several common meanings has no candidate. Names, numbers and dates have none and are none. Nouns have antonyms,
        siblings and, where these are few, cousins; colours have siblings as adjectives; other words have antonyms or
        opposites.
        Raises ValueError for a sense that the word does not have.
        """
        senses = self._net.senses(word, pos)
        if sense is not None and not 1 <= sense <= len(senses):
            raise ValueError(f"{word!r} has {len(senses)} senses ({pos}): there is no sense {sense}")
        chosen = sense or (self.sense_in(word, pos, text) if text else self.clear_sense(word, pos))
        if not chosen or word != word.lower():
            return ()
        own = senses[chosen - 1]
        if self._is_name(own) or self._is_number_or_date(own):
            return ()
        found: dict[str, Candidate] = {}
        for other, synset, relation, shared in self._proposed(word, own):
            if relation == COUSINS and sum(c.relation != COUSINS for c in found.values()) >= ENOUGH:
                break
            distance = abs(_zipf(other) - _zipf(word))
            if other in found or _zipf(other) < RAREST_ZIPF or distance > FARTHEST_ZIPF:
                continue
            if self._is_apart(word, other, own, synset, relation):
                place = self._net.senses(other, pos).index(synset) + 1
                found[other] = Candidate(other, relation, shared, chosen, place, own.file, _zipf(other), distance)
        return tuple(sorted(found.values(), key=lambda c: (_ORDER[c.relation], c.zipf_distance, c.word)))

    # --- what a word means ---

    def clear_sense(self, word: str, pos: Pos) -> int | None:
        """Return the sense that a word nearly always has, from 1, or None where there are several common ones.

        Meanings of one lexicographer file count as one: "painter" as an artist and as a worker.
        """
        senses, counts = self._net.senses(word, pos), self._net.tag_counts(word, pos)
        if not senses:
            return None
        if sum(counts) < CLEAR_COUNT:  # too few to say: all senses count alike
            counts = (1,) * len(senses)
        first = sum(count for sense, count in zip(senses, counts, strict=True) if sense.file == senses[0].file)
        return 1 if first >= CLEAR_SHARE * sum(counts) else None

    def sense_in(self, word: str, pos: Pos, text: str) -> int | None:
        """Return the sense that a word has in a text, from 1, or None where that is in doubt.

        After Lesk (SIGDOC 1986), with the words of related synsets: the sense whose explanation shares most with the
        text, rare words counting most. Where the text says nothing, `clear_sense`.
        """
        senses, counts = self._net.senses(word, pos), self._net.tag_counts(word, pos)
        around = _tokens(text) - _tokens(word)
        scores = [self._evidence(sense, around) for sense in senses]
        if not scores or max(scores) < EVIDENCE:
            return self.clear_sense(word, pos)
        best = max(range(len(senses)), key=lambda n: (scores[n], counts[n], -n))
        others = (score for sense, score in zip(senses, scores, strict=True) if sense.file != senses[best].file)
        return best + 1 if scores[best] - max(others, default=0.0) >= EVIDENCE_MARGIN else None

    def _evidence(self, synset: Synset, around: frozenset[str]) -> float:
        if synset not in self._bags:
            near, kinds = [synset, *self._net.hypernyms(synset)], self._net.hyponyms(synset)
            told = _tokens(" ".join(text for s in near for text in (s.gloss, *s.words)))
            names = [s.words for kind in kinds for s in (kind, *self._net.hyponyms(kind))]
            names += [self._net.synset(p.pos, p.offset).words for p in synset.pointers if p.symbol[0] in "#%+;=-"]
            far = _tokens(" ".join([*(kind.definition for kind in kinds), *(w for words in names for w in words)]))
            self._bags[synset] = told, far - told
        told, far = self._bags[synset]
        score = sum(map(_weight, sorted(told & around))) + 0.5 * sum(map(_weight, sorted(far & around)))
        return score / math.log(10 + len(told) + len(far))

    # --- proposals ---

    def _proposed(self, word: str, own: Synset) -> Iterator[tuple[str, Synset, str, str]]:
        """Yield (word, synset, relation, what both are) of all that is near, cousins last."""
        yield from self._opposites(word, own)
        if own.pos == "a":
            yield from self._colours(own)
        if own.pos != "n" or not (parents := self._parents(word, own)):
            return
        for parent in parents:
            if self._size(parent) <= BROADEST_PARENT:
                yield from self._words(self._kinds(parent), SIBLINGS, parent)
        for parent in parents:
            for grandparent in self._net.hypernyms(parent):
                if self._size(grandparent) <= BROADEST_GRANDPARENT:
                    for aunt in self._kinds(grandparent):
                        yield from self._words([aunt, *self._kinds(aunt)], COUSINS, grandparent)
            if self._size(parent) <= BROADEST_GRANDPARENT:
                for sibling in self._kinds(parent):
                    yield from self._words(self._kinds(sibling), COUSINS, parent)

    def _parents(self, word: str, own: Synset) -> tuple[Synset, ...]:
        """Return the hypernyms that say of what type a noun is: those that it shares with an antonym, if any.

        A wife is a woman and a spouse; what tells her from a husband is below spouse.
        """
        parents = self._net.hypernyms(own)
        others = [p for _, synset, _, _ in self._opposites(word, own) for p in self._net.hypernyms(synset)]
        return tuple(parent for parent in parents if parent in others) or parents

    def _kinds(self, synset: Synset) -> tuple[Synset, ...]:
        return self._net.related(synset, HYPONYM)

    def _words(
        self, synsets: Sequence[Synset], relation: str, shared: Synset
    ) -> Iterator[tuple[str, Synset, str, str]]:
        for synset in synsets:
            for word in synset.words:
                yield word, synset, relation, shared.words[0]

    def _opposites(self, word: str, own: Synset) -> Iterator[tuple[str, Synset, str, str]]:
        """Yield the antonyms of a word, then, of an adjective near a head, the antonyms of that head."""
        heads = self._net.related(own, SIMILAR) if own.satellite else ()
        for synset in (own, *heads):
            for pointer in synset.pointers:
                source = synset.words[pointer.from_word - 1].lower() if pointer.from_word else word
                if pointer.symbol == ANTONYM and (synset is not own or source == word):
                    other = self._net.synset(pointer.pos, pointer.offset)
                    relation = ANTONYMS if synset is own else OPPOSITES
                    yield other.words[max(pointer.to_word, 1) - 1], other, relation, ""

    def _colours(self, own: Synset) -> Iterator[tuple[str, Synset, str, str]]:
        """Yield the common adjectives of colour, where `own` is one: as nouns they are kinds of colour."""
        colours = [colour for name in _COLOURS for colour in self._net.senses(name, "n")]
        if not self._is_colour(own):
            return
        for colour in colours:
            for word in (name for kind in self._kinds(colour) for name in kind.words):
                for synset in self._net.senses(word, "a")[:1]:
                    if self._is_colour(synset):
                        yield word, synset, SIBLINGS, colour.words[0]

    def _is_colour(self, adjective: Synset) -> bool:
        heads = {word for head in self._heads(adjective) for word in head.words}
        return bool(heads & _COLOUR_HEADS) and (adjective.satellite or adjective.words[0] in _COLOUR_HEADS)

    def _heads(self, synset: Synset) -> tuple[Synset, ...]:
        return self._net.related(synset, SIMILAR) if synset.satellite else (synset,)

    # --- what a candidate must not be ---

    def _is_apart(self, word: str, other: str, own: Synset, synset: Synset, relation: str) -> bool:
        """Say whether `other`, meant as `synset`, is a common word of the same type whose meaning excludes `word`'s."""
        net, pos = self._net, own.pos
        if synset == own or synset.file != own.file or self._is_name(synset) or self._is_number_or_date(synset):
            return False
        if not re.fullmatch(r"[a-z]+(?:[ -][a-z]+)*", other):
            return False
        if self._is_marked(other, synset) or self._is_plural(other, synset):
            return False
        if relation != ANTONYMS and not self._is_common(other, synset):
            return False  # of an antonym the other word says what is meant
        if net.are_synonyms(word, other, pos) or net.is_hypernym(word, other, pos) or net.is_hypernym(other, word, pos):
            return False
        if relation in (ANTONYMS, OPPOSITES):
            return not _is_negation(word, other)
        if word in other or other in word or _parts(word) & _parts(other):
            return False  # "granduncle" of "uncle"
        if pos == "n" and not self._are_alike_in_size(own, synset):
            return False
        if _parts(other) & {part for parent in net.hypernyms(own) for name in parent.words for part in _parts(name)}:
            return False  # "white woman" of "wife": a kind of what is above
        if any(_mentions(synset, name) for name in own.words) or any(_mentions(own, name) for name in synset.words):
            return False
        return pos != "a" or not self._are_similar(word, other)

    def _is_name(self, synset: Synset) -> bool:
        return synset.is_instance or synset.words[0] != synset.words[0].lower()

    def _is_number_or_date(self, synset: Synset) -> bool:
        if synset.file in _NO_FILES:
            return True
        return synset.pos == "a" and any(_NUMBERS & set(head.words) for head in self._heads(synset))

    def _is_marked(self, word: str, synset: Synset) -> bool:
        """Say whether a word is slang, old or the like in this sense, or hurts in any."""
        if any(p.symbol == USAGE for p in synset.pointers) or _MARKED.search(synset.gloss):
            return True
        return any(_HURTS.search(s.gloss) for p in _ALL for s in self._net.senses(word, p))

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
            return senses[0] == synset and self._net.gloss_count(word) >= GLOSSES
        return own > 0 and own >= COMMON_SHARE * sum(counts) and sum(counts) >= elsewhere

    def _is_plural(self, word: str, synset: Synset) -> bool:
        """Say whether a noun is the plural of another of its synset: "bacteria"."""
        return synset.pos == "n" and any(f != word and f in synset.words for f in self._net.base_forms(word, "n"))

    def _size(self, synset: Synset) -> int:
        """Return how many kinds there are below a synset, itself included; counted no farther than is of interest."""
        if synset not in self._sizes:
            seen, todo = {synset}, [synset]
            while todo and len(seen) <= BROADEST_PARENT:
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


_ALL: Final[tuple[Pos, ...]] = ("n", "v", "a", "r")


def _parts(word: str) -> set[str]:
    return set(re.split("[ -]", word))


def _is_negation(one: str, other: str) -> bool:
    """Say whether one word only negates the other: "unhappy", "useless" of "useful"."""
    short, long = sorted((one, other), key=len)
    if any(long == prefix + short for prefix in _NEGATIONS):
        return True
    stems = {re.sub(r"(ful|less)$", "", word) for word in (one, other)}
    return len(stems) == 1 or _parts(one) <= _parts(other) or _parts(other) <= _parts(one)


def _mentions(synset: Synset, word: str) -> bool:
    """Say whether a definition names a word to explain by it, and not for comparison ("larger than a violin")."""
    return any(
        not re.search(r"\b(than|unlike|not)\b[^,;]*$", synset.definition[: match.start()])
        for match in re.finditer(rf"\b{re.escape(word.lower())}(s|es)?\b", synset.definition.lower())
    )


@cache
def _zipf(word: str) -> float:
    from wordfreq import zipf_frequency

    return zipf_frequency(word, "en")


def _tokens(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{3,}", text.lower()))


def _weight(token: str) -> float:
    """Return how much a word of a text tells: nothing where it stands in every text."""
    return max(0.0, 6 - _zipf(token))
