"""What a part of a clause says once for each member of the coordination in it: "in A, B and C" is in A, in B, in C."""

import re
from collections.abc import Iterator
from dataclasses import replace

from spacy.tokens import Token

from tasks.text.inflection import article
from tasks.text.phrases import Phrase, Piece, conjuncts, coordination_words, cover, members, own, qualities, render
from tasks.text.predicates import Part, Predicate
from tasks.text.pronouns import Referent
from tasks.text.subjects import Subject
from tasks.text.wordlists import COLLECTIVE, COLOURS, DISTRIBUTIVE, GATHERING, NAMING, NO_SPLIT_DETERMINERS, STEPS

_WHOLES = {"respectively", "together", "between", "among", "total", "alternately", "either", "neither", "jointly"}


def alternatives(part: Part, head: Token) -> list[Part]:
    """Return a part once for each member of a coordination in it, or the part alone where none may be said alone."""
    if part.root < 0 or part.kind == "lead":
        return [part]
    if any(t.lower_ in _WHOLES for t in head.subtree):
        return [part]
    for noun in _places(part, head):
        found = _parted(part, noun, head)
        if found is not None:
            return found
    return [part]


def _places(part: Part, head: Token) -> Iterator[Token]:
    """Yield the nouns and adjectives of a part whose coordination may be parted, the outermost first."""
    doc = head.doc
    root = doc[part.root]
    start: Token | None = None
    if part.dep == "prep" and any(c.dep_ == "conj" for c in root.children):
        yield root
        return
    if part.dep in ("dobj", "attr", "oprd"):
        start = root
    elif part.dep == "acomp":
        if len(conjuncts(root)) > 1:
            yield root
        start = next((c for c in root.children if c.dep_ == "prep"), None)
    elif part.dep in ("prep", "agent"):
        start = root
    if start is not None and start.dep_ in ("prep", "agent"):
        start = _object(start) if start.lower_ in DISTRIBUTIVE else None
    while start is not None:
        yield start
        start = None if start.lemma_.lower() in GATHERING else _inner(start, part)


def _object(preposition: Token) -> Token | None:
    return next((c for c in preposition.children if c.dep_ == "pobj"), None)


def _inner(noun: Token, part: Part) -> Token | None:
    """Return the noun of a complement whose members may be said apart: "the progression of arts and media"."""
    for child in noun.rights:
        if child.dep_ != "prep" or child.lower_ not in STEPS or child.i in part.gone:
            continue
        inner = _object(child)
        if inner is not None:
            return inner
    return None


def _parted(part: Part, noun: Token, head: Token) -> list[Part] | None:
    split: list[Phrase] | None
    if noun.dep_ == "prep":
        heads = conjuncts(noun)
        words = {c.lower_ for t in heads for c in t.children if c.dep_ == "cc"}
        if words != {"and"} or any(t.pos_ != "ADP" for t in heads):
            return None
        apart = coordination_words(heads)
        return [replace(part, phrase=own(head.doc, cover(t, apart))) for t in heads]
    if noun.pos_ == "ADJ":
        split = qualities(noun)
        group = cover(noun, part.gone)
    else:
        free = head.lemma_ in NAMING or any(c.lower_ in ("can", "may") for c in head.children if c.dep_ == "aux")
        split = None if _mixes(noun) else members(noun, part.gone, may_be_or=free)
        group = cover(noun, part.gone)
    indexes = [p.first for p in part.phrase]
    if split is None:
        return _adjectives(part, noun)
    if len(split) < 2 or not group or not set(group) <= set(indexes):
        return None
    before = [p for p in part.phrase if p.first < group[0] and p.text.lower() != "both"]
    after = [p for p in part.phrase if p.first > group[-1]]
    return [replace(part, phrase=[*before, *member, *after]) for member in split]


def _mixes(noun: Token) -> bool:
    """Say whether what is coordinated inside a complement is of two kinds: "the father of chemistry and discoverer"."""
    if noun.dep_ != "pobj" or noun.head.lower_ != "of":
        return False
    agents = {bool(re.search(r"(?:[^e]er|or|ist)$", t.lower_)) and t.tag_ == "NN" and not list(t.lefts)
              for t in conjuncts(noun) if t.pos_ == "NOUN"}  # fmt: skip
    return len(agents) > 1


