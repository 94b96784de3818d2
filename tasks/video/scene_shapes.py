"""The shapes of things in generated scenes: closed outlines about (0, 0), as wide as each other by eye."""

from functools import cache

import numpy as np

_POINTS = 72  # along a curve
_DENSE = 160  # along an outline


def _polygon(corners: int, radius: float, first_deg: float) -> np.ndarray:
    angles = np.radians(first_deg + np.arange(corners) * 360 / corners)
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def _star() -> np.ndarray:
    tips, dents = _polygon(5, 1.16, -90), _polygon(5, 0.5, -54)
    return np.stack([tips, dents], 1).reshape(-1, 2)


def _cross() -> np.ndarray:
    a, b = 0.34, 1.04
    corners = [
        (a, -b),
        (a, -a),
        (b, -a),
        (b, a),
        (a, a),
        (a, b),
        (-a, b),
        (-a, a),
        (-b, a),
        (-b, -a),
        (-a, -a),
        (-a, -b),
    ]
    return np.array(corners)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2.5], 1) / 15.5


def _crescent() -> np.ndarray:
    outer = np.radians(np.linspace(55, 305, _POINTS))
    tip = np.array([np.cos(outer[0]), np.sin(outer[0])])
    centre = 0.55  # of the inner circle, on the x axis
    radius = np.hypot(tip[0] - centre, tip[1])
    bound = np.arctan2(tip[1], tip[0] - centre)
    inner = np.linspace(2 * np.pi - bound, bound, _POINTS)
    arc = np.stack([np.cos(outer), np.sin(outer)], 1)
    dent = np.stack([centre + radius * np.cos(inner), radius * np.sin(inner)], 1)
    return 1.1 * (np.concatenate([arc, dent]) + np.array([0.25, 0]))


@cache
def contours(shape: str) -> tuple[np.ndarray, ...]:
    """Return the closed contours of a shape, (P, 2) each, y downwards; a second one is a hole."""
    made = {
        "circle": lambda: (_polygon(_POINTS, 1, 0),),
        "ring": lambda: (_polygon(_POINTS, 1.05, 0), _polygon(_POINTS, 0.55, 0)),
        "square": lambda: (_polygon(4, 1.24, 45),),
        "triangle": lambda: (_polygon(3, 1.28, -90) + np.array([0, 0.18]),),
        "hexagon": lambda: (_polygon(6, 1.08, 0),),
        "star": lambda: (_star(),),
        "cross": lambda: (_cross(),),
        "heart": lambda: (_heart(),),
        "crescent": lambda: (_crescent(),),
    }
    return made[shape]()


@cache
def outline(shape: str) -> np.ndarray:
    """Return points close to each other along the outer contour, (P, 2)."""
    corners = contours(shape)[0]
    closed = np.concatenate([corners, corners[:1]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, length[-1], _DENSE, endpoint=False)
    return np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], 1)


@cache
def extent(shape: str) -> float:
    """Return the distance of the farthest point from (0, 0)."""
    return float(np.hypot(*contours(shape)[0].T).max())
