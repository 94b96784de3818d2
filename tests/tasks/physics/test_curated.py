"""Files written anew: tables and cards say what they are, the plan what disk they take, and nothing is left over."""

import hashlib
import multiprocessing
import os
import platform
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from tasks.physics import examination
from tasks.physics.schema import NewField
from tasks.sources import downloads_folder
from tasks.store import Store
from tests.tasks.physics import well_files
from tests.tasks.physics.desk import Desk
from tests.tasks.physics.test_ingest_well import rows


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of_store(desk: Desk) -> list[Path]:
    return [path for path in (desk.root / "data/store/blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("layout", ["contiguous", "frames", "packed"])
def test_the_tables_tell_of_the_new_file_and_of_the_one_it_was_made_from(desk: Desk, layout: str) -> None:
    path = desk.root / "data/own/physics/noise/train/a.hdf5"
    well_files.write_random(path, storage={"compression": "gzip", "chunks": True})
    well_files.add_scalar(path, "start", np.array([3.0, 5.0]), sample_varying=True, time_varying=False)
    desk.ingest(repack=layout)
    (row,) = rows(desk, "files")
    new = desk.curated / row["path"]
    assert (row["root"], row["bytes"], row["file_id"]) == ("curated", new.stat().st_size, sha256(new))
    assert (row["origin_root"], row["origin_path"], row["origin_id"]) == ("own", "noise/train/a.hdf5", sha256(path))
    assert {(one["file_id"], one["path"]) for one in rows(desk, "catalog")} == {(sha256(new), row["path"])}
    (start,) = (one for one in row["scalars"] if one["name"] == "start")
    stored = new.read_bytes()[start["offset"] : start["offset"] + 8]
    assert np.frombuffer(stored, start["dtype"]).tolist() == [3, 5]
    assert [one["name"] for one in row["fields"] if one["symmetric"]] == ["C"]


def test_a_file_that_is_not_written_anew_is_its_own_origin(desk: Desk) -> None:
    path = desk.root / "data/own/physics/train/a.hdf5"
    well_files.write_random(path)
    desk.ingest()
    (row,) = rows(desk, "files")
    assert row["bytes"] == path.stat().st_size
    assert all(row[name] == row[f"origin_{name.removeprefix('file_')}"] for name in ("file_id", "root", "path"))
    assert row["file_id"] == sha256(path)


def test_offsets_of_packed_fields_are_where_their_values_lie(desk: Desk) -> None:
    values = well_files.write_random(desk.root / "data/own/physics/noise/train/a.hdf5")
    desk.ingest(repack="packed")
    (row,) = rows(desk, "files")
    data = (desk.curated / row["path"]).read_bytes()
    for one in row["fields"]:
        if one["time_varying"]:
            first = np.frombuffer(data[one["offset"] : one["offset"] + 8 * 6 * 4], "<f4").reshape(8, 6)
            frame = values[one["name"]][0, 0].reshape(8, 6, -1)
            np.testing.assert_array_equal(first, frame[..., 0])


@pytest.mark.parametrize("layout", ["contiguous", "packed"])
def test_a_repacked_data_set_has_the_wells_card_and_one_for_people(desk: Desk, layout: str) -> None:
    from the_well.data.datasets import WellMetadata

    files = well_files.write_dataset(desk.root / "data/raw/well", kinds=("PERIODIC", "WALL"))
    desk.ingest(repack=layout)
    card = yaml.safe_load((desk.curated / "noise/noise.yaml").read_text())
    found = WellMetadata(**card)
    assert (found.n_files, found.n_trajectories_per_file, found.n_steps_per_trajectory) == (2, [4, 4], [7, 7])
    names = {0: ["density", "pressure"], 1: ["velocity_x", "velocity_y"], 2: ["C_xx", "C_xy", "C_yx", "C_yy"]}
    assert found.field_names == names
    assert found.constant_field_names == {0: ["speed_of_sound", "mask"], 1: ["gravity_x", "gravity_y"], 2: []}
    assert (found.boundary_condition_types, found.constant_scalar_names) == (["PERIODIC", "WALL"], ["Re"])
    text = (desk.curated / "noise/README.md").read_text()
    assert "CC0-1.0, simulated by Headrace" in text
    assert "8 train, 2 valid, 2 test" in text
    for path in files:
        assert f"raw: {path.relative_to(desk.root / 'data/raw/well').as_posix()}" in text
    assert all(row["file_id"] in text for row in rows(desk, "files"))


def test_no_card_stands_where_files_stay_as_they_are(desk: Desk) -> None:
    well_files.write_dataset(desk.root / "data/raw/well")
    desk.ingest()
    assert {path.name for path in (desk.curated / "noise").iterdir()} == {"stats.yaml", "ranges.png", "frames.png"}


# --- disk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["contiguous", "frames", "packed"])
def test_the_plan_counts_what_compressed_files_take_when_they_are_written_anew(desk: Desk, layout: str) -> None:
    folder = desk.root / "data/own/physics/noise/train"
    for number in range(3):
        shape, rng = (2, 7, 64, 64), np.random.default_rng(number)
        waves = np.rint(3 * np.sin(np.arange(64) / 9) + rng.normal(size=(2, 7, 1, 1))) + np.zeros(shape)
        fields = [
            NewField("density", 0, waves),
            NewField("velocity", 1, np.stack([waves, -waves], axis=-1)),
            NewField("depth", 0, waves[0, 0], sample_varying=False, time_varying=False),
            NewField("slope", 0, waves[:, 0, :1], time_varying=False, dim_varying=(False, True)),
        ]
        storage = {"compression": "gzip", "chunks": True}
        well_files.write_random(folder / f"{number}.hdf5", sizes=(64, 64), fields=fields, storage=storage)
    (folder / "torn.hdf5").write_bytes((folder / "0.hdf5").read_bytes()[:9000])
    plan = desk.plan(repack=layout)
    assert plan.items_todo == 4
    desk.ingest(repack=layout)
    written = [row["bytes"] for row in rows(desk, "files")]
    if layout != "frames":
        assert sum(written) > 5 * sum(path.stat().st_size for path in folder.iterdir())
    assert sum(written) + max(written) <= plan.disk_needed_bytes  # one is in the making beside those in the store
    if layout != "frames":  # of those nobody knows how well they compress
        assert plan.disk_needed_bytes < 1.2 * (sum(written) + max(written))
    done = desk.plan(repack=layout)
    assert (done.items_todo, done.disk_needed_bytes) == (0, 0)
    other = desk.plan(repack="contiguous" if layout == "packed" else "packed")  # now by what the store knows
    assert other.disk_needed_bytes > sum(written) / 2


def test_an_out_that_cannot_be_linked_to_the_store_takes_as_much_again(desk: Desk) -> None:
    well_files.write_random(desk.root / "data/own/physics/train/a.hdf5")
    linked = desk.plan(repack="contiguous").disk_needed_bytes
    desk.store = Store("memory://plan_of_curated")
    assert desk.plan(repack="contiguous").disk_needed_bytes == pytest.approx(1.5 * linked, rel=1e-3)


def test_the_store_is_asked_for_all_files_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    well_files.write_dataset(desk.root / "data/raw/well")
    desk.ingest(repack="packed")
    asked: list[tuple[str, int]] = []
    get_many = Store.get_many

    def counted(store: Store, function: str, keys: Any) -> Any:
        keys = list(keys)
        asked.append((function, len(keys)))
        return get_many(store, function, keys)

    monkeypatch.setattr(Store, "get_many", counted)
    desk.plan(repack="packed")
    assert asked == [("physics.examine", 6), ("physics.repack", 6)]
    asked.clear()
    desk.ingest(repack="packed")
    assert asked == 2 * [("physics.examine", 6), ("physics.repack", 6)]  # before the work, and after


# --- what is left behind ----------------------------------------------------------------------------------------


def _killed(job: examination.Job) -> None:
    def half(location: str, target: Path, layout: str) -> None:
        target.write_bytes(bytes(1000))
        os.kill(os.getpid(), signal.SIGKILL)

    examination.repack = half  # type: ignore[assignment]
    examination.examine_file(job)


def test_what_a_killed_worker_left_half_written_is_swept_when_the_stage_starts(desk: Desk) -> None:
    path = desk.root / "data/own/physics/train/a.hdf5"
    well_files.write_random(path)
    scratch = downloads_folder(desk.root)
    identity = examination.identity_of(path.stat())
    job = examination.Job(sha256(path), str(path), desk.store.url, "packed", str(scratch), identity)
    worker = multiprocessing.get_context("fork").Process(target=_killed, args=(job,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    (left,) = scratch.glob("*.partial")
    assert left.stat().st_size == 1000
    mine = scratch / f"repack.{platform.node()}.{os.getpid()}.x.hdf5.partial"
    others = {name: scratch / f"repack.{name}.machine.4.x.hdf5.partial" for name in ("new", "old")}
    others["unnamed"] = scratch / "tmp_x1.hdf5.partial"
    for file in (mine, *others.values()):
        file.touch()
    for name in ("old", "unnamed"):
        os.utime(others[name], (1, time.time() - 100_000))
    desk.ingest(repack="packed")
    assert set(scratch.glob("*.partial")) == {mine, others["new"]}


def test_a_rejected_file_leaves_only_its_record_in_the_store(desk: Desk) -> None:
    path = desk.root / "data/own/physics/train/a.hdf5"
    well_files.write_random(path)
    with h5py.File(path, "r+") as file:
        file["t2_fields/C"][1, 6, 7, 5, 1, 1] = np.nan  # the last number that is read
    report = desk.ingest(repack="contiguous")
    assert report.rejected == {"non_finite": 1}
    assert files_of_store(desk) == []


def test_a_file_that_is_written_to_while_it_is_copied_is_not_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.root / "data/own/physics/train/a.hdf5"
    well_files.write_random(path)
    desk.ingest()
    before = files_of_store(desk)
    repack = examination.repack

    def disturbed(location: str, target: Path, layout: Any) -> None:
        repack(location, target, layout)
        os.utime(path, (1, 1))

    monkeypatch.setattr(examination, "repack", disturbed)
    report = desk.ingest(repack="contiguous")
    assert report.rejected == {"changed": 1}
    assert files_of_store(desk) == before
    monkeypatch.undo()
    assert desk.ingest(repack="contiguous").kept == 1
