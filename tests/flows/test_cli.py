import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from flows import ui as pages
from flows.cli import app
from flows.links import Links
from flows.pipeline_run import PipelineRun
from flows.server import configured_api, free_port
from tasks import lineage
from tests.flows import projects
from tests.flows.conftest import run, states
from tests.flows.processes import gone


def headrace(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_run_prints_a_line_as_each_stage_starts_and_ends_and_a_table(matrix: Path, no_prefect: None) -> None:
    projects.set_knobs(matrix, {"sample@small": {"fails": 9}})
    code, said = headrace("run", "fit@ridge-small", "local", "--repo", str(matrix), "--jobs", "1")
    assert code == 1
    lines = said.splitlines()
    assert any(line.startswith("  started    sample@small  (never run)") for line in lines)
    failed = next(line for line in lines if line.startswith("  failed     sample@small"))
    assert "no luck at try 1 (exited with 3) (log: .dvc/tmp/headrace/" in failed
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("stage ")) :]
    assert [line.split()[:2] for line in table[1:]] == [
        ["sample@small", "failed"],
        ["fit@ridge-small", "not"],
        ["reports/dvc.yaml:local", "ran"],
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "nonsense"], "'nonsense' names no stage"),
        (["plan", "nonsense"], "'nonsense' names no stage"),
        (["run", "--set", "config.toml:data.lines=3"], "config.toml: data.lines=3 cannot be set"),
        (["run", "--set", "data.rows=3"], "params.yaml does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(matrix: Path, arguments: list[str], told: str) -> None:
    code, said = headrace(*arguments, "--repo", str(matrix))
    assert code == 1
    assert told in said
    assert len(said.splitlines()) == 1
    assert not projects.journal(matrix)


def test_outside_of_a_repository_the_remedy_is_named(tmp_path: Path) -> None:
    code, said = headrace("plan", "--repo", str(tmp_path))
    assert (code, "make one with 'dvc init'" in said) == (1, True)


def test_a_parameter_can_be_set_for_a_run_and_comments_stay(finished: Path, no_prefect: None) -> None:
    (finished / "config.toml").write_text("# sizes\n[data]\nrows = 4  # of each\n")
    code, said = headrace("run", "sample@small", "-S", "config.toml:data.rows=9", "--repo", str(finished))
    assert code == 0, said
    assert "(param data.rows 4 -> 9)" in said
    assert (finished / "config.toml").read_text() == "# sizes\n[data]\nrows = 9  # of each\n"


def test_a_value_that_the_project_cannot_be_read_with_is_not_kept(matrix: Path, no_prefect: None) -> None:
    text = (matrix / "dvc.yaml").read_text()
    (matrix / "params.yaml").write_text("# sizes\nkind: small\nrows: 3\n")
    (matrix / "dvc.yaml").write_text(text.replace("raw.csv data/${item}.csv", "raw.csv data/${item}.csv ${kind.name}"))
    (matrix / "params.yaml").write_text("# sizes\nkind: {name: small}\n")
    for changes in (["kind=large"], ["kind.name=large", "--set", "no.such:a=1"]):
        code, said = headrace("run", "sample", "--set", *changes, "--repo", str(matrix))
        assert code == 1, said
        assert (matrix / "params.yaml").read_text() == "# sizes\nkind: {name: small}\n"
    assert not projects.journal(matrix)


def test_a_value_that_stays_after_a_failure_is_told_with_the_way_back(matrix: Path, no_prefect: None) -> None:
    projects.set_knobs(matrix, {"sample@small": {"fails": 9}})
    code, said = headrace("run", "sample@small", "-S", "config.toml:data.rows=9", "--repo", str(matrix))
    assert code == 1
    assert "config.toml:data.rows=9 of --set stays in config.toml: 'git diff config.toml' shows it" in said
    assert "'git checkout config.toml' undoes it" in said


def test_what_is_kept_and_shown_of_a_tracking_server_holds_no_secret(
    finished: Path, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:p@ss@127.0.0.1:9/x?token=hunter2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    made = run(finished, "sample@small")
    made.links.put("sample@small", lineage.RunRef("1", "1", "s", "FINISHED", lineage.run_url("1", "1"), {}, {}, {}))
    made.links.save()
    kept = (finished / ".dvc/tmp/headrace/links.json").read_text()
    assert not [secret for secret in ("ann", "p@ss", "ss@", "hunter2") if secret in kept]
    assert Links(made.project).get("sample@small") is not None


def test_the_pages_are_served_with_no_secret_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(pages, "served", lambda command, **more: asked.update(more, command=command))
    pages._mlflow(tmp_path, "postgresql://ann:s3cret@host/db", 5000, tmp_path / "log")
    assert "s3cret" not in " ".join(asked["command"])
    assert asked["env"]["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ann:s3cret@host/db"


@pytest.mark.parametrize("error", [psutil.AccessDenied, psutil.ZombieProcess, psutil.NoSuchProcess])
def test_pages_of_a_process_that_cannot_be_seen_do_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[psutil.Error]
) -> None:
    def unseen(pid: int) -> psutil.Process:
        raise error(pid)

    (tmp_path / "headrace-ui.json").write_text('{"url": "http://127.0.0.1:1/api", "pid": 1, "pid_started": 1.0}')
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(psutil, "Process", unseen)
    assert configured_api() is None


def test_plan_names_what_would_run_why_and_how(finished: Path) -> None:
    (finished / "scores.json").unlink()
    code, said = headrace("plan", "announce", "--repo", str(finished))
    rows = {line.split()[0]: " ".join(line.split()) for line in said.splitlines()}
    assert code == 0
    assert "run out scores.json deleted" in rows["compare"]
    assert "tool.py models/ridge-small.txt models/tree-small.txt scores.json; cat scores.json" in rows["compare"]


def test_check_hands_files_to_what_a_stage_says_judges_them(matrix: Path, tmp_path: Path, capfd: Any) -> None:
    text = tmp_path / "a text; of mine.txt"
    text.write_text("The mill grinds.\n")
    code, said = headrace("check", str(text), "--repo", str(matrix))
    assert (code, "no stage says how a file is judged (meta.check)" in said) == (1, True)
    pipeline = (matrix / "dvc.yaml").read_text()
    judge = "  judge:\n    cmd: echo judged\n    meta: {check: 'python -m json.tool --json-lines', line: text}\n"
    (matrix / "dvc.yaml").write_text(pipeline.replace("stages:\n", f"stages:\n{judge}", 1))
    assert headrace("check", str(text), "--repo", str(matrix))[0] == 1  # it is no JSON
    text.write_text('{"mill": 1}\n')
    assert headrace("check", str(text), "--repo", str(matrix))[0] == 0
    assert '"mill": 1' in capfd.readouterr().out


def test_lineage_names_stage_run_commit_data_and_parameters(finished: Path, first_run: PipelineRun) -> None:
    code, said = headrace("lineage", str(finished / "reports/report.md"))
    lock = YAML(typ="safe").load((finished / "reports/dvc.lock").read_text())["stages"]["report"]
    made = first_run.results["reports/dvc.yaml:report"].run
    assert made is not None
    assert code == 0
    assert "file     reports/report.md: as recorded" in said
    assert f"hash     {lock['outs'][0]['md5']}" in said
    assert "stage    reports/dvc.yaml:report" in said
    assert made.run_id in said
    assert projects.git(finished, "rev-parse", "HEAD").strip() in said
    for dep in lock["deps"]:
        assert f"read     {dep['path']} {dep['md5']}" in said
    assert "(made by compare)" in said
    assert "param    TITLE = 'Models' (settings.py)" in said


def test_lineage_tells_a_changed_and_a_missing_file_from_what_was_made(finished: Path) -> None:
    (finished / "stamp.txt").write_text("by hand\n")
    (finished / "data/small.csv").unlink()
    assert "stamp.txt: changed since its stage ran" in headrace("lineage", str(finished / "stamp.txt"))[1]
    assert "data/small.csv: missing: 'dvc checkout'" in headrace("lineage", str(finished / "data/small.csv"))[1]
    assert "none: data added or imported with DVC" in headrace("lineage", str(finished / "raw.csv"))[1]


def test_lineage_of_what_no_stage_makes_says_what_it_is(finished: Path) -> None:
    code, said = headrace("lineage", str(finished / "config.toml"))
    assert (code, "config.toml is made by no stage: it is a source that" in said) == (1, True)
    code, said = headrace("lineage", str(finished / "models/tree-smal.txt"))
    assert (code, "does not exist, and no stage makes it; outs like it: models/tree-small.txt" in said) == (1, True)
    (finished / "notes.md").write_text("mine")
    assert "notes.md exists, but no stage makes or reads it" in headrace("lineage", str(finished / "notes.md"))[1]
    said = headrace("lineage", str(finished / "models"))[1]
    assert "models exists, but no stage makes or reads it; outs in it: models/" in said


@pytest.mark.slow
def test_a_text_classifier_is_run_and_recorded_whole(tmp_path: Path, prefect_api: str) -> None:
    root = projects.text_classifier(tmp_path / "classifier")
    done = run(root)
    assert states(done) == dict.fromkeys(["prepare", "featurize", "train", "evaluate"], "ran")
    evaluated = done.results["evaluate"].run
    assert evaluated is not None
    assert set(evaluated.metrics) == {"test/accuracy", "test/auc"}
    untracked = projects.git(root, "status", "--short")
    assert ".prefect" not in untracked
    code, said = headrace("lineage", str(root / "data/features/train.joblib"))
    assert (code, "(in the out data/features): as recorded" in said) == (0, True)
    assert "param    featurize.max_features = 200 (params.yaml)" in said
    (root / "data/features/train.joblib").chmod(0o644)
    (root / "data/features/train.joblib").write_bytes(b"other")
    assert "changed since its stage ran" in headrace("lineage", str(root / "data/features/train.joblib"))[1]
    assert "nor was it recorded" in headrace("lineage", str(root / "data/features/more.joblib"))[1]


@pytest.mark.slow
def test_the_pages_are_served_until_interrupted_and_runs_use_their_server(
    matrix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(matrix / ".prefect"))
    ports = [free_port(), free_port()]
    options = ["--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ui", "--repo", str(matrix), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    while "Ctrl-C" not in process.stdout.readline():
        assert process.poll() is None
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"<html" in page.read().lower()
    assert configured_api() == f"http://127.0.0.1:{ports[0]}/api"
    process.send_signal(2)
    process.wait(60)
    assert gone(matrix)
    assert configured_api() is None


def test_help_and_plan_do_not_import_prefect_or_mlflow(matrix: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app;"
        f"print(CliRunner().invoke(app, ['plan', '--repo', {str(matrix)!r}]).exit_code);"
        "print([name for name in ('prefect', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["0", "[]"]
