"""How stages ask language models: the section `sampling` of their parameters, and answers with progress and cost."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import Field

from tasks.llm import Answer, Ledger, Request, Sampling, ask
from tasks.llm_settings import Endpoint, Llm, ResponseFormat
from tasks.progress import Progress
from tasks.stage import Stage, StageError
from tasks.store import Store
from tasks.strict import StrictModel

Answers = Callable[[Sequence[Request[Any]]], list[Answer[Any]]]  # what answers requests, in their order


class Asking(StrictModel):
    """How the language model is asked: what decides its answers, and the key of each in the store."""

    model: str = Field(description="its name at the endpoint; of no matter where none is asked")
    revision: str = Field(description="tells two models of one name apart; kept, not sent")
    temperature: float | None = Field(ge=0, le=2, description="empty: not sent")
    top_p: float | None = Field(gt=0, le=1, description="empty: not sent")
    max_tokens: int = Field(ge=1, description="of one answer")
    seed: int | None = Field(ge=0, description="of the first sample; sample n has seed + n; empty: not sent")
    response_format: ResponseFormat = Field(
        description="how JSON is asked for; json_object and none tell the schema in words"
    )
    repairs: int = Field(ge=0, le=10, description="times that an answer which fails is asked for again")

    def require_model(self, chosen: str, section: str) -> None:
        """Raise ValueError where no model is named, though what was `chosen` in a section of params.yaml asks one."""
        if not self.model:
            raise ValueError(f"{chosen} needs {section}.sampling.model, the model's name")

    @property
    def settings(self) -> Sampling:
        """The same as `tasks.llm` takes it."""
        return Sampling(**self.model_dump())


def endpoint_of(llm: Llm, setting: str, remedy: str) -> Endpoint:
    """Return where a language model is asked. Raises StageError where params.yaml names none.

    `setting` says which parameter asks for a model, `remedy` how to do without.
    """
    if llm.endpoint is None:
        raise StageError(f"params.yaml: {setting}, but run.llm.endpoint is null: give its base_url there, or {remedy}")
    return llm.endpoint


@contextlib.contextmanager
def asking(
    sampling: Sampling, endpoint: Endpoint, store: Store, ledger: Ledger, label: str, unit: str
) -> Iterator[Answers]:
    """Yield what asks the endpoint. All that it asks counts in one ledger, and is one progress in `unit`."""
    progress = Progress(0, unit, label)

    def answers(requests: Sequence[Request[Any]]) -> list[Answer[Any]]:
        progress.total += len(requests)
        done = ask(requests, sampling, endpoint, store, ledger, progress=lambda one: progress.done(one.request.item_id))
        return list(done)

    try:
        yield answers
    finally:
        progress.close()


@contextlib.contextmanager
def asking_in(
    stage: Stage, sampling: Sampling, ledger: Ledger, unit: str, *, setting: str, remedy: str
) -> Iterator[Answers]:
    """Yield the same for a stage: what `ledger` then holds goes to MLflow, and its calls are work that was done.

    Raises StageError as `endpoint_of` does.
    """
    endpoint, before = endpoint_of(stage.knobs.llm, setting, remedy), ledger.calls
    try:
        with asking(sampling, endpoint, stage.store, ledger, stage.info.address, unit) as answers:
            yield answers
    finally:
        stage.count_done(ledger.calls - before)
        stage.timing(ledger.figures())
