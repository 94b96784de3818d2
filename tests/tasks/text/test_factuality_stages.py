"""The stages that train and evaluate: from a data set of a few people to models, figures, a page and a checked text."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.tables import read_table
from tasks.text import check_text, evaluate_factuality, train_retriever, train_verifier
from tasks.text.decision import Decision
from tasks.text.oasis_tables import read_oasis
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of
from tests.tasks.llm_cases import ASKING
from tests.tasks.text.databases import write_database
from tests.tasks.text.oasis_project import WORDS, Person, write_data
from tests.tasks.text.small_encoder import write_encoder
from tests.tasks.text.test_falsification import ENTRIES
from tests.tasks.text.test_retriever import chosen as chosen_retriever
from tests.tasks.text.test_verifier import CHOSEN

DVC_YAML = """stages:
  train_retriever:
    cmd: python -m tasks.text.train_retriever
    deps: [data/curated/oasis, data/curated/claims, data/raw/passages]
    params: [encoder, train_retriever]
    outs: [data/models/oasis_retriever, data/reports/train_retriever]
    metrics: [{data/metrics/train_retriever.json: {cache: false}}]
  train_verifier:
    cmd: python -m tasks.text.train_verifier
    deps: [data/curated/oasis]
    params: [encoder, train_verifier]
    outs: [data/models/oasis_verifier, data/reports/train_verifier]
    metrics: [{data/metrics/train_verifier.json: {cache: false}}]
  evaluate_factuality:
    cmd: python -m tasks.text.evaluate_factuality
    deps: [data/curated/oasis, data/curated/claims, data/models/oasis_retriever, data/models/oasis_verifier]
    params: [evaluate_factuality]
    outs: [data/reports/evaluate_factuality]
    metrics: [{data/metrics/evaluate_factuality.json: {cache: false}}]
