"""Generated scenes drawn by a seed: the setting, the cast, and when each event begins.

Things never overlap, each shape and each colour is there once, and no thing does the same twice in a source.
"""

import numpy as np

from tasks.video.scene_events import MOST_SEEN, draw_event, event_anew
from tasks.video.scene_places import Draft, lay_out
from tasks.video.scene_words import BACKGROUNDS, BROAD, FILM, SHAPES, TEXTURES, TYPEFACES, WORDS
from tasks.video.scenes import Background, Clip, Scene, Settings, Sign, Thing

_SIGN = (0.44, 0.2)  # width and height of the sign, in heights
_SIGN_SHARE, _WORD_SHARE = 0.55, 0.45  # of sources with a sign, and with a word on a thing
_CUT = 0.4  # of events that begin in another view
_GAPS = ((0.55, 0.0, 0.0), (0.35, 0.1, 0.7), (0.03, 0.7, 1.0), (0.07, 1.02, 1.4))  # share, and bounds in max_gap_s


def draw_scene(rng: np.random.Generator, settings: Settings, split: str, *, film: bool) -> Scene:
    """Draw a scene, on a picture of the film or on a background of its own."""
    background = _background(rng, film=film)
    sign = _sign(rng, settings) if rng.random() < _SIGN_SHARE else None
    typeface = TYPEFACES[split][rng.integers(len(TYPEFACES[split]))]
    words = [str(word) for word in rng.permutation(WORDS[split])]
    draft = Draft(rng, settings, background, sign)
    _draw_cast(draft, words.pop() if rng.random() < _WORD_SHARE else "")
    lay_out(draft)
    clips: list[Clip] = []
    start = view = 0
    word = words.pop() if sign else ""
    for number in range(rng.integers(settings.min_events, settings.max_events + 1)):
        if number:
            start = clips[-1].start + clips[-1].frames + _gap(rng, settings)
            if rng.random() < _CUT:
                view, word = view + 1, words.pop() if sign else ""
                lay_out(draft)
        frames = int(
            rng.integers(round(settings.min_clip_s * settings.fps), round(settings.max_clip_s * settings.fps) + 1)
        )
        event = draw_event(draft, frames)
        if event is None:  # nothing fits where things are: they take other places, behind a cut
            view, word = view + 1, words.pop() if sign else ""
            event = event_anew(draft, frames)
        tracks, actions = event
        clips.append(Clip(start, frames, tracks, actions, view, word))
        draft.cast |= {track.after.shape: track.after for track in tracks}
        draft.done |= {(a.actor, a.verb, a.motion) for a in actions}
        draft.colours |= {track.after.colour for track in tracks}
    return Scene(background, typeface, sign, tuple(clips))


# --- the setting ---


def _background(rng: np.random.Generator, *, film: bool) -> Background:
    seed = int(rng.integers(2**31))
    if film:
        return Background(FILM, "", str(rng.choice(["as it is", "blurred", "tinted", "dimmed"])), seed)
    return Background(str(rng.choice(TEXTURES)), str(rng.choice(list(BACKGROUNDS))), "", seed)


def _sign(rng: np.random.Generator, settings: Settings) -> Sign:
    height = settings.height_px
    width, tall = (round(share * height / 2) * 2 for share in _SIGN)
    margin = round(0.04 * height)
    left = margin if rng.random() < 0.5 else settings.width_px - margin - width
    top = margin if rng.random() < 0.5 else height - margin - tall
    return Sign(left, top, width, tall)


def _draw_cast(draft: Draft, word: str) -> None:
    """Draw three to five things of different shapes and colours; at most two are large, at most four are seen."""
    rng = draft.rng
    count = int(rng.integers(3, 6))
    shapes = [str(shape) for shape in rng.permutation(SHAPES)[:count]]
    sizes = ["large", *("large" if rng.random() < 0.4 else "small" for _ in range(1, count))]
    large = np.flatnonzero(np.array(sizes) == "large")
    for extra in large[2:]:
        sizes[extra] = "small"
    order = rng.permutation(count)
    colours = [str(name) for name in rng.permutation(draft.spare())[:count]]
    if word:
        shapes = _with_broad(rng, shapes, at=int(order[0]))
    seen = int(rng.integers(2, min(MOST_SEEN, count) + 1))
    for number in range(count):
        rank = int(order[number])
        mark = word if word and number == 0 else ""
        thing = Thing(shapes[rank], colours[rank], sizes[number], mark, number < seen)
        draft.cast[thing.shape] = thing
    draft.colours |= {thing.colour for thing in draft.cast.values()}


def _with_broad(rng: np.random.Generator, shapes: list[str], *, at: int) -> list[str]:
    """Return the shapes with one at place `at` that a word fits on."""
    broad = str(rng.choice(BROAD))
    if broad in shapes:
        other = shapes.index(broad)
        shapes[at], shapes[other] = shapes[other], shapes[at]
    else:
        shapes[at] = broad
    return shapes


def _gap(rng: np.random.Generator, settings: Settings) -> int:
    """Return how many frames lie between two clips."""
    kind = _GAPS[int(rng.choice(len(_GAPS), p=[share for share, _, _ in _GAPS]))]
    return round(float(rng.uniform(kind[1], kind[2])) * settings.max_gap_s * settings.fps)
