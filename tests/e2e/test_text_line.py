"""The text line through the real dvc.yaml: from pages to claims."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.e2e.conftest import Line, _run_once, sha256

pytestmark = pytest.mark.slow  # two stages that load a parser, in processes of their own
METALS = {"Bronze": ("copper and tin", "statues"), "Brass": ("copper and zinc", "trumpets"), "Steel": ("iron", "ships")}


def page(name: str, made_of: str, used_for: str) -> str:
    text = (
        f"{name} is an alloy of {made_of}. It was first made by smiths in the Near East. {name} is harder than lead. "
        f"{name} is used for {used_for}. If {name.lower()} were soft, nobody would want it. Smiths sell {name.lower()}."
    )
    return json.dumps({"id": name, "title": name, "text": text})


@pytest.fixture(scope="session")
def texts(fresh_clone: Callable[[], Line], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A clone in which the text line has run once."""
    pages = tmp_path_factory.mktemp("pages") / "metals.jsonl"
    pages.write_text("".join(f"{page(name, *facts)}\n" for name, facts in METALS.items()))
    licence = {"licence": "CC0", "credit": "made by the test", "url": "https://example.invalid"}
    source = {"kind": "url", "name": "metals", "location": pages.as_uri(), "sha256": sha256(pages), **licence}
    made = fresh_clone()
    made.change_all({"fetch_passages.sources": [source]})
    return _run_once(made, ("extract_claims",), tmp_path_factory.getbasetemp())


def query(root: Path, sql: str) -> list[tuple[object, ...]]:
    passages, claims = root / "data/raw/passages/passages.parquet", root / "data/curated/claims/claims.parquet"
    return duckdb.sql(sql.format(passages=f"'{passages}'", claims=f"'{claims}'")).fetchall()


def test_claims_are_read_by_sql_beside_the_passage_that_they_are_quoted_from(texts: Line) -> None:
    asked = (
        "select title, claim, quote = text[quote_start + 1:quote_end] from {claims} join {passages} using (passage_id)"
    )
    found = query(texts.root, asked)
    assert {title for title, _, _ in found} == set(METALS)
    assert all(right for _, _, right in found)
    claims = {claim for _, claim, _ in found}
    assert {f"{name} is harder than lead." for name in METALS} & claims
    assert not any("nobody" in str(claim) for claim in claims)


def test_licence_and_credit_are_carried(texts: Line) -> None:
    assert query(texts.root, "select distinct licence, credit from {passages}") == [("CC0", "made by the test")]
    card = (texts.root / "data/raw/passages/README.md").read_text()
    assert "| metals | CC0 | made by the test | https://example.invalid | 3 |" in card


def test_a_new_page_is_the_only_one_worked_on(texts: Line) -> None:
    own = texts.root / "data/own/text"
    own.mkdir(parents=True, exist_ok=True)
    (own / "pewter.jsonl").write_text(page("Pewter", "tin and lead", "mugs") + "\n")
    texts.repro(target="extract_claims")
    for stage in ("fetch_passages", "extract_claims"):
        assert [run.metrics["items/done"] for run in texts.stage_runs(stage)] == [1, len(METALS)]
    assert query(texts.root, "select count(distinct passage_id) from {claims}") == [(len(METALS) + 1,)]
