"""Captions and facts from measurements alone: colours, light, motion, the camera, and what of them changes.

A word is said where the numbers are well within its bounds throughout the clip; in the gaps between words nothing is
said. Bounds were set by looking at clips of real film. What no detector here can see (things, persons, faces: OpenCV's
wheel has no weights for them) is not spoken of.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from tasks.video.captions import SEGMENTS, Fact
from tasks.video.colour_names import COLOURS
from tasks.video.measured import Measured
from tasks.video.picture_facts import VOCABULARY as OF_PICTURES
from tasks.video.picture_facts import WHOLE, dominant, picture_clauses, picture_facts
from tasks.video.wording import capitalised, listed

VOCABULARY: dict[str, tuple[str, ...]] = {  # of each kind of fact: its values
    **OF_PICTURES,
    "colour_before": COLOURS,
    "colour_after": COLOURS,
    "brightness": ("dark", "medium", "bright"),
    "motion": ("little", "moderate", "much"),
    "camera_motion": ("still", "moves left", "moves right", "moves up", "moves down", "moves closer", "moves away"),
    "object_position": ("on the left", "in the middle", "on the right"),
    "change": ("brightens", "darkens"),
}
CAMERA, MOST_MOTION = "the camera", "most of the motion"

_LUMA = {"dark": (0, 80), "medium": (102, 132), "bright": (150, 255)}  # mean of a clip
_LUMA_SPREAD = 10  # beyond the band, that single samples may be
_MOTION = {"little": (0, 20), "moderate": (36, 75), "much": (105, np.inf)}  # mean, px/s at 720p
_SPEED_PX_S = 28.0  # of a camera that moves
_ONE_WAY = 2.5  # times as fast as in any other way
_SAME_WAY = 0.85  # of the samples go that way
_OF_PART = 0.35  # of the mean speed, that each fifth of the clip has
_OVER_THINGS = 0.9  # times what things move: beyond it the picture follows the camera
_REST_PX_S, _LONGEST_REST_PX_S = 2.6, 6.0  # mean and nine tenths of a camera that is still
_LEAST_CHANGE = 2.0  # grey levels, mean over the picture, from which it is said where things move
_THIRD = 0.62  # of what changes, that is in one third of the picture
_BRIGHTER = 25.0  # grey levels, from the first fifth to the last
_SEEN_BRIGHTER = 9.0  # between fifths
_SEEN_SHARE = 0.07  # of the picture, by which a colour grows or shrinks
_SEEN = 0.12  # of the picture, that has a colour which is named as seen
_MOST_COLOURS = 2  # that are named as growing, or shrinking


def clip_facts(clip: Measured) -> list[Fact]:
    """Return all that can be said of a clip without doubt. Subjects are unique among the facts of a kind."""
    facts = picture_facts(clip.look)
    if word := brightness(clip):
        facts.append(Fact("brightness", WHOLE, word))
    if word := motion(clip):
        facts.append(Fact("motion", WHOLE, word))
    if word := camera(clip):
        facts.append(Fact("camera_motion", CAMERA, word))
    if word := motion_place(clip):
        facts.append(Fact("object_position", MOST_MOTION, word))
    first, last = clip.part(0), clip.part(SEGMENTS - 1)
    was, has_become = dominant(first.look.shares, WHOLE), dominant(last.look.shares, WHOLE)
    if was and has_become and was != has_become:
        facts += [Fact("colour_before", WHOLE, was), Fact("colour_after", WHOLE, has_become)]
    if word := _light_change(clip):
        facts.append(Fact("change", WHOLE, word))
    return facts


def clip_caption(clip: Measured) -> str:
    """Return the overall caption: colours, light, motion and camera, what changes; of what is sure."""
    facts = clip_facts(clip)
    said = {(fact.kind, fact.subject): fact.value for fact in facts}
    sentences = picture_clauses(facts)
    if word := said.get(("brightness", WHOLE)):
        sentences.append(f"{WHOLE} is {'of medium brightness' if word == 'medium' else word}")
    if word := said.get(("motion", WHOLE)):
        sentences.append(f"there is {word} motion")
    if word := said.get(("camera_motion", CAMERA)):
        sentences.append(_camera_clause(word))
    if word := said.get(("object_position", MOST_MOTION)):
        sentences.append(f"{MOST_MOTION} is {word}")
    if ("colour_before", WHOLE) in said:
        sentences.append(
            f"{WHOLE} is mostly {said['colour_before', WHOLE]} at first, mostly {said['colour_after', WHOLE]} at last"
        )
    if word := said.get(("change", WHOLE)):
        sentences.append(f"{WHOLE} {word}")
    return _told(sentences)


def segments(clip: Measured) -> list[tuple[str, list[Fact]]]:
    """Return caption and facts of each fifth of a clip: what is seen in the first, then what has changed."""
    parts = [clip.part(number) for number in range(SEGMENTS)]
    found = [(_first_caption(parts[0]), _part_facts(parts[0]))]
    for before, now in itertools.pairwise(parts):
        found.append((_told(_changes(before, now)) or _unchanged(before, now), _part_facts(now)))
    return found


# --- words of numbers -------------------------------------------------------------------------------------------


def brightness(clip: Measured) -> str:
    """Return how bright a clip is throughout, "" where that is between two words or changes."""
    luma = clip.samples["luma"]
    for word, (least, most) in _LUMA.items():
        is_within = least - _LUMA_SPREAD <= luma.min() and luma.max() <= most + _LUMA_SPREAD
        if least <= luma.mean() <= most and is_within:
            return word
    return ""


def motion(clip: Measured) -> str:
    """Return how much moves, camera and things together, "" where that is between two words or not known."""
    if np.isnan(clip.samples["motion_px_s"]).all():
        return ""
    mean = clip.mean("motion_px_s")
    return next((word for word, (least, most) in _MOTION.items() if least <= mean <= most), "")


def camera(clip: Measured) -> str:
    """Return what the camera does throughout, "" where that is not clear. A shift may be a turn or a ride of it."""
    speed, things = clip.samples["camera_px_s"], clip.samples["object_px_s"]
    speed, things = speed[~np.isnan(speed)], things[~np.isnan(things)]
    if not len(speed):
        return ""
    if speed.mean() <= _REST_PX_S and np.quantile(speed, 0.9) <= _LONGEST_REST_PX_S:
        return "still"
    # what is seen moves right where the camera moves left, and down where it moves up
    ways = {
        ("moves left", "moves right"): clip.samples["pan_x_px_s"],
        ("moves up", "moves down"): clip.samples["pan_y_px_s"],
        ("moves closer", "moves away"): clip.samples["zoom_per_s"] * _mean_radius_px(clip.aspect),
    }
    means = {words: float(np.nanmean(values)) for words, values in ways.items()}
    words = max(means, key=lambda one: abs(means[one]))
    mean, values = means[words], ways[words]
    others = max(abs(value) for one, value in means.items() if one != words)
    along = values[~np.isnan(values)] * np.sign(mean)
    fifths = np.array_split(along, min(SEGMENTS, len(along)))
    is_clear = (
        abs(mean) >= _SPEED_PX_S
        and abs(mean) >= _ONE_WAY * others
        and (along > 0).mean() >= _SAME_WAY
        and min(part.mean() for part in fifths) >= _OF_PART * abs(mean)
        and speed.mean() >= _OVER_THINGS * things.mean()
    )
    return (words[0] if mean > 0 else words[1]) if is_clear else ""


def motion_place(clip: Measured) -> str:
    """Return in which third of the picture most changes, before a camera that is still; "" where that is not clear."""
    if camera(clip) != "still" or not len(clip.changes) or clip.changes.mean() < _LEAST_CHANGE:
        return ""
    thirds = clip.changes.mean(axis=0) / clip.changes.mean(axis=0).sum()
    best = int(thirds.argmax())
    often = (clip.changes.argmax(axis=1) == best).mean()
    return VOCABULARY["object_position"][best] if thirds[best] >= _THIRD and often >= _SAME_WAY else ""


def _light_change(clip: Measured) -> str:
    luma = [float(clip.part(number).samples["luma"].mean()) for number in range(SEGMENTS)]
    steps = np.diff(luma)
    if luma[-1] - luma[0] >= _BRIGHTER and steps.min() > -_SEEN_BRIGHTER / 2:
        return "brightens"
    return "darkens" if luma[0] - luma[-1] >= _BRIGHTER and steps.max() < _SEEN_BRIGHTER / 2 else ""


def _mean_radius_px(aspect: float) -> float:
    """Return how far points of a 720p picture are from its centre, on average."""
    y, x = np.mgrid[-1:1:41j, -1:1:41j]
    return float(np.hypot(x * aspect, y).mean() * 720 / 2)


# --- sentences --------------------------------------------------------------------------------------------------


def _part_facts(part: Measured) -> list[Fact]:
    found = [Fact("brightness", WHOLE, brightness(part)), Fact("motion", WHOLE, motion(part))]
    return picture_facts(part.look) + [fact for fact in found if fact.value]


def _first_caption(part: Measured) -> str:
    whole = part.look.shares[:, 0].mean(axis=0)
    order = [int(place) for place in np.argsort(-whole, kind="stable")[:3] if whole[place] >= _SEEN]
    sentences = []
    if order:
        sentences.append(f"{listed([COLOURS[place] for place in order])} {'is' if len(order) == 1 else 'are'} seen")
    light, moved = brightness(part), motion(part)
    if light:
        sentences.append(f"{WHOLE} is {'of medium brightness' if light == 'medium' else light}")
    if moved:
        sentences.append(f"there is {moved} motion")
    return _told(sentences) or "No colour stands out."


def _unchanged(before: Measured, now: Measured) -> str:
    """Return what is as it was; of motion only where it is known of both."""
    is_known = bool(motion(before)) and motion(before) == motion(now)
    return f"{'Colours, light and motion' if is_known else 'Colours and light'} stay as they were."


def _changes(before: Measured, now: Measured) -> list[str]:
    """Return what is other than in the fifth before, as clauses."""
    grown = (now.look.shares[0, 0] - before.look.shares[0, 0]).tolist()
    order = sorted(range(len(COLOURS)), key=lambda place: -abs(grown[place]))
    more = [COLOURS[place] for place in order if grown[place] >= _SEEN_SHARE][:_MOST_COLOURS]
    less = [COLOURS[place] for place in order if grown[place] <= -_SEEN_SHARE][:_MOST_COLOURS]
    clauses = []
    if more:
        clauses.append(f"there is more {listed(more)}")
    if less:
        clauses.append(f"there is less {listed(less)}")
    lighter = float(now.samples["luma"].mean() - before.samples["luma"].mean())
    if abs(lighter) >= _SEEN_BRIGHTER:
        clauses.append(f"{WHOLE} has become {'brighter' if lighter > 0 else 'darker'}")
    was, moves = motion(before), motion(now)
    if moves and was and moves != was:
        clauses.append(f"there is {moves} motion now")
    turned = camera(now)
    if turned and turned != camera(before):
        clauses.append(_camera_clause(turned))
    return clauses


def _camera_clause(word: str) -> str:
    return f"{CAMERA} is still" if word == "still" else f"{CAMERA} {word}"


def _told(clauses: Sequence[str]) -> str:
    return " ".join(f"{capitalised(clause)}." for clause in clauses)
