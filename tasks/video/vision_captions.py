"""A vision model as captioner, behind an OpenAI-compatible endpoint: LongTake-HD's steps 7 and 9 (arXiv 2412.01316).

First it sees the five keyframes of a clip and gives an overall caption, a sub-caption for each, and facts. Then each
sub-caption is written anew by what has been said: it sees the overall one and those before it, adds what the camera
does and drops what repeats. What the camera does is measured, not guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tasks.llm import Picture, Request, Template
from tasks.llm_asking import Answers
from tasks.strict import StrictModel
from tasks.tables import Reject
from tasks.video.captions import SEGMENTS, Fact
from tasks.video.wording import normalised, words_of

Kind = Literal[
    "object_colour",
    "object_shape",
    "object_size",
    "object_texture",
    "object_position",
    "object_motion",
    "object_count",
    "person_count",
    "face_count",
    "text",
    "background_colour",
    "background_texture",
    "camera_motion",
    "brightness",
    "dominant_colour",
    "motion",
    "change",
    "event",
]


class SaidFact(StrictModel):
    """One thing that a clip shows."""

    kind: Kind
    subject: str = Field(min_length=1, max_length=80)
    value: str = Field(min_length=1, max_length=60)


class Described(StrictModel):
    """What the model sees in a clip."""

    caption: str = Field(min_length=1, max_length=4000)
    segments: list[str] = Field(min_length=SEGMENTS, max_length=SEGMENTS)
    facts: list[SaidFact] = Field(max_length=40)


class Refined(StrictModel):
    """A sub-caption, written anew."""

    caption: str = Field(min_length=1, max_length=1500)


_ROLE = "You write captions for clips of film, which train models of video. Say only what can be seen. "
DESCRIBE = Template(
    "longtake.describe",
    "1",
    f"{_ROLE}You are shown {SEGMENTS} pictures of one clip without a cut, in the order of time: the centre frames of "
    f"{SEGMENTS} equal parts. Give `caption`: the whole clip in two to five sentences, with its setting, who or what "
    "is there, and what happens in its course. Give `segments`: one caption for each picture, in their order, one or "
    "two sentences, that says what is seen then and what has changed. Give `facts`: single things that anybody who "
    "watches the clip would confirm, each with its `kind`, its `subject` as a noun phrase that means one thing in "
    "the clip ('the small dog on the left'), and its `value` in one to three words ('brown'). No two facts of one "
    "kind have the same subject. Leave out what you are not sure of. Do not speak of pictures, frames or captions.",
    "Describe this clip.",
)
REFINE = Template(
    "longtake.refine",
    "1",
    f"{_ROLE}A clip is told in {SEGMENTS} sub-captions, one after another. Write the one in `caption` anew, to follow "
    "those in `before`: one or two plain sentences in the present tense. Say what is new or different, and do not "
    "repeat what `before` has said, nor the words of `overall`. Keep each thing of `caption` that is not told yet, and "
    "invent nothing. Call the same thing by the same name. `camera` says what was measured of the camera in this "
    "part: work it into the text, with the word 'camera'; where it says that it is not known, do not speak of the "
    "camera. Answer as `caption`.",
    "$overall\nBefore it, one a line:\n$before\n$camera\nTo be written anew:\n$caption",
)


@dataclass(frozen=True)
class Seen:
    """A clip to be described: its keyframes as JPEG, and what the camera does in each part ("" is not known)."""

    clip_id: str
    keyframes: Sequence[bytes]
    camera: Sequence[str]


@dataclass(frozen=True)
class Told:
    """What the model says of a clip."""

    caption: str
    segments: Sequence[str]
    facts: Sequence[Fact]


def describe_request(clip: Seen) -> Request[Described]:
    """Return what asks for a clip's captions and facts."""
    pictures = tuple(Picture(jpeg) for jpeg in clip.keyframes)
    return Request(clip.clip_id, DESCRIBE, {}, Described, check_described, pictures=pictures)


def refine_request(clip: Seen, told: Described, before: Sequence[str]) -> Request[Refined]:
    """Return what asks for the next sub-caption of a clip, after those in `before`."""
    number = len(before)
    camera = clip.camera[number]
    data = {
        "overall": told.caption,
        "before": "\n".join(before) or "(nothing yet)",
        "camera": f"The camera {'is still' if camera == 'still' else camera}." if camera else "It is not known.",
        "caption": told.segments[number],
    }
    return Request(clip.clip_id, REFINE, data, Refined, check_refined(before, is_camera_known=bool(camera)))


def vision_captions(clips: Sequence[Seen], ask: Answers) -> dict[str, Told | Reject]:
    """Return what the model says of each clip, or why nothing. `ask` returns answers in order, as `tasks.llm.ask`.

    Clips are asked of together, the sub-captions of one after another.
    """
    outcomes: dict[str, Told | Reject] = {}
    going: dict[str, tuple[Seen, Described, list[str]]] = {}
    for clip, answer in zip(clips, ask([describe_request(clip) for clip in clips]), strict=True):
        if answer.value is None:
            outcomes[clip.clip_id] = answer.reject or Reject("no_answer")
        else:
            going[clip.clip_id] = clip, answer.value, []
    for _ in range(SEGMENTS):
        requests = [refine_request(clip, told, before) for clip, told, before in going.values()]
        for clip_id, answer in zip(list(going), ask(requests) if requests else [], strict=True):
            if answer.value is None:
                outcomes[clip_id] = answer.reject or Reject("no_answer")
                del going[clip_id]
            else:
                going[clip_id][2].append(_one_line(answer.value.caption))
    for clip_id, (_, told, refined) in going.items():
        facts = [Fact(fact.kind, _one_line(fact.subject), _one_line(fact.value)) for fact in told.facts]
        outcomes[clip_id] = Told(_one_line(told.caption), refined, facts)
    return {clip.clip_id: outcomes[clip.clip_id] for clip in clips}


def check_described(value: Described) -> None:
    """Raise ValueError for what cannot be asked about: a subject that stands twice, or texts that say nothing."""
    if not all(text.strip() for text in (value.caption, *value.segments)):
        raise ValueError("a caption is empty: say what is seen")
    seen: set[tuple[str, str]] = set()
    for fact in value.facts:
        name = fact.kind, normalised(fact.subject)
        if not words_of(fact.subject) or not words_of(fact.value):
            raise ValueError(f"a fact of kind {fact.kind} has no words in its subject or value")
        if name in seen:
            raise ValueError(f"two facts of kind {fact.kind} have the subject {fact.subject!r}: name each thing apart")
        seen.add(name)


def check_refined(before: Sequence[str], *, is_camera_known: bool) -> Callable[[Refined], None]:
    """Return the check of a sub-caption: it says something new, and what the camera does where that is known."""
    said: Mapping[str, str] = {normalised(text): text for text in before}

    def check(value: Refined) -> None:
        text = normalised(value.caption)
        if not words_of(value.caption):
            raise ValueError("the caption is empty")
        if text in said:
            raise ValueError("the caption repeats one before it: say what is new")
        if is_camera_known and "camera" not in text.split():
            raise ValueError("the caption does not say what the camera does")

    return check


def _one_line(text: str) -> str:
    return " ".join(text.split())
