"""How much of a picture is text (LongTake-HD, step 3): RapidOCR finds boxes, and reads them to drop those without.

Captions, titles, watermarks in letters. Detection is PP-OCRv4's over ONNX Runtime, models from the wheel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

cv2.setNumThreads(1)

NAME = "video.text_area"
VERSION = "2"
LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "rapidocr-onnxruntime")

DETECT_SHORT_SIDE_PX = 544  # what the detector sees, whatever the size of the frame
READ_SHORT_SIDE_PX = 1080  # boxes are read from a frame of at most this
LEAST_SIGNS = 2  # letters and digits: single ones are read into leaves and stones
SURE_SIGNS = 4  # as many are hardly read into anything
LEAST_CONFIDENCE = 0.6  # of what was read, 0 to 1
SHORT_CONFIDENCE = 0.9  # of fewer than SURE_SIGNS
_MULTIPLE = 32  # of pixels, that the detector's sides are
_MOST_BOXES = 40  # that are read of a frame, the largest first; more say no more
_READ_LENGTH = 8  # heights of a line, from its middle, that are read: enough to know that it is text


@dataclass(frozen=True)
class TextArea:
    """Text of one frame: share of its area under boxes, how many, the mean confidence of the reading (None: no box)."""

    share: float
    boxes: int
    confidence: float | None


def text_area(frame: np.ndarray) -> TextArea:
    """Return how much of a luma frame (uint8 (H, W)) is under text, the union of all boxes.

    Found from letters of 2.5 % of the frame's height on, at 4K as at 720p: the detector sees the frame with a short
    side of 544 px. The same result each time, on one thread.
    """
    if frame.ndim != 2 or frame.dtype != np.uint8:
        raise ValueError(f"a luma frame is uint8 (H, W), not {frame.dtype} {frame.shape}")
    readable = _at_most(frame, READ_SHORT_SIDE_PX)
    found = [(box, seen) for box in _boxes(readable) if (seen := _confidence(readable, box)) is not None]
    covered = np.zeros(readable.shape, np.uint8)
    for box, _ in found:
        cv2.fillConvexPoly(covered, np.round(box).astype(np.int32), 1)
    sure = [confidence for _, confidence in found]
    share = float(np.count_nonzero(covered)) / covered.size
    return TextArea(share, len(found), math.fsum(sure) / len(sure) if sure else None)


def mean_share(frames: Sequence[np.ndarray]) -> float | None:
    """Return the mean share over frames of a take, None where there are none."""
    return math.fsum(text_area(frame).share for frame in frames) / len(frames) if frames else None


def _at_most(frame: np.ndarray, short_side_px: int) -> np.ndarray:
    scale = short_side_px / min(frame.shape)
    if scale >= 1:
        return frame
    height, width = (max(1, round(side * scale)) for side in frame.shape)
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def _boxes(frame: np.ndarray) -> list[np.ndarray]:
    """Return the corners of what may be text, float32 (4, 2) each, clockwise from the top left, the largest first."""
    scale = min(1.0, DETECT_SHORT_SIDE_PX / min(frame.shape))
    height, width = (max(1, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in frame.shape)
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    found, _ = _engine().text_det(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR))
    if found is None or not len(found):
        return []
    back = np.array([frame.shape[1] / width, frame.shape[0] / height], np.float32)
    boxes = [np.asarray(box, np.float32) * back for box in found]
    return sorted(boxes, key=cv2.contourArea, reverse=True)[:_MOST_BOXES]


def _confidence(frame: np.ndarray, box: np.ndarray) -> float | None:
    """Return how sure the reading of a box is, or None where it holds no text."""
    across = max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[3] - box[2]))
    down = max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2]))
    width, height = max(1, int(across)), max(1, int(down))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    line = cv2.warpPerspective(
        frame,
        cv2.getPerspectiveTransform(box, corners),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if height >= 1.5 * width:  # written upwards
        line = np.ascontiguousarray(np.rot90(line))
    spare = line.shape[1] - _READ_LENGTH * line.shape[0]
    if spare > 0:
        line = line[:, spare // 2 : spare // 2 + _READ_LENGTH * line.shape[0]]
    ((text, confidence),), _ = _engine().text_rec([cv2.cvtColor(line, cv2.COLOR_GRAY2BGR)])
    signs = sum(sign.isalnum() for sign in text)
    least = LEAST_CONFIDENCE if signs >= SURE_SIGNS else SHORT_CONFIDENCE
    return float(confidence) if confidence >= least and signs >= LEAST_SIGNS else None


@cache
def _engine() -> Any:
    from rapidocr_onnxruntime import RapidOCR

    # The limit of the sides is ours, above; the engine's own, 32, leaves them as they are.
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, det_limit_type="min", det_limit_side_len=_MULTIPLE)
