"""Where one shot ends and the next begins, from 48x27 copies of all frames: hard cuts, dissolves, fades.

Most cuts leave no doubt, nor do most frames that are none. What lies between is shown to a network, which is dear
(some ten times the decode): a frame is doubtful where the difference stands out but not far, or where the picture is,
for some frames, a mixture of what was before and what comes after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# uint8 (100, 27, 48, 3) in RGB -> for each of the middle 50 the probabilities that a shot ends with it, and that it
# belongs to a transition
Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

ANSWERED, CONTEXT = 50, 25  # frames that the network judges at once, and that it must see to either side of them
LEAD = 10  # frames judged before the first that is doubtful
BLEND_SPANS = (4, 8, 16, 32)  # half lengths of mixtures looked for, frames
BLANK_CONTRAST = 4.0  # standard deviation of a frame of one colour, at most
FADING = 0.985  # of the contrast of the frame before: less, and it fades
FLASH_FRAMES = 6  # a flash is over after as many


@dataclass(frozen=True)
class Rules:
    """What leaves no doubt. Differences on the scale of color_difference, 0 to 255."""

    cut_difference: float  # a frame that differs by more may begin a shot
    cut_ratio: float  # ... and does if by as many times more than the frames around it
    doubt_difference: float  # below it, it does not
    doubt_ratio: float
    blend_difference: float  # between before and after a mixture
    blend_residual: float  # of a mixture from the mean of its ends, as a share of their difference
    probability: float  # of the network, above which a shot ends


class Boundary(NamedTuple):
    """Between two shots: the one ends before frame `end`, the next begins with frame `start` (equal: a hard cut)."""

    end: int
    start: int
    kind: str  # "cut", "gradual" (dissolve, wipe), "blank" (fade through one colour)
    probability: float  # of the network; 1 where it was not asked


def find_boundaries(
    difference: np.ndarray, frames: np.ndarray, rules: Rules, judge: Judge
) -> tuple[list[Boundary], int]:
    """Return the boundaries of a video in order of time, and how many frames the network saw.

    `difference` (N,) holds color_difference (0 for the first frame), `frames` (N, 27, 48, 3) the thumbnails in RGB.
    """
    small = _small(frames)
    flash = _flashes(difference, small, rules)
    sure, doubt = _by_difference(np.where(flash, 0, difference), rules)
    contrast = frames.reshape(len(frames), -1, 3).std(axis=1).max(axis=1)
    blank = contrast < BLANK_CONTRAST
    doubt |= _blends(small, rules) & ~blank
    found = [Boundary(int(at), int(at), "cut", 1.0) for at in np.flatnonzero(sure)]
    shown = np.zeros(len(frames), bool)
    for first in _windows(doubt):
        span = np.arange(first - CONTEXT, first + ANSWERED + CONTEXT).clip(0, len(frames) - 1)
        ends, within = judge(frames[span])
        shown[span] = True
        known = slice(max(0, -first), len(frames) - first)
        told = _judged(ends[known], within[known], max(0, first), rules)
        found += [b for b in told if not flash[max(0, b.end - 1) : b.start + 1].any()]
    found += [_faded(low, high, contrast) for low, high in runs(blank) if high - low > 1]
    return _merged(found), int(shown.sum())


def _small(frames: np.ndarray) -> np.ndarray:
    """Return means of blocks of 4x3 pixels, float32 (N, 9 * 12 * 3)."""
    count = len(frames)
    blocks = frames.reshape(count, 9, 3, 12, 4, 3).sum(axis=(2, 4), dtype=np.uint16)
    return (blocks.reshape(count, -1) / np.float32(12)).astype(np.float32)


def _by_difference(difference: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Return which frames surely begin a shot, and which may."""
    before, after = _largest_of(difference, (-2, -1)), _largest_of(difference, (1, 2))
    near = np.maximum(before, after)
    sure = (difference > rules.cut_difference) & (difference > rules.cut_ratio * near)
    may = (difference > rules.doubt_difference) & (difference > rules.doubt_ratio * near)
    # two cuts within two frames hide each other, but stand out from the frames further off
    further = _largest_of(difference, (-6, -5, -4, -3, 3, 4, 5, 6))
    close = (difference > rules.cut_difference) & (difference > rules.doubt_ratio * further)
    # a cut from a quiet shot to a fast one, or back
    step = (difference > rules.cut_difference) & (difference > near)
    step &= difference > rules.cut_ratio * np.minimum(before, after)
    return sure, (may | close | step) & ~sure


