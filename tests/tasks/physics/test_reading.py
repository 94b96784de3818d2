"""Reading frames: any storage gives the same values, few files stay open, workers read for themselves."""

import copy
import mmap
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader

from tasks.physics import reading
from tasks.physics.reading import Reader, places
from tasks.physics.schema import LayoutError
from tasks.physics.window_index import Draw, Request
from tasks.physics.windows import Batch, WellWindows
from tests.tasks.physics.test_windows import assert_same, write_folder
from tests.tasks.physics.well_files import write_random

STORAGES: dict[str, dict[str, Any]] = {
    "gzip": {"chunks": True, "compression": "gzip", "shuffle": True},
    "guessed chunks": {"chunks": True},
    "blosc": {"chunks": True, **hdf5plugin.Blosc(cname="zstd")},
    "blosc2": {"chunks": True, **hdf5plugin.Blosc2()},
    "checksums": {"chunks": True, "fletcher32": True},
    "lzf": {"chunks": True, "compression": "lzf"},
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_folder(tmp_path / "data", (8, 6))


def rewritten(path: Path, target: Path, change: Callable[[h5py.Group, str, np.ndarray], None]) -> Path:
    """Copy a file with each field and scalar written anew by `change`, its attributes kept."""
    target.write_bytes(path.read_bytes())
    with h5py.File(target, "r+") as file:
        for group in ("t0_fields", "t1_fields", "t2_fields", "scalars"):
            for name in file[group]:
                values, attributes = file[group][name][()], dict(file[group][name].attrs)
                del file[group][name]
                change(file[group], name, values)
                file[group][name].attrs.update(attributes)
    return target


@pytest.mark.parametrize("storage", STORAGES)
def test_any_storage_gives_the_same_windows(files: list[Path], tmp_path: Path, storage: str) -> None:
    def change(group: h5py.Group, name: str, values: np.ndarray) -> None:
        scalar = group.name == "/scalars" or not values.shape
        group.create_dataset(name, data=values, **({} if scalar else STORAGES[storage]))

    stored = [rewritten(path, tmp_path / path.name, change) for path in files]
    with h5py.File(stored[0]) as file:
        assert file["t1_fields/velocity"].chunks
    for stride in (1, 2):
        request = Request(2, 1, min_dt_stride=stride, max_dt_stride=stride)
        plain, other = WellWindows(files, request), WellWindows(stored, request)
        for index in range(len(plain)):
            assert_same(other[index], plain[index])


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">f8", "<f2"])
@pytest.mark.parametrize("compressed", [False, True])
def test_other_number_types_are_converted_to_float32(
    files: list[Path], tmp_path: Path, dtype: str, compressed: bool
) -> None:
    def change(group: h5py.Group, name: str, values: np.ndarray) -> None:
        options = {"compression": "gzip"} if compressed and values.shape else {}
        group.create_dataset(name, data=(values * np.float32(1.1)).astype(dtype), **options)

    stored = [rewritten(path, tmp_path / path.name, change) for path in files]
    windows = WellWindows(stored, Request(2))
    with h5py.File(stored[0]) as file:
        velocity, density = file["t1_fields/velocity"], file["t0_fields/density"]
        assert velocity.dtype == np.dtype(dtype)
        sample = windows[1]
        first = windows.channels.index("velocity_x")
        expected = np.moveaxis(velocity[0, 1:3].astype(np.float32), -1, 1)
        assert np.array_equal(sample["input"][:, first : first + 2], expected)
        assert np.array_equal(sample["target"][0, 0], density[0, 3].astype(np.float32))
        assert sample["scalars"][0] == np.float32(file["scalars/Re"][()])
    assert all(values.dtype == torch.float32 for name, values in sample.items() if name != "stride")


