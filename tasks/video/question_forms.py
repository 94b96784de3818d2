"""Pools of wordings: how each kind of fact is asked and told, and how an item says what was hidden in its video.

VISTA (arXiv 2412.00927) puts such a sentence before each question; its pool is not published, these are our own. None
tells a time, a place or an answer. `{s}` is the fact's subject; what is asked stands without the where and the "?".
"""

import re
from collections.abc import Sequence

from tasks.video.captions import Fact
from tasks.video.phrases import change_clause, event_clause, motion_clause, stays
from tasks.video.wording import normalised, plural, singular, vocabulary, with_article, words_of

# --- kinds ------------------------------------------------------------------------------------------------------

ASKED: dict[str, tuple[str, ...]] = {
    "object_colour": ("what colour is {s}", "which colour does {s} have", "what is the colour of {s}"),
    "object_shape": ("what shape is {s}", "which shape does {s} have", "what is the shape of {s}"),
    "object_size": ("what best describes the size of {s}", "what can be said of the size of {s}"),
    "object_texture": ("what does the surface of {s} look like", "which pattern does {s} show"),
    "object_position": ("where is {s}", "where can {s} be seen"),
    "object_motion": ("how does {s} move", "in which way does {s} move", "what is the motion of {s}"),
    "object_count": ("how many {n} are there", "how many {n} can be seen", "how many {n} can you count"),
    "person_count": ("how many people are there", "how many people can be seen", "how many people can you count"),
    "face_count": ("how many faces are there", "how many faces can be seen", "how many faces can you count"),
    "glyph": ("what can be read on {s}", "what is written on {s}", "what does one read on {s}"),
    "text": ("what does {s} say", "how does {s} read", "what is the wording of {s}"),
    "background_colour": ("what colour is {s}", "which colour does {s} have", "what is the colour of {s}"),
    "background_texture": ("what does {s} look like", "which pattern or picture does {s} show"),
    "camera_motion": ("how does {s} move", "what does {s} do", "what is the motion of {s}"),
    "brightness": ("what is the brightness of {s}", "what is the light like in {s}"),
    "dominant_colour": (
        "which colour dominates {s}",
        "what is the dominant colour of {s}",
        "what colour is most of {s}",
    ),
    "brightest_part": ("which part of {s} is the brightest", "where is {s} brightest"),
    "darkest_part": ("which part of {s} is the darkest", "where is {s} darkest"),
    "motion": ("how much motion is there", "how much movement can be seen"),
    "change": ("what happens to {s}", "what does {s} do"),
    "colour_before": ("what colour is {s} before it changes", "which colour does {s} have at first"),
    "colour_after": ("what colour is {s} after it has changed", "which colour does {s} take on"),
    "collides_with": ("what does {s} collide with", "what does {s} run into"),
    "event": ("what does {s} do", "what can {s} be seen to do"),
}
OF_THE_WHOLE: dict[str, tuple[str, ...]] = {  # where the subject is the picture itself
    "glyph": ("what can be read", "what is there to read"),
    "change": ("what changes", "what happens"),
    "text": ("what text can be read", "which words can be read", "what text is shown"),
    "event": ("what happens", "what can be seen to happen", "which event takes place"),
}
_OF_GLYPHS = ("which {g} can be read", "what {g} is shown", "which {g} do you see")  # of "the letter"
COUNTS = frozenset({"object_count", "person_count", "face_count"})
VERBATIM = frozenset({"glyph", "text"})  # an option is what stands there, letter by letter
IN_FRONT = frozenset({"colour_before", "colour_after"})  # "where" stands first: not "it has changed in the inset"
BY_NOUN = frozenset({"change", "collides_with", "event"})  # a thing is named by its noun alone, where that does
# True of a clip as a whole: who sees a part of it may not see that.
OVER_TIME = frozenset({"change", "event", "colour_before", "colour_after", "collides_with"})
# Each clip has one of these: a clip without one is not known to differ, so it tells clips apart only if all have it.
OF_EVERY_CLIP = frozenset(
    {"background_colour", "background_texture", "camera_motion", "brightness", "dominant_colour", "motion"}
    | {"object_count", "person_count", "face_count", "brightest_part", "darkest_part"}
)
NOUNS: dict[str, str] = {  # what a kind's value is called: "the colour of the large circle"
    **{"object_colour": "colour", "object_shape": "shape", "object_size": "size", "object_texture": "texture"},
    **{"object_position": "position", "object_motion": "motion", "background_colour": "colour"},
    **{"background_texture": "pattern", "camera_motion": "motion", "brightness": "brightness"},
    **{"dominant_colour": "dominant colour", "brightest_part": "brightest part", "darkest_part": "darkest part"},
}
# Kinds whose values are of one sort: one may be a wrong answer where another is asked.
SORTS: dict[str, str] = {
    **dict.fromkeys(
        ("object_colour", "background_colour", "dominant_colour", "colour_before", "colour_after"), "colour"
    ),
    **dict.fromkeys(("brightest_part", "darkest_part"), "part"),
}
LISTED: dict[str, str] = {  # kinds of which a clip may show several: they can be counted
    **{"glyph": "inscriptions", "text": "texts", "object_colour": "object colours", "object_shape": "object shapes"}
}
_WHOLE = vocabulary(  # subjects that are the picture itself
    "picture video clip frame scene image shot view footage take film"
)
_MODIFIED = re.compile(r"the(?: (?!that|on|in|of|at|with)[\w-]+)+")
_MIDDLING = vocabulary("medium normal average moderate")
_GLYPHS = vocabulary("glyph letter digit character symbol number numeral word")
_SHAPE_ADJECTIVES = vocabulary("round square rectangular triangular circular oval flat elongated irregular")
_BOARDS = vocabulary("sign board poster label screen banner plate")
_PICTURES = vocabulary("gradient picture photo photograph landscape")
_TEXTURE_ADJECTIVES = vocabulary("plain noisy smooth rough uniform blank flat grainy blurred clear solid")


