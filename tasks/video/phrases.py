"""Verb phrases out of values: "left", "panning left", "pan left" and "pans left" each become a clause of good English.

Vocabularies of kinds differ by who captioned a clip; a clause is made by the form of the value's first word.
"""

from tasks.video.wording import normalised, vocabulary, with_article

_STILL = vocabulary("static still fixed motionless stationary steady handheld shaky")
_NO_MOTION = frozenset({"0", "at rest", "not moving", "no motion"})
_DIRECTIONS = vocabulary(
    "left right up down upwards downwards upward downward leftwards rightwards forwards backwards forward backward "
    "diagonally sideways horizontally vertically clockwise anticlockwise counterclockwise inwards outwards"
) | frozenset({"in circle", "in circles"})
_DIRECTION_STARTS = ("to ", "towards ", "from ", "in ", "along ", "across ", "around ", "into ", "out ", "away ")
_VERBS = vocabulary(
    "pan tilt zoom move spin rotate turn bounce roll slide swing drift shake grow shrink rise fall jump circle orbit "
    "pulse wobble flicker fade appear disappear enter leave stay stop start blink brighten darken dolly track follow "
    "split merge open close vanish change collide scale flip"
)
_IRREGULAR = {"has", "is", "does", "goes"}


def third_person(verb: str) -> str:
    """Return "pan" as "pans", "bounce" as "bounces", "vanish" as "vanishes"."""
    return f"{verb}es" if verb.endswith(("s", "x", "ch", "sh", "o")) else f"{verb}s"


def _conjugated(value: str) -> str | None:
    """Return a value that begins with a verb as a predicate, None if it does not."""
    first, _, rest = value.partition(" ")
    word = first.lower()
    if word.endswith("ing"):
        return f"is {value}"
    if word in _VERBS:
        return f"{third_person(word)} {rest}".strip()
    if word in _IRREGULAR or word.removesuffix("s") in _VERBS or word.removesuffix("es") in _VERBS:
        return value
    return None


def stays(value: str) -> bool:
    """Say whether a motion is none."""
    word = normalised(value)
    return word in _STILL or word in _NO_MOTION or bool({"still", "motionless"} & set(word.split()))


def motion_clause(subject: str, value: str) -> str:
    """Return how something moves: "the camera pans left", "the large circle moves to the left"."""
    if verb := _conjugated(value):
        return f"{subject} {verb}"
    word = normalised(value)
    if word in _NO_MOTION:
        return f"{subject} does not move"
    if word in _STILL:
        return f"{subject} is {value}"
    if word in _DIRECTIONS or value.lower().startswith(_DIRECTION_STARTS) or word.split()[0] in _DIRECTIONS:
        return f"{subject} moves {value}"
    return f"{subject} makes {with_article(value)} movement"


def change_clause(subject: str, value: str) -> str:
    """Return how something changes: "the large circle turns blue", "the large circle changes from red to blue"."""
    if verb := _conjugated(value):
        return f"{subject} {verb}"
    first = value.partition(" ")[0].lower()
    if first in {"from", "to", "in", "into"}:
        return f"{subject} changes {value}"
    if value.lower().startswith(("a ", "an ", "the ")) or first.endswith("s"):
        return f"{subject} undergoes {value}"
    return f"{subject} becomes {value}"


def event_clause(subject: str, value: str) -> str:
    """Return an event as a clause; where the value names its actor, or `subject` is empty, the value is the clause."""
    first = value.partition(" ")[0].lower()
    if not subject or first in {"the", "a", "an", "there", "two", "three", "several"}:
        return value[:1].lower() + value[1:] if first in {"the", "a", "an", "there"} else value
    verb = _conjugated(value)
    return f"{subject} {verb or value}"
