"""The Well's HDF5 layout (arXiv 2412.00568): what a file declares, read once into plain values.

A file holds trajectories of fields on a uniform grid: scalars (t0), vectors (t1) and tensors (t2), constants, boundary
conditions. Axes in memory are (trajectory, time, *space, *components); what does not vary along an axis has none, or
one of length 1: both are read.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressed files
import numpy as np

from tasks.physics.extents import extent_fault

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
KINDS = ("WALL", "OPEN", "PERIODIC")  # of boundary conditions; their place is the code that the loader gives
Stored = Literal["full", "single", "dropped"]  # an axis of a field
CURVED = ("spherical", "equiangular", "log-spherical")  # grid types in which coordinates are no lengths
GRIDS = ("cartesian", *CURVED)


class LayoutError(ValueError):
    """A file that is not in The Well's layout: names the object in it, what is wrong and what to do."""

    def __init__(self, what: str, *, at: str, remedy: str, code: str = "layout"):
        super().__init__(f"{at}: {what}; {remedy}" if remedy else f"{at}: {what}")
        self.what, self.at, self.remedy, self.code = what, at, remedy, code


def channels(name: str, order: int, dimensions: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each component of a field, in row-major order: velocity_x, D_xy; of a scalar its own."""
    suffixes = ("".join(which) for which in itertools.product(dimensions, repeat=order))
    return tuple(f"{name}_{suffix}" if suffix else name for suffix in suffixes)


@dataclass(frozen=True)
class Variable:
    """A field or a scalar of a file: where it lies and along which axes it varies.

    `shape` is as stored. `space` says for each spatial dimension how its axis is stored: "full", "single" (of length 1,
    as nothing varies along it) or "dropped".
    """

    name: str
    path: str  # in the file: t1_fields/velocity
    order: int  # of the tensor: 0, 1, 2; scalars of the simulation have 0
    shape: tuple[int, ...]
    dtype: str  # as numpy writes it: <f4
    sample_varying: bool
    time_varying: bool
    space: tuple[Stored, ...]  # empty for a scalar of the simulation
    offset: int | None = None  # in bytes from the file's start, where it is stored whole and as it is
    chunks: tuple[int, ...] | None = None
    filters: tuple[str, ...] = ()
    symmetric: bool = False
    antisymmetric: bool = False

    @property
    def components(self) -> int:
        """How many channels it makes: D ** order."""
        return len(self.space) ** self.order if self.space else 1

    def channels(self, dimensions: Sequence[str]) -> tuple[str, ...]:
        """Return a name for each component: velocity_x, D_xy; of a scalar field its own."""
        return channels(self.name, self.order, dimensions)


@dataclass(frozen=True)
class Boundary:
    """A boundary condition: on which faces of the grid it holds."""

    name: str
    kind: Literal["WALL", "OPEN", "PERIODIC"]
    dimensions: tuple[str, ...]
    mask: np.ndarray  # bool, over these dimensions: True where it holds
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class WellFile:
    """What a file declares. Values of fields stay in the file."""

    path: str
    dataset_name: str
    grid_type: str
    trajectories: int  # B
    steps: int  # T
    dimensions: tuple[str, ...]
    coordinates: tuple[np.ndarray, ...]  # float64, of each dimension (length,) or (B, length)
    time: np.ndarray  # float64 (T,) or (B, T)
    parameters: dict[str, float]  # of the simulation, which the root's attributes hold
    fields: tuple[Variable, ...]  # t0, t1, t2, in the order that the file gives
    scalars: tuple[Variable, ...]
    boundaries: tuple[Boundary, ...]

    @property
    def resolution(self) -> tuple[int, ...]:
        return tuple(grid.shape[-1] for grid in self.coordinates)

    def of_time(self) -> Iterator[Variable]:
        """Yield the fields that vary in time."""
        return (field for field in self.fields if field.time_varying)

    def constants(self) -> Iterator[Variable]:
        """Yield the fields that do not."""
        return (field for field in self.fields if not field.time_varying)


def text(value: Any, *, at: str) -> str:
    """Return a string attribute. Fixed-length bytes are taken too. Raises LayoutError for what is none."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise LayoutError("bytes that are no UTF-8", at=at, remedy="write it as a string", code="strings") from None
    if isinstance(value, str):
        return value
    raise LayoutError(f"{type(value).__name__} where a string belongs", at=at, remedy="write a string", code="strings")


def texts(value: Any, *, at: str) -> tuple[str, ...]:
    """Return a list of strings. Raises LayoutError for what is none."""
    if isinstance(value, h5py.Empty):
        return ()
    if isinstance(value, str | bytes):
        return (text(value, at=at),)
    return tuple(text(one, at=at) for one in np.asarray(value).ravel())


def flag(owner: Any, name: str, *, at: str) -> bool:
    """Return a boolean attribute. Raises LayoutError where it is missing or is neither true nor false."""
    value = attribute(owner, name, at=at)
    found = np.asarray(value)
    if found.size != 1 or found.dtype.kind not in "biu" or int(found.ravel()[0]) not in (0, 1):
        raise LayoutError(f"@{name} is {value!r}, no boolean", at=at, remedy="write True or False", code="attribute")
    return bool(found.ravel()[0])


def attribute(owner: Any, name: str, *, at: str) -> Any:
    """Return an attribute. Raises LayoutError where it is missing."""
    try:
        return owner.attrs[name]
    except KeyError:
        raise LayoutError(f"@{name} is missing", at=at, remedy="add it", code="missing") from None


def member(owner: Any, name: str, kind: type, *, at: str) -> Any:
    """Return a group or a dataset of a group. Raises LayoutError where it is missing or the other of the two.

    A link to another file is never followed.
    """
    if isinstance(owner.get(name, getlink=True), h5py.ExternalLink):
        raise LayoutError(f"{name} lies in another file", at=at, remedy="copy it into this one", code="external_link")
    found = owner.get(name)
    if not isinstance(found, kind):
        what = "is missing" if found is None else f"is no {kind.__name__.lower()}"
        raise LayoutError(f"{name} {what}", at=at, remedy="write it as The Well's format has it", code="missing")
    return found


def whole(owner: Any, name: str, *, at: str) -> int:
    """Return an attribute that is a whole number. Raises LayoutError where it is missing or is none."""
    found = np.asarray(attribute(owner, name, at=at))
    if found.size != 1 or found.dtype.kind not in "iuf" or not float(found.ravel()[0]).is_integer():
        raise LayoutError(f"@{name} is {found!r:.60}, no whole number", at=at, remedy="write one", code="attribute")
    return int(found.ravel()[0])


def parameters(file: h5py.File) -> dict[str, float]:
    """Return the parameters of the simulation that are numbers. Raises LayoutError where a listed one is missing."""
    found = {}
    for name in texts(attribute(file, "simulation_parameters", at="/"), at="/@simulation_parameters"):
        value = np.asarray(attribute(file, name, at="/"))
        if value.size == 1 and value.dtype.kind in "biuf":
            found[name] = float(value.ravel()[0])
    return found


def values(owner: Any, name: str, *, at: str) -> np.ndarray:
    """Return the values of a small dataset. Raises LayoutError where it is missing or declares more than there is."""
    data = member(owner, name, h5py.Dataset, at=at)
    if fault := extent_fault(data):
        raise LayoutError(fault.what, at=f"{at.rstrip('/')}/{name}", remedy=fault.remedy, code=fault.code)
    return np.asarray(data[()])


def read_layout(path: str | Path, file: h5py.File | None = None) -> WellFile:
    """Read what a file declares; no field is read. Raises LayoutError at the first thing that is not as it must be."""
    if file is None:
        with h5py.File(path, "r") as opened:
            return read_layout(path, opened)
    root = "/"
    dims_group = member(file, "dimensions", h5py.Group, at=root)
    dimensions = texts(attribute(dims_group, "spatial_dims", at="/dimensions"), at="/dimensions@spatial_dims")
    time, *coordinates = (
        np.atleast_1d(values(dims_group, name, at="/dimensions").astype(np.float64)) for name in ("time", *dimensions)
    )
    trajectories = whole(file, "n_trajectories", at=root)
    sizes = tuple(grid.shape[-1] for grid in coordinates)
    declared = whole(file, "n_spatial_dims", at=root)
    if declared != len(dimensions):
        remedy = "make them agree"
        raise LayoutError(f"@n_spatial_dims is {declared}, spatial_dims has {len(dimensions)}", at=root, remedy=remedy)
    steps = time.shape[-1]
    fields = [
        _field(file, order, name, trajectories, steps, sizes)
        for order, group in enumerate(ORDERS)
        for name in _field_names(file, group)
    ]
    return WellFile(
        path=str(path),
        dataset_name=text(attribute(file, "dataset_name", at=root), at="/@dataset_name"),
        grid_type=text(attribute(file, "grid_type", at=root), at="/@grid_type"),
        trajectories=trajectories,
        steps=steps,
        dimensions=dimensions,
        coordinates=tuple(coordinates),
        time=time,
        parameters=parameters(file),
        fields=tuple(fields),
        scalars=tuple(_scalar(file, name) for name in _field_names(file, "scalars")),
        boundaries=tuple(_boundaries(file, dimensions)),
    )


def _field_names(file: h5py.File, group: str) -> tuple[str, ...]:
    owner = member(file, group, h5py.Group, at="/")
    return texts(attribute(owner, "field_names", at=f"/{group}"), at=f"/{group}@field_names")


def stored_space(
    shape: Sequence[int], before: Sequence[int], sizes: Sequence[int], varying: Sequence[bool], after: Sequence[int]
) -> tuple[Stored, ...] | None:
    """Return how each spatial axis is stored in a dataset of this shape, None where it fits in no way.

    Axes along which the field does not vary are dropped, of length 1, or full: all alike if that fits, else mixed.
    """
    ways: tuple[Stored, ...] = ("dropped", "single", "full")
    free = [place for place, varies in enumerate(varying) if not varies]
    alike = [(way,) * len(free) for way in ways]
    for chosen in (*alike, *itertools.product(ways, repeat=len(free))):
        space: list[Stored] = ["full"] * len(sizes)
        for place, way in zip(free, chosen, strict=True):
            space[place] = way
        axes = [1 if way == "single" else size for size, way in zip(sizes, space, strict=True) if way != "dropped"]
        if tuple(shape) == (*before, *axes, *after):
            return tuple(space)
    return None


def _field(file: h5py.File, order: int, name: str, samples: int, steps: int, sizes: Sequence[int]) -> Variable:
    group = ORDERS[order]
    at = f"/{group}/{name}"
    data = member(file[group], name, h5py.Dataset, at=f"/{group}")
    sample_varying, time_varying = flag(data, "sample_varying", at=at), flag(data, "time_varying", at=at)
    varying = [bool(one) for one in np.asarray(attribute(data, "dim_varying", at=at)).ravel()]
    if len(varying) != len(sizes):
        what = f"@dim_varying has {len(varying)} entries for {len(sizes)} dimensions"
        raise LayoutError(what, at=at, remedy="give one for each dimension")
    before = (*([samples] if sample_varying else []), *([steps] if time_varying else []))
    after = (len(sizes),) * order
    space = stored_space(data.shape, before, sizes, varying, after)
    if space is None:
        wanted = (*before, *sizes, *after)
        raise LayoutError(
            f"shape {data.shape} where {wanted} is declared",
            at=at,
            remedy="axes are [trajectory], [time], space, components, as @sample_varying, @time_varying and "
            "@dim_varying say",
            code="shape",
        )
    return Variable(
        name,
        f"{group}/{name}",
        order,
        tuple(data.shape),
        data.dtype.str,
        sample_varying,
        time_varying,
        space,
        **_storage(data),
        symmetric=order == 2 and bool(data.attrs.get("symmetric", False)),
        antisymmetric=order == 2 and bool(data.attrs.get("antisymmetric", False)),
    )


def _scalar(file: h5py.File, name: str) -> Variable:
    at = f"/scalars/{name}"
    data = member(file["scalars"], name, h5py.Dataset, at="/scalars")
    sample_varying, time_varying = flag(data, "sample_varying", at=at), flag(data, "time_varying", at=at)
    return Variable(
        name,
        f"scalars/{name}",
        0,
        tuple(data.shape),
        data.dtype.str,
        sample_varying,
        time_varying,
        (),
        **_storage(data),
    )


def _storage(data: h5py.Dataset) -> dict[str, Any]:
    filters = data.id.get_create_plist()
    names = tuple(filters.get_filter(number)[3].decode(errors="replace") for number in range(filters.get_nfilters()))
    plain = data.chunks is None and not data.external and not data.is_virtual
    return {"offset": data.id.get_offset() if plain else None, "chunks": data.chunks, "filters": names}


def _boundaries(file: h5py.File, dimensions: Sequence[str]) -> Iterator[Boundary]:
    owner = member(file, "boundary_conditions", h5py.Group, at="/")
    for name in owner:
        at = f"/boundary_conditions/{name}"
        group = member(owner, name, h5py.Group, at="/boundary_conditions")
        kind = text(attribute(group, "bc_type", at=at), at=f"{at}@bc_type").upper()
        if kind not in KINDS:
            raise LayoutError(f"@bc_type is {kind!r}", at=at, remedy=f"one of {', '.join(KINDS)}", code="boundary_type")
        on = texts(attribute(group, "associated_dims", at=at), at=f"{at}@associated_dims")
        fields = texts(group.attrs.get("associated_fields", ()), at=f"{at}@associated_fields")
        mask = values(group, "mask", at=at).astype(bool)
        yield Boundary(name, kind, on, mask, fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class NewField:
    """A field to be written. `values` has axes (trajectory, time, *space, *components), without those that it lacks."""

    name: str
    order: int
    values: np.ndarray
    sample_varying: bool = True
    time_varying: bool = True
    dim_varying: tuple[bool, ...] = ()  # empty: along all
    symmetric: bool = False
    antisymmetric: bool = False


def write_file(
    path: str | Path,
    *,
    dataset_name: str,
    dimensions: dict[str, np.ndarray],
    time: np.ndarray,
    parameters: dict[str, float],
    fields: Sequence[NewField],
    boundaries: Sequence[Boundary],
    grid_type: str = "cartesian",
    storage: dict[str, Any] | None = None,
) -> None:
    """Write a file in The Well's layout, fields as float32, all trajectories of one set of parameters.

    `dimensions` gives the coordinates of each axis in storage order, `storage` what h5py's create_dataset takes for
    chunks and compression (None: contiguous). An axis along which a field does not vary is kept, of length 1, since
    The Well's loader reads no other.
    """
    trajectories = {field.values.shape[0] for field in fields if field.sample_varying}
    assert len(trajectories) == 1, f"fields of one file have as many trajectories, not {sorted(trajectories)}"
    with h5py.File(path, "w") as file:
        strings = h5py.string_dtype()
        file.attrs["dataset_name"] = dataset_name
        file.attrs["grid_type"] = grid_type
        file.attrs["n_spatial_dims"] = len(dimensions)
        file.attrs["n_trajectories"] = trajectories.pop()
        file.attrs.create("simulation_parameters", list(parameters), dtype=strings, shape=(len(parameters),))
        for name, value in parameters.items():
            file.attrs[name] = float(value)
        group = file.create_group("dimensions")
        group.attrs.create("spatial_dims", list(dimensions), dtype=strings)
        for name, values in (*dimensions.items(), ("time", time)):
            data = group.create_dataset(name, data=np.asarray(values, np.float32))
            data.attrs["sample_varying"] = np.ndim(values) == 2
            data.attrs["time_varying"] = name == "time"
        _write_boundaries(file, boundaries, strings)
        group = file.create_group("scalars")
        group.attrs.create("field_names", list(parameters), dtype=strings, shape=(len(parameters),))
        for name, value in parameters.items():
            data = group.create_dataset(name, data=np.float32(value))
            data.attrs["sample_varying"] = data.attrs["time_varying"] = False
        for order, name in enumerate(ORDERS):
            group = file.create_group(name)
            own = [field for field in fields if field.order == order]
            group.attrs.create("field_names", [f.name for f in own], dtype=strings, shape=(len(own),))
            for field in own:
                _write_field(group, field, len(dimensions), storage or {})


def _write_boundaries(file: h5py.File, boundaries: Sequence[Boundary], strings: Any) -> None:
    owner = file.create_group("boundary_conditions")
    for boundary in boundaries:
        group = owner.create_group(boundary.name)
        group.attrs["bc_type"] = boundary.kind
        group.attrs.create("associated_dims", list(boundary.dimensions), dtype=strings)
        group.attrs.create("associated_fields", list(boundary.fields), dtype=strings, shape=(len(boundary.fields),))
        group.attrs["sample_varying"] = group.attrs["time_varying"] = False
        group.create_dataset("mask", data=boundary.mask)
        group.create_dataset("values", data=np.zeros(int(boundary.mask.sum()), np.float32))


def _write_field(group: h5py.Group, field: NewField, dimensions: int, storage: dict[str, Any]) -> None:
    varying = field.dim_varying or (True,) * dimensions
    wanted = field.sample_varying + field.time_varying + dimensions + field.order
    assert field.values.ndim == wanted, f"{field.name}: {field.values.ndim} axes where {wanted} are declared"
    data = group.create_dataset(field.name, data=np.ascontiguousarray(field.values, np.float32), **storage)
    data.attrs["dim_varying"] = np.array(varying)
    data.attrs["sample_varying"] = field.sample_varying
    data.attrs["time_varying"] = field.time_varying
    if field.order == 2:
        data.attrs["symmetric"], data.attrs["antisymmetric"] = field.symmetric, field.antisymmetric


def periodic(dimensions: dict[str, np.ndarray]) -> list[Boundary]:
    """Return the boundary conditions of a box that repeats along each axis, named as in The Well: x_periodic."""
    found = []
    for name, values in dimensions.items():
        mask = np.zeros(np.shape(values)[-1], bool)
        mask[[0, -1]] = True
        found.append(Boundary(f"{name}_periodic", "PERIODIC", (name,), mask))
    return found


def voxels(file: WellFile) -> int:
    """Return the number of grid points."""
    return math.prod(file.resolution)
