"""Studies: a cell runs the real stages with other parameters, in a copy, once; what it found is read beside claims."""

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from scipy import stats

from flows.effects import Against, Effect, estimate, figures_by_setting, judge, read_effects
from flows.graph import ProjectError
from flows.studies import TABLE, Cell, run_cell
from tests.conftest import REPOSITORY
from tests.flows.processes import gone
from tests.flows.projects import PYTHON, commit, git, init, write

CELL = Cell("sums", {"data": "big", "seed": "2"}, "judge", ("studies/big.yaml",), ("add.seed=2",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, own_settings: None) -> Path:
    """Two stages of the standard library: numbers are added up, and the sum is judged."""
    root = tmp_path_factory.mktemp("study") / "project"
    init(root)
    write(
        root,
        {
            "params.yaml": """
                add:
                  seed: 0
                  weights: {a: 1, b: 1}
                judge: {bound: 10}
            """,
            "dvc.yaml": f"""
                stages:
                  add:
                    cmd: {PYTHON} add.py
                    deps: [add.py, numbers.txt]
                    params: [add]
                    outs: [sum.json]
                  judge:
                    cmd: {PYTHON} judge.py
                    deps: [judge.py, sum.json]
                    params: [judge]
                    metrics: [judged.json: {{cache: false}}]
            """,
            "add.py": """
                import json
                import os
                from pathlib import Path
                import yaml
                with open(os.environ["TOLD"], "a") as file:
                    file.write(f"{os.environ['HEADRACE_HOME']} {os.environ['HEADRACE_STUDY_CELL']}\\n")
                add = yaml.safe_load(open("params.yaml"))["add"]
                numbers = [int(line) for line in open("numbers.txt")]
                total = sum(numbers) * sum(add["weights"].values()) + add["seed"]
                Path("sum.json").write_text(json.dumps(total))
            """,
            "judge.py": """
                import json
                from pathlib import Path
                import yaml
                bound = yaml.safe_load(open("params.yaml"))["judge"]["bound"]
                total = json.load(open("sum.json"))
                if bound < 0:
                    raise SystemExit("a bound is no debt")
                Path("judged.json").write_text(json.dumps({"test": {"total": total, "above": int(total > bound)}}))
            """,
            "numbers.txt": "1\n2\n3\n",
            "studies/big.yaml": "add.weights: {c: 100}\n",
        },
    )
    commit(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOLD", str(tmp_path / "told.txt"))
    return Path(shutil.copytree(made, tmp_path / "project"))


def content(root: Path, cell: Cell = CELL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / cell.path).read_text())
    return found


def test_a_cell_runs_the_stages_with_its_parameters_and_changes_nothing_else(root: Path, tmp_path: Path) -> None:
    assert run_cell(root, CELL)
    found = content(root)
    assert CELL.path == Path("studies/metrics/sums/big-2.json")
    assert found["figures"] == {"judge": {"test.total": 602, "test.above": 1}}  # (1 + 2 + 3) * 100 + 2
    assert found["axes"] == {"data": "big", "seed": "2"}
    assert found["parameters"] == {"add.seed": 2, "add.weights.c": 100, "judge.bound": 10}
    assert found["data"].keys() == {"numbers.txt"}
    assert found["outs"].keys() == {"sum.json", "judged.json"}
    assert (
        tmp_path / "told.txt"
    ).read_text() == f"{root} sums/big-2\n"  # where store and runs lie; whose runs they are
    assert git(root, "status", "--porcelain").split() == ["??", "studies/metrics/"]
    assert not (root / "sum.json").exists()
    assert list((root / ".dvc/tmp/studies/sums").iterdir()) == [root / ".dvc/tmp/studies/sums/big-2.lock"]


def test_a_finished_cell_is_not_run_again_nor_in_a_clone_that_has_git_alone(root: Path, tmp_path: Path) -> None:
    run_cell(root, CELL)
    before = (root / CELL.path).stat().st_mtime_ns
    assert not run_cell(root, CELL)
    assert (root / CELL.path).stat().st_mtime_ns == before
    commit(root)
    subprocess.run(["git", "clone", "-q", str(root), str(tmp_path / "clone")], check=True)
    assert not run_cell(tmp_path / "clone", CELL)
    assert not (tmp_path / "clone/.dvc/cache").exists()


def parameter(root: Path) -> None:
    write(root, {"params.yaml": "add: {seed: 0, weights: {a: 1, b: 1}}\njudge: {bound: 1000}\n"})


def data(root: Path) -> None:
    write(root, {"numbers.txt": "1\n2\n4\n"})


def file_of_the_study(root: Path) -> None:
    write(root, {"studies/big.yaml": "add.weights: {c: 200}\n"})


@pytest.mark.parametrize(
    ("change", "total", "told"),
    [
        (parameter, 602, "parameters.judge.bound was 10, is 1000"),
        (data, 702, "data.numbers.txt was"),
        (file_of_the_study, 1202, "parameters.add.weights.c was 100, is 200"),
    ],
)
def test_a_cell_of_other_parameters_or_data_is_run_again_and_says_why(
    root: Path, change: Callable[[Path], None], total: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_cell(root, CELL)
    change(root)
    with caplog.at_level("INFO", logger="headrace"):
        assert run_cell(root, CELL)
    assert content(root)["figures"]["judge"]["test.total"] == total
    assert told in caplog.text


def test_a_raised_version_of_a_function_makes_a_cell_run_again(root: Path) -> None:
    def table(version: str) -> None:
        told = {"module": "add", "version": version, "source": "", "libraries": {"h5py": "as it was"}}
        other = {"module": "subtract", "version": "7", "source": "", "libraries": {"numpy": ""}}
        write(root, {"tests/functions.json": json.dumps({"sums.add": told, "sums.subtract": other})})

    table("1")
    run_cell(root, CELL)
    assert content(root)["versions"] == {"sums.add": "1", "h5py": importlib.metadata.version("h5py")}
    assert not run_cell(root, CELL)
    table("2")
    assert run_cell(root, CELL)
    assert content(root)["versions"]["sums.add"] == "2"


def test_the_cells_of_surrogates_know_every_function_that_they_run() -> None:
    found = json.loads((REPOSITORY / "studies/metrics/physics/maze-unet-0.json").read_text())["versions"]
    functions = {"physics.simulation", "physics.examine", "physics.train_surrogate", "physics.evaluate_surrogate"}
    assert functions | {"torch", "h5py"} <= found.keys()
    table = json.loads((REPOSITORY / TABLE).read_text())
    assert functions <= table.keys()


def test_folders_of_own_data_are_seen_where_they_lie(root: Path) -> None:
    own = "data/own/kind/numbers.txt"
    write(root, {own: "5\n", "data/own/.gitignore": "*\n", "dvc.yaml": (root / "dvc.yaml").read_text()})
    for name in ("dvc.yaml", "add.py"):
        write(root, {name: (root / name).read_text().replace("numbers.txt", own)})
    run_cell(root, CELL)
    assert content(root)["figures"]["judge"]["test.total"] == 502
    assert (root / own).read_text() == "5\n"


def test_what_cannot_be_run_is_told_and_leaves_no_figures(root: Path) -> None:
    def told(**other: Any) -> str:
        with pytest.raises(ProjectError) as error:
            run_cell(root, Cell(**{**vars(CELL), **other}))
        assert not (root / CELL.path).exists()
        assert not (root / ".dvc/tmp/studies/sums/big-2").exists()
        return str(error.value)

    assert "params.yaml has no divide" in told(changes=("divide.seed=2",))
    assert "write KEY=VALUE" in told(changes=("add.seed",))
    assert "small.yaml: there is no such file" in told(files=("studies/small.yaml",))
    assert "'guess' names no stage" in told(target="guess")
    assert "'judge' failed with exit code" in told(changes=("judge.bound=-1",))
    (root / ".dvc/tmp/studies/sums").mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".dvc/tmp/studies/sums/big-2.lock"):
        assert "another process runs this cell" in told()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_cell_leaves_no_process_and_runs_again(root: Path, how: signal.Signals, tmp_path: Path) -> None:
    judge, began = (root / "judge.py").read_text(), tmp_path / "began"
    (root / "judge.py").write_text(f"import time\nopen({str(began)!r}, 'w').close()\ntime.sleep(100)\n{judge}")
    command = [PYTHON, "-m", "flows.cli", "cell", "sums", "data=big", "seed=2", "--run", "judge"]
    command += ["--with", "studies/big.yaml", "--set", "add.seed=2"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not began.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(how)
        process.wait()
    assert gone(root)
    (root / "judge.py").write_text(judge)
    assert run_cell(root, CELL)


def test_a_damaged_file_of_figures_is_made_anew(root: Path) -> None:
    write(root, {str(CELL.path): '{"figures": {'})
    assert run_cell(root, CELL)
    assert content(root)["figures"]["judge"]["test.above"] == 1


# --- what a study says ---


def cells(values: dict[tuple[str, str], float], other: float = 1.0) -> list[dict[str, Any]]:
    return [
        {"axes": {"network": name, "seed": seed}, "figures": {"judge": {"vrmse": value, "base": other}}}
        for (name, seed), value in values.items()
    ]


def test_an_estimate_is_the_mean_with_students_interval() -> None:
    values = [0.31, 0.28, 0.36]
    found = estimate(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high), rel=1e-9)
    assert str(estimate([0.31])) == "0.31 (one seed)"


def test_a_claim_is_judged_seed_by_seed() -> None:
    found = cells({("a", "0"): 0.2, ("a", "1"): 0.4, ("a", "2"): 0.9, ("b", "1"): 1.0, ("b", "0"): 0.4})
    effect = Effect(
        claim="", cells={"network": "a"}, figure="judge.vrmse", against=Against(cells={"network": "b"}), at_most=0.75
    )
    verdict = judge(effect, found)  # 0.2 / 0.4 and 0.4 / 1.0; seed 2 has no partner
    assert verdict.ratio is not None
    assert (verdict.ratio.mean, verdict.ratio.count) == (pytest.approx(0.45), 2)
    assert verdict.word == "holds in the mean; its interval reaches over the bound"
    assert judge(effect.model_copy(update={"at_most": 0.4}), found).word == "fails"
    assert judge(effect.model_copy(update={"at_most": 2.0}), found).word == "holds"
    assert (
        judge(effect.model_copy(update={"cells": {"network": "c"}}), found).word
        == "open: no finished cells of network c"
    )
    with pytest.raises(ProjectError, match=r"more than one of a seed: a 1 and b 1; name all axes"):
        judge(effect.model_copy(update={"cells": {}}), found)
    missing = effect.model_copy(update={"figure": "judge.lost"})
    assert judge(missing, found).word == "open: no figure judge.lost"
    assert judge(effect, cells({("a", "0"): 1.0, ("b", "0"): 0.0})).word == "open: judge.vrmse is 0"
    base = effect.model_copy(update={"against": Against(figure="judge.base"), "at_most": None, "at_least": 0.1})
    ratio = judge(base, found).ratio
    assert ratio is not None
    assert ratio.mean == pytest.approx(0.5)


def test_a_claim_of_each_setting_is_made_of_every_one() -> None:
    told = Effect(
        claim="{network} on {data} is better",
        cells={"data": "maze"},
        each={"network": ["a", "b"], "steps": ["1", "2"]},
        figure="judge.vrmse",
        against=Against(),
    )
    single = told.single()
    assert [one.claim for one in single] == ["a on maze is better"] * 2 + ["b on maze is better"] * 2
    assert [one.cells["steps"] for one in single] == ["1", "2", "1", "2"]
    assert all(not one.each and one.single() == [one] for one in single)


def test_figures_are_told_by_setting() -> None:
    found = cells({("a", "0"): 1.0, ("a", "1"): 3.0, ("b", "0"): 7.0})
    told = figures_by_setting(found, ["judge.vrmse", "judge.lost"])
    assert told == {("a",): ["2 ± 12.7", "-"], ("b",): ["7 (one seed)", "-"]}  # t(0.975, 1) = 12.706


def test_a_wrong_file_of_claims_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"effects\.yaml is missing"):
        read_effects(tmp_path)
    write(tmp_path, {"studies/effects.yaml": "sums: {figures: {a: b.c}, effects: [{claim: it is}]}\n"})
    with pytest.raises(ProjectError, match=r"effects\.yaml: effects\.0\.figure: Field required"):
        read_effects(tmp_path)


def test_every_cell_of_every_study_names_what_there_is() -> None:
    """The committed studies: their axes give the file's name, their stages, files and claims are there."""
    import shlex

    from flows.graph import Project

    nodes = Project.open(REPOSITORY).nodes
    found: dict[str, list[dict[str, str]]] = {}
    for address, node in nodes.items():
        if node.file != "studies/dvc.yaml":
            continue
        words = shlex.split(node.cmd)
        assert words[:2] == ["headrace", "cell"], address
        axes = dict(word.split("=") for word in words[3 : words.index("--run")])
        assert node.outs == (f"studies/metrics/{words[2]}/{'-'.join(axes.values())}.json",)
        assert words[words.index("--run") + 1] in nodes
        assert {words[at + 1] for at, word in enumerate(words) if word == "--with"} <= set(node.deps)
        found.setdefault(words[2], []).append(axes)
    reports = read_effects(REPOSITORY)
    assert reports.keys() == found.keys()
    for study, there in found.items():
        for effect in (one for told in reports[study].effects for one in told.single()):
            for wanted in (effect.cells, effect.cells | (effect.against.cells or {})):
                assert any(wanted.items() <= axes.items() for axes in there), effect.claim
            assert (effect.at_most is None) != (effect.at_least is None), effect.claim
