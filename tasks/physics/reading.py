"""Reading frames of The Well's files (arXiv 2412.00568), many times and at random.

What a file declares is parsed once. Contiguous fields are copied from the mapped file at their byte offset, one span
for each field and trajectory, straight to where the frames are wanted; compressed and chunked ones come through h5py.
"""

import contextlib
import math
import mmap
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.physics.opening import identity_of
from tasks.physics.packed import FLOAT, PACKED, PACKED_CONSTANTS, layout_of
from tasks.physics.schema import LayoutError, Variable, WellFile

_COLD = 64  # windows that are asked for ahead after a read had to wait for the disk
_MAPPED = 256 << 20  # bytes that are read before pages are given back: resident memory does not grow with the data


@dataclass(frozen=True)
class Place:
    """Where the frames of a field or a scalar lie in a file, and the channels that they make.

    A frame is what is stored of one trajectory at one step: `frame` is its shape, dropped axes as 1, with the
    components as one axis, the last, or of packed fields the first.
    """

    variable: Variable
    first: int  # of its channels
    components: int
    frame: tuple[int, ...]
    frame_bytes: int
    step_bytes: int  # from one frame to the next
    dtype: np.dtype
    steps: int  # that are stored of a trajectory
    trajectories: int
    as_stored: bool  # float32, with all axes
    components_first: bool = False

    def number(self, trajectory: int, step: int) -> int:
        """Return which of the stored frames is that of a trajectory at a step."""
        at = trajectory if self.variable.sample_varying else 0
        return at * self.steps + (step if self.variable.time_varying else 0)


def place(layout: WellFile, variable: Variable, first: int) -> Place:
    """Return where the frames of a field, or the values of a scalar, lie."""
    leading = variable.sample_varying + variable.time_varying
    axes = iter(variable.shape[leading:])
    space = tuple(1 if stored == "dropped" else next(axes) for stored in variable.space) or (
        1,
    )  # a scalar's is a point
    dtype = np.dtype(variable.dtype)
    frame = (*space, variable.components)
    size = step = math.prod(frame) * dtype.itemsize
    as_stored = dtype == FLOAT and all(stored == "full" for stored in variable.space)
    packed = variable.path in (PACKED, PACKED_CONSTANTS)
    if packed:
        frame = (variable.components, *space)
        channels = sum(one.components for one in layout.fields if one.path == variable.path)
        step = math.prod(space) * FLOAT.itemsize * channels
    steps = layout.steps if variable.time_varying else 1
    trajectories = layout.trajectories if variable.sample_varying else 1
    return Place(variable, first, variable.components, frame, size, step, dtype, steps, trajectories, as_stored, packed)


def places(layout: WellFile, names: Sequence[str]) -> tuple[Place, ...]:
    """Return where these fields lie, their channels one after another in this order, whatever the file's own is.

    Packed fields that lie in this order are one place.
    """
    fields = {one.name: one for one in layout.fields}
    found, first = [], 0
    for name in names:
        found.append(place(layout, fields[name], first))
        first += found[-1].components
    offsets = [at.variable.offset or 0 for at in found]
    packed = len(found) > 1 and all(at.components_first for at in found)
    if packed and offsets == sorted(offsets) and sum(at.frame_bytes for at in found) == found[0].step_bytes:
        space, step = found[0].frame[1:], found[0].step_bytes
        whole = replace(found[0], components=first, frame=(first, *space), frame_bytes=step)
        return (whole,)
    return tuple(found)


@dataclass
class _Open:
    """A file that is mapped into memory, and h5py's handles where some of it is chunked."""

    mapped: mmap.mmap
    frames: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)  # of each contiguous variable
    file: h5py.File | None = None
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def close(self) -> None:
        self.frames.clear()
        with contextlib.suppress(BufferError):  # a traceback may hold a view: it closes with that
            self.mapped.close()
        self.datasets.clear()
        if self.file is not None:
            self.file.close()


