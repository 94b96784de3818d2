"""Where one shot ends and the next begins, from 48x27 copies of all frames: hard cuts, dissolves, fades.

Most cuts leave no doubt, nor do most frames that are none. What lies between is shown to a network, which is dear
(some ten times the decode): a frame is doubtful where the difference stands out but not far and the picture is strange
to the one before, or where the picture is, for some frames, a mixture of two that are strange to one another.
Fades through one colour, wipes and irises are told by their own signs.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from tasks.video.likeness import SAME, only_light, small_of, strangeness
from tasks.video.mixtures import FAINT, blends, dissolves_in, runs, wipes_in

cv2.setNumThreads(1)

# uint8 (frames, 27, 48, 3) in RGB -> for each but the first and last 25 the probabilities that a shot ends with it, and
# that it belongs to a transition
Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

CONTEXT = 25  # frames that the network must see to either side of those that it judges
LONGEST = 150  # frames judged at once, at most
LEAD = 3  # frames judged before and after what is doubtful
STRANGE = 0.8  # strangeness of a frame to the one before it that only a cut (or a blank frame) has
DENIED = 0.55  # strangeness below which there is no cut, where an encoder that marks its cuts marked none
MARKED, MARKED_CUTS = 0.9, 10  # share and number of the sure cuts at I-frames, from which on an encoder is believed
FORCED = 0.9  # of the greatest distance of I-frames: what lies so far from the last may be there for that alone
LONG = 8  # frames of a dissolve over which the network spreads its answer
IN_MIXTURE = 0.3  # of the network's probability: it spreads its answer over the frames of a long dissolve
BLANK_CONTRAST = 4.0  # standard deviation of a frame of one colour, at most
BLANK_SHARE = 0.25  # ... as a share of its mean, or of the largest among those near it
BLANK_NEAR = 50  # frames
BLACK = 6.0  # mean below which that share is taken of this
FADING = 0.985  # of the contrast of the frame before: less, and it fades
FLASH_FRAMES = 6  # a flash is over after as many
DARK, BRIGHT = 80.0, 200.0  # windows whose light ends below the one are brightened to the other for the network


@dataclass(frozen=True)
class Rules:
    """What leaves no doubt. Differences on the scale of color_difference, 0 to 255; strangeness: see `strangeness`."""

    cut_difference: float  # a frame that differs by more may begin a shot
    cut_ratio: float  # ... and does if by as many times more than the frames around it
    doubt_difference: float  # below it, it does not
    doubt_ratio: float
    doubt_strangeness: float  # below it neither
    blend_strangeness: float  # between before and after a mixture
    blend_residual: float  # of a mixture from what it should be, as a share of the difference of its ends
    probability: float  # of the network, above which a shot ends


class Boundary(NamedTuple):
    """Between two shots: the one ends before frame `end`, the next begins with frame `start` (equal: a hard cut)."""

    end: int
    start: int
    kind: str  # "cut", "gradual" (dissolve, wipe), "blank" (fade through one colour)
    probability: float  # of the network; 1 where it was not asked


def find_boundaries(
    difference: np.ndarray,
    i_frame: np.ndarray,
    frames: np.ndarray,
    rules: Rules,
    judge: Judge,
    gaps: Sequence[int] = (),
) -> tuple[list[Boundary], int]:
    """Return the boundaries of a video in order of time, and how many frames the network saw.

    `difference` (N,) holds color_difference (0 for the first frame), `i_frame` (N,) which frames were coded without
    reference, `frames` (N, 27, 48, 3) the thumbnails in RGB, `gaps` the frames that begin a shot whatever they show.
    """
    small = small_of(frames)
    flash = _flashes(difference, small, rules)
    contrast = frames.reshape(len(frames), -1, 3).std(axis=1).max(axis=1)
    blank = _blank(frames, contrast) & ~flash
    strange = np.concatenate(([0.0], strangeness(small[:-1], small[1:])))
    sure, doubt = _by_difference(np.where(flash, 0, difference), strange, blank, rules)
    lights = sure & np.concatenate(([False], only_light(small[:-1], small[1:])))
    sure, doubt = sure & ~lights, doubt | lights
    marked, denied = _by_encoder(i_frame, sure)
    agreed = doubt & marked & (strange > STRANGE) & (difference > rules.cut_difference)
    sure, doubt = sure | agreed, doubt & ~agreed & ~(denied & (strange < DENIED))
    sure[list(gaps)] = True
    doubt[list(gaps)] = False
    faded = [_faded(low, high, contrast) for low, high in runs(blank) if high - low > 1]
    blend, lit = blends(small, strange=rules.blend_strangeness, residual=rules.blend_residual)
    blend &= ~blank
    dissolves, likely = dissolves_in(frames, small, sure | blank, rules.blend_strangeness)
    blend |= likely
    lit &= ~likely
    for fade in faded:
        blend[max(0, fade.end - 1) : fade.start + 1] = False
    found = [Boundary(int(at), int(at), "cut", 1.0) for at in np.flatnonzero(sure)]
    shown = np.zeros(len(frames), bool)
    for first, last in _windows(doubt | blend):
        span = np.arange(first - CONTEXT, last + CONTEXT).clip(0, len(frames) - 1)
        ends, within = judge(_lit(frames[span]))
        shown[span] = True
        known = slice(max(0, -first), len(frames) - first)
        told = _judged(ends[known], within[known], max(0, first), blend & ~lit, rules)
        found += [b for b in told if not flash[max(0, b.end - 1) : b.start + 1].any()]
    mixed = dissolves + wipes_in(small, sure | blank, rules.blend_strangeness)
    found += [Boundary(*span, "gradual", 1.0) for span in mixed]
    return _merged(found + faded), int(shown.sum())


def _blank(frames: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Say which frames are of one colour: of little contrast, and far less than their light or what is near has.

    A dark picture has little contrast, too, but as much of it as its light allows.
    """
    level = frames.reshape(len(frames), -1).mean(axis=1)
    near = cv2.dilate(contrast[:, None], np.ones((2 * BLANK_NEAR + 1, 1)))[:, 0]
    return (contrast < BLANK_CONTRAST) & (contrast < BLANK_SHARE * np.maximum(np.maximum(level, near), BLACK))


