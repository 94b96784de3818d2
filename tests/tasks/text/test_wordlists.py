"""The lists of words are kept as lists are: in order, and no word twice."""

import ast
from pathlib import Path

from tasks.text import wordlists


def test_no_list_has_a_word_twice_and_all_are_in_order() -> None:
    tree = ast.parse(Path(wordlists.__file__).read_text())
    lists = {
        node.targets[0].id: ast.literal_eval(node.value.args[0]).split()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Call)
    }
    assert len(lists) > 20
    assert {name: words for name, words in lists.items() if words != sorted(set(words))} == {}
