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

cv2.setNumThreads(1)

# uint8 (frames, 27, 48, 3) in RGB -> for each but the first and last 25 the probabilities that a shot ends with it, and
# that it belongs to a transition
Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

CONTEXT = 25  # frames that the network must see to either side of those that it judges
LONGEST = 150  # frames judged at once, at most
LEAD = 3  # frames judged before and after what is doubtful
WIPE_SPANS = (4, 6, 8, 11, 15)  # half lengths of wipes looked for
STAYS = (
    3,
    6,
    12,
    18,
    24,
    32,
    40,
    48,
)  # frames before and after a wipe with nothing of the other side: else it is motion
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
SAME = 0.4  # strangeness below which two pictures show the same
STRANGE = 0.8  # strangeness of a frame to the one before it that only a cut (or a blank frame) has
DENIED = 0.55  # strangeness below which there is no cut, where an encoder that marks its cuts marked none
MARKED, MARKED_CUTS = 0.9, 10  # share and number of the sure cuts at I-frames, from which on an encoder is believed
FORCED = 0.9  # of the greatest distance of I-frames: what lies so far from the last may be there for that alone
LONG = 8  # frames of a dissolve over which the network spreads its answer
IN_MIXTURE = 0.3  # of the network's probability: it spreads its answer over the frames of a long dissolve
FAINT = 2.0  # difference below which nothing is a cut, in the dark neither
GRID = (9, 12)  # blocks that a frame is looked at by
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
    small = _small(frames)
    flash = _flashes(difference, small, rules)
    contrast = frames.reshape(len(frames), -1, 3).std(axis=1).max(axis=1)
    blank = _blank(frames, contrast) & ~flash
    strange = np.concatenate(([0.0], strangeness(small[:-1], small[1:])))
    sure, doubt = _by_difference(np.where(flash, 0, difference), strange, blank, rules)
    lights = sure & np.concatenate(([False], _only_light(small[:-1], small[1:])))
    sure, doubt = sure & ~lights, doubt | lights
    marked, denied = _by_encoder(i_frame, sure)
    agreed = doubt & marked & (strange > STRANGE) & (difference > rules.cut_difference)
    sure, doubt = sure | agreed, doubt & ~agreed & ~(denied & (strange < DENIED))
    sure[list(gaps)] = True
    doubt[list(gaps)] = False
    faded = [_faded(low, high, contrast) for low, high in runs(blank) if high - low > 1]
    blend, lit = _blends(small, rules)
    blend &= ~blank
    dissolves, likely = _dissolves(frames, small, sure | blank, rules)
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
    return _merged(found + faded + dissolves + _wipes(small, sure | blank, rules)), int(shown.sum())


def _small(frames: np.ndarray) -> np.ndarray:
    """Return means of blocks of 4x3 pixels, float32 (N, 9 * 12 * 3)."""
    count = len(frames)
    blocks = frames.reshape(count, GRID[0], 3, GRID[1], 4, 3).sum(axis=(2, 4), dtype=np.uint16)
    return (blocks.reshape(count, -1) / np.float32(12)).astype(np.float32)


