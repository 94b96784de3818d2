"""What happens in a generated source video: a setting, a cast of things, and a chain of events, drawn by a seed.

Nothing is drawn or told here: each clip says where each thing is in each of its frames, and what it does. Things never
overlap, each shape and each colour is there once, and no thing does the same twice in a source.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tasks.video.scene_shapes import extent, outline
from tasks.video.scene_words import (
    BACKGROUNDS,
    BROAD,
    CIRCLES,
    COLOURS,
    DIRECTIONS,
    FILM,
    ROUND,
    SHAPES,
    SIZES,
    TEXTURES,
    TYPEFACES,
    UNLIKE,
    VERBS,
    WORDS,
    Typeface,
)

MOST_SEEN = 4  # things at a time
_TRIES = 60  # of a layout, and of an event
_GAP = 0.035  # in heights, that things keep from each other and from the edge
_SIGN = (0.44, 0.2)  # width and height of the sign, in heights
_SIGN_SHARE, _WORD_SHARE = 0.55, 0.45  # of sources with a sign, and with a word on a thing
_WITH_OTHER = 0.35  # of events in which a second thing moves
_CUT = 0.4  # of events that begin in another view
_GAPS = ((0.5, 0.0, 0.0), (0.42, 0.25, 1.0), (0.08, 1.02, 1.5))  # share, and bounds in max_gap_s
_BLINK_S = 0.7
_TOUCH_PX = 1.5  # between points of two outlines that touch
_LIKELY = dict(zip(VERBS, (5, 1.5, 1.5, 1, 1.5, 1, 1, 1, 1), strict=True))


@dataclass(frozen=True)
class Settings:
    """What all sources have in common."""

    width_px: int
    height_px: int
    fps: int
    min_events: int
    max_events: int
    min_clip_s: float
    max_clip_s: float
    max_gap_s: float  # most gaps between clips of a source are no longer


@dataclass(frozen=True)
class Background:
    """`colour` is empty for a film picture, whose look is `style`."""

    texture: str
    colour: str
    style: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Sign:
    """A board with a word, its left top corner and size in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Thing:
    """A member of the cast as it is between events; x and y in pixels, of its centre."""

    shape: str
    colour: str
    size: str
    word: str = ""
    seen: bool = True
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Track:
    """One thing over the N frames of a clip; arrays are (N,)."""

    before: Thing
    after: Thing
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray  # pixels
    angle: np.ndarray  # degrees, clockwise
    seen: np.ndarray  # bool
    recoloured_at: int  # the first frame in its last colour; 0 where that is its only one

    def colour_at(self, frame: int) -> str:
        """Return the name of the colour in a frame."""
        return self.before.colour if frame < self.recoloured_at else self.after.colour


@dataclass(frozen=True)
class Action:
    """What a thing does in a clip. `frame` is the first frame of what happens at once, or of contact."""

    actor: str  # its shape
    verb: str
    motion: str = ""  # of "moves"
    other: str = ""  # shape of what it collides with
    frame: int = 0


@dataclass(frozen=True)
class Clip:
    """An event: frames [start, start + frames) of the source. `view` counts the cuts before it."""

    start: int
    frames: int
    tracks: tuple[Track, ...]  # of the things that are seen in it at some time
    actions: tuple[Action, ...]
    view: int
    word: str  # on the sign, empty where there is none


@dataclass(frozen=True)
class Scene:
    """A source video. Frames in no clip show the end of the clip before, held."""

    background: Background
    typeface: Typeface
    sign: Sign | None
    clips: tuple[Clip, ...]

    @property
    def frames(self) -> int:
        last = self.clips[-1]
        return last.start + last.frames


@dataclass
class _State:
    """A scene while it is drawn."""

    rng: np.random.Generator
    settings: Settings
    background: Background
    sign: Sign | None
    cast: dict[str, Thing] = field(default_factory=dict)
    done: set[tuple[str, str, str]] = field(default_factory=set)
    colours: set[str] = field(default_factory=set)  # that were seen

    @property
    def height(self) -> int:
        return self.settings.height_px

    def radius(self, size: str) -> float:
        return SIZES[size] * self.height

    def seen(self) -> list[Thing]:
        return [thing for thing in self.cast.values() if thing.seen]

    def spare(self) -> list[str]:
        """Return the colours that were not seen yet and that the background does not hide."""
        hidden = {self.background.colour, *UNLIKE.get(self.background.colour, ())}
        return [name for name in COLOURS if name not in self.colours | hidden]


