"""The stage contract: what dvc.yaml declares is what a stage uses, and each failure is one clear line."""

import itertools
import json
import re
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from tasks import lineage
from tasks.stage import item_rng
from tests import stages
from tests.conftest import Project, locked_hashes

PARAMS = """
    run: {engine: local, workers: 1, item_timeout_s: 60, max_reject_fraction: 0.5,
          device: cpu, train_processes: 1, log_level: info}
    count_words: {min_length: 3}
"""

DVC_YAML = """
    stages:
      count_words:
        cmd: python -m text.count_words
        deps: [text/count_words.py, data/raw/words.txt]
        params: [count_words]
        outs: [data/counts]
        metrics: [{data/metrics/count_words.json: {cache: false}}]
"""

STAGE = """
    from pydantic import Field
    from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main

    class CountWords(StrictModel):
        min_length: int = Field(ge=1, le=20, description="characters")

    class Params(StrictModel):
        count_words: CountWords

    def run(stage: Stage, params: Params) -> Report:
        \"\"\"Count the words that are long enough.\"\"\"
        words = stage.dep("data/raw/words.txt").read_text().split()
        kept = [w for w in words if len(w) >= params.count_words.min_length]
        out = stage.out("data/counts")
        out.mkdir()
        (out / "words.txt").write_text("\\n".join(kept))
        # HERE
        for step in range(1200):
            stage.timing({"loop/step": step}, step)
        stage.metrics({"words": {"in": len(words), "kept": len(kept)}})
        return Report("word", len(words), len(kept), {"too_short": len(words) - len(kept)}, "data/counts")

    if __name__ == "__main__":
        stage_main(run, Params)
"""


@pytest.fixture
def words(project: Project) -> Project:
    project.write("params.yaml", PARAMS)
    project.write("dvc.yaml", DVC_YAML)
    project.write("text/__init__.py", "")
    project.write("text/count_words.py", STAGE)
    project.write("data/raw/words.txt", "a long way to the mill wheel\n")
    return project


def change_stage(project: Project, line: str) -> None:
    project.write("text/count_words.py", STAGE.replace("# HERE", line))


def test_stage_writes_its_outs_its_metrics_and_one_finished_run(words: Project, capfd: pytest.CaptureFixture) -> None:
    assert words.stage("text.count_words") == 0
    assert (words.root / "data/counts/words.txt").read_text() == "long\nway\nthe\nmill\nwheel"
    assert json.loads((words.root / "data/metrics/count_words.json").read_text()) == {"words": {"in": 7, "kept": 5}}
    assert "count_words: 7 words in, 5 kept, 2 rejected (too_short 2)" in capfd.readouterr().err
    (run,) = words.runs()
    assert (run.name, run.status) == ("count_words", "FINISHED")
    assert run.params == {"count_words.min_length": "3"}
    assert run.metrics["words/kept"] == 5
    history = lineage.client().get_metric_history(run.run_id, "loop/step")
    assert [m.step for m in sorted(history, key=lambda m: m.step)] == list(range(1200))


def test_every_hash_tag_equals_dvc_lock(words: Project) -> None:
    words.dvc("add", "-q", "data/raw/words.txt")
    words.commit()
    words.dvc("repro", "-q")
    (run,) = words.runs()
    deps, outs = locked_hashes(words.root, "count_words")
    tags = {key: value for key, value in run.tags.items() if key.startswith(("dvc.deps.", "dvc.outs."))}
    expected = {f"dvc.deps.{p}": h for p, h in deps.items() if not p.endswith(".py")}
    expected |= {f"dvc.outs.{p}": h for p, h in outs.items()}
    assert tags == expected
    assert set(outs) == {"data/counts", "data/metrics/count_words.json"}
    assert run.tags["dvc.stage"] == "count_words"
    assert run.tags["mlflow.source.git.commit"] == words.command("git", "rev-parse", "HEAD").stdout.strip()
    assert run.tags["git.dirty"] == "false"
    inputs = lineage.client().get_run(run.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.dataset.digest) for i in inputs] == [("data/raw/words.txt", deps["data/raw/words.txt"])]
    assert lineage.run_of_out("data/counts", outs["data/counts"]) == run
    assert lineage.run_of_out("data/counts", "0" * 32) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('stage.dep("data/raw/other.txt")', "add the line '- data/raw/other.txt' under 'stages: count_words: deps:'"),
        ('stage.out("data/other")', "add the line '- data/other' under 'stages: count_words: outs:'"),
    ],
)
def test_undeclared_path_names_the_line_to_add(
    words: Project, line: str, message: str, capfd: pytest.CaptureFixture
) -> None:
    change_stage(words, line)
    assert words.stage("text.count_words") == 1
    assert message in capfd.readouterr().err
    assert [r.status for r in words.runs()] == ["FAILED"]


