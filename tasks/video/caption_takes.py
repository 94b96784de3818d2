"""Caption clips of real film: data/curated/captions/, LongTake-HD's steps 7 to 9 (arXiv 2412.01316).

captions.parquet (captions.CLIPS), rejected.parquet, examples.jpg, README.md. Clips are those that takes are cut into,
and those that captions of one's own are of. Nothing is decoded: pictures come from the strip in the store, light and
motion from the scan.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.bounds import require_order
from tasks.content import HashMemory
from tasks.downloads import fetched_for
from tasks.encoder_files import EncoderSources
from tasks.llm import Ledger, estimate
from tasks.llm_asking import Asking, asking_in
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.stored import stored_plan, stored_values
from tasks.tables import REJECTED, Reject, read_table, rejected_row, write_table
from tasks.video import clip_colours, coherence
from tasks.video.captions import CLIPS, SEGMENTS, Fact
from tasks.video.captions_card import captions_sheet, card_text
from tasks.video.clip_colours import Pictured
from tasks.video.clip_spans import Lengths
from tasks.video.content import SPLITS, Splits
from tasks.video.film_clips import Film, FilmClip, read_films, shot_groups, take_clips
from tasks.video.manifest import Own
from tasks.video.measured import Measured, measured
from tasks.video.measured_captions import VOCABULARY, camera, clip_caption, clip_facts, segments
from tasks.video.own_clips import read_own
from tasks.video.strip import gone, nearest, strip_pictures, strip_times
from tasks.video.vision_captions import Seen, Told, describe_request, vision_captions

SHEET_CLIPS = 12  # on the page of examples; of more, every n-th
OUT = "data/curated/captions"
SCAN, SCORES, DUPLICATES = "data/curated/scan", "data/curated/scores", "data/curated/duplicates"


class CaptionTakes(StrictModel):
    set: str = Field(pattern=r"^\w+$", description="of takes, one of select_takes")
    backend: Literal["measured", "endpoint", "none"] = Field(description="who captions the clips of takes")
    min_clip_s: float = Field(gt=0, description="of short clips, VISTA's needles")
    max_clip_s: float = Field(gt=0)
    min_long_s: float = Field(gt=0, description="of long clips, VISTA's haystacks")
    max_long_s: float = Field(gt=0)
    min_luma: float = Field(ge=0, le=255, description="mean grey level of a clip")
    min_motion_px_s: float = Field(ge=0, description="mean speed at 720p; below it nothing moves")
    max_text_similarity: float | None = Field(ge=-1, le=1, description="of sub-captions; empty: the rule is off")
    similarity_pairs: coherence.Pairs = Field(description="which sub-captions are compared: neighbours, or all")
    similarity_reduce: coherence.Reduce = Field(description="over the pairs")
    sampling: Asking

    @model_validator(mode="after")
    def _in_order(self) -> "CaptionTakes":
        require_order(self, "clip_s", "long_s")
        if self.backend == "endpoint":
            self.sampling.require_model("backend 'endpoint'", "caption_takes")
        return self

    @property
    def lengths(self) -> Lengths:
        """How long clips are."""
        return Lengths(self.min_clip_s, self.max_clip_s, self.min_long_s, self.max_long_s)


class Params(StrictModel):
    own: Own
    encoder: EncoderSources
    caption_takes: CaptionTakes
    splits: Splits


@dataclass(frozen=True)
class Said:
    """What a backend says of a clip. `segments` are caption and facts of its five parts, or none."""

    caption: str
    facts: Sequence[Fact]
    segments: Sequence[tuple[str, Sequence[Fact]]]
    backend: str


def run(stage: Stage, params: Params) -> Report:
    """Caption what is not stored yet, then write captions, rejections, card and page from the store."""
    found = _found(stage, params)
    numbers = _measured(stage, found.of_takes)
    rejects = _unfit(numbers, params.caption_takes)
    said, unsaid = _said(stage, params.caption_takes, {k: v for k, v in numbers.items() if k not in rejects}, found)
    rejects |= unsaid
    alike = _alike(stage, params, said)
    rejects |= alike
    clips = {**found.of_takes, **found.own}
    said = {**{clip_id: one for clip_id, one in said.items() if clip_id not in alike}, **found.said}
    rows = [_row(clips[clip_id], said[clip_id], params.splits) for clip_id in sorted(said, key=_order(clips))]
    out = stage.out(OUT)
    out.mkdir()
    write_table(out / "captions.parquet", rows, CLIPS)
    parents = {**{clip_id: clip.parent for clip_id, clip in clips.items()}, **found.malformed_parents}
    reasons = Counter(reject.reason for reject in (*rejects.values(), *found.malformed.values()))
    rejected = [
        rejected_row(item_id, reject, stage=stage.name, unit=unit, parent_id=parents[item_id])
        for unit, of_unit in (("clip", rejects), ("caption", found.malformed))
        for item_id, reject in sorted(of_unit.items())
    ]
    write_table(out / "rejected.parquet", rejected, REJECTED)
    _write_card(stage, params, rows)
    _write_page(stage, clips, rows)
    stage.metrics({"caption": _figures(len(clips) + len(found.malformed), rows, reasons)})
    stage.check_rejects("caption", len(found.own) + len(found.malformed), len(found.malformed))
    return Report("clip", len(clips) + len(found.malformed), len(rows), dict(reasons), OUT)


def plan(stage: Stage, params: Params) -> Plan:
    """Count the clips whose colours are still to be measured; with an endpoint, what is asked of each first."""
    chosen, found = params.caption_takes, _found(stage, params)
    hashes = [_pictured(stage, clip).digest for clip in found.of_takes.values()]
    todo = stored_plan(stage, clip_colours.STORED, {}, hashes, "clip")
    if chosen.backend != "endpoint":
        return todo
    requests = (describe_request(_seen(stage, clip, None)) for clip in found.of_takes.values())
    asking = estimate(requests, chosen.sampling.settings, stage.store, stage.knobs.llm.limits)
    return replace(todo, notes=(f"{asking.note()}; {SEGMENTS} more calls for each clip, to refine its sub-captions",))


# --- clips ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What there is to caption, what is captioned already, and what should be and is not. All by id."""

    of_takes: Mapping[str, FilmClip]
    own: Mapping[str, FilmClip]
    said: Mapping[str, Said]  # of `own`
    malformed: Mapping[str, Reject]  # by where they stand
    malformed_parents: Mapping[str, str]


