"""Listing one's own videos: all that DVC sees, and a word about what it does not."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.store import Store
from tasks.video import fetch_video


def test_a_link_to_a_folder_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / f"{folder.name}.mp4").write_text(folder.name)
    (own / "more").symlink_to(other)
    stage = SimpleNamespace(store=Store(tmp_path / "store"), log=logging.getLogger("headrace"))
    assert [row["path"] for row in fetch_video._own(stage, own)] == ["own.mp4"]  # type: ignore[arg-type]
    assert f"{own / 'more'}: left out, as DVC does not follow a link to a folder" in caplog.text
