"""Tokens and money of language models: counted from the answers, estimated where they do not say, stopped in time.

A limit is hard: before a request is sent, the most that it can cost is set aside (a token for each byte of its text,
MOST_PER_PICTURE, and an answer of max_tokens), so requests in flight count too. That much is counted as spent where
nobody tells what it was: an answer without usage, a time-out, a broken connection, a gateway that stopped waiting (HTTP
504, 524), which may be charged. Other errors count as free.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.llm_settings import Limits

BYTES_PER_TOKEN = 4  # about, of English in any of today's vocabularies
TOKENS_PER_MESSAGE = 4  # about, of what a chat template puts around a message
TOKENS_PER_PICTURE = 1000  # about, of one of 1280x720 with most of today's models
MOST_PER_PICTURE = 4096  # of those that cut it into tiles


class LlmError(ValueError):
    """What ends the asking; the message names the reason and the remedy. What was answered is stored."""


class BudgetError(LlmError):
    """A limit of `Limits` is reached."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one or more answers. `estimated` counts the answers whose endpoint did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated + other.estimated,
        )

    @property
    def tokens(self) -> int:
        """Tokens sent and answered."""
        return self.prompt_tokens + self.completion_tokens

    def cost_usd(self, limits: Limits) -> float:
        """Return the price in US dollars."""
        sent = self.prompt_tokens * limits.prompt_usd_per_million_tokens
        return (sent + self.completion_tokens * limits.completion_usd_per_million_tokens) / 1e6


def estimated_tokens(text: str) -> int:
    """Return about how many tokens `text` has: one for every 4 bytes of its UTF-8, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def estimated_prompt(messages: Sequence[dict[str, Any]]) -> int:
    """Return about how many tokens messages have when sent: those of texts and pictures, and 4 for each message."""
    pictures = sum(len(message.get("pictures", ())) for message in messages)
    texts = sum(estimated_tokens(message["content"]) + TOKENS_PER_MESSAGE for message in messages)
    return texts + pictures * TOKENS_PER_PICTURE


class Ledger:
    """What a run has sent and spent so far, within `limits`. Shared by the threads that send; `figures` are for MLflow.

    `spent` may be more than the usage of the answers: see the module on what nobody tells.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.calls = 0  # requests sent, with those that failed
        self.stored = 0  # answers that were in the store
        self.spent = Usage()
        self.limits = limits or Limits()
        self._held = Usage()
        self._in_flight = 0
        self._changed = threading.Condition()

    def take(self, most: Usage) -> None:
        """Set aside a call that can cost `most`, waiting while calls in flight hold what it may need.

        Raises BudgetError where it does not fit, whatever those will have cost.
        """
        with self._changed:
            while (limit := self._exceeded(most)) is not None:
                if not self._in_flight:
                    raise BudgetError(
                        f"run.llm.limits.{limit}={getattr(self.limits, limit):g} is reached: {self.told()}; what is "
                        f"answered is stored: raise the limit (null: none) and run again, which goes on from here"
                    )
                self._changed.wait()
            self.calls += 1
            self._in_flight += 1
            self._held += most

    def settle(self, most: Usage, used: Usage) -> None:
        """Put what a call has cost in the place of the `most` that was set aside for it."""
        with self._changed:
            self._release(most)
            self.spent += used

    def give_back(self, most: Usage) -> None:
        """Take back a call that was not sent."""
        with self._changed:
            self._release(most)
            self.calls -= 1

    def _release(self, most: Usage) -> None:
        self._in_flight -= 1
        self._held += Usage(-most.prompt_tokens, -most.completion_tokens, -most.estimated)
        self._changed.notify_all()

    def count_stored(self, answers: int) -> None:
        """Count answers that the store had."""
        with self._changed:
            self.stored += answers

    @property
    def cost_usd(self) -> float:
        """What the run has cost, US dollars."""
        return self.spent.cost_usd(self.limits)

    def told(self) -> str:
        """Return what was spent, as a part of a sentence."""
        about = "about " if self.spent.estimated else ""
        return f"{self.calls} calls with {about}{self.spent.tokens} tokens for {about}{self.cost_usd:.4f} USD"

    def figures(self) -> dict[str, float]:
        """Return the counts of this run by their names in MLflow."""
        return {
            "llm/calls": self.calls,
            "llm/cached": self.stored,
            "llm/prompt_tokens": self.spent.prompt_tokens,
            "llm/completion_tokens": self.spent.completion_tokens,
            "llm/estimated_answers": self.spent.estimated,
            "llm/cost_usd": self.cost_usd,
        }

    def _exceeded(self, most: Usage) -> str | None:
        """Return the limit that one more call would pass, or None."""
        then = self.spent + self._held + most
        wanted = {"max_calls": self.calls + 1, "max_tokens": then.tokens, "max_cost_usd": then.cost_usd(self.limits)}
        for name, value in wanted.items():
            limit = getattr(self.limits, name)
            if limit is not None and value > limit * (1 + 1e-12):
                return name
        return None
