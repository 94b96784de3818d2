"""Where two texts differ that are equal but for one window."""

Window = tuple[int, int]


def word_window(one: str, other: str) -> tuple[Window, Window]:
    """Return the smallest spans [start, end) of whole words such that all before and after them is equal in both.

    one[:start] + other's window + one[end:] == other. Equal texts give empty windows at their end.
    """
    shorter = min(len(one), len(other))
    start = next((i for i in range(shorter) if one[i] != other[i]), shorter)
    if start == len(one) == len(other):
        return (start, start), (start, start)
    while start and _inside(one, start) | _inside(other, start):
        start -= 1
    tail = next((i for i in range(shorter - start) if one[-1 - i] != other[-1 - i]), shorter - start)
    while tail and _inside(one, len(one) - tail) | _inside(other, len(other) - tail):
        tail -= 1
    return (start, len(one) - tail), (start, len(other) - tail)


def _inside(text: str, place: int) -> bool:
    """Say whether a word goes on over a place."""
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()
