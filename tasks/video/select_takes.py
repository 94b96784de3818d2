"""Select takes by thresholds over the scores of scan_video: data/curated/takes/.

Changing a threshold is a query: nothing is decoded. Pictures come from the strip in the store.
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
from tasks.video.floor import FloorParams
from tasks.video.pictures import Row, contact_sheet, funnel_figure
from tasks.video.selection import SelectTakes, check_floor_of, decide, funnel
from tasks.video.strip import nearest, strip_pictures, strip_times

SHEET_TAKES = 60  # on the contact sheet; of more, every n-th
SHARD_TAKES = 500  # in one tar of keyframes


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


TAKES = pa.schema(
    [_field(n, pa.string()) for n in ("take_id", "source_id", "name")]
    + [_field(n, pa.int64()) for n in ("start_pts", "end_pts", "time_base_num", "time_base_den", "frames")]
    + [_field(n, pa.float64()) for n in ("start_s", "end_s", "duration_s", "fps")]
    + [_field(n, pa.int32()) for n in ("width_px", "height_px")]
    + [_field(n, pa.string()) for n in ("begins", "ends")]  # as detect_shots has it
    + [_field(n, pa.float64()) for n in ("max_color_difference", "luma", "motion_px_s")]
    + [pa.field("keyframe_pts", pa.list_(_field("element", pa.int64())), nullable=False)]
    + [_field(n, pa.string()) for n in ("licence", "credit", "url")]
)  # a virtual take: [start_pts, end_pts) of the source's video stream; start_s, end_s count from its first frame


class Params(StrictModel):
    floor: FloorParams
    select_takes: SelectTakes


def run(stage: Stage, params: Params) -> Report:
    """Decide by query, then write tables, keyframes, contact sheet and funnel."""
    select = params.select_takes
    check_floor_of(params.floor, select)
    scan = stage.dep("data/curated/scan")
    excluded = read_overrides(stage.dep("data/exclude.csv"))
    included = read_overrides(stage.dep("data/include.csv"))
    kept, rejected = decide(scan, stage.dep("data/curated/shots"), select, excluded=excluded, included=included)
    known = {*kept.column("take_id").to_pylist(), *rejected.column("take_id").to_pylist()}
    for path, overrides in (("data/exclude.csv", excluded), ("data/include.csv", included)):
        for unknown in sorted(name for name in overrides if name not in known and not is_sha256(name)):
            stage.log.warning("%s: no take here has the id %s (%s)", path, unknown, overrides[unknown])
    out = stage.out("data/curated/takes")
    out.mkdir()
    takes = kept.to_pylist()
    pictures = _keyframes(stage.store, scan, takes, select.keyframes)
    write_table(out / "takes.parquet", [{n: take[n] for n in TAKES.names} for take in takes], TAKES)
    write_table(out / "rejected.parquet", [_rejected(stage, row) for row in rejected.to_pylist()], REJECTED)
    _write_shards(out / "keyframes", takes, pictures)
    reasons = Counter(rejected.column("reason").to_pylist())
    steps = funnel(select, len(takes) + len(rejected), reasons)
    _write_funnel(out, steps)
    _write_sheet(out / "contact_sheet.jpg", takes, pictures)
    for name in ("contact_sheet.jpg", "funnel.png"):
        stage.figure(out / name, name)
    stage.artifact(out / "takes.parquet", "tables")
    stage.artifact(out / "rejected.parquet", "tables")
    stage.metrics(
        {
            "curate": {
                "in": len(takes) + len(rejected),
                "kept": len(takes),
                "kept_s": round(sum(take["duration_s"] for take in takes), 3),
                **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
            }
        }
    )
    return Report("take", len(takes) + len(rejected), len(takes), dict(reasons), "data/curated/takes")


def _rejected(stage: Stage, row: Mapping[str, Any]) -> dict[str, Any]:
    reject = Reject(row["reason"], row["detail"], row["score"] or "", row["value"], row["threshold"])
    return rejected_row(row["take_id"], reject, stage=stage.name, unit="take", parent_id=row["source_id"])


def _keyframes(store: Store, scan: Path, takes: list[dict[str, Any]], count: int) -> dict[str, list[bytes]]:
    """Add `keyframe_pts` to each take and return its pictures: the strip's nearest to the centre of each segment."""
    columns = ["source_id", "name", "strip_blobs", "strip_first_pts"]
    videos = {row["source_id"]: row for row in read_table(scan / "videos.parquet").select(columns).to_pylist()}
    by_source: dict[str, list[dict[str, Any]]] = {}
    for take in takes:
        by_source.setdefault(take["source_id"], []).append(take)
    pictures: dict[str, list[bytes]] = {}
    for source_id, of_source in by_source.items():
        video = videos[source_id]
        try:
            times = strip_times(store, video["strip_blobs"])
            for take in of_source:
                start, end = take["start_pts"], take["end_pts"]
                centres = [start + (i + 0.5) * (end - start) / count for i in range(count)]
                take["keyframe_pts"] = nearest(times, centres, start, end)
            wanted = sorted({pts for take in of_source for pts in take["keyframe_pts"]})
            found = strip_pictures(store, video["strip_blobs"], video["strip_first_pts"], wanted)
        except StoreError as error:
            raise StageError(
                f"the strip of {video['name']} is not in the store ({error}): this clone has the scan's tables only; "
                f"make it with 'dvc repro --force --single-item scan_video'"
            ) from None
        for take in of_source:
            pictures[take["take_id"]] = [found[pts] for pts in take["keyframe_pts"]]
    return pictures


