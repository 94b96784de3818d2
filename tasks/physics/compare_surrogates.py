"""Set the surrogates side by side and name the best: data/reports/compare_surrogates/.

table.md is the paper's table for people, table.csv the same with all digits, curves.png VRMSE over steps,
champion.json the surrogate with the best validation and why.
"""

import json
from dataclasses import asdict
from pathlib import PurePosixPath

from pydantic import Field

from tasks.physics.comparison import (
    Candidate,
    When,
    champion,
    check_same_test,
    curves_figure,
    markdown,
    read_candidate,
    table_rows,
    write_table_csv,
)
from tasks.stage import Report, Stage, StageError, StrictModel, stage_main

FIGURES, REPORTS = "data/metrics/evaluate_surrogate", "data/reports/evaluate_surrogate"
CURVE = "curve.csv"  # in a surrogate's report: VRMSE by step


class CompareSurrogates(StrictModel):
    champion_by: When = Field(
        description="the window whose VRMSE on the validation split names the best; paper one_step"
    )


class Params(StrictModel):
    compare_surrogates: CompareSurrogates


def run(stage: Stage, params: Params) -> Report:
    """Read all evaluations that are deps, write the table, the curves and the champion."""
    candidates = _candidates(stage)
    check_same_test(candidates)
    best = champion(candidates, params.compare_surrogates.champion_by)
    out = stage.out("data/reports/compare_surrogates")
    out.mkdir()
    (out / "table.md").write_text(markdown(candidates, best))
    write_table_csv(out / "table.csv", table_rows(candidates))
    curves_figure(candidates, out / "curves.png")
    told = {"stage": f"train_surrogate@{best.name}", **asdict(best)}
    (out / "champion.json").write_text(json.dumps(told, indent=2) + "\n")
    stage.figure(out / "curves.png", "curves.png")
    stage.artifact(out / "table.md")
    chosen = next(one for one in candidates if one.name == best.name)
    one_step = {one.name: value for one in candidates if (value := one.vrmse("one_step")) is not None}
    shown = {f"vrmse_{when}": value for when, value in chosen.figures["vrmse"].items()}
    stage.metrics({"champion": {"valid_vrmse": best.valid_vrmse, **shown}, "vrmse_one_step": one_step})
    stage.log.info("%s: %s", best.name, best.reason)
    return Report("surrogate", len(candidates), len(candidates), {}, "data/reports/compare_surrogates")


def _candidates(stage: Stage) -> list[Candidate]:
    """Return the surrogates whose figures dvc.yaml lists as deps, in that order."""
    members = [
        PurePosixPath(path).stem for path in stage.info.deps if PurePosixPath(path).parent == PurePosixPath(FIGURES)
    ]
    if not members:
        raise StageError(f"dvc.yaml: stage 'compare_surrogates' has no dep {FIGURES}/NAME.json: list those to compare")
    return [
        read_candidate(name, stage.dep(f"{FIGURES}/{name}.json"), stage.dep(f"{REPORTS}/{name}") / CURVE)
        for name in members
    ]


if __name__ == "__main__":
    stage_main(run, Params)
