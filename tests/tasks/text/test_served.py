"""Trained models of the text line, opened as MLflow opens them: a table of text in, numbers out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.embed import TOKENIZER, Texts, bert_config
from tasks.learning.models import save_model
from tasks.text import retriever, served, verifier
from tests.tasks.text.small_encoder import write_encoder

WORDS = ["heron", "bird", "is", "a", "the"]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    write_encoder(tmp_path / "encoder", WORDS)
    return tmp_path / "encoder"


def test_a_verifier_is_served(encoder: Path, tmp_path: Path) -> None:
    config = bert_config((encoder / "config.json").read_text(), 1)
    model = verifier.Verifier(verifier.Design(config, 8, 0.0, 32)).eval()
    save_model(tmp_path / "model", model, verifier.saved_config(model.design))
    text = (encoder / "tokenizer.json").read_text()
    (tmp_path / "model" / TOKENIZER).write_text(text)
    opened = served._load_pyfunc(str(tmp_path / "model"))
    table = pd.DataFrame({"claim": ["heron is a bird", "a"], "evidence": ["the heron", ""]})
    wanted = verifier.TrainedJudge(model, Texts(text, 32)).probabilities(list(table["claim"]), list(table["evidence"]))
    assert np.array_equal(opened.predict(table), wanted)
    assert opened.predict(served.input_example(str(tmp_path / "model"))).shape == (1, 3)
    with pytest.raises(ValueError, match="the column 'evidence' is expected"):
        opened.predict({"claim": ["x"]})


def test_a_retriever_is_served(encoder: Path, tmp_path: Path) -> None:
    config = bert_config((encoder / "config.json").read_text())
    model = retriever.Retriever(retriever.Design(config, 1, 32)).eval()
    save_model(tmp_path / "model", model, retriever.saved_config(model.design))
    (tmp_path / "model" / TOKENIZER).write_text((encoder / "tokenizer.json").read_text())
    opened = served._load_pyfunc(str(tmp_path / "model"))
    vectors = opened.predict(pd.DataFrame({"text": ["heron", "the bird"]}))
    assert vectors.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert opened.predict(served.input_example(str(tmp_path / "model"))).shape == (1, 16)


def test_a_model_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"build": "os:system"}')
    with pytest.raises(ValueError, match=r"config\.json: build is 'os:system'"):
        served._load_pyfunc(str(tmp_path))
