"""Stages in this process, in a project of a test: parameters, the object, and the end as `stage_main` makes it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tasks import lineage
from tasks.parameters import read_knobs
from tasks.report import Report, check_report
from tasks.stage import Stage
from tests.conftest import Project

KNOBS = {
    "engine": "local",
    "workers": 1,
    "item_timeout_s": 60,
    "max_reject_fraction": 0.5,
    "device": "cpu",
    "train_processes": 1,
    "log_level": "info",
}


def set_params(project: Project, params: Mapping[str, Any], **knobs: Any) -> None:
    """Write params.yaml with a whole `run:`, of which `knobs` are other than in `KNOBS`."""
    project.write("params.yaml", json.dumps({"run": {**KNOBS, **knobs}, **params}))


def stage_of(project: Project, address: str) -> Stage:
    """Return the stage that the project's dvc.yaml declares, with the knobs of its params.yaml and no tracking."""
    info = lineage.stage_info(lineage.open_repo(project.root), address, hashes=False)
    return Stage(info, project.root, read_knobs(project.root), lineage.Tracker())


def run_stage(project: Project, address: str, run: Callable[[Stage, Any], Report], params: Any) -> tuple[Report, int]:
    """Run a stage and publish its outs; return its report, and how many items it did."""
    stage = stage_of(project, address)
    report = run(stage, params)
    check_report(report)
    stage._publish()
    return report, stage._items_done