def _found(stage: Stage, params: Params) -> Found:
    chosen, span = params.caption_takes, ["take_id", "source_id", "start_pts", "end_pts"]
    takes = read_table(stage.dep(f"data/curated/takes/{chosen.set}") / "takes.parquet").select(span).to_pylist()
    shots = read_table(stage.dep(SCORES) / "scores.parquet").select(span).to_pylist()
    links = read_table(stage.dep(DUPLICATES) / "duplicates.parquet").select(["take_id", "linked_id"]).to_pylist()
    scan = stage.dep(SCAN)
    own = read_own(stage.dep(params.own.video), scan, shots)
    groups = shot_groups(shots, {row["take_id"]: row["linked_id"] for row in links}, own.shots.values())
    wanted = takes if chosen.backend != "none" else []
    films = read_films(scan, (take["source_id"] for take in wanted))
    of_takes = take_clips(wanted, films, groups, chosen.lengths)
    if short := sum(not clips for clips in of_takes.values()):
        stage.log.info("%s: %d takes are too short for a clip", stage.name, short)
    clips = own.clips(groups)
    return Found(
        {clip.clip_id: clip for clips_of in of_takes.values() for clip in clips_of},
        clips,
        {clip_id: Said(own.captions[clip_id], (), (), "own") for clip_id in clips},
        own.rejects,
        {where: where.partition(", line ")[0] for where in own.rejects},
    )


def _order(clips: Mapping[str, FilmClip]) -> Any:
    def place(clip_id: str) -> tuple[Any, ...]:
        clip = clips[clip_id]
        return clip.film.row["name"], clip.film.row["source_id"], clip.span.start_pts, clip.span.end_pts, clip_id

    return place


def _unfit(numbers: Mapping[str, Measured], chosen: CaptionTakes) -> dict[str, Reject]:
    """Return why clips make no good needle or haystack: too dark to see, or nothing moves."""
    found = {}
    for clip_id, one in numbers.items():
        luma, motion = one.mean("luma"), one.mean("motion_px_s")
        if luma < chosen.min_luma:
            found[clip_id] = Reject("dark", "", "luma", luma, chosen.min_luma)
        elif motion < chosen.min_motion_px_s:
            found[clip_id] = Reject("static", "", "motion_px_s", motion, chosen.min_motion_px_s)
    return found


