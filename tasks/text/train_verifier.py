"""Train the verifier of claims on NLI triplets: data/models/oasis_verifier/.

Claim and evidence are read by an encoder from a package; a comparison on top of it is trained, balanced by class, and
the best by balanced accuracy on held-out pages of the training split is kept. LLM-Oasis (arXiv 2411.19655), 3.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, field_validator

from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.embed import TOKENIZER, Texts, fetched_encoder, load_body
from tasks.encoder_files import EncoderSources
from tasks.keys import StoredFunction
from tasks.learning.batches import IndexBatches, shuffled
from tasks.learning.config import LearningConfig
from tasks.learning.curves import Look
from tasks.learning.exact import exactly
from tasks.learning.models import save_model
from tasks.learning.task import Loss, Task
from tasks.learning.training import checkpoints_of, train_in_stage, training_plan, write_training
from tasks.stage import Plan, Report, Stage, StrictModel, item_rng, stage_main
from tasks.text.decision import LABELS
from tasks.text.drawn_triplets import Triplet, balanced, balanced_accuracy, held_out_pages
from tasks.text.oasis_tables import read_oasis
from tasks.text.verifier import Design, Read, Reader, Verifier, judged, saved_config

STORED = StoredFunction(
    "text.train_verifier", "1", "tasks.text.train_verifier", ("torch", "transformers", "tokenizers", "numpy")
)
OUT = "data/models/oasis_verifier"
DATA = ("data/curated/oasis",)


class TrainVerifier(StrictModel):
    triplets: int = Field(ge=0, description="at most, as many of each class, so 3 or more; 0: as many as there are")
    valid_triplets: int = Field(ge=3, description="of held-out pages, at most, as many of each class")
    valid_share: float = Field(gt=0, lt=1, description="of the pages of the training split, held out for validation")
    layers: int = Field(ge=1, description="of the encoder, from below, that read the texts; they are not trained")
    width: int = Field(ge=4, multiple_of=4, description="of the comparison that is trained")
    dropout: float = Field(ge=0, lt=1)
    tokens: int = Field(ge=8, le=512, description="word pieces of a claim or of evidence that are read, at most")
    batch_size: int = Field(ge=1)
    learning: LearningConfig

    @field_validator("triplets")
    @classmethod
    def _of_each_class(cls, triplets: int) -> int:
        if 0 < triplets < len(LABELS):
            raise ValueError(f"{triplets} triplets are none of each class: 0 (all there are), or {len(LABELS)} or more")
        return triplets


class Params(StrictModel):
    encoder: EncoderSources
    train_verifier: TrainVerifier


def run(stage: Stage, params: Params) -> Report:
    """Train, then write the model, its curves and its figures."""
    training = _training(stage, params)
    trained = train_in_stage(stage, training, checkpoints_of(stage, STORED, params, DATA))
    model = trained.model.cpu()
    assert isinstance(model, Verifier)
    out = stage.out(OUT)
    save_model(out, model, saved_config(model.design))
    (out / TOKENIZER).write_text(training.tokenizer)
    counts = {"triplets": len(training.train), "valid_triplets": len(training.valid)}
    write_training(stage, trained, Look("balanced accuracy on held-out pages"), counts)
    return Report("triplet", len(training.train), len(training.train), {}, OUT)


def plan(stage: Stage, params: Params) -> Plan:
    """Say from which step training goes on, or that it has ended."""
    return training_plan(checkpoints_of(stage, STORED, params, DATA), params.train_verifier.learning.max_steps)


@dataclass(frozen=True)
class VerifierTraining:
    """A `tasks.learning.training.Training`: an encoder, and the triplets of both parts."""

    chosen: TrainVerifier
    encoder: Mapping[str, Any]
    tokenizer: str
    weights: Path
    train: tuple[Triplet, ...]
    valid: tuple[Triplet, ...]
    device: str

    @property
    def config(self) -> LearningConfig:
        """The parameters of training."""
        return self.chosen.learning

    def task(self) -> Task:
        """Return what is trained. The texts are read here, once for all steps."""
        chosen = self.chosen
        design = Design(dict(self.encoder), chosen.width, chosen.dropout, chosen.tokens)
        body = load_body(self.weights, self.encoder)
        reader = self._reader(design, body)

        def built() -> Verifier:
            verifier = Verifier(design)
            verifier.body.load_state_dict(body.state_dict())
            return verifier

        def read(places: np.ndarray, epoch: int) -> tuple[Read, Read, torch.Tensor]:
            drawn = [self.train[place] for place in places]
            labels_B = torch.tensor([one.label for one in drawn])
            return reader.read([one.claim for one in drawn]), reader.read([one.evidence for one in drawn]), labels_B

        items = len(self.train)
        batches = IndexBatches(read, shuffled(items, chosen.learning.seed), items, chosen.batch_size)
        return Task(built, batches, loss, lambda model: self._validated(model, reader), better="higher")

    def _reader(self, design: Design, body: torch.nn.Module) -> Reader:
        untrained = Verifier(design)
        untrained.body.load_state_dict(body.state_dict())
        reader = Reader(untrained.eval(), Texts(self.tokenizer, design.tokens))
        with exactly(self.chosen.learning.threads, torch.device("cpu")):
            for triplets in (self.train, self.valid):
                reader.prepare([text for one in triplets for text in (one.claim, one.evidence)])
        return reader

    def _validated(self, model: torch.nn.Module, reader: Reader) -> dict[str, float]:
        assert isinstance(model, Verifier)
        told = judged(model, reader, [one.claim for one in self.valid], [one.evidence for one in self.valid])
        truth = [one.label for one in self.valid]
        answers = told.argmax(1).tolist()
        shares = {
            f"recall_{label}": float(np.mean([a == t for a, t in zip(answers, truth, strict=True) if t == number]))
            for number, label in enumerate(LABELS)
        }
        return {"balanced_accuracy": balanced_accuracy(truth, answers), **shares}


def loss(model: torch.nn.Module, batch: tuple[Read, Read, torch.Tensor]) -> Loss:
    """Return the cross entropy of a batch: claims, evidence, labels (B,)."""
    claim, evidence, labels_B = batch
    logits_B3 = model(claim, evidence)
    right = (logits_B3.argmax(1) == labels_B).float().mean()
    return Loss(torch.nn.functional.cross_entropy(logits_B3, labels_B), len(labels_B), {"accuracy": right})


def _training(stage: Stage, params: Params) -> VerifierTraining:
    chosen, memory = params.train_verifier, HashMemory(stage.store)
    table = read_oasis(stage.dep(DATA[0]), "nli_triplets")
    rows = [row for row in table if row["split"] == "train"]
    seed = chosen.learning.seed
    held_out = held_out_pages(
        (row["page_id"] for row in rows), chosen.valid_share, item_rng(seed, stage.name, "held_out")
    )
    parts = [
        balanced([row for row in rows if (row["page_id"] in held_out) == held], most, item_rng(seed, stage.name, name))
        for name, held, most in (("train", False, chosen.triplets), ("valid", True, chosen.valid_triplets))
    ]
    encoder, tokenizer, weights = fetched_encoder(
        params.encoder, lambda source: fetched_for(stage, source, memory), chosen.layers
    )
    return VerifierTraining(chosen, encoder, tokenizer, weights, tuple(parts[0]), tuple(parts[1]), stage.knobs.device)


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
