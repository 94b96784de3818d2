"""What orchestration costs, each figure beside the plain tool in the same run: python -m bench.orchestration

Projects are made in a temporary folder with state of their own. Times are the smallest of several tries, taken in
turns; CPU is user + system time of the process and all that it waited for. Run it on an idle machine.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.results import Row
from flows.server import started_server

HERE = Path(__file__).resolve().parent
ROWS = HERE / "orchestration.json"
PYTHON = sys.executable
STAGES = 12


@dataclass(frozen=True)
class Cost:
    """Seconds of a command."""

    wall: float
    cpu: float


def cost(command: list[str], cwd: Path, env: Mapping[str, str]) -> Cost:
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed in {cwd}:\n{said.decode(errors='replace')}")
    return Cost(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime)


def in_turns(tries: int, *commands: Callable[[], Cost]) -> list[Cost]:
    """Run the commands in turns and return for each the smallest wall and CPU time."""
    taken: list[list[Cost]] = [[] for _ in commands]
    for _ in range(tries):
        for costs, command in zip(taken, commands, strict=True):
            costs.append(command())
    return [Cost(min(c.wall for c in costs), min(c.cpu for c in costs)) for costs in taken]


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    for command in (["git", "init", "-q"], [PYTHON, "-m", "dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=root, check=True)
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", *who, "commit", "-q", "-m", "bench"], cwd=root, check=True)
    return root


def chain(root: Path) -> Path:
    """A chain of stages that take no time of their own."""
    stages = "".join(
        f"  s{i:02}: {{cmd: cp t{i}.txt t{i + 1}.txt, deps: [t{i}.txt], outs: [t{i + 1}.txt]}}\n" for i in range(STAGES)
    )
    return project(root, {"t0.txt": "x\n", "dvc.yaml": "stages:\n" + stages})


def unchanged(folder: Path, env: Mapping[str, str], tries: int) -> list[Row]:
    root = chain(folder / "chain")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(HERE.parent / name, root)
    venv = Path(sys.prefix)
    make = ["make", "-s", f"VENV={venv}", "-o", f"{venv}/.ready", "repro"]
    bare = [PYTHON, "-m", "dvc", "repro"]
    headrace = [PYTHON, "-m", "flows.cli", "run", "--repo", str(root)]
    no_api = {name: value for name, value in env.items() if name != "PREFECT_API_URL"}
    cost(bare, root, env)
    without = {**env, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    cost([*headrace, "-f"], HERE.parent, without)  # records the stages in MLflow
    plain, made, flow, status, imports = in_turns(
        tries,
        lambda: cost(bare, root, env),
        lambda: cost(make, root, env),
        lambda: cost(headrace, HERE.parent, no_api),
        lambda: cost([PYTHON, "-m", "dvc", "status"], root, env),
        lambda: cost([PYTHON, "-c", "import flows.launch, flows.cli"], HERE.parent, env),
    )
    ratio = made.wall / plain.wall
    return [
        Row(
            "unchanged `make repro`",
            f"{made.wall:.2f} s ({made.cpu:.2f} s CPU)",
            f"`dvc repro` {plain.wall:.2f} s ({plain.cpu:.2f} s CPU)",
            f"{ratio:.2f}x",
            "<= 1.2x",
            ratio <= 1.2,
        ),
        Row(
            f"unchanged pipeline flow of {STAGES} stages, no API configured: no stage process, no server",
            f"{flow.cpu:.2f} s CPU, {flow.wall:.2f} s",
            f"`dvc status` {status.cpu:.2f} s CPU",
            f"one status + {flow.cpu - status.cpu:.2f} s CPU (importing headrace: {imports.cpu:.2f})",
            "one status + stated fixed costs",
        ),
    ]


def per_stage_of_pipeline(folder: Path, env: Mapping[str, str]) -> Row:
    root = chain(folder / "forced")
    headrace = [PYTHON, "-m", "flows.cli", "run", "-f", "--jobs", "1", "--repo", str(root)]
    cost(headrace, HERE.parent, env)
    flow, one_by_one, together = in_turns(
        2,
        lambda: cost(headrace, HERE.parent, env),
        lambda: _one_by_one(root, env),
        lambda: cost([PYTHON, "-m", "dvc", "repro", "-f"], root, env),
    )
    return Row(
        "a stage of the pipeline: own process, Prefect task, MLflow run",
        f"{flow.cpu / STAGES:.2f} s CPU a stage, fixed costs of the flow included",
        f"`dvc repro -s` {one_by_one.cpu / STAGES:.2f}, one `dvc repro` {together.cpu / STAGES:.2f} s CPU a stage",
        f"+{(flow.cpu - one_by_one.cpu) / STAGES:.2f} s CPU a stage over `dvc repro -s`",
        "stated",
    )


def _one_by_one(root: Path, env: Mapping[str, str]) -> Cost:
    costs = [cost([PYTHON, "-m", "dvc", "repro", "-f", "-s", f"s{i:02}"], root, env) for i in range(STAGES)]
    return Cost(sum(c.wall for c in costs), sum(c.cpu for c in costs))


STAGE = '''
    from pydantic import Field
    from tasks.stage import Report, Stage, StrictModel, stage_main

    class Copy(StrictModel):
        times: int = Field(ge=1)

    class Params(StrictModel):
        copy_text: Copy

    def run(stage: Stage, params: Params) -> Report:
        """Copy a text."""
        text = stage.dep("raw.txt").read_text() * params.copy_text.times
        stage.out("copy.txt").write_text(text)
        stage.metrics({"text": {"length": len(text)}})
        return Report("text", 1, 1, {}, "copy.txt")

    if __name__ == "__main__":
        stage_main(run, Params)
'''
SCRIPT = """
    import time, mlflow
    from dvc.repo import Repo
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient
    stages = list(Repo(".").index.stages)
    client = MlflowClient()
    found = client.get_experiment_by_name("script")
    experiment = found.experiment_id if found else client.create_experiment("script")
    run = client.create_run(experiment)
    now = int(time.time() * 1000)
    client.log_batch(run.info.run_id, [Metric("text/length", 1.0, now, 0)], [Param("times", "1")], [RunTag("a", "b")])
    client.set_terminated(run.info.run_id)
