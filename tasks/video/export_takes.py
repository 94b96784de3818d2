"""Export the takes of a set, each licence apart: data/curated/export/SET/LICENCE/.

As spans of their sources (virtual), or as MP4 files by copying packets or encoding once, plain or in tars as
WebDataset reads them; with a manifest for each split and a card. A take is cut once and kept in the store.
"""

import io
import itertools
import json
import math
import re
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tasks.content import HashMemory, content_hash
from tasks.keys import canonical_json, key_of
from tasks.licences import folders_of
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Record, Store
from tasks.tables import REJECTED, Reject, read_table, rejected_row, write_table
from tasks.tars import add_member
from tasks.video import virtual
from tasks.video.card_parts import splits_of
from tasks.video.cards import Card, card_text
from tasks.video.cutting import COPY, ENCODE, EncodeSettings, cut_copy, cut_encode, too_little
from tasks.video.encoding import Preset
from tasks.video.manifest import MANIFEST, Own

MAX_FILES = 2000  # in one out: beyond it DVC is slow
BITS_PER_PIXEL = 0.1  # of H.264 at crf 20, for --plan
NEEDED = (
    *("take_id", "source_id", "name", "start_pts", "end_pts", "time_base_num", "time_base_den", "frames", "duration_s"),
    *("width_px", "height_px", "licence", "credit", "url", "split"),
)  # columns of takes.parquet; all others are passed on

SOURCE_COLUMNS = [pa.field(n, pa.string(), nullable=False) for n in ("source_root", "source_path")]
FILE_COLUMNS = (
    [pa.field(n, pa.string(), nullable=False) for n in ("file_name", "file_sha256", "file_codec")]
    + [pa.field(n, pa.int64(), nullable=False) for n in ("file_bytes", "file_frames", "file_start_pts", "file_end_pts")]
    + [pa.field(n, pa.int32(), nullable=False) for n in ("file_width_px", "file_height_px")]
)  # pts as the take's, in the source's time base: what of the source is in the file
SHARD_COLUMN = pa.field("shard", pa.string(), nullable=False)


class ExportTakes(StrictModel):
    mode: Literal["virtual", "copy", "encode"] = Field(description="spans alone, copied packets, or encoded once")
    layout: Literal["files", "webdataset"] = Field(description="MP4 files, or tars of them")
    shard_takes: int = Field(ge=1, le=100_000, description="takes in one tar")
    crf: float = Field(ge=0, le=51, description="of libx264, for encode")
    preset: Preset
    max_short_side_px: int = Field(ge=0, description="shorter side as displayed, for encode; 0: as it is")
    min_copied_share: float = Field(ge=0, le=1, description="of a take's time that a copy must keep")


class Params(StrictModel):
    own: Own
    export_takes: ExportTakes


@dataclass(frozen=True)
class CutJob:
    """One take for a worker."""

    source_id: str
    path: str
    start_pts: int
    end_pts: int
    frames: int
    settings: EncodeSettings | None  # None: packets are copied
    min_copied_share: float
    store_url: str


def run(stage: Stage, params: Params) -> Report:
    """Cut what is not stored yet, in worker processes, then write manifests, files and cards from the store."""
    export = params.export_takes
    table = _takes(stage, export)
    takes = table.to_pylist()
    sources, paths = _sources(stage, params)
    rejects = {take["take_id"]: _NO_SOURCE for take in takes if take["source_id"] not in sources}
    records: dict[str, Record] = {}
    if export.mode != "virtual":
        rejects |= _cut_missing(stage, takes, paths, export)
        records = _stored(stage.store, [take for take in takes if take["take_id"] not in rejects], export)
    if export.mode == "copy":
        rejects |= _too_short(takes, records, export.min_copied_share)
    kept = [take for take in takes if take["take_id"] not in rejects]
    out = stage.out(f"data/curated/export/{stage.member}")
    out.mkdir()
    for licence, folder in folders_of(take["licence"] for take in kept).items():
        of_licence = [take for take in kept if take["licence"] == licence]
        schema = _manifest_schema(table.schema, export)
        _write_splits(stage.store, export, out / folder, of_licence, schema, sources, records)
        _write_card(stage, params, out / folder, of_licence, sources)
    if not kept:
        stage.log.warning("no take to export: %s gets no manifest and no card", f"data/curated/export/{stage.member}")
    parents = {take["take_id"]: take["source_id"] for take in takes}
    rejected = [
        rejected_row(take_id, reject, stage=stage.name, unit="take", parent_id=parents[take_id])
        for take_id, reject in sorted(rejects.items())
    ]
    write_table(out / "rejected.parquet", rejected, REJECTED)
    reasons = Counter(reject.reason for reject in rejects.values())
    stage.metrics({"export": _figures(takes, kept, records, reasons)})
    stage.check_rejects("take", len(takes), len(rejects) - reasons["too_little_survives"])
    return Report("take", len(takes), len(kept), dict(reasons), f"data/curated/export/{stage.member}")


