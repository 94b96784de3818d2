"""Make VISTA's seven subsets of captioned clips: data/curated/vista/.

records.parquet (vista_records.RECORDS), plan.jsonl with a line for each item that says all that is needed to render
it, rejected.parquet, gallery.html, and a folder for each licence with the rendered items as MP4 files, LLaVA's JSON,
tars and a card. Sections 3.1 and 3.2 of VISTA (arXiv 2412.00927).
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.keys import canonical_json
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, rejected_rows, write_table
from tasks.video.clip_roots import CLIPS_PATH
from tasks.video.items import SUBSETS
from tasks.video.manifest import Own
from tasks.video.material import ranked
from tasks.video.rendering import RENDER, Encoding
from tasks.video.text_only import text_only
from tasks.video.vista_export import video_paths, write_exports
from tasks.video.vista_gallery import gallery, one_of_each
from tasks.video.vista_inputs import CAPTIONS_PATH, Prepared, prepared
from tasks.video.vista_plan import Planned
from tasks.video.vista_records import RECORDS, record_of
from tasks.video.vista_settings import AugmentVista
from tasks.video.vista_text import calls_note, repeated, solved_by_text, text_of, told
from tasks.video.vista_videos import render_missing, stored

OUT = "data/curated/vista"
MAX_FILES = 2000  # in one out: beyond it DVC is slow
BITS_PER_PIXEL = 0.1  # of H.264, for --plan


class Params(StrictModel):
    own: Own
    augment_vista: AugmentVista


def run(stage: Stage, params: Params) -> Report:
    """Plan the items, drop what text alone solves, render some in worker processes, and write the tables and sets."""
    chosen = params.augment_vista
    made = prepared(stage, chosen, params.own.video)
    planned, rejects = told(stage, made.planned, chosen)
    rejects |= made.rejects
    rejects |= repeated(planned)
    _drop(planned, rejects)
    rejects |= solved_by_text(planned, chosen)
    _drop(planned, rejects)
    rendered, failed = _rendered(stage, planned, made, chosen)
    rejects |= failed
    _drop(planned, rejects)
    rows = _rows(stage, planned, rendered, made, chosen)
    _write(stage, params, made, planned, rows, rejects)
    stage.metrics(_figures(rows, planned, rejects, made))
    total, reasons = made.wanted, Counter(reject.reason for reject in rejects.values())
    stage.check_rejects("item", total, len(rejects) - reasons["text_alone"] - reasons["repeated"])
    return Report("item", total, len(rows), dict(reasons), f"{OUT}/gallery.html")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the items that are still to be rendered, and the disk for them in the store and in the out."""
    chosen = params.augment_vista
    made = prepared(stage, chosen, params.own.video)
    notes = (calls_note(stage, made.planned, chosen),) if chosen.text.backend == "llm" else ()
    todo = _to_render(list(made.planned.values()), chosen)
    known = stored(stage.store, todo, _encoding(chosen))
    missing = [one for one in todo if one.item_id not in known]
    canvases = [(one.built.composition.canvas, one.built.composition.frames) for one in missing]
    size = sum(canvas.width * canvas.height * frames for canvas, frames in canvases) * BITS_PER_PIXEL / 8
    return Plan("item", len(missing), len(known), disk_needed_bytes=int(3 * size), notes=notes)


def _drop(planned: dict[str, Planned], rejects: Mapping[str, Reject]) -> None:
    for item_id in rejects:
        planned.pop(item_id, None)


# --- what is rendered -------------------------------------------------------------------------------------------


def _encoding(chosen: AugmentVista) -> Encoding:
    return Encoding("h264", chosen.crf, chosen.preset)


def _to_render(planned: Sequence[Planned], chosen: AugmentVista) -> list[Planned]:
    """Return the items of each subset that become files: the first in an order of their own."""
    found: list[Planned] = []
    for subset in SUBSETS:
        mine = {one.item_id: one for one in planned if one.subset == subset}
        found += [mine[one] for one in ranked(mine, f"{chosen.seed}\0rendered")[: chosen.rendered]]
    return found


