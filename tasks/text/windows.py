"""The one window in which two texts differ, on word boundaries; and the tokens in which a false claim differs."""

import re
from dataclasses import dataclass
from typing import Final

from spacy.tokens import Doc

_ARTICLES: Final = ("a", "an")
MOST_CHANGED: Final = 0.5  # of a claim's tokens, in one run


@dataclass(frozen=True)
class Window:
    """Spans [start, end): what of the old text is replaced by what of the new one."""

    old: tuple[int, int]
    new: tuple[int, int]


def window_of(old: str, new: str) -> Window | None:
    """Return the smallest span of whole words of `old` that one of `new` replaces; None of equal texts."""
    if old == new:
        return None
    ours, theirs = _words(old), _words(new)
    first = 0
    while first < min(len(ours), len(theirs)) and ours[first].text == theirs[first].text:
        first += 1
    last = 0
    while last < min(len(ours), len(theirs)) - first and ours[-last - 1].text == theirs[-last - 1].text:
        last += 1
    found = [
        (_start(words, first, text), _end(words, len(words) - last, first))
        for words, text in ((ours, old), (theirs, new))
    ]
    window = Window(*((start, max(start, end)) for start, end in found))
    assert old[: window.old[0]] + new[slice(*window.new)] + old[window.old[1] :] == new
    return window


@dataclass(frozen=True)
class _Spot:
    text: str
    start: int
    end: int


def _words(text: str) -> list[_Spot]:
    """Return words, marks and blanks: all of a text."""
    return [_Spot(m.group(), m.start(), m.end()) for m in re.finditer(r"\w+(?:[-'\u2019]\w+)*|\s+|[^\w\s]", text)]


def _start(words: list[_Spot], first: int, text: str) -> int:
    return words[first].start if first < len(words) else len(text)


def _end(words: list[_Spot], end: int, first: int) -> int:
    return words[end - 1].end if end > first else 0


def swapped_tokens(doc: Doc, false_claim: str) -> dict[int, str] | None:
    """Return what is told for which tokens of a claim in its false form, "" where another tells them too.

    An article before them changes with them and is not told here. None where the claims are equal, or have less in
    common than they differ in (two words far apart were changed).
    """
    window = window_of(doc.text, false_claim)
    if window is None:
        return None
    (start, end), (new_start, new_end) = window.old, window.new
    if (
        doc.text[start:end].split(" ")[0].lower() in _ARTICLES
        and false_claim[new_start:new_end].split(" ")[0].lower() in _ARTICLES
    ):
        start, new_start = doc.text.index(" ", start) + 1, false_claim.index(" ", new_start) + 1
    span = doc.char_span(start, end, alignment_mode="expand")
    if span is None or start == end or len(span) > MOST_CHANGED * len(doc):
        return None
    text = doc.text[span.start_char : start] + false_claim[new_start:new_end] + doc.text[end : span.end_char]
    if span.start == 0 and not doc[0].text[:1].isupper():
        return None
    return {token.i: text if token.i == span.start else "" for token in span}
