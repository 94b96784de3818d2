"""Clips of known numbers, for tests of what is said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.video.colour_names import COLOURS, PARTS
from tasks.video.measured import SAMPLED, Measured, measured

SAMPLES = 20  # of a clip of five seconds: four in each fifth's second
PICTURES = 10


def shares_of(**by_part: Mapping[str, float]) -> np.ndarray:
    """Return shares of colours of one picture; `picture` is that of all parts that are not given."""
    parts = {"picture": "the picture", "upper": "the upper part of the picture", "left": "the left side of the picture"}
    found = np.zeros((len(PARTS), len(COLOURS)))
    for name in ("picture", *(one for one in by_part if one != "picture")):
        row = np.zeros(len(COLOURS))
        for colour, share in by_part.get(name, {}).items():
            row[COLOURS.index(colour)] = share
        found[slice(None) if name == "picture" else list(PARTS).index(parts[name])] = row
    return found


def clip(
    shares: np.ndarray | Sequence[np.ndarray] | None = None,
    changes: Sequence[float] = (0.5, 0.5, 0.5),
    light: Sequence[float] = (90.0,) * 9,
    **samples: Any,
) -> Measured:
    """Return a clip of five seconds, pts in milliseconds. Samples are numbers, or one for each of SAMPLES."""
    of_each = [shares_of() if shares is None else shares] * PICTURES if not isinstance(shares, list) else shares
    usual = {"luma": 90.0, "motion_px_s": 28.0, "camera_px_s": 15.0, "object_px_s": 15.0}
    columns = {name: np.full(SAMPLES, usual.get(name, 0.0)) for name in SAMPLED}
    for name, values in samples.items():
        columns[name] = np.broadcast_to(np.asarray(values, np.float64), SAMPLES).copy()
    colours = {
        "pts": list(range(250, 5000, 500)),
        "shares": np.asarray(of_each).tolist(),
        "light": np.broadcast_to(np.asarray(light, np.float64), (PICTURES, 9)).tolist(),
        "changes": [list(changes)] * (PICTURES - 1),
    }
    times = np.arange(SAMPLES) * 250 + 125
    return measured((0, 5000), tuple(range(500, 5000, 1000)), colours, times, columns, 16 / 9)