_NO_SOURCE = Reject("source_missing", "the manifest of data/raw/video does not list its source: run fetch_video again")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the takes that are still to be cut, and the disk for them in the store and in the out."""
    export = params.export_takes
    takes = _takes(stage, export).to_pylist()
    sources, _ = _sources(stage, params)
    if export.mode == "virtual":
        return Plan("take", 0, len(takes))
    known = _stored(stage.store, takes, export)
    todo = [t for t in takes if t["take_id"] not in known and t["source_id"] in sources]
    pixels = sum(take["width_px"] * take["height_px"] * take["frames"] for take in todo)
    return Plan("take", len(todo), len(known), disk_needed_bytes=int(2 * pixels * BITS_PER_PIXEL / 8))


def _takes(stage: Stage, export: ExportTakes) -> pa.Table:
    path = stage.dep(f"data/curated/takes/{stage.member}") / "takes.parquet"
    table = read_table(path)
    if missing := [name for name in NEEDED if name not in table.column_names]:
        raise StageError(f"{path} lacks {', '.join(missing)}: make it again with 'dvc repro select_takes'")
    if odd := sorted({name for name in table.column("split").to_pylist() if not re.fullmatch(r"\w+", str(name))}):
        raise StageError(f"{path}: split {odd[0]!r} is no name of letters and digits")
    if export.mode != "virtual" and export.layout == "files" and len(table) > MAX_FILES:
        raise StageError(
            f"export_takes.layout = files would write {len(table)} files, and DVC is slow beyond {MAX_FILES}: "
            f"set export_takes.layout: webdataset"
        )
    return table


def _sources(stage: Stage, params: Params) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the manifest's row and the path of each source."""
    roots = {"raw": stage.dep("data/raw/video"), "own": stage.dep(params.own.video)}
    rows = read_table(roots["raw"] / "manifest.parquet", MANIFEST).to_pylist()
    paths = {row["source_id"]: str(roots[row["root"]] / row["path"]) for row in rows}
    return {row["source_id"]: row for row in rows}, paths


# --- cutting ---


def cut_take(job: CutJob) -> int:
    """Cut one take and keep it; return how many frames it holds.

    Raises Reject: `changed`, `frames_differ` where the encoded frames are not as many as were scanned, and as
    `cut_copy` and `cut_encode` do.
    """
    store = Store(job.store_url)
    if content_hash(job.path, HashMemory(store)) != job.source_id:
        raise Reject("changed", "its source's bytes are not those that fetch_video listed: run it again")
    function, params = _function(job.settings)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "take.mp4"
        if job.settings is None:
            facts = cut_copy(job.path, job.start_pts, job.end_pts, target, min_share=job.min_copied_share)
        else:
            facts = cut_encode(job.path, job.start_pts, job.end_pts, target, job.settings)
            if facts.frames != job.frames:
                raise Reject("frames_differ", f"{facts.frames} frames, where the scan saw {job.frames}")
        with target.open("rb") as file:
            blob = store.put_blob(file)
    with store.writer() as writer:
        span = _span(job.source_id, job.start_pts, job.end_pts)
        writer.put(function.name, function.version, params, span, asdict(facts), [blob])
    return facts.frames


def _settings(export: ExportTakes) -> EncodeSettings | None:
    if export.mode == "copy":
        return None
    return EncodeSettings(export.crf, export.preset, export.max_short_side_px)


