"""The real dvc.yaml in a temporary clone, with small generated videos and simulations, and parameters of their size."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dvc.utils.serialize import dump_yaml, load_yaml

from tasks import lineage
from tasks.video.selection import RULES
from tests.conftest import REPOSITORY, Project, locked_hashes
from tests.tasks.video.clips import Image, moving, still, write_clip

_RULES = {rule.key: None for rule in RULES} | {"min_width_px": 320, "min_height_px": 180, "min_duration_s": 1.5}
_LOOSE = {"reduce": "mean", "near_duplicates": "best", "sample": {"takes": 0, "clusters": 2}}
TEST_SIZE: dict[str, Any] = {
    "run.workers": 2,
    "floor.min_height_px": 100,
    "floor.min_duration_s": 0.5,
    "select_takes.pretrain": _RULES | _LOOSE | {"min_motion_px_s": 20},
    "select_takes.finetune": _RULES | _LOOSE | {"min_motion_px_s": 20, "min_duration_s": 2.2},
    "simulate_well.gray_scott_reaction_diffusion.trajectories": 3,
    "simulate_well.gray_scott_reaction_diffusion.frames": 36,
    "simulate_well.gray_scott_reaction_diffusion.points": 16,
    "simulate_well.gray_scott_reaction_diffusion.side": 0.25,
    "simulate_well.gray_scott_reaction_diffusion.regimes": {
        "maze": {"interval_s": 16, "warm_up_s": 60, "initial": ["fourier"], "filled_share": 0.12}
    },
    "simulate_well.valid_share": 0.34,
    "simulate_well.test_share": 0.33,
    "train_surrogate.valid_windows": 8,
    "train_surrogate.learning.warmup_steps": 1,
    **{f"train_surrogate.networks.{name}.max_steps": 3 for name in ("fno", "tfno", "unet", "cnextunet")},
    **{f"train_surrogate.networks.{name}.config.modes": 8 for name in ("fno", "tfno")},
    **{f"train_surrogate.networks.{name}.config.width": 4 for name in ("fno", "tfno", "unet", "cnextunet")},
    "evaluate_surrogate.one_step_windows": 8,
    "evaluate_surrogate.films": 1,
}


def shots(*parts: list[Image]) -> list[Image]:
    """Return the frames of several shots, one after the other."""
    return [image for part in parts for image in part]


TO_PRETRAIN = ("fetch_video", "scan_video", "detect_shots", "score_takes", "find_duplicates", "select_takes@pretrain")
VIDEO = ("select_takes", "export_takes")  # with all that they need: the video line
STAGES = (*TO_PRETRAIN, "select_takes@finetune", "select_takes@paper", "export_takes@pretrain", "export_takes@finetune")


class Line(Project):
    """A checkout of this repository at test size."""

    def change(self, **values: Any) -> None:
        """Set keys of params.yaml (dots written as __)."""
        self.change_all({key.replace("__", "."): value for key, value in values.items()})

    def change_all(self, values: dict[str, Any]) -> None:
        params = load_yaml(str(self.root / "params.yaml"))
        for key, value in values.items():
            *parents, last = key.split(".")
            level = params
            for parent in parents:
                level = level[parent]
            level[last] = value
        dump_yaml(str(self.root / "params.yaml"), params)

    def repro(self, *more: str, target: str = "select_takes@pretrain") -> None:
        """Run `dvc repro` up to the pre-training set, which is what most tests look at."""
        self.dvc("repro", "-q", *more, target)

    def table(self, path: str) -> list[dict[str, Any]]:
        return list(pq.read_table(self.root / path).to_pylist())

    def names(self, path: str) -> set[str]:
        return {row["name"] for row in self.table(path)}

    def own(self, name: str) -> Path:
        return self.root / "data/own/video" / name

    def stage_runs(self, stage: str) -> list[lineage.RunRef]:
        """The stage's MLflow runs, newest first."""
        return [run for run in self.runs() if run.name == stage]

    def decoded_videos(self) -> list[float]:
        """How many videos each finished run of scan_video decoded, newest first."""
        finished = [run for run in self.stage_runs("scan_video") if run.status == "FINISHED"]
        return [run.metrics["curate/decoded_videos"] for run in finished]

    def out_hashes(self, stages: Sequence[str] = STAGES) -> dict[str, str]:
        """The hash of every out of these stages, as dvc.lock has it."""
        found: dict[str, str] = {}
        for stage in stages:
            found |= locked_hashes(self.root, stage)[1]
        return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos with known takes. film: 2 s moving, 2 s still, 2 s moving. walk, run: one moving take each."""
    folder = tmp_path_factory.mktemp("clips")
    contents = {
        "film": shots(moving(1, 48, 3), still(2, 48), moving(3, 48, 2)),
        "walk": moving(4, 60, 2),
        "run": moving(5, 72, 4),
    }
    return {name: write_clip(folder / f"{name}.mp4", images) for name, images in contents.items()}


@pytest.fixture(scope="session")
def fresh_clone(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, clips: dict[str, Path]
) -> Callable[[], Line]:
    """Make a clone of this repository as it lies here, with `film` as its one source and nothing of one's own."""
    listing = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, capture_output=True, check=True, text=True).stdout.split("\0")

    def make() -> Line:
        root = tmp_path_factory.mktemp("clone") / "headrace"
        for name in filter(None, files):
            if name == "dvc.lock":  # of the desk run, whose outs `dvc exp run` would look for in the cache
                continue
            source, target = REPOSITORY / name, root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        shutil.copy(empty_database, root / "mlruns" / "mlflow.db")
        line = Line(root)
        licence = {"licence": "CC0", "credit": "made by the test", "url": "https://example.invalid"}
        film = {"kind": "url", "name": "film", "location": clips["film"].as_uri(), "sha256": sha256(clips["film"])}
        line.change_all({**TEST_SIZE, "fetch_video.sources": [{**film, **licence}]})
        for command in (["git", "init", "-q", "-b", "main"], ["git", "add", "-A"], ["git", "commit", "-qm", "test"]):
            subprocess.run(command, cwd=root, check=True, env=_identity())
        return line

    return make


def _identity() -> dict[str, str]:
    who = {
        f"GIT_{role}_{what}": "test@example.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return {**os.environ, **who}


@pytest.fixture(scope="session")
def finished(fresh_clone: Callable[[], Line], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A clone in which the video line has run once. Not to be changed: see `line`."""
    return _run_once(fresh_clone(), VIDEO, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def surrogates(fresh_clone: Callable[[], Line], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A clone in which the physics line has run once. Not to be changed."""
    return _run_once(fresh_clone(), ("compare_surrogates",), tmp_path_factory.getbasetemp())


def _run_once(made: Line, targets: tuple[str, ...], base: Path) -> Line:
    env = {
        **_identity(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(made.root),
        "DVC_SITE_CACHE_DIR": str(base / "dvc-site-cache"),
    }
    made.command(sys.executable, "-m", "dvc", "repro", *targets, env=env)
    made.command("git", "add", "-A", env=env)
    made.command("git", "commit", "-qm", "first run", env=env)
    return made


@pytest.fixture
def line(finished: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A copy of the finished clone, for one test."""
    root = tmp_path / "headrace"
    shutil.copytree(finished.root, root, symlinks=True)
    monkeypatch.setenv("PYTHONPATH", str(root))
    return Line(root)
