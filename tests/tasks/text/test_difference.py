"""The window in which two texts differ: whole words, as small as can be, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.difference import word_window


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("He was a painter.", "He was a sculptor.", ("painter", "sculptor")),
        ("He was a baker.", "He was an archer.", ("a baker", "an archer")),
        ("An old mill", "An odd mill", ("old", "odd")),
        ("The mill burnt.", "The mill burnt down.", ("", " down")),
        ("unkind", "kind", ("unkind", "kind")),
        ("same", "same", ("", "")),
        ("", "new", ("", "new")),
    ],
)
def test_the_window_is_that_which_a_person_would_mark(one: str, other: str, expected: tuple[str, str]) -> None:
    ours, theirs = word_window(one, other)
    assert (one[slice(*ours)], other[slice(*theirs)]) == expected


@given(st.text("ab .", max_size=20), st.text("ab .", max_size=20))
def test_putting_the_window_in_gives_the_other_text(one: str, other: str) -> None:
    ours, theirs = word_window(one, other)
    assert one[: ours[0]] + other[slice(*theirs)] + one[ours[1] :] == other
    assert ours[0] <= ours[1]
    assert theirs[0] <= theirs[1]