def _lit(window: np.ndarray) -> np.ndarray:
    """Return a dark window brightened: the network was trained on films by daylight."""
    light = float(np.quantile(window, 0.99))
    return window if light >= DARK else (window * (BRIGHT / max(light, 16.0))).clip(0, 255).astype(np.uint8)


def _by_difference(
    difference: np.ndarray, strange: np.ndarray, blank: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    """Return which frames surely begin a shot, and which may."""
    before, after = _largest_of(difference, (-2, -1)), _largest_of(difference, (1, 2))
    near, next_to = np.maximum(before, after), _largest_of(difference, (-1, 1))
    seen = ~blank & ~np.concatenate(([True], blank[:-1]))
    in_dark = (difference > FAINT) & (strange > STRANGE) & seen
    differs = (difference > rules.cut_difference) | in_dark
    # within two frames of another cut neither stands out from all around, but both from the frames next to them
    sure = differs & ((difference > rules.cut_ratio * near) | in_dark & (difference > rules.cut_ratio * next_to))
    may = ((difference > rules.doubt_difference) | in_dark) & (difference > rules.doubt_ratio * near)
    # two cuts within two frames hide each other, but stand out from the frames further off
    further = _largest_of(difference, (-6, -5, -4, -3, 3, 4, 5, 6))
    close = differs & (difference > rules.doubt_ratio * further)
    # a cut from a quiet shot to a fast one, or back
    step = differs & (difference > near) & (difference > rules.cut_ratio * np.minimum(before, after))
    known = strange <= rules.doubt_strangeness
    return sure & ~known, (may | close | step) & ~sure & ~known


def _by_encoder(i_frame: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at which frames the encoder saw a cut, and at which it saw none.

    Nothing is told by an encoder that puts no I-frames at the sure cuts of this video (a fixed distance), by I-frames
    at its greatest distance (forced), or by other frames closer to an I-frame than it puts two of them.
    """
    nowhere = np.zeros(len(i_frame), bool)
    places = np.flatnonzero(i_frame)
    cuts = np.flatnonzero(sure)
    if len(places) < 2 or not len(cuts):
        return nowhere, nowhere
    before = np.searchsorted(places, np.arange(len(i_frame))) - 1  # the last I-frame before each frame
    since = np.where(before >= 0, np.arange(len(i_frame)) - places[before], 0)
    marked = cuts[i_frame[cuts] & (since[cuts] > 0)]
    if not len(marked):
        return nowhere, nowhere
    least, most = since[marked].min(), np.diff(places).max()
    free = cuts[since[cuts] >= least]
    if len(marked) < MARKED_CUTS or len(marked) < MARKED * len(free):
        return nowhere, nowhere
    around = i_frame | np.append(i_frame[1:], False) | np.append(False, i_frame[:-1])
    return i_frame & (since > 0) & (since < FORCED * most), ~around & (since >= least)


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
            if _is_back(small[back], before, difference[at]) and _flashed(small[at:back], before):
                found[at : back + 1] = True
                break
    return found


def _is_back(now: np.ndarray, before: np.ndarray, difference: float) -> bool:
    left = float(np.abs(now - before).mean())
    return left < 0.25 * difference or (left < 0.5 * difference and strangeness(now[None], before[None])[0] < SAME)


def _flashed(frames: np.ndarray, before: np.ndarray) -> bool:
    """Say whether all frames are brighter, and each colour shows what it showed before, or nothing but light."""
    if any(frame.mean() - before.mean() < 5 for frame in frames):
        return False
    was = before.reshape(-1, 3) - before.reshape(-1, 3).mean(axis=0)
    for frame in frames:
        now = frame.reshape(-1, 3) - frame.reshape(-1, 3).mean(axis=0)
        alike = (was * now).sum(axis=0) > 0.6 * np.sqrt((was * was).sum(axis=0) * (now * now).sum(axis=0))
        empty = np.abs(now).mean(axis=0) < 0.4 * np.abs(was).mean(axis=0)
        if not (alike | empty).all():
            return False
    return True


def _faded(low: int, high: int, contrast: np.ndarray) -> Boundary:
    """Return the boundary of blank frames [low, high), with those that fade out before it and fade in after it."""
    while low > 1 and contrast[low - 1] < FADING * contrast[low - 2]:
        low -= 1
    while high < len(contrast) - 1 and contrast[high] < FADING * contrast[high + 1]:
        high += 1
    return Boundary(low, high, "blank", 1.0)


def _windows(doubt: np.ndarray) -> list[tuple[int, int]]:
    """Return the spans to be judged, so that every doubtful frame lies in one; those that would share most are one."""
    spans: list[tuple[int, int]] = []
    for low, high in runs(doubt):
        if spans and low - LEAD <= spans[-1][1] + CONTEXT:
            spans[-1] = spans[-1][0], high + LEAD
        else:
            spans.append((low - LEAD, high + LEAD))
    parts = [
        np.linspace(first, last, -(-(last - first) // LONGEST) + 1).round().astype(int).tolist()
        for first, last in spans
    ]
    return [span for edges in parts for span in itertools.pairwise(edges)]


def _judged(ends: np.ndarray, within: np.ndarray, first: int, blend: np.ndarray, rules: Rules) -> list[Boundary]:
    """Return the boundaries that the network tells of. Within a mixture, less will do."""
    mixture = np.zeros(len(ends), bool)
    for low, high in runs(within > 0.5):
        if high - low >= LONG:
            mixture[low:high] = blend[first + low : first + high]
    needed = np.where(mixture, IN_MIXTURE * rules.probability, rules.probability)
    found = []
    for low, high in runs(ends > needed):
        peak = low + int(np.argmax(ends[low:high]))
        reach = [run for run in runs(within > 0.5) if run[0] <= peak < run[1]]
        left, right = reach[0] if reach else (peak, peak + 1)
        if right - left > 3:
            found.append(Boundary(first + left, first + right, "gradual", float(ends[peak])))
        else:
            found.append(Boundary(first + peak + 1, first + peak + 1, "cut", float(ends[peak])))
    return found


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
