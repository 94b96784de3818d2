"""Batches of an epoch: each window once, the same order whenever it is asked for, from any place on."""

import numpy as np
import pytest

from tasks.learning.batches import shuffled
from tasks.physics.sampling import one_file_a_batch, window_batches
from tasks.physics.window_index import Draw, Request
from tasks.physics.windows import WellWindows
from tests.tasks.physics.test_windows import assert_same
from tests.tasks.physics.well_files import write_random


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> WellWindows:
    folder = tmp_path_factory.mktemp("data")
    for number, steps in enumerate((9, 6, 11)):  # 2 trajectories each: 16, 10 and 20 windows
        write_random(folder / f"{number}.hdf5", sizes=(4, 4), steps=steps, seed=number)
    return WellWindows(sorted(folder.iterdir()), Request(1, 1, max_dt_stride=3))


@pytest.mark.parametrize("by_file", [False, True])
def test_a_batch_is_the_same_windows_whenever_and_in_whatever_parts_it_is_read(
    windows: WellWindows, by_file: bool
) -> None:
    batches = window_batches(windows, 6, seed=7, by_file=by_file)
    assert len(batches) == 7  # 46 windows
    strides = set()
    for epoch, position in [(0, 0), (1, 6), (1, 2)]:
        whole = batches.read(epoch, position, 0, 1)
        again = window_batches(windows, 6, seed=7, by_file=by_file)  # as in a run that goes on after a kill
        assert_same(again.read(epoch, position, 0, 1), whole)
        parts = [again.read(epoch, position, part, 3) for part in range(3)]
        for name, values in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[name].numpy() for part in parts]), values.numpy())
        strides |= set(whole["stride"].tolist())
    assert strides == {1, 2, 3}


def test_strides_are_drawn_anew_in_each_epoch(windows: WellWindows) -> None:
    indices = list(range(len(windows)))
    drawn = [windows.batch([Draw(epoch, index) for index in indices])["stride"].tolist() for epoch in range(2)]
    assert drawn[0] != drawn[1]


def test_batches_by_file_are_of_one_file_but_for_what_is_left_over(windows: WellWindows) -> None:
    files = windows.index.file_numbers()
    assert np.bincount(files).tolist() == [16, 10, 20]
    order = one_file_a_batch(files, 4, shuffled(46, seed=0))
    first = order(0)
    assert sorted(first.tolist()) == list(range(46))
    assert order(0).tolist() == first.tolist()
    assert order(1).tolist() != first.tolist()
    of_files = [set(files[first[at : at + 4]].tolist()) for at in range(0, 44, 4)]
    assert all(len(found) == 1 for found in of_files)  # 4 + 2 + 5 full ones
    assert sorted(min(found) for found in of_files) == [0] * 4 + [1] * 2 + [2] * 5
    assert [min(found) for found in of_files] != sorted(min(found) for found in of_files)
    left_out = {file for epoch in range(20) for file in files[order(epoch)[44:]].tolist()}
    assert left_out == {1}  # the one file whose windows do not fill batches


def test_no_file_alone_gives_the_windows_that_fill_no_batch() -> None:
    files = np.repeat([0, 1, 2], 6)
    order = one_file_a_batch(files, 4, shuffled(18, seed=0))
    left_out = np.bincount([file for epoch in range(60) for file in files[order(epoch)[16:]]], minlength=3)
    assert left_out.min() > 20  # of 120; 40 are expected


def test_files_with_less_than_a_batch_are_mixed_at_the_end() -> None:
    files = np.array([0, 1, 1, 1, 2])
    found = one_file_a_batch(files, 3, lambda epoch: np.array([4, 3, 2, 1, 0]))(0)
    assert found.tolist() == [3, 2, 1, 4, 0]