def test_dep_that_was_not_read_fails_the_stage(words: Project, capfd: pytest.CaptureFixture) -> None:
    words.write("data/raw/other.txt", "")
    words.write("dvc.yaml", DVC_YAML.replace("data/raw/words.txt]", "data/raw/words.txt, data/raw/other.txt]"))
    assert words.stage("text.count_words") == 1
    assert "did not read data/raw/other.txt, which dvc.yaml declares" in capfd.readouterr().err


def test_out_that_was_not_written_fails_the_stage(words: Project, capfd: pytest.CaptureFixture) -> None:
    change_stage(words, "out.rename(out.with_name('elsewhere'))")
    assert words.stage("text.count_words") == 1
    assert "did not write data/counts, which dvc.yaml declares" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("count_words: {min_length: 0}", "count_words.min_length = 0: Input should be greater than or equal to 1"),
        ("count_words: {min_length: 3, max: 4}", "'count_words.max' is no parameter of stage 'count_words'"),
        ("count_words: {}", "stage 'count_words' needs 'count_words.min_length'"),
        ("count_words: {min_length: 3}\ncuont: 1", "no stage lists cuont"),
        ("count_words: {min_length: 3}\nsets: {more: {a: 1, b: {c: 2}}}", "no stage lists sets.more: remove it, or"),
        (
            "run: {workers: -1}",
            "run.workers = -1: Input should be greater than or equal to 0 (at least 0, at most 1024)",
        ),
        ("run: {workers: true}", "run.workers = True: Input should be a valid integer (at least 0, at most 1024)"),
        ("run: {item_timeout_s: '60'}", "run.item_timeout_s = '60': Input should be a valid number (above 0)"),
        ("count_words: {min_length: '5'}", "count_words.min_length = '5': Input should be a valid integer (at least 1"),
        ("count_words: {min_length: true}", "count_words.min_length = True: Input should be a valid integer"),
        ("count_words: {min_length: 3.0}", "count_words.min_length = 3.0: Input should be a valid integer"),
    ],
)
def test_wrong_parameter_stops_before_any_work(
    words: Project, params: str, message: str, capfd: pytest.CaptureFixture
) -> None:
    defaults = "run: {engine: local, workers: 1, item_timeout_s: 60, max_reject_fraction: 0.5,\n"
    defaults += "      device: cpu, train_processes: 1, log_level: info}\n"
    text = defaults + params
    if params.startswith("run"):
        key, value = params.removeprefix("run: {").removesuffix("}").split(": ")
        text = re.sub(rf"{key}: \w+", f"{key}: {value}", defaults) + "count_words: {min_length: 3}"
    words.write("params.yaml", text)
    change_stage(words, "raise AssertionError('work was begun')")
    assert words.stage("text.count_words") == 1
    assert message in capfd.readouterr().err
    assert [r.status for r in words.runs()] == ["FAILED"]


def test_parameter_that_dvc_yaml_does_not_list_is_missing_for_the_stage(
    words: Project, capfd: pytest.CaptureFixture
) -> None:
    words.write(
        "params.yaml", PARAMS.replace("count_words: {min_length: 3}", "count_words: {min_length: 3, unused: 1}")
    )
    words.write("dvc.yaml", DVC_YAML.replace("[count_words]", "[count_words.unused]"))
    assert words.stage("text.count_words") == 1
    err = capfd.readouterr().err
    assert "no stage lists count_words.min_length" in err


