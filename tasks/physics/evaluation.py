"""How good a surrogate is, next to persistence and the mean: one step ahead, and rolled out (arXiv 2412.00568, 4).

Shapes: B batch, T time, C channels, K constant channels, S space. Frames are in physical units, as the metrics are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tasks.physics.metrics import BANDS, WINDOWS, Means, Region, frame_scores
from tasks.physics.quadrature import is_uniform, point_weights
from tasks.physics.rollout import BASELINES, Scaling, Step, rollout
from tasks.physics.surrogate import Surrogate

SURROGATE = "surrogate"
_POINTWISE = ("vrmse", "nrmse", "pearson_r", "linfinity")
ROLLOUTS = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("model", "trajectory", "channel")]
    + [pa.field("step", pa.int32(), nullable=False)]  # 0: the first after the inputs
    + [pa.field(name, pa.float64(), nullable=False) for name in _POINTWISE]
    + [pa.field("vrmse_area", pa.float64())]  # null on grids where all points weigh the same
    + [pa.field(f"spectral_nmse_bin_{band}", pa.float64()) for band in range(BANDS)]  # null on all other grids
    + [pa.field("lost", pa.bool_(), nullable=False)]  # the rollout had blown up
)


@dataclass(frozen=True)
class Frames:
    """Some windows: frames that are known, and those that follow."""

    inputs_BTCS: Tensor
    targets_BTCS: Tensor
    trajectories: Sequence[str]  # whose windows they are
    constants_BKS: Tensor | None = None

    def by_mask(self) -> "list[tuple[Frames, Tensor | None]]":
        """Return the windows in groups that share a mask, each with it.

        A mask (*S) says which points count: those that are a number in all frames of a window; None where all are.
        """
        known_BS = torch.isfinite(torch.cat([self.inputs_BTCS, self.targets_BTCS], dim=1)).all(2).all(1)
        if known_BS.all():
            return [(self, None)]
        masks_GS, group_B = torch.unique(known_BS, dim=0, return_inverse=True)
        rows = [(group_B == group).nonzero()[:, 0] for group in range(len(masks_GS))]
        groups = [(self._of(row_B), mask_S) for row_B, mask_S in zip(rows, masks_GS, strict=True)]
        return [(frames, None if mask_S.all() else mask_S) for frames, mask_S in groups]

    def _of(self, row_B: Tensor) -> "Frames":
        constants = None if self.constants_BKS is None else self.constants_BKS[row_B]
        names = [self.trajectories[int(row)] for row in row_B]
        return Frames(self.inputs_BTCS[row_B], self.targets_BTCS[row_B], names, constants)


@dataclass(frozen=True)
class Space:
    """The grid: how much each point counts, None where all count the same."""

    dims: int
    weights_S: Tensor | None


def space_of(dimensions: Sequence[str], coordinates: Sequence[np.ndarray], grid_type: str) -> Space:
    """Return the grid of these axes. Raises ValueError as `quadrature.point_weights`."""
    if is_uniform(dimensions, coordinates, grid_type):
        return Space(len(dimensions), None)
    return Space(len(dimensions), torch.from_numpy(point_weights(dimensions, coordinates, grid_type)))


StepFor = Callable[[Frames, Tensor | None], Step]  # of these windows, with this mask (*S)


def step_for(surrogate: Surrogate) -> StepFor:
    """Return how a surrogate steps through given windows."""
    return lambda frames, mask_S: surrogate.step(frames.constants_BKS, mask_S)


def with_baselines(surrogate: StepFor) -> dict[str, StepFor]:
    """Return the surrogate and the baselines by name."""
    return {SURROGATE: surrogate} | {name: _always(step) for name, step in BASELINES.items()}


def _always(step: Step) -> StepFor:
    return lambda frames, mask_S: step


@dataclass
class Scores:
    """Figures of one model over some windows."""

    means: Means
    windows: int = 0
    lost: int = 0  # windows whose prediction blew up
    rows: list[dict[str, Any]] = field(default_factory=list)  # of ROLLOUTS without `model`


def score(
    models: Mapping[str, StepFor],
    batches: Iterable[Frames],
    *,
    channels: Sequence[str],
    scaling: Scaling,
    space: Space | None,
    keep_rows: bool = False,
) -> dict[str, Scores]:
    """Predict as many steps as each batch has targets, by every model, and score them against the targets.

    Figures: vrmse, nrmse, pearson_r, linfinity; on even grids spectral_mse_bin_0 to spectral_nmse_bin_2, on others
    vrmse_area, which weighs points by their share of space; vrmse alone where `space` is None. Points that are no
    number in a window do not count. With `keep_rows` each window's figures are kept too.
    """
    found = {name: Scores(Means(channels)) for name in models}
    for frames, mask_S in (group for batch in batches for group in batch.by_mask()):
        for name, step_for in models.items():
            step = step_for(frames, mask_S)
            steps = frames.targets_BTCS.shape[1]
            predicted = rollout(step, frames.inputs_BTCS, steps, scaling, mask_S=mask_S)
            figures = frame_figures(predicted.frames_BTCS, frames.targets_BTCS, mask_S, space)
            scores = found[name]
            scores.means.add(figures)
            scores.windows += len(predicted.lost_at_B)
            scores.lost += predicted.lost
            if keep_rows:
                scores.rows += _rows(figures, frames.trajectories, channels, predicted.lost_at_B.tolist())
    return found


def frame_figures(x_BTCS: Tensor, y_BTCS: Tensor, mask_S: Tensor | None, space: Space | None) -> dict[str, Tensor]:
    """Return the figures of predicted frames against true ones, each (B, T, C), worked out in float64.

    Physical units may be such that squares are no numbers in float32.
    """
    x_BTCS, y_BTCS, plain = x_BTCS.double(), y_BTCS.double(), Region(mask_S=mask_S)
    if space is None:
        return frame_scores(x_BTCS, y_BTCS, x_BTCS.ndim - 3, ["vrmse"], plain)
    if space.weights_S is None:
        return frame_scores(x_BTCS, y_BTCS, space.dims, [*_POINTWISE, "spectral"], plain)
    weighted = frame_scores(x_BTCS, y_BTCS, space.dims, ["vrmse"], Region(space.weights_S, mask_S))
    return frame_scores(x_BTCS, y_BTCS, space.dims, _POINTWISE, plain) | {"vrmse_area": weighted["vrmse"]}


def _rows(
    figures: Mapping[str, Tensor], trajectories: Sequence[str], channels: Sequence[str], lost_at: Sequence[int]
) -> list[dict[str, Any]]:
    values = {name: figure.double().tolist() for name, figure in figures.items()}
    wanted = [name for name in ROLLOUTS.names if name not in ("model", "trajectory", "channel", "step", "lost")]
    steps = next(iter(figures.values())).shape[1]
    return [
        {"trajectory": trajectory, "channel": channel, "step": step, "lost": step >= lost_at[row]}
        | {name: values[name][row][step][column] if name in values else None for name in wanted}
        for row, trajectory in enumerate(trajectories)
        for step in range(steps)
        for column, channel in enumerate(channels)
    ]


def rollout_rows(rollouts: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Return all rows of ROLLOUTS that were kept, model by model."""
    return [{"model": name, **row} for name, scores in rollouts.items() for row in scores.rows]


