"""Surrogates compared: the paper's table, and a champion that the test split cannot change."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.physics.compare_surrogates import Params, run
from tasks.physics.comparison import Candidate, champion, check_same_test, markdown, read_candidate, write_curve
from tasks.stage import StageError
from tests.conftest import Project, locked_hashes
from tests.stages import run_stage, set_params

BASELINE = {
    "persistence": {"vrmse_one_step": 0.2, "vrmse_6_12": 1.2, "vrmse_13_30": 1.6},
    "mean": {"vrmse_one_step": 1.0, "vrmse_6_12": 1.1, "vrmse_13_30": 1.3},
}
TEST = {
    "fno": {"one_step": 0.1365, "6_12": 0.89, "13_30": 20.0},
    "unet": {"one_step": 0.05, "6_12": 0.57, "13_30": 11.0},
    "cnextunet": {"one_step": 0.1761, "6_12": 0.29, "13_30": 7.62},
}
VALID = {"fno": 0.11, "unet": 0.25, "cnextunet": 0.10}


def figures(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "vrmse": TEST[name],
        "valid": {"vrmse_one_step": VALID[name], "vrmse_6_12": 3 - VALID[name]},
        "rollout": {"lost": 1 if name == "fno" else 0, "trajectories": 6, "steps": 30},
        **BASELINE,
        **changed,
    }


def curve(name: str) -> list[dict[str, float]]:
    return [
        {"step": step, "vrmse": 0.05 * (step + 1) ** (1 + VALID[name]), "vrmse_persistence": 0.1 * (step + 1)}
        | {"vrmse_mean": 1.0}
        for step in range(30)
    ]


def candidates(**changed: Any) -> list[Candidate]:
    return [Candidate(name, figures(name, **changed), curve(name)) for name in TEST]


def test_the_champion_has_the_best_validation_whatever_the_test_says() -> None:
    best = champion(candidates(), "one_step")
    assert (best.name, best.valid_vrmse) == ("cnextunet", 0.10)  # on the test split it is the worst one step ahead
    assert best.reason == (
        "lowest VRMSE (one step) on the validation split: 0.1000, against fno 0.1100, unet 0.2500. "
        "The test split took no part."
    )
    worse = {name: {when: 99.0 for when in one} for name, one in TEST.items()}
    for name in TEST:
        changed = [Candidate(c.name, {**c.figures, "vrmse": worse[name]}, c.curve) for c in candidates()]
        assert champion(changed, "one_step") == best
    assert champion(candidates(), "6_12").name == "unet"  # 3 - 0.25 is the lowest there


def test_a_surrogate_without_a_finite_validation_is_passed_over_and_named() -> None:
    some = candidates()
    some[2] = Candidate("cnextunet", figures("cnextunet", valid={"vrmse_one_step": float("nan")}), curve("cnextunet"))
    best = champion(some, "one_step")
    assert best.name == "fno"
    assert "without a finite figure there: cnextunet" in best.reason
    with pytest.raises(ValueError, match=r"no surrogate has a finite VRMSE \(13:30\).*champion_by"):
        champion(candidates(), "13_30")


def test_of_equals_the_first_by_name_is_champion_in_any_order() -> None:
    some = candidates(valid={"vrmse_one_step": 0.5})
    assert champion(some, "one_step").name == champion(some[::-1], "one_step").name == "cnextunet"


def test_surrogates_evaluated_on_other_windows_are_not_compared() -> None:
    some = candidates()
    check_same_test(some)
    other = {"vrmse_one_step": 0.21, "vrmse_6_12": 1.2, "vrmse_13_30": 1.6}
    some[1] = Candidate("unet", figures("unet", persistence=other), curve("unet"))
    with pytest.raises(ValueError, match=r"fno and unet have other figures of persistence, .*same windows"):
        check_same_test(some)


def test_the_table_is_printed_as_in_the_paper() -> None:
    lines = markdown(candidates(), champion(candidates(), "one_step")).splitlines()
    assert [line for line in lines if line.startswith("| ")] == [
        "| model | one step | 6:12 | 13:30 | validation, one step | rollouts lost |",
        "| fno | 0.1365 | 0.8900 | >10 | 0.1100 | 1 of 6 |",
        "| unet | **0.0500** | 0.5700 | >10 | 0.2500 | 0 of 6 |",
        "| cnextunet | 0.1761 | **0.2900** | **7.62** | 0.1000 | 0 of 6 |",
        "| persistence | 0.2000 | 1.20 | 1.60 |  |  |",
        "| mean | 1.00 | 1.10 | 1.30 |  |  |",
    ]
    assert lines[-1].startswith("Champion: **cnextunet**, lowest VRMSE")


def test_a_curve_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"step": 0, "vrmse": 0.1 + 0.2, "vrmse_mean": 1e-300}, {"step": 1, "vrmse": 1 / 3, "vrmse_mean": 1e4}]
    write_curve(tmp_path / "curve.csv", rows)
    (tmp_path / "fno.json").write_text(json.dumps(figures("fno")))
    assert read_candidate("fno", tmp_path / "fno.json", tmp_path / "curve.csv").curve == rows


def test_an_evaluation_that_lacks_something_is_named(tmp_path: Path) -> None:
    write_curve(tmp_path / "curve.csv", curve("fno"))
    (tmp_path / "fno.json").write_text(json.dumps({"vrmse": TEST["fno"]}))
    with pytest.raises(ValueError, match=r"fno\.json: no figures of valid.*dvc repro .*evaluate_surrogate@fno"):
        read_candidate("fno", tmp_path / "fno.json", tmp_path / "curve.csv")
    (tmp_path / "fno.json").write_text('{"vrmse": {')
    with pytest.raises(ValueError, match=r"fno\.json: Expecting property name.*evaluate_surrogate@fno"):
        read_candidate("fno", tmp_path / "fno.json", tmp_path / "curve.csv")
    (tmp_path / "fno.json").write_text(json.dumps(figures("fno")))
    for cut in ("step,vrmse\n0,\n", "step,vrmse\n0\n", "step,vrmse\n"):
        (tmp_path / "curve.csv").write_text(cut)
        with pytest.raises(ValueError, match=r"curve\.csv: .*evaluate_surrogate@fno"):
            read_candidate("fno", tmp_path / "fno.json", tmp_path / "curve.csv")


def test_a_figure_that_is_no_number_is_told_as_that_and_the_best_of_the_others_is_bold() -> None:
    some = candidates()
    some[0] = Candidate(some[0].name, figures(some[0].name, vrmse={"one_step": float("nan")}), some[0].curve)
    best = champion(some, "6_12")
    lines = markdown(some, best).splitlines()
    assert "| validation, 6:12 |" in lines[4]
    row = next(line for line in lines if line.startswith(f"| {some[0].name} "))
    assert "| no number |" in row
    assert sum("**" in line.split("|")[2] for line in lines[6 : 6 + len(some)]) == 1


# --- the stage ---

DVC_YAML = """
    stages:
      compare_surrogates:
        cmd: python -m tasks.physics.compare_surrogates
        deps:
          - data/metrics/evaluate_surrogate/fno.json
          - data/metrics/evaluate_surrogate/unet.json
          - data/metrics/evaluate_surrogate/cnextunet.json
          - data/reports/evaluate_surrogate/fno
          - data/reports/evaluate_surrogate/unet
          - data/reports/evaluate_surrogate/cnextunet
        params: [compare_surrogates]
        outs: [data/reports/compare_surrogates]
        metrics: [{data/metrics/compare_surrogates.json: {cache: false}}]