def test_failed_stage_leaves_no_half_written_out(words: Project, capfd: pytest.CaptureFixture) -> None:
    change_stage(words, "raise ZeroDivisionError('no water')")
    assert words.stage("text.count_words") == 1
    err = capfd.readouterr().err
    assert "count_words: failed: ZeroDivisionError: no water (at count_words.py:" in err
    assert "Traceback" not in err
    assert not (words.root / "data/counts").exists()
    assert list((words.root / "data").rglob("*.partial")) == []
    (run,) = words.runs()
    assert run.status == "FAILED"
    assert "no water" in run.tags["headrace.failure"]


def test_debug_shows_the_traceback(words: Project, capfd: pytest.CaptureFixture) -> None:
    change_stage(words, "raise ZeroDivisionError('no water')")
    assert words.stage("text.count_words", "--debug") == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("rank", ["0", "1"])
def test_torchrun_around_a_stage_is_refused_with_the_knob_that_does_it(
    words: Project, rank: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert words.stage("text.count_words") == 1
    err = capfd.readouterr().err
    assert f"count_words: failed: this is process {rank} of 2 that torchrun started" in err
    assert "set run.train_processes: 2 in params.yaml" in err
    assert words.runs() == []
    assert not (words.root / "data/counts").exists()
    monkeypatch.setenv("WORLD_SIZE", "1")  # torchrun with one process does no harm
    assert words.stage("text.count_words") == 0


def test_killed_stage_is_closed_as_killed_and_its_leftovers_go_at_the_next_start(words: Project) -> None:
    change_stage(words, "import time; (stage.root / 'ready').touch(); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-m", "text.count_words"], cwd=words.root)
    wait_for((words.root / "ready").exists)
    process.kill()
    process.wait()
    assert [r.status for r in words.runs()] == ["RUNNING"]
    assert len(list((words.root / "data").glob(".counts.*.partial"))) == 1
    change_stage(words, "")
    assert words.stage("text.count_words") == 0
    assert [r.status for r in words.runs()] == ["FINISHED", "KILLED"]
    assert list((words.root / "data").rglob("*.partial")) == []


def test_run_of_a_living_process_stays_open(words: Project) -> None:
    change_stage(words, "from tasks import lineage; assert lineage.close_dead_runs(stage.root) == 0")
    assert words.stage("text.count_words") == 0


def test_interrupted_stage_is_killed_in_mlflow_and_says_how_to_go_on(words: Project) -> None:
    change_stage(words, "import time; (stage.root / 'ready').touch(); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "text.count_words"], cwd=words.root, stderr=subprocess.PIPE, text=True
    )
    wait_for((words.root / "ready").exists)
    process.terminate()
    _, err = process.communicate()
    assert process.returncode == 130
    assert "run it again to go on" in err
    assert [r.status for r in words.runs()] == ["KILLED"]
    assert list((words.root / "data").rglob("*.partial")) == []


