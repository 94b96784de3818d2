"""`headrace`: run a DVC project's pipeline, say what would run, say where a file came from."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from flows.effects import StudyReport

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Repo = Annotated[
    Path, typer.Option("--repo", help="A DVC repository, or a folder in one.", exists=True, file_okay=False)
]
Targets = Annotated[
    list[str] | None,
    typer.Argument(
        help="Stages by address or name, globs of them, `meta: {line: ...}` groups, dvc.yaml files or outs, with all "
        "that they need. Default: the dvc.yaml at the root, as `dvc repro` does.",
        show_default=False,
    ),
]
Everything = Annotated[bool, typer.Option("--all-pipelines", "-P", help="All dvc.yaml files of the repository.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Run stages also where nothing has changed.")]


@app.callback()
def _main() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("headrace: %(message)s"))
    logger = logging.getLogger("headrace")
    logger.handlers, logger.propagate = [handler], False


@app.command()
def run(
    targets: Targets = None,
    repo: Repo = Path(),
    everything: Everything = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Stages at the same time.")] = os.cpu_count() or 1,
    keep_going: Annotated[
        bool, typer.Option(help="After a failure, run what does not depend on it; else start nothing more.")
    ] = True,
    force: Force = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-S",
            help="Set a parameter before, as `dvc exp run -S` does: [FILE:]KEY=VALUE. It stays set.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another pipeline run on this checkout to end.")
    ] = False,
) -> None:
    """Bring the pipeline up to date: what has changed, in parallel, tracked in MLflow and Prefect."""
    from flows.graph import ProjectError
    from flows.launch import run_pipeline
    from flows.plan import Request

    signal.signal(signal.SIGTERM, _terminated)
    request = Request(
        repo=repo,
        targets=targets or [],
        everything=everything,
        jobs=jobs,
        keep_going=keep_going,
        force=force,
        changes=change or [],
        wait=wait,
    )
    try:
        done = run_pipeline(request, say=_say)
    except ProjectError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("cancelled: every stage that ran was ended", code=130)
    table = Table("stage", "state", "seconds", "MLflow run of the present outs", "note", box=None, pad_edge=False)
    for row in done.rows():
        seconds = f"{row['seconds']:.1f}" if row["seconds"] else ""
        table.add_row(row["stage"], row["state"], seconds, row["run"], row["note"])
    _print(table)
    if done.failed():
        if request.changes:
            _say(_still_set(request.changes))
        raise typer.Exit(1)


@app.command()
def plan(targets: Targets = None, repo: Repo = Path(), everything: Everything = False, force: Force = False) -> None:
    """Say what `run` would run, and why, from one DVC status; nothing is started."""
    from flows.graph import ProjectError
    from flows.plan import Request, foreseen

    try:
        rows = foreseen(Request(repo=repo, targets=targets or [], everything=everything, force=force))
    except ProjectError as error:
        _fail(str(error))
    table = Table("stage", "would", "why", "command", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.address, row.would, row.why, row.command)
    _print(table)


@app.command()
def lineage(
    file: Annotated[Path, typer.Argument(help="An out of a stage, or a file in a folder that is one.")],
) -> None:
    """Say which stage, run, commit, data and parameters made FILE, and whether it has changed since."""
    from flows.graph import ProjectError
    from flows.origin import origin_of

    try:
        origin = origin_of(file)
    except ProjectError as error:
        _fail(str(error))
    inside = "" if origin.out == origin.path else f" (in the out {origin.out})"
    facts = [
        ("file", f"{origin.path}{inside}: {origin.standing}"),
        ("hash", origin.present or origin.recorded or "-"),
        ("stage", origin.address),
        ("command", origin.command.replace("\n", "; ") or "none: data added or imported with DVC"),
        ("run", f"{origin.run.url} ({origin.run.name})" if origin.run else "made elsewhere, or not tracked in MLflow"),
        ("commit", origin.commit or "not known"),
    ]
    if origin.present and origin.recorded and origin.present != origin.recorded:
        facts.insert(2, ("recorded", origin.recorded))
    for path, digest in origin.locked.deps.items():
        maker = f" (made by {origin.made_by[path]})" if path in origin.made_by else ""
        facts.append(("read", f"{path} {digest}{maker}"))
    for name, keys in origin.locked.params.items():
        facts += [("param", f"{key} = {value!r} ({name})") for key, value in keys.items()]
    for label, text in facts:
        _say(f"{label:<9}{text}")


sources = typer.Typer(no_args_is_help=True, help="Files that lie elsewhere.")
app.add_typer(sources, name="sources")


@sources.command()
def refresh(repo: Repo = Path()) -> None:
    """List remote sources anew, by each stage's `meta: {refresh: COMMAND}`. A changed listing makes its stage run."""
    root, commands = _commands_of(repo, "refresh", "no stage says how its sources are listed")
    failed = [command for command in commands if subprocess.run(command, shell=True, cwd=root, check=False).returncode]
    if failed:
        _fail(f"not refreshed: {'; '.join(failed)}")


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Texts of your own.", exists=True, dir_okay=False, resolve_path=True),
    ],
    repo: Repo = Path(),
) -> None:
    """Judge files of your own by what the pipeline has made: by each stage's `meta: {check: COMMAND}`, with the files.

    Ends with the highest code that a command ended with.
    """
    root, commands = _commands_of(repo, "check", "no stage says how a file is judged")
    names = shlex.join(str(path) for path in files)
    codes = [subprocess.run(f"{command} {names}", shell=True, cwd=root, check=False).returncode for command in commands]
    raise SystemExit(max(codes))


