"""Memory for batches that is used again once nobody holds the last batch that lay in it.

The system hands out large blocks zeroed, page by page, which costs more than reading a batch into them.
"""

import sys
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

_SMALL = 1 << 20  # bytes: what the allocator keeps by itself
_ALIGNED = 64  # bytes
_EACH = 2  # of a shape: one in use, one to be filled
_SHAPES = 4


class Buffers:
    """Gives out float32 tensors, aligned to 64 bytes.

    One that is still referred to, be it by a view, is never given out again.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], list[np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()
        self._unused = _references([np.empty(0, np.float32)])[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return Buffers, ()

    def empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a tensor of this shape, with any content."""
        if int(np.prod(shape)) * 4 < _SMALL:
            return torch.empty(shape)
        with self._lock:
            kept = self._kept.setdefault(shape, [])
            self._kept.move_to_end(shape)
            if len(self._kept) > _SHAPES:
                self._kept.popitem(last=False)
            counts = _references(kept)
            if self._unused in counts:
                return torch.from_numpy(kept[counts.index(self._unused)])
            made = _aligned(shape)
            if len(kept) < _EACH:
                kept.append(made)
            return torch.from_numpy(made)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 memory as torch aligns it; NumPy's own would be copied on its way into a network."""
    size = int(np.prod(shape)) * 4
    room = np.empty(size + _ALIGNED, np.uint8)
    first = -room.ctypes.data % _ALIGNED
    return room[first : first + size].view(np.float32).reshape(shape)


def _references(arrays: list[np.ndarray]) -> list[int]:
    """Return how often each array is referred to: the storage of a tensor made from it holds it as long as it lives."""
    return [sys.getrefcount(array) for array in arrays]