"""


def per_stage(folder: Path, env: Mapping[str, str], tries: int) -> Row:
    root = project(
        folder / "stage",
        {
            "text/__init__.py": "",
            "text/copy_text.py": STAGE,
            "script.py": SCRIPT,
            "raw.txt": "x\n",
            "params.yaml": "run: {engine: local, workers: 1, item_timeout_s: 60, max_reject_fraction: 0.5,"
            " device: cpu, train_processes: 1, log_level: info}\ncopy_text: {times: 3}\n",
            "dvc.yaml": """
                stages:
                  copy_text:
                    cmd: python -m text.copy_text
                    deps: [text/copy_text.py, raw.txt]
                    params: [copy_text]
                    outs: [copy.txt]
                    metrics: [{data/metrics/copy_text.json: {cache: false}}]
            """,
        },
    )
    env = {**env, "DVC_STAGE": "copy_text", "DVC_ROOT": str(root), "PYTHONPATH": f"{root}:{HERE.parent}"}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{root}/mlruns/mlflow.db"
    for name in ("text.copy_text", "script"):
        cost([PYTHON, "-m", name], root, env)  # makes the database and the experiments
    stage, script = in_turns(
        tries,
        lambda: cost([PYTHON, "-m", "text.copy_text"], root, env),
        lambda: cost([PYTHON, "-m", "script"], root, env),
    )
    more = stage.cpu - script.cpu
    return Row(
        "a stage that does nothing",
        f"{stage.cpu:.2f} s CPU",
        f"script that imports mlflow, opens DVC's index, logs one run with one batch: {script.cpu:.2f} s CPU",
        f"{more:+.2f} s CPU",
        "<= +1 s",
        more <= 1,
    )


BURN = """
    import sys
    x = 0
    for i in range(int(sys.argv[1])):
        x = (x * 1103515245 + 12345) % 2147483648
    open(sys.argv[2], "w").write(str(x))