def _commands_of(repo: Path, key: str, lack: str) -> tuple[Path, list[str]]:
    """Return the checkout and what its stages have as `meta.KEY`, each once; fails, saying what lacks, without any."""
    from flows.graph import Project, ProjectError
    from tasks.env import checkout_root, configure

    root = checkout_root(repo)
    configure(root)
    try:
        nodes = Project.open(root).nodes.values()
    except ProjectError as error:
        _fail(str(error))
    commands = list(dict.fromkeys(str(node.meta[key]) for node in nodes if key in node.meta))
    if not commands:
        _fail(f"{root}: {lack} (meta.{key})")
    return root, commands


@app.command()
def register(repo: Repo = Path()) -> None:
    """Put the models that stages made into MLflow's registry, with the aliases that stages chose.

    The same outs give the same versions and aliases, whether stages ran here, were restored or pulled.
    """
    from flows.graph import Project, ProjectError
    from flows.registry import has_models
    from flows.registry import register as bring_up_to_date
    from tasks import env

    root = env.checkout_root(repo)
    env.configure(root)
    try:
        project = Project.open(root)
        if not has_models(project):
            _fail(f"{root}: no stage declares a model: add meta.model to one that makes it (see README.md)")
        done = bring_up_to_date(project, say=_say)
    except ProjectError as error:
        _fail(str(error))
    table = Table("model", "version", "", "made by", "hash of the out", "aliases", box=None, pad_edge=False)
    for one in done:
        state = "new" if one.new else "there"
        table.add_row(one.model, one.version, state, one.address, one.digest[:12], ", ".join(one.aliases))
    _print(table)


