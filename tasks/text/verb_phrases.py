"""Verbs of encyclopedic prose that are said by others: "is located in" and "lies in", "is known as" and "is called".

A table: verb with the words that follow it, where it may be put otherwise, and what is put. Verbs that are put have the
time and number of those that go.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from spacy.tokens import Token

from tasks.text.frames import MODAL, PAST, Frame
from tasks.text.inflection import be, past, present

_WHERE: Final = "in|on|near|at|along|between|within"


class Rule(NamedTuple):
    """old: a lemma, or "be" and a participle, then words that go too; ahead: what must follow, as a pattern.

    new: the same; a verb that it begins with is inflected. condition: see `_holds`.
    """

    old: str
    ahead: str
    new: tuple[str, ...]
    condition: str = ""


RULES: Final = (
    Rule("be known as", "NAME|the", ("be called",), "no praise"),
    Rule("be called", "NAME|THING", ("be known as",), "no praise"),
    Rule("be named", "NAME", ("be called",), "no praise"),
    Rule("be referred to as", ".*", ("be called", "be known as"), "no praise"),
    Rule("be known for", ".*", ("be noted for", "be famous for", "be renowned for"), "no adverb"),
    Rule("be famous for", ".*", ("be known for", "be renowned for"), "no adverb"),
    Rule("be considered to be", ".*", ("be regarded as", "be seen as")),
    Rule("be considered", "an?|the|one", ("be regarded as", "be seen as")),
    Rule("be regarded as", "an?|the|one", ("be considered", "be seen as")),
    Rule("be seen as", "an?|the|one", ("be regarded as",)),
    Rule("be located", _WHERE, ("lie", "be situated"), "present"),
    Rule("be located", _WHERE, ("be situated",), "past"),
    Rule("be situated", _WHERE, ("lie", "be located"), "present"),
    Rule("be situated", _WHERE, ("be located",), "past"),
    Rule("lie", "in|on|along", ("be located", "be situated"), "no adverb"),
    Rule("be found", "in|on|throughout|across", ("can be found",), "present no adverb"),
    Rule("consist of", ".*", ("be made up of", "be composed of"), "no adverb"),
    Rule("comprise", ".*", ("consist of", "be made up of"), "no adverb"),
    Rule("be composed of", ".*", ("be made up of", "consist of")),
    Rule("be made up of", ".*", ("consist of", "be composed of")),
    Rule("refer to", ".*", ("denote",), "present"),
    Rule("serve as", ".*", ("act as", "function as"), "present"),
    Rule("be used as", ".*", ("serve as",), "present"),
    Rule("be used", "to", ("serve",), "present no adverb"),
    Rule("be used in", ".*", ("find use in",), "present no adverb"),
    Rule("originate in", ".*", ("have its origins in",), "singular no adverb"),
    Rule("be set in", ".*", ("take place in",), "no adverb"),
    Rule("take place", "in|on|at|during|between|every|when", ("occur",)),
    Rule("occur", "in|on|at|during|between|when", ("take place",), "no adverb"),
    Rule("be named after", ".*", ("take its name from",), "singular no adverb"),
    Rule("be derived from", ".*", ("derive from", "come from")),
    Rule("derive from", ".*", ("come from",)),
    Rule("be similar to", ".*", ("resemble",), "no adverb"),
    Rule("be associated with", ".*", ("be linked to",)),
    Rule("lead to", ".*", ("result in",), "no person"),
    Rule("result in", ".*", ("lead to",), "no person"),
    Rule("make up", ".*", ("constitute",), "no person"),
    Rule("constitute", ".*", ("make up",), "no adverb"),
    Rule("cover an area of", ".*", ("have an area of",)),
    Rule("have an area of", ".*", ("cover an area of",)),
    Rule("date back to", ".*", ("date from",), "no adverb"),
    Rule("live in", "(the )?[A-Z]", ("inhabit",), "plural no adverb present"),
    Rule("inhabit", ".*", ("live in",), "no adverb"),
    Rule("receive", "(the|a|an) .*(Prize|Award|Medal)", ("be awarded",), "no adverb past"),
    Rule("win", "(the|a|an) .*(Prize|Award|Medal)", ("be awarded",), "no adverb past"),
    Rule(
        "be one of",
        "(the|its|his|her)(?! (two|three|four|five|six|seven|eight|nine|ten|\\d))(?!.* and (a|an|the) )",
        ("be among",),
    ),
    Rule("be part of", ".*", ("belong to",), "no adverb"),
    Rule("be a part of", ".*", ("belong to",), "no adverb"),
    Rule("be a member of", ".*", ("belong to",), "no adverb"),
    Rule("belong to", "the (\\w+ )?(family|genus|order|class|subfamily)", ("be part of",), "no adverb"),
    Rule("be the study of", ".*", ("study",), "singular no adverb"),
    Rule("be able to", ".*", ("can",), "present no adverb"),
    Rule("be a type of", ".*", ("be a kind of",)),
    Rule("be a kind of", ".*", ("be a type of", "be a sort of")),
    Rule("be a form of", ".*", ("be a kind of",)),
)
# adverbs that would not stand with what is put
_PRAISE: Final = frozenset({"best", "better", "well", "only", "most", "not", "never"})


def verb_phrases(frame: Frame) -> Iterator[Mapping[int, str]]:
    """Yield other words for the verb of a claim and those after it, each by its token."""
    if not frame.sure or any(t.dep_ == "neg" for t in frame.doc[slice(*frame.verb)]):
        return
    group = [t for t in frame.doc[slice(*frame.verb)] if t.pos_ not in ("ADV",) and t.dep_ != "advmod"]
    for rule in RULES:
        tokens = _matched(frame, group, rule.old.split())
        if tokens and _holds(frame, rule.condition) and _is_ahead(frame, tokens[-1] + 1, rule.ahead):
            for new in rule.new:
                texts = _put(frame, tokens, rule.old.split(), new.split())
                if texts is not None:
                    yield texts


def _matched(frame: Frame, group: list[Token], old: list[str]) -> list[int]:
    """Return the tokens that the words of a rule are, the verbs of the group and what directly follows."""
    doc = frame.doc
    if old[0] == "be" and group[0].lower_ not in ("is", "are", "was", "were"):
        return []
    if old[0] != "be" and (len(group) != 1 or group[0].lemma_.lower() != old[0] or group[0].dep_ != "ROOT"):
        return []
    found = [t.i for t in group]
    after = frame.verb[1]
    while len(found) < len(old) and after < frame.end:
        found.append(after)
        after += 1
    if len(found) != len(old) or any(doc[i].lower_ != word for i, word in zip(found[1:], old[1:], strict=True)):
        return []
    return found


def _holds(frame: Frame, condition: str) -> bool:
    adverbs = {t.lower_ for t in frame.doc[slice(*frame.verb)] if t.pos_ == "ADV" or t.dep_ == "advmod"}
    named = frame.subject_head.ent_type_ in ("PERSON", "NORP")
    told = {
        "no adverb": not adverbs,
        "no praise": not adverbs & _PRAISE,
        "present": frame.tense != PAST,
        "past": frame.tense == PAST,
        "singular": not frame.plural,
        "plural": frame.plural,
        "no person": not named and not adverbs,
    }
    return frame.tense != MODAL and all(held for name, held in told.items() if name in condition)


def _is_ahead(frame: Frame, at: int, pattern: str) -> bool:
    if at >= frame.end:
        return False
    first = frame.doc[at]
    if pattern.startswith("NAME"):
        names = first.pos_ == "PROPN" or first.is_quote
        return names or (pattern.endswith("the") and first.lower_ == "the") or (
            pattern.endswith("THING") and first.pos_ in ("NOUN", "ADJ")
        )  # fmt: skip
    words = " ".join(t.text for t in frame.doc[at : frame.end])
    return re.match(rf"(?:{pattern})(?:\b|$)", words) is not None


def _put(frame: Frame, tokens: list[int], old: list[str], new: list[str]) -> dict[int, str] | None:
    texts = dict.fromkeys(tokens, "")
    if old[0] == new[0] == "be":  # it stays, so that adverbs after it do
        del texts[tokens[0]]
        texts[tokens[1]] = " ".join(new[1:])
        return texts
    verb = _finite(new[0], frame)
    # a verb that takes the place of "be" and a participle stands where the participle did: "often serves"
    place = tokens[1] if old[0] == "be" and tokens[1] < frame.verb[1] else tokens[0]
    texts[place] = " ".join([verb, *new[1:]]) if verb else ""
    return texts if verb else None


def _finite(lemma: str, frame: Frame) -> str:
    told = frame.tense == PAST
    if lemma == "can":
        return "could" if told else "can"
    if lemma == "be":
        return be(past=told, plural=frame.plural)
    return (past if told else present)(lemma, plural=frame.plural)
