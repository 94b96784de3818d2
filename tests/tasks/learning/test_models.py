"""Saved models: what is written, what does not fit, and MLflow opening one without a pickle."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.learning.models import load_model, save_model
from tasks.learning.pyfunc import _load_pyfunc
from tests.tasks.learning.small import SIGNAL, Net, weights


def net(config: dict[str, Any] | None = None) -> Net:
    return Net()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_model(tmp_path / "net", Net(), {"width": 16, "channels": ["A", "B"]})
    return tmp_path / "net"


def change(folder: Path, **changes: torch.Tensor | None) -> None:
    """Rewrite the weights with some keys changed, added or (None) left out."""
    file = folder / "model.safetensors"
    tensors = {**load_file(file), **{key.replace("__", "."): value for key, value in changes.items()}}
    save_file({key: value for key, value in tensors.items() if value is not None}, file)


def test_a_model_comes_back_as_it_was(saved: Path) -> None:
    torch.manual_seed(1)
    first = Net().eval()
    seen: list[dict[str, Any]] = []
    model = load_model(saved, lambda config: (seen.append(config), Net())[1])
    assert seen == [{"width": 16, "channels": ["A", "B"]}]
    assert weights(model) == weights(first)
    x = torch.randn(5, SIGNAL)
    assert torch.equal(model(x), first(x))


def test_a_shared_layer_is_written_once_and_what_is_not_persistent_is_not(saved: Path) -> None:
    keys = set(load_file(saved / "model.safetensors"))
    assert "out.weight" in keys
    assert not {"same_out.weight", "scratch"} & keys


def test_equal_models_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_model(tmp_path / "again", Net(), {"channels": ["A", "B"], "width": 16})
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()
    assert sorted(file.name for file in saved.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden__weight": None}, r"hidden.weight is missing"),
        ({"hidden__weight": None, "hidden__weights": torch.ones(16, 12)}, r"hidden.weight is missing .*hidden.weights"),
        ({"second__weight": torch.ones(1)}, r"the model has no second.weight"),
        ({"hidden__bias": torch.ones(8)}, r"hidden.bias is float32 \[8\], the model's is float32 \[16\]"),
        ({"filter": torch.ones(7)}, r"filter is float32 \[7\], the model's is complex64 \[7\]"),
    ],
)
def test_wrong_and_missing_keys_are_named(saved: Path, changes: dict[str, Any], message: str) -> None:
    change(saved, **changes)
    with pytest.raises(ValueError, match=rf"net/model.safetensors: {message}"):
        load_model(saved, net)


def test_files_that_are_no_model_are_named(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match=r"net/model\.safetensors: not a safetensors file"):
        load_model(saved, net)
    (saved / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"net/config\.json: not JSON"):
        load_model(saved, net)
    (saved / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_model(saved, net)


def test_a_model_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    model = Net()
    with torch.no_grad():
        model.filter[2] = torch.inf
    with pytest.raises(ValueError, match="filter has values that are not finite"):
        save_model(tmp_path, model, {})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("tasks.made_for_test")
    module.build = net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tasks.made_for_test", module)
    return "tasks.made_for_test:build"


def test_mlflow_opens_a_model_without_a_pickle(tmp_path: Path, builder: str) -> None:
    import mlflow

    model = Net().eval()
    save_model(tmp_path / "net", model, {"build": builder})
    mlflow.pyfunc.save_model(
        tmp_path / "logged",
        loader_module="tasks.learning.pyfunc",
        data_path=str(tmp_path / "net"),
        pip_requirements=[],  # else a process of its own finds out
    )
    x = np.random.default_rng(0).standard_normal((4, SIGNAL))
    found = mlflow.pyfunc.load_model(str(tmp_path / "logged")).predict(x)
    assert np.array_equal(found, model(torch.from_numpy(x).float()).detach().numpy())
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".pkl", ".pth", ".pt", ".bin")]


@pytest.mark.parametrize("named", [None, "os:system", "tasks.made_for_test", "tasksevil:build", 3])
def test_only_our_own_builders_are_called(tmp_path: Path, named: Any) -> None:
    save_model(tmp_path, Net(), {"build": named})
    with pytest.raises(ValueError, match=r"config.json: build is .* 'tasks.MODULE:FUNCTION' is expected"):
        _load_pyfunc(str(tmp_path))


def test_config_is_plain_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_model(tmp_path, Net(), {"lr": float("nan")})
    assert list(tmp_path.iterdir()) == []
    save_model(tmp_path, Net(), {"b": 1, "a": [1.5]})
    assert json.loads((tmp_path / "config.json").read_text()) == {"a": [1.5], "b": 1}