@app.command()
def ui(
    repo: Repo = Path(),
    prefect_port: Annotated[int, typer.Option(min=1, max=65535)] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Serve the Prefect and MLflow pages on the loopback; Ctrl-C ends both."""
    from flows.graph import ProjectError
    from flows.ui import serve_pages
    from tasks.env import checkout_root

    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell script starts its background jobs without it
    try:
        serve_pages(checkout_root(repo), prefect_port=prefect_port, mlflow_port=mlflow_port, say=_say)
    except (ProjectError, FileNotFoundError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _say("ended")


@app.command()
def study(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Studies of studies/effects.yaml, such as physics. Default: all.", show_default=False),
    ] = None,
    repo: Repo = Path(),
) -> None:
    """Tell what studies' finished cells say: figures over seeds with 95 % intervals, claims beside what was found.

    `make study [LINE=NAME]` runs the cells that are not finished.
    """
    from flows.effects import read_effects
    from flows.graph import ProjectError
    from flows.studies import finished_cells
    from tasks.env import checkout_root

    root = checkout_root(repo)
    try:
        reports = read_effects(root)
        unknown = [name for name in names or () if name not in reports]
        if unknown:
            _fail(f"{root}: no study '{unknown[0]}'; there are {', '.join(reports)}")
    except ProjectError as error:
        _fail(str(error))
    for name in names or reports:
        cells = finished_cells(root, name)
        _say(f"study {name}: {len(cells)} finished cells; 'make study LINE={name}' runs what is not finished\n")
        try:
            if cells:
                _tell_study(reports[name], cells)
        except ProjectError as error:
            _fail(str(error))


def _tell_study(report: "StudyReport", cells: list[dict[str, Any]]) -> None:
    from flows.effects import figures_by_setting, judge

    axes = [axis for axis in cells[0]["axes"] if axis != "seed"]
    table = Table(*axes, *report.figures, box=None, pad_edge=False)
    for setting, values in figures_by_setting(cells, list(report.figures.values())).items():
        table.add_row(*setting, *values)
    _print(table)
    _say("")
    table = Table("claim", "bound", "ratio over seeds", "seeds", "", box=None, pad_edge=False)
    for effect in (one for told in report.effects for one in told.single()):
        verdict = judge(effect, cells)
        bound = f"<= {effect.at_most:g}" if effect.at_most is not None else f">= {effect.at_least:g}"
        seeds = str(verdict.ratio.count) if verdict.ratio else ""
        table.add_row(effect.claim, bound, str(verdict.ratio or "-"), seeds, verdict.word)
    _print(table)


@app.command()
def cell(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study that the cell is of.")],
    axes: Annotated[list[str], typer.Argument(metavar="AXIS=VALUE...", help="Its place in the study.")],
    target: Annotated[str, typer.Option("--run", help="A stage of dvc.yaml; what it needs is run before it.")],
    files: Annotated[
        list[str] | None,
        typer.Option("--with", help="A YAML file of parameters, dotted key to value.", show_default=False),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", "-S", help="A parameter: KEY=VALUE.", show_default=False)
    ] = None,
    repo: Repo = Path(),
) -> None:
    """Run one cell of a study in a copy of the checkout, unless its committed figures are of the same run."""
    from flows.graph import ProjectError
    from flows.studies import Cell, run_cell
    from tasks import env

    root = env.checkout_root(repo)
    env.configure(root)
    signal.signal(signal.SIGTERM, _terminated)
    wrong = [axis for axis in axes if not all(axis.partition("=")[::2])]
    if wrong:
        _fail(f"'{wrong[0]}' is no place in a study: write AXIS=VALUE")
    one = Cell(name, dict(axis.split("=", 1) for axis in axes), target, tuple(files or ()), tuple(changes or ()))
    try:
        ran = run_cell(root, one)
    except ProjectError as error:
        _fail(str(error))
    _say(f"{one.path}: {'written' if ran else 'there already, of the same parameters, versions and data'}")


def _still_set(changes: list[str]) -> str:
    """Say that values of --set stay, and how they are undone: one of them may be why a stage failed."""
    files = {c.partition("=")[0].rpartition(":")[0] or "params.yaml": None for c in changes}
    names = " ".join(files)
    return (
        f"{', '.join(changes)} of --set stays in {names}: 'git diff {names}' shows it with the old value, "
        f"'git checkout {names}' undoes it with all other changes there"
    )


def _terminated(*_: object) -> NoReturn:
    raise SystemExit(143)


def _say(line: str) -> None:
    print(line, flush=True)


def _print(table: Table) -> None:
    """Print a table: in the width of a terminal, else with no line cut."""
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=10_000)
    with console.capture() as captured:
        console.print(table)
    _say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _fail(message: str, code: int = 1) -> NoReturn:
    print(f"headrace: {message}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    app()
