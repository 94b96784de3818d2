"""The pass of ingest_well over a file beside a plain h5py read of the same file: python -m bench.physics_ingest

Both in alternating runs in one process, CPU time (user and system), warm cache, one thread. The plain read takes each
field whole, as `file[field][()]`. The pass checks structure and content, hashes each frame and works out statistics.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import h5py
import hdf5plugin
import numpy as np

from tasks.content import content_hash
from tasks.physics.schema import NewField, periodic, read_layout, write_file
from tasks.physics.statistics import examine

ROWS = Path(__file__).with_name("physics_ingest.json")
TARGET = 0.5
CASES: dict[str, tuple[tuple[int, ...], str]] = {
    "2-D 128 x 128, contiguous": ((128, 128), "contiguous"),
    "2-D 64 x 64, contiguous": ((64, 64), "contiguous"),
    "3-D 32 x 32 x 32, contiguous": ((32, 32, 32), "contiguous"),
    "2-D 128 x 128, Blosc LZ4 frames": ((128, 128), "blosc"),
    "2-D 128 x 128, gzip frames": ((128, 128), "gzip"),
}


def write(path: Path, sizes: tuple[int, ...], storage: str, megabytes: int) -> None:
    """Write two scalars and a vector: smooth waves with noise, as compressible as simulations are."""
    rng = np.random.default_rng(0)
    dims, trajectories = len(sizes), 8
    steps = max(4, megabytes * (1 << 20) // (4 * trajectories * (2 + dims) * int(np.prod(sizes))))
    x = np.linspace(0, 2 * np.pi, sizes[0])[(...,) + (None,) * (dims - 1)]
    fields = []
    for name, order in (("A", 0), ("B", 0), ("velocity", 1)):
        shape = (trajectories, steps, *sizes, *[dims] * order)
        values = rng.standard_normal(shape, np.float32) * np.float32(1e-3)
        values += np.sin(x + rng.uniform(0, 6))[(...,) + (None,) * order].astype(np.float32)
        fields.append(NewField(name, order, values))
    dimensions = {name: np.arange(size) / size for name, size in zip("xyz", sizes, strict=False)}
    options: dict[str, dict[str, Any]] = {
        "contiguous": {},
        "blosc": dict(hdf5plugin.Blosc(cname="lz4")),
        "gzip": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    }
    _write(path, dimensions, steps, fields, options[storage])


def _write(
    path: Path, dimensions: dict[str, np.ndarray], steps: int, fields: list[NewField], storage: dict[str, Any]
) -> None:
    """Write the file, then each field anew with a chunk for each frame where it is compressed."""
    usual: dict[str, Any] = {"dataset_name": "bench", "parameters": {"F": 0.03}, "boundaries": periodic(dimensions)}
    write_file(path, dimensions=dimensions, time=np.arange(steps), fields=fields, **usual)
    if not storage:
        return
    with h5py.File(path, "r+") as file:
        for field in fields:
            group = file[f"t{field.order}_fields"]
            attributes = dict(group[field.name].attrs)
            del group[field.name]
            chunks = (1, 1, *field.values.shape[2:])
            group.create_dataset(field.name, data=field.values, chunks=chunks, **storage).attrs.update(attributes)


def plain(path: Path) -> None:
    """Read each field whole."""
    with h5py.File(path) as file:
        for name in ("t0_fields/A", "t0_fields/B", "t1_fields/velocity"):
            file[name][()]


def cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measured(name: str, folder: Path, megabytes: int, tries: int) -> dict[str, Any]:
    """Return a row: both rates as medians of alternating runs, and the median of the ratios of neighbours."""
    path = folder / "bench.hdf5"
    path.unlink(missing_ok=True)
    write(path, *CASES[name], megabytes)
    size = sum(4 * int(np.prod(one.shape)) for one in read_layout(path).fields) / 1e6
    found = examine(str(path))
    assert not found.findings, found.findings
    plain(path)
    pairs = [(cpu_seconds(lambda: plain(path)), cpu_seconds(lambda: examine(str(path)))) for _ in range(tries)]
    hashed = statistics.median(cpu_seconds(lambda: content_hash(path)) for _ in range(3))
    ratio = statistics.median(read / ours for read, ours in pairs)
    return {
        "file": name,
        "mb": round(size),
        "plain_read_mb_per_cpu_s": round(size / statistics.median(read for read, _ in pairs)),
        "ingest_mb_per_cpu_s": round(size / statistics.median(ours for _, ours in pairs)),
        "ratio": round(ratio, 2),
        "best_ratio": round(min(read for read, _ in pairs) / min(ours for _, ours in pairs), 2),
        "sha256_of_the_file_mb_per_cpu_s": round(path.stat().st_size / 1e6 / hashed),
        "met": ratio >= TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--tries", type=int, default=9)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        rows = [measured(name, Path(folder), args.megabytes, args.tries) for name in CASES]
    result = {"load_before": load, "target": TARGET, "tries": args.tries, "rows": rows}
    ROWS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
