"""What text alone tells: planted shortcuts are found and dropped, sound choices stay."""

import dataclasses

import numpy as np
import pytest

from tasks.video.items import Item
from tasks.video.text_only import letter_p, solved, text_only

WORDS = ("red", "green", "blue", "white", "black", "pink", "brown", "grey")


def items(count: int, seed: int = 0) -> list[Item]:
    """Choices of which nothing but the video tells which option is right."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        options = tuple(WORDS[int(n)] for n in rng.permutation(len(WORDS))[:4])
        key = int(rng.integers(4))
        question = f"What colour is the {('car', 'hat', 'door')[int(rng.integers(3))]}?"
        found.append(
            Item(
                item_id=str(number),
                subset="temporal_niah_mcq",
                group=f"g{number // 3}",
                style="object_colour",
                instruction="",
                question=question,
                answer=options[key],
                facts=(),
                options=options,
                key="ABCD"[key],
            )
        )
    return found


def with_right(item: Item, right: str) -> Item:
    """The same choice with another word under the right letter."""
    options = [option if option != right else "beige" for option in item.options]
    options["ABCD".index(item.key)] = right
    return dataclasses.replace(item, options=tuple(options), answer=right)


def test_sound_choices_are_at_chance_and_none_is_dropped() -> None:
    sound = items(900)
    told = text_only(sound)
    for figure in ("classifier", "longest", "shortest", "most_frequent", "most_like_question"):
        assert 0.19 < told.figures()[figure] < 0.31, figure
    assert told.letter_p > 0.01
    assert solved(sound, limit=0.31) == {}


def test_a_word_that_is_often_right_is_found_and_its_items_dropped_until_the_rest_is_sound() -> None:
    planted = [with_right(item, "red") if n % 3 == 0 else item for n, item in enumerate(items(900, 1))]
    before = text_only(planted)
    assert before.classifier > 0.4
    assert before.most_frequent > 0.4
    dropped = solved(planted)
    right_by_red = {item.item_id for item in planted if item.answer == "red"}
    assert set(dropped) <= {item.item_id for item in planted}
    assert len(set(dropped) & right_by_red) > 0.8 * len(dropped)
    left = [item for item in planted if item.item_id not in dropped]
    assert text_only(left).classifier <= 0.30
    assert len(left) > 500


def test_a_word_of_the_question_that_tells_is_found() -> None:
    """The pair decides, no word alone: red for cars, green for hats, blue for doors."""
    of = {"car": "red", "hat": "green", "door": "blue"}
    planted = [with_right(item, of[item.question.split()[-1][:-1]]) for item in items(600, 2)]
    assert text_only(planted).classifier > 0.9


def test_long_right_options_and_uneven_letters_are_seen() -> None:
    long = [with_right(item, f"{item.answer} all over the place") for item in items(300, 3)]
    assert text_only(long).longest == 1.0
    always = [item for item in items(600, 4) if item.key == "A"]
    assert letter_p(always) < 1e-6
    assert text_only(always).best_letter == 1.0


def test_what_one_source_repeats_does_not_count() -> None:
    """Each group has words of its own, always the same one right: only who had seen the group would know."""
    own = []
    for item in items(300, 5):
        options = [f"{item.group}wrong{n}" for n in range(4)]
        options["ABCD".index(item.key)] = f"{item.group}right"
        own.append(dataclasses.replace(item, options=tuple(options), answer=f"{item.group}right"))
    told = text_only([dataclasses.replace(item, question="What is it?") for item in own])
    assert told.classifier == pytest.approx(0.25, abs=0.05)
    assert told.most_frequent == 0.25
    assert text_only([dataclasses.replace(item, group="one") for item in own]).classifier == 0.25


def test_free_form_items_cannot_be_checked() -> None:
    free = [dataclasses.replace(item, options=(), key="") for item in items(3)]
    with pytest.raises(ValueError, match="no item has options"):
        text_only(free)
