"""Where the picture turns into another one bit by bit: dissolves and fades (mixtures of both), wipes and irises.

From 48x27 copies of all frames, and means of their blocks as by `likeness.small_of`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from tasks.video.likeness import by_block, even, only_light, strangeness, variety

cv2.setNumThreads(1)

WIPE_SPANS = (4, 6, 8, 11, 15)  # half lengths of wipes looked for
# frames before and after a wipe that have nothing of the other side: else it is motion
STAYS = (3, 6, 12, 18, 24, 32, 40, 48)
WIPE_SIGNS = 3  # spans in which a wipe shows itself, at least: a thing that passes by does so in one or two
BLEND_SPANS = (4, 8, 16, 24)  # half lengths of mixtures looked for, frames
STEADY_SPANS = (6, 8, 11, 15, 20, 27, 36, 46)  # half lengths of dissolves taken for such without the network
STEADY_RESIDUAL = 0.2  # of their frames from the mixture that fits best, as a share of the difference of the ends
LOOSE_RESIDUAL = 0.35  # ... below which, and whatever moves, the network is asked
STEADY_COURSE = 0.2  # by how much the share of the second picture may differ from a steady growth within
STEADY_REST = 0.18  # ... and from 0 or 1 a quarter of the span outside
STEADY_SHARE = 0.8  # of the blocks change, at least
STEADY_CONTRAST = 0.4  # of one end to that of the other, at least: else it is light that comes or goes
STEADY_PACE = 1.15  # of how strange pictures grow within a quarter of the span, to that outside: else it is motion
SAME_DETAILS = 0.3  # correlation of edges, at the best place, from which on two pictures show the same
SEARCH_PX = 5  # ... looked for so far
STAYS_STEADY = 3  # frames of the same shot before and after, at least
STEADY_SIGNS = 2  # spans that fit, at least
AROUND = (6, 12, 18, 24)  # frames before a dissolve that are not like what follows, nor those after like what was
FAINT = 2.0  # difference below which nothing is a cut, in the dark neither


def blends(small: np.ndarray, *, strange: float, residual: float) -> tuple[np.ndarray, np.ndarray]:
    """Say which frames lie in a steady mixture of what was before and what comes after (a dissolve, a fade), and which
    of these may do so only because the light changes.

    A quarter, half and three quarters of the way the picture is made up of its ends in just these shares, and the ends
    are strange to one another: motion gives the one or the other, seldom both.
    """
    found, lit = np.zeros(len(small), bool), np.zeros(len(small), bool)
    for half in BLEND_SPANS:
        if len(small) <= 2 * half:
            continue
        before, after = small[: -2 * half], small[2 * half :]
        change = after - before
        apart = np.abs(change).mean(axis=1)
        fits = apart > FAINT
        for at in (half // 2, half, half + half // 2):
            mixed = before[fits] + change[fits] * np.float32(at / (2 * half))
            left = np.abs(small[at : len(small) - 2 * half + at][fits] - mixed).mean(axis=1)
            fits[fits] = left < residual * apart[fits]
        fits[fits] = strangeness(before[fits], after[fits]) > strange
        found[half:-half] |= fits
        fits[fits] = only_light(before[fits], after[fits])
        lit[half:-half] |= fits
    for low, high in runs(found):
        if high - low == 1:
            found[low] = False
    return found, lit


@dataclass(frozen=True)
class _Spans:
    """Spans of 2 * half frames that a dissolve may fill: their first frames, and what changes from end to end."""

    half: int
    start: np.ndarray
    before: np.ndarray
    change: np.ndarray

    def where(self, mask: np.ndarray) -> "_Spans":
        return _Spans(self.half, self.start[mask], self.before[mask], self.change[mask])

    def share(self, now: np.ndarray) -> np.ndarray:
        """Return how much of the second picture is in each of `now`, by least squares."""
        along = np.einsum("ij,ij->i", now - self.before, self.change)
        return np.asarray(along / np.einsum("ij,ij->i", self.change, self.change))

    def residual(self, now: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Return how far pictures are from mixtures, as a share of the difference of the ends."""
        mixed = self.before + share[:, None] * self.change
        return np.asarray(np.abs(now - mixed).mean(axis=1) / np.abs(self.change).mean(axis=1))


class _Fit(NamedTuple):
    """A span [start, end) of frames that are mixtures, how unsteadily, and whether that leaves no doubt."""

    start: int
    end: int
    unsteady: float
    sure: bool


