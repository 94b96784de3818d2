"""Where a quote stands in a text: language models can quote, but they cannot count characters.

Exact first, then on normalised text with the offsets mapped back, then bounded fuzzy (rapidfuzz); else nothing.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from rapidfuzz import fuzz

MIN_SCORE = 85.0  # of 100 (indel similarity of quote and window): about one word of eight may differ
MIN_FUZZY_LENGTH = 12  # normalised characters: shorter quotes are near too much by chance
MAX_FUZZY_LENGTH = 600  # bounds the time: some milliseconds in a passage of 20,000 characters
LENGTH_BOUND = (0.75, 1.33)  # of the window found to the quote, after it was widened to whole words

_SAME = {  # single quotes and primes, double quotes, hyphens and dashes
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a`\u00b4\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u301d\u301e", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
}


@dataclass(frozen=True)
class Alignment:
    """A quote found: text[start:end]. method is exact, normalised or fuzzy; score is of 100."""

    start: int
    end: int
    method: str
    score: float


@dataclass(frozen=True)
class _Normal:
    """A text as it is compared. Its character k comes of the source's [starts[k], ends[k]), a whole cluster."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def align(quote: str, text: str, *, min_score: float = MIN_SCORE) -> Alignment | None:
    """Return where a quote stands in a text, or None.

    The span begins and ends at whole words and never parts a base character from its combining marks. Of several
    places of the same rank it is the first. Normalised means: compatibility forms (ligatures, widths), case, quotes,
    dashes, runs of white space, and invisible format characters count as the same.
    """
    found = _find(quote, text)
    if found is not None:
        return Alignment(*found, "exact", 100.0)
    wanted = _normal(quote.strip())
    whole = _normal(text)
    if not wanted.text.strip():
        return None
    found = _find_normal(wanted.text.strip(), whole)
    if found is not None:
        return Alignment(*_source(whole, *found), "normalised", 100.0)
    return _fuzzy(wanted.text.strip(), whole, min_score)


def _find(quote: str, text: str) -> tuple[int, int] | None:
    """Return the first place of a quote, as it is, between whole words."""
    if not quote.strip():
        return None
    at = text.find(quote)
    while at >= 0:
        end = at + len(quote)
        if _is_edge(text, at) and _is_edge(text, end):
            return at, end
        at = text.find(quote, at + 1)
    return None


def _find_normal(quote: str, whole: _Normal) -> tuple[int, int] | None:
    at = whole.text.find(quote)
    while at >= 0:
        end = at + len(quote)
        if all(_is_edge(whole.text, i) and not _parts_cluster(whole, i) for i in (at, end)):
            return at, end
        at = whole.text.find(quote, at + 1)
    return None


def _fuzzy(quote: str, whole: _Normal, min_score: float) -> Alignment | None:
    # a quote longer than the text would have the two change places: the text would be sought in the quote
    if not MIN_FUZZY_LENGTH <= len(quote) <= min(MAX_FUZZY_LENGTH, len(whole.text)):
        return None
    window = fuzz.partial_ratio_alignment(quote, whole.text, score_cutoff=min_score)
    if window is None or window.dest_start >= window.dest_end:
        return None
    start, end, score = _best_words(quote, whole, window.dest_start, window.dest_end)
    low, high = (bound * len(quote) for bound in LENGTH_BOUND)
    if not low <= end - start <= high or score < min_score:
        return None
    return Alignment(*_source(whole, start, end), "fuzzy", round(score, 2))


def _best_words(quote: str, whole: _Normal, start: int, end: int) -> tuple[int, int, float]:
    """Return the run of whole words about a window that is most like the quote, the shortest of equals."""
    first, last = _edges(whole, start), _edges(whole, end)
    spans = [(a, b) for a in first for b in last if a < b and not (whole.text[a] == " " or whole.text[b - 1] == " ")]
    scored = [(fuzz.ratio(quote, whole.text[a:b]), a - b, -a) for a, b in spans]
    if not scored:
        return start, start, 0.0
    score, length, at = max(scored)
    return -at, -at - length, score


def _edges(whole: _Normal, at: int) -> list[int]:
    """Return up to three edges of words on each side of a place, and the place itself if it is one."""
    found = []
    for step in (-1, 1):
        i, count = at, 0
        while 0 <= i <= len(whole.text) and count < 4 and abs(i - at) <= MAX_FUZZY_LENGTH:
            if _is_edge(whole.text, i) and not _parts_cluster(whole, i):
                found.append(i)
                count += 1
            i += step
    return sorted(set(found))


def _source(whole: _Normal, start: int, end: int) -> tuple[int, int]:
    return whole.starts[start], whole.ends[end - 1]


def _parts_cluster(whole: _Normal, at: int) -> bool:
    return 0 < at < len(whole.starts) and whole.starts[at] == whole.starts[at - 1]


def _is_edge(text: str, at: int) -> bool:
    """Say whether no word and no cluster goes on over this place. Scripts without spaces have an edge everywhere."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if _extends(after):
        return False
    base = at - 1
    while base > 0 and _extends(text[base]):
        base -= 1
    before = text[base]
    return not (_is_word(before) and _is_word(after))


@cache
def _is_word(char: str) -> bool:
    return char.isalnum() and unicodedata.east_asian_width(char) not in "WF"


@cache
def _extends(char: str) -> bool:
    """Say whether a character belongs to the one before: combining, or decomposed to what begins with such."""
    return ord(char) >= 0x300 and (
        unicodedata.combining(unicodedata.normalize("NFKD", char)[0]) != 0
        or unicodedata.category(char) in ("Mn", "Me", "Cf")
    )


@cache
def _compared(cluster: str) -> str:
    """Return the form in which a cluster is compared: nothing for a format character."""
    plain = "".join(_SAME.get(c, c) for c in cluster if unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", plain).casefold())
    return "".join(_SAME.get(c, c) for c in folded if not "\ufe00" <= c <= "\ufe0f")


# runs that are compared as they stand, but for case; a character with a mark behind it is not of them
_PLAIN = re.compile(r"[!-_a-~]+(?: [!-_a-~]+)*(?![^\x00-\x7f])")


@lru_cache(maxsize=16)  # the quotes of one passage come one after another
def _normal(text: str) -> _Normal:
    """Return a text as it is compared."""
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for run in _PLAIN.finditer(text):
        first, last = run.span()
        _append_clusters(text, done, first, out, starts, ends)
        out.append(run[0].lower())
        starts.extend(range(first, last))
        ends.extend(range(first + 1, last + 1))
        done = last
    _append_clusters(text, done, len(text), out, starts, ends)
    return _Normal("".join(out), tuple(starts), tuple(ends))


def _append_clusters(text: str, first: int, last: int, out: list[str], starts: list[int], ends: list[int]) -> None:
    """Add what a part of a text is compared as, cluster by cluster; a run of white space is one space."""
    at = [i for i in range(first, last) if i == first or not _extends(text[i])]
    for start, end in pairwise([*at, last]):
        for char in _compared(text[start:end]):
            if char.isspace() and out and out[-1].endswith(" "):
                ends[-1] = end
                continue
            out.append(" " if char.isspace() else char)
            starts.append(start)
            ends.append(end)