def _function(settings: EncodeSettings | None) -> tuple[Any, dict[str, Any]]:
    """Return the stored function and its parameters."""
    return (COPY, {}) if settings is None else (ENCODE, asdict(settings))


def _span(source_id: str, start_pts: int, end_pts: int) -> str:
    return canonical_json([source_id, start_pts, end_pts])


def _stored(store: Store, takes: Sequence[Mapping[str, Any]], export: ExportTakes) -> dict[str, Record]:
    """Return what is stored of `takes` by take_id."""
    function, params = _function(_settings(export))
    spans = {take["take_id"]: _span(take["source_id"], take["start_pts"], take["end_pts"]) for take in takes}
    keys = {take_id: key_of(function.name, function.version, params, span) for take_id, span in spans.items()}
    store.refresh(function.name)
    found = store.get_whole(function.name, keys.values())
    return {take_id: found[key] for take_id, key in keys.items() if key in found}


def _cut_missing(
    stage: Stage, takes: Sequence[Mapping[str, Any]], paths: Mapping[str, str], export: ExportTakes
) -> dict[str, Reject]:
    known = _stored(stage.store, takes, export)
    settings = _settings(export)
    jobs = [
        (
            take["take_id"],
            CutJob(
                take["source_id"],
                paths[take["source_id"]],
                take["start_pts"],
                take["end_pts"],
                take["frames"],
                settings,
                export.min_copied_share,
                stage.store.url,
            ),
        )
        for take in takes
        if take["take_id"] not in known and take["source_id"] in paths
    ]
    rejects: dict[str, Reject] = {}
    cut = Counter[str]()
    for outcome in stage.map(cut_take, jobs, unit="take", total=len(jobs)):
        if outcome.reject is not None:
            rejects[outcome.item_id] = outcome.reject
        cut["takes"] += outcome.reject is None
        cut["frames"] += outcome.value or 0
    stage.timing({f"export/cut_{name}": cut[name] for name in ("takes", "frames")})
    stage.store.compact(_function(settings)[0].name)
    return rejects


def _too_short(
    takes: Sequence[Mapping[str, Any]], records: Mapping[str, Record], min_share: float
) -> dict[str, Reject]:
    """Judge stored copies anew: the share that they must keep is in no key."""
    rejects: dict[str, Reject] = {}
    for take in takes:
        if take["take_id"] not in records:
            continue
        facts = records[take["take_id"]].value
        share = (facts["end_pts"] - facts["start_pts"]) / (take["end_pts"] - take["start_pts"])
        if share < min_share:
            rejects[take["take_id"]] = too_little(facts["frames"], share, min_share)
    return rejects


# --- writing ---


def _manifest_schema(takes: pa.Schema, export: ExportTakes) -> pa.Schema:
    columns = SOURCE_COLUMNS if export.mode == "virtual" else FILE_COLUMNS
    shard = [SHARD_COLUMN] if export.mode != "virtual" and export.layout == "webdataset" else []
    return pa.schema([*shard, *columns, *takes.remove_metadata()])


def _write_splits(
    store: Store,
    export: ExportTakes,
    folder: Path,
    takes: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    sources: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
) -> None:
    """Write the manifest of each split, and the files that it names."""
    full = _full_columns(takes)
    for split, of_split in splits_of(takes).items():
        (folder / split).mkdir(parents=True)
        if export.mode == "virtual":
            rows = [{**take, **_source_cells(sources[take["source_id"]])} for take in of_split]
        else:
            rows = [{**take, **_file_cells(take, records[take["take_id"]])} for take in of_split]
            if export.layout == "files":
                _write_files(store, folder / split, rows)
            else:
                for number, row in enumerate(rows):
                    row["shard"] = f"{split}-{number // export.shard_takes:05d}.tar"
                _write_shards(store, folder / split, rows, full)
        write_table(folder / split / "metadata.parquet", rows, schema)
    if export.mode == "virtual":
        (folder / "take_reader.py").write_text(Path(virtual.__file__).read_text())


