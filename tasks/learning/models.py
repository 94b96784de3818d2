"""A trained model as files: model.safetensors and config.json, from which its module can build it again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from tasks.learning.tensors import fill, model_tensors
from tasks.tables import write_whole

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_REMEDY = "Give the config that it was trained with, or train it again"


def save_model(folder: str | Path, model: torch.nn.Module, config: Mapping[str, Any]) -> None:
    """Write weights (parameters and persistent buffers, shared ones once) and `config`, which is plain JSON.

    Equal weights and configs give equal bytes. Raises ValueError for weights that are not finite: such a model is
    no result.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model_tensors(model).items()}
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ValueError(f"{folder / WEIGHTS}: {broken[0]} has values that are not finite; not written")
    text = json.dumps(dict(config), indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_whole(folder / WEIGHTS, safetensors.torch.save(tensors))
    write_whole(folder / CONFIG, text.encode())


def load_model(folder: str | Path, build: Callable[[dict[str, Any]], torch.nn.Module]) -> torch.nn.Module:
    """Return the model that `build` makes of the config, with the saved weights, on CPU and in evaluation mode.

    Raises FileNotFoundError, or ValueError naming the file and the keys that are wrong or missing.
    """
    folder = Path(folder)
    model = build(read_config(folder))
    try:
        found = safetensors.torch.load((folder / WEIGHTS).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS}: not a safetensors file ({error}). {_REMEDY}") from error
    fill(model_tensors(model), found, str(folder / WEIGHTS), _REMEDY)
    return model.eval()


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the config that lies beside the weights. Raises FileNotFoundError, or ValueError naming the file."""
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}). {_REMEDY}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: not a JSON object. {_REMEDY}")
    return config
