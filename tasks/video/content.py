"""Sets that are diverse and do not leak: clusters of alike content to draw from, and splits that no copy crosses."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import Field, model_validator

from tasks.strict import StrictModel

SPLITS = ("train", "valid", "test")


class Splits(StrictModel):
    """How groups of footage are dealt out."""

    seed: int = Field(ge=0)
    valid: float = Field(ge=0, le=1, description="share of the groups")
    test: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _some_left(self) -> "Splits":
        if self.valid + self.test > 1:
            raise ValueError(f"valid {self.valid:g} and test {self.test:g} are more than all")
        return self


def content_clusters(embeddings: Sequence[Sequence[float]], clusters: int) -> list[int]:
    """Return a cluster for each embedding (N, D), by k-means with a fixed start; at most N clusters."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    points = np.asarray(embeddings, np.float64)
    if not len(points):
        return []
    with threadpool_limits(1):  # sums depend on how many threads share them
        found = KMeans(min(clusters, len(np.unique(points, axis=0))), n_init=4, random_state=0).fit_predict(points)
    return [int(cluster) for cluster in found]


def draw_evenly(
    clusters: Sequence[int], quality: Sequence[float | None], wanted: Sequence[bool], count: int
) -> list[bool]:
    """Say which to keep: in turns the best of each cluster, until there are `count`; what is wanted comes first.

    All that is wanted is kept, also beyond `count`.
    """
    best_first = sorted(range(len(clusters)), key=lambda i: (not wanted[i], -(quality[i] or 0.0), i))
    place: dict[int, int] = {}  # how many of its cluster come before it
    turns = []
    for i in best_first:
        turns.append((not wanted[i], place.get(clusters[i], 0), i))
        place[clusters[i]] = place.get(clusters[i], 0) + 1
    order = {i: rank for rank, i in enumerate(best_first)}
    turns.sort(key=lambda turn: (turn[0], turn[1], order[turn[2]]))
    chosen = {i for _, _, i in turns[:count]} | {i for i, want in enumerate(wanted) if want}
    return [i in chosen for i in range(len(clusters))]


def split_groups(sources: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each source the first of its group: sources that share footage (`pairs`) are in one group."""
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(sources)
    graph.add_edges_from(pairs)
    return {source: min(group) for group in networkx.connected_components(graph) for source in group}


def split_of(group: str, *, seed: int, valid: float, test: float) -> str:
    """Return "train", "valid" or "test" for a group, by a hash of its name: adding others never moves it."""
    digest = hashlib.sha256(f"{seed}\0split\0{group}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if share < test else "valid" if share < test + valid else "train"
