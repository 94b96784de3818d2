"""The data set: what was made of each passage, in tables that load, split by page, with sheets and cards."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.report import Report
from tasks.stage import StageError
from tasks.tables import REJECTED, read_table, write_table
from tasks.text.build_oasis import Params, plan, run
from tasks.text.oasis_tables import TABLES, read_oasis
from tasks.text.records import CLAIMS, FALSIFIED, PAGES, PASSAGES, TEXTS, VERDICTS, WINDOWS
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of

DVC_YAML = """stages:
  build_oasis:
    cmd: python -m tasks.text.build_oasis
    deps:
      - data/exclude.csv
      - data/raw/passages
      - data/curated/claims
      - data/curated/falsified
      - data/curated/texts
      - data/own/benchmarks
      - data/own/reviews
    params: [build_oasis, own.benchmarks, own.reviews]
    outs: [data/curated/oasis]
    metrics: [{data/metrics/build_oasis.json: {cache: false}}]
"""
CHOSEN = {
    "seed": 0,
    "test_share": 0.25,
    "max_jaccard": 0.8,
    "contamination_words": 10,
    "review": {"annotators": 2, "passages": 6, "shared": 2},
}
VALUES = [("painter", "sculptor"), ("lawyer", "doctor"), ("baker", "butcher"), ("tailor", "weaver")]
PEOPLE = [f"{first} {last}" for first in ("Anna", "Ole", "Kari", "Nils") for last in ("Berg", "Dahl", "Moe", "Lund")]
PLACES = ["Oslo", "Bergen", "Molde", "Narvik"]


def people() -> list[dict[str, Any]]:
    """Return what is known of sixteen people: four share each swapped pair of values; one has no false claim."""
    found = []
    for number, name in enumerate(PEOPLE):
        old, new = VALUES[number % 4]
        place = PLACES[number // 4]
        sentences = [
            f"{name} was a {old}.",
            f"{name.split()[1]} lived in {place} near harbour {number}.",
            f"A street of quarter {number} is named after the {old} in {place}.",
            f"The museum of {place} keeps {number + 3} letters of the family.",
            f"Visitors see house {number} in the summer.",
        ]
        found.append({"name": name, "old": old, "new": new, "sentences": sentences, "number": number})
    return found


@pytest.fixture
def filled(project: Project) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    project.write("data/exclude.csv", "id,reason\n")
    for folder in ("benchmarks", "reviews"):
        project.write(f"data/own/{folder}/.gitignore", "*\n")
    set_params(
        project, {"build_oasis": CHOSEN, "own": {"benchmarks": "data/own/benchmarks", "reviews": "data/own/reviews"}}
    )
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("pages", "windows", "passages", "claims", "falsified", "texts", "verdicts")
    }
    for person in people():
        for name, rows in rows_of(person).items():
            tables[name] += rows
    raw, curated = project.root / "data/raw/passages", project.root / "data/curated"
    write_table(raw / "pages.parquet", tables["pages"], PAGES)
    write_table(raw / "windows.parquet", tables["windows"], WINDOWS)
    write_table(raw / "passages.parquet", tables["passages"], PASSAGES)
    write_table(curated / "claims/claims.parquet", tables["claims"], CLAIMS)
    write_table(curated / "falsified/falsified.parquet", tables["falsified"], FALSIFIED)
    write_table(curated / "falsified/verdicts.parquet", tables["verdicts"], VERDICTS)
    write_table(curated / "texts/texts.parquet", tables["texts"], TEXTS)
    return project


def rows_of(person: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    sentences, number, name = person["sentences"], person["number"], person["name"]
    page_id, passage_id = f"page{number:02}", f"page{number:02}-0"
    text = " ".join(sentences)
    spans = [{"start": text.index(one), "end": text.index(one) + len(one)} for one in sentences]
    owed = {"licence": "CC BY-SA 4.0" if number else "CC BY-SA 3.0", "credit": "Writers", "url": "https://x.invalid"}
    facts = {"title": name, "topic": "People", "source": "test", **owed}
    windows = [(0, 2), (2, 4), (3, 5)]
    made: dict[str, list[dict[str, Any]]] = {
        "pages": [{"page_id": page_id, "name": name, "text": text, "sentences": spans, **facts}],
        "windows": [
            {
                **{"passage_id": f"{page_id}-{first}", "page_id": page_id, "first_sentence": first},
                **{"sentence_count": last - first, "start": spans[first]["start"], "end": spans[last - 1]["end"]},
                "drawn": first == 0,
            }
            for first, last in windows
        ],
        "passages": [
            {
                "passage_id": passage_id,
                "page_id": page_id,
                "text": " ".join(sentences[:2]),
                "sentences": spans[:2],
                **facts,
            }
        ],
        "claims": [
            {
                **{"claim_id": f"{passage_id}-{n}", "passage_id": passage_id, "page_id": page_id, "number": n},
                **{"claim": one, "quote": one, "quote_start": spans[n]["start"], "quote_end": spans[n]["end"]},
                **{"sentence": n, "construction": "copula", "method": "parse", **owed},
            }
            for n, one in enumerate(sentences[:2])
        ],
    }
    false = sentences[0].replace(person["old"], person["new"])
    factual = f"{sentences[1]} As {name} lived, so did a {person['old']}."
    start = factual.index(person["old"])
    window = {"start": start, "end": start + len(person["old"])}
    pair = number != 15
    made["texts"] = [
        {
            **{"passage_id": passage_id, "page_id": page_id, "title": name, **owed},
            **{"claim_ids": [f"{passage_id}-{n}" for n in (0, 1)], "factual": factual, "ways": ["fronted", "as_is"]},
            "factual_spans": [{"start": 0, "end": 5}, {"start": 6, "end": 9}],
            "unfactual": factual.replace(person["old"], person["new"]) if pair else None,
            "unfactual_spans": [{"start": 0, "end": 5}, {"start": 6, "end": 9}] if pair else [],
            **{"false_place": 0 if pair else None, "old_window": window if pair else None},
            "new_window": {"start": start, "end": start + len(person["new"])} if pair else None,
        }
    ]
    if pair:
        made["falsified"] = [
            {
                **{"passage_id": passage_id, "page_id": page_id, "claim_id": f"{passage_id}-0", **owed},
                **{"claim": sentences[0], "false_claim": false, "old": person["old"], "new": person["new"]},
                **{"old_lemma": person["old"], "new_lemma": person["new"], "old_start": 0, "old_end": 1},
                **{"new_start": 0, "new_end": 1, "relation": "sibling", "role": "predicate"},
                **{"file": "noun.person", "tried": 0},
            }
        ]
        made["verdicts"] = [
            {"passage_id": passage_id, "check": "minimal_edit", "passed": True, "value": 0.2, "threshold": 0.5}
        ]
    return made


def built(project: Project) -> Report:
    params = {"build_oasis": CHOSEN, "own": {"benchmarks": "data/own/benchmarks", "reviews": "data/own/reviews"}}
    return run_stage(project, "build_oasis", run, Params.model_validate(params))[0]


def table(project: Project, name: str) -> list[dict[str, Any]]:
    return read_oasis(project.root / "data/curated/oasis", name)


def rejected(project: Project) -> list[dict[str, Any]]:
    return read_table(project.root / "data/curated/oasis/rejected.parquet", REJECTED).to_pylist()


def metrics(project: Project) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((project.root / "data/metrics/build_oasis.json").read_text())
    return found


def test_every_passage_and_pair_is_there_and_c_and_c_differ_in_one_claim(filled: Project) -> None:
    report = built(filled)
    assert (report.items_in, report.kept, report.rejected) == (16, 16, {})
    pairs, texts = table(filled, "claim_falsification"), table(filled, "unfactual_text_generation")
    assert len(table(filled, "claim_extraction")) == len(table(filled, "paraphrase_generation")) == 16
    assert len(pairs) == len(texts) == 15
    true = {row["passage_id"]: row["claims"] for row in table(filled, "paraphrase_generation")}
    for row in texts:
        differ = [
            n for n, (one, other) in enumerate(zip(true[row["passage_id"]], row["claims"], strict=True)) if one != other
        ]
        assert differ == [row["false_place"]]
        old, new = (slice(row[name]["start"], row[name]["end"]) for name in ("old_window", "new_window"))
        factual, unfactual = row["factual_text"], row["unfactual_text"]
        assert factual[: old.start] + unfactual[new] + factual[old.stop :] == unfactual
    for row in pairs:
        assert row["text"][row["quote_start"] : row["quote_end"]] == row["factual_claim"][0]
        assert row["verdicts"] == [{"check": "minimal_edit", "passed": True, "value": 0.2, "threshold": 0.5}]


def test_no_page_or_swapped_pair_of_values_is_on_both_sides(filled: Project) -> None:
    built(filled)
    sides: dict[str, set[str]] = {}
    for name in TABLES:
        for row in table(filled, name):
            sides.setdefault(row["page_id"], set()).add(row["split"])
            if "old_lemma" in row:
                sides.setdefault("/".join(sorted((row["old_lemma"], row["new_lemma"]))), set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    assert {next(iter(found)) for found in sides.values()} == {"train", "test"}


def test_neutral_windows_share_no_sentence_with_the_passage_and_pairs_find_their_documents(filled: Project) -> None:
    built(filled)
    documents = {row["document_id"]: row for row in table(filled, "documents")}
    assert len(documents) == 16 * 3 + 16 + 15
    rows = [row for row in table(filled, "nli_triplets") if row["label"] == "neutral"]
    assert rows
    for row in rows:
        assert row["neutral_from"] == "same_page"
        assert documents[row["passage_id"]]["text"] not in row["premise"]
        mine = [d["text"] for d in documents.values() if d["page_id"] == row["page_id"] and d["kind"] == "window"]
        assert row["premise"] in mine
    assert {row["document_id"] for row in table(filled, "retrieval_pairs")} <= set(documents)


def test_each_licence_has_a_folder_whose_card_runs(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    built(filled)
    out = filled.root / "data/curated/oasis"
    for folder, licence in (("cc-by-sa-3.0", "CC BY-SA 3.0"), ("cc-by-sa-4.0", "CC BY-SA 4.0")):
        for name in TABLES:
            rows = read_table(out / folder / f"{name}.parquet", TABLES[name]).to_pylist()
            assert all(row.get("licence", licence) == licence for row in rows)
        card = (out / folder / "README.md").read_text()
        assert card.startswith(f"---\nlicense: {folder}\n")
        monkeypatch.chdir(out / folder)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setenv("HF_DATASETS_CACHE", str(filled.root / "cache"))
        blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        assert len(blocks) == 2
        for block in blocks:
            exec(compile(block, "card", "exec"), {})


def test_a_licence_may_be_called_as_what_lies_beside_the_folders(filled: Project) -> None:
    odd = {"page00": "Review", "page01": "rejected.parquet"}
    for path, schema in (("raw/passages/pages", PAGES), ("raw/passages/passages", PASSAGES)):
        file = filled.root / f"data/{path}.parquet"
        rows = read_table(file, schema).to_pylist()
        write_table(file, [{**row, "licence": odd.get(row["page_id"], row["licence"])} for row in rows], schema)
    built(filled)
    assert {row["licence"] for row in table(filled, "claim_extraction")} == {"CC BY-SA 4.0", *odd.values()}
    assert rejected(filled) == []


def test_a_card_says_who_wrote(filled: Project) -> None:
    built(filled)
    card = filled.root / "data/curated/oasis/cc-by-sa-4.0/README.md"
    assert "Made by rules" in card.read_text()
    pairs = read_table(filled.root / "data/curated/falsified/falsified.parquet", FALSIFIED).to_pylist()
    asked = [{**row, "relation": "language_model"} for row in pairs]
    write_table(filled.root / "data/curated/falsified/falsified.parquet", asked, FALSIFIED)
    built(filled)
    assert "Made by a language model" in card.read_text()
    assert {row["backend"] for row in table(filled, "claim_falsification")} == {"language_model"}


def test_a_passage_that_a_benchmark_holds_is_out_and_told(filled: Project) -> None:
    person = people()[3]
    filled.write("data/own/benchmarks/gold.jsonl", json.dumps({"id": "1", "text": " ".join(person["sentences"])}))
    filled.write("data/own/benchmarks/claims.txt", people()[5]["sentences"][0])
    filled.write("data/exclude.csv", "id,reason\npage07-0,not ours\n")
    report = built(filled)
    assert report.rejected == {"contaminated": 2, "excluded": 1}
    assert {row["item_id"]: row["reason"] for row in rejected(filled)} == {
        "page03-0": "contaminated",
        "page05-0": "contaminated",
        "page07-0": "excluded",
    }
    assert not {"page03-0", "page05-0", "page07-0"} & {row["passage_id"] for row in table(filled, "claim_extraction")}


def test_filled_in_sheets_give_accuracy_and_gold(filled: Project) -> None:
    built(filled)
    sheets = sorted((filled.root / "data/curated/oasis/review").glob("*.annotator_*.csv"))
    assert len(sheets) == 4 * 2
    wrong = None
    for sheet in sheets:
        rows = list(csv.DictReader(sheet.read_text(encoding="utf-8-sig").splitlines()))
        for row in rows:
            row["correct"] = "v"
            if row["step"] == "falsification" and wrong in (None, row["item_id"]):
                wrong = row["item_id"]
                row["correct"] = "x"
        target = filled.root / "data/own/reviews" / sheet.name
        with target.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    built(filled)
    found = metrics(filled)["review"]
    assert found["falsification_accuracy"] == round(5 / 6, 4)
    assert found["falsification_kappa"] == 1.0
    assert (found["falsification_items"], found["falsification_shared"], found["gold"]) == (6, 2, 5)
    gold = (filled.root / "data/curated/oasis/review/gold.csv").read_text().split()
    assert wrong not in gold
    assert len(gold) == 6


@pytest.mark.parametrize(("folder", "name"), [("benchmarks", "gold.docx"), ("reviews", "marks.csv")])
def test_a_file_of_ones_own_that_cannot_be_read_is_named(filled: Project, folder: str, name: str) -> None:
    filled.write(f"data/own/{folder}/{name}", "nothing\nthat is known")
    with pytest.raises(StageError, match=rf"data/own/{folder}/{name}: "):
        built(filled)


def test_the_same_bytes_each_time_and_the_plan_counts_passages(filled: Project) -> None:
    def content() -> dict[Path, bytes]:
        out = filled.root / "data/curated/oasis"
        return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    built(filled)
    first = content()
    built(filled)
    assert content() == first
    params = {"build_oasis": CHOSEN, "own": {"benchmarks": "data/own/benchmarks", "reviews": "data/own/reviews"}}
    assert plan(stage_of(filled, "build_oasis"), Params.model_validate(params)).items_todo == 16