def require_forms(kind: str) -> None:
    """Raise ValueError for a kind that no question is known for."""
    if kind not in ASKED:
        raise ValueError(
            f"facts of kind {kind!r} have no question form: add one to ASKED in tasks/video/question_forms.py "
            f"(known: {', '.join(sorted(ASKED))})"
        )


def sort_of(kind: str) -> str:
    """Return what sort of values a kind has, which other kinds may have too: colours of things and of backgrounds."""
    return SORTS.get(kind, kind)


def is_whole(subject: str) -> bool:
    """Say whether a subject is the picture itself, which the item's own words name better ("the inserted clip")."""
    return normalised(subject).removeprefix("whole ") in _WHOLE


def is_at_rest(fact: Fact) -> bool:
    """Say whether a fact is that something does not move of itself, which is no event."""
    return fact.kind == "object_motion" and stays(fact.value)


def noun_phrase(subject: str) -> str:
    """Return a subject with its article."""
    first = subject.split()[0].lower() if subject.split() else ""
    return subject if first in {"the", "a", "an", "its", "all", "each"} or first.isdigit() else f"the {subject}"


def forms_of(fact: Fact) -> tuple[str, ...]:
    """Return the forms in which a fact can be asked. Raises ValueError for a kind without any."""
    require_forms(fact.kind)
    if fact.kind == "glyph" and _is_glyph(fact):
        return _OF_GLYPHS
    return OF_THE_WHOLE.get(fact.kind, ASKED[fact.kind]) if is_whole(fact.subject) else ASKED[fact.kind]


def unnamed(kind: str, subject: str) -> bool:
    """Say whether a question on a fact of this kind does not name its subject, so that a clip may have but one."""
    return kind in ("person_count", "face_count") or (is_whole(subject) and kind in OF_THE_WHOLE)


def by_noun(fact: Fact, facts: Sequence[Fact]) -> Fact:
    """Return a fact whose subject has lost its adjectives, where its kind and the clip's other facts allow it.

    How a thing is named must not tell what it does, as when all but what changes its colour are named by colour. A noun
    does where no kind has facts of two things with it.
    """
    words = noun_phrase(fact.subject).split()
    if fact.kind not in BY_NOUN or len(words) < 3 or not _MODIFIED.fullmatch(" ".join(words)):
        return fact
    same = [one for one in facts if normalised(one.subject).split()[-1:] == normalised(words[-1]).split()]
    if len({(one.kind, normalised(one.subject)) for one in same}) > len({one.kind for one in same}):
        return fact
    return fact._replace(subject=f"the {words[-1]}")


