"""Small WordNet databases, written byte by byte as wndb(5WN) describes them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LICENCE = [
    "This software and database is being provided to you, the LICENSEE, by",
    "Nobody University under the following license.",
    "",
    "WordNet 0.1 Copyright 2026 by Nobody University.  All rights reserved.",
]
_SUFFIXES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_NUMBERS = {  # lexnames(5WN)
    **{"adj.all": 0, "adv.all": 2, "noun.Tops": 3, "noun.act": 4, "noun.animal": 5, "noun.artifact": 6},
    **{"noun.attribute": 7, "noun.communication": 10, "noun.location": 15, "noun.person": 18, "noun.quantity": 23},
    **{"noun.substance": 27, "noun.time": 28, "verb.motion": 38, "verb.social": 41},
}
_BACK = {"@": "~", "@i": "~i", "!": "!", "&": "&"}


@dataclass
class Entry:
    """A synset of a test. Words with their counts: "painter:15 limner"; relations: "@ artist", "! hot>cold"."""

    name: str
    file: str
    words: str
    relations: Sequence[str] = ()
    gloss: str = "something"
    satellite: bool = False

    @property
    def pos(self) -> str:
        return {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}[self.file.partition(".")[0]]

    @property
    def lemmas(self) -> list[str]:
        return [re.split(r"[:(]", word)[0] for word in self.words.split()]

    @property
    def counts(self) -> list[int]:
        return [int(word.partition(":")[2] or 0) for word in self.words.split()]

    def line(self, pointers: "Sequence[Pointer]", offsets: Mapping[str, int]) -> str:
        kind = "s" if self.satellite else self.pos
        words = " ".join(f"{word.partition(':')[0]} 0" for word in self.words.split())  # with marks: "hot(p)"
        shown = "".join(
            f" {symbol} {offsets[to.name]:08d} {'s' if to.satellite else to.pos} {first:02x}{last:02x}"
            for symbol, to, first, last in pointers
        )
        number = _NUMBERS[self.file]
        head = f"{offsets[self.name]:08d} {number:02d} {kind} {len(self.lemmas):02x} {words} {len(pointers):03d}"
        return f"{head}{shown} | {self.gloss}  \n"


Pointer = tuple[str, Entry, int, int]  # symbol, where to, place of the word here and there (0: the whole synset)


def _pointers(entries: Sequence[Entry]) -> dict[str, list[Pointer]]:
    by_name = {entry.name: entry for entry in entries}
    found: dict[str, list[Pointer]] = {name: [] for name in by_name}
    for entry in entries:
        for relation in entry.relations:
            symbol, _, target = relation.partition(" ")
            word, _, name = target.rpartition(">")
            first, last = (entry.lemmas.index(word) + 1, 1) if word else (0, 0)
            found[entry.name].append((symbol, by_name[name], first, last))
            if symbol in _BACK:
                found[name].append((_BACK[symbol], entry, last, first))
    return found


def write_database(folder: Path, entries: Sequence[Entry], exceptions: dict[str, str] | None = None) -> Path:
    """Write data.*, index.* and index.sense of `entries`; senses are numbered in their order. Returns `folder`.

    A hyponym pointer is written for each hypernym, and both ways for antonyms and similar adjectives.
    """
    pointers = _pointers(entries)
    folder.mkdir(parents=True, exist_ok=True)
    head = "".join(f"  {n} {line}  \n" for n, line in enumerate(LICENCE, 1))
    offsets = dict.fromkeys(pointers, 0)
    for pos in _SUFFIXES:
        at = len(head)
        for entry in (e for e in entries if e.pos == pos):
            length = len(entry.line(pointers[entry.name], offsets))  # which is the same whatever the offsets
            offsets[entry.name], at = at, at + length
    senses: list[str] = []
    for number, (pos, suffix) in enumerate(_SUFFIXES.items(), 1):
        mine = [entry for entry in entries if entry.pos == pos]
        (folder / f"data.{suffix}").write_text(
            head + "".join(entry.line(pointers[entry.name], offsets) for entry in mine)
        )
        index = []
        for lemma in sorted({word.lower() for entry in mine for word in entry.lemmas}):
            having = [entry for entry in mine if lemma in map(str.lower, entry.lemmas)]
            counts = [e.counts[[w.lower() for w in e.lemmas].index(lemma)] for e in having]
            symbols = sorted({symbol for entry in having for symbol, *_ in pointers[entry.name]})
            fields = [lemma, pos, str(len(having)), str(len(symbols)), *symbols, str(len(having))]
            fields += [str(sum(count > 0 for count in counts)), *(f"{offsets[e.name]:08d}" for e in having)]
            index.append(" ".join(fields) + "  \n")
            for sense, (entry, count) in enumerate(zip(having, counts, strict=True), 1):
                key = f"{lemma}%{5 if entry.satellite else number}:{_NUMBERS[entry.file]:02d}:{sense:02d}::"
                senses.append(f"{key} {offsets[entry.name]:08d} {sense} {count}\n")
        (folder / f"index.{suffix}").write_text(head + "".join(index))
    (folder / "index.sense").write_text("".join(sorted(senses)))
    for suffix, text in (exceptions or {}).items():
        (folder / f"{suffix}.exc").write_text(text)
    return folder
