"""Weights of grid points: against integrals worked out by scipy, on even, Chebyshev, spherical and other grids."""

import numpy as np
import pytest
import torch
from numpy.polynomial import polynomial
from scipy import integrate

from tasks.physics import metrics
from tasks.physics.quadrature import axis_weights, evenly_spaced, is_uniform, point_weights

ROOTS = (1 - np.cos(np.pi * (np.arange(32) + 0.5) / 32)) / 2 * 3.0 + 1.0  # Chebyshev points on [1, 4]
EXTREMA = (1 - np.cos(np.pi * np.arange(33) / 32)) / 2 * 3.0 + 1.0


def mean_of(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum())


@pytest.mark.parametrize("points", [np.linspace(0, 1, 50, dtype=np.float32), np.arange(7) * 1e-3 + 5, np.array([2.0])])
def test_evenly_spaced_points_weigh_the_same(points: np.ndarray) -> None:
    np.testing.assert_array_equal(axis_weights(points), np.ones(len(points)))


@pytest.mark.parametrize(
    "points", [ROOTS, EXTREMA, ROOTS[::-1], EXTREMA.astype(np.float32)], ids=["roots", "extrema", "falling", "float32"]
)
def test_chebyshev_weights_integrate_polynomials_exactly(points: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    for degree in (0, 1, 5, 20, 31):
        coefficients = generator.normal(size=degree + 1)
        values = polynomial.polyval(np.asarray(points, np.float64) / 4, coefficients)
        wanted = integrate.quad(lambda y, c=coefficients: polynomial.polyval(y / 4, c), 1, 4)[0] / 3
        assert mean_of(values, axis_weights(points)) == pytest.approx(wanted, rel=2e-6, abs=1e-9)


def test_a_plain_mean_on_chebyshev_points_counts_the_walls_too_much() -> None:
    """What the weights are for: a layer at the wall."""
    layer = np.exp(-(ROOTS - 1) / 0.1)
    wanted = integrate.quad(lambda y: np.exp(-(y - 1) / 0.1), 1, 4)[0] / 3
    assert mean_of(layer, axis_weights(ROOTS)) == pytest.approx(wanted, rel=1e-5)
    assert layer.mean() > 3 * wanted


def test_other_points_weigh_as_their_cells() -> None:
    """Points 0, 1, 3, 7: edges -0.5, 0.5, 2, 5, 9."""
    np.testing.assert_allclose(axis_weights(np.array([0.0, 1.0, 3.0, 7.0])), [1, 1.5, 3, 4])
    stretched = np.sinh(np.linspace(-2, 2, 400))
    wanted = integrate.quad(np.cos, stretched[0], stretched[-1])[0] / (stretched[-1] - stretched[0])
    assert mean_of(np.cos(stretched), axis_weights(stretched)) == pytest.approx(wanted, abs=5e-3)


def sphere(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(rows) + 0.5) * np.pi / rows, np.arange(columns) * 2 * np.pi / columns


def test_a_mean_over_the_sphere_is_one_over_its_area() -> None:
    theta, phi = sphere(64, 128)
    weights = point_weights(["theta", "phi"], [theta, phi], "equiangular")
    assert weights.shape == (64, 128)
    assert weights.mean() == pytest.approx(1)
    values = np.cos(theta)[:, None] ** 2 + 0.3 * np.sin(phi) * np.sin(theta)[:, None]  # over the sphere: 1/3 and 0
    assert mean_of(values, weights) == pytest.approx(1 / 3, abs=5e-4)
    assert values.mean() == pytest.approx(1 / 2, abs=1e-3)
    # a cell at the pole is 2 pi (1 - cos(edge)) / columns of the sphere's 4 pi
    assert weights[0, 0] / weights.sum() == pytest.approx((1 - np.cos(np.pi / 64)) / 2 / 128)


def test_latitude_is_colatitude_turned() -> None:
    theta, phi = sphere(16, 8)
    np.testing.assert_allclose(
        point_weights(["lat", "lon"], [np.pi / 2 - theta, phi], "equiangular"),
        point_weights(["theta", "phi"], [theta, phi], "equiangular"),
    )


@pytest.mark.parametrize("grid_type, name", [("spherical", "r"), ("log-spherical", "log_r"), ("spherical", "log_r")])
def test_a_mean_over_a_shell_is_one_over_its_volume(grid_type: str, name: str) -> None:
    edges = np.linspace(np.log(2), np.log(6), 101) if name == "log_r" else np.linspace(2, 6, 101)
    points = (edges[1:] + edges[:-1]) / 2
    radii = np.exp(points) if name == "log_r" else points
    theta, phi = sphere(20, 8)
    weights = point_weights([name, "theta", "phi"], [points, theta, phi], grid_type)
    wanted = integrate.quad(lambda r: r**2 / r, 2, 6)[0] / integrate.quad(lambda r: r**2, 2, 6)[0]
    assert mean_of(np.broadcast_to(1 / radii[:, None, None], weights.shape), weights) == pytest.approx(wanted, rel=1e-3)


def test_what_has_no_meaning_as_a_grid_is_refused_by_name() -> None:
    theta, phi = sphere(8, 8)
    for dimensions, coordinates, grid_type, message in (
        (["x", "phi"], [theta, phi], "spherical", "axis x of a spherical grid"),
        (["theta", "phi"], [np.degrees(theta), phi], "equiangular", "radians"),
        (["lat", "phi"], [theta, phi], "equiangular", "radians"),
        (["r", "phi"], [np.linspace(-1, 1, 8), phi], "spherical", "not negative"),
        (["x", "y"], [np.array([0.0, 2.0, 1.0]), phi], "cartesian", "axis x is not monotone"),
        (["x", "y"], [np.zeros((2, 8)), phi], "cartesian", r"axis x has shape \(2, 8\)"),
        (["x"], [theta, phi], "cartesian", "2 axes"),
    ):
        with pytest.raises(ValueError, match=message):
            point_weights(dimensions, coordinates, grid_type)


def test_only_even_cartesian_grids_are_uniform() -> None:
    even, (theta, phi) = np.linspace(0, 1, 16), sphere(8, 8)
    assert is_uniform(["x", "y"], [even, even * 3], "cartesian")
    assert not is_uniform(["x", "y"], [even, ROOTS], "cartesian")
    assert not is_uniform(["theta", "phi"], [theta, phi], "equiangular")


def test_area_weighted_vrmse_is_the_integral_of_the_error_over_the_variance() -> None:
    """Against quadrature of the functions themselves, on a grid even in x and Chebyshev in y."""
    x = np.arange(24) * 2 * np.pi / 24
    weights = point_weights(["x", "y"], [x, ROOTS], "cartesian")

    def target(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sin(x) * np.exp(-(y - 1)) + y

    def error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.1 * np.cos(x) * y + np.exp(-5 * (y - 1))

    def integral(f: object) -> float:
        return integrate.dblquad(lambda y, x: f(x, y), 0, 2 * np.pi, 1, 4)[0] / (6 * np.pi)  # type: ignore[operator]

    mean = integral(target)
    variance = integral(lambda x, y: (target(x, y) - mean) ** 2)
    wanted = np.sqrt(integral(lambda x, y: error(x, y) ** 2) / variance)
    grid = np.meshgrid(x, ROOTS, indexing="ij")
    y = torch.from_numpy(target(*grid))[None, None, None]
    count = 24 * 32
    found = metrics.vrmse(y + torch.from_numpy(error(*grid)), y, 2, metrics.Region(torch.from_numpy(weights)))
    assert found.item() * np.sqrt(count / (count - 1)) == pytest.approx(wanted, rel=1e-6)
    plain = metrics.vrmse(y + torch.from_numpy(error(*grid)), y, 2).item()
    assert abs(plain - wanted) > 0.05 * wanted


def test_times_of_several_trajectories_are_even_if_each_trajectory_has_one_step() -> None:
    time = np.arange(101, dtype=np.float32) * np.float32(0.1)
    assert evenly_spaced(np.stack([time, 3 * time]))
    assert not evenly_spaced(np.stack([time, time**2]))
    assert evenly_spaced(time[:1])