def draw_scene(rng: np.random.Generator, settings: Settings, split: str, *, film: bool) -> Scene:
    """Draw a scene, on a picture of the film or on a background of its own."""
    background = _background(rng, film=film)
    sign = _sign(rng, settings) if rng.random() < _SIGN_SHARE else None
    typeface = TYPEFACES[split][rng.integers(len(TYPEFACES[split]))]
    words = [str(word) for word in rng.permutation(WORDS[split])]
    state = _State(rng, settings, background, sign)
    _draw_cast(state, words.pop() if rng.random() < _WORD_SHARE else "")
    _lay_out(state)
    clips: list[Clip] = []
    start = view = 0
    word = words.pop() if sign else ""
    for number in range(rng.integers(settings.min_events, settings.max_events + 1)):
        if number:
            start = clips[-1].start + clips[-1].frames + _gap(rng, settings)
            if rng.random() < _CUT:
                view, word = view + 1, words.pop() if sign else ""
                _lay_out(state)
        frames = int(
            rng.integers(round(settings.min_clip_s * settings.fps), round(settings.max_clip_s * settings.fps) + 1)
        )
        event = _event(state, frames)
        if event is None:  # nothing fits where things are: they take other places, behind a cut
            view, word = view + 1, words.pop() if sign else ""
            event = _event_anew(state, frames)
        tracks, actions = event
        clips.append(Clip(start, frames, tracks, actions, view, word))
        state.cast |= {track.after.shape: track.after for track in tracks}
        state.done |= {(a.actor, a.verb, a.motion) for a in actions}
        state.colours |= {track.after.colour for track in tracks}
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


def _draw_cast(state: _State, word: str) -> None:
    """Draw three to five things of different shapes and colours; at most two are large, at most four are seen."""
    rng = state.rng
    count = int(rng.integers(3, 6))
    shapes = [str(shape) for shape in rng.permutation(SHAPES)[:count]]
    sizes = ["large", *("large" if rng.random() < 0.4 else "small" for _ in range(1, count))]
    large = np.flatnonzero(np.array(sizes) == "large")
    for extra in large[2:]:
        sizes[extra] = "small"
    order = rng.permutation(count)
    colours = [str(name) for name in rng.permutation(state.spare())[:count]]
    if word:
        shapes = _with_broad(rng, shapes, at=int(order[0]))
    seen = int(rng.integers(2, min(MOST_SEEN, count) + 1))
    for number in range(count):
        rank = int(order[number])
        mark = word if word and number == 0 else ""
        thing = Thing(shapes[rank], colours[rank], sizes[number], mark, number < seen)
        state.cast[thing.shape] = thing
    state.colours |= {thing.colour for thing in state.cast.values()}


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


# --- places ---


def _lay_out(state: _State) -> None:
    """Give each thing that is seen a place of its own."""
    for _ in range(_TRIES):
        placed: list[Thing] = []
        for thing in sorted(state.seen(), key=lambda thing: thing.size):  # the large ones first
            place = _free_place(state, thing, placed)
            if place is None:
                break
            placed.append(replace(thing, x=place[0], y=place[1]))
        else:
            state.cast |= {thing.shape: thing for thing in placed}
            return
    raise ValueError("the picture is too small for the things: raise make_clips.width_px")


def _free_place(state: _State, thing: Thing, others: Sequence[Thing]) -> tuple[float, float] | None:
    reach = _reach(state, thing)
    for _ in range(_TRIES):
        x = float(state.rng.uniform(reach, state.settings.width_px - reach))
        y = float(state.rng.uniform(reach, state.height - reach))
        track = _resting(state, replace(thing, x=x, y=y), 1)
        if _is_clear(state, track, [_resting(state, other, 1) for other in others]):
            return x, y
    return None


def _reach(state: _State, thing: Thing) -> float:
    return extent(thing.shape) * state.radius(thing.size) + _GAP * state.height


def _is_clear(state: _State, track: Track, others: Sequence[Track]) -> bool:
    """Say whether a thing stays inside the picture, off the sign and off the other things, in all frames."""
    reach = extent(track.before.shape) * track.radius + _GAP * state.height
    width, height = state.settings.width_px, state.height
    if (track.x < reach).any() or (track.x > width - reach).any():
        return False
    if (track.y < reach).any() or (track.y > height - reach).any():
        return False
    if state.sign is not None:
        aside = np.maximum(np.maximum(state.sign.left - track.x, track.x - state.sign.left - state.sign.width), 0)
        above = np.maximum(np.maximum(state.sign.top - track.y, track.y - state.sign.top - state.sign.height), 0)
        if (np.hypot(aside, above) < reach).any():
            return False
    for other in others:
        apart = reach + extent(other.before.shape) * other.radius
        if (np.hypot(track.x - other.x, track.y - other.y) < apart).any():
            return False
    return True


