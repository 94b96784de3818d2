"""A small video-text transformer that answers four-way choices: frames by patches, words, attention in space and time.

It is what VISTA's claim (arXiv 2412.00927) is tried on: any number of frames of any size that is whole patches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tasks.learning.models import load_model, read_config
from tasks.video.choices import LETTERS
from tasks.video.patches import FEATURES
from tasks.video.wording import words_of

MODEL = "data/models/videoqa"
BUILDER = "tasks.video.videoqa:from_config"
_NEVER = -1e4  # to a softmax
_WAVES = 4  # of position, in each direction
_PARTS = 3  # of each side of a frame, seen as a whole

# B batch, O options, T frames, R rows and C columns of patches, P patches, L words, F features, W width


@dataclass(frozen=True)
class Design:
    """What a model is built from: its words, and its sizes."""

    words: tuple[str, ...]
    width: int
    heads: int
    layers: int  # of attention over time
    dropout: float


class Asked(NamedTuple):
    """Questions with their options as numbers of words; 0 is nothing, 1 a word that is not known."""

    question_BL: Tensor
    options_BOL: Tensor


class FrameEncoder(nn.Module):
    """Patches of single frames, four at once, with their places and what lies beside them.

    From (N, R, C, F) to (N, R/2, C/2, W).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Linear(4 * FEATURES, width)
        self.place = nn.Linear(4 * _WAVES, width)
        self.beside = nn.ModuleList(_Beside(width) for _ in range(2))

    def forward(self, patches_NRCF: Tensor) -> Tensor:
        """Return states of patches."""
        _, rows, columns, _ = patches_NRCF.shape
        parted = patches_NRCF.unflatten(2, (columns // 2, 2)).unflatten(1, (rows // 2, 2))
        fours = parted.transpose(2, 3).flatten(3)
        places_RCW = self.place(_waves(rows // 2, columns // 2).to(patches_NRCF))
        states = self.features(fours * 2 - 1) + places_RCW
        for layer in self.beside:
            states = layer(states)
        return states


class _Beside(nn.Module):
    """A convolution over the patches around each, depth by depth, and a mix of the depths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, states_NRCW: Tensor) -> Tensor:
        around = self.around(self.norm(states_NRCW).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return states_NRCW + self.mix(around)


def _waves(rows: int, columns: int) -> Tensor:
    """Return places as waves of x and y in shares of the picture's sides: (R, C, 4 waves)."""
    found = []
    for sides in torch.meshgrid(
        (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij"
    ):
        for number in range(_WAVES):
            found += [torch.sin(torch.pi * 2**number * sides), torch.cos(torch.pi * 2**number * sides)]
    return torch.stack(found, -1)


class Reader(nn.Module):
    """Words in their order, to one state: (N, L) to (N, W)."""

    def __init__(self, words: int, width: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(words + 2, width, padding_idx=0)
        self.order = nn.Conv1d(width, width, 5, padding=2)
        self.weight = nn.Linear(width, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, words_NL: Tensor) -> Tensor:
        """Return the states of texts."""
        states_NLW = self.drop(self.words(words_NL))
        states_NLW = states_NLW + nn.functional.gelu(self.order(states_NLW.transpose(1, 2)).transpose(1, 2))
        weights_NL1 = self.weight(states_NLW).masked_fill((words_NL == 0)[..., None], _NEVER).softmax(1)
        return (weights_NL1 * states_NLW).sum(1)


class VideoQa(nn.Module):
    """Looks in each frame for what the question names, goes over all frames, and compares what it saw with each option.

    Options are judged alone: in another order they have the same scores.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design, width = design, design.width
        self.frames = FrameEncoder(width)
        self.texts = Reader(len(design.words), width, design.dropout)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.layout = nn.Sequential(nn.Linear(_PARTS**2 * FEATURES, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.frame = nn.Sequential(nn.Linear(3 * width, width), nn.LayerNorm(width))
        self.when = nn.Linear(2 * _WAVES, width)
        self.time = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, design.heads, 2 * width, design.dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(design.layers)
        )
        self.option = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, patches_BTRCF: Tensor, asked: Asked) -> Tensor:
        """Return how much speaks for each option, (B, O); features are in [0, 1].

        What would speak for it by frames whose features are all zero is taken away: the words alone tell nothing.
        """
        question_BW = self.texts(asked.question_BL)
        batch, options, _ = asked.options_BOL.shape
        named_BOW = self.texts(asked.options_BOL.flatten(0, 1)).view(batch, options, -1)
        option_BOW = named_BOW + self.option(torch.cat([named_BOW, question_BW[:, None].expand_as(named_BOW)], -1))
        frames = patches_BTRCF.shape[1]
        told_BW = self._told(patches_BTRCF, question_BW, frames)
        told_BW = told_BW - self._told(torch.zeros_like(patches_BTRCF[:1, :1]), question_BW, frames)
        return torch.einsum("bow,bw->bo", option_BOW, told_BW) / self.design.width**0.5

    def _told(self, patches_BTRCF: Tensor, question_BW: Tensor, frames: int) -> Tensor:
        """Return what a video of so many frames tells to a question, (B, W); one frame of one video stands for all."""
        shape, heads = patches_BTRCF.shape[:2], self.design.heads
        states_BTPW = self.frames(patches_BTRCF.flatten(0, 1)).flatten(1, 2).unflatten(0, shape)
        query_BHD = self.query(question_BW).unflatten(-1, (heads, -1))
        key_BTPHD = self.key(states_BTPW).unflatten(-1, (heads, -1))
        value_BTPHD = self.value(states_BTPW).unflatten(-1, (heads, -1))
        of_each = len(question_BW), frames
        key_BTPHD, value_BTPHD = (one.expand(*of_each, *one.shape[2:]) for one in (key_BTPHD, value_BTPHD))
        weights = torch.einsum("bhd,btphd->btph", query_BHD, key_BTPHD).div(query_BHD.shape[-1] ** 0.5).softmax(2)
        seen_BTW = torch.einsum("btph,btphd->bthd", weights, value_BTPHD).flatten(2)
        alike = [one.expand(*of_each, -1) for one in (states_BTPW.mean(2), self.layout(_parts(patches_BTRCF)))]
        frames_BTW = self.frame(torch.cat([seen_BTW, *alike], -1)) + self.when(_instants(frames).to(seen_BTW))
        for layer in self.time:
            frames_BTW = layer(frames_BTW)
        asked_of_BT = torch.einsum("btw,bw->bt", frames_BTW, question_BW).div(self.design.width**0.5).softmax(1)
        # what is seen in a single frame stands out in the largest, what the question names in the weighted mean
        return frames_BTW.amax(1) + (asked_of_BT[..., None] * frames_BTW).sum(1)


def _parts(patches_BTRCF: Tensor) -> Tensor:
    """Return the mean features of thirds of the sides, row by row: (B, T, 9 F)."""
    batch = patches_BTRCF.shape[0]
    pooled = nn.functional.adaptive_avg_pool2d(patches_BTRCF.flatten(0, 1).permute(0, 3, 1, 2), _PARTS)
    return pooled.permute(0, 2, 3, 1).flatten(1).unflatten(0, (batch, -1))


def _instants(frames: int) -> Tensor:
    """Return moments as waves in shares of the length: (T, 2 waves)."""
    share = (torch.arange(frames) + 0.5) / frames
    waves = [turn(torch.pi * 2**number * share) for number in range(_WAVES) for turn in (torch.sin, torch.cos)]
    return torch.stack(waves, -1)


# --- words ------------------------------------------------------------------------------------------------------


def vocabulary(texts: Iterable[str], least: int = 2) -> tuple[str, ...]:
    """Return the words that stand in `least` texts or more, in the order of the alphabet."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(words_of(text)):
            counts[word] = counts.get(word, 0) + 1
    return tuple(sorted(word for word, count in counts.items() if count >= least))


class Words:
    """Texts as numbers of words."""

    def __init__(self, words: Sequence[str]):
        self._numbers = {word: number for number, word in enumerate(words, 2)}

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of a text's words."""
        return [self._numbers.get(word, 1) for word in words_of(text)]

    def asked(self, questions: Sequence[str], options: Sequence[Sequence[str]]) -> Asked:
        """Return questions with their options, padded to the longest."""
        return Asked(
            _padded([self.numbers(text) for text in questions]),
            _padded([self.numbers(text) for of_one in options for text in of_one]).view(
                len(questions), len(LETTERS), -1
            ),
        )


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    wide = max(1, max(map(len, rows)))
    return torch.tensor([[*row, *[0] * (wide - len(row))] for row in rows])


# --- as files ---------------------------------------------------------------------------------------------------


def saved_config(design: Design, sights: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written as config.json beside the weights; `sights` say how videos were looked at."""
    return {"build": BUILDER, **asdict(design), "words": list(design.words), "sights": dict(sights)}


def sights_of(folder: str | Path) -> dict[str, Any]:
    """Return how a trained model looks at videos. Raises as `read_config` does, and ValueError where it is not told."""
    config = read_config(folder)
    if "sights" not in config:
        raise ValueError(f"{folder}: its config does not say how videos are looked at: train it again")
    return dict(config["sights"])


def from_config(config: Mapping[str, Any]) -> VideoQa:
    """Return the model of a `saved_config`, weights still to be loaded. Raises ValueError for another config."""
    given = {name: value for name, value in config.items() if name not in ("build", "sights")}
    try:
        return VideoQa(Design(**{**given, "words": tuple(given["words"])}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the config of a video question-answering model ({error})") from error


def load_videoqa(folder: str | Path) -> VideoQa:
    """Return a trained model, in evaluation mode. Raises as `load_model` does."""
    model = load_model(folder, from_config)
    assert isinstance(model, VideoQa)
    return model


def chosen_letters(scores_BO: np.ndarray) -> list[str]:
    """Return the letter of the option that most speaks for."""
    return [LETTERS[place] for place in scores_BO.argmax(axis=1)]
