"""Augmentations of channels-first batches: the symmetries of a grid (arXiv 2412.00568, `the_well.data.augmentation`).

An axis may be reversed, axes may change places, a periodic axis may be rolled. Components of vectors and tensors change
with the axes: they are taken as polar, so fields that are axial want rotations only.
Shapes: B batch, T steps, C channels, S space, D dimensions.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from tasks.physics.schema import KINDS, Variable, WellFile
from tasks.stage import item_rng

if TYPE_CHECKING:
    from tasks.physics.window_index import Draw
    from tasks.physics.windows import Batch

PERIODIC = KINDS.index("PERIODIC")
FIELDS = ("input", "target", "mask")  # (B, T, C, *S)


class Windows(Protocol):
    """What an augmentation has to know of the windows."""

    fields: tuple[Variable, ...]
    constants: tuple[Variable, ...]
    seed: int


@dataclass(frozen=True)
class Turn:
    """A symmetry of the axes: new axis i is old axis `order[i]`, reversed where `flipped[i]`."""

    order: tuple[int, ...]
    flipped: tuple[bool, ...]

    @property
    def proper(self) -> bool:
        """Whether it is a rotation: no mirror image."""
        swaps = sum(a > b for a, b in itertools.combinations(self.order, 2))
        return (swaps + sum(self.flipped)) % 2 == 0

    @property
    def identity(self) -> bool:
        return self.order == tuple(range(len(self.order))) and not any(self.flipped)


def turns(dimensions: int) -> tuple[Turn, ...]:
    """Return all symmetries of a square (8) or a cube (48), the identity first."""
    return tuple(
        Turn(order, flipped)
        for order in itertools.permutations(range(dimensions))
        for flipped in itertools.product((False, True), repeat=dimensions)
    )


def rotations(dimensions: int) -> tuple[Turn, ...]:
    """Return the rotations by quarters: 4 of a square, 24 of a cube."""
    return tuple(turn for turn in turns(dimensions) if turn.proper)


def flip(batch: "Batch", axes: Sequence[int], windows: Windows) -> "Batch":
    """Return the batch with these axes of space reversed."""
    dimensions = batch["boundary"].shape[-2]
    return turned(batch, Turn(tuple(range(dimensions)), tuple(i in axes for i in range(dimensions))), windows)


def permute(batch: "Batch", order: Sequence[int], windows: Windows) -> "Batch":
    """Return the batch with axes changed: new axis i is old axis `order[i]`."""
    return turned(batch, Turn(tuple(order), (False,) * len(order)), windows)


def roll(batch: "Batch", shifts: Mapping[int, int]) -> "Batch":
    """Return the batch with axes of space rolled by some cells. Raises ValueError for one that is not periodic."""
    open_ended = [axis for axis in shifts if not bool((batch["boundary"][..., axis, :] == PERIODIC).all())]
    if open_ended:
        raise ValueError(f"axis {open_ended[0]} is not periodic at both ends: only those that are can be rolled")
    found = dict(batch)
    dimensions = batch["boundary"].shape[-2]
    for name in (*FIELDS, "constants"):
        if name in batch:
            found[name] = batch[name].roll(tuple(shifts.values()), tuple(axis - dimensions for axis in shifts))
    return found


def turned(batch: "Batch", turn: Turn, windows: Windows) -> "Batch":
    """Return the batch as it is after a turn: fields, constants, mask and boundary codes."""
    found = dict(batch)
    for name in FIELDS:
        if name in batch:
            found[name] = _turned(batch[name], turn, windows.fields, signs=name != "mask")
    if "constants" in batch:
        found["constants"] = _turned(batch["constants"], turn, windows.constants, signs=True)
    codes = batch["boundary"][..., list(turn.order), :]
    reverse = torch.tensor(turn.flipped)[:, None]
    found["boundary"] = torch.where(reverse, codes.flip(-1), codes)
    return found


def components(variables: Sequence[Variable], turn: Turn) -> tuple[list[int], list[int]]:
    """Return which old channel each new one is, and its sign: each index of a component turns with the axes."""
    dimensions = len(turn.order)
    source, signs, first = [], [], 0
    for variable in variables:
        for indices in itertools.product(range(dimensions), repeat=variable.order):
            place = 0
            for index in indices:
                place = place * dimensions + turn.order[index]
            source.append(first + place)
            signs.append(-1 if sum(turn.flipped[index] for index in indices) % 2 else 1)
        first += variable.components
    return source, signs


def _turned(values: torch.Tensor, turn: Turn, variables: Sequence[Variable], *, signs: bool) -> torch.Tensor:
    dimensions = len(turn.order)
    before = values.ndim - dimensions
    source, sign = components(variables, turn)
    if source != list(range(len(source))):
        values = values.index_select(before - 1, torch.tensor(source))
    values = values.permute(*range(before), *(before + axis for axis in turn.order))
    axes = [before + axis for axis, reverse in enumerate(turn.flipped) if reverse]
    if axes:
        values = values.flip(axes)
    if signs and -1 in sign:
        values = values * torch.tensor(sign, dtype=values.dtype).view(-1, *(1,) * dimensions)
    return values.contiguous()


@dataclass(frozen=True)
class Allowed:
    """What an augmentation may do on the grids of given files."""

    flips: list[Turn]
    permutations: list[Turn]
    rotations: list[Turn]
    even: list[bool]  # of each axis: whether its cells are alike


@dataclass(frozen=True)
class Augmentation:
    """Which symmetries the physics has; each sample gets one of them at random, by (seed, epoch, window).

    `flip`: axes are reversed, each with even odds. `permute`: axes of one length and spacing change places. `rotate`: a
    rotation by quarters, that keeps the shape of the grid. `roll`: periodic axes are rolled. An axis whose cells are
    not even is neither rolled nor exchanged, and reversed only if they are the same from both ends.
    """

    flip: bool = False
    permute: bool = False
    rotate: bool = False
    roll: bool = False

    def allowed(self, files: Sequence[WellFile]) -> Allowed:
        """Return what the grids allow. Raises ValueError for a grid that is not cartesian."""
        for file in files:
            if file.grid_type != "cartesian":
                raise ValueError(f"{file.path}: grid_type is {file.grid_type}: only cartesian grids can be augmented")
        gaps = [[np.diff(_line(file, axis)) for axis in range(len(file.dimensions))] for file in files]
        dimensions = range(len(files[0].dimensions))
        even = [all(np.allclose(file[axis], file[axis][:1], rtol=1e-3, atol=0) for file in gaps) for axis in dimensions]
        mirrored = [
            all(np.allclose(file[axis], file[axis][::-1], rtol=1e-3, atol=0) for file in gaps) for axis in dimensions
        ]

        def fits(turn: Turn) -> bool:
            for axis, old in enumerate(turn.order):
                alike = all(
                    file[axis].shape == file[old].shape and np.allclose(file[axis], file[old], rtol=1e-3, atol=0)
                    for file in gaps
                )
                if not alike or (turn.flipped[axis] and not mirrored[axis]):
                    return False
            return True

        every = [turn for turn in turns(len(dimensions)) if fits(turn)]
        same = tuple(dimensions)
        return Allowed(
            [turn for turn in every if turn.order == same] if self.flip else [every[0]],
            [turn for turn in every if not any(turn.flipped)] if self.permute else [every[0]],
            [turn for turn in every if turn.proper] if self.rotate else [every[0]],
            even,
        )

    def apply(self, batch: "Batch", windows: Windows, draws: "Sequence[Draw]", allowed: Allowed) -> None:
        """Change each sample of a batch in place, as the grids allow."""
        for row, draw in enumerate(draws):
            rng = item_rng(windows.seed, "augmentation", f"{draw.epoch}/{draw.window}")
            one = {name: values[row : row + 1] for name, values in batch.items()}
            changed = one
            for choices in (allowed.flips, allowed.permutations, allowed.rotations):
                turn = choices[int(rng.integers(len(choices)))]
                if not turn.identity:
                    changed = turned(changed, turn, windows)
            if self.roll:
                changed = _rolled(changed, rng, allowed.even)
            for name, values in changed.items():
                if values is not one[name]:
                    one[name].copy_(values)


def _rolled(one: "Batch", rng: np.random.Generator, even: Sequence[bool]) -> "Batch":
    periodic = (one["boundary"][0] == PERIODIC).all(-1)
    shape = one["input"].shape[3:]
    shifts = {
        axis: int(rng.integers(length)) for axis, length in enumerate(shape) if bool(periodic[axis]) and even[axis]
    }
    return roll(one, shifts) if shifts else one


def _line(file: WellFile, axis: int) -> np.ndarray:
    """Return the coordinates of an axis, of the first trajectory where they vary."""
    grid = file.coordinates[axis]
    return grid[0] if grid.ndim == 2 else grid
