"""Tiny files in The Well's layout with random content, for the tests of the physics line.

What is written is also returned, so that a test has values to compare with that did not pass through a reader.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from tasks.physics.schema import Boundary, NewField, write_file

Kind = Literal["WALL", "OPEN", "PERIODIC"]
AXES = "xyz"


def axes(sizes: Sequence[int], *, nonuniform: Sequence[str] = (), length: float = 1.0) -> dict[str, np.ndarray]:
    """Return coordinates named x, y, z: evenly spaced in [0, length), or Chebyshev points where named `nonuniform`."""
    found = {}
    for name, size in zip(AXES, sizes, strict=False):
        even = np.arange(size) * (length / size)
        chebyshev = length * (1 - np.cos(np.pi * (np.arange(size) + 0.5) / size)) / 2
        found[name] = (chebyshev if name in nonuniform else even).astype(np.float32)
    return found


def boundary(name: str, size: int, kind: Kind, *, mask: np.ndarray | None = None) -> Boundary:
    """Return a condition on the two end faces of an axis, named as in The Well: y_wall. `mask` overrules the faces."""
    if mask is None:
        mask = np.zeros(size, bool)
        mask[[0, -1]] = True
    return Boundary(f"{name}_{kind.lower()}", kind, (name,), mask)


def boundaries(sizes: Sequence[int], kinds: Sequence[Kind] | Kind = "PERIODIC") -> list[Boundary]:
    """Return a condition for each axis."""
    each = [kinds] * len(sizes) if isinstance(kinds, str) else list(kinds)
    return [boundary(name, size, kind) for name, size, kind in zip(AXES, sizes, each, strict=False)]


def field(
    name: str,
    order: int,
    rng: np.random.Generator,
    *,
    sizes: Sequence[int],
    trajectories: int = 2,
    steps: int = 7,
    sample_varying: bool = True,
    time_varying: bool = True,
    constant_along: Sequence[str] = (),
    symmetric: bool = False,
    offset: float = 0.0,
    scale: float = 1.0,
) -> NewField:
    """Return a field of normal noise, `scale * noise + offset`. Axes of `constant_along` are kept, of length 1.

    A tensor that is `symmetric` is one.
    """
    dims = len(sizes)
    varying = tuple(axis not in constant_along for axis in AXES[:dims])
    space = tuple(size if varies else 1 for size, varies in zip(sizes, varying, strict=True))
    before = (*([trajectories] if sample_varying else []), *([steps] if time_varying else []))
    values = rng.standard_normal((*before, *space, *[dims] * order)) * scale + offset
    if symmetric:
        values = (values + np.swapaxes(values, -1, -2)) / 2
    return NewField(name, order, values.astype(np.float32), sample_varying, time_varying, varying, symmetric=symmetric)


def usual_fields(
    rng: np.random.Generator, *, sizes: Sequence[int], trajectories: int = 2, steps: int = 7, constants: bool = True
) -> list[NewField]:
    """Return two scalars, a vector and a symmetric tensor, and with `constants` some that do not vary in time.

    Constants: `speed_of_sound` (t0, by trajectory), `mask` (t0, the same for all trajectories and along x),
    `gravity` (t1, the same for all trajectories).
    """
    same: dict[str, Any] = {"sizes": sizes, "trajectories": trajectories, "steps": steps}
    found = [
        field("density", 0, rng, offset=3.0, **same),
        field("pressure", 0, rng, scale=5.0, **same),
        field("velocity", 1, rng, **same),
        field("C", 2, rng, symmetric=True, **same),
    ]
    if constants:
        found += [
            field("speed_of_sound", 0, rng, time_varying=False, offset=2.0, **same),
            field("mask", 0, rng, sample_varying=False, time_varying=False, constant_along=("x",), **same),
            field("gravity", 1, rng, sample_varying=False, time_varying=False, **same),
        ]
    return found


def write_random(
    path: Path,
    *,
    sizes: Sequence[int] = (8, 6),
    trajectories: int = 2,
    steps: int = 7,
    seed: int = 0,
    dataset_name: str = "noise",
    fields: Sequence[NewField] | None = None,
    kinds: Sequence[Kind] | Kind = "PERIODIC",
    nonuniform: Sequence[str] = (),
    parameters: Mapping[str, float] | None = None,
    constants: bool = True,
    dt: float = 0.5,
    storage: Mapping[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """Write a file of `usual_fields` (or `fields`) in 1, 2 or 3 dimensions; return its values by name, as stored.

    `storage` is what h5py's create_dataset takes, applied to every field: {"compression": "gzip"}; chunks=True too.
    """
    rng = np.random.default_rng(seed)
    if fields is None:
        fields = usual_fields(rng, sizes=sizes, trajectories=trajectories, steps=steps, constants=constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(
        path,
        dataset_name=dataset_name,
        dimensions=axes(sizes, nonuniform=nonuniform),
        time=np.arange(steps) * dt,
        parameters=dict({"Re": 100.0, "Wi": 0.25} if parameters is None else parameters),
        fields=fields,
        boundaries=boundaries(sizes, kinds),
        storage=dict(storage) if storage else None,
    )
    return {one.name: one.values for one in fields}


def add_scalar(
    path: Path, name: str, values: np.ndarray, *, sample_varying: bool = False, time_varying: bool = True
) -> None:
    """Add a scalar that varies, with axes [trajectory], [time], to a written file: `write_file` writes constants only.

    Scalars that vary are no parameters of the simulation, so the root's attributes do not name them.
    """
    assert np.ndim(values) == sample_varying + time_varying
    with h5py.File(path, "r+") as file:
        group = file["scalars"]
        names = [*group.attrs["field_names"], name]
        del group.attrs["field_names"]
        group.attrs.create("field_names", names, dtype=h5py.string_dtype())
        data = group.create_dataset(name, data=np.asarray(values, np.float32))
        data.attrs["sample_varying"], data.attrs["time_varying"] = sample_varying, time_varying


def write_dataset(
    root: Path,
    *,
    dataset_name: str = "noise",
    splits: Mapping[str, int] | None = None,
    parameter_sets: Sequence[Mapping[str, float]] = ({"Re": 100.0}, {"Re": 200.0}),
    seed: int = 0,
    **options: Any,
) -> dict[Path, dict[str, np.ndarray]]:
    """Write `<root>/<dataset_name>/data/{train,valid,test}/*.hdf5`; return the values of each file.

    `splits` gives the trajectories of each (4, 1, 1); files of a parameter set have the same name in each, as in The
    Well. `options` go to `write_random`.
    """
    found = {}
    for number, parameters in enumerate(parameter_sets):
        name = "_".join([dataset_name, *(f"{key}_{value:g}" for key, value in parameters.items())]) + ".hdf5"
        for place, (split, trajectories) in enumerate((splits or {"train": 4, "valid": 1, "test": 1}).items()):
            path = root / dataset_name / "data" / split / name
            found[path] = write_random(
                path,
                dataset_name=dataset_name,
                trajectories=trajectories,
                parameters=parameters,
                seed=seed * 10_000 + number * 100 + place,
                **options,
            )
    return found
