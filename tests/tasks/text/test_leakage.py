"""Probes find what gives a false claim away without evidence, and nothing where nothing does."""

import numpy as np

from tasks.text.leakage import claim_pairs, probes, text_pairs, words_alone, words_alone_by_group

NOUNS = ["mill", "bridge", "tower", "church", "river", "road", "castle", "farm"]
KINDS = ["old", "large", "wooden", "narrow", "famous", "distant"]


def pairs(count: int, seed: int, *, leak: str = "") -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        noun, true, false = rng.choice(NOUNS), *rng.choice(KINDS, 2, replace=False)
        found.append((f"The {noun} is {true}.", f"The {noun} is {leak}{false}."))
    return found


def test_a_word_that_false_claims_alone_have_is_found() -> None:
    found = probes({"claim_only": pairs(200, 0, leak="not ")}, {"claim_only": pairs(100, 1, leak="not ")})
    assert found == {"claim_only_words": 1.0, "claim_only_shape": 1.0}


def test_values_swapped_both_ways_give_nothing_away() -> None:
    found = probes({"claim_only": pairs(400, 0)}, {"claim_only": pairs(200, 1)})
    assert all(abs(value - 0.5) < 0.08 for value in found.values())


def test_a_kind_without_pairs_on_one_side_is_left_out() -> None:
    assert probes({"claim_only": pairs(5, 0)}, {"claim_only": []}) == {}


def test_pairs_of_the_tables_are_true_and_false() -> None:
    assert claim_pairs([{"factual_claim": ["A mill."], "unfactual_claim": ["A farm."]}]) == [("A mill.", "A farm.")]
    assert text_pairs([{"factual_text": "One.", "unfactual_text": "Two."}]) == [("One.", "Two.")]


def test_an_article_that_false_claims_alone_have_is_found() -> None:
    """A word of one letter is a word."""
    train, test = pairs(200, 0, leak="a "), pairs(100, 1, leak="a ")
    assert words_alone(train, test) == 1.0
    assert words_alone_by_group(train, [f"page {number}" for number in range(200)]) == 1.0


def test_words_are_no_help_where_they_say_nothing() -> None:
    fair = pairs(300, 2)
    assert abs(words_alone(fair, pairs(300, 3)) - 0.5) < 0.08
    assert 0.4 < words_alone_by_group(fair, [f"page {number // 2}" for number in range(300)]) < 0.56


def test_what_a_group_has_of_its_own_does_not_help_where_it_is_in_one_fold() -> None:
    """Each group has a word of its own for what is true and one for what is false: known by heart, or not at all."""
    told = [(f"The mill is w{number % 60}.", f"The mill is v{number % 60}.") for number in range(240)]
    assert words_alone_by_group(told, [f"page {number}" for number in range(240)]) == 1.0
    assert words_alone_by_group(told, [f"value {number % 60}" for number in range(240)]) == 0.5


def test_half_is_told_where_there_is_too_little_to_learn_from() -> None:
    shown = pairs(8, 0, leak="not ")
    assert words_alone([], shown) == words_alone(shown, []) == 0.5
    assert words_alone_by_group(shown, ["a", "b", "c", "d"] * 2) == 0.5
    assert words_alone_by_group(shown, ["a", "b", "c", "d", "e", "f", "g", "h"]) == 1.0
