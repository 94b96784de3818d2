"""Augmented batches: operators that know no direction (gradient, divergence, by FFT) must not notice a turn."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from the_well.data.augmentation import RandomAxisFlip, RandomAxisPermute, RandomRotation90

from tasks.physics.augmentation import Augmentation, Turn, flip, permute, roll, rotations, turned, turns
from tasks.physics.schema import Variable
from tasks.physics.window_index import Draw, Request
from tasks.physics.windows import WellWindows
from tests.tasks.physics.test_windows import assert_same
from tests.tasks.physics.well_files import field, write_random

SIZES = {2: (8, 8), 3: (6, 6, 6)}


def write(path: Path, sizes: tuple[int, ...], **options: Any) -> Path:
    rng = np.random.default_rng(0)
    same: dict[str, Any] = {"sizes": sizes, "trajectories": 3, "steps": 4}
    fields = [
        field("p", 0, rng, **same),
        field("u", 1, rng, **same),
        field("S", 2, rng, **same),
        field("g", 1, rng, time_varying=False, **same),
    ]
    write_random(path, fields=fields, **same, **options)
    return path


@pytest.fixture(params=SIZES)
def windows(request: pytest.FixtureRequest, tmp_path: Path) -> WellWindows:
    return WellWindows([write(tmp_path / "a.hdf5", SIZES[request.param])], Request(2, 1))


def derivative(values: torch.Tensor, axis: int, dimensions: int) -> torch.Tensor:
    """Differentiate along an axis of space of a periodic box, by FFT."""
    size = values.shape[-dimensions:][axis]
    k = torch.fft.fftfreq(size, dtype=torch.float64) * 2 * torch.pi * size
    k[size // 2] = 0  # the highest wave has no derivative that is real
    shape = [1] * dimensions
    shape[axis] = size
    space = tuple(range(-dimensions, 0))
    return torch.fft.ifftn(torch.fft.fftn(values.double(), dim=space) * 1j * k.view(shape), dim=space).real


def gradient(p: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(..., *S) -> (..., D, *S)."""
    return torch.stack([derivative(p, axis, dimensions) for axis in range(dimensions)], -dimensions - 1)


