"""Select one set of takes by thresholds over the scores: data/curated/takes/<set>/.

Changing a threshold is a query: nothing is decoded or scored. Pictures come from the strip in the store.
"""

import csv
import io
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.content import is_sha256
from tasks.stage import Report, Stage, StageError, StrictModel, stage_main
from tasks.store import Store, StoreError
from tasks.tables import REJECTED, Reject, read_overrides, read_table, rejected_row, write_table
from tasks.tars import add_member
from tasks.video.content import SPLITS, Splits, split_groups, split_of
from tasks.video.find_duplicates import DUPLICATES, MATCHES
from tasks.video.floor import FloorParams
from tasks.video.histograms import draw_histogram, histograms, write_histograms
from tasks.video.pictures import Row, contact_sheet, examples_sheet, funnel_figure
from tasks.video.score_takes import SCORES
from tasks.video.selection import RULES, Decided, TakeSet, check_floor_of, decide
from tasks.video.strip import gone, strip_pictures

SHEET_TAKES = 60  # on the contact sheet; of more, every n-th
SHARD_TAKES = 500  # in one tar of keyframes

TAKES = pa.schema(
    [
        *(pa.field(field.name, field.type, nullable=False) for field in SCORES),
        pa.field("split", pa.string(), nullable=False),  # train, valid or test, by source and duplicate group
        pa.field("group", pa.string(), nullable=False),  # sources that share footage have the same
        pa.field("content_cluster", pa.int32()),  # null where no sample was drawn
    ]
)


class Params(StrictModel):
    floor: FloorParams
    splits: Splits
    select_takes: dict[str, TakeSet]


def run(stage: Stage, params: Params) -> Report:
    """Decide by query, then write tables, keyframes, histograms, contact sheet and funnel."""
    chosen = params.select_takes[stage.member]
    check_floor_of(params.floor, chosen, stage.member)
    scores = read_table(stage.dep("data/curated/scores") / "scores.parquet", SCORES)
    duplicates = read_table(stage.dep("data/curated/duplicates") / "duplicates.parquet", DUPLICATES)
    matches = read_table(stage.dep("data/curated/duplicates") / "matches.parquet", MATCHES)
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    included = read_overrides(stage.dep("data/include.csv"))
    embeddings = stage.dep("data/curated/scores") / "embeddings.parquet"
    decided = decide(scores, duplicates, matches, chosen, excluded=excluded, included=included, embeddings=embeddings)
    known = {*scores.column("take_id").to_pylist(), *scores.column("source_id").unique().to_pylist()}
    for path, overrides in (("data/exclude.csv", excluded), ("data/include.csv", included)):
        for unknown in sorted(name for name in overrides if name not in known):
            if not is_sha256(unknown) or overrides is included:  # an excluded source is gone, and fetch_video tells
                stage.log.warning("%s: no take here has the id %s (%s)", path, unknown, overrides[unknown])
    out = stage.out(f"data/curated/takes/{stage.member}")
    out.mkdir()
    takes = _with_splits(decided.kept.to_pylist(), scores, duplicates, params.splits)
    write_table(out / "takes.parquet", [{n: take[n] for n in TAKES.names} for take in takes], TAKES)
    rejected = decided.rejected.to_pylist()
    write_table(out / "rejected.parquet", [_rejected(stage, row) for row in rejected], REJECTED)
    _write_pictures(stage, out, chosen, decided, takes, rejected)
    for name in ("contact_sheet.jpg", "examples.jpg", "funnel.png"):
        stage.figure(out / name, name)
    stage.artifact(out / "histograms", "figures")
    stage.artifact(out / "takes.parquet", "tables")
    stage.artifact(out / "rejected.parquet", "tables")
    reasons = Counter(row["reason"] for row in rejected)
    splits = Counter(take["split"] for take in takes)
    stage.metrics(
        {
            "curate": {
                "in": len(scores),
                "kept": len(takes),
                "kept_s": round(sum(take["duration_s"] for take in takes), 3),
                **{f"kept_{name}": splits[name] for name in SPLITS},
                **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
            }
        }
    )
    return Report("take", len(scores), len(takes), dict(reasons), f"data/curated/takes/{stage.member}")


def _rejected(stage: Stage, row: Mapping[str, Any]) -> dict[str, Any]:
    reject = Reject(row["reason"], row["detail"], row["score"] or "", row["value"], row["threshold"])
    return rejected_row(row["take_id"], reject, stage=stage.name, unit="take", parent_id=row["source_id"])


def _with_splits(
    takes: list[dict[str, Any]], scores: pa.Table, duplicates: pa.Table, splits: Splits
) -> list[dict[str, Any]]:
    """Add `group` and `split` to each take. Groups are those of all candidates, so no threshold moves a take."""
    first_of: dict[str, str] = {}
    pairs = []
    linked, sources = duplicates.column("linked_id").to_pylist(), duplicates.column("source_id").to_pylist()
    for link, source in zip(linked, sources, strict=True):
        pairs.append((first_of.setdefault(link, source), source))
    groups = split_groups(scores.column("source_id").to_pylist(), pairs)
    for take in takes:
        take["group"] = groups[take["source_id"]]
        take["split"] = split_of(take["group"], **splits.model_dump())
    return takes


