"""Reading frames of The Well's files (arXiv 2412.00568), many times and at random.

What a file declares is parsed once. Contiguous fields are read at their byte offset, one span for each field and
trajectory, into the place where the frames are wanted; compressed and chunked ones through h5py.
"""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.physics.schema import LayoutError, Variable, WellFile, read_layout

FLOAT = np.dtype("<f4")
_AT_ONCE = 1 << 20  # bytes that are read before they are spread over channels: they stay in the CPU's cache
_BUFFERS = 512  # in one system call, which takes 1024
_LARGEST = 1 << 30  # bytes in one system call, which gives at most 2 GiB


@dataclass(frozen=True)
class Place:
    """Where the frames of one variable lie in a file, and the channels that they make.

    A frame is what is stored of one trajectory at one step: `frame` is its shape, dropped axes as 1, with the
    components as one last axis.
    """

    variable: Variable
    first: int  # of its channels
    components: int
    frame: tuple[int, ...]
    frame_bytes: int
    dtype: np.dtype
    steps: int  # that are stored of a trajectory
    trajectories: int
    direct: bool  # the bytes of a channel are stored as they are wanted

    def number(self, trajectory: int, step: int) -> int:
        """Return which of the stored frames is that of a trajectory at a step."""
        at = trajectory if self.variable.sample_varying else 0
        return at * self.steps + (step if self.variable.time_varying else 0)


def place(layout: WellFile, variable: Variable, first: int) -> Place:
    """Return where the frames of a field, or the values of a scalar, lie."""
    leading = variable.sample_varying + variable.time_varying
    axes = iter(variable.shape[leading:])
    space = tuple(1 if stored == "dropped" else next(axes) for stored in variable.space)
    frame = (*space, variable.components)
    steps = layout.steps if variable.time_varying else 1
    trajectories = layout.trajectories if variable.sample_varying else 1
    dtype = np.dtype(variable.dtype)
    frame_bytes = math.prod(frame) * dtype.itemsize
    whole = all(stored == "full" for stored in variable.space)
    direct = dtype == FLOAT and whole and variable.components == 1
    return Place(variable, first, variable.components, frame, frame_bytes, dtype, steps, trajectories, direct)


def places(layout: WellFile, names: Sequence[str]) -> tuple[Place, ...]:
    """Return where these fields lie, their channels one after another in this order, whatever the file's own is."""
    fields = {one.name: one for one in layout.fields}
    found, first = [], 0
    for name in names:
        found.append(place(layout, fields[name], first))
        first += found[-1].components
    return tuple(found)


@dataclass
class _Open:
    """A file of which a process has a descriptor, and h5py's handles where some of it is chunked."""

    descriptor: int
    file: h5py.File | None = None
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def close(self) -> None:
        os.close(self.descriptor)
        if self.file is not None:
            self.datasets.clear()
            self.file.close()


