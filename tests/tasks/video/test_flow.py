"""Flow backends, as far as they go without torchvision; tests/backends_own_env.py runs RAFT itself."""

import sys
from pathlib import Path

import pytest
import torch

from tasks.video.backends import BACKENDS, open_backend
from tasks.video.flow import Raft
from tasks.video.scores import Motion
from tests.tasks.video import checkpoints


def test_the_flow_of_the_pass_has_its_version(tmp_path: Path) -> None:
    assert open_backend("flow", "dis", tmp_path).identity == f"dis@{Motion.version}"


def test_raft_without_its_weights_names_file_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"raft.raft_large.safetensors: no such file. raft needs .*raft_large"):
        open_backend("flow", "raft", tmp_path)


def test_raft_without_torchvision_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    checkpoints.write(tmp_path / "raft_large.safetensors", {"nothing": torch.zeros(1)})
    with pytest.raises(ValueError, match="needs torchvision"):
        Raft(tmp_path).prepare()


def test_every_backend_has_the_name_that_it_is_asked_for_by(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "aesthetic_head.safetensors"):
        checkpoints.write(tmp_path / "laion" / name, {"nothing": torch.zeros(1)})
    checkpoints.write(tmp_path / "lpips" / "alexnet.safetensors", {"nothing": torch.zeros(1)})
    checkpoints.write(tmp_path / "raft" / "raft_large.safetensors", {"nothing": torch.zeros(1)})
    for kind, names in BACKENDS.items():
        for name in names:
            backend = open_backend(kind, name, tmp_path)
            assert backend.identity.startswith(f"{name}@{backend.version}")
            assert ("+" in backend.identity) == (name in {"laion", "lpips", "raft"})
            assert open_backend(kind, name, tmp_path) is backend