def _largest_of(values: np.ndarray, shifts: Sequence[int]) -> np.ndarray:
    """Return for each frame the largest value of the frames so many places from it."""
    room = max(map(abs, shifts))
    padded = np.pad(values, room)
    return np.max([padded[room + shift : room + shift + len(values)] for shift in shifts], axis=0)


def _flashes(difference: np.ndarray, small: np.ndarray, rules: Rules) -> np.ndarray:
    """Say which frames differ only because light flashes: soon after, the picture is as it was before.

    Not for a short insert of another shot: a flash shows the same picture, only brighter, or nothing but white.
    """
    found = np.zeros(len(small), bool)
    for at in np.flatnonzero(difference > rules.doubt_difference).tolist():
        if found[at] or at == 0:
            continue
        before = small[at - 1]
        for back in range(at + 1, min(at + 1 + FLASH_FRAMES, len(small))):
            if np.abs(small[back] - before).mean() < 0.25 * difference[at] and _only_light(small[at:back], before):
                found[at : back + 1] = True
                break
    return found


def _only_light(frames: np.ndarray, before: np.ndarray) -> bool:
    flat = before - before.mean()
    for frame in frames:
        brighter = frame.mean() - before.mean()
        other = frame - frame.mean()
        alike = float(flat @ other) > 0.7 * float(np.sqrt((flat @ flat) * (other @ other)))
        if brighter < 5 or not (alike or frame.min() > 200):
            return False
    return True


def _blends(small: np.ndarray, rules: Rules) -> np.ndarray:
    """Say which frames are the mean of one before and one after that differ much: the sign of a dissolve or fade."""
    found = np.zeros(len(small), bool)
    for span in BLEND_SPANS:
        if len(small) <= 2 * span:
            continue
        before, now, after = small[: -2 * span], small[span:-span], small[2 * span :]
        apart = np.abs(after - before).mean(axis=1)
        residual = np.abs(now - (after + before) / 2).mean(axis=1)
        found[span:-span] |= (apart > rules.blend_difference) & (residual < rules.blend_residual * apart)
    return found


def _faded(low: int, high: int, contrast: np.ndarray) -> Boundary:
    """Return the boundary of blank frames [low, high), with those that fade out before it and fade in after it."""
    while low > 1 and contrast[low - 1] < FADING * contrast[low - 2]:
        low -= 1
    while high < len(contrast) - 1 and contrast[high] < FADING * contrast[high + 1]:
        high += 1
    return Boundary(low, high, "blank", 1.0)


def _windows(doubt: np.ndarray) -> list[int]:
    """Return the first frame of each span to be judged, so that every doubtful frame lies in one."""
    firsts: list[int] = []
    for at in np.flatnonzero(doubt):
        if not firsts or at >= firsts[-1] + ANSWERED:
            firsts.append(int(at) - LEAD)
    return firsts


def _judged(ends: np.ndarray, within: np.ndarray, first: int, rules: Rules) -> list[Boundary]:
    found = []
    for low, high in runs(ends > rules.probability):
        peak = low + int(np.argmax(ends[low:high]))
        reach = [run for run in runs(within > 0.5) if run[0] <= peak < run[1]]
        left, right = reach[0] if reach else (peak, peak + 1)
        if right - left > 3:
            found.append(Boundary(first + left, first + right, "gradual", float(ends[peak])))
        else:
            found.append(Boundary(first + peak + 1, first + peak + 1, "cut", float(ends[peak])))
    return found


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the spans [first, last) where a mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(low), int(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]


def _merged(found: Sequence[Boundary]) -> list[Boundary]:
    """Join boundaries that overlap or touch: what was found twice is one."""
    merged: list[Boundary] = []
    for one in sorted(found):
        if merged and one.end <= merged[-1].start + 1:
            last = merged[-1]
            kind = next(k for k in ("blank", "gradual", "cut") if k in (last.kind, one.kind))
            if kind == "cut":  # seen twice, a frame apart: the surer says where
                merged[-1] = max(last, one, key=lambda b: b.probability)
            else:
                span = min(last.end, one.end), max(last.start, one.start)
                merged[-1] = Boundary(*span, kind, max(last.probability, one.probability))
        else:
            merged.append(one)
    return merged
