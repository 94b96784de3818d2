"""The stage as DVC runs it: worker processes, declared paths, a plan, and one clear line where it fails."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.tasks.physics import well_files

DVC = """
stages:
  ingest_well:
    cmd: python -m tasks.physics.ingest_well
    deps: [data/raw/well, "${own.physics}", data/listings/physics.csv, data/exclude.csv]
    params: [ingest_well, own.physics]
    outs: [data/curated/well]
    metrics: [{data/metrics/ingest_well.json: {cache: false}}]
"""
PARAMS = """
run: {engine: local, workers: WORKERS, item_timeout_s: 600, max_reject_fraction: 0.5,
      device: cpu, train_processes: 1, log_level: info}
own: {physics: data/own/physics}
ingest_well: {sources: [], repack: contiguous, stats_digits: 17, max_frozen_share: 0.95}
"""


def files_below(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.slow
def test_the_stage_gives_the_same_bytes_with_one_worker_and_with_three(project: Project) -> None:
    root = project.root
    files = list(well_files.write_dataset(root / "data/raw/well"))
    (root / "data/own/physics").mkdir(parents=True)
    (root / "data/own/physics/torn.hdf5").write_bytes(files[0].read_bytes()[:5000])
    project.write("dvc.yaml", DVC)
    project.write("data/listings/physics.csv", "source,url,bytes,version\n")
    project.write("data/exclude.csv", "id,reason\n")
    stage = (sys.executable, "-m", "tasks.physics.ingest_well")
    found = []
    for workers in (1, 3):
        project.write("params.yaml", PARAMS.replace("WORKERS", str(workers)))
        shutil.rmtree(root / "data/store", ignore_errors=True)
        done = project.command(*stage)
        assert "7 files in, 6 kept, 1 rejected (truncated 1)" in done.stderr
        found.append(files_below(root / "data/curated/well"))
    assert found[0] == found[1]
    assert len([name for name in found[0] if name.endswith(".hdf5")]) == 6
    project.write(
        "params.yaml", PARAMS.replace("WORKERS", "1").replace("max_reject_fraction: 0.5", "max_reject_fraction: 0")
    )
    failed = project.command(*stage, check=False)
    assert failed.returncode == 1
    assert "1 of 7 files are bad" in failed.stderr
    assert "Traceback" not in failed.stderr
