"""How MLflow opens a trained retriever or verifier: a loader module, so that no pickle is needed (`loader_module`).

A table of text comes in: `claim` and `evidence` for a verifier, `text` for a retriever.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.embed import TOKENIZER, Texts
from tasks.learning.models import CONFIG, load_model, read_config
from tasks.text import retriever, verifier

_PAIR = {"claim": ["The heron is a bird."], "evidence": ["Heron. Herons are long-legged birds."]}
_TEXT = {"text": ["The heron is a bird."]}


class ServedVerifier:
    """Claims and evidence to the probabilities of entailment, contradiction and neutral."""

    def __init__(self, folder: Path) -> None:
        self._judge = verifier.load_judge(folder, torch.device("cpu"))

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return float32 (N, 3) for a table with the columns `claim` and `evidence`."""
        claims, evidences = (_column(model_input, name) for name in ("claim", "evidence"))
        return self._judge.probabilities(claims, evidences)


class ServedRetriever:
    """Claims or sentences to their vectors."""

    def __init__(self, folder: Path) -> None:
        model = load_model(folder, retriever.from_config)
        assert isinstance(model, retriever.Retriever)
        self._model = model
        self._texts = Texts((folder / TOKENIZER).read_text(), model.design.tokens)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return float32 (N, D), of unit length, for a table with the column `text`."""
        return retriever.vectors_of([self._model], self._texts, _column(model_input, "text"))[0]


_SERVED = {verifier.BUILDER: (ServedVerifier, _PAIR), retriever.BUILDER: (ServedRetriever, _TEXT)}


def input_example(path: str) -> Any:
    """Return an input, for MLflow to show and to take the signature from."""
    import pandas as pd

    return pd.DataFrame(_served(path)[1])


def _load_pyfunc(path: str) -> ServedVerifier | ServedRetriever:
    """Return the model in folder `path`. Raises ValueError where its config is of neither kind."""
    made: ServedVerifier | ServedRetriever = _served(path)[0](Path(path))
    return made


def _served(path: str) -> tuple[Any, dict[str, list[str]]]:
    named = read_config(path).get("build")
    if named not in _SERVED:
        raise ValueError(f"{Path(path) / CONFIG}: build is {named!r}: one of {', '.join(_SERVED)} is expected")
    return _SERVED[named]


def _column(table: Any, name: str) -> Sequence[str]:
    try:
        return [str(value) for value in table[name]]
    except (KeyError, TypeError, IndexError):
        raise ValueError(f"a table with the column {name!r} is expected") from None