def _rendered(
    stage: Stage, planned: Mapping[str, Planned], made: Prepared, chosen: AugmentVista
) -> tuple[dict[str, str], dict[str, Reject]]:
    """Return the blob of each item that is a file, and why others could not be; then the next ones are."""
    encoding, begun, frames = _encoding(chosen), time.perf_counter(), 0
    rejects: dict[str, Reject] = {}
    while True:
        wanted = _to_render([one for one in planned.values() if one.item_id not in rejects], chosen)
        failed, more = render_missing(stage, wanted, encoding, made.roots)
        rejects |= failed
        frames += more
        if not failed:
            break
    if frames:
        seconds = time.perf_counter() - begun
        stage.timing({"vista/render_fps": frames / seconds, "vista/rendered_frames": frames})
    stage.store.compact(RENDER.name)
    found = stored(stage.store, wanted, encoding)
    return {item_id: record.blobs[0] for item_id, record in found.items()}, rejects


# --- what is written --------------------------------------------------------------------------------------------


def _rows(
    stage: Stage,
    planned: Mapping[str, Planned],
    rendered: Mapping[str, str],
    made: Prepared,
    chosen: AugmentVista,
) -> list[dict[str, Any]]:
    rows = [
        record_of(one, text_of(one), made.material.rows, chosen.seed, chosen.sampler.frames) for one in planned.values()
    ]
    paths = video_paths([row for row in rows if row["id"] in rendered])
    for row in rows:
        if row["id"] in rendered:
            row["video"], row["video_sha256"] = paths[row["id"]], rendered[row["id"]]
    return rows


def _write(
    stage: Stage,
    params: Params,
    made: Prepared,
    planned: Mapping[str, Planned],
    rows: Sequence[Mapping[str, Any]],
    rejects: Mapping[str, Reject],
) -> None:
    chosen = params.augment_vista
    out = stage.out(OUT)
    out.mkdir(parents=True)
    write_table(out / "records.parquet", rows, RECORDS)
    with (out / "plan.jsonl").open("w", encoding="utf-8") as file:
        for one in planned.values():
            file.write(canonical_json(one.record(chosen.seed, chosen.sampler.frames)) + "\n")
    bad = rejected_rows(rejects, stage=stage.name, unit="item", parents=dict.fromkeys(rejects, ""))
    bad += rejected_rows(made.clip_rejects, stage=stage.name, unit="clip", parents=made.sources)
    write_table(out / "rejected.parquet", bad, REJECTED)
    files = [row for row in rows if row["video"] is not None]
    parameters = {f"augment_vista.{name}": value for name, value in _flat(chosen.model_dump(mode="json"))}
    made_from = {path: stage.dep_hash(path) for path in (CLIPS_PATH, CAPTIONS_PATH)}
    write_exports(stage.store, out, files, parameters, made_from, chosen.shard_items)

    def content(row: Mapping[str, Any]) -> bytes:
        with stage.store.open_blob(row["video_sha256"]) as file:
            return file.read()

    (out / "gallery.html").write_text(gallery(one_of_each(rows), content))
    stage.artifact(out / "gallery.html", "gallery")
    if (count := sum(path.is_file() for path in out.rglob("*"))) > MAX_FILES:
        raise StageError(f"{OUT} would have {count} files, and DVC is slow beyond {MAX_FILES}: lower rendered")


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
    return found


def _figures(
    rows: Sequence[Mapping[str, Any]],
    planned: Mapping[str, Planned],
    rejects: Mapping[str, Reject],
    made: Prepared,
) -> dict[str, dict[str, float]]:
    def counted(name: str) -> dict[str, float]:
        return {value: n for value, n in sorted(Counter(str(row[name]) for row in rows).items())}

    figures: dict[str, float] = {
        "items_total": len(rows),
        **{f"items_{name}": n for column in ("subset", "split") for name, n in counted(column).items()},
        "items_rendered": sum(row["video"] is not None for row in rows),
        "mean_duration_s": round(sum(row["duration_s"] for row in rows) / len(rows), 4) if rows else 0.0,
        "may_be_missed": sum(row["may_be_missed"] for row in rows),
        "clips": len(made.material.rows),
        "clips_left_out": len(made.clip_rejects),
    }
    choices = [text_of(one) for one in planned.values() if text_of(one).options]
    told = text_only(choices) if choices else None
    if told:
        figures |= {"mcq_letter_chi2_p": round(told.letter_p, 6), "text_only_acc": round(told.classifier, 6)}
    gone = [made.planned[item_id] for item_id, reject in rejects.items() if reject.reason == "text_alone"]
    dropped = Counter(name for one in gone for name in (one.subset, one.pairing))
    return {
        "vista": figures,
        "pairing": counted("pairing"),
        "dropped": {"items": len(gone), **dict(sorted(dropped.items()))},
        **({"text_only": {name: round(value, 6) for name, value in told.figures().items()}} if told else {}),
    }


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
