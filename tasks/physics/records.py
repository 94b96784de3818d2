"""What is kept in the store of a file of The Well: what it declares, what was found, moments and a picture."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.keys import StoredFunction
from tasks.physics.moments import Moments
from tasks.physics.quadrature import evenly_spaced
from tasks.physics.schema import Boundary, Variable, WellFile
from tasks.physics.statistics import Examined, FieldMoments

EXAMINE = StoredFunction(
    "physics.examine",
    "3",
    "tasks.physics.examination",
    ("h5py", "hdf5plugin", "numpy", "opencv-python-headless", "xxhash"),
)
REPACK = StoredFunction("physics.repack", "1", "tasks.physics.examination", ("h5py", "hdf5plugin", "numpy"))


OUTLINE = 256  # numbers at most that are kept of an axis, to compare grids by

_NUMBERS = ("count", "mean", "m2", "low", "high")
_COLUMNS = {"trajectory": pa.int64(), "field": pa.string(), "component": pa.int64()} | {
    f"{kind}_{name}": pa.int64() if name == "count" else pa.float64()
    for kind in ("values", "deltas")
    for name in _NUMBERS
}
_MOMENTS = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])


# --- of one file, for the store ---------------------------------------------------------------------------------


def facts_of(layout: WellFile, scalars: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what a file declares as plain values; `scalars` are the values of those that time does not change."""
    time = np.atleast_2d(layout.time)
    return {
        "dataset": layout.dataset_name,
        "grid_type": layout.grid_type,
        "trajectories": layout.trajectories,
        "steps": layout.steps,
        "dimensions": list(layout.dimensions),
        "resolution": list(layout.resolution),
        "extent": [[float(grid.min()), float(grid.max())] for grid in layout.coordinates],
        "grid": [outline(grid) for grid in layout.coordinates],
        "uniform_grid": all(evenly_spaced(grid) for grid in layout.coordinates),
        "uniform_time": evenly_spaced(layout.time),
        "time_first": float(time.min()),
        "time_last": float(time.max()),
        "parameters": dict(layout.parameters),
        "scalar_values": {name: [float(one) for one in np.ravel(values)] for name, values in scalars.items()},
        "boundaries": {one.name: one.kind for one in layout.boundaries},
        "boundary_keys": {one.name: _boundary_key(one) for one in layout.boundaries},
        "fields": [_variable(one) for one in layout.fields],
        "scalars": [_variable(one) for one in layout.scalars],
    }


def _variable(one: Variable) -> dict[str, Any]:
    plain = asdict(one)
    chunks = list(one.chunks) if one.chunks is not None else None
    return plain | {"shape": list(one.shape), "space": list(one.space), "filters": list(one.filters), "chunks": chunks}


def _boundary_key(one: Boundary) -> str:
    """Return what two conditions have alike that are the same: kind, dimensions and faces."""
    said = " ".join((one.kind, *one.dimensions)).encode()
    return hashlib.sha256(said + b"\n" + one.mask.tobytes()).hexdigest()[:16]


def outline(grid: np.ndarray) -> list[float]:
    """Return the coordinates of an axis, of a long one means over neighbours: enough to compare it with others."""
    points = grid.ravel()
    ends = np.linspace(0, len(points), min(len(points), OUTLINE) + 1).astype(int)
    return [float(part.mean()) for part in np.split(points, ends[1:-1])]


def moments_table(moments: Sequence[FieldMoments]) -> pa.Table:
    """Return moments as a table, for the store."""
    rows = []
    for one in moments:
        row: dict[str, Any] = {"trajectory": one.trajectory, "field": one.field, "component": one.component}
        for kind in ("values", "deltas"):
            row |= {f"{kind}_{name}": value for name, value in asdict(getattr(one, kind)).items()}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=_MOMENTS)


def moments_of(table: pa.Table) -> list[FieldMoments]:
    """Return moments as `moments_table` kept them."""
    return [
        FieldMoments(
            row["trajectory"],
            row["field"],
            row["component"],
            Moments(*(row[f"values_{name}"] for name in _NUMBERS)),
            Moments(*(row[f"deltas_{name}"] for name in _NUMBERS)),
        )
        for row in table.to_pylist()
    ]


def picture_table(picture: np.ndarray | None) -> pa.Table:
    """Return a thumbnail as a table, for the store."""
    picture = np.zeros((1, 1), np.float32) if picture is None else picture
    rows = [row.tolist() for row in picture]
    return pa.table({"row": pa.array(rows, pa.list_(pa.float32()))})


def picture_of(table: pa.Table) -> np.ndarray:
    """Return a thumbnail as `picture_table` kept it."""
    return np.asarray(table.column("row").to_pylist(), np.float32)


def examined_value(examined: Examined) -> dict[str, Any]:
    """Return what the store keeps of an examined file, besides its tables."""
    facts = facts_of(examined.layout, examined.scalars) if examined.layout is not None else None
    return {
        "findings": [one.as_dict() for one in examined.findings],
        "facts": facts,
        "trajectories": [asdict(one) for one in examined.trajectories],
    }
