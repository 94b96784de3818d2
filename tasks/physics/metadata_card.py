"""The Well's metadata card of a data set, DATASET.yaml, which its own tools read."""

from collections.abc import Sequence
from typing import Any

from tasks.physics.schema import WellFile


def metadata_text(layouts: Sequence[WellFile]) -> str:
    """Return DATASET.yaml: the fields of The Well's `WellMetadata`, counted over these files (those of train)."""
    first = layouts[0]
    names = {
        constant: {order: _names(first, order, constant=constant) for order in (0, 1, 2)} for constant in (False, True)
    }
    values = {
        "dataset_name": first.dataset_name,
        "n_spatial_dims": len(first.dimensions),
        "spatial_resolution": list(first.resolution),
        "scalar_names": [scalar.name for scalar in first.scalars if scalar.time_varying],
        "constant_scalar_names": [scalar.name for scalar in first.scalars if not scalar.time_varying],
        "field_names": names[False],
        "constant_field_names": names[True],
        "boundary_condition_types": sorted({boundary.kind for boundary in first.boundaries}),
        "n_files": len(layouts),
        "n_trajectories_per_file": [layout.trajectories for layout in layouts],
        "n_steps_per_trajectory": [layout.steps for layout in layouts],
        "grid_type": first.grid_type,
    }
    return "".join(f"{name}: {_flow(value)}\n" for name, value in values.items())


def _names(layout: WellFile, order: int, *, constant: bool) -> list[str]:
    found = layout.constants() if constant else layout.of_time()
    return [name for field in found if field.order == order for name in field.channels(layout.dimensions)]


def _flow(value: Any) -> str:
    """Return plain values as YAML on one line; keys may be numbers."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value)
