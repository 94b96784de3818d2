"""Where training stands, kept in the store so that a killed run goes on: tensors as safetensors, numbers as JSON.

    <store>/checkpoints/<key>/step-<step>-<best step>-<sha256>.safetensors    weights, AdamW's moments, numbers
                              best-<step>-<sha256>.safetensors                weights of the best validation
                              done-<step>-<sha256>.safetensors                best weights and numbers of a finished run

The numbers are the JSON text `numbers` of a file's own metadata, so one file is one state, whole or not there. The
name says its hash: a damaged one is known, and the one before is taken.

A training keeps two states, and none when it has ended. What a training left that was never taken up again (other
parameters, other data) goes when another one in the same folder begins and nothing was written there for UNUSED_DAYS.
A `done` file stays: remove its folder by hand, and that training is done again when it is asked for. In an object
storage nothing is looked for: give it a lifecycle rule for checkpoints/*/step-* and best-*.
"""

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from tasks.keys import canonical_json, key_of
from tasks.places import Place

log = logging.getLogger("headrace")

UNUSED_DAYS = 30
KEPT = 2  # states: the last, and the one before should the last be damaged
_NAME = re.compile(r"(step|best|done)-(\d{10})(?:-(\d{10}))?-([0-9a-f]{16})\.safetensors")


def checkpoint_key(address: str, version: str, params: Mapping[str, Any], deps: Mapping[str, str]) -> str:
    """Return the key of one training run: no member, data set, setting or version goes on with another's.

    `address` is the stage's with its member, `version` that of the code that trains, `deps` gives the hash of each
    data dep (`Stage.dep_hash`). Wherever `skip_steps` stands in `params`, it counts as 0: a run is the same up to the
    first step that it does not allow, and `train` refuses a state on whose way more were skipped.
    """
    return key_of(
        f"{address}.checkpoint",
        version,
        _without_skip_steps(params),
        hashlib.sha256(canonical_json(dict(deps)).encode()).hexdigest(),
    )


def _without_skip_steps(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: 0 if name == "skip_steps" else _without_skip_steps(value) if isinstance(value, Mapping) else value
        for name, value in params.items()
    }


@dataclass(frozen=True)
class Saved:
    """What `Checkpoints.load` found. `tensors` is empty where training has ended; `best` before any validation."""

    address: str
    numbers: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    ended: bool


@dataclass(frozen=True)
class Standing:
    """How far a training has come: to this step, of which a state is kept, or to its end there."""

    address: str
    step: int
    ended: bool


@dataclass(frozen=True)
class _File:
    name: str
    kind: str
    step: int
    best_step: int
    digest: str


