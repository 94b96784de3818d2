"""Which letter a reply chooses, as HRVideoBench's evaluation reads it (TIGER-AI-Lab/VISTA, eval/eval_hrvideobench.py).

It is lenient in one way only: what comes after a known phrase counts. A chatty reply without one is wrong, as there.
"""

# A reply is cut after the last occurrence of the first phrase that it has. The third is found without the blank and
# cut with it, as the reference does.
_PHRASES = (("the answer is", "the answer is"), ("answer:", "answer:"), ("the option is", "the option is "))


def chosen(reply: str) -> str:
    """Return what a reply chooses, in lower case: its first alphabetic character after a known phrase.

    A reply without any is its first character; an empty one is empty. Neither is the letter of an option.
    """
    text = reply.lower()
    for found, cut in _PHRASES:
        if found in text:
            text = text.rpartition(cut)[2].strip() if cut in text else text.strip()
            break
    return next((character for character in text if character.isalpha()), text[:1])


def is_right(reply: str, key: str) -> bool:
    """Say whether a reply chooses the option under the letter `key`."""
    return chosen(reply) != "" and chosen(reply) == key.lower()
