"""A vision model's captions, over a real HTTP connection: what it is shown, and what comes of its answers."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.llm import Answer, Endpoint, Request, Sampling, ask
from tasks.store import Store
from tasks.tables import Reject
from tasks.video.captions import Fact
from tasks.video.question_forms import ASKED
from tasks.video.vision_captions import Described, SaidFact, Seen, Told, vision_captions
from tests.tasks import llm_server
from tests.tasks.llm_server import MARKED, Handler, Server, answer

USAGE = {"prompt_tokens": 50, "completion_tokens": 20}
DESCRIBED: dict[str, Any] = {
    "caption": "A cat wakes on a red sofa,\nstretches and leaves.",
    "segments": ["A cat sleeps.", "It wakes.", "It stretches.", "It jumps down.", "The sofa is empty."],
    "facts": [
        {"kind": "object_colour", "subject": "the sofa", "value": "red"},
        {"kind": "event", "subject": "the cat", "value": "leaves the sofa"},
    ],
}
CAMERA = ("still", "", "moves left", "", "")
CLIP = Seen("clip", [f"\xff\xd8 keyframe {number}".encode("latin-1") for number in range(5)], CAMERA)


@pytest.fixture
def server() -> Iterator[Server]:
    with llm_server.running() as told:
        told.default = obliging
        yield told


def data_of(body: dict[str, Any]) -> dict[str, str]:
    content = body["messages"][1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    return {found["name"]: found["text"] for found in MARKED.finditer(text)}


def obliging(handler: Handler, body: dict[str, Any]) -> None:
    """Answer as a good model does: describe what it is shown, or write the sub-caption anew."""
    data = data_of(body)
    said: dict[str, Any] = DESCRIBED
    if data:
        camera = "" if "not known" in data["camera"] else f" {data['camera']}"
        said = {"caption": f"Then: {data['caption']}{camera}"}
    answer(json.dumps(said), usage=USAGE)(handler, body)


def said_of(
    server: Server, store: Store, clips: Sequence[Seen] = (CLIP,), repairs: int = 1
) -> dict[str, Told | Reject]:
    endpoint = Endpoint(base_url=server.url, concurrency=4, first_wait_s=0.01)

    def asked(requests: Sequence[Request[Any]]) -> list[Answer[Any]]:
        return list(ask(requests, Sampling(model="tiny", repairs=repairs), endpoint, store))

    return vision_captions(clips, asked)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_five_keyframes_become_captions_and_facts(server: Server, store: Store) -> None:
    told = said_of(server, store)["clip"]
    assert isinstance(told, Told)
    assert told.caption == "A cat wakes on a red sofa, stretches and leaves."
    assert told.facts == [
        Fact("object_colour", "the sofa", "red"),
        Fact("event", "the cat", "leaves the sofa"),
    ]
    shown = server.bodies[0]["messages"][1]["content"][1:]
    assert len({part["image_url"]["url"] for part in shown}) == 5


def test_each_sub_caption_is_refined_by_those_before_it_and_the_measured_camera(server: Server, store: Store) -> None:
    told = said_of(server, store)["clip"]
    assert isinstance(told, Told)
    assert told.segments == [
        "Then: A cat sleeps. The camera is still.",
        "Then: It wakes.",
        "Then: It stretches. The camera moves left.",
        "Then: It jumps down.",
        "Then: The sofa is empty.",
    ]
    asked = [data_of(body) for body in server.bodies[1:]]
    assert len(asked) == 5
    for number, data in enumerate(asked):
        assert data["overall"] == DESCRIBED["caption"]
        assert data["before"] == ("\n".join(told.segments[:number]) or "(nothing yet)")
        assert data["caption"] == DESCRIBED["segments"][number]


def test_nothing_is_asked_twice(server: Server, store: Store) -> None:
    first = said_of(server, store)
    calls = server.calls
    assert said_of(server, store) == first
    assert server.calls == calls == 6


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"segments": ["A cat.", "It wakes.", " ", "It goes.", "Empty."]}, "caption is empty"),
        ({"segments": ["A cat."]}, "segments"),
        ({"facts": [{"kind": "mood", "subject": "the cat", "value": "glad"}]}, "kind"),
        ({"facts": [DESCRIBED["facts"][0], DESCRIBED["facts"][0] | {"subject": "The Sofa"}]}, "name each thing apart"),
        ({"facts": [{"kind": "text", "subject": "the sign", "value": " . "}]}, "no words"),
    ],
)
def test_a_broken_description_is_sent_back_with_what_is_wrong(
    broken: dict[str, Any], told: str, server: Server, store: Store
) -> None:
    server.plan = [answer(json.dumps(DESCRIBED | broken), usage=USAGE)]
    assert isinstance(said_of(server, store)["clip"], Told)
    assert told in server.bodies[1]["messages"][3]["content"]


@pytest.mark.parametrize(
    ("number", "caption", "told"),
    [(0, "A cat sleeps.", "camera"), (1, "Then: a cat sleeps.  The camera is still", "repeats"), (3, " - ", "empty")],
)
def test_a_sub_caption_that_breaks_a_rule_is_sent_back(
    number: int, caption: str, told: str, server: Server, store: Store
) -> None:
    server.plan = [obliging] * (1 + number) + [answer(json.dumps({"caption": caption}), usage=USAGE)]
    found = said_of(server, store)["clip"]
    assert isinstance(found, Told)
    assert found.segments[number].startswith("Then: ")
    assert told in server.bodies[2 + number]["messages"][3]["content"]


def test_a_clip_that_fails_costs_no_other(server: Server, store: Store) -> None:
    other = Seen("other", CLIP.keyframes[::-1], ("",) * 5)

    def sulking(handler: Handler, body: dict[str, Any]) -> None:
        data = data_of(body)
        if data.get("before", "").count("\n") == 1 and "camera" in data["before"]:  # the third of `clip`
            answer("no", usage=USAGE)(handler, body)
        else:
            obliging(handler, body)

    server.default = sulking
    found = said_of(server, store, [CLIP, other], repairs=0)
    assert isinstance(found["clip"], Reject)
    assert found["clip"].reason == "not_json"
    assert isinstance(found["other"], Told)


def test_every_kind_that_it_may_say_can_be_asked_for() -> None:
    schema = Described.model_json_schema()
    assert set(schema["$defs"]["SaidFact"]["properties"]["kind"]["enum"]) <= set(ASKED)
    assert SaidFact(kind="event", subject="the cat", value="leaves").kind == "event"