def wait_for(condition, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_tracking_down_warns_once_and_costs_no_result(
    words: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:password@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert words.stage("text.count_words") == 0
    assert caplog.text.count("going on untracked") == 1
    assert "password" not in caplog.text
    assert (words.root / "data/counts/words.txt").exists()


@pytest.fixture
def breaking_server() -> Iterator[str]:
    """A tracking server that answers every request with an error of its own."""

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(418)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tracking_server_that_answers_nonsense_costs_no_result(
    words: Project, breaking_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", breaking_server)
    assert words.stage("text.count_words") == 0
    assert caplog.text.count("going on untracked") == 1


def test_tracking_uri_of_the_user_is_used(
    words: Project, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(empty_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert words.stage("text.count_words") == 0

    def count(database: Path) -> int:
        with sqlite3.connect(database) as connection:
            return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])

    assert count(other) == 1
    assert count(words.root / "mlruns/mlflow.db") == 0


def test_secret_in_the_environment_reaches_no_file(words: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-this-must-not-be-kept"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    assert words.stage("text.count_words") == 0
    kept = [p for p in words.root.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert kept == []


def test_stage_of_another_name_or_member_is_refused(words: Project, capfd: pytest.CaptureFixture) -> None:
    words.write("dvc.yaml", DVC_YAML.replace("  count_words:\n        cmd", "  count_letters:\n        cmd"))
    assert words.stage("text.count_words") == 1
    assert "dvc.yaml has no stage 'count_words': add 'stages: count_words:'" in capfd.readouterr().err
    assert words.stage("text.count_words", "en") == 1
    assert "dvc.yaml has no stage 'count_words@en'" in capfd.readouterr().err


def test_matrix_member_gets_its_own_paths_and_address(words: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    words.write(
        "dvc.yaml",
        """
        stages:
          count_words:
            matrix: {lang: [en, fr]}
            cmd: python -m text.count_words ${item.lang}
            deps: [text/count_words.py, "data/raw/${item.lang}.txt"]
            params: [count_words]
            outs: ["data/counts/${item.lang}"]
            metrics: [{"data/metrics/count_words/${item.lang}.json": {cache: false}}]
        """,
    )
    paths = {'"data/raw/words.txt"': 'f"data/raw/{stage.member}.txt"', '"data/counts"': 'f"data/counts/{stage.member}"'}
    text = STAGE
    for old, new in paths.items():
        text = text.replace(f"({old})", f"({new})")
    words.write("text/count_words.py", text)
    words.write("data/raw/fr.txt", "la roue du moulin")
    assert words.stage("text.count_words", "fr") == 0
    assert (words.root / "data/counts/fr/words.txt").read_text() == "roue\nmoulin"
    assert json.loads((words.root / "data/metrics/count_words/fr.json").read_text())["words"]["kept"] == 2
    (run,) = words.runs()
    assert (run.name, run.tags["dvc.stage"]) == ("count_words@fr", "count_words@fr")
    monkeypatch.setenv("DVC_STAGE", "count_words@en")
    assert words.stage("text.count_words", "fr") == 1


def test_too_many_bad_items_fail_the_stage(words: Project, capfd: pytest.CaptureFixture) -> None:
    change_stage(words, 'stage.check_rejects("word", 10, 5)')
    assert words.stage("text.count_words") == 0
    change_stage(words, 'stage.check_rejects("word", 10, 6)')
    assert words.stage("text.count_words") == 1
    assert "6 of 10 words are bad, more than run.max_reject_fraction=0.5" in capfd.readouterr().err


def test_report_that_does_not_add_up_fails_the_stage(words: Project, capfd: pytest.CaptureFixture) -> None:
    change_stage(words, "words.append('x')")
    assert words.stage("text.count_words") == 0
    change_stage(words, "kept.append('x')")
    assert words.stage("text.count_words") == 0
    change_stage(words, "return Report('word', 7, 5, {'too_short': 1}, '')")
    assert words.stage("text.count_words") == 1
    assert "7 in, but 5 kept and 1 rejected" in capfd.readouterr().err


PLANNED = STAGE.replace("stage_main(run, Params)", "stage_main(run, Params, plan=plan)").replace(
    "    def run(",
    """    def plan(stage: Stage, params: Params) -> Plan:
        return Plan("word", 4, 3, disk_needed_bytes=DISK, notes=("one note",))

    def run(""",
)


def test_plan_says_what_is_to_do_and_does_nothing(words: Project, capfd: pytest.CaptureFixture) -> None:
    words.write("text/count_words.py", PLANNED.replace("DISK", "2_500_000"))
    assert words.stage("text.count_words", "--plan") == 0
    out = capfd.readouterr().out
    assert "count_words: 4 words to do, 3 stored; time unknown (no earlier run); disk 2.5 MB needed" in out
    assert "one note" in out
    assert not (words.root / "data/counts").exists()
    assert words.runs() == []


def test_disk_too_small_refuses_to_start(words: Project, capfd: pytest.CaptureFixture) -> None:
    words.write("text/count_words.py", PLANNED.replace("DISK", "10**18"))
    assert words.stage("text.count_words") == 1
    assert "of disk needed" in capfd.readouterr().err
    assert not (words.root / "data/counts").exists()


def test_what_plan_and_run_both_work_out_is_made_once(words: Project) -> None:
    stages.set_params(words, {"count_words": {"min_length": 3}})
    stage, calls = stages.stage_of(words, "count_words"), itertools.count()
    assert [stage.once("words", lambda: next(calls)) for _ in range(3)] == [0, 0, 0]
    assert stage.once("others", lambda: next(calls)) == 1
    assert stages.stage_of(words, "count_words").once("words", lambda: next(calls)) == 2


def test_child_of_the_pipelines_run(words: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lineage.PARENT_RUN, "a" * 32)
    monkeypatch.setenv(lineage.INVOCATION, "7-try")
    monkeypatch.setenv(lineage.FLOW_RUN, "flow-7")
    monkeypatch.setenv(lineage.STUDY_CELL, "sums/big-2")
    assert words.stage("text.count_words") == 0
    (run,) = words.runs()
    assert run.tags["mlflow.parentRunId"] == "a" * 32
    assert run.tags["prefect.flow_run_id"] == "flow-7"
    assert run.tags["headrace.study_cell"] == "sums/big-2"
    assert lineage.runs_of_invocation("7-try") == [run]


def test_random_choices_of_an_item_depend_on_seed_stage_and_item_alone() -> None:
    first = item_rng(1, "stage", "a").integers(0, 2**32, 4)
    item_rng(1, "stage", "b").random(100)
    np.testing.assert_array_equal(first, item_rng(1, "stage", "a").integers(0, 2**32, 4))
    others = [item_rng(2, "stage", "a"), item_rng(1, "other", "a"), item_rng(1, "stage", "b")]
    assert all((first != other.integers(0, 2**32, 4)).any() for other in others)


def test_stage_imports_no_prefect(words: Project) -> None:
    change_stage(words, "import sys; assert not [m for m in sys.modules if m.partition('.')[0] == 'prefect']")
    done = subprocess.run([sys.executable, "-m", "text.count_words"], cwd=words.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (words.root / "data/counts").exists()


def test_state_of_a_temporary_copy_is_in_the_main_checkout(words: Project) -> None:
    words.commit()
    words.dvc("repro", "-q")
    words.commit("lock")
    words.write("params.yaml", PARAMS)
    words.dvc("exp", "run", "--temp", "-q", "-S", "count_words.min_length=4")
    runs = words.runs()
    assert [r.params["count_words.min_length"] for r in runs] == ["4", "3"]
    assert runs[0].metrics["words/kept"] == 3
    assert list(words.root.rglob("mlflow.db")) == [words.root / "mlruns/mlflow.db"]


@pytest.mark.slow
def test_own_data_that_a_temporary_copy_cannot_see_stops_with_the_remedy(words: Project) -> None:
    """Also where DVC restores the stage that reads the folder from its run cache: the next one stops."""
    words.write("data/own/text/.gitignore", "*\n!.gitignore\n")
    listing = "list_own: {cmd: ls data/own/text > data/own.txt, deps: [data/own/text], outs: [data/own.txt]}"
    declared = DVC_YAML.replace("data/raw/words.txt]", "data/raw/words.txt, data/own.txt]")
    words.write("dvc.yaml", declared.replace("stages:\n", f"stages:\n      {listing}\n"))
    change_stage(words, 'stage.dep("data/own.txt")')
    words.commit()
    words.dvc("exp", "run", "--temp", "-q")
    words.write("data/own/text/mine.txt", "my own words")
    done = words.dvc("exp", "run", "--temp", "-S", "count_words.min_length=4", check=False)
    assert done.returncode != 0
    assert "data/own/text is empty in this temporary copy" in done.stdout + done.stderr
    assert "without --temp or --queue" in done.stdout + done.stderr


def test_a_file_that_comes_while_a_stage_runs_fails_it(words: Project, capfd: pytest.CaptureFixture) -> None:
    """DVC hashes deps when the command has ended: it would take the file as read."""
    words.write("dvc.yaml", DVC_YAML.replace("data/raw/words.txt]", "data/raw/words.txt, data/own]"))
    words.write("data/own/first.txt", "")
    change_stage(words, 'stage.dep("./data/own/"); (stage.root / "data/own/late.txt").write_text("")')
    assert words.stage("text.count_words") == 1
    assert "data/own changed while the stage ran (late.txt): when nothing writes there any more, run it again" in (
        capfd.readouterr().err
    )
    assert not (words.root / "data/counts").exists()


def test_a_file_that_comes_while_deps_are_hashed_fails_the_stage_too(
    words: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("tasks.stage._record", lambda *_: words.write("data/raw/words.txt", "other words"))
    assert words.stage("text.count_words") == 1
    assert "data/raw/words.txt changed while the stage ran" in capfd.readouterr().err


# --- items ---

WORK = """
    import os, time
    from pathlib import Path
    from tasks.tables import Reject

    def measure(payload):
        number, trace = payload
        with Path(trace).open("a") as file:
            file.write(f"{number}\\n")
        if Path("full").exists() and str(number) in Path("full").read_text().split():
            raise OSError(28, "No space left on device", f"data/store/{number}")
        if number == 71:
            time.sleep(60)
        if number == 72:
            os._exit(1)
        if number == 73:
            raise Reject("odd", "an odd one")
        return number
"""

MAPPED = """
        from tasks import store as stores
        from text import work
        from tasks.store import key_of
        numbers = [int(n) for n in (stage.root / "data/raw/words.txt").read_text().split()]
        keys = {n: key_of("measure", "1", {}, str(n)) for n in numbers}
        jobs = [(f"id{n}", (n, str(stage.root / "trace"))) for n in numbers if not stage.store.has("measure", keys[n])]
        names = {f"id{n}": f"file{n}.mp4" for n in numbers}
        rejects = []
        for outcome in stage.map(work.measure, jobs, unit="video", total=len(jobs), names=names):
            if outcome.reject is None:
                with stage.store.writer() as writer:
                    writer.put("measure", "1", {}, str(outcome.value), {"number": outcome.value})
            else:
                rejects.append(f"{outcome.item_id} {outcome.reject}")
        (out / "rejects.txt").write_text("\\n".join(sorted(rejects)))
"""


@pytest.fixture
def mapped(words: Project) -> Project:
    words.write("text/work.py", WORK)
    words.write("text/count_words.py", textwrap.dedent(STAGE).replace("    # HERE\n", MAPPED.replace("\n    ", "\n")))
    return words


def tried(project: Project) -> list[int]:
    return sorted(map(int, (project.root / "trace").read_text().split()))


@pytest.mark.slow
def test_trouble_of_the_machine_is_no_result_and_the_next_run_does_what_is_missing(mapped: Project) -> None:
    """DVC must not take outs without an item as made: it would answer with them for ever."""
    mapped.write("data/raw/words.txt", "1 2 3 4")
    mapped.write("full", "2")
    failed = mapped.dvc("repro", check=False)
    assert failed.returncode != 0
    assert (
        "count_words: failed: video file2.mp4: OSError: [Errno 28] No space left on device: 'data/store/2' at "
        "text/work.py:11: mend that and run again; what is finished is stored"
    ) in failed.stderr
    assert not (mapped.root / "data/counts").exists()
    assert tried(mapped) == [1, 2, 3, 4]
    (mapped.root / "full").unlink()
    mapped.dvc("repro", "-q")
    assert tried(mapped) == [1, 2, 2, 3, 4]
    assert (mapped.root / "data/counts/rejects.txt").read_text() == ""


def test_where_nothing_can_be_done_any_more_the_stage_gives_up(mapped: Project, capfd: pytest.CaptureFixture) -> None:
    mapped.write("data/raw/words.txt", " ".join(map(str, range(100, 160))))
    mapped.write("full", " ".join(map(str, range(104, 160))))
    assert mapped.stage("text.count_words") == 1
    err = capfd.readouterr().err
    assert "video file104.mp4: OSError: [Errno 28]" in err
    assert "(and 9 more, named above): mend that and run again" in err
    assert len(tried(mapped)) < 20


def test_an_item_that_the_machine_may_have_stopped_says_how_to_try_it_again(mapped: Project) -> None:
    mapped.write("params.yaml", PARAMS.replace("item_timeout_s: 60", "item_timeout_s: 5"))
    mapped.write("data/raw/words.txt", "1 71 72 73")
    assert mapped.stage("text.count_words") == 0
    again = "'dvc repro --force --single-item count_words'"
    assert (mapped.root / "data/counts/rejects.txt").read_text().splitlines() == [
        f"id71 timeout: took longer than 5 s; to try again raise run.item_timeout_s and run {again}",
        f"id72 worker_died: its worker process died 2 times; to try again run {again}",
        "id73 odd: an odd one",
    ]
