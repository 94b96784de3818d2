"""The retriever: its loss by hand, its sentences each read once, hard batches, and a model that learns to find."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.embed import TOKENIZER, Texts, bert_config, embedded, load_body, padded, through
from tasks.learning.models import load_model, save_model
from tasks.learning.training import run_training
from tasks.text.pairs import Pair, drawn_pairs, most_alike, neighbouring_batches
from tasks.text.retriever import (
    Design,
    Retriever,
    Searcher,
    about_passages,
    from_config,
    in_batch_loss,
    saved_config,
    sentences_of,
    vectors_of,
    write_index,
)
from tasks.text.train_retriever import RetrieverTraining, TrainRetriever
from tests.tasks.text.small_encoder import write_encoder
from tests.tasks.text.test_verifier import LEARNING

WORDS = [f"word{number}" for number in range(60)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder, WORDS)
    return folder


def retriever(folder: Path, layers: int = 1) -> tuple[Retriever, Texts]:
    config = bert_config((folder / "config.json").read_text())
    model = Retriever(Design(config, layers, 32))
    model.body.load_state_dict(load_body(folder / "model.safetensors", config).state_dict())
    return model.eval(), Texts((folder / "tokenizer.json").read_text(), 32)


def test_the_loss_is_that_of_the_paper_and_the_same_page_gives_no_negatives() -> None:
    queries, documents = (np.random.default_rng(seed).standard_normal((4, 3)) for seed in (0, 1))
    pages = [7, 8, 7, 9]
    total = 0.0
    for i in range(4):
        right = math.exp(2.0 * queries[i] @ documents[i])
        wrong = sum(math.exp(2.0 * queries[i] @ documents[j]) for j in range(4) if pages[j] != pages[i])
        total -= math.log(right / (right + wrong)) / 4
    loss = in_batch_loss(torch.tensor(queries), torch.tensor(documents), torch.tensor(pages), 2.0)
    assert float(loss) == pytest.approx(total)


def test_a_document_of_the_same_page_has_no_gradient_from_its_neighbour() -> None:
    queries = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    documents = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    in_batch_loss(queries, documents, torch.tensor([1, 1, 1]), 5.0).backward()
    assert documents.grad is not None
    assert torch.equal(documents.grad, torch.zeros(3, 4))  # each is alone with its right one: nothing to learn


def test_layers_one_by_one_are_the_whole_encoder(encoder: Path) -> None:
    model, texts = retriever(encoder)
    ids_BL, mask_BL = padded(texts(["word1 word2 word3", "word4"]))
    whole = model.body(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state
    ours = through(model.body.encoder.layer, embedded(model.body, ids_BL), mask_BL)  # type: ignore[union-attr,arg-type]
    torch.testing.assert_close(ours[mask_BL], whole[mask_BL])
    means = [whole[row][mask_BL[row]].mean(0) for row in range(2)]
    wanted = torch.stack([mean / mean.norm() for mean in means])
    torch.testing.assert_close(model(ids_BL, mask_BL), wanted)


def test_a_vector_does_not_depend_on_what_is_read_with_it_nor_on_the_order(encoder: Path) -> None:
    model, texts = retriever(encoder)
    rng = random.Random(0)
    given = [" ".join(rng.choices(WORDS, k=rng.randrange(1, 25))) for _ in range(400)]
    (together,) = vectors_of([model], texts, given)
    for place in (0, 17, 399):
        (alone,) = vectors_of([model], texts, [given[place]])
        np.testing.assert_allclose(alone[0], together[place], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_two_models_that_share_their_lower_layers_are_read_together(encoder: Path) -> None:
    one, texts = retriever(encoder)
    other, _ = retriever(encoder)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)
    both = vectors_of([one, other], texts, WORDS)
    np.testing.assert_allclose(both[0], vectors_of([one], texts, WORDS)[0], atol=1e-6)
    np.testing.assert_allclose(both[1], vectors_of([other], texts, WORDS)[0], atol=1e-6)
    assert not np.allclose(both[0], both[1], atol=1e-3)


def test_sentences_of_overlapping_windows_are_there_once_with_their_title() -> None:
    page = "One here. Two here. Three here. Four here."
    spans = [(0, 9), (10, 19), (20, 31), (32, 42)]
    windows = [
        {"page_id": "p", "title": "T", "start": start, "end": end, "text": page[start:end]}
        for start, end in ((0, 31), (10, 42), (35, 42))
    ]
    found = sentences_of(windows, {"p": [{"start": start, "end": end} for start, end in spans]})
    assert found.texts == [*(f"T. {page[start:end]}" for start, end in spans), "T. r here."]
    assert found.members_NP.tolist() == [[0, 1, 2], [1, 2, 3], [4, 4, 4]]


def test_of_a_long_page_the_windows_about_its_passage_are_searched() -> None:
    lengths = {"long": 20, "short": 2, "last": 20, "none": 20}
    windows = [
        {"page_id": page, "document_id": f"{page}-{number}", "start": 10 * number}
        for page, length in lengths.items()
        for number in range(length)
    ]
    random.Random(0).shuffle(windows)
    kept = about_passages(windows, {"long-9", "short-1", "last-19"}, 4)
    assert kept == [window for window in windows if window in kept]  # in their order
    assert {window["document_id"] for window in kept} == {
        *(f"long-{number}" for number in (7, 8, 9, 10)),
        *("short-0", "short-1"),
        *(f"last-{number}" for number in (16, 17, 18, 19)),
        *(f"none-{number}" for number in (0, 1, 2, 3)),
    }
    assert about_passages(windows, {"long-9"}, 0) == windows


def test_more_layers_than_there_are_cannot_be_trained(encoder: Path) -> None:
    with pytest.raises(ValueError, match="trained_layers=3, but the encoder has 2: from 1 to 2"):
        retriever(encoder, layers=3)


def test_batches_are_neighbours_of_different_pages_and_none_comes_twice() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 16))
    vectors = np.repeat(centres, 40, axis=0) + 0.05 * rng.standard_normal((200, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pages = [f"p{number // 2}" for number in range(200)]  # two claims a page
    batches = neighbouring_batches(vectors, pages, 10, np.random.default_rng(1))
    places = [place for batch in batches for place in batch]
    assert len(places) == len(set(places)) >= 180
    for batch in batches:
        assert len(batch) == 10 == len({pages[place] for place in batch})
    mostly_one = [max(np.bincount([place // 40 for place in batch])) for batch in batches[:8]]
    assert min(mostly_one) == 10
    assert neighbouring_batches(vectors[:4], ["a", "a", "b", "b"], 3, np.random.default_rng(0)) == []


def test_pairs_take_each_claim_once_before_any_twice_and_the_sentence_that_says_it() -> None:
    sentences = {"d1": ["The cat sat.", "A dog barked loudly."], "d2": ["Loudly a dog barked."], "e1": ["Rain fell."]}
    rows = [
        {"page_id": page, "query": query, "document_id": document}
        for page, query, document in (
            ("d", "A dog barked.", "d1"),
            ("d", "A dog barked.", "d2"),
            ("d", "The cat sat.", "d1"),
            ("e", "Rain fell.", "e1"),
        )
    ]
    three = drawn_pairs(rows, sentences, 3, np.random.default_rng(0))
    assert {pair.query for pair in three} == {"A dog barked.", "The cat sat.", "Rain fell."}
    every = drawn_pairs(rows, sentences, 0, np.random.default_rng(0))
    assert sorted(pair.sentence for pair in every if pair.query == "A dog barked.") == [
        "A dog barked loudly.",
        "Loudly a dog barked.",
    ]
    assert most_alike("nothing alike", ["first", "second"]) == "first"


def chosen(**changes: Any) -> TrainRetriever:
    learning = {**LEARNING, "max_epochs": 30, "validate_every_steps": 40, "lr": 0.003, "max_steps": 80}
    given = {
        "pairs": 0,
        "valid_share": 0.2,
        "valid_claims": 50,
        "valid_rivals": 2,
        "page_windows": 0,
        "trained_layers": 2,
        "tokens": 32,
        "scale": 10.0,
    }
    return TrainRetriever.model_validate({**given, "batch_size": 8, "learning": learning, **changes})


def pairs(seed: int, pages: range) -> tuple[Pair, ...]:
    """Claims whose sentence is found by the other half of a couple of words: no word is shared."""
    rng = random.Random(seed)
    made = []
    for page in pages:
        couples = rng.sample(range(30), 3)
        query = " ".join(f"word{number}" for number in couples)
        made.append(Pair(query, " ".join(f"word{number + 30}" for number in couples), f"p{page}"))
    return tuple(made)


def test_it_learns_to_find_what_shares_no_word_and_a_frozen_layer_stays(encoder: Path) -> None:
    config = bert_config((encoder / "config.json").read_text())
    training = RetrieverTraining(
        chosen(),
        config,
        (encoder / "tokenizer.json").read_text(),
        encoder / "model.safetensors",
        pairs(0, range(300)),
        pairs(1, range(1000, 1040)),
        ("word1 word2", "word3"),
        "cpu",
    )
    task = training.task()
    before = task.validate(task.build().eval())["recall@10"]
    trained = run_training(training)
    assert trained.best["recall@10"] > before + 0.2
    ours, untrained = trained.model.state_dict(), training.untrained().state_dict()
    assert all(torch.equal(ours[name], untrained[name]) for name in ours if "embeddings" in name)


def test_a_saved_retriever_finds_what_it_found(encoder: Path, tmp_path: Path) -> None:
    model, texts = retriever(encoder)
    save_model(tmp_path, model, saved_config(model.design))
    (tmp_path / TOKENIZER).write_text((encoder / "tokenizer.json").read_text())
    assert isinstance(load_model(tmp_path, from_config), Retriever)
    (vectors,) = vectors_of([model], texts, WORDS)
    members = np.arange(60, dtype=np.int32)[:, None]
    write_index(tmp_path, [f"d{number:02d}" for number in range(60)], members, vectors)
    found = Searcher(tmp_path).search(WORDS, 3)
    assert [ranked[0] for ranked in found] == [f"d{number:02d}" for number in range(60)]
    with pytest.raises(ValueError, match="is not of a retriever"):
        from_config({"build": "x"})
