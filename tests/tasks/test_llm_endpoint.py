"""Endpoints that fail or ask to wait: what passes is tried again, what does not is told once, and nothing is lost."""

import re
import socket
import time
from email.utils import formatdate
from itertools import pairwise

import pytest

from tasks.llm import Endpoint, EndpointError, Ledger, ask
from tasks.store import Store
from tests.tasks import llm_server
from tests.tasks.llm_cases import SAMPLING, endpoint, request, run, values
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import answer, raw, status

# --- what passes ---


@pytest.mark.parametrize(
    "trouble",
    [
        status(429),
        status(500),
        status(503),
        *(status(code) for code in (408, 409, 425, 501, 507, 520, 524, 599)),
        llm_server.half,
        llm_server.half_chunks,
        llm_server.hang_up,
        raw(200, b"<html>busy</html>"),
        raw(200, b'{"choices": []}'),
        raw(200, b'{"choices": [{"message": null}]}'),
        raw(200, b"[" * 100_000),
        raw(200, b""),
        answer('{"claims": ["The mi', finish_reason="error"),
        answer('{"claims": ["The mill."]}', finish_reason="abort"),
        status(429, Retry_After="Fri, 31 Dec 99999999999999999999 23:59:59 GMT"),
        status(429, Retry_After="1e999"),
    ],
    ids=[
        *("429", "500", "503", "408", "409", "425", "501", "507", "520", "524", "599"),
        *("half", "half_chunks", "hang_up", "html", "no_choice", "no_message", "deep", "nothing"),
        *("error", "abort", "no_date", "endless"),
    ],
)
def test_trouble_that_passes_is_tried_again_and_nothing_is_lost(server, store, trouble):
    server.plan = [trouble, trouble]
    ledger = Ledger()
    answers = list(ask([request(n) for n in range(6)], SAMPLING, endpoint(server), store, ledger))
    assert all(got.value is not None and len(got.keys) == 1 for got in answers)
    assert server.calls == ledger.calls == 8
    assert len(server.counts()) == 6


@pytest.mark.parametrize(
    "trouble", [llm_server.sleep(1.0), llm_server.drip, llm_server.slow_header], ids=["silent", "drip", "header"]
)
def test_an_answer_that_does_not_come_in_time_is_given_up_and_tried_again(server, store, trouble):
    server.plan = [trouble]
    begun = time.monotonic()
    (got,) = run(server, store, [request(1)], answer_timeout_s=0.3)
    assert got.value is not None
    assert time.monotonic() - begun < 2.0
    assert server.calls == 2


def test_waits_grow_and_are_the_same_each_time(server, tmp_path):
    waits = []
    for number in range(2):
        server.plan = [status(500)] * 4
        run(server, Store(tmp_path / str(number)), [request(1)], first_wait_s=0.1)
        times = server.times[-5:]
        waits.append([late - early for early, late in pairwise(times)])
    for first, second in zip(*waits, strict=True):
        assert abs(first - second) < 0.09
    for number, wait in enumerate(waits[0]):
        assert 0.05 * 2**number <= wait < 0.1 * 2**number + 0.09


def test_retry_after_in_seconds_holds_all_requests_back(server, store):
    refused = []

    def busy(handler, body):
        while server.calls < 2:  # the other slot has sent one too
            time.sleep(0.001)
        refused.append(time.monotonic())
        status(429, Retry_After="1")(handler, body)

    def slow(handler, body):  # so that its slot is free only when the other has been told to wait
        time.sleep(0.5)
        answer()(handler, body)

    server.plan = [busy, slow]
    run(server, store, [request(n) for n in range(6)], concurrency=2, first_wait_s=0.0)
    later = [at - refused[0] for at in server.times if at > refused[0]]
    assert len(later) == 5
    assert 0.95 <= min(later) < 5.0


def test_retry_after_shortens_no_wait(server, store):
    server.plan = [status(503, Retry_After="0")] * 3
    run(server, store, [request(1)], first_wait_s=0.2)
    waits = [late - early for early, late in pairwise(server.times)]
    assert all(wait >= 0.1 * 2**number for number, wait in enumerate(waits)), waits


