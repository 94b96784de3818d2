"""A text's negative log-likelihood under a causal model in a GGUF file: by a plain loop, and by SmolLM2 itself."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from tasks.sources import SourceError, downloads_folder, fetch
from tasks.text.language_model import LanguageModel
from tests.tasks.test_llm_model import SMOLLM2
from tests.tasks.text.small_language_model import CONTEXT, network, tokens_of, write_gguf

CACHE = os.environ.get("HEADRACE_TEST_CACHE")  # before a test is kept from the user's settings
LACKING = [module for module in ("gguf", "accelerate") if importlib.util.find_spec(module) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"GGUF files are read with {LACKING}: pip install them")

NATURAL = [  # true; false, of which some are odd as well
    ("The sun is a star.", "The sun is a spoon."),
    ("Paris is the capital of France.", "Paris is the capital of Japan."),
    ("Water freezes at zero degrees Celsius.", "Water freezes at ninety degrees Celsius."),
    ("Charles Darwin was an English naturalist.", "Charles Darwin was an English bartender."),
    ("The heart pumps blood through the body.", "The heart pumps sand through the body."),
    ("Bees make honey.", "Bees make gravel."),
    ("The Pacific is the largest ocean on Earth.", "The Pacific is the smallest ocean on Earth."),
    ("Wolfgang Amadeus Mozart was a composer.", "Wolfgang Amadeus Mozart was a plumber."),
    ("Iron is a metal.", "Iron is a vegetable."),
    ("A triangle has three sides.", "A triangle has seven sides."),
    ("The Amazon is a river in South America.", "The Amazon is a river in northern Europe."),
    ("Penguins are birds that cannot fly.", "Penguins are fish that cannot fly."),
    ("The moon orbits the Earth.", "The moon orbits the kitchen."),
    ("Hydrogen is the lightest element.", "Hydrogen is the heaviest element."),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "a_name_without_suffix"
    write_gguf(path, network())
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> LanguageModel:
    return LanguageModel(file, threads=1)


@pytest.mark.parametrize("text", ["The mill is old.", "a", "both think that the path"])
def test_it_is_the_mean_over_tokens_of_the_negative_log_probability_of_each_given_those_before(
    model: LanguageModel, text: str
) -> None:
    made, ids = network(), tokens_of(text)
    lost = 0.0
    for place in range(1, len(ids)):
        with torch.inference_mode():
            logits = made(torch.tensor([ids[:place]])).logits[0, -1].double()
        lost -= float(logits.log_softmax(-1)[ids[place]])
    assert model.nats_per_token(text) == pytest.approx(lost / (len(ids) - 1), rel=1e-5)
    assert lost / (len(ids) - 1) > 2  # the network has opinions: a flat one would say 5.6 of everything
    assert model.tokens(text) == ids


def test_a_text_begins_as_a_document_does_and_else_as_the_tokenizer_says(tmp_path: Path, model: LanguageModel) -> None:
    write_gguf(tmp_path / "other", network(), ("<unknown>", "<begin>", "<end>"))
    assert LanguageModel(tmp_path / "other", threads=1).tokens("the path") == tokens_of("the path", begin=1)
    assert model.tokens("the path") == tokens_of("the path", begin=0)


def test_a_text_has_the_same_bits_whatever_was_read_before_and_however_many_threads_there_are(
    file: Path, model: LanguageModel
) -> None:
    first = model.nats_per_token("The mill is old.")
    model.nats_per_token("The miller is young, and reads.")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert model.nats_per_token("The mill is old.") == first
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert LanguageModel(file, threads=1).nats_per_token("The mill is old.") == first


def test_reading_the_model_says_nothing(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    LanguageModel(file, threads=1)
    assert capfd.readouterr().err == ""


def test_a_text_without_tokens_or_beyond_the_context_is_refused(model: LanguageModel) -> None:
    assert model.nats_per_token("a" * (CONTEXT - 1)) > 0
    for text in ("", "a" * CONTEXT):
        with pytest.raises(ValueError, match=f"has {len(text)} tokens, the model reads 1 to {CONTEXT - 1}"):
            model.nats_per_token(text)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"GGUF" + bytes(40)])
def test_a_file_that_is_no_model_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "weights"
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights: .*give a causal model with its tokenizer in one GGUF file"):
        LanguageModel(bad, threads=1)


@pytest.mark.slow
def test_smollm2_finds_what_is_true_and_usual_more_natural() -> None:
    try:
        found = fetch(SMOLLM2, Path(CACHE) / "downloads" if CACHE else downloads_folder(Path(__file__).parents[3]))
    except SourceError as error:
        pytest.skip(f"SmolLM2 cannot be had: {error}")
    smollm2 = LanguageModel(found, threads=1)
    rises = {false: smollm2.nats_per_token(false) - smollm2.nats_per_token(true) for true, false in NATURAL}
    print(f"true more natural: {sum(r > 0 for r in rises.values())} of {len(rises)}", rises)
    assert sum(rise > 0 for rise in rises.values()) >= 0.9 * len(rises)
    assert all(rises[false] > 0.3 for false in ("The sun is a spoon.", "Bees make gravel.", "Iron is a vegetable."))
