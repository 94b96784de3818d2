"""Statistics of one pass against two passes in float64, however a field is stored and cut; and in little memory."""

import math
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.physics import statistics
from tasks.physics import sweep as sweeping
from tasks.physics.moments import Moments, merged, merged_blocks
from tasks.physics.schema import NewField, read_layout
from tasks.physics.statistics import SHARED, examine, totals
from tasks.physics.stats_file import stats_text
from tests.conftest import REPOSITORY
from tests.tasks.physics import well_files


def field(values: np.ndarray, name: str = "a", order: int = 0) -> NewField:
    return NewField(name, order, values.astype(np.float32))


def write(path: Path, values: np.ndarray, order: int = 0, **options: object) -> np.ndarray:
    """Write one field (B, T, *S, components); return its values as stored."""
    sizes = values.shape[2 : values.ndim - order]
    well_files.write_random(
        path,
        sizes=sizes,
        trajectories=len(values),
        steps=values.shape[1],
        fields=[field(values, order=order)],
        **options,
    )
    return values.astype(np.float32)


def swept(path: Path, trajectory: int = 0) -> sweeping.Sweep:
    with h5py.File(path) as file:
        (variable,) = read_layout(path, file).fields
        return sweeping.sweep(file[variable.path], variable, trajectory)


def check(found: list[Moments], values: np.ndarray) -> None:
    """Compare with two passes over the values, float64, components last."""
    flat = values.astype(np.float64).reshape(-1, len(found))
    for one, numbers in zip(found, flat.T, strict=True):
        mean = math.fsum(numbers) / len(numbers)
        std = math.sqrt(math.fsum((numbers - mean) ** 2) / len(numbers))
        assert one.count == len(numbers)
        assert one.mean == pytest.approx(mean, rel=1e-6, abs=1e-12 * (abs(numbers).max() or 1))
        assert one.std == pytest.approx(std, rel=1e-6)
        assert one.rms == pytest.approx(math.hypot(mean, std), rel=1e-6)


