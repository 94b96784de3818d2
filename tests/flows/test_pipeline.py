import json
import os
import shutil
import sys
import threading
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from flows import runner
from flows.graph import Node, ProjectError
from flows.lock import pipeline_lock
from flows.pipeline_run import PipelineRun, execute, opened
from flows.plan import Request
from flows.server import flush, watched
from tasks import lineage
from tests.flows import projects
from tests.flows.conftest import run, states

EVERY_STAGE_THAT_RUNS = {
    "sample@small",
    "sample@large",
    "fit@ridge-small",
    "fit@ridge-large",
    "fit@tree-small",
    "fit@tree-large",
    "compare",
    "stamp",
    "announce",
    "reports/dvc.yaml:report",
    "reports/dvc.yaml:local",
}


def load(path: Path) -> object:
    return YAML(typ="safe").load(path.read_text())


def runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[lineage.RunRef]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    return lineage._search("")


# --- the first run, of everything ------------------------------------------------------------------------------------


def test_everything_runs_once_but_the_frozen_stage(first_run: PipelineRun) -> None:
    assert states(first_run) == {**dict.fromkeys(EVERY_STAGE_THAT_RUNS, "ran"), "baseline": "unchanged"}
    assert sorted(stage for stage, _, _ in projects.journal(first_run.root)) == sorted(EVERY_STAGE_THAT_RUNS)


def test_dvc_locks_are_those_of_dvc_repro(first_run: PipelineRun, matrix: Path) -> None:
    projects.dvc(matrix, "repro", "--all-pipelines")
    for name in ("dvc.lock", "reports/dvc.lock", "raw.csv.dvc", "scores.json", "reports/report.md"):
        if name.endswith(("lock", "dvc")):
            assert load(first_run.root / name) == load(matrix / name), name
        else:
            assert (first_run.root / name).read_bytes() == (matrix / name).read_bytes(), name


def test_stages_of_one_limit_did_not_overlap(first_run: PipelineRun) -> None:
    spans = sorted((begun, ended) for stage, begun, ended in projects.journal(first_run.root) if stage[:4] == "fit@")
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_each_stage_is_one_child_of_one_parent_run(first_run: PipelineRun, monkeypatch: pytest.MonkeyPatch) -> None:
    found = runs(first_run.root, monkeypatch)
    (parent,) = [ref for ref in found if "mlflow.parentRunId" not in ref.tags]
    assert (parent.name, parent.status, parent.metrics["stages/ran"]) == (first_run.name, "FINISHED", 11)
    children = [ref for ref in found if ref is not parent]
    assert sorted(ref.name for ref in children) == sorted(EVERY_STAGE_THAT_RUNS)
    assert {ref.tags["mlflow.parentRunId"] for ref in children} == {parent.run_id}
    assert {ref.tags["prefect.flow_run_id"] for ref in found} == {first_run.flow_run_id}


