"""What computes quality, perceptual distance and motion, by name: the stand-ins and the paper's own."""

from functools import cache
from pathlib import Path
from typing import Any

from tasks.video import flow, perceptual, quality
from tasks.video.checkpoints import identity
from tasks.video.scores import Motion


class PassFlow:
    """`dis`: the flow of the decode pass, whose numbers stand in the samples already; nothing is computed here."""

    name = "dis"
    version = Motion.version
    libraries: tuple[str, ...] = ()
    identity = identity(name, version)

    def prepare(self) -> None:
        """Nothing is loaded."""


BACKENDS: dict[str, Any] = {
    "quality": quality.BACKENDS,
    "perceptual": perceptual.BACKENDS,
    "flow": {"dis": lambda _: PassFlow(), **flow.BACKENDS},
}


@cache
def open_backend(kind: str, name: str, models_folder: Path) -> Any:
    """Return the backend of a kind (quality, perceptual, flow), the same object for the same question.

    Weights are looked for in `models_folder / name` and loaded on the first score, or by `prepare()`.
    Raises ValueError where there is no such backend, or a file of its weights is missing.
    """
    if name not in BACKENDS[kind]:
        raise ValueError(f"there is no {kind} backend {name!r}; there are {', '.join(BACKENDS[kind])}")
    return BACKENDS[kind][name](models_folder / name)