def dissolves_in(
    frames: np.ndarray, small: np.ndarray, edges: np.ndarray, strange: float
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Return dissolves that leave no doubt, of any length (the network knows none that are long), and which frames lie
    amid what may be others.

    From frame to frame the picture is a mixture of its ends in a steadily growing share, which rests before and after;
    the ends are of like contrast and have no edges in common (a light that changes, a focus that is racked).
    `edges` (N,) says which frames begin a shot or are blank: no dissolve reaches over them. The ends are more than
    `strange` to one another. Spans are [first frame of both pictures, first frame of the second alone).
    """
    fits = [fit for half in STEADY_SPANS for fit in _steady(frames, small, edges, half, strange)]
    sure = [fit for fit in fits if fit.sure]
    covered, likely = np.zeros(len(small), bool), np.zeros(len(small), bool)
    for fit in sure:
        covered[fit.start : fit.end] = True
    found = []
    for low, high in runs(covered):
        inside = [fit for fit in sure if low <= fit.start < high]
        if len(inside) >= STEADY_SIGNS:
            best = min(inside, key=lambda fit: fit.unsteady)
            found.append((best.start, best.end))
        else:
            covered[low:high] = False
    for fit in fits:
        quarter = (fit.end - fit.start) // 4
        likely[fit.start + quarter : fit.end - quarter] = True
    return found, likely & ~covered


def _steady(frames: np.ndarray, small: np.ndarray, edges: np.ndarray, half: int, strange: float) -> list[_Fit]:
    """Return the mixtures of a length that a dissolve gives."""
    count, length, room = len(small), 2 * half, max(4, half // 2)
    reach = first, last = _reach(edges)
    start = np.arange(max(0, count - length))
    start = start[(start - first[start] >= STAYS_STEADY) & (first[start] == first[start + length])]
    start = start[last[start + length] - start - length >= STAYS_STEADY]
    before, after = small[start], small[start + length]
    contrast = np.sort([variety(before), variety(after)], axis=0)
    fits = (np.abs(after - before).mean(axis=1) > 2 * FAINT) & (contrast[0] > STEADY_CONTRAST * contrast[1])
    fits[fits] = strangeness(before[fits], after[fits]) > strange
    fits[fits] = strangeness(even(before[fits]), even(after[fits])) > strange
    spans = _Spans(half, start[fits], before[fits], after[fits] - before[fits])
    course, residual = np.zeros((2, len(spans.start)))
    for part in range(1, 8):
        now = small[spans.start + round(length * part / 8)]
        share = spans.share(now)
        course = np.maximum(course, np.abs(share - part / 8))
        residual = np.maximum(residual, spans.residual(now, share))
        fits = (course < STEADY_COURSE) & (residual < LOOSE_RESIDUAL)
        spans, course, residual = spans.where(fits), course[fits], residual[fits]
    changed = by_block(spans.change)
    fits = (changed > 0.25 * changed.mean(axis=1, keepdims=True)).mean(axis=1) > STEADY_SHARE
    rest = np.abs(_unrest(spans, small, reach, room)).max(axis=0)
    fits &= rest < STEADY_REST
    for far in AROUND:
        fits &= _unrest(spans, small, reach, far).max(axis=0) < 0.5
    spans, unsteady = spans.where(fits), (course + rest)[fits]
    sure = (residual[fits] < STEADY_RESIDUAL) & _outruns_motion(spans, small, reach)
    return [
        _Fit(at + 1, at + length, float(left), bool(calm) and not _show_the_same(frames[at], frames[at + length]))
        for at, left, calm in zip(spans.start.tolist(), unsteady, sure, strict=True)
    ]


def _reach(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last frame of the stretch without edges that each frame lies in."""
    number = np.arange(len(edges))
    first = np.maximum.accumulate(np.where(edges, number, 0))
    next_edge = np.minimum.accumulate(np.where(edges, number, len(edges))[::-1])[::-1]
    return first, np.append(next_edge[1:], len(edges)) - 1


def _unrest(spans: _Spans, small: np.ndarray, reach: tuple[np.ndarray, np.ndarray], far: int) -> np.ndarray:
    """Return (2, spans): what is there of the second picture `far` frames before, and of the first so long after."""
    first, last = reach
    end = spans.start + 2 * spans.half
    earlier = spans.share(small[np.maximum(spans.start - far, first[spans.start])])
    later = spans.share(small[np.minimum(end + far, last[end])])
    return np.stack([earlier, 1 - later])


def _outruns_motion(spans: _Spans, small: np.ndarray, reach: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Say in which spans pictures grow strange to one another sooner than before and after, whatever their light."""
    first, last = reach
    end, middle, step = spans.start + 2 * spans.half, spans.start + spans.half, spans.half // 2
    pairs = [
        (middle - (step + 1) // 2, middle + step // 2),
        (np.maximum(spans.start - step, first[spans.start]), spans.start),
        (end, np.minimum(end + step, last[end])),
    ]
    inside, earlier, later = (strangeness(even(small[one]), even(small[other])) for one, other in pairs)
    return np.asarray(inside > STEADY_PACE * np.maximum(earlier, later))


def _show_the_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether two thumbnails have edges in common, in whatever light, some pixels apart."""
    inner = _edges(other)[SEARCH_PX:-SEARCH_PX, SEARCH_PX:-SEARCH_PX]
    return float(cv2.matchTemplate(_edges(one), inner, cv2.TM_CCOEFF_NORMED).max()) > SAME_DETAILS


def _edges(frame: np.ndarray) -> np.ndarray:
    """Return what stands out from around it, everywhere to the same degree."""
    grey = frame.astype(np.float32).mean(axis=2)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    return np.asarray(detail / (1 + np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 2.5))))


