"""The retriever: claims and documents as vectors, near where one speaks of the other. LLM-Oasis (2411.19655), 3.5.

A bi-encoder with mean pooling, trained with DPR's loss (Karpukhin et al. 2020, arXiv 2004.04906, eq. 2). A page's
windows overlap: its text is read in the pieces that they share, each once, and a window's vector is the mean over the
word pieces of its parts.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

from tasks.learning.models import load_model
from tasks.tables import write_whole
from tasks.text.encoders import TOKENIZER, Texts, batches_by_length, body, embedded, padded, through
from tasks.text.evidence import evidence_text
from tasks.text.search import Index

BUILDER = "tasks.text.retriever:from_config"
INDEX = "index.safetensors"  # the vectors of the corpus, beside the weights: {"vectors": (N, D)}
DOCUMENT_IDS = "documents.json"  # ... and the ids of their documents, in the same order

# Q queries, N documents, B batch, L word pieces, D width


@dataclass(frozen=True)
class Design:
    """What a retriever is built from. `encoder` is a BERT config."""

    encoder: dict[str, Any]
    trained_layers: int  # the upper ones; the others stay as they are
    tokens: int  # of a text, at most


class Retriever(nn.Module):
    """An encoder of which the upper layers are trained. Vectors have unit length."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.body = body(design.encoder).requires_grad_(False)
        layers = self.body.encoder.layer  # type: ignore[union-attr]
        kept = len(layers) - design.trained_layers  # type: ignore[arg-type]
        if not 0 <= kept < len(layers):  # type: ignore[arg-type]
            raise ValueError(
                f"trained_layers={design.trained_layers}, but the encoder has {len(layers)}: "  # type: ignore[arg-type]
                f"from 1 to {len(layers)} is possible"  # type: ignore[arg-type]
            )
        self._lower, self._upper = list(layers[:kept]), list(layers[kept:])  # type: ignore[index,misc]
        for layer in self._upper:
            layer.requires_grad_(True)

    @torch.no_grad()
    def lower(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return states below the layers that are trained, (B, L, D): the same before and after training."""
        return through(self._lower, embedded(self.body, ids_BL), mask_BL)

    def sums(self, states_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Return from the states of `lower` the sum over a text's word pieces, (B, D)."""
        return (through(self._upper, states_BLD, mask_BL) * mask_BL[..., None]).sum(1)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return the vectors of texts, (B, D): mean over word pieces, unit length."""
        return nn.functional.normalize(self.sums(self.lower(ids_BL, mask_BL), mask_BL), dim=-1)


def saved_config(design: Design) -> dict[str, Any]:
    """Return what is written as config.json beside the weights."""
    return {"build": BUILDER, **asdict(design)}


def from_config(config: Mapping[str, Any]) -> Retriever:
    """Return the retriever of a `saved_config`, weights still to be loaded. Raises ValueError for another config."""
    given = {name: value for name, value in config.items() if name != "build"}
    wanted = {one.name for one in fields(Design)}
    if given.keys() != wanted:
        raise ValueError(f"config.json is not of a retriever: it has {', '.join(given)}, not {', '.join(wanted)}")
    return Retriever(Design(**given))


def in_batch_loss(queries_BD: Tensor, documents_BD: Tensor, pages_B: Tensor, scale: float) -> Tensor:
    """Return -log(exp(s_ii) / (exp(s_ii) + sum over j of exp(s_ij))), the mean over i; s is `scale` * dot product.

    Document i is right for query i. Those of the same page are no negatives: they may well be right too.
    """
    scores_BB = scale * queries_BD @ documents_BD.T
    same_BB = pages_B[:, None] == pages_B[None]
    same_BB = same_BB & ~torch.eye(len(pages_B), dtype=torch.bool, device=pages_B.device)
    right_B = torch.arange(len(pages_B), device=pages_B.device)
    return nn.functional.cross_entropy(scores_BB.masked_fill(same_BB, -torch.inf), right_B)


# --- vectors ---


@torch.no_grad()
def query_vectors(model: Retriever, texts: Texts, queries: Sequence[str]) -> np.ndarray:
    """Return the vectors of claims, float32 (Q, D)."""
    return unit(sums_of([model], texts, queries)[0][0])


class Parts(NamedTuple):
    """The pieces that windows are made of, and which of them each window has."""

    texts: list[str]
    windows: list[list[int]]


def parted(windows: Sequence[Mapping[str, Any]]) -> Parts:
    """Return windows (rows of DOCUMENTS, of any pages) as pieces of their pages, cut where any of them begins or ends.

    A piece comes with its page's title. Text that overlaps is there once.
    """
    cuts: dict[str, set[int]] = {}
    for window in windows:
        cuts.setdefault(window["page_id"], set()).update((window["start"], window["end"]))
    texts: list[str] = []
    known: dict[tuple[str, int], int | None] = {}
    found = []
    for window in windows:
        page, start = window["page_id"], window["start"]
        inside = sorted(cut for cut in cuts[page] if start <= cut <= window["end"])
        mine = []
        for first, last in itertools.pairwise(inside):
            if (page, first) not in known:
                text = window["text"][first - start : last - start].strip()
                known[page, first] = len(texts) if text else None
                texts += [evidence_text("window", window["title"], text)] if text else []
            place = known[page, first]
            mine += [] if place is None else [place]
        found.append(mine)
    return Parts(texts, found)


@torch.no_grad()
def window_vectors(models: Sequence[Retriever], texts: Texts, windows: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    """Return by each model the vectors of windows (rows of DOCUMENTS), float32 (N, D), in their order.

    The models differ in their trained layers alone, so what lies below is worked out once for all of them.
    """
    parts = parted(windows)
    return [
        unit(np.stack([sums_PD[mine].sum(0) for mine in parts.windows])) if parts.windows else sums_PD
        for sums_PD, _ in sums_of(models, texts, parts.texts)
    ]


def sums_of(models: Sequence[Retriever], texts: Texts, given: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return by each model the sums over each text's word pieces, float32 (N, D), and how many these are, (N)."""
    pieces = texts(given)
    lengths = np.array([len(one) for one in pieces])
    device = next(models[0].parameters()).device
    found = [np.zeros((len(given), models[0].design.encoder["hidden_size"]), np.float32) for _ in models]
    for batch in batches_by_length(lengths.tolist()):
        ids_BL, mask_BL = (one.to(device) for one in padded([pieces[place] for place in batch]))
        states_BLD = models[0].lower(ids_BL, mask_BL)
        for sums_ND, model in zip(found, models, strict=True):
            sums_ND[batch] = model.sums(states_BLD, mask_BL).cpu().numpy()
    return [(sums_ND, lengths) for sums_ND in found]


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    """Return vectors at unit length; what is nil stays so."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return (vectors_ND / np.maximum(lengths_N1, 1e-12)).astype(np.float32)


def documents_searched(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the documents that are searched: windows alone.

    An unfactual text would be evidence for its own falsehood, and a factual one is a paraphrase of what is asked.
    """
    return [row for row in rows if row["kind"] == "window"]


# --- a trained retriever as files ---


def write_index(folder: Path, document_ids: Sequence[str], vectors_ND: np.ndarray) -> None:
    """Write the vectors of a corpus beside the weights of the retriever that made them."""
    data = safetensors.numpy.save({"vectors": np.ascontiguousarray(vectors_ND)})
    write_whole(folder / INDEX, data)
    write_whole(folder / DOCUMENT_IDS, (json.dumps(list(document_ids), indent=0) + "\n").encode())


class Searcher:
    """A trained retriever and the corpus that it has vectors of, out of one folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Raises FileNotFoundError, or ValueError naming the file that is wrong."""
        model = load_model(folder, from_config).to(device)
        assert isinstance(model, Retriever)
        self._model = model
        self._texts = Texts((folder / TOKENIZER).read_text(), model.design.tokens)
        ids = json.loads((folder / DOCUMENT_IDS).read_text())
        self._index = Index(ids, safetensors.numpy.load((folder / INDEX).read_bytes())["vectors"])

    def search(self, queries: Sequence[str], k: int) -> list[list[str]]:
        """Return for each claim the ids of the k nearest documents, best first."""
        return self._index.search(query_vectors(self._model, self._texts, queries), k)
