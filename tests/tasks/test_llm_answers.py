"""Answers of language models are paid for once: kept before they are used, found again, whoever is killed."""

import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tasks.llm import Ledger, Request, Sampling, Template, ask, estimate, stored_answers
from tasks.store import Store, Writer
from tests.tasks.llm_cases import LIST, SAMPLING, Claims, endpoint, passage, request, run, user_messages, values
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import Server, answer, passage_of

# --- kept answers ---


def test_a_second_run_sends_nothing_and_gives_the_same(server, store):
    requests = [request(n, sample=n % 2) for n in range(12)]
    first = run(server, store, requests)
    assert server.calls == 12
    ledger = Ledger()
    second = list(ask(requests, SAMPLING, endpoint(server, concurrency=1), Store(store.url), ledger))
    assert second == first
    assert server.calls == 12
    assert ledger.figures()["llm/calls"] == 0
    assert ledger.figures()["llm/cached"] == 12


def test_what_is_stored_is_told_without_a_call(server, store):
    """A talk that has a repair still to ask for is none that is stored; one that has failed for good is."""
    once = SAMPLING.model_copy(update={"repairs": 0})
    server.plan = [answer("no JSON")]
    [failed, right] = [answers for n in (1, 2) for answers in run(server, store, [request(n)], sampling=once)]
    assert (failed.reject.reason, right.value.claims[0]) == ("not_json", "The mill number 2 stands by the river.")
    told = list(stored_answers([request(n) for n in (1, 2, 3)], once, Store(store.url)))
    assert told == [failed, right, None]
    with_repairs = list(stored_answers([request(1), request(2)], SAMPLING, Store(store.url)))
    assert [one and one.value for one in with_repairs] == [None, right.value]
    assert server.calls == 2


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
            used.append(any(text in content for content in user_messages(store)))

        return check

    durable_at_call = []

    def look_then_answer(handler, body):
        durable_at_call.append((server.calls, len(values(store))))
        answer()(handler, body)

    server.default = look_then_answer
    run(server, store, [request(n, check=in_store(passage(n))) for n in range(12)], concurrency=1)
    assert used == [True] * 12
    assert durable_at_call == [(n + 1, n) for n in range(12)]


def test_answers_that_come_together_share_segments(server, store, monkeypatch):
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
from tests.tasks.llm_cases import SAMPLING, request
url, store, count = sys.argv[1:]
for got in ask((request(n) for n in range(int(count))), SAMPLING, Endpoint(base_url=url, concurrency=4), Store(store)):
    print(got.request.item_id, flush=True)
"""


def child(server: Server, store: Store, count: int) -> subprocess.Popen[str]:
    args = [sys.executable, "-c", CHILD, server.url, store.url, str(count)]
    return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bad_at_first(handler, body):
    """Answer every third request with what fails its schema, and its repair as it should be."""
    is_bad = len(body["messages"]) == 2 and re.search(r"number \d*[0369] ", passage_of(body))
    answer('{"claims": 3}' if is_bad else None)(handler, body)


def said(body: dict) -> str:
    return json.dumps(body["messages"], sort_keys=True)


@pytest.mark.parametrize("kill_at", [[1], [15, 20, 12]])
def test_after_kill_9_at_most_the_calls_in_flight_are_sent_again_and_no_stored_answer(server, store, kill_at):
    server.default, server.delay_s = bad_at_first, 0.02
    stored: set[str] = set()
    sent = 0
    for calls in kill_at:
        calls += server.calls
        process = child(server, store, 40)
        while server.calls < calls:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.05)
        assert not [body for body in server.bodies[sent:] if said(body) in stored]
        sent = server.calls
        stored = {said(value) for value in values(store)}
        asked = {said(body) for body in server.bodies}
        assert stored <= asked
        assert len(asked - stored) <= 4  # in flight
    answers = run(server, store, [request(n) for n in range(40)])
    assert all(got.value is not None for got in answers)
    assert not [body for body in server.bodies[sent:] if said(body) in stored]
    assert len(server.counts()) == 40 + len([n for n in range(40) if n % 10 in (0, 3, 6, 9)])
    again = sum(count - 1 for count in server.counts().values())
    assert again <= 4 * len(kill_at)
    sent = server.calls
    assert run(server, store, [request(n) for n in range(40)]) == answers
    assert server.calls == sent


def test_answers_that_another_process_has_stored_meanwhile_are_seen(server, store):
    run(server, store, [request(0)])
    assert estimate([request(n) for n in range(6)], SAMPLING, store).calls == 5
    process = child(server, Store(store.url), 6)
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    assert server.calls == 6
    assert estimate([request(n) for n in range(6)], SAMPLING, store).calls == 0
    process = child(server, Store(store.url), 9)
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    assert all(got.value is not None for got in run(server, store, [request(n) for n in range(9)]))
    assert server.calls == 9


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
    kept = len(values(store))
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
    assert len(values(store)) == server.calls
    assert threading.active_count() < 20
