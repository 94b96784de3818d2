"""Windows as the training loop takes them: batches by their place, (epoch, position), from `tasks.learning.batches`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.learning.batches import IndexBatches, shuffled
from tasks.physics.window_index import Draw
from tasks.physics.windows import WellWindows


def window_batches(windows: WellWindows, batch_size: int, seed: int, *, by_file: bool = False) -> IndexBatches:
    """Return the windows in batches, in an order of each epoch's own; see `one_file_a_batch` for `by_file`.

    Raises ValueError where there is less than one batch.
    """

    def read(indices: np.ndarray, epoch: int) -> dict[str, Any]:
        return windows.batch([Draw(epoch, int(index)) for index in indices])

    order = shuffled(len(windows), seed)
    if by_file:
        order = one_file_a_batch(windows.index.file_numbers(), batch_size, order)
    return IndexBatches(read, order, len(windows), batch_size)


def one_file_a_batch(
    files: np.ndarray, batch_size: int, order: Callable[[int], np.ndarray]
) -> Callable[[int], np.ndarray]:
    """Return an order whose full batches are each of one file; what is left over of the files comes last,
    mixed, so that no file's windows are always those that fill no batch.

    `files` is the number of each window's file, (windows,); `order` gives an epoch's permutation of the windows, by
    which windows follow one another within a file, and full batches one another.
    """

    def grouped(epoch: int) -> np.ndarray:
        shuffle = order(epoch)
        windows = shuffle[np.argsort(files[shuffle], kind="stable")]
        begins = np.flatnonzero(np.diff(files[windows], prepend=-1))
        full, rest = [], []
        for of_file in np.split(windows, begins[1:]):
            cut = len(of_file) // batch_size * batch_size
            full += np.split(of_file[:cut], cut // batch_size) if cut else []
            rest.append(of_file[cut:])
        place = np.argsort(shuffle)  # a full batch stands where its first window does
        full.sort(key=lambda batch: int(place[batch[0]]))
        last = np.concatenate(rest)
        return np.concatenate([*full, last[np.argsort(place[last])]])

    return grouped
