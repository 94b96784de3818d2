"""How alike the company of two words is: words that may stand for each other stand beside the same words.

Positive pointwise mutual information of a word and its neighbours, and the cosine between words (Bullinaria and Levy,
Behavior Research Methods 2007), counted over given texts and WordNet's glosses.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Final

import numpy as np
from scipy import sparse

from tasks.text.wordnet import Pos, WordNet

# cosines of words that may stand for each other: "city" and "town" 0.2, "element" and "segment" 0.04; antonyms of
# adjectives say so by themselves, the cosine keeps out those of other senses ("basic" and "incidental")
LEAST_ALIKE: Final[Mapping[Pos, float]] = {"n": 0.075, "a": 0.04, "v": 0.04, "r": 0.04}
REACH = 3  # words to either side, function words not counted
RAREST = 3  # a word that texts have less often is not told of
SMOOTHING = 0.75  # power of the neighbours' counts: rare neighbours tell less (Levy et al., TACL 2015)
LONGEST_FUNCTION_WORD = 2


class Contexts:
    """The neighbours of all words of some texts; made once, about 5 s for a million words."""

    def __init__(self, texts: Iterable[str], wordnet: WordNet) -> None:
        """Count over `texts` and the glosses of `wordnet`. Plurals count as their singulars."""
        self._net = wordnet
        self._ids: dict[str, int] = {}
        every = self._numbers(chain(texts, wordnet.glosses()))
        flat = every[every != _FUNCTION_WORD]
        size = len(self._ids)
        counts = sparse.csr_matrix((size, size), dtype=np.float64)
        for reach in range(1, REACH + 1):
            one, other = flat[:-reach], flat[reach:]
            both = (one >= 0) & (other >= 0)
            shape = (np.ones(both.sum()), (one[both], other[both]))
            near = sparse.csr_matrix(shape, shape=(size, size))
            counts = counts + near + near.T
        self._times = np.bincount(flat[flat >= 0], minlength=size)
        self._near = counts.tocsr()
        one, other = every[:-1], every[1:]
        both = (one >= 0) & (other >= 0)
        shape = (np.ones(both.sum()), (one[both], other[both]))
        self._after = sparse.csr_matrix(shape, shape=(size, size))
        self._rows = _normalised(self._near)
        self._cosines: dict[tuple[int, int], float] = {}

    def similarity(self, one: str, other: str) -> float:
        """Return the cosine of two words' neighbours in [0, 1]; 0 where one is too rare to say."""
        first, last = sorted(self._ids.get(self._base(word), -1) for word in (one, other))
        if first < 0 or min(self._times[first], self._times[last]) < RAREST:
            return 0.0
        if (first, last) not in self._cosines:
            self._cosines[first, last] = self._cosine(first, last)
        return self._cosines[first, last]

    def _cosine(self, first: int, last: int) -> float:
        """Return the dot product of two rows (of scipy's own, each takes 0.3 ms)."""
        (one, ours), (other, theirs) = sorted(map(self._row, (first, last)), key=lambda row: len(row[0]))
        if not len(one):
            return 0.0  # for all its neighbours are as common as chance has it
        places = np.searchsorted(other, one)
        places[places == len(other)] = 0
        products = (ours * theirs[places])[other[places] == one]
        return float(products.sum())

    def _row(self, word: int) -> tuple[np.ndarray, np.ndarray]:
        inside = slice(*self._rows.indptr[word : word + 2])
        return self._rows.indices[inside], self._rows.data[inside]

    def beside(self, one: str, other: str) -> int:
        """Return how often two words stand within `REACH` words of each other, in either order."""
        return self._count(self._near, one, other)

    def before(self, one: str, other: str) -> int:
        """Return how often the first of two words stands right before the second."""
        return self._count(self._after, one, other)

    def _count(self, counts: sparse.csr_matrix, one: str, other: str) -> int:
        first, last = (self._ids.get(self._base(word), -1) for word in (one, other))
        return int(counts[first, last]) if min(first, last) >= 0 else 0

    def _numbers(self, texts: Iterable[str]) -> np.ndarray:
        """Return the numbers of the words of all texts, each text with `REACH` times `_END` after it."""
        numbers: dict[str, int] = {}
        found: list[int] = []
        for text in texts:
            for word in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower()):
                number = numbers.get(word)
                if number is None:
                    of_base = self._ids.setdefault(self._base(word), len(self._ids)) if _tells(word) else _FUNCTION_WORD
                    number = numbers[word] = of_base
                found.append(number)
            found += [_END] * REACH
        return np.array(found, np.int64)

    def _base(self, word: str) -> str:
        return _singular(self._net, word)


def _tells(word: str) -> bool:
    return len(word) > LONGEST_FUNCTION_WORD and word not in _FUNCTION


@lru_cache(maxsize=200_000)
def _singular(net: WordNet, word: str) -> str:
    forms = net.base_forms(word, "n") if word.endswith("s") or net.has_exceptions else ()
    return forms[-1] if forms else word


def _normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the positive pointwise mutual information, rows of length 1."""
    table = counts.tocoo()
    of_word = np.asarray(counts.sum(axis=1)).ravel()
    of_neighbour = of_word**SMOOTHING
    chance = of_word[table.row] * of_neighbour[table.col] / of_neighbour.sum()
    told = np.maximum(np.log(table.data / chance), 0)
    rows = sparse.csr_matrix((told, (table.row, table.col)), shape=counts.shape)
    rows.eliminate_zeros()
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    found = (sparse.diags(1 / np.maximum(lengths, 1e-12)) @ rows).tocsr()
    found.sort_indices()
    return found


_END, _FUNCTION_WORD = -1, -2  # in the place of a word's number
_FUNCTION_WORDS = "the and for with that this from are was were has had have been not but his her its their"
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
