"""Batches of an epoch: each window once, the same order whenever it is asked for, from any place on."""

from typing import Any

import numpy as np
import pytest

from tasks.physics.sampling import BatchSampler, loader
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


def epoch(sampler: BatchSampler, number: int, position: int = 0) -> list[list[Draw]]:
    sampler.start(number, position)
    return list(sampler)


@pytest.mark.parametrize("by_file", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_has_each_window_once(windows: WellWindows, shuffle: bool, by_file: bool) -> None:
    sampler = BatchSampler(windows, 4, shuffle=shuffle, by_file=by_file)
    batches = epoch(sampler, 2)
    assert [len(batch) for batch in batches] == [4] * 11 + [2]
    assert len(sampler) == 12
    drawn = [draw for batch in batches for draw in batch]
    assert sorted(draw.window for draw in drawn) == list(range(46))
    assert {draw.epoch for draw in drawn} == {2}
    if not shuffle:
        assert by_file or [draw.window for draw in drawn] == list(range(46))


def test_the_order_is_a_function_of_seed_and_epoch(windows: WellWindows) -> None:
    np.random.seed(0)
    first = epoch(BatchSampler(windows, 4, seed=1), 3)
    np.random.seed(1)
    other = BatchSampler(windows, 4, seed=1)
    epoch(other, 0)
    assert epoch(other, 3) == first
    assert [[draw.window for draw in batch] for batch in epoch(other, 4)] != [[d.window for d in b] for b in first]
    assert epoch(BatchSampler(windows, 4, seed=2), 3) != first


@pytest.mark.parametrize("options", [{}, {"by_file": True}, {"drop_last": True}, {"world": 2, "rank": 1}])
def test_an_epoch_goes_on_from_any_batch(windows: WellWindows, options: dict[str, Any]) -> None:
    whole = epoch(BatchSampler(windows, 4, **options), 1)
    for position in range(len(whole) + 1):
        sampler = BatchSampler(windows, 4, **options)
        assert epoch(sampler, 1, position) == whole[position:]
        assert len(sampler) == len(whole) - position


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_resumed_in_mid_epoch_gives_the_same_values(windows: WellWindows, workers: int) -> None:
    sampler = BatchSampler(windows, 5, seed=7, by_file=True)
    sampler.start(1)
    whole = list(loader(windows, sampler, workers=workers))
    assert {int(stride) for batch in whole for stride in batch["stride"]} == {1, 2, 3}
    again = BatchSampler(windows, 5, seed=7, by_file=True)
    again.start(1, 6)
    rest = list(loader(windows, again))
    assert len(rest) == 4
    for batch, expected in zip(rest, whole[6:], strict=True):
        assert_same(batch, expected)


def test_batches_by_file_are_of_one_file_but_for_what_is_left_over(windows: WellWindows) -> None:
    files = windows.index.file_numbers()
    assert np.bincount(files).tolist() == [16, 10, 20]
    batches = epoch(BatchSampler(windows, 4, by_file=True), 0)
    of_files = [{int(files[draw.window]) for draw in batch} for batch in batches]
    assert all(len(found) == 1 for found in of_files[:11])  # 4 + 2 + 5 full ones
    assert sorted(min(found) for found in of_files[:11]) == [0] * 4 + [1] * 2 + [2] * 5
    assert [min(found) for found in of_files[:11]] != sorted(min(found) for found in of_files[:11])
    assert of_files[11] == {1}
    mixed = epoch(BatchSampler(windows, 8, by_file=True), 0)
    assert [len({int(files[draw.window]) for draw in batch}) for batch in mixed[:5]] == [1, 1, 1, 1, 1]
    assert {int(files[draw.window]) for draw in mixed[5]} == {1, 2}


def test_processes_share_the_batches_of_one(windows: WellWindows) -> None:
    alone = epoch(BatchSampler(windows, 6), 2)
    ranks = [epoch(BatchSampler(windows, 6, rank=rank, world=3), 2) for rank in range(3)]
    for batch, *parts in zip(alone, *ranks, strict=True):
        assert sorted(draw for part in parts for draw in part) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert min(map(len, parts)) > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 5, "world": 2}, "give a multiple of 2"),
        ({"batch_size": 4, "world": 2, "rank": 2}, "rank=2 of 2"),
        ({"batch_size": 9, "world": 3}, "the last batch has 1 windows for 3 processes: set drop_last"),
        ({"batch_size": 47, "drop_last": True}, "46 windows make no batch of 47"),
    ],
)
def test_batches_that_cannot_be_are_refused(windows: WellWindows, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BatchSampler(windows, **options)


def test_a_place_beyond_the_epoch_is_refused(windows: WellWindows) -> None:
    with pytest.raises(ValueError, match="epoch 0, batch 13: an epoch has 12 batches"):
        BatchSampler(windows, 4).start(0, 13)
