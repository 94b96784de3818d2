"""From folders to the catalog: what is kept, what is told, what a new file costs, and always the same bytes."""

import hashlib
import itertools
import shutil
from pathlib import Path
from typing import Any

import duckdb
import h5py
import numpy as np
import pytest
import yaml

from tasks.physics import ingest_well
from tasks.physics.catalog import CATALOG, FILES, WARNINGS
from tasks.physics.examination import Job
from tasks.physics.schema import read_layout
from tasks.tables import REJECTED, Reject, read_table
from tests.tasks.physics import well_files
from tests.tasks.physics.corruptions import rewrite, strings
from tests.tasks.physics.desk import Desk

RAW = "data/raw/well"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def files_below(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def rows(desk: Desk, table: str) -> list[dict]:
    schema = {"files": FILES, "catalog": CATALOG, "warnings": WARNINGS, "rejected": REJECTED}[table]
    return read_table(desk.curated / f"{table}.parquet", schema).to_pylist()


def two_pass(files: dict[Path, dict[str, np.ndarray]], name: str, order: int) -> dict[str, np.ndarray]:
    """Return The Well's six statistics of a field over the training files, in float64, with all values at hand."""
    parts = [values[name].astype(np.float64) for path, values in files.items() if path.parent.name == "train"]
    axes = tuple(range(parts[0].ndim - order))
    whole, steps = np.concatenate(parts), np.concatenate([np.diff(part, axis=1) for part in parts])
    found = {}
    for suffix, numbers in (("", whole), ("_delta", steps)):
        found |= {
            f"mean{suffix}": numbers.mean(axis=axes),
            f"std{suffix}": numbers.std(axis=axes),
            f"rms{suffix}": np.sqrt((numbers**2).mean(axis=axes)),
        }
    return found


def test_stats_are_those_of_two_passes_in_float64_over_the_training_files(desk: Desk) -> None:
    files = well_files.write_dataset(desk.root / RAW)
    desk.ingest()
    stats = yaml.safe_load((desk.curated / "noise/stats.yaml").read_text())
    for name, order in (("density", 0), ("pressure", 0), ("velocity", 1), ("C", 2)):
        for statistic, wanted in two_pass(files, name, order).items():
            np.testing.assert_allclose(stats[statistic][name], wanted, rtol=1e-6, atol=1e-9)
    assert set(stats["mean"]) == {"density", "pressure", "velocity", "C", "speed_of_sound", "mask", "gravity"}
    assert set(stats["mean_delta"]) == {"density", "pressure", "velocity", "C"}


def test_a_field_that_trajectories_share_weighs_in_stats_by_their_number(desk: Desk) -> None:
    parts = []
    for number, trajectories in enumerate((4, 1)):
        path = desk.root / RAW / f"train/{number}.hdf5"
        values = well_files.write_random(path, trajectories=trajectories, seed=number)
        parts.append(np.broadcast_to(values["gravity"] + 0.0, (trajectories, *values["gravity"].shape)))
    desk.ingest()
    stats = yaml.safe_load((desk.curated / "noise/stats.yaml").read_text())
    whole = np.concatenate(parts).astype(np.float64)
    np.testing.assert_allclose(stats["mean"]["gravity"], whole.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(stats["std"]["gravity"], whole.std(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(stats["rms"]["gravity"], np.sqrt((whole**2).mean(axis=(0, 1, 2))), rtol=1e-6)


def test_stats_yaml_is_what_the_wells_own_normalisation_reads(desk: Desk) -> None:
    from the_well.data.normalization import ZScoreNormalization

    well_files.write_dataset(desk.root / RAW)
    desk.ingest(stats_digits=5)
    stats = yaml.safe_load((desk.curated / "noise/stats.yaml").read_text())
    made = ZScoreNormalization(stats, ["density", "velocity", "C"], ["mask"])
    assert made.flattened_means["variable"].shape == (1 + 2 + 4,)
    assert stats["mean"]["density"] == float(f"{stats['mean']['density']:.5g}")


def test_worker_order_and_names_of_folders_do_not_show_in_the_bytes(tmp_path: Path) -> None:
    found = []
    for name, reverse in (("one", False), ("other", True)):
        desk = Desk(tmp_path / name, reverse=reverse)
        well_files.write_dataset(desk.root / RAW)
        desk.ingest(repack="frames", pictures=True)
        found.append(files_below(desk.curated))
    assert found[0] == found[1]
    assert {"files.parquet", "catalog.parquet", "noise/stats.yaml", "noise/ranges.png"} <= set(found[0])


def test_a_new_file_costs_one_file_and_one_that_goes_leaves_every_table(desk: Desk) -> None:
    well_files.write_dataset(desk.root / RAW)
    desk.ingest()
    assert len(desk.worked_on) == 6
    own = desk.root / "data/own/physics/mine/train/new.h5"
    well_files.write_random(own, dataset_name="mine", seed=77)
    desk.ingest()
    assert len(desk.worked_on) == 1
    assert {row["path"] for row in rows(desk, "files") if row["root"] == "own"} == {"mine/train/new.h5"}
    own.unlink()
    desk.ingest()
    assert desk.worked_on == []
    assert not [row for row in rows(desk, "catalog") if row["dataset"] == "mine"]


def test_the_catalog_answers_sql_and_its_spans_are_the_bytes_of_the_file(desk: Desk) -> None:
    well_files.write_dataset(desk.root / RAW)
    desk.ingest()
    catalog = desk.curated / "catalog.parquet"
    found = duckdb.sql(
        f"select path, trajectory, span.offset, span.bytes from (select *, unnest(spans) as span from '{catalog}') "
        f"where parameters['Re'] = 200 and split = 'train' and span.field = 'velocity' order by trajectory"
    ).fetchall()
    assert len(found) == 4
    for path, trajectory, offset, size in found:
        file = desk.root / RAW / path
        with h5py.File(file) as opened:
            values = opened["t1_fields/velocity"][trajectory]
        assert file.read_bytes()[offset : offset + size] == values.tobytes()


def channels_of(file: h5py.File, trajectory: int) -> dict[str, tuple[np.ndarray, bool]]:
    """Return by h5py alone each channel of a trajectory, float64 (T, *S), and whether it varies in time."""
    found = {}
    for order in range(3):
        group = file[f"t{order}_fields"]
        for name in group.attrs["field_names"]:
            data, moving = group[name], bool(group[name].attrs["time_varying"])
            values = (data[trajectory] if data.attrs["sample_varying"] else data[()]).astype(np.float64)
            values = values if moving else values[None]
            for which in itertools.product(range(2), repeat=order):
                suffix = "".join("xy"[place] for place in which)
                found[f"{name}_{suffix}" if suffix else name] = values[(..., *which)], moving
    return found


def test_statistics_and_parameters_of_the_catalog_are_those_of_each_trajectory(desk: Desk) -> None:
    for path in well_files.write_dataset(desk.root / RAW, splits={"train": 3, "test": 2}):
        with h5py.File(path) as file:
            trajectories = int(file.attrs["n_trajectories"])
        well_files.add_scalar(path, "start", np.arange(trajectories) + 0.5, sample_varying=True, time_varying=False)
        well_files.add_scalar(path, "forcing", np.arange(7.0))
    desk.ingest()
    catalog = rows(desk, "catalog")
    assert len(catalog) == 10
    for row in catalog:
        number = row["trajectory"]
        with h5py.File(desk.root / RAW / row["path"]) as file:
            wanted = {"Re": float(file.attrs["Re"]), "start": float(file["scalars/start"][number])}
            channels = channels_of(file, number)
        assert dict(row["parameters"]) == wanted
        assert [one["channel"] for one in row["statistics"]] == list(channels)
        for one in row["statistics"]:
            values, moving = channels[one["channel"]]
            steps = np.diff(values, axis=0)
            assert (one["low"], one["high"]) == (values.min(), values.max())
            assert one["channel"].startswith(one["field"])
            for suffix, numbers in (("", values), ("_delta", steps)):
                if suffix and not moving:
                    assert {one[f"{kind}_delta"] for kind in ("mean", "std", "rms")} == {None}
                    continue
                root = np.sqrt((numbers**2).mean())
                assert one[f"mean{suffix}"] == pytest.approx(numbers.mean(), rel=1e-6, abs=1e-7 * root)
                assert one[f"std{suffix}"] == pytest.approx(numbers.std(), rel=1e-6)
                assert one[f"rms{suffix}"] == pytest.approx(root, rel=1e-6)


def test_a_bad_file_is_quarantined_with_name_object_and_remedy_and_the_others_go_on(desk: Desk) -> None:
    files = list(well_files.write_dataset(desk.root / RAW))
    with h5py.File(files[0], "r+") as file:
        file["t0_fields/pressure"][0, 1, 1, 1] = np.nan
        file["t0_fields/density"][0, 1, 1, 1] = np.inf
    report = desk.ingest()
    assert (report.items_in, report.kept, report.rejected) == (6, 5, {"non_finite": 1})
    (row,) = rows(desk, "rejected")
    name = files[0].relative_to(desk.root / RAW).as_posix()
    assert row["parent_id"] == name
    for part in (name, "/t0_fields/pressure", "/t0_fields/density", "NaN or Inf", "write numbers"):
        assert part in row["detail"]
    desk.ingest()
    assert desk.worked_on == []  # not looked at again


def test_too_many_bad_files_fail_the_stage(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk", max_reject_fraction=0.3)
    for path in list(well_files.write_dataset(desk.root / RAW))[:3]:
        path.write_text("gone")
    with pytest.raises(AssertionError, match="3 of 6"):
        desk.ingest()


def test_a_file_that_takes_too_long_is_rejected_with_the_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(iter(well_files.write_dataset(desk.root / RAW)))
    late = hashlib.sha256(path.read_bytes()).hexdigest()
    examine_file = ingest_well.examine_file

    def slow(job: Job) -> int:
        if job.file_id == late:
            raise Reject("timeout", "longer than it may take", "seconds", 700.0, 600.0)
        return examine_file(job)

    monkeypatch.setattr(ingest_well, "examine_file", slow)
    desk.ingest()
    (row,) = rows(desk, "rejected")
    wanted = ("timeout", "seconds", 700.0, 600.0)
    assert (row["reason"], row["score"], row["value"], row["threshold"]) == wanted


def test_pictures_of_each_data_set_are_kept_under_its_name(desk: Desk) -> None:
    for name in ("noise", "other"):
        well_files.write_random(desk.root / f"data/own/physics/{name}/train/a.hdf5", dataset_name=name)
    desk.ingest()
    pictures = {f"figures/{name}/{picture}.png" for name in ("noise", "other") for picture in ("frames", "ranges")}
    assert set(desk.artifacts) == pictures


def test_an_excluded_file_is_left_out_with_its_reason(desk: Desk) -> None:
    path = next(iter(well_files.write_dataset(desk.root / RAW)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    desk.excluded = f"{digest},wrong viscosity\n"
    desk.ingest()
    (row,) = rows(desk, "rejected")
    assert row["reason"] == "excluded"
    assert "wrong viscosity" in row["detail"]


# --- between files ----------------------------------------------------------------------------------------------


def codes(desk: Desk) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return (reason, file) of rejects and (code, file) of warnings."""
    rejected = {(row["reason"], row["parent_id"]) for row in rows(desk, "rejected")}
    return rejected, {(row["code"], row["path"]) for row in rows(desk, "warnings")}


def three_files(desk: Desk, **options: Any) -> list[Path]:
    """Write three training files of one data set; the last is for spoiling. `options` go to `write_random`."""
    paths = [desk.root / "data/own/physics/train" / f"{name}.hdf5" for name in "abc"]
    for seed, path in enumerate(paths):
        well_files.write_random(path, seed=seed, **options)
    return paths


def test_another_order_of_fields_is_told_and_the_data_sets_order_is_in_the_table(desk: Desk) -> None:
    path = three_files(desk)[-1]
    with h5py.File(path, "r+") as file:
        strings(file["t0_fields"], "field_names", ["pressure", "density", "speed_of_sound", "mask"])
    desk.ingest()
    assert codes(desk) == (set(), {("field_order", "train/c.hdf5")})
    orders = {tuple(row["field_order"]) for row in rows(desk, "files")}
    assert orders == {("density", "pressure", "speed_of_sound", "mask", "velocity", "gravity", "C")}


def test_other_fields_or_another_resolution_are_rejected(desk: Desk) -> None:
    paths = three_files(desk)
    well_files.write_random(paths[1].with_name("d.hdf5"), sizes=(8, 8), seed=8)
    with h5py.File(paths[2], "r+") as file:  # the name of a scalar field becomes that of a vector
        file.move("t0_fields/pressure", "t1_fields/pressure")
        attributes = dict(file["t1_fields/velocity"].attrs)
        del file["t1_fields/pressure"]
        file["t1_fields"].create_dataset("pressure", data=file["t1_fields/velocity"][()]).attrs.update(attributes)
        strings(file["t0_fields"], "field_names", ["density", "speed_of_sound", "mask"])
        strings(file["t1_fields"], "field_names", ["velocity", "gravity", "pressure"])
    desk.ingest()
    rejected, _ = codes(desk)
    assert rejected == {("fields_differ", "train/c.hdf5"), ("fields_differ", "train/d.hdf5")}


def test_other_coordinates_boundaries_and_parameters_are_told(desk: Desk) -> None:
    path = three_files(desk)[-1]
    with h5py.File(path, "r+") as file:
        file["dimensions/x"][...] = 2 * file["dimensions/x"][()]
        mask = file["boundary_conditions/y_periodic/mask"][()]
        mask[0] = False
        rewrite(file, "boundary_conditions/y_periodic/mask", mask)
        rewrite(file, "boundary_conditions/y_periodic/values", np.zeros(1, np.float32))
        strings(file, "simulation_parameters", ["Re"])
    desk.ingest()
    name = "train/c.hdf5"
    wanted = {("coordinates_differ", name), ("boundaries_differ", name), ("parameters_differ", name)}
    assert codes(desk) == (set(), wanted)


def test_a_boundary_of_another_kind_is_told(desk: Desk) -> None:
    path = three_files(desk)[-1]
    with h5py.File(path, "r+") as file:
        file["boundary_conditions/y_periodic"].attrs["bc_type"] = "WALL"
    desk.ingest()
    assert codes(desk) == (set(), {("boundaries_differ", "train/c.hdf5")})


@pytest.mark.parametrize(("moved", "told"), [(1e-6, False), (1e-3, True)])
def test_coordinates_that_differ_by_rounding_are_the_same(desk: Desk, moved: float, told: bool) -> None:
    """33 points: each second one lies on the half of a ten thousandth of the axis."""
    path = three_files(desk, sizes=(4, 33))[-1]
    with h5py.File(path, "r+") as file:
        wanted = file["dimensions/y"][()].astype(np.float64)
        wanted[17] += moved
        rewrite(file, "dimensions/y", wanted)
    desk.ingest()
    assert codes(desk) == (set(), {("coordinates_differ", "train/c.hdf5")} if told else set())


def test_a_trajectory_in_two_splits_is_found_by_its_content_however_it_is_stored(desk: Desk) -> None:
    folder = desk.root / "data/own/physics"
    values = well_files.write_random(folder / "train/a.hdf5", seed=1)
    well_files.write_random(folder / "test/b.hdf5", seed=2)
    with h5py.File(folder / "test/b.hdf5", "r+") as file:
        for name in ("t0_fields/density", "t0_fields/pressure", "t1_fields/velocity", "t2_fields/C"):
            new = file[name][()].astype(">f8")
            new[0] = values[name.rpartition("/")[2]][1]
            rewrite(file, name, new, compression="gzip")
    desk.ingest()
    rejected, _ = codes(desk)
    assert rejected == {("leak", "test/b.hdf5")}
    (row,) = rows(desk, "rejected")
    assert "trajectory 0 is also in train/a.hdf5" in row["detail"]


def test_copies_of_a_file_are_a_leak_in_another_split_and_a_duplicate_in_its_own(desk: Desk) -> None:
    folder = desk.root / "data/own/physics"
    well_files.write_random(folder / "train/a.hdf5")
    (folder / "valid").mkdir()
    for copy in ("train/b.hdf5", "valid/c.hdf5"):
        shutil.copy(folder / "train/a.hdf5", folder / copy)
    desk.ingest()
    assert codes(desk)[0] == {("duplicate_file", "train/b.hdf5"), ("leak", "valid/c.hdf5")}


def test_a_trajectory_again_in_its_own_split_and_a_file_without_a_split_are_told(desk: Desk) -> None:
    folder = desk.root / "data/own/physics"
    well_files.write_random(folder / "a.hdf5")
    with_other_name = folder / "train/b.hdf5"
    well_files.write_random(
        with_other_name,
        parameters={
            "Re": 100.0,
            "Wi": 0.25,
        },
    )
    with h5py.File(with_other_name, "r+") as file:
        file.attrs["comment"] = "other bytes, same trajectories"
    desk.ingest()
    rejected, warned = codes(desk)
    assert rejected == set()
    assert ("no_split", "a.hdf5") in warned
    assert {code for code, _ in warned} == {"no_split", "repeated_trajectory"}


# --- repacked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["contiguous", "frames"])
def test_repacked_files_load_in_the_wells_own_loader_with_the_same_values(desk: Desk, layout: str) -> None:
    from the_well.data import WellDataset

    path = desk.root / "data/own/physics/noise/data/train/a.hdf5"
    values = well_files.write_random(path)
    with h5py.File(path, "r+") as file:
        rewrite(file, "t0_fields/pressure", values["pressure"].astype(">f8"))
        made = rewrite(file, "t0_fields/mask", values["mask"][0])  # the axis dropped, which that loader cannot read
        made.attrs["dim_varying"] = [False, True]
        file.attrs["grid_type"] = np.bytes_(b"cartesian")
    desk.ingest(repack=layout)
    (row,) = rows(desk, "files")
    assert row["root"] == "curated"
    assert row["storage"] == ("contiguous" if layout == "contiguous" else "blosc")
    layout_of = read_layout(desk.curated / row["path"])
    assert all(one.chunks is None or one.chunks[:2] == (1, 1) for one in layout_of.of_time())
    data = WellDataset(path=str((desk.curated / row["path"]).parent), n_steps_input=3, n_steps_output=1)
    sample = data[len(data) - 1]
    fields = sample["input_fields"].numpy()
    np.testing.assert_array_equal(fields[..., 1], values["pressure"][1, 3:6])
    np.testing.assert_array_equal(sample["constant_fields"].numpy()[..., 1], np.broadcast_to(values["mask"], (8, 6)))


def test_packed_spans_are_trajectories_with_channels_first(desk: Desk) -> None:
    values = well_files.write_random(desk.root / "data/own/physics/noise/data/train/a.hdf5")
    desk.ingest(repack="packed")
    (file,) = rows(desk, "files")
    assert file["storage"] == "packed"
    for row in rows(desk, "catalog"):
        span = next(one for one in row["spans"] if one["field"] == "fields")
        data = (desk.curated / row["path"]).read_bytes()[span["offset"] : span["offset"] + span["bytes"]]
        packed = np.frombuffer(data, "<f4").reshape(7, 8, 8, 6)
        np.testing.assert_array_equal(packed[:, 0], values["density"][row["trajectory"]])
        np.testing.assert_array_equal(packed[:, 3], values["velocity"][row["trajectory"], ..., 1])
