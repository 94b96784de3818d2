"""The stage on files of one's own: every page is kept or rejected with a reason, and a second run works out nothing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tasks.report import Report
from tasks.stage import StageError
from tasks.tables import REJECTED, read_table
from tasks.text.fetch_passages import Params, plan, run
from tasks.text.records import PAGES, PASSAGES, WINDOWS
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of

DVC_YAML = """stages:
  fetch_passages:
    cmd: python -m tasks.text.fetch_passages
    deps: [data/exclude.csv, data/own/text]
    params: [fetch_passages, own.text]
    outs: [data/raw/passages]
    metrics: [{data/metrics/fetch_passages.json: {cache: false}}]
"""
PROSE = [
    f"The {kind} mill of {place} was built by {maker} near the old bridge. It has {count} wheels of oak. "
    f"The wheels turn slowly in summer, when the river is low. A flood broke the {kind} mill's dam long ago. "
    f"The people of {place} mended it with stones. Today the mill is a museum."
    for kind, place, maker, count in [
        ("water", "Aldham", "Ann Carter", "two"),
        ("wind", "Birlow", "Tom Fisher", "three"),
        ("tide", "Corsey", "Jane Smith", "four"),
    ]
]


CHOSEN = {
    "sources": [],
    "pages": 0,
    "seed": 0,
    "language": "en",
    "min_probability": 0.5,
    "sentences": 5,
    "stride": 1,
    "min_sentences": 3,
    "max_sentence_chars": 600,
    "max_jaccard": 0.8,
}


def fetched(project: Project, *, workers: int = 1, **changed: Any) -> tuple[Report, int]:
    """Run the stage; return its report and how many pages it split."""
    return run_stage(project, "fetch_passages", run, chosen(project, workers=workers, **changed))


def chosen(project: Project, *, workers: int = 1, **changed: Any) -> Params:
    params = {"own": {"text": "data/own/text"}, "fetch_passages": {**CHOSEN, **changed}}
    set_params(project, params, workers=workers)
    return Params.model_validate(params)


def planned(project: Project) -> tuple[int, int]:
    found = plan(stage_of(project, "fetch_passages"), chosen(project))
    return found.items_todo, found.items_stored


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the store of the first project that split the three mills is kept for the others."""
    return tmp_path_factory.mktemp("stored") / "store"


@pytest.fixture
def mills(project: Project, stored: Path) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    project.write("data/exclude.csv", "id,reason\n")
    for number, text in enumerate(PROSE):
        project.write(f"data/own/text/mill {number}.txt", text)
    if not stored.exists():
        assert fetched(project)[1] == 3
        shutil.copytree(project.root / "data/store", stored)
    else:
        shutil.copytree(stored, project.root / "data/store", dirs_exist_ok=True)
    return project


def tables(project: Project) -> dict[str, list[dict[str, Any]]]:
    schemas = {"pages": PAGES, "windows": WINDOWS, "passages": PASSAGES, "rejected": REJECTED}
    out = project.root / "data/raw/passages"
    return {name: read_table(out / f"{name}.parquet", schema).to_pylist() for name, schema in schemas.items()}


def bytes_of(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.root / "data/raw/passages").iterdir()}


def test_each_page_gives_one_passage_whose_offsets_hold(mills: Project) -> None:
    report, _ = fetched(mills)
    assert (report.items_in, report.kept) == (3, 3)
    found = tables(mills)
    texts = {row["page_id"]: row for row in found["pages"]}
    assert sorted(row["text"] for row in found["pages"]) == sorted(PROSE)
    assert len(found["windows"]) == 3 * 2
    for row in found["windows"]:
        spans = texts[row["page_id"]]["sentences"][row["first_sentence"] :][: row["sentence_count"]]
        assert (row["start"], row["end"]) == (spans[0]["start"], spans[-1]["end"])
    drawn = {row["passage_id"]: row for row in found["windows"] if row["drawn"]}
    assert sorted(drawn) == sorted(row["passage_id"] for row in found["passages"])
    for row in found["passages"]:
        window = drawn[row["passage_id"]]
        assert row["text"] == texts[row["page_id"]]["text"][window["start"] : window["end"]]
        assert [row["text"][s["start"] : s["end"]][-1] for s in row["sentences"]] == ["."] * 5
    assert len({row["page_id"] for row in found["passages"]}) == 3


