"""A surrogate as one thing that is saved and served: a network, and the normalisation that it was trained with.

Shapes: B batch, N past frames, C channels, K constant channels, S space. A surrogate takes frames in physical units
and gives the next one; training looks at its network alone, whose input and target are normalised already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from tasks.physics.networks import build
from tasks.physics.rollout import Scaling, Step, surrogate_step

BUILDER = "tasks.physics.surrogate:from_config"


@dataclass(frozen=True)
class Design:
    """All from which a surrogate is built, plain JSON by `asdict`; weights and normalisation lie beside it."""

    network: str
    network_config: Mapping[str, Any]
    channels: Sequence[str]  # predicted, in this order: B, velocity_x
    constants: Sequence[str]  # channels that the input has besides
    frames: int  # in the input
    delta: bool  # the network gives the change since the newest frame
    dimensions: Sequence[str]
    resolution: Sequence[int]
    periodic: Sequence[bool]
    dataset: str


class Surrogate(nn.Module):
    """Maps physical frames to the next one: input (B, N * C + K, *S), oldest frame first, constants last -> (B, C, *S).

    `network` has no normalisation of its own. What is no number in the input counts as the training set's mean, which
    is what masked points are in training.
    """

    def __init__(self, design: Design, *, seed: int = 0) -> None:
        super().__init__()
        self.design = design
        fields, constants = len(design.channels), len(design.constants)
        self.network = build(
            design.network,
            design.network_config,
            design.frames * fields + constants,
            fields,
            len(design.dimensions),
            design.resolution,
            periodic=design.periodic,
            seed=seed,
        )
        for name, channels in (("field", fields), ("delta", fields), ("constant", constants)):
            self.register_buffer(f"{name}_shift", torch.zeros(channels))
            self.register_buffer(f"{name}_scale", torch.ones(channels))

    def set_scaling(self, scaling: Scaling, constant_shift_K: Tensor | None, constant_scale_K: Tensor | None) -> None:
        """Take over the training set's statistics. Raises ValueError where one has other channels, or is missing."""
        given = {
            "field_shift": scaling.shift_C,
            "field_scale": scaling.scale_C,
            "delta_shift": scaling.delta_shift_C if self.design.delta else self.get_buffer("delta_shift"),
            "delta_scale": scaling.delta_scale_C if self.design.delta else self.get_buffer("delta_scale"),
            "constant_shift": constant_shift_K if self.design.constants else self.get_buffer("constant_shift"),
            "constant_scale": constant_scale_K if self.design.constants else self.get_buffer("constant_scale"),
        }
        for name, values in given.items():
            buffer = self.get_buffer(name)
            if values is None or values.shape != buffer.shape:
                found = "missing" if values is None else f"of {len(values)} channels"
                raise ValueError(f"statistics {name} are {found}: {len(buffer)} are needed ({self.design.dataset})")
            buffer.copy_(values)

    @property
    def scaling(self) -> Scaling:
        """The normalisation of fields, and of their changes where those are predicted."""
        deltas = (self.get_buffer("delta_shift"), self.get_buffer("delta_scale")) if self.design.delta else (None, None)
        return Scaling(self.get_buffer("field_shift"), self.get_buffer("field_scale"), *deltas)

    def step(self, constants_BKS: Tensor | None = None, mask_S: Tensor | None = None) -> Step:
        """Return the step for `rollout`; `constants_BKS` are physical."""
        if constants_BKS is not None:
            constants_BKS = self._normal_constants(constants_BKS)
        return surrogate_step(
            self.network, self.scaling, constants_BKS=constants_BKS, delta=self.design.delta, mask_S=mask_S
        )

    def forward(self, x_BXS: Tensor) -> Tensor:
        fields = self.design.frames * len(self.design.channels)
        wanted = fields + len(self.design.constants)
        if x_BXS.ndim != len(self.design.dimensions) + 2 or x_BXS.shape[1] != wanted:
            frames = f"{self.design.frames} frames of {', '.join(self.design.channels)}"
            raise ValueError(
                f"input {tuple(x_BXS.shape)}: (batch, {wanted}, {', '.join(self.design.dimensions)}) is expected: "
                f"{frames}, oldest first, then {', '.join(self.design.constants) or 'nothing'}"
            )
        past_BNCS = x_BXS[:, :fields].unflatten(1, (self.design.frames, -1))
        mean_C = _along(self.get_buffer("field_shift"), past_BNCS, 2)
        past_BNCS = torch.where(torch.isnan(past_BNCS), mean_C, past_BNCS)
        return self.step(x_BXS[:, fields:] if self.design.constants else None)(past_BNCS)

    def _normal_constants(self, constants_BKS: Tensor) -> Tensor:
        shift, scale = (_along(self.get_buffer(f"constant_{name}"), constants_BKS, 1) for name in ("shift", "scale"))
        return torch.nan_to_num((constants_BKS - shift) / scale, nan=0.0, posinf=torch.inf, neginf=-torch.inf)


def saved_config(design: Design) -> dict[str, Any]:
    """Return what is written as config.json beside the weights: the design, and which function builds from it."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(design).items()}
    return {"build": BUILDER, **plain}


def from_config(config: Mapping[str, Any]) -> Surrogate:
    """Return the surrogate of a `saved_config`, weights and normalisation still to be loaded.

    Raises ValueError naming what the config lacks or has too much.
    """
    given = {name: value for name, value in config.items() if name != "build"}
    wanted = {one.name for one in fields(Design)}
    if given.keys() != wanted:
        lacks, more = sorted(wanted - given.keys()), sorted(given.keys() - wanted)
        raise ValueError(
            f"config.json is not of a surrogate: it lacks {', '.join(lacks) or 'nothing'}, has besides "
            f"{', '.join(more) or 'nothing'}: train it again"
        )
    return Surrogate(Design(**given))


def training_loss(surrogate: Surrogate, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the mean squared error of the network on a normalised batch, over all points that count.

    The batch: `input` (B, N, C, *S), `target` (B, 1, C, *S), `constants` (B, K, *S) if there are any, and `mask` of
    the target's shape, True where a point counts, if some do not.
    """
    x_BXS = batch["input"].flatten(1, 2)
    if "constants" in batch:
        x_BXS = torch.cat([x_BXS, batch["constants"]], dim=1)
    off_BCS = surrogate.network(x_BXS) - batch["target"][:, 0]
    if "mask" not in batch:
        return (off_BCS**2).mean()
    counts_BCS = batch["mask"][:, 0]
    off_BCS = torch.where(counts_BCS, off_BCS, torch.zeros_like(off_BCS))  # before the square: NaN has no gradient so
    return (off_BCS**2).sum() / counts_BCS.sum().clamp(min=1)


def points_that_count(batch: Mapping[str, Tensor]) -> int:
    """Return how many numbers `training_loss` is the mean over: a part of a batch weighs as much."""
    return int(batch["mask"][:, 0].sum()) if "mask" in batch else batch["target"][:, 0].numel()


def _along(values: Tensor, like: Tensor, axis: int) -> Tensor:
    return values.reshape(-1, *(1,) * (like.ndim - axis - 1))
