"""What a generated clip shows, told from its tracks: a caption, facts, and five progressive sub-captions.

Sub-captions are LongTake-HD's (arXiv 2412.01316), each of the centre frame of one of five equal segments, and say what
has changed since the one before.
"""

from tasks.video.captions import Fact
from tasks.video.picture_facts import VOCABULARY as OF_PICTURES
from tasks.video.picture_facts import Look, picture_clauses, picture_facts
from tasks.video.scene_words import BACKGROUNDS, COLOURS, COUNTS, FILM, MOTIONS, SHAPES, TEXTURES, VERBS, WORDS
from tasks.video.scenes import Action, Background, Clip, Track
from tasks.video.wording import capitalised, listed, with_article

VOCABULARY: dict[str, tuple[str, ...]] = {  # of each kind of fact: its values
    "object_colour": tuple(COLOURS),
    "colour_before": tuple(COLOURS),
    "colour_after": tuple(COLOURS),
    "object_shape": SHAPES,
    "object_size": ("large", "small", "growing", "shrinking"),
    "object_motion": MOTIONS,
    "change": VERBS,
    "collides_with": SHAPES,
    "object_count": COUNTS,
    "glyph": tuple(word for words in WORDS.values() for word in words),
    "background_colour": tuple(BACKGROUNDS),
    "background_texture": (*TEXTURES, FILM),
    **OF_PICTURES,
}
_GROWTH = {"grows": "growing", "shrinks": "shrinking"}
_SETTINGS = {
    "plain": "On a plain {} background",
    "gradient": "On a {} gradient",
    "stripes": "On a {} background with stripes",
    "checks": "On a {} background with checks",
    "dots": "On a {} background with dots",
    "speckles": "On a {} background with speckles",
    FILM: "In front of a film picture",
}


def clip_caption(clip: Clip, background: Background, look: Look) -> str:
    """Return the overall caption: setting, things, what they do, what can be read, where it is light."""
    arriving = {action.actor for action in clip.actions if action.verb == "appears"}
    there = [track for track in clip.tracks if track.before.shape not in arriving]
    sentences = [
        f"{_SETTINGS[background.texture].format(background.colour)} there {_number(len(there))}: "
        f"{listed([_introduced(track, clip) for track in there])}",
        capitalised(" while ".join(_does(action, clip) for action in clip.actions)),
    ]
    if resting := [_name(track) for track in clip.tracks if _rests(track, clip)]:
        sentences.append(f"{capitalised(listed(resting))} {'stays' if len(resting) == 1 else 'stay'} still")
    sentences += [
        f"{capitalised(_by_shape(track, clip))} bears the word {track.before.word}"
        for track in clip.tracks
        if track.before.word
    ]
    if clip.word:
        sentences.append(f"A sign reads {clip.word}")
    sentences += map(capitalised, picture_clauses(picture_facts(look)))
    return ". ".join(sentences) + "."


def clip_facts(clip: Clip, background: Background, look: Look) -> list[Fact]:
    """Return all that is said of a clip by one word each. Subjects are unique among the facts of a kind.

    Where a fact is of the picture and not of a thing, it is measured: `look` is of the clip's pictures as drawn.
    """
    facts = [Fact("background_texture", "the background", background.texture)]
    if background.colour:
        facts.append(Fact("background_colour", "the background", background.colour))
    if all(track.seen.all() for track in clip.tracks):
        facts.append(Fact("object_count", "the shapes", COUNTS[len(clip.tracks)]))
    for track in clip.tracks:
        facts += _facts_of(track, clip)
    for action in clip.actions:
        track = _track(clip, action.actor)
        facts.append(Fact("change", _name(track), action.verb))
        if action.motion:
            facts.append(Fact("object_motion", _name(track), action.motion))
        if action.other:
            facts.append(Fact("collides_with", _name(track), action.other))
    if clip.word:
        facts.append(Fact("glyph", "the sign", clip.word))
    return facts + picture_facts(look)


def segment_caption(clip: Clip, frame: int, before: int | None) -> str:
    """Return what is there in a frame, or what has changed since the frame `before`."""
    if before is None:
        seen = [_introduced(track, clip, at=frame) for track in clip.tracks if track.seen[frame]]
        return f"{capitalised(listed(seen))} {'is' if len(seen) == 1 else 'are'} seen."
    changes = [_changed(action, clip, before, frame) for action in clip.actions]
    return " ".join(f"{capitalised(change)}." for change in changes if change) or "Nothing has changed."


