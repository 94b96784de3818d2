"""A passage made ready for the parser: what disturbs a parse and says no fact of its own is taken out beforehand.

Brackets, white space and empty correlatives go, paired dashes become commas, a semicolon ends a sentence. Every token
that is left knows its characters in the passage, so quotes are exact whatever was taken out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spacy.language import Language
from spacy.tokens import Doc, Token

_OPEN, _CLOSE = "([{", ")]}"
_DASHES = ("\u2014", "\u2013", "--")
_QUOTED = re.compile('["\u201c\u201f]([^"\u201c\u201d\u201f]*)["\u201d]')
MAX_QUOTED_WORDS = 5  # a longer quotation is what somebody said; a shorter one is a term
MAX_SENTENCE_TOKENS = 150
MAX_SENTENCE_LENGTH = 2000  # characters: a longer one is not even looked at
_CLINGING = {",", ".", ";", ":", "%"}  # no space before them, also where brackets stood between
_SPEAKER = {"i", "me", "my", "mine", "we", "us", "our", "ours", "you", "your", "yours"}


@dataclass(frozen=True)
class Unread:
    """A sentence that no claim is taken of."""

    sentence: int
    reason: str


@dataclass(frozen=True)
class Reading:
    """A passage's tokens: token k of doc is text[starts[k]:ends[k]] of it, in its sentence sentences[k]."""

    doc: Doc
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    sentences: tuple[int, ...]
    unread: tuple[Unread, ...]


@dataclass
class _Word:
    text: str
    start: int
    end: int
    first: bool = False  # of a sentence as the parser is to see it


def read(text: str, sentences: Sequence[tuple[int, int]], nlp: Language) -> Reading:
    """Return a passage ready to be parsed. Raises ValueError where a sentence is no part of the text."""
    words: list[_Word] = []
    of: list[int] = []
    unread: list[Unread] = []
    for number, (start, end) in enumerate(sentences):
        if not 0 <= start <= end <= len(text):
            raise ValueError(f"sentence {number} is ({start}, {end}) of a text of {len(text)} characters")
        short = end - start <= MAX_SENTENCE_LENGTH
        tokens = list(nlp.tokenizer(text[start:end])) if short else []
        reason = _unfit(text[start:end], tokens) if short else "long_sentence"
        if reason:
            unread.append(Unread(number, reason))
            continue
        own = [_Word(t.text, start + t.idx, start + t.idx + len(t.text)) for t in tokens]
        own = _without_correlatives(_split(_plain_dashes(_named(_joined(_without_brackets(own))))))
        words += own
        of += [number] * len(own)
    spaces = [
        i + 1 < len(words) and words[i + 1].start > w.end and words[i + 1].text not in _CLINGING
        for i, w in enumerate(words)
    ]
    doc = Doc(nlp.vocab, [w.text for w in words], spaces, sent_starts=[w.first for w in words])
    return Reading(doc, tuple(w.start for w in words), tuple(w.end for w in words), tuple(of), tuple(unread))


def _unfit(sentence: str, tokens: Sequence[Token]) -> str | None:
    """Say why a sentence states no facts, or cannot be parsed."""
    if len(tokens) > MAX_SENTENCE_TOKENS:
        return "long_sentence"
    if "?" in sentence:
        return "question"
    if any(len(quoted.split()) > MAX_QUOTED_WORDS for quoted in _QUOTED.findall(sentence)):
        return "quotation"
    if any(t.lower_ in _SPEAKER and not t.is_upper for t in tokens) or "I" in {t.text for t in tokens[:1]}:
        return "speaker"
    return None


