"""Asking language models: each answer is paid for once, kept before it is used, and checked."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field

from tasks.llm import (
    Answer,
    BudgetError,
    Endpoint,
    Ledger,
    Limits,
    Request,
    Sampling,
    Template,
    ask,
    estimate,
)
from tasks.store import Store
from tasks.strict import StrictModel
from tasks.tables import Reject
from tests.tasks import llm_server
from tests.tasks.llm_server import Server, answer, passage_of, status

LIST = Template("list_claims", "1", "You list the claims of a passage.", "List the claims of this passage.\n$passage")
SAMPLING = Sampling(model="tiny")


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
    return list(ask(requests, sampling, endpoint(server, **more), store, limits))


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


# --- kept answers ---


def test_a_second_run_sends_nothing_and_gives_the_same(server, store):
    requests = [request(n, sample=n % 2) for n in range(12)]
    first = run(server, store, requests)
    assert server.calls == 12
    ledger = Ledger()
    second = list(ask(requests, SAMPLING, endpoint(server, concurrency=1), Store(store.url), ledger=ledger))
    assert second == first
    assert server.calls == 12
    assert ledger.figures()["llm/calls"] == 0
    assert ledger.figures()["llm/cached"] == 12


def test_whatever_changes_an_answer_asks_again_and_what_cannot_does_not(server, store):
    run(server, store, [request(1)])
    for more in ({"concurrency": 1}, {"answer_timeout_s": 9.0}, {"base_url": f"{server.url}/"}, {"tries": 2}):
        run(server, store, [request(1)], **more)
    assert server.calls == 1
    changed = [
        {"model": "other"},
        {"revision": "2026-10"},
        {"temperature": 0.1},
        {"top_p": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
        {"response_format": "json_object"},
    ]
    for number, change in enumerate(changed):
        run(server, store, [request(1)], sampling=Sampling(**{"model": "tiny"} | change))
        assert server.calls == number + 2, change
    later = Template(LIST.name, "2", LIST.system, LIST.user)
    run(server, store, [Request("p1", later, {"passage": passage(1)}, Claims)])
    run(server, store, [request(1, sample=1)])
    assert server.calls == len(changed) + 3


def test_equal_requests_of_one_run_are_sent_once(server, store):
    server.delay_s = 0.02
    answers = run(server, store, [request(n % 3) for n in range(300)], concurrency=8)
    assert server.calls == 3
    assert [a.value.claims[0] for a in answers] == [passage(n % 3).split(". ")[0] + "." for n in range(300)]


def test_every_answer_is_in_the_store_with_all_that_made_it(server, store):
    server.plan = [answer("no"), answer()]
    (got,) = run(server, store, [request(7)])
    rows = {row["key"]: row for row in store.table("llm.answer").to_pylist()}
    assert set(rows) == set(got.keys)
    first, second = (json.loads(rows[key]["value"]) for key in got.keys)
    assert (first["attempt"], first["answer"]["content"]) == (0, "no")
    assert (second["attempt"], second["messages"]) == (1, server.bodies[1]["messages"])
    params = json.loads(rows[got.keys[0]]["params"])
    assert (params["template"], params["template_version"], params["model"]) == ("list_claims", "1", "tiny")
    assert params["parameters"]["max_tokens"] == 2048


def test_an_answer_is_durable_before_it_is_used_and_before_its_slot_takes_another_call(server, store):
    used = []

    def in_store(text):
        def check(value: Claims) -> None:
            kept = [json.loads(v)["messages"][1]["content"] for v in _values(Store(store.url))]
            used.append(any(text in content for content in kept))

        return check

    durable_at_call = []

    def look_then_answer(handler, body):
        durable_at_call.append((server.calls, len(_values(Store(store.url)))))
        answer()(handler, body)

    server.default = look_then_answer
    run(server, store, [request(n, check=in_store(passage(n))) for n in range(12)], concurrency=1)
    assert used == [True] * 12
    assert durable_at_call == [(n + 1, n) for n in range(12)]


def _values(store: Store) -> list[str]:
    return store.table("llm.answer").column("value").to_pylist()


def test_answers_that_come_together_share_segments(server, store, monkeypatch):
    from tasks.store import Writer

    put_many, rows = Writer.put_many, []

    def slow(self, function, version, params, results):
        results = list(results)
        rows.append(len(results))
        time.sleep(0.02)
        return put_many(self, function, version, params, results)

    monkeypatch.setattr(Writer, "put_many", slow)
    run(server, store, [request(n) for n in range(40)], concurrency=8)
    assert sum(rows) == 40
    assert len(rows) <= 20  # without sharing it would be 40


def test_a_store_that_cannot_be_written_stops_the_run_with_its_own_error(server, store, monkeypatch):
    from tasks.store import Writer

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "put_many", full)
    with pytest.raises(OSError, match="No space left"):
        run(server, store, [request(n) for n in range(50)])
    assert server.calls <= 8


CHILD = """
import sys
from tasks.llm import Endpoint, ask
from tasks.store import Store
from tests.tasks.test_llm import SAMPLING, request
url, store, count = sys.argv[1:]
for got in ask((request(n) for n in range(int(count))), SAMPLING, Endpoint(base_url=url, concurrency=4), Store(store)):
    print(got.request.item_id, flush=True)
