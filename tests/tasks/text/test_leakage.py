"""Probes find what gives a false claim away without evidence, and nothing where nothing does."""

import numpy as np

from tasks.text.leakage import probes

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