class _Keyframes:
    """Reads keyframes from the strip, each source's chunks once."""

    def __init__(self, store: Store, scan: Path):
        columns = ["source_id", "name", "strip_blobs", "strip_first_pts"]
        self._videos = {v["source_id"]: v for v in read_table(scan / "videos.parquet").select(columns).to_pylist()}
        self._store = store

    def of(self, takes: Sequence[Mapping[str, Any]]) -> dict[str, list[bytes]]:
        """Return the JPEG pictures of each take that has keyframes. Raises StageError where the strip is gone."""
        by_source: dict[str, list[Mapping[str, Any]]] = {}
        for take in takes:
            if take["keyframe_pts"]:
                by_source.setdefault(take["source_id"], []).append(take)
        found: dict[str, list[bytes]] = {}
        for source_id, of_source in by_source.items():
            video = self._videos[source_id]
            wanted = sorted({pts for take in of_source for pts in take["keyframe_pts"]})
            try:
                pictures = strip_pictures(self._store, video["strip_blobs"], video["strip_first_pts"], wanted)
            except StoreError as error:
                raise StageError(gone(video["name"], error)) from None
            for take in of_source:
                found[take["take_id"]] = [pictures[pts] for pts in take["keyframe_pts"]]
        return found


def _write_pictures(
    stage: Stage,
    out: Path,
    chosen: TakeSet,
    decided: Decided,
    takes: list[dict[str, Any]],
    rejected: list[dict[str, Any]],
) -> None:
    keyframes = _Keyframes(stage.store, stage.dep("data/curated/scan"))
    pictures = keyframes.of(takes)
    _write_shards(out / "keyframes", takes, pictures)
    funnel_figure(decided.funnel, f"{decided.funnel[0][1]} candidates, {len(takes)} takes kept", out / "funnel.png")
    _write_funnel(out / "funnel.csv", decided.funnel)
    _write_sheet(out / "contact_sheet.jpg", takes, pictures)
    drawn = histograms(chosen, decided, takes, rejected)
    shown = {take["take_id"]: take for one in drawn for take in (*one.below, *one.above)}
    near = pictures | keyframes.of([take for take in shown.values() if take["take_id"] not in pictures])
    folder = out / "histograms"
    folder.mkdir()
    for one in drawn:
        draw_histogram(one, near, folder / f"{one.number:02d}_{one.rule.reason}.png")
    write_histograms(drawn, out / "histograms.csv")
    some = _three_reasons(rejected)
    examples_sheet(
        [(_label(take), pictures[take["take_id"]]) for take in _three_kept(takes)],
        [(_why(take), keyframes.of([take]).get(take["take_id"], [])) for take in some],
        _credit([*_three_kept(takes), *some]),
        out / "examples.jpg",
    )


def _three_kept(takes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list(takes[:: max(1, len(takes) // 3)])[:3]


def _three_reasons(rejected: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return three rejected takes that have pictures: one each for low level, quality or motion, and diversity."""
    steps = {rule.reason: rule.step for rule in RULES}
    counts = Counter(row["reason"] for row in rejected if row["keyframe_pts"])
    found = []
    for group in ({3}, {4, 5}, {6}):
        reasons = [reason for reason in counts if steps.get(reason) in group]
        if reasons:
            most = max(reasons, key=lambda reason: (counts[reason], reason))
            found.append(next(row for row in rejected if row["reason"] == most and row["keyframe_pts"]))
    return found


def _why(row: Mapping[str, Any]) -> list[str]:
    lines = [f"{_clock(row['start_s'])} - {_clock(row['end_s'])}", _short(row["name"]), row["reason"]]
    if row["value"] is not None:
        limit = "" if row["threshold"] is None else f" (limit {row['threshold']:.3g})"
        lines.append(f"{row['value']:.3g}{limit}")
    return lines


def _label(take: Mapping[str, Any]) -> list[str]:
    return [
        f"{_clock(take['start_s'])} - {_clock(take['end_s'])}",
        _short(take["name"]),
        f"motion {take['motion_px_s']:.0f} px/s",
        f"quality {take['quality']:.1f}",
    ]


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:19]}..."


def _write_shards(folder: Path, takes: Sequence[Mapping[str, Any]], pictures: Mapping[str, list[bytes]]) -> None:
    """Write keyframes as tars of TAKE.SEGMENT.jpg, as WebDataset reads them; equal pictures give equal bytes."""
    folder.mkdir()
    for first in range(0, len(takes), SHARD_TAKES):
        with tarfile.open(folder / f"keyframes-{first // SHARD_TAKES:05d}.tar", "w") as shard:
            for take in takes[first : first + SHARD_TAKES]:
                for segment, jpeg in enumerate(pictures[take["take_id"]]):
                    add_member(shard, f"{take['take_id']}.{segment}.jpg", io.BytesIO(jpeg), len(jpeg))


def _write_funnel(path: Path, steps: Sequence[tuple[str, int]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "kept"))
        writer.writerows((f"{number:02d} {name}", count) for number, (name, count) in enumerate(steps))


def _write_sheet(path: Path, takes: Sequence[Mapping[str, Any]], pictures: Mapping[str, list[bytes]]) -> None:
    shown = takes[:: max(1, -(-len(takes) // SHEET_TAKES))]
    rows = [Row(_label(take), pictures[take["take_id"]]) for take in shown]
    of = f", {len(shown)} of them here" if len(shown) < len(takes) else ""
    contact_sheet(rows, f"{len(takes)} takes{of}", _credit(shown), path)


def _credit(takes: Sequence[Mapping[str, Any]]) -> str:
    credits = sorted({f"{take['credit'] or take['name']}, {take['licence']}" for take in takes})
    return "; ".join(credits) if len(credits) <= 3 else f"{len(credits)} sources, credited in takes.parquet"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"


if __name__ == "__main__":
    stage_main(run, Params)
