"""What an endpoint says, read with no trust in its shape: an answer, an error, how long to wait."""

import contextlib
import email.utils
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.llm_budget import Usage, estimated_prompt, estimated_tokens
from tasks.llm_messages import Message

_SECRET_CHARACTERS = 8  # shorter "keys" (none, EMPTY) are no secrets, but words that answers have
_BROKEN_OFF = {"error", "abort"}  # finish_reason of servers that gave up in the middle of an answer


class NoAnswer(Exception):
    """A response with status 200 that holds no answer."""


@dataclass(frozen=True)
class Said:
    """An answer as it came. It holds no time and no id, which would differ where the answer does not."""

    content: str
    finish_reason: str
    model: str  # as the endpoint names it
    fingerprint: str
    usage: Usage


def said_in(body: bytes, key: str, messages: Sequence[Message]) -> Said:
    """Return the answer in a chat completion, without the key that was sent. Raises NoAnswer.

    Its usage is estimated where the endpoint does not tell it.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        content = _text(choice["message"].get("content"))
        finish_reason = _text(choice.get("finish_reason"))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise NoAnswer("HTTP 200 whose body is no chat completion, or half of one") from None
    if finish_reason.lower() in _BROKEN_OFF:
        raise NoAnswer(f"an answer that the endpoint broke off (finish_reason '{finish_reason}')")
    content = scrubbed(content, key)
    return Said(
        content,
        scrubbed(finish_reason, key),
        scrubbed(_text(answer.get("model")), key),
        scrubbed(_text(answer.get("system_fingerprint")), key),
        _usage(answer.get("usage"), messages, content),
    )


def scrubbed(text: str, key: str) -> str:
    """Return text from the endpoint without the key, which some repeat."""
    return text.replace(key, "***") if len(key) >= _SECRET_CHARACTERS else text


def _text(value: Any) -> str:
    """Return a text field of a response as Unicode; "" for what is none. Some endpoints give the content in parts."""
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, dict)]
        value = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON may hold halves of characters


def _usage(told: Any, messages: Sequence[Message], content: str) -> Usage:
    if isinstance(told, dict):
        sent, got = told.get("prompt_tokens"), told.get("completion_tokens")
        if type(sent) is int and type(got) is int and 0 <= sent < 1 << 40 and 0 <= got < 1 << 40:
            return Usage(sent, got)
    return Usage(estimated_prompt(messages), estimated_tokens(content), 1)


def _error_of(body: bytes) -> dict[str, Any]:
    """Return the error object of a response, whatever its shape; {} where it has none."""
    try:
        told = json.loads(body)
        error = told.get("error", told) if isinstance(told, dict) else told
        return error if isinstance(error, dict) else {"message": json.dumps(error, ensure_ascii=False)}
    except (ValueError, RecursionError):
        return {}


def error_text(body: bytes, key: str) -> str:
    """Return what an error response says, on one short line. The key is taken out before anything is cut."""
    error = _error_of(body)
    told = error.get("message") or error or body.decode("utf-8", "replace")
    try:
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    except RecursionError:
        text = ""
    return " ".join(_text(scrubbed(text, key)).split())[:300] or "no message"


def is_out_of_quota(body: bytes) -> bool:
    """Say whether an error is that of an account with no money left, which no wait mends."""
    return "insufficient_quota" in (_error_of(body).get("code"), _error_of(body).get("type"))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return what Retry-After asks for, seconds: it gives them, or a date, which is taken by the endpoint's clock."""
    told = headers.get("retry-after", "").strip()
    with contextlib.suppress(ValueError):
        return max(float(told), 0.0) if float(told) < float("inf") else None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until = email.utils.parsedate_to_datetime(told).timestamp()
        now = time.time()
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            now = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
        return max(until - now, 0.0)
    return None
