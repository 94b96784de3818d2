"""Which frames of a video a model is shown: `middle` sampling, as VISTA (arXiv 2412.00927) trains and tests with."""

from collections.abc import Iterable


def middle(frames: int, count: int) -> list[int]:
    """Return `count` rising frame numbers of `frames`: the centres of as many equal parts.

    Of a video with fewer frames each is there, and the last again until there are `count`, as the paper pads.
    """
    if frames < 1 or count < 1:
        raise ValueError(f"{count} of {frames} frames: there must be one of each at least")
    if frames <= count:
        return [min(number, frames - 1) for number in range(count)]
    return [(2 * number + 1) * frames // (2 * count) for number in range(count)]


def seen(sampled: Iterable[int], start: int, end: int) -> int:
    """Return how many different ones of the sampled frames lie in [start, end)."""
    return sum(start <= number < end for number in set(sampled))
