"""No page, near-duplicate or swapped pair of values lies on both sides, and a fifth is for testing."""

import re
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.splits import alike, page_groups, split_pages

WORDS = [f"w{n}" for n in range(40)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def test_texts_that_are_alike_are_those_that_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    texts = []
    for page in range(40):
        words = list(rng.choice(WORDS, 60))
        texts.append((f"p{page}", " ".join(words)))
        if page % 3 == 0:  # a copy on another page, with some words changed
            for place in rng.choice(60, int(rng.integers(0, 4)), replace=False):
                words[place] = "other"
            texts.append((f"q{page}", " ".join(words)))
    sets = [(page, shingles(text)) for page, text in texts]
    expected = {
        frozenset((one, other))
        for (one, ours), (other, theirs) in combinations(sets, 2)
        if one != other and len(ours & theirs) / len(ours | theirs) >= 0.8
    }
    assert 3 < len(expected) < 14
    assert {frozenset(pair) for pair in alike(texts, 0.8)} == expected


@given(
    joined=st.lists(st.lists(st.integers(0, 60).map(str), min_size=2, max_size=4), max_size=20),
    seed=st.integers(0, 3),
)
def test_what_belongs_together_is_on_one_side_and_every_page_on_one(joined: list[list[str]], seed: int) -> None:
    pages = [str(n) for n in range(61)]
    splits = split_pages(page_groups(pages, joined), {"1": 1, "2": 1, "3": 2}, 0.2, seed)
    assert sorted(splits) == sorted(pages)
    for together in joined:
        assert len({splits[page] for page in together}) == 1


def test_a_fifth_of_pages_and_of_pairs_goes_to_test_by_seed() -> None:
    pages = [f"{n:04}" for n in range(1000)]
    weights = dict.fromkeys(pages[:300], 1)
    groups = page_groups(pages, [pages[0:40], pages[50:52]])
    first, again, other = (split_pages(groups, weights, 0.2, seed) for seed in (1, 1, 2))
    assert first == again != other
    for splits in (first, other):
        tests = [page for page, split in splits.items() if split == "test"]
        assert 190 <= len(tests) <= 200
        assert 55 <= sum(weights.get(page, 0) for page in tests) <= 60