class Reader:
    """Reads frames of a list of files, of which at most `max_open` are open, each process for itself.

    Files are opened when they are first read. A worker that was forked or spawned opens its own. Constants that are
    the same for all trajectories are kept up to `cache_bytes` in all. Mapped pages are given back after every 256 MiB.
    A disk that fails under a mapped file ends the process (SIGBUS); a file that was cut or changed is told before.
    """

    def __init__(self, files: Sequence[str | Path | WellFile], *, max_open: int = 64, cache_bytes: int = 256 << 20):
        if max_open < 1:
            raise ValueError(f"max_open is {max_open}: at least one file must be open to be read")
        self.layouts = [one if isinstance(one, WellFile) else _parsed(one) for one in files]
        self.max_open, self.cache_bytes = max_open, cache_bytes
        self._identities = [identity_of(Path(layout.path).stat()) for layout in self.layouts]
        self._start()

    def _start(self) -> None:
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._cached = self._touched = self._cold = self._waited = 0
        self._process = os.getpid()
        self._lock = threading.RLock()

    def _mine(self) -> None:
        """Start anew in a forked worker: what the parent opened stays the parent's."""
        if self._process != os.getpid():
            self._start()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_open", "_cached", "_touched", "_cold", "_waited", "_process", "_lock")
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
                else:
                    values = self._mapped(number, opened, at, trajectory, steps)
                _spread(values, at, parts)
                self._give_back(values.nbytes)

    def ahead(self, number: int, places: Sequence[Place], trajectory: int, steps: range) -> None:
        """Ask the system to fetch what will be read, if reads have lately waited for the disk; else do nothing."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        if faults > self._waited:
            self._waited, self._cold = faults, _COLD
        if self._cold <= 0 or steps.step > 1:
            return
        self._cold -= 1
        self._mine()
        with self._lock:
            opened = self._opened(number)
            for at in places:
                if at.variable.offset is not None:
                    begin = at.variable.offset + at.number(trajectory, steps.start) * at.step_bytes
                    page = begin // mmap.PAGESIZE * mmap.PAGESIZE
                    size = begin - page + (len(steps) if at.variable.time_varying else 1) * at.step_bytes
                    if begin + size <= len(opened.mapped):
                        opened.mapped.madvise(mmap.MADV_WILLNEED, page, size)

    def constant(self, number: int, at: Place, trajectory: int, values: np.ndarray) -> None:
        """Read a field that does not vary in time into its channels of `values`, float32 (C, *S)."""
        if at.variable.sample_varying:
            self.read(number, [at], trajectory, range(1), [values[None]])
            return
        self._mine()
        with self._lock:
            opened = self._opened(number)
            kept = opened.constants.get(at.variable.name)
            target = values[at.first : at.first + at.components]
            if kept is not None:
                target[...] = kept
                return
            self.read(number, [at], trajectory, range(1), [values[None]])
            if self._cached + target.nbytes <= self.cache_bytes:
                opened.constants[at.variable.name] = np.array(target, order="C")
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
        with Path(path).open("rb") as file:
            if identity_of(os.fstat(file.fileno())) != self._identities[number]:
                remedy = "make the data set again"
                raise LayoutError("it changed since it was listed", at=path, remedy=remedy, code="changed")
            self._open[number] = _Open(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
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

    def _mapped(self, number: int, opened: _Open, at: Place, trajectory: int, steps: range) -> np.ndarray:
        """Return the frames of a contiguous field, where they lie in the file."""
        key = (at.variable.path, at.variable.name, at.components)
        frames = opened.frames.get(key)
        if frames is None:
            frames = opened.frames[key] = self._all_frames(number, opened, at)
        if opened.mapped.size() < self._identities[number][0]:  # to touch what is gone would end the process
            remedy = "fetch or write it again"
            raise LayoutError(
                "it was cut while it was read", at=self.layouts[number].path, remedy=remedy, code="truncated"
            )
        first = at.number(trajectory, steps.start)
        if at.variable.time_varying:
            return frames[first : first + len(steps) * steps.step : steps.step]
        return frames[first : first + 1]

    def _all_frames(self, number: int, opened: _Open, at: Place) -> np.ndarray:
        assert at.variable.offset is not None
        count = at.trajectories * at.steps
        end = at.variable.offset + (count - 1) * at.step_bytes + at.frame_bytes
        if end > len(opened.mapped):
            path = f"{self.layouts[number].path}: {at.variable.path}"
            what = f"the file ends at byte {len(opened.mapped)}, the field at {end}"
            raise LayoutError(what, at=path, remedy="fetch or write it again", code="truncated")
        within = np.empty(at.frame, at.dtype).strides
        return np.ndarray((count, *at.frame), at.dtype, opened.mapped, at.variable.offset, (at.step_bytes, *within))

    def _give_back(self, size: int) -> None:
        """Count bytes that were read, and now and then let go of the pages that they lie in: the system keeps them."""
        self._touched += size
        if self._touched > _MAPPED:
            self._touched = 0
            for opened in self._open.values():
                opened.mapped.madvise(mmap.MADV_DONTNEED)


def _spread(frames: np.ndarray, at: Place, parts: Sequence[np.ndarray]) -> None:
    """Write stored frames (T, *S, components) into the channels of the wanted ones, broadcast and as float32."""
    done = 0
    for part in parts:
        some = frames[done : done + len(part)]
        done += len(part)
        wanted = part[:, at.first : at.first + at.components]
        if at.components_first:
            wanted[...] = some
        elif at.components == 1:
            wanted[:, 0] = some[..., 0]
        elif at.as_stored and wanted.strides[1] == FLOAT.itemsize:  # channels are last there too: copy them together
            point = np.dtype((np.void, at.components * FLOAT.itemsize))
            np.moveaxis(wanted, 1, -1).view(point)[...] = some.view(point)
        else:
            for frame, stored in zip(wanted, some, strict=True):  # one after another: they stay in the CPU's cache
                for component in range(at.components):
                    frame[component] = stored[..., component]


def _parsed(path: str | Path) -> WellFile:
    try:
        with h5py.File(path, "r") as file:
            return layout_of(path, file)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except LayoutError as error:
        raise LayoutError(error.what, at=f"{path}: {error.at}", remedy=error.remedy, code=error.code) from error
    except OSError as error:
        raise LayoutError(f"no HDF5 file: {error}", at=str(path), remedy="remove it, or fetch it again") from error
