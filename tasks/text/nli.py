"""Entailment models of one's own: does a text entail, contradict or leave open a claim?

A folder in the form of transformers (config.json with the names of its labels, safetensors, tokenizer), read from disk
and never fetched; no code in it is run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from tasks.strict import StrictModel

MAX_TOKENS = 512
LABELS = ("entailment", "contradiction", "neutral")


class Nli(StrictModel):
    """Which entailment model judges. backend none: contradiction is by construction."""

    backend: Literal["none", "folder"] = Field(description="none: by construction; folder: a model of yours on disk")
    model: str = Field(description="name of its folder in own.models; of no matter where backend is none")
    threshold: float = Field(gt=0, lt=1, description="probability of contradiction, both ways, at least")


class Probabilities(NamedTuple):
    """Of one premise and hypothesis; they sum to 1."""

    entailment: float
    contradiction: float
    neutral: float


class Judge:
    """An entailment model, read once."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Read the model. Raises ValueError, naming folder and remedy, where it is no three-way entailment model."""
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder}: no config.json in it: put a model there in the form of transformers")
        names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})
        places = {_label(name): int(place) for place, name in names.items()}
        if set(places) != set(LABELS):
            raise ValueError(
                f"{folder}/config.json: id2label is {names}, expected entailment, contradiction and neutral: name them"
            )
        self._order = [places[label] for label in LABELS]
        self._device = torch.device(device)
        offline: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokens = AutoTokenizer.from_pretrained(folder, **offline)
            model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, **offline)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: {error}: safetensors and a tokenizer are expected") from None
        self._model = model.to(self._device).eval()

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        """Return what the model says of each (premise, hypothesis). Each is read alone: a batch rounds otherwise."""
        import torch

        found = []
        with torch.inference_mode():
            for premise, hypothesis in pairs:
                read = self._tokens(
                    premise, hypothesis, truncation="only_first", max_length=MAX_TOKENS, return_tensors="pt"
                ).to(self._device)
                shares = self._model(**read).logits[0].float().softmax(-1)[self._order]
                found.append(Probabilities(*(float(share) for share in shares)))
        return found


def _label(name: str) -> str:
    lower = str(name).lower()
    return next((label for label in LABELS if lower.startswith(label[:6])), lower)


def contradicts(judge: Judge, text: str, claim: str, false_claim: str) -> tuple[float, float]:
    """Return the smaller probability of contradiction of the two claims, either way, and that `text` entails the false.

    The check "contradiction" of the sheet: the first is to be high, the second below a half.
    """
    one, other, whole = judge.judge([(claim, false_claim), (false_claim, claim), (text, false_claim)])
    return min(one.contradiction, other.contradiction), whole.entailment
