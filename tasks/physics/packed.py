"""Packed copies of The Well's files: all fields that vary in time as one array, channels first, and constants as one.

What such a file declares beside its fields (grid, boundary conditions, scalars) is as The Well has it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from tasks.physics.schema import ORDERS, LayoutError, Stored, Variable, WellFile, attribute, read_layout, texts

FLOAT = np.dtype("<f4")
PACKED = "packed/fields"  # float32 (trajectory, time, channel, *space): all fields that vary in time
PACKED_CONSTANTS = "packed/constants"  # float32 (trajectory or 1, channel, *space): those that do not


def layout_of(path: str | Path, file: h5py.File | None = None) -> WellFile:
    """Read what a file declares, packed or not; no field is read. Raises LayoutError.

    A field of a packed file is a variable with axes (trajectory, time, *space, *components) as others are; its `path`
    is that of the array, its `offset` that of its first channel, and its frames are as far apart as the array's.
    """
    if file is None:
        with h5py.File(path, "r") as opened:
            return layout_of(path, opened)
    return _layout(path, file) if "packed" in file else read_layout(path, file)


def _layout(path: str | Path, file: h5py.File) -> WellFile:
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
    fields = tuple(field for block in blocks for field in _fields(file, block, layout))
    return replace(layout, scalars=scalars, fields=fields)


def _fields(file: h5py.File, path: str, layout: WellFile) -> Iterator[Variable]:
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
