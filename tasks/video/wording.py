"""Words of questions: when two values mean the same, ordinals, articles, and what a question must not tell.

Values are compared without case, articles, spelling variants and ways to write a number, so that no two options of a
question are the same thing said twice.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache


def vocabulary(words: str) -> frozenset[str]:
    """Return words that stand with blanks between them."""
    return frozenset(words.split())


_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: str(number) for number, word in enumerate(_UNITS)}
_NUMBERS |= {word: str(10 * number) for number, word in enumerate(_TENS) if word} | {"no": "0", "none": "0"}
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS |= {"twelve": "twelfth"}
_SPELLINGS = {"gray": "grey", "color": "colour", "colored": "coloured", "centre": "center", "colorful": "colourful"}
_FILLERS = frozenset({"a", "an", "the", "is", "are", "it", "to", "of", "its"})
_STOP = _FILLERS | vocabulary(
    "and or in on at by for from with as be been being do does did has have had was were there this that these those "
    "which what who how where when while then than they them their he she his her one not can"
)
_IMPLIED = {  # what a value implies, or what may be said in its stead
    **{"collides": ("moves",), "rotates": ("moves",), "blinks": ("appears", "disappears"), "spinning": ("rotating",)},
    **{"changes colour": ("changes",), "flickers": ("blinks",)},
}
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")

# What would tell when or where the needle is, or that captions were read. Rows and columns of a grid are no secret.
_TIME = re.compile(
    r"\b\d+\s*:\s*\d\d\b|\b\d+(?:\.\d+)?\s*(?:s|secs?|seconds?|ms|mins?|minutes?|hours?|frames?)\b"
    r"|\btime-?(?:stamp|code)s?\b|\b(?:second|minute|frame)\s+\d+|\b(?:half-?way|midway)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:top|bottom|upper|lower)[\s-]+(?:left|right|half|third|part|edge|corner)|\bcorner\b"
    r"|\b(?:left|right)[\s-]+(?:side|half|edge|hand)",
    re.IGNORECASE,
)
_CAPTION = re.compile(r"\b(?:captions?|captioned|descriptions?|(?:sub)?titles? say)\b", re.IGNORECASE)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, spelt one way, with numbers as digits."""
    found = [word.replace("\u2019", "'") for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower())]
    return [_NUMBERS.get(word, _SPELLINGS.get(word, word)) for word in found]


def content_words(text: str) -> list[str]:
    """Return the words of a text that carry meaning."""
    return [word for word in words_of(text) if word not in _STOP]


@lru_cache(maxsize=1 << 16)
def normalised(value: str) -> str:
    """Return what two values that mean the same have in common: words in order, without articles.

    A value without words (a sign such as "+") is itself.
    """
    words = [word for word in words_of(value) if word not in _FILLERS] or words_of(value)
    return " ".join(words) or value.strip().casefold()


@lru_cache(maxsize=1 << 16)
def clashes(one: str, other: str) -> bool:
    """Say whether two values may both be right: they mean the same, or one says the other more exactly ("dark red")."""
    first, second = normalised(one).split(), normalised(other).split()
    return set(first) <= set(second) or set(second) <= set(first)


def holds_too(value: str, true: str) -> bool:
    """Say whether a value is, or may be said to be, right where another one is: what collides also moves."""
    return clashes(value, true) or normalised(value) in _IMPLIED.get(normalised(true), ())


def may_be(one: str, other: str) -> bool:
    """Say whether two noun phrases may name one thing: the same noun, and one has all modifiers of the other."""
    first, second = normalised(one).split(), normalised(other).split()
    return first[-1:] == second[-1:] and (set(first) <= set(second) or set(second) <= set(first))


def ordinal(number: int) -> str:
    """Return 1 as "first", up to "ninety-ninth"."""
    if not 1 <= number <= 99:
        raise ValueError(f"no ordinal for {number}: rows and columns are counted from 1 to 99")
    tens, unit = divmod(number, 10) if number >= 20 else (0, number)
    if tens and not unit:
        return f"{_TENS[tens][:-1]}ieth"
    word = _UNITS[unit]
    last = _ORDINALS.get(word, f"{word}th")
    return f"{_TENS[tens]}-{last}" if tens else last


def cardinal(number: int) -> str:
    """Return 6 as "six", up to "ninety-nine"."""
    if not 1 <= number <= 99:
        raise ValueError(f"no word for {number}: rows and columns are counted from 1 to 99")
    tens, unit = divmod(number, 10) if number >= 20 else (0, number)
    return "-".join(word for word in (_TENS[tens], _UNITS[unit] if unit or not tens else "") if word)


def capitalised(text: str) -> str:
    """Return a text with its first letter in upper case, all else as it is."""
    return text[:1].upper() + text[1:]


def listed(phrases: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def with_article(noun: str) -> str:
    """Return "a circle", "an oval"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """Return the plural of a noun phrase's last word; what ends in s, or is one already, stays."""
    if noun.endswith(("s", "people", "men", "women", "children")):
        return noun
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("x", "ch", "sh")) else "people" if noun == "person" else f"{noun}s"


def singular(noun: str) -> str:
    """Return the singular of a regular plural."""
    if noun.endswith("people"):
        return f"{noun[:-6]}person"
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    if noun.endswith(("xes", "ches", "shes", "sses")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def tells_time(text: str) -> bool:
    """Say whether a text names a time, a frame or a moment."""
    return _TIME.search(text) is not None


def tells_place(text: str) -> bool:
    """Say whether a text names a place in the picture."""
    return _PLACE.search(text) is not None


def mentions_caption(text: str) -> bool:
    """Say whether a text speaks of captions, which who watches the video does not see."""
    return _CAPTION.search(text) is not None
