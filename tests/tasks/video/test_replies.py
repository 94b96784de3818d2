"""Replies are read as HRVideoBench's evaluation reads them: a table of what models say, and which letter that is."""

import pytest

from tasks.video.replies import chosen, is_right

TABLE = [  # reply, the letter that it is taken for (lower case), worked out by hand from the reference's rules
    ("B", "b"),
    ("b", "b"),
    ("B.", "b"),
    ("(C) a red car", "c"),
    ("  D\n", "d"),
    ("**A**", "a"),
    ("1. A", "a"),
    ("The answer is B", "b"),
    ("The answer is: (C).", "c"),
    ("THE ANSWER IS D", "d"),
    ("Answer: A", "a"),
    ("Final answer:\nB. a dog", "b"),
    ("Reasoning first. Answer: C, because it moves", "c"),
    ("The answer is A. No, wait: the answer is D", "d"),
    ("Answer: A. So the answer is B", "b"),
    ("Answer: A? Answer: C", "c"),
    ("The answer is clearly B", "c"),  # the first letter of "clearly": the reference's rule, not a good one
    ("The correct answer is B", "t"),  # "the correct", not "the answer is"
    ("I think it is B", "i"),
    ("The option is C", "c"),
    ("The option is\nD", "t"),  # only with a blank behind it is it cut
    ("Option C", "o"),
    ("It could be A or B", "i"),
    ("The answer is", ""),
    ("", ""),
    ("42", "4"),
    ("?!", "?"),
    ("The answer is 3) B", "b"),
    ("\u0434\u0430: B", "\u0434"),  # letters of any alphabet count
    ("Answer : A", "a"),  # the blank before the colon keeps it from being cut; the first letter is that of "Answer"
    ("E", "e"),
]


@pytest.mark.parametrize(("reply", "letter"), TABLE)
def test_reply_is_read_as_the_reference_does(reply: str, letter: str) -> None:
    assert chosen(reply) == letter
    for key in "ABCD":
        assert is_right(reply, key) == (letter == key.lower())


def test_table_is_as_long_as_the_sheet_asks() -> None:
    assert len({reply for reply, _ in TABLE}) >= 20
