"""A language model as writer of VISTA's text (arXiv 2412.00927): what it is asked, and how its answers are checked.

It has the paper's four roles: a free-form question on one caption, its conversion to four options of which it is told
the letter that must be right, a question on the order of events, and one caption out of several. The paper splits
question and answer by two markers; here they are two fields of the JSON that `tasks.llm` asks for and checks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from tasks.llm import Answer, Request, Template
from tasks.llm_asking import Answers
from tasks.strict import StrictModel
from tasks.tables import Reject
from tasks.video.choices import LETTERS, drawn_letter
from tasks.video.items import Case, Form, Item, form_of, rng_of, subset_name
from tasks.video.question_forms import INSTRUCTIONS
from tasks.video.wording import (
    clashes,
    content_words,
    mentions_caption,
    normalised,
    ordinal,
    tells_place,
    tells_time,
    words_of,
)

MOST_OTHERS = 12  # captions that wrong options may be taken from, of a haystack or a grid: a prompt has its limits


class Written(StrictModel):
    """A question and its answer."""

    question: str = Field(min_length=8, max_length=400)
    answer: str = Field(min_length=1, max_length=300)


class Options(StrictModel):
    """Four options, each with its letter, "A. a red car"."""

    options: list[str] = Field(min_length=4, max_length=4)


class Merged(StrictModel):
    """One caption."""

    caption: str = Field(min_length=1, max_length=8000)


# --- what is asked ----------------------------------------------------------------------------------------------

_ROLE = (
    "You prepare questions that test whether a model has watched a video. "
    "You are given what the video shows, in words. "
)
_RULES = (
    "Who answers has only the video: never speak of a caption, a text or a description of it. Give no times, no frame "
    "numbers and no place within the picture. The question must not contain its answer, and must end with a question "
    "mark. Answer as `question` and `answer`."
)
FREE_FORM = Template(
    "vista.free_form",
    "1",
    f"{_ROLE}Ask for one small, local detail of the clip, such as a colour, a number, a movement or what can be "
    "read, that can be seen in it and has exactly one answer. Name what you ask about so that nothing else in the"
    f" clip can be meant. Keep the answer short. {_RULES}",
    "$caption",
)
BOTH_PARTS = Template(
    "vista.both_parts",
    "1",
    f"{_ROLE}The clip is shown in two parts. Ask one question that can be answered only by who has seen both: what"
    " is different between them, which of two things is seen first, or how many there are in both together. "
    f"{_RULES}",
    "$first_part\n$second_part",
)
EVENTS = Template(
    "vista.events",
    "1",
    f"{_ROLE}Numbered scenes of one video follow each other in time. What is told of with slightly different words"
    " in two scenes is the same person or thing. Ask one question on their order: what happens first, last, "
    "before, after or between. Name each scene by what happens in it and in no other, never by its number. "
    "Example: of the scenes '1. A woman cuts onions. 2. She fries them. 3. She lays the table.' a question is "
    "'What does the woman do between cutting the onions and laying the table?', its answer 'She fries the "
    f"onions.' {_RULES}",
    "$scenes",
)
CONVERT = Template(
    "vista.convert",
    "1",
    f"{_ROLE}Turn a question with its answer into a choice of four options. Exactly one is right: it says what the"
    " answer says, and stands under the letter in `right_letter`. The other three are wrong answers to the "
    "question, of the same form and length as the right one, and made of what the other scenes show, so that "
    "whoever looks at those instead picks them. No two options mean the same. Give `options`: four texts in the "
    "order of their letters, each beginning with its letter and a full stop, as in 'A. a red car'.",
    "$question\n$answer\n$right_letter\nOther scenes, one a line:\n$others",
)
LONG_CAPTION = Template(
    "vista.long_caption",
    "1",
    f"{_ROLE}Numbered scenes of one video follow each other in time. Tell them as one detailed text in their "
    "order. What is told of with slightly different words is the same person or thing: call it by one name. Say "
    "once what repeats. Keep every scene and add nothing. Do not number scenes and do not speak of clips or "
    "captions. Answer as `caption`.",
    "$scenes",
)


class LlmSynthesiser:
    """Writes questions by a language model.

    `ask` takes requests and returns their answers in order, as `tasks.llm.ask` does. What is drawn (the form, the
    letter, the instruction) depends on the seed and the case alone.
    """

    def __init__(self, seed: int, ask: Answers, mcq_share: float = 0.5) -> None:
        self._seed = seed
        self._ask = ask
        self._mcq_share = mcq_share

    def requests(self, cases: Sequence[Case]) -> list[Request[Any]]:
        """Return what is asked first of each case, for a plan; conversions to options come on top."""
        return [first_request(case) for case in cases]

    def write(self, cases: Sequence[Case]) -> list[Item | Reject]:
        """Return the text of each case, in their order, or why there is none: see `tasks.llm.ask` for reasons.

        Where options were drawn and not asked for, and none pass the checks, the question is free-form.
        """
        rngs = [rng_of(self._seed, case) for case in cases]
        forms = [form_of(case, self._mcq_share, rng) for case, rng in zip(cases, rngs, strict=True)]
        letters = [drawn_letter(rng) for rng in rngs]
        first = self._ask(self.requests(cases)) if cases else []
        found = {n: answer.value for n, answer in enumerate(first) if forms[n] == "mcq" and answer.value is not None}
        requests = [convert_request(cases[n], written, letters[n]) for n, written in found.items()]
        options = dict(zip(found, self._ask(requests) if requests else [], strict=True))
        return [
            self._item(case, forms[n], letters[n], first[n], options.get(n), rngs[n]) for n, case in enumerate(cases)
        ]

    def _item(
        self,
        case: Case,
        form: Form,
        letter: str,
        first: Answer[Any],
        second: Answer[Any] | None,
        rng: np.random.Generator,
    ) -> Item | Reject:
        if first.value is None:
            assert first.reject is not None
            return first.reject
        if second is not None and second.value is None:
            assert second.reject is not None
            if case.form == "mcq":
                return second.reject
            form, second = "qa", None
        pool = INSTRUCTIONS[case.subset]
        said = pool[int(rng.integers(len(pool)))]
        clip = case.shown[0].clip
        told = first.value
        is_caption = isinstance(told, Merged)
        texts = _without_letters(second.value.options) if second is not None and second.value is not None else ()
        return Item(
            item_id=case.item_id,
            subset=subset_name(case.subset, form),
            group=clip["group"],
            style=first.request.template.name.partition(".")[2],
            instruction="" if is_caption else said,
            question=said if is_caption else _about(case, told.question),
            answer=told.caption if is_caption else told.answer,
            facts=(),
            options=texts,
            key=letter if texts else "",
            option_clips=_sources(case, texts, letter),
            backend="llm",
        )


def first_request(case: Case) -> Request[Any]:
    """Return what asks for a question, or for a long caption, of what a case shows."""
    texts = [caption_of(case, place) for place in range(len(case.shown))]
    if case.subset == "long_video_caption":
        return Request(case.item_id, LONG_CAPTION, {"scenes": _numbered(texts)}, Merged, check_merged(texts))
    if case.subset == "event_relationship":
        return Request(case.item_id, EVENTS, {"scenes": _numbered(texts)}, Written, check_written(texts))
    if case.subset == "two_needle_niah":
        data = {"first_part": texts[0], "second_part": texts[1]}
        return Request(case.item_id, BOTH_PARTS, data, Written, check_written(texts))
    return Request(case.item_id, FREE_FORM, {"caption": texts[0]}, Written, check_written(texts))


def convert_request(case: Case, written: Written, letter: str) -> Request[Any]:
    """Return what asks for four options; wrong ones come of the haystack, of other cells, or of the video's events."""
    events = case.subset == "event_relationship"
    rows = [shown.clip for shown in (case.shown if events else case.others)][:MOST_OTHERS]
    others = [_line(row["caption"]) for row in rows]
    mine = [] if events else [_line(shown.clip["caption"]) for shown in case.shown]
    data = {
        "question": written.question,
        "answer": written.answer,
        "right_letter": letter,
        "others": "\n".join(others),
    }
    return Request(case.item_id, CONVERT, data, Options, check_options(written, letter, others, mine))


