"""Two U-Nets: PDEBench's classic (arXiv 2210.07182) and one of ConvNeXt blocks (arXiv 2201.03545, 2412.00568).

Shapes: B batch, C channels, S space in two or three axes, channels first. A U-Net halves the resolution LEVELS times
and doubles its channels each time; on the way up each level also sees what was there on the way down.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 4
_CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_CONV_UP: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH_NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_MAX_POOL: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class Surround(nn.Module):
    """Adds `reach` points at both ends of each axis: those from the other end where it is periodic, else zeros."""

    def __init__(self, reach: int, periodic: Sequence[bool]) -> None:
        super().__init__()
        self.reach = reach
        self.periodic = tuple(periodic)
        self.blank = [0 if wraps else reach for wraps in reversed(periodic) for _ in range(2)]  # last axis first

    def forward(self, x_BCS: Tensor) -> Tensor:
        for axis, wraps in enumerate(self.periodic, 2):
            if wraps:
                x_BCS = _around(x_BCS, axis, self.reach)
        return functional.pad(x_BCS, self.blank)


def _around(x: Tensor, axis: int, reach: int) -> Tensor:
    """Return `x` continued by `reach` points at both ends, round and round where it has fewer."""
    size = x.shape[axis]
    ends = torch.cat([x] * -(-reach // size), axis) if size < reach else x
    return torch.cat([ends.narrow(axis, ends.shape[axis] - reach, reach), x, ends.narrow(axis, 0, reach)], axis)


def convolution(
    channels_in: int, channels_out: int, kernel: int, periodic: Sequence[bool], **options: Any
) -> nn.Module:
    """Return a convolution that keeps the size; periodic axes are continued from their other end, others with zeros."""
    conv = _CONV[len(periodic)]
    if not any(periodic):
        return conv(channels_in, channels_out, kernel, padding=kernel // 2, **options)
    return nn.Sequential(Surround(kernel // 2, periodic), conv(channels_in, channels_out, kernel, **options))


def check_sizes(resolution: Sequence[int]) -> None:
    """Raise ValueError, naming the axis, for a size that does not halve LEVELS times."""
    for axis, size in enumerate(resolution):
        if size % 2**LEVELS or size < 2**LEVELS:
            near = max(2**LEVELS, size // 2**LEVELS * 2**LEVELS)
            raise ValueError(
                f"axis {axis} has {size} points: a U-Net halves it {LEVELS} times, so take a multiple of {2**LEVELS}; "
                f"resample or crop it to {near}"
            )


class UNet(nn.Module):
    """The classic: two 3x3 convolutions with batch normalisation and tanh a level, max pooling, 2x2 up-convolutions."""

    def __init__(
        self, channels_in: int, channels_out: int, resolution: Sequence[int], width: int, periodic: Sequence[bool]
    ) -> None:
        super().__init__()
        check_sizes(resolution)
        dims = len(resolution)
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            _double(before, after, periodic)
            for before, after in zip([channels_in, *widths[:-2]], widths[:-1], strict=True)
        )
        self.pool = _MAX_POOL[dims](2)
        self.bottom = _double(widths[-2], widths[-1], periodic)
        self.up = nn.ModuleList(_CONV_UP[dims](2 * wide, wide, 2, stride=2) for wide in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_double(2 * wide, wide, periodic) for wide in reversed(widths[:-1]))
        self.out = _CONV[dims](width, channels_out, 1)

    def forward(self, x_BCS: Tensor) -> Tensor:
        check_sizes(x_BCS.shape[2:])
        if self.training:
            _check_statistics(len(x_BCS), x_BCS.shape[2:])
        seen = []
        for level in self.down:
            x_BCS = level(x_BCS)
            seen.append(x_BCS)
            x_BCS = self.pool(x_BCS)
        x_BCS = self.bottom(x_BCS)
        for up, merge in zip(self.up, self.merge, strict=True):
            x_BCS = merge(torch.cat([up(x_BCS), seen.pop()], dim=1))
        return self.out(x_BCS)


def _check_statistics(windows: int, resolution: Sequence[int]) -> None:
    """Raise ValueError where batch normalisation would see one value a channel, which has no variance."""
    if windows * math.prod(size // 2**LEVELS for size in resolution) == 1:
        raise ValueError(
            f"one window of resolution {tuple(resolution)} has one point at a U-Net's lowest level, too few for batch "
            f"normalisation: raise batch_size, or lower micro_batches (each part of a batch has batch_size / "
            f"micro_batches windows), or take a finer resolution"
        )


def _double(channels_in: int, channels_out: int, periodic: Sequence[bool]) -> nn.Module:
    norm = _BATCH_NORM[len(periodic)]
    return nn.Sequential(
        convolution(channels_in, channels_out, 3, periodic, bias=False),  # the normalisation takes the mean anyway
        norm(channels_out),
        nn.Tanh(),
        convolution(channels_out, channels_out, 3, periodic, bias=False),
        norm(channels_out),
        nn.Tanh(),
    )


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each point."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x_BCS: Tensor) -> Tensor:
        return self.norm(x_BCS.movedim(1, -1)).movedim(-1, 1)


class ConvNextBlock(nn.Module):
    """7x7 depthwise convolution, layer normalisation, two linear layers with GELU between, added to the input.

    What is added is scaled for each channel by a learnt factor that begins at 1e-6: at first the block does nothing.
    """

    def __init__(self, channels: int, periodic: Sequence[bool]) -> None:
        super().__init__()
        self.depthwise = convolution(channels, channels, 7, periodic, groups=channels)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x_BCS: Tensor) -> Tensor:
        inner_BSC = self.depthwise(x_BCS).movedim(1, -1)
        return x_BCS + (self.scale * self.pointwise(inner_BSC)).movedim(-1, 1)


class CNextUNet(nn.Module):
    """ConvNeXt blocks at each resolution, on the way down with the stage's channels, on the way up with twice as many.

    2x2 convolutions of stride 2 lead down, transposed ones up, each after a layer normalisation; what is seen on the
    way down is joined on the way up by a 1x1 convolution.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        resolution: Sequence[int],
        width: int,
        periodic: Sequence[bool],
        blocks: int,
        neck_blocks: int,
    ) -> None:
        super().__init__()
        check_sizes(resolution)
        dims = len(resolution)
        widths = [width * 2**stage for stage in range(LEVELS)]
        self.stem = convolution(channels_in, width, 3, periodic)
        self.stages = nn.ModuleList(_blocks(wide, blocks, periodic) for wide in widths)
        self.down = nn.ModuleList(
            nn.Sequential(ChannelNorm(wide), _CONV[dims](wide, 2 * wide, 2, stride=2)) for wide in widths
        )
        self.neck = _blocks(2 * widths[-1], neck_blocks, periodic)
        self.refine = nn.ModuleList(_blocks(2 * wide, blocks, periodic) for wide in reversed(widths))
        self.up = nn.ModuleList(
            nn.Sequential(ChannelNorm(2 * wide), _CONV_UP[dims](2 * wide, wide, 2, stride=2))
            for wide in reversed(widths)
        )
        self.join = nn.ModuleList(_CONV[dims](2 * wide, wide, 1) for wide in reversed(widths))
        self.out = convolution(width, channels_out, 3, periodic)

    def forward(self, x_BCS: Tensor) -> Tensor:
        check_sizes(x_BCS.shape[2:])
        x_BCS = self.stem(x_BCS)
        seen = []
        for stage, down in zip(self.stages, self.down, strict=True):
            x_BCS = stage(x_BCS)
            seen.append(x_BCS)
            x_BCS = down(x_BCS)
        x_BCS = self.neck(x_BCS)
        for refine, up, join in zip(self.refine, self.up, self.join, strict=True):
            x_BCS = join(torch.cat([up(refine(x_BCS)), seen.pop()], dim=1))
        return self.out(x_BCS)


def _blocks(channels: int, count: int, periodic: Sequence[bool]) -> nn.Module:
    return nn.Sequential(*(ConvNextBlock(channels, periodic) for _ in range(count)))
