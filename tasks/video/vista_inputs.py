"""What VISTA's items are planned of: captioned clips whose files are there, and the plan of every item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.content import HashMemory, content_hash
from tasks.progress import Progress
from tasks.stage import Stage, StageError
from tasks.tables import Reject, read_overrides, read_table
from tasks.video.captions import CLIPS
from tasks.video.clip_roots import CLIPS_PATH, clip_roots
from tasks.video.items import SUBSETS, Item
from tasks.video.material import Material, left_out
from tasks.video.questions import TemplateSynthesiser
from tasks.video.vista_plan import Planned, item_ids, plan_item
from tasks.video.vista_settings import AugmentVista

CAPTIONS_PATH = "data/curated/captions"


@dataclass(frozen=True)
class Prepared:
    """The clips, where their files lie, what was planned of them, and what was not."""

    material: Material
    roots: dict[str, str]
    clip_rejects: dict[str, Reject]
    sources: dict[str, str]  # of all clips, also those left out
    planned: dict[str, Planned]
    rejects: dict[str, Reject]
    wanted: int


def prepared(stage: Stage, chosen: AugmentVista, own_video: str) -> Prepared:
    """Read the clips and plan all items, once in a run. Raises StageError where there are no clips for them."""
    return stage.once("prepared", lambda: _prepared(stage, chosen, own_video))


def _prepared(stage: Stage, chosen: AugmentVista, own_video: str) -> Prepared:
    clips, roots = stage.dep(CLIPS_PATH), clip_roots(stage, own_video)
    rows = read_table(clips / "clips.parquet", CLIPS).to_pylist()
    rows += read_table(stage.dep(CAPTIONS_PATH) / "captions.parquet", CLIPS).to_pylist()
    made = {row["source_id"]: row for row in read_table(clips / "sources.parquet").to_pylist()}
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    out = left_out(rows, excluded, made, film_is_one=chosen.film_apart_s is None)
    out |= _not_as_captioned(stage, [row for row in rows if row["clip_id"] not in out], roots)
    kept = [row for row in rows if row["clip_id"] not in out]
    if not kept:
        why = ", ".join(sorted({reject.reason for reject in out.values()})) or "there are none"
        raise StageError(f"{CLIPS_PATH} and {CAPTIONS_PATH} have no clips that items can be made of: {why}")
    try:
        material = Material.of(kept, max_gap_s=chosen.max_gap_s, film_apart_s=chosen.film_apart_s)
        planned, rejects = _planned(stage, material, chosen)
    except ValueError as error:
        raise StageError(str(error)) from None
    wanted = sum(chosen.count(subset) for subset in SUBSETS)
    parents = {row["clip_id"]: row["source_id"] for row in rows}
    return Prepared(material, roots, out, parents, planned, rejects, wanted)


def _not_as_captioned(stage: Stage, rows: Sequence[Mapping[str, Any]], roots: Mapping[str, str]) -> dict[str, Reject]:
    """Return the clips whose file is gone or another than was captioned."""
    if strange := sorted({row["root"] for row in rows} - set(roots)):
        raise StageError(f"captioned clips lie in root {strange[0]!r}; known are {', '.join(sorted(roots))}")
    memory, trouble = HashMemory(stage.store), {}
    for root, path, source_id in sorted({(row["root"], row["path"], row["source_id"]) for row in rows}):
        file = Path(roots[root]) / path
        if not file.is_file():
            trouble[root, path] = Reject("source_missing", f"{root}/{path} is not there: run what captioned it again")
        elif content_hash(file, memory) != source_id:
            trouble[root, path] = Reject("changed", f"{root}/{path} is not the file that was captioned: do that again")
    return {row["clip_id"]: trouble[row["root"], row["path"]] for row in rows if (row["root"], row["path"]) in trouble}


def _planned(stage: Stage, material: Material, chosen: AugmentVista) -> tuple[dict[str, Planned], dict[str, Reject]]:
    """Return the items by id, and why others could not be made."""
    write = None
    if chosen.text.backend == "templates":
        templates = TemplateSynthesiser(chosen.seed, material.rows.values(), chosen.mcq_share)

        def write(case: Any) -> Item | Reject:
            return templates.write([case])[0]

    ids = [(subset, item_id) for subset in SUBSETS for item_id in item_ids(chosen, subset)]
    progress = Progress(len(ids), "items planned", stage.info.address)
    planned: dict[str, Planned] = {}
    rejects: dict[str, Reject] = {}
    for subset, item_id in ids:
        found = plan_item(item_id, subset, material, chosen, write)
        if isinstance(found, Reject):
            rejects[item_id] = found
        else:
            planned[item_id] = found
        progress.done(item_id)
    progress.close()
    return planned, rejects
