"""A copula whose noun has a modifier behind it, told with the modifier as what is said: "X, a city, lies in Laos"."""

from typing import Final

from spacy.tokens import Token

from tasks.text.frames import PAST, Frame, Word, Wording
from tasks.text.inflection import be, past, present
from tasks.text.wordlists import EVENTS

_LONGEST: Final = 10  # tokens of the noun phrase
# what lies somewhere, as a river does not
_LYING_WORDS: Final = """
    archipelago area bay borough capital castle city coast community country county desert district fortress gulf harbor
    harbour hill island islet kingdom lake locality metropolis monastery mountain municipality nation park peninsula
    plain plateau port prefecture province region republic resort sea settlement state strait suburb territory town
    township valley village volcano
    """
_LYING: Final = frozenset(_LYING_WORDS.split())
_WHERE: Final = frozenset({"in", "on", "near", "between", "off", "along", "at"})


def unfolded(wording: Wording, subject: list[Word]) -> list[Word] | None:
    """Return "X, a disease, is transmitted by mosquitoes" of "X is a disease that is transmitted by mosquitoes".

    The modifier is a relative or participial clause, "native to", or tells where a city, country or the like lies.
    """
    frame = wording.frame
    if not frame.is_copula or frame.lead[1] or len(frame.parts) != 1 or frame.parts[0].dep != "attr":
        return None
    part = frame.parts[0]
    if wording.is_touched((frame.verb[0], frame.verb[1] + 1)):
        return None
    head = part.root
    after = [c for c in head.children if c.i > head.i]
    if not after or part.end != frame.end or after[-1].right_edge.i + 1 != frame.end:
        return None
    last = after[-1]
    start = last.left_edge.i
    phrase = frame.doc[part.first : start]
    indefinite = phrase[0].lower_ in ("a", "an") or (head.tag_ == "NNS" and head.left_edge.i == head.i)
    if not indefinite or len(phrase) > _LONGEST or len(frame.doc[slice(*frame.subject)]) > 6 or start <= head.i:
        return None
    if any(t.text in (",", ";", ":", "(") or t.dep_ in ("relcl", "neg", "cc") for t in phrase):
        return None
    if any(t.text in (",", "(") for t in frame.doc[slice(*frame.subject)]):
        return None
    said = _said(wording, frame, last, start)
    if said is None or says_nothing(frame, start):
        return None
    return [*subject, *wording.put(","), *wording.words((part.first, start)), *wording.put(","), *said]


def says_nothing(frame: Frame, end: int) -> bool:
    """Say whether a copula's noun, up to `end`, stands alone and in the subject too: "a stuffed toy is a toy"."""
    noun = frame.parts[0].root
    same = any(t.lemma_.lower() == noun.lemma_.lower() for t in frame.doc[slice(*frame.subject)])
    return same and end - frame.parts[0].first <= 2


def _said(wording: Wording, frame: Frame, last: Token, start: int) -> list[Word] | None:
    was = frame.tense == PAST
    whole = wording.words((start, frame.end))
    if last.dep_ == "relcl":
        subject = next((c for c in last.children if c.dep_ in ("nsubj", "nsubjpass")), None)
        if subject is None or subject.i != start or subject.lower_ not in ("that", "which", "who"):
            return None
        return wording.words((start + 1, frame.end)) if not wording.is_touched((start, start + 1)) else None
    if last.dep_ == "acl" and last.tag_ == "VBN" and start == last.i and frame.doc[start].i + 1 < frame.end:
        happened = was or last.lemma_ in EVENTS or any(t.ent_type_ == "DATE" for t in last.subtree)
        if last.lemma_ in ("know", "call", "name", "base", "give"):
            return None
        return [*wording.put(be(past=happened, plural=frame.plural)), *whole]
    if last.dep_ == "acl" and last.tag_ == "VBG" and start == last.i:
        lemma = last.lemma_.lower()
        form = (past if was else present)(lemma, plural=frame.plural)
        if wording.is_touched((start, start + 1)) or (was and not form.endswith("ed")):
            return None
        return [Word(form, (frame.number,), start, new=True), *wording.words((start + 1, frame.end))]
    if last.lower_ == "native" and last.pos_ == "ADJ" and start == last.i:
        return [*wording.put(be(past=was, plural=frame.plural)), *whole]
    if last.dep_ == "prep" and start == last.i:
        told = _of_preposition(frame, last, was=was)
        if told:
            return [*wording.put(told[0]), *wording.words((start + told[1], frame.end))]
    where = last.dep_ == "prep" and last.lower_ in _WHERE and frame.parts[0].root.lemma_.lower() in _LYING
    if where and start == last.i and any(t.ent_type_ in ("GPE", "LOC") for t in last.subtree):
        lies = "lay" if was else "lie" if frame.plural else "lies"
        return [*wording.put(lies), *whole]
    return None


def _of_preposition(frame: Frame, last: Token, *, was: bool) -> tuple[str, int] | None:
    """Return the verb by which a preposition after a noun is told, and how many tokens it stands for."""
    plural, word = frame.plural, last.lower_
    pobj = next((c for c in last.children if c.dep_ == "pobj"), None)
    if pobj is None or any(t.dep_ in ("relcl", "advcl") for t in last.subtree):
        return None
    if word == "with" and pobj.pos_ in ("NOUN", "PROPN"):
        return ("had" if was else "have" if plural else "has"), 1
    if word in ("by", "about"):
        return be(past=was, plural=plural), 0
    if word == "in" and pobj.lower_ in ("family", "genus", "order"):
        return ("belonged to" if was else "belong to" if plural else "belongs to"), 1
    return None
