"""VISTA's items as files: composed and encoded once in a worker, and kept in the store by what is in them and how."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.keys import key_of
from tasks.stage import Stage
from tasks.store import Record, Store
from tasks.tables import Reject
from tasks.video.composition import from_dict, to_dict
from tasks.video.rendering import RENDER, Encoding, Shelf, render_file
from tasks.video.vista_plan import Planned, located, plan_id

# Cells of grids, for the next grid of this worker: film is decoded from I-frames far apart, and its clips are few.
_SHELF = Shelf(max_bytes=256_000_000)


@dataclass(frozen=True)
class RenderJob:
    """One composition for a worker, as plain data; `roots` says where the folders lie that its clips name."""

    composition: dict[str, Any]
    roots: dict[str, str]
    encoding: Encoding
    store_url: str


def render_item(job: RenderJob) -> int:
    """Render one composition and keep it; return its frames. Raises Reject as `render_file` does."""
    store = Store(job.store_url)
    composition = located(from_dict(job.composition), job.roots)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"item{job.encoding.suffix}"
        made = render_file(composition, target, job.encoding, _SHELF)
        with target.open("rb") as file:
            blob = store.put_blob(file)
    with store.writer() as writer:
        value = {"frames": made.frames, "bytes": made.bytes}
        writer.put(RENDER.name, RENDER.version, asdict(job.encoding), plan_id(job.composition), value, [blob])
    return made.frames


def stored(store: Store, planned: Sequence[Planned], encoding: Encoding) -> dict[str, Record]:
    """Return what is stored of items, by id."""
    keys = {one.item_id: key_of(RENDER.name, RENDER.version, asdict(encoding), one.plan_id) for one in planned}
    store.refresh(RENDER.name)
    found = store.get_many(RENDER.name, keys.values())
    held = {key for key, record in found.items() if all(store.has_blob(name) for name in record.blobs)}
    return {item_id: found[key] for item_id, key in keys.items() if key in held}


def render_missing(
    stage: Stage, planned: Sequence[Planned], encoding: Encoding, roots: Mapping[str, str]
) -> tuple[dict[str, Reject], int]:
    """Render what the store lacks; return why some could not be, by id, and how many frames were made."""
    known = stored(stage.store, planned, encoding)
    jobs = [
        (one.item_id, RenderJob(to_dict(one.built.composition), dict(roots), encoding, stage.store.url))
        for one in planned
        if one.item_id not in known
    ]
    rejects: dict[str, Reject] = {}
    frames = 0
    for outcome in stage.map(render_item, jobs, unit="item", total=len(jobs)):
        frames += outcome.value or 0
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
    return rejects, frames
