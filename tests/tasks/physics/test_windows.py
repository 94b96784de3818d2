"""Windows beside what h5py slices of the same files and The Well's own loader give, to the last bit."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from the_well.data.datasets import DeltaWellDataset, WellDataset

from tasks.physics.schema import Boundary, NewField, write_file
from tasks.physics.window_index import Draw, Request
from tasks.physics.windows import WellWindows, split_files
from tests.tasks.physics.well_files import add_scalar, axes, field, usual_fields, write_dataset, write_random

GRIDS = {"2-D": (8, 6), "3-D": (4, 5, 6)}


def write_folder(folder: Path, sizes: tuple[int, ...], steps: tuple[int, ...] = (9, 7)) -> list[Path]:
    """Write files with scalars, vectors and tensors, constants, flat axes, scalars of each sort and mixed walls."""
    rng = np.random.default_rng(5)
    kinds = ["WALL", "PERIODIC", "OPEN"][: len(sizes)]
    for number, (name, trajectories) in enumerate((("b.hdf5", 2), ("a.h5", 3))):
        same: dict[str, Any] = {"sizes": sizes, "trajectories": trajectories, "steps": steps[number]}
        fields = [
            *usual_fields(rng, **same),
            field("forcing", 0, rng, sample_varying=False, constant_along=("y",), **same),
            field("drift", 1, rng, sample_varying=False, **same),
        ]
        write_random(folder / name, fields=fields, seed=number, kinds=kinds, **same)  # type: ignore[arg-type]
        T, B = steps[number], trajectories
        add_scalar(folder / name, "heat", rng.random((B, T)), sample_varying=True)
        add_scalar(folder / name, "clock", rng.random(T))
        add_scalar(folder / name, "mass", rng.random(B), sample_varying=True, time_varying=False)
    return sorted(folder.iterdir())


@pytest.fixture(params=GRIDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    return write_folder(tmp_path / "data", GRIDS[request.param])


@pytest.fixture
def flat_files(tmp_path: Path) -> list[Path]:
    return write_folder(tmp_path / "data", GRIDS["2-D"])


def sliced(file: h5py.File, trajectory: int, steps: slice, *, varying: bool) -> np.ndarray:
    """Return the fields of a window that vary in time (T, C, *S), or those that do not (C, *S), by h5py alone."""
    sizes = tuple(file["dimensions"][name].shape[-1] for name in file["dimensions"].attrs["spatial_dims"])
    found = []
    for order in range(3):
        group = file[f"t{order}_fields"]
        for name in group.attrs["field_names"]:
            data = group[name]
            if bool(data.attrs["time_varying"]) != varying:
                continue
            values = data[trajectory] if data.attrs["sample_varying"] else data[()]
            values = values[steps] if varying else values[None]
            full = np.broadcast_to(values, (len(values), *sizes, *(len(sizes),) * order))
            found.append(np.moveaxis(full.reshape(*full.shape[: 1 + len(sizes)], -1), -1, 1))
    together = np.concatenate(found, 1) if found else np.empty((0, 0, *sizes))
    return together if varying else together[0]


def windows_by_hand(files: list[Path], span: int) -> Iterator[tuple[Path, int, int]]:
    """Yield file, trajectory and first step of each window that is `span` steps long."""
    for path in files:
        with h5py.File(path) as file:
            trajectories, steps = file.attrs["n_trajectories"], file["dimensions/time"].shape[-1]
        for trajectory in range(trajectories):
            for start in range(steps - span + 1):
                yield path, trajectory, start


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype, name
        assert ours[name].shape == values.shape, name
        assert torch.equal(ours[name], values), name


@pytest.mark.parametrize("stride", [1, 2])
def test_each_window_is_what_h5py_slices(files: list[Path], stride: int) -> None:
    windows = WellWindows(files, Request(2, 1, min_dt_stride=stride, max_dt_stride=stride))
    expected = list(windows_by_hand(files, 1 + 2 * stride))
    assert len(windows) == len(expected) > 10
    for index, (path, trajectory, start) in enumerate(expected):
        sample = windows[index]
        with h5py.File(path) as file:
            steps = slice(start, start + 3 * stride, stride)
            fields = sliced(file, trajectory, steps, varying=True)
            assert np.array_equal(sample["input"], fields[:2])
            assert np.array_equal(sample["target"], fields[2:])
            assert np.array_equal(sample["constants"], sliced(file, trajectory, steps, varying=False))
            scalars = [file["scalars/Re"][()], file["scalars/Wi"][()], file["scalars/mass"][trajectory]]
            assert np.array_equal(sample["scalars"], scalars)
            moving = np.stack([file["scalars/heat"][trajectory, steps], file["scalars/clock"][steps]], -1)
            assert np.array_equal(sample["input_scalars"], moving[:2])
            assert np.array_equal(sample["target_scalars"], moving[2:])
    assert all(values.dtype == torch.float32 for name, values in sample.items() if name != "stride")


def test_channels_are_named_in_the_order_of_the_tensor(flat_files: list[Path]) -> None:
    windows = WellWindows(flat_files)
    tensor = ("C_xx", "C_xy", "C_yx", "C_yy")
    vectors = ("velocity_x", "velocity_y", "drift_x", "drift_y")
    assert windows.channels == ("density", "pressure", "forcing", *vectors, *tensor)
    assert windows.constant_channels == ("speed_of_sound", "mask", "gravity_x", "gravity_y")
    assert windows.scalar_names == ("Re", "Wi", "mass")
    assert windows.time_scalar_names == ("heat", "clock")
    with h5py.File(flat_files[0]) as file:
        velocity = file["t1_fields/velocity"][0, 0, :, :, 1]
        C = file["t2_fields/C"][0, 0, :, :, 1, 0]
    input_TCHW = windows[0]["input"]
    assert np.array_equal(input_TCHW[0, windows.channels.index("velocity_y")], velocity)
    assert np.array_equal(input_TCHW[0, windows.channels.index("C_yx")], C)


@pytest.mark.parametrize(
    ("request_", "theirs"),
    [
        (Request(), {}),
        (Request(3, 2), {"n_steps_input": 3, "n_steps_output": 2}),
        (Request(2, 1, 2, 2), {"n_steps_input": 2, "min_dt_stride": 2, "max_dt_stride": 2}),
        (Request(1, 3, max_rollout_steps=2), {"n_steps_output": 3, "max_rollout_steps": 2}),
        (Request(2, full_trajectory=True), {"n_steps_input": 2, "full_trajectory_mode": True}),
        (
            Request(2, full_trajectory=True, min_dt_stride=2, max_dt_stride=2, max_rollout_steps=2),
            {
                "n_steps_input": 2,
                "full_trajectory_mode": True,
                "min_dt_stride": 2,
                "max_dt_stride": 2,
                "max_rollout_steps": 2,
            },
        ),
        (
            Request(2, full_trajectory=True, start_output_at=4),
            {"n_steps_input": 2, "full_trajectory_mode": True, "start_output_steps_at_t": 4},
        ),
        (
            Request(2, restrict_samples=7, restriction_seed=3),
            {"n_steps_input": 2, "restrict_num_samples": 7, "restriction_seed": 3},
        ),
        (Request(restrict_samples=0.25), {"restrict_num_samples": 0.25}),
    ],
)
def test_the_dictionary_is_that_of_the_wells_loader(
    files: list[Path], request_: Request, theirs: dict[str, Any]
) -> None:
    oracle = WellDataset(path=str(files[0].parent), use_normalization=False, **theirs)
    windows = WellWindows(files[::-1], request_, layout="well")
    assert len(windows) == len(oracle) > 1
    for index in range(len(oracle)):
        assert_same(windows[index], oracle[index])


def test_a_batch_of_dictionaries_is_what_torch_makes_of_single_ones(files: list[Path]) -> None:
    oracle = WellDataset(path=str(files[0].parent), use_normalization=False, n_steps_input=2)
    windows = WellWindows(files, Request(2), layout="well")
    draws = [len(windows) - 1, 3, 0, 3]
    assert_same(windows.batch(draws), torch.utils.data.default_collate([oracle[index] for index in draws]))


@pytest.mark.parametrize("layout", ["channels_first", "well"])
def test_a_batch_holds_the_samples_in_the_order_asked_for(files: list[Path], layout: Any) -> None:
    windows = WellWindows(files, Request(2), layout=layout)
    draws = random.Random(0).sample(range(len(windows)), 12)
    batch = windows.batch(draws)
    for row, index in enumerate(draws):
        assert_same({name: values[row] for name, values in batch.items()}, windows[index])


def test_delta_targets_are_what_a_step_adds(files: list[Path]) -> None:
    oracle = DeltaWellDataset(path=str(files[0].parent), n_steps_input=2, n_steps_output=3)
    windows = WellWindows(files, Request(2, 3, delta=True), layout="well")
    for index in range(0, len(windows), 3):
        assert_same(windows[index], oracle[index])
    plain, deltas = WellWindows(files, Request(2, 3)), WellWindows(files, Request(2, 3, delta=True))
    values = torch.cat([plain[4]["input"], plain[4]["target"]])
    assert torch.equal(deltas[4]["target"], values[2:] - values[1:-1])
    assert torch.equal(deltas[4]["input"], plain[4]["input"])


def test_times_and_grids_that_differ_between_trajectories_are_those_of_the_trajectory(flat_files: list[Path]) -> None:
    rng = np.random.default_rng(1)
    for path in flat_files:
        with h5py.File(path, "r+") as file:
            B = file.attrs["n_trajectories"]
            for name in ("time", "y"):
                line = file["dimensions"][name][()]
                del file["dimensions"][name]
                values = np.sort(line + rng.random((B, len(line))).astype(np.float32))
                data = file["dimensions"].create_dataset(name, data=values)
                data.attrs["sample_varying"], data.attrs["time_varying"] = True, name == "time"
    oracle = WellDataset(path=str(flat_files[0].parent), use_normalization=False, n_steps_input=2)
    windows = WellWindows(flat_files, Request(2), layout="well")
    for index in range(len(windows)):
        assert_same(windows[index], oracle[index])


# --- strides ------------------------------------------------------------------------------------------------------


def test_strides_are_drawn_from_all_that_fit_and_the_values_are_those_of_the_stride(flat_files: list[Path]) -> None:
    request = Request(2, 2, min_dt_stride=1, max_dt_stride=2)
    windows = WellWindows(flat_files, request, seed=4)
    by_hand = list(windows_by_hand(flat_files, 4))
    assert len(windows) == len(by_hand)
    seen = set()
    for index, (path, trajectory, start) in enumerate(by_hand):
        with h5py.File(path) as file:
            T = file["dimensions/time"].shape[-1]
            fits = T - start >= 1 + 2 * 3
            strides = set()
            for epoch in range(4):
                sample = windows.batch([Draw(epoch, index)])
                stride = int(sample["stride"])
                fields = sliced(file, trajectory, slice(start, start + 4 * stride, stride), varying=True)
                assert np.array_equal(sample["input"][0], fields[:2])
                assert np.array_equal(sample["target"][0], fields[2:])
                strides.add(stride)
        assert strides <= ({1, 2} if fits else {1})
        seen.add(fits and len(strides) == 2)
    assert seen == {False, True}


def test_strides_depend_on_seed_epoch_and_window_and_on_no_global_generator(flat_files: list[Path]) -> None:
    request = Request(1, 1, min_dt_stride=1, max_dt_stride=6)

    def strides(seed: int, epoch: int, order: list[int]) -> dict[int, int]:
        windows = WellWindows(flat_files, request, seed=seed)
        return {index: windows.index.window(index, epoch).stride for index in order}

    everything = list(range(len(WellWindows(flat_files, request))))
    np.random.seed(1)
    before = strides(0, 0, everything)
    np.random.seed(2)
    assert strides(0, 0, everything[::-1]) == before
    assert strides(0, 1, everything) != before
    assert strides(1, 0, everything) != before


def test_each_stride_that_fits_is_as_likely(tmp_path: Path) -> None:
    write_random(tmp_path / "a.hdf5", steps=5, trajectories=1)
    windows = WellWindows([tmp_path / "a.hdf5"], Request(1, 1, min_dt_stride=1, max_dt_stride=4))
    drawn = [windows.index.window(0, epoch).stride for epoch in range(2000)]
    counts = np.bincount(drawn, minlength=5)[1:]
    assert counts.sum() == 2000
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75))


# --- restriction --------------------------------------------------------------------------------------------------


def test_restricted_trajectories_are_whole_distinct_and_nested(flat_files: list[Path]) -> None:
    def kept(count: int | float) -> list[tuple[int, int, int]]:
        windows = WellWindows(flat_files, Request(2, restrict_trajectories=count))
        places = [windows.index.window(index) for index in range(len(windows))]
        return [(place.file, place.trajectory, place.start) for place in places]

    whole = WellWindows(flat_files, Request(2)).index
    everything = [tuple(whole.window(index)[:3]) for index in range(len(whole))]
    for smaller, larger in ((1, 2), (2, 4), (4, 5), (0.5, 4)):
        few, many = kept(smaller), kept(larger)
        assert set(few) < set(many)
        assert len(set(many)) == len(many)
        for windows in (few, many):  # all windows of each trajectory, in the order of all
            chosen = {window[:2] for window in windows}
            assert windows == [window for window in everything if window[:2] in chosen]
    assert len({window[:2] for window in kept(3)}) == 3
    assert len({window[:2] for window in kept(0.6)}) == 3
    assert kept(5) == everything


def test_restricted_samples_nest_and_are_of_the_kept_trajectories(flat_files: list[Path]) -> None:
    def kept(**restriction: Any) -> list[Any]:
        windows = WellWindows(flat_files, Request(**restriction))
        return [windows.index.window(index) for index in range(len(windows))]

    assert kept(restrict_samples=3) == kept(restrict_samples=9)[:3]
    assert kept(restrict_samples=9) != kept(restrict_samples=9, restriction_seed=1)
    both = kept(restrict_samples=5, restrict_trajectories=2)
    assert len(set(both)) == 5
    assert set(both) < set(kept(restrict_trajectories=2))


# --- where the_well 1.2.0 goes wrong ----------------------------------------------------------------------------------


def test_an_order_of_fields_is_followed_and_must_name_each_once(flat_files: list[Path]) -> None:
    plain = WellWindows(flat_files, Request(2, 1))
    order = ["mask", "C", "pressure", "gravity", "velocity", "drift", "speed_of_sound", "forcing", "density"]
    windows = WellWindows(flat_files, Request(2, 1), order=order)
    assert windows.channels[:5] == ("C_xx", "C_xy", "C_yx", "C_yy", "pressure")
    assert windows.constant_channels == ("mask", "gravity_x", "gravity_y", "speed_of_sound")
    for index in (0, len(plain) - 1):
        for name, channels in (("input", "channels"), ("target", "channels"), ("constants", "constant_channels")):
            places = [getattr(plain, channels).index(channel) for channel in getattr(windows, channels)]
            assert np.array_equal(windows[index][name], plain[index][name][..., places, :, :])
    for wrong in (order[1:], [*order, "mask"], [*order[1:], "temperature"]):
        with pytest.raises(ValueError, match=r"a\.h5: its fields are .*name each field once"):
            WellWindows(flat_files, order=wrong)


def test_channels_of_a_file_with_another_order_are_put_in_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    fields = usual_fields(rng, sizes=(8, 6))
    write_random(tmp_path / "a.hdf5", fields=fields)
    write_random(tmp_path / "b.hdf5", fields=fields[::-1])
    windows = WellWindows([tmp_path / "a.hdf5", tmp_path / "b.hdf5"])
    half = len(windows) // 2
    for index in range(half):
        assert_same(windows[index + half], windows[index])


def test_axes_along_which_a_field_does_not_vary_may_be_dropped_or_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    flat = [
        field("wave", 0, rng, sizes=(8, 6), constant_along=("x",)),
        field("wind", 1, rng, sizes=(8, 6), constant_along=("y",)),
        field("tide", 0, rng, sizes=(8, 6), constant_along=("x", "y")),
        field("rock", 0, rng, sizes=(8, 6), constant_along=("x",), time_varying=False),
    ]
    write_random(tmp_path / "kept.hdf5", fields=flat)
    write_random(tmp_path / "dropped.hdf5", fields=flat)
    with h5py.File(tmp_path / "dropped.hdf5", "r+") as file:
        for name, axes in (
            ("t0_fields/wave", 2),
            ("t1_fields/wind", 3),
            ("t0_fields/tide", (2, 3)),
            ("t0_fields/rock", 1),
        ):
            values, attributes = file[name][()].squeeze(axes), dict(file[name].attrs)
            del file[name]
            file[name] = values
            file[name].attrs.update(attributes)
    kept, dropped = (WellWindows([tmp_path / f"{name}.hdf5"], Request(2)) for name in ("kept", "dropped"))
    for index in range(len(kept)):
        assert_same(dropped[index], kept[index])
    wave, wind, tide, rock = (one.values for one in flat)
    input_TCHW = dropped[0]["input"].numpy()
    assert np.array_equal(input_TCHW[:, 0], np.broadcast_to(wave[0, :2], (2, 8, 6)))
    assert np.array_equal(input_TCHW[:, 1], np.broadcast_to(tide[0, :2], (2, 8, 6)))
    assert np.array_equal(input_TCHW[:, 2:], np.broadcast_to(np.moveaxis(wind[0, :2], -1, 1), (2, 2, 8, 6)))
    assert np.array_equal(dropped[0]["constants"][0], np.broadcast_to(rock[0], (8, 6)))


def faces(*kinds: str) -> list[list[float]]:
    codes = {"WALL": 0.0, "OPEN": 1.0, "PERIODIC": 2.0}
    return [[codes[kind] for kind in pair.split()] for pair in kinds]


def test_boundary_codes_tell_walls_by_all_of_a_face_and_others_by_any(tmp_path: Path) -> None:
    half_x, half_y = np.zeros((8, 6), bool), np.zeros((8, 6), bool)
    half_x[0], half_x[-1, :3] = True, True  # all of the first face, half of the last
    half_y[1, 0] = True
    write_with(
        tmp_path / "data" / "a.hdf5",
        [
            Boundary("a_wall", "WALL", ("x", "y"), half_x),
            Boundary("b_open", "PERIODIC", ("x", "y"), half_y),
        ],
    )
    windows = WellWindows([tmp_path / "data" / "a.hdf5"])
    assert windows[0]["boundary"].tolist() == faces("WALL OPEN", "PERIODIC OPEN")
    with pytest.warns(RuntimeWarning, match="axis-aligned"):
        oracle = WellDataset(path=str(tmp_path / "data"), use_normalization=False)[0]
    assert torch.equal(windows[0]["boundary"], oracle["boundary_conditions"])


def test_a_periodic_mask_that_is_false_everywhere_is_believed_by_name_but_not_in_the_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a.hdf5"
    nothing, first = np.zeros(6, bool), np.arange(8) == 0
    write_with(
        path,
        [
            Boundary("x_periodic", "PERIODIC", ("x",), np.zeros(8, bool)),
            Boundary("x_wall", "WALL", ("x",), first),
            Boundary("y_periodic", "PERIODIC", ("y",), nothing),
        ],
    )
    assert WellWindows([path])[0]["boundary"].tolist() == faces("WALL PERIODIC", "PERIODIC PERIODIC")
    oracle = WellDataset(path=str(path.parent), use_normalization=False)[0]["boundary_conditions"]
    assert oracle.tolist() == faces("WALL OPEN", "OPEN OPEN")
    assert torch.equal(WellWindows([path], layout="well")[0]["boundary_conditions"], oracle)


def write_with(path: Path, boundaries: list[Boundary]) -> None:
    """Write a file of one field with these boundary conditions."""
    path.parent.mkdir(parents=True)
    values = np.random.default_rng(0).random((1, 3, 8, 6))
    write_file(
        path,
        dataset_name="noise",
        dimensions=axes((8, 6)),
        time=np.arange(3),
        parameters={},
        fields=[NewField("a", 0, values)],
        boundaries=boundaries,
    )


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps_input": 0}, "steps_input is 0"),
        ({"max_dt_stride": 0}, "max_dt_stride=0 is below"),
        ({"full_trajectory": True, "max_dt_stride": 2}, "one stride"),
        ({"delta": True, "min_dt_stride": 2, "max_dt_stride": 2}, "both strides 1"),
        ({"start_output_at": 3}, "set full_trajectory"),
        ({"start_output_at": 3, "full_trajectory": True, "steps_input": 4}, "give 4 or more"),
        ({"restrict_samples": 0}, "restrict_samples=0"),
        ({"restrict_trajectories": 1.5}, "share between"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_value(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Request(**wrong)


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    write_random(tmp_path / "a.hdf5", steps=4)
    write_random(tmp_path / "finer.hdf5", sizes=(8, 8))
    write_random(tmp_path / "fewer.hdf5", constants=False)
    paths = {name: tmp_path / f"{name}.hdf5" for name in ("a", "finer", "fewer", "none")}
    for other, told in (("finer", "dimensions"), ("fewer", "fields"), ("none", "missing"), ("a", "named twice")):
        with pytest.raises(ValueError, match=told) as caught:
            WellWindows([paths["a"], paths[other]])
        assert str(paths[other]) in str(caught.value)
    with pytest.raises(ValueError, match=r"a\.hdf5: 4 steps are too few for a window of 5"):
        WellWindows([paths["a"]], Request(4, 1))
    with pytest.raises(ValueError, match="leave none"):
        WellWindows([paths["a"]], Request(4, full_trajectory=True))
    with pytest.raises(IndexError):
        WellWindows([paths["a"]])[6]
    with pytest.raises(ValueError, match="no files"):
        WellWindows([])


def test_files_of_a_split_are_found(tmp_path: Path) -> None:
    written = write_dataset(tmp_path, steps=3)
    train = split_files(tmp_path / "noise", "train")
    assert train == sorted(path for path in written if path.parent.name == "train")
    assert len(WellWindows(train)) == 2 * 4 * 2
    with pytest.raises(ValueError, match="rollout"):
        split_files(tmp_path / "noise", "rollout")


# --- masks --------------------------------------------------------------------------------------------------------


def test_what_is_no_number_becomes_nought_and_is_told_by_the_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rock = field("height", 0, rng, sizes=(8, 6))
    rock.values[:, :, 2:4, 1:3] = np.nan
    write_random(tmp_path / "a.hdf5", fields=[rock, field("velocity", 1, rng, sizes=(8, 6))])
    plain, masked = (WellWindows([tmp_path / "a.hdf5"], Request(2, 2), mask_nan=mask) for mask in (False, True))
    hole = np.isnan(plain[0]["target"].numpy())
    assert hole[:, 0, 2:4, 1:3].all()
    assert hole.sum() == 2 * 4
    sample = masked[0]
    assert np.array_equal(sample["mask"], ~hole)
    for name in ("input", "target"):
        assert np.array_equal(sample[name], np.nan_to_num(plain[0][name].numpy()))
