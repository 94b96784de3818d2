"""Language models behind any OpenAI-compatible endpoint: many requests, checked answers, each paid for once.

`ask` yields an `Answer` for each `Request`, in order. An answer is kept before it is used; one that fails its schema
or check is asked for again, shown what is wrong with it; what still fails is an answer with a `reject`.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from tasks.llm_answers import STORED, Keeper, Question, find_answers
from tasks.llm_budget import BudgetError, Ledger, LlmError, Usage, estimated_prompt
from tasks.llm_client import EndpointError, Sender
from tasks.llm_http import open_connections
from tasks.llm_messages import Picture, Template, read_answer, render, repaired, response_format_of
from tasks.llm_response import Said
from tasks.llm_settings import Endpoint, Limits, Llm, Sampling
from tasks.store import Store
from tasks.tables import Reject

__all__ = [
    "Answer",
    "BudgetError",
    "Endpoint",
    "EndpointError",
    "Estimate",
    "Ledger",
    "Limits",
    "Llm",
    "LlmError",
    "Picture",
    "Request",
    "Sampling",
    "Template",
    "Usage",
    "ask",
    "estimate",
    "stored_answers",
]

Value = TypeVar("Value", bound=BaseModel)

_LOOKED_UP = 256  # requests that one look into the store serves
_AHEAD = 256  # requests, at least, that may be done before the next in order is


@dataclass(frozen=True)
class Request(Generic[Value]):
    """One thing to ask. `data` are texts from outside, by their names in the template; `model` is what comes back.

    `pictures` are shown with it, to a model that sees.
    `check` raises ValueError (or Reject) with what is wrong with a value; it runs in threads. Where `response_format`
    is json_schema, endpoints want models that forbid extra fields and have no defaults.
    """

    item_id: str
    template: Template
    data: Mapping[str, str]
    model: type[Value]
    check: Callable[[Value], None] | None = None
    sample: int = 0
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """What became of a request: `value`, or `reject` with the reason.

    `keys` name the stored answers that it took, in order; `usage` is theirs, whenever they were paid.
    """

    request: Request[Value]
    value: Value | None
    reject: Reject | None
    keys: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True)
class Estimate:
    """What `ask` would do now: `calls` at least, `calls_at_most` if every answer needed all its repairs."""

    calls: int
    calls_at_most: int
    stored: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float

    def note(self) -> str:
        """Return it as a line of `--plan`."""
        return (
            f"{self.calls} calls to do (at most {self.calls_at_most} with repairs), {self.stored} answers stored; "
            f"about {self.prompt_tokens} tokens to send and {self.completion_tokens} to get, {self.cost_usd:.2f} USD"
        )


def ask(
    requests: Iterable[Request[Value]],
    sampling: Sampling,
    endpoint: Endpoint,
    store: Store,
    ledger: Ledger | None = None,
    *,
    progress: Callable[[Answer[Value]], None] | None = None,
) -> Iterator[Answer[Value]]:
    """Yield an answer for each request, in their order; `endpoint.concurrency` of them are under way at a time.

    `progress` is called with each as it is done, in the caller's thread; `ledger` counts what is sent and spent, and
    holds the limits; several calls may share one, and its limits then hold for all of them.
    Raises EndpointError, BudgetError and what the store raises, after the answers in flight are kept: run again, it
    goes on from there. Reasons of a reject: those of `read_answer`; "not_text" (data that is no Unicode), "refused"
    (by the endpoint) and "no_answer" (no try brought one), which are not kept and asked again by the next run.
    """
    ledger = ledger or Ledger()
    store.refresh(STORED.name)
    stop = threading.Event()
    with store.writer() as writer, open_connections(endpoint) as connections:
        crew = _Crew(store, Keeper(writer), Sender(endpoint, connections, ledger, stop), ledger, stop)
        yield from crew.answers(_talks(requests, sampling, store, ledger), endpoint.concurrency, progress)


def estimate(
    requests: Iterable[Request[Any]], sampling: Sampling, store: Store, limits: Limits | None = None
) -> Estimate:
    """Say what `ask` would do, without asking. Nothing is written.

    Tokens to send are estimated at 4 bytes each; tokens to get are the mean of the stored answers to these requests,
    or `sampling.max_tokens` where there is none. Equal requests count once.
    """
    limits = limits or Limits()
    store.refresh(STORED.name)
    todo: dict[str, int] = {}  # key -> tokens of the prompt
    most, heard = 0, Usage()
    stored: set[str] = set()
    for talk in _talks(requests, sampling, store, Ledger()):
        fresh = [key for key in talk.keys if key not in stored]
        stored.update(fresh)
        heard += talk.usage if fresh else Usage()
        if talk.answer is None and talk.question.key not in todo:
            todo[talk.question.key] = estimated_prompt(talk.question.messages)
            most += 1 + sampling.repairs - talk.question.attempt
    each = round(heard.completion_tokens / len(stored)) if stored else sampling.max_tokens
    usage = Usage(sum(todo.values()), each * len(todo))
    return Estimate(len(todo), most, len(stored), usage.prompt_tokens, usage.completion_tokens, usage.cost_usd(limits))


def stored_answers(
    requests: Iterable[Request[Value]], sampling: Sampling, store: Store
) -> Iterator[Answer[Value] | None]:
    """Yield for each request what `ask` would, but None where it would send something. Nothing is written."""
    store.refresh(STORED.name)
    for talk in _talks(requests, sampling, store, Ledger()):
        yield talk.answer


# --- one request ------------------------------------------------------------------------------------------------


class _Talk:
    """One request and what was said to it so far. It has ended when `answer` is there, else `question` is next."""

    def __init__(self, request: Request[Any], sampling: Sampling) -> None:
        self.request = request
        self.repairs = sampling.repairs
        self.answer: Answer[Any] | None = None
        self.keys: tuple[str, ...] = ()
        self.usage = Usage()
        self.sought = ""  # the last key that the store was asked for, in vain
        self.settings = sampling.body(request.sample) | response_format_of(request.model, sampling.response_format)
        params = {
            "template": request.template.name,
            "template_version": request.template.version,
            "model": sampling.model,
            "revision": sampling.revision,
            "parameters": {k: v for k, v in self.settings.items() if k != "model"} | {"seed": sampling.seed},
        }
        try:
            messages = render(request.template, request.data, request.model, sampling.response_format, request.pictures)
            self.question = Question(params, messages, request.sample, attempt=0)
        except Reject as reject:
            self.end(None, reject)

    def hear(self, said: Said) -> None:
        """Take an answer to the question: the talk ends, or has another."""
        question = self.question
        self.keys, self.usage = (*self.keys, question.key), self.usage + said.usage
        try:
            value = read_answer(said.content, said.finish_reason, self.request.model, self.request.check)
        except Reject as reject:
            if question.attempt >= self.repairs:
                self.end(None, reject)
            else:
                messages = repaired(question.messages, said.content, reject)
                self.question = replace(question, messages=messages, attempt=question.attempt + 1)
        else:
            self.end(value, None)

    def end(self, value: Any, reject: Reject | None) -> None:
        self.answer = Answer(self.request, value, reject, self.keys, self.usage)


def _talks(requests: Iterable[Request[Any]], sampling: Sampling, store: Store, ledger: Ledger) -> Iterator[_Talk]:
    """Yield a talk for each request, gone on as far as the store has answers."""
    source = iter(requests)
    while chunk := [_Talk(request, sampling) for request in islice(source, _LOOKED_UP)]:
        going = chunk
        while going := [talk for talk in going if talk.answer is None and talk.question.key != talk.sought]:
            found = find_answers(store, {talk.question.key for talk in going})
            for talk in going:
                if said := found.get(talk.question.key):
                    talk.hear(said)
                    ledger.count_stored(1)
                else:
                    talk.sought = talk.question.key
        yield from chunk


# --- many requests ----------------------------------------------------------------------------------------------


class _Crew:
    """Threads that go on with talks. Each has one request under way: a slot."""

    def __init__(self, store: Store, keeper: Keeper, sender: Sender, ledger: Ledger, stop: threading.Event) -> None:
        self._store, self._keeper, self._sender, self._ledger, self._stop = store, keeper, sender, ledger, stop
        self._jobs: SimpleQueue[tuple[int, _Talk] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Answer[Any] | BaseException]] = SimpleQueue()
        self._asking: dict[str, threading.Lock] = {}  # by key: equal questions wait for the first
        self._asking_lock = threading.Lock()

    def answers(
        self, talks: Iterator[_Talk], slots: int, progress: Callable[[Answer[Any]], None] | None
    ) -> Iterator[Answer[Any]]:
        threads: list[threading.Thread] = []
        done: dict[int, Answer[Any]] = {}
        waiting: deque[int] = deque()  # numbers of the requests not yet yielded, in order
        number = under_way = 0
        trouble: BaseException | None = None
        ended = False
        ahead = max(_AHEAD, 4 * slots)

        def finished(place: int, answer: Answer[Any]) -> None:
            done[place] = answer
            if progress is not None:
                progress(answer)

        try:
            while True:
                while not ended and trouble is None and len(waiting) < ahead:
                    talk = next(talks, None)
                    if talk is None:
                        ended = True
                        break
                    waiting.append(number)
                    if talk.answer is not None:
                        finished(number, talk.answer)
                    else:
                        if len(threads) < slots:
                            threads.append(threading.Thread(target=self._work, daemon=True))
                            threads[-1].start()
                        self._jobs.put((number, talk))
                        under_way += 1
                    number += 1
                while waiting and waiting[0] in done:
                    yield done.pop(waiting.popleft())
                if not under_way:
                    if ended or trouble is not None:
                        break
                    continue
                place, outcome = self._results.get()
                under_way -= 1
                if not isinstance(outcome, BaseException):
                    finished(place, outcome)
                else:
                    trouble = trouble or outcome  # the first; the others were stopped by it
        except KeyboardInterrupt:
            threads.clear()  # who interrupts does not wait for what is in flight
            raise
        finally:
            self._stop.set()
            for _ in range(slots):
                self._jobs.put(None)
            for thread in threads:
                thread.join()
        if trouble is not None:
            raise trouble

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            place, talk = job
            try:
                self._results.put((place, self._go_on(talk)))
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                self._results.put((place, error))  # before the others stop, which is an error too
                self._stop.set()

    def _go_on(self, talk: _Talk) -> Answer[Any]:
        """Ask until the talk has ended. Whatever is asked was looked for, and is kept before it is heard."""
        while talk.answer is None:
            question, key = talk.question, talk.question.key
            with self._asking_lock:
                is_new = key == talk.sought and key not in self._asking
                asking = self._asking.setdefault(key, threading.Lock())
            with asking:
                said = None if is_new else find_answers(self._store, [key]).get(key)
                if said is not None:
                    self._ledger.count_stored(1)
                else:
                    try:
                        said = self._sender.ask(question.messages, talk.settings, key, talk.request.pictures)
                    except Reject as reject:
                        talk.end(None, reject)
                        continue
                    self._keeper.keep(question, said)
            talk.hear(said)
        return talk.answer
