"""The text line through the real dvc.yaml, from real pages to a judge that is asked about a text of one's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.e2e.conftest import Line, _run_once, sha256

pytestmark = pytest.mark.slow  # eight stages, most of which load a parser
PASSAGES = Path(__file__).parents[1] / "fixtures/wikipedia/passages.jsonl"


@pytest.fixture(scope="session")
def oasis(fresh_clone: Callable[[], Line], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A clone in which the line has run once over a hundred passages of Wikipedia."""
    rows = [json.loads(line) for line in PASSAGES.read_text().splitlines()]
    pages = tmp_path_factory.mktemp("pages") / "wikipedia.jsonl"
    pages.write_text("".join(json.dumps({"id": row["passage_id"], **row}) + "\n" for row in rows))
    licence = {"licence": "CC BY-SA 4.0", "credit": "Wikipedia contributors", "url": "https://en.wikipedia.org"}
    source = {"kind": "url", "name": "wikipedia", "location": pages.as_uri(), "sha256": sha256(pages), **licence}
    made = fresh_clone()
    made.change_all(
        {
            "fetch_passages.sources": [source],
            "build_oasis.test_share": 0.3,
            "train_retriever.pairs": 64,
            "train_retriever.batch_size": 8,
            "train_verifier.triplets": 90,
            "train_verifier.valid_triplets": 12,
            **{f"{stage}.learning.warmup_steps": 1 for stage in ("train_retriever", "train_verifier")},
        }
    )
    return _run_once(made, ("evaluate_factuality",), tmp_path_factory.getbasetemp())


def figures(line: Line, stage: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((line.root / f"data/metrics/{stage}.json").read_text())
    return found


def test_every_pair_comes_out_as_a_false_claim_and_an_unfactual_text(oasis: Line) -> None:
    made = figures(oasis, "build_oasis")["oasis"]
    assert made["claim_falsification"] == made["unfactual_text_generation"] >= 10
    assert made["triplets_contradiction"] == 3 * made["claim_falsification"]
    told = "unfactual_text[new_window.start + 1:new_window.end] || factual_text[old_window.end + 1:]"
    whole = f"select bool_and(factual_text[:old_window.start] || {told} = unfactual_text) from {{table}}"
    assert asked(oasis, "unfactual_text_generation", whole) == [(True,)]


def asked(line: Line, table: str, sql: str) -> list[tuple[Any, ...]]:
    return duckdb.sql(sql.format(table=f"'{line.root}/data/curated/oasis/*/{table}.parquet'")).fetchall()


def test_texts_and_claims_are_judged_and_shown(oasis: Line) -> None:
    judged = figures(oasis, "evaluate_factuality")
    [(tested,)] = asked(oasis, "unfactual_text_generation", "select count(*) from {table} where split = 'test'")
    assert judged["e2e"]["texts"] == 2 * tested > 0
    page = (oasis.root / "data/reports/evaluate_factuality/examples.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "<script" not in page


def test_a_text_of_ones_own_is_judged_by_the_corpus(oasis: Line, tmp_path: Path) -> None:
    [(claim, title)] = asked(oasis, "claim_extraction", "select claims[1], title from {table} order by title limit 1")
    (tmp_path / "mine.txt").write_text(f"{claim}\n")
    command = [sys.executable, "-m", "tasks.text.check_text", str(tmp_path / "mine.txt")]
    done = subprocess.run(command, cwd=oasis.root, capture_output=True, text=True, check=True)
    assert title[:10] in done.stdout


def test_a_second_run_has_nothing_to_do(oasis: Line) -> None:
    before = oasis.out_hashes(("evaluate_factuality",))
    oasis.repro(target="evaluate_factuality")
    assert len(oasis.stage_runs("evaluate_factuality")) == 1
    assert oasis.out_hashes(("evaluate_factuality",)) == before