"""
OUTS = ("data/models/oasis_retriever", "data/models/oasis_verifier", "data/reports/evaluate_factuality")


def params(encoder: dict[str, Any]) -> dict[str, Any]:
    verifier = {**CHOSEN, "layers": 2, "batch_size": 8, "valid_triplets": 12}
    verifier["learning"] = {**verifier["learning"], "max_steps": 30, "validate_every_steps": 15}
    retriever = chosen_retriever(batch_size=4).model_dump()
    retriever["learning"] = {**retriever["learning"], "max_steps": 12, "validate_every_steps": 6}
    evaluation = {"k": 5, "examples": 3, "threads": 1, "judge": "verifier", "sampling": ASKING}
    return {
        "encoder": encoder,
        "train_verifier": verifier,
        "train_retriever": retriever,
        "evaluate_factuality": evaluation,
    }


@pytest.fixture
def filled(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, list[Person]]:
    project.write("dvc.yaml", DVC_YAML)
    wordnet = write_database(tmp_path / "wordnet", ENTRIES)
    monkeypatch.setattr("tasks.text.evaluate_factuality.wordnet_folder", lambda downloads, fetch: wordnet)
    set_params(project, params(write_encoder(tmp_path / "encoder", WORDS)))
    return project, write_data(project.root)


def run_all(project: Project) -> dict[str, dict[str, dict[str, float]]]:
    given = json.loads((project.root / "params.yaml").read_text())
    figures = {}
    for module in (train_retriever, train_verifier, evaluate_factuality):
        name = module.__name__.rpartition(".")[2]
        wanted = {key: given[key] for key in module.Params.model_fields}
        run_stage(project, name, module.run, module.Params.model_validate_json(json.dumps(wanted)))
        figures[name] = json.loads((project.root / f"data/metrics/{name}.json").read_text())
    return figures


def contents(project: Project) -> dict[str, bytes]:
    files = [file for out in OUTS for file in sorted((project.root / out).rglob("*")) if file.is_file()]
    return {str(file.relative_to(project.root)): file.read_bytes() for file in files}


def test_models_are_trained_and_both_tasks_are_told_with_all_that_stands_beside_them(
    filled: tuple[Project, list[Person]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, people = filled
    figures = run_all(project)
    tested = [one for one in people if one.split == "test"]
    retriever = figures["train_retriever"]["retriever"]
    names = ("", "untuned_", "untuned_window_", "bm25_")
    asked = {f"{name}recall@{k}" for name in names for k in (1, 10, 30)} | {f"{name}missed@1" for name in names}
    assert set(retriever) == asked
    assert all(retriever[f"{name}missed@1"] == 1 - retriever[f"{name}recall@1"] for name in names)
    assert retriever["bm25_recall@1"] == 1.0  # each page has its own name in it
    assert figures["train_retriever"]["train"]["test_claims"] == 2 * len(tested)
    held_out = figures["train_verifier"]["valid"]
    recalls = [held_out[f"recall_{label}"] for label in ("entailment", "contradiction", "neutral")]
    assert held_out["balanced_accuracy"] == pytest.approx(sum(recalls) / 3)
    told = figures["evaluate_factuality"]
    assert told["e2e"]["texts"] == 2 * len(tested)
    assert told["claim"]["cases"] == 3 * len(tested)
    assert told["lexical"]["claim_balanced_accuracy"] == 1.0  # nobody is paraphrased beyond a verb of no weight
    for group, name in (("e2e", "balanced_accuracy"), ("claim", "balanced_accuracy"), ("e2e", "share_all_neutral")):
        assert 0 <= told[group][name] <= 1
    assert {"claim_only_bacc", "claim_only_by_page_bacc", "claim_only_verifier_bacc", "text_only_bacc"} == set(
        told["probe"]
    )

    report = project.root / "data/reports/evaluate_factuality"
    predictions = [json.loads(line) for line in (report / "predictions.jsonl").read_text().splitlines()]
    assert [one["id"] for one in predictions] == [f"{one.passage_id}-{end}" for one in tested for end in "fu"]
    rows = read_table(report / "claims.parquet", evaluate_factuality.DECIDED).to_pylist()
    by_text: dict[str, list[bool]] = {one["id"]: [] for one in predictions}
    for row in rows:
        by_text[row["text_id"]].append(row["factual"])
    assert {one["id"]: one["factual"] for one in predictions} == {key: all(ones) for key, ones in by_text.items()}
    false = [row for row in rows if row["is_false"]]
    assert {row["text_id"] for row in false} == {f"{one.passage_id}-u" for one in tested}
    assert all(one.new in row["claim"] for row in false for one in tested if one.passage_id == row["passage_id"])
    groups = read_table(report / "groups.parquet", evaluate_factuality.GROUPS).to_pylist()
    topics = [row for row in groups if row["by"] == "topic"]
    assert {row["value"] for row in topics} == {"People", "Others"}
    assert sum(row["texts"] for row in topics) == 2 * len(tested)
    page = (report / "examples.html").read_text()
    assert page.count("<section>") == 3
    assert "http://" not in page.replace("http-equiv", "") and "<script" not in page

    one = tested[0]
    monkeypatch.chdir(project.root)
    own = project.write("own.txt", f"{one.title} was a {one.old}. {one.title} lived in a town.")
    assert check_text.main([str(own)]) == 0
    printed = capsys.readouterr().out
    assert "own: " in printed
    assert f"{one.title} was a" in printed


@pytest.mark.slow
def test_the_same_data_and_seed_give_the_same_bytes(filled: tuple[Project, list[Person]]) -> None:
    project, _ = filled
    run_all(project)
    first = contents(project)
    for file in (project.root / "data/store/checkpoints").rglob("*.safetensors"):
        file.unlink()
    run_all(project)
    assert contents(project) == first


def test_a_plan_says_that_training_begins_and_then_that_it_has_ended(filled: tuple[Project, list[Person]]) -> None:
    project, _ = filled
    given = json.loads((project.root / "params.yaml").read_text())
    for module in (train_retriever, train_verifier):
        name = module.__name__.rpartition(".")[2]
        wanted = module.Params.model_validate_json(json.dumps({key: given[key] for key in module.Params.model_fields}))
        assert module.plan(stage_of(project, name), wanted).notes[0].startswith("begins at step 0")
        run_stage(project, name, module.run, wanted)
        planned = module.plan(stage_of(project, name), wanted)
        assert planned.items_todo == 0
        assert planned.notes[0].startswith("training ended at step")


def test_a_check_without_models_says_what_to_run(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    set_params(project, params({}))
    own = project.write("own.txt", "Anna Berg was a painter.")
    assert check_text.main([str(own)]) == 1
    assert "run 'dvc repro train_retriever'" in capsys.readouterr().err
    (project.root / "data/models/oasis_retriever").mkdir(parents=True)
    assert check_text.main([str(own)]) == 1
    assert "run 'dvc repro train_verifier'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("own.txt", b"\xff\xfe\x00", "not_utf8"),
        ("own.txt", b"   ", "empty"),
        ("own.pdf", b"%PDF", "unknown_format"),
        ("missing.txt", None, "No such file"),
    ],
)
def test_a_file_that_is_no_text_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (project.root / name).write_bytes(content)
    with pytest.raises(check_text.CheckError, match=told):
        list(check_text._texts(project.root / name))


def test_of_several_texts_those_that_cannot_be_read_are_told(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ['{"title": "Mill", "text": "A mill grinds."}', "{broken", '{"title": "Nothing", "text": "..."}']
    own = project.write("own.jsonl", "\n".join(rows))
    assert list(check_text._texts(own)) == [("Mill", "A mill grinds.")]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1:3] for line in told] == [["line 2", "not_json"], ["Nothing", "empty"]]
    with pytest.raises(check_text.CheckError, match="there is no text in it"):
        list(check_text._texts(project.write("none.jsonl", "")))


def test_marks_that_part_a_text_are_no_reason_to_refuse_it(project: Project) -> None:
    own = project.write("own.txt", "A mill grinds.\n\n\n* * *\n\n\nA wheel turns.")
    assert list(check_text._texts(own)) == [("own", "A mill grinds.\n\nA wheel turns.")]


def test_a_text_that_is_surely_no_english_prose_is_doubted() -> None:
    assert "de with" in check_text._doubt("Der Fluss ist ein Fluss in Norddeutschland. Die Stadt liegt an seinem Ufer.")
    assert "markup" in check_text._doubt("<p>The river is long.</p><p>The town is old.</p>")
    for text in ("The river flows through the city of York.", "Oslo."):
        assert check_text._doubt(text) == ""


def test_a_model_that_is_not_whole_is_named_with_the_remedy(
    filled: tuple[Project, list[Person]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = filled
    run_all(project)
    monkeypatch.chdir(project.root)
    own = project.write("own.txt", "Anna Berg was a painter.")
    for model, name, content, told in (
        ("retriever", "config.json", b"{", "config.json: not JSON"),
        ("retriever", "documents.json", b"[", "cannot be read"),
        ("retriever", "index.safetensors", b"", "cannot be read"),
        ("retriever", "index.safetensors", None, "has no index.safetensors"),
        ("verifier", "model.safetensors", b"PK", "model.safetensors: not a"),
        ("verifier", "tokenizer.json", b"", "tokenizer.json: not a"),
    ):
        file = project.root / f"data/models/oasis_{model}" / name
        whole = file.read_bytes()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        assert check_text.main([str(own)]) == 1
        said = capsys.readouterr().err
        assert told in said and f"run 'dvc repro train_{model}'" in said
        file.unlink(missing_ok=True)
        file.write_bytes(whole)
    assert check_text.main([str(own)]) == 0


class Fixed:
    """Contradicts what is in the evidence."""

    def labels(self, claims: Any, evidences: Any) -> list[Any]:
        return [
            "contradiction" if claim in evidence else "neutral"
            for claim, evidence in zip(claims, evidences, strict=True)
        ]


def test_a_checked_claim_comes_with_the_sentence_that_decided() -> None:
    windows = {
        "a": {"title": "Rain", "text": "Rain fell. It was cold."},
        "b": {"title": "Anna Berg", "text": "She grew old. Anna Berg was a painter. She died."},
    }
    one, other = check_text.checked(
        ["Anna Berg was a painter.", "Nobody came."], [["a", "b"], ["a", "b"]], Fixed(), windows
    )
    assert (one.verdict, one.title, one.sentence) == ("FALSE", "Anna Berg", "Anna Berg was a painter.")
    assert one.decision == Decision(("neutral", "contradiction"))
    assert (other.verdict, other.title) == ("no evidence", "")
    printed = list(check_text.lines("Mine", [one, other], 60))
    assert printed[0] == "Mine: NOT FACTUAL, 2 claims"
    assert printed[1].split(maxsplit=1) == ["FALSE", "Anna Berg was a painter."]
    assert printed[2].strip() == "> Anna Berg: Anna Berg was a painter."
    assert max(map(len, printed)) <= 60
    assert list(check_text.lines("Mine", [], 60)) == ["Mine: no claim was found in it"]
    with pytest.raises(check_text.CheckError, match="no window z"):
        check_text.checked(["x"], [["z"]], Fixed(), windows)


def test_a_data_set_of_several_licences_is_read_as_one(tmp_path: Path) -> None:
    people = write_data(tmp_path)
    rows = read_oasis(tmp_path / "data/curated/oasis", "documents")
    assert len(rows) == 3 * len(people)
    with pytest.raises(FileNotFoundError, match="run 'dvc repro build_oasis'"):
        read_oasis(tmp_path, "documents")