"""


def child(server: Server, store: Store, count: int) -> subprocess.Popen[str]:
    args = [sys.executable, "-c", CHILD, server.url, store.url, str(count)]
    return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kill_at", [1, 25])
def test_after_kill_9_at_most_the_calls_in_flight_are_sent_again_and_no_stored_answer(server, store, kill_at):
    server.delay_s = 0.02
    process = child(server, store, 40)
    while server.calls < kill_at:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.05)
    before = server.counts()
    kept = {json.loads(value)["messages"][1]["content"] for value in _values(Store(store.url))}
    assert len(before) - len(kept) <= 4
    answers = run(server, store, [request(n) for n in range(40)])
    assert all(got.value is not None for got in answers)
    after = server.counts()
    assert len(after) == 40
    twice = [body for body, count in after.items() if count > 1]
    assert max(after.values()) <= 2
    assert len(twice) <= 4
    assert not [body for body in twice if json.loads(body)["messages"][1]["content"] in kept]
    run(server, store, [request(n) for n in range(40)])
    assert server.counts() == after


def test_an_interrupt_ends_at_once_and_the_next_run_goes_on(server, store):
    process = child(server, store, 40)
    for _ in range(3):
        process.stdout.readline()
    server.delay_s = 30.0
    time.sleep(0.1)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begun < 10
    assert errors.strip().endswith("KeyboardInterrupt")
    server.delay_s = 0.0
    kept = len(_values(Store(store.url)))
    assert kept >= 3
    calls = server.calls
    run(server, store, [request(n) for n in range(40)])
    assert server.calls - calls == 40 - kept


def test_whoever_stops_reading_keeps_what_was_in_flight(server, store):
    server.delay_s = 0.05
    answers = ask((request(n) for n in range(1000)), SAMPLING, endpoint(server), store)
    next(answers)
    answers.close()
    assert server.calls < 20
    assert len(_values(store)) == server.calls
    assert threading.active_count() < 20


# --- budget ---


def test_usage_is_that_of_the_endpoint_and_costs_by_the_prices(server, store):
    server.default = answer(usage={"prompt_tokens": 1000, "completion_tokens": 50})
    ledger = Ledger()
    prices = Limits(prompt_usd_per_million_tokens=2.0, completion_usd_per_million_tokens=10.0)
    requests = [request(n) for n in range(4)]
    answers = list(ask(requests, SAMPLING, endpoint(server), store, prices, ledger=ledger))
    assert [(a.usage.prompt_tokens, a.usage.completion_tokens, a.usage.estimated) for a in answers] == [
        (1000, 50, 0)
    ] * 4
    figures = ledger.figures()
    assert (figures["llm/prompt_tokens"], figures["llm/completion_tokens"]) == (4000, 200)
    assert figures["llm/cost_usd"] == pytest.approx(4 * (1000 * 2 + 50 * 10) / 1e6)


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": -5, "completion_tokens": 3}, "many", {"prompt_tokens": "1"}]
)
def test_usage_that_is_not_told_is_estimated_at_four_bytes_a_token(server, store, usage):
    server.default = answer('{"claims":["x"]}', usage=usage)
    (got,) = run(server, store, [request(1)])
    sent = [message["content"] for message in server.bodies[0]["messages"]]
    assert got.usage.prompt_tokens == sum((len(text.encode()) + 3) // 4 + 4 for text in sent)
    assert got.usage.completion_tokens == 4
    assert got.usage.estimated == 1


def sent_bytes(server: Server, tmp_path: Path, sampling: Sampling) -> int:
    """Return the size of a request: no vocabulary makes more tokens of it than it has bytes."""
    run(server, Store(tmp_path / "probe"), [request(0)], sampling=sampling)
    (body,) = server.bodies
    server.bodies.clear()
    return len(json.dumps(body, ensure_ascii=False).encode())


@pytest.mark.parametrize("name", ["max_calls", "max_tokens", "max_cost_usd"])
def test_a_budget_is_never_passed_keeps_what_is_done_and_says_so(server, store, tmp_path, name):
    server.default = answer(usage={"prompt_tokens": 200, "completion_tokens": 100})
    sampling = Sampling(model="tiny", max_tokens=100)
    size = sent_bytes(server, tmp_path, sampling)
    limit = {
        "max_calls": 7,
        "max_tokens": 6 * 300 + (size + 100) + 10,  # six answers, and the most that a seventh can take
        "max_cost_usd": (6 * (200 * 3 + 100 * 5) + (size * 3 + 100 * 5) + 30) / 1e6,
    }[name]
    prices = {"prompt_usd_per_million_tokens": 3.0, "completion_usd_per_million_tokens": 5.0}
    requests = [request(n) for n in range(20)]
    got = []
    told = rf"run\.llm\.limits\.{name}=.* is reached: 7 calls with 2100 tokens for 0.0077 USD; .* run again"
    with pytest.raises(BudgetError, match=told):
        for one in ask(requests, sampling, endpoint(server), store, Limits(**prices | {name: limit})):
            got.append(one)
    assert server.calls == 7
    assert len(_values(store)) == 7
    assert [one.request.item_id for one in got] == [f"p{n}" for n in range(len(got))]
    assert len(run(server, store, requests, sampling=sampling)) == 20
    assert max(server.counts().values()) == 1


def test_a_budget_of_nothing_uses_what_is_stored(server, store):
    run(server, store, [request(1)])
    assert len(run(server, store, [request(1)], Limits(max_calls=0))) == 1
    with pytest.raises(BudgetError, match="max_calls=0"):
        run(server, store, [request(1), request(2)], Limits(max_calls=0))
    assert server.calls == 1


def test_tries_that_may_be_charged_count_at_the_most_they_can_cost(server, store):
    server.plan = [llm_server.half, status(500)]
    ledger = Ledger()
    sampling = Sampling(model="tiny", max_tokens=1000)
    server.default = answer(usage={"prompt_tokens": 60, "completion_tokens": 10})
    (got,) = ask([request(1)], sampling, endpoint(server), store, ledger=ledger)
    assert got.usage.completion_tokens == 10
    assert ledger.calls == 3
    assert ledger.spent.completion_tokens == 1010
    assert ledger.spent.prompt_tokens > 60


def test_the_estimate_says_what_the_run_then_does(server, store):
    prices = Limits(prompt_usd_per_million_tokens=1.0, completion_usd_per_million_tokens=4.0)
    requests = [request(n) for n in range(10)]
    before = estimate([*requests, request(3)], SAMPLING, store, prices)
    assert (before.calls, before.calls_at_most, before.stored) == (10, 30, 0)
    assert before.completion_tokens == 10 * 2048
    assert not (Path(store.url) / "records").exists()
    server.default = answer(usage=None)
    answers = run(server, store, requests[:6])
    after = estimate(requests, SAMPLING, Store(store.url), prices)
    assert (after.calls, after.calls_at_most, after.stored) == (4, 12, 6)
    assert after.completion_tokens == round(sum(a.usage.completion_tokens for a in answers) / 6) * 4
    rest = run(server, store, requests[6:])
    assert after.prompt_tokens == sum(a.usage.prompt_tokens for a in rest)
    assert after.cost_usd == pytest.approx((after.prompt_tokens * 1.0 + after.completion_tokens * 4.0) / 1e6)
    assert "4 calls to do (at most 12 with repairs), 6 answers stored" in after.note()
    done = estimate(requests, SAMPLING, store, prices)
    assert (done.calls, done.stored, done.cost_usd) == (0, 10, 0.0)


def test_the_estimate_knows_answers_that_wait_for_repair(server, store):
    server.plan = [answer("no")]
    with pytest.raises(BudgetError):
        run(server, store, [request(1)], Limits(max_calls=1))
    plan = estimate([request(1)], SAMPLING, store)
    assert (plan.calls, plan.calls_at_most, plan.stored) == (1, 2, 1)
