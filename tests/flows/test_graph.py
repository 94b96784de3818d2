from pathlib import Path

import pytest

from flows.graph import Project, ProjectError
from flows.plan import Request, foreseen
from tests.flows import projects

FITS = {"fit@ridge-small", "fit@ridge-large", "fit@tree-small", "fit@tree-large"}
SAMPLES = {"sample@small", "sample@large"}


@pytest.fixture(scope="module")
def project(templates) -> Project:
    return Project.open(templates("model_matrix"))


@pytest.mark.parametrize(
    ("target", "selected"),
    [
        ("fit@ridge-small", {"fit@ridge-small", "sample@small", "raw.csv.dvc"}),
        ("fit", FITS | SAMPLES | {"raw.csv.dvc"}),
        ("fit@ridge-*", {"fit@ridge-small", "fit@ridge-large", "raw.csv.dvc"} | SAMPLES),
        ("data", SAMPLES | {"raw.csv.dvc"}),  # meta: {line: data}
        ("models/tree-large.txt", {"fit@tree-large", "sample@large", "raw.csv.dvc"}),
        ("local", {"reports/dvc.yaml:local", "raw.csv.dvc"}),
        ("reports/dvc.yaml:local", {"reports/dvc.yaml:local", "raw.csv.dvc"}),
        ("baseline", {"baseline"}),  # frozen: what it was made from is left alone
        ("raw.csv", {"raw.csv.dvc"}),
    ],
)
def test_a_target_selects_what_it_names_and_what_that_needs(project: Project, target: str, selected: set[str]) -> None:
    assert set(project.select([target])) == selected


def test_without_targets_the_same_stages_are_selected_as_dvc_repro_takes(project: Project) -> None:
    done = projects.dvc(project.root, "repro", "--dry", "--force")
    said = done.stdout + done.stderr
    names = {address for address in project.nodes if f"'{address}'" in said and not address.endswith(".dvc")}
    assert {a for a in project.select() if not project.nodes[a].is_source} == names
    assert set(project.select(everything=True)) == set(project.nodes)


def test_dependencies_come_first(project: Project) -> None:
    place = {address: i for i, address in enumerate(project.select(everything=True))}
    assert all(place[up] < place[node.address] for node in project.nodes.values() for up in node.after)


def test_a_target_that_names_nothing_is_refused_with_what_there_is(project: Project) -> None:
    with pytest.raises(ProjectError, match=r"'fitt' names no stage.*sample@small"):
        project.select(["fitt"])


def test_changed_stages_are_those_of_dvc_status(finished: Path) -> None:
    (finished / "config.toml").write_text("[data]\nrows = 5\n")
    (finished / "models/tree-small.txt").unlink()
    (finished / "reports/local.txt").write_text("other\n")
    text = (finished / "dvc.yaml").read_text()
    (finished / "dvc.yaml").write_text(text.replace("cat scores.json", "cat  scores.json"))
    project = Project.open(finished)
    changed = {address: why for address, why in project.changes(project.nodes).items() if why}
    said = projects.dvc(finished, "status").stdout.splitlines()
    assert {line.removesuffix(":") for line in said if line.endswith(":") and not line.startswith("\t")} == set(changed)
    assert changed["sample@small"] == ["param data.rows 4 -> 5"]
    assert changed["fit@tree-small"] == ["out models/tree-small.txt deleted"]
    assert changed["reports/dvc.yaml:local"] == ["out reports/local.txt modified"]
    assert "command changed" in changed["compare"]
    assert changed["stamp"] == ["always changed"]


def test_the_plan_says_what_would_run_and_what_may(finished: Path) -> None:
    (finished / "config.toml").write_text("[data]\nrows = 5\n")
    rows = {row.address: (row.would, row.why) for row in foreseen(Request(repo=finished, targets=["compare"]))}
    assert rows["sample@small"] == ("run", "param data.rows 4 -> 5")
    assert rows["compare"] == ("maybe run", "needs fit@ridge-small, fit@tree-small")


@pytest.mark.parametrize(
    ("meta", "told"), [("retries: many", "meta.retries is 'many'"), ("limits: 3", "meta.limits is 3")]
)
def test_meta_that_cannot_be_meant_is_refused_by_stage_and_value(tmp_path: Path, meta: str, told: str) -> None:
    projects.init(tmp_path)
    projects.write(tmp_path, {"dvc.yaml": f"stages: {{hello: {{cmd: echo, meta: {{{meta}}}}}}}"})
    with pytest.raises(ProjectError, match=f"dvc.yaml: stage 'hello': {told}"):
        Project.open(tmp_path).select()


def test_what_dvc_refuses_is_told_in_its_words(matrix: Path) -> None:
    projects.write(matrix, {"more/dvc.yaml": "stages: {again: {cmd: echo, wdir: .., outs: [stamp.txt]}}"})
    with pytest.raises(ProjectError, match=r"DVC cannot read the project: .*stamp.txt"):
        Project.open(matrix).select()
