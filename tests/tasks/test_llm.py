"""Asking language models: what is sent, in what order answers come, how they are checked and repaired."""

import re
import time

import pytest
from pydantic import ValidationError

from tasks.llm import Llm, Sampling, ask
from tasks.tables import Reject
from tests.tasks.llm_cases import SAMPLING, Claims, endpoint, passage, quoted, request, run
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import answer, passage_of

# --- answers ---


def test_answers_come_in_the_order_of_the_requests_whatever_the_order_of_the_server(server, store):
    def slow_for_even(handler, body):
        time.sleep(0.05 if re.search(r"number \d*[02468] ", passage_of(body)) else 0)
        answer()(handler, body)

    server.default = slow_for_even
    seen = []
    requests = (request(n) for n in range(20))
    answers = list(ask(requests, SAMPLING, endpoint(server), store, progress=lambda a: seen.append(a.request.item_id)))
    assert [a.request.item_id for a in answers] == [f"p{n}" for n in range(20)]
    for n, got in enumerate(answers):
        first, second = passage(n).split(". ")
        assert got.value == Claims(claims=[f"{first}.", second])
        assert got.reject is None
    assert sorted(seen) == sorted(f"p{n}" for n in range(20))
    assert server.calls == 20


def test_no_more_requests_are_under_way_than_allowed_and_that_many_are(server, store):
    server.delay_s = 0.03
    run(server, store, [request(n) for n in range(20)], concurrency=3)
    assert server.most_busy == 3


def test_the_request_is_that_of_an_openai_compatible_endpoint(server, store):
    sampling = Sampling(model="tiny", temperature=0.5, top_p=0.9, max_tokens=77, seed=5)
    run(server, store, [request(1, sample=2)], sampling=sampling)
    (body,) = server.bodies
    form = body.pop("response_format")
    messages = body.pop("messages")
    assert body == {"model": "tiny", "temperature": 0.5, "top_p": 0.9, "max_tokens": 77, "seed": 7}
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "Claims"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["required"] == ["claims"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert passage(1) in messages[1]["content"]
    assert passage(1) not in messages[0]["content"]


@pytest.mark.parametrize("form", ["json_object", "none"])
def test_an_endpoint_without_schemas_is_told_the_schema_in_words(server, store, form):
    run(server, store, [request(1)], sampling=Sampling(model="tiny", response_format=form, seed=None, temperature=None))
    (body,) = server.bodies
    assert body.get("response_format") == ({"type": "json_object"} if form == "json_object" else None)
    assert '"required":["claims"]' in body["messages"][0]["content"]
    assert not {"seed", "temperature", "top_p"} & set(body)


def test_the_limit_of_an_answer_has_the_name_that_the_endpoint_wants_and_the_answer_stays_stored(server, store):
    run(server, store, [request(1)], max_tokens_field="max_completion_tokens")
    assert server.bodies[0]["max_completion_tokens"] == 2048
    assert "max_tokens" not in server.bodies[0]
    run(server, store, [request(1)])
    assert server.calls == 1


def test_settings_are_read_as_params_yaml_holds_them():
    settings = Llm.model_validate({"endpoint": {"base_url": "http://h/v1"}, "limits": {"max_cost_usd": 5}})
    assert (settings.endpoint.concurrency, settings.limits.max_cost_usd, settings.limits.max_calls) == (8, 5, None)
    assert Llm.model_validate({}).endpoint is None
    for wrong in ({"concurrency": 0}, {"tries": 1.5}, {"key": "sk-1"}, {"key_variable": "sk-1"}, {"first_wait_s": "1"}):
        with pytest.raises(ValidationError):
            Llm.model_validate({"endpoint": {"base_url": "http://h/v1"} | wrong})


# --- checks and repairs ---


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (answer("The mill stands by the river."), "not_json"),
        (answer('{"claims": ["The mill'), "not_json"),
        (answer('{"claims": "The mill"}'), "schema"),
        (answer('{"claims": []}'), "schema"),
        (answer('{"claims": ["The mill"], "note": "done"}'), "schema"),
        (answer('{"claims": ["The moon is a mill."]}'), "validator"),
        (answer('{"claims": ["The mill', finish_reason="length"), "truncated"),
        (answer(""), "empty"),
        (answer([]), "empty"),
        (answer('{"claims": ["\\ud800"]}'), "not_json"),
    ],
)
def test_a_bad_answer_is_shown_its_error_and_asked_for_again_and_at_last_rejected(server, store, bad, reason):
    server.plan = [bad]
    good = request(1, check=quoted(passage(1)))
    (got,) = run(server, store, [good])
    assert got.value is not None
    assert len(got.keys) == 2
    repair = server.bodies[1]["messages"]
    assert repair[:2] == server.bodies[0]["messages"]
    assert [message["role"] for message in repair[2:]] == ["assistant", "user"]
    assert reason in repair[3]["content"]

    server.plan = [bad] * 3
    other = request(2, check=quoted(passage(2)))
    (got,) = run(server, store, [other])
    assert (got.value, got.reject.reason, len(got.keys)) == (None, reason, 3)
    calls = server.calls
    (again,) = run(server, store, [other])
    assert (again.reject, again.keys, again.usage) == (got.reject, got.keys, got.usage)
    assert server.calls == calls == 5


def test_a_check_may_reject_with_a_reason_of_its_own_and_repairs_can_be_none(server, store):
    def check(value: Claims) -> None:
        raise Reject("negation", "claim 1 is negated", "negators", 1.0, 0.0)

    (got,) = run(server, store, [request(1, check=check)], sampling=Sampling(model="tiny", repairs=0))
    assert got.reject == Reject("negation", "claim 1 is negated", "negators", 1.0, 0.0)
    assert server.calls == 1
    (got,) = run(server, store, [request(1, check=check)], sampling=Sampling(model="tiny", repairs=1))
    assert (server.calls, len(got.keys)) == (2, 2)  # the first answer was stored


@pytest.mark.parametrize(
    "wrapped", ["```json\n%s\n```", "```\n%s\n```", "<think>\nLet me {see}.\n</think>\n\n%s", " \n%s\n"]
)
def test_a_fence_or_thoughts_around_the_json_are_taken_off(server, store, wrapped):
    server.plan = [answer(wrapped % '{"claims": ["A mill stands."]}')]
    (got,) = run(server, store, [request(1)])
    assert got.value == Claims(claims=["A mill stands."])


def test_content_in_parts_is_one_text(server, store):
    server.plan = [answer([{"type": "text", "text": '{"claims": ["A '}, {"type": "text", "text": 'mill."]}'}])]
    (got,) = run(server, store, [request(1)])
    assert got.value == Claims(claims=["A mill."])


def test_data_that_is_no_unicode_is_rejected_without_a_call(server, store):
    first, second = run(server, store, [request(1, "half a \ud83d character"), request(2)])
    assert first.reject.reason == "not_text"
    assert second.value is not None
    assert server.calls == 1
