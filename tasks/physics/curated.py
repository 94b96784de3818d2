"""Files of The Well that were written anew: the disk they take, where they go in the out, and the cards beside them."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.markdown import plain, table
from tasks.physics.crossfile import Judged
from tasks.physics.metadata_card import metadata_text
from tasks.physics.opening import is_remote
from tasks.physics.packed import layout_of
from tasks.physics.records import facts_of
from tasks.physics.roots import SPLITS
from tasks.physics.statistics import declared
from tasks.sources import link_or_copy
from tasks.store import Record, Store

EXPANSION = 4  # of a remote file that nobody has looked into: what compressing simulations gains
OVERHEAD = 1.02  # groups, attributes, the index of chunks
FIXED_BYTES = 64 << 10


@dataclass(frozen=True)
class Copy:
    """A file that was written anew, in the out: `facts` are those of its original, but for where its values lie."""

    file_id: str  # sha256 of its bytes
    path: str  # relative to the out
    bytes: int
    facts: Mapping[str, Any]


def copy_bytes(facts: Mapping[str, Any], layout: str) -> int:
    """Return how many bytes a file with these facts takes at most when it is written anew."""
    values = 0
    points = math.prod(facts["resolution"])
    for one in facts["fields"]:
        if layout == "packed":  # all axes are filled
            frames = facts["trajectories"] * (facts["steps"] if one["time_varying"] else 1)
            values += frames * points * len(facts["dimensions"]) ** one["order"]
        else:
            values += math.prod(one["shape"])
    return int(4 * values * OVERHEAD) + FIXED_BYTES


def expected_bytes(location: str, size: int, examined: Record | None, layout: str) -> int:
    """Return how many bytes a file that is still to be written anew will take at most; 0 for one that is not sound.

    Of a file at a server that was not examined it is guessed from its `size`: a plan asks no server.
    """
    if examined is not None:
        return copy_bytes(examined.value["facts"], layout)
    if is_remote(location):
        return EXPANSION * size
    found = declared(location)
    return copy_bytes(facts_of(found, {}), layout) if found is not None else 0


def can_link(store: Store, root: Path) -> bool:
    """Say whether a file of the store costs nothing in the out: where both lie on one disk."""
    local = store.url.removeprefix("file://")
    if "://" in local or "::" in local:
        return False
    folder = Path(local)
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return there.stat().st_dev == root.stat().st_dev


def put_copy(store: Store, record: Record, one: Judged, out: Path, taken: Container[str]) -> Copy:
    """Put a file that was written anew into the out; `taken` are the paths of those before."""
    folder, stem = f"{one.facts['dataset']}/data/{one.item.split or 'train'}", Path(one.item.path).stem
    path = f"{folder}/{stem}.hdf5"
    if path in taken:  # of another root or folder
        path = f"{folder}/{stem}_{one.item.file_id[:8]}.hdf5"
    (blob,) = record.blobs
    source, target = store.blob_path(blob), out / path
    if source is not None:
        link_or_copy(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        with store.open_blob(blob) as stream, target.open("wb") as file:
            while chunk := stream.read(1 << 20):
                file.write(chunk)
    return Copy(blob, path, record.value["bytes"], {**one.facts, **_places_in(target, one.facts)})


def _places_in(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields and scalars as they lie in the new file, in the order of the old one."""
    found = facts_of(layout_of(path), {})
    new = {one["name"]: one for one in found["fields"]}
    flags = ("symmetric", "antisymmetric")  # which a packed file does not tell
    fields = [new[old["name"]] | {flag: old[flag] for flag in flags} for old in facts["fields"]]
    return {"fields": fields, "scalars": found["scalars"]}


def write_cards(folder: Path, dataset: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write DATASET.yaml and README.md of a data set whose files were written anew; `rows` are those of files.parquet.

    Equal data sets have equal cards: no date, commit or host.
    """
    counted = [row for row in rows if row["split"] == "train"] or rows
    layouts = [layout_of(folder.parent / row["path"]) for row in counted]
    (folder / f"{dataset}.yaml").write_text(metadata_text(layouts))
    (folder / "README.md").write_text(_card(dataset, rows))


def _card(dataset: str, rows: Sequence[Mapping[str, Any]]) -> str:
    counts = ", ".join(
        f"{sum(row['trajectories'] for row in rows if row['split'] == split)} {split}"
        for split in SPLITS
        if any(row["split"] == split for row in rows)
    )
    first = rows[0]
    terms = dict.fromkeys((row["licence"], row["credit"], row["url"]) for row in rows)
    credits = ["- " + ", ".join(plain(part) for part in one if part) for one in terms]
    unstated = any(row["licence"] == "unstated" for row in rows)
    head = ("file", "split", "trajectories", "steps", "made from", "sha256")
    files = [
        (
            plain(Path(row["path"]).name),
            row["split"],
            row["trajectories"],
            row["steps"],
            plain(f"{row['origin_root']}: {row['origin_path']}"),
            row["file_id"],
        )
        for row in rows
    ]
    return "\n".join(
        [
            f"# {dataset}\n",
            f"Simulations in the layout of The Well (arXiv 2412.00568), stored anew ({first['storage']}, float32): "
            f"{len(rows)} files, trajectories: {counts}. Fields {', '.join(first['field_order'])} on "
            f"{' x '.join(map(str, first['resolution']))} points. stats.yaml has the training split's statistics.\n",
            "## Licence and credits\n",
            *credits,
            *(["\nWhere no terms are stated: do not pass it on."] if unstated else []),
            "\n## Files\n",
            table(head, files),
        ]
    )