def divergence(u: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(..., D, *S) -> (..., *S)."""
    return sum(derivative(u.select(-dimensions - 1, axis), axis, dimensions) for axis in range(dimensions))  # type: ignore[return-value]


def parts(batch: dict[str, torch.Tensor], D: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return scalar (B, T, *S), vector (B, T, D, *S) and tensor (B, T, D, D, *S) of the input."""
    x = batch["input"]
    return x[:, :, 0], x[:, :, 1 : 1 + D], x[:, :, 1 + D :].unflatten(2, (D, D))


def test_gradient_and_divergence_commute_with_every_turn(windows: WellWindows) -> None:
    D = len(windows.resolution)
    batch = windows.batch([0, 4])
    vector = Variable("v", "", 1, (), "<f4", True, True, ("full",) * D)

    class OfVector:
        fields, constants, seed = (vector,), (), 0

    class OfScalar:
        fields, constants, seed = (Variable("s", "", 0, (), "<f4", True, True, ("full",) * D),), (), 0

    def as_batch(values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input": values, "boundary": batch["boundary"]}

    p, u, S = parts(batch, D)
    for turn in turns(D):
        p_turned, u_turned, S_turned = parts(turned(batch, turn, windows), D)
        expected = turned(as_batch(gradient(p, D)), turn, OfVector())["input"]
        assert torch.allclose(gradient(p_turned, D), expected, atol=1e-9)
        expected = turned(as_batch(divergence(u, D)[:, :, None]), turn, OfScalar())["input"][:, :, 0]
        assert torch.allclose(divergence(u_turned, D), expected, atol=1e-9)
        # of a tensor: its rows are vectors, their divergences are one
        expected = turned(as_batch(divergence(S, D)), turn, OfVector())["input"]
        assert torch.allclose(divergence(S_turned, D), expected, atol=1e-9)
        # contractions are scalars
        expected = turned(as_batch(torch.einsum("bti...,btij...,btj...->bt...", u, S, u)[:, :, None]), turn, OfScalar())
        contracted = torch.einsum("bti...,btij...,btj...->bt...", u_turned, S_turned, u_turned)
        assert torch.allclose(contracted, expected["input"][:, :, 0], rtol=1e-4, atol=1e-4)


def test_a_solenoidal_field_stays_solenoidal(windows: WellWindows) -> None:
    D = len(windows.resolution)
    batch = windows.batch([0])
    psi, other = batch["input"][:, :, 0].double(), batch["input"][:, :, 1].double()
    curl = [derivative(psi, 1, D), -derivative(psi, 0, D)] + [torch.zeros_like(psi)] * (D - 2)
    if D == 3:
        curl[2] = derivative(other, 1, D)
        curl[1] = curl[1] - derivative(other, 2, D)
    batch["input"] = batch["input"].double()
    batch["input"][:, :, 1 : 1 + D] = torch.stack(curl, 2)
    before = batch["input"][:, :, 1 : 1 + D].abs().max()
    assert divergence(parts(batch, D)[1], D).abs().max() < 1e-9 * before
    for turn in turns(D):
        assert divergence(parts(turned(batch, turn, windows), D)[1], D).abs().max() < 1e-9 * before


def test_a_roll_moves_all_fields_alike_and_commutes_with_the_gradient(windows: WellWindows) -> None:
    D = len(windows.resolution)
    batch = windows.batch([1, 2])
    rolled = roll(batch, {0: 3, 1: 5})
    for name, dims in (("input", (3, 4)), ("target", (3, 4)), ("constants", (2, 3))):
        assert torch.equal(rolled[name], torch.roll(batch[name], (3, 5), dims))
    p = parts(batch, D)[0]
    expected = torch.roll(gradient(p, D), (3, 5), (3, 4))
    assert torch.allclose(gradient(parts(rolled, D)[0], D), expected, atol=1e-9)


def test_turns_are_those_of_the_square_and_the_cube() -> None:
    def matrix(turn: Turn) -> np.ndarray:
        signs = np.where(turn.flipped, -1, 1)
        return np.eye(len(turn.order), dtype=int)[list(turn.order)] * signs[:, None]

    for D, many in ((2, 8), (3, 48)):
        found = [matrix(turn) for turn in turns(D)]
        assert len({one.tobytes() for one in found}) == many
        proper = {matrix(turn).tobytes() for turn in rotations(D)}
        assert proper == {one.tobytes() for one in found if round(np.linalg.det(one)) == 1}
        assert len(proper) == many // 2
    quarter = Turn((1, 0), (False, True))
    image = torch.arange(12.0).reshape(1, 1, 1, 3, 4)
    square = {"input": image[..., :3], "boundary": torch.ones(1, 2, 2)}

    class Plain:
        fields, constants, seed = (Variable("s", "", 0, (), "<f4", True, True, ("full",) * 2),), (), 0

    assert np.array_equal(turned(square, quarter, Plain())["input"][0, 0, 0], np.rot90(square["input"][0, 0, 0], -1))


def test_the_wells_own_augmentations_do_the_same(windows: WellWindows) -> None:
    D = len(windows.resolution)
    batch = windows.batch([3])
    codes = torch.arange(2.0 * D).reshape(D, 2)
    batch["boundary"] = codes[None]

    def in_their_form() -> dict[str, Any]:
        p, u, S = parts(batch, D)
        u_last, S_last = u[0].movedim(1, -1), S[0].movedim((1, 2), (-2, -1))
        variable = {0: {"p": p[0]}, 1: {"u": u_last}, 2: {"S": S_last}}
        constant = {0: {}, 1: {"g": batch["constants"][0].movedim(0, -1)}, 2: {}}
        return {"variable_fields": variable, "constant_fields": constant, "boundary_conditions": codes}

    for turn in turns(D):
        ours = turned(batch, turn, windows)
        data = RandomRotation90.rotate90(in_their_form(), torch.tensor(turn.order), torch.tensor(turn.flipped).long())
        p, u, S = parts(ours, D)
        assert torch.equal(p[0], data["variable_fields"][0]["p"])
        assert torch.equal(u[0].movedim(1, -1), data["variable_fields"][1]["u"])
        assert torch.equal(S[0].movedim((1, 2), (-2, -1)), data["variable_fields"][2]["S"])
        assert torch.equal(ours["constants"][0].movedim(0, -1), data["constant_fields"][1]["g"])
        assert torch.equal(ours["boundary"][0], data["boundary_conditions"])
    theirs = RandomAxisFlip.flip(in_their_form(), torch.tensor([True] + [False] * (D - 1)))
    assert torch.equal(parts(flip(batch, [0], windows), D)[1][0].movedim(1, -1), theirs["variable_fields"][1]["u"])
    order = [*list(range(1, D)), 0]
    theirs = RandomAxisPermute.permute(in_their_form(), torch.tensor(order))
    assert torch.equal(parts(permute(batch, order, windows), D)[1][0].movedim(1, -1), theirs["variable_fields"][1]["u"])


def test_the_mask_goes_along_without_a_sign(windows: WellWindows) -> None:
    D = len(windows.resolution)
    batch = windows.batch([0])
    batch["mask"] = batch["target"] > 0
    marked = torch.where(batch["mask"], 1.0, float("nan"))
    for turn in turns(D):
        expected = ~torch.isnan(turned({**batch, "target": marked}, turn, windows)["target"])
        assert torch.equal(turned(batch, turn, windows)["mask"], expected)


# --- drawn for each sample --------------------------------------------------------------------------------------------


def augmented(path: Path, **options: bool) -> Callable[[int, int], dict[str, torch.Tensor]]:
    windows = WellWindows([path], Request(2, 1), augmentation=Augmentation(**options), seed=2)
    return lambda epoch, index: {name: values[0] for name, values in windows.batch([Draw(epoch, index)]).items()}


def test_each_sample_is_one_of_the_symmetries_asked_for_and_all_are_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", (6, 6))
    plain = WellWindows([path], Request(2, 1))
    batch = plain.batch([1])
    same = (0, 1)
    wanted = {
        "flip": [turn for turn in turns(2) if turn.order == same],
        "permute": [turn for turn in turns(2) if not any(turn.flipped)],
        "rotate": list(rotations(2)),
    }
    for name, symmetries in wanted.items():
        images = [turned(batch, turn, plain) for turn in symmetries]
        draw = augmented(path, **{name: True})
        found = set()
        for epoch in range(30):
            sample = draw(epoch, 1)
            matching = [
                number for number, image in enumerate(images) if torch.equal(image["input"][0], sample["input"])
            ]
            assert len(matching) == 1
            image = images[matching[0]]
            assert_same(sample, {key: values[0] for key, values in image.items()})
            found.add(matching[0])
        assert found == set(range(len(symmetries)))


def test_rolls_reach_all_shifts_of_periodic_axes_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", (6, 5), kinds=["PERIODIC", "WALL"])
    plain = WellWindows([path], Request(2, 1))[0]
    draw = augmented(path, roll=True)
    shifts = set()
    for epoch in range(40):
        sample = draw(epoch, 0)
        matching = [n for n in range(6) if torch.equal(sample["input"], torch.roll(plain["input"], n, 2))]
        assert len(matching) == 1
        assert torch.equal(sample["target"], torch.roll(plain["target"], matching[0], 2))
        shifts.add(matching[0])
    assert shifts == set(range(6))


def test_samples_of_a_batch_are_changed_one_by_one_by_epoch_and_window(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", (6, 6))
    windows = WellWindows([path], Request(2, 1), augmentation=Augmentation(flip=True, permute=True, roll=True), seed=2)
    draws = [Draw(epoch, index) for epoch, index in itertools.product(range(2), range(6))]
    batch = windows.batch(draws)
    for row, draw in enumerate(draws):
        alone = windows.batch([draw])
        assert_same({name: values[row : row + 1] for name, values in batch.items()}, alone)
    assert not torch.equal(batch["input"][:6], batch["input"][6:])


def test_axes_of_unlike_length_spacing_or_kind_of_grid_are_left_alone(tmp_path: Path) -> None:
    long = WellWindows([write(tmp_path / "long.hdf5", (8, 6))], Request(2, 1), augmentation=Augmentation(permute=True))
    assert_same(long[0], WellWindows(long.files, Request(2, 1))[0])
    # turns by a half keep the shape
    half = augmented(tmp_path / "long.hdf5", rotate=True)
    plain = WellWindows(long.files, Request(2, 1))[0]
    images = {half(epoch, 0)["input"].numpy().tobytes() for epoch in range(10)}
    signs = torch.tensor([1, -1, -1, 1, 1, 1, 1.0]).view(-1, 1, 1)
    assert images == {plain["input"].numpy().tobytes(), (plain["input"].flip((2, 3)) * signs).numpy().tobytes()}
    uneven = write(tmp_path / "uneven.hdf5", (6, 6), nonuniform=["y"])  # the same from both ends
    plain = WellWindows([uneven], Request(2, 1))[0]
    draw = augmented(uneven, permute=True, roll=True)
    for epoch in range(10):
        rolled = [torch.equal(draw(epoch, 0)["input"], torch.roll(plain["input"], n, 2)) for n in range(6)]
        assert sum(rolled) == 1


def test_a_grid_that_is_not_cartesian_is_refused(tmp_path: Path) -> None:
    import h5py

    path = write(tmp_path / "a.hdf5", (6, 6))
    with h5py.File(path, "r+") as file:
        file.attrs["grid_type"] = "spherical"
    with pytest.raises(ValueError, match=r"a\.hdf5: grid_type is spherical"):
        WellWindows([path], augmentation=Augmentation(flip=True))


def test_an_axis_that_is_not_periodic_is_not_rolled(tmp_path: Path) -> None:
    windows = WellWindows([write(tmp_path / "a.hdf5", (6, 5), kinds=["PERIODIC", "WALL"])])
    with pytest.raises(ValueError, match="axis 1 is not periodic"):
        roll(windows.batch([0]), {0: 1, 1: 1})
