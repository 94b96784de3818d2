"""The verifier: how a claim stands to evidence, three ways. Section 3.5, item 3, of LLM-Oasis (arXiv 2411.19655).

The lower layers of a sentence encoder read both texts, and stay as they are. What is trained looks from each word piece
of the claim at those of the evidence, compares it with what it found there, and decides from all of them: the false
word of a claim is one that the evidence has nothing equal for. So a text is read once for all that it is paired with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tasks.embed import TOKENIZER, Texts, batches_by_length, body, padded
from tasks.learning.models import load_model
from tasks.text.decision import LABELS, Label

BUILDER = "tasks.text.verifier:from_config"
_PAIRS = 64  # of a batch that is judged
_COMPARED = 4  # figures beside the states: best likeness, by state and by word; an equal word; the likeness attended to
_HEADS = 4
_NEVER = -1e4  # to a softmax

# B batch, C word pieces of the claim, E of the evidence, D width of the encoder, W of what is trained


class Read(NamedTuple):
    """Texts as the encoder's lower layers read them, without [CLS] and [SEP], padded to the longest."""

    ids_BL: Tensor  # word pieces, int64
    states_BLD: Tensor  # float32
    mask_BL: Tensor  # True where there is one


@dataclass(frozen=True)
class Design:
    """What a verifier is built from. `encoder` is a BERT config with as many layers as are read by."""

    encoder: dict[str, Any]
    width: int
    dropout: float
    tokens: int  # of a text, at most