def figures(one_step: Mapping[str, Scores], rollouts: Mapping[str, Scores]) -> dict[str, dict[str, float]]:
    """Return a split's figures as {group: {name: number}}, means over batch, time, then channels.

    Groups: vrmse, nrmse, pearson_r, linfinity and vrmse_area with one_step, 6_12 and 13_30 (`metrics.WINDOWS`);
    vrmse_CHANNEL with the same; spectral with nmse_bin_0 to 2 one step ahead and nmse_bin_0_6_12 and so on; the
    baselines with vrmse_one_step and so on; rollout with counts. A window that rollouts do not reach is left out.
    """
    surrogate = {"one_step": (one_step[SURROGATE].means, slice(0, 1))}
    surrogate |= {name: (rollouts[SURROGATE].means, window) for name, window in WINDOWS.items()}
    found: dict[str, dict[str, float]] = {}

    def put(group: str, name: str, value: float | None) -> None:
        if value is not None:
            found.setdefault(group, {})[name] = value

    for when, (means, window) in surrogate.items():
        for metric in (*_POINTWISE, "vrmse_area"):
            if metric in means.names:
                put(metric, when, means.overall(metric, window))
        for channel, value in (means.by_channel("vrmse", window) or {}).items():
            put(f"vrmse_{channel}", when, value)
        for band in range(BANDS):
            if f"spectral_nmse_bin_{band}" in means.names:
                after = "" if when == "one_step" else f"_{when}"
                put("spectral", f"nmse_bin_{band}{after}", means.overall(f"spectral_nmse_bin_{band}", window))
    for name in BASELINES:
        put(name, "vrmse_one_step", one_step[name].means.overall("vrmse", slice(0, 1)))
        for when, window in WINDOWS.items():
            put(name, f"vrmse_{when}", rollouts[name].means.overall("vrmse", window))
    found["rollout"] = {
        "trajectories": rollouts[SURROGATE].windows,
        "lost": rollouts[SURROGATE].lost,
        "steps": len(rollouts[SURROGATE].means.by_step("vrmse")),
        "one_step_windows": one_step[SURROGATE].windows,
        "one_step_lost": one_step[SURROGATE].lost,
    }
    return found


def curves(rollouts: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Return a row for each step after the inputs: means over trajectories, then channels, for `dvc plots`.

    Columns: step (0: the first), vrmse, nrmse, pearson_r of the surrogate, and vrmse_BASELINE.
    """
    by_step = {name: scores.means.by_step("vrmse").mean(1) for name, scores in rollouts.items()}
    more = {name: rollouts[SURROGATE].means.by_step(name).mean(1) for name in ("nrmse", "pearson_r")}
    return [
        {"step": step, "vrmse": by_step[SURROGATE][step]}
        | {f"vrmse_{name}": by_step[name][step] for name in BASELINES}
        | {name: values[step] for name, values in more.items()}
        for step in range(len(by_step[SURROGATE]))
    ]
