"""How alike sub-captions are: the encoder's own numbers, kept, and reduced as the rule says."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import BertConfig, BertModel

from tasks.encoder_files import EncoderSources
from tasks.store import Store
from tasks.video.coherence import reduced, similarities
from tests.tasks.text.small_encoder import CONFIG, SPECIAL, write_encoder

WORDS = ["a", "cat", "sleeps", "dog", "runs", "on", "grass", "rain", "falls"]
SAID = {
    "same": ["a cat sleeps", "a cat sleeps", "a cat sleeps"],
    "other": ["a cat sleeps", "a dog runs on grass", "rain falls"],
}


@pytest.fixture
def encoder(tmp_path: Path) -> dict[str, Any]:
    return write_encoder(tmp_path / "encoder", WORDS)


def local(source: Any) -> Path:
    return Path(source.location.removeprefix("file://"))


def by_transformers(folder: Path, texts: list[str]) -> list[float]:
    """Return the cosines of all pairs by the library's own model, and word numbers counted by hand."""
    config = BertConfig(**CONFIG, vocab_size=len(SPECIAL) + len(WORDS))
    model = BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"), strict=False)
    numbers = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    vectors = []
    for text in texts:
        ids = torch.tensor([[numbers["[CLS]"], *(numbers[word] for word in text.split()), numbers["[SEP]"]]])
        with torch.no_grad():
            vectors.append(model(ids).last_hidden_state[0].mean(0).numpy().astype(np.float64))
    return [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in itertools.combinations(vectors, 2)]


def test_pairs_are_those_of_the_encoder(tmp_path: Path, encoder: dict[str, Any]) -> None:
    found = similarities(SAID, EncoderSources(**encoder), Store(tmp_path / "store"), local)
    assert found["same"] == [1.0, 1.0, 1.0]
    assert found["other"] == pytest.approx(by_transformers(tmp_path / "encoder", SAID["other"]), abs=2e-5)


def test_kept_numbers_ask_no_encoder(tmp_path: Path, encoder: dict[str, Any]) -> None:
    store, sources = Store(tmp_path / "store"), EncoderSources(**encoder)
    first = similarities(SAID, sources, store, local)

    def refuse(source: Any) -> Path:
        raise AssertionError("nothing is missing")

    assert similarities({"again": SAID["other"]}, sources, store, refuse) == {"again": first["other"]}


def test_a_text_has_its_numbers_whatever_is_asked_with_it(tmp_path: Path, encoder: dict[str, Any]) -> None:
    sources = EncoderSources(**encoder)
    alone = similarities({"other": SAID["other"]}, sources, Store(tmp_path / "a"), local)
    more = SAID | {"long": ["rain falls on grass " * 20, "a cat", "a dog"]}
    assert similarities(more, sources, Store(tmp_path / "b"), local)["other"] == alone["other"]


@pytest.mark.parametrize("which", ["adjacent", "all"])
@pytest.mark.parametrize("how", ["mean", "min", "max"])
def test_one_number_is_that_of_the_chosen_pairs(which: Any, how: Any) -> None:
    matrix = np.random.default_rng(0).random((5, 5))
    pairs = [float(matrix[a, b]) for a in range(5) for b in range(a + 1, 5)]
    chosen = [matrix[a, a + 1] for a in range(4)] if which == "adjacent" else pairs
    assert reduced(pairs, 5, which, how) == pytest.approx(getattr(np, how)(chosen))
