"""Splits by page: nothing that says the same, and no swapped pair of values, is on both sides.

LLM-Oasis (arXiv 2411.19655, section 3.5) splits by passage, 80/20; sheet, Acceptance 2.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import networkx

from tasks.text.page_duplicates import jaccard, shingle_set

Split = Literal["train", "test"]


def alike(texts: Iterable[tuple[str, str]], min_jaccard: float) -> Iterator[tuple[str, str]]:
    """Yield pairs of pages of which two texts have nearly the same five-word shingles; `texts` are (page, text).

    Exact: a text can only be that alike to one of another page if that share of its shingles stands on other pages
    too; of those that remain, all that share a shingle are compared.
    """
    sets = [(page, shingle_set(re.findall(r"\w+", text.lower()))) for page, text in texts]
    homes: dict[bytes, set[str]] = defaultdict(set)
    for page, shingles in sets:
        for shingle in shingles:
            homes[shingle].add(page)
    shared = {shingle for shingle, pages in homes.items() if len(pages) > 1}
    holders: dict[bytes, list[int]] = defaultdict(list)
    for number, (page, shingles) in enumerate(sets):
        common = shingles & shared
        if len(common) < min_jaccard * len(shingles):
            continue
        others = Counter(other for shingle in common for other in holders[shingle])
        for other, count in sorted(others.items()):
            rival, theirs = sets[other]
            enough = count >= min_jaccard * max(len(shingles), len(theirs))
            if rival != page and enough and jaccard(shingles, theirs) >= min_jaccard:
                yield rival, page
        for shingle in common:
            holders[shingle].append(number)


def page_groups(pages: Iterable[str], joined: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return the pages in groups that may not be parted: those that a member of `joined` names together."""
    graph = networkx.Graph()
    graph.add_nodes_from(pages)
    for together in joined:
        networkx.add_path(graph, together)
    return sorted(sorted(group) for group in networkx.connected_components(graph))


def split_pages(
    groups: Iterable[Sequence[str]], weights: Mapping[str, int], test_share: float, seed: int
) -> dict[str, Split]:
    """Return each page's split: `test_share` of the pages, and of their `weights` (pairs), go to test, by seed.

    Groups with weight and those without are drawn apart, so that both shares come near `test_share` from below.
    """
    found: dict[str, Split] = {}
    drawn = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group[0]}".encode()).digest())
    size = {id(group): sum(weights.get(page, 0) for page in group) for group in drawn}
    for heavy in (True, False):
        mine = [group for group in drawn if (size[id(group)] > 0) == heavy]
        sizes = [size[id(group)] if heavy else len(group) for group in mine]
        room = test_share * sum(sizes)
        for group, count in zip(mine, sizes, strict=True):
            split: Split = "test" if count <= room else "train"
            room -= count if split == "test" else 0
            found.update(dict.fromkeys(group, split))
    return found