def caption_of(case: Case, place: int) -> str:
    """Return the caption of what is shown: of a part, those of its segments where the clip has any."""
    shown = case.shown[place]
    segments = shown.clip["segments"]
    if shown.is_whole or not segments:
        return _line(shown.clip["caption"])
    inside = [one["caption"] for one in segments if shown.start_s <= one["frame_s"] < shown.end_s and one["caption"]]
    return _line(" ".join(inside) or shown.clip["caption"])


def _line(text: str) -> str:
    return " ".join(text.split())


def _numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))


def _about(case: Case, question: str) -> str:
    """Return a question with the cell that it is asked of; of a needle the instruction says enough."""
    if case.cell is None:
        return question
    row, column = case.cell
    return f"In the cell in the {ordinal(row)} row, {ordinal(column)} column: {question}"


# --- how answers are checked ------------------------------------------------------------------------------------


def check_written(captions: Sequence[str]) -> Callable[[Written], None]:
    """Return a check of a question: it asks of what the captions tell, and tells no time, place, caption or answer."""
    known = {word for caption in captions for word in words_of(caption)}

    def check(value: Written) -> None:
        _require_seen(value.question, "the question")
        if tells_place(value.question):
            raise ValueError("the question tells a place in the picture: name what is seen there instead")
        _require_seen(value.answer, "the answer")
        if not value.question.rstrip().endswith("?"):
            raise ValueError("the question does not end with a question mark: ask one question")
        asked, told = set(content_words(value.question)), set(content_words(value.answer))
        if not asked & known:
            raise ValueError("the question names nothing of the clip: ask for what is told of it")
        if told and told <= asked:
            raise ValueError("the question contains its answer: ask for what it does not say")

    return check


