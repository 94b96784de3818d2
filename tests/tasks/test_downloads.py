"""A kept download that is damaged is not used."""

import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.sources import SourceError, UrlSource, downloads_folder
from tasks.store import Store


def source(path: Path) -> UrlSource:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    terms = {"licence": "CC0", "credit": "nobody", "url": "https://example.invalid"}
    return UrlSource(kind="url", name="words", location=path.as_uri(), sha256=digest, **terms)


def test_a_kept_download_that_is_damaged_is_fetched_again_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "store"))
    there = tmp_path / "words.txt"
    there.write_text("grain\n")
    wanted, store = source(there), Store(tmp_path / "store")
    info = SimpleNamespace(address="fetch_words")
    stage: Any = SimpleNamespace(root=tmp_path, store=store, log=logging.getLogger("headrace"), info=info)
    kept = fetched_for(stage, wanted, HashMemory(store))
    assert kept == downloads_folder(tmp_path) / "files" / wanted.sha256
    assert fetched_for(stage, wanted, HashMemory(store)) == kept
    assert not caplog.records
    kept.chmod(0o644)
    kept.write_text("drain\n")
    assert fetched_for(stage, wanted, HashMemory(store)).read_text() == "grain\n"
    assert "words: the kept download is damaged and is fetched again" in caplog.text
    kept.chmod(0o644)
    kept.write_text("drain\n")
    there.write_text("brain\n")
    with pytest.raises(SourceError, match="the file has changed"):
        fetched_for(stage, wanted, HashMemory(store))
