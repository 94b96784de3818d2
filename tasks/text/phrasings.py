"""Fixed phrases of encyclopedic prose said in other words: "is known for" and "is noted for", "Laos's capital".

Each rule looks at the parse of a claim and gives other words for some of its tokens; the tokens that are not named
stay. Several words of the old phrase may be told by one of the new.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from spacy.tokens import Token

from tasks.text.frames import MODAL, PAST, Frame, Moved
from tasks.text.inflection import possessive
from tasks.text.pronouns import is_person_noun

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
    return [r for r in found if r.tokens and not r.tokens & frame.held]


# --- verbs ---


def _of_verb(frame: Frame) -> Iterator[Rewording]:
    if not frame.sure:
        return
    root, verb = frame.root, frame.verb
    group = list(frame.doc[slice(*verb)])
    after = frame.doc[verb[1]] if verb[1] < frame.end else None
    if after is None or any(t.dep_ == "neg" for t in group):
        return
    first = group[0]
    plain_be = len(group) == 2 and first.lower_ in ("is", "are", "was", "were") and group[1] == root
    adverbs = {t.lower_ for t in group if t.pos_ == "ADV"}
    word, nxt = root.lower_, after.lower_
    here, then = root.i, after.i
    plural, past = frame.plural, frame.tense == PAST
    passive = any(t.dep_ == "auxpass" for t in group)
    if word == "known" and passive and adverbs <= {"also", "commonly", "formerly", "sometimes", "often", "generally"}:
        if nxt == "as" and frame.doc[then + 1].pos_ == "PROPN" and frame.doc[then + 1].lower_ not in ("a", "an"):
            yield Rewording({here: "called", then: ""})
        if nxt == "for" and not adverbs:
            yield Rewording({here: "noted"})
            yield Rewording({here: "famous"})
            yield Rewording({here: "renowned"})
    if word == "called" and passive and after.dep_ != "prep" and _names(frame, then):
        yield Rewording({here: "known as"})
    if word == "considered" and passive and not adverbs & {"widely", "best", "well"} | (adverbs & {"generally"}):
        if nxt == "to" and frame.doc[then + 1].lower_ == "be":
            yield Rewording({here: "regarded", then: "as", then + 1: ""})
            yield Rewording({here: "seen", then: "as", then + 1: ""})
        elif frame.parts and frame.parts[0].dep == "oprd" and frame.parts[0].root.pos_ in ("NOUN", "PROPN"):
            yield Rewording({here: "regarded as"})
            yield Rewording({here: "seen as"})
    if word == "regarded" and passive and nxt == "as":
        yield Rewording({here: "considered", then: ""})
        yield Rewording({here: "seen"})
    if word in ("located", "situated") and plain_be and nxt in ("in", "on", "near", "at", "along", "between", "within"):
        if not past:
            yield Rewording({first.i: "lie" if plural else "lies", here: ""})
        yield Rewording({here: "situated" if word == "located" else "located"})
    if word == "found" and plain_be and not past and nxt in ("in", "on", "throughout", "across"):
        yield Rewording({first.i: "can be"})
    if word in ("consists", "consist", "consisted") and nxt == "of":
        be = _be(past=past, plural=plural)
        yield Rewording({here: f"{be} made up"})
        yield Rewording({here: f"{be} composed"})
    if word in ("comprises", "comprise", "comprised") and not passive and len(group) == 1 and after.dep_ != "prep":
        yield Rewording(
            {here: {"comprises": "consists of", "comprise": "consist of", "comprised": "consisted of"}[word]}
        )
        yield Rewording({here: f"{_be(past=past, plural=plural)} made up of"})
    if word == "composed" and plain_be and nxt == "of":
        yield Rewording({here: "made up"})
        yield Rewording({first.i: "consisted" if past else "consist" if plural else "consists", here: ""})
    if word in ("refers", "refer") and nxt == "to" and len(group) == 1:
        yield Rewording({here: "denotes" if word == "refers" else "denote", then: ""})
    if word in ("serves", "serve") and nxt == "as" and len(group) == 1:
        yield Rewording({here: "acts" if word == "serves" else "act"})
        yield Rewording({here: "functions" if word == "serves" else "function"})
    if word == "used" and passive and first.lower_ in ("is", "are") and not adverbs & {"not", "best"}:
        served = "serve" if first.lower_ == "are" else "serves"
        if nxt == "as" or (nxt == "to" and len(group) == 2):
            yield Rewording({first.i: "", here: served})
        if nxt == "in" and len(group) == 2:
            yield Rewording({first.i: "find" if first.lower_ == "are" else "finds", here: "use"})
    of_kind = any(t.lower_ in ("family", "genus", "order", "class") for t in after.children)
    if word in ("belongs", "belong") and nxt == "to" and len(group) == 1 and of_kind:
        yield Rewording({here: "are members" if plural else "is a member", then: "of"})
    if word in ("originated", "originates") and nxt == "in" and len(group) == 1 and not plural:
        yield Rewording({here: "had its origins" if past else "has its origins"})
    if word in ("received", "won") and len(group) == 1 and frame.parts[0].dep == "dobj":
        prize = frame.doc[frame.parts[0].first : frame.parts[0].end]
        if re.search(r"\b(Prize|Award|Medal)\b", prize.text) and nxt in ("the", "a", "an"):
            yield Rewording({here: "was awarded" if not plural else "were awarded"})
    if word in ("can", "may") or frame.tense == MODAL:
        yield from _of_modal(group)


def _of_modal(group: list[Token]) -> Iterator[Rewording]:
    if len(group) == 3 and [t.lower_ for t in group[:2]] == ["can", "be"] and group[2].tag_ == "VBN":
        yield Rewording({group[0].i: "may"})


def _names(frame: Frame, at: int) -> bool:
    """Say whether what follows is a name or term and no description."""
    return frame.doc[at].lower_ not in ("a", "an", "by", "in", "on", "to", "for", "upon")


def _be(*, past: bool, plural: bool) -> str:
    return ("were" if plural else "was") if past else ("are" if plural else "is")


# --- what is said of the subject ---


def _of_copula(frame: Frame) -> Iterator[Rewording]:
    if not frame.is_copula or not frame.parts:
        return
    doc, verb = frame.doc, frame.verb[0]
    said = frame.parts[0]
    root = said.root
    words = [t.lower_ for t in doc[said.first : said.first + 3]]
    if words[:2] == ["one", "of"] and said.first + 2 < frame.end:
        yield Rewording({said.first: "among", said.first + 1: ""})
    if words[:2] == ["part", "of"]:
        belong = "belonged" if frame.tense == PAST else "belong" if frame.plural else "belongs"
        yield Rewording({verb: belong, said.first: "to", said.first + 1: ""})
    if words == ["a", "member", "of"] and not frame.plural:
        belong = "belonged" if frame.tense == PAST else "belongs"
        yield Rewording({verb: belong, said.first: "to", said.first + 1: "", said.first + 2: ""})
    kinds = {"type": "kind", "kind": "type", "form": "kind"}
    if words[0] == "a" and len(words) == 3 and words[1] in kinds and words[2] == "of" and root.i == said.first + 1:
        yield Rewording({root.i: kinds[words[1]]})
    if words[:2] in (["used", "to"], ["able", "to"]) and words[0] == "able":
        yield Rewording({verb: "can", said.first: "", said.first + 1: ""})
    if words[:2] == ["famous", "for"] or words[:2] == ["notable", "for"]:
        yield Rewording({said.first: "known" if words[0] == "famous" else "noted"})


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


def _next(frame: Frame, i: int) -> str:
    return frame.doc[i].lower_ if i < frame.end else ""


def _of_adjunct(frame: Frame, token: Token) -> Iterator[Rewording]:
    word, i = token.lower_, token.i
    after = _next(frame, i + 1)
    if token.dep_ == "prep" and token.text in ("in", "during") and after in ("the", "his", "her", "its"):
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
    if i and word == "throughout" and any(c.ent_type_ in ("GPE", "LOC") for c in token.children):
        yield Rewording({i: "all over"})


def _of_quantity(frame: Frame, token: Token) -> Iterator[Rewording]:
    doc, word, i = frame.doc, token.lower_, token.i
    after, before = _next(frame, i + 1), doc[i - 1].lower_ if i else ""
    if word == "more" and after == "than" and i + 2 < frame.end and doc[i + 2].like_num:
        yield Rewording({i: "over", i + 1: ""})
    if word == "over" and token.dep_ in ("advmod", "quantmod") and doc[i + 1].like_num:
        yield Rewording({i: "more than"})
    if word in ("about", "around", "approximately", "roughly") and token.head.like_num and token.i < token.head.i:
        yield from (Rewording({i: new}) for new in ("roughly", "around", "about") if new != word)
    free = token.dep_ == "amod" and token.head.tag_ == "NNS" and i > 0 and doc[i - 1].pos_ not in ("DET", "ADV", "PRON")
    if free and word in ("many", "numerous") and before not in ("as", "so", "how"):
        yield Rewording({i: "numerous" if word == "many" else "many"})
    if free and word == "several":
        yield Rewording({i: "a number of"})


_ADVERBS_NEAR: Final = {"typically": "usually", "originally": "initially"}


def _of_adverb(token: Token) -> Iterator[Rewording]:
    word, i = token.lower_, token.i
    if token.dep_ == "advmod" and word in _ADVERBS_NEAR:
        yield Rewording({i: _ADVERBS_NEAR[word]})
    if word == "commonly" and token.head.lemma_ in ("call", "know", "use", "refer", "see", "find"):
        yield Rewording({i: "frequently" if token.head.lemma_ == "find" else "often"})


def _of_relative(frame: Frame, token: Token) -> Iterator[Rewording]:
    i, head = token.i, token.head
    if token.lower_ == "that" and token.dep_ in ("nsubj", "nsubjpass") and head.dep_ == "relcl" and i:
        noun = frame.doc[i - 1]
        if noun == head.head and noun.pos_ == "NOUN" and not _is_person(noun):
            yield Rewording({i: "which"})
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
    if name is None or noun.pos_ != "NOUN" or owner.ent_type_ in ("DATE", "TIME") or owner.lower_ in ("world", "earth"):
        return
    if any(c.i > noun.i and c.dep_ != "punct" for c in noun.children) or mark.i + 1 > noun.i:
        return
    inner = frame.doc[mark.i + 1 : noun.i]
    if any(t.pos_ in ("PROPN", "NUM") or t.tag_ == "POS" or t.lower_ == "own" or t.dep_ == "cc" for t in inner):
        return
    if noun.dep_ in ("compound", "conj", "poss") or noun.head.dep_ == "conj":
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


_RULES: Final[tuple[Callable[[Frame], Iterator[Rewording]], ...]] = (_of_verb, _of_copula, _of_words, _of_nouns)
