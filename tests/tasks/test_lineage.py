"""Lineage for projects that know nothing of us: what DVC declares becomes a run, and passwords stay out of it."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks import env, lineage
from tests.conftest import Project, locked_hashes


@pytest.fixture
def foreign(project: Project) -> Project:
    project.write("lr.toml", 'rate = 0.5\n[model]\nkind = "ridge"\n')
    project.write("raw/in.txt", "1 2 3")
    project.write(
        "dvc.yaml",
        """
        stages:
          fit:
            matrix: {size: [s, l]}
            cmd: wc -w raw/in.txt > fit-${item.size}.txt && echo '{"score":{"f1":0.5},"n":3}' > m-${item.size}.json
            deps: [raw/in.txt]
            params: [{lr.toml: [rate, model.kind]}]
            outs: ["fit-${item.size}.txt"]
            metrics: ["m-${item.size}.json": {cache: false}]
        """,
    )
    project.commit()
    env.configure(project.root)
    return project


def record(project: Project, invocation: str = "1", state: str = "ran") -> lineage.RunRef | None:
    return lineage.record_stage(
        project.root,
        "fit@s",
        experiment="foreign",
        parent_run_id="b" * 32,
        invocation=invocation,
        started=time.time() - 2,
        ended=time.time(),
        state=state,
    )


def test_a_stage_that_never_heard_of_mlflow_gets_a_run_from_what_dvc_declares(foreign: Project) -> None:
    foreign.dvc("repro", "-q", "fit@s")
    run = record(foreign)
    assert run is not None
    deps, outs = locked_hashes(foreign.root, "fit@s")
    assert (run.name, run.status) == ("fit@s", "FINISHED")
    assert run.params == {"lr.toml:rate": "0.5", "lr.toml:model.kind": "ridge"}
    assert run.metrics == {"score/f1": 0.5, "n": 3.0}
    assert {k: v for k, v in run.tags.items() if k.startswith("dvc.outs")} == {
        f"dvc.outs.{p}": h for p, h in outs.items()
    }
    assert run.tags["dvc.deps.raw/in.txt"] == deps["raw/in.txt"]
    assert run.tags["mlflow.parentRunId"] == "b" * 32
    assert lineage.run_of_out("fit-s.txt", outs["fit-s.txt"]) == run


def test_a_stage_with_a_run_of_its_own_is_not_recorded_twice_and_gets_the_hashes(foreign: Project) -> None:
    foreign.dvc("repro", "-q", "fit@s")
    own = lineage.Tracker.start("theirs", "their name", root=foreign.root, tags={"headrace.invocation": "7"})
    own.end()
    run = record(foreign, invocation="7")
    assert run is not None
    assert [r.run_id for r in foreign.runs()] == [own.run_id] == [run.run_id]
    assert run.name == "their name"
    assert run.tags["dvc.outs.fit-s.txt"] == locked_hashes(foreign.root, "fit@s")[1]["fit-s.txt"]


def test_a_failed_stage_has_a_failed_run_without_outs(foreign: Project) -> None:
    run = record(foreign, state="failed")
    assert run is not None
    assert run.status == "FAILED"
    assert not [tag for tag in run.tags if tag.startswith("dvc.outs")]


def test_a_first_database_is_made_once_by_many_processes(tmp_path: Path) -> None:
    """Concurrent first migrations of one database race and fail where nothing holds them back."""
    code = (
        "import os; from pathlib import Path; from tasks import env, lineage; root = Path(os.environ['AT']);"
        "env.configure(root); t = lineage.Tracker.start('one', 'run', root=root); t.end(); assert not t.lost, t.lost"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "AT": str(tmp_path)}, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    os.environ["MLFLOW_TRACKING_URI"] = env.default_tracking_uri(tmp_path)
    assert len(lineage._search("")) == 3
    assert len([e for e in lineage.client().search_experiments() if e.name == "one"]) == 1


def test_unknown_stage_and_lost_server_warn_and_return_nothing(
    foreign: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="headrace"):
        found = lineage.record_stage(
            foreign.root, "no_such", experiment="x", parent_run_id=None, invocation="", started=0, ended=1, state="ran"
        )
    assert found is None
    assert "no_such: not recorded in MLflow" in caplog.text


def test_passwords_are_left_out_of_messages() -> None:
    text = "cannot reach https://ann:s3cret@host.example/x and postgres://u:p@db/y"
    assert lineage.without_password(text) == "cannot reach https://***@host.example/x and postgres://***@db/y"


def test_a_password_with_an_at_sign_and_a_token_in_a_query_are_left_out_too() -> None:
    text = "at postgresql://ann:p@ss@db/y and https://h/x?a=1&access_token=abc&b=2"
    assert lineage.without_password(text) == "at postgresql://***@db/y and https://h/x?a=1&access_token=***&b=2"


def test_links_to_runs_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:p@ss@host:5000/mlflow/?token=abc")
    assert lineage.run_url("r", "1") == "http://host:5000/mlflow/#/experiments/1/runs/r"


def test_nested_parameters_become_dotted_keys() -> None:
    assert lineage.flatten({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "f": {},
    }


def test_main_checkout_of_a_temporary_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "repo" / ".dvc" / "tmp" / "exps" / "tmpabc"
    assert env.main_checkout(copy) == (tmp_path / "repo").resolve()
    assert env.main_checkout(tmp_path) == tmp_path.resolve()
    assert env.store_url(copy) == str(tmp_path / "repo" / "data" / "store")
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "elsewhere"))
    assert env.main_checkout(copy) == tmp_path / "elsewhere"
    monkeypatch.setenv("HEADRACE_STORE", "s3://bucket/store")
    assert env.store_url(copy) == "s3://bucket/store"


def test_odd_names_are_kept_as_mlflow_takes_them(foreign: Project) -> None:
    tracker = lineage.Tracker.start("x", "odd", root=foreign.root, tags={lineage.mlflow_name("dvc.outs.a@b"): "1"})
    tracker.params({"lr(1)": 0.5, "fine": 1})
    tracker.metrics({"recall@10": 0.5, "acc": 0.9})
    tracker.end()
    assert tracker.lost is None
    (run,) = [r for r in foreign.runs() if r.name == "odd"]
    assert run.status == "FINISHED"
    assert run.params == {"lr_1_": "0.5", "fine": "1"}
    assert run.metrics == {"recall_10": 0.5, "acc": 0.9}
    found = lineage.run_of_out("a@b", "1")
    assert found is not None and found.run_id == run.run_id


def test_a_run_is_closed_also_where_something_of_it_was_lost(foreign: Project) -> None:
    tracker = lineage.Tracker.start("x", "half", root=foreign.root)
    tracker._lose(ValueError("a value that the server refused"))
    tracker.end()
    assert [r.status for r in foreign.runs() if r.name == "half"] == ["FINISHED"]
