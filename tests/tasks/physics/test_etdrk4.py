"""The time stepping is of fourth order, exact where it can be, and knows no direction in space."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mpmath import mp

from tasks.physics.etdrk4 import Grid, coefficients, step, trajectory


def burgers(grid: Grid, viscosity: float) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """u' + u u_x = viscosity u_xx."""
    (k,) = grid.wavenumbers()
    kept = grid.resolved(2)
    return viscosity * grid.laplacian()[None], lambda v: -0.5j * k * kept * grid.spectrum(grid.values(v) ** 2)


def cole_hopf(x: np.ndarray, t: float, viscosity: float) -> np.ndarray:
    """Return the exact solution that begins as -2 nu d/dx log(2 + cos x): of the heat equation under Cole and Hopf."""
    decay = math.exp(-viscosity * t)
    return 2 * viscosity * decay * np.sin(x) / (2 + decay * np.cos(x))


def errors_of(steps: list[int], viscosity: float = 0.5, end: float = 2.0) -> list[float]:
    grid = Grid((32,), (2 * math.pi,))
    linear, nonlinear = burgers(grid, viscosity)
    (x,) = grid.coordinates()
    start = grid.spectrum(torch.from_numpy(cole_hopf(x.numpy(), 0, viscosity)))[None, None]
    found = []
    for count in steps:
        v, of = start, coefficients(linear, end / count)
        for _ in range(count):
            v = step(v, nonlinear, of)
        found.append(float((grid.values(v)[0, 0] - torch.from_numpy(cole_hopf(x.numpy(), end, viscosity))).abs().max()))
    return found


def test_error_falls_with_the_fourth_power_of_the_step() -> None:
    steps = [2, 4, 8, 16]
    errors = errors_of(steps)
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 3.7 < order < 4.5
    assert errors_of([200])[0] < 1e-10


@pytest.mark.parametrize("value", [0.0, -1e-9, -1e-3, -0.1, -1.0, -30.0, -1e4])
def test_coefficients_equal_their_formulas_in_many_digits(value: float) -> None:
    dt = 0.5
    found = coefficients(torch.tensor([value / dt], dtype=torch.float64), dt)
    with mp.workdps(120):
        z = mp.mpf(value) if value else mp.mpf("1e-30")  # the limit: these functions are smooth
        ez = mp.exp(z)
        expected = {
            "whole": ez,
            "half": mp.exp(z / 2),
            "middle": dt * (mp.exp(z / 2) - 1) / z,
            "first": dt * (-4 - z + ez * (4 - 3 * z + z**2)) / z**3,
            "between": 2 * dt * (2 + z + ez * (z - 2)) / z**3,
            "last": dt * (-4 - 3 * z - z**2 + ez * (4 - z)) / z**3,
        }
    for name, exact in expected.items():
        assert float(getattr(found, name)) == pytest.approx(float(exact), rel=1e-12, abs=1e-15), name


def test_a_linear_problem_is_solved_exactly_whatever_the_step() -> None:
    grid = Grid((16, 12), (1.0, 2.0))
    x, y = grid.coordinates()
    wave = torch.cos(2 * math.pi * (2 * x - y))  # of wavenumber 4 pi, pi for a side of 2
    decay = 0.01 * ((4 * math.pi) ** 2 + (2 * math.pi) ** 2)
    found = step(
        grid.spectrum(wave)[None, None], lambda v: torch.zeros_like(v), coefficients(0.01 * grid.laplacian()[None], 3.0)
    )
    assert torch.allclose(grid.values(found)[0, 0], wave * math.exp(-3 * decay), atol=1e-14)


@pytest.mark.parametrize("degree", [2, 3])
def test_products_of_kept_modes_have_no_alias_among_them(degree: int) -> None:
    coarse, fine = Grid((24, 20), (1.0, 1.0)), Grid((96, 80), (1.0, 1.0))
    rng = np.random.default_rng(degree)
    kept = coarse.resolved(degree)
    spectra = [coarse.spectrum(torch.from_numpy(rng.standard_normal((24, 20)))) * kept for _ in range(degree)]
    modes = [(int(m), int(n)) for m in coarse.modes()[0].ravel() for n in coarse.modes()[1].ravel()]

    def refined(spectrum: torch.Tensor) -> torch.Tensor:
        padded = torch.zeros(96, 41, dtype=torch.complex128)
        for m, n in modes:
            padded[m, n] = spectrum[m, n] * 16
        return fine.values(padded)

    product = coarse.spectrum(math.prod((coarse.values(s) for s in spectra), start=torch.ones(()))) * kept
    exact = fine.spectrum(math.prod((refined(s) for s in spectra), start=torch.ones(()))) / 16
    expected = torch.zeros_like(product)
    for m, n in modes:
        expected[m, n] = exact[m, n] * kept[m, n]
    assert torch.allclose(product, expected, atol=1e-10 * float(expected.abs().max()))
    assert 0 < int(kept.sum()) < kept.numel()


def test_frames_are_the_states_after_so_many_steps() -> None:
    grid = Grid((16,), (1.0,))
    linear = torch.full((1, 9), -0.5, dtype=torch.float64)
    of = coefficients(linear, 0.1)
    start = torch.ones(1, 1, 9, dtype=torch.complex128)
    zero = torch.zeros_like
    states = [float(v.real.max()) for v in trajectory(start, zero, of, steps_between=3, frames=4, warm_up=2)]
    assert states == pytest.approx([math.exp(-0.05 * n) for n in (2, 5, 8, 11)], rel=1e-13)
    assert grid.modes()[0].shape == (9,)


def test_a_step_that_is_not_forward_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dt is 0\.0"):
        coefficients(torch.zeros(1), 0.0)