def test_retry_after_as_a_date_is_taken_by_the_clock_of_the_endpoint(server, store):
    ahead = time.time() + 86_400  # its clock is a day fast

    def busy(handler, body):
        handler.date_time_string = lambda timestamp=None: formatdate(ahead, usegmt=True)
        status(503, Retry_After=formatdate(ahead + 2, usegmt=True))(handler, body)

    server.plan = [busy]
    run(server, store, [request(1)], first_wait_s=0.0)
    assert 0.9 <= server.times[1] - server.times[0] < 3.5


def test_a_request_waits_as_long_as_an_endpoint_at_its_limit_answers_others(server, store):
    others, refused = [], []

    def at_its_limit(handler, body):
        if "number 0 " not in str(body):
            answer()(handler, body)
            others.append(body)
        elif len(refused) < 10:
            seen = len(others)
            while len(others) < seen + 2:  # the first of them has come to the client
                time.sleep(0.001)
            refused.append(body)
            status(429, Retry_After="0")(handler, body)
        else:
            answer()(handler, body)

    server.default = at_its_limit
    answers = run(server, store, [request(n) for n in range(60)], concurrency=2, tries=3)
    assert len(refused) == 10
    assert all(got.value is not None for got in answers)


def test_an_endpoint_that_is_busy_for_all_is_given_up(server, store):
    server.default = status(429)
    (got,) = run(server, store, [request(1)], tries=3)
    assert got.reject.reason == "no_answer"
    assert server.calls == 3


@pytest.mark.parametrize(("asked", "told"), [("3600", " 3600 s"), ("Fri, 31 Dec 9999 23:59:59 -2300", r"\d{12} s")])
def test_an_endpoint_that_asks_for_a_longer_wait_than_allowed_is_given_up(server, store, asked, told):
    server.plan = [status(429, Retry_After=asked)]
    first, second = run(server, store, [request(1), request(2)], concurrency=1)
    assert first.reject.reason == "no_answer"
    assert re.search(told, first.reject.detail)
    assert second.value is not None


# --- what does not ---


def test_one_request_that_never_gets_an_answer_rejects_its_item_and_is_asked_again_by_the_next_run(server, store):
    def fails_for_one(handler, body):
        (status(500) if "number 3 " in str(body) else answer())(handler, body)

    server.default = fails_for_one
    answers = run(server, store, [request(n) for n in range(8)], tries=3)
    assert [n for n, got in enumerate(answers) if got.value is None] == [3]
    assert answers[3].reject.reason == "no_answer"
    assert re.search("HTTP 500: sorry, at the last of 3 tries.*asks again", answers[3].reject.detail)
    assert server.calls == 10
    server.default = answer()
    assert run(server, store, [request(n) for n in range(8)])[3].value is not None
    assert server.calls == 11


def test_a_request_that_is_refused_rejects_its_item_without_a_second_try(server, store):
    server.plan = [status(400, "maximum context length is 512 tokens")]
    first, second = run(server, store, [request(1), request(2)], concurrency=1)
    assert (first.reject.reason, first.reject.detail) == ("refused", "HTTP 400: maximum context length is 512 tokens")
    assert second.value is not None
    assert server.calls == 2


def only_for(bad: set[int], trouble):
    """Return an act that answers all requests but those of these numbers."""

    def act(handler, body):
        number = int(re.search(r"number (\d+) ", str(body))[1])
        (trouble if number in bad else answer())(handler, body)

    return act


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize(("code", "reason"), [(400, "refused"), (403, "refused"), (500, "no_answer")])
def test_requests_that_fail_run_after_run_do_not_end_a_run_whose_other_answers_are_stored(
    server, store, code, reason, concurrency
):
    bad = {3, 20, 40, 60, 80, 99}
    server.default = only_for(bad, status(code, "too long"))
    for _ in range(2):
        answers = run(server, store, [request(n) for n in range(100)], tries=2, concurrency=concurrency)
        assert {n for n, got in enumerate(answers) if got.value is None} == bad
        assert {answers[n].reject.reason for n in bad} == {reason}


@pytest.mark.parametrize("code", [400, 403, 500])
def test_a_row_that_is_longer_than_what_is_stored_explains_ends_the_run(server, store, code):
    requests = [request(n) for n in range(300)]
    run(server, store, requests[:100])
    server.default = status(code, "gone")
    with pytest.raises(EndpointError, match=r"requests failed in a row, the last with: HTTP \d00?3?: gone"):
        run(server, store, requests, tries=1, concurrency=1)
    assert server.calls - 100 == (101 if code == 400 else 11)


