"""What the stages after ingest read: the files of a split where they lie, channels in one order for all splits."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.physics.catalog import CATALOG
from tasks.physics.ingested import Ingested
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tasks.tables import read_table
from tests.tasks.physics import well_files
from tests.tasks.physics.corruptions import strings
from tests.tasks.physics.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def ingested(desk: Desk) -> Ingested:
    roots = {"raw": desk.root / "data/raw/well", "own": desk.root / "data/own/physics"}
    return Ingested("noise", desk.curated, roots)


def by_hand(values: dict[str, np.ndarray], step: int) -> dict[str, np.ndarray]:
    """Return a frame of the first trajectory by the names of its channels."""
    found = {name: values[name][0, step] for name in ("density", "pressure")}
    for place, axis in enumerate("xy"):
        found[f"velocity_{axis}"] = values["velocity"][0, step, ..., place]
        for other, along in enumerate("xy"):
            found[f"C_{axis}{along}"] = values["C"][0, step, ..., place, other]
    return found


@pytest.mark.parametrize("repack", ["none", "contiguous", "packed"])
def test_channels_have_one_order_in_all_splits_however_a_file_lists_its_fields(desk: Desk, repack: str) -> None:
    folder = desk.root / "data/own/physics"
    splits = {"train": "a", "valid": "b", "test": "c"}
    written = {
        split: well_files.write_random(folder / split / f"{name}.hdf5", seed=place)
        for place, (split, name) in enumerate(splits.items())
    }
    with h5py.File(folder / "valid/b.hdf5", "r+") as file:
        strings(file["t0_fields"], "field_names", ["mask", "pressure", "speed_of_sound", "density"])
    desk.ingest(repack=repack)
    data = ingested(desk)
    windows = {split: data.windows(split, Request(1, 1), kind="zscore", normalised=False) for split in splits}
    assert {split: one.files[0].fields[0].name for split, one in windows.items()}["valid"] != "density"
    assert windows["valid"].channels == windows["train"].channels == windows["test"].channels
    assert windows["valid"].constant_channels == windows["train"].constant_channels
    for split, values in written.items():
        frame = windows[split][0]["input"][0]
        for channel, wanted in by_hand(values, 0).items():
            assert np.array_equal(frame[windows[split].channels.index(channel)], wanted), (split, channel)
        constants = windows[split][0]["constants"]
        place = windows[split].constant_channels.index("speed_of_sound")
        assert np.array_equal(constants[place], values["speed_of_sound"][0])


def test_a_split_without_files_is_told_with_what_there_is(desk: Desk) -> None:
    well_files.write_random(desk.root / "data/own/physics/train/a.hdf5")
    desk.ingest()
    with pytest.raises(ValueError, match=r"no file of noise/valid: there are noise/train"):
        ingested(desk).files("valid")


def test_windows_are_named_by_where_the_catalog_finds_their_trajectories(desk: Desk) -> None:
    folder = desk.root / "data/own/physics"
    for place, name in enumerate(("one/train/sim.hdf5", "two/train/sim.hdf5")):  # the same name twice
        well_files.write_random(folder / name, seed=place)
    desk.ingest()
    data = ingested(desk)
    windows = data.windows("train", Request(1, 1), kind="zscore", normalised=False)
    names = {name for batch in data.frames(windows, range(len(windows)), 5) for name in batch.trajectories}
    rows = read_table(desk.curated / "catalog.parquet", CATALOG).to_pylist()
    assert names == {f"{row['root']}/{row['path']}#{row['trajectory']}" for row in rows}
    assert len(names) == 4


def test_files_that_share_space_otherwise_are_not_scored_as_one(desk: Desk) -> None:
    folder = desk.root / "data/own/physics/test"
    well_files.write_random(folder / "a.hdf5", seed=0)
    well_files.write_random(folder / "b.hdf5", seed=1, nonuniform=("y",))
    desk.ingest()
    data = ingested(desk)
    windows = data.windows("test", Request(1, 1), kind="zscore", normalised=False)
    with pytest.raises(ValueError, match=r"b\.hdf5: its points share space otherwise than those of .*a\.hdf5"):
        data.space(windows)
    both_even = WellWindows([folder / "a.hdf5"], Request(1, 1))
    assert data.space(both_even).weights_S is None