def asked_core(fact: Fact, form: str) -> str:
    """Return what is asked of a fact, in one of its forms."""
    return form.format(s=noun_phrase(fact.subject), n=_counted(fact), g=_glyph(fact))


def aspect(fact: Fact) -> str:
    """Return what a fact is about, as a noun phrase: "the colour of the large circle", "the number of red squares"."""
    require_forms(fact.kind)
    if fact.kind in COUNTS:
        return f"the number of {_counted_nouns(fact)}"
    if fact.kind == "motion":
        return "the amount of motion"
    if fact.kind == "glyph":
        if _is_glyph(fact):
            return noun_phrase(fact.subject)
        return "what can be read" if is_whole(fact.subject) else f"what can be read on {noun_phrase(fact.subject)}"
    noun = NOUNS.get(fact.kind, "wording" if fact.kind == "text" else "action")
    return f"the {noun}" if is_whole(fact.subject) else f"the {noun} of {noun_phrase(fact.subject)}"


def _counted_nouns(fact: Fact) -> str:
    return {"person_count": "people", "face_count": "faces"}.get(fact.kind) or _counted(fact)


def _counted(fact: Fact) -> str:
    """Return what a count counts, in the plural: "red circles", or "objects" where the subject is the picture."""
    words = fact.subject.split()
    bare = " ".join(words[1:] if words and words[0].lower() in {"the", "a", "an", "all"} else words)
    bare = bare.removeprefix("number of ")
    return "objects" if not bare or is_whole(bare) else plural(bare)


def _is_glyph(fact: Fact) -> bool:
    """Say whether the subject is the sign itself ("the letter") and not what bears it."""
    return not _GLYPHS.isdisjoint(words_of(fact.subject))


def _glyph(fact: Fact) -> str:
    """Return what is read, without its article: "letter on the left"."""
    return noun_phrase(fact.subject).partition(" ")[2]


# --- answers ----------------------------------------------------------------------------------------------------


def clause(fact: Fact) -> str:
    """Return a fact as a clause, in lower case and without a full stop: "the large circle is red"."""
    require_forms(fact.kind)
    subject, value = noun_phrase(fact.subject), fact.value
    if fact.kind in COUNTS:
        return _count_clause(fact)
    if fact.kind in ("object_motion", "camera_motion"):
        return motion_clause(subject, value)
    if fact.kind == "change":
        return change_clause(subject, value)
    if fact.kind == "event":
        return event_clause("" if is_whole(fact.subject) or "event" in words_of(fact.subject) else subject, value)
    if fact.kind == "glyph":
        verb = "reads" if words_of(subject)[-1] in _BOARDS else "bears"
        return f"{subject} is {value}" if _is_glyph(fact) else f'{subject} {verb} "{value}"'
    if fact.kind in ("colour_before", "colour_after"):
        return f"{subject} is {value} at first" if fact.kind == "colour_before" else f"{subject} turns {value}"
    if fact.kind == "collides_with":
        return f"{subject} collides with {noun_phrase(value)}"
    if fact.kind == "text":
        return f'{subject} says "{value}"'
    if fact.kind == "dominant_colour":
        return f"{subject} is mostly {value}"
    if fact.kind in ("brightest_part", "darkest_part"):
        return f"{subject} is {fact.kind.removesuffix('_part')} at the {value}"
    if fact.kind == "motion":
        return f"there is {value} motion"
    if fact.kind == "object_shape":
        return f"{subject} is {value if normalised(value) in _SHAPE_ADJECTIVES else with_article(value)}"
    if fact.kind in ("background_texture", "object_texture"):
        return _texture_clause(subject, value)
    if normalised(value) in _MIDDLING and fact.kind in NOUNS:
        return f"{subject} is of {value} {NOUNS[fact.kind]}"
    return f"{subject} is {value}"


def _count_clause(fact: Fact) -> str:
    counted = _counted_nouns(fact)
    number = normalised(fact.value)
    if number == "1":
        return f"there is {fact.value} {singular(counted)}"
    return f"there are {'no' if number == '0' else fact.value} {counted}"


