"""The tables over all files of The Well, which DuckDB reads.

files.parquet has a row a file, catalog.parquet a row a trajectory, warnings.parquet a row a warning.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.physics.schema import channels
from tasks.physics.statistics import SHARED, FieldMoments, Trajectory


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
    + [_column(name, pa.string()) for name in ("origin_id", "origin_root", "origin_path")]  # what it was repacked from
    + [_column("version", pa.string())]  # of a listed file, as its server tells
    + [_column(name, pa.string()) for name in ("licence", "credit", "url", "storage")]
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

# of files as they were given: origin_id of FILES is the file_id here
WARNINGS = pa.schema([*_PLACE, *(_column(name, pa.string()) for name in ("code", "object", "what", "remedy"))])


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
    names = {one["name"]: channels(one["name"], one["order"], facts["dimensions"]) for one in facts["fields"]}
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


def _spans(facts: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """Yield where a trajectory lies of each array: a field, or all fields that are packed into one."""
    arrays: dict[str, list[Mapping[str, Any]]] = {}
    for one in facts["fields"]:
        if one["offset"] is not None and one["sample_varying"]:
            arrays.setdefault(one["path"], []).append(one)
    for path, fields in arrays.items():
        sizes = (int(np.prod(one["shape"][1:], dtype=np.int64)) * np.dtype(one["dtype"]).itemsize for one in fields)
        size, offset = sum(sizes), min(one["offset"] for one in fields)
        yield {"field": path.rpartition("/")[2], "offset": offset + number * size, "bytes": size}
