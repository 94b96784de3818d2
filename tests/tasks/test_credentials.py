"""Names of credentials are known in one place; what is told of an address or a wrong value holds none."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tasks import lineage
from tasks.credentials import WORDS, cut_logged_addresses, is_credential, without_credentials, without_queries
from tasks.llm import Llm
from tasks.parameters import StageError, read_knobs, validate_parameters
from tasks.sources import UrlSource
from tasks.strict import StrictModel

KNOBS = "engine: local, workers: 1, item_timeout_s: 60, max_reject_fraction: 1, device: cpu, train_processes: 1"


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_of_a_credential_is_refused_in_addresses_and_masked_in_messages(word: str) -> None:
    for name in (word, word.upper(), f"x-{word}", f"my_{word}_id", f"my{word.capitalize()}Id"):
        address = f"https://host.invalid/a?version=3&{name}=hunter2"
        with pytest.raises(ValueError, match=f"no '{name}=' here") as caught:
            without_credentials(address)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in lineage.without_password(f"cannot reach {address}")


def test_other_names_are_taken() -> None:
    for name in ("keyframe", "api-version", "author", "country_code", "max_tokens", "design", "compass", "v2", "Id"):
        assert not is_credential(name), name
        address = f"https://host.invalid/a?{name}=1"
        assert without_credentials(address) == address


def test_an_address_is_told_without_user_and_query() -> None:
    text = "at https://me:p@ss@h.invalid:8/a/b?x=1&y=2#z, 'http://h?q', s3://bucket/file and what?"
    assert without_queries(text) == "at https://h.invalid:8/a/b 'http://h', s3://bucket/file and what?"


def test_the_http_library_logs_addresses_without_queries(caplog: pytest.LogCaptureFixture) -> None:
    cut_logged_addresses()
    cut_logged_addresses()
    assert len(logging.getLogger("httpx2").filters) == 1
    with caplog.at_level(logging.INFO):
        logging.getLogger("httpx2").info("HTTP Request: %s %s %d", "GET", "https://me:pass@h/a?ticket=1", 200)
    assert caplog.messages == ["HTTP Request: GET https://h/a 200"]


class Params(StrictModel):
    llm: Llm


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"key": "hunter2"}, "'llm.endpoint.key' is no parameter"),
        ({"key_variable": "hunter2"}, r"llm.endpoint.key_variable = \*\*\*: String should match pattern"),
        ({"base_url": "https://me:hunter2@h/v1"}, "https://h/v1'.*key_variable"),
        ({"base_url": "https://h/v1?ticket=hunter2&code=hunter2"}, "https://h/v1'.*no 'code=' here.*key_variable"),
        ({"base_url": "https://h:port/v1?ticket=hunter2"}, "https://h:port/v1'"),
    ],
)
def test_a_wrong_setting_of_an_endpoint_is_told_without_its_secret(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError, match=told) as caught:
        validate_parameters(Params, {"llm": {"endpoint": {"base_url": "https://h/v1"} | wrong}}, "ask")
    assert "hunter2" not in str(caught.value)


def test_a_wrong_source_is_told_without_its_secret() -> None:
    with pytest.raises(ValueError, match="no 'token=' here") as caught:
        UrlSource(
            kind="url",
            name="film",
            location="https://h.invalid/film.mp4?ticket=hunter2&token=hunter2",
            sha256="0" * 64,
            licence="x",
            credit="x",
            url="x",
        )
    assert "hunter2" not in str(caught.value)


def test_language_models_are_a_knob_of_every_run_and_need_not_be_set(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"run: {{{KNOBS}, log_level: debug}}\n")
    assert read_knobs(tmp_path).llm == Llm()
    llm = "{endpoint: {base_url: 'http://127.0.0.1:8080/v1', concurrency: 2}, limits: {max_cost_usd: 1.5}}"
    (tmp_path / "params.yaml").write_text(f"run: {{{KNOBS}, log_level: debug, llm: {llm}}}\n")
    knobs = read_knobs(tmp_path)
    assert (knobs.llm.endpoint and knobs.llm.endpoint.concurrency, knobs.llm.limits.max_cost_usd) == (2, 1.5)
