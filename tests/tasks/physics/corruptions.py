"""Files in The Well's layout with one thing wrong each, and what is to become of them: reject, warn or accept.

Each case starts as a sound file of known values (`base`); `make` spoils it. `code` is the finding that must be there,
`at` a part of the object that it must name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin
import numpy as np

from tests.tasks.physics import well_files

SIZES = (8, 6)
TRAJECTORIES, STEPS = 2, 7
Verdict = Literal["reject", "warn", "accept"]


@dataclass(frozen=True)
class Case:
    name: str
    verdict: Verdict
    code: str
    at: str
    make: Callable[[Path], None]
    options: dict[str, Any]


CASES: list[Case] = []


def case(verdict: Verdict, code: str, at: str, name: str = "", **options: Any) -> Callable[[Any], Any]:
    """Add a function as a case; `options` go to `well_files.write_random`."""

    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(name or make.__name__, verdict, code, at, make, options))
        return make

    return add


def spoil(verdict: Verdict, code: str, at: str, name: str = "", **options: Any) -> Callable[[Any], Any]:
    """Add a function that changes the open file."""

    def add(change: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
        def make(path: Path) -> None:
            with h5py.File(path, "r+") as file:
                change(file)

        CASES.append(Case(name or change.__name__, verdict, code, at, make, options))
        return change

    return add


def base(path: Path, **options: Any) -> dict[str, np.ndarray]:
    """Write the sound file that a case starts from; return its values as stored."""
    usual = {"sizes": SIZES, "trajectories": TRAJECTORIES, "steps": STEPS, "seed": 5}
    return well_files.write_random(path, **(usual | options))


def rewrite(file: h5py.File, path: str, values: Any, **options: Any) -> h5py.Dataset:
    """Put other values in a dataset's place, with its attributes."""
    attributes = dict(file[path].attrs)
    del file[path]
    made = file.create_dataset(path, data=values, **options)
    for name, value in attributes.items():
        made.attrs[name] = value
    return made


def strings(owner: Any, name: str, values: list[str]) -> None:
    """Write an attribute that is a list of strings."""
    if name in owner.attrs:
        del owner.attrs[name]
    owner.attrs.create(name, values, dtype=h5py.string_dtype(), shape=(len(values),))


# --- no whole HDF5 file -----------------------------------------------------------------------------------------


@case("reject", "empty_file", "/")
def empty(path: Path) -> None:
    path.write_bytes(b"")


@case("reject", "not_hdf5", "/")
def text_file(path: Path) -> None:
    path.write_text("not a simulation")


@case("reject", "not_hdf5", "/")
def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>503 Service Unavailable</body></html>")


@case("reject", "not_hdf5", "/")
def hole_at_the_start(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(len(data)))


@case("reject", "not_hdf5", "/")
def lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n")


@case("reject", "truncated", "/")
def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@case("reject", "truncated", "/")
def without_its_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@case("reject", "unreadable", "/")
def header_of_noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[96:400] = np.random.default_rng(0).bytes(304)
    path.write_bytes(data)


@case("reject", "damaged", "/t0_fields/pressure")
def flipped_bytes_in_a_chunk(path: Path) -> None:
    _stored({"chunks": (1, 1, 8, 6), "compression": "gzip", "fletcher32": True}, path)
    with h5py.File(path) as file:
        chunk = file["t0_fields/pressure"].id.get_chunk_info(5)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 20] ^= 0xFF
    path.write_bytes(data)


# --- missing or wrong groups and attributes ---------------------------------------------------------------------

_ATTRIBUTES = [
    ("/", "dataset_name"),
    ("/", "grid_type"),
    ("/", "n_spatial_dims"),
    ("/", "n_trajectories"),
    ("/", "simulation_parameters"),
    ("/", "Re"),
    ("/dimensions", "spatial_dims"),
    ("/t0_fields", "field_names"),
    ("/scalars", "field_names"),
    ("/t0_fields/pressure", "dim_varying"),
    ("/t1_fields/velocity", "sample_varying"),
    ("/t2_fields/C", "time_varying"),
    ("/scalars/Re", "time_varying"),
    ("/boundary_conditions/x_periodic", "bc_type"),
    ("/boundary_conditions/x_periodic", "associated_dims"),
]


