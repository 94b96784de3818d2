"""Shear flow beside closed solutions and scipy: incompressible, with the pressure that keeps it so."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tasks.physics import shear_flow
from tasks.physics.etdrk4 import Grid, coefficients, step

CHOICES = shear_flow.Choices(shears=[2, 4], waves=[1, 2], thicknesses=[0.1])


def advance(grid: Grid, v: torch.Tensor, reynolds: float, schmidt: float, dt: float, steps: int) -> torch.Tensor:
    of, nonlinear = coefficients(shear_flow.linear(grid, reynolds, schmidt), dt), shear_flow.nonlinear(grid)
    for _ in range(steps):
        v = step(v, nonlinear, of)
    return v


def state_of(grid: Grid, *fields: np.ndarray) -> torch.Tensor:
    return grid.spectrum(torch.stack([torch.from_numpy(np.ascontiguousarray(one)) for one in fields]))[None]


def points(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(*(axis.ravel().numpy() for axis in grid.coordinates()), indexing="ij")
    return x, y


def test_decaying_vortices_carried_by_a_wind_are_as_taylor_and_green_have_them() -> None:
    grid = Grid((32, 32), (2 * math.pi, 2 * math.pi))
    x, y = points(grid)
    nu, wind = 0.05, (0.7, -0.3)

    def exact(t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        a, b, decay = x - wind[0] * t, y - wind[1] * t, math.exp(-2 * nu * t)
        ux = wind[0] + np.cos(a) * np.sin(b) * decay
        uy = wind[1] - np.sin(a) * np.cos(b) * decay
        return ux, uy, -(np.cos(2 * a) + np.cos(2 * b)) / 4 * decay**2, np.cos(a) * np.sin(b) * decay

    ux, uy, _, s = exact(0)
    v = advance(grid, state_of(grid, ux, uy, np.ones_like(s)), 1 / nu, 1.0, 0.01, 200)
    found = shear_flow.fields(grid, v)
    ux, uy, p, _ = exact(2.0)
    np.testing.assert_allclose(found["velocity"][0, ..., 0], ux, atol=1e-9)
    np.testing.assert_allclose(found["velocity"][0, ..., 1], uy, atol=1e-9)
    np.testing.assert_allclose(found["pressure"][0], p, atol=1e-9)
    np.testing.assert_allclose(found["tracer"][0], 1.0, atol=1e-12)


def test_a_tracer_in_a_steady_wind_is_carried_and_spreads() -> None:
    grid = Grid((16, 24), shear_flow.LENGTHS)
    x, y = points(grid)
    reynolds, schmidt, t = 50.0, 0.5, 0.8

    def exact(t: float) -> np.ndarray:
        k = (2 * math.pi, math.pi)
        decay = math.exp(-(k[0] ** 2 + k[1] ** 2) / (reynolds * schmidt) * t)
        return decay * np.sin(k[0] * (x - 0.5 * t) + k[1] * (y + 0.25 * t))

    start = state_of(grid, np.full_like(x, 0.5), np.full_like(x, -0.25), exact(0))
    found = shear_flow.fields(grid, advance(grid, start, reynolds, schmidt, 0.01, 80))
    np.testing.assert_allclose(found["tracer"][0], exact(t), atol=1e-8)


def reference(grid: Grid, v: torch.Tensor, reynolds: float, schmidt: float, end: float) -> dict[str, np.ndarray]:
    """Solve for vorticity and tracer, advected as u . grad, with complex transforms of numpy and steps of scipy."""
    sizes = grid.sizes
    kx, ky = np.meshgrid(
        *(2 * np.pi * np.fft.fftfreq(n, side / n) for n, side in zip(sizes, grid.lengths, strict=True)), indexing="ij"
    )
    mask = np.ones(sizes, bool)
    for axis, n in enumerate(sizes):
        mask &= (np.abs(np.fft.fftfreq(n, 1 / n)) < n / 3).reshape([-1 if a == axis else 1 for a in (0, 1)])
    k2 = kx**2 + ky**2
    inverse = np.divide(1, k2, out=np.zeros_like(k2), where=k2 > 0)
    values = grid.values(v)[0].numpy()
    mean = values[:2].mean((1, 2))

    def real(spectrum: np.ndarray) -> np.ndarray:
        return np.fft.ifft2(spectrum).real

    def velocity(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        psi = np.fft.fft2(w) * inverse  # -lap psi = w, u = (d psi / dy, -d psi / dx)
        return mean[0] + real(1j * ky * psi), mean[1] - real(1j * kx * psi)

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        w, s = state.reshape(2, *sizes)
        ux, uy = velocity(w)
        slopes = []
        for field, diffusion in ((w, 1 / reynolds), (s, 1 / reynolds / schmidt)):
            spectrum = np.fft.fft2(field)
            advected = ux * real(1j * kx * spectrum) + uy * real(1j * ky * spectrum)
            slopes.append(real(-diffusion * k2 * spectrum - mask * np.fft.fft2(advected)).ravel())
        return np.concatenate(slopes)

    spectra = [np.fft.fft2(one) for one in values]
    w = real(1j * kx * spectra[1] - 1j * ky * spectra[0])
    done = solve_ivp(slope, (0, end), np.concatenate([w.ravel(), values[2].ravel()]), "DOP853", rtol=1e-10, atol=1e-11)
    w, s = done.y[:, -1].reshape(2, *sizes)
    return {"velocity": np.stack(velocity(w), -1), "tracer": s}


def test_rolling_shears_equal_scipys_solution_of_the_vorticity_equation() -> None:
    grid = Grid((18, 24), shear_flow.LENGTHS)
    start = shear_flow.initial(grid, np.random.default_rng(5), CHOICES)[None]
    expected = reference(grid, start, 200.0, 2.0, end=1.0)
    found = shear_flow.fields(grid, advance(grid, start, 200.0, 2.0, 0.01, 100))
    for name in ("velocity", "tracer"):
        np.testing.assert_allclose(found[name][0], expected[name], atol=2e-6)
    begun = shear_flow.fields(grid, start)["velocity"][0].numpy()
    assert np.abs(expected["velocity"] - begun).max() > 0.05  # something happened


def test_velocity_stays_without_divergence_and_keeps_its_mean() -> None:
    grid = Grid((32, 64), shear_flow.LENGTHS)
    start = torch.stack([shear_flow.initial(grid, np.random.default_rng(n), CHOICES) for n in range(2)])
    start[:, 0, 0, 0] += 0.3 * 32 * 64
    after = advance(grid, start, 1000.0, 1.0, 0.02, 100)
    scale = float(grid.values(after).abs().max()) * 2 * math.pi * 16  # of a velocity, times a wavenumber
    for v in (start, after):
        assert float(shear_flow.divergence(grid, v).abs().max()) < 1e-13 * scale
        ux, uy = grid.values(v[:, :2]).numpy().transpose(1, 0, 2, 3)
        assert np.abs(np.diff(ux, axis=1)).max() > 1e-3  # not trivially so: u_x changes along x
        np.testing.assert_allclose(ux.mean((1, 2)), start[:, 0, 0, 0].real.numpy() / (32 * 64), atol=1e-12)
        np.testing.assert_allclose(uy.mean((1, 2)), 0, atol=1e-12)


def test_without_friction_energy_and_the_tracers_square_are_kept() -> None:
    grid = Grid((24, 36), shear_flow.LENGTHS)
    start = shear_flow.initial(grid, np.random.default_rng(1), CHOICES)[None]

    def squares(v: torch.Tensor) -> np.ndarray:
        values = grid.values(v)[0].numpy()
        return np.array([(values[:2] ** 2).sum(0).mean(), (values[2] ** 2).mean()])

    after = advance(grid, start, 1e15, 1.0, 0.005, 200)
    np.testing.assert_allclose(squares(after), squares(start), rtol=1e-7)
    assert float((after - start).abs().max()) > 1


def test_pressure_is_that_of_its_poisson_equation() -> None:
    grid, fine = Grid((24, 36), shear_flow.LENGTHS), (72, 108)
    v = advance(grid, shear_flow.initial(grid, np.random.default_rng(2), CHOICES)[None], 500.0, 1.0, 0.02, 50)
    found = shear_flow.fields(grid, v)

    def refined(values: np.ndarray) -> np.ndarray:
        """Return a spectrum at three times the points: products of two of its values have no alias."""
        whole = np.zeros(fine, complex)
        small = np.fft.fft2(values)
        m, n = (np.fft.fftfreq(size, 1 / size).astype(int) for size in grid.sizes)
        whole[np.ix_(m, n)] = small * 9
        return whole

    k = np.meshgrid(
        *(2 * np.pi * np.fft.fftfreq(n, side / n) for n, side in zip(fine, grid.lengths, strict=True)), indexing="ij"
    )
    u = [refined(found["velocity"][0, ..., axis].numpy()) for axis in (0, 1)]
    slopes = [[np.fft.ifft2(1j * k[j] * u[i]).real for j in (0, 1)] for i in (0, 1)]
    source = -sum(slopes[i][j] * slopes[j][i] for i in (0, 1) for j in (0, 1))  # lap p, of a flow without divergence
    kept = np.ones(fine, bool)
    for axis, n in enumerate(grid.sizes):
        kept &= (np.abs(np.fft.fftfreq(fine[axis], 1 / fine[axis])) < n / 3).reshape(
            [-1 if a == axis else 1 for a in (0, 1)]
        )
    expected = np.fft.ifft2(np.fft.fft2(source) * kept).real[::3, ::3]
    laplacian = np.fft.ifft2(-(k[0] ** 2 + k[1] ** 2) * refined(found["pressure"][0].numpy())).real[::3, ::3]
    np.testing.assert_allclose(laplacian, expected, atol=1e-10 * np.abs(expected).max())
    assert abs(float(found["pressure"].mean())) < 1e-14


MOVES = {
    "flip": lambda u, s: (np.stack([-u[0], u[1]])[:, ::-1], s[::-1]),
    "permutation": lambda u, s: (u[::-1].transpose(0, 2, 1), s.T),
    "rotation": lambda u, s: (np.rot90(np.stack([-u[1], u[0]]), 1, (1, 2)), np.rot90(s)),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_step_commutes_with(move: str) -> None:
    grid = Grid((24, 24), (1.0, 1.0))
    rng = np.random.default_rng(3)
    smooth = torch.exp(grid.laplacian() / 200) * grid.resolved(2)
    noise = grid.spectrum(torch.from_numpy(rng.standard_normal((1, 3, 24, 24)))) * smooth
    start = torch.cat([shear_flow.solenoidal(grid, noise[:, :2]), noise[:, 2:]], 1)

    def solved(v: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        values = grid.values(advance(grid, v, 100.0, 2.0, 0.02, 10))[0].numpy()
        return values[:2], values[2]

    values = grid.values(start)[0].numpy()
    u, s = MOVES[move](values[:2], values[2])
    turned = solved(state_of(grid, *u, s))
    straight = MOVES[move](*solved(start))
    for found, expected in zip(turned, straight, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11)
    assert np.abs(straight[0] - u).max() > 1e-2
    divergence = shear_flow.divergence(grid, state_of(grid, *turned[0], turned[1]))
    assert float(divergence.abs().max()) < 1e-11