# --- what is said -----------------------------------------------------------------------------------------------


def _pictured(stage: Stage, clip: FilmClip) -> Pictured:
    video = clip.film.row
    blobs, first = tuple(video["strip_blobs"]), tuple(video["strip_first_pts"])
    return Pictured(stage.store.url, blobs, first, clip.span.start_pts, clip.span.end_pts)


def _measured(stage: Stage, clips: Mapping[str, FilmClip]) -> dict[str, Measured]:
    """Return the numbers of each clip; colours that are not stored yet are worked out. Raises StageError."""
    _require_strips(stage, {clip.film.row["source_id"]: clip.film for clip in clips.values()})
    jobs = {clip_id: _pictured(stage, clip) for clip_id, clip in clips.items()}
    colours, failed = stored_values(
        stage,
        clip_colours.STORED,
        {},
        clip_colours.clip_colours,
        {clip_id: (job.digest, job) for clip_id, job in jobs.items()},
        unit="clip",
        names={clip_id: f"{clip.film.row['name']} at {_start_s(clip):.1f} s" for clip_id, clip in clips.items()},
    )
    if failed:
        clip_id, reject = next(iter(failed.items()))
        raise StageError(f"clip {clip_id}: {reject}")
    found = {}
    for clip_id, clip in clips.items():
        span = clip.span.start_pts, clip.span.end_pts
        film = clip.film
        found[clip_id] = measured(span, clip.centres, colours[clip_id], film.sample_pts, film.samples, film.aspect)
    return found


def _require_strips(stage: Stage, films: Mapping[str, Film]) -> None:
    for film in films.values():
        for blob in film.row["strip_blobs"]:
            if not stage.store.has_blob(blob):
                raise StageError(gone(film.row["name"], f"{blob[:12]}..."))


_NOTHING = Reject("nothing_sure", "no colour, light, motion or camera of it can be named without doubt")


def _said(
    stage: Stage, chosen: CaptionTakes, numbers: Mapping[str, Measured], found: Found
) -> tuple[dict[str, Said], dict[str, Reject]]:
    """Return what the backend says of each clip, and why it says nothing of others."""
    if chosen.backend != "endpoint":
        said = {clip_id: _by_measure(one) for clip_id, one in numbers.items()}
        empty = {clip_id: _NOTHING for clip_id, one in said.items() if not one.facts}
        return {clip_id: one for clip_id, one in said.items() if clip_id not in empty}, empty
    setting, remedy = "caption_takes.backend is 'endpoint'", "set caption_takes.backend to measured"
    settings, ledger = chosen.sampling.settings, Ledger(stage.knobs.llm.limits)
    seen = [_seen(stage, found.of_takes[clip_id], one) for clip_id, one in numbers.items()]
    with asking_in(stage, settings, ledger, "answers", setting=setting, remedy=remedy) as answers:
        told = vision_captions(seen, answers) if seen else {}
    rejects = {clip_id: one for clip_id, one in told.items() if isinstance(one, Reject)}
    return {
        clip_id: Said(
            one.caption, one.facts, [(text, ()) for text in one.segments], f"endpoint:{chosen.sampling.model}"
        )
        for clip_id, one in told.items()
        if isinstance(one, Told)
    }, rejects


def _by_measure(one: Measured) -> Said:
    return Said(clip_caption(one), clip_facts(one), segments(one), "measured")


def _seen(stage: Stage, clip: FilmClip, numbers: Measured | None) -> Seen:
    """Return a clip as the model is shown it; without its numbers nothing is known of the camera."""
    moves = [camera(numbers.part(number)) if numbers else "" for number in range(SEGMENTS)]
    return Seen(clip.clip_id, keyframes(stage, clip), moves)


