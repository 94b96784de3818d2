"""One pass over the frames of a field: moments of its values and of its steps, and a hash of each frame.

Sums are OpenCV's, which adds float32 numbers and their squares in float64 as they are read. Memory is bounded, whatever
the size of a frame: by what is read at once, and the sums of each part of it. Shapes: T time, M grid points as stored,
C components.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import h5py
import numpy as np
import xxhash

from tasks.physics.moments import Moments, merged_blocks
from tasks.physics.schema import Variable

READ_BYTES = 2 << 20  # at once, of a contiguous field: they stay in the CPU's cache
MAX_READ_BYTES = 64 << 20  # at once, of a chunked field, and of one frame
BLOCK = 1 << 18  # numbers whose sums are taken at once: few enough that float64 rounds them to 1e-11 at worst
APART = 272  # numbers between components: at multiples of 4 kB from each other they would slow the CPU down
CENTRE = 1e5  # a squared mean so many times the variance leaves too few digits: then deviations are summed


class NotFinite(ValueError):
    """A value that is NaN or Inf where none may be."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True)
class Sweep:
    """What a pass over one trajectory of a field gives. Lists have an entry for each component."""

    values: list[Moments]
    deltas: list[Moments]  # of each step, without low and high
    frames: list[bytes]  # hash of each frame: 16 bytes of XXH3


@dataclass(frozen=True)
class Plan:
    """How a trajectory is read: `steps` frames at once, of each `rows` of the first stored axis of space."""

    steps: int
    rows: int
    total_steps: int
    total_rows: int
    row_points: int  # M of a row
    components: int

    def parts(self) -> Iterator[tuple[int, int]]:
        """Yield (first, end) of the rows that are read together."""
        for first in range(0, self.total_rows, self.rows):
            yield first, min(first + self.rows, self.total_rows)