def _write_card(
    stage: Stage,
    params: Params,
    folder: Path,
    takes: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Mapping[str, Any]],
) -> None:
    takes_path = f"data/curated/takes/{stage.member}"
    made_from = {path: stage.dep_hash(path) for path in (takes_path, "data/raw/video")}
    roots = {"raw": "data/raw/video", "own": params.own.video}
    used = {sources[take["source_id"]]["root"] for take in takes}
    if "own" in used:
        made_from["own.video"] = stage.dep_hash(params.own.video)
    card = Card(
        title=f"Long takes, {stage.member}, {takes[0]['licence']}",
        licence=takes[0]["licence"],
        mode=params.export_takes.mode,
        layout=params.export_takes.layout,
        takes=takes,
        parameters={f"export_takes.{name}": getattr(params.export_takes, name) for name in _used(params.export_takes)},
        made_from=made_from,
        roots={root: _from_card(roots[root]) for root in sorted(used)},
    )
    (folder / "README.md").write_text(card_text(card))
    stage.artifact(folder / "README.md", f"cards/{folder.name}")


def _used(export: ExportTakes) -> list[str]:
    """Return the names of the parameters that this mode and layout use."""
    if export.mode == "virtual":
        return ["mode"]
    of_layout = ["layout", "shard_takes"] if export.layout == "webdataset" else ["layout"]
    of_mode = ["min_copied_share"] if export.mode == "copy" else ["crf", "preset", "max_short_side_px"]
    return ["mode", *of_layout, *of_mode]


def _from_card(path: str) -> str:
    """Return a folder of the project as seen from data/curated/export/SET/LICENCE; a machine's own path is not told."""
    return "path/to/the/videos" if Path(path).is_absolute() else f"../../../../../{path}"


def _source_cells(source: Mapping[str, Any]) -> dict[str, Any]:
    return {"source_root": source["root"], "source_path": source["path"]}


def _file_cells(take: Mapping[str, Any], record: Record) -> dict[str, Any]:
    facts = {f"file_{name}": value for name, value in record.value.items()}
    return {**facts, "file_name": f"{take['take_id']}.mp4", "file_sha256": record.blobs[0]}


def _full_columns(takes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the columns without a gap: `datasets` takes a type for each from the first rows of a tar."""
    return {name for name in takes[0] if not any(_is_gap(take[name]) for take in takes)}


def _is_gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _write_files(store: Store, folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        with (
            store.open_blob(row["file_sha256"], checked=True) as source,
            (folder / row["file_name"]).open("wb") as target,
        ):
            shutil.copyfileobj(source, target)


def _write_shards(store: Store, folder: Path, rows: Sequence[Mapping[str, Any]], columns: set[str]) -> None:
    """Write tars of TAKE.json and TAKE.mp4, as WebDataset reads them; equal takes give equal bytes."""
    for shard, members in itertools.groupby(rows, key=lambda row: row["shard"]):
        with tarfile.open(folder / shard, "w") as tar:
            for row in members:
                shown = {name: value for name, value in row.items() if name in columns or name.startswith("file_")}
                text = json.dumps(shown, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
                add_member(tar, f"{row['take_id']}.json", io.BytesIO(text), len(text))
                with store.open_blob(row["file_sha256"], checked=True) as file:
                    add_member(tar, f"{row['take_id']}.mp4", file, row["file_bytes"])


def _figures(
    takes: Sequence[Any], kept: Sequence[Mapping[str, Any]], records: Mapping[str, Record], reasons: Mapping[str, int]
) -> dict[str, float]:
    facts = [(take, records[take["take_id"]].value) for take in kept if take["take_id"] in records]
    in_file = [(f["end_pts"] - f["start_pts"]) * t["time_base_num"] / t["time_base_den"] for t, f in facts]
    seconds = sum(take["duration_s"] for take in kept)
    return {
        "in": len(takes),
        "kept": len(kept),
        **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
        **{f"takes_{split}": len(of) for split, of in splits_of(kept).items()},
        "licences": len({take["licence"] for take in kept}),
        "frames": sum(f["frames"] for _, f in facts) if facts else sum(take["frames"] for take in kept),
        "seconds": round(sum(in_file) if facts else seconds, 3),
        "bytes": sum(f["bytes"] for _, f in facts),
        "seconds_share": round(sum(in_file) / seconds if facts and seconds else 1.0, 6),
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
