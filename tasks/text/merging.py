"""Neighbouring claims of one subject told in one sentence: in apposition, by a relative clause, a participle, "and".

Each function takes the claims in their order and returns the words of the sentence, or None where the parse does not
allow it. Words that tell several claims say so.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from spacy.tokens import Token

from tasks.text.frames import MODAL, Frame, Word, Wording, shared
from tasks.text.inflection import be
from tasks.text.orders import among
from tasks.text.unfolding import says_nothing

_LONGEST_INSERTION: Final = 12  # tokens
_ENDS: Final = ("NOUN", "PROPN", "ADJ")


def _share(words: Sequence[Word], group: Sequence[Wording]) -> list[Word]:
    found = list(words)
    for wording in group:
        found = shared(found, wording.frame.number)
    return found


def tail(group: Sequence[Wording]) -> list[Word] | None:
    """Return what one or two claims say of their subject: "lived in Oslo and painted ships"."""
    if not group or any(not w.frame.sure or w.frame.lead[1] for w in group):
        return None
    words = [*group[0].verb, *group[0].rest]
    for before, wording in pairwise(group):
        if not _can_go_on(before.frame, wording.frame):
            return None
        words += [*wording.put("and"), *wording.verb, *wording.rest]
    return words


def _can_go_on(before: Frame, after: Frame) -> bool:
    """Say whether another verb may follow: nothing stands between that it could be taken with."""
    doc = before.doc
    inner = doc[before.verb[1] : before.end]
    if before.has_clause or any(t.dep_ in ("cc", "conj") or t.text in (",", ":", "(") for t in inner):
        return False
    if before.plural != after.plural or _verb_text(before) == _verb_text(after):
        return False
    return before.tense == after.tense or (before.is_copula and after.tense != MODAL)


def _verb_text(frame: Frame) -> str:
    return frame.doc[slice(*frame.verb)].text


def coordination(group: Sequence[Wording], subject: list[Word]) -> list[Word] | None:
    """Return "X lived in Oslo and painted ships"."""
    said = tail(group)
    if said is None or len(group) != 2:
        return None
    return [*_share(subject, group), *said]


def apposition(group: Sequence[Wording], subject: list[Word]) -> list[Word] | None:
    """Return "X, a painter, lived in Oslo" of "X was a painter" and "X lived in Oslo"."""
    first, said = group[0], tail(group[1:])
    frame = first.frame
    if said is None or not _is_kind(frame) or not _agree(group) or not _is_short_subject(frame):
        return None
    if first.is_touched(frame.verb) or (first.rest[0].new and first.rest[0].text.split()[0] not in ("a", "an", "the")):
        return None
    kind = [*first.put(","), *first.rest, *first.put(",")]
    return [*_share(subject, group), *kind, *said]


def _is_kind(frame: Frame) -> bool:
    """Say whether a claim says of its subject what kind of thing it is, shortly enough for an insertion."""
    if not frame.is_copula or frame.lead[1] or not frame.parts or frame.parts[0].dep != "attr":
        return False
    doc = frame.doc
    head = frame.parts[0].root
    span = doc[frame.verb[1] : frame.end]
    begins = doc[frame.verb[1]].lower_ in ("a", "an", "the") or (head.tag_ == "NNS" and head.left_edge == head)
    simple = all(p.dep in ("attr", "prep") for p in frame.parts) and not any(
        t.text in (",", ";", ":", "(") or t.dep_ in ("relcl", "advcl", "neg", "ccomp") for t in span
    )
    return (
        begins
        and simple
        and not says_nothing(frame, frame.end)
        and len(span) <= _LONGEST_INSERTION
        and head.pos_ in ("NOUN", "PROPN")
    )


def _agree(group: Sequence[Wording]) -> bool:
    """Say whether claims are of one time and number: an insertion has the time of what it stands in."""
    first = group[0].frame
    return all(w.frame.tense == first.tense and w.frame.plural == first.plural for w in group[1:])


def _is_short_subject(frame: Frame) -> bool:
    span = frame.doc[slice(*frame.subject)]
    return len(span) <= 8 and not any(t.text in (",", "(") or t.dep_ in ("relcl", "acl") for t in span)


def relative(group: Sequence[Wording], subject: list[Word], pronoun: str) -> list[Word] | None:
    """Return "X, which lies in Laos, has a port"."""
    first, said = group[0], tail(group[1:])
    frame = first.frame
    if said is None or not pronoun or not frame.sure or frame.lead[1] or not _is_short_subject(frame):
        return None
    inner = frame.doc[frame.verb[0] : frame.end]
    if len(inner) > _LONGEST_INSERTION or frame.has_clause or any(t.text in (",", ";", ":", "(") for t in inner):
        return None
    if any(w.frame.plural != frame.plural for w in group[1:]) or _verb_text(frame) == _verb_text(group[1].frame):
        return None
    clause = [*first.put(",", pronoun), *first.verb, *first.rest, *first.put(",")]
    return [*_share(subject, group), *clause, *said]


def kind_that(group: Sequence[Wording], subject: list[Word], pronoun: str) -> list[Word] | None:
    """Return "X is a disease that kills" of "X is a disease" and "X kills"."""
    first, said = group[0], tail(group[1:])
    frame = first.frame
    if first.is_touched((frame.verb[0], frame.verb[1] + 1)):
        return None
    if said is None or not pronoun or not _is_kind(frame) or len(frame.parts) != 1 or not _agree(group):
        return None
    head = frame.parts[0].root
    if frame.doc[frame.verb[1]].lower_ not in ("a", "an") or group[1].frame.is_copula:
        return None
    if head.i + 1 != frame.end and not _ends_in_name(frame, head):
        return None
    clause = said[:]
    joint = group[1].put("who" if pronoun == "who" else "that")
    own = _share([*first.verb, *first.rest], [])
    return [*_share(subject, group), *own, *joint, *clause]


def _ends_in_name(frame: Frame, head: Token) -> bool:
    """Say whether nothing but a name stands between a noun and what follows: "a city in Laos"."""
    after = frame.doc[head.i + 1 : frame.end]
    return len(after) >= 2 and after[0].dep_ == "prep" and after[0].head == head and all(
        t.pos_ in ("PROPN", "DET") for t in after[1:]
    )  # fmt: skip


def participle(group: Sequence[Wording], subject: list[Word]) -> list[Word] | None:
    """Return "Located in Laos, X has a port" of "X is located in Laos" and "X has a port"."""
    first, said = group[0], tail(group[1:])
    frame = first.frame
    if said is None or not frame.sure or frame.lead[1] or frame.has_clause or frame.plural != group[1].frame.plural:
        return None
    root = frame.root
    aux = [t for t in frame.doc[slice(*frame.verb)] if t.dep_ in ("aux", "auxpass")]
    if (
        first.is_touched(frame.verb)
        or root.tag_ != "VBN"
        or len(aux) != 1
        or aux[0].lemma_ != "be"
        or frame.verb[0] != aux[0].i
    ):
        return None
    after = frame.doc[frame.verb[1] : frame.end]
    if not 2 <= len(after) <= _LONGEST_INSERTION or any(t.text in (",", ";", "(") or t.dep_ == "neg" for t in after):
        return None
    if after[0].lower_ == "to" or root.i in (frame.verb[0],) or root.lemma_ in ("use", "make", "say"):
        return None
    if group[1].frame.is_copula and frame.tense != group[1].frame.tense:
        return None
    inner = [w for w in first.verb if w.at != aux[0].i]
    if any(w.text == "also" for w in inner) or inner[0].text.endswith("ly"):
        return None
    return [*inner, *first.rest, *first.put(","), *_share(subject, group), *said]


# --- lists ---


def joined(group: Sequence[Wording], subject: list[Word]) -> list[Word] | None:
    """Return "X includes A, B and C" of "X includes A", "X includes B" and "X includes C"."""
    at = _where_they_part(group)
    if at is None:
        return None
    first = group[0]
    start = first.frame.verb[0]
    head = [*_share(subject, group), *_share(first.words((start, start + at)), group)]
    return [*head, *_listed(group, at)]


def are_listed(one: Wording, other: Wording) -> bool:
    """Say whether two claims are items of one list."""
    return _where_they_part((one, other)) is not None


def joined_among(group: Sequence[Wording]) -> list[Word] | None:
    """Return "Among the symptoms of malaria are A, B and C"."""
    at = _where_they_part(group)
    if at is None or at != 1 or any(among(w) is None for w in group):
        return None
    first = group[0]
    verb = be(past=first.frame.tense == "past", plural=True)
    head = [*first.put("among"), *first.subject, *first.put(verb)]
    return [*_share(head, group), *_listed(group, at)]


def _listed(group: Sequence[Wording], at: int) -> list[Word]:
    words: list[Word] = []
    for number, wording in enumerate(group):
        frame = wording.frame
        words += wording.put("" if not number else "and" if number == len(group) - 1 else ",")
        words += wording.words((frame.verb[0] + at, frame.end))
    return words


def _where_they_part(group: Sequence[Wording]) -> int | None:
    """Return how many tokens from the verb on claims have in common, where each ends in a noun phrase of its own."""
    frames = [w.frame for w in group]
    if any(not f.sure or f.lead[1] for f in frames) or len({f.plural for f in frames}) > 1:
        return None
    said = [[t.text for t in f.doc[f.verb[0] : f.end]] for f in frames]
    most = 0
    while all(len(s) > most + 1 and s[most] == said[0][most] for s in said):
        most += 1
    for at in range(most, frames[0].verb[1] - frames[0].verb[0] - 1, -1):
        ends = [_one_phrase(f, f.verb[0] + at) for f in frames]
        if all(ends) and len({t.pos_ == "ADJ" for t in ends if t is not None}) == 1:
            return at
    return None


def _one_phrase(frame: Frame, start: int) -> Token | None:
    """Return the head of tokens from `start` to the claim's end if they are one phrase without "and"."""
    span = frame.doc[start : frame.end]
    if not len(span):
        return None
    root = span.root
    whole = root.left_edge.i == start and root.right_edge.i == frame.end - 1
    role = root.dep_ in ("attr", "dobj", "pobj", "oprd", "acomp")
    plain = not any(t.dep_ in ("cc", "conj", "relcl") or t.text in (",", ";", ":", "(") for t in span)
    return root if whole and role and plain and root.pos_ in _ENDS else None