def plan_of(variable: Variable) -> Plan:
    """Plan the reading of a field, by its chunks where it has any."""
    leading = variable.sample_varying + variable.time_varying
    total_steps = variable.shape[variable.sample_varying] if variable.time_varying else 1
    axes = variable.shape[leading : len(variable.shape) - variable.order]
    rows, row_points = (axes[0], math.prod(axes[1:])) if axes else (1, 1)
    row_bytes = 4 * row_points * variable.components
    chunk_steps, chunk_rows, limit = 1, 1, READ_BYTES
    if variable.chunks is not None:
        limit = MAX_READ_BYTES
        if variable.time_varying:
            chunk_steps = min(variable.chunks[variable.sample_varying], total_steps)
        if axes:
            chunk_rows = min(variable.chunks[leading], rows)
    at_once = rows
    if rows * row_bytes * chunk_steps > MAX_READ_BYTES:  # too much for whole frames
        at_once = max(1, MAX_READ_BYTES // (row_bytes * chunk_steps) // chunk_rows) * chunk_rows
    at_once = min(at_once, rows)
    steps = max(1, limit // (at_once * row_bytes))
    if steps >= chunk_steps:
        steps = steps // chunk_steps * chunk_steps
    return Plan(min(steps, total_steps), at_once, total_steps, rows, row_points, variable.components)


class _Sums:
    """Sums of blocks of numbers, the least and the greatest, for each component."""

    def __init__(self, components: int) -> None:
        self.counts: list[list[int]] = [[] for _ in range(components)]
        self.sums: list[list[float]] = [[] for _ in range(components)]
        self.m2: list[list[float]] = [[] for _ in range(components)]
        self.low, self.high = [math.inf] * components, [-math.inf] * components

    def take_in(self, rows: np.ndarray, component: int) -> tuple[float, float]:
        """Take in rows (T, M) of a component; return their sum, finite if all of them are, and that of the last row."""
        total = end = cv2.sumElems(rows[-1:])[0]
        if len(rows) > 1:
            total += cv2.sumElems(rows[:-1])[0]
        of_mean = total * total / rows.size
        m2 = cv2.norm(rows, cv2.NORM_L2SQR) - of_mean
        if of_mean > CENTRE * m2:
            m2 = _squared_deviations(rows.astype(np.float64), total)
        self._add(component, rows.size, total, m2)
        low, high, _, _ = cv2.minMaxLoc(rows)
        self.low[component] = min(self.low[component], low)
        self.high[component] = max(self.high[component], high)
        return total, end

    def take_in_steps(self, rows: np.ndarray, total: float, component: int) -> None:
        """Take in the steps between rows (T, M); `total` is the sum of the last row less that of the first."""
        count = (len(rows) - 1) * rows.shape[1]
        of_mean = total * total / count
        m2 = cv2.norm(rows[1:], rows[:-1], cv2.NORM_L2SQR) - of_mean
        if of_mean > CENTRE * m2:
            steps = np.subtract(rows[1:], rows[:-1], dtype=np.float64)
            total = float(np.add.reduce(steps, axis=None))
            m2 = _squared_deviations(steps, total)
        self._add(component, count, total, m2)

    def _add(self, component: int, count: int, total: float, m2: float) -> None:
        self.counts[component].append(count)
        self.sums[component].append(total)
        self.m2[component].append(m2)

    def moments(self) -> list[Moments]:
        each = zip(self.counts, self.sums, self.m2, self.low, self.high, strict=True)
        return [merged_blocks(counts, sums, m2, low, high) for counts, sums, m2, low, high in each]


def sweep(
    data: h5py.Dataset,
    variable: Variable,
    trajectory: int,
    keep: np.ndarray | None = None,
    scratch: "Scratch | None" = None,
) -> Sweep:
    """Read one trajectory of a field once (all of a field that does not vary by trajectory: give 0).

    `keep` (grid points as stored) is True where values count: elsewhere all are NaN, in each frame. `scratch` is
    memory for many calls. Raises NotFinite for a NaN or Inf where values count, and for a value where none does;
    OSError where the file cannot be read.
    """
    scratch = scratch or Scratch()
    plan = plan_of(variable)
    hashes = [xxhash.xxh3_128() for _ in range(plan.total_steps)]
    values, deltas = _Sums(plan.components), _Sums(plan.components)
    bad = np.zeros(plan.total_steps, bool)
    for first, end in plan.parts():
        kept = keep.reshape(plan.total_rows, plan.row_points)[first:end].ravel() if keep is not None else None
        read = _read(data, variable, plan, trajectory, first, end, scratch)
        _sweep_rows(read, plan, kept, hashes, values, deltas, bad, scratch)
    if bad.any():
        what = f"NaN or Inf in {int(bad.sum())} of {plan.total_steps} frames, first at step {int(np.argmax(bad))}"
        raise NotFinite(what)
    return Sweep(values.moments(), deltas.moments(), [one.digest() for one in hashes])


def frames_of(
    data: h5py.Dataset, variable: Variable, trajectory: int
) -> Iterator[tuple[int, tuple[int, int], np.ndarray]]:
    """Yield (step, (first, end), frames): frames float32 (T, M, C) of some rows, in a buffer that is used again.

    Rows are those of the first axis of space that is not dropped.
    """
    plan, scratch = plan_of(variable), Scratch()
    for first, end in plan.parts():
        for step, frames in _read(data, variable, plan, trajectory, first, end, scratch):
            yield step, (first, end), frames[min(step, 1) :]


def not_finite(data: h5py.Dataset, variable: Variable, trajectory: int) -> np.ndarray:
    """Return where the first frame of a trajectory has NaN or Inf: bool over its grid points as stored."""
    plan = replace(plan_of(variable), steps=1)
    parts = []
    for first, end in plan.parts():
        _, frames = next(_read(data, variable, plan, trajectory, first, end, Scratch()))
        parts.append(~np.isfinite(frames[0]).all(axis=1))
    return np.concatenate(parts)


def _sweep_rows(
    read: Iterator[tuple[int, np.ndarray]],
    plan: Plan,
    keep: np.ndarray | None,
    hashes: list["xxhash.xxh3_128"],
    values: _Sums,
    deltas: _Sums,
    bad: np.ndarray,
    scratch: "Scratch",
) -> None:
    """Take in the frames of some rows, as `_read` yields them; mark those with NaN or Inf in `bad` (T)."""
    last: dict[tuple[int, int], float] = {}  # sum of the last row, by where it begins and component
    for begin, frames in read:
        known = min(begin, 1)  # frames that were read before
        for number, frame in enumerate(frames[known:]):
            hashes[begin + number].update(frame)
        if keep is not None:
            frames = _kept(frames, known, keep, begin)
        points = frames.shape[1]
        width = min(points, BLOCK)
        height = max(1, BLOCK // max(width, 1))
        for top in range(known, len(frames), height):
            for left in range(0, points, width or 1):
                block = frames[max(top - 1, 0) : top + height, left : left + width]
                for component, rows in enumerate(scratch.planes(block)):
                    new = rows[min(top, 1) :]
                    total, end = values.take_in(new, component)
                    if not math.isfinite(total):
                        at = begin + top - known
                        bad[at : at + len(new)] |= ~np.isfinite(new).all(axis=1)
                    if len(rows) > 1:
                        before = last[left, component] if top else cv2.sumElems(rows[:1])[0]
                        deltas.take_in_steps(rows, end - before, component)
                    last[left, component] = end


class Scratch:
    """Memory for the frames that are read and their components, used again: new pages cost as much time as the sums."""

    def __init__(self) -> None:
        self._frames, self._planes = np.empty(0, np.float32), np.empty(0, np.float32)

    def frames(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Return memory for frames (T, M, C) that are read."""
        self._frames = _at_least(self._frames, math.prod(shape))
        return self._frames[: math.prod(shape)].reshape(shape)

    def planes(self, block: np.ndarray) -> Sequence[np.ndarray]:
        """Return each component of (T, M, C) as (T, M), its points side by side."""
        if block.shape[2] == 1:
            return [block[:, :, 0]]
        steps, points, components = block.shape
        room = steps * points + APART
        self._planes = _at_least(self._planes, room * components)
        each = self._planes[: room * components].reshape(components, room)[:, : steps * points]
        return cv2.split(block, list(each.reshape(components, steps, points)))


def _at_least(memory: np.ndarray, size: int) -> np.ndarray:
    return memory if len(memory) >= size else np.empty(size, memory.dtype)


def _squared_deviations(numbers: np.ndarray, total: float) -> float:
    """Return the sum of squared deviations from the mean; float64 `numbers` are overwritten."""
    numbers -= total / numbers.size
    return float(np.vdot(numbers, numbers))


def _kept(frames: np.ndarray, known: int, keep: np.ndarray, begin: int) -> np.ndarray:
    """Return the grid points that count. Raises NotFinite where what is finite is not what counts."""
    new = frames[known:]
    wrong = (np.isfinite(new).all(axis=2) != keep).any(axis=1) | ~np.isnan(new[:, ~keep]).all(axis=(1, 2))
    if wrong.any():
        raise NotFinite(f"NaN or Inf in other places than the mask has, at step {begin + int(np.argmax(wrong))}")
    return frames[:, keep]


def _read(
    data: h5py.Dataset, variable: Variable, plan: Plan, trajectory: int, first: int, end: int, scratch: Scratch
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (step, frames) of the rows [first, end): frames float32 (T, M, C), before them the last that was read.

    They lie in `scratch`, which is used again. What lies in the file as it is wanted is read at its offset, all else by
    HDF5.
    """
    leading = variable.sample_varying + variable.time_varying
    has_rows = len(variable.shape) - variable.order > leading
    buffer = scratch.frames((1 + plan.steps, (end - first) * plan.row_points, plan.components))
    descriptor = _descriptor(data, variable)
    frame = plan.total_rows * plan.row_points * plan.components * 4
    for begin in range(0, plan.total_steps, plan.steps):
        count = min(plan.steps, plan.total_steps - begin)
        frames = buffer[1 : 1 + count]
        if begin:
            buffer[0] = buffer[-1]
        if descriptor is not None and (end - first == plan.total_rows or count == 1):
            assert variable.offset is not None
            number = (trajectory if variable.sample_varying else 0) * plan.total_steps + begin
            at = variable.offset + number * frame + first * plan.row_points * plan.components * 4
            _read_at(descriptor, frames, at, variable.path)
        else:
            place: list[int | slice] = [trajectory] if variable.sample_varying else []
            if variable.time_varying:
                place.append(slice(begin, begin + count))
            if has_rows:
                place.append(slice(first, end))
            if data.dtype.kind == "b":  # stored as an enumeration, which HDF5 turns into no number
                frames[...] = data[tuple(place)].reshape(frames.shape)
            else:
                whole = ((count,) if variable.time_varying else ()) + ((end - first,) if has_rows else ())
                target = frames.reshape(whole + variable.shape[leading + has_rows :])
                data.read_direct(target, tuple(place) if place else None)
        yield begin, buffer[0 if begin else 1 : 1 + count]


def _descriptor(data: h5py.Dataset, variable: Variable) -> int | None:
    """Return the open file's descriptor, None where the bytes in it are not the numbers as they are wanted."""
    file = h5py.h5i.get_file_id(data.id)
    plain = file.get_access_plist().get_driver() == h5py.h5fd.SEC2
    if variable.offset is None or not plain or variable.dtype != np.dtype("<f4").str:
        return None
    return int(file.get_vfd_handle())


def _read_at(descriptor: int, frames: np.ndarray, offset: int, name: str) -> None:
    view = memoryview(frames.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while len(view):
        got = os.preadv(descriptor, [view], offset)
        if not got:
            raise OSError(f"{name}: the file ends at byte {offset}")
        view, offset = view[got:], offset + got
