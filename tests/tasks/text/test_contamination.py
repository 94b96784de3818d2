"""What a benchmark holds is found: long runs of words anywhere, short texts whole."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.text.contamination import Benchmarks

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def test_thirteen_words_in_a_row_are_found_in_every_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"before {LONG} after")
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "x", "deep": [{"claim": "Mills grind.", "evidence": LONG}]}))
    pq.write_table(pa.table({"id": ["x"], "n": [1], "text": [LONG]}), tmp_path / "c.parquet")
    for name in ("a.txt", "b.jsonl", "c.parquet"):
        held = Benchmarks([tmp_path / name], 13)
        words = LONG.split()
        assert held.found_in(["x " + " ".join(words[:13]).upper() + "!"], []) == (name, " ".join(words[:13]))
        assert held.found_in([" ".join(words[:12]) + " x " + words[12]], []) is None


def test_a_short_text_is_found_whole_among_claims(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"claim": "Mills grind."}\n{"claim": "?"}')
    held = Benchmarks([tmp_path / "b.jsonl"], 13)
    assert held.found_in([], ["Rivers flow.", "mills  GRIND"]) == ("b.jsonl", "mills grind")
    assert held.found_in([], ["Mills grind wheat.", "!"]) is None
    assert held.texts == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.docx", b"x"), ("a.jsonl", b"{broken"), ("a.txt", b"\xff"), ("a.parquet", b""), ("a.md", b"")],
)
def test_a_file_that_cannot_be_compared_with_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*remove it, or mend it"):
        Benchmarks([tmp_path / name], 13)


def test_a_table_with_what_python_cannot_hold_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"seen": pa.array([1 << 62], pa.timestamp("us"))}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: .*remove it, or mend it"):
        Benchmarks([tmp_path / "a.parquet"], 13)
