"""VISTA's choices put to a vision model behind an endpoint, and its replies read as HRVideoBench reads them.

The model is shown the sampled frames in their order, then the question with its options (arXiv 2412.00927).
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from pydantic import Field

from tasks.llm import Answer, Picture, Request, Template
from tasks.strict import StrictModel
from tasks.tables import Reject
from tasks.video.choice_items import ChoiceItem
from tasks.video.conversations import VIDEO
from tasks.video.replies import chosen

_QUALITY = 90  # of JPEG


class Reply(StrictModel):
    """What a model replies."""

    reply: str = Field(max_length=2000)


CHOOSE = Template(
    "vista.choose",
    "1",
    "You are shown frames of one video in the order of time, and a question about it with four options. Answer with "
    "one JSON object whose `reply` is the letter of the right option, and nothing else.",
    "$question",
)


def choice_request(item: ChoiceItem, frames_THW3: np.ndarray, what: str) -> Request[Reply]:
    """Return what asks for the letter of a choice; frames are uint8 RGB, none for a question without its video."""
    question = item.conversation.removeprefix(VIDEO)
    pictures = tuple(Picture(_jpeg(frame)) for frame in frames_THW3)
    return Request(f"{item.item_id}/{what}", CHOOSE, {"question": question}, Reply, pictures=pictures)


def _jpeg(frame_HW3: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", frame_HW3[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return bytes(data)


def letters_of(answers: Iterable[Answer[Reply]]) -> tuple[list[str], dict[str, Reject]]:
    """Return the letter that each answer chooses, "" where it failed or chooses none, and the answers that failed."""
    letters, rejects = [], {}
    for answer in answers:
        if answer.value is None:
            assert answer.reject is not None
            rejects[answer.request.item_id] = answer.reject
            letters.append("")
        else:
            letters.append(chosen(answer.value.reply).upper())
    return letters, rejects


def right_letters(letters: Sequence[str], items: Sequence[ChoiceItem]) -> np.ndarray:
    """Return 1 for each letter that is the key, else 0: float64 (N,)."""
    return np.array([float(letter == item.key) for letter, item in zip(letters, items, strict=True)])
