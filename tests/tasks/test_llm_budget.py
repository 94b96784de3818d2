"""Tokens and money: counted, estimated before, and never more than allowed."""

import json
import time
from pathlib import Path

import pytest

from tasks.llm import BudgetError, EndpointError, Ledger, Limits, Sampling, ask, estimate
from tasks.store import Store
from tests.tasks import llm_server
from tests.tasks.llm_cases import SAMPLING, endpoint, request, run, values
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import Server, answer, status

# --- budget ---


def test_usage_is_that_of_the_endpoint_and_costs_by_the_prices(server, store):
    server.default = answer(usage={"prompt_tokens": 1000, "completion_tokens": 50})
    ledger = Ledger(Limits(prompt_usd_per_million_tokens=2.0, completion_usd_per_million_tokens=10.0))
    requests = [request(n) for n in range(4)]
    answers = list(ask(requests, SAMPLING, endpoint(server), store, ledger))
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
        for one in ask(requests, sampling, endpoint(server), store, Ledger(Limits(**prices | {name: limit}))):
            got.append(one)
    assert server.calls == 7
    assert len(values(store)) == 7
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
    (got,) = ask([request(1)], sampling, endpoint(server), store, ledger)
    assert got.usage.completion_tokens == 10
    assert ledger.calls == 3
    assert ledger.spent.completion_tokens == 1010
    assert ledger.spent.prompt_tokens > 60


@pytest.mark.parametrize(("code", "is_charged"), [(504, True), (524, True), (500, False), (503, False)])
def test_a_gateway_that_stopped_waiting_is_counted_as_paid(server, store, code, is_charged):
    server.plan = [status(code)]
    server.default = answer(usage={"prompt_tokens": 60, "completion_tokens": 10})
    ledger = Ledger()
    list(ask([request(1)], Sampling(model="tiny", max_tokens=1000), endpoint(server), store, ledger))
    assert ledger.spent.completion_tokens == (1010 if is_charged else 10)
    assert ledger.figures()["llm/estimated_answers"] == is_charged


def test_answers_without_usage_count_at_the_most_they_can_have_cost(server, store):
    server.default = answer('{"claims":["' + "7" * 40 + '"]}', usage=None)
    ledger = Ledger(Limits(max_tokens=30_000))
    with pytest.raises(BudgetError, match=r"max_tokens=30000 is reached: \d calls with about \d+ tokens"):
        list(ask([request(n, "9" * 3000 + str(n)) for n in range(20)], SAMPLING, endpoint(server), store, ledger))
    sent = sum(len(json.dumps(body, ensure_ascii=False).encode()) for body in server.bodies)
    assert ledger.spent.completion_tokens == 2048 * server.calls
    assert ledger.spent.prompt_tokens == sent
    assert sent + 2048 * server.calls <= 30_000


def test_limits_hold_for_all_that_share_a_ledger(server, store):
    ledger = Ledger(Limits(max_calls=4))
    list(ask([request(n) for n in range(3)], SAMPLING, endpoint(server), store, ledger))
    with pytest.raises(BudgetError, match="max_calls=4 is reached: 4 calls"):
        list(ask([request(n) for n in range(10, 13)], SAMPLING, endpoint(server), store, ledger))
    assert server.calls == ledger.calls == 4


def test_a_key_that_cannot_be_one_counts_no_call(server, store, monkeypatch):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", "two words")
    ledger = Ledger()
    with pytest.raises(EndpointError):
        list(ask([request(1)], SAMPLING, endpoint(server), store, ledger))
    assert (ledger.calls, ledger.spent.tokens, server.calls) == (0, 0, 0)


def test_a_request_that_waits_for_its_share_is_not_sent_once_the_run_has_stopped(server, store):
    def refuse(handler, body):
        time.sleep(0.2)  # the others wait meanwhile for what this one has set aside
        status(401)(handler, body)

    server.default = refuse
    ledger = Ledger(Limits(max_tokens=3500))
    with pytest.raises(EndpointError, match="HTTP 401"):
        list(ask([request(n) for n in range(20)], SAMPLING, endpoint(server), store, ledger))
    assert server.calls == ledger.calls == 1


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
