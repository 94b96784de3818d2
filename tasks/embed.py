"""A sentence encoder, by which texts are found, compared and judged: all-MiniLM-L6-v2, a BERT, from three files.

Its weights, tokenizer and config come out of a package of the index; they are read, no code of the package is run.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn

from tasks.encoder_files import EncoderSources
from tasks.learning.tensors import fill

TOKENIZER = "tokenizer.json"  # beside the weights of a trained model
BATCH_TOKENS = 4096  # of a batch, padding included: memory holds the states of so many
_REMEDY = "Give weights and config of one BERT model, as transformers saves them"
_OPTIONS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "hidden_act"),
    *("max_position_embeddings", "type_vocab_size", "layer_norm_eps"),
)

# L tokens, B batch, D width of the encoder


class Texts:
    """Texts as numbers of word pieces, at most `length` of each, [CLS] and [SEP] included."""

    def __init__(self, tokenizer: str, length: int) -> None:
        """Read the content of a tokenizer.json. Raises ValueError for what is none."""
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # tokenizers raises no other
            raise ValueError(f"{TOKENIZER}: not a tokenizer ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(length)

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return each text's word pieces, int64 (L,)."""
        return [np.array(one.ids, np.int64) for one in self._tokenizer.encode_batch(list(texts))]


def padded(pieces: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return texts as one array: word pieces, int64 (B, L), and which of them are there, bool (B, L)."""
    lengths = [len(one) for one in pieces]
    ids_BL = np.zeros((len(pieces), max(lengths, default=0)), np.int64)
    mask_BL = np.zeros(ids_BL.shape, np.bool_)
    for row, one in enumerate(pieces):
        ids_BL[row, : len(one)] = one
        mask_BL[row, : len(one)] = True
    return torch.from_numpy(ids_BL), torch.from_numpy(mask_BL)


def batches_by_length(lengths: Sequence[int], tokens: int = BATCH_TOKENS) -> Iterator[np.ndarray]:
    """Yield places of items, those of like length together; a batch has at most so many tokens, or one item."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    batch: list[int] = []
    for place in order.tolist():
        if batch and (len(batch) + 1) * lengths[place] > tokens:
            yield np.array(batch)
            batch = []
        batch.append(place)
    if batch:
        yield np.array(batch)


def body(config: Mapping[str, Any]) -> nn.Module:
    """Return BERT without its pooler, weights as they are drawn. Its training has no dropout: see `bert_config`."""
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), False)


def bert_config(text: str, layers: int | None = None) -> dict[str, Any]:
    """Return what of a config.json makes a BERT model, with its first `layers` layers alone where that is given.

    Raises ValueError for a config of another architecture, or with fewer layers.
    """
    found = json.loads(text)
    lacks = [name for name in _OPTIONS if name not in found]
    if found.get("model_type") != "bert" or lacks:
        raise ValueError(f"config.json: not of a BERT model (lacks {', '.join(lacks) or 'nothing'}). {_REMEDY}")
    there = found["num_hidden_layers"]
    if layers is not None and not 1 <= layers <= there:
        raise ValueError(f"layers={layers}, but the encoder has {there}: from 1 to {there} is possible")
    return {name: found[name] for name in _OPTIONS} | {"num_hidden_layers": layers or there}


def load_body(weights: Path, config: Mapping[str, Any]) -> nn.Module:
    """Return BERT with the weights of a safetensors file; layers that the config has not are left out.

    Raises ValueError naming the file and what is missing in it.
    """
    model = body(config)
    try:
        found = safetensors.torch.load(weights.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{weights}: not a safetensors file ({error}). {_REMEDY}") from error
    wanted = dict(model.named_parameters())
    fill(wanted, {name: found[name] for name in wanted if name in found}, str(weights), _REMEDY)
    return model


def fetched_encoder(
    sources: EncoderSources, fetch: Callable[[Any], Path], layers: int | None = None
) -> tuple[dict[str, Any], str, Path]:
    """Return BERT's config, the content of tokenizer.json, and the file of weights; `fetch` gets each source's file."""
    config = bert_config(fetch(sources.config).read_text(), layers)
    return config, fetch(sources.tokenizer).read_text(), fetch(sources.weights)


def embedded(model: nn.Module, ids_BL: Tensor) -> Tensor:
    """Return the states below a BERT's first layer, (B, L, D)."""
    states_BLD: Tensor = model.embeddings(input_ids=ids_BL)  # type: ignore[operator]
    return states_BLD


def through(layers: Iterable[nn.Module], states_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Return what some layers of a BERT, one after another, make of states, (B, L, D)."""
    for layer in layers:
        states_BLD = layer(states_BLD, mask_BL[:, None, None, :])
    return states_BLD


def mean_pooled(states_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Return the mean of a text's states, (B, D)."""
    weights_BL1 = mask_BL[..., None].to(states_BLD.dtype)
    return (states_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp(min=1)
