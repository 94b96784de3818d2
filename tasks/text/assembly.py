"""A clause put together as claims: short ones whole, long ones by their adjuncts, coordinations by their members."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spacy.tokens import Doc, Token

from tasks.text.phrases import (
    Phrase,
    Piece,
    conjuncts,
    cover,
    members,
    own,
    qualities,
    render,
)
from tasks.text.predicates import Part, Predicate
from tasks.text.pronouns import Discourse, UnsafeError
from tasks.text.subjects import Subject, settled
from tasks.text.wordlists import (
    COLLECTIVE,
    DISTRIBUTIVE,
    VAGUE,
)

MAX_WORDS = 15
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
        if unsafe.args[0] not in {"too_long", *_OF_ADJUNCTS} or predicate.is_narrow or not _make_brief(predicate):
            raise
        return _each(subject, predicate, how, discourse)


def _each(subject: Subject, predicate: Predicate, how: str, discourse: Discourse) -> list[Draft]:
    drafts: list[Draft] = []
    failures: list[UnsafeError] = []
    for core, label in _cores(predicate, how):
        try:
            drafts += _fitted(subject, core, label, predicate, discourse)
        except UnsafeError as unsafe:
            failures.append(unsafe)
    if not drafts:
        raise failures[0]
    return drafts


def _make_brief(predicate: Predicate) -> bool:
    """Take the clauses that say which out of indefinite nouns: what is said is less, and still so."""
    doc = predicate.head.doc
    changed = False
    for k, part in enumerate(predicate.parts):
        if part.root < 0 or part.dep not in ("attr", "dobj", "prep", "oprd"):
            continue
        inside = [doc[p.first] for p in part.phrase if p.first >= 0 and p.text == doc[p.first].text]
        gone = {
            t.i
            for t in inside
            if (t.dep_ == "relcl" or (t.dep_ == "acl" and t.tag_ != "VB"))
            and not any(c.tag_ == "TO" for c in t.children)
            and t.head in inside
            and (is_indefinite(t.head) or _is_mass(t.head))
            and not (t.head.i == part.root and any(c.lower_ in VAGUE for c in t.head.lefts))
        }
        if gone:
            predicate.parts[k] = replace(part, phrase=own(doc, cover(doc[part.root], gone | part.gone)),
                                         gone=part.gone | gone)  # fmt: skip
            changed = True
    return changed


def is_indefinite(noun: Token) -> bool:
    """Say whether a noun phrase means some thing, or a kind in the plural; a coordinated noun is as the first is."""
    while noun.dep_ == "conj" and not any(c.dep_ in ("det", "poss") for c in noun.lefts):
        noun = noun.head
    determiners = {c.lower_ for c in noun.lefts if c.dep_ in ("det", "poss", "nummod")}
    return bool(determiners & {"a", "an"}) or (noun.tag_ == "NNS" and not determiners)


def _is_mass(noun: Token) -> bool:
    return noun.tag_ == "NN" and not any(c.dep_ in ("det", "poss", "nummod") for c in noun.lefts)


def _cores(predicate: Predicate, how: str) -> list[tuple[list[Part], str]]:
    """Return the parts of a predicate, once for each member of its coordinated object."""
    whole = predicate.parts
    head = predicate.head
    if head.lemma_ in COLLECTIVE or any(c.dep_ == "neg" for c in head.children):
        return [(whole, how)]
    if any(t.lower_ in ("respectively", "together", "between", "among", "total") for t in head.subtree):
        return [(whole, how)]
    for k, part in enumerate(whole):
        noun = _coordinated(part, head)
        if noun is None:
            continue
        split = qualities(noun) if noun.pos_ == "ADJ" else members(noun, part.gone)
        if split is None:
            continue
        group = cover(noun, part.gone)
        indexes = [p.first for p in part.phrase]
        if not group or not set(group) <= set(indexes):
            continue
        before = [p for p in part.phrase if p.first < group[0]]
        after = [p for p in part.phrase if p.first > group[-1]]
        out = []
        for member in split:
            out.append(([*whole[:k], replace(part, phrase=[*before, *member, *after]), *whole[k + 1 :]],
                        "object_coordination"))  # fmt: skip
        return out
    return [(whole, how)]


def _coordinated(part: Part, head: Token) -> Token | None:
    """Return the noun of a part whose coordination may be parted."""
    if part.root < 0 or part.kind == "lead":
        return None
    doc = head.doc
    root = doc[part.root]
    if part.dep in ("dobj", "attr", "oprd"):
        return root
    if part.dep == "acomp" and root.pos_ == "ADJ" and len(conjuncts(root)) > 1:
        return root
    if part.dep == "acomp":
        root = next((c for c in root.children if c.dep_ == "prep"), root)
    if root.dep_ == "prep" and root.lower_ in DISTRIBUTIVE:
        return next((c for c in root.children if c.dep_ == "pobj"), None)
    return None


def _fitted(subject: Subject, core: list[Part], how: str, predicate: Predicate, discourse: Discourse) -> list[Draft]:
    """Return a clause as one claim if it is short enough, else with each adjunct in a claim of its own."""
    doc = predicate.head.doc

    def drafted(parts: Sequence[Part]) -> Draft:
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

    def fits(draft: Draft) -> bool:
        return len(render(doc, draft.phrase).split()) <= MAX_WORDS

    core = [p for p in core if not p.drops]
    try:
        whole = drafted(core)
        if fits(whole):
            return [whole]
        reason = "too_long"
    except UnsafeError as unsafe:
        reason = unsafe.args[0]
        if not predicate.can_lose_adjuncts or reason not in _OF_ADJUNCTS:
            raise
    adjuncts = [p for p in core if p.kind in ("lead", "adjunct")]
    soft = [p for p in core if p.kind == "soft"]
    if not adjuncts or not predicate.can_lose_adjuncts or any(p.binds for p in adjuncts):
        raise UnsafeError(reason)
    drafts = []
    for adjunct in [*adjuncts, *soft]:
        for also in (soft, []):
            try:
                draft = drafted([p for p in core if p.kind == "core" or p is adjunct or p in also])
            except UnsafeError:
                continue
            if fits(draft):
                drafts.append(draft)
                break
    drafts = [d for k, d in enumerate(drafts) if not _is_within(d, drafts[:k])]
    if not drafts:
        draft = drafted([p for p in core if p.kind in ("core", "soft")])
        if not fits(draft):
            raise UnsafeError(reason)
        drafts.append(draft)
    return drafts


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