class Reader:
    """Reads frames of a list of files, of which at most `max_open` are open, each process for itself.

    Files are opened when they are first read. A worker that was forked or spawned opens its own. Constants that are
    the same for all trajectories are kept up to `cache_bytes` in all.
    """

    def __init__(self, files: Sequence[str | Path | WellFile], *, max_open: int = 64, cache_bytes: int = 256 << 20):
        if max_open < 1:
            raise ValueError(f"max_open is {max_open}: at least one file must be open to be read")
        self.layouts = [one if isinstance(one, WellFile) else _parsed(one) for one in files]
        self.max_open, self.cache_bytes = max_open, cache_bytes
        self._stamps = [_stamp(layout.path) for layout in self.layouts]
        self._start()

    def _start(self) -> None:
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._cached = 0
        self._process = os.getpid()
        self._lock = threading.RLock()

    def _mine(self) -> None:
        """Start anew in a forked worker. Closing its copies of descriptors leaves the parent's open."""
        if self._process != os.getpid():
            for opened in self._open.values():
                os.close(opened.descriptor)
            self._start()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_open", "_cached", "_process", "_lock")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def open_files(self) -> int:
        """How many files are open in this process."""
        return len(self._open) if self._process == os.getpid() else 0

    def close(self) -> None:
        """Close all files; the next read opens again."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
            self._cached = 0

    def read(
        self, number: int, places: Sequence[Place], trajectory: int, steps: range, parts: Sequence[np.ndarray]
    ) -> None:
        """Read fields of a file at some steps of a trajectory into `parts`: float32 (T, C, *S), their steps one by one.

        An axis along which a field does not vary is filled with its value. Raises LayoutError where the file ends too
        early or is another than it was.
        """
        self._mine()
        with self._lock:
            opened = self._opened(number)
            for at in places:
                if at.variable.offset is None:
                    values = self._chunks(number, opened, at, trajectory, steps)
                    _spread(values, at, parts)
                    continue
                through = at.direct and parts[0][0, at.first].flags.c_contiguous
                most = _BUFFERS if through else _AT_ONCE // at.frame_bytes
                for step, count, pieces in _pieces(steps, parts, min(most, _LARGEST // at.frame_bytes)):
                    frame = at.number(trajectory, step)
                    if through:
                        buffers = [buffer for piece in pieces for buffer in piece[:, at.first]]
                        self._fill(number, opened, at, frame, count, buffers)
                    else:
                        scratch = np.empty((count, *at.frame), at.dtype)
                        self._fill(number, opened, at, frame, count, [scratch])
                        _spread(scratch, at, pieces)

    def constant(self, number: int, at: Place, trajectory: int, values: np.ndarray) -> None:
        """Read a field that does not vary in time into its channels of `values`, float32 (C, *S)."""
        if at.variable.sample_varying:
            self.read(number, [at], trajectory, range(1), [values[None]])
            return
        self._mine()
        with self._lock:
            opened = self._opened(number)
            kept = opened.constants.get(at.variable.path)
            target = values[at.first : at.first + at.components]
            if kept is not None:
                target[...] = kept
                return
            self.read(number, [at], trajectory, range(1), [values[None]])
            if self._cached + target.nbytes <= self.cache_bytes:
                opened.constants[at.variable.path] = np.array(target, order="C")
                self._cached += target.nbytes

    def scalar(self, number: int, variable: Variable) -> np.ndarray:
        """Return a scalar of the simulation as float32 (B or 1, T or 1)."""
        at = place(self.layouts[number], variable, 0)
        values = np.empty((at.trajectories, at.steps, 1, 1), FLOAT)
        for trajectory in range(at.trajectories):
            self.read(number, [at], trajectory, range(at.steps), [values[trajectory]])
        return values[:, :, 0, 0]

    def _opened(self, number: int) -> _Open:
        opened = self._open.get(number)
        if opened is not None:
            self._open.move_to_end(number)
            return opened
        while len(self._open) >= self.max_open:
            _, oldest = self._open.popitem(last=False)
            self._cached -= sum(kept.nbytes for kept in oldest.constants.values())
            oldest.close()
        path = self.layouts[number].path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stat = os.fstat(descriptor)
        if (stat.st_size, stat.st_mtime_ns) != self._stamps[number]:
            os.close(descriptor)
            raise LayoutError(
                "it changed since it was listed", at=path, remedy="make the data set again", code="changed"
            )
        self._open[number] = _Open(descriptor)
        return self._open[number]

    def _chunks(self, number: int, opened: _Open, at: Place, trajectory: int, steps: range) -> np.ndarray:
        """Return the frames of a field whose bytes lie in chunks, or compressed."""
        variable, path = at.variable, self.layouts[number].path
        try:
            data = opened.datasets.get(variable.path)
            if data is None:
                opened.file = opened.file or h5py.File(path, "r")
                data = opened.datasets[variable.path] = opened.file[variable.path]
            where: tuple[Any, ...] = (trajectory,) if variable.sample_varying else ()
            if variable.time_varying:
                where = (*where, slice(steps.start, steps.stop, steps.step))
            return np.asarray(data[where]).reshape(-1, *at.frame)
        except OSError as error:
            remedy = "fetch or write the file again"
            at_field = f"{path}: {variable.path}"
            raise LayoutError(f"it cannot be read: {error}", at=at_field, remedy=remedy, code="damaged") from error

    def _fill(self, number: int, opened: _Open, at: Place, frame: int, count: int, buffers: list[Any]) -> None:
        assert at.variable.offset is not None
        offset = at.variable.offset + frame * at.frame_bytes
        if os.preadv(opened.descriptor, buffers, offset) == count * at.frame_bytes:
            return
        for buffer in buffers:  # a span may come in pieces
            view = memoryview(buffer.reshape(-1).view(np.uint8))
            while len(view):
                got = os.preadv(opened.descriptor, [view], offset)
                if not got:
                    path = f"{self.layouts[number].path}: {at.variable.path}"
                    what = f"the file ends at byte {offset}, within the field"
                    raise LayoutError(what, at=path, remedy="fetch or write it again", code="truncated")
                view, offset = view[got:], offset + got


def _pieces(steps: range, parts: Sequence[np.ndarray], most: int) -> Iterator[tuple[int, int, Sequence[np.ndarray]]]:
    """Yield first step, number of steps and where they go, for spans of at most `most` steps that lie side by side."""
    if steps.step == 1 and len(steps) <= most:
        yield steps.start, len(steps), parts
        return
    size = max(1, most) if steps.step == 1 else 1
    done = 0
    for part in parts:
        for begin in range(0, len(part), size):
            piece = part[begin : begin + size]
            yield steps[done], len(piece), [piece]
            done += len(piece)


def _spread(frames: np.ndarray, at: Place, parts: Sequence[np.ndarray]) -> None:
    """Write stored frames (T, *S, components) into the channels of the wanted ones, broadcast and as float32."""
    done = 0
    for part in parts:
        some = frames[done : done + len(part)]
        for component in range(at.components):
            part[:, at.first + component] = some[..., component]
        done += len(part)


def _stamp(path: str) -> tuple[int, int]:
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


def _parsed(path: str | Path) -> WellFile:
    try:
        return read_layout(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except LayoutError as error:
        raise LayoutError(error.what, at=f"{path}: {error.at}", remedy=error.remedy, code=error.code) from error
    except OSError as error:
        raise LayoutError(f"no HDF5 file: {error}", at=str(path), remedy="remove it, or fetch it again") from error
