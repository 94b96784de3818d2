"""The physics line through the real dvc.yaml: from simulations to a champion that is served."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import mlflow
import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from flows.graph import Project as DvcProject
from flows.registry import register
from tasks import lineage
from tasks.learning.models import load_model
from tasks.physics.surrogate import from_config
from tests.e2e.conftest import Line

pytestmark = pytest.mark.slow  # eleven processes, of which ten import torch
NETWORKS = ("fno", "tfno", "unet", "cnextunet")


def test_every_stage_ran_and_the_best_by_validation_is_named(surrogates: Line) -> None:
    figures = {
        name: json.loads((surrogates.root / f"data/metrics/evaluate_surrogate/{name}.json").read_text())
        for name in NETWORKS
    }
    valid = {name: found["valid"]["vrmse_one_step"] for name, found in figures.items()}
    champion = json.loads((surrogates.root / "data/reports/compare_surrogates/champion.json").read_text())
    assert champion["name"] == min(valid, key=lambda name: valid[name])
    assert champion["stage"] == f"train_surrogate@{champion['name']}"
    table = (surrogates.root / "data/reports/compare_surrogates/table.md").read_text()
    assert all(name in table for name in (*NETWORKS, "persistence"))
    for name in NETWORKS:
        trained = json.loads((surrogates.root / f"data/metrics/train_surrogate/{name}.json").read_text())
        assert trained["train"]["steps"] == 3
        (film,) = (surrogates.root / f"data/reports/evaluate_surrogate/{name}/films").glob("*.mp4")
        assert film.stat().st_size > 1000


def test_the_catalog_is_read_by_sql(surrogates: Line) -> None:
    catalog = surrogates.root / "data/curated/well/catalog.parquet"
    query = f"select split, count(*), count(distinct trajectory_id) from '{catalog}' group by split order by split"
    assert duckdb.sql(query).fetchall() == [("test", 1, 1), ("train", 1, 1), ("valid", 1, 1)]


def test_a_saved_model_gives_the_next_frame_of_its_example(surrogates: Line) -> None:
    folder = surrogates.root / "data/models/surrogate/unet"
    config, saved = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    assert (config["frames"], config["channels"], config["delta"]) == (4, ["A", "B"], True)
    model = load_model(folder, from_config)
    example = np.load(folder / "input_example.npy")  # 4 frames of 2 fields, the oldest first
    shift, scale, delta_shift, delta_scale = (
        saved[name].reshape(1, 2, 1, 1).numpy() for name in ("field_shift", "field_scale", "delta_shift", "delta_scale")
    )
    assert not np.allclose(scale, 1)
    assert not np.allclose(delta_scale, 1)
    normal = np.concatenate([(example[:, n : n + 2] - shift) / scale for n in range(0, 8, 2)], axis=1)
    with torch.no_grad():
        change = model.network(torch.from_numpy(normal)).numpy() * delta_scale + delta_shift
        predicted = model(torch.from_numpy(example)).numpy()
    assert predicted.shape == (1, 2, 16, 16)
    np.testing.assert_allclose(predicted, example[:, -2:] + change, rtol=0, atol=1e-5)


def test_registering_twice_gives_the_same_versions_and_a_champion_that_is_served(
    surrogates: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{surrogates.root}/mlruns/mlflow.db")
    project = DvcProject.open(surrogates.root)
    first = register(project)
    assert sorted(one.address for one in first) == sorted(f"train_surrogate@{name}" for name in NETWORKS)
    assert all(one.new for one in first)
    (chosen,) = (one for one in first if one.aliases)
    champion = json.loads((surrogates.root / "data/reports/compare_surrogates/champion.json").read_text())
    assert (chosen.aliases, chosen.address) == (("champion",), champion["stage"])
    again = register(project)
    assert [(one.version, one.new) for one in again] == [(one.version, False) for one in first]
    loaded = mlflow.pyfunc.load_model("models:/well_surrogate@champion")
    example = np.load(surrogates.root / f"data/models/surrogate/{champion['name']}/input_example.npy")
    predicted = loaded.predict(example)
    assert predicted.shape == (1, 2, 16, 16)
    assert loaded.metadata.signature is not None
    version = lineage.client().get_model_version_by_alias("well_surrogate", "champion")
    assert str(version.version) == chosen.version
    with served("models:/well_surrogate@champion", tmp_path) as url:
        body = json.dumps({"inputs": example.tolist()}).encode()
        request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request, timeout=60))
    np.testing.assert_allclose(answer["predictions"], predicted, rtol=0, atol=1e-5)


@contextmanager
def served(model: str, folder: Path, within_s: float = 300) -> Iterator[str]:
    """Serve a model as `mlflow models serve` does, away from our checkout, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    with (folder / "served.log").open("w") as log:
        process = psutil.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + within_s
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            said = (folder / "served.log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*process.children(recursive=True), process] if process.is_running() else []
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
        psutil.wait_procs(family, timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