"""
PARAMS = {"compare_surrogates": {"champion_by": "one_step"}}


@pytest.fixture
def evaluated(project: Project) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    set_params(project, PARAMS)
    for name in TEST:
        project.write(f"data/metrics/evaluate_surrogate/{name}.json", json.dumps(figures(name)))
        folder = project.root / "data/reports/evaluate_surrogate" / name
        folder.mkdir(parents=True)
        write_curve(folder / "curve.csv", curve(name))
    return project


def compare(project: Project) -> dict[str, str]:
    """Run the stage; return the hashes of what it wrote."""
    run_stage(project, "compare_surrogates", run, Params.model_validate(PARAMS))
    out = project.root / "data/reports/compare_surrogates"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def test_the_stage_writes_table_curves_and_champion_the_same_each_time(evaluated: Project) -> None:
    first = compare(evaluated)
    assert set(first) == {"table.md", "table.csv", "curves.png", "champion.json"}
    out = evaluated.root / "data/reports/compare_surrogates"
    chosen = json.loads((out / "champion.json").read_text())
    assert (chosen["name"], chosen["by"]) == ("cnextunet", "one_step")
    with (out / "table.csv").open(newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["fno", "unet", "cnextunet", "persistence", "mean"]
    assert float(rows["fno"]["vrmse_13_30"]) == 20.0
    assert rows["mean"]["valid_vrmse_one_step"] == ""
    with Image.open(out / "curves.png") as picture:
        assert picture.width > picture.height > 300
    metrics = json.loads((evaluated.root / "data/metrics/compare_surrogates.json").read_text())
    assert metrics["champion"] == {"valid_vrmse": 0.1} | {f"vrmse_{k}": v for k, v in TEST["cnextunet"].items()}
    assert metrics["vrmse_one_step"] == {name: one["one_step"] for name, one in TEST.items()}
    assert compare(evaluated) == first


@pytest.mark.slow
def test_dvc_runs_the_stage_and_mlflow_has_its_figures(evaluated: Project) -> None:
    evaluated.dvc("repro", "-q")
    (made,) = evaluated.runs()
    assert made.metrics["champion/valid_vrmse"] == 0.1
    assert made.metrics["vrmse_one_step/unet"] == TEST["unet"]["one_step"]
    assert set(locked_hashes(evaluated.root, "compare_surrogates")[1]) == {
        "data/reports/compare_surrogates",
        "data/metrics/compare_surrogates.json",
    }


def test_a_stage_with_nothing_to_compare_says_which_line_is_missing(evaluated: Project) -> None:
    text = "\n".join(line for line in DVC_YAML.splitlines() if "/evaluate_surrogate/" not in line)
    evaluated.write("dvc.yaml", text.replace("deps:", "deps: [data/reports]"))
    with pytest.raises(StageError, match=r"no dep data/metrics/evaluate_surrogate/NAME\.json"):
        compare(evaluated)
