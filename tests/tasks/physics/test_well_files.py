"""The files that other tests stand on are what The Well's own loader takes, with the values that were returned."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.physics.schema import read_layout
from tests.tasks.physics import well_files


@pytest.mark.parametrize("sizes", [(8, 6), (6, 4, 5)])
def test_the_wells_loader_reads_the_written_values(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    well = pytest.importorskip("the_well.data.datasets")
    files = well_files.write_dataset(tmp_path, sizes=sizes, kinds=("WALL", "OPEN", "PERIODIC")[: len(sizes)])
    loader = well.WellDataset(path=str(tmp_path / "noise"), well_split_name="train", n_steps_input=2)
    path, values = next((path, values) for path, values in sorted(files.items()) if path.parent.name == "train")
    sample = loader[0]
    first = values["density"][0, :2]
    np.testing.assert_array_equal(sample["input_fields"][..., 0].numpy(), first)
    np.testing.assert_array_equal(sample["input_fields"][..., 2].numpy(), values["velocity"][0, :2, ..., 0])
    assert sample["constant_fields"].shape == (*sizes, 2 + len(sizes))
    assert sample["boundary_conditions"][:, 0].tolist() == [0, 1, 2][: len(sizes)]
    assert read_layout(path).trajectories == 4


def test_a_scalar_that_varies_in_time_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "one.hdf5"
    well_files.write_random(path, steps=5, nonuniform=("y",), storage={"compression": "gzip", "chunks": True})
    well_files.add_scalar(path, "inflow", np.arange(5.0))
    layout = read_layout(path)
    assert [scalar.name for scalar in layout.scalars] == ["Re", "Wi", "inflow"]
    assert layout.scalars[-1].time_varying
    assert np.ptp(np.diff(layout.coordinates[1])) > 0.01
    assert np.ptp(np.diff(layout.coordinates[0])) < 1e-6
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["scalars/inflow"][()], np.arange(5.0))
