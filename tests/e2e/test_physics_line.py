"""The physics line through the real dvc.yaml: from simulations to a champion that is served."""

import json

import duckdb
import mlflow
import numpy as np
import pytest
import torch

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
    model = load_model(folder, from_config)
    example = np.load(folder / "input_example.npy")
    with torch.no_grad():
        predicted = model(torch.from_numpy(example)).numpy()
    assert predicted.shape == (1, 2, 16, 16)
    assert np.abs(predicted - example[:, -2:]).mean() < 1  # three steps of training: about what was there


def test_registering_twice_gives_the_same_versions_and_champion(
    surrogates: Line, monkeypatch: pytest.MonkeyPatch
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
    assert loaded.predict(example).shape == (1, 2, 16, 16)
    assert loaded.metadata.signature is not None
    version = lineage.client().get_model_version_by_alias("well_surrogate", "champion")
    assert str(version.version) == chosen.version
