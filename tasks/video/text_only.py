"""What text alone tells of four-way choices: whoever answers without the video should be right once in four times.

A classifier on the words of question and option is cross-validated by what shares footage; simple probes stand beside
it. Items that text alone solves are found, to be dropped (VISTA, arXiv 2412.00927, has no such check).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax
from scipy.stats import chisquare

from tasks.video.choices import LETTERS
from tasks.video.items import Item
from tasks.video.wording import content_words, normalised, words_of

CHANCE = 1.0 / len(LETTERS)
_FOLDS = 5
_MIN_GROUPS = 3  # that share a feature
_PENALTY = 1.0  # of the squared weights
_ROUND = 0.1  # of the items that are solved, at most, are dropped before the classifier is fitted anew


@dataclass(frozen=True)
class TextOnly:
    """Shares of items that are right without the video; by chance a quarter. `letter_p` is of letters being uniform."""

    items: int
    classifier: float
    longest: float
    shortest: float
    most_frequent: float
    most_like_question: float
    best_letter: float
    letter_p: float

    def figures(self) -> dict[str, float]:
        """Return them by name."""
        return {name: float(value) for name, value in vars(self).items()}


def text_only(items: Sequence[Item], seed: int = 0) -> TextOnly:
    """Return how many of the items (those with options) are right by their text alone.

    Where groups are too few to hold some out, the classifier is at chance. Raises ValueError where no item has options.
    """
    asked = _with_options(items)
    keys = _keys(asked)
    counts = np.bincount(keys, minlength=len(LETTERS))
    return TextOnly(
        items=len(asked),
        classifier=_mean_right(_held_out(asked, seed), keys),
        longest=_probe([[len(option) for option in item.options] for item in asked], keys),
        shortest=_probe([[-len(option) for option in item.options] for item in asked], keys),
        most_frequent=_probe(_frequencies(asked), keys),
        most_like_question=_probe([_overlaps(item) for item in asked], keys),
        best_letter=float(counts.max() / counts.sum()),
        letter_p=letter_p(asked),
    )


def letter_p(items: Sequence[Item]) -> float:
    """Return the probability of letters as uneven as these, or more so, if they are drawn uniformly."""
    counts = np.bincount(_keys(_with_options(items)), minlength=len(LETTERS))
    return float(chisquare(counts).pvalue)


def solved(items: Sequence[Item], limit: float = CHANCE + 0.02, seed: int = 0) -> dict[str, float]:
    """Return the items that are to be dropped for text alone to be right in at most `limit` of the rest.

    By id, with the probability that the classifier gave the right option when it had not seen the item's group. Most
    certain ones go first, some at a time: after each round the classifier is fitted to what is left. None are found
    where the classifier is no better than `limit` from the start.
    """
    left = _with_options(items)
    found: dict[str, float] = {}
    while left:
        scores = _held_out(left, seed)
        keys = _keys(left)
        excess = _mean_right(scores, keys) - limit
        right = np.flatnonzero(_is_right(scores, keys))
        if excess <= 0 or not len(right):
            break
        certain = np.exp(scores[right, keys[right]])
        # as many as would bring the share down to the limit if nothing else changed, and no more than some
        count = max(1, min(int(np.ceil(excess * len(left) / (1 - limit))), int(_ROUND * len(right))))
        worst = right[np.lexsort((right, -certain))[:count]]
        found |= {left[int(n)].item_id: float(np.exp(scores[n, keys[n]])) for n in worst}
        drop = set(worst.tolist())
        left = [item for n, item in enumerate(left) if n not in drop]
    return found


def _with_options(items: Sequence[Item]) -> list[Item]:
    asked = [item for item in items if item.options]
    if not asked:
        raise ValueError("no item has options: text alone can be checked on four-way choices only")
    if len({item.item_id for item in asked}) != len(asked):
        raise ValueError("two items have one id: check the items of one subset at a time, or give them other ids")
    return asked


def _keys(items: Sequence[Item]) -> np.ndarray:
    return np.array([LETTERS.index(item.key) for item in items])


# --- the classifier ---------------------------------------------------------------------------------------------


def _held_out(items: Sequence[Item], seed: int) -> np.ndarray:
    """Return log-probabilities of the options, (N, 4), each from a fit without the item's group."""
    folds = _folds([item.group for item in items], seed)
    scores = np.full((len(items), len(LETTERS)), np.log(CHANCE))
    if len(set(folds.tolist())) < 2:
        return scores
    features, keys = _features(items), _keys(items)
    rows = np.arange(features.shape[0]).reshape(len(items), len(LETTERS))
    for fold in sorted(set(folds.tolist())):
        test = folds == fold
        weights = _fitted(features[rows[~test].ravel()], keys[~test])
        scores[test] = log_softmax((features[rows[test].ravel()] @ weights).reshape(-1, len(LETTERS)), axis=1)
    return scores


