"""Fixed phrases of encyclopedic prose said in other words: "is known for" and "is noted for", "Laos's capital".

Each rule looks at the parse of a claim and gives other words for some of its tokens; the tokens that are not named
stay. Several words of the old phrase may be told by one of the new.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from spacy.tokens import Token

from tasks.text.frames import Frame, Moved
from tasks.text.inflection import possessive
from tasks.text.pronouns import is_person_noun
from tasks.text.verb_phrases import verb_phrases

REWORDED, GENITIVE = "reworded", "genitive"


@dataclass(frozen=True)
class Rewording:
    """Other words for some tokens of a claim, "" where another tells them too; or tokens in another order."""

    texts: Mapping[int, str] = field(default_factory=dict)
    moved: Mapping[int, Moved] = field(default_factory=dict)
    way: str = REWORDED

    @property
    def tokens(self) -> frozenset[int]:
        """The tokens that this changes."""
        return frozenset(self.texts) | {i for a, (b, _) in self.moved.items() for i in range(a, b + 1)}


def rewordings(frame: Frame) -> list[Rewording]:
    """Return each way to say some phrase of a claim otherwise; none changes a token that is held."""
    found = [r for rule in _RULES for r in rule(frame)]
    quotes = {i for t in frame.doc if t.is_quote and t.text not in ("'", "\u2019") for i in (t.i - 1, t.i, t.i + 1)}
    return [r for r in found if r.tokens and not r.tokens & frame.held and not (r.moved and r.tokens & quotes)]


def _of_verb(frame: Frame) -> Iterator[Rewording]:
    yield from (Rewording(texts) for texts in verb_phrases(frame))


# --- adjuncts and quantities ---

_AGES: Final = frozenset(
    {"century", "centuries", "period", "era", "reign", "war", "age", "decade", "millennium"}
    | {f"{decade}s" for decade in range(1700, 2030, 10)}
)


def _of_words(frame: Frame) -> Iterator[Rewording]:
    for token in frame.doc[: frame.end]:
        yield from _of_adjunct(frame, token)
        yield from _of_quantity(frame, token)
        yield from _of_adverb(token)
        yield from _of_relative(frame, token)


_DURATIONS: Final = frozenset({"day", "night", "hour", "week", "month", "year", "decade", "century"})


def _next(frame: Frame, i: int) -> str:
    return frame.doc[i].lower_ if i < frame.end else ""


def _of_adjunct(frame: Frame, token: Token) -> Iterator[Rewording]:
    word, i = token.lower_, token.i
    after = _next(frame, i + 1)
    dated = token.dep_ == "prep" and token.text in ("in", "during") and after in ("the", "his", "her", "its")
    if dated and sum(t.lower_ in ("in", "during") for t in frame.doc) == 1:
        pobj = next((c for c in token.children if c.dep_ == "pobj"), None)
        if pobj is not None and pobj.lower_ in _AGES:
            yield Rewording({i: "during" if word == "in" else "in"})
    if token.text in ("between", "from") and i + 3 < frame.end:
        yield from _of_years(frame, i)
    if token.dep_ == "prep" and (word, after) == ("due", "to"):
        yield Rewording({i: "because", i + 1: "of"})
    if (word, after) == ("because", "of"):
        yield Rewording({i: "owing", i + 1: "to"})
    if (word, after) == ("along", "with"):
        yield Rewording({i: "together"})
    if (word, after) == ("such", "as") and token.head.dep_ == "prep" and _next(frame, i - 1) != ",":
        yield Rewording({i: "like", i + 1: ""})
    if (word, after, _next(frame, i + 2)) == ("in", "order", "to") and i:
        yield Rewording({i: "", i + 1: ""})
    if word == "including" and any(c.dep_ == "pobj" for c in token.children) and i and _next(frame, i - 1) != ",":
        yield Rewording({i: "such as"})
    world = (after, _next(frame, i + 2)) == ("the", "world") and i + 3 == frame.end
    if world and word in ("in", "throughout", "around", "across"):
        yield Rewording({i: "worldwide", i + 1: "", i + 2: ""})
    if i and word == "throughout" and any(c.ent_type_ in ("GPE", "LOC") for c in token.children):
        yield Rewording({i: "all over"})


def _of_quantity(frame: Frame, token: Token) -> Iterator[Rewording]:
    doc, word, i = frame.doc, token.lower_, token.i
    after, before = _next(frame, i + 1), doc[i - 1].lower_ if i else ""
    if word == "more" and after == "than" and i + 2 < frame.end and doc[i + 2].like_num:
        yield Rewording({i: "over", i + 1: ""})
    lasts = i + 2 < frame.end and doc[i + 2].lemma_.lower() in _DURATIONS
    if word == "over" and token.dep_ in ("advmod", "quantmod") and doc[i + 1].like_num and not lasts:
        yield Rewording({i: "more than"})
    if word in ("about", "around") and token.dep_ == "prep" and i + 1 < frame.end and doc[i + 1].like_num:
        yield Rewording({i: "around" if word == "about" else "about"})
    if word in ("about", "around", "approximately", "roughly") and token.head.like_num and token.i < token.head.i:
        dated = token.ent_type_ == "DATE" or token.head.ent_type_ == "DATE" or re.search(r"\bB?CE?\b|AD", doc.text)
        yield from (Rewording({i: new}) for new in ("around", "about") if new != word and word != "approximately")
        if not dated:
            yield from (Rewording({i: new}) for new in ("roughly", "around", "about") if new != word)
    free = token.dep_ == "amod" and token.head.tag_ == "NNS" and i > 0 and doc[i - 1].pos_ not in ("DET", "ADV", "PRON")
    if free and word in ("many", "numerous") and before not in ("as", "so", "how"):
        yield Rewording({i: "numerous" if word == "many" else "many"})
    if free and word == "several" and before != "of":
        yield Rewording({i: "a number of"})
    if free and word == "various" and i > 1:
        yield Rewording({i: "a variety of"})
    of_many = i + 3 < frame.end and after == "variety" and doc[i + 2].lower_ == "of" and doc[i + 2].head == doc[i + 1]
    if word == "a" and of_many and any(c.tag_ == "NNS" for c in doc[i + 2].children):
        yield Rewording({i: "", i + 1: "various", i + 2: ""})


_NEAR_WORDS: Final = {
    "typically": "usually",
    "originally": "initially",
    "sometimes": "occasionally",
    "greatly": "considerably",
}


def _of_adverb(token: Token) -> Iterator[Rewording]:
    word, i = token.lower_, token.i
    if token.dep_ == "advmod" and word in _NEAR_WORDS:
        yield Rewording({i: _NEAR_WORDS[word]})
    if word == "today" and token.head.pos_ in ("VERB", "AUX") and (i == 0 or token.nbor(-1).pos_ != "ADP"):
        yield Rewording({i: "nowadays"})
    if word == "native" and token.pos_ == "ADJ" and i + 1 < len(token.doc) and token.doc[i + 1].lower_ == "to":
        yield Rewording({i: "indigenous"})
    if word == "commonly" and token.head.lemma_ in ("call", "know", "use", "refer", "see", "find"):
        yield Rewording({i: "frequently" if token.head.lemma_ == "find" else "often"})


def _of_relative(frame: Frame, token: Token) -> Iterator[Rewording]:
    i, head = token.i, token.head
    if token.lower_ == "that" and token.dep_ in ("nsubj", "nsubjpass") and head.dep_ == "relcl" and i:
        noun = frame.doc[i - 1]
        if noun == head.head and noun.pos_ == "NOUN" and not _is_person(noun):
            yield Rewording({i: "which"})
    if token.lower_ in ("located", "situated") and token.dep_ == "acl" and head.i == i - 1:
        yield Rewording({i: "situated" if token.lower_ == "located" else "located"})
    named = token.lower_ == "known" and token.dep_ == "acl" and _next(frame, i + 1) == "as" and head.i == i - 1
    if named and _next(frame, i + 2) not in ("", "a", "an", "part"):
        yield Rewording({i: "called", i + 1: ""})
    if token.lower_ == "called" and token.dep_ == "acl" and head.i == i - 1:
        yield Rewording({i: "known as"})
    if token.lower_ == "used" and token.dep_ == "acl" and _next(frame, i + 1) == "to" and head.i == i - 1:
        yield Rewording({i: "that serves" if head.tag_ == "NN" else "that serve"})


def _is_person(noun: Token) -> bool:
    return is_person_noun(noun.lemma_.lower()) or noun.lemma_.lower() in ("people", "person")


def _of_years(frame: Frame, i: int) -> Iterator[Rewording]:
    doc = frame.doc
    word = doc[i].lower_
    joint = {"between": "and", "from": "to"}[word]
    years = re.compile(r"\d{4}")
    if years.fullmatch(doc[i + 1].text) and doc[i + 2].lower_ == joint and years.fullmatch(doc[i + 3].text):
        if word == "between":
            yield Rewording({i: "from", i + 2: "to"})
        else:
            yield Rewording({i: "between", i + 2: "and"})


# --- noun phrases ---

_OWNED_WORDS: Final = """
    capital population author founder coast economy government history culture territory economy inventor creator
    parliament climate architecture king queen president ruler director composer designer discoverer inhabitants people
    surface atmosphere orbit border borders citizens
    """
# with these an owner makes a term: "Noether's theorem"
_TERMS: Final = frozenset(
    {"theorem", "law", "disease", "equation", "effect", "constant", "principle", "paradox", "conjecture", "theory"}
    | {"syndrome", "number", "comet", "cube", "triangle", "day", "house", "cathedral", "square", "wall", "church"}
)
_OWNED: Final = frozenset(_OWNED_WORDS.split())
_DIRECTIONS: Final = {
    **{f"{d}ern": d for d in ("north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest")},
    "central": "centre",
}


def _of_nouns(frame: Frame) -> Iterator[Rewording]:
    doc = frame.doc
    for token in doc[: frame.end]:
        if token.lower_ in _OWNED and token.pos_ == "NOUN":
            yield from _owned(frame, token)
        if token.tag_ == "POS" and token.head.dep_ == "poss":
            yield from _owning(frame, token.head, token)
        if (
            token.lower_ in _DIRECTIONS
            and token.dep_ in ("amod", "compound")
            and token.head.ent_type_ in ("GPE", "LOC")
        ):
            yield from _region(frame, token)


def _name_span(head: Token) -> tuple[int, int] | None:
    """Return the tokens of a name without article, or None."""
    if head.pos_ != "PROPN" or any(c.dep_ not in ("compound", "punct") for c in head.children):
        return None
    span = head.left_edge.i, head.i + 1
    tokens = head.doc[slice(*span)]
    return span if all(t.pos_ == "PROPN" and t.text[0].isupper() for t in tokens) else None


def _owned(frame: Frame, noun: Token) -> Iterator[Rewording]:
    """Tell "the capital of Laos" as "Laos's capital"."""
    doc = frame.doc
    children = list(noun.children)
    preps = [c for c in children if c.dep_ == "prep"]
    before = [c for c in children if c.i < noun.i]
    if len(preps) != 1 or preps[0].i != noun.i + 1 or preps[0].lower_ != "of" or preps[0] is not children[-1]:
        return
    if not before or before[0].lower_ != "the" or any(c.dep_ not in ("det", "amod") for c in before):
        return
    pobj = next((c for c in preps[0].children if c.dep_ == "pobj"), None)
    name = _name_span(pobj) if pobj is not None else None
    if name is None or name[0] != preps[0].i + 1 or doc[name[1] - 1].text.endswith("s"):
        return
    first, last = before[0].i, name[1] - 1
    if last + 1 < frame.end and doc[last + 1].text in ("'s", ",", "and", "("):
        return
    told = [(i, frame.texts[i]) for i in range(*name)]
    told[-1] = (last, possessive(doc[last].text))
    told += [(i, frame.texts[i]) for i in range(first + 1, noun.i + 1)]
    yield Rewording(moved={first: (last, tuple(told))}, way=GENITIVE)


def _owning(frame: Frame, owner: Token, mark: Token) -> Iterator[Rewording]:
    """Tell "Goddard's pioneering work" as "the pioneering work of Goddard"."""
    noun = owner.head
    name = _name_span_of_owner(owner, mark)
    if name is not None and name[0] and frame.doc[name[0] - 1].lower_ in ("of", "and", "for", "in", "&"):
        return
    if name is None or noun.pos_ != "NOUN" or owner.ent_type_ in ("DATE", "TIME") or owner.lower_ in ("world", "earth"):
        return
    if any(c.i > noun.i and c.dep_ != "punct" for c in noun.children) or mark.i + 1 > noun.i:
        return
    inner = frame.doc[mark.i + 1 : noun.i]
    if any(t.pos_ in ("PROPN", "NUM") or t.tag_ == "POS" or t.lower_ == "own" or t.dep_ == "cc" for t in inner):
        return
    term = mark.i + 1 == noun.i and (noun.lemma_.lower() in _TERMS or noun.tag_ == "NNS")
    if noun.dep_ in ("compound", "conj", "poss") or noun.head.dep_ == "conj" or term:
        return
    first, last = name[0], noun.i
    told = [(-1, "the"), *((i, frame.texts[i]) for i in range(mark.i + 1, noun.i + 1)), (-1, "of")]
    told += [(i, frame.texts[i]) for i in range(*name)]
    yield Rewording(moved={first: (last, tuple(told))}, way=GENITIVE)


def _name_span_of_owner(owner: Token, mark: Token) -> tuple[int, int] | None:
    if owner.pos_ != "PROPN" or mark.i != owner.i + 1:
        return None
    span = owner.left_edge.i, owner.i + 1
    tokens = list(owner.doc[slice(*span)])
    inner = tokens[1:] if tokens[0].lower_ == "the" else tokens
    return span if inner and all(t.pos_ == "PROPN" and t.text[0].isupper() for t in inner) else None


def _region(frame: Frame, word: Token) -> Iterator[Rewording]:
    """Tell "in eastern India" as "in the east of India"."""
    name, doc = word.head, frame.doc
    inner = list(doc[word.i + 1 : name.i + 1])
    if not word.text.islower() or name.dep_ != "pobj" or name.head.lower_ not in ("in", "from", "to") or word.i == 0:
        return
    if doc[word.i - 1] != name.head or any(t.pos_ != "PROPN" or not t.text[0].isupper() for t in inner):
        return
    if any(c.dep_ == "conj" for c in name.children):
        return
    told = [(-1, "the"), (word.i, _DIRECTIONS[word.lower_]), (-1, "of"), *((t.i, t.text) for t in inner)]
    yield Rewording(moved={word.i: (name.i, tuple(told))})


_RULES: Final[tuple[Callable[[Frame], Iterator[Rewording]], ...]] = (_of_verb, _of_words, _of_nouns)
