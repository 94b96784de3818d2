"""Words of encyclopedic prose that may stand for each other, and where.

Pairs of one WordNet synset, chosen by hand: of WordNet's pairs at large many are apart in use ("use" and "apply"). A
pair is put only where the corpus has the new word beside the same neighbour (`Usage`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from spacy.tokens import Token

from tasks.text import inflection
from tasks.text.frames import Frame
from tasks.text.voices import participle, present_participle
from tasks.text.wordforms import plural
from tasks.text.wordnet import Pos

# old: new ones; a word in brackets says where the old word must stand (see `_stands`)
_VERBS: Final = """
    use[passive]: employ utilize
    utilize: use
    employ[passive-thing]: use
    begin: start
    start: begin
    commence: begin start
    build: construct
    construct: build
    found[object]: establish
    establish[dated]: found
    achieve: attain
    attain: achieve
    divide[into]: split
    choose: select
    select: choose
    complete[object]: finish
    flourish: thrive
    emphasize: stress
    distinguish: differentiate
    nickname: dub
    dub: nickname
    depict: portray
    portray: depict
    purchase: buy
    originate[in]: arise
    need[object]: require
    require[object]: need
    help[to]: aid
    rule[object]: govern
    cease: stop
    teach: instruct[object]
    analyse: study examine
    analyze: study examine
    change: alter[object]
    alter: change
    allow[to-do]: permit
    permit[to-do]: allow
    transport: carry
    carry[object-thing]: transport
    link: connect
    connect: link
    obtain[object]: get
    gather[object]: collect
    end: finish
    utilise: use
    oversee: supervise
    supervise: oversee
    """
_ADVERBS: Final = """
    often: frequently
    frequently: often
    usually: normally ordinarily
    normally: usually
    primarily: mainly chiefly principally
    mainly: primarily chiefly
    chiefly: mainly primarily
    principally: mainly primarily
    mostly: largely
    largely: mostly
    almost: nearly
    nearly: almost
    entirely: wholly completely
    completely: entirely
    wholly: entirely
    especially: particularly
    particularly: especially
    relatively: comparatively
    slightly: somewhat
    rapidly: quickly
    quickly: rapidly
    exclusively: solely
    partly: partially
    partially: partly
    approximately: roughly about
    roughly: approximately about
    formerly: once
    immediately: instantly
    later[preverb]: subsequently
    currently: presently
    """
_ADJECTIVES: Final = """
    large[attributive]: big
    famous: renowned celebrated
    renowned: famous
    celebrated: renowned
    vast: huge immense
    huge: vast immense
    immense: vast
    principal: main chief
    main: principal chief
    chief[attributive]: main principal
    global: worldwide
    wide[range]: broad
    broad[range]: wide
    entire: total
    prestigious: esteemed
    geographic: geographical
    geographical: geographic
    geological: geologic
    mythological: mythical
    circular: round
    autonomous: self-governing
    synthetic: man-made
    poetical: poetic
    ornamental: decorative
    decorative: ornamental
    northwestern: northwest
    northeastern: northeast
    sole: only
    key[attributive]: central
    fundamental: central
    hereditary: inherited
    individual[attributive]: single
    important: significant
    significant: important
    """
_NOUNS: Final = """
    country: nation
    nation: country
    writer: author
    author[kind]: writer
    film: movie
    category: class
    era: epoch
    epoch: era
    feature[kind]: characteristic
    characteristic[kind]: feature
    phase: stage
    aspect: facet
    facet: aspect
    physician: doctor
    monarch: sovereign
    railway: railroad
    automobile: car
    cargo: freight
    singer: vocalist
    vocalist: singer
    deity: divinity
    divinity: deity
    fabric: cloth
    inhabitant: dweller
    portion: part
    part[region]: portion
    building[kind]: edifice
    creature: animal
    poetry: verse
    kind: sort
    sort: kind
    majority: bulk
    amount: quantity
    component: constituent
    constituent: component
    purpose: aim
    usage: use
    example: instance
    result[kind]: outcome
    outcome: result
    attempt: effort
    lawyer: attorney
    instructor: teacher
    route: path
    field[academic]: discipline
    """
TABLES: Final[dict[Pos, str]] = {"v": _VERBS, "r": _ADVERBS, "a": _ADJECTIVES, "n": _NOUNS}
_POS: Final[dict[str, Pos]] = {"VERB": "v", "ADV": "r", "ADJ": "a", "NOUN": "n"}
_REGIONS: Final = re.compile(
    r"(?:north|south|east|west)(?:ern)?|(?:north|south)(?:east|west)(?:ern)?|central|upper|lower"
)


@dataclass(frozen=True)
class Entry:
    """A word that may stand for another, where that one stands so."""

    old: str
    place: str
    new: str


def _entries(pos: Pos) -> list[Entry]:
    found = []
    for line in TABLES[pos].strip().splitlines():
        old, _, news = line.strip().partition(":")
        word, _, place = old.partition("[")
        for new in news.split():
            form, _, other = new.partition("[")
            found.append(Entry(word, (place or other).rstrip("]"), form))
    return found


ENTRIES: Final[dict[Pos, list[Entry]]] = {pos: _entries(pos) for pos in TABLES}
_BY_WORD: Final = {(pos, e.old): [x for x in ENTRIES[pos] if x.old == e.old] for pos in TABLES for e in ENTRIES[pos]}


class Usage:
    """Which words stand beside which in a corpus."""

    def __init__(self, pairs: Collection[tuple[str, str]]) -> None:
        """`pairs`: neighbours, in lower case, in the order of the text."""
        self._pairs = frozenset(pairs)

    def fits(self, before: str, word: str, after: str) -> bool:
        """Say whether a word has stood after `before` or before `after`; in lower case, "" for none."""
        return (before, word) in self._pairs or (word, after) in self._pairs


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+(?:[-'\u2019]\w+)*", text.lower())


def count_pairs(texts: Iterable[str]) -> Counter[tuple[str, str]]:
    """Count neighbours in texts."""
    found: Counter[tuple[str, str]] = Counter()
    for text in texts:
        words = tokens(text)
        found.update(pairwise(words))
    return found


def forms_of_new_words() -> frozenset[str]:
    """Return all words that may be put, in their forms."""
    forms: set[str] = set()
    for pos, entries in ENTRIES.items():
        for entry in entries:
            forms |= {form for tag in _TAGS[pos] if (form := inflected(entry.new, tag)) is not None}
    return frozenset(forms)


_TAGS: Final[dict[Pos, Sequence[str]]] = {
    "n": ("NN", "NNS"),
    "v": ("VB", "VBZ", "VBP", "VBD", "VBN", "VBG"),
    "a": ("JJ", "JJS"),
    "r": ("RB",),
}


def inflected(lemma: str, tag: str) -> str | None:
    """Return a word in the form of a Penn tag, or None where that form is not sure."""
    if tag in ("NN", "VB", "VBP", "JJ", "RB"):
        return lemma
    if tag == "NNS":
        return plural(lemma)
    if tag == "VBZ":
        return inflection.present(lemma, plural=False)
    if tag == "VBD":
        return inflection.past(lemma, plural=False)
    if tag == "VBN":
        return participle(lemma)
    if tag == "VBG":
        return present_participle(lemma)
    if tag == "JJS" and lemma == "big":
        return "biggest"
    return None


def synonyms(frame: Frame, usage: Usage) -> list[tuple[int, str]]:
    """Return what may be put for which token of a claim, each alone."""
    found = []
    for token in frame.doc[: frame.end]:
        if token.i in frame.held or not _is_free(token):
            continue
        pos = _POS.get(token.pos_)
        lemma = token.lemma_.lower()
        for entry in _BY_WORD.get((pos, lemma), []) if pos else []:
            form = inflected(entry.new, token.tag_)
            if form is None or not _stands(token, entry.place):
                continue
            before = token.doc[token.i - 1].lower_ if token.i else ""
            after = token.doc[token.i + 1].lower_ if token.i + 1 < frame.end else ""
            if before in ("a", "an"):
                before = inflection.article(form)
            if usage.fits(before, form, after):
                found.append((token.i, form))
    return found


def _is_free(token: Token) -> bool:
    """Say whether a word is no part of a name, a quotation or a compound."""
    doc = token.doc
    if token.ent_type_ or token.text != token.text.lower() or not token.is_alpha:
        return False
    near = [doc[i] for i in (token.i - 1, token.i + 1) if 0 <= i < len(doc)]
    if any(t.text == "-" or (t.is_quote and t.text not in ("'", "\u2019")) for t in near):
        return False
    quoted = sum(t.is_quote and t.text not in ("'", "\u2019") for t in doc[: token.i])
    if quoted % 2 or "-" in (token.nbor(-1).text[-1:] if token.i else ""):
        return False
    if token.pos_ in ("NOUN", "ADJ"):
        named = any(t.pos_ == "PROPN" and (t.head == token or token.head == t) and t.dep_ in ("compound", "appos")
                    for t in near)  # fmt: skip
        return not named and token.dep_ not in ("compound", "nmod") and not _is_of_term(token)
    return True


def _is_of_term(token: Token) -> bool:
    """Say whether a noun has another before it, with which it may be one expression."""
    return token.pos_ == "NOUN" and any(c.dep_ in ("compound", "nmod") for c in token.lefts)


def _stands(token: Token, place: str) -> bool:
    """Say whether a word stands where an entry asks for."""
    right = [c for c in token.rights if c.dep_ != "punct"]
    passive = any(c.dep_ == "auxpass" for c in token.children)
    if place == "passive":
        return token.tag_ == "VBN" and (passive or token.dep_ == "acl")
    if place == "passive-thing":
        return passive and not any(t.lower_ == "by" for t in right) and token.head == token
    if place == "object":
        return passive or any(c.dep_ == "dobj" for c in right)
    if place == "dated":
        return (passive or any(c.dep_ == "dobj" for c in right)) and any(t.ent_type_ == "DATE" for t in token.subtree)
    if place in ("in", "into"):
        return bool(right) and right[0].lower_ == place
    if place == "to":
        return any(c.dep_ == "dobj" for c in right) and not any(c.dep_ in ("ccomp", "xcomp") for c in right)
    if place == "attributive":
        return token.dep_ == "amod"
    if place == "range":
        return token.dep_ == "amod" and token.head.lemma_ in ("range", "variety", "array", "spectrum")
    if place == "kind":
        return token.dep_ in ("attr", "conj", "dobj") and not any(c.lower_ == "of" for c in right)
    if place == "to-do":
        return any(c.dep_ in ("ccomp", "xcomp") and any(x.lower_ == "to" for x in c.children) for c in right)
    if place == "object-thing":
        return any(c.dep_ == "dobj" and c.lemma_ in ("passenger", "cargo", "good", "freight", "oxygen") for c in right)
    if place == "academic":
        return any(c.lower_ in ("academic", "scientific", "interdisciplinary") for c in token.lefts)
    if place == "preverb":
        return token.head.i == token.i + 1
    if place == "region":
        return any(c.dep_ == "amod" and _REGIONS.fullmatch(c.lower_) for c in token.lefts)
    return True