def test_a_field_that_is_compact_in_its_header_is_read(tmp_path: Path) -> None:
    write_random(tmp_path / "a.hdf5", sizes=(4, 3), steps=4)
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        group, attributes = file["t0_fields"], dict(file["t0_fields/density"].attrs)
        values = group["density"][()]
        del group["density"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(group.id, b"density", h5py.h5t.IEEE_F32LE, space, plist).write(
            h5py.h5s.ALL, h5py.h5s.ALL, values
        )
        group["density"].attrs.update(attributes)
    assert np.array_equal(WellWindows([tmp_path / "a.hdf5"])[2]["input"][0, 0], values[0, 2])


def test_pages_are_given_back_and_asked_for_ahead_without_a_change_of_values(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(3, 2)
    plain = [WellWindows(files, request)[index] for index in range(5)]
    asked: list[tuple[int, ...]] = []

    class Watched(mmap.mmap):
        def madvise(self, *advice: int) -> None:
            asked.append(advice)
            super().madvise(*advice)

    monkeypatch.setattr(reading.mmap, "mmap", Watched)
    monkeypatch.setattr(reading, "_MAPPED", 2000)
    windows = WellWindows(files, request)
    for index, sample in enumerate(plain):
        windows.reader._cold, windows.reader._waited = 1, 1 << 60
        assert_same(windows[index], sample)
    assert {advice[0] for advice in asked} == {mmap.MADV_WILLNEED, mmap.MADV_DONTNEED}


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_file_that_ends_too_early_is_named_with_the_field(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    write_random(path, sizes=(32, 32))
    with h5py.File(path) as file:
        end = file["t2_fields/C"].id.get_offset() + 50_000
    layouts = WellWindows([path]).files  # parsed when it was whole: HDF5 itself refuses the file now
    os.truncate(path, end)
    with pytest.raises(LayoutError, match=rf"a\.hdf5: t2_fields/C: the file ends at byte {end}"):
        WellWindows(layouts).batch([0])


def test_a_file_that_is_cut_while_it_is_open_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    write_random(path, sizes=(32, 32))
    windows = WellWindows([path])
    windows.batch([0])
    os.truncate(path, 5000)
    with pytest.raises(LayoutError, match=r"a\.hdf5: it was cut while it was read"):
        windows.batch([5])


def test_a_file_that_changed_is_not_read(files: list[Path]) -> None:
    windows = WellWindows(files)
    windows.batch([0])
    windows.reader.close()
    os.utime(files[0], ns=(1, 1))
    with pytest.raises(LayoutError, match=r"a\.h5: it changed since it was listed; make the data set again"):
        windows.batch([0])


def test_a_damaged_chunk_is_named_with_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    write_random(path, storage={"chunks": True, "fletcher32": True})
    with h5py.File(path) as file:
        chunk = file["t0_fields/pressure"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * 8)
    with pytest.raises(LayoutError, match=r"a\.hdf5: t0_fields/pressure: it cannot be read"):
        WellWindows([path]).batch([0])


def test_what_is_no_hdf5_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5").write_text("503 Service Unavailable")
    with pytest.raises(LayoutError, match=r"a\.hdf5: no HDF5 file"):
        WellWindows([tmp_path / "a.hdf5"])
    write_random(tmp_path / "b.hdf5")
    with h5py.File(tmp_path / "b.hdf5", "r+") as file:
        del file["scalars"]
    with pytest.raises(LayoutError, match=r"b\.hdf5: /: scalars is missing"):
        WellWindows([tmp_path / "b.hdf5"])


# --- open files, memory, workers --------------------------------------------------------------------------------------


def open_descriptors(folder: Path) -> int:
    return sum(str(folder) in one.path for one in psutil.Process().open_files())


@pytest.mark.parametrize("storage", [{}, {"chunks": True}])
def test_few_files_are_open_however_many_are_read(tmp_path: Path, storage: dict[str, Any]) -> None:
    paths = [tmp_path / f"{number:02}.hdf5" for number in range(12)]
    for number, path in enumerate(paths):
        write_random(path, sizes=(4, 4), seed=number, storage=storage)
    windows = WellWindows(paths, max_open=3)
    assert open_descriptors(tmp_path) == windows.reader.open_files == 0
    order = np.random.default_rng(0).permutation(len(windows))
    samples = {int(index): windows[int(index)] for index in order}
    assert windows.reader.open_files == 3
    assert open_descriptors(tmp_path) == 3 * (2 if storage else 1)
    all_open = WellWindows(paths)
    for index, sample in samples.items():
        assert_same(all_open[index], sample)
    all_open.reader.close()
    windows.reader.close()
    assert open_descriptors(tmp_path) == 0


def test_constants_are_read_once_and_kept_only_up_to_a_limit(files: list[Path]) -> None:
    reader = Reader(files, cache_bytes=8 * 6 * 4)
    layout = reader.layouts[0]
    mask, gravity = places(layout, ["mask", "gravity"])
    values = np.empty((3, 8, 6), np.float32)
    for _ in range(2):
        reader.constant(0, mask, 1, values)
        reader.constant(0, gravity, 1, values)
        with h5py.File(files[0]) as file:
            assert np.array_equal(values[0], np.broadcast_to(file["t0_fields/mask"][()], (8, 6)))
            assert np.array_equal(values[1:], np.moveaxis(file["t1_fields/gravity"][()], -1, 0))
        values[:] = 0  # what is kept must not be this
    assert list(reader._open[0].constants) == ["mask"]


def ends_well(child: Callable[[], bool]) -> bool:
    """Run `child` in a fork of this process and tell whether it returned True."""
    number = os.fork()
    if not number:
        os._exit(0 if child() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


@pytest.mark.parametrize("storage", [{}, {"chunks": True, "compression": "gzip"}])
def test_a_fork_reads_the_same_and_leaves_the_parents_files_open(tmp_path: Path, storage: dict[str, Any]) -> None:
    paths = [tmp_path / f"{name}.hdf5" for name in "abc"]
    for path in paths:
        write_random(path, storage=storage)
    windows = WellWindows(paths, max_open=2)
    draws = list(range(len(windows)))
    expected = windows.batch(draws)["input"].numpy().copy()

    def child() -> bool:
        same = np.array_equal(windows.batch(draws)["input"].numpy(), expected)
        return same and windows.reader.open_files == 2

    assert all(ends_well(child) for _ in range(3))
    assert np.array_equal(windows.batch(draws)["input"].numpy(), expected)


def test_a_copy_for_another_process_has_no_open_file(files: list[Path]) -> None:
    windows = WellWindows(files)
    before = windows.batch([0, 5])
    for other in (pickle.loads(pickle.dumps(windows)), copy.deepcopy(windows)):  # noqa: S301  as spawned workers get it
        assert other.reader.open_files == 0
        assert_same(other.batch([0, 5]), before)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def by_workers(windows: WellWindows, draws: list[list[Draw]], workers: int) -> list[dict[str, np.ndarray]]:
    loader = DataLoader(windows, batch_sampler=draws, num_workers=workers, collate_fn=_as_it_is)
    return [{name: values.numpy() for name, values in batch.items()} for batch in loader]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_batches_that_one_process_gives(files: list[Path], workers: int) -> None:
    windows = WellWindows(files, Request(2, 1, max_dt_stride=2), max_open=1)
    draws = [[Draw(1, index) for index in range(at, at + 4)] for at in range(0, 12, 4)]
    # From a process of its own, as a stage is one: Prefect, which other tests start here, ends no forked child well.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        found = fresh.submit(by_workers, windows, draws, workers).result()
    for of_batch, batch in zip(draws, found, strict=True):
        expected = windows.batch(of_batch)
        assert batch.keys() == expected.keys()
        for name, values in batch.items():
            assert np.array_equal(values, expected[name].numpy()), name


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "storage"), [(100_000, {}), (4_000, {"chunks": True, "compression": "gzip"})])
def test_memory_stays_flat_over_many_samples(tmp_path: Path, samples: int, storage: dict[str, Any]) -> None:
    paths = [tmp_path / f"{number:02}.hdf5" for number in range(20)]
    for number, path in enumerate(paths):
        write_random(path, sizes=(16, 16), trajectories=4, steps=20, seed=number, storage=storage)
    windows = WellWindows(paths, Request(2), max_open=8)
    rng = np.random.default_rng(0)
    process = psutil.Process()
    resident = []
    for _ in range(10):
        for _ in range(samples // 80):
            windows.batch(rng.integers(len(windows), size=8).tolist())
        resident.append(process.memory_info().rss)
    assert windows.reader.open_files == 8
    assert max(resident[1:]) - resident[0] < 4 << 20, [round(one / 2**20, 1) for one in resident]
