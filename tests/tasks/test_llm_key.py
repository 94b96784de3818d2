"""The key of an endpoint: read from the environment, sent in the header of a request, and nowhere else."""

import logging
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks import llm_client
from tasks.llm import Endpoint, EndpointError
from tests.tasks import llm_server
from tests.tasks.llm_cases import endpoint, request, run
from tests.tasks.llm_cases import server as server
from tests.tasks.llm_cases import store as store
from tests.tasks.llm_server import answer, status

KEY = "sk-headrace-0123456789-abcdefghij"


def repeats_key(handler, body):
    """Answer with the key that was sent, in the content."""
    key = handler.headers["Authorization"].removeprefix("Bearer ")
    answer(f'{{"claims": ["The key is {key}."]}}', system_fingerprint=key, model=key)(handler, body)


def refuses_with_key(code: int, shape: str):
    def act(handler, body):
        key = handler.headers["Authorization"].removeprefix("Bearer ")
        handler.send(code, (shape % (key, key)).encode())

    return act


SHAPES = [
    '{"error": {"message": "Incorrect API key: %s %s"}}',
    '{"detail": [{"loc": "%s", "input": "Bearer %s"}]}',
    '"%s %s"',
    "<p>" + 270 * "x" + "%s</p> %s",  # the cut of the message falls into the key
]


def test_the_key_goes_into_the_header_and_nowhere_else(server, store, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", KEY)
    said = []
    with caplog.at_level(logging.DEBUG):
        asking = endpoint(server, tries=2)
        said += [repr(asking), asking.model_dump_json()]
        server.plan = [repeats_key]
        (got,) = run(server, store, [request(0)])
        said += [repr(got), str(got)]
        assert got.value.claims == ["The key is ***."]
        for number, shape in enumerate(SHAPES):
            for code in (400, 401, 429, 500):
                server.default = refuses_with_key(code, shape)
                try:
                    said += [repr(one) for one in run(server, store, [request(10 * number + 1)], tries=2)]
                except EndpointError as error:
                    said += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
        server.default = llm_server.half
        said += [repr(one) for one in run(server, store, [request(99)], tries=2)]
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    said += [caplog.text, *capfd.readouterr(), str(store.table("llm.answer").to_pylist())]
    for text in [*said, *(path.read_bytes().decode("latin-1") for path in written)]:
        for start in range(0, len(KEY) - 12):
            assert KEY[start : start + 12] not in text


def test_the_key_is_read_when_a_request_is_sent_from_the_variable_that_is_named(server, store, monkeypatch):
    run(server, store, [request(1)])
    assert "Authorization" not in server.headers[-1]
    monkeypatch.setenv("OTHER_KEY", f" {KEY}2\n")
    run(server, store, [request(2)], key_variable="OTHER_KEY")
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}2"

    def change(handler, body):
        os.environ["OTHER_KEY"] = "later"
        answer()(handler, body)

    server.plan = [change]
    run(server, store, [request(3), request(4)], key_variable="OTHER_KEY", concurrency=1)
    assert server.headers[-1]["Authorization"] == "Bearer later"


def test_a_word_that_is_no_secret_is_left_in_answers(server, store, monkeypatch):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", "none")
    server.plan = [answer('{"claims": ["It has none."]}')]
    (got,) = run(server, store, [request(1)])
    assert got.value.claims == ["It has none."]


def test_a_key_that_cannot_be_one_is_refused_without_telling_it(server, store, monkeypatch):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", f"{KEY} \u00fc")
    with pytest.raises(EndpointError, match="HEADRACE_LLM_API_KEY holds characters") as caught:
        run(server, store, [request(1)])
    assert KEY not in repr(caught.value)
    assert server.calls == 0


NAMES = ["api_key", "subscription-key", "x-api-key", "code", "Ocp-Apim-Subscription-Key", "sig", "AWSAccessKeyId"]


@pytest.mark.parametrize("url", [f"https://user:{KEY}@h/v1", *(f"https://h/v1?a=1&{name}={KEY}" for name in NAMES)])
def test_an_address_with_a_secret_is_refused_without_telling_it_and_the_remedy_is_the_variable(url):
    with pytest.raises(ValidationError, match=r"no .* here, it would be recorded.*key_variable") as caught:
        Endpoint(base_url=url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"base_url": f"ftp://{KEY}"}, {"key_variable": KEY}, {"key_variable": "hf_abc"}])
def test_a_value_that_is_refused_is_not_told(wrong):
    with pytest.raises(ValidationError) as caught:
        Endpoint(**{"base_url": "http://h/v1"} | wrong)
    assert not any(value in str(caught.value) for value in wrong.values())


def test_the_query_of_an_address_is_in_no_message_and_no_log_line(server, store, monkeypatch, caplog):
    url = f"{server.url}?ticket=hunter2"
    told = []
    with caplog.at_level(logging.DEBUG):
        monkeypatch.setattr(llm_client, "_TOLD_WAIT_S", 0.5)
        server.plan = [status(429, Retry_After="1"), status(500)]
        run(server, store, [request(1)], base_url=url, tries=3)
        for trouble in (status(401), status(307), status(400), status(500)):
            server.default = trouble
            with pytest.raises(EndpointError) as caught:
                run(server, store, [request(n) for n in range(2, 20)], base_url=url, tries=1)
            told.append(str(caught.value))
        with pytest.raises(EndpointError) as caught:
            gone = "http://127.0.0.1:9/v1?ticket=hunter2"
            run(server, store, [request(n) for n in range(2, 20)], base_url=gone, tries=1)
        told.append(str(caught.value))
    assert "it asks to wait 1 s" in caplog.text
    assert "HTTP Request: POST" in caplog.text
    assert server.paths == {"/v1/chat/completions?ticket=hunter2"}
    for text in (caplog.text, *told):
        assert "hunter2" not in text
        assert "ticket" not in text