def test_a_second_run_splits_nothing_and_a_new_page_alone(mills: Project) -> None:
    fetched(mills)
    first = bytes_of(mills)
    assert fetched(mills)[1] == 0
    assert bytes_of(mills) == first
    assert planned(mills) == (0, 3)
    mills.write("data/own/text/more.txt", PROSE[0].replace("mill", "forge").replace("river", "wood"))
    assert planned(mills) == (1, 3)
    assert fetched(mills)[1] == 1
    assert fetched(mills, sentences=4)[1] == 0  # windows are no part of what is stored


def test_the_same_bytes_whatever_the_number_of_workers(mills: Project) -> None:
    fetched(mills)
    first = bytes_of(mills)
    shutil.rmtree(mills.root / "data/store")
    assert fetched(mills, workers=2)[1] == 3
    assert bytes_of(mills) == first


def test_every_bad_page_and_file_is_told_and_stops_nothing(mills: Project) -> None:
    rows = [
        {"id": "a", "text": PROSE[0].replace("Aldham", "Eltham").replace("oak", "elm")},  # 0.8 alike, or not
        {"id": "b", "text": "The mill of the village is old. Nobody has lived in it for a hundred years."},
        {"id": "b", "text": "The same id again. It is told. It stops nothing."},
        {"id": "c", "text": PROSE[1].upper()},
        {"id": "d", "text": "Die Mühle steht am Fluss. Sie mahlt seit hundert Jahren Weizen. Niemand weiß warum."},
        {"id": "e", "text": "<p>A mill</p> {{by}} <b>the</b> [[river]]."},
        {"id": "f", "text": ""},
    ]
    lines = [json.dumps(row) for row in rows]
    mills.write("data/own/text/rows.jsonl", "\n".join([*lines, "{broken"]) + "\n")
    (mills.root / "data/own/text/latin.txt").write_bytes(b"Caf\xe9 mill")
    report, _ = fetched(mills)
    found = tables(mills)
    reasons = {(row["unit"], row["reason"]) for row in found["rejected"]}
    assert reasons >= {
        ("file", "not_utf8"),
        ("page", "too_short"),
        ("page", "repeated_id"),
        ("page", "duplicate"),
        ("page", "language"),
        ("page", "markup"),
        ("page", "empty"),
        ("page", "not_json"),
    }
    assert report.items_in == 3 + 8 == report.kept + sum(report.rejected.values())
    assert len(found["passages"]) == report.kept
    near = jaccard_of(PROSE[0], rows[0]["text"])
    assert (("page", "near_duplicate") in reasons) == (near >= 0.8)


def jaccard_of(one: str, other: str) -> float:
    sets = []
    for text in (one, other):
        words = re.findall(r"\w+", text.lower())
        sets.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_an_excluded_page_is_gone_from_all_tables(mills: Project) -> None:
    fetched(mills)
    page_id = tables(mills)["pages"][0]["page_id"]
    mills.write("data/exclude.csv", f"id,reason\n{page_id},not ours\n")
    report, _ = fetched(mills)
    found = tables(mills)
    assert report.rejected == {"excluded": 1}
    assert not any(row["page_id"] == page_id for name in ("pages", "windows", "passages") for row in found[name])


def test_a_copy_does_not_take_the_place_of_an_excluded_page(mills: Project) -> None:
    fetched(mills)
    page_id = next(row["page_id"] for row in tables(mills)["pages"] if "Aldham" in row["text"])
    mills.write("data/exclude.csv", f"id,reason\n{page_id},not ours\n")
    mills.write("data/own/text/the same again.txt", PROSE[0].upper())
    report, _ = fetched(mills)
    assert report.rejected == {"excluded": 1, "duplicate": 1}


def test_a_linked_folder_is_told_and_counted_as_a_file(mills: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (mills.root / "data/own/text/linked").symlink_to(tmp_path / "elsewhere")
    fetched(mills)
    [row] = tables(mills)["rejected"]
    assert (row["unit"], row["item_id"], row["reason"]) == ("file", "own/linked", "linked_folder")
    for number in range(4):
        (mills.root / f"data/own/text/bad {number}.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(StageError, match=r"5 of 8 files are bad"):
        fetched(mills)


def test_too_many_bad_files_fail_the_stage(mills: Project) -> None:
    for number in range(4):
        (mills.root / f"data/own/text/bad {number}.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(StageError, match=r"4 of 7 files are bad"):
        fetched(mills)


def test_the_card_loads_what_it_says(mills: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(mills)
    out = mills.root / "data/raw/passages"
    card = (out / "README.md").read_text()
    snippet = card.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(out)
    exec(compile(snippet, "card", "exec"), {"duckdb": duckdb})
    assert "own/mill 0.txt" in card
    assert "| max_jaccard | 0.8 |" in card
    assert "| data/own/text |" in card
    assert "unstated" in card
