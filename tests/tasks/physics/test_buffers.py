"""Memory of batches is used again, but never while anybody can see it."""

import pickle
from pathlib import Path

import torch

from tasks.learning.exact import on_device
from tasks.physics.buffers import Buffers
from tasks.physics.window_index import Request
from tasks.physics.windows import WellWindows
from tests.tasks.physics.well_files import write_random

SHAPE = (3, 300, 300)


def test_memory_is_used_again_when_the_tensor_and_all_its_views_are_gone() -> None:
    buffers = Buffers()
    tensor = buffers.empty(SHAPE)
    place = tensor.data_ptr()
    view, array = tensor.flatten()[5:9], tensor.numpy()[1]
    del tensor
    for holder in ("view", "array"):
        assert buffers.empty(SHAPE).data_ptr() != place, holder
        if holder == "view":
            del view
    del array
    assert buffers.empty(SHAPE).data_ptr() == place


def test_many_batches_held_at_once_do_not_share_memory_and_few_are_kept() -> None:
    buffers = Buffers()
    held = [buffers.empty(SHAPE) for _ in range(5)]
    assert len({one.data_ptr() for one in held}) == 5
    assert sum(map(len, buffers._kept.values())) == 2
    for width in range(300, 310):
        buffers.empty((3, 300, width))
    assert len(buffers._kept) == 4
    assert pickle.loads(pickle.dumps(buffers))._kept == {}  # noqa: S301  as spawned workers get it


def test_memory_is_aligned_whatever_the_shape() -> None:
    buffers = Buffers()
    held = [buffers.empty((3, 300, width)) for width in range(300, 310) for _ in range(4)]
    assert {one.data_ptr() % 64 for one in held} == {0}
    for number, one in enumerate(held):
        one.fill_(number)
    assert all(bool((one == number).all()) for number, one in enumerate(held))


def test_a_large_batch_goes_into_a_network_as_it_was_read(tmp_path: Path) -> None:
    write_random(tmp_path / "a.hdf5", sizes=(128, 128), steps=8, trajectories=1, constants=False)
    windows = WellWindows([tmp_path / "a.hdf5"], Request(3, 3))
    for _ in range(4):
        batch = windows.batch([0, 1])
        moved = on_device(batch, torch.device("cpu"))
        for name in ("input", "target"):
            assert batch[name].nbytes > 1 << 20
            assert moved[name].data_ptr() == batch[name].data_ptr()


def test_a_batch_that_is_kept_does_not_change_when_others_are_read(tmp_path: Path) -> None:
    write_random(tmp_path / "a.hdf5", sizes=(128, 128), steps=8, trajectories=1, constants=False)
    windows = WellWindows([tmp_path / "a.hdf5"], Request(3, 1))
    kept = windows.batch([0, 1])
    before = {name: values.clone() for name, values in kept.items()}
    part = windows.batch([2, 3])["input"][1, 0]
    part_before = part.clone()
    assert part.nelement() * 4 < 1 << 20 < kept["input"].nbytes
    for _ in range(5):
        windows.batch([3, 4])
    assert torch.equal(part, part_before)
    assert all(torch.equal(kept[name], values) for name, values in before.items())