def test_what_dvc_declares_of_a_stage_stands_in_its_run(
    first_run: PipelineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {ref.name: ref for ref in runs(first_run.root, monkeypatch)}
    lock = load(first_run.root / "dvc.lock")["stages"]
    length = json.loads((first_run.root / "scores.json").read_text())["length"]
    assert found["compare"].metrics == {"length": length}
    assert found["compare"].params == {"config.json:compare.by": "length"}
    assert found["sample@small"].params == {"config.toml:data.rows": "4"}
    assert found["reports/dvc.yaml:report"].params == {"settings.py:TITLE": "Models"}
    for name, entry in lock.items():
        if name == "baseline":
            continue
        for out in entry.get("outs", []):
            assert found[name].tags[f"dvc.outs.{out['path']}"] == out["md5"]
        for dep in entry.get("deps", []):
            assert found[name].tags.get(f"dvc.deps.{dep['path']}", dep["md5"]) == dep["md5"]


def test_prefect_shows_a_task_run_for_each_stage_with_log_and_link(first_run: PipelineRun, prefect_server: str) -> None:
    flush(prefect_server, first_run.flow_run_id)
    this = FlowRunFilter(id=FlowRunFilterId(any_=[first_run.flow_run_id]))
    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(first_run.flow_run_id)
        tasks = client.read_task_runs(flow_run_filter=this)
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[first_run.flow_run_id])), limit=200)
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[first_run.flow_run_id]))
        )
    assert (flow_run.name, flow_run.state_name) == (first_run.name, "Completed")
    assert {task.name: task.state_name for task in tasks} == dict.fromkeys(EVERY_STAGE_THAT_RUNS, "Completed")
    task_of = {task.id: task.name for task in tasks}
    said = {(task_of.get(log.task_run_id), log.message) for log in logs}
    assert ("compare", "working on compare") in said
    by_key = {artifact.key: artifact for artifact in artifacts}
    result = first_run.results["fit@ridge-small"]
    assert result.run is not None
    assert result.run.run_id in str(by_key["fit-ridge-small"].data)
    table = by_key["stages"].data
    rows = json.loads(table) if isinstance(table, str) else table
    assert {row["stage"]: row["state"] for row in rows} == states(first_run)


# --- later runs ------------------------------------------------------------------------------------------------------


def test_where_nothing_has_changed_no_process_starts_and_links_still_stand(
    finished: Path, first_run: PipelineRun, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    again = run(finished, "compare", "local")
    assert set(states(again).values()) == {"unchanged"}
    for address, result in again.results.items():
        if not address.endswith(".dvc"):
            assert result.run is not None
            assert result.run.run_id == first_run.results[address].run.run_id  # type: ignore[union-attr]


def test_links_are_remembered_and_hold_only_for_what_dvc_lock_has(
    finished: Path, first_run: PipelineRun, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(finished, "sample@small")
    monkeypatch.setattr(lineage, "client", lambda: pytest.fail("MLflow was asked"))
    made = run(finished, "sample@small").results["sample@small"].run
    assert made is not None
    assert made.run_id == first_run.results["sample@small"].run.run_id  # type: ignore[union-attr]
    monkeypatch.undo()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    (finished / "raw.csv").write_text("a,b\n5,6\n")
    projects.dvc(finished, "repro", "sample@small")
    assert run(finished, "sample@small").table()[0].made_by == "made elsewhere"


def test_a_stage_that_comes_out_the_same_does_not_force_what_is_below_it(finished: Path, no_prefect: None) -> None:
    (finished / "config.toml").write_text("[data]\nrows = 5\n")  # a parameter of `sample` that changes no out
    assert states(run(finished, "compare")) == {
        "sample@small": "ran",
        "fit@ridge-small": "unchanged",
        "fit@tree-small": "unchanged",
        "compare": "unchanged",
    }
    assert sorted(stage for stage, _, _ in projects.journal(finished)) == ["sample@small"]


def test_what_dvc_has_in_its_cache_is_restored_and_linked_to_the_run_that_made_it(
    finished: Path, first_run: PipelineRun, prefect_api: str
) -> None:
    (finished / "config.toml").write_text("[data]\nrows = 5\n")
    run(finished, "sample@small")
    (finished / "config.toml").write_text("[data]\nrows = 4\n")  # the run cache has it
    (finished / "models/tree-small.txt").unlink()  # the cache has it
    back = run(finished, "compare")
    assert states(back) == {
        "sample@small": "restored",
        "fit@ridge-small": "unchanged",
        "fit@tree-small": "restored",
        "compare": "unchanged",
    }
    for address in states(back):
        assert back.results[address].run.run_id == first_run.results[address].run.run_id  # type: ignore[union-attr]


def test_outs_that_no_run_made_were_made_elsewhere(matrix: Path, no_prefect: None) -> None:
    projects.dvc(matrix, "repro", "sample@small")
    (row,) = run(matrix, "sample@small").table()
    assert (row.state, row.made_by) == ("unchanged", "made elsewhere")


def test_one_failed_branch_leaves_the_others_and_what_needs_it_is_not_run(finished: Path, no_prefect: None) -> None:
    (finished / "raw.csv").write_text("a,b\n3,4\n")  # data added with `dvc add`: recorded anew, as `dvc repro` does
    projects.set_knobs(finished, {"fit@tree-small": {"fails": 9}})
    done = run(finished, everything=True)
    assert states(done) == {
        "sample@small": "ran",
        "sample@large": "ran",
        "fit@ridge-small": "ran",
        "fit@ridge-large": "ran",
        "fit@tree-small": "failed",
        "fit@tree-large": "ran",
        "compare": "not run",
        "stamp": "ran",
        "baseline": "unchanged",
        "announce": "not run",
        "reports/dvc.yaml:report": "not run",
        "reports/dvc.yaml:local": "ran",
    }
    assert done.results["fit@tree-small"].note == "no luck at try 2 (exited with 3)"  # meta: {retries: 1}
    assert done.results["compare"].note == "needs 'fit@tree-small', which failed"
    assert "changed outs" not in projects.dvc(finished, "status", "raw.csv.dvc").stdout


def test_without_keep_going_nothing_starts_after_a_failure(matrix: Path, no_prefect: None) -> None:
    projects.set_knobs(matrix, {"sample@small": {"fails": 9}})
    done = run(matrix, "data", "local", jobs=1, keep_going=False)
    assert states(done).pop("sample@small") == "failed"
    tried = [stage for stage, _, _ in projects.journal(matrix)]
    after = tried[tried.index("sample@small") + 1 :]
    assert after == []
    assert "not run" in states(done).values()


def test_a_retried_stage_is_one_task_run_of_prefect_with_two_tries(matrix: Path, prefect_api: str) -> None:
    projects.dvc(matrix, "repro", "sample@small")
    projects.set_knobs(matrix, {"fit@tree-small": {"fails": 1}})
    done = run(matrix, "fit@tree-small")
    assert states(done)["fit@tree-small"] == "ran"
    flush(prefect_api, done.flow_run_id)
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        (task,) = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[done.flow_run_id])))
    assert (task.state_name, task.run_count) == ("Completed", 2)


