"""Weights of the user's for the networks that score pictures: found, identified, and checked before they are used.

A backend that needs weights has a folder of its name (`data/own/models/NAME/`); they are safetensors, never pickle.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

_SHOWN = 4  # keys named in a message


class Backend(Protocol):
    """What computes a score. Its identity stands beside the score and in the store's key."""

    name: str
    version: str
    libraries: tuple[str, ...]

    @property
    def identity(self) -> str:
        """NAME@VERSION, and +SHA256 of the weights (12 digits) where there are any."""

    def prepare(self) -> None:
        """Load what is needed; scoring does it too. Raises ValueError that names file, key and remedy."""


class Weights:
    """The files of one backend's folder. Raises ValueError where one is missing."""

    def __init__(self, folder: Path, files: Sequence[str], remedy: str):
        self.folder = folder
        self.files = tuple(files)
        self.remedy = remedy
        missing = [name for name in files if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder / missing[0]}: no such file. {remedy}")

    @property
    def digest(self) -> str:
        """The first 12 digits of the SHA-256 over the files' names and contents."""
        return _digest(*((self.folder / name, _state(self.folder / name)) for name in self.files))

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON file's object."""
        try:
            found = json.loads((self.folder / name).read_text())
        except ValueError as error:
            raise ValueError(f"{self.folder / name}: not JSON ({error}). {self.remedy}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{self.folder / name}: not a JSON object. {self.remedy}")
        return found

    def tensors(self, name: str, wanted: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """Return the wanted tensors of a safetensors file as float32; others of the file are passed over.

        `wanted` maps keys to shapes. Raises ValueError that names the file and the keys that are missing, have
        another shape, or are no finite numbers.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        path = self.folder / name
        try:
            with safe_open(path, "pt") as file:
                there = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
                self._check(path, there, wanted)
                found = {key: file.get_tensor(key).to(torch.float32) for key in wanted}
        except SafetensorError as error:
            raise ValueError(f"{path}: not a safetensors file ({error}). {self.remedy}") from error
        broken = [key for key, tensor in found.items() if not bool(torch.isfinite(tensor).all())]
        if broken:
            raise ValueError(f"{path}: {_named(broken)} has values that are not finite. {self.remedy}")
        return found

    def _check(self, path: Path, there: Mapping[str, Sequence[int]], wanted: Mapping[str, Sequence[int]]) -> None:
        missing = [key for key in wanted if key not in there]
        if missing:
            others = [key for key in there if key not in wanted]
            near = difflib.get_close_matches(missing[0], others, n=_SHOWN, cutoff=0.5) or others
            instead = f" (it has {_named(near)})" if near else ""
            raise ValueError(f"{path}: {_named(missing)} is missing{instead}. {self.remedy}")
        for key, shape in wanted.items():
            if list(there[key]) != list(shape):
                raise ValueError(f"{path}: {key} is {list(there[key])}, not {list(shape)}. {self.remedy}")


def identity(name: str, version: str, weights: Weights | None = None) -> str:
    """Return what stands beside a score: NAME@VERSION, and +SHA256 of the weights where there are any."""
    return f"{name}@{version}" + (f"+{weights.digest}" if weights else "")


def _named(keys: Sequence[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@cache  # a file's state is part of the key, so a changed file is read again
def _digest(*files: tuple[Path, tuple[int, int, int]]) -> str:
    whole = hashlib.sha256()
    for path, _ in files:
        with path.open("rb") as file:
            whole.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:12]
