"""Leakage probes: can the label be read off a claim or a text alone, without evidence? It should not be.

Each probe is a logistic regression that learns on the train split and is judged on the test split, in balanced
accuracy: 0.5 is chance, up to 0.6 is borne (sheet, section 5 and pitfall 3).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from wordfreq import zipf_frequency

_NEGATORS = "no not never none nobody nothing neither nor without cannot"
NEGATORS = frozenset(_NEGATORS.split())

Pairs = Sequence[tuple[str, str]]  # (true, false)


def probes(train: Mapping[str, Pairs], test: Mapping[str, Pairs]) -> dict[str, float]:
    """Return the balanced accuracy of each probe of each kind of pair, such as claim_only_words; `train` and `test`
    give the pairs (true, false) by kind. A kind with a side that is empty is left out.
    """
    found: dict[str, float] = {}
    for kind in train:
        if train[kind] and test.get(kind):
            labels, judged = _labels(train[kind]), _labels(test[kind])
            ours, theirs = _flat(train[kind]), _flat(test[kind])
            counter = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"(?u)\b\w+\b")
            words = _judged(counter.fit_transform(ours), labels, counter.transform(theirs), judged)
            scaler = StandardScaler()
            shape = _judged(scaler.fit_transform(_shapes(ours)), labels, scaler.transform(_shapes(theirs)), judged)
            found |= {f"{kind}_words": words, f"{kind}_shape": shape}
    return found


def _flat(pairs: Pairs) -> list[str]:
    return [text for pair in pairs for text in pair]


def _labels(pairs: Pairs) -> np.ndarray:
    return np.tile([1, 0], len(pairs))


def _judged(ours: sparse.spmatrix, labels: np.ndarray, theirs: sparse.spmatrix, judged: np.ndarray) -> float:
    model = LogisticRegression(max_iter=1000).fit(ours, labels)
    return float(balanced_accuracy_score(judged, model.predict(theirs)))


def _shapes(texts: Sequence[str]) -> np.ndarray:
    """Return of each text its characters, words, negators, and its rarest and mean word frequency (Zipf scale)."""
    rows = []
    for text in texts:
        words = text.lower().split()
        zipf = [zipf_frequency(word, "en") for word in words] or [0.0]
        rows.append([len(text), len(words), sum(w in NEGATORS for w in words), min(zipf), float(np.mean(zipf))])
    return np.array(rows)
