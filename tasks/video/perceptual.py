"""Perceptual distance between neighbouring keyframes (LongTake-HD, step 6), and a vector of a take's content.

The paper's measure is LPIPS (Zhang et al. 2018, arXiv 1801.03924); its trunk cannot be had without a download, so the
default is a stand-in under a name of its own, `hog_lab`, and `lpips` takes weights of yours.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.video.checkpoints import Weights, identity

cv2.setNumThreads(1)

_SIZE = (192, 128)  # width, height that every picture is brought to
_SCALES, _CELL, _ANGLES = 3, 8, 9
_FLAT = 2.0  # gradient, grey levels a pixel, below which a cell has no structure to speak of
_STRUCTURE = 2 / 3  # its part of the distance; the rest is colour
_COLOR_BINS = 16  # a channel
_FIELDS = (3, 2)  # columns, rows: colours are compared within each


class HogLab:
    """`hog_lab`: how much of the edges and colours of two pictures is not shared; 0 equal, 1 nothing in common.

    distance = 2/3 structure + 1/3 colour.
    Structure: pictures of 192x128 and its halves, in cells of 8x8 px; of each cell the histogram h of 9 gradient
    orientations (0 to 180 degrees, weighted by magnitude, mean a pixel, blended between neighbouring cells).
    Two cells differ by Tanimoto's 1 - (g.h + e) / (g.g + h.h - g.h + e), e = 2^2: it falls with what both have and
    rises with what one has more of, so blur counts as loss; flat cells are equal. Mean over cells, then over scales.
    Colour: 1 - the intersection of the two Lab histograms of 16^3 bins, blended over neighbouring bins; mean over 3x2
    fields.
    It is no LPIPS and has not its scale: unrelated film shots lie about 0.6 to 0.9 apart.
    """

    name = "hog_lab"
    version = "1"
    libraries: tuple[str, ...] = ("numpy", "opencv-python-headless")
    identity = identity(name, version)

    def prepare(self) -> None:
        """Nothing is loaded."""

    def distances(self, images: Sequence[np.ndarray]) -> list[float]:
        """Return the N-1 distances of neighbouring pictures (uint8, BGR)."""
        seen = [(_structure(small), _colors(small)) for small in map(_small, images)]
        return [
            _STRUCTURE * _apart(a, b) + (1 - _STRUCTURE) * float(1 - np.minimum(p, q).sum(dtype=np.float64))
            for (a, p), (b, q) in itertools.pairwise(seen)
        ]


def embedding(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return a take's content as float32 (242,) of unit length: edges and colours of its keyframes, pooled.

    Of each picture the orientation histograms of 3x2 fields at three scales (162 numbers) and a Lab histogram of 5x4x4
    bins (80), square roots, each half of unit length; the mean over the pictures. Raises ValueError without pictures.
    """
    if not images:
        raise ValueError("there is no picture to take the content of")
    pooled = np.stack([_content(_small(image)) for image in images]).mean(axis=0, dtype=np.float64)
    return (pooled / np.linalg.norm(pooled)).astype(np.float32)


def _small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)


def _structure(small: np.ndarray) -> list[np.ndarray]:
    """Return for each scale float32 (rows, columns, 9): how strong edges of each orientation are in a cell."""
    grey: np.ndarray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    scales = []
    for scale in range(_SCALES):
        if scale:
            grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        scales.append(_orientations(grey))
    return scales


def _orientations(grey: np.ndarray) -> np.ndarray:
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    length = np.sqrt(across * across + down * down)
    place = (np.arctan2(down, across) / np.pi % 1) * _ANGLES
    below = np.floor(place)
    share = place - below
    below = below.astype(np.int32) % _ANGLES
    above = (below + 1) % _ANGLES
    height, width = grey.shape
    rows, columns = height // _CELL, width // _CELL
    found = np.empty((rows, columns, _ANGLES), np.float32)
    for angle in range(_ANGLES):
        votes = length * (np.where(below == angle, 1 - share, 0) + np.where(above == angle, share, 0))
        wide = cv2.GaussianBlur(votes.astype(np.float32), (0, 0), _CELL / 3, borderType=cv2.BORDER_REFLECT_101)
        found[..., angle] = cv2.resize(wide, (columns, rows), interpolation=cv2.INTER_AREA)
    return found


