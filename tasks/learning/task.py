"""What the training loop is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch

from tasks.learning.batches import Batches

Row = dict[str, float | None]


class Loss(NamedTuple):
    """What a loss function returns for a part of a batch.

    `mean` is a scalar to be made small. `weight` says over how much it is a mean, where parts differ (tokens).
    `figures` are more means to be drawn as curves.
    """

    mean: torch.Tensor
    weight: float = 1.0
    figures: Mapping[str, torch.Tensor | float] = {}


@dataclass(frozen=True)
class Task:
    """What is trained. All functions depend on their arguments and torch's seeded generators alone."""

    build: Callable[[], torch.nn.Module]  # called with the generators seeded; parameters without gradient stay as built
    batches: Batches
    loss: Callable[[torch.nn.Module, Any], Loss]
    validate: Callable[[torch.nn.Module], Mapping[str, float]]  # the first figure counts; model in eval mode, no_grad
    better: Literal["lower", "higher"] = "lower"  # of that figure


@dataclass(frozen=True)
class Trained:
    """What came out. All but `resumed_from`, `steps_run` and `seconds` is the same however often the run was killed."""

    model: torch.nn.Module  # with the best weights, in evaluation mode
    best_step: int
    best: dict[str, float]  # figures of the best validation
    steps: int
    stopped: str  # "length" or "patience"
    skipped: int
    curve: list[Row]  # step, loss, lr, grad_norm and the loss function's figures
    validations: list[Row]  # step and figures; None for what is not finite
    resumed_from: int | None
    steps_run: int
    seconds: float = field(repr=False)