def _texture_clause(subject: str, value: str) -> str:
    word = normalised(value)
    if word in _TEXTURE_ADJECTIVES or word.endswith(("ed", "y")):
        return f"{subject} is {value}"
    if word.split()[-1] in _PICTURES:
        return f"{subject} is {with_article(value)}"
    return f"{subject} shows {value}" if word.endswith("s") else f"{subject} shows {with_article(value)} pattern"


# --- what was hidden --------------------------------------------------------------------------------------------

# How a question calls what it is about: said with "in" before it, or as the subject where that is the whole picture.
WHERE: dict[str, tuple[str, ...]] = {  # no words of size or number, which may be asked for
    "temporal_niah": (
        *("the inserted clip", "the clip that was put in", "the passage that does not belong to the video"),
        *("the foreign clip", "the clip that interrupts the video"),
    ),
    "spatial_niah": (
        *("the overlaid video", "the inset", "the video laid over the picture", "the inset video"),
        *("the window that shows another video",),
    ),
    "spatiotemporal_niah": (
        *("the overlaid clip that is shown for a while", "the inset that comes and goes", "the passing inset"),
        *("the window that opens for a while", "the short-lived inset"),
    ),
    "hr_video_grid": (
        *("the cell in the {row} row, {column} column", "the video in the {row} row and {column} column"),
        *("the tile in the {row} row and the {column} column", "the grid's video in the {row} row, {column} column"),
    ),
}
INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "temporal_niah": (
        "A brief clip from somewhere else interrupts this video; the question is about that clip.",
        "Somewhere in this video there is a short passage that does not belong to it. Answer a question about it.",
        "A short foreign clip was inserted into this video. Find it and answer.",
        "This video is cut open once to show another, shorter one. The question concerns the shorter one.",
        "For a short time something quite different is shown in this video: a clip of another origin. Attend to it.",
        "One short clip in this video was taken from another source. What is asked concerns only that clip.",
    ),
    "two_needle_niah": (
        "A short clip was cut in two, and its parts were inserted into this video at different times.",
        "Two parts of one short foreign clip interrupt this video. To answer, you need to have seen both.",
        "This video is interrupted twice, each time by a part of the same other clip.",
        "Two passages of this video belong to another clip, which was split. Consider them together.",
        "Another clip, in two pieces, was put into this video. The question is about both pieces.",
    ),
    "spatial_niah": (
        "A small video from another source is laid over a part of the picture; the question is about it.",
        "One small area of the picture shows a different scene. Answer a question about that scene.",
        "Within the picture there is a small inset that plays another video. Look at it closely.",
        "Another video, much smaller, was placed over this one. What is asked concerns the small one.",
        "Somewhere on the picture a little window shows something else. The question refers to that window.",
    ),
    "spatiotemporal_niah": (
        "For a while a small video from another source is laid over a part of the picture. Answer about it.",
        "At some moment a little inset opens on the picture and closes again. The question is about what it shows.",
        "A small and short clip from elsewhere appears over this video. Look out for it.",
        "During a part of this video, one small area of the picture shows a different scene. You are asked about it.",
        "Another clip, small and brief, was placed over this video. What is asked concerns that clip.",
    ),
    "hr_video_grid": (
        "The picture is a grid of many small videos; rows count from the top and columns from the left, from one.",
        "Many videos play side by side in rows and columns. Count rows downwards and columns to the right, from one.",
        "This video is a mosaic of small videos. Its first row is the uppermost, its first column the leftmost.",
        "A wall of small videos is shown. Rows are numbered from top to bottom, columns from left to right.",
        "Several videos are arranged in a regular grid. Answer about one cell, with rows and columns counted from one.",
    ),
    "event_relationship": (
        "This video shows several things one after another; the question is about their order.",
        "Watch in which order things happen in this video.",
        "The question is about what comes before and after what in this video.",
        "Pay attention to the sequence of events in this video.",
        "Several events follow each other here. Answer a question about their order.",
    ),
    "long_video_caption": (
        "Describe this video in detail, from its beginning to its end.",
        "Tell everything that happens in this video, in its order.",
        "Write a detailed account of this video.",
        "What is shown in this video? Give a complete description.",
        "Give a thorough description of the whole video in the order in which things are seen.",
        "Summarise this video in detail, scene by scene.",
    ),
}
