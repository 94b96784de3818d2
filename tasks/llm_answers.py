"""Where the answers of language models are kept: in the store, by all that decides them.

An answer is durable before it is used. Answers that come while others are being written share the next segment
(group commit), so that many slots cost few files.
"""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from tasks.keys import StoredFunction, canonical_json, key_of_json
from tasks.llm_budget import Usage
from tasks.llm_response import Said
from tasks.store import Store, Writer

# Its version is that of the record, not of the code: a new one pays for every answer again.
STORED = StoredFunction("llm.answer", "1", "tasks.llm_answers", libraries=())


@dataclass(frozen=True)
class Question:
    """What is asked: `params` (template, model, parameters) and, for one item, messages, sample and attempt."""

    params: Mapping[str, Any]
    messages: list[dict[str, Any]]  # pictures in them by their digests
    sample: int
    attempt: int  # 0, then 1 for the first repair, ...

    @cached_property
    def input_hash(self) -> str:
        """The sha256 of what differs between the questions of one template."""
        asked = {"messages": self.messages, "sample": self.sample, "attempt": self.attempt}
        return hashlib.sha256(canonical_json(asked).encode()).hexdigest()

    @cached_property
    def key(self) -> str:
        """The key of its answer in the store."""
        return key_of_json(STORED.name, STORED.version, canonical_json(dict(self.params)), self.input_hash)


def find_answers(store: Store, keys: Iterable[str]) -> dict[str, Said]:
    """Return the answers that the store has, by key."""
    return {key: _said(record.value) for key, record in store.get_many(STORED.name, keys).items()}


def _said(value: Mapping[str, Any]) -> Said:
    return Said(**{**value["answer"], "usage": Usage(**value["answer"]["usage"])})


@dataclass
class _Batch:
    rows: dict[str, list[tuple[str, dict[str, Any], tuple[str, ...]]]] = field(default_factory=dict)
    params: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    written: bool = False
    error: BaseException | None = None


class Keeper:
    """Keeps answers from any number of threads."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open = _Batch()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def keep(self, question: Question, said: Said) -> None:
        """Make an answer durable. Raises what the store raises."""
        value = {
            "messages": question.messages,
            "sample": question.sample,
            "attempt": question.attempt,
            "answer": asdict(said),
        }
        name = canonical_json(dict(question.params))
        with self._lock:
            batch = self._open
            batch.params[name] = question.params
            batch.rows.setdefault(name, []).append((question.input_hash, value, ()))
        with self._turn:  # whoever comes first writes for all that have come meanwhile
            if not batch.written:
                with self._lock:
                    self._open = _Batch()
                try:
                    for name, rows in batch.rows.items():
                        self._writer.put_many(STORED.name, STORED.version, batch.params[name], rows)
                except BaseException as error:
                    batch.error = error
                    raise
                finally:
                    batch.written = True
        if batch.error is not None:
            raise batch.error