def _folds(groups: Sequence[str], seed: int) -> np.ndarray:
    """Return a fold for each item, (N,): a group is in one, and folds are about equal."""
    names, sizes = np.unique(np.array(groups), return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros(min(_FOLDS, len(names)))
    of = {}
    for place in sorted(order.tolist(), key=lambda place: -sizes[place]):  # the largest first; the sort is stable
        fold = int(load.argmin())
        of[names[place]] = fold
        load[fold] += sizes[place]
    return np.array([of[group] for group in groups])


def _features(items: Sequence[Item]) -> csr_array:
    """Return the features of each option, (4 N, F): its words, pairs of them with the question's words, its length.

    Words of the question alone are the same for all four options and would tell nothing.
    """
    told_of = [_named_features(item) for item in items]
    groups: dict[str, set[str]] = {}
    for item, options in zip(items, told_of, strict=True):
        for name in set().union(*options):
            groups.setdefault(name, set()).add(item.group)
    # what fewer groups have cannot help to answer items of another one
    names = {name: place for place, name in enumerate(sorted(n for n, of in groups.items() if len(of) >= _MIN_GROUPS))}
    columns: list[int] = []
    starts = [0]
    for options in told_of:
        for found in options:
            columns += sorted(names[name] for name in found if name in names)
            starts.append(len(columns))
    return csr_array((np.ones(len(columns)), columns, starts), shape=(len(starts) - 1, len(names)))


def _named_features(item: Item) -> list[set[str]]:
    asked = sorted(set(content_words(item.question)))
    told = [words_of(option) for option in item.options]
    mean = sum(map(len, told)) / len(told)
    features = []
    for words in told:
        found = {*words, " ".join(words), f"length {np.sign(len(words) - mean):+.0f}"}
        found |= {f"{word}|{other}" for word in words for other in asked}
        found |= {"in the question"} if set(words) & set(asked) else set()
        features.append(found)
    return features


def _fitted(features: csr_array, keys: np.ndarray) -> np.ndarray:
    """Return the weights (F,) of a conditional logit over the four options of each item, with a squared penalty."""
    right = np.arange(len(keys)) * len(LETTERS) + keys
    target = np.zeros(features.shape[0])
    target[right] = 1.0
    across = features.T.tocsr()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax((features @ weights).reshape(-1, len(LETTERS)), axis=1).ravel()
        value = -logs[right].sum() + 0.5 * _PENALTY * weights @ weights
        return float(value), across @ (np.exp(logs) - target) + _PENALTY * weights

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return np.asarray(found.x)


# --- probes -----------------------------------------------------------------------------------------------------


def _mean_right(scores: np.ndarray, keys: np.ndarray) -> float:
    """Return the share of items whose right option has the best score; k best ones count 1/k."""
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-12
    return float((best[np.arange(len(keys)), keys] / best.sum(axis=1)).mean())


def _is_right(scores: np.ndarray, keys: np.ndarray) -> np.ndarray:
    mine = scores[np.arange(len(keys)), keys]
    return np.asarray((mine >= scores.max(axis=1)) & (scores.max(axis=1) > scores.min(axis=1)))


def _probe(scores: Sequence[Sequence[float]], keys: np.ndarray) -> float:
    return _mean_right(np.array(scores, np.float64), keys)


def _frequencies(items: Sequence[Item]) -> list[list[float]]:
    """Return for each option how often its words are right in items of other groups."""
    counts: dict[str, Mapping[str, int]] = {}
    for item in items:
        option = normalised(item.options[LETTERS.index(item.key)])
        of = dict(counts.get(option, {}))
        of[item.group] = of.get(item.group, 0) + 1
        counts[option] = of
    totals = {option: sum(of.values()) for option, of in counts.items()}

    def elsewhere(option: str, group: str) -> float:
        return totals.get(option, 0) - counts.get(option, {}).get(group, 0)

    return [[elsewhere(normalised(option), item.group) for option in item.options] for item in items]


def _overlaps(item: Item) -> list[float]:
    asked = set(content_words(item.question))
    return [len(asked & set(content_words(option))) for option in item.options]
