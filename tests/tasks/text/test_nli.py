"""An entailment model on disk: its labels are read by name, what is none is refused, and nothing is fetched."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from tasks.text.nli import Judge, contradicts

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "mill", "is", "old", "new", "was", "built"]


def model_folder(folder: Path, labels: dict[int, str], winner: int = 0) -> Path:
    """Write a tiny model that says label number `winner` of everything with probability near 1."""
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(WORDS), num_labels=3, id2label=labels, **size))
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.nn.functional.one_hot(torch.tensor(winner), 3) * 5.0)
    model.save_pretrained(folder, safe_serialization=True)
    tokens = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("labels", "winner", "expected"),
    [
        ({0: "entailment", 1: "neutral", 2: "contradiction"}, 0, "entailment"),
        ({0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}, 0, "contradiction"),
        ({0: "contradict", 1: "entailed", 2: "neutral"}, 2, "neutral"),
    ],
)
def test_labels_are_told_apart_by_their_names(
    tmp_path: Path, labels: dict[int, str], winner: int, expected: str
) -> None:
    judge = Judge(model_folder(tmp_path, labels, winner))
    [found] = judge.judge([("the mill is old", "the mill is new")])
    assert getattr(found, expected) > 0.98
    assert sum(found) == pytest.approx(1.0, abs=1e-6)


def test_both_ways_must_contradict_and_the_text_must_not_entail(tmp_path: Path) -> None:
    judge = Judge(model_folder(tmp_path, {0: "entailment", 1: "neutral", 2: "contradiction"}, 2))
    least, entailed = contradicts(judge, "the mill is old " * 400, "the mill is old", "the mill is new")
    assert least > 0.98
    assert entailed < 0.02


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json in it: put a model there"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors and a tokenizer are expected"),
        (
            lambda folder: (folder / "config.json").write_text(json.dumps({"id2label": {"0": "LABEL_0"}})),
            "id2label is .*LABEL_0.*expected entailment, contradiction and neutral",
        ),
    ],
)
def test_a_folder_that_is_no_entailment_model_is_told(tmp_path: Path, spoilt: object, message: str) -> None:
    folder = model_folder(tmp_path, {0: "entailment", 1: "neutral", 2: "contradiction"})
    spoilt(folder)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        Judge(folder)