# --- events ---

_Event = tuple[tuple[Track, ...], tuple[Action, ...]]


def _event_anew(state: _State, frames: int) -> _Event:
    for _ in range(_TRIES):
        _lay_out(state)
        event = _event(state, frames)
        if event is not None:
            return event
    raise ValueError("the picture is too small for events: raise make_clips.width_px")


def _event(state: _State, frames: int) -> _Event | None:
    """Draw an event of `frames` frames that the things have room for, or None."""
    rng = state.rng
    likely = np.array([_LIKELY[verb] for verb in VERBS])
    for verb in rng.choice(VERBS, size=len(VERBS), replace=False, p=likely / likely.sum()):
        for thing in _shuffled(rng, list(state.cast.values())):
            moved = _acting(state, thing, str(verb), frames)
            if moved is None:
                continue
            tracks, action = moved
            actions = [action]
            if action.verb != "collides" and rng.random() < _WITH_OTHER:
                tracks, actions = _with_second(state, tracks, action, frames)
            return tuple(tracks), tuple(actions)
    return None


def _with_second(state: _State, tracks: list[Track], first: Action, frames: int) -> tuple[list[Track], list[Action]]:
    """Let a second thing do something meanwhile, if there is room."""
    for thing in _shuffled(state.rng, state.seen()):
        if thing.shape == first.actor:
            continue
        verb = str(state.rng.choice(["moves", "moves", "rotates", "blinks"]))
        others = [track for track in tracks if track.before.shape != thing.shape]
        for track, action in _tries(state, thing, verb, frames):
            if _is_clear(state, track, others):
                return _sorted([*others, track]), [first, action]
    return tracks, [first]


def _acting(state: _State, thing: Thing, verb: str, frames: int) -> tuple[list[Track], Action] | None:
    """Return the tracks of all things while `thing` does what `verb` says, or None where it cannot."""
    resting = [_resting(state, other, frames) for other in state.seen() if other.shape != thing.shape]
    if verb == "collides":
        return _collision(state, thing, resting, frames)
    if verb == "appears" and not thing.seen and len(resting) < MOST_SEEN:
        place = _free_place(state, thing, [track.before for track in resting])
        if place is None:
            return None
        thing = replace(thing, x=place[0], y=place[1])
    for track, action in _tries(state, thing, verb, frames):
        if _is_clear(state, track, resting):
            return _sorted([*resting, track]), action
    return None


def _tries(state: _State, thing: Thing, verb: str, frames: int) -> Iterator[tuple[Track, Action]]:
    """Yield ways in which a thing may do what `verb` says and has not done yet; whether there is room is not said."""
    for track, action in _ways(state, thing, verb, frames):
        if (action.actor, action.verb, action.motion) not in state.done:
            yield track, action


