"""The learning rate by step: linear warm-up, then half a cosine (SGDR, arXiv 1608.03983, eq. 5, without restarts)."""

import math

from tasks.learning.config import LearningConfig


def total_steps(config: LearningConfig, steps_per_epoch: int) -> int:
    """Return how many steps training has at most: what ends first of `max_steps` and `max_epochs`.

    Raises ValueError where the warm-up would not have ended by then.
    """
    if steps_per_epoch < 1:
        raise ValueError("no batch in an epoch: give more training items, or make the batch smaller")
    total = min(config.max_steps, config.max_epochs * steps_per_epoch)
    if config.warmup_steps >= total:
        raise ValueError(
            f"warmup_steps={config.warmup_steps}, but training has {total} steps (max_steps={config.max_steps}, "
            f"max_epochs={config.max_epochs} of {steps_per_epoch} steps): make the warm-up shorter"
        )
    return total


def learning_rate(step: int, total: int, config: LearningConfig) -> float:
    """Return the rate of step `step` (0..total-1).

    It rises from just above floor_share * lr, is lr at step `warmup_steps`, and floor_share * lr at the last step.
    Where step `warmup_steps` is the last, it is lr there.
    """
    warmup = config.warmup_steps
    if step < warmup:
        share = (step + 1) / (warmup + 1)
    else:
        share = (1 + math.cos(math.pi * (step - warmup) / max(1, total - 1 - warmup))) / 2
    return config.lr * (config.floor_share + (1 - config.floor_share) * share)