def hard_cases() -> dict[str, np.ndarray]:
    """Return fields (1, T, X, Y) on which sums of squares lose all their digits, or float32 does not hold them."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((1, 9, 40, 30))
    time = np.arange(9.0)[None, :, None, None]
    spike = np.zeros((1, 9, 40, 30))
    spike[0, 4, 0, 0] = 1e6
    return {
        "large_mean": 1e5 + noise,
        "mean_far_above_the_spread": 1e6 + 0.25 * np.sign(noise),
        "tiny": 1e-30 * noise,
        "huge": 1e30 * noise,
        "ramp": 0 * noise + time,
        "ramp_with_noise": 1000 * time + 1e-2 * noise,
        "spike": spike,
        "slow_drift": 300 + noise[:, :1] + 1e-4 * time,
        "steps_whose_squares_float32_does_not_hold": 1e-20 * rng.integers(0, 2, noise.shape),
        "denormal": 1e-41 * noise,
        "steps_of_one_size": 0.3 * rng.integers(0, 2, (1, 9, 200, 160)),
    }


@pytest.mark.parametrize("name", hard_cases())
def test_moments_are_those_of_two_passes_where_digits_are_scarce(name: str, tmp_path: Path) -> None:
    values = write(tmp_path / "a.hdf5", hard_cases()[name])
    found = swept(tmp_path / "a.hdf5")
    check(found.values, values[0])
    check(found.deltas, np.diff(values[0].astype(np.float64), axis=0))


@pytest.mark.parametrize("limits", [(1 << 12, 1 << 16, 1 << 10), (1 << 9, 1 << 9, 1 << 6), (1 << 6, 1 << 8, 1 << 16)])
@pytest.mark.parametrize("storage", [None, {"chunks": True}, {"chunks": (1, 3, 7, 5, 2), "compression": "gzip"}])
def test_how_a_field_is_cut_for_reading_shows_neither_in_moments_nor_hashes(
    limits: tuple[int, int, int], storage: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).standard_normal((2, 8, 13, 9, 2))
    stored = write(tmp_path / "a.hdf5", values, order=1, storage=storage)
    write(tmp_path / "whole.hdf5", values, order=1)
    whole = swept(tmp_path / "whole.hdf5", 1)
    for name, value in zip(("READ_BYTES", "MAX_READ_BYTES", "BLOCK"), limits, strict=True):
        monkeypatch.setattr(sweeping, name, value)
    found = swept(tmp_path / "a.hdf5", 1)
    assert found.frames == whole.frames
    assert len(set(found.frames)) == 8
    check(found.values, stored[1])
    check(found.deltas, np.diff(stored[1].astype(np.float64), axis=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found_wherever_it_stands(value: float, tmp_path: Path) -> None:
    """In each place of vector registers, and of what is left over; beside its opposite too."""
    values = np.random.default_rng(7).standard_normal((1, 5, 9, 11)).astype(np.float32)
    write(tmp_path / "a.hdf5", values)
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        (variable,) = read_layout(tmp_path / "a.hdf5", file).fields
        data = file[variable.path]
        for place in range(9 * 11):
            for beside in (0.5, -value):
                step, spoilt = place % 5, values[0].copy()
                spoilt[step].flat[place] = value
                spoilt[step].flat[(place + 8) % 99] = beside
                data[0] = spoilt
                file.flush()
                with pytest.raises(sweeping.NotFinite, match=f"in 1 of 5 frames, first at step {step}"):
                    sweeping.sweep(data, variable, 0)


def test_values_under_a_mask_are_left_out_of_moments_and_steps(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal((2, 5, 8, 6)).astype(np.float32)
    mask = np.zeros((8, 6), np.float32)
    mask[1:4, 2:5] = 1
    values[:, :, mask == 1] = np.nan
    fields = [field(values, "p"), NewField("mask", 0, mask, sample_varying=False, time_varying=False)]
    well_files.write_random(tmp_path / "a.hdf5", steps=5, fields=fields)
    examined = examine(str(tmp_path / "a.hdf5"))
    assert not examined.rejected
    for one in (one for one in examined.moments if one.field == "p"):
        check([one.values], values[one.trajectory][:, mask == 0])
        check([one.deltas], np.diff(values[one.trajectory][:, mask == 0].astype(np.float64), axis=0))


def test_merging_does_not_depend_on_the_order_to_the_last_bit() -> None:
    rng = np.random.default_rng(4)
    parts = [Moments(int(n), float(m), float(abs(s)), -1, 1) for n, m, s in rng.normal(50, 20, (40, 3)) if n > 1]
    first = merged(parts)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(parts))
        assert merged(parts[place] for place in order) == first


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_merged_parts_of_any_size_are_what_numpy_says_of_all_numbers(offset: float) -> None:
    rng = np.random.default_rng(5)
    parts = [rng.normal(offset + 3 * place, 1 + place, size) for place, size in enumerate((1, 7, 5000, 2, 311))]
    whole = np.concatenate(parts)
    each = [Moments(len(one), one.mean(), ((one - one.mean()) ** 2).sum(), one.min(), one.max()) for one in parts]
    counts, sums, m2 = zip(
        *((one.count, part.sum(), one.m2) for one, part in zip(each, parts, strict=True)), strict=True
    )
    for found in (merged([Moments(), *each]), merged_blocks(counts, sums, m2, whole.min(), whole.max())):
        assert (found.count, found.low, found.high) == (len(whole), whole.min(), whole.max())
        assert found.mean == pytest.approx(whole.mean(), rel=1e-12)
        assert found.std == pytest.approx(whole.std(), rel=1e-9)
        assert found.rms == pytest.approx(np.sqrt((whole**2).mean()), rel=1e-12)
    twice, again = each[2].times(3), np.repeat(parts[2], 3)
    assert (twice.count, twice.mean, twice.low) == (15_000, pytest.approx(again.mean()), again.min())
    assert twice.std == pytest.approx(again.std(), rel=1e-9)


def test_a_field_that_all_trajectories_share_counts_once_for_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    shared = rng.normal(3, 2, (5, 8, 6, 2)).astype(np.float32)
    still = rng.normal(-1, 4, (8, 6)).astype(np.float32)
    own = rng.normal(0, 1, (4, 5, 8, 6)).astype(np.float32)
    fields = [
        NewField("wind", 1, shared, sample_varying=False),
        NewField("depth", 0, still, sample_varying=False, time_varying=False),
        field(own, "own"),
    ]
    well_files.write_random(tmp_path / "a.hdf5", trajectories=4, steps=5, fields=fields)
    moments = examine(str(tmp_path / "a.hdf5")).moments
    assert {one.trajectory for one in moments if one.field != "own"} == {SHARED}
    wind = np.broadcast_to(shared, (4, *shared.shape))
    for (values, steps), of in zip(totals(moments, "wind", 4), np.moveaxis(wind, -1, 0), strict=True):
        check([values], of)
        check([steps], np.diff(of.astype(np.float64), axis=1))
        assert (values.low, values.high) == (of.min(), of.max())
    ((values, steps),) = totals(moments, "depth", 4)
    check([values], np.broadcast_to(still, (4, 8, 6)))
    assert steps.count == 0
    ((values, _),) = totals(moments, "own", 4)
    check([values], own)


def test_a_fault_of_our_own_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    well_files.write_random(tmp_path / "a.hdf5")
    for name, error in (("sweep", KeyError("ours")), ("inspect", TypeError("ours")), ("totals", ValueError("ours"))):

        def broken(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(statistics, name, broken)
            with pytest.raises(type(error), match="ours"):
                examine(str(tmp_path / "a.hdf5"))


def _examine_flipped(path: Path) -> None:
    """Exit with the number of files that were rejected, of 80 with three bytes flipped."""
    sound, rng = path.read_bytes(), np.random.default_rng(8)
    rejected = 0
    for _ in range(80):
        data = bytearray(sound)
        for place in rng.integers(96, len(data), 3):
            data[place] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        rejected += examine(str(path)).rejected
    os._exit(100 + rejected)


def test_flipped_bytes_in_the_metadata_are_told_or_read_and_never_an_error(tmp_path: Path) -> None:
    """In a process of its own, as in the stage: HDF5 itself may end it."""
    well_files.write_random(tmp_path / "a.hdf5", storage={"compression": "gzip", "chunks": True})
    worker = multiprocessing.get_context("fork").Process(target=_examine_flipped, args=(tmp_path / "a.hdf5",))
    worker.start()
    worker.join()
    assert 115 < (worker.exitcode or 0) < 180


def test_each_frame_is_read_once_and_the_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.hdf5"
    values = np.random.default_rng(2).standard_normal((2, 40, 64, 64)).astype(np.float32)
    mask = np.zeros((64, 64), np.float32)
    mask[10:40, 20:50] = 1
    values[:, :, mask == 1] = np.nan
    fields = [field(values, "p"), NewField("mask", 0, mask, sample_varying=False, time_varying=False)]
    well_files.write_random(path, sizes=(64, 64), steps=40, fields=fields)
    well_files.add_scalar(path, "start", np.arange(2.0), sample_varying=True, time_varying=False)
    read, opened = [], []
    read_at, open_file = sweeping._read_at, h5py.File

    def counted(descriptor: int, frames: np.ndarray, *rest: object) -> None:
        read.append(frames.nbytes)
        read_at(descriptor, frames, *rest)  # type: ignore[arg-type]

    class Counted(open_file):
        def __init__(self, *arguments: object, **options: object) -> None:
            opened.append(arguments)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(sweeping, "_read_at", counted)
    monkeypatch.setattr(h5py, "File", Counted)
    examined = examine(str(path))
    assert [one.code for one in examined.findings] == ["masked"]
    assert examined.scalars["start"].tolist() == [0, 1]
    first_frames = 3 * mask.nbytes  # to see where NaN may be: two of p, one of the mask
    assert sum(read) == values.nbytes + mask.nbytes + first_frames
    assert len(opened) == 1


def test_stats_text_is_read_as_numbers_by_yaml_1_1(tmp_path: Path) -> None:
    import yaml

    numbers = [1e-7, -3e22, 0.0, 1.0, 1 / 3]
    totals = {str(place): [(Moments(2, one, 4.0), Moments(2, one, 4.0))] for place, one in enumerate(numbers)}
    fields = [{"name": f"f{name}", "order": 0, "time_varying": True} for name in totals]
    text = stats_text(fields, {f"f{name}": found for name, found in totals.items()}, 17)
    assert list(yaml.safe_load(text)["mean"].values()) == numbers
    short = yaml.safe_load(stats_text(fields, {f"f{name}": found for name, found in totals.items()}, 5))
    assert list(short["mean"].values()) == [float(f"{one:.5g}") for one in numbers]


def test_a_file_larger_than_the_memory_allowed_is_examined(tmp_path: Path) -> None:
    """128 MB beyond what the libraries take, and a file of more than 400 MB."""
    frames = np.random.default_rng(0).standard_normal((1, 2, 128, 128, 2)).astype(np.float32)
    path = tmp_path / "large.hdf5"
    well_files.write_random(path, sizes=(128, 128), trajectories=1, steps=2, fields=[field(frames, "v", 1)])
    steps = 400 * (1 << 20) // frames[0, 0].nbytes // 2
    with h5py.File(path, "r+") as file:
        attributes = dict(file["t1_fields/v"].attrs)
        for name in ("t1_fields/v", "dimensions/time"):
            del file[name]
        time = file["dimensions"].create_dataset("time", data=np.arange(steps, dtype=np.float32))
        time.attrs["sample_varying"], time.attrs["time_varying"] = False, True
        file.attrs["n_trajectories"] = 2
        shape = (2, steps, 128, 128, 2)
        data = file["t1_fields"].create_dataset("v", shape, "f4")
        data.attrs.update(attributes)
        for trajectory in range(2):
            for step in range(0, steps, 50):
                count = min(50, steps - step)
                numbers = np.arange(step, step + count, dtype=np.float32)[:, None, None, None] + trajectory
                data[trajectory, step : step + count] = frames[0, 0] + numbers
    assert path.stat().st_size > 400 << 20
    script = """
        import resource, sys
        from tasks.physics.statistics import SHARED, examine, totals
        used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + (128 << 20),) * 2)
        found = examine(sys.argv[1])
        assert not found.rejected, found.findings
        print(found.moments[0].values.mean, found.moments[0].deltas.mean)
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    mean, step = map(float, done.stdout.split())
    assert mean == pytest.approx(frames[0, 0, ..., 0].mean(dtype=np.float64) + (steps - 1) / 2, rel=1e-6)
    assert step == pytest.approx(1.0, rel=1e-6)
