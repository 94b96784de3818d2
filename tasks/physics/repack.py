"""Write a file of The Well anew, in a layout that is read faster, frame by frame so that memory does not grow.

contiguous: each field in one piece, as float32. frames: a chunk for each frame, compressed by Blosc (LZ4, shuffled).
packed: as tasks.physics.packed has it; @channels names the channels of an array, @field_names the fields that they
come from.
"""

from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin
import numpy as np

from tasks.physics.opening import open_well
from tasks.physics.packed import PACKED, PACKED_CONSTANTS
from tasks.physics.schema import ORDERS, Variable, WellFile, read_layout
from tasks.physics.sweep import frames_of, plan_of

Layout = Literal["contiguous", "frames", "packed"]


def repack(location: str, target: Path, layout: Layout) -> None:
    """Write a sound file (a path or an fsspec URL) to `target` in another layout.

    Names, attributes, coordinates, boundary conditions and scalars stay as they are, strings become UTF-8, numbers of
    fields float32. An axis along which a field does not vary is kept, of length 1, since The Well's loader reads no
    other (packed: it is filled). Raises LayoutError and OSError as `read_layout` does.
    """
    with open_well(location) as file, h5py.File(target, "w") as out:
        declared = read_layout(location, file)
        for name, value in file.attrs.items():
            _write_attribute(out, name, value)
        for name in ("dimensions", "boundary_conditions", "scalars"):
            _copy_small(file[name], out.create_group(name))
        for group in ORDERS:
            made = out.create_group(group)
            _copy_attributes(file[group], made)
            if layout == "packed":
                continue
            for variable in declared.fields:
                if variable.path.startswith(f"{group}/"):
                    _write_field(file[variable.path], variable, declared, made, layout)
        if layout == "packed":
            _write_packed(file, out, declared)


def _write_field(data: h5py.Dataset, variable: Variable, declared: WellFile, group: h5py.Group, layout: Layout) -> None:
    leading = variable.sample_varying + variable.time_varying
    space = _space(variable, declared)
    shape = (*variable.shape[:leading], *space, *variable.shape[len(variable.shape) - variable.order :])
    options: dict[str, Any] = {}
    if layout == "frames":
        chunks = (1,) * leading + shape[leading:]
        options = {"chunks": chunks, **hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)}
    made = group.create_dataset(variable.name, shape, np.float32, **options)
    _copy_attributes(data, made)
    for trajectory in range(declared.trajectories if variable.sample_varying else 1):
        for step, rows, frames in frames_of(data, variable, trajectory):
            place: list[int | slice] = [trajectory] if variable.sample_varying else []
            if variable.time_varying:
                place.append(slice(step, step + len(frames)))
            if plan_of(variable).total_rows > 1:
                axis = next(number for number, stored in enumerate(variable.space) if stored != "dropped")
                place += [slice(None)] * axis + [slice(*rows)]
            made[tuple(place)] = frames.reshape(_shape_at(made, place))


def _shape_at(data: h5py.Dataset, place: list[int | slice]) -> tuple[int, ...]:
    """Return the shape of a selection."""
    lengths = []
    for axis, length in enumerate(data.shape):
        at = place[axis] if axis < len(place) else slice(None)
        if isinstance(at, slice):
            lengths.append(len(range(*at.indices(length))))
    return tuple(lengths)


def _space(variable: Variable, declared: WellFile) -> tuple[int, ...]:
    """Return the lengths of a field's axes of space as they are stored, dropped ones as 1."""
    axes = zip(variable.space, declared.resolution, strict=True)
    return tuple(size if stored == "full" else 1 for stored, size in axes)


def _write_packed(file: h5py.File, out: h5py.File, declared: WellFile) -> None:
    moving, still = list(declared.of_time()), list(declared.constants())
    samples = any(one.sample_varying for one in still)
    for path, fields, before in (
        (PACKED, moving, (declared.trajectories, declared.steps)),
        (PACKED_CONSTANTS, still, (declared.trajectories if samples else 1,)),
    ):
        if not fields:
            continue
        names = [channel for one in fields for channel in one.channels(declared.dimensions)]
        made = out.create_dataset(path, (*before, len(names), *declared.resolution), np.float32)
        made.attrs.create("channels", names, dtype=h5py.string_dtype())
        made.attrs.create("field_names", [one.name for one in fields], dtype=h5py.string_dtype())
        first = 0
        for variable in fields:
            for trajectory in range(before[0]):
                _write_channels(file[variable.path], variable, declared, made, trajectory, first)
            first += variable.components


def _write_channels(
    data: h5py.Dataset, variable: Variable, declared: WellFile, made: h5py.Dataset, trajectory: int, first: int
) -> None:
    space = _space(variable, declared)
    channels = slice(first, first + variable.components)
    plan = plan_of(variable)
    axis = next((number for number, stored in enumerate(variable.space) if stored != "dropped"), 0)
    for step, rows, frames in frames_of(data, variable, trajectory if variable.sample_varying else 0):
        part = list(space)
        part[axis] = rows[1] - rows[0]
        values = np.moveaxis(frames.reshape(len(frames), *part, variable.components), -1, 1)
        full = [
            size if stored != "full" else length
            for size, stored, length in zip(declared.resolution, variable.space, part, strict=True)
        ]
        where: list[int | slice] = [trajectory]
        if variable.time_varying:
            where.append(slice(step, step + len(frames)))
        where.append(channels)
        if plan.total_rows > 1:
            where += [slice(None)] * axis + [slice(*rows)]
        wide = np.broadcast_to(values, (len(frames), variable.components, *full))
        made[tuple(where)] = wide if variable.time_varying else wide[0]


def _copy_small(source: h5py.Group, target: h5py.Group) -> None:
    _copy_attributes(source, target)
    for name, found in source.items():
        if isinstance(found, h5py.Group):
            _copy_small(found, target.create_group(name))
        else:
            _copy_attributes(found, target.create_dataset(name, data=found[()]))


def _copy_attributes(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        _write_attribute(target, name, value)


def _write_attribute(target: Any, name: str, value: Any) -> None:
    """Write an attribute, strings of a fixed length as UTF-8."""
    if isinstance(value, bytes):
        value = value.decode()
    found = np.asarray(value) if not isinstance(value, h5py.Empty) else None
    if found is not None and found.dtype.kind in "SO" and found.ndim:
        texts = [one.decode() if isinstance(one, bytes) else str(one) for one in found.ravel()]
        target.attrs.create(name, np.array(texts, object).reshape(found.shape), dtype=h5py.string_dtype())
    else:
        target.attrs[name] = value