def _ways(state: _State, thing: Thing, verb: str, frames: int) -> Iterator[tuple[Track, Action]]:
    rng, rest = state.rng, _resting(state, thing, frames)
    along = np.linspace(0, 1, frames)
    at_once = int(rng.integers(round(0.35 * frames), round(0.65 * frames) + 1))
    if verb == "appears":
        if not thing.seen and rest is not None:
            shown = np.arange(frames) >= at_once
            yield replace(rest, seen=shown, after=replace(thing, seen=True)), Action(thing.shape, verb, frame=at_once)
        return
    if not thing.seen:
        return
    if verb == "moves":
        yield from _moves(state, thing, rest, along)
    elif verb == "disappears" and len(state.seen()) > 2:
        gone = replace(rest, seen=np.arange(frames) < at_once, after=replace(thing, seen=False))
        yield gone, Action(thing.shape, verb, frame=at_once)
    elif thing.word:  # it shall be read
        return
    elif verb == "changes colour" and state.spare():
        painted = replace(thing, colour=str(rng.choice(state.spare())))
        yield replace(rest, after=painted, recoloured_at=at_once), Action(thing.shape, verb, frame=at_once)
    elif (verb, thing.size) in (("grows", "small"), ("shrinks", "large")):
        other = "large" if thing.size == "small" else "small"
        radius = state.radius(thing.size) + along * (state.radius(other) - state.radius(thing.size))
        yield replace(rest, radius=radius, after=replace(thing, size=other)), Action(thing.shape, verb)
    elif verb == "blinks":
        period = max(4, round(_BLINK_S * state.settings.fps))
        yield replace(rest, seen=np.arange(frames) % period < (period + 1) // 2), Action(thing.shape, verb)
    elif verb == "rotates" and thing.shape not in ROUND:
        turn = 360.0 * int(rng.choice([-1, 1]))
        yield replace(rest, angle=turn * along), Action(thing.shape, verb)


def _moves(state: _State, thing: Thing, rest: Track, along: np.ndarray) -> Iterator[tuple[Track, Action]]:
    rng, height = state.rng, state.height
    for motion in _shuffled(rng, [*DIRECTIONS, *CIRCLES]):
        if motion in CIRCLES:
            radius, phase = rng.uniform(0.1, 0.17) * height, rng.uniform(0, 2 * np.pi)
            turn = phase + 2 * np.pi * along * CIRCLES[motion]
            x = thing.x + radius * (np.cos(turn) - np.cos(phase))
            y = thing.y + radius * (np.sin(turn) - np.sin(phase))
        else:
            step = np.array(DIRECTIONS[motion], float)
            longest = 0.55 if step.all() or step[1] else 0.95
            way = rng.uniform(0.28, longest) * height * step / np.hypot(*step)
            x, y = thing.x + along * way[0], thing.y + along * way[1]
        after = replace(thing, x=float(x[-1]), y=float(y[-1]))
        yield replace(rest, x=x, y=y, after=after), Action(thing.shape, "moves", motion)


def _collision(state: _State, thing: Thing, resting: list[Track], frames: int) -> tuple[list[Track], Action] | None:
    """Let a thing run into another, touch it in one frame, and bounce back."""
    if not thing.seen:
        return None
    for target in _shuffled(state.rng, resting):
        if any(actor == thing.shape and verb == "collides" for actor, verb, _ in state.done):
            return None
        toward = np.array([target.before.x - thing.x, target.before.y - thing.y])
        way = _way_to_contact(state, thing, target.before, toward)
        if way < 0.2 * state.height:
            continue
        contact = round(0.55 * (frames - 1))
        back = float(state.rng.uniform(0.55, 0.8))
        share = np.interp(np.arange(frames), [0, contact, frames - 1], [0, 1, 1 - back])
        step = toward / np.hypot(*toward) * way
        x, y = thing.x + share * step[0], thing.y + share * step[1]
        rest = _resting(state, thing, frames)
        track = replace(rest, x=x, y=y, after=replace(thing, x=float(x[-1]), y=float(y[-1])))
        if _is_clear(state, track, [other for other in resting if other is not target]):
            return _sorted([*resting, track]), Action(thing.shape, "collides", other=target.before.shape, frame=contact)
    return None


def _way_to_contact(state: _State, thing: Thing, other: Thing, toward: np.ndarray) -> float:
    """Return how far `thing` goes straight towards `other` until their outlines touch, in pixels."""
    mine = outline(thing.shape) * state.radius(thing.size) + np.array([thing.x, thing.y])
    others = outline(other.shape) * state.radius(other.size) + np.array([other.x, other.y])
    length = float(np.hypot(*toward))
    gone = 0.0
    while gone < length:
        apart = np.hypot(*(mine[:, None] + gone * toward / length - others).transpose(2, 0, 1)).min()
        if apart <= _TOUCH_PX:
            break
        gone += apart - 0.9 * _TOUCH_PX  # no part of the way can be too long
    return gone


def _resting(state: _State, thing: Thing, frames: int) -> Track:
    ones = np.ones(frames)
    seen = np.full(frames, thing.seen)
    return Track(thing, thing, thing.x * ones, thing.y * ones, state.radius(thing.size) * ones, 0 * ones, seen, 0)


def _sorted(tracks: list[Track]) -> list[Track]:
    return sorted(tracks, key=lambda track: SHAPES.index(track.before.shape))


def _shuffled(rng: np.random.Generator, items: Sequence) -> list:
    return [items[int(i)] for i in rng.permutation(len(items))]


def held_frames(scene: Scene) -> Iterator[tuple[Clip, int]]:
    """Yield for each clip how many frames after it show its end."""
    for clip, following in itertools.zip_longest(scene.clips, scene.clips[1:]):
        yield clip, 0 if following is None else following.start - clip.start - clip.frames
