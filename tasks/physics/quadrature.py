"""How much of space each grid point stands for, so that means over a frame are means over space (peers/physics.md, 4).

On a uniform cartesian grid all points weigh the same and weighted figures are the plain ones. Elsewhere (Chebyshev
points between walls, spheres, shells) a plain mean counts the walls and the poles too much.
"""

from collections.abc import Sequence

import numpy as np

from tasks.physics.schema import CURVED

_RADII, _LOG_RADII = ("r", "radius"), ("log_r", "logr", "log_radius")
_COLATITUDES, _LATITUDES = ("theta", "colatitude"), ("lat", "latitude")
_LONGITUDES = ("phi", "lon", "longitude")


def is_uniform(dimensions: Sequence[str], coordinates: Sequence[np.ndarray], grid_type: str) -> bool:
    """Say whether all points weigh the same, which is also where a Fourier transform over the grid has a meaning."""
    return grid_type not in CURVED and all(
        evenly_spaced(_checked(d, x)) for d, x in zip(dimensions, coordinates, strict=True)
    )


def point_weights(dimensions: Sequence[str], coordinates: Sequence[np.ndarray], grid_type: str) -> np.ndarray:
    """Return the share of space of each grid point, float64 (*S), of mean 1.

    `coordinates` holds for each dimension its points (length,). Cartesian axes: as `axis_weights`. Grid types
    "spherical", "equiangular" and "log-spherical": the exact volume of the cell in r, theta, phi, whose edges lie
    midway between points, and at the poles where they would lie beyond. An angle is in radians.
    Raises ValueError for an axis that is not monotone, or has a name or range that the grid type does not know.
    """
    if len(dimensions) != len(coordinates):
        raise ValueError(f"{len(coordinates)} axes of coordinates for the dimensions {', '.join(dimensions)}")
    weights = np.ones(())
    for name, points in zip(dimensions, coordinates, strict=True):
        points = _checked(name, points)
        along = _curved_weights(name, points, grid_type) if grid_type in CURVED else axis_weights(points)
        weights = weights[..., None] * along
    return weights / weights.mean()


def axis_weights(points: np.ndarray) -> np.ndarray:
    """Return quadrature weights (length,) of the points of one cartesian axis, up to a factor.

    Evenly spaced: equal. Chebyshev points: Fejer's first rule for those without the ends (roots), Clenshaw and Curtis'
    for those with them (extrema): exact for polynomials. Others: lengths of cells whose edges lie midway between
    points; the first and last reach as far beyond their point as to their inner edge.
    """
    points = np.asarray(points, np.float64)
    if evenly_spaced(points):
        return np.ones(len(points))
    count = len(points)
    unit = (points - (points[0] + points[-1]) / 2) / ((points[-1] - points[0]) / 2)  # from -1 to 1
    roots = -np.cos(np.pi * (np.arange(count) + 0.5) / count)
    if np.allclose(unit, roots / roots[-1], rtol=0, atol=1e-5):
        return _fejer(count)
    if np.allclose(unit, -np.cos(np.pi * np.arange(count) / (count - 1)), rtol=0, atol=1e-5):
        return _clenshaw_curtis(count)
    return np.abs(np.diff(_edges(points)))


def _checked(name: str, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    steps = np.diff(points)
    if points.ndim != 1 or not (np.all(steps > 0) or np.all(steps < 0)):
        what = f"has shape {points.shape}" if points.ndim != 1 else "is not monotone"
        raise ValueError(f"axis {name} {what}: weights need one list of ordered coordinates; mend /dimensions/{name}")
    return points


def evenly_spaced(points: np.ndarray) -> bool:
    """Say whether coordinates or times (length,) or (B, length) are a step apart, but for float32's rounding."""
    steps = np.diff(points, axis=-1)
    if steps.shape[-1] < 2:
        return True
    step = steps.mean(axis=-1, keepdims=True)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(points).max()  # files keep coordinates as float32
    return bool(np.all(np.abs(steps - step) <= 1e-4 * np.abs(step) + rounding))


def _edges(points: np.ndarray) -> np.ndarray:
    if len(points) == 1:
        return np.array([points[0] - 0.5, points[0] + 0.5])
    inner = (points[1:] + points[:-1]) / 2
    return np.concatenate([[2 * points[0] - inner[0]], inner, [2 * points[-1] - inner[-1]]])


def _curved_weights(name: str, points: np.ndarray, grid_type: str) -> np.ndarray:
    """Return the factor of an axis in the volume of a cell: the integral of the metric's factor from edge to edge."""
    edges = _edges(points)
    low, high = points.min(), points.max()
    if name in _RADII:
        if low < 0:
            raise ValueError(f"axis {name} of a {grid_type} grid begins at {low:g}: a radius is not negative")
        integral = np.maximum(edges, 0) ** 3 / 3
    elif name in _LOG_RADII:
        integral = np.exp(3 * (edges - high)) / 3  # less the largest: a factor, and it cannot overflow
    elif name in _COLATITUDES:
        _check_angle(name, low, high, 0, np.pi)
        integral = -np.cos(np.clip(edges, 0, np.pi))
    elif name in _LATITUDES:
        _check_angle(name, low, high, -np.pi / 2, np.pi / 2)
        integral = np.sin(np.clip(edges, -np.pi / 2, np.pi / 2))
    elif name in _LONGITUDES:
        integral = edges
    else:
        known = ", ".join(_RADII + _LOG_RADII + _COLATITUDES + _LATITUDES + _LONGITUDES)
        raise ValueError(f"axis {name} of a {grid_type} grid is none of {known}: rename it, or write it as cartesian")
    return np.abs(np.diff(integral))


def _check_angle(name: str, low: float, high: float, least: float, most: float) -> None:
    if low < least - 1e-3 or high > most + 1e-3:
        span = f"{least:.4g} to {most:.4g}"
        raise ValueError(f"axis {name} goes from {low:g} to {high:g}, not within {span}: write it in radians")


def _fejer(count: int) -> np.ndarray:
    theta = np.pi * (np.arange(count) + 0.5) / count
    k = np.arange(1, count // 2 + 1)
    return (2 / count) * (1 - 2 * np.sum(np.cos(2 * np.outer(theta, k)) / (4 * k**2 - 1), axis=1))


def _clenshaw_curtis(count: int) -> np.ndarray:
    last = count - 1
    theta = np.pi * np.arange(count) / last
    k = np.arange(1, last // 2 + 1)
    twice = np.where(2 * k == last, 1.0, 2.0)
    weights = (2 / last) * (1 - np.sum(twice * np.cos(2 * np.outer(theta, k)) / (4 * k**2 - 1), axis=1))
    weights[[0, -1]] /= 2
    return weights
