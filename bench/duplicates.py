"""What finding near-duplicates costs for 10,000 to 1,000,000 takes, and what it finds: python -m bench.duplicates

The pictures of takes are drawn from a model fitted to the film: its takes' samples in their principal components, each
take a place of its own, from which its samples wander as the film's do. One take in ten is a copy of another as it
looks after a crop, a later start, other light and coarse coding, half of them mirrored. Each size is a process of its
own. Left out is the time of making and reading pictures and fingerprints: made-up ones are made block by block where
they are needed. Of the candidates a random sample is compared; the time for all, recall and precision are reckoned
from it. The model has no takes without colour, and no footage that many takes share.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import psutil
import pyarrow as pa

if TYPE_CHECKING:
    from tasks.video.duplicates import Samples

HERE = Path(__file__).resolve().parent
ROWS = HERE / "duplicates.json"
SIZES = (10_000, 100_000, 1_000_000)
COPIES = 10  # one take in so many is a copy
BLOCK = 500  # takes made at once
SHORTEST, LONGEST = 7, 80  # samples of a take: two seconds at least, as what is compared
CODING = 0.75  # grey levels: noise of coding in a small picture
COMPARED = 1000  # candidates compared, drawn at random
RULES = {"max_distance": 0.25, "min_overlap_s": 2.0, "min_overlap_share": 0.6}


@dataclass(frozen=True)
class Model:
    """What the film's samples are like: pictures as components, and how these vary between takes and in them."""

    mean: np.ndarray  # (P,)
    basis: np.ndarray  # (K, P)
    between: np.ndarray  # (K,)
    within: np.ndarray  # (K,)
    memory: np.ndarray  # (K,): correlation of a take's neighbouring samples
    samples: np.ndarray  # numbers of samples of the film's takes


def fitted(components: int = 96) -> Model:
    """Fit the model to the pictures of the film's takes, which find_duplicates keeps thumbnails of in the store."""
    from tasks.env import store_url
    from tasks.store import Store
    from tasks.video.fingerprints import Span, pictures_of
    from tasks.video.thumbnails import read_thumbnails

    root, con = HERE.parent, duckdb.connect()
    store = Store(store_url(root))
    curated = root / "data/curated"
    video = con.sql(
        f"select source_id, start_pts, end_pts, time_base_num / time_base_den, thumbnail_blobs "
        f"from '{curated}/scan/videos.parquet' order by duration_s desc limit 1"
    ).fetchall()[0]
    source_id, start_pts, end_pts, tick_s, blobs = video
    of_film = f"where source_id = '{source_id}'"
    pts = con.sql(f"select pts from '{curated}/scan/frames.parquet' {of_film} order by pts").fetchnumpy()["pts"]
    shots = con.sql(f"select start_pts, end_pts from '{curated}/shots/shots.parquet' {of_film} order by 1").fetchall()
    edges_s = (np.append(pts, end_pts) - start_pts) * tick_s
    frames = read_thumbnails(store, blobs)
    takes = []
    for start, end in shots:
        if (end - start) * tick_s >= RULES["min_overlap_s"]:
            first, last = np.searchsorted(pts, (start, end))
            span = Span(int(first), edges_s[first : last + 1])
            pictures, _ = pictures_of(lambda a, b: frames[a:b], span)
            takes.append(pictures.reshape(len(pictures), -1))
    return _model(takes, components)


def _model(takes: list[np.ndarray], components: int) -> Model:
    centres = np.stack([take.mean(axis=0) for take in takes])
    mean = centres.mean(axis=0)
    every = np.concatenate([take - mean for take in takes]).astype(np.float64)
    values, vectors = np.linalg.eigh(every.T @ every / len(every))
    basis = vectors[:, np.argsort(values)[::-1][:components]].T
    inside = [(take - take.mean(axis=0)) @ basis.T for take in takes]
    moved = np.concatenate([x[1:] * x[:-1] for x in inside])
    within = np.concatenate(inside).std(axis=0)
    memory = np.clip(moved.mean(axis=0) / np.maximum(within, 1e-9) ** 2, 0, 0.995)
    between = ((centres - mean) @ basis.T).std(axis=0)
    lengths = np.array([len(take) for take in takes])
    mean, basis, between, within, memory = (x.astype(np.float32) for x in (mean, basis, between, within, memory))
    return Model(mean, basis, between, within, memory, lengths)


@dataclass(frozen=True)
class Change:
    """What became of a copy."""

    window: tuple[float, float, float, float]
    mirrored: bool
    gain: float
    skipped: int  # samples that it starts later


