"""A clause put together as claims: short ones whole, long ones by their adjuncts, coordinations by their members."""

from collections.abc import Sequence
from dataclasses import dataclass

from spacy.tokens import Doc

from tasks.text.brevity import make_bare, make_brief, make_first, make_plain
from tasks.text.coordination import alternatives
from tasks.text.phrases import (
    Phrase,
    Piece,
    render,
)
from tasks.text.predicates import Part, Predicate
from tasks.text.pronouns import Discourse, UnsafeError
from tasks.text.subjects import Subject, settled

MAX_WORDS = 15
MAX_CORES = 16  # claims of one clause by its coordinations: more are a list, not facts
_OF_ADJUNCTS = {"demonstrative", "pronoun_unresolved", "pronoun_ambiguous", "definite_object", "deictic"}


@dataclass(frozen=True)
class Draft:
    """A claim in pieces, of one clause of a sentence."""

    phrase: Phrase
    construction: str


def said(subject: Subject, predicate: Predicate, how: str, discourse: Discourse) -> list[Draft]:
    """Return one clause as claims: coordinated objects apart, and adjuncts apart where it would be too long."""
    predicate.agree(subject.plural)
    try:
        return _each(subject, predicate, how, discourse)
    except UnsafeError as unsafe:
        if unsafe.args[0] not in {"too_long", *_OF_ADJUNCTS} or predicate.is_narrow:
            raise
        reason = unsafe
    while any(shorter(predicate) for shorter in (make_brief, make_plain, make_bare, make_first)):
        try:
            return _each(subject, predicate, how, discourse)
        except UnsafeError as unsafe:
            if unsafe.args[0] not in {"too_long", *_OF_ADJUNCTS}:
                raise
    raise reason


def _each(subject: Subject, predicate: Predicate, how: str, discourse: Discourse) -> list[Draft]:
    """Return a claim for each member of what is coordinated, and for each adjunct where there are several."""
    parts = [p for p in predicate.parts if not p.drops]
    apart = [p for p in parts if predicate.is_apart(p)]
    drafts: list[Draft] = []
    failures: list[UnsafeError] = []

    def tried(phrases: Sequence[Part], label: str) -> bool:
        try:
            draft = drafted(subject, phrases, label, predicate, discourse)
            if not fits(draft, predicate):
                raise UnsafeError("too_long")
        except UnsafeError as unsafe:
            failures.append(unsafe)
            return False
        drafts.append(draft)
        return True

    cores = _cores(predicate, [p for p in parts if p not in apart])
    label = how if len(cores) == 1 else "object_coordination"
    each = [alternatives(a, predicate.head) if predicate.may_split else [a] for a in apart]
    several = sum(len(found) for found in each) > 1 and predicate.can_lose_adjuncts
    if not several:
        for core in cores:
            tried(_in_order([*core, *apart], parts), label)
        if drafts or not apart or not predicate.can_lose_adjuncts:
            return _done(drafts, failures)
    elif len(cores) > 1:
        for core in cores:
            tried(core, label)
    whole = [p for p in parts if p not in apart]
    for found in each:
        for one in found:
            name = how if len(found) == 1 else "object_coordination"
            if not tried(_in_order([*whole, one], parts), name):
                for core in cores if len(cores) > 1 else []:
                    tried(_in_order([*core, one], parts), name)
    if not drafts:
        for core in cores:
            tried(core, label)
    return _done([d for k, d in enumerate(drafts) if not _is_within(d, drafts[:k])], failures)


def _done(drafts: list[Draft], failures: Sequence[UnsafeError]) -> list[Draft]:
    if not drafts:
        raise failures[0]
    return drafts


def _in_order(chosen: Sequence[Part], parts: Sequence[Part]) -> list[Part]:
    """Return parts in the order of the clause."""
    place = {p.root: k for k, p in enumerate(parts)}
    return sorted(chosen, key=lambda p: place[p.root])


def _cores(predicate: Predicate, core: list[Part]) -> list[list[Part]]:
    """Return what cannot be left out of a clause, once for each member of its coordinations."""
    if not predicate.may_split:
        return [core]
    cores: list[list[Part]] = [[]]
    for part in core:
        found = alternatives(part, predicate.head)
        if len(cores) * len(found) > MAX_CORES:
            found = [part]
        cores = [[*before, one] for before in cores for one in found]
    return cores


def drafted(subject: Subject, parts: Sequence[Part], how: str, predicate: Predicate, discourse: Discourse) -> Draft:
    """Return a claim of some parts. Raises UnsafeError where it says nothing, or does not stand alone."""
    doc = predicate.head.doc
    phrase: Phrase = []
    if predicate.says_nothing(parts):
        raise UnsafeError("too_short")
    for part in (p for p in parts if p.kind == "lead"):
        phrase += [*settled(part.phrase, subject, discourse, predicate.head), Piece(",")]
    phrase += subject.phrase
    if _is_open(subject.phrase, doc):
        phrase.append(Piece(","))
    before = -1  # the last token said
    for part in (p for p in parts if p.kind != "lead"):
        first = min((p.first for p in part.phrase if p.first >= 0), default=-1)
        if part.comma and first >= 2 and before == first - 2:
            phrase.append(Piece(","))
        phrase += settled(part.phrase, subject, discourse, predicate.head)
        before = max(p.last for p in part.phrase)
    return Draft(phrase, how)


def fits(draft: Draft, predicate: Predicate) -> bool:
    """Say whether a claim is short enough."""
    return len(render(predicate.head.doc, draft.phrase).split()) <= MAX_WORDS


def _is_open(phrase: Phrase, doc: Doc) -> bool:
    """Say whether a phrase holds an insertion whose second comma stands behind it."""
    if not phrase or phrase[-1].last < 0 or phrase[-1].last + 1 >= len(doc) or doc[phrase[-1].last + 1].text != ",":
        return False
    commas = [k for k, p in enumerate(phrase) if p.text == ","]
    alias = len(commas) == 1 and phrase[min(commas[0] + 1, len(phrase) - 1)].text == "or"
    return len(commas) == 1 and (alias or not any(doc[p.first].dep_ == "cc" for p in phrase if p.first >= 0))


def _is_within(draft: Draft, others: Sequence[Draft]) -> bool:
    """Say whether another claim says all that this one does."""
    mine = {p.first for p in draft.phrase}
    return any(mine <= {p.first for p in other.phrase} for other in others)
