"""Phrases taken out of a parsed sentence and put together again as text.

A phrase is a list of pieces: words of the sentence, or words put in that stand for some of its tokens, or for none.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spacy.tokens import Doc, Token

from tasks.text.inflection import article
from tasks.text.wordlists import NO_SPLIT_DETERMINERS

PLACES = {"GPE", "LOC", "FAC"}
NOUNS = {"NOUN", "PROPN", "NUM", "PRON"}
_TRIMMED = {",", ";", ":", "-", "\u2013", "\u2014", "--", ".", "/"}
_NO_SPACE_BEFORE = {",", ".", ";", ":", "%", "'s", "\u2019s", "'", "\u2019", "n't", ")", "]"}
_NO_SPACE_AFTER = {"(", "[", "$", "\u00a3", "\u20ac"}


@dataclass(frozen=True)
class Piece:
    """Some text that stands for the tokens first..last of the sentence; -1 where it was put in."""

    text: str
    first: int = -1
    last: int = -1


Phrase = list[Piece]


def own(doc: Doc, indexes: Iterable[int]) -> Phrase:
    """Return tokens as they stand in the sentence."""
    return [Piece(doc[i].text, i, i) for i in indexes]


def render(doc: Doc, phrase: Sequence[Piece]) -> str:
    """Return the text of a phrase: the spaces of the sentence where its tokens stood together, else our own."""
    out: list[str] = []
    before: Piece | None = None
    for piece in phrase:
        if not piece.text:
            continue
        if before is not None:
            if piece.first >= 0 and before.last >= 0 and piece.first == before.last + 1:
                out.append(" " if doc[before.last].whitespace_ else "")
            elif piece.text not in _NO_SPACE_BEFORE and before.text not in _NO_SPACE_AFTER:
                out.append(" ")
        out.append(piece.text)
        before = piece
    return "".join(out)


def is_comma_before(token: Token) -> bool:
    """Say whether what a token governs is set off by a comma on its left."""
    left = token.left_edge.i
    while left > token.sent.start and token.doc[left - 1].dep_ == "punct" and token.doc[left - 1].like_num:
        left -= 1  # misread
    return left > token.sent.start and token.doc[left - 1].text in {",", ";", ":"}


def is_loose(token: Token) -> bool:
    """Say whether a modifier is non-restrictive: its head means the same without it."""
    dep = token.dep_
    if dep == "appos":
        if not is_comma_before(token):
            return False
        listed = any(c.dep_ in ("conj", "cc") for c in (*token.children, *token.head.children))
        return not listed and not _is_place_of_place(token)
    if dep in ("relcl", "acl"):
        return is_comma_before(token)
    if dep in ("prep", "advmod", "advcl", "amod", "npadvmod"):
        return token.i > token.head.i and token.head.pos_ in NOUNS and is_comma_before(token)
    return dep in ("parataxis", "intj")


def _is_place_of_place(token: Token) -> bool:
    named = not any(c.dep_ in ("det", "poss") for c in token.children)
    return named and token.pos_ == "PROPN" and token.head.pos_ == "PROPN" and token.ent_type_ in PLACES


def cover(root: Token, without: Collection[int] = ()) -> list[int]:
    """Return the tokens of a phrase in order, without loose modifiers and without what the given tokens govern.

    Commas that set off what was left out go with it.
    """
    kept: list[int] = []
    cut: list[tuple[int, int]] = []

    def walk(token: Token) -> None:
        for child in token.lefts:
            visit(child)
        kept.append(token.i)
        for child in token.rights:
            visit(child)

    def visit(child: Token) -> None:
        misread = (child.dep_ == "punct" and child.is_alpha) or (child.dep_ == "punct" and child.like_num)
        if child.i in without or is_loose(child) or misread:
            cut.append((child.left_edge.i, child.right_edge.i))
        else:
            walk(child)

    walk(root)
    commas = {edge for left, right in cut for edge in (left - 1, right + 1)}
    doc = root.doc
    return trimmed(doc, [i for i in sorted(kept) if not (i in commas and doc[i].text in _TRIMMED)])


def trimmed(doc: Doc, indexes: Sequence[int]) -> list[int]:
    """Return tokens without punctuation at either end, doubled commas and quotation marks without their pair."""
    kept: list[int] = []
    for i in indexes:
        if doc[i].text == "," and kept and doc[kept[-1]].text in _TRIMMED:
            continue
        kept.append(i)
    marks = [i for i in kept if doc[i].is_quote and doc[i].text not in ("'", "\u2019")]
    if len(marks) % 2:
        kept = [i for i in kept if i not in marks]
    while kept and doc[kept[0]].text in _TRIMMED:
        kept.pop(0)
    while kept and doc[kept[-1]].text in _TRIMMED:
        kept.pop()
    return kept


def conjuncts(head: Token) -> list[Token]:
    """Return a head and what is coordinated with it, in order."""
    found = [head]
    for token in found:
        found += [c for c in token.children if c.dep_ == "conj"]
    return sorted(found, key=lambda t: t.i)


def coordination_words(heads: Sequence[Token]) -> set[int]:
    """Return what makes a coordination of heads: the other heads, conjunctions, correlatives."""
    found: set[int] = set()
    for head in heads:
        found |= {c.i for c in head.children if c.dep_ in ("cc", "conj", "preconj")}
    return found


def members(
    head: Token, gone: Collection[int] = (), *, names_only: bool = False, may_be_or: bool = False
) -> list[Phrase] | None:
    """Return what a coordinated noun phrase says of each member, or None where it may not be said of one alone.

    Distributive is safe for "and" of noun phrases whose determiner, if shared, is an article or a possessive. A
    complement with "of" after the last is shared where the definite article is. gone are tokens said elsewhere.
    """
    heads = conjuncts(head)
    if len(heads) < 2 or any(t.pos_ not in ("NOUN", "PROPN") and not _is_one_of(t) for t in heads):
        return None
    words = {c.lower_ for t in heads for c in t.children if c.dep_ == "cc"}
    if words != {"and"} and not (may_be_or and words == {"or"}):
        return None
    if names_only and any(t.pos_ != "PROPN" for t in heads):
        return None
    doc = head.doc
    if heads[-1].lower_ in ("others", "etc", "etc."):
        return None
    if _is_broken_name(heads):
        return None
    if _same_entity(heads) or (heads[-1].tag_ == "NNPS" and heads[0].tag_ == "NNP"):
        return None  # Trinidad and Tobago; the Zambezi and Chobe Rivers
    for item in heads:
        quantities = {c.lower_ for c in item.lefts if c.dep_ in ("det", "amod", "nummod", "predet")}
        if item != heads[0] and item.doc[item.left_edge.i].tag_ in ("VBD", "VBN"):
            return None  # "translated an article and added notes"
        if any(c.dep_ == "appos" for c in item.children) or quantities & _NEVER_SPLIT:
            return None
        if _is_one_of(item):
            continue
        counted = quantities & NO_SPLIT_DETERMINERS or any(c.dep_ == "nummod" for c in item.children)
        if counted and not all(_is_determined(t) for t in heads if t.i > item.i):
            return None  # "two cats and dogs"
    if head.dep_ == "attr" and len({t.tag_ in ("NNS", "NNPS") for t in heads if not _is_one_of(t)}) > 1:
        return None  # "is an A in Bs and Cs": parsed as if it were a C
    shared = next((c for c in heads[0].lefts if c.dep_ in ("det", "poss")), None)
    parts = coordination_words(heads) | set(gone)
    after = [
        c for t in heads[:-1] for c in _right_modifiers(t) if c.i > heads[-1].i and c.i not in gone and not is_loose(c)
    ]
    if any(c.lower_ != "of" for c in after) or len(after) > 1:
        return None  # what comes last may be said of all of them, or of one
    of_last = [c for c in heads[-1].rights if c.lower_ == "of"]
    shared_of = next(iter([*after, *of_last]), None)
    parts |= {c.i for c in after}
    out: list[Phrase] = []
    for k, item in enumerate(heads):
        pieces = own(doc, cover(item, parts))
        if not pieces:
            return None
        if k and any(c.lower_ in ("other", "another") for c in item.lefts):
            continue  # "and other cats": other than those before
        bare = not any(c.dep_ in ("det", "poss", "nummod", "predet") for c in item.children)
        if k and shared is not None and bare and item.pos_ == "NOUN":
            if shared.dep_ == "poss":
                pieces = own(doc, cover(shared)) + pieces
            elif shared.lower_ == "the" and (head.dep_ != "pobj" or shared_of is not None):
                pieces = own(doc, [shared.i]) + pieces
            elif item.tag_ == "NN" and shared.lower_ in ("a", "an"):
                pieces = [Piece(article(pieces[0].text)), *pieces]
        of_own = any(c.lower_ == "of" and c not in after for c in item.children)
        if after and not of_own:
            pieces = pieces + own(doc, cover(after[0]))
        elif shared is not None and shared.lower_ == "the" and not of_own:
            rest_bare = all(not any(c.dep_ in ("det", "poss") for c in t.children) for t in heads[1:])
            if shared_of is not None and rest_bare:
                pieces = pieces + own(doc, cover(shared_of))
            elif item.pos_ == "NOUN" and shared_of is not None and not _is_modified(item):
                return None  # "the walls and the roofs of Rome": which walls?
        out.append(pieces)
    return out


def qualities(head: Token) -> list[Phrase] | None:
    """Return what coordinated adjectives say, each alone, or None where one has a complement that others may share."""
    heads = conjuncts(head)
    words = {c.lower_ for t in heads for c in t.children if c.dep_ == "cc"}
    plain = all(t.pos_ == "ADJ" and all(c.dep_ in ("advmod", "cc", "conj", "punct") for c in t.children) for t in heads)
    if words != {"and"} or not plain or any(c.dep_ == "advmod" for c in heads[0].children):
        return None
    parts = coordination_words(heads)
    found = [own(head.doc, cover(t, parts)) for t in heads]
    return None if any(p.text == "," for phrase in found for p in phrase) else found


_ONE_PLACE = {("Jammu", "Kashmir"), ("Bosnia", "Herzegovina"), ("Trinidad", "Tobago"), ("Antigua", "Barbuda"),
              ("Kitts", "Nevis"), ("Newfoundland", "Labrador"), ("Wallis", "Futuna"), ("Tristan", "Cunha")}  # fmt: skip
_NEVER_SPLIT = {"no", "neither", "either", "any", "each", "every", "few", "all", "such", "these", "those"}


def _is_broken_name(heads: Sequence[Token]) -> bool:
    """Say whether the first of coordinated nouns is half an adjective: "a Hong Kong and American artist"."""
    placed = heads[0].ent_type_ in PLACES and heads[1].pos_ == "NOUN"
    return placed and any(c.lower_ in ("a", "an") for c in heads[0].lefts)


def _is_modified(item: Token) -> bool:
    return any(c.dep_ in ("amod", "compound") for c in item.lefts)


def _is_one_of(item: Token) -> bool:
    return item.lower_ == "one" and any(c.lower_ == "of" for c in item.rights)


def _is_determined(item: Token) -> bool:
    return item.pos_ == "PROPN" or any(c.dep_ in ("det", "poss", "nummod") for c in item.lefts)


def _right_modifiers(token: Token) -> list[Token]:
    return [c for c in token.rights if c.dep_ in ("prep", "relcl", "acl")]


def _same_entity(heads: Sequence[Token]) -> bool:
    doc = heads[0].doc
    pairs = list(pairwise(heads))
    if any((a.text, b.text) in _ONE_PLACE for a, b in pairs):
        return True
    return any(ent.start <= a.i < ent.end and ent.start <= b.i < ent.end for ent in doc.ents for a, b in pairs)
