"""How MLflow opens a saved model: a loader module, so that no pickle is needed (`loader_module`, `data_path`).

The config beside the weights says under `build` which of our functions makes the model: "tasks.physics.networks:build".
"""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.learning.models import CONFIG, load_model, read_config

EXAMPLE = "input_example.npy"
_BUILDER = re.compile(r"(tasks(?:\.\w+)+):(\w+)")


class Predictor:
    """A model that maps one array to one array, float32."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return what the model makes of an array, (B, ...); lists as JSON brings them will do."""
        with torch.no_grad():
            return self._model(torch.from_numpy(np.array(model_input, np.float32))).numpy()


def input_example(path: str) -> np.ndarray | None:
    """Return the input that was saved beside the model, for MLflow to show and to take the signature from."""
    file = Path(path) / EXAMPLE
    return np.load(file, allow_pickle=False) if file.exists() else None


def _load_pyfunc(path: str) -> Predictor:
    """Return the model in folder `path`. Raises ValueError where its config names no builder of ours."""
    named = read_config(path).get("build")
    match = _BUILDER.fullmatch(named) if isinstance(named, str) else None
    if match is None:  # any other module would be somebody else's code
        raise ValueError(f"{Path(path) / CONFIG}: build is {named!r}: 'tasks.MODULE:FUNCTION' is expected")
    return Predictor(load_model(path, getattr(importlib.import_module(match[1]), match[2])))
