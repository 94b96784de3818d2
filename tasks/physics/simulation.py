"""What the simulated data sets have in common: from the states of a solver to one file in The Well's layout."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.physics.etdrk4 import Coefficients, Grid, Nonlinear, trajectory
from tasks.physics.schema import NewField, periodic, write_file
from tasks.tables import Reject

BATCH = 8  # trajectories that are solved side by side; what is in a file does not depend on the machine

Progress = Callable[[float], None]  # share that is done


@dataclass(frozen=True)
class Clock:
    """When states are stored: after `warm_up` steps of the solver, then `between` steps apart."""

    step: float  # in the unit of time of the equations
    between: int
    frames: int
    warm_up: int = 0

    def times(self) -> np.ndarray:
        """Return the times of the stored frames, counted from the initial state."""
        return (self.warm_up + self.between * np.arange(self.frames)) * self.step


@dataclass(frozen=True)
class Problem:
    """What is solved, and how a state becomes fields: `fields_of` gives (B, *S) for scalars, (B, *S, D) for vectors."""

    grid: Grid
    origin: tuple[float, ...]  # coordinate of the first point of each axis
    coefficients: Coefficients
    nonlinear: Nonlinear
    orders: Mapping[str, int]  # of the tensor, by field, in the order in which The Well lists them
    fields_of: Callable[[Tensor], dict[str, Tensor]]


def simulate_file(
    path: Path,
    problem: Problem,
    initial: Callable[[np.random.Generator], Tensor],
    clock: Clock,
    rngs: Sequence[np.random.Generator],
    *,
    dataset_name: str,
    parameters: Mapping[str, float],
    progress: Progress,
) -> dict[str, Any]:
    """Solve a trajectory for each generator, write them as one file and return what it holds (`summary`).

    `initial` returns a state (CK). Memory holds one batch of trajectories: fields are gathered on disk, beside `path`.
    Raises Reject `blew_up` where values are not finite.
    """
    grid = problem.grid
    values = {
        name: np.memmap(
            path.with_name(f"{name}.values"),
            np.float32,
            "w+",
            shape=(len(rngs), clock.frames, *grid.sizes, *[len(grid.sizes)] * order),
        )
        for name, order in problem.orders.items()
    }
    for first in range(0, len(rngs), BATCH):
        rows = slice(first, first + BATCH)
        state_BCK = torch.stack([initial(rng) for rng in rngs[rows]])
        for frame, fields in enumerate(_frames(problem, state_BCK, clock)):
            for name, field in fields.items():
                values[name][rows, frame] = field.numpy()
            if not all(np.isfinite(values[name][rows, frame]).all() for name in values):
                raise Reject("blew_up", f"not finite at t={clock.times()[frame]:g}: a smaller solver step is needed")
            progress((first + (frame + 1) / clock.frames * len(state_BCK)) / len(rngs))
    dimensions = {
        name: points.ravel().numpy() for name, points in zip("xyz", grid.coordinates(problem.origin), strict=False)
    }
    write_file(
        path,
        dataset_name=dataset_name,
        dimensions=dimensions,
        time=clock.times(),
        parameters=dict(parameters),
        fields=[NewField(name, problem.orders[name], of) for name, of in values.items()],
        boundaries=periodic(dimensions),
    )
    found = summary(values, len(grid.sizes))
    for name in values:
        path.with_name(f"{name}.values").unlink()
    return found


def _frames(problem: Problem, state_BCK: Tensor, clock: Clock) -> Iterator[dict[str, Tensor]]:
    states = trajectory(
        state_BCK,
        problem.nonlinear,
        problem.coefficients,
        steps_between=clock.between,
        frames=clock.frames,
        warm_up=clock.warm_up,
    )
    return map(problem.fields_of, states)


def summary(values: Mapping[str, np.ndarray], dims: int) -> dict[str, Any]:
    """Return of each field (B, T, *S, *D) least, greatest and mean value and of the whole how many trajectories died.

    A dead trajectory is constant in space at its end. `persistence_vrmse` is the VRMSE (arXiv 2412.00568, appendix) of
    taking each frame for the next one, averaged over trajectories, frames and components; frames without any structure
    are left out.
    """
    fields = {
        name: {"min": float(of.min()), "max": float(of.max()), "mean": float(of.mean(dtype=np.float64))}
        for name, of in values.items()
    }
    last = [np.asarray(of[:, -1], np.float64) for of in values.values()]
    space = tuple(range(1, 1 + dims))
    flat = [(of.std(space) <= DEAD * (1 + np.abs(of.mean(space)))).reshape(len(of), -1).all(1) for of in last]
    errors = [error for of in values.values() for row in of for error in _persistence(row, dims)]
    return {
        "trajectories": len(last[0]),
        "steps": next(iter(values.values())).shape[1],
        "dead": int(np.all(flat, axis=0).sum()),
        "fields": fields,
        "persistence_vrmse": float(np.mean(errors)) if errors else 0.0,
    }


DEAD = 1e-4  # standard deviation over space, as a share of 1 + |mean|


def _persistence(row: np.ndarray, dims: int) -> Iterator[float]:
    """Yield the errors of one trajectory (T, *S, *D), for each component and pair of frames."""
    space = tuple(range(dims))
    for before, after in itertools.pairwise(row):
        variance = np.var(after, axis=space, ddof=1, dtype=np.float64)
        error = np.mean((after.astype(np.float64) - before) ** 2, axis=space)
        alive = variance > DEAD**2
        yield from np.sqrt(error[alive] / variance[alive]).ravel().tolist()
