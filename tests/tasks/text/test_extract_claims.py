"""The stage: every claim is quoted where it says, nothing is lost, and a stored passage is not parsed again."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.report import Report
from tasks.stage import StageError
from tasks.tables import REJECTED, read_table, write_table
from tasks.text.extract_claims import Params, plan, run
from tasks.text.records import CLAIMS, DROPPED, PASSAGES
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of
from tests.tasks.llm_cases import ASKING

DVC_YAML = """stages:
  extract_claims:
    cmd: python -m tasks.text.extract_claims
    deps: [data/raw/passages]
    outs: [data/curated/claims]
    metrics: [{data/metrics/extract_claims.json: {cache: false}}]
"""
TEXTS = {
    "Bronze": [
        "Bronze is an alloy of copper and tin.",
        "It was first made in the Near East, where it replaced stone.",
        "If it were cheap, everybody would use it.",
    ],
    "Alvar Aalto": [
        "Alvar Aalto was a Finnish architect and designer.",
        "He studied in Helsinki and opened an office in Turku.",
        "His wife, Aino Aalto, was an architect.",
    ],
    "Nothing": ["Would it rain?", "Who could say?", "If only it rained!"],
}


RULES = Params.model_validate({"generator": {"backend": "rules", "sampling": ASKING | {"model": ""}}})


def passage(title: str, sentences: list[str]) -> dict[str, Any]:
    text, spans, at = " ".join(sentences), [], 0
    for sentence in sentences:
        spans.append({"start": at, "end": at + len(sentence)})
        at += len(sentence) + 1
    facts = dict.fromkeys(("topic", "source", "licence", "credit", "url"), "x")
    return {
        "passage_id": f"{title}-0",
        "page_id": title,
        "title": title,
        "text": text,
        "sentences": spans,
        **facts,
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored") / "store"


@pytest.fixture
def filled(project: Project, stored: Path) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    set_params(project, {})
    rows = [passage(title, sentences) for title, sentences in TEXTS.items()]
    write_table(project.root / "data/raw/passages/passages.parquet", rows, PASSAGES)
    if not stored.exists():
        assert extracted(project)[1] == len(TEXTS)
        shutil.copytree(project.root / "data/store", stored)
    else:
        shutil.copytree(stored, project.root / "data/store", dirs_exist_ok=True)
    return project


def extracted(project: Project) -> tuple[Report, int]:
    return run_stage(project, "extract_claims", run, RULES)


def rows(project: Project, name: str, schema: Any) -> list[dict[str, Any]]:
    return read_table(project.root / f"data/curated/claims/{name}.parquet", schema).to_pylist()


def test_each_claim_is_quoted_where_it_says_and_stands_in_the_order_of_the_text(filled: Project) -> None:
    report, parsed = extracted(filled)
    assert (report.items_in, report.kept, report.rejected, parsed) == (3, 2, {"no_claims": 1}, 0)
    claims = rows(filled, "claims", CLAIMS)
    texts = {f"{title}-0": " ".join(sentences) for title, sentences in TEXTS.items()}
    for claim in claims:
        text = texts[claim["passage_id"]]
        assert text[claim["quote_start"] : claim["quote_end"]] == claim["quote"]
        assert claim["quote"] in TEXTS[claim["page_id"]][claim["sentence"]]
        assert len(claim["claim"].split()) <= 15
        assert claim["claim"].endswith(".")
    assert [(c["passage_id"], c["number"]) for c in claims] == [
        (passage_id, number)
        for passage_id in texts
        for number in range(sum(c["passage_id"] == passage_id for c in claims))
    ]
    said = {claim["claim"] for claim in claims}
    assert {"Bronze is an alloy of copper and tin.", "Alvar Aalto was a Finnish architect."} <= said
    assert not any(claim.split()[0] in ("It", "He", "His") for claim in said)


def test_what_is_no_fact_is_dropped_with_the_reason_and_a_passage_without_claims_rejected(filled: Project) -> None:
    extracted(filled)
    dropped = rows(filled, "dropped", DROPPED)
    assert any(one["passage_id"] == "Bronze-0" and "cheap" in one["text"] for one in dropped)
    assert not any("cheap" in claim["claim"] for claim in rows(filled, "claims", CLAIMS))
    (rejected,) = rows(filled, "rejected", REJECTED)
    assert (rejected["item_id"], rejected["parent_id"], rejected["reason"]) == ("Nothing-0", "Nothing", "no_claims")


def test_passages_that_say_no_plain_fact_are_no_bad_ones(filled: Project) -> None:
    set_params(filled, {}, max_reject_fraction=0.0)
    assert extracted(filled)[0].rejected == {"no_claims": 1}


def test_more_passages_that_cannot_be_worked_on_than_allowed_fail_the_stage(filled: Project) -> None:
    bad = passage("Bad", ["Bronze is an alloy."])
    bad["sentences"] = [{"start": 0, "end": 999}]
    write_table(filled.root / "data/raw/passages/passages.parquet", [bad], PASSAGES)
    with pytest.raises(StageError, match="1 of 1 passages are bad"):
        extracted(filled)


def test_the_card_credits_and_loads_what_lies_beside_it(
    filled: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    extracted(filled)
    out, claims = filled.root / "data/curated/claims", rows(filled, "claims", CLAIMS)
    card = (out / "README.md").read_text()
    assert f"{len(claims)} claims of 2 of 3 passages" in card
    assert f"| x | x | x | {len(claims)} |" in card
    stage = stage_of(filled, "extract_claims")
    assert f"| data/raw/passages | {stage.dep_hash('data/raw/passages')} |" in card
    monkeypatch.chdir(out)
    exec(compile(card.partition("```python\n")[2].partition("```")[0], "card", "exec"), {})
    assert claims[0]["claim"] in capsys.readouterr().out


def test_a_plan_counts_the_passages_that_are_not_stored(filled: Project) -> None:
    planned = plan(stage_of(filled, "extract_claims"), RULES)
    assert (planned.items_todo, planned.items_stored) == (0, 3)
    more = [passage(title, sentences) for title, sentences in TEXTS.items()]
    more.append(passage("Brass", ["Brass is an alloy of copper and zinc."]))
    write_table(filled.root / "data/raw/passages/passages.parquet", more, PASSAGES)
    assert plan(stage_of(filled, "extract_claims"), RULES).items_todo == 1
    assert extracted(filled)[1] == 1
