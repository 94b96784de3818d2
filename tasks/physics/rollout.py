"""Autoregressive rollout: a model of one step, fed with what it predicted itself (arXiv 2412.00568, section 4).

Shapes: B trajectories side by side, T time, C channels, K constant channels, S space. Frames are in physical units;
what a network sees and gives is normalised here and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# From where on a prediction counts as blown up, in deviations of the training set. No field of The Well is that far
# from its mean, and squares of it are still numbers in float32.
LIMIT = 1e4

Step = Callable[[Tensor], Tensor]  # past frames (B, T, C, *S), the newest last -> the next (B, C, *S)


@dataclass(frozen=True)
class Scaling:
    """How channels are normalised: (x - shift) / scale, each (C,); deltas between frames have their own."""

    shift_C: Tensor
    scale_C: Tensor
    delta_shift_C: Tensor | None = None
    delta_scale_C: Tensor | None = None


@dataclass(frozen=True)
class Rollout:
    """What a rollout gave. Trajectories that blew up are bounded, and told apart by `lost_at_B`."""

    frames_BTCS: Tensor  # physical units; finite, but for NaN where a mask leaves points out
    lost_at_B: Tensor  # int64: the first step that blew up, or the number of steps
    nonfinite_B: Tensor  # int64: how many predicted values were NaN or infinite at that step

    @property
    def lost(self) -> int:
        """How many trajectories blew up."""
        return int((self.lost_at_B < self.frames_BTCS.shape[1]).sum())


def surrogate_step(
    network: nn.Module,
    scaling: Scaling,
    *,
    constants_BKS: Tensor | None = None,
    delta: bool = False,
    mask_S: Tensor | None = None,
) -> Step:
    """Return the step of a network: its input is the frames, oldest first, channels inside, then the constants.

    `constants_BKS` are normalised already, of B trajectories or of one for all. With `delta` the network gives the
    normalised change since the newest frame, else the normalised next frame. Points where `mask_S` is False are 0 in
    the network's input, as in training. Raises ValueError for a network in training mode.
    """
    if network.training:
        raise ValueError("the network is in training mode: call eval() before a rollout")
    if delta and (scaling.delta_shift_C is None or scaling.delta_scale_C is None):
        raise ValueError("delta targets need the statistics of deltas: delta_shift_C and delta_scale_C")

    def step(past_BTCS: Tensor) -> Tensor:
        dims = past_BTCS.ndim - 3
        seen_BTCS = (past_BTCS - _over_space(scaling.shift_C, dims)) / _over_space(scaling.scale_C, dims)
        if mask_S is not None:
            seen_BTCS = torch.where(mask_S, seen_BTCS, torch.zeros_like(seen_BTCS))
        x_BCS = seen_BTCS.flatten(1, 2)
        if constants_BKS is not None:
            x_BCS = torch.cat([x_BCS, constants_BKS.expand(len(x_BCS), *constants_BKS.shape[1:])], dim=1)
        y_BCS = network(x_BCS)
        if not delta:
            return y_BCS * _over_space(scaling.scale_C, dims) + _over_space(scaling.shift_C, dims)
        assert scaling.delta_shift_C is not None
        assert scaling.delta_scale_C is not None
        change_BCS = y_BCS * _over_space(scaling.delta_scale_C, dims) + _over_space(scaling.delta_shift_C, dims)
        return past_BTCS[:, -1] + change_BCS

    return step


def persistence_step(past_BTCS: Tensor) -> Tensor:
    """Predict that nothing changes: the baseline that the paper leaves out."""
    return past_BTCS[:, -1]


def mean_step(past_BTCS: Tensor) -> Tensor:
    """Predict the newest frame's mean over space, everywhere: where means are kept, a VRMSE of about 1."""
    newest_BCS = past_BTCS[:, -1]
    space = tuple(range(2, newest_BCS.ndim))
    return newest_BCS.nanmean(space, keepdim=True).expand_as(newest_BCS)  # NaN: what a mask leaves out


BASELINES: dict[str, Step] = {"persistence": persistence_step, "mean": mean_step}


@torch.no_grad()
def rollout(
    step: Step,
    inputs_BTCS: Tensor,
    steps: int,
    scaling: Scaling,
    *,
    mask_S: Tensor | None = None,
    limit: float = LIMIT,
) -> Rollout:
    """Predict `steps` frames after the inputs (B, T, C, *S), each from the last T frames, true or predicted.

    A trajectory of which a predicted value is NaN, infinite or more than `limit` scales from the shift is lost: from
    that step on all its frames are shift + limit * scale, so that its error is a very large number and not none, and
    `lost_at_B` says so. Points where `mask_S` is False do not count and are NaN in the frames, as in true ones.
    Raises ValueError for inputs that hold NaN or infinity where no mask says so.
    """
    dims = inputs_BTCS.ndim - 3
    everywhere = torch.ones(inputs_BTCS.shape[-dims:], dtype=torch.bool, device=inputs_BTCS.device)
    counts_S = everywhere if mask_S is None else mask_S
    if not torch.isfinite(inputs_BTCS[..., counts_S]).all():
        raise ValueError("input frames hold NaN or infinity: give the mask of the points that count, or mend the data")
    shift, scale = _over_space(scaling.shift_C, dims), _over_space(scaling.scale_C, dims)
    beyond = (shift + limit * scale).to(inputs_BTCS)
    nowhere = torch.tensor(torch.nan, dtype=inputs_BTCS.dtype, device=inputs_BTCS.device)
    batch, past = len(inputs_BTCS), inputs_BTCS
    lost_at_B = torch.full((batch,), steps, dtype=torch.int64)
    nonfinite_B = torch.zeros(batch, dtype=torch.int64)
    frames = []
    for number in range(steps):
        next_BCS = step(past)
        inside = next_BCS[..., counts_S].flatten(1)
        far = (((next_BCS - shift) / scale).abs() > limit)[..., counts_S].flatten(1)
        bad_B = (~torch.isfinite(inside) | far).any(1).cpu()
        fresh_B = bad_B & (lost_at_B == steps)
        nonfinite_B[fresh_B] = (~torch.isfinite(inside)).sum(1).cpu()[fresh_B]
        lost_at_B[fresh_B] = number
        next_BCS = torch.where(_rows(lost_at_B < steps, next_BCS), beyond, next_BCS)
        next_BCS = torch.where(counts_S, next_BCS, nowhere)
        frames.append(next_BCS)
        past = torch.cat([past[:, 1:], next_BCS[:, None]], dim=1)
    return Rollout(torch.stack(frames, dim=1), lost_at_B, nonfinite_B)


def _over_space(values_C: Tensor, dims: int) -> Tensor:
    return values_C.reshape(-1, *(1,) * dims)


def _rows(flags_B: Tensor, like: Tensor) -> Tensor:
    return flags_B.to(like.device).reshape(-1, *(1,) * (like.ndim - 1))
