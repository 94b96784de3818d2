"""Shortcuts that a data set may leave open: what a bag of words tells without evidence. Near chance is good."""

from collections.abc import Sequence

import numpy as np

from tasks.text.drawn_triplets import balanced_accuracy

FOLDS = 5


def claim_only(claims: Sequence[str], factual: Sequence[bool], groups: Sequence[str]) -> float:
    """Return the balanced accuracy of a logistic regression on the words of the claim alone, cross-validated by group.

    Half where there are too few groups to tell.
    """
    from sklearn.model_selection import GroupKFold

    if len(set(groups)) < FOLDS or len(set(factual)) < 2:
        return 0.5
    truth = np.array(factual)
    told = np.zeros(len(claims), np.bool_)
    for train, test in GroupKFold(FOLDS).split(claims, truth, groups):
        told[test] = _fitted_told([claims[n] for n in train], truth[train], [claims[n] for n in test])
    return balanced_accuracy(truth.tolist(), told.tolist())


def text_only(
    train: Sequence[str], train_factual: Sequence[bool], test: Sequence[str], test_factual: Sequence[bool]
) -> float:
    """Return the balanced accuracy on test texts of a logistic regression on the words of training texts."""
    if len(set(train_factual)) < 2 or not test:
        return 0.5
    told = _fitted_told(train, np.array(train_factual), test)
    return balanced_accuracy(list(test_factual), told.tolist())


def _fitted_told(train: Sequence[str], truth: np.ndarray, test: Sequence[str]) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(set(truth.tolist())) < 2:
        return np.full(len(test), truth[0])
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000),
    )
    told: np.ndarray = model.fit(train, truth).predict(test)
    return told
