"""Reading frames of The Well's files (arXiv 2412.00568), many times and at random.

What a file declares is parsed once. Contiguous fields are read at their byte offset, one span for each field and
trajectory, into the place where the frames are wanted; compressed and chunked ones through h5py.
"""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.physics.schema import ORDERS, LayoutError, Stored, Variable, WellFile, attribute, read_layout, texts

FLOAT = np.dtype("<f4")
PACKED = "packed/fields"  # float32 (trajectory, time, channel, *space): all fields that vary in time
PACKED_CONSTANTS = "packed/constants"  # float32 (trajectory or 1, channel, *space): those that do not
_AT_ONCE = 1 << 20  # bytes that are read before they are spread over channels: they stay in the CPU's cache
_BUFFERS = 512  # in one system call, which takes 1024
_LARGEST = 1 << 30  # bytes in one system call, which gives at most 2 GiB


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

    @property
    def direct(self) -> bool:
        """Whether the bytes of a frame are those of its channels, one after another."""
        return self.as_stored and (self.components == 1 or self.components_first)

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
    """A file of which a process has a descriptor, and h5py's handles where some of it is chunked."""

    descriptor: int
    file: h5py.File | None = None
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self.file is not None:
            self.datasets.clear()
            self.file.close()
            self.file = None

    def __del__(self) -> None:  # with the reader; in a fork this closes copies, the parent's stay open
        if self.descriptor >= 0:
            os.close(self.descriptor)


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
        """Start anew in a forked worker: what the parent opened stays the parent's."""
        if self._process != os.getpid():
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
                channels = slice(at.first, at.first + at.components)
                through = at.direct and parts[0][0, channels].flags.c_contiguous
                most = min(_BUFFERS, _LARGEST // at.frame_bytes) if through else _AT_ONCE // at.frame_bytes
                if at.step_bytes != at.frame_bytes:
                    most = 1
                for step, count, pieces in _pieces(steps, parts, most):
                    frame = at.number(trajectory, step)
                    if through:
                        whole = at.components == parts[0].shape[1]
                        buffers = [one for piece in pieces for one in (piece[None] if whole else piece[:, channels])]
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
        offset = at.variable.offset + frame * at.step_bytes
        if os.preadv(opened.descriptor, buffers, offset) == count * at.frame_bytes:
            return
        for buffer in buffers:  # a span may come in pieces
            view = memoryview(buffer.reshape(-1).view(np.uint8))
            while len(view):
                got = os.preadv(opened.descriptor, [view], offset)
                if not got:
                    path = f"{self.layouts[number].path}: {at.variable.path}"
                    size = os.fstat(opened.descriptor).st_size
                    what = f"the file ends at byte {size}, before the field does"
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
        done += len(part)
        wanted = part[:, at.first : at.first + at.components]
        if (
            at.as_stored and not at.components_first and wanted.strides[1] == FLOAT.itemsize
        ):  # channels are last there too: copy them together
            point = np.dtype((np.void, at.components * FLOAT.itemsize))
            together = np.moveaxis(wanted, 1, -1).view(point)
            together[...] = some.view(point)
            continue
        for component in range(at.components):
            wanted[:, component] = some[:, component] if at.components_first else some[..., component]


def _packed_layout(path: str | Path, file: h5py.File) -> WellFile:
    """Return what a packed file declares: its fields lie in two blocks, the rest as in The Well's layout."""
    with h5py.File("header", "w", driver="core", backing_store=False) as header:
        header.attrs.update(file.attrs)
        for name in ("dimensions", "boundary_conditions", "scalars"):
            file.copy(name, header)
        for group in ORDERS:
            header.create_group(group).attrs.create("field_names", [], dtype=h5py.string_dtype(), shape=(0,))
        layout = read_layout(path, header)
    scalars = tuple(replace(one, offset=file[one.path].id.get_offset()) for one in layout.scalars)
    blocks = (path for path in (PACKED, PACKED_CONSTANTS) if path in file)
    fields = tuple(field for block in blocks for field in _packed_fields(file, block, layout))
    return replace(layout, scalars=scalars, fields=fields)


def _packed_fields(file: h5py.File, path: str, layout: WellFile) -> Iterator[Variable]:
    block, at, space = file[path], f"/{path}", layout.resolution
    of_name = {
        name: order
        for order, group in enumerate(ORDERS)
        for name in texts(attribute(file[group], "field_names", at=f"/{group}"), at=f"/{group}@field_names")
    }
    names = texts(attribute(block, "field_names", at=at), at=f"{at}@field_names")
    orders = [of_name.get(name, 0) for name in names]
    moving = path == PACKED
    before = (layout.trajectories, layout.steps) if moving else block.shape[:1]
    shape = (*before, sum(len(space) ** order for order in orders), *space)
    offset = block.id.get_offset()
    if block.shape != shape or block.dtype != FLOAT or offset is None or before[0] not in (1, layout.trajectories):
        what = f"{block.dtype.str} {block.shape} where its @field_names make contiguous {FLOAT.str} {shape}"
        raise LayoutError(what, at=at, remedy="pack the file again", code="packed")
    full: list[Stored] = ["full"] * len(space)
    for name, order in zip(names, orders, strict=True):
        axes = (*before[before[0] == 1 :], *space, *(len(space),) * order)
        yield Variable(name, path, order, axes, FLOAT.str, before[0] > 1, moving, tuple(full), offset)
        offset += len(space) ** order * math.prod(space) * FLOAT.itemsize


def _stamp(path: str) -> tuple[int, int]:
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


def _parsed(path: str | Path) -> WellFile:
    try:
        with h5py.File(path, "r") as file:
            return _packed_layout(path, file) if "packed" in file else read_layout(path, file)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except LayoutError as error:
        raise LayoutError(error.what, at=f"{path}: {error.at}", remedy=error.remedy, code=error.code) from error
    except OSError as error:
        raise LayoutError(f"no HDF5 file: {error}", at=str(path), remedy="remove it, or fetch it again") from error