def _apart(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    of_scales = []
    for g, h in zip(a, b, strict=True):
        shared = (g * h).sum(axis=-1)
        either = (g * g).sum(axis=-1) + (h * h).sum(axis=-1) - shared
        slight = _FLAT**2 / _ANGLES
        of_scales.append(1 - ((shared + slight) / (either + slight)).mean(dtype=np.float64))
    return float(np.mean(of_scales))


def _lab(small: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(small, cv2.COLOR_BGR2LAB)


def _colors(small: np.ndarray) -> np.ndarray:
    """Return for each field the shares of 16^3 Lab colours, blended over neighbouring bins; they sum to 1 over all."""
    lab = _lab(small)
    bins, span = [_COLOR_BINS] * 3, [0, 256] * 3
    fields = [field for row in np.split(lab, _FIELDS[1], axis=0) for field in np.split(row, _FIELDS[0], axis=1)]
    counts = np.stack([cv2.calcHist([np.ascontiguousarray(field)], [0, 1, 2], None, bins, span) for field in fields])
    for axis in (1, 2, 3):
        counts = (np.roll(counts, 1, axis) + 2 * counts + np.roll(counts, -1, axis)) / 4
    return counts / lab.shape[0] / lab.shape[1]


def _content(small: np.ndarray) -> np.ndarray:
    edges = [cv2.resize(cells, (3, 2), interpolation=cv2.INTER_AREA).ravel() for cells in _structure(small)]
    counts = cv2.calcHist([_lab(small)], [0, 1, 2], None, [5, 4, 4], [0, 256, 64, 192, 64, 192])
    halves = [np.sqrt(np.concatenate(edges)), np.sqrt(counts.ravel())]
    return np.concatenate([half / max(float(np.linalg.norm(half)), 1e-6) for half in halves])


class Lpips:
    """`lpips`: LPIPS 0.1 over AlexNet, from the package lpips; its linear heads come with it, the trunk from you.

    The folder holds alexnet.safetensors, the state dict of torchvision's AlexNet (of ImageNet); its classifier is not
    read. Raises ValueError where it is missing or wrong, or where lpips and torchvision are not installed.
    """

    name = "lpips"
    version = "1"
    libraries: tuple[str, ...] = ("lpips", "numpy", "torch", "torchvision")
    _trunk = "alexnet.safetensors"

    def __init__(self, folder: Path):
        remedy = f"lpips needs {folder / self._trunk}: the state dict of torchvision's AlexNet, as safetensors"
        self._weights = Weights(folder, [self._trunk], remedy)

    @property
    def identity(self) -> str:
        """NAME@VERSION+SHA256 of the trunk."""
        return identity(self.name, self.version, self._weights)

    def prepare(self) -> None:
        """Load the network."""
        assert self._network

    def distances(self, images: Sequence[np.ndarray]) -> list[float]:
        """Return the N-1 distances of neighbouring pictures (uint8, BGR, of one size, a side of 31 px or more)."""
        import torch

        if len(images) < 2:
            return []
        rgb = np.ascontiguousarray(np.stack(images)[..., ::-1].transpose(0, 3, 1, 2))
        pictures_BCHW = torch.from_numpy(rgb).to(torch.float32) / 127.5 - 1
        with torch.inference_mode():
            distances = self._network(pictures_BCHW[:-1], pictures_BCHW[1:])
        return [float(d) for d in distances.flatten()]

    @cached_property
    def _network(self) -> Any:
        try:
            import lpips
            import torch
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
            raise ValueError(f"the backend 'lpips' needs the packages lpips and torchvision ({error})") from error
        torch.set_num_threads(1)  # results depend on how many threads share a sum
        network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
        # lpips keeps AlexNet's features.N in slices: net.slice1.0, net.slice2.3, ...
        ours = [key for key in network.state_dict() if key.startswith("net.slice")]
        theirs = {key: "features." + key.split(".", 2)[2] for key in ours}
        shapes = {theirs[key]: tuple(network.state_dict()[key].shape) for key in ours}
        tensors = self._weights.tensors(self._trunk, shapes)
        trunk = {key: tensors[theirs[key]] for key in ours}
        left = network.load_state_dict(trunk, strict=False)
        assert not left.unexpected_keys
        return network.eval()


BACKENDS: dict[str, Callable[[Path], HogLab | Lpips]] = {"hog_lab": lambda _: HogLab(), "lpips": Lpips}
