"""What tests of language models share: a prompt, passages, and ways to ask the server of a test."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field

from tasks.llm import Answer, Endpoint, Ledger, Request, Sampling, Template, ask
from tasks.store import Store
from tasks.strict import StrictModel
from tests.tasks import llm_server
from tests.tasks.llm_server import Server

LIST = Template("list_claims", "1", "You list the claims of a passage.", "List the claims of this passage.\n$passage")
SAMPLING = Sampling(model="tiny")
ASKING: dict[str, Any] = {  # the section generator.sampling of params.yaml
    **{"model": "tiny", "revision": "", "temperature": 0.0, "top_p": None, "max_tokens": 2048, "seed": 0},
    **{"response_format": "json_schema", "repairs": 1},
}


class Claims(StrictModel):
    claims: list[str] = Field(min_length=1)


@pytest.fixture
def server() -> Iterator[Server]:
    with llm_server.running() as told:
        yield told


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def passage(number: int) -> str:
    return f"The mill number {number} stands by the river. Its wheel has {number + 3} blades."


def request(number: int, text: str | None = None, **more) -> Request[Claims]:
    text = passage(number) if text is None else text
    return Request(f"p{number}", LIST, {"passage": text}, Claims, **more)


def quoted(text: str):
    """Return a check that each claim is a quote of the passage."""

    def check(value: Claims) -> None:
        for claim in value.claims:
            if claim not in text:
                raise ValueError(f"claim is no quote of the passage: {claim!r}")

    return check


def endpoint(server: Server, **more) -> Endpoint:
    return Endpoint(**{"base_url": server.url, "concurrency": 4, "first_wait_s": 0.01, "answer_timeout_s": 10.0} | more)


def run(server: Server, store: Store, requests, limits=None, sampling=SAMPLING, **more) -> list[Answer[Claims]]:
    return list(ask(requests, sampling, endpoint(server, **more), store, Ledger(limits)))


def values(store: Store) -> list[dict]:
    """Return what the store has kept, opened anew."""
    return [json.loads(text) for text in Store(store.url).table("llm.answer").column("value").to_pylist()]


def user_messages(store: Store) -> set[str]:
    return {value["messages"][1]["content"] for value in values(store)}
