"""What a clause says of its subject, in parts: the verb with its arguments, and adjuncts that may be said apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spacy.tokens import Token

from tasks.text.inflection import agree
from tasks.text.phrases import Phrase, Piece, cover, is_comma_before, own
from tasks.text.pronouns import UnsafeError
from tasks.text.wordlists import (
    BINDING,
    CIRCUMSTANCES,
    COLLECTIVE,
    CONNECTIVES,
    DIRECTIONS,
    EVENTS,
    LOCATED,
    NAMING,
    NARROW,
    SEQUENCE,
    TAKEN_AS,
    WITH,
)

_CONNECTIVE_PHRASES = {
    ("for", "example"),
    ("for", "instance"),
    ("in", "addition"),
    ("in", "turn"),
    ("in", "particular"),
    ("in", "contrast"),
    ("in", "fact"),
    ("as", "such"),
    ("as", "well"),
    ("as", "a", "result"),
}


_ADDED = {"with", "including", "along", "alongside", "following", "despite", "in", "during", "after"}


@dataclass(frozen=True)
class Part:
    """Some words of a predicate. root is the token that governs them, -1 where they were put in."""

    phrase: Phrase
    root: int
    dep: str
    kind: str  # core; adjunct; lead: one before the subject; soft: one that the verb might ask for
    binds: bool = False
    comma: bool = False  # the sentence has one before it
    drops: bool = False  # it orders the sentence among others, and is said of nothing
    gone: frozenset[int] = frozenset()


@dataclass
class Predicate:
    """The parts of a predicate in order, and the token that governs them."""

    parts: list[Part]
    head: Token
    finite: int = -1  # the token that agrees with the subject
    can_lose_adjuncts: bool = True
    is_negated: bool = False  # or of few or none
    is_narrow: bool = False  # negated, or of all or none: what is said of less is not so

    def agree(self, plural: bool) -> None:
        """Give the finite verb the number of a subject."""
        doc = self.head.doc
        for k, part in enumerate(self.parts):
            new = [
                Piece(agree(p.text, doc[p.first].tag_, doc[p.first].lemma_.lower(), plural=plural), p.first, p.last)
                if p.first == self.finite and p.text == doc[p.first].text
                else p
                for p in part.phrase
            ]
            self.parts[k] = replace(part, phrase=new)

    def set_verb(self, at: int, verb: Phrase) -> None:
        """Put other words in the place of the verb."""
        for k, part in enumerate(self.parts):
            if part.root == at and part.dep == "verb":
                before = [p for p in part.phrase if p.first < at]
                after = [p for p in part.phrase if p.first > at]
                self.parts[k] = replace(part, phrase=[*verb[:-1], *before, verb[-1], *after])
        self.finite = -1

    def says_nothing(self, parts: Iterable[Part]) -> bool:
        """Say whether parts are a verb alone, which is seldom a claim and often a misparse."""
        if self.head.lemma_ == "be" or any(c.dep_ == "neg" for c in self.head.children):
            return False
        doc = self.head.doc
        words = [q for p in parts for q in p.phrase if q.first < 0 or doc[q.first].dep_ != "advmod"]
        return all(p.dep in ("verb", "aux") for p in parts) and len(words) < 3

    @property
    def may_split(self) -> bool:
        """Say whether what is coordinated in the predicate may be said of the subject one by one."""
        return self.head.lemma_ not in COLLECTIVE - {"share", "border"} and not self.is_negated

    def is_apart(self, part: Part) -> bool:
        """Say whether a part may be left out, and said in a claim of its own."""
        if part.binds or part.root < 0:
            return False
        return part.kind in ("lead", "adjunct")

    def drop_relative(self, head: Token) -> None:
        """Take out the relative pronoun."""
        gone = {c.i for c in head.children if c.tag_ in ("WDT", "WP") or c.dep_.startswith("nsubj")}
        self.parts = [p for p in self.parts if p.root not in gone]


def tense_is_past(token: Token) -> bool:
    """Say whether the finite clause that a token stands in is in the past."""
    while True:
        if token.tag_.startswith(("VB", "MD")):
            for word in (*(c for c in token.children if c.dep_ in ("aux", "auxpass")), token):
                if word.tag_ == "VBD" or (word.tag_ == "VBN" and word.dep_ == "ROOT" and _is_bare(word)):
                    return True
                if word.tag_ in ("VBZ", "VBP", "MD"):
                    return False
        if token.dep_ == "ROOT":
            return False
        token = token.head


def _is_bare(verb: Token) -> bool:
    """Say whether a participle has no auxiliary: it is a past that was tagged so."""
    return not any(c.dep_ in ("aux", "auxpass") for c in verb.children)


def predicate_of(head: Token, subject: Token | None) -> Predicate:
    """Return what a clause says. subject is its own subject if it has one. Raises UnsafeError if it cannot be told."""
    doc = head.doc
    start = subject.left_edge.i if subject is not None else head.left_edge.i
    verb = _verb_group(head)
    shared = _shared_auxiliaries(head) if subject is None else []
    parts: list[Part] = []
    stop = _end_of_parse(head)
    for child in head.children:
        if child.left_edge.i >= stop:
            continue
        if child.dep_ in ("nsubj", "nsubjpass", "csubj", "expl", "mark", "cc", "conj", "punct", "preconj", "parataxis",
                          "intj") or child.i in verb:  # fmt: skip
            continue
        if child.dep_ in ("dep", "meta") or (child.tag_ == "WRB" and head.dep_ != "relcl"):
            raise UnsafeError("parse")
        if _is_connective(child):
            continue
        if child.dep_ == "advcl" and _has_own_claim(child, head):
            continue
        if child.dep_ in ("npadvmod", "appos") and child.i > head.i and _is_afterthought(child):
            continue
        tokens = cover(child) or ([child.i] if child.text == "-" else [])
        if not tokens:
            continue
        lead = (subject is not None and child.i < start) or (subject is None and child.i < min(verb))
        comma = not lead and child.i > head.i and is_comma_before(child)
        part = Part(own(doc, tokens), child.i, child.dep_, _kind(child, head, lead), _binds(child, head), comma)
        parts.append(replace(part, drops=lead and _is_sequence(child)))
    if subject is None and head.dep_ == "conj":
        parts += _shared_leads(head)
    parts.append(Part(own(doc, sorted(verb)), head.i, "verb", "core"))
    parts.sort(key=lambda p: p.root if p.dep != "verb" else head.i)
    if shared:
        at = next(i for i, p in enumerate(parts) if p.dep == "verb")
        parts.insert(at, Part(own(doc, (t.i for t in shared)), shared[0].i, "aux", "core"))
    of = [t.lower_ for t in subject.subtree] if subject is not None else []
    narrow = any(word in NARROW for word in of)
    scarce = any(word in NARROW - {"all", "each", "every", "most"} for word in of)
    negated = any(c.dep_ == "neg" or c.lower_ in NARROW for c in head.children)
    first = shared[0] if shared else doc[min(verb, key=lambda i: (doc[i].dep_ not in ("aux", "auxpass"), i))]
    finite = first.i if first.dep_ in ("aux", "auxpass") or first == head or shared else head.i
    listed = sum(t.lower_ in DIRECTIONS for t in _of_its_own(head)) > 1  # of which to which, is not safe to tell
    paired = sum(c.dep_ == "prep" and c.i > head.i for c in head.children) > 1
    listed |= paired and any(
        t.dep_ == "conj" and t.pos_ == "ADP" for t in _of_its_own(head)
    )  # in A for B and in C for D
    return Predicate(
        merged(parts), head, finite, can_lose_adjuncts=not narrow and not negated and not listed,
        is_negated=negated or scarce, is_narrow=narrow or negated,
    )  # fmt: skip


def merged(parts: Sequence[Part]) -> list[Part]:
    """Make one part of "from A" and "to B": neither is said without the other."""
    out: list[Part] = []
    for part in parts:
        before = out[-1] if out else None
        if (
            before is not None
            and before.dep == part.dep == "prep"
            and before.phrase[0].text.lower() == "from"
            and part.phrase[0].text.lower() in ("to", "until", "till", "through", "into")
            and before.kind != "lead"
        ):
            kind = "adjunct" if before.kind == part.kind == "adjunct" else "core"
            binds = before.binds or part.binds
            out[-1] = replace(before, phrase=[*before.phrase, *part.phrase], dep="range", kind=kind, binds=binds)
        elif before is not None and before.comma and before.kind == "adjunct" and _goes_on(before, part):
            out[-1] = replace(before, phrase=[*before.phrase, *part.phrase])  # "with A as B"
        else:
            out.append(part)
    return out


def _goes_on(before: Part, part: Part) -> bool:
    """Say whether a part stands right behind another, with no comma."""
    first = min((p.first for p in part.phrase if p.first >= 0), default=-1)
    return part.dep in ("prep", "advmod") and not part.comma and first == max(p.last for p in before.phrase) + 1


def _of_its_own(head: Token) -> list[Token]:
    """Return what a verb governs but for its subject, attribute and other clauses."""
    kept = [c for c in head.children if c.dep_ not in ("nsubj", "nsubjpass", "attr", "conj", "advcl", "dobj", "acomp")]
    return [t for c in kept for t in c.subtree]


def _shared_leads(head: Token) -> list[Part]:
    """Return the adjuncts before the subject of the first of coordinated verbs: they are of all of them."""
    first = head
    while first.dep_ == "conj":
        first = first.head
    subject = next((c for c in first.children if c.dep_ in ("nsubj", "nsubjpass")), None)
    if subject is None or first.dep_ in ("relcl", "acl"):
        return []
    leads = [c for c in first.lefts if c.i < subject.left_edge.i and c.dep_ in ("prep", "npadvmod")]
    return [
        Part(own(head.doc, cover(c)), c.i, c.dep_, "lead", _binds(c, first), drops=_is_sequence(c))
        for c in leads
        if not _is_connective(c)
    ]


def _is_sequence(child: Token) -> bool:
    return any(t.lower_ in SEQUENCE for t in child.subtree)


def _is_afterthought(child: Token) -> bool:
    """Say whether a noun phrase after a comma comments on the clause: "crowned in 1804, a title he held"."""
    timed = child.ent_type_ in ("DATE", "TIME", "QUANTITY", "CARDINAL", "PERCENT", "MONEY")
    return is_comma_before(child) and not timed and any(c.dep_ == "det" for c in child.lefts)


def _end_of_parse(head: Token) -> int:
    """Return where what a copula says is followed by words that the parser could not place, else the text's end."""
    attribute = next((c for c in head.rights if c.dep_ == "attr"), None)
    lost = next((c for c in head.rights if c.dep_ == "dep"), None)
    if head.lemma_ != "be" or attribute is None or lost is None or lost.left_edge.i <= attribute.right_edge.i:
        return len(head.doc)
    return lost.left_edge.i


