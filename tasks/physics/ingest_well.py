"""Take in files of The Well, made here, your own or remote: check them, index them: data/curated/well/.

files.parquet (a row a file), catalog.parquet (a row a trajectory), warnings.parquet, rejected.parquet, and for each
data set a folder with stats.yaml, as The Well has it, pictures and, where asked for, its files in a faster layout, with
cards. A new file costs one file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from tasks.content import HashMemory, content_hash
from tasks.physics.catalog import CATALOG, FILES, WARNINGS, catalog_rows, storage_of
from tasks.physics.crossfile import Item, Judged, judge_together, judged
from tasks.physics.curated import can_link, expected_bytes, put_copy, write_cards
from tasks.physics.examination import Job, Stored, examine_file, is_done, remote_id, stored, sweep_scratch
from tasks.physics.listing import PATH as LISTING
from tasks.physics.listing import SUFFIXES, read_listing
from tasks.physics.moments import Moments, merged
from tasks.physics.opening import has_signature, identity_of
from tasks.physics.records import EXAMINE, REPACK, moments_of, picture_of
from tasks.physics.roots import CURATED, RAW, RAW_CREDIT, RAW_LICENCE, OwnPhysics
from tasks.physics.schema import channels
from tasks.physics.statistics import FieldMoments, Trajectory, totals
from tasks.physics.stats_file import stats_text
from tasks.physics.well_pictures import draw_frames, draw_ranges
from tasks.sources import downloads_folder, linked_folders, own_files, without_credentials
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Record, Store
from tasks.tables import REJECTED, Reject, TableWriter, read_overrides, rejected_row, write_table
from tasks.workers import default_workers


class WellSource(StrictModel):
    location: str = Field(min_length=1, description="a file, folder or glob that fsspec opens: hf://, https://, a path")
    licence: str = Field(min_length=1)
    credit: str = Field(min_length=1, description="the line that must go with every copy")
    url: str = Field(description="home page of the work")

    _no_password = field_validator("location")(without_credentials)


class IngestWell(StrictModel):
    sources: list[WellSource] = Field(description="files elsewhere; list them with 'headrace sources refresh'")
    repack: Literal["none", "contiguous", "frames", "packed"] = Field(description="write files anew in this layout")
    stats_digits: int = Field(ge=5, le=17, description="significant digits in stats.yaml; The Well has 5, 17 is exact")
    max_frozen_share: float = Field(ge=0, le=1, description="of a file's frames that may equal the one before")


class Params(StrictModel):
    own: OwnPhysics
    ingest_well: IngestWell


def run(stage: Stage, params: Params) -> Report:
    """Examine what is not stored yet, in worker processes, then judge all files together and write the tables."""
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    store, layout = stage.store, params.ingest_well.repack
    items = _items(stage, store, params)
    failed = _examine_missing(stage, store, items, excluded, layout)
    known = stored(store, (one.file_id for one in items), layout)
    files, rejected = _judge(stage, items, known, failed, excluded, params.ingest_well)
    orders = judge_together(files)
    kept = sorted((one for one in files if not one.rejected), key=lambda one: one.item.order)
    rejected += [_rejected_row(one.item, _reject_of(one), stage) for one in files if one.rejected]
    out = stage.out(CURATED)
    out.mkdir(parents=True, exist_ok=True)
    rows = _write_tables(stage, store, out, kept, known, orders, layout)
    for name in sorted(orders):
        own = [one for one in kept if one.facts["dataset"] == name]
        _write_dataset(stage, store, out / name, name, own, known, params)
        if own and layout != "none":
            write_cards(out / name, name, [row for row in rows if row["dataset"] == name])
    write_table(
        out / "rejected.parquet", sorted(rejected, key=lambda row: (row["parent_id"], row["item_id"])), REJECTED
    )
    reasons = Counter(row["reason"] for row in rejected)
    stage.metrics({"ingest": _figures(items, kept, reasons)})
    stage.check_rejects("file", len(items), len(rejected))
    return Report("file", len(items), len(kept), dict(reasons), CURATED)


def plan(stage: Stage, params: Params) -> Plan:
    """Count the files that are still to be looked at, and the disk that writing them anew takes."""
    store, layout = stage.store, params.ingest_well.repack
    items = _items(stage, store, params)
    known = stored(store, (one.file_id for one in items), layout)
    todo = [one for one in items if not is_done(known[one.file_id], layout)]
    notes = (f"{sum(one.bytes for one in todo) / 1e6:.1f} MB to read",) if todo else ()
    needed = _disk_needed(stage, items, known, layout) if layout != "none" else 0
    return Plan("file", len(todo), len(items) - len(todo), disk_needed_bytes=needed, notes=notes)


def _disk_needed(stage: Stage, items: Sequence[Item], known: Mapping[str, Stored], layout: str) -> int:
    """Return the bytes of all new files: in the store, being written, and in the out where that cannot link to it."""
    there, new = [], {}
    for one in items:
        examined, repacked = known[one.file_id]
        if repacked is not None:
            there.append(int(repacked.value["bytes"]))
        elif one.file_id not in new and (examined is None or examined.value["facts"] is not None):
            new[one.file_id] = expected_bytes(one.location, one.bytes, examined, layout)
    workers = stage.knobs.workers or default_workers()
    writing = sum(sorted(new.values())[-workers:])  # beside the copy that the store keeps
    kept = sum(new.values())
    return kept + writing + (0 if can_link(stage.store, stage.root) else kept + sum(there))


# --- what there is ----------------------------------------------------------------------------------------------


def _items(stage: Stage, store: Store, params: Params) -> list[Item]:
    """Return all files: made here, your own, and remote ones as they were listed; sorted."""
    memory = HashMemory(store)
    items = [
        *_local(stage, stage.dep(RAW), "raw", memory),
        *_local(stage, stage.dep(params.own.physics), "own", memory),
    ]
    wanted = params.ingest_well.sources
    listed = read_listing(stage.dep(LISTING), [one.location for one in wanted])
    seen: set[str] = set()
    for source in wanted:
        for one in listed[source.location]:
            if one.url in seen:
                continue  # of two sources that overlap
            seen.add(one.url)
            file_id = remote_id(one.url, one.bytes, one.version)
            terms = source.model_dump(exclude={"location"})
            items.append(Item(file_id, "remote", one.url, one.url, one.bytes, version=one.version, **terms))
    return sorted(items, key=lambda one: one.order)


def _local(stage: Stage, folder: Path, root: str, memory: HashMemory) -> Iterator[Item]:
    for link in linked_folders(folder):
        stage.log.warning("%s: left out, as DVC does not follow a link to a folder: link its files instead", link)
    for file in own_files(folder):
        if file.suffix.lower() not in SUFFIXES and not has_signature(file):
            if root == "own":
                stage.log.info("%s: left out, no HDF5 file by name or content", file)
            continue
        path = file.relative_to(folder).as_posix()
        identity = identity_of(file.stat())
        terms = {"licence": RAW_LICENCE, "credit": RAW_CREDIT} if root == "raw" else {}
        yield Item(content_hash(file, memory), root, path, str(file), identity[0], identity, **terms)


# --- the work ---------------------------------------------------------------------------------------------------


def _examine_missing(
    stage: Stage, store: Store, items: Sequence[Item], excluded: Mapping[str, str], layout: str
) -> dict[str, Reject]:
    """Examine each file that the store does not hold whole; return those that could not be, by id."""
    jobs: dict[str, Job] = {}
    scratch = downloads_folder(stage.root)
    sweep_scratch(scratch)
    known = stored(store, (one.file_id for one in items), layout)
    for one in items:
        if one.file_id in excluded or one.file_id in jobs or is_done(known[one.file_id], layout):
            continue
        listed = (one.bytes, one.version) if one.root == "remote" else None
        jobs[one.file_id] = Job(one.file_id, one.location, store.url, layout, str(scratch), one.identity, listed)
    names = {one.file_id: one.path for one in items}
    failed: dict[str, Reject] = {}
    done = {"files": 0, "bytes": 0}
    for outcome in stage.map(examine_file, jobs.items(), unit="file", total=len(jobs), names=names):
        if outcome.reject is not None:
            failed[outcome.item_id] = outcome.reject
        done["files"] += bool(outcome.value)
        done["bytes"] += outcome.value or 0
    stage.timing({f"ingest/examined_{name}": count for name, count in done.items()})
    store.compact(EXAMINE.name)
    if layout != "none":
        store.compact(REPACK.name)
    return failed


def _judge(
    stage: Stage,
    items: Sequence[Item],
    known: Mapping[str, Stored],
    failed: Mapping[str, Reject],
    excluded: Mapping[str, str],
    params: IngestWell,
) -> tuple[list[Judged], list[dict[str, Any]]]:
    """Return the files that were examined with what was found of each, and rows of those that were not."""
    files, rows = [], []
    for one in items:
        if one.file_id in excluded:
            rows.append(_rejected_row(one, Reject("excluded", f"{one.path}: {excluded[one.file_id]}"), stage))
        elif one.file_id in failed:
            reject = failed[one.file_id]
            told = reject.detail if one.path in reject.detail else f"{one.path}: {reject.detail}"
            rows.append(
                _rejected_row(one, Reject(reject.reason, told, reject.score, reject.value, reject.threshold), stage)
            )
        else:
            record, _ = known[one.file_id]
            if record is None:
                raise StageError(f"{one.path}: its result is not in the store: run the stage again")
            files.append(judged(one, record.value, params.max_frozen_share))
    return files, rows


def _reject_of(one: Judged) -> Reject:
    """Return all that is wrong with a file as one reject, by its first fault."""
    faults = one.findings.rejects
    return Reject(faults[0].code, f"{one.item.path}: " + " | ".join(str(fault) for fault in faults))


def _rejected_row(item: Item, reject: Reject, stage: Stage) -> dict[str, Any]:
    return rejected_row(item.file_id, reject, stage=stage.name, unit="file", parent_id=item.path)


# --- what comes out ---------------------------------------------------------------------------------------------


def _write_tables(
    stage: Stage,
    store: Store,
    out: Path,
    kept: Sequence[Judged],
    known: Mapping[str, Stored],
    orders: Mapping[str, list[str]],
    layout: str,
) -> list[dict[str, Any]]:
    """Write files, catalog and warnings; return the rows of files."""
    rows: list[dict[str, Any]] = []
    warnings = []
    taken: set[str] = set()
    with TableWriter(out / "catalog.parquet", CATALOG) as catalog:
        for one in kept:
            examined, repacked = known[one.item.file_id]
            assert examined is not None, "what is kept was examined"
            place, facts, size = _place(one), one.facts, one.item.bytes
            if layout != "none":
                assert repacked is not None, "what is kept was written anew"
                copy = put_copy(store, repacked, one, out, taken)
                taken.add(copy.path)
                place |= {"root": "curated", "path": copy.path, "file_id": copy.file_id}
                facts, size = copy.facts, copy.bytes
            trajectories = [Trajectory(**row) for row in one.value["trajectories"]]
            catalog.write(catalog_rows(place, facts, trajectories, _moments(store, examined)))
            rows.append(_file_row(one, place, facts, size, orders[facts["dataset"]], layout))
            for finding in one.findings.warnings:
                told = {"code": finding.code, "object": finding.at, "what": finding.what, "remedy": finding.remedy}
                warnings.append({**_place(one), **told})
                stage.log.warning("%s: %s", one.item.path, finding)
    write_table(out / "files.parquet", rows, FILES)
    write_table(out / "warnings.parquet", warnings, WARNINGS)
    return rows


def _place(one: Judged) -> dict[str, str]:
    item = one.item
    split = item.split or "train"
    return {
        "file_id": item.file_id,
        "dataset": one.facts["dataset"],
        "split": split,
        "root": item.root,
        "path": item.path,
    }


def _moments(store: Store, examined: Record) -> list[FieldMoments]:
    return moments_of(store.read_table_blob(examined.blobs[0]))


def _file_row(
    one: Judged, place: Mapping[str, str], facts: Mapping[str, Any], size: int, order: list[str], layout: str
) -> dict[str, Any]:
    item = one.item
    names = ["trajectories", "steps", "grid_type", "dimensions", "resolution", "extent"]
    names += ["uniform_grid", "uniform_time", "time_first", "time_last", "fields", "scalars"]
    return {
        **place,
        **{f"origin_{name}": value for name, value in (("id", item.file_id), ("root", item.root), ("path", item.path))},
        "version": item.version,
        "licence": item.licence,
        "credit": item.credit,
        "url": item.url,
        "storage": "packed" if layout == "packed" else storage_of(facts["fields"]),
        "bytes": size,
        **{name: facts[name] for name in names},
        "parameters": sorted(facts["parameters"].items()),
        "boundaries": sorted(facts["boundaries"].items()),
        "field_order": order,
        "warnings": len(one.findings.warnings),
    }


def _write_dataset(
    stage: Stage,
    store: Store,
    folder: Path,
    name: str,
    files: Sequence[Judged],
    known: Mapping[str, Stored],
    params: Params,
) -> None:
    """Write stats.yaml over the training files, and pictures of all."""
    if not files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    training: dict[str, list[list[tuple[Moments, Moments]]]] = {}
    by_set: dict[str, dict[str, list[Moments]]] = {}
    frames = []
    for one in files:
        examined, _ = known[one.item.file_id]
        assert examined is not None, "what is kept was examined"
        moments = _moments(store, examined)
        frames.append((Path(one.item.path).name, picture_of(store.read_table_blob(examined.blobs[1]))))
        label = ", ".join(f"{key} {value:g}" for key, value in sorted(one.facts["parameters"].items()))
        for field in one.facts["fields"]:
            whole = totals(moments, field["name"], one.facts["trajectories"])
            if _place(one)["split"] == "train":
                training.setdefault(field["name"], []).append(whole)
            names = channels(field["name"], field["order"], one.facts["dimensions"])
            for (values, _), channel in zip(whole, names, strict=True):
                by_set.setdefault(label, {}).setdefault(channel, []).append(values)
    if training:
        text = stats_text(files[0].facts["fields"], _merged(training), params.ingest_well.stats_digits)
        (folder / "stats.yaml").write_text(text)
    else:
        stage.log.warning("%s: no training file, so no stats.yaml", name)
    ranges = {}
    for label, found in by_set.items():
        of_set = {channel: merged(parts) for channel, parts in found.items()}
        ranges[label] = {key: (one.low, one.high, one.mean, one.std) for key, one in of_set.items() if one.count}
    draw_ranges(name, ranges, folder / "ranges.png")
    draw_frames(name, frames, folder / "frames.png")
    for picture in ("ranges.png", "frames.png"):
        stage.artifact(folder / picture, f"figures/{name}")


def _merged(
    training: Mapping[str, Sequence[Sequence[tuple[Moments, Moments]]]],
) -> dict[str, list[tuple[Moments, Moments]]]:
    """Merge the components of each field over files."""
    return {
        name: [
            (merged(values for values, _ in component), merged(steps for _, steps in component))
            for component in zip(*files, strict=True)
        ]
        for name, files in training.items()
    }


def _figures(items: Sequence[Item], kept: Sequence[Judged], reasons: Mapping[str, int]) -> dict[str, float]:
    splits = Counter(_place(one)["split"] for one in kept)
    return {
        "in": len(items),
        "kept": len(kept),
        **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
        "bytes": sum(one.item.bytes for one in kept),
        "trajectories": sum(one.facts["trajectories"] for one in kept),
        "warnings": sum(len(one.findings.warnings) for one in kept),
        **{f"files_{split}": count for split, count in sorted(splits.items())},
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