class Checkpoints:
    """The states of one training run, in a store. One process at a time writes them.

    `every_s` is how often a state is written; it cannot change what comes out, since going on is exact.
    """

    def __init__(self, store_url: str, key: str, *, every_s: float = 60.0) -> None:
        self._place = Place(store_url)
        self._folder = f"checkpoints/{key}"
        self._every_s = every_s
        self._saved_at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._saved_at >= self._every_s

    def save(self, step: int, best_step: int, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any]) -> str:
        """Keep a state, durable at return, and drop older ones than the one before; return its address.

        `best_step` is the step of the best validation so far (`save_best` has been called for it), 0 if there is none.
        """
        name = self._put(f"step-{step:010d}-{best_step:010d}", tensors, numbers)
        self._saved_at = time.monotonic()
        states = self._files("step")
        for old in states[:-KEPT]:
            self._place.remove(f"{self._folder}/{old.name}")
        self._drop_best(keep={file.best_step for file in states[-KEPT:]})
        return self._place.address(f"{self._folder}/{name}")

    def save_best(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the weights of the best validation so far. Those that kept states speak of stay beside them."""
        self._put(f"best-{step:010d}", tensors, {})
        self._drop_best(keep={step, *(file.best_step for file in self._files("step")[-KEPT:])})

    def finish(self, step: int, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any]) -> None:
        """Keep the best weights as the end of training, and drop all that was kept to go on."""
        self._put(f"done-{step:010d}", tensors, numbers)
        for file in (*self._files("step"), *self._files("best")):
            self._place.remove(f"{self._folder}/{file.name}")

    def load(self) -> Saved | None:
        """Return the newest state that is whole, or None. Damaged ones are set aside, with a warning.

        Other trainings' states that have been left for UNUSED_DAYS are removed.
        """
        self._place.sweep()
        self._sweep_abandoned()
        for file in reversed(self._files("done")):
            if (found := self._read(file)) is not None:
                return Saved(self._address(file), numbers=found[1], tensors={}, best=found[0], ended=True)
        for file in reversed(self._files("step")):
            if (found := self._read(file)) is None:
                continue
            best = self._read_best(file.best_step) if file.best_step else {}
            if best is not None:
                return Saved(self._address(file), numbers=found[1], tensors=found[0], best=best, ended=False)
            log.warning("%s: the best weights it speaks of are gone; not used", self._address(file))
        return None

    def standing(self) -> Standing | None:
        """Return what `load` would find if nothing is damaged, by the names alone: nothing is read or removed."""
        for file in reversed(self._files("done")):
            return Standing(self._address(file), file.step, ended=True)
        best = {0, *(file.step for file in self._files("best"))}
        for file in reversed(self._files("step")):
            if file.best_step in best:
                return Standing(self._address(file), file.step, ended=False)
        return None

    def _sweep_abandoned(self) -> None:
        own = self._place.local(self._folder)
        if own is None or not own.parent.is_dir():
            return
        for folder in own.parent.iterdir():
            if folder == own:
                continue
            names = [_NAME.fullmatch(file.name) for file in folder.glob("*.safetensors")]
            files = [folder / name.string for name in names if name and name[1] != "done"]
            with contextlib.suppress(FileNotFoundError):  # its training goes on, or somebody else sweeps
                if files and time.time() - max(file.stat().st_mtime for file in files) > UNUSED_DAYS * 86_400:
                    for file in files:
                        file.unlink()
                    log.info("%s: removed, nobody went on from there for %d days", folder, UNUSED_DAYS)

    def _read_best(self, step: int) -> dict[str, torch.Tensor] | None:
        for file in self._files("best"):
            if file.step == step and (found := self._read(file)) is not None:
                return found[0]
        return None

    def _drop_best(self, keep: set[int]) -> None:
        for file in self._files("best"):
            if file.step not in keep:
                self._place.remove(f"{self._folder}/{file.name}")

    def _put(self, stem: str, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any]) -> str:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        data = safetensors.torch.save(plain, {"numbers": json.dumps(dict(numbers), allow_nan=False)})
        name = f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        self._place.put(f"{self._folder}/{name}", data)
        return name

    def _read(self, file: _File) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        path = f"{self._folder}/{file.name}"
        with self._place.open(path) as opened:
            data = opened.read()
        if hashlib.sha256(data).hexdigest()[:16] == file.digest:
            try:
                return safetensors.torch.load(data), _numbers(data)
            except (SafetensorError, ValueError, KeyError) as error:
                log.debug("%s: %s", self._address(file), error)
        where, aside = self._address(file), self._place.set_aside(path)
        log.warning("%s is damaged and set aside as %s: going on from the one before", where, aside)
        return None

    def _files(self, kind: str) -> list[_File]:
        """Return the files of a kind, oldest first; others that lie in the folder are passed over."""
        parts = [(name, _NAME.fullmatch(name)) for name in self._place.list(self._folder, ".safetensors")]
        files = [_File(name, m[1], int(m[2]), int(m[3] or 0), m[4]) for name, m in parts if m]
        return sorted((file for file in files if file.kind == kind), key=lambda file: (file.step, file.name))

    def _address(self, file: _File) -> str:
        return self._place.address(f"{self._folder}/{file.name}")


def _numbers(data: bytes) -> dict[str, Any]:
    """Return the JSON of a safetensors file's metadata (its header: 8 bytes of length, then JSON)."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["numbers"])
