"""The verifier: what it answers of a pair depends on that pair, and it learns which word of a claim is false."""

import contextlib
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.embed import Texts, bert_config
from tasks.learning.config import LearningConfig
from tasks.learning.models import load_model, save_model
from tasks.learning.training import run_training
from tasks.text.decision import LABELS
from tasks.text.drawn_triplets import Triplet, balanced, balanced_accuracy, held_out_pages
from tasks.text.train_verifier import TrainVerifier, VerifierTraining
from tasks.text.verifier import Design, Reader, TrainedJudge, Verifier, from_config, judged, saved_config
from tests.tasks.text.small_encoder import tokenizer_json, write_encoder

NAMES = [f"name{number}" for number in range(40)]
TRADES = [f"trade{number}" for number in range(30)]
WORDS = [*NAMES, *TRADES, "was", "a", ".", "in", "oslo"]
LEARNING: dict[str, Any] = {
    **{"seed": 0, "max_epochs": 3, "micro_batches": 1, "warmup_steps": 5, "floor_share": 0.1, "weight_decay": 0.01},
    **{"clip_norm": 1.0, "precision": "float32", "validate_every_steps": 60, "patience": None, "skip_steps": 0},
    **{"log_every_steps": 20, "threads": 1, "max_steps": 120, "lr": 0.005},
}
CHOSEN: dict[str, Any] = {
    **{"triplets": 0, "valid_triplets": 60, "valid_share": 0.2, "layers": 1, "width": 16, "dropout": 0.0},
    **{"tokens": 32, "batch_size": 16, "learning": LEARNING},
}


def verifier(seed: int = 0) -> tuple[Verifier, Texts]:
    text = tokenizer_json(WORDS)
    encoder = {name: value for name, value in small_config(text).items()}
    torch.manual_seed(seed)
    return Verifier(Design(encoder, 16, 0.0, 32)).eval(), Texts(text, 32)


def small_config(text: str) -> dict[str, Any]:
    import json

    from tests.tasks.text.small_encoder import CONFIG

    vocabulary = len(json.loads(text)["model"]["vocab"])
    return bert_config(json.dumps({"model_type": "bert", **CONFIG, "vocab_size": vocabulary}), 1)


def told(rng: random.Random, names: list[str]) -> Triplet:
    """A sentence in which who does what must be found, among another one's."""
    one, other = rng.sample(names, 2)
    mine, theirs, false = rng.sample(TRADES, 3)
    label = rng.randrange(3)
    sentences = [f"{one} was a {mine} .", f"{other} was a {theirs} ."]
    if label == 2:
        sentences = sentences[1:]
    rng.shuffle(sentences)
    return Triplet(f"{one} was a {false if label == 1 else mine} .", " ".join(sentences), label)


def test_an_answer_depends_on_its_pair_alone_whatever_else_is_judged() -> None:
    model, texts = verifier()
    rng = random.Random(0)
    triplets = [told(rng, NAMES) for _ in range(150)]
    claims, evidences = [one.claim for one in triplets], [one.evidence for one in triplets]
    together = TrainedJudge(model, texts).probabilities(claims, evidences)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    for place in range(0, 150, 29):
        alone = TrainedJudge(model, texts).probabilities(claims[place : place + 1], evidences[place : place + 1])
        np.testing.assert_allclose(alone[0], together[place], atol=1e-5)
    labels = TrainedJudge(model, texts).labels(claims, evidences)
    assert labels == [LABELS[place] for place in together.argmax(1)]


def test_attention_and_comparison_are_those_of_a_loop_over_word_pieces() -> None:
    model, texts = verifier()
    reader = Reader(model, texts)
    claim, evidence = "name1 was a trade2 .", "trade2 was name3 in oslo ."
    reader.prepare([claim, evidence, "name9 was a trade9 in oslo . name1 was a trade1 ."])
    ours, theirs = reader.read([claim]), reader.read([evidence])
    seen: list[torch.Tensor] = []
    model.comparison.compare.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    model(ours, theirs)
    # the same padded by a longer text beside it
    longer = reader.read([evidence, "name9 was a trade9 in oslo . name1 was a trade1 ."])
    model(reader.read([claim, claim]), longer)
    torch.testing.assert_close(seen[1][0], seen[0][0], atol=1e-5, rtol=1e-5)

    words = model.body.embeddings.word_embeddings.weight.detach().numpy()  # type: ignore[union-attr]
    sharp = model.comparison.sharpness.detach().numpy()

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))

    ids_c, ids_e = ours.ids_BL[0].tolist(), theirs.ids_BL[0].tolist()
    states_c, states_e = ours.states_BLD[0].numpy(), theirs.states_BLD[0].numpy()
    for place, piece in enumerate(ids_c):
        by_state = [cosine(states_c[place], state) for state in states_e]
        by_word = [cosine(words[piece], words[other]) for other in ids_e]
        equal = [float(piece == other) for other in ids_e]
        scores = np.array([np.dot(sharp, three) for three in zip(by_state, by_word, equal, strict=True)])
        weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        figures = [max(by_state), max(by_word), max(equal), float(weights @ by_word)]
        np.testing.assert_allclose(seen[0][0, place, -4:].detach().numpy(), figures, atol=1e-4)


