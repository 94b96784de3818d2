"""What borders a land on each side: "borders A to the west, B and C to the north, and D to the east" is four facts.

The parser seldom finds the members of such a list, but its words are plain: names, then a side, again and again.
"""

from spacy.tokens import Token

from tasks.text.assembly import Draft
from tasks.text.phrases import Phrase, own
from tasks.text.subjects import Subject
from tasks.text.wordlists import DIRECTIONS

_NAME = {"DET", "PROPN", "NOUN", "ADJ"}


def sides(subject: Subject, head: Token) -> list[Draft]:
    """Return a claim for each neighbour where a clause lists them by their sides, at least two of these; else none."""
    doc = head.doc
    passive = any(c.dep_ == "auxpass" for c in head.children)
    if head.lemma_ != "border" or any(c.dep_ == "neg" for c in head.children):
        return []
    verb = [c for c in head.children if c.dep_ == "auxpass"] + [head]
    at = head.i + 1
    stop = head.sent.end
    found: list[tuple[list[list[int]], list[int]]] = []
    while at < stop:
        read = _names(head, at, stop, passive=passive)
        if read is None:
            break
        names, at = read
        side = _side(head, at, stop)
        if side is None:
            break
        found.append((names, side))
        at = side[-1] + 1
        while at < stop and (doc[at].text in (",", ";") or doc[at].lower_ == "and"):
            at += 1
    if len(found) < 2:
        return []
    by: Phrase = own(doc, [head.i + 1]) if passive else []
    said = own(doc, (t.i for t in verb))
    return [
        Draft([*subject.phrase, *said, *by, *own(doc, name), *own(doc, side)], "object_coordination")
        for names, side in found
        for name in names
    ]


def _names(head: Token, at: int, stop: int, *, passive: bool) -> tuple[list[list[int]], int] | None:
    """Return the names that a list has before its next side, and where they end."""
    doc = head.doc
    if passive and doc[at].lower_ == "by":
        at += 1
    names: list[list[int]] = [[]]
    while at < stop and (doc[at].pos_ in _NAME or doc[at].text in (",", "-") or doc[at].lower_ in ("and", "of")):
        if doc[at].text == "," or doc[at].lower_ == "and":
            names.append([])
        else:
            names[-1].append(at)
        at += 1
    names = [name for name in names if name]
    plain = all(doc[name[-1]].pos_ == "PROPN" for name in names)
    return (names, at) if names and plain else None


def _side(head: Token, at: int, stop: int) -> list[int] | None:
    """Return the words "to the west" at a place."""
    doc = head.doc
    if at + 2 >= stop or doc[at].lower_ not in ("to", "on", "in") or doc[at + 1].lower_ != "the":
        return None
    return [at, at + 1, at + 2] if doc[at + 2].lower_ in DIRECTIONS else None