def _alike(stage: Stage, params: Params, said: Mapping[str, Said]) -> dict[str, Reject]:
    """Return the clips whose sub-captions say the same (LongTake-HD, step 8)."""
    chosen = params.caption_takes
    limit = chosen.max_text_similarity
    if limit is None or not said:
        return {}
    texts = {clip_id: [text for text, _ in one.segments] for clip_id, one in said.items()}
    memory = HashMemory(stage.store)
    pairs = coherence.similarities(
        texts, params.encoder, stage.store, lambda source: fetched_for(stage, source, memory)
    )
    which, how = chosen.similarity_pairs, chosen.similarity_reduce
    values = {clip_id: coherence.reduced(of, SEGMENTS, which, how) for clip_id, of in pairs.items()}
    name = f"text_similarity_{which}_{how}"
    return {
        clip_id: Reject("text_similarity_high", "its sub-captions say the same", name, value, limit)
        for clip_id, value in values.items()
        if value > limit
    }


# --- writing ----------------------------------------------------------------------------------------------------


def _row(clip: FilmClip, said: Said, splits: Splits) -> dict[str, Any]:
    seconds = clip.film.seconds_per_pts
    return {
        **clip.row(splits),
        "backend": said.backend,
        "caption": said.caption,
        "facts": [fact._asdict() for fact in said.facts],
        "segments": [
            {
                "frame_s": (centre - clip.span.start_pts) * seconds,
                "caption": caption,
                "facts": [fact._asdict() for fact in facts],
            }
            for centre, (caption, facts) in zip(clip.centres, said.segments, strict=False)
        ],
    }


def _write_card(stage: Stage, params: Params, rows: Sequence[Mapping[str, Any]]) -> None:
    paths = (SCAN, SCORES, DUPLICATES, f"data/curated/takes/{params.caption_takes.set}")
    made_from = {path: stage.dep_hash(path) for path in paths} | {"own.video": stage.dep_hash(params.own.video)}
    parameters = {f"caption_takes.{k}": v for k, v in params.caption_takes.model_dump().items()}
    parameters |= {f"splits.{k}": v for k, v in params.splits.model_dump().items()}
    card = stage.out(OUT) / "README.md"
    card.write_text(card_text(rows, VOCABULARY, parameters, made_from))
    stage.artifact(card, "cards/captions")


def _write_page(stage: Stage, clips: Mapping[str, FilmClip], rows: Sequence[Mapping[str, Any]]) -> None:
    chosen = rows[:: max(1, -(-len(rows) // SHEET_CLIPS))]
    shown = [(row, keyframes(stage, clips[row["clip_id"]])) for row in chosen]
    credits = sorted({f"{row['credit'] or row['name']}, {row['licence']}" for row in chosen})
    credit = "; ".join(credits) if len(credits) <= 3 else f"{len(credits)} sources, credited in captions.parquet"
    page = stage.out(OUT) / "examples.jpg"
    captions_sheet(shown, f"{len(rows)} captioned clips, {len(shown)} of them here", credit, page)
    stage.figure(page, page.name)


def keyframes(stage: Stage, clip: FilmClip) -> list[bytes]:
    """Return the strip's pictures (JPEG) nearest to the centre frames of a clip's segments."""
    video = clip.film.row
    times = strip_times(stage.store, video["strip_blobs"])
    pts = nearest(times, [float(centre) for centre in clip.centres], clip.span.start_pts, clip.span.end_pts)
    pictures = strip_pictures(stage.store, video["strip_blobs"], video["strip_first_pts"], sorted(set(pts)))
    return [pictures[at] for at in pts]


def _figures(given: int, rows: Sequence[Mapping[str, Any]], reasons: Mapping[str, int]) -> dict[str, float]:
    splits = Counter(row["split"] for row in rows)
    facts = Counter(fact["kind"] for row in rows for fact in row["facts"])
    lengths = np.array([row["end_s"] - row["start_s"] for row in rows])
    return {
        "in": given,
        "kept": len(rows),
        **{f"rejected_{reason}": count for reason, count in sorted(reasons.items())},
        **{f"clips_{split}": splits[split] for split in SPLITS},
        **{f"clips_{name}": count for name, count in sorted(Counter(_backend(row) for row in rows).items())},
        "groups": len({row["group"] for row in rows}),
        "seconds": round(float(lengths.sum()), 3),
        "facts": facts.total(),
        **{f"facts_{kind}": count for kind, count in sorted(facts.items())},
    }


def _backend(row: Mapping[str, Any]) -> str:
    return str(row["backend"].partition(":")[0])


def _start_s(clip: FilmClip) -> float:
    return clip.film.seconds(clip.span.start_pts)


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
