"""Photographic quality of keyframes (LongTake-HD, step 4).

The paper's measure is the LAION aesthetic score over CLIP ViT-L/14; its weights cannot be had without a download, so
the default is a stand-in under a name of its own, `photographic`, and `laion` takes weights of yours.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.video.checkpoints import Weights, identity

cv2.setNumThreads(1)

_WEIGHTS = {
    "sharp": 0.25,
    "exposure": 0.2,
    "contrast": 0.15,
    "tones": 0.1,
    "clean": 0.15,
    "whole": 0.1,
    "colorful": 0.05,
}
_LEAST = 1e-3  # of a part: one that is nil does not hide the others
_BLOCK = 8  # pixels, of JPEG and most video codecs
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class Photographic:
    """`photographic`: what a technically sound photograph has, 0 to 10; nothing of what it shows or how it is composed.

    score = 10 * product of part^weight; the parts, each from 0 to 1, are those of `photographic_parts`, their weights
    sum to 1. It is no aesthetic score and has not LAION's scale: film keyframes lie about 5 to 9.
    """

    name = "photographic"
    version = "1"
    libraries: tuple[str, ...] = ("numpy", "opencv-python-headless")
    identity = identity(name, version)

    def prepare(self) -> None:
        """Nothing is loaded."""

    def scores(self, images: Sequence[np.ndarray]) -> list[float]:
        """Return the score of each picture (uint8, BGR, short side about 256 px), in order."""
        return [_weighed(photographic_parts(image)) for image in images]


def _weighed(parts: dict[str, float]) -> float:
    return 10 * math.exp(math.fsum(weight * math.log(max(_LEAST, parts[name])) for name, weight in _WEIGHTS.items()))


def photographic_parts(image: np.ndarray) -> dict[str, float]:
    """Return what `photographic` weighs, each from 0 (bad) to 1.

    - sharp: the share of the gradients that a blur (sigma 2) takes away, after one of sigma 0.8 has taken grain;
      0.6 and more counts as 1. (A re-blur measure, as Crete et al. 2007.)
    - exposure: exp(-((mean luma - 118) / 80)^2), times the share of pixels that are not clipped (luma 5 to 250).
    - contrast: the span from the 5th to the 95th percentile of luma; 160 levels and more count as 1.
    - tones: the share of levels in use between the 1st and the 99th percentile, mean over channels; a quarter and more
      counts as 1, less is posterised.
    - clean: 1 / (1 + (s / 6)^2), s the noise in grey levels (Immerkaer 1996) of the smoothest quarter of the picture.
    - whole: 1 / (1 + d), d by how much more than 5 % steps at borders of 8x8 blocks exceed others: compression.
    - colorful: (20 + M) / 80, M the colourfulness of Hasler and Suesstrunk 2003 (60 and more count as 60), of the
      picture at an eighth of its size, where noise is no colour; 0.25 for black and white.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    luma = grey.astype(np.float32)
    low, high = _percentiles(grey, 0.05, 0.95)
    unclipped = 1 - float(np.count_nonzero((grey < 5) | (grey > 250))) / grey.size
    return {
        "sharp": min(1.0, _lost_by_blur(luma) / 0.6),
        "exposure": math.exp(-(((float(luma.mean(dtype=np.float64)) - 118) / 80) ** 2)) * unclipped,
        "contrast": min(1.0, (high - low) / 160),
        "tones": min(1.0, float(np.mean([_levels_used(image[..., channel]) for channel in range(3)])) / 0.25),
        "clean": 1 / (1 + (_noise(luma) / 6) ** 2),
        "whole": 1 / (1 + max(0.0, _block_steps(luma) - 1.05)),
        "colorful": (20 + min(60.0, _colorfulness(image))) / 80,
    }


def _percentiles(levels: np.ndarray, *shares: float) -> list[int]:
    below = np.cumsum(np.bincount(levels.ravel(), minlength=256))
    return [int(np.searchsorted(below, share * levels.size)) for share in shares]


def _lost_by_blur(luma: np.ndarray) -> float:
    smooth = cv2.GaussianBlur(luma, (0, 0), 0.8)
    blurred = cv2.GaussianBlur(smooth, (0, 0), 2.0)
    before, after = _steps(smooth), _steps(blurred)
    total = float(before.sum(dtype=np.float64))
    return float(np.maximum(before - after, 0).sum(dtype=np.float64)) / total if total else 0.0


def _steps(luma: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(luma, axis=1))[:-1] + np.abs(np.diff(luma, axis=0))[:, :-1]


def _levels_used(channel: np.ndarray) -> float:
    low, high = _percentiles(channel, 0.01, 0.99)
    counts = np.bincount(channel.ravel(), minlength=256)[low : high + 1]
    return float((counts > 0.05 * counts.mean()).mean())