def test_a_claim_without_evidence_is_judged_and_nothing_is_found_for_it() -> None:
    model, texts = verifier()
    told = TrainedJudge(model, texts).probabilities(["name1 was a trade2 .", "name1 was a trade2 ."], ["", "name2 ."])
    assert np.isfinite(told).all()
    assert not np.allclose(told[0], told[1])


def test_a_saved_verifier_answers_as_before(tmp_path: Path) -> None:
    model, texts = verifier(seed=4)
    save_model(tmp_path, model, saved_config(model.design))
    again = load_model(tmp_path, from_config)
    assert isinstance(again, Verifier)
    pair = (["name1 was a trade2 ."], ["name1 was a trade3 ."])
    assert np.array_equal(
        TrainedJudge(again, texts).probabilities(*pair), TrainedJudge(model, texts).probabilities(*pair)
    )
    with pytest.raises(ValueError, match="is not of a verifier"):
        from_config({"build": "x", "width": 3})


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> VerifierTraining:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder, WORDS)
    rng = random.Random(1)
    train = tuple(told(rng, NAMES[:30]) for _ in range(1200))
    valid = tuple(told(rng, NAMES[30:]) for _ in range(150))
    config = bert_config((folder / "config.json").read_text(), 1)
    chosen = TrainVerifier.model_validate(CHOSEN)
    weights = folder / "model.safetensors"
    return VerifierTraining(chosen, config, (folder / "tokenizer.json").read_text(), weights, train, valid, "cpu")


def test_it_learns_to_find_the_false_word_of_subjects_it_never_saw(training: VerifierTraining) -> None:
    trained = run_training(training)
    assert trained.best["balanced_accuracy"] > 0.8
    again = run_training(training)
    ours, theirs = trained.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_encoder_stays_as_it_was(training: VerifierTraining) -> None:
    task = training.task()
    before = {name: value.clone() for name, value in task.build().state_dict().items() if name.startswith("body.")}
    config = LearningConfig(**{**LEARNING, "max_steps": 6})
    from tasks.learning.loop import train

    after = train(task, config, device="cpu").model.state_dict()
    assert before
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in task.build().body.parameters())  # type: ignore[union-attr]


def row(label: str, kind: str, page: str, number: int) -> dict[str, Any]:
    names = {"label": label, "premise_kind": kind, "page_id": page, "premise_title": "Title"}
    return {**names, "premise": f"premise {number}", "hypothesis": f"claim {number}"}


@pytest.mark.parametrize(("triplets", "ok"), [(0, True), (1, False), (2, False), (3, True)])
def test_fewer_triplets_than_classes_are_refused(triplets: int, ok: bool) -> None:
    with contextlib.nullcontext() if ok else pytest.raises(ValidationError, match="none of each class"):
        TrainVerifier.model_validate({**CHOSEN, "triplets": triplets})


def test_triplets_are_balanced_by_class_and_kinds_share_a_class() -> None:
    sizes = {("entailment", "passage"): 50, ("entailment", "factual"): 9, ("contradiction", "passage"): 4}
    sizes |= {("contradiction", "unfactual"): 8, ("neutral", "window"): 30}
    number = itertools.count()
    rows = [row(label, kind, "p", next(number)) for (label, kind), n in sizes.items() for _ in range(n)]
    drawn = balanced(rows, 0, np.random.default_rng(0))
    counts = [sum(one.label == place for one in drawn) for place in range(3)]
    assert counts == [12, 12, 12]  # as many as the smallest class has
    entailed = [one for one in drawn if one.label == 0]
    assert sum(one.evidence.startswith("Title. ") for one in entailed) == 6  # passages come with their title
    assert len({one.claim for one in drawn}) == 36
    assert [sum(one.label == place for one in balanced(rows, 10, np.random.default_rng(0))) for place in range(3)] == [
        3
    ] * 3
    with pytest.raises(ValueError, match="no triplet is labelled neutral"):
        balanced([one for one in rows if one["label"] != "neutral"], 0, np.random.default_rng(0))


def test_held_out_pages_are_a_share_and_never_all() -> None:
    pages = [f"p{number}" for number in range(50)] * 3
    held = held_out_pages(pages, 0.2, np.random.default_rng(0))
    assert len(held) == 10
    assert held < set(pages)
    assert len(held_out_pages(["a", "b"], 0.9, np.random.default_rng(0))) == 1
    with pytest.raises(ValueError, match="1 pages to train on"):
        held_out_pages(["a", "a"], 0.5, np.random.default_rng(0))


def test_balanced_accuracy_is_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(2)
    truth, told = rng.integers(0, 3, 200).tolist(), rng.integers(0, 3, 200).tolist()
    assert balanced_accuracy(truth, told) == pytest.approx(balanced_accuracy_score(truth, told))
    uneven = [True] * 90 + [False] * 10
    assert balanced_accuracy(uneven, [True] * 100) == 0.5


def test_judging_prepared_texts_needs_no_order(training: VerifierTraining) -> None:
    model, texts = verifier(2)
    reader = Reader(model, texts)
    rng = random.Random(5)
    triplets = [told(rng, NAMES) for _ in range(90)]
    reader.prepare([text for one in triplets for text in (one.claim, one.evidence)])
    forward = judged(model, reader, [one.claim for one in triplets], [one.evidence for one in triplets])
    back = judged(model, reader, [one.claim for one in triplets[::-1]], [one.evidence for one in triplets[::-1]])
    np.testing.assert_allclose(forward, back[::-1], atol=1e-5)
