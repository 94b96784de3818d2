"""The stage: every passage with claims has its texts, U is F but for one window, a stored passage is not told again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.llm import BudgetError
from tasks.report import Report
from tasks.tables import REJECTED, read_table, write_table
from tasks.text.records import CLAIMS, FALSIFIED, PAGES, PASSAGES, TEXTS
from tasks.text.write_texts import Params, plan, run
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of
from tests.tasks import llm_server
from tests.tasks.llm_cases import ASKING
from tests.tasks.text.databases import Entry, write_database

DVC_YAML = """stages:
  write_texts:
    cmd: python -m tasks.text.write_texts
    deps: [data/raw/passages, data/curated/claims, data/curated/falsified]
    params: [generator, write_texts]
    outs: [data/curated/texts]
    metrics: [{data/metrics/write_texts.json: {cache: false}}]
"""
WORDS = [Entry("river", "noun.location", "river:9"), Entry("painter", "noun.person", "painter:9")]
TOLD = {
    "The Lima": ["The Lima is a river.", "The Lima flows through Portugal.", "The Lima was crossed in 137 BC."],
    "Anna Berg": ["Anna Berg was a painter.", "Anna Berg often lived in Oslo."],
    "Bronze": ["Bronze is an alloy of copper and tin."],
    "Tower": ["The tower was built in 1890."],
}
FALSE = {  # the claim, how it is told falsely, and what that changes
    "The Lima": (0, "The Lima is a lake.", "river", "lake"),
    "Anna Berg": (0, "Anna Berg was an architect.", "painter", "architect"),
    "Tower": (0, "The house was built in 1899.", "tower", "house"),  # two changes: no such pair can be told
}
RULES = {"backend": "rules", "sampling": ASKING | {"model": ""}}
CHOSEN = {"write_texts": {"seed": 0, "synonyms": 1.0, "restructure": 1.0}, "generator": RULES}
OWED = dict.fromkeys(("licence", "credit", "url"), "x")
FACTS = {**dict.fromkeys(("topic", "source"), "x"), **OWED}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored") / "store"


@pytest.fixture
def filled(project: Project, tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    wordnet = write_database(tmp_path / "wordnet", WORDS)
    monkeypatch.setattr("tasks.text.write_texts.wordnet_folder", lambda downloads, fetch: wordnet)
    set_params(project, CHOSEN)
    pages, passages, claims, falsified = [], [], [], []
    for title, told in TOLD.items():
        text, at = " ".join(told), 0
        mine = {"passage_id": f"{title}-0", "page_id": title, **OWED}
        pages.append({"page_id": title, "name": title, "title": title, "text": text, "sentences": [], **FACTS})
        passages.append({**mine, "title": title, "text": text, "sentences": [], **FACTS})
        for number, claim in enumerate(told):
            place = {"quote": claim, "quote_start": at, "quote_end": at + len(claim), "sentence": number}
            kind = {"number": number, "construction": "copula", "method": "parse"}
            claims.append({**mine, "claim_id": f"{title}-0-{number}", "claim": claim, **place, **kind})
            at += len(claim) + 1
        if title in FALSE:
            number, false_claim, old, new = FALSE[title]
            start = told[number].index(old), false_claim.index(new)
            spans = {"old_start": start[0], "old_end": start[0] + len(old)}
            spans |= {"new_start": start[1], "new_end": start[1] + len(new)}
            words = {"old": old, "new": new, "old_lemma": old, "new_lemma": new}
            rest = {"relation": "sibling", "role": "predicate", "file": "noun.object", "tried": 0}
            pair = {"claim_id": f"{title}-0-{number}", "claim": told[number], "false_claim": false_claim}
            falsified.append({**mine, **pair, **words, **spans, **rest})
    root = project.root / "data"
    write_table(root / "raw/passages/pages.parquet", pages, PAGES)
    write_table(root / "raw/passages/passages.parquet", passages, PASSAGES)
    write_table(root / "curated/claims/claims.parquet", claims, CLAIMS)
    write_table(root / "curated/falsified/falsified.parquet", falsified, FALSIFIED)
    if not stored.exists():
        written(project)
        shutil.copytree(project.root / "data/store", stored)
    else:
        shutil.copytree(stored, project.root / "data/store", dirs_exist_ok=True)
    return project


def written(project: Project) -> tuple[Report, int]:
    return run_stage(project, "write_texts", run, Params.model_validate(CHOSEN))


def rows(project: Project, name: str, schema: Any) -> list[dict[str, Any]]:
    return read_table(project.root / f"data/curated/texts/{name}.parquet", schema).to_pylist()


def test_every_passage_with_claims_has_a_text_or_a_reason(filled: Project) -> None:
    report, _ = written(filled)
    assert (report.items_in, report.kept, report.rejected) == (4, 3, {"false_claim": 1})
    (rejected,) = rows(filled, "rejected", REJECTED)
    assert (rejected["item_id"], rejected["parent_id"], rejected["reason"]) == ("Tower-0", "Tower", "false_claim")
    for row in rows(filled, "texts", TEXTS):
        told = TOLD[row["title"]]
        assert row["claim_ids"] == [f"{row['title']}-0-{n}" for n in range(len(told))]
        assert len(row["factual_spans"]) == len(row["ways"]) == len(told)
        spans = [row["factual"][span["start"] : span["end"]] for span in row["factual_spans"]]
        assert all(spans)
        assert (row["unfactual"] is None) == (row["title"] == "Bronze") == (row["false_place"] is None)
    assert (filled.root / "data/curated/texts/README.md").read_text().startswith("# Factual and unfactual texts")


def test_an_unfactual_text_is_the_factual_one_but_for_the_swapped_word(filled: Project) -> None:
    written(filled)
    both = [row for row in rows(filled, "texts", TEXTS) if row["unfactual"] is not None]
    assert len(both) == 2
    for row in both:
        old, new = row["old_window"], row["new_window"]
        replaced = row["unfactual"][new["start"] : new["end"]]
        assert row["factual"][: old["start"]] + replaced + row["factual"][old["end"] :] == row["unfactual"]
        wanted = {"The Lima": ("river", "lake"), "Anna Berg": ("a painter", "an architect")}[row["title"]]
        assert (row["factual"][old["start"] : old["end"]], replaced) == wanted
        span = row["factual_spans"][row["false_place"]]
        assert span["start"] <= old["start"] <= old["end"] <= span["end"]
        assert "river" not in row["unfactual"]


def test_what_is_stored_is_not_told_again_and_gives_the_same_bytes(filled: Project) -> None:
    params = Params.model_validate(CHOSEN)
    planned = plan(stage_of(filled, "write_texts"), params)
    assert (planned.items_todo, planned.items_stored) == (0, 4)
    out = filled.root / "data/curated/texts"
    _, done = written(filled)
    assert done == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    shutil.rmtree(filled.root / "data/store")
    _, done = written(filled)
    assert done == 4
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_another_seed_or_other_knobs_are_told_anew(filled: Project) -> None:
    for other in ({"seed": 1}, {"synonyms": 0.0}, {"restructure": 0.5}):
        params = Params.model_validate(CHOSEN | {"write_texts": {**CHOSEN["write_texts"], **other}})
        assert plan(stage_of(filled, "write_texts"), params).items_todo == 4


def test_a_language_models_texts_differ_in_the_false_claim_alone_or_are_refused(filled: Project) -> None:
    def told(handler: llm_server.Handler, body: dict[str, Any]) -> None:
        texts = llm_server.passage_texts(body)
        if "claims" in texts:
            said = f"People say this. {texts['claims']}".replace("\n", " ")
            if "Tower" in texts["passage"] or "tower" in texts["passage"]:
                said = said.replace("1890", "the past")  # a detail is lost
        elif "The Lima" in texts["original"]:
            said = texts["factual"].replace(texts["original"], texts["altered"])
        else:
            said = "Another text, which tells something else at greater length than anybody could want."
        llm_server.answer(json.dumps({"text": said}))(handler, body)

    chosen = {**CHOSEN, "generator": {"backend": "multi_call", "sampling": ASKING | {"repairs": 0}}}
    with llm_server.running() as server:
        server.default = told
        set_params(filled, chosen, llm={"endpoint": {"base_url": server.url}})
        report = run_stage(filled, "write_texts", run, Params.model_validate(chosen))[0]
    assert report.rejected == {"validator": 2}  # Tower, whose year is lost, and Anna Berg, whose U is another text
    found = {
        row["title"]: row for row in read_table(filled.root / "data/curated/texts/texts.parquet", TEXTS).to_pylist()
    }
    assert set(found) == {"The Lima", "Bronze"}
    lima = found["The Lima"]
    old, new = (slice(lima[name]["start"], lima[name]["end"]) for name in ("old_window", "new_window"))
    assert (lima["factual"][old], lima["unfactual"][new]) == ("river", "lake")
    spans = [lima["factual"][span["start"] : span["end"]] for span in lima["factual_spans"]]
    assert spans == TOLD["The Lima"]
    assert found["Bronze"]["unfactual"] is None


def test_a_limit_of_calls_holds_for_both_texts_together(filled: Project) -> None:
    def told(handler: llm_server.Handler, body: dict[str, Any]) -> None:
        texts = llm_server.passage_texts(body)
        said = texts["claims"].replace("\n", " ") if "claims" in texts else texts["factual"]
        llm_server.answer(json.dumps({"text": said}))(handler, body)

    chosen = {**CHOSEN, "generator": {"backend": "multi_call", "sampling": ASKING | {"repairs": 0}}}
    with llm_server.running() as server:
        server.default = told
        knobs = {"endpoint": {"base_url": server.url}, "limits": {"max_calls": 5}}
        set_params(filled, chosen, llm=knobs)
        with pytest.raises(BudgetError):  # four factual texts, then one of three unfactual ones
            run_stage(filled, "write_texts", run, Params.model_validate(chosen))
        assert server.calls == 5
