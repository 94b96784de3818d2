"""What is kept in the store of a file of The Well, and the tables over all files that DuckDB reads.

files.parquet has a row a file, catalog.parquet a row a trajectory, warnings.parquet a row a warning.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.keys import StoredFunction
from tasks.physics.moments import Moments
from tasks.physics.schema import Variable, WellFile
from tasks.physics.statistics import SHARED, Examined, FieldMoments, Trajectory

EXAMINE = StoredFunction("physics.examine", "1", "tasks.physics.examination", ("h5py", "hdf5plugin", "numpy", "xxhash"))
REPACK = StoredFunction("physics.repack", "1", "tasks.physics.examination", ("h5py", "hdf5plugin", "numpy"))


def _some(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=False))


def _column(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_VARIABLE = pa.struct(
    [_column(name, pa.string()) for name in ("name", "path", "dtype")]
    + [_column("order", pa.int32()), _column("shape", _some(pa.int64()))]
    + [_column("sample_varying", pa.bool_()), _column("time_varying", pa.bool_())]
    + [_column("space", _some(pa.string()))]  # of each dimension: full, single or dropped
    + [pa.field("offset", pa.int64()), pa.field("chunks", _some(pa.int64()))]  # null: chunked; null: contiguous
    + [_column("filters", _some(pa.string()))]
    + [_column("symmetric", pa.bool_()), _column("antisymmetric", pa.bool_())]
)
_PARAMETERS = pa.map_(pa.string(), pa.float64())
_PLACE = [_column(name, pa.string()) for name in ("file_id", "dataset", "split", "root", "path")]

FILES = pa.schema(
    _PLACE  # root: raw, own, remote or curated: what `path` is relative to; remote: an address
    + [_column(name, pa.string()) for name in ("origin", "licence", "credit", "url", "storage")]
    + [_column(name, pa.int64()) for name in ("bytes", "trajectories", "steps")]
    + [_column("grid_type", pa.string()), _column("dimensions", _some(pa.string()))]
    + [_column("resolution", _some(pa.int64())), _column("extent", _some(_some(pa.float64())))]
    + [_column(name, pa.bool_()) for name in ("uniform_grid", "uniform_time")]
    + [_column(name, pa.float64()) for name in ("time_first", "time_last")]
    + [_column("parameters", _PARAMETERS), _column("boundaries", pa.map_(pa.string(), pa.string()))]
    + [_column("field_order", _some(pa.string()))]  # of the data set, by which all its files are to be read
    + [_column("fields", _some(_VARIABLE)), _column("scalars", _some(_VARIABLE))]
    + [_column("warnings", pa.int32())]
)

_STATISTICS = pa.struct(
    [_column(name, pa.string()) for name in ("field", "channel")]
    + [_column(name, pa.float64()) for name in ("low", "high", "mean", "std", "rms")]
    + [pa.field(name, pa.float64()) for name in ("mean_delta", "std_delta", "rms_delta")]  # null for a constant
)
_SPAN = pa.struct([_column("field", pa.string()), _column("offset", pa.int64()), _column("bytes", pa.int64())])

CATALOG = pa.schema(
    [_column("trajectory_id", pa.string())]  # XXH3-128 of its fields that vary in time
    + _PLACE
    + [_column("trajectory", pa.int64()), _column("steps", pa.int64()), _column("parameters", _PARAMETERS)]
    + [_column(name, pa.int64()) for name in ("frozen_steps", "repeated_frames")]
    + [_column("spans", _some(_SPAN))]  # bytes of the file where its contiguous fields lie
    + [_column("statistics", _some(_STATISTICS))]
)

WARNINGS = pa.schema([*_PLACE, *(_column(name, pa.string()) for name in ("code", "object", "what", "remedy"))])

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


# --- over all files ---------------------------------------------------------------------------------------------


def channels(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the channels of each field: velocity -> velocity_x, velocity_y."""
    found = {}
    for one in facts["fields"]:
        suffixes = ["".join(which) for which in itertools.product(facts["dimensions"], repeat=one["order"])]
        found[one["name"]] = [f"{one['name']}_{suffix}" if suffix else one["name"] for suffix in suffixes]
    return found


def storage_of(fields: Sequence[Mapping[str, Any]]) -> str:
    """Say how the fields of a file lie in it: contiguous, chunked, or the filters that compress them."""
    filters = sorted({name for one in fields for name in one["filters"]})
    if filters:
        return "+".join(filters)
    return "contiguous" if all(one["offset"] is not None for one in fields) else "chunked"


def catalog_rows(
    place: Mapping[str, str],
    facts: Mapping[str, Any],
    trajectories: Sequence[Trajectory],
    moments: Sequence[FieldMoments],
) -> list[dict[str, Any]]:
    """Return a row for each trajectory of a file; `place` has the columns that tell where it lies."""
    by_trajectory: dict[int, list[FieldMoments]] = {}
    for one in moments:
        by_trajectory.setdefault(one.trajectory, []).append(one)
    names = channels(facts)
    place_of_field = {one["name"]: number for number, one in enumerate(facts["fields"])}
    rows = []
    for trajectory in trajectories:
        own = [*by_trajectory.get(SHARED, []), *by_trajectory.get(trajectory.number, [])]
        own.sort(key=lambda one: (place_of_field[one.field], one.component))
        rows.append(
            {
                "trajectory_id": trajectory.content_hash,
                **place,
                "trajectory": trajectory.number,
                "steps": facts["steps"],
                "parameters": _parameters_of(facts, trajectory.number),
                "frozen_steps": trajectory.frozen_steps,
                "repeated_frames": trajectory.repeated_frames,
                "spans": list(_spans(facts, trajectory.number)),
                "statistics": [_statistics(one, names[one.field][one.component]) for one in own],
            }
        )
    return rows


def _statistics(one: FieldMoments, channel: str) -> dict[str, Any]:
    steps = one.deltas if one.deltas.count else None
    return {
        "field": one.field,
        "channel": channel,
        "low": one.values.low,
        "high": one.values.high,
        "mean": one.values.mean,
        "std": one.values.std,
        "rms": one.values.rms,
        "mean_delta": steps.mean if steps else None,
        "std_delta": steps.std if steps else None,
        "rms_delta": steps.rms if steps else None,
    }


def _parameters_of(facts: Mapping[str, Any], number: int) -> list[tuple[str, float]]:
    """Return the parameters of one trajectory: the file's, and its scalars, which may vary from one to the next."""
    found = dict(facts["parameters"])
    for name, values in facts["scalar_values"].items():
        found.setdefault(name, values[number] if len(values) > 1 else values[0])
    return sorted(found.items())


def _spans(facts: Mapping[str, Any], number: int) -> Any:
    for one in facts["fields"]:
        if one["offset"] is None or not one["sample_varying"]:
            continue
        size = int(np.prod(one["shape"][1:], dtype=np.int64)) * np.dtype(one["dtype"]).itemsize
        yield {"field": one["name"], "offset": one["offset"] + number * size, "bytes": size}