class Takes:
    """Made-up takes in blocks, of which the last ones are copies of the first; each block is the same at any time."""

    def __init__(self, model: Model, count: int) -> None:
        from tasks.video.fingerprints import FULL, HEIGHT, REGIONS, WIDTH, WINDOWS, basis, within

        self.model, self.count = model, count
        rng = np.random.default_rng(0)
        self.changes = [
            Change(_window(rng.uniform(0, 0.1, 4)), bool(rng.random() < 0.5), float(rng.uniform(0.8, 1.2)), int(skip))
            for skip in rng.integers(0, 3, 40)
        ]
        self._shape = (HEIGHT, WIDTH, 3)
        pictures = np.concatenate([model.basis, model.mean[None]]).reshape(-1, *self._shape)
        self._coefficients: dict[tuple[int, int, int], np.ndarray] = {}  # of components: (change or -1, window, region)
        for number, change in enumerate([None, *self.changes]):
            seen = pictures if change is None else self._changed(pictures, change)
            for w, region in [(w, r) for w in range(len(WINDOWS)) for r in range(len(REGIONS))]:
                matrix = basis(within(REGIONS[region], WINDOWS[w]))
                self._coefficients[number - 1, w, region] = seen.reshape(len(seen), -1) @ matrix
        assert WINDOWS[0] == FULL

    def _changed(self, pictures: np.ndarray, change: Change) -> np.ndarray:
        from tasks.video.duplicates import _resampled

        planes = [_resampled(pictures[..., channel], change.window) for channel in range(3)]
        seen = np.stack(planes, axis=-1) * change.gain
        return seen[:, :, ::-1] if change.mirrored else seen

    @lru_cache(maxsize=8)  # noqa: B019 (one object a process)
    def block(self, block: int) -> list[tuple[np.ndarray, int]]:
        """Return of each take of a block the components of its samples, (N, K + 1), and its change or -1."""
        model = self.model
        rng = np.random.default_rng([1, block])
        counts = np.clip(rng.choice(model.samples, BLOCK), SHORTEST, LONGEST)
        longest_first = np.argsort(-counts)
        path = np.ones((BLOCK, int(counts.max()), len(model.between) + 1), np.float32)
        fresh = np.sqrt(1 - model.memory**2)
        noise = np.zeros((BLOCK, len(model.between)), np.float32)
        centre = rng.standard_normal(noise.shape, dtype=np.float32) * model.between
        for at in range(path.shape[1]):
            lasting = longest_first[: np.count_nonzero(counts > at)]
            new = rng.standard_normal((len(lasting), noise.shape[1]), dtype=np.float32)
            noise[lasting] = model.memory * noise[lasting] + fresh * new if at else new
            path[lasting, at, :-1] = centre[lasting] + noise[lasting] * model.within
        takes = [(path[i, : counts[i]], -1) for i in range(BLOCK)]
        for i in range(BLOCK // COPIES):
            number = int(rng.integers(len(self.changes)))
            skipped = min(self.changes[number].skipped, len(takes[i][0]) // 4, len(takes[i][0]) - SHORTEST)
            takes[BLOCK - 1 - i] = (takes[i][0][skipped:], number)
        return takes

    def signatures(self, block: int) -> pa.Table:
        """Return what a block's takes are found by, as fingerprints.signature_table does."""
        from tasks.video.fingerprints import SIGNATURES

        return self._table(block, [0], lambda count: slice(None)).select(SIGNATURES.names)

    def queries(self, block: int) -> pa.Table:
        """Return what a block's takes are looked up by, as fingerprints.query_table does."""
        from tasks.video.fingerprints import WINDOWS, queried

        return self._table(block, range(len(WINDOWS)), queried)

    def _table(self, block: int, windows: Sequence[int], chosen: Any) -> pa.Table:
        from tasks.video.fingerprints import REGIONS, rows_of

        takes = [(z[chosen(len(z))], change) for z, change in self.block(block)]
        take = np.repeat(np.arange(BLOCK, dtype=np.int32), [len(z) for z, _ in takes]) + block * BLOCK
        whole = np.concatenate([z for z, change in takes if change < 0])
        rng = np.random.default_rng([2, block])
        noise = [rng.standard_normal((len(take), 64), dtype=np.float32) * CODING / 24 for _ in REGIONS]  # of 18 x 32
        parts = []
        for window in windows:
            coefficients = []
            for region in range(len(REGIONS)):
                found = np.concatenate(
                    [whole @ self._coefficients[-1, window, region]]
                    + [z @ self._coefficients[change, window, region] for z, change in takes if change >= 0]
                )
                coefficients.append(found + noise[region])
            parts.append(rows_of(take, coefficients, window))
        return pa.concat_tables(parts)

    def samples(self, number: int) -> "Samples":
        """Return a take's pictures, for comparison."""
        from tasks.video.duplicates import Samples
        from tasks.video.fingerprints import RATE, REACH_S, levels

        z, change = self.block(number // BLOCK)[number % BLOCK]
        pictures = (z @ np.concatenate([self.model.basis, self.model.mean[None]])).reshape(-1, *self._shape)
        if change >= 0:
            pictures = self._changed(pictures, self.changes[change])
        pictures = pictures + np.random.default_rng([3, number]).normal(0, CODING, pictures.shape)
        end_s = (len(z) - 1) / RATE + 2 * REACH_S
        return Samples(0.0, end_s, REACH_S, levels(pictures))


def are_copies(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which takes are copies of which, given their numbers."""
    first, last = np.minimum(one, other), np.maximum(one, other)
    return (first // BLOCK == last // BLOCK) & (first % BLOCK < BLOCK // COPIES) & ((first + last) % BLOCK == BLOCK - 1)


def _window(margins: np.ndarray) -> tuple[float, float, float, float]:
    left, right, top, bottom = (round(float(margin), 4) for margin in margins)
    return left, 1 - right, top, 1 - bottom


def measure_here(count: int) -> dict[str, float]:
    """Search among `count` takes; compare some of what is found."""
    from tasks.video.duplicates import Rules, compare, search

    takes = Takes(fitted(), count)
    blocks = range(count // BLOCK)
    index = pa.concat_tables([takes.signatures(block) for block in blocks]).combine_chunks()
    making_s = 0.0

    def queries() -> Iterator[pa.Table]:
        nonlocal making_s
        for first in range(0, len(blocks), 20):
            begun = time.process_time()
            table = pa.concat_tables([takes.queries(block) for block in blocks[first : first + 20]]).combine_chunks()
            making_s += time.process_time() - begun
            yield table

    begun, started = time.process_time(), time.time()
    found = search(index, queries())
    search_s, wall_s = time.process_time() - begun - making_s, time.time() - started - making_s
    first, last = np.minimum(found.take, found.other), np.maximum(found.take, found.other)
    order = np.lexsort((found.signs, last, first))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(last[order]) != 0)
    pairs = order[new]  # of both orders of a pair, the one in which more signs agree
    planted = are_copies(first[pairs], last[pairs])
    rules = Rules(**RULES)
    sample = np.sort(np.random.default_rng(4).permutation(len(pairs))[:COMPARED])
    compare_s, matched = 0.0, np.zeros(len(sample), bool)
    for number, row in enumerate(pairs[sample].tolist()):
        one, other = takes.samples(int(found.take[row])), takes.samples(int(found.other[row]))
        begun = time.process_time()
        matched[number] = compare(one, other, int(found.view[row]), rules) is not None
        compare_s += time.process_time() - begun
    right = planted[sample]
    recall_of_search = planted.sum() / (count // COPIES)
    return {
        "takes": count,
        "search_cpu_s": round(search_s, 1),
        "search_wall_s": round(wall_s, 1),
        "compare_cpu_s": round(compare_s / len(sample) * len(pairs), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "index_rows": len(index),
        "tokens_looked_up": found.probes,
        "collisions": found.collisions,
        "candidate_pairs": len(pairs),
        "candidate_pairs_that_are_no_copies": int((~planted).sum()),
        "recall_of_the_search": round(float(recall_of_search), 4),
        "recall": round(float(recall_of_search * matched[right].mean()), 4),
        "precision": round(float(right[matched].mean()), 4),
    }


def measure(count: int) -> dict[str, float]:
    """Measure one size in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.duplicates", "--only", str(count)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, cwd=HERE.parent)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Measure each size, smallest first; write the rows after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--takes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--only", type=int)
    told = parser.parse_args()
    if told.only:
        print(json.dumps(measure_here(told.only)))
        return
    load = psutil.getloadavg()[0]
    rows: list[dict[str, float]] = []
    for count in told.takes:
        row = measure(count)
        rows.append({**row, "exponent": exponent(rows[-1], row)} if rows else row)
        print(json.dumps(rows[-1]), flush=True)
        header = {"copies": 1 / COPIES, "compared": COMPARED, "cores": os.cpu_count(), "load_before": round(load, 1)}
        ROWS.write_text(json.dumps({**header, "rows": rows}, indent=1) + "\n")


def exponent(smaller: dict[str, float], larger: dict[str, float]) -> float:
    """Return the power of the number of takes by which CPU time grows from one size to the next."""
    before_s, after_s = (row["search_cpu_s"] + row["compare_cpu_s"] for row in (smaller, larger))
    return round(math.log(after_s / before_s) / math.log(larger["takes"] / smaller["takes"]), 3)


if __name__ == "__main__":
    main()