def check_options(
    written: Written, letter: str, others: Sequence[str], mine: Sequence[str]
) -> Callable[[Options], None]:
    """Return a check of options: lettered, distinct, the one under `letter` says the answer, and no other one can.

    A wrong one has words of the other captions that the right one lacks, and says nothing that the needle's own
    captions `mine` say.
    """
    elsewhere = {word for other in others for word in words_of(other)}
    told = [f" {normalised(caption)} " for caption in mine]

    def check(value: Options) -> None:
        texts = _without_letters(value.options)
        if len({normalised(text) for text in texts}) != len(LETTERS):
            raise ValueError("two options mean the same: give four different ones")
        right = texts[LETTERS.index(letter)]
        mine_said, answer = set(content_words(right)), set(content_words(written.answer))
        if not mine_said or not (mine_said <= answer or answer <= mine_said):
            raise ValueError(f"option {letter} does not say the answer: it must be right, and the others wrong")
        for name, text in zip(LETTERS, texts, strict=True):
            _require_seen(text, f"option {name}")
            if name == letter:
                continue
            if clashes(text, right) or clashes(text, written.answer):
                raise ValueError(f"option {name} may be right as well: only {letter} must be")
            if any(f" {normalised(text)} " in one for one in told):
                raise ValueError(f"option {name} is true of the clip that is asked of: it must be wrong")
            if not (set(content_words(text)) - mine_said) & elsewhere:
                raise ValueError(f"option {name} is not made of what the other scenes show: take it from them")

    return check


def check_merged(captions: Sequence[str]) -> Callable[[Merged], None]:
    """Return a check of a long caption: it has words of each clip, more than one clip's, and no word of captions."""

    def check(value: Merged) -> None:
        _require_seen(value.caption, "the text")
        found = set(words_of(value.caption))
        for number, caption in enumerate(captions, start=1):
            words = set(content_words(caption))
            if words and not words & found:
                raise ValueError(f"scene {number} is missing: tell every scene")
        if len(value.caption) < max(map(len, captions)) / 2:
            raise ValueError("the text is shorter than one of the scenes: tell them in detail")

    return check


def _require_seen(text: str, what: str) -> None:
    if mentions_caption(text):
        raise ValueError(f"{what} speaks of a caption or a description: who answers sees the video alone")
    if tells_time(text):
        raise ValueError(f"{what} tells a time or a frame: name what is seen instead")


def _without_letters(options: Sequence[str]) -> tuple[str, ...]:
    """Return options without their letters. Raises ValueError where one does not begin with its own."""
    texts = []
    for letter, option in zip(LETTERS, options, strict=True):
        text = option.strip()
        if text[:1] != letter or text[1:2] not in (".", ")", ":") or not text[2:].strip():
            raise ValueError(f"option {letter} does not begin with '{letter}. ': give each its letter, in their order")
        texts.append(text[2:].strip())
    return tuple(texts)


def _sources(case: Case, texts: Sequence[str], letter: str) -> tuple[str, ...]:
    """Return for each option the clip whose caption has the most of its words; of the right one the clip asked of."""
    if not texts:
        return ()
    rows = [shown.clip for shown in (case.shown if case.subset == "event_relationship" else case.others)][:MOST_OTHERS]
    found = []
    for name, text in zip(LETTERS, texts, strict=True):
        words = set(content_words(text))
        best = max(rows, key=lambda row: len(words & set(words_of(row["caption"]))))
        found.append(case.shown[0].clip["clip_id"] if name == letter else best["clip_id"])
    return tuple(found)