def test_an_endpoint_that_has_gone_is_told_after_few_failures_however_much_is_stored(server, store):
    run(server, store, [request(n) for n in range(100)])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match="5 requests failed in a row, the last with: no connection"):
            run(server, store, [request(n) for n in range(200)], tries=1, base_url=gone)


def test_a_403_of_one_passage_rejects_it_alone_and_is_told_as_it_is(server, store):
    server.default = only_for({3}, status(403, "your input was flagged"))
    answers = run(server, store, [request(n) for n in range(20)], concurrency=1)
    assert [n for n, got in enumerate(answers) if got.value is None] == [3]
    assert (answers[3].reject.reason, answers[3].reject.detail) == ("refused", "HTTP 403: your input was flagged")


@pytest.mark.parametrize("more", [{"finish_reason": [{"text": 5}]}, {"model": [{"text": 5}]}, {"model": {"a": 1}}])
@pytest.mark.parametrize("content", [None, [{"text": 5}, {"text": '{"claims": ["A mill."]}'}, 7]])
def test_fields_of_a_wrong_type_do_not_end_a_run(server, store, more, content):
    server.plan = [answer(content, **more)]
    first, second = run(server, store, [request(1), request(2)])
    assert first.value is not None
    assert second.value is not None


def test_an_answer_that_the_endpoint_broke_off_is_not_kept(server, store):
    server.default = answer('{"claims": ["The mill."]}', finish_reason="error")
    (got,) = run(server, store, [request(1)], tries=2)
    assert (got.reject.reason, got.keys) == ("no_answer", ())
    assert "finish_reason 'error'" in got.reject.detail
    assert values(store) == []


def test_an_address_that_no_request_can_go_to_is_told(store):
    with pytest.raises(EndpointError, match=r"http://a\.\.b/v1: (no address|5 requests failed in a row)"):
        list(ask([request(n) for n in range(9)], SAMPLING, Endpoint(base_url="http://a..b/v1", tries=1), store))


@pytest.mark.parametrize("trouble", [status(500, "out of memory"), status(400, "out of memory")])
def test_failures_in_a_row_stop_the_run_with_one_clear_error_and_it_goes_on_later(server, store, trouble):
    requests = [request(n) for n in range(30)]
    run(server, store, requests[:4])
    server.default = trouble
    with pytest.raises(EndpointError) as caught:
        run(server, store, requests, tries=2, concurrency=1)
    told = str(caught.value)
    assert server.url in told
    assert re.search(r"5 requests failed in a row, the last with: HTTP \d00: out of memory: .*run again", told)
    assert server.calls - 4 == (10 if "HTTP 500" in told else 5)
    server.default = answer()
    calls = server.calls
    assert all(got.value is not None for got in run(server, store, requests))
    assert server.calls - calls == 26


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (status(401, "bad key"), "HTTP 401: bad key: set HEADRACE_LLM_API_KEY to a key"),
        (status(403), "HTTP 403: sorry: set HEADRACE_LLM_API_KEY"),
        (status(404, "no model tiny"), "HTTP 404: no model tiny: check run.llm.endpoint.base_url"),
        (status(402, "pay"), "HTTP 402: pay: check the account"),
        (status(307, "moved", Location="http://127.0.0.1:9/v1"), "HTTP 307: moved: set run.llm.endpoint.base_url"),
        (
            raw(429, b'{"error": {"message": "no money", "code": "insufficient_quota"}}'),
            "HTTP 429: no money: check the",
        ),
    ],
)
def test_what_every_request_would_meet_stops_the_run_at_once(server, store, act, told):
    server.default = act
    with pytest.raises(EndpointError, match=re.escape(told)) as caught:
        run(server, store, [request(n) for n in range(20)], concurrency=1)
    assert str(caught.value).startswith(server.url)
    assert server.calls == 1


def test_an_endpoint_that_does_not_run_is_named(store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        asking = Endpoint(base_url=url, tries=2, first_wait_s=0.01)
        with pytest.raises(EndpointError, match=rf"{url}: 5 requests failed in a row, the last with: no connection"):
            list(ask([request(n) for n in range(9)], SAMPLING, asking, store))