def _noise(luma: np.ndarray) -> float:
    """Return the standard deviation of white noise, from the blocks with the least of it."""
    rough = np.abs(cv2.filter2D(luma, cv2.CV_32F, _IMMERKAER))
    rows, columns = (side // _BLOCK for side in rough.shape)
    blocks = rough[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    smoothest = np.percentile(blocks.mean(axis=(1, 3), dtype=np.float64), 25)
    return float(smoothest) * math.sqrt(math.pi / 2) / 6


def _block_steps(luma: np.ndarray) -> float:
    """Return how large steps between columns and rows are at the borders of blocks, beside those elsewhere."""
    at_borders = elsewhere = 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis, dtype=np.float64)
        border = np.arange(len(steps)) % _BLOCK == _BLOCK - 1
        at_borders += float(steps[border].mean())
        elsewhere += float(steps[~border].mean())
    return at_borders / (elsewhere + 0.1)


def _colorfulness(image: np.ndarray) -> float:
    small = cv2.resize(image, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float64)
    blue, green, red = small[..., 0], small[..., 1], small[..., 2]
    one, other = red - green, (red + green) / 2 - blue
    return math.hypot(one.std(), other.std()) + 0.3 * math.hypot(one.mean(), other.mean())


_VIT_L_14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
}
_SAVED_WITHOUT = {"image_size": 224}  # what transformers leaves out of config.json, since it is the default
_EMBEDDING = 768
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)  # of CLIP's training pictures, RGB
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


class Laion:
    """`laion`: the linear LAION aesthetic head over the unit-length embedding of CLIP ViT-L/14 (Radford et al. 2021).

    The folder holds config.json and model.safetensors of openai/clip-vit-large-patch14 as transformers saves them,
    whole or the image tower alone, in single or half precision, and aesthetic_head.safetensors with weight (1, 768)
    and bias (1). Raises ValueError where one is missing or wrong. About 1 to 10; on the CPU, one thread.
    """

    name = "laion"
    version = "1"
    libraries: tuple[str, ...] = ("numpy", "pillow", "torch", "transformers")

    def __init__(self, folder: Path):
        remedy = (
            f"laion needs in {folder} config.json and model.safetensors of CLIP ViT-L/14, as transformers saves them, "
            "and aesthetic_head.safetensors with weight (1, 768) and bias (1)"
        )
        self._weights = Weights(folder, ["config.json", "model.safetensors", "aesthetic_head.safetensors"], remedy)

    @property
    def identity(self) -> str:
        """NAME@VERSION+SHA256 of the three files."""
        return identity(self.name, self.version, self._weights)

    def prepare(self) -> None:
        """Load tower and head."""
        assert self._head and self._tower

    def scores(self, images: Sequence[np.ndarray]) -> list[float]:
        """Return the score of each picture (uint8, BGR, any size), in order."""
        import torch

        (weight, bias), tower = self._head, self._tower
        found = []
        for image in images:  # one by one, so that no score depends on what else is in a batch
            with torch.inference_mode():
                picture_BCHW = torch.from_numpy(clip_input(image)[None])
                embedding_BC = tower(pixel_values=picture_BCHW).image_embeds
                unit_BC = torch.nn.functional.normalize(embedding_BC, dim=-1)
                found.append(float(torch.nn.functional.linear(unit_BC, weight, bias)))
        return found

    @cached_property
    def _head(self) -> tuple[Any, Any]:
        found = self._weights.tensors("aesthetic_head.safetensors", {"weight": (1, _EMBEDDING), "bias": (1,)})
        return found["weight"], found["bias"]

    @cached_property
    def _tower(self) -> Any:
        import torch
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        torch.set_num_threads(1)  # results depend on how many threads share a sum
        config = CLIPVisionConfig(**self._settings(), projection_dim=_EMBEDDING)
        with torch.device("meta"):
            tower = CLIPVisionModelWithProjection(config)
        shapes = {key: tuple(tensor.shape) for key, tensor in tower.state_dict().items()}
        tensors = self._weights.tensors("model.safetensors", shapes)
        tower.load_state_dict(tensors, assign=True)
        embeddings = tower.vision_model.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions).expand((1, -1))  # a buffer that no file holds
        return tower.eval()

    def _settings(self) -> dict[str, Any]:
        """Return what the tower is made from, checked: its shapes are those of ViT-L/14."""
        config = self._weights.json("config.json")
        vision = config.get("vision_config", config)
        for key, value in _VIT_L_14.items():
            if vision.get(key, _SAVED_WITHOUT.get(key)) != value:
                raise ValueError(
                    f"{self._weights.folder / 'config.json'}: {key} is {vision.get(key)}, not {value}. "
                    f"{self._weights.remedy}"
                )
        return {**_VIT_L_14, "hidden_act": vision.get("hidden_act", "quick_gelu")}


def clip_input(image: np.ndarray) -> np.ndarray:
    """Return a picture (uint8, BGR) as CLIP takes it: float32 (3, 224, 224), RGB, the middle of it, normalised.

    Short side to 224 px by Pillow's bicubic, cut to a square, as CLIP's own preprocessing.
    """
    from PIL import Image

    side = _VIT_L_14["image_size"]
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    scale = side / min(picture.size)
    width, height = (max(side, int(length * scale)) for length in picture.size)
    left, top = (width - side) // 2, (height - side) // 2
    resized = picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    return np.ascontiguousarray(((np.asarray(resized, np.float32) / 255 - _MEAN) / _DEVIATION).transpose(2, 0, 1))


BACKENDS: dict[str, Callable[[Path], Photographic | Laion]] = {"photographic": lambda _: Photographic(), "laion": Laion}
