"""Gray-Scott reaction-diffusion as in The Well's gray_scott_reaction_diffusion (arXiv 2412.00568 and the set's card).

    A' = dA lap A - A B^2 + F (1 - A)        B' = dB lap B + A B^2 - (F + k) B

The unknowns are 1 - A and B: so no constant is left over, and the state without reaction is 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from tasks.physics.etdrk4 import Grid, Nonlinear, coefficients
from tasks.physics.simulation import Problem

NAME = "gray_scott_reaction_diffusion"
DIFFUSION_A, DIFFUSION_B = 2e-5, 1e-5  # 1/s, of a box whose sides have no unit: the paper's is [-1, 1]
DEALIASED_DEGREE = 2  # two thirds of the modes are kept, as is usual; a product of three then still spoils the last few
WAVES = 4  # of a random Fourier series, along each axis


@dataclass(frozen=True)
class Regime:
    """Rates in 1/s, by the name that The Well gives the pair."""

    feed: float  # F
    kill: float  # k


REGIMES = {
    "gliders": Regime(0.014, 0.054),
    "bubbles": Regime(0.098, 0.057),
    "maze": Regime(0.029, 0.057),
    "worms": Regime(0.058, 0.065),
    "spirals": Regime(0.018, 0.051),
    "spots": Regime(0.03, 0.062),
}


def linear(grid: Grid, regime: Regime) -> Tensor:
    """Return L of (1 - A, B) for each mode (2, K)."""
    lap_K = grid.laplacian()
    return torch.stack([DIFFUSION_A * lap_K - regime.feed, DIFFUSION_B * lap_K - (regime.feed + regime.kill)])


def nonlinear(grid: Grid, degree: int = DEALIASED_DEGREE) -> Nonlinear:
    """Return N of (1 - A, B): A B^2 for both, in the modes that a product of `degree` factors leaves unspoilt."""
    kept_K1 = grid.resolved(degree)[..., None]

    def reaction(v_BCK: Tensor) -> Tensor:
        u_BS, b_BS = grid.values(v_BCK).unbind(1)
        b2_BS = b_BS * b_BS
        product_BK = grid.spectrum(torch.addcmul(b2_BS, u_BS, b2_BS, value=-1))  # (1 - u) b^2
        product_BK = torch.view_as_complex(torch.view_as_real(product_BK) * kept_K1)
        return product_BK[:, None].expand(-1, 2, *product_BK.shape[1:])

    return reaction


def spectrum(grid: Grid, a_S: Tensor, b_S: Tensor, degree: int = DEALIASED_DEGREE) -> Tensor:
    """Return the state (CK, or BCK) of concentrations (S, or BS), without the modes that the solver does not keep."""
    return grid.spectrum(torch.stack([1 - a_S, b_S], -1 - len(grid.sizes))) * grid.resolved(degree)


def concentrations(grid: Grid, v_BCK: Tensor) -> dict[str, Tensor]:
    """Return A and B (each BS) of a state."""
    u_BS, b_BS = grid.values(v_BCK).unbind(1)
    return {"A": 1 - u_BS, "B": b_BS}


def problem(grid: Grid, regime: Regime, step_s: float) -> Problem:
    """Return the equations on a grid, for steps of `step_s`; the box lies around 0, as The Well's does."""
    return Problem(
        grid,
        tuple(-length / 2 for length in grid.lengths),
        coefficients(linear(grid, regime), step_s),
        nonlinear(grid),
        {"A": 0, "B": 0},
        lambda v_BCK: concentrations(grid, v_BCK),
    )


# --- initial states ---


def initial(grid: Grid, rng: np.random.Generator, *, kinds: Sequence[str], filled_share: float) -> Tensor:
    """Return a state (CK) to begin with, of one of `kinds`: The Well has "clusters" of Gaussians and "fourier" series.

    It lies between (A, B) = (1, 0), where nothing reacts, and (1/2, 1/2); of a series about `filled_share` of the box
    is beyond the middle.
    """
    kind = kinds[int(rng.integers(len(kinds)))]
    amount_S = clusters(grid, rng) if kind == "clusters" else series(grid, rng, filled_share)
    return spectrum(grid, 1 - amount_S / 2, amount_S / 2)


def clusters(grid: Grid, rng: np.random.Generator) -> Tensor:
    """Return Gaussians of height 1 (S), some beside each other, in a few places of the box."""
    amount_S = torch.zeros(grid.sizes, dtype=torch.float64)
    for _ in range(rng.integers(3, 7)):
        middle = rng.uniform(0, 1, len(grid.sizes)) * grid.lengths
        for _ in range(rng.integers(2, 6)):
            centre, width = middle + rng.normal(0, 0.08, len(grid.sizes)), rng.uniform(0.02, 0.05)
            bump_S = torch.ones((), dtype=torch.float64)
            for points, at, length in zip(grid.coordinates(), centre, grid.lengths, strict=True):
                away = torch.remainder(points - at + length / 2, length) - length / 2
                bump_S = bump_S * torch.exp(-(away**2) / (2 * width**2))
            amount_S = torch.maximum(amount_S, bump_S)
    return amount_S


def series(grid: Grid, rng: np.random.Generator, filled_share: float) -> Tensor:
    """Return a random Fourier series of a few waves (S), squeezed to 0 to 1: above 1/2 in about `filled_share` of S."""
    parts = torch.from_numpy(rng.standard_normal((2, *[2 * WAVES + 1] * len(grid.sizes))))
    sum_S = torch.complex(parts[0], parts[1])
    modes = torch.arange(-WAVES, WAVES + 1, dtype=torch.float64)
    for points, length in reversed([*zip(grid.coordinates(), grid.lengths, strict=True)]):
        waves = torch.exp(2j * math.pi / length * modes[:, None] * points.reshape(1, -1))
        sum_S = torch.tensordot(waves, sum_S, dims=([0], [-1]))
    real_S = sum_S.real.contiguous()
    level_S = (real_S - real_S.mean()) / real_S.std()
    return torch.sigmoid(3 * (level_S - NormalDist().inv_cdf(1 - filled_share)))
