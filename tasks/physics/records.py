"""What is kept in the store of a file of The Well: what it declares, what was found, moments and a picture."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.keys import StoredFunction
from tasks.physics.moments import Moments
from tasks.physics.schema import Variable, WellFile
from tasks.physics.statistics import Examined, FieldMoments

EXAMINE = StoredFunction("physics.examine", "1", "tasks.physics.examination", ("h5py", "hdf5plugin", "numpy", "xxhash"))
REPACK = StoredFunction("physics.repack", "1", "tasks.physics.examination", ("h5py", "hdf5plugin", "numpy"))


def _column(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_MOMENTS = pa.schema(
    [_column("trajectory", pa.int64()), _column("field", pa.string()), _column("component", pa.int64())]
    + [
        _column(f"{kind}_{name}", pa.int64() if name == "count" else pa.float64())
        for kind in ("values", "deltas")
        for name in ("count", "mean", "m2", "low", "high")
    ]
)


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
        "grid": [_grid_key(grid) for grid in layout.coordinates],
        "uniform_grid": all(_uniform(grid) for grid in layout.coordinates),
        "uniform_time": _uniform(layout.time),
        "time_first": float(time.min()),
        "time_last": float(time.max()),
        "parameters": dict(layout.parameters),
        "scalar_values": {name: [float(one) for one in np.ravel(values)] for name, values in scalars.items()},
        "boundaries": {one.name: one.kind for one in layout.boundaries},
        "boundary_keys": {
            one.name: hashlib.sha256(one.mask.tobytes() + " ".join(one.dimensions).encode()).hexdigest()[:16]
            for one in layout.boundaries
        },
        "fields": [_variable(one) for one in layout.fields],
        "scalars": [_variable(one) for one in layout.scalars],
    }


def _variable(one: Variable) -> dict[str, Any]:
    plain = asdict(one)
    chunks = list(one.chunks) if one.chunks is not None else None
    return plain | {"shape": list(one.shape), "space": list(one.space), "filters": list(one.filters), "chunks": chunks}


def _uniform(grid: np.ndarray) -> bool:
    steps = np.diff(grid, axis=-1)
    return bool(steps.size == 0 or np.allclose(steps, steps.mean(), rtol=1e-3, atol=0))


def _grid_key(grid: np.ndarray) -> str:
    """Return a text that is the same for coordinates that differ by rounding only."""
    low, high = float(grid.min()), float(grid.max())
    places = np.rint((grid - low) / ((high - low) or 1) * 1e4).astype(np.int64)
    return f"{low:.4g} {high:.4g} {hashlib.sha256(places.tobytes()).hexdigest()[:16]}"


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
    names = ("count", "mean", "m2", "low", "high")
    return [
        FieldMoments(
            row["trajectory"],
            row["field"],
            row["component"],
            Moments(*(row[f"values_{name}"] for name in names)),
            Moments(*(row[f"deltas_{name}"] for name in names)),
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


def examined_value(examined: Examined, scalars: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what the store keeps of an examined file, besides its tables."""
    facts = facts_of(examined.layout, scalars) if examined.layout is not None else None
    return {
        "findings": [one.as_dict() for one in examined.findings],
        "facts": facts,
        "trajectories": [asdict(one) for one in examined.trajectories],
    }