def _without_group(group: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[group]


def _without_attribute(owner: str, name: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[owner].attrs[name]


def _without_dataset(name: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]


for _group in ("dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"):
    _make = partial(_without_group, _group)
    CASES.append(Case(f"no_{_group}", "reject", "missing", f"/{_group}", _make, {}))
for _owner, _name in _ATTRIBUTES:
    _make = partial(_without_attribute, _owner, _name)
    CASES.append(Case(f"no_attribute_{_owner.strip('/')}@{_name}", "reject", "missing", _owner, _make, {}))
for _path in (
    "t0_fields/density",
    "dimensions/time",
    "dimensions/y",
    "scalars/Re",
    "boundary_conditions/x_periodic/mask",
):
    _make = partial(_without_dataset, _path)
    _parent = "/" + _path.rpartition("/")[0]
    CASES.append(Case(f"no_dataset_{_path}", "reject", "missing", _parent, _make, {}))


@spoil("reject", "strings", "/t0_fields@field_names")
def field_names_are_numbers(file: h5py.File) -> None:
    file["t0_fields"].attrs["field_names"] = [1, 2]


@spoil("reject", "strings", "/@dataset_name")
def name_that_is_no_utf8(file: h5py.File) -> None:
    file.attrs["dataset_name"] = np.bytes_(b"caf\xe9")


@spoil("reject", "attribute", "/")
def number_of_trajectories_in_words(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = "two"


@spoil("reject", "attribute", "/")
def endless_trajectories(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = np.inf


@spoil("reject", "attribute", "/t0_fields/pressure")
def flag_that_is_seven(file: h5py.File) -> None:
    file["t0_fields/pressure"].attrs["sample_varying"] = 7


@spoil("reject", "attribute", "/t0_fields/pressure@dim_varying")
def dim_varying_too_long(file: h5py.File) -> None:
    file["t0_fields/pressure"].attrs["dim_varying"] = [True, True, True]


@spoil("reject", "attribute", "/t0_fields/pressure@dim_varying")
def dim_varying_in_words(file: h5py.File) -> None:
    strings(file["t0_fields/pressure"], "dim_varying", ["yes", "yes"])


@spoil("reject", "dataset_name", "/@dataset_name")
def name_that_leads_out_of_the_folder(file: h5py.File) -> None:
    file.attrs["dataset_name"] = "../../elsewhere"


@spoil("reject", "dimensions", "/@n_spatial_dims")
def wrong_number_of_dimensions(file: h5py.File) -> None:
    file.attrs["n_spatial_dims"] = 3


@spoil("reject", "dimensions", "/dimensions@spatial_dims")
def dimension_named_twice(file: h5py.File) -> None:
    strings(file["dimensions"], "spatial_dims", ["x", "x"])


# --- lengths and shapes -----------------------------------------------------------------------------------------


@spoil("reject", "n_trajectories", "/@n_trajectories")
def more_trajectories_than_there_are(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = TRAJECTORIES + 1


@spoil("reject", "n_trajectories", "/@n_trajectories")
def fewer_trajectories_than_there_are(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = TRAJECTORIES - 1


@spoil("reject", "n_trajectories", "/@n_trajectories")
def no_trajectory(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = 0


@spoil("reject", "time_length", "/dimensions/time")
def time_longer_than_the_fields(file: h5py.File) -> None:
    rewrite(file, "dimensions/time", np.arange(STEPS + 2, dtype=np.float32))


@spoil("reject", "time_length", "/dimensions/time")
def time_shorter_than_the_fields(file: h5py.File) -> None:
    rewrite(file, "dimensions/time", np.arange(STEPS - 2, dtype=np.float32))


@spoil("reject", "axis_length", "/dimensions/x")
def axis_longer_than_the_fields(file: h5py.File) -> None:
    rewrite(file, "dimensions/x", np.linspace(0, 1, SIZES[0] + 1, dtype=np.float32))


@spoil("reject", "axis_shape", "/dimensions/x")
def axis_of_three_dimensions(file: h5py.File) -> None:
    rewrite(file, "dimensions/x", np.zeros((2, 2, SIZES[0]), np.float32))


@spoil("reject", "axis_shape", "/dimensions/time")
def time_of_other_trajectories(file: h5py.File) -> None:
    rewrite(file, "dimensions/time", np.tile(np.arange(STEPS, dtype=np.float32), (TRAJECTORIES + 3, 1)))


@spoil("reject", "shape", "/t0_fields/pressure")
def one_field_transposed(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", np.swapaxes(file["t0_fields/pressure"][()], 2, 3))


@spoil("reject", "shape", "/t0_fields/pressure")
def one_field_of_fewer_steps(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", file["t0_fields/pressure"][:, :-1])


@spoil("reject", "shape", "/t0_fields/pressure")
def field_without_its_time_axis(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", file["t0_fields/pressure"][:, 0])


@spoil("reject", "shape", "/t1_fields/velocity")
def vector_of_three_components_in_two_dimensions(file: h5py.File) -> None:
    rewrite(file, "t1_fields/velocity", np.zeros((TRAJECTORIES, STEPS, *SIZES, 3), np.float32))


@spoil("reject", "shape", "/t2_fields/C")
def tensor_as_one_axis(file: h5py.File) -> None:
    values = file["t2_fields/C"][()]
    rewrite(file, "t2_fields/C", values.reshape(*values.shape[:-2], 4))


@spoil("reject", "shape", "/t0_fields/pressure")
def field_of_no_steps(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", np.zeros((TRAJECTORIES, 0, *SIZES), np.float32))


@spoil("reject", "shape", "/scalars/Re")
def scalar_with_an_axis_too_many(file: h5py.File) -> None:
    rewrite(file, "scalars/Re", np.array([1.0, 2.0, 3.0], np.float32))


@spoil("reject", "no_fields", "/")
def only_constants(file: h5py.File) -> None:
    for group, keep in (("t0_fields", ["mask"]), ("t1_fields", []), ("t2_fields", [])):
        for name in list(file[group]):
            if name not in keep:
                del file[group][name]
        strings(file[group], "field_names", keep)


# --- types ------------------------------------------------------------------------------------------------------


@spoil("reject", "dtype", "/t0_fields/pressure")
def complex_numbers(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", file["t0_fields/pressure"][()].astype(np.complex64))


@spoil("reject", "dtype", "/t0_fields/pressure")
def words_for_numbers(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", np.full((TRAJECTORIES, STEPS, *SIZES), b"1.0"))


@spoil("warn", "byte_strings", "/@grid_type")
def bytes_for_strings(file: h5py.File) -> None:
    file.attrs["grid_type"] = np.bytes_(b"cartesian")
    file.attrs["dataset_name"] = np.bytes_(b"noise")


@spoil("warn", "byte_strings", "/t0_fields@field_names")
def bytes_for_lists_of_strings(file: h5py.File) -> None:
    for owner, name in (("t0_fields", "field_names"), ("dimensions", "spatial_dims")):
        found = file[owner].attrs[name]
        file[owner].attrs[name] = np.array([one.encode() for one in found])


@spoil("warn", "byte_order", "/t0_fields/pressure")
def big_endian(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", file["t0_fields/pressure"][()].astype(">f4"))
    rewrite(file, "t1_fields/velocity", file["t1_fields/velocity"][()].astype(">f4"))


@spoil("warn", "float64", "/t0_fields/pressure")
def double_precision(file: h5py.File) -> None:
    rewrite(file, "t0_fields/pressure", file["t0_fields/pressure"][()].astype(np.float64))


@spoil("warn", "float64", "/t1_fields/velocity")
def big_endian_double_precision(file: h5py.File) -> None:
    rewrite(file, "t1_fields/velocity", file["t1_fields/velocity"][()].astype(">f8"))


@spoil("warn", "other_type", "/t0_fields/density")
def whole_numbers(file: h5py.File) -> None:
    rewrite(file, "t0_fields/density", np.rint(file["t0_fields/density"][()] * 100).astype(np.int16))


@spoil("warn", "other_type", "/t0_fields/density")
def half_precision(file: h5py.File) -> None:
    rewrite(file, "t0_fields/density", file["t0_fields/density"][()].astype(np.float16))


@spoil("warn", "other_type", "/t0_fields/mask")
def mask_of_booleans(file: h5py.File) -> None:
    rewrite(file, "t0_fields/mask", file["t0_fields/mask"][()] > 0)


# --- content ----------------------------------------------------------------------------------------------------


@spoil("reject", "non_finite", "/t0_fields/pressure")
def one_nan(file: h5py.File) -> None:
    file["t0_fields/pressure"][1, 3, 2, 2] = np.nan


@spoil("reject", "non_finite", "/t1_fields/velocity")
def one_infinity_in_a_component(file: h5py.File) -> None:
    file["t1_fields/velocity"][0, 6, 7, 5, 1] = -np.inf


@spoil("reject", "non_finite", "/t0_fields/speed_of_sound")
def nan_in_a_constant(file: h5py.File) -> None:
    file["t0_fields/speed_of_sound"][0, 1, 1] = np.nan


@spoil("reject", "non_finite", "/t0_fields/pressure")
def too_large_for_float32(file: h5py.File) -> None:
    values = file["t0_fields/pressure"][()].astype(np.float64)
    values[0, 1] = 1e300
    rewrite(file, "t0_fields/pressure", values)


@spoil("reject", "non_finite", "/scalars/Re")
def nan_scalar(file: h5py.File) -> None:
    file["scalars/Re"][()] = np.nan


@spoil("reject", "non_finite", "/@Re")
def nan_parameter(file: h5py.File) -> None:
    file.attrs["Re"] = np.nan


def _masked(file: h5py.File) -> np.ndarray:
    """Put a mask of zeros and ones, and NaN where it is one, in two fields."""
    mask = np.zeros(SIZES, np.float32)
    mask[2:5, 1:3] = 1
    made = rewrite(file, "t0_fields/mask", mask)
    made.attrs["dim_varying"] = [True, True]
    for name in ("t0_fields/pressure", "t1_fields/velocity"):
        values = file[name][()]
        values[:, :, mask == 1] = np.nan
        file[name][...] = values
    return mask


@spoil("warn", "masked", "/t0_fields/pressure")
def nan_under_a_mask(file: h5py.File) -> None:
    _masked(file)


@spoil("reject", "non_finite", "/t0_fields/pressure")
def nan_beside_a_mask(file: h5py.File) -> None:
    _masked(file)
    file["t0_fields/pressure"][0, 4, 0, 0] = np.nan


@spoil("reject", "non_finite", "/t0_fields/pressure")
def infinity_under_a_mask(file: h5py.File) -> None:
    _masked(file)
    file["t0_fields/pressure"][0, 4, 3, 1] = np.inf


@spoil("reject", "non_finite", "/t0_fields/pressure")
def nan_that_leaves_the_mask_later(file: h5py.File) -> None:
    _masked(file)
    file["t0_fields/pressure"][1, 5, 3, 1] = 1.0


@spoil("warn", "constant", "/t0_fields/pressure")
def one_value_everywhere(file: h5py.File) -> None:
    file["t0_fields/pressure"][...] = 2.5


_MOVING = ("t0_fields/density", "t0_fields/pressure", "t1_fields/velocity", "t2_fields/C")


@spoil("warn", "frozen", "/")
def two_frozen_frames(file: h5py.File) -> None:
    for name in _MOVING:
        file[name][1, 4] = file[name][1, 5] = file[name][1, 3]


@spoil("reject", "frozen", "/")
def frozen_from_the_start(file: h5py.File) -> None:
    for name in _MOVING:
        values = file[name][()]
        file[name][...] = np.broadcast_to(values[:, :1], values.shape)


@spoil("warn", "repeated_frames", "/")
def a_frame_that_comes_again(file: h5py.File) -> None:
    for name in _MOVING:
        file[name][0, 5] = file[name][0, 1]


@spoil("warn", "repeated_trajectory", "/")
def a_trajectory_that_comes_again(file: h5py.File) -> None:
    for name in _MOVING:
        file[name][1] = file[name][0]


@spoil("warn", "small_std", "/t0_fields/pressure")
def field_without_contrast(file: h5py.File) -> None:
    file["t0_fields/pressure"][...] = 1e-6 * file["t0_fields/pressure"][()]


@spoil("warn", "not_symmetric", "/t2_fields/C")
def tensor_that_is_not_as_symmetric_as_it_says(file: h5py.File) -> None:
    values = file["t2_fields/C"][()]
    values[..., 0, 1] += 1
    file["t2_fields/C"][...] = values


@spoil("warn", "parameter_differs", "/scalars/Re")
def scalar_other_than_the_attribute(file: h5py.File) -> None:
    file["scalars/Re"][()] = 99.0


@spoil("warn", "parameter", "/@Re")
def parameter_in_words(file: h5py.File) -> None:
    file.attrs["Re"] = "a hundred"


# --- time and grid ----------------------------------------------------------------------------------------------


@spoil("reject", "time_order", "/dimensions/time")
def time_that_goes_back(file: h5py.File) -> None:
    file["dimensions/time"][3] = 0.1


@spoil("reject", "time_order", "/dimensions/time")
def time_that_stands_still(file: h5py.File) -> None:
    file["dimensions/time"][3] = file["dimensions/time"][2]


@spoil("reject", "time_not_finite", "/dimensions/time")
def time_with_nan(file: h5py.File) -> None:
    file["dimensions/time"][2] = np.nan


@spoil("reject", "grid_order", "/dimensions/x")
def shuffled_grid(file: h5py.File) -> None:
    file["dimensions/x"][...] = np.random.default_rng(1).permutation(file["dimensions/x"][()])


@spoil("reject", "grid_not_finite", "/dimensions/y")
def grid_with_nan(file: h5py.File) -> None:
    file["dimensions/y"][0] = np.nan


@spoil("reject", "moving_grid", "/dimensions/x@time_varying")
def grid_that_moves(file: h5py.File) -> None:
    file["dimensions/x"].attrs["time_varying"] = True


@spoil("warn", "grid_falling", "/dimensions/x")
def grid_from_right_to_left(file: h5py.File) -> None:
    file["dimensions/x"][...] = file["dimensions/x"][()][::-1]


@spoil("warn", "grid_type", "/@grid_type")
def unknown_grid_type(file: h5py.File) -> None:
    file.attrs["grid_type"] = "icosahedral"


@spoil("warn", "flag", "/dimensions/x@sample_varying")
def axis_without_flags(file: h5py.File) -> None:
    for name in ("sample_varying", "time_varying"):
        del file["dimensions/x"].attrs[name]


@spoil("warn", "flag", "/dimensions/time@sample_varying")
def time_with_a_wrong_flag(file: h5py.File) -> None:
    file["dimensions/time"].attrs["sample_varying"] = True


@spoil("warn", "flag", "/t2_fields/C@symmetric")
def tensor_without_its_flags(file: h5py.File) -> None:
    del file["t2_fields/C"].attrs["symmetric"]


# --- boundary conditions ----------------------------------------------------------------------------------------


@spoil("reject", "boundary_mask", "/boundary_conditions/x_periodic/mask")
def short_mask(file: h5py.File) -> None:
    rewrite(file, "boundary_conditions/x_periodic/mask", np.ones(3, bool))


@spoil("reject", "boundary_mask", "/boundary_conditions/x_periodic/mask")
def mask_of_twos(file: h5py.File) -> None:
    rewrite(file, "boundary_conditions/x_periodic/mask", np.full(SIZES[0], 2))


@spoil("reject", "boundary_mask", "/boundary_conditions/x_periodic/mask")
def mask_for_each_trajectory(file: h5py.File) -> None:
    rewrite(file, "boundary_conditions/x_periodic/mask", np.ones((TRAJECTORIES, SIZES[0]), bool))


@spoil("reject", "boundary_type", "/boundary_conditions/x_periodic@bc_type")
def unknown_boundary_type(file: h5py.File) -> None:
    file["boundary_conditions/x_periodic"].attrs["bc_type"] = "SPONGE"


@spoil("reject", "boundary_dims", "/boundary_conditions/x_periodic@associated_dims")
def boundary_of_an_unknown_dimension(file: h5py.File) -> None:
    strings(file["boundary_conditions/x_periodic"], "associated_dims", ["z"])


@spoil("warn", "boundary_empty", "/boundary_conditions/x_periodic/mask")
def mask_all_false(file: h5py.File) -> None:
    file["boundary_conditions/x_periodic/mask"][...] = False
    rewrite(file, "boundary_conditions/x_periodic/values", np.zeros(0, np.float32))


@spoil("warn", "boundary_mask_type", "/boundary_conditions/x_periodic/mask")
def mask_of_whole_numbers(file: h5py.File) -> None:
    rewrite(
        file, "boundary_conditions/x_periodic/mask", file["boundary_conditions/x_periodic/mask"][()].astype(np.int8)
    )


@spoil("warn", "boundary_values", "/boundary_conditions/x_periodic/values")
def boundary_without_values(file: h5py.File) -> None:
    del file["boundary_conditions/x_periodic/values"]


@spoil("warn", "boundary_values", "/boundary_conditions/x_periodic/values")
def boundary_with_too_many_values(file: h5py.File) -> None:
    rewrite(file, "boundary_conditions/x_periodic/values", np.zeros(5, np.float32))


@spoil("warn", "no_boundaries", "/boundary_conditions")
def no_boundary_at_all(file: h5py.File) -> None:
    for name in list(file["boundary_conditions"]):
        del file["boundary_conditions"][name]


@spoil("warn", "flag", "/boundary_conditions/x_periodic@associated_fields")
def boundary_without_fields(file: h5py.File) -> None:
    del file["boundary_conditions/x_periodic"].attrs["associated_fields"]


@spoil("accept", "", "")
def boundary_type_in_small_letters(file: h5py.File) -> None:
    file["boundary_conditions/x_periodic"].attrs["bc_type"] = "periodic"


# --- names ------------------------------------------------------------------------------------------------------


@spoil("reject", "duplicate_name", "/t1_fields/density")
def one_name_in_two_orders(file: h5py.File) -> None:
    file.copy("t1_fields/velocity", "t1_fields/density")
    strings(file["t1_fields"], "field_names", [*file["t1_fields"].attrs["field_names"], "density"])


@spoil("reject", "duplicate_name", "/scalars/density")
def a_scalar_named_like_a_field(file: h5py.File) -> None:
    file.copy("scalars/Re", "scalars/density")
    strings(file["scalars"], "field_names", [*file["scalars"].attrs["field_names"], "density"])


@spoil("reject", "duplicate_name", "/t0_fields/density")
def a_field_listed_twice(file: h5py.File) -> None:
    strings(file["t0_fields"], "field_names", [*file["t0_fields"].attrs["field_names"], "density"])


@spoil("warn", "unlisted", "/t0_fields/forgotten")
def a_field_that_is_not_listed(file: h5py.File) -> None:
    file["t0_fields"]["forgotten"] = np.zeros(3)


@spoil("warn", "unlisted", "/notes")
def more_than_the_layout_has(file: h5py.File) -> None:
    file["notes"] = np.zeros(3)
    file["notes_of_mine/again"] = file["t0_fields"]  # a hard link


@spoil("warn", "unlisted", "/ring")
def a_ring_of_hard_links(file: h5py.File) -> None:
    group = file.create_group("ring")
    group["again"] = group


# --- links, bombs, filters --------------------------------------------------------------------------------------


@spoil("reject", "external_link", "/t0_fields/pressure")
def field_in_another_file(file: h5py.File) -> None:
    del file["t0_fields/pressure"]
    file["t0_fields/pressure"] = h5py.ExternalLink("elsewhere.hdf5", "/t0_fields/pressure")


@spoil("reject", "external_link", "/t1_fields")
def group_in_another_file(file: h5py.File) -> None:
    del file["t1_fields"]
    file["t1_fields"] = h5py.ExternalLink("elsewhere.hdf5", "/t1_fields")


@spoil("reject", "external_link", "/dimensions/time")
def time_in_another_file(file: h5py.File) -> None:
    del file["dimensions/time"]
    file["dimensions/time"] = h5py.ExternalLink("/etc/hostname", "/time")


@spoil("reject", "external_link", "/boundary_conditions/x_periodic/mask")
def mask_in_another_file(file: h5py.File) -> None:
    del file["boundary_conditions/x_periodic/mask"]
    file["boundary_conditions/x_periodic/mask"] = h5py.ExternalLink("elsewhere.hdf5", "/mask")


@spoil("reject", "soft_link", "/t0_fields/pressure")
def link_to_nothing(file: h5py.File) -> None:
    del file["t0_fields/pressure"]
    file["t0_fields/pressure"] = h5py.SoftLink("/t0_fields/gone")


@spoil("reject", "soft_link", "/t0_fields/pressure")
def link_to_itself(file: h5py.File) -> None:
    del file["t0_fields/pressure"]
    file["t0_fields/pressure"] = h5py.SoftLink("/t0_fields/pressure")


@spoil("reject", "soft_link", "/t0_fields/pressure")
def link_over_a_link_to_another_file(file: h5py.File) -> None:
    del file["t0_fields/pressure"]
    file["t0_fields/pressure"] = h5py.SoftLink("/outside/pressure")
    file["outside"] = h5py.ExternalLink("elsewhere.hdf5", "/t0_fields")


@spoil("warn", "soft_link", "/t0_fields/pressure")
def link_within_the_file(file: h5py.File) -> None:
    file.move("t0_fields/pressure", "hidden")
    file["t0_fields/pressure"] = h5py.SoftLink("/hidden")


@spoil("reject", "virtual", "/t0_fields/pressure")
def virtual_data_set(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(TRAJECTORIES, STEPS, *SIZES), dtype="f4")
    layout[...] = h5py.VirtualSource("elsewhere.hdf5", "pressure", shape=(TRAJECTORIES, STEPS, *SIZES))
    attributes = dict(file["t0_fields/pressure"].attrs)
    del file["t0_fields/pressure"]
    made = file.create_virtual_dataset("t0_fields/pressure", layout)
    made.attrs.update(attributes)


@spoil("reject", "external_storage", "/t0_fields/pressure")
def values_in_a_raw_file(file: h5py.File) -> None:
    attributes = dict(file["t0_fields/pressure"].attrs)
    del file["t0_fields/pressure"]
    size = 4 * TRAJECTORIES * STEPS * SIZES[0] * SIZES[1]
    made = file["t0_fields"].create_dataset(
        "pressure", (TRAJECTORIES, STEPS, *SIZES), "f4", external=[("/etc/passwd", 0, size)]
    )
    made.attrs.update(attributes)


def _other_field(file: h5py.File, shape: tuple[int, ...], **options: Any) -> h5py.Dataset:
    attributes = dict(file["t0_fields/pressure"].attrs)
    del file["t0_fields/pressure"]
    made = file["t0_fields"].create_dataset("pressure", shape, "f4", **options)
    made.attrs.update(attributes)
    return made


@spoil("reject", "absurd_shape", "/t0_fields/pressure")
def petabytes_in_chunks(file: h5py.File) -> None:
    file.attrs["n_trajectories"] = 10**9
    _other_field(file, (10**9, STEPS, *SIZES), chunks=(1, 1, *SIZES))


@spoil("reject", "absurd_shape", "/t0_fields/pressure")
def one_huge_chunk(file: h5py.File) -> None:
    made = _other_field(
        file, (TRAJECTORIES, STEPS, *SIZES), chunks=(TRAJECTORIES, 1000, 1000, 100), maxshape=(None,) * 4
    )
    assert np.prod(made.chunks) * 4 > 256 << 20


@spoil("reject", "absurd_shape", "/dimensions/x")
def axis_of_terabytes(file: h5py.File) -> None:
    attributes = dict(file["dimensions/x"].attrs)
    del file["dimensions/x"]
    file["dimensions"].create_dataset("x", (10**12,), "f4", chunks=(1000,)).attrs.update(attributes)


@spoil("reject", "absurd_shape", "/boundary_conditions/x_periodic/mask")
def mask_of_terabytes(file: h5py.File) -> None:
    del file["boundary_conditions/x_periodic/mask"]
    file["boundary_conditions/x_periodic"].create_dataset("mask", (10**12,), bool, chunks=(1000,))


@spoil("reject", "absurd_shape", "/t0_fields/pressure")
def compression_bomb(file: h5py.File) -> None:
    shape = (TRAJECTORIES, STEPS, 1024, 1024)
    made = _other_field(file, shape, chunks=(1, STEPS, 1024, 1024), **hdf5plugin.Blosc(cname="zstd", clevel=9))
    made.write_direct(np.zeros(shape, np.float32))
    assert made.nbytes > 4096 * made.id.get_storage_size() + (1 << 20)


@spoil("reject", "unwritten", "/t0_fields/pressure")
def values_never_written(file: h5py.File) -> None:
    _other_field(file, (TRAJECTORIES, STEPS, *SIZES))


@spoil("reject", "unwritten", "/t0_fields/pressure")
def last_chunks_never_written(file: h5py.File) -> None:
    _other_field(file, (TRAJECTORIES, STEPS, *SIZES), chunks=(1, 1, *SIZES))[0] = 1.0


@case("reject", "filter", "/t0_fields/pressure")
def unknown_filter(path: Path) -> None:
    _stored({"chunks": (1, 1, 8, 6), **hdf5plugin.LZ4()}, path)
    data = path.read_bytes()
    known, unknown = (32004).to_bytes(2, "little"), (32765).to_bytes(2, "little")
    assert data.count(known) == 2, "the pipelines of two fields"
    path.write_bytes(data.replace(known, unknown))


@spoil("reject", "too_many", "/")
def endless_objects(file: h5py.File) -> None:
    group = file.create_group("heap")
    for number in range(2_001):
        group[str(number)] = file["t0_fields"]


# --- what is sound, however it looks ----------------------------------------------------------------------------


def _as_it_is(path: Path) -> None:
    pass


def _stored(storage: dict[str, Any], path: Path) -> None:
    """Store two fields in another way."""
    with h5py.File(path, "r+") as file:
        for name in ("t0_fields/density", "t0_fields/pressure"):
            rewrite(file, name, file[name][()], **storage)


_STORAGES: dict[str, dict[str, Any]] = {
    "gzip_frames": {"chunks": (1, 1, 8, 6), "compression": "gzip", "shuffle": True},
    "checksums": {"chunks": True, "fletcher32": True},
    "blosc": {"chunks": (1, 1, 8, 6), **hdf5plugin.Blosc(cname="lz4")},
    "blosc2": {"chunks": (1, 1, 8, 6), **hdf5plugin.Blosc2()},
    "zstd_over_trajectories": {"chunks": (2, 3, 5, 4), **hdf5plugin.Zstd()},
}
for _name, _storage in _STORAGES.items():
    CASES.append(Case(f"sound_{_name}", "accept", "", "", partial(_stored, _storage), {}))
CASES.append(Case("sound", "accept", "", "", _as_it_is, {}))
CASES.append(Case("sound_guessed_chunks", "accept", "", "", _as_it_is, {"storage": {"chunks": True}}))
CASES.append(Case("sound_1d", "accept", "", "", _as_it_is, {"sizes": (16,)}))
CASES.append(Case("sound_3d", "accept", "", "", _as_it_is, {"sizes": (5, 4, 3)}))
CASES.append(Case("sound_one_trajectory", "accept", "", "", _as_it_is, {"trajectories": 1}))
CASES.append(Case("sound_one_step", "accept", "", "", _as_it_is, {"steps": 1}))
CASES.append(Case("sound_chebyshev", "accept", "", "", _as_it_is, {"nonuniform": ("y",)}))
CASES.append(Case("sound_without_parameters", "accept", "", "", _as_it_is, {"parameters": {}}))


@spoil("accept", "", "")
def constant_axis_dropped(file: h5py.File) -> None:
    rewrite(file, "t0_fields/mask", file["t0_fields/mask"][0])


@spoil("accept", "", "")
def constant_axis_full(file: h5py.File) -> None:
    rewrite(file, "t0_fields/mask", np.broadcast_to(file["t0_fields/mask"][()], SIZES))


@spoil("accept", "", "", sizes=(5, 4, 3))
def constant_axes_one_dropped_one_kept(file: h5py.File) -> None:
    values = file["t0_fields/mask"][()]
    made = rewrite(file, "t0_fields/mask", values[:, 0, :])  # x is kept as one, y dropped
    made.attrs["dim_varying"] = [False, False, True]


@spoil("accept", "", "")
def constant_axis_of_a_moving_field_dropped(file: h5py.File) -> None:
    made = rewrite(file, "t1_fields/velocity", file["t1_fields/velocity"][:, :, :, 0])
    made.attrs["dim_varying"] = [True, False]


@spoil("accept", "", "")
def the_same_for_all_trajectories(file: h5py.File) -> None:
    made = rewrite(file, "t0_fields/density", file["t0_fields/density"][0])
    made.attrs["sample_varying"] = False


@spoil("accept", "", "")
def time_and_grid_of_each_trajectory(file: h5py.File) -> None:
    for name in ("time", "x"):
        made = rewrite(file, f"dimensions/{name}", np.stack([file[f"dimensions/{name}"][()]] * TRAJECTORIES))
        made.attrs["sample_varying"] = True


@case("accept", "", "")
def scalars_that_vary(path: Path) -> None:
    well_files.add_scalar(path, "forcing", np.arange(STEPS))
    well_files.add_scalar(path, "start", np.arange(TRAJECTORIES), sample_varying=True, time_varying=False)


@case("accept", "", "")
def bytes_after_the_end(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 100)


def _again(path: Path, **options: Any) -> None:
    old = path.with_suffix(".old")
    path.rename(old)
    with h5py.File(old) as source, h5py.File(path, "w", **options) as target:
        target.attrs.update(source.attrs)
        for name in source:
            source.copy(name, target)
    old.unlink()


@case("accept", "", "")
def user_block(path: Path) -> None:
    _again(path, userblock_size=512)


@case("accept", "", "")
def newest_format(path: Path) -> None:
    _again(path, libver="latest")


@case("accept", "", "")
def paged_as_on_the_hub(path: Path) -> None:
    _again(path, fs_strategy="page", fs_page_size=1 << 16)
