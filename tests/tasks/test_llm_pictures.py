"""Pictures that a language model is shown: sent whole, kept by their hash, and part of what is asked."""

import base64
import hashlib
import json

import numpy as np
import pytest

from tasks.llm import BudgetError, Limits, Picture, Request, Template, estimate
from tests.tasks.llm_cases import SAMPLING, Claims, request, run, values
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import answer

LOOK = Template("look", "1", "You list what is seen.", "List what is seen.\n$hint")
SEEN = answer('{"claims": ["A mill."]}', usage={"prompt_tokens": 9, "completion_tokens": 3})


def jpeg(seed: int) -> bytes:
    return b"\xff\xd8\xff\xe0" + np.random.default_rng(seed).bytes(5000)


def looking(*seeds: int, hint: str = "There is water.") -> Request[Claims]:
    return Request("clip", LOOK, {"hint": hint}, Claims, pictures=tuple(Picture(jpeg(seed)) for seed in seeds))


def test_pictures_are_sent_after_the_text_in_their_order(server, store):
    server.default = SEEN
    run(server, store, [looking(1, 2)])
    system, user = server.bodies[0]["messages"]
    assert system["content"].startswith("You list")
    text, *shown = user["content"]
    assert text["type"] == "text"
    assert "There is water." in text["text"]
    assert [part["type"] for part in shown] == ["image_url", "image_url"]
    for part, seed in zip(shown, (1, 2), strict=True):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert base64.b64decode(data) == jpeg(seed)


def test_an_answer_is_paid_once_and_another_picture_asks_anew(server, store):
    server.default = SEEN
    for _ in range(2):
        run(server, store, [looking(1, 2)])
    assert server.calls == 1
    run(server, store, [looking(2, 1)])
    run(server, store, [looking(1)])
    run(server, store, [looking(1, 3)])
    assert server.calls == 4


def test_the_store_keeps_the_hash_of_a_picture_and_not_the_picture(server, store):
    server.default = SEEN
    run(server, store, [looking(1)])
    (kept,) = values(store)
    assert kept["messages"][1]["pictures"] == [hashlib.sha256(jpeg(1)).hexdigest()]
    assert base64.b64encode(jpeg(1)).decode()[:60] not in json.dumps(kept)


def test_a_question_without_pictures_is_what_it_was(server, store):
    """Answers that were paid for before pictures could be shown stay good."""
    run(server, store, [request(0)])
    (kept,) = values(store)
    assert [set(message) for message in kept["messages"]] == [{"role", "content"}] * 2


def test_a_repair_shows_the_pictures_again(server, store):
    server.plan = [answer("no json", usage={"prompt_tokens": 9, "completion_tokens": 3})]
    server.default = SEEN
    (got,) = run(server, store, [looking(1)])
    assert got.value.claims == ["A mill."]
    again = server.bodies[1]["messages"]
    assert again[1] == server.bodies[0]["messages"][1]
    assert isinstance(again[3]["content"], str)


def test_a_picture_counts_as_tokens_and_not_as_bytes(server, store):
    server.default = answer('{"claims": ["A mill."]}', usage=None)
    large = Request("clip", LOOK, {"hint": ""}, Claims, pictures=(Picture(jpeg(1) * 200),))
    found = estimate([large], SAMPLING, store)
    assert 1000 <= found.prompt_tokens < 2000
    run(server, store, [large], Limits(max_tokens=20_000))  # its base64 alone has over a million characters
    with pytest.raises(BudgetError, match="max_tokens"):
        run(server, store, [looking(1, 2, 3)], Limits(max_tokens=10_000))