"""


def overlap(folder: Path, env: Mapping[str, str], seconds: float) -> Row:
    root = folder / "branches"
    root.mkdir()
    (root / "burn.py").write_text(textwrap.dedent(BURN))
    probe = 3_000_000
    rounds = int(probe * seconds / cost([PYTHON, "burn.py", str(probe), "probe.txt"], root, env).cpu)
    stage = "{{cmd: {python} burn.py {rounds} {name}.txt, deps: [burn.py], outs: [{name}.txt]}}"
    stages = "".join(f"  {n}: {stage.format(python=PYTHON, rounds=rounds, name=n)}\n" for n in ("left", "right"))
    stages += "  before: {cmd: echo > before.txt, outs: [before.txt]}\n"
    project(root, {"dvc.yaml": "stages:\n" + stages})
    copy = shutil.copytree(root, folder / "branches-dvc")
    cost([PYTHON, "-m", "flows.cli", "run", "before", "--repo", str(root)], HERE.parent, env)  # makes MLflow's database
    cost([PYTHON, "-m", "dvc", "repro", "before"], copy, env)
    ours = cost([PYTHON, "-m", "flows.cli", "run", "--jobs", "2", "--repo", str(root)], HERE.parent, env)
    dvc = cost([PYTHON, "-m", "dvc", "repro"], copy, env)
    ceiling = of_two_at_once(root, env, rounds // 3)
    ratio = dvc.wall / ours.wall
    return Row(
        f"two CPU-bound branches of {seconds:.0f} s on {os.cpu_count()} cores, a Prefect API configured",
        f"`headrace run` {ours.wall:.1f} s",
        f"`dvc repro` {dvc.wall:.1f} s",
        f"{ratio:.2f}x (the same two as bare processes, just after: {ceiling:.2f}x)",
        ">= 1.7x",
        ratio >= 1.7,
    )


def of_two_at_once(root: Path, env: Mapping[str, str], rounds: int) -> float:
    """Return how much sooner two bare processes end together than one after the other: what this machine can give."""
    begun = time.perf_counter()
    subprocess.run([PYTHON, "burn.py", str(rounds), "alone.txt"], cwd=root, env=env, check=True)
    alone = time.perf_counter() - begun
    begun = time.perf_counter()
    both = [subprocess.Popen([PYTHON, "burn.py", str(rounds), f"{n}.txt"], cwd=root, env=env) for n in ("one", "two")]
    for process in both:
        process.wait()
    return 2 * alone / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--branch-seconds", type=float, default=60.0, help="CPU seconds of each of the two branches")
    parser.add_argument("--tries", type=int, default=5)
    told = parser.parse_args()
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-orchestration-") as name:
        folder = Path(name)
        state = {"PREFECT_HOME": str(folder / "prefect"), "DVC_SITE_CACHE_DIR": str(folder / "site")}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "HEADRACE_", "DVC_"))}
        os.environ.update(state)
        env = {**kept, **state}
        begun = time.perf_counter()
        with started_server(folder / "server.log"):
            fresh = time.perf_counter() - begun
        begun = time.perf_counter()
        with started_server(folder / "server.log") as url:
            again = time.perf_counter() - begun
            with_api = {**env, "PREFECT_API_URL": url}
            rows = [
                *unchanged(folder, with_api, told.tries),
                per_stage(folder, env, told.tries),
                per_stage_of_pipeline(folder, with_api),
                Row("start of a Prefect server", f"{again:.1f} s", f"{fresh:.1f} s with a new database", "", "stated"),
                overlap(folder, with_api, told.branch_seconds),
            ]
    kept_rows = {"cores": os.cpu_count(), "load_before": round(load, 1), "rows": [asdict(row) for row in rows]}
    ROWS.write_text(json.dumps(kept_rows, indent=1) + "\n")
    print("| figure | ours | beside | result | target | met |\n|---|---|---|---|---|---|")
    for row in rows:
        met = {True: "yes", False: "no", None: "-"}[row.met]
        print(f"| {row.figure} | {row.ours} | {row.beside} | {row.result} | {row.target} | {met} |")


if __name__ == "__main__":
    main()