def strangeness(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Return how strange pictures are to others, float (N,): their difference as a share of that from unrelated ones.

    About 1 for two pictures that have nothing to do with one another, whatever their light and contrast; 0 for equal
    ones. Unrelated are the others mirrored: of the same light and colours, with nothing where it was. Both as by
    `_small`.
    """
    apart = np.abs(these - those).mean(axis=1)
    grid = those.reshape(len(those), *GRID, 3)
    mirrored = (grid[:, :, ::-1], grid[:, ::-1], grid[:, ::-1, ::-1])
    unrelated = np.min([np.abs(these - m.reshape(these.shape)).mean(axis=1) for m in mirrored], axis=0)
    varied = np.maximum(_variety(these), _variety(those))  # the least that it can be, where both are symmetric
    return np.asarray(apart / np.maximum(np.maximum(unrelated, varied), 0.5))


def _variety(small: np.ndarray) -> np.ndarray:
    """Return the mean absolute deviation of pictures from their mean colours."""
    pixels = small.reshape(len(small), GRID[0] * GRID[1], 3)
    return np.asarray(np.abs(pixels - pixels.mean(axis=1, keepdims=True)).mean(axis=(1, 2)))


def _only_light(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Say which pictures show the same as others in another light: strange only until both have the same contrast."""
    return strangeness(_even(these), _even(those)) < SAME


def _even(small: np.ndarray) -> np.ndarray:
    """Return pictures with a mean of 0 in each colour and a standard deviation of 32."""
    pixels = small.reshape(len(small), GRID[0] * GRID[1], 3)
    pixels = pixels - pixels.mean(axis=1, keepdims=True)
    return np.asarray(32 * pixels / np.maximum(pixels.std(axis=(1, 2), keepdims=True), 1)).reshape(small.shape)


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


def _blends(small: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
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
            residual = np.abs(small[at : len(small) - 2 * half + at][fits] - mixed).mean(axis=1)
            fits[fits] = residual < rules.blend_residual * apart[fits]
        fits[fits] = strangeness(before[fits], after[fits]) > rules.blend_strangeness
        found[half:-half] |= fits
        fits[fits] = _only_light(before[fits], after[fits])
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


def _dissolves(
    frames: np.ndarray, small: np.ndarray, edges: np.ndarray, rules: Rules
) -> tuple[list[Boundary], np.ndarray]:
    """Return dissolves that leave no doubt, of any length (the network knows none that are long), and which frames lie
    amid what may be others.

    From frame to frame the picture is a mixture of its ends in a steadily growing share, which rests before and after;
    the ends are of like contrast and have no edges in common (a light that changes, a focus that is racked).
    `edges` (N,) says which frames begin a shot or are blank: no dissolve reaches over them.
    """
    fits = [fit for half in STEADY_SPANS for fit in _steady(frames, small, edges, half, rules)]
    sure = [fit for fit in fits if fit.sure]
    covered, likely = np.zeros(len(small), bool), np.zeros(len(small), bool)
    for fit in sure:
        covered[fit.start : fit.end] = True
    found = []
    for low, high in runs(covered):
        inside = [fit for fit in sure if low <= fit.start < high]
        if len(inside) >= STEADY_SIGNS:
            best = min(inside, key=lambda fit: fit.unsteady)
            found.append(Boundary(best.start, best.end, "gradual", 1.0))
        else:
            covered[low:high] = False
    for fit in fits:
        quarter = (fit.end - fit.start) // 4
        likely[fit.start + quarter : fit.end - quarter] = True
    return found, likely & ~covered


def _steady(frames: np.ndarray, small: np.ndarray, edges: np.ndarray, half: int, rules: Rules) -> list[_Fit]:
    """Return the mixtures of a length that a dissolve gives."""
    count, length, room = len(small), 2 * half, max(4, half // 2)
    reach = first, last = _reach(edges)
    start = np.arange(max(0, count - length))
    start = start[(start - first[start] >= STAYS_STEADY) & (first[start] == first[start + length])]
    start = start[last[start + length] - start - length >= STAYS_STEADY]
    before, after = small[start], small[start + length]
    contrast = np.sort([_variety(before), _variety(after)], axis=0)
    fits = (np.abs(after - before).mean(axis=1) > 2 * FAINT) & (contrast[0] > STEADY_CONTRAST * contrast[1])
    fits[fits] = strangeness(before[fits], after[fits]) > rules.blend_strangeness
    fits[fits] = strangeness(_even(before[fits]), _even(after[fits])) > rules.blend_strangeness
    spans = _Spans(half, start[fits], before[fits], after[fits] - before[fits])
    course, residual = np.zeros((2, len(spans.start)))
    for part in range(1, 8):
        now = small[spans.start + round(length * part / 8)]
        share = spans.share(now)
        course = np.maximum(course, np.abs(share - part / 8))
        residual = np.maximum(residual, spans.residual(now, share))
        fits = (course < STEADY_COURSE) & (residual < LOOSE_RESIDUAL)
        spans, course, residual = spans.where(fits), course[fits], residual[fits]
    by_block = _by_block(spans.change)
    fits = (by_block > 0.25 * by_block.mean(axis=1, keepdims=True)).mean(axis=1) > STEADY_SHARE
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
    inside, earlier, later = (strangeness(_even(small[one]), _even(small[other])) for one, other in pairs)
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


def _wipes(small: np.ndarray, sure: np.ndarray, rules: Rules) -> list[Boundary]:
    """Return wipes and irises: block by block the picture turns from what was before to what comes after, and stays so.

    The network was not trained on them.
    """
    places, halves = [], []
    for half in WIPE_SPANS:
        at = _turned(small, sure, half, rules)
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
            found.append(Boundary(first, first + int(lengths[widest][0]), "gradual", 1.0))
    return found


def _turned(small: np.ndarray, sure: np.ndarray, half: int, rules: Rules) -> np.ndarray:
    """Return the first frames of spans of 2 * half frames in which the picture turns as in a wipe."""
    if len(small) <= 4 * half:
        return np.empty(0, int)
    before, after = small[: -2 * half], small[2 * half :]
    cuts = np.concatenate(([0], np.cumsum(sure)))
    whole = cuts[2 * half + 1 :] == cuts[: -2 * half - 1]
    at = np.flatnonzero(whole & (strangeness(before, after) > rules.blend_strangeness))
    change = _by_block(after[at] - before[at])
    mean = change.mean(axis=1)
    everywhere = (change > 0.25 * mean[:, None]).mean(axis=1) > 0.84
    at, change, mean = (values[everywhere & (mean > 2 * FAINT)] for values in (at, change, mean))
    turned = np.zeros(change.shape, bool)
    for share in (0.25, 0.5, 0.75):
        now = small[at + round(2 * half * share)]
        to_before, to_after = _by_block(now - before[at]), _by_block(now - after[at])
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
            fits &= strangeness(small[one], small[other]) > rules.blend_strangeness
    return at[fits]


def _by_block(change: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(change).reshape(len(change), GRID[0] * GRID[1], 3).mean(axis=2))


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
