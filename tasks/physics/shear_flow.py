"""Incompressible shear flow in two dimensions as in The Well's shear_flow (arXiv 2412.00568 and the set's card).

    u' = nu lap u - u . grad u - grad p,  div u = 0        s' = D lap s - u . grad s        nu = 1 / Re,  D = nu / Sc

The unknowns are u_x, u_y and the tracer s; pressure is left out of the equations by keeping the part without divergence
(Canuto et al., Spectral Methods: Fundamentals, section 3.3), and worked out where it is asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.physics.etdrk4 import Grid, Nonlinear, coefficients
from tasks.physics.simulation import Problem

NAME = "shear_flow"
LENGTHS, ORIGIN = (1.0, 2.0), (0.0, -1.0)  # of the box: x and y
CROSS_FLOW = 0.1  # amplitude of u_y at the beginning; u_x lies between -1/2 and 1/2


@dataclass(frozen=True)
class Choices:
    """Of what the initial states are made: each trajectory draws one of each. Numbers of shears are even."""

    shears: Sequence[int]
    waves: Sequence[int]  # whole, along x
    thicknesses: Sequence[float]  # of a shear: u_x goes as tanh(distance / thickness)


def linear(grid: Grid, reynolds: float, schmidt: float) -> Tensor:
    """Return L of (u_x, u_y, s) for each mode (3, K)."""
    viscous_K = grid.laplacian() / reynolds
    return torch.stack([viscous_K, viscous_K, viscous_K / schmidt])


def solenoidal(grid: Grid, u_BCK: Tensor) -> Tensor:
    """Return the part of a vector field's spectrum (B, 2, K) that has no divergence; the mean is in it."""
    k = grid.wavenumbers()
    along_BK = (k[0] * u_BCK[:, 0] + k[1] * u_BCK[:, 1]) / _nonzero(-grid.laplacian())
    return torch.stack([u_BCK[:, axis] - k[axis] * along_BK for axis in (0, 1)], 1)


def nonlinear(grid: Grid) -> Nonlinear:
    """Return N of (u_x, u_y, s): -div (u u) without its gradient part, -div (u s); products are of degree 2."""
    kx_K, ky_K = (k * grid.resolved(2) for k in grid.wavenumbers())

    def advection(v_BCK: Tensor) -> Tensor:
        ux_BS, uy_BS, s_BS = grid.values(v_BCK).unbind(1)
        products_BCS = torch.stack([ux_BS * ux_BS - uy_BS * uy_BS, ux_BS * uy_BS, ux_BS * s_BS, uy_BS * s_BS], 1)
        difference_BK, xy_BK, xs_BK, ys_BK = grid.spectrum(products_BCS).unbind(1)
        # div (u u) less the gradient of u_y^2, which the projection would take away: one transform less
        force_BCK = torch.stack([kx_K * difference_BK + ky_K * xy_BK, kx_K * xy_BK], 1)
        tracer_BK = kx_K * xs_BK + ky_K * ys_BK
        return -1j * torch.cat([solenoidal(grid, force_BCK), tracer_BK[:, None]], 1)

    return advection


def pressure(grid: Grid, v_BCK: Tensor) -> Tensor:
    """Return the spectrum of p (BK), whose mean is 0: lap p = -d_i d_j (u_i u_j)."""
    kx_K, ky_K = grid.wavenumbers()
    ux_BS, uy_BS = grid.values(v_BCK[:, :2]).unbind(1)
    xx_BK, xy_BK, yy_BK = grid.spectrum(torch.stack([ux_BS * ux_BS, ux_BS * uy_BS, uy_BS * uy_BS], 1)).unbind(1)
    source_BK = kx_K**2 * xx_BK + 2 * kx_K * ky_K * xy_BK + ky_K**2 * yy_BK
    return -source_BK * grid.resolved(2) / _nonzero(-grid.laplacian())


def divergence(grid: Grid, v_BCK: Tensor) -> Tensor:
    """Return div u (BS) of a state."""
    kx_K, ky_K = grid.wavenumbers()
    return grid.values(1j * (kx_K * v_BCK[:, 0] + ky_K * v_BCK[:, 1]))


def fields(grid: Grid, v_BCK: Tensor) -> dict[str, Tensor]:
    """Return tracer, pressure (each BS) and velocity (BSD) of a state."""
    ux_BS, uy_BS, s_BS = grid.values(v_BCK).unbind(1)
    return {
        "tracer": s_BS,
        "pressure": grid.values(pressure(grid, v_BCK)),
        "velocity": torch.stack([ux_BS, uy_BS], -1),
    }


def problem(grid: Grid, reynolds: float, schmidt: float, step: float) -> Problem:
    """Return the equations on a grid, for steps of `step`."""
    return Problem(
        grid,
        ORIGIN,
        coefficients(linear(grid, reynolds, schmidt), step),
        nonlinear(grid),
        {"tracer": 0, "pressure": 0, "velocity": 1},
        lambda v_BCK: fields(grid, v_BCK),
    )


def initial(grid: Grid, rng: np.random.Generator, choices: Choices) -> Tensor:
    """Return a state (CK): shears at even distances along y, each disturbed by waves along x; s is u_x.

    As The Well's, but for what does not fit a box that repeats (the shears follow tanh(sin), which is theirs near each
    shear, and waves are whole), and for a random place and phase of each, so that no two trajectories are the same.
    Divergence is taken away.
    """
    shears = choices.shears[int(rng.integers(len(choices.shears)))]
    waves = choices.waves[int(rng.integers(len(choices.waves)))]
    thickness = choices.thicknesses[int(rng.integers(len(choices.thicknesses)))]
    x, y = grid.coordinates()
    length_x, length_y = grid.lengths
    place = rng.uniform(0, length_y)
    angle = math.pi * shears / length_y
    steepness = 1 / (thickness * angle)
    ux_S = torch.tanh(steepness * torch.sin(angle * (y - place))) / (2 * math.tanh(steepness)) + 0 * x
    uy_S = torch.zeros(grid.sizes, dtype=torch.float64)
    for shear in range(shears):
        from_shear = y - place - shear * length_y / shears
        away = torch.remainder(from_shear + length_y / 2, length_y) - length_y / 2
        wave = torch.sin(2 * math.pi * waves * x / length_x + rng.uniform(0, 2 * math.pi))
        uy_S = uy_S + CROSS_FLOW * wave * torch.exp(-((away / thickness) ** 2))
    state_CK = grid.spectrum(torch.stack([ux_S, uy_S, ux_S])) * grid.resolved(2)
    return torch.cat([solenoidal(grid, state_CK[None, :2])[0], state_CK[2:]])


def _nonzero(k2_K: Tensor) -> Tensor:
    """Return |k|^2 with 1 where it is 0: what is divided by it is 0 there."""
    return torch.where(k2_K == 0, 1.0, k2_K)