def _verb_group(head: Token) -> set[int]:
    """Return the verb with its auxiliaries, particles, negation and the adverbs among them."""
    group = {head.i} | {c.i for c in head.children if c.dep_ in ("aux", "auxpass", "neg", "prt")}
    first = min(group)
    for child in head.children:
        if child.dep_ != "advmod" or _is_connective(child):
            continue
        if first < child.i < head.i or (child.i == first - 1 and child.right_edge.i == child.i):
            group |= {t.i for t in child.subtree}
    return group


def _shared_auxiliaries(head: Token) -> list[Token]:
    """Return the auxiliaries that a coordinated verb has from the first one."""
    if head.dep_ != "conj" or any(c.dep_ in ("aux", "auxpass") for c in head.children):
        return []
    first = head
    while first.dep_ == "conj":
        first = first.head
    theirs = [c for c in first.children if c.dep_ in ("aux", "auxpass") and c.i < first.i]
    if any(c.dep_ == "neg" for c in first.children):
        raise UnsafeError("negated_coordination")
    by_agent = any(c.dep_ == "agent" for c in head.children)
    dated = any(t.ent_type_ == "DATE" for t in head.subtree)
    if head.tag_ == "VBD" and first.lemma_ == "be" and first.tag_ in ("VBZ", "VBP") and not dated:
        raise UnsafeError("verb_form")  # "is based on antibodies and inherited substances"
    if head.tag_ == "VBN" or (head.tag_ == "VBD" and by_agent):
        if first.lemma_ == "be" and not theirs:
            return [first]
        if any(c.dep_ == "auxpass" or c.lemma_ == "have" for c in theirs):
            return theirs
        if first.tag_ in ("VBN", "VBG") and first.dep_ in ("acl", "advcl"):
            raise UnsafeError("participle_coordination")
        if first.tag_ == "VBD" and head.lower_.endswith("ed") and not by_agent:
            return []  # the same form as the past, which it is
        raise UnsafeError("verb_form")
    if head.tag_ == "VBG":
        if any(c.lemma_ == "be" for c in theirs) and first.tag_ == "VBG":
            return theirs
        raise UnsafeError("verb_form")
    if head.tag_ == "VB" and not theirs and first.tag_ == "VBP":
        return []
    if head.tag_ == "VB" or (head.tag_ == "VBP" and any(c.tag_ == "MD" for c in theirs)):
        if any(c.tag_ == "MD" or c.lemma_ == "do" for c in theirs):
            return theirs
        raise UnsafeError("verb_form")
    return []


