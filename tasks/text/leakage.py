"""Leakage probes: can the label be read off a claim or a text alone, without evidence? It should not be.

Each probe is a logistic regression, judged in balanced accuracy on pairs that it did not learn from: 0.5 is chance, up
to 0.6 is borne (sheet, section 5 and pitfall 3).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from wordfreq import zipf_frequency

_NEGATORS = "no not never none nobody nothing neither nor without cannot"
NEGATORS = frozenset(_NEGATORS.split())
FOLDS = 5

Pairs = Sequence[tuple[str, str]]  # (true, false)


def claim_pairs(rows: Iterable[Mapping[str, Any]]) -> Pairs:
    """Return the claims of rows of claim_falsification."""
    return [(row["factual_claim"][0], row["unfactual_claim"][0]) for row in rows]


def text_pairs(rows: Iterable[Mapping[str, Any]]) -> Pairs:
    """Return the texts of rows of unfactual_text_generation."""
    return [(row["factual_text"], row["unfactual_text"]) for row in rows]


def probes(train: Mapping[str, Pairs], test: Mapping[str, Pairs]) -> dict[str, float]:
    """Return the balanced accuracy of each probe of each kind of pair, such as claim_only_words; `train` and `test`
    give the pairs (true, false) by kind. A kind with a side that is empty is left out.
    """
    found: dict[str, float] = {}
    for kind in train:
        if train[kind] and test.get(kind):
            shape = make_pipeline(FunctionTransformer(_shapes), StandardScaler())
            found[f"{kind}_words"] = words_alone(train[kind], test[kind])
            found[f"{kind}_shape"] = _accuracy(test[kind], _told(shape, train[kind], test[kind]))
    return found


def words_alone(train: Pairs, test: Pairs) -> float:
    """Return the balanced accuracy on `test` of what the words of `train` tell; half where one of them is empty."""
    return _accuracy(test, _told(_words(), train, test)) if train and test else 0.5


def words_alone_by_group(pairs: Pairs, groups: Sequence[str]) -> float:
    """Return the same over all pairs, cross-validated: those of a group, one for each pair, lie in one fold.

    Half where there are too few groups. Chance is a little below half: what a fold has more of, the others have less.
    """
    if len(set(groups)) < FOLDS:
        return 0.5
    told = np.zeros((len(pairs), 2), np.int64)
    for train, test in GroupKFold(FOLDS).split(pairs, groups=groups):
        told[test] = _told(_words(), [pairs[n] for n in train], [pairs[n] for n in test]).reshape(-1, 2)
    return _accuracy(pairs, told.ravel())


def _words() -> BaseEstimator:
    """Return what sees words and pairs of neighbours, there or not. One letter is a word: `a` may tell a swap."""
    return CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"(?u)\b\w+\b")


def _told(features: BaseEstimator, train: Pairs, test: Pairs) -> np.ndarray:
    """Return what is said of each text of `test` (2 * pairs,): 1 for true."""
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    told: np.ndarray = model.fit(_flat(train), _labels(train)).predict(_flat(test))
    return told


def _accuracy(pairs: Pairs, told: np.ndarray) -> float:
    return float(balanced_accuracy_score(_labels(pairs), told))


def _flat(pairs: Pairs) -> list[str]:
    return [text for pair in pairs for text in pair]


def _labels(pairs: Pairs) -> np.ndarray:
    return np.tile([1, 0], len(pairs))


def _shapes(texts: Sequence[str]) -> np.ndarray:
    """Return of each text its characters, words, negators, and its rarest and mean word frequency (Zipf scale)."""
    rows = []
    for text in texts:
        words = text.lower().split()
        zipf = [zipf_frequency(word, "en") for word in words] or [0.0]
        rows.append([len(text), len(words), sum(w in NEGATORS for w in words), min(zipf), float(np.mean(zipf))])
    return np.array(rows)
