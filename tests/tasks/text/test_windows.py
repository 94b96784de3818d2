"""The window in which two texts differ: whole words, as small as can be, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.windows import window_of


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("He was a painter.", "He was a sculptor.", ("painter", "sculptor")),
        ("He was a baker.", "He was an archer.", ("a baker", "an archer")),
        ("An old mill", "An odd mill", ("old", "odd")),
        ("The mill burnt.", "The mill burnt down.", ("", " down")),
        ("unkind", "kind", ("unkind", "kind")),
        ("", "new", ("", "new")),
    ],
)
def test_the_window_is_that_which_a_person_would_mark(one: str, other: str, expected: tuple[str, str]) -> None:
    window = window_of(one, other)
    assert window is not None
    assert (one[slice(*window.old)], other[slice(*window.new)]) == expected


@given(st.text("ab .", max_size=20), st.text("ab .", max_size=20))
def test_putting_the_window_in_gives_the_other_text(one: str, other: str) -> None:
    window = window_of(one, other)
    assert (window is None) == (one == other)
    if window is not None:
        assert one[: window.old[0]] + other[slice(*window.new)] + one[window.old[1] :] == other
        assert window.old[0] <= window.old[1]
        assert window.new[0] <= window.new[1]
