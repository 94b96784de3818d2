"""Text as people see it: controls and invisible characters go, what is no prose of the language is refused."""

import functools
import re
import unicodedata
from typing import Any

from tasks.tables import Reject

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Marks that turn the direction of writing, join or part without being seen. Letters of right-to-left scripts stay.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]")
_SPACES = re.compile("[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_TAGS = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|\{\{|\}\}|\[\[|\]\]|&[a-z]{2,6};|\{\||\|\}")
_MAX_CONTROL_SHARE = 0.01
_FEW_CONTROLS = 10  # are an accident in a short text
_MAX_TAGS_PER_1000 = 2
_LANGUAGE_CHARS = 2000  # that its language is judged by


def cleaned(text: str) -> str:
    """Return `text` in NFC with one kind of space and line end, without controls and invisible marks.

    Raises Reject for what holds no text, or more controls than text should.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))
    controls = len(_CONTROLS.findall(text))
    if controls > max(_FEW_CONTROLS, _MAX_CONTROL_SHARE * len(text)):
        raise Reject(
            "control_characters",
            f"{controls} of {len(text)} characters",
            "share",
            controls / len(text),
            _MAX_CONTROL_SHARE,
        )
    text = _SPACES.sub(" ", _INVISIBLE.sub("", _CONTROLS.sub("", text)))
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    if not any(character.isalpha() for character in text):
        raise Reject("empty", "no letter in it")
    return text


def one_line(text: str) -> str:
    """Return a title or credit as it is told to people: in NFC on one line, without controls and invisible marks."""
    return " ".join(_INVISIBLE.sub("", _CONTROLS.sub(" ", unicodedata.normalize("NFC", text))).split())


def check_prose(text: str, language: str, min_probability: float) -> None:
    """Raise Reject for markup, and for text of another language than `language` (ISO 639-1)."""
    tags = len(_TAGS.findall(text))
    per_1000 = 1000 * tags / max(len(text), 1000)
    if per_1000 > _MAX_TAGS_PER_1000:
        raise Reject("markup", f"{tags} tags or brackets of markup", "tags_per_1000", per_1000, _MAX_TAGS_PER_1000)
    found, probability = _identifier().classify(text[:_LANGUAGE_CHARS])
    if found != language or probability < min_probability:
        raise Reject("language", f"{found} with {probability:.2f}", "probability", float(probability), min_probability)


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
