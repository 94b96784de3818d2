"""How central a claim is to its passage: ROUGE-1 of claim and passage, and how much of the head entity it names.

LLM-Oasis (arXiv 2411.19655, section 3.2) falsifies the claim most relevant to the passage. The head entity is the title
of the page. salience = F1 of the content words that claim and passage share (clipped counts, ROUGE-1 of Lin 2004
without function words) + the share of the title's words that the claim has; in [0, 2].
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BOTTOM = 0.25  # of a passage's claims, those of the bottom quartile are not taken
_FUNCTION: Final = """
    a about after all also an and are as at be been before being both but by can could did do does during each few for
    from had has have he her hers him his how if in into is it its may might more most much must no nor not of on one or
    other our over s she should since so some such t than that the their them then there these they this those through
    to under until up upon was we were what when where which while who whom whose will with would you your
    """
_FUNCTION_WORDS: Final = frozenset(_FUNCTION.split())


@dataclass(frozen=True)
class Salience:
    """A claim's place in its passage. standing: (claims - rank) / claims, so 1 is the most central of any number."""

    rank: int  # from 0
    standing: float


def salience(claim: str, passage: str, title: str) -> float:
    """Return how central a claim is to its passage, in [0, 2]."""
    said, told, named = _content(claim), _content(passage), set(_words(title))
    shared = (said & told).total()
    rouge = 2 * shared / (said.total() + told.total()) if shared else 0.0
    covered = len(named & set(_words(claim))) / len(named) if named else 0.0
    return rouge + covered


def ranked(claims: Sequence[str], passage: str, title: str) -> tuple[Salience, ...]:
    """Return the salience of each claim, in their order. Of equals the one that comes first in the text is above."""
    scores = [salience(claim, passage, title) for claim in claims]
    order = sorted(range(len(claims)), key=lambda n: (-scores[n], n))
    ranks = {n: rank for rank, n in enumerate(order)}
    return tuple(Salience(ranks[n], (len(claims) - ranks[n]) / len(claims)) for n in range(len(claims)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _content(text: str) -> Counter[str]:
    return Counter(word for word in _words(text) if word not in _FUNCTION_WORDS)
