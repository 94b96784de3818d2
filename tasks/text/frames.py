"""A claim as its parse divides it (lead, subject, verb, parts), and its words as a text may tell them.

Every word that is told knows which claims it tells and which token it was: so each claim has its span in the text, and
a word that is swapped in one of them is found again. Labels are those of spaCy's English models (ClearNLP).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from spacy.tokens import Doc, Token

from tasks.text.inflection import article
from tasks.text.wordlists import QUANTITIES

_NO_SPACE_BEFORE: Final = frozenset({",", ".", ";", ":", "%", "'s", "\u2019s", "'", "\u2019", "n't", ")", "]", "-"})
_NO_SPACE_AFTER: Final = frozenset({"(", "[", "$", "\u00a3", "\u20ac", "-"})
_OF_NAMES: Final = frozenset(  # adjectives that begin names
    {"western", "eastern", "northern", "southern", "central", "great", "greater", "new", "upper", "lower", "inner"}
    | {"outer", "old", "saint", "south", "north", "east", "west", "middle", "black", "white", "red"}
)
_ABBREVIATED: Final = frozenset({"Jr.", "Sr.", "Inc.", "Co.", "Ltd.", "St.", "Corp.", "etc.", "al."})
_FINITE_PLURAL: Final = {"are": True, "were": True, "have": True, "is": False, "was": False, "has": False}
PAST, PRESENT, MODAL = "past", "present", "modal"
Moved = tuple[int, tuple[tuple[int, str], ...]]  # the last token, and (token or -1, text) in their new order


@dataclass(frozen=True)
class Word:
    """A word of a text. at: its place in the first of its claims, -1 of one that was put in."""

    text: str
    claims: tuple[int, ...]
    at: int = -1
    spaced: bool = True  # the claim has a blank after it
    new: bool = False  # it is not what the claim has there


@dataclass(frozen=True)
class Part:
    """What the verb governs on its right: tokens [first, end), the token that heads them, its dependency."""

    first: int
    end: int
    root: Token

    @property
    def dep(self) -> str:
        """The dependency of the head."""
        return self.root.dep_


@dataclass(frozen=True)
class Frame:
    """A claim of a passage, from its number there. Ranges are of tokens; those of an unsure frame are empty.

    texts: the tokens as they stand inside a sentence. held: those that must be told as they are.
    """

    number: int
    doc: Doc
    texts: tuple[str, ...]
    held: frozenset[int] = frozenset()
    lead: tuple[int, int] = (0, 0)
    subject: tuple[int, int] = (0, 0)
    verb: tuple[int, int] = (0, 0)
    parts: tuple[Part, ...] = ()
    plural: bool = False
    tense: str = ""

    @property
    def sure(self) -> bool:
        """Say whether the parse divides the claim plainly."""
        return self.verb[1] > 0

    @cached_property
    def end(self) -> int:
        """Where the claim ends, without its full stop."""
        last = len(self.doc)
        return last - 1 if last and self.doc[last - 1].text == "." else last

    @cached_property
    def spaces(self) -> tuple[bool, ...]:
        """Whether a blank follows each token."""
        return tuple(bool(token.whitespace_) for token in self.doc)

    @cached_property
    def root(self) -> Token:
        """The main verb."""
        return next(t for t in self.doc if t.dep_ == "ROOT")

    @cached_property
    def subject_head(self) -> Token:
        """The token that heads the subject."""
        return self.doc[slice(*self.subject)].root

    @cached_property
    def key(self) -> str:
        """The subject in lower case without article: equal of claims with the same subject; "" where unsure."""
        if not self.sure or self.doc[self.subject[0]].lower_ in QUANTITIES | {"every", "no", "other"}:
            return ""  # of "some authors" others may be meant each time
        return subject_key(self.doc[slice(*self.subject)].text)

    @cached_property
    def is_copula(self) -> bool:
        """Say whether the claim says what the subject is, by a bare form of be."""
        return self.sure and self.root.lemma_ == "be" and self.verb[1] - self.verb[0] == 1 and self.tense != MODAL

    @cached_property
    def has_clause(self) -> bool:
        """Say whether a clause stands within what is said of the subject."""
        return any(
            t.dep_ in ("relcl", "advcl", "acl", "ccomp", "xcomp", "pcomp") or (t.dep_ == "conj" and t.pos_ == "VERB")
            for t in self.doc[self.verb[1] : self.end]
        )


def subject_key(text: str) -> str:
    """Return a subject so that claims with the same one are found."""
    return re.sub(r"^(?:the|an?)\s+", "", text.casefold().strip())


@dataclass(frozen=True)
class Wording:
    """A frame with other words in the place of some tokens.

    texts: what a token is told as, "" where another tells it too. moved: by the first token of a phrase, its words in
    another order. ways: how this differs from the claim.
    """

    frame: Frame
    texts: Mapping[int, str] = field(default_factory=dict)
    moved: Mapping[int, Moved] = field(default_factory=dict)
    ways: tuple[str, ...] = ()

    def words(self, span: tuple[int, int]) -> list[Word]:
        """Return the words of tokens [first, end)."""
        found: list[Word] = []
        at, end = span
        while at < end:
            if at in self.moved and self.moved[at][0] < end:
                last, told = self.moved[at]
                found += [self._word(place, text) for place, text in told]
                at = last + 1
                continue
            text = self.texts.get(at, self.frame.texts[at])
            if text:
                found.append(self._word(at, text))
            at += 1
        return found

    def _word(self, at: int, text: str) -> Word:
        spaced = self.frame.spaces[at] if at >= 0 else not text.endswith("-")
        return Word(text, (self.frame.number,), at, spaced, at >= 0 and text != self.frame.texts[at])

    def put(self, *texts: str) -> list[Word]:
        """Return words that no token has."""
        return [Word(text, (self.frame.number,)) for text in texts if text]

    def is_touched(self, span: tuple[int, int]) -> bool:
        """Say whether a token of a span is told otherwise."""
        return any(i in self.texts for i in range(*span))

    @property
    def subject(self) -> list[Word]:
        """The words of the subject."""
        return self.words(self.frame.subject)

    @property
    def verb(self) -> list[Word]:
        """The words of the verb, with its auxiliaries and the adverbs among them."""
        return self.words(self.frame.verb)

    @property
    def rest(self) -> list[Word]:
        """The words after the verb."""
        return self.words((self.frame.verb[1], self.frame.end))


def shared(words: Iterable[Word], claim: int) -> list[Word]:
    """Return words that tell one claim more."""
    return [w if claim in w.claims else replace(w, claims=(*w.claims, claim)) for w in words]


def frame_of(
    number: int,
    doc: Doc,
    known: str,
    held: frozenset[int] = frozenset(),
    is_common: Callable[[str], bool | None] = lambda word: None,
) -> Frame:
    """Return a claim divided, or unsure where the parse is not plain.

    known: the passage, which tells whether the first word has a capital inside a sentence too; where it has that word
    at the beginning of sentences alone, is_common says whether a word is a common noun, or a name (False).
    """
    texts = (_inside(doc, known, is_common), *(t.text for t in doc[1:-1]), *(_last(t.text) for t in doc[-1:] if t.i))
    bare = Frame(number, doc, texts, held)
    roots = [t for t in doc if t.dep_ == "ROOT"]
    if len(roots) != 1 or roots[0].pos_ not in ("VERB", "AUX"):
        return bare
    root = roots[0]
    subjects = [c for c in root.lefts if c.dep_ in ("nsubj", "nsubjpass")]
    others = any(c.dep_ in ("csubj", "csubjpass", "expl", "dep", "parataxis", "intj", "ccomp") for c in root.children)
    if len(subjects) != 1 or others or subjects[0].pos_ == "PRON":
        return bare
    head = subjects[0]
    subject = head.left_edge.i, head.right_edge.i + 1
    if subject[0] and doc[subject[0] - 1].text != ",":
        return bare
    verb = _verb_span(root, subject[1])
    if verb is None:
        return bare
    parts, at = [], verb[1]
    for child in root.rights:
        if child.i < verb[1] or child.dep_ == "punct":
            continue
        if child.left_edge.i < at:
            return bare
        parts.append(Part(child.left_edge.i, child.right_edge.i + 1, child))
        at = child.right_edge.i + 1
    lead = 0, max(0, subject[0] - 1)
    finite = next((t for t in doc[slice(*verb)] if t.tag_ in ("VBD", "VBZ", "VBP", "MD")), None)
    if finite is None:
        return bare
    tense = MODAL if finite.tag_ == "MD" else PAST if finite.tag_ == "VBD" else PRESENT
    return replace(
        bare, lead=lead, subject=subject, verb=verb, parts=tuple(parts), plural=_is_plural(finite, head), tense=tense
    )


def _last(text: str) -> str:
    """Return the last word of a claim without the full stop that is only there because the claim ends."""
    ends = text.endswith(".") and text.count(".") == 1 and text not in _ABBREVIATED and len(text) > 2
    return text[:-1] if ends else text


def _verb_span(root: Token, start: int) -> tuple[int, int] | None:
    """Return the verb with auxiliaries, negation, particle and the adverbs among them, if it follows the subject."""
    group = {root.i} | {c.i for c in root.children if c.dep_ in ("aux", "auxpass", "neg", "prt")}
    for child in root.children:
        if child.dep_ in ("advmod", "npadvmod") and start <= child.left_edge.i and child.right_edge.i < root.i:
            group |= set(range(child.left_edge.i, child.right_edge.i + 1))
    first, last = min(group), max(group)
    if first != start or last - first + 1 != len(group):
        return None
    return first, last + 1


def _is_plural(finite: Token, head: Token) -> bool:
    told = _FINITE_PLURAL.get(finite.lower_)
    if told is not None:
        return told
    if finite.tag_ in ("VBZ", "VBP"):
        return finite.tag_ == "VBP"
    return head.tag_ in ("NNS", "NNPS") or any(c.dep_ == "conj" for c in head.children)


def _inside(doc: Doc, known: str, is_common: Callable[[str], bool | None]) -> str:
    """Return the first word of a claim as it stands inside a sentence."""
    first = doc[0]
    text = first.text
    lower = text[:1].lower() + text[1:]
    if text == lower or text[1:] != text[1:].lower():
        return text
    after = doc[1].text if len(doc) > 1 else ""
    with_next = after and (first.lower_ in ("the", "a", "an") or after[:1].isupper())
    rest = rf"\s+{re.escape(after)}" if with_next else r"\b"
    if re.search(rf"(?<![.!?:]\s)(?<!^)(?<!\w)\b{re.escape(lower)}{rest}", known):
        return lower
    if first.lower_ == "the" and re.search(rf"[a-z,] The{rest}", known):
        return text
    common = is_common(lower)
    if common is False and not (first.tag_ == "NNS" and is_common(first.lemma_.lower())):
        return text  # "Saturn", however it is tagged
    inside = re.search(rf"[a-z,] {re.escape(text)}\b", known)
    alone = len(doc) > 1 and doc[1].pos_ != "PROPN"
    if first.lower_ in _OF_NAMES and not alone and after[:1].isupper():
        return text  # "Western Sahara"
    if (
        first.lower_ in ("the", "a", "an")
        or (alone and not inside and common)
        or (first.pos_ not in ("PROPN",) and not first.ent_type_)
    ):
        return lower
    return text


# --- laid out ---


@dataclass(frozen=True)
class Laid:
    """A text and the span [start, end) of each claim that it tells."""

    text: str
    spans: Mapping[int, tuple[int, int]]


def lay_out(sentences: Sequence[Sequence[Word]], swap: Mapping[tuple[int, int], str] | None = None) -> Laid:
    """Return sentences as one text; `swap` has for (claim, token) what is told in its place.

    A sentence begins with a capital and ends with a full stop; an article is as the word after it asks for.
    """
    text = ""
    spans: dict[int, tuple[int, int]] = {}
    for sentence in sentences:
        words = [_swapped(w, swap or {}) for w in sentence]
        words = mend_articles([w for w in words if w.text])
        only = {claim for w in words for claim in w.claims}
        text += " " if text else ""
        start, before = len(text), None
        for word in words:
            if before is not None and _is_spaced(before, word):
                text += " "
            at = len(text)
            text += word.text[:1].upper() + word.text[1:] if before is None else word.text
            for claim in word.claims:
                spans[claim] = (spans[claim][0] if claim in spans else at, len(text))
            before = word
        if not text.endswith((".", '."', ".\u201d")):
            text += "."
        if len(only) == 1:
            spans[only.pop()] = (start, len(text))
    return Laid(text, spans)


def _swapped(word: Word, swap: Mapping[tuple[int, int], str]) -> Word:
    new = swap.get((word.claims[0], word.at)) if word.claims else None
    return word if new is None else replace(word, text=new, new=True)


def _is_spaced(before: Word, word: Word) -> bool:
    if before.at >= 0 and word.at == before.at + 1 and word.claims[:1] == before.claims[:1]:
        return before.spaced
    return word.text not in _NO_SPACE_BEFORE and before.text not in _NO_SPACE_AFTER


def mend_articles(words: Sequence[Word]) -> list[Word]:
    """Return words with "a" or "an" as the word after asks for."""
    found = list(words)
    for place in range(len(found) - 1):
        word, after = found[place], found[place + 1]
        changed = after.new or not (0 <= word.at == after.at - 1 and word.claims[:1] == after.claims[:1])
        if word.text.lower() in ("a", "an") and changed and after.text[:1].isalnum():
            form = article(after.text)
            if form != word.text.lower():
                found[place] = replace(word, text=form.capitalize() if word.text[0].isupper() else form)
    return found
