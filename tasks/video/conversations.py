"""Items as conversations in LLaVA's format, which training code of video models reads: a human turn and a gpt turn."""

from tasks.video.choices import option_lines
from tasks.video.items import Item

VIDEO = "<video>\n"  # where a loader puts the frames
REPLY_WITH_LETTER = "Reply with the letter of the right option and nothing else."


def conversation(item: Item) -> list[dict[str, str]]:
    """Return an item as turns, {"from": "human" | "gpt", "value": text}; of a choice the answer is its letter."""
    asked = " ".join(part for part in (item.instruction, item.question) if part)
    if item.options:
        asked = f"{asked}\n{option_lines(item.options)}\n{REPLY_WITH_LETTER}"
    return [
        {"from": "human", "value": VIDEO + asked},
        {"from": "gpt", "value": item.key if item.options else item.answer},
    ]
