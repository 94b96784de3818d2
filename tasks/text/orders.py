"""A claim told in another order of its own words: adjuncts moved, a copula turned round, "the area of X is".

Each function returns the words of the sentence, or None where the parse does not allow it.
"""

import re
from typing import Final

from tasks.text.frames import PAST, Part, Word, Wording
from tasks.text.voices import is_plural_phrase
from tasks.text.wordlists import LOCATED

_TIMES: Final = frozenset({"in", "on", "during", "since", "by", "after", "before", "between", "from", "until", "at"})
_PLACES: Final = frozenset({"in", "throughout", "across", "near"})
_LONGEST: Final = 8  # tokens of what changes place


def _is_time(part: Part) -> bool:
    if part.dep == "npadvmod":
        return part.root.ent_type_ == "DATE"
    return (
        part.dep == "prep"
        and part.root.lower_ in _TIMES
        and any(c.ent_type_ == "DATE" and c.dep_ == "pobj" for c in part.root.children)
    )


def _is_place(part: Part) -> bool:
    return (
        part.dep == "prep"
        and part.root.lower_ in _PLACES
        and any(c.ent_type_ in ("GPE", "LOC") and c.dep_ == "pobj" for c in part.root.children)
    )


def _is_short(wording: Wording, span: tuple[int, int]) -> bool:
    tokens = wording.frame.doc[slice(*span)]
    return len(tokens) <= _LONGEST and not any(
        t.dep_ in ("relcl", "acl", "advcl") or t.text in (",", "(", ";") or t.tag_ == "PRP$" for t in tokens
    )


def fronted(wording: Wording, subject: list[Word]) -> list[Word] | None:
    """Return "In 1890, X moved to Oslo" of "X moved to Oslo in 1890"."""
    frame = wording.frame
    if not frame.sure or frame.lead[1] or not frame.parts:
        return None
    part = frame.parts[-1]
    time = _is_time(part)
    place = _is_place(part) and len(frame.parts) > 1 and frame.parts[0].dep in ("dobj", "agent")
    if not (time or place) or part.end != frame.end or not _is_short(wording, (part.first, part.end)):
        return None
    if frame.root.lemma_ == "be" or (frame.root.lemma_ in LOCATED and not time) or _is_bound(frame.root.lemma_, part):
        return None
    if any(t.dep_ == "conj" and t.pos_ in ("VERB", "AUX") for t in frame.doc[frame.verb[1] : part.first]):
        return None
    said = wording.words((frame.verb[1], part.first))
    while said and said[-1].text == ",":
        said.pop()
    return [*wording.words((part.first, part.end)), *wording.put(","), *subject, *wording.verb, *said]


def _is_bound(lemma: str, part: Part) -> bool:
    """Say whether a verb asks for what it is followed by: "dates from 1890", "lasted until 1890"."""
    return lemma in ("date", "last", "range", "span", "begin", "end", "fall", "continue", "take") or (
        part.root.lower_ in ("from", "at") and lemma in ("originate", "come", "derive")
    )


def moved_back(wording: Wording, subject: list[Word]) -> list[Word] | None:
    """Return "X received the prize in 1907" of "In 1907, X received the prize"."""
    frame = wording.frame
    if not frame.sure or not frame.lead[1] or frame.has_clause or frame.root.lemma_ == "be":
        return None
    if any(t.text in (",", ";", "(") for t in frame.doc[frame.verb[1] : frame.end]):
        return None
    doc, span = frame.doc, frame.lead
    heads = [t for t in doc[slice(*span)] if t.head == frame.root]
    if len(heads) != 1 or heads[0].dep_ != "prep" or not _is_short(wording, span):
        return None
    part = Part(*span, heads[0])
    if not (_is_time(part) or _is_place(part)) or any(_is_time(p) for p in frame.parts):
        return None
    return [*subject, *wording.verb, *wording.rest, *wording.words(span)]


def turned(wording: Wording) -> list[Word] | None:
    """Return "The capital of Laos is Vientiane" of "Vientiane is the capital of Laos"."""
    frame = wording.frame
    if not frame.is_copula or frame.lead[1] or len(frame.parts) != 1 or frame.parts[0].dep != "attr":
        return None
    if wording.is_touched((frame.verb[0], frame.verb[1] + 1)):
        return None
    doc, part = frame.doc, frame.parts[0]
    head = part.root
    span = part.first, part.end
    if doc[part.first].lower_ != "the" or part.end != frame.end or len(doc[slice(*span)]) > 12:
        return None
    subject = frame.subject_head
    bare = subject.tag_ == "NN" and not any(c.dep_ in ("det", "poss", "prep") for c in subject.children)
    if frame.plural or head.tag_ != "NN" or not (subject.pos_ == "PROPN" or bare):
        return None
    told = any(c.dep_ == "relcl" or (c.dep_ == "prep" and c.lower_ in ("of", "in")) for c in head.children)
    own = {c.i for c in head.children if c.dep_ == "relcl"}
    clauses = {t.i for t in doc[slice(*span)] if t.dep_ in ("relcl", "acl", "advcl")}
    if not told or clauses - own or any(t.dep_ in ("conj", "appos") or t.text == "," for t in doc[slice(*span)]):
        return None
    if len(doc[slice(*frame.subject)]) > 5 or any(t.text == "," for t in doc[slice(*frame.subject)]):
        return None
    return [*wording.words(span), *wording.verb, *wording.subject]