def _without_brackets(words: list[_Word]) -> list[_Word]:
    """Take out what stands in brackets, and white space. Brackets that do not pair take out nothing but themselves."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for i, word in enumerate(words):
        if word.text in _OPEN:
            opened.append(i)
        elif word.text in _CLOSE and opened:
            closing[opened.pop()] = i
    kept, i = [], 0
    while i < len(words):
        if i in closing:
            i = closing[i]
        elif words[i].text.strip() and words[i].text not in _OPEN + _CLOSE:
            kept.append(words[i])
        i += 1
    return kept


def _joined(words: list[_Word]) -> list[_Word]:
    """Make one word of a range of numbers and of "No.", and a hyphen of an en dash in a compound.

    The parser knows these better.
    """
    kept: list[_Word] = []
    for i, word in enumerate(words):
        if word.text == "\u2013" and 0 < i < len(words) - 1 and _tight(words, i):
            if words[i - 1].text.isdigit() and words[i + 1].text.isdigit():
                kept[-1] = _Word(kept[-1].text + word.text, kept[-1].start, word.end)
                continue
            word.text = "-"
        counted = word.text == "." and i + 1 < len(words) and words[i + 1].text.isdigit()
        if counted and kept and kept[-1].text in ("No", "Nos") and kept[-1].end == word.start:
            kept[-1] = _Word(kept[-1].text + ".", kept[-1].start, word.end)  # "No. 1"
            continue
        if kept and kept[-1].text.endswith("\u2013") and len(kept[-1].text) > 1:
            kept[-1] = _Word(kept[-1].text + word.text, kept[-1].start, word.end)
        else:
            kept.append(word)
    return kept


def _named(words: list[_Word]) -> list[_Word]:
    """Make one word of a name with hyphens: "Rostov-on-Don", "Anne-Marie"."""
    kept: list[_Word] = []
    i = 0
    while i < len(words):
        end = i
        while end + 2 < len(words) and words[end + 1].text == "-" and words[end].end == words[end + 1].start:
            if words[end + 1].end != words[end + 2].start:
                break
            end += 2
        while end > i and not words[end].text[:1].isupper():
            end -= 2
        if end > i and words[i].text[:1].isupper():
            text = "".join(w.text for w in words[i : end + 1])
            kept.append(_Word(text, words[i].start, words[end].end))
            i = end + 1
            continue
        kept.append(words[i])
        i += 1
    return kept


def _plain_dashes(words: list[_Word]) -> list[_Word]:
    """Make commas of two dashes that stand about an insertion; a single one becomes a semicolon."""
    dashes = [i for i, w in enumerate(words) if w.text in _DASHES and 0 < i < len(words) - 1 and not _tight(words, i)]
    for i in dashes:
        words[i].text = "," if len(dashes) == 2 else ";"
    return words


def _tight(words: list[_Word], at: int) -> bool:
    """Say whether a dash is part of a range or a compound: an en dash with no space about it."""
    touches = words[at - 1].end == words[at].start and words[at].end == words[at + 1].start
    return touches and words[at].text != "\u2014"


def _split(words: list[_Word]) -> list[_Word]:
    """Mark where the parser is to begin a sentence: at the first word, and after a semicolon or a long colon."""
    for i, word in enumerate(words):
        after_colon = i >= 6 and words[i - 1].text == ":"
        word.first = i == 0 or words[i - 1].text == ";" or after_colon
    return words


def _without_correlatives(words: list[_Word]) -> list[_Word]:
    """Write "not only A but also B" and "A as well as B" as "A and B", which means the same."""
    low = [w.text.lower() for w in words]
    gone: set[int] = set()
    for i in range(len(words)):
        if low[i : i + 2] == ["not", "only"]:
            but = next((k for k in range(i + 2, len(words)) if low[k] == "but"), None)
            if but is not None:
                gone |= {i, i + 1}
                words[but].text = "and"
                if low[but + 1 : but + 2] == ["also"]:
                    gone.add(but + 1)
        if low[i : i + 3] == ["as", "well", "as"]:
            words[i].text, words[i].end = "and", words[i + 2].end
            gone |= {i + 1, i + 2}
    kept = [w for i, w in enumerate(words) if i not in gone]
    if kept and words[0].first:
        kept[0].first = True
    return kept