def test_a_failed_stage_fails_its_task_its_flow_and_its_runs(
    matrix: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.set_knobs(matrix, {"sample@small": {"fails": 9}})
    done = run(matrix, "fit@tree-small")
    assert states(done) == {"sample@small": "failed", "fit@tree-small": "not run"}
    flush(prefect_api, done.flow_run_id)
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        state = client.read_flow_run(done.flow_run_id).state
    assert (state.name, "'sample@small' failed: no luck" in state.message) == ("Failed", True)
    assert {ref.name: ref.status for ref in runs(matrix, monkeypatch)} == {
        done.name: "FAILED",
        "sample@small": "FAILED",
    }


class Cut(Future[None]):
    """A task that Prefect ends before its stage began, or while it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.set_result(None)


def test_a_stage_whose_task_came_to_nothing_is_run_without_prefect(matrix: Path, no_prefect: None) -> None:
    with opened(Request(repo=matrix, targets=["data"], jobs=2)) as prepared:
        execute(prepared, submit=lambda node: Cut())
    assert states(prepared) == {"sample@small": "ran", "sample@large": "ran"}


def test_a_stage_that_was_cut_short_with_its_flow_is_run_again_and_a_real_failure_is_not(
    matrix: Path, no_prefect: None
) -> None:
    projects.set_knobs(matrix, {"sample@large": {"fails": 9}})
    with opened(Request(repo=matrix, targets=["data"], jobs=2)) as prepared:
        prepared.interrupted(prepared.project.nodes["sample@small"])
        prepared.attempt_with_retries(prepared.project.nodes["sample@large"])
        execute(prepared)
    assert states(prepared) == {"sample@small": "ran", "sample@large": "failed"}
    assert [stage for stage, _, _ in projects.journal(matrix)] == ["sample@large", "sample@small"]


def test_a_result_stands_though_its_task_never_ends_once_prefect_is_lost(matrix: Path, no_prefect: None) -> None:
    with opened(Request(repo=matrix, targets=["sample@small"])) as prepared, watched("http://127.0.0.1:9/api") as watch:

        def submit(node: Node) -> Future[None]:
            prepared.prefect = watch
            assert not watch.ask()
            threading.Thread(target=prepared.attempt_with_retries, args=[node]).start()
            return Future()  # never done: Prefect tries and tries to reach its API

        execute(prepared, submit=submit)
    assert states(prepared) == {"sample@small": "ran"}
    assert len(projects.journal(matrix)) == 1
    assert prepared.results["sample@small"].run is not None


def test_a_prefect_that_is_lost_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with watched("http://ann:p@ss@127.0.0.1:9/api") as watch:
        assert [watch.ask(), watch.ask(), watch.lost] == [False, False, True]
    assert [record.getMessage() for record in caplog.records] == [
        "Prefect at http://***@127.0.0.1:9/api no longer answers: going on without it; outs are not affected"
    ]


def test_independent_stages_run_at_the_same_time(matrix: Path, no_prefect: None) -> None:
    projects.set_knobs(matrix, {"sample@small": {"meets": "sample@large"}, "sample@large": {"meets": "sample@small"}})
    assert states(run(matrix, "data", jobs=2)) == {"sample@small": "ran", "sample@large": "ran"}


def test_forced_stages_run_though_nothing_has_changed(finished: Path, no_prefect: None) -> None:
    assert states(run(finished, "local", force=True)) == {"reports/dvc.yaml:local": "ran"}


def test_a_stage_that_tracks_itself_is_not_recorded_twice(
    tmp_path: Path, mlflow_database: Path, no_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.init(tmp_path)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(mlflow_database, tmp_path / "mlruns")
    code = (
        "import mlflow\nwith mlflow.start_run(run_name='mine'):\n    mlflow.log_metric('loss', 0.5)\nopen('out', 'w')\n"
    )
    projects.write(
        tmp_path,
        {
            "train.py": code,
            "dvc.yaml": f"stages: {{train: {{cmd: {sys.executable} train.py, deps: [train.py], outs: [out]}}}}",
        },
    )
    done = run(tmp_path)
    assert states(done) == {"train": "ran"}
    (parent,) = [ref for ref in runs(tmp_path, monkeypatch) if ref.name == done.name]
    (child,) = [ref for ref in runs(tmp_path, monkeypatch) if ref.name != done.name]
    assert (child.name, child.metrics, child.tags["mlflow.parentRunId"]) == ("mine", {"loss": 0.5}, parent.run_id)
    assert child.tags["dvc.stage"] == "train"
    assert child.tags["dvc.outs.out"]
    assert done.results["train"].run.run_id == child.run_id  # type: ignore[union-attr]


def test_tracking_that_cannot_be_reached_costs_no_result(
    matrix: Path, no_prefect: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert states(run(matrix, "sample@small")) == {"sample@small": "ran"}
    assert "Prefect at http://127.0.0.1:9/api does not answer" in caplog.text
    assert "MLflow at http://127.0.0.1:9 cannot be used" in caplog.text


def test_a_second_run_on_a_checkout_is_refused_and_names_the_first(matrix: Path, no_prefect: None) -> None:
    with (
        pipeline_lock(matrix, "the-first"),
        pytest.raises(ProjectError, match=rf"run the-first \(pid {os.getpid()}, since"),
    ):
        run(matrix, "sample@small")
    assert not projects.journal(matrix)
    assert states(run(matrix, "sample@small")) == {"sample@small": "ran"}


def test_a_repository_without_stages_is_refused_with_a_remedy(tmp_path: Path) -> None:
    projects.init(tmp_path)
    with pytest.raises(ProjectError, match=r"has no stages to run: write a dvc\.yaml"):
        run(tmp_path)
