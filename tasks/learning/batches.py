"""Training batches by their place, (epoch, position): what comes next needs no memory of what came before.

So a killed run goes on with the very batch that it would have had, and processes share a batch without talking.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np


class Batches(Protocol):
    """A training set in batches. The same place gives the same batch, in whatever process and order it is read."""

    def __len__(self) -> int:
        """Return the batches of an epoch."""

    def read(self, epoch: int, position: int, part: int, parts: int) -> Any:
        """Return part `part` of `parts` of batch `position` (0..len-1): tensors, in dicts, lists and tuples as wanted.

        The parts of a batch are equal in size, or the loss tells their weights.
        """


class IndexBatches:
    """Batches of a map-style data set: `order(epoch)` gives the items' indices, `read(indices, epoch)` makes a part.

    What is left at an epoch's end and is smaller than a batch is not read. Raises ValueError where there is less than
    one batch.
    """

    def __init__(
        self,
        read: Callable[[np.ndarray, int], Any],
        order: Callable[[int], np.ndarray],
        items: int,
        batch_size: int,
    ) -> None:
        if not 1 <= batch_size <= items:
            raise ValueError(f"batch_size={batch_size} for {items} training items: from 1 to {items} is possible")
        self._read = read
        self._order = order
        self._size = batch_size
        self._length = items // batch_size
        self._current: tuple[int, np.ndarray] | None = None  # an epoch and its order

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return self._length

    def read(self, epoch: int, position: int, part: int, parts: int) -> Any:
        """Return a part of a batch; see `Batches.read`. Raises ValueError where it cannot be parted equally."""
        if self._size % parts:
            raise ValueError(f"batch_size={self._size} is no multiple of micro_batches={parts}: make it one")
        if self._current is None or self._current[0] != epoch:
            self._current = epoch, np.asarray(self._order(epoch))
        size = self._size // parts
        first = position * self._size + part * size
        return self._read(self._current[1][first : first + size], epoch)


def shuffled(items: int, seed: int) -> Callable[[int], np.ndarray]:
    """Return an order for `IndexBatches`: each epoch a permutation of its own, from (seed, epoch) alone."""

    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(items)

    return order


def stacked(arrays: Sequence[np.ndarray]) -> Callable[[np.ndarray, int], tuple[Any, ...]]:
    """Return a reader for `IndexBatches` of arrays in memory: for each a tensor of its rows, (B, ...)."""
    import torch

    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]

    def read(indices: np.ndarray, epoch: int) -> tuple[Any, ...]:
        return tuple(tensor[torch.from_numpy(indices)] for tensor in tensors)

    return read