def wipes_in(small: np.ndarray, sure: np.ndarray, strange: float) -> list[tuple[int, int]]:
    """Return the spans of wipes and irises, [first frame that turns, first that has turned).

    Block by block the picture turns from what was before to what comes after, and stays so; these are more than
    `strange` to one another, and no frame that is `sure` to begin a shot lies within. The network knows no wipes.
    """
    places, halves = [], []
    for half in WIPE_SPANS:
        at = _turned(small, sure, half, strange)
        places.append(at)
        halves.append(np.full(len(at), half))
    starts, lengths = np.concatenate(places), 2 * np.concatenate(halves)
    covered = np.zeros(len(small), bool)
    for start, length in zip(starts, lengths, strict=True):
        covered[start : start + length] = True
    found = []
    for low, high in runs(covered):
        inside = (starts >= low) & (starts < high)
        if inside.sum() >= WIPE_SIGNS:
            widest = inside & (lengths == lengths[inside].max())
            first = round(float(starts[widest].mean()))
            found.append((first, first + int(lengths[widest][0])))
    return found


def _turned(small: np.ndarray, sure: np.ndarray, half: int, strange: float) -> np.ndarray:
    """Return the first frames of spans of 2 * half frames in which the picture turns as in a wipe."""
    if len(small) <= 4 * half:
        return np.empty(0, int)
    before, after = small[: -2 * half], small[2 * half :]
    cuts = np.concatenate(([0], np.cumsum(sure)))
    whole = cuts[2 * half + 1 :] == cuts[: -2 * half - 1]
    at = np.flatnonzero(whole & (strangeness(before, after) > strange))
    change = by_block(after[at] - before[at])
    mean = change.mean(axis=1)
    everywhere = (change > 0.25 * mean[:, None]).mean(axis=1) > 0.84
    at, change, mean = (values[everywhere & (mean > 2 * FAINT)] for values in (at, change, mean))
    turned = np.zeros(change.shape, bool)
    for share in (0.25, 0.5, 0.75):
        now = small[at + round(2 * half * share)]
        to_before, to_after = by_block(now - before[at]), by_block(now - after[at])
        new = to_after < to_before
        fits = np.minimum(to_before, to_after).mean(axis=1) < 0.25 * mean
        fits &= (np.abs(new.mean(axis=1) - share) < 0.2) & ((turned & ~new).mean(axis=1) < 0.06)
        at, mean, turned = at[fits], mean[fits], new[fits]
    first, last = _reach(sure)
    end = at + 2 * half
    fits = np.ones(len(at), bool)
    for far in STAYS:  # frames before and after, in which nothing was seen of what comes, and is of what was
        earlier, later = np.maximum(at - far, first[at]), np.minimum(end + far, last[at])
        for one, other in ((earlier, end), (at, later), (earlier, later)):
            fits &= strangeness(small[one], small[other]) > strange
    return at[fits]


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the spans [first, last) where a mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(low), int(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]
