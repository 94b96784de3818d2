"""The corruption suite: nothing that is wrong goes in silently, and what goes in has the values that h5py gives."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.physics.crossfile import Item, judged
from tasks.physics.packed import PACKED, PACKED_CONSTANTS
from tasks.physics.records import examined_value
from tasks.physics.repack import Layout, repack
from tasks.physics.schema import KINDS, read_layout
from tasks.physics.statistics import SHARED, examine
from tasks.physics.windows import boundary_codes
from tests.tasks.physics.corruptions import CASES, Case, base


def made(case: Case, folder: Path) -> Path:
    path = folder / "noise" / "data" / "train" / "case.hdf5"
    base(path, **case.options)
    case.make(path)
    return path


def named(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


BAD = [case for case in CASES if case.verdict == "reject"]
GOOD = [case for case in CASES if case.verdict != "reject"]


def test_each_case_has_a_name_of_its_own_and_is_another_file() -> None:
    assert len(set(named(CASES))) == len(CASES)
    makes = [getattr(case.make, "func", case.make) for case in CASES]
    given = [(getattr(case.make, "args", ()), case.options) for case in CASES]
    assert len({repr(one) for one in zip(makes, given, strict=True)}) == len(CASES)


@pytest.mark.parametrize("case", BAD, ids=named(BAD))
def test_what_cannot_be_used_is_rejected_with_object_fault_and_remedy(case: Case, tmp_path: Path) -> None:
    path = made(case, tmp_path)
    examined = examine(str(path))
    item = Item("0" * 64, "own", "train/case.hdf5", str(path), path.stat().st_size)
    found = judged(item, examined_value(examined), max_frozen_share=0.95).findings.rejects
    assert (case.code, case.at) in {(one.code, one.at) for one in found}, [str(one) for one in found]
    for one in found:
        assert one.at.startswith("/")
        assert one.what
        assert one.remedy


@pytest.mark.parametrize("case", GOOD, ids=named(GOOD))
def test_what_is_accepted_has_the_values_of_h5py_and_what_is_odd_is_told(case: Case, tmp_path: Path) -> None:
    path = made(case, tmp_path)
    examined = examine(str(path))
    assert not examined.rejected, [str(one) for one in examined.findings]
    found = {(one.code, one.at) for one in examined.findings}
    if case.verdict == "accept":
        assert not found, [str(one) for one in examined.findings]
    else:
        assert (case.code, case.at) in found, [str(one) for one in examined.findings]
        assert all(one.what and one.remedy for one in examined.findings)
    wanted, points = expected(path), points_of_frames(path)
    dims = len(examined.layout.dimensions) if examined.layout else 0
    parts = {}
    for name, values in wanted.items():
        components = values.reshape(*values.shape[: 2 + dims], -1)
        shared, _ = points[name]
        for number in [SHARED] if shared else range(len(values)):
            for component in range(components.shape[-1]):
                parts[name, number, component] = components[max(number, 0), ..., component].astype(np.float64)
    told = [(one.field, one.trajectory, one.component) for one in examined.moments]
    assert sorted(told) == sorted(parts)
    for key, one in zip(told, examined.moments, strict=True):
        part = parts[key][:, np.isfinite(parts[key][0])]
        share = points[key[0]][1] / parts[key][0].size  # of the grid's points that are stored
        assert one.values.count == part.size * share
        assert (one.values.low, one.values.high) == (part.min(), part.max())
        np.testing.assert_allclose(one.values.mean, part.mean(), rtol=1e-6, atol=1e-9 * part.std())
        np.testing.assert_allclose(one.values.std, part.std(), rtol=1e-6, atol=1e-12 * abs(part).max())
        steps = np.diff(part, axis=0)
        assert one.deltas.count == steps.size * share
        if steps.size:
            np.testing.assert_allclose(one.deltas.mean, steps.mean(), rtol=1e-6, atol=1e-8 * steps.std())
            np.testing.assert_allclose(one.deltas.std, steps.std(), rtol=1e-6, atol=1e-12 * abs(part).max())


@pytest.mark.parametrize("layout", ["contiguous", "frames", "packed"])
@pytest.mark.parametrize("case", GOOD, ids=named(GOOD))
def test_what_is_accepted_and_written_anew_has_the_values_of_h5py(case: Case, layout: Layout, tmp_path: Path) -> None:
    path, target = made(case, tmp_path), tmp_path / "new.hdf5"
    repack(str(path), target, layout)
    if layout == "packed":
        check_packed(path, target, expected(path))
    else:
        check_fields(target, expected(path), layout)


def points_of_frames(path: Path) -> dict[str, tuple[bool, int]]:
    """Return for each field whether all trajectories share it, and how many points of a frame are stored."""
    found = {}
    with h5py.File(path) as file:
        dims = len(file["dimensions"].attrs["spatial_dims"])
        for order in range(3):
            for name in map(_text, file[f"t{order}_fields"].attrs["field_names"]):
                data = file[f"t{order}_fields"][name]
                leading = int(data.attrs["sample_varying"]) + int(data.attrs["time_varying"])
                points = int(np.prod(data.shape[leading:])) // dims**order
                found[name] = not data.attrs["sample_varying"], points
    return found


def expected(path: Path) -> dict[str, np.ndarray]:
    """Return all fields by h5py alone, float32 (B, T, *S, components), all axes full; T is 1 for constants."""
    found = {}
    with h5py.File(path) as file:
        sizes = [file["dimensions"][name].shape[-1] for name in map(_text, file["dimensions"].attrs["spatial_dims"])]
        trajectories = int(file.attrs["n_trajectories"])
        steps = file["dimensions/time"].shape[-1]
        for order, group in enumerate(("t0_fields", "t1_fields", "t2_fields")):
            for name in map(_text, file[group].attrs["field_names"]):
                data = file[group][name]
                values = data[()].astype(np.float32)
                for axis, attribute in enumerate(("sample_varying", "time_varying")):
                    if not data.attrs[attribute]:
                        values = np.expand_dims(values, axis)
                full = 2 + len(sizes) + order
                for axis, varies in enumerate(data.attrs["dim_varying"]):
                    fits = values.ndim == full or values.shape[2 + axis] == 1
                    if not varies and not fits:
                        values = np.expand_dims(values, 2 + axis)
                length = steps if data.attrs["time_varying"] else 1
                found[name] = np.broadcast_to(values, (trajectories, length, *sizes, *[len(sizes)] * order))
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def check_fields(target: Path, wanted: dict[str, np.ndarray], layout: str) -> None:
    """A file written anew has the same values, in one piece or a chunk a frame, and no finding that writing mends."""
    found = read_layout(target)
    again = expected(target)
    assert set(again) == set(wanted)
    for variable in found.fields:
        np.testing.assert_array_equal(again[variable.name], wanted[variable.name])
        assert (variable.offset is None) == (layout == "frames")
        if layout == "frames":
            leading = variable.sample_varying + variable.time_varying
            assert variable.chunks == (1,) * leading + variable.shape[leading:]
            assert "blosc" in variable.filters
        assert variable.dtype == "<f4"
        assert "dropped" not in variable.space
    mended = {"byte_strings", "byte_order", "float64", "other_type", "soft_link", "unlisted"}
    assert not {one.code for one in examine(str(target)).findings} & mended


def check_packed(path: Path, target: Path, wanted: dict[str, np.ndarray]) -> None:
    layout = read_layout(path)
    with h5py.File(target) as file:
        for name, fields in ((PACKED, list(layout.of_time())), (PACKED_CONSTANTS, list(layout.constants()))):
            if not fields:
                continue
            data = file[name]
            first = 0
            channels = list(data.attrs["channels"])
            assert channels == [one for field in fields for one in field.channels(layout.dimensions)]
            for field in fields:
                values = wanted[field.name]
                shape = (*values.shape[: 2 + len(layout.dimensions)], field.components)
                values = np.moveaxis(values.reshape(shape), -1, 2)
                got = data[:, :, first : first + field.components] if name == PACKED else data[()][:, None]
                got = got if name == PACKED else got[:, :, first : first + field.components]
                np.testing.assert_array_equal(got, values[: len(got)])
                first += field.components


def test_a_constant_that_is_the_same_for_all_has_one_row_in_the_packed_file(tmp_path: Path) -> None:
    base(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        values = file["t0_fields/speed_of_sound"][0]
        attributes = dict(file["t0_fields/speed_of_sound"].attrs)
        del file["t0_fields/speed_of_sound"]
        made = file["t0_fields"].create_dataset("speed_of_sound", data=values)
        made.attrs.update(attributes | {"sample_varying": False})
    repack(str(tmp_path / "a.hdf5"), tmp_path / "b.hdf5", "packed")
    with h5py.File(tmp_path / "b.hdf5") as file:
        assert file[PACKED_CONSTANTS].shape == (1, 4, 8, 6)
        np.testing.assert_array_equal(file[PACKED_CONSTANTS][0, 0], values)


@pytest.mark.parametrize("kind", ["PERIODIC", "WALL", "OPEN"])
def test_what_is_told_of_an_empty_mask_is_how_windows_read_it(tmp_path: Path, kind: str) -> None:
    base(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        file["boundary_conditions/x_periodic"].attrs["bc_type"] = kind
        file["boundary_conditions/x_periodic/mask"][...] = False
    told = next(one for one in examine(str(tmp_path / "a.hdf5")).findings if one.code == "boundary_empty")
    codes = boundary_codes(read_layout(tmp_path / "a.hdf5"))[0]
    assert told.remedy.startswith(f"read as {KINDS[int(codes[0])]} where no other condition holds")
    as_the_well = boundary_codes(read_layout(tmp_path / "a.hdf5"), as_the_well=True)[0]
    assert ("The Well's loader reads OPEN" in told.remedy) == (KINDS[int(as_the_well[0])] != KINDS[int(codes[0])])