def _write_shards(folder: Path, takes: Sequence[Mapping[str, Any]], pictures: Mapping[str, list[bytes]]) -> None:
    """Write keyframes as tars of TAKE.SEGMENT.jpg, as WebDataset reads them; equal pictures give equal bytes."""
    folder.mkdir()
    for first in range(0, len(takes), SHARD_TAKES):
        with tarfile.open(folder / f"keyframes-{first // SHARD_TAKES:05d}.tar", "w") as shard:
            for take in takes[first : first + SHARD_TAKES]:
                for segment, jpeg in enumerate(pictures[take["take_id"]]):
                    entry = tarfile.TarInfo(f"{take['take_id']}.{segment}.jpg")
                    entry.size = len(jpeg)
                    shard.addfile(entry, io.BytesIO(jpeg))


def _write_funnel(out: Path, steps: Sequence[tuple[str, int]]) -> None:
    with (out / "funnel.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "kept"))
        writer.writerows((f"{number:02d} {name}", count) for number, (name, count) in enumerate(steps))
    funnel_figure(steps, f"{steps[0][1]} candidates, {steps[-1][1]} takes kept", out / "funnel.png")


def _write_sheet(path: Path, takes: Sequence[Mapping[str, Any]], pictures: Mapping[str, list[bytes]]) -> None:
    shown = takes[:: max(1, -(-len(takes) // SHEET_TAKES))]
    rows = [
        Row(
            [
                f"{_clock(take['start_s'])} - {_clock(take['end_s'])}",
                take["name"] if len(take["name"]) <= 22 else f"{take['name'][:19]}...",
                f"luma {take['luma']:.0f}",
                f"motion {take['motion_px_s']:.0f} px/s",
            ],
            pictures[take["take_id"]],
        )
        for take in shown
    ]
    of = f", {len(shown)} of them here" if len(shown) < len(takes) else ""
    credits = sorted({f"{take['credit'] or take['name']}, {take['licence']}" for take in shown})
    credit = "; ".join(credits) if len(credits) <= 3 else f"{len(credits)} sources, credited in takes.parquet"
    contact_sheet(rows, f"{len(takes)} takes{of}", credit, path)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"


if __name__ == "__main__":
    stage_main(run, Params)