def segment_facts(clip: Clip, frame: int) -> list[Fact]:
    """Return what is true in one frame: how many things are seen, and the colour of each."""
    seen = [track for track in clip.tracks if track.seen[frame]]
    colours = [Fact("object_colour", f"the {track.before.shape}", track.colour_at(frame)) for track in seen]
    return [Fact("object_count", "the shapes", COUNTS[len(seen)]), *colours]


# --- facts of one thing ---


def _facts_of(track: Track, clip: Clip) -> list[Fact]:
    thing, facts = track.before, []
    if track.recoloured_at:
        facts.append(Fact("colour_before", _by_shape(track, clip), thing.colour))
        facts.append(Fact("colour_after", _by_shape(track, clip), track.after.colour))
        facts.append(Fact("object_shape", "the object that changes colour", thing.shape))
    else:
        facts.append(Fact("object_colour", _by_shape(track, clip), thing.colour))
        facts.append(Fact("object_shape", f"the {thing.colour} object", thing.shape))
    facts.append(Fact("object_size", _name(track), _size(track, clip)))
    if _rests(track, clip):
        facts.append(Fact("object_motion", _name(track), "still"))
    if thing.word:
        facts.append(Fact("glyph", _by_shape(track, clip), thing.word))
    return facts


def _size(track: Track, clip: Clip) -> str:
    verbs = [_GROWTH[action.verb] for action in _actions(track, clip) if action.verb in _GROWTH]
    return verbs[0] if verbs else track.before.size


def _rests(track: Track, clip: Clip) -> bool:
    return not _actions(track, clip) and not any(action.other == track.before.shape for action in clip.actions)


def _actions(track: Track, clip: Clip) -> list[Action]:
    return [action for action in clip.actions if action.actor == track.before.shape]


def _track(clip: Clip, shape: str) -> Track:
    return next(track for track in clip.tracks if track.before.shape == shape)


# --- words ---


def _name(track: Track) -> str:
    """Return what a thing is called throughout its clip: by its colour, where that stays."""
    return f"the {track.before.shape}" if track.recoloured_at else f"the {track.before.colour} {track.before.shape}"


def _by_shape(track: Track, clip: Clip) -> str:
    """Return a name that does not tell the colour."""
    size = _size(track, clip)
    return f"the {size} {track.before.shape}" if size == track.before.size else f"the {track.before.shape}"


def _introduced(track: Track, clip: Clip, at: int = 0) -> str:
    return with_article(f"{_size(track, clip)} {track.colour_at(at)} {track.before.shape}")


def _does(action: Action, clip: Clip) -> str:
    track = _track(clip, action.actor)
    name, thing = _name(track), track.before
    other = f" {_name(_track(clip, action.other))}" if action.other else ""
    return {
        "moves": f"{name} moves {action.motion}",
        "collides": f"{name} collides with{other} and bounces back",
        "appears": f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} appears",
        "disappears": f"{name} disappears",
        "changes colour": f"{name} changes colour from {thing.colour} to {track.after.colour}",
        "grows": f"{name} grows",
        "shrinks": f"{name} shrinks",
        "blinks": f"{name} blinks",
        "rotates": f"{name} rotates {_turn(track)}",
    }[action.verb]


def _changed(action: Action, clip: Clip, before: int, now: int) -> str:
    """Return what an action has changed from one frame to a later one; empty where that is nothing."""
    track = _track(clip, action.actor)
    name = _name(track)
    if action.verb in ("appears", "disappears", "changes colour"):
        if not before < action.frame <= now:
            return ""
        new = with_article(f"{track.before.size} {track.before.colour} {track.before.shape}")
        return {
            "appears": f"{new} has appeared",
            "disappears": f"{name} has disappeared",
            "changes colour": f"{name} has turned from {track.before.colour} to {track.after.colour}",
        }[action.verb]
    if action.verb == "blinks":
        was, is_seen = bool(track.seen[before]), bool(track.seen[now])
        if was == is_seen:
            return ""
        return f"{name} is {'seen again' if is_seen else 'not seen now'}, blinking"
    if action.verb == "collides":
        other = _name(_track(clip, action.other))
        if now < action.frame:
            return f"{name} has come closer to {other}"
        return f"{name} has hit {other}" if before < action.frame else f"{name} has moved away from {other}"
    return {
        "moves": f"{name} has moved {action.motion}",
        "grows": f"{name} has grown",
        "shrinks": f"{name} has shrunk",
        "rotates": f"{name} has turned {_turn(track)}",
    }[action.verb]


def _turn(track: Track) -> str:
    return "clockwise" if track.angle[-1] > 0 else "anticlockwise"


def _number(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {COUNTS[count]} {'shape' if count == 1 else 'shapes'}"
