"""Train a small video question-answering model on VISTA's choices: data/models/videoqa/.

One arm is shown VISTA's composed videos, the other the raw clips that are asked of, both with the same questions,
frames and patches: the last row of the ablation of VISTA (arXiv 2412.00927). Either begins on raw clips, since the
paper's models could see already. The best on held-out clips in composed videos is kept.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from tasks.keys import StoredFunction
from tasks.learning.config import LearningConfig
from tasks.learning.curves import Look
from tasks.learning.models import save_model
from tasks.learning.task import Loss, Task
from tasks.learning.training import checkpoints_of, train_in_stage, training_plan, write_training
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Store
from tasks.video.choice_items import VISTA, Arm, ChoiceItem, read_choices, without
from tasks.video.choice_views import (
    Batch,
    Seen,
    Sights,
    batch_of,
    choice_batches,
    look,
    right_of,
    scores_of,
    seen_in,
    unreadable,
)
from tasks.video.clip_roots import clip_roots
from tasks.video.glimpses import Glimpses, wanted
from tasks.video.items import Subset
from tasks.video.manifest import Own
from tasks.video.videoqa import MODEL, Design, VideoQa, Words, saved_config, vocabulary

STORED = StoredFunction("video.train_videoqa", "1", "tasks.video.train_videoqa", ("torch", "numpy", "av"))
HEAD = 16  # of the width, each head of attention


class TrainVideoqa(StrictModel):
    arm: Arm = Field(description="vista: composed videos; raw: the clips that are asked of, as the paper compares")
    raw_epochs: int = Field(
        ge=0, description="passes over raw clips before, in both arms: the paper's models could see before they began"
    )
    leave_out: list[Subset] = Field(description="families of items that are not trained on")
    sights: Sights
    width: int = Field(ge=HEAD, multiple_of=HEAD, description="of states; each head of attention has 16 of it")
    layers: int = Field(ge=1, description="of attention over time")
    dropout: float = Field(ge=0, lt=1)
    batch_size: int = Field(ge=1)
    learning: LearningConfig

    def arms_of(self, item: ChoiceItem) -> tuple[Arm, ...]:
        """Return what is shown of an item: held-out clips are asked of in composed videos, whatever is trained on.

        Those are what either arm is to be good at, and what the best weights are chosen by.
        """
        if item.split != "train":
            return ("vista",)
        return ("raw", self.arm) if self.raw_epochs and self.arm != "raw" else (self.arm,)


class Params(StrictModel):
    own: Own
    train_videoqa: TrainVideoqa


def run(stage: Stage, params: Params) -> Report:
    """Train, then write the model, its curves and its figures."""
    items = stage.once("items", lambda: _items(stage, params.train_videoqa))
    chosen = params.train_videoqa
    shown = shown_of(items, chosen)
    rejects = unreadable(stage, shown, clip_roots(stage, params.own.video))
    stage.check_rejects("choice", len(items), len(rejects))
    kept = [item for item in items if item.item_id not in rejects]
    training = VideoqaTraining(chosen, tuple(items), frozenset(rejects), stage.store.url, stage.knobs.device)
    trained = train_in_stage(stage, training, checkpoints_of(stage, STORED, params, (VISTA,)))
    model = trained.model.cpu()
    assert isinstance(model, VideoQa)
    save_model(stage.out(MODEL), model, saved_config(model.design, chosen.sights.model_dump()))
    counts = {
        "choices": len(training.split("train")),
        "valid_choices": len(training.split("valid")),
        "words": len(model.design.words),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    write_training(stage, trained, Look("accuracy on held-out clips (chance .25)"), counts)
    reasons = Counter(reject.reason for reject in rejects.values())
    return Report("choice", len(items), len(kept), dict(reasons), MODEL)


def plan(stage: Stage, params: Params) -> Plan:
    """Say from which step training goes on, or that it has ended."""
    return training_plan(checkpoints_of(stage, STORED, params, (VISTA,)), params.train_videoqa.learning.max_steps)


def shown_of(items: Sequence[ChoiceItem], chosen: TrainVideoqa) -> list[tuple[ChoiceItem, Seen]]:
    """Return all that is looked at of each item."""
    return [(item, (item.shown(arm), chosen.sights.of(item))) for item in items for arm in chosen.arms_of(item)]


def _items(stage: Stage, chosen: TrainVideoqa) -> list[ChoiceItem]:
    try:
        items = without(read_choices(stage.dep(VISTA)), chosen.leave_out)
    except ValueError as error:
        raise StageError(str(error)) from None
    found = [item for item in items if item.split in ("train", "valid")]
    for split in ("train", "valid"):
        if not any(item.split == split for item in found):
            raise StageError(f"{VISTA} has no choices of split {split}: raise augment_vista.items or its share")
    return found


@dataclass(frozen=True)
class VideoqaTraining:
    """A `tasks.learning.training.Training`: the choices of both splits, and where pictures of their clips are kept."""

    chosen: TrainVideoqa
    items: tuple[ChoiceItem, ...]
    unreadable: frozenset[str]  # of them, by item_id
    store_url: str
    device: str

    @property
    def config(self) -> LearningConfig:
        """The parameters of training."""
        return self.chosen.learning

    def split(self, name: str) -> list[ChoiceItem]:
        """Return the choices of a split."""
        return [item for item in self.items if item.split == name and item.item_id not in self.unreadable]

    def task(self) -> Task:
        """Return what is trained. The videos are laid out here, once for all steps."""
        chosen, train, valid = self.chosen, self.split("train"), self.split("valid")
        texts = [text for item in train for text in (item.question, *item.options)]
        design = Design(vocabulary(texts), chosen.width, chosen.width // HEAD, chosen.layers, chosen.dropout)
        words = Words(design.words)
        glimpses = Glimpses(Store(self.store_url), wanted([one for _, one in shown_of(self.items, chosen)]))
        seen = look(glimpses, seen_in(valid, "vista", chosen.sights))
        after = look(glimpses, seen_in(train, chosen.arm, chosen.sights))
        alike = chosen.arm == "raw" or not chosen.raw_epochs
        before = after if alike else look(glimpses, seen_in(train, "raw", chosen.sights))
        batches = choice_batches(
            lambda epoch: before if epoch < chosen.raw_epochs else after,
            lambda looked, rows: batch_of(looked, rows, train, words),
            chosen.batch_size,
            chosen.learning.seed,
        )

        def validate(model: torch.nn.Module) -> dict[str, float]:
            right = right_of(scores_of(model, seen, valid, words), valid)
            return {"accuracy": float(right.mean()), **_by_family(right, valid)}

        return Task(lambda: VideoQa(design), batches, loss, validate, better="higher")


def loss(model: torch.nn.Module, batch: Batch) -> Loss:
    """Return the cross entropy of a batch of choices."""
    scores_BO = model(batch.patches_BTRCF, batch.asked)
    right = (scores_BO.argmax(1) == batch.labels_B).float().mean()
    return Loss(torch.nn.functional.cross_entropy(scores_BO, batch.labels_B), len(batch.labels_B), {"accuracy": right})


def _by_family(right: np.ndarray, items: Sequence[ChoiceItem]) -> dict[str, float]:
    families = np.array([item.family for item in items])
    return {f"accuracy_{name}": float(right[families == name].mean()) for name in sorted(set(families.tolist()))}


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