class Comparison(nn.Module):
    """Attention from claim to evidence by likeness, a comparison of each word piece, and three answers."""

    def __init__(self, states: int, width: int, dropout: float) -> None:
        super().__init__()
        self.state = nn.Linear(states, width)
        self.word = nn.Linear(states, width)
        self.sharpness = nn.Parameter(torch.tensor([10.0, 10.0, 3.0]))  # of likeness by state, by word, of equal words
        self.compare = nn.Sequential(
            nn.Linear(8 * width + _COMPARED, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.mix = nn.TransformerEncoderLayer(
            width, _HEADS, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.answer = nn.Sequential(nn.Linear(3 * width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, 3))

    def forward(self, claim: Read, evidence: Read, claim_words_BCD: Tensor, evidence_words_BED: Tensor) -> Tensor:
        """Return logits, (B, 3), in the order of LABELS; words are the encoder's embeddings without context."""
        there_B1E = evidence.mask_BL[:, None]
        by_state_BCE = _cosine(claim.states_BLD, evidence.states_BLD)
        by_word_BCE = _cosine(claim_words_BCD, evidence_words_BED)
        equal_BCE = (claim.ids_BL[:, :, None] == evidence.ids_BL[:, None]) & there_B1E
        scores = torch.stack([by_state_BCE, by_word_BCE, equal_BCE.to(by_word_BCE)], -1) @ self.sharpness
        # where there is no evidence nothing is attended to, and nothing is like anything
        weights_BCE = scores.masked_fill(~there_B1E, _NEVER).softmax(-1) * there_B1E
        found_BC = equal_BCE.any(-1).to(by_word_BCE)
        figures = torch.stack(
            [
                _best(by_state_BCE, there_B1E),
                _best(by_word_BCE, there_B1E),
                found_BC,
                (weights_BCE * by_word_BCE).sum(-1),
            ],
            -1,
        )
        sides = []
        for layer, ours, theirs in (
            (self.state, claim.states_BLD, evidence.states_BLD),
            (self.word, claim_words_BCD, evidence_words_BED),
        ):
            own, seen = layer(ours), weights_BCE @ layer(theirs)
            sides += [own, seen, (own - seen).abs(), own * seen]
        compared_BCW = nn.functional.gelu(self.compare(torch.cat([*sides, figures], -1)))
        return self._decided(compared_BCW, claim.mask_BL, found_BC)

    def _decided(self, compared_BCW: Tensor, mask_BC: Tensor, found_BC: Tensor) -> Tensor:
        mixed_BCW = self.mix(compared_BCW, src_key_padding_mask=~mask_BC)
        missing_BC = (1 - found_BC) * mask_BC
        largest = mixed_BCW.masked_fill(~mask_BC[..., None], _NEVER).amax(1)
        pooled = [_mean(mixed_BCW, mask_BC.to(mixed_BCW)), largest, _mean(mixed_BCW, missing_BC)]
        return self.answer(torch.cat(pooled, -1))


def _cosine(one_BCD: Tensor, other_BED: Tensor) -> Tensor:
    normalize = nn.functional.normalize
    return normalize(one_BCD, dim=-1) @ normalize(other_BED, dim=-1).transpose(1, 2)


def _best(likeness_BCE: Tensor, there_B1E: Tensor) -> Tensor:
    if not likeness_BCE.shape[-1]:
        return likeness_BCE.new_zeros(likeness_BCE.shape[:-1])
    return likeness_BCE.masked_fill(~there_B1E, -1).amax(-1) * there_B1E.any(-1)


def _mean(values_BCW: Tensor, weights_BC: Tensor) -> Tensor:
    return (values_BCW * weights_BC[..., None]).sum(1) / weights_BC.sum(1, keepdim=True).clamp(min=1)


class Verifier(nn.Module):
    """An encoder's lower layers, which no training changes, and the comparison on top of them."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.body = body(design.encoder).requires_grad_(False)
        self.comparison = Comparison(design.encoder["hidden_size"], design.width, design.dropout)

    def train(self, mode: bool = True) -> "Verifier":
        """Set the mode of what is trained; the encoder is always in evaluation mode."""
        super().train(mode)
        self.body.eval()
        return self

    @torch.no_grad()
    def read(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return the states of texts, (B, L, D)."""
        return self.body(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state

    def forward(self, claim: Read, evidence: Read) -> Tensor:
        """Return logits, (B, 3), in the order of LABELS."""
        words = self.body.embeddings.word_embeddings  # type: ignore[union-attr]
        return self.comparison(claim, evidence, words(claim.ids_BL), words(evidence.ids_BL))  # type: ignore[operator]


def saved_config(design: Design) -> dict[str, Any]:
    """Return what is written as config.json beside the weights."""
    return {"build": BUILDER, **asdict(design)}


def from_config(config: Mapping[str, Any]) -> Verifier:
    """Return the verifier of a `saved_config`, weights still to be loaded. Raises ValueError for another config."""
    given = {name: value for name, value in config.items() if name != "build"}
    wanted = {one.name for one in fields(Design)}
    if given.keys() != wanted:
        raise ValueError(f"config.json is not of a verifier: it has {', '.join(given)}, not {', '.join(wanted)}")
    return Verifier(Design(**given))


class Reader:
    """Texts as a verifier's encoder reads them; each is read once, and kept."""

    def __init__(self, model: Verifier, texts: Texts) -> None:
        self._model = model
        self._texts = texts
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def prepare(self, texts: Iterable[str]) -> None:
        """Read those texts that are not known yet, texts of like length together."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        pieces = self._texts(new)
        device = next(self._model.parameters()).device
        for batch in batches_by_length([len(one) for one in pieces]):
            ids_BL, mask_BL = padded([pieces[place] for place in batch])
            states_BLD = self._model.read(ids_BL.to(device), mask_BL.to(device)).cpu().numpy()
            for row, place in enumerate(batch.tolist()):
                inner = slice(1, len(pieces[place]) - 1)  # [CLS] and [SEP] are no words
                self._known[new[place]] = pieces[place][inner], states_BLD[row, inner].copy()

    def read(self, texts: Sequence[str]) -> Read:
        """Return prepared texts, padded, on CPU."""
        known = [self._known[text] for text in texts]
        ids_BL, mask_BL = padded([ids for ids, _ in known])
        width = self._model.design.encoder["hidden_size"]
        states_BLD = np.zeros((*ids_BL.shape, width), np.float32)
        for row, (_, states) in enumerate(known):
            states_BLD[row, : len(states)] = states
        return Read(ids_BL, torch.from_numpy(states_BLD), mask_BL)

    def length(self, text: str) -> int:
        """Return the word pieces of a prepared text."""
        return len(self._known[text][0])


class TrainedJudge:
    """A verifier that judges: Judge's `labels`, and how sure it is."""

    def __init__(self, model: Verifier, texts: Texts) -> None:
        self._model = model.eval()
        self._reader = Reader(model, texts)

    def labels(self, claims: Sequence[str], evidences: Sequence[str]) -> list[Label]:
        """Return how each claim stands to the evidence in the same place."""
        return [LABELS[place] for place in self.probabilities(claims, evidences).argmax(1)]

    def probabilities(self, claims: Sequence[str], evidences: Sequence[str]) -> np.ndarray:
        """Return for each pair the probabilities of LABELS, float32 (N, 3)."""
        self._reader.prepare([*claims, *evidences])
        return judged(self._model, self._reader, claims, evidences)


def load_judge(folder: Path, device: torch.device) -> TrainedJudge:
    """Return the verifier in a folder as a judge. Raises FileNotFoundError, or ValueError naming what is wrong."""
    model = load_model(folder, from_config).to(device)
    assert isinstance(model, Verifier)
    return TrainedJudge(model, Texts((folder / TOKENIZER).read_text(), model.design.tokens))


@torch.no_grad()
def judged(model: Verifier, reader: Reader, claims: Sequence[str], evidences: Sequence[str]) -> np.ndarray:
    """Return for each pair of prepared texts the probabilities of LABELS, float32 (N, 3)."""
    found = np.zeros((len(claims), len(LABELS)), np.float32)
    device = next(model.parameters()).device
    order = np.argsort([reader.length(text) for text in evidences], kind="stable")
    for first in range(0, len(order), _PAIRS):
        places = order[first : first + _PAIRS].tolist()
        claim, evidence = (reader.read([texts[place] for place in places]) for texts in (claims, evidences))
        logits = model(*(Read(*(part.to(device) for part in side)) for side in (claim, evidence)))
        found[places] = logits.softmax(-1).cpu().numpy()
    return found
