"""Mean and spread of numbers, of parts and of the whole: merged without loss, in any order.

Merging is Chan's (Chan, Golub, LeVeque 1983) for many parts at once, with sums rounded once (math.fsum), so that the
order of the parts does not show in the last bit.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations from it, least and greatest of some numbers, in float64."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def std(self) -> float:
        """The population's standard deviation."""
        return math.sqrt(self.m2 / self.count) if self.count else 0.0

    @property
    def rms(self) -> float:
        """The root of the mean square."""
        return math.sqrt(self.m2 / self.count + self.mean**2) if self.count else 0.0

    def times(self, repeats: int) -> "Moments":
        """Return the moments of the same numbers, each `repeats` times."""
        return Moments(self.count * repeats, self.mean, self.m2 * repeats, self.low, self.high)


def merged(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all parts together: the same to the last bit whatever their order."""
    parts = [part for part in parts if part.count]
    count = sum(part.count for part in parts)
    if not count:
        return Moments()
    mean = math.fsum(part.count * part.mean for part in parts) / count
    m2 = math.fsum([*(part.m2 for part in parts), *(part.count * (part.mean - mean) ** 2 for part in parts)])
    return Moments(count, mean, m2, min(part.low for part in parts), max(part.high for part in parts))


def merged_blocks(
    counts: Sequence[int], sums: Sequence[float], m2: Sequence[float], low: float, high: float
) -> Moments:
    """Return the moments of blocks of numbers, given how many each has, their sums and squared deviations."""
    weights, totals = np.asarray(counts, np.float64), np.asarray(sums, np.float64)
    count = sum(counts)
    if not count:
        return Moments()
    mean = math.fsum(totals) / count
    spread = math.fsum([*m2, *(weights * (totals / weights - mean) ** 2)])
    return Moments(count, mean, spread, low, high)
