"""The retriever: claims and documents as vectors, near where one speaks of the other. LLM-Oasis (2411.19655), 3.5.

A bi-encoder with mean pooling, trained with DPR's loss (Karpukhin et al. 2020, arXiv 2004.04906, eq. 2). A claim is
said by one sentence: a window is as near as its nearest sentence is. Windows overlap; each sentence is read once.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

from tasks.embed import TOKENIZER, Texts, batches_by_length, body, embedded, mean_pooled, padded, through
from tasks.learning.models import load_model
from tasks.tables import write_whole
from tasks.text.evidence import evidence_text
from tasks.text.search import Index

BUILDER = "tasks.text.retriever:from_config"
INDEX = "index.safetensors"  # of the corpus, beside the weights: `vectors` of sentences (S, D), `members` (N, P)
DOCUMENT_IDS = "documents.json"  # ... and the ids of the N windows, in the order of `members`

# Q queries, S sentences, N windows, P sentences of a window, B batch, L word pieces, D width


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
        layers: list[nn.Module] = list(self.body.encoder.layer)  # type: ignore[union-attr,arg-type]
        kept = len(layers) - design.trained_layers
        if not 0 <= kept < len(layers):
            raise ValueError(
                f"trained_layers={design.trained_layers}, but the encoder has {len(layers)}: "
                f"from 1 to {len(layers)} is possible"
            )
        self._lower, self._upper = layers[:kept], layers[kept:]
        for layer in self._upper:
            layer.requires_grad_(True)

    @torch.no_grad()
    def lower(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return states below the layers that are trained, (B, L, D): the same before and after training."""
        return through(self._lower, embedded(self.body, ids_BL), mask_BL)

    def upper(self, states_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Return from the states of `lower` the vectors of texts, (B, D): mean over word pieces, unit length."""
        return nn.functional.normalize(mean_pooled(through(self._upper, states_BLD, mask_BL), mask_BL), dim=-1)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return the vectors of texts, (B, D)."""
        return self.upper(self.lower(ids_BL, mask_BL), mask_BL)


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


@dataclass(frozen=True)
class Sentences:
    """The sentences of a corpus, each once with its page's title, and which of them each window has, (N, P).

    A window with fewer than P has its first one again.
    """

    texts: list[str]
    members_NP: np.ndarray


def sentences_of(windows: Sequence[Mapping[str, Any]], spans: Mapping[str, Sequence[Mapping[str, int]]]) -> Sentences:
    """Return the sentences of windows (rows of DOCUMENTS); `spans` are those of each page, in the page's text.

    A window that holds no whole sentence is one itself.
    """
    texts: list[str] = []
    known: dict[tuple[str, int, int], int] = {}
    found = []
    for window in windows:
        page, first, last = (window[name] for name in ("page_id", "start", "end"))
        inside = [(one["start"], one["end"]) for one in spans[page] if first <= one["start"] and one["end"] <= last]
        for start, end in inside or [(first, last)]:
            if (page, start, end) not in known:
                known[page, start, end] = len(texts)
                texts.append(evidence_text("window", window["title"], window["text"][start - first : end - first]))
        found.append([known[page, *span] for span in inside or [(first, last)]])
    most = max(map(len, found), default=0)
    members = [mine + mine[:1] * (most - len(mine)) for mine in found]
    return Sentences(texts, np.array(members, np.int32).reshape(len(found), most))


@torch.no_grad()
def vectors_of(
    models: Sequence[Retriever],
    texts: Texts,
    given: Sequence[str],
    progress: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """Return by each model the vectors of texts, float32 (N, D). `progress` is told how many more are done.

    The models differ in their trained layers alone, so what lies below is worked out once for all of them.
    """
    pieces = texts(given)
    device = next(models[0].parameters()).device
    found = [np.zeros((len(given), models[0].design.encoder["hidden_size"]), np.float32) for _ in models]
    for batch in batches_by_length([len(one) for one in pieces]):
        ids_BL, mask_BL = (one.to(device) for one in padded([pieces[place] for place in batch]))
        states_BLD = models[0].lower(ids_BL, mask_BL)
        for vectors_ND, model in zip(found, models, strict=True):
            vectors_ND[batch] = model.upper(states_BLD, mask_BL).cpu().numpy()
        progress(len(batch))
    return found


def documents_searched(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the documents that are searched: windows alone.

    An unfactual text would be evidence for its own falsehood, and a factual one is a paraphrase of what is asked.
    """
    return [row for row in rows if row["kind"] == "window"]


def about_passages(
    windows: Sequence[Mapping[str, Any]], passage_ids: Collection[str], most: int
) -> list[Mapping[str, Any]]:
    """Return of each page at most so many windows (0: all), in a row about the one that is a passage.

    Those are the hardest to tell from it. A page without a passage has its first ones.
    """
    by_page: dict[str, list[Mapping[str, Any]]] = {}
    for window in windows:
        by_page.setdefault(window["page_id"], []).append(window)
    kept: set[str] = set()
    for mine in by_page.values():
        mine.sort(key=lambda window: window["start"])
        passage = next((n for n, window in enumerate(mine) if window["document_id"] in passage_ids), 0)
        first = max(0, min(passage - most // 2, len(mine) - most))
        kept.update(window["document_id"] for window in (mine[first : first + most] if most else mine))
    return [window for window in windows if window["document_id"] in kept]


# --- a trained retriever as files ---


def write_index(folder: Path, document_ids: Sequence[str], members_NP: np.ndarray, vectors_SD: np.ndarray) -> None:
    """Write the vectors of a corpus beside the weights of the retriever that made them."""
    tensors = {"vectors": np.ascontiguousarray(vectors_SD), "members": np.ascontiguousarray(members_NP)}
    write_whole(folder / INDEX, safetensors.numpy.save(tensors))
    write_whole(folder / DOCUMENT_IDS, (json.dumps(list(document_ids), indent=0) + "\n").encode())


class Searcher:
    """A trained retriever and the corpus that it has vectors of, out of one folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Raises FileNotFoundError, or ValueError naming the file that is wrong."""
        model = load_model(folder, from_config).to(device)
        assert isinstance(model, Retriever)
        self._model = model
        self._texts = Texts((folder / TOKENIZER).read_text(), model.design.tokens)
        found = safetensors.numpy.load((folder / INDEX).read_bytes())
        ids = json.loads((folder / DOCUMENT_IDS).read_text())
        self._index = Index(ids, found["vectors"], found["members"])

    def search(self, queries: Sequence[str], k: int) -> list[list[str]]:
        """Return for each claim the ids of the k nearest documents, best first."""
        return self._index.search(self.vectors(queries), k)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return the unit vector of each text, float32 (N, D)."""
        return vectors_of([self._model], self._texts, texts)[0]
