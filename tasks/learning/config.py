"""What a training run is told: the part of params.yaml that every stage with a network has.

Each number here may change the weights, so all of them belong into a stage's `params:`. What cannot change them
(device, how often a checkpoint is written) is an argument of `tasks.learning.loop.train`.
"""

from typing import Literal

from pydantic import Field

from tasks.strict import StrictModel


class Regime(StrictModel):
    """What several networks of a stage share. Length is told in steps and epochs, never in seconds: a slow machine
    must come to the same weights.
    """

    seed: int = Field(ge=0, lt=2**63, description="of first weights, order of batches, dropout")
    max_epochs: int = Field(ge=1, description="passes over the training set; what ends first, steps or epochs, counts")
    micro_batches: int = Field(
        ge=1,
        description="equal parts that a batch is worked in, one after another or in several processes: memory holds "
        "one part for each process, and the weights do not depend on how many processes there are",
    )
    warmup_steps: int = Field(ge=0, description="steps of linear rise, from floor_share * lr")
    floor_share: float = Field(ge=0, le=1, description="share of lr at which the cosine ends")
    weight_decay: float = Field(ge=0, description="AdamW's, on all parameters")
    clip_norm: float | None = Field(gt=0, description="gradients are scaled down to this norm; empty: never")
    precision: Literal["float32", "bfloat16"] = Field(
        description="of the forward pass on CUDA, but for Fourier blocks; weights, gradients and all work on CPU are "
        "float32 either way"
    )
    validate_every_steps: int = Field(ge=1, description="and after the last step; the best weights are what is kept")
    patience: int | None = Field(ge=1, description="validations without a better one that end training; empty: never")
    skip_steps: int = Field(ge=0, description="steps with a NaN or Inf that are passed over; one more is an error")
    log_every_steps: int = Field(ge=1, description="a point of the curves is the mean over so many steps")
    threads: int = Field(
        ge=1, le=64, description="threads of a process on CPU: sums depend on it, so it is not the number of cores"
    )


class LearningConfig(Regime):
    """AdamW with linear warm-up and cosine: a regime, and what belongs to one network."""

    max_steps: int = Field(ge=1, description="optimizer steps: what time there is, at the pace of the slowest machine")
    lr: float = Field(gt=0, description="learning rate at its highest")