_MEASURED: Final = re.compile(r"\d")


def _only_verb(wording: Wording, lemma: str) -> bool:
    """Say whether a claim is surely read and has this one verb alone, untouched, with nothing before its subject."""
    frame = wording.frame
    alone = frame.verb[1] - frame.verb[0] == 1 and not frame.lead[1]
    return alone and frame.sure and frame.root.lemma_ == lemma and not wording.is_touched(frame.verb)


def owned(wording: Wording) -> list[Word] | None:
    """Return "The total area of Antigua is 440 km2" of "Antigua has a total area of 440 km2"."""
    frame = wording.frame
    if not _only_verb(wording, "have"):
        return None
    if len(frame.parts) != 1 or frame.parts[0].dep != "dobj" or frame.plural:
        return None
    doc, part = frame.doc, frame.parts[0]
    noun = part.root
    of = next((c for c in noun.children if c.dep_ == "prep" and c.lower_ == "of"), None)
    after = [c for c in noun.children if c.i > noun.i]
    if of is None or after != [of] or doc[part.first].lower_ not in ("a", "an") or noun.tag_ != "NN":
        return None
    value = of.i + 1, part.end
    if not _MEASURED.search(doc[slice(*value)].text) or part.end != frame.end or is_plural_phrase(noun):
        return None
    be = "was" if frame.tense == PAST else "is"
    name = wording.words((part.first + 1, of.i + 1))
    return [*wording.put("the"), *name, *wording.subject, *wording.put(be), *wording.words(value)]


def among(wording: Wording) -> list[Word] | None:
    """Return "Among the symptoms of malaria is fever" of "The symptoms of malaria include fever"."""
    frame = wording.frame
    if not _only_verb(wording, "include"):
        return None
    head = frame.subject_head
    known = any(c.dep_ == "poss" or (c.dep_ == "det" and c.lower_ == "the") for c in head.lefts)
    if not frame.plural or head.tag_ != "NNS" or len(frame.parts) != 1 or frame.parts[0].dep != "dobj":
        return None
    bare = not any(c.dep_ in ("det", "poss", "nummod") for c in head.lefts)
    if not (known or (bare and any(c.dep_ in ("prep", "amod") for c in head.children))):
        return None
    thing = frame.parts[0].root
    many = is_plural_phrase(thing) or (thing.pos_ == "NUM" and thing.lower_ not in ("one", "1"))
    be = ("were" if many else "was") if frame.tense == PAST else ("are" if many else "is")
    return [*wording.put("among"), *wording.subject, *wording.put(be), *wording.rest]


def there(wording: Wording) -> list[Word] | None:
    """Return "There are pockets of speakers in Java" of "Pockets of speakers exist in Java"."""
    frame = wording.frame
    if not frame.sure or frame.root.lemma_ != "exist" or frame.verb[1] - frame.verb[0] != 1 or frame.lead[1]:
        return None
    head = frame.subject_head
    known = any(c.dep_ == "poss" or (c.dep_ == "det" and c.lower_ in ("the", "these", "this")) for c in head.lefts)
    if known or head.tag_ != "NNS" or not frame.plural or len(frame.parts) != 1 or not frame.key:
        return None
    if frame.parts[0].dep != "prep" or frame.parts[0].root.lower_ not in ("in", "on", "throughout", "across", "among"):
        return None
    return [*wording.put("there", "were" if frame.tense == PAST else "are"), *wording.subject, *wording.rest]


def inserted(wording: Wording, subject: list[Word]) -> list[Word] | None:
    """Return "The determinant, in mathematics, is a function" of "In mathematics, the determinant is a function"."""
    frame = wording.frame
    if not frame.sure or not frame.lead[1] or frame.lead[1] > 6 or not _is_short(wording, frame.lead):
        return None
    heads = [t for t in frame.doc[slice(*frame.lead)] if t.head == frame.root]
    tokens = frame.doc[slice(*frame.subject)]
    plain = len(tokens) <= 5 and not any(t.text in (",", "(") or t.dep_ in ("conj", "relcl", "prep") for t in tokens)
    if len(heads) != 1 or heads[0].dep_ not in ("prep", "advmod") or not plain:
        return None
    if heads[0].dep_ == "prep" and not any(c.dep_ == "pobj" for c in heads[0].children):
        return None
    if any(t.text in (",", ";", "(") for t in frame.doc[frame.verb[1] : frame.end]):
        return None
    if heads[0].lower_ in ("from", "of", "to", "after", "by", "at", "before"):
        return None
    if any(t.tag_ in ("VBG", "VB", "WRB") for t in frame.doc[slice(*frame.lead)]):
        return None
    comma = wording.put(",")
    return [*subject, *comma, *wording.words(frame.lead), *comma, *wording.verb, *wording.rest]
