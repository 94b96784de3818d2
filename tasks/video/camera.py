"""What of a motion field is the camera's: the similarity (pan, zoom, roll) that most of the picture follows.

A robust fit on a coarse grid of the field, weighted by how much structure each cell has to be seen moving.
"""

import cv2
import numpy as np

cv2.setNumThreads(1)

CELLS = 9  # of the grid along the shorter side
_FULL = 24.0  # mean local contrast in grey levels from which a cell counts in full
_LEAST = 1e-3  # weight of a cell without any
_ROUNDS = 12
_EXACT_PX = 0.05  # scale of residuals below which all are taken for noise
_KERNEL = np.ones((3, 3), np.uint8)


def coarse_field(flow: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the mean flow (u, v) and the weight of each cell, float32 (H, W, 3), of a field over a grey picture."""
    tall, wide = image.shape
    step = min(tall, wide) / CELLS
    size = (round(wide / step), round(tall / step))
    contrast = cv2.resize(cv2.morphologyEx(image, cv2.MORPH_GRADIENT, _KERNEL), size, interpolation=cv2.INTER_AREA)
    weight = np.clip(contrast.astype(np.float32) / _FULL, _LEAST, 1)
    return np.dstack([cv2.resize(flow, size, interpolation=cv2.INTER_AREA), weight])


def camera_motion(fields: np.ndarray) -> dict[str, np.ndarray]:
    """Split coarse fields (n, H, W, 3) into camera and things; each answer float64 (n,), lengths in cells' pixels.

    The model is u = pan_x + zoom * x - roll * y, v = pan_y + roll * x + zoom * y, with x, y in cells from the centre:
    `zoom` and `roll` are per cell. `camera` is the mean length of the model over the picture, `things` the mean length
    of what it leaves, over the structured part.
    """
    count, tall, wide = fields.shape[:3]
    y, x = (np.mgrid[:tall, :wide] - np.array([(tall - 1) / 2, (wide - 1) / 2])[:, None, None]).reshape(2, 1, -1)
    u, v, weight = np.moveaxis(fields.reshape(count, -1, 3).astype(np.float64), 2, 0)
    pan_x, pan_y = _weighted_median(u, weight), _weighted_median(v, weight)
    zoom = roll = np.zeros((count, 1))
    for number in range(_ROUNDS):
        rest = np.hypot(u - pan_x - zoom * x + roll * y, v - pan_y - roll * x - zoom * y)
        if number % 3 == 0:
            scale = np.maximum(1.5 * _weighted_median(rest, weight), _EXACT_PX)
        share = weight / (1 + (rest / scale) ** 2) ** 2  # Geman and McClure: what is far off has no say
        share = share / share.sum(axis=1, keepdims=True)
        mean_x, mean_y, mean_u, mean_v = (_sum(share * value) for value in (x, y, u, v))
        dx, dy, du, dv = x - mean_x, y - mean_y, u - mean_u, v - mean_v
        spread = _sum(share * (dx * dx + dy * dy)) + 1e-9
        zoom = _sum(share * (dx * du + dy * dv)) / spread
        roll = _sum(share * (dx * dv - dy * du)) / spread
        pan_x, pan_y = mean_u - zoom * mean_x + roll * mean_y, mean_v - roll * mean_x - zoom * mean_y
    model_u, model_v = pan_x + zoom * x - roll * y, pan_y + roll * x + zoom * y
    found = {
        "pan_x": pan_x,
        "pan_y": pan_y,
        "zoom": zoom,
        "roll": roll,
        "camera": np.hypot(model_u, model_v).mean(axis=1),
        "things": _sum(weight * np.hypot(u - model_u, v - model_v)) / _sum(weight),
    }
    return {name: values.reshape(count) for name, values in found.items()}


def _sum(values: np.ndarray) -> np.ndarray:
    return values.sum(axis=1, keepdims=True)


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the least value of each row up to which half of its weight lies, (n, 1)."""
    order = np.argsort(values, axis=1, kind="stable")
    heap = np.take_along_axis(weight, order, axis=1).cumsum(axis=1)
    place = (heap < heap[:, -1:] / 2).sum(axis=1, keepdims=True)
    return np.take_along_axis(np.take_along_axis(values, order, axis=1), place, axis=1)
