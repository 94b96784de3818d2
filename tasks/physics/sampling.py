"""Batches of windows in the order of a training epoch, which can be taken up again at any place.

The order is a function of (seed, epoch); nothing else is kept. Several processes take parts of the same batches.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from tasks.physics.window_index import Draw
from tasks.physics.windows import WellWindows
from tasks.stage import item_rng


class BatchSampler:
    """Yields the batches of one epoch, lists of `Draw`, from `position` on: the number of batches already used.

    `batch_size` counts the windows of all `world` processes; this one, `rank`, gets its part of each. With `by_file` a
    batch holds windows of one file, but for what is left over of each file at the end. The last batch may be smaller
    unless `drop_last`.
    Raises ValueError where a batch cannot be shared out.
    """

    def __init__(
        self,
        windows: WellWindows,
        batch_size: int,
        *,
        shuffle: bool = True,
        by_file: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        if batch_size < 1 or batch_size % world:
            raise ValueError(
                f"batch_size={batch_size} cannot be shared by {world} processes: give a multiple of {world}"
            )
        if not 0 <= rank < world:
            raise ValueError(f"rank={rank} of {world} processes: ranks count from 0")
        left = len(windows) % batch_size
        if not drop_last and 0 < left < world:
            raise ValueError(
                f"the last batch has {left} windows for {world} processes: set drop_last, or another batch_size"
            )
        if drop_last and len(windows) < batch_size:
            raise ValueError(f"{len(windows)} windows make no batch of {batch_size}: give a smaller batch_size")
        self.batch_size, self.shuffle, self.by_file, self.drop_last = batch_size, shuffle, by_file, drop_last
        self.seed, self.rank, self.world = seed, rank, world
        self._count = len(windows)
        self._files = windows.index.file_numbers() if by_file else None
        self.epoch, self.position = 0, 0

    @property
    def batches_per_epoch(self) -> int:
        whole, left = divmod(self._count, self.batch_size)
        return whole + (left > 0 and not self.drop_last)

    def __len__(self) -> int:
        """Return how many batches are left of this epoch."""
        return self.batches_per_epoch - self.position

    def start(self, epoch: int, position: int = 0) -> None:
        """Set what the next iteration yields: this epoch, without its first `position` batches.

        Count batches where they are used: a loader with workers asks for some ahead.
        """
        if epoch < 0 or not 0 <= position <= self.batches_per_epoch:
            raise ValueError(f"epoch {epoch}, batch {position}: an epoch has {self.batches_per_epoch} batches")
        self.epoch, self.position = epoch, position

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, order = self.epoch, self._order(self.epoch)
        for number in range(self.position, self.batches_per_epoch):
            whole = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [Draw(epoch, int(index)) for index in whole[self.rank :: self.world]]

    def _order(self, epoch: int) -> np.ndarray:
        rng = item_rng(self.seed, "sampling", str(epoch))
        order = rng.permutation(self._count) if self.shuffle else np.arange(self._count)
        return order if self._files is None else self._grouped(order, rng)

    def _grouped(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the same windows so that full batches are of one file; what is left over of each file comes last."""
        assert self._files is not None
        order = order[np.argsort(self._files[order], kind="stable")]
        _, begins = np.unique(self._files[order], return_index=True)
        size = self.batch_size
        full, rest = [], []
        for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
            cut = begin + (end - begin) // size * size
            full += [order[at : at + size] for at in range(begin, cut, size)]
            rest.append(order[cut:end])
        if self.shuffle:
            full = [full[at] for at in rng.permutation(len(full))]
        return np.concatenate([*full, *rest])


def loader(windows: WellWindows, sampler: BatchSampler, *, workers: int = 0, **options: Any) -> DataLoader[Any]:
    """Return a loader of whole batches; `options` are those of torch's DataLoader. Without workers is often faster."""
    return DataLoader(windows, batch_sampler=sampler, num_workers=workers, collate_fn=_as_it_is, **options)


def _as_it_is(batch: Any) -> Any:
    return batch
