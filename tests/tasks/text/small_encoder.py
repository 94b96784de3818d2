"""A BERT of two layers and a tokenizer of whole words, as the three files of an encoder: no download in fast tests."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tasks.embed import body

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
CONFIG: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def tokenizer_json(words: Iterable[str]) -> str:
    """Return a tokenizer.json that knows these words; others are [UNK]."""
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*SPECIAL, *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def write_encoder(folder: Path, words: Iterable[str], seed: int = 0) -> dict[str, Any]:
    """Write the three files; return what params.yaml says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    text = tokenizer_json(words)
    config = {**CONFIG, "vocab_size": len(json.loads(text)["model"]["vocab"])}
    torch.manual_seed(seed)
    model = body(config)
    weights = safetensors.torch.save({name: value.detach() for name, value in model.named_parameters()})
    files = {
        "weights": ("model.safetensors", weights),
        "tokenizer": ("tokenizer.json", text.encode()),
        "config": ("config.json", json.dumps({"model_type": "bert", **config}).encode()),
    }
    sources = {}
    for name, (file, data) in files.items():
        (folder / file).write_bytes(data)
        sources[name] = {
            "kind": "url",
            "name": f"small_{name}",
            "location": (folder / file).as_uri(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "licence": "CC0",
            "credit": "nobody",
            "url": "https://example.invalid",
        }
    return sources
