"""Events of generated scenes: one thing, or two, do something new that there is room for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tasks.video.scene_places import TRIES, Draft, free_place, is_clear, lay_out, resting_track
from tasks.video.scene_shapes import outline
from tasks.video.scene_words import CIRCLES, DIRECTIONS, ROUND, SHAPES, VERBS
from tasks.video.scenes import Action, Thing, Track

MOST_SEEN = 4  # things at a time
_WITH_OTHER = 0.35  # of events in which a second thing does something
_BLINK_S = 0.7
_TOUCH_PX = 1.5  # between points of two outlines that touch
_LIKELY = dict(zip(VERBS, (5, 1.5, 1.5, 1, 1.5, 1, 1, 1, 1), strict=True))

_Item = TypeVar("_Item")
Event = tuple[tuple[Track, ...], tuple[Action, ...]]


def event_anew(draft: Draft, frames: int) -> Event:
    """Draw an event after the things have taken other places. Raises ValueError where the picture is too small."""
    for _ in range(TRIES):
        lay_out(draft)
        event = draw_event(draft, frames)
        if event is not None:
            return event
    raise ValueError("the picture is too small for events: raise make_clips.width_px")


def draw_event(draft: Draft, frames: int) -> Event | None:
    """Draw an event of `frames` frames that the things have room for, or None."""
    rng = draft.rng
    likely = np.array([_LIKELY[verb] for verb in VERBS])
    for verb in rng.choice(VERBS, size=len(VERBS), replace=False, p=likely / likely.sum()):
        for thing in _shuffled(rng, list(draft.cast.values())):
            moved = _acting(draft, thing, str(verb), frames)
            if moved is None:
                continue
            tracks, action = moved
            actions = [action]
            if action.verb != "collides" and rng.random() < _WITH_OTHER:
                tracks, actions = _with_second(draft, tracks, action, frames)
            return tuple(tracks), tuple(actions)
    return None


def _with_second(draft: Draft, tracks: list[Track], first: Action, frames: int) -> tuple[list[Track], list[Action]]:
    """Let a second thing do something meanwhile, if there is room."""
    for thing in _shuffled(draft.rng, draft.seen()):
        if thing.shape == first.actor:
            continue
        verb = str(draft.rng.choice(["moves", "moves", "rotates", "blinks"]))
        others = [track for track in tracks if track.before.shape != thing.shape]
        for track, action in _tries(draft, thing, verb, frames):
            if is_clear(draft, track, others):
                return _sorted([*others, track]), [first, action]
    return tracks, [first]


def _acting(draft: Draft, thing: Thing, verb: str, frames: int) -> tuple[list[Track], Action] | None:
    """Return the tracks of all things while `thing` does what `verb` says, or None where it cannot."""
    resting = [resting_track(draft, other, frames) for other in draft.seen() if other.shape != thing.shape]
    if verb == "collides":
        return _collision(draft, thing, resting, frames)
    if verb == "appears" and not thing.seen and len(resting) < MOST_SEEN:
        place = free_place(draft, thing, [track.before for track in resting])
        if place is None:
            return None
        thing = replace(thing, x=place[0], y=place[1])
    for track, action in _tries(draft, thing, verb, frames):
        if is_clear(draft, track, resting):
            return _sorted([*resting, track]), action
    return None


def _tries(draft: Draft, thing: Thing, verb: str, frames: int) -> Iterator[tuple[Track, Action]]:
    """Yield ways in which a thing may do what `verb` says and has not done yet; whether there is room is not said."""
    for track, action in _ways(draft, thing, verb, frames):
        if (action.actor, action.verb, action.motion) not in draft.done:
            yield track, action


def _ways(draft: Draft, thing: Thing, verb: str, frames: int) -> Iterator[tuple[Track, Action]]:
    rng, rest = draft.rng, resting_track(draft, thing, frames)
    along = np.linspace(0, 1, frames)
    at_once = int(rng.integers(round(0.35 * frames), round(0.65 * frames) + 1))
    if verb == "appears":
        if not thing.seen:
            shown = np.arange(frames) >= at_once
            yield replace(rest, seen=shown, after=replace(thing, seen=True)), Action(thing.shape, verb, frame=at_once)
        return
    if not thing.seen:
        return
    if verb == "moves":
        yield from _moves(draft, thing, rest, along)
    elif verb == "disappears" and len(draft.seen()) > 2:
        gone = replace(rest, seen=np.arange(frames) < at_once, after=replace(thing, seen=False))
        yield gone, Action(thing.shape, verb, frame=at_once)
    elif thing.word:  # it shall be read
        return
    elif verb == "changes colour" and draft.spare():
        painted = replace(thing, colour=str(rng.choice(draft.spare())))
        yield replace(rest, after=painted, recoloured_at=at_once), Action(thing.shape, verb, frame=at_once)
    elif (verb, thing.size) in (("grows", "small"), ("shrinks", "large")):
        other = "large" if thing.size == "small" else "small"
        radius = draft.radius(thing.size) + along * (draft.radius(other) - draft.radius(thing.size))
        yield replace(rest, radius=radius, after=replace(thing, size=other)), Action(thing.shape, verb)
    elif verb == "blinks":
        period = max(4, round(_BLINK_S * draft.settings.fps))
        yield replace(rest, seen=np.arange(frames) % period < (period + 1) // 2), Action(thing.shape, verb)
    elif verb == "rotates" and thing.shape not in ROUND:
        turn = 360.0 * int(rng.choice([-1, 1]))
        yield replace(rest, angle=turn * along), Action(thing.shape, verb)


def _moves(draft: Draft, thing: Thing, rest: Track, along: np.ndarray) -> Iterator[tuple[Track, Action]]:
    rng, height = draft.rng, draft.height
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


def _collision(draft: Draft, thing: Thing, resting: list[Track], frames: int) -> tuple[list[Track], Action] | None:
    """Let a thing run into another, touch it in one frame, and bounce back."""
    if not thing.seen or (thing.shape, "collides", "") in draft.done:
        return None
    for target in _shuffled(draft.rng, resting):
        toward = np.array([target.before.x - thing.x, target.before.y - thing.y])
        way = _way_to_contact(draft, thing, target.before, toward)
        if way < 0.2 * draft.height:
            continue
        contact = round(0.55 * (frames - 1))
        back = float(draft.rng.uniform(0.55, 0.8))
        share = np.interp(np.arange(frames), [0, contact, frames - 1], [0, 1, 1 - back])
        step = toward / np.hypot(*toward) * way
        x, y = thing.x + share * step[0], thing.y + share * step[1]
        rest = resting_track(draft, thing, frames)
        track = replace(rest, x=x, y=y, after=replace(thing, x=float(x[-1]), y=float(y[-1])))
        if is_clear(draft, track, [other for other in resting if other is not target]):
            return _sorted([*resting, track]), Action(thing.shape, "collides", other=target.before.shape, frame=contact)
    return None


def _way_to_contact(draft: Draft, thing: Thing, other: Thing, toward: np.ndarray) -> float:
    """Return how far `thing` goes straight towards `other` until their outlines touch, in pixels."""
    mine = outline(thing.shape) * draft.radius(thing.size) + np.array([thing.x, thing.y])
    others = outline(other.shape) * draft.radius(other.size) + np.array([other.x, other.y])
    length = float(np.hypot(*toward))
    gone = 0.0
    while gone < length:
        apart = np.hypot(*(mine[:, None] + gone * toward / length - others).transpose(2, 0, 1)).min()
        if apart <= _TOUCH_PX:
            break
        gone += apart - 0.9 * _TOUCH_PX  # no part of the way can be too long
    return gone


def _sorted(tracks: list[Track]) -> list[Track]:
    return sorted(tracks, key=lambda track: SHAPES.index(track.before.shape))


def _shuffled(rng: np.random.Generator, items: Sequence[_Item]) -> list[_Item]:
    return [items[int(i)] for i in rng.permutation(len(items))]
