"""The four surrogates of The Well (arXiv 2412.00568, section 4) in two and three dimensions, by name: `build`.

FNO and TFNO are neuraloperator's; U-Net and CNextU-Net are in unets.py. A network maps channels-first float32 tensors
(B, C_in, *S) to (B, C_out, *S); what the channels are (past frames, constants) is no matter of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from tasks.physics.unets import CNextUNet, UNet
from tasks.strict import StrictModel


class FnoConfig(StrictModel):
    """Fourier neural operator (arXiv 2010.08895)."""

    modes: int = Field(ge=2, description="kept along each axis, of both signs together; paper 16")
    width: int = Field(ge=1, description="channels inside; paper 128")
    layers: int = Field(ge=1, description="Fourier blocks; paper 4")
    discard_blocks: bool = Field(False, description="the published paper's FNO and TFNO: no block acts")


class TfnoConfig(FnoConfig):
    """FNO with Tucker-factorised spectral weights (arXiv 2310.00120)."""

    rank: float = Field(gt=0, le=1, description="share of the full weights' size that the factors have; paper 1")


class UnetConfig(StrictModel):
    """PDEBench's U-Net."""

    width: int = Field(ge=1, description="channels at full resolution, twice as many at each level down; paper 48")
    padding: Literal["zeros", "boundary"] = Field(description="boundary: periodic axes are padded so; paper zeros")


class CNextUnetConfig(UnetConfig):
    """U-Net of ConvNeXt blocks (arXiv 2201.03545)."""

    width: int = Field(ge=1, description="channels at full resolution, twice as many at each stage down; paper 42")
    blocks: int = Field(ge=1, description="in each stage; paper 2")
    neck_blocks: int = Field(ge=1, description="at the lowest resolution; paper 1")


CONFIGS: dict[str, type[StrictModel]] = {
    "fno": FnoConfig,
    "tfno": TfnoConfig,
    "unet": UnetConfig,
    "cnextunet": CNextUnetConfig,
}

PAPER: dict[str, dict[str, Any]] = {
    "fno": {"modes": 16, "width": 128, "layers": 4},
    "tfno": {"modes": 16, "width": 128, "layers": 4, "rank": 1.0},
    "unet": {"width": 48, "padding": "zeros"},
    "cnextunet": {"width": 42, "blocks": 2, "neck_blocks": 1, "padding": "zeros"},
}


def build(
    name: str,
    config: Mapping[str, Any] | StrictModel,
    channels_in: int,
    channels_out: int,
    dimensions: int,
    resolution: Sequence[int],
    *,
    periodic: Sequence[bool] = (),
    seed: int = 0,
) -> nn.Module:
    """Return a network of float32 that maps (B, channels_in, *resolution) to (B, channels_out, *resolution).

    `config` has the keys of the name's model in CONFIGS. `periodic` says for each axis whether its boundary is; only
    networks whose config has `padding: boundary` use it (by default, as in the paper, convolutions see zeros beyond
    every boundary; Fourier blocks take every axis as periodic). Weights are drawn from `seed` alone, and no other
    random state is touched. Raises ValueError for an unknown name, a config that does not fit, and a resolution that
    the network cannot take, naming the axis and what would do.
    """
    chosen: Any = checked_config(name, config)
    if dimensions not in (2, 3) or len(resolution) != dimensions:
        raise ValueError(
            f"{name}: resolution {tuple(resolution)} in {dimensions} dimensions; there are 2 or 3, of one size each"
        )
    around = tuple(periodic) or (False,) * dimensions
    if len(around) != dimensions:
        raise ValueError(f"{name}: periodic says {len(around)} axes of {dimensions}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "unet":
            wraps = around if chosen.padding == "boundary" else (False,) * dimensions
            return UNet(channels_in, channels_out, resolution, chosen.width, wraps)
        if name == "cnextunet":
            wraps = around if chosen.padding == "boundary" else (False,) * dimensions
            return CNextUNet(
                channels_in, channels_out, resolution, chosen.width, wraps, chosen.blocks, chosen.neck_blocks
            )
        _check_modes(name, chosen.modes, resolution)
        rank = chosen.rank if name == "tfno" else None
        return FourierOperator(channels_in, channels_out, dimensions, chosen, rank=rank)


def checked_config(name: str, config: Mapping[str, Any] | StrictModel) -> StrictModel:
    """Return `config` as the model of network `name`. Raises ValueError naming network, key and value."""
    if name not in CONFIGS:
        raise ValueError(f"no surrogate is called {name!r}: one of {', '.join(CONFIGS)}")
    if isinstance(config, CONFIGS[name]):
        return config
    try:
        return CONFIGS[name].model_validate(config if isinstance(config, Mapping) else config.model_dump())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}, got {p['input']!r}" for p in error.errors())
        raise ValueError(f"{name}: {problems}") from None


def parameter_count(network: nn.Module) -> int:
    """Return how many real numbers are learnt; a complex one is two."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())


class FourierOperator(nn.Module):
    """neuraloperator's FNO or TFNO as the paper set them: no grid among the inputs, no channel MLP after a block.

    Its parts, put together here: so the state is tensors alone (neuraloperator adds its arguments to it), and it is
    plain that each block acts on what the one before gave. `discard_blocks` leaves them out, which is what the
    published FNO and TFNO computed (PolymathicAI/the_well, pull request 64): a function of each point alone.
    Under autocast the blocks stay float32: Fourier transforms take no bfloat16.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        dimensions: int,
        config: FnoConfig,
        *,
        rank: float | None = None,
    ) -> None:
        super().__init__()
        from neuralop.models import FNO, TFNO

        whole = (FNO if rank is None else TFNO)(
            (config.modes,) * dimensions,
            in_channels=channels_in,
            out_channels=channels_out,
            hidden_channels=config.width,
            n_layers=config.layers,
            positional_embedding=None,
            use_channel_mlp=False,
            **({} if rank is None else {"rank": rank}),
        )
        self.layers = 0 if config.discard_blocks else config.layers
        self.lifting, self.projection = whole.lifting, whole.projection
        self.blocks = None if config.discard_blocks else whole.fno_blocks

    def forward(self, x_BCS: Tensor) -> Tensor:
        _check_even(x_BCS.shape[2:])
        x_BCS = self.lifting(x_BCS)
        if self.blocks is not None:
            with torch.autocast(x_BCS.device.type, enabled=False):
                x_BCS = x_BCS.float()
                for layer in range(self.layers):
                    x_BCS = self.blocks(x_BCS, layer)
        return self.projection(x_BCS)


def _check_modes(name: str, modes: int, resolution: Sequence[int]) -> None:
    if modes > min(resolution):
        axis = list(resolution).index(min(resolution))
        raise ValueError(
            f"{name}: modes {modes}, but axis {axis} has {min(resolution)} points: take at most as many, or weights "
            f"would never be used"
        )
    _check_even(resolution)


def _check_even(resolution: Sequence[int]) -> None:
    """Refuse sizes on which neuraloperator 2.0 puts modes back in the wrong place: odd ones, but on the last axis."""
    for axis, size in enumerate(resolution[:-1]):
        if size % 2:
            raise ValueError(
                f"axis {axis} has {size} points: Fourier blocks take even sizes there; resample or crop it to "
                f"{size - 1}"
            )