def _adjectives(part: Part, noun: Token) -> list[Part] | None:
    """Part coordinated adjectives of a noun: "regional and global economies", "a poetic and dramatic work"."""
    if any(c.dep_ == "conj" for c in noun.children) or any(c.dep_ == "nummod" for c in noun.lefts):
        return None
    determiners = {c.lower_ for c in noun.lefts if c.dep_ == "det"}
    superlative = any(t.tag_ in ("JJS", "RBS") for c in noun.lefts for t in c.subtree)
    if determiners & NO_SPLIT_DETERMINERS or (determiners - {"a", "an"} and noun.tag_ == "NN" and not superlative):
        return None
    first = next((c for c in noun.lefts if c.dep_ == "amod" and any(g.dep_ == "conj" for g in c.children)), None)
    if first is None:
        return None
    heads = conjuncts(first)
    leading = first
    while leading.i > 1:  # "regional, national, and global": the parser may hang the first one apart
        comma = noun.doc[leading.left_edge.i - 1]
        before = noun.doc[leading.left_edge.i - 2]
        if comma.text != "," or before.head != noun or before.dep_ != "amod" or before.i < noun.left_edge.i:
            break
        heads.insert(0, before)
        leading = before
    words = {c.lower_ for t in heads for c in t.children if c.dep_ == "cc"}
    if words != {"and"} or any(t.i > noun.i or t.lower_ in COLOURS for t in heads):
        return None
    if any(t.ent_type_ in ("ORDINAL", "DATE", "CARDINAL") or t.text[0].isdigit() for t in heads):
        return None  # "the 9th and 10th centuries"
    if any(t.pos_ not in ("ADJ", "NOUN", "PROPN", "VERB") or t.tag_ == "VBD" for t in heads):
        return None
    doc = noun.doc
    most = next((c for c in heads[0].lefts if c.tag_ == "RBS"), None)
    if most is not None and any(c.dep_ == "advmod" for t in heads[1:] for c in t.lefts):
        most = None  # each has a degree of its own
    spans = [
        [t.i for t in h.subtree if t.dep_ not in ("cc", "punct", "preconj") and not _is_under_conj(t, h)] for h in heads
    ]
    start, end = min(i for s in spans for i in s), max(i for s in spans for i in s)
    if start < noun.left_edge.i or any(i not in {p.first for p in part.phrase} for s in spans for i in s):
        return None
    out = []
    for k, span in enumerate(spans):
        if most is not None and k:
            span.insert(0, most.i)
        phrase = [p for p in part.phrase if not start <= p.first <= end or p.first in span]
        if doc[start - 1].lower_ == "both":
            phrase = [p for p in phrase if p.first != start - 1]
        fixed = [
            Piece(article(phrase[k + 1].text), p.first, p.last) if p.text in ("a", "an") and p.first == start - 1 else p
            for k, p in enumerate(phrase)
        ]
        out.append(replace(part, phrase=fixed))
    return out


def _is_under_conj(token: Token, head: Token) -> bool:
    """Say whether a token hangs under another member than the head of its own."""
    while token != head:
        if token.dep_ == "conj":
            return True
        token = token.head
    return False


def split_subject(token: Token, subject: Subject, head: Token, predicate: Predicate) -> list[Subject] | None:
    """Return the members of a coordinated subject, each with its own number, where the verb can be said of one."""
    if predicate.is_narrow or subject.referent.topic or head.lemma_ in COLLECTIVE or len(subject.phrase) < 3:
        return None
    pronouns = [t for t in token.subtree if t.pos_ == "PRON"]
    parts = members(token)
    heads = conjuncts(token)
    named = all(t.pos_ == "PROPN" for t in heads)
    if any(c.dep_ == "attr" and any(g.dep_ == "conj" for g in c.children) for c in head.children):
        return None  # of which which?
    whole = named or all(t.tag_ in ("NNS", "NNPS") or _is_owned(t) for t in heads)
    whole |= any(c.dep_ == "poss" for c in heads[0].lefts) and all(t.tag_ == "NN" for t in heads)
    said = [t for t in head.children if t.dep_ in ("attr", "dobj", "acomp")]
    if parts is None or len(parts) != len(heads) or not whole or any(t.tag_ in ("NNS", "NNPS", "JJ") for t in said):
        return None
    if any(t.lower_ in ("together", "each", "respectively", "both", "between") for t in head.subtree):
        return None
    if pronouns:  # each with the name that the whole has in its place
        named_pieces = {p.first: p for p in subject.phrase}
        if any(p.first not in named_pieces for t in pronouns for part in parts for p in part if p.first == t.i):
            return None
        parts = [[named_pieces.get(p.first, p) if p.first in {t.i for t in pronouns} else p for p in part]
                 for part in parts]  # fmt: skip
    many = [t.tag_ == "NNS" for t in heads]
    return [Subject(p, Referent(render(token.doc, p), n, None), n) for p, n in zip(parts, many, strict=True)]


def _is_owned(noun: Token) -> bool:
    return any(c.dep_ == "poss" or (c.dep_ == "det" and c.lower_ in ("the", "a", "an")) for c in noun.lefts)
