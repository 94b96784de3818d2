"""Pages that say the same: equal but for case, marks and white space, or with nearly the same five-word shingles."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from datasketch import MinHash, MinHashLSH

from tasks.tables import Reject

SHINGLE_WORDS = 5
PERMUTATIONS = 128


def duplicates(pages: Iterable[tuple[str, str]], min_jaccard: float) -> Iterator[tuple[str, Reject]]:
    """Yield (page_id, why) for each page of (page_id, text) that an earlier one already says.

    Candidates come from MinHash with `PERMUTATIONS` hashes; what decides is the exact Jaccard similarity of the sets
    of five-word shingles.
    """
    exact: dict[str, str] = {}
    shingles: dict[str, frozenset[bytes]] = {}
    index = MinHashLSH(threshold=min_jaccard, num_perm=PERMUTATIONS, weights=(0.1, 0.9))  # few are missed
    for page_id, text in pages:
        words = re.findall(r"\w+", text.lower())
        digest = hashlib.sha256(" ".join(words).encode()).hexdigest()
        if digest in exact:
            yield page_id, Reject("duplicate", f"the text of page {exact[digest]}", "jaccard", 1.0, min_jaccard)
            continue
        mine = shingle_set(words)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch(sorted(mine))
        alike = [(jaccard(mine, shingles[other]), other) for other in index.query(sketch)]
        best = max(alike, key=lambda pair: (pair[0], pair[1]), default=(0.0, ""))
        if best[0] >= min_jaccard:
            yield page_id, Reject("near_duplicate", f"of page {best[1]}", "jaccard", best[0], min_jaccard)
            continue
        exact[digest] = page_id
        shingles[page_id] = mine
        index.insert(page_id, sketch)


def shingle_set(words: list[str]) -> frozenset[bytes]:
    """Return the hashes of all runs of five words, or of the whole text where it is shorter."""
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    runs = (" ".join(words[i : i + SHINGLE_WORDS]).encode() for i in range(count))
    return frozenset(hashlib.blake2b(run, digest_size=8).digest() for run in runs)


def jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """Return |A and B| / |A or B|."""
    return len(one & other) / len(one | other)