@pytest.mark.parametrize("url", ["http://", "http://:80/v1", "http://host:eighty/v1", "http://[::1/v1", "host/v1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValidationError):
        Endpoint(base_url=url)


def test_what_an_address_asks_for_stays_behind_the_path():
    assert Endpoint(base_url="http://h:1/v1/").chat_url == "http://h:1/v1/chat/completions"
    assert Endpoint(base_url="https://h/x?api-version=2").chat_url == "https://h/x/chat/completions?api-version=2"


STAGE = """
    import os
    from pydantic import Field
    from tasks.llm import Endpoint, Ledger, Request, Sampling, Template, ask
    from tasks.stage import Report, Stage, StrictModel, stage_main

    class Claims(StrictModel):
        claims: list[str]

    class Params(StrictModel):
        list_claims: Sampling

    LIST = Template("list_claims", "1", "You list claims.", "List the claims. $passage")

    def run(stage: Stage, params: Params) -> Report:
        \"\"\"List the claims of each line.\"\"\"
        lines = stage.dep("data/raw/lines.txt").read_text().splitlines()
        requests = (Request(str(n), LIST, {"passage": line}, Claims) for n, line in enumerate(lines))
        ledger = Ledger()
        endpoint = Endpoint(base_url=os.environ["TEST_URL"], tries=1, concurrency=1)
        answers = list(ask(requests, params.list_claims, endpoint, stage.store, ledger))
        stage.timing(ledger.figures())
        stage.out("data/claims.txt").write_text(repr(answers))
        rejected = {}
        for answer in answers:
            if answer.reject is not None:
                rejected[answer.reject.reason] = rejected.get(answer.reject.reason, 0) + 1
        return Report("line", len(lines), len(lines) - sum(rejected.values()), rejected, "data/claims.txt")

    if __name__ == "__main__":
        stage_main(run, Params)
"""


def test_the_key_is_in_no_file_of_a_project_whose_stages_ran_with_it(server, project, monkeypatch, capfd):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", KEY)
    monkeypatch.setenv("TEST_URL", server.url)
    knobs = "engine: local, workers: 1, item_timeout_s: 60, max_reject_fraction: 1, device: cpu, train_processes: 1"
    project.write(
        "params.yaml", f"run: {{{knobs}, log_level: debug}}\nlist_claims: {{model: tiny, temperature: 0.5}}\n"
    )
    entry = (
        "{cmd: python -m text.list_claims, deps: [data/raw/lines.txt], params: [list_claims], outs: [data/claims.txt]}"
    )
    project.write("dvc.yaml", f"stages: {{list_claims: {entry}}}\n")
    project.write("text/__init__.py", "")
    project.write("text/list_claims.py", STAGE)
    project.write("data/raw/lines.txt", "A mill stands.\nA wheel turns.\nWater flows.\n")
    server.plan = [repeats_key, refuses_with_key(500, SHAPES[0]), refuses_with_key(401, SHAPES[0])]
    assert project.stage("text.list_claims") == 1
    server.plan = [refuses_with_key(500, SHAPES[1])]
    assert project.stage("text.list_claims") == 0
    assert server.calls == 5
    failed, done = sorted(project.runs(), key=lambda one: one.status)
    assert (failed.status, done.status) == ("FAILED", "FINISHED")
    assert done.params == {"list_claims.model": "tiny", "list_claims.temperature": "0.5"}
    assert (done.metrics["llm/calls"], done.metrics["llm/cached"]) == (2, 1)
    told = capfd.readouterr()
    assert "HTTP 401: Incorrect API key: *** ***: set HEADRACE_LLM_API_KEY" in told.err
    written = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    assert b"HTTP 401" in written[project.root / "mlruns" / "mlflow.db"]
    assert b"HTTP 500" in written[project.root / "data" / "claims.txt"]
    for data in [*written.values(), told.err.encode(), told.out.encode()]:
        assert KEY.encode() not in data


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_so_takes_the_key_nowhere(server, store, monkeypatch, code):
    monkeypatch.setenv("HEADRACE_LLM_API_KEY", KEY)
    with llm_server.running() as other:
        server.default = status(code, Location=f"{other.url}/chat/completions")
        with pytest.raises(EndpointError, match=f"HTTP {code}: sorry: set run.llm.endpoint.base_url to where it leads"):
            run(server, store, [request(1)])
        assert other.connections == 0
    assert server.calls == 1


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(server, store, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert run(server, store, [request(1)])[0].value is not None


def test_the_key_is_read_in_one_place():
    tasks = Path(__file__).resolve().parents[2] / "tasks"
    found = [f.name for f in tasks.rglob("*.py") if "key_variable" in f.read_text() or "LLM_API_KEY" in f.read_text()]
    assert sorted(found) == ["llm_client.py", "llm_settings.py"]
    assert (tasks / "llm_client.py").read_text().count("os.environ") == 1