def _is_connective(child: Token) -> bool:
    if child.dep_ not in ("advmod", "prep", "npadvmod"):
        return False
    words = tuple(t.lower_ for t in child.subtree if not t.is_punct)
    if words == ("also",) and child.head.lemma_ in NAMING:
        return False  # "is also spelled Y": else it were spelled Y alone
    return (len(words) == 1 and words[0] in CONNECTIVES) or words in _CONNECTIVE_PHRASES


def _has_own_claim(child: Token, head: Token) -> bool:
    """Say whether an adverbial clause is said apart, or not at all, since its meaning is not the main clause's."""
    marks = {c.lower_ for c in child.children if c.dep_ == "mark"}
    if marks & {"although", "though", "whereas"} or ("while" in marks and is_comma_before(child)):
        return True
    participle = child.tag_ in ("VBG", "VBN", "VBD") and not any(
        c.dep_ in ("nsubj", "nsubjpass", "mark", "aux", "auxpass") for c in child.children
    )
    return participle and (is_comma_before(child) or child.left_edge.i == head.left_edge.i)


def _kind(child: Token, head: Token, lead: bool) -> str:
    if lead:
        return "lead"
    if child.dep_ in ("npadvmod", "advcl"):
        return "adjunct"
    if child.dep_ == "agent" and child.i > head.i:
        return "adjunct"
    if child.dep_ == "prep" and child.lower_ == "as" and child.i > head.i and not _binds(child, head):
        return "adjunct"
    if child.dep_ == "prep" and child.i > head.i and is_comma_before(child) and child.lower_ in _ADDED:
        return "adjunct"
    if child.dep_ != "prep" or child.i < head.i:
        return "core"
    if any(c.ent_type_ in ("DATE", "TIME") for c in child.children):
        return "adjunct"
    if child.lower_ not in CIRCUMSTANCES and not (child.lower_ == "with" and head.lemma_ not in WITH):
        return "core"
    first = next(
        (c for c in head.rights if c.dep_ in ("prep", "agent", "dobj", "attr", "acomp", "oprd", "xcomp")), None
    )
    if child != first:
        return "adjunct"
    places = [c for c in head.rights if c.dep_ == "prep" and c.lower_ in ("in", "at", "on", "near", "within")]
    if head.lemma_ in ("locate", "situate", "lie", "find") and len(places) > 1:
        return "adjunct"
    if head.lemma_ in LOCATED or child.lower_ not in ("in", "at", "on", "during", "after"):
        return "core"
    return "adjunct" if head.lemma_ in EVENTS else "soft"


def _binds(child: Token, head: Token) -> bool:
    words = {t.lower_ for t in child.subtree}
    if child.dep_ == "prep" and child.lower_ == "until" and tense_is_past(head):
        return False
    acted = tense_is_past(head) and any(c.dep_ == "dobj" for c in head.children)
    if child.dep_ == "prep" and child.lower_ == "as" and head.lemma_ not in TAKEN_AS and acted:
        return False
    if child.dep_ in ("prep", "advmod") and child.lower_ in BINDING:
        return child.lower_ != "as" or child.i > head.i
    if child.dep_ == "advcl":
        if child.left_edge.lower_ == "so":
            return False  # a consequence
        return not tense_is_past(head) or bool(words & {"only", "until", "unless"})
    return bool(words & {"only", "except"})
