"""The small video-text transformer: what it can learn, and what must not change its answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.learning.models import save_model
from tasks.video.patches import FEATURES
from tasks.video.videoqa import Asked, Design, VideoQa, Words, load_videoqa, saved_config, sights_of, vocabulary

WORDS = ("blue", "colour", "green", "red", "the", "what", "white")
COLOURS = ("red", "green", "blue", "white")
DESIGN = Design(WORDS, 32, 2, 1, 0.0)


def model(seed: int = 0) -> VideoQa:
    torch.manual_seed(seed)
    return VideoQa(DESIGN)


def asked(options: list[tuple[str, ...]]) -> Asked:
    return Words(WORDS).asked(["What the colour?"] * len(options), options)


def test_options_in_another_order_have_the_same_scores() -> None:
    patches = torch.rand(2, 3, 4, 6, FEATURES)
    one = model().eval()
    straight = one(patches, asked([COLOURS, COLOURS]))
    turned = one(patches, asked([COLOURS[::-1], COLOURS[::-1]]))
    torch.testing.assert_close(turned.flip(1), straight)


@pytest.mark.parametrize("shape", [(1, 2, 2), (5, 8, 16), (2, 16, 32)])
def test_any_number_of_frames_and_any_whole_patches_are_read(shape: tuple[int, int, int]) -> None:
    scores = model().eval()(torch.rand(1, *shape, FEATURES), asked([COLOURS]))
    assert scores.shape == (1, 4)
    assert torch.isfinite(scores).all()


def test_frames_without_features_speak_for_no_option() -> None:
    nothing = torch.zeros(2, 5, 4, 6, FEATURES)
    scores = model().eval()(nothing, asked([COLOURS, COLOURS[::-1]]))
    torch.testing.assert_close(scores, torch.zeros(2, 4), rtol=0, atol=1e-6)


def test_longer_texts_beside_it_do_not_change_a_choice() -> None:
    patches = torch.rand(2, 2, 4, 4, FEATURES)
    one = model().eval()
    words = Words(WORDS)
    together = one(patches, words.asked(["what", "what the the the colour"], [COLOURS, ("red white", *COLOURS[1:])]))
    alone = one(patches[:1], words.asked(["what"], [COLOURS]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


def test_it_learns_which_colour_one_frame_among_others_has() -> None:
    rng = np.random.default_rng(0)

    def drawn(count: int) -> tuple[torch.Tensor, Asked, torch.Tensor]:
        patches = np.zeros((count, 6, 4, 4, FEATURES), np.float32)
        labels = []
        options = []
        for number in range(count):
            needle, hay = rng.permutation(4)[:2]
            patches[number, ..., hay] = 1  # all frames show one colour, and one of them another
            at = rng.integers(6)
            patches[number, at, ..., hay] = 0
            patches[number, at, ..., needle] = 1
            patches[number, at, ..., FEATURES - 1] = 1  # as patches tell what has changed
            order = rng.permutation(4)
            options.append(tuple(COLOURS[place] for place in order))
            labels.append(int(np.flatnonzero(order == needle)[0]))
        return torch.from_numpy(patches), asked(options), torch.tensor(labels)

    one = model()
    optimizer = torch.optim.AdamW(one.parameters(), lr=3e-3)
    for _ in range(150):
        patches, questions, labels = drawn(32)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(one(patches, questions), labels).backward()
        optimizer.step()
    patches, questions, labels = drawn(128)
    with torch.no_grad():
        assert (one.eval()(patches, questions).argmax(1) == labels).float().mean() > 0.9


def test_words_are_counted_by_texts_and_unknown_ones_have_a_number() -> None:
    known = vocabulary(["the red car, the car", "red", "a blue car"])
    assert known == ("car", "red")
    assert Words(known).numbers("A RED car!") == [1, 3, 2]


def test_a_saved_model_gives_the_same_scores_and_says_how_it_looks(tmp_path: Path) -> None:
    one = model(3).eval()
    save_model(tmp_path, one, saved_config(DESIGN, {"wide": {"frames": 4}}))
    patches = torch.rand(1, 2, 4, 4, FEATURES)
    torch.testing.assert_close(load_videoqa(tmp_path)(patches, asked([COLOURS])), one(patches, asked([COLOURS])))
    assert sights_of(tmp_path) == {"wide": {"frames": 4}}


def test_another_models_config_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, model(), {"build": "tasks.video.videoqa:from_config", "width": 3})
    with pytest.raises(ValueError, match="not the config of a video question-answering model"):
        load_videoqa(tmp_path)
    with pytest.raises(ValueError, match="does not say how videos are looked at: train it again"):
        sights_of(tmp_path)
