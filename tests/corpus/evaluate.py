"""How well curation did on the planted corpus: its tables against the plan, fault by fault and boundary by boundary.

`python -m tests.corpus.evaluate CHECKOUT` reads the tables of a checkout that curated it and prints the figures.
"""

import hashlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.corpus.plan import BY_ID, CODECS, FAULTS, FLASH, GOOD, MIN_TAKE_S, Boundary, Clip, Take, boundaries, takes

# params.yaml for clips of this size: sizes, lengths and rates are scaled, all other thresholds are the real ones
_PRETRAIN: dict[str, Any] = {
    "min_width_px": 320,
    "min_height_px": 180,
    "min_fps": 11.9,
    "min_duration_s": MIN_TAKE_S,
    # ranks would reject good takes where few are bad: numbers, of the scales of the default backends
    "min_quality": 8.2,
    "max_frozen_s": 1,
    "min_perceptual": 0.04,
}
SCALED: dict[str, Any] = {
    "fetch_video.sources": [],
    "floor.min_height_px": 100,
    "floor.min_duration_s": 1,
    **{f"select_takes.pretrain.{key}": value for key, value in _PRETRAIN.items()},
}
TARGET = 0.95
SAME = 0.9  # intersection over union above which a kept take is the planted one
CLOSE_FRAMES = 15  # cuts closer than this are close
FOUND_AS = {"cut": "cut", "gradual": "dissolve", "blank": "fade"}  # kinds of detect_shots


@dataclass(frozen=True)
class Candidate:
    """Frames [start, end) of a clip that curation kept, or rejected for `reason`."""

    clip: str
    start: int
    end: int
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """What curation said of the corpus; boundaries as detect_shots has them, by clip."""

    candidates: list[Candidate]
    boundaries: Mapping[str, list[Boundary]]


@dataclass
class Score:
    """Counts of one fault or kind of boundary: `right` of `planted` were found, `wrong` more were said to be so."""

    planted: int = 0
    right: int = 0
    wrong: int = 0
    said: int | None = None  # how many were said to be so, where not right + wrong

    @property
    def recall(self) -> float:
        return self.right / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        said = self.right + self.wrong if self.said is None else self.said
        return 1 - self.wrong / said if said else 1.0

    @property
    def f1(self) -> float:
        whole = self.planted + self.right + self.wrong
        return 2 * self.right / whole if whole else 1.0

    def add(self, other: "Score") -> None:
        self.planted, self.right, self.wrong = (
            self.planted + other.planted,
            self.right + other.right,
            self.wrong + other.wrong,
        )


@dataclass
class Result:
    """Figures of one corpus."""

    clips: int
    plan: str
    faults: dict[str, Score]
    joins: dict[str, Score]  # by kind of boundary
    codecs: dict[str, Score]  # boundaries by codec
    good: Score
    good_by_codec: dict[str, Score]
    flashes: Counter[str]
    confusions: list[tuple[str, str, str, str]] = field(default_factory=list)  # clip, frames, expected, got

    @property
    def cuts(self) -> Score:
        """All boundaries as one."""
        total = Score()
        for score in self.joins.values():
            total.add(score)
        return total

    def shortfalls(self, target: float = TARGET) -> list[str]:
        """Return what is below the target, none if all is well."""
        found = []
        for name, score in self.faults.items():
            for what in ("precision", "recall"):
                if (value := getattr(score, what)) < target:
                    found.append(f"{what} of {name}: {value:.3f}")
        for name, f1 in (("all boundaries", self.cuts.f1), ("hard cuts", self.hard.f1)):
            if f1 < target:
                found.append(f"F1 of {name}: {f1:.3f}")
        if self.good.recall < target:
            found.append(f"good takes kept: {self.good.recall:.3f}")
        return found

    @property
    def hard(self) -> Score:
        """Hard cuts, close ones with them."""
        total = Score()
        for name in ("cut", "close cut"):
            total.add(self.joins[name])
        return total


# --- what was planted ---


def accepted(kind: str) -> set[str]:
    """Return the reasons for which a take of a kind may be rejected."""
    if kind == GOOD:
        return set()
    if kind == FLASH:
        return {"cut"}
    named, others = FAULTS[kind]
    return named | others


def plan_hash(clips: Iterable[Clip]) -> str:
    """Return the hash of a plan: figures of another plan are of another corpus."""
    return hashlib.sha256(repr([asdict(clip) for clip in clips]).encode()).hexdigest()[:12]


def kind_of(boundary: Boundary, planted: Sequence[Boundary], frames: int) -> str:
    """Return "cut", "close cut" (a shot beside it is shorter than 15 frames), "dissolve" or "fade"."""
    if boundary.how != "cut":
        return boundary.how
    edges = [0, *(b.end for b in planted), frames]
    at = edges.index(boundary.end, 1)
    shortest = min(edges[at] - edges[at - 1], edges[at + 1] - edges[at])
    return "close cut" if shortest < CLOSE_FRAMES else "cut"


# --- comparing ---


def evaluate(found: Found, clips: Sequence[Clip]) -> Result:
    """Compare what curation said with what the clips' plan says."""
    result = Result(
        clips=len(clips),
        plan=plan_hash(clips),
        faults={name: Score() for name in FAULTS},
        joins={name: Score() for name in ("cut", "close cut", "dissolve", "fade")},
        codecs={codec: Score() for codec in CODECS},
        good=Score(),
        good_by_codec={codec: Score() for codec in CODECS},
        flashes=Counter(),
    )
    by_clip: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in found.candidates:
        by_clip[candidate.clip].append(candidate)
    groups: dict[str, list[Take]] = defaultdict(list)
    for clip in clips:
        _judge_boundaries(result, clip, found.boundaries.get(clip.id, []))
        for take in takes(clip):
            _judge_take(result, take, by_clip[clip.id])
            if take.group:
                groups[take.group].append(take)
        for candidate in by_clip[clip.id]:
            _judge_rejection(result, clip, candidate)
    for members in groups.values():
        _judge_group(result, members, by_clip)
    result.confusions.sort()
    return result


def _judge_boundaries(result: Result, clip: Clip, found: Sequence[Boundary]) -> None:
    planted = boundaries(clip)
    left = list(found)
    for boundary in planted:
        kind = kind_of(boundary, planted, clip.frames)
        hit = next((b for b in left if _is_at(b, boundary)), None)
        scores = result.joins[kind], result.codecs[clip.codec]
        for score in scores:
            score.planted += 1
            score.right += hit is not None
        if hit is not None:
            left.remove(hit)
        else:
            result.confusions.append((clip.id, _span(boundary.end, boundary.start), kind, "no boundary"))
    for extra in left:
        result.joins[FOUND_AS[extra.how]].wrong += 1
        result.codecs[clip.codec].wrong += 1
        result.confusions.append((clip.id, _span(extra.end, extra.start), "no boundary", extra.how))


def _is_at(found: Boundary, planted: Boundary) -> bool:
    """Say whether a boundary is where it was planted: a hard cut to a frame, else the middle of it."""
    if planted.how == "cut":
        return abs(found.end - planted.end) <= 1 and abs(found.start - planted.start) <= 1
    return planted.end - 1 <= (found.end + found.start) / 2 <= planted.start + 1


def _judge_take(result: Result, take: Take, candidates: Sequence[Candidate]) -> None:
    here = [c for c in candidates if _covers(c, take)]
    kept = [c for c in here if not c.reason]
    whole = any(_overlap(c, take) >= SAME * (max(c.end, take.end) - min(c.start, take.start)) for c in kept)
    codec = BY_ID[take.clip].codec
    got = ", ".join(c.reason or "kept" for c in here) or "nothing"
    if take.kind == FLASH:
        outcome = "kept" if whole else "cut" if len(here) == 1 and here[0].reason == "cut" else "other"
        result.flashes[outcome] += 1
        if outcome == "other":
            result.confusions.append((take.clip, _span(take.start, take.end), "kept, with a flash", got))
    elif take.kind != GOOD:
        score = result.faults[take.kind]
        score.planted += 1
        if not kept and any(c.reason in accepted(take.kind) for c in here):
            score.right += 1
        else:
            result.confusions.append((take.clip, _span(take.start, take.end), take.kind, got))
    elif not take.group:
        for good in (result.good, result.good_by_codec[codec]):
            good.planted += 1
            good.right += whole
        if not whole:
            result.confusions.append((take.clip, _span(take.start, take.end), GOOD, got))


def _judge_rejection(result: Result, clip: Clip, candidate: Candidate) -> None:
    """Count a rejection for each fault that its reason names: right if all that it covers may be rejected for it."""
    reason = candidate.reason
    if not reason:
        return
    covered = [take for take in takes(clip) if _covers(candidate, take)]
    if reason == "near_duplicate":  # of copies: see _judge_group
        result.faults["near-duplicate"].wrong += not any(take.group for take in covered)
        return
    if reason == "cut" and any(candidate.start < b.end and b.start < candidate.end for b in boundaries(clip)):
        right = True
    elif covered:
        right = all(reason in accepted(take.kind) for take in covered)
    else:
        right = reason == "duration"  # a shard of a transition
    for name, (named, _) in FAULTS.items():
        if reason in named:
            score = result.faults[name]
            score.said = (score.said or 0) + 1
            score.wrong += not right
    if not right and any(take.kind != GOOD for take in covered):
        kinds = ", ".join(take.kind for take in covered)
        result.confusions.append((clip.id, _span(candidate.start, candidate.end), kinds, reason))


def _judge_group(result: Result, members: Sequence[Take], by_clip: Mapping[str, list[Candidate]]) -> None:
    """Of a group of copies one is to be kept, the others rejected as near-duplicates."""
    here = [(take, c) for take in members for c in by_clip[take.clip] if _covers(c, take)]
    kept = {take.clip for take, c in here if not c.reason and _is_whole(c, take)}
    rejected = {take.clip for take, c in here if c.reason == "near_duplicate"}
    score = result.faults["near-duplicate"]
    score.planted += len(members) - 1
    score.right += min(len(rejected), len(members) - 1)
    score.wrong += max(0, len(rejected) - (len(members) - 1))
    for good in (result.good, result.good_by_codec[BY_ID[members[0].clip].codec]):
        good.planted += 1
        good.right += bool(kept)
    if len(kept) != 1 or len(rejected) != len(members) - 1:
        got = "; ".join(f"{take.clip} {c.reason or 'kept'}" for take, c in here)
        whole = _span(members[0].start, members[0].end)
        result.confusions.append((members[0].clip, whole, "one of " + ", ".join(t.clip for t in members), got))


def _is_whole(candidate: Candidate, take: Take) -> bool:
    union = max(candidate.end, take.end) - min(candidate.start, take.start)
    return _overlap(candidate, take) >= SAME * union


def _overlap(candidate: Candidate, take: Take) -> int:
    return min(candidate.end, take.end) - max(candidate.start, take.start)


def _covers(candidate: Candidate, take: Take) -> bool:
    """Say whether a candidate is about a take: it has half of the take, or half of it is the take's."""
    return 2 * _overlap(candidate, take) > min(take.end - take.start, candidate.end - candidate.start)


def _span(start: int, end: int) -> str:
    return f"{start}-{end}"


# --- reading what a checkout has curated ---


def read_found(root: Path, member: str = "pretrain") -> Found:
    """Read the tables of a checkout that curated a folder of clips named by id; `member` of the sets of takes."""
    curated = root / "data/curated"
    manifest = pq.read_table(root / "data/raw/video/manifest.parquet").to_pylist()
    names = {row["source_id"]: Path(row["path"]).stem for row in manifest}
    pts = _pts_by_source(curated / "scan/frames.parquet")
    folder = curated / "takes" / member
    candidates = [
        Candidate(names[row["source_id"]], *_frames(pts[row["source_id"]], row["start_pts"], row["end_pts"]))
        for row in pq.read_table(folder / "takes.parquet").to_pylist()
    ]
    by_prefix = {source_id[:16]: source_id for source_id in names}
    for row in pq.read_table(folder / "rejected.parquet").to_pylist():
        source_id, start_pts, end_pts = _parsed(row["item_id"], by_prefix)
        span = _frames(pts[source_id], start_pts, end_pts)
        candidates.append(Candidate(names[source_id], *span, row["reason"]))
    for stage in ("scan", "shots"):
        for row in pq.read_table(curated / stage / "rejected.parquet").to_pylist():
            clip = BY_ID[names[row["item_id"]]]
            candidates.append(Candidate(clip.id, 0, clip.frames, row["reason"]))
    return Found(candidates, read_boundaries(curated, names))


def read_boundaries(curated: Path, names: Mapping[str, str]) -> dict[str, list[Boundary]]:
    """Read where detect_shots found the shots of each clip to change, in frames."""
    pts = _pts_by_source(curated / "scan/frames.parquet")
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(curated / "shots/shots.parquet").to_pylist():
        rows[row["source_id"]].append(row)
    found = {}
    for source_id, shots in rows.items():
        shots.sort(key=lambda row: row["start_pts"])
        spans = [_frames(pts[source_id], row["start_pts"], row["end_pts"]) for row in shots]
        found[names[source_id]] = [
            Boundary(before[1], after[0], row["ends"])
            for before, after, row in zip(spans, spans[1:], shots, strict=False)
        ]
    return found


def _pts_by_source(path: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(path, columns=["source_id", "pts"])
    sources = table.column("source_id").to_numpy(zero_copy_only=False)
    pts = table.column("pts").to_numpy()
    return {source: np.sort(pts[sources == source]) for source in dict.fromkeys(sources.tolist())}


def _frames(pts: np.ndarray, start_pts: int, end_pts: int) -> tuple[int, int]:
    first, after = np.searchsorted(pts, [start_pts, end_pts])
    return int(first), int(after)


def _parsed(take_id: str, by_prefix: Mapping[str, str]) -> tuple[str, int, int]:
    parts = re.fullmatch(r"(.{16})-(-?\d+)-(-?\d+)", take_id)
    assert parts, f"{take_id} is no take_id"
    return by_prefix[parts[1]], int(parts[2]), int(parts[3])


# --- telling ---


def as_markdown(result: Result) -> str:
    """Return the figures as the text of RESULTS.md."""
    lines = [
        "# Curation of the planted corpus",
        "",
        f"{result.clips} clips (plan {result.plan}). Thresholds of length, size and rate are scaled, others those of "
        "params.yaml.",
        "",
        "| fault | planted | rejected for it | recall | precision |",
        "|---|---|---|---|---|",
    ]
    for name, score in result.faults.items():
        lines.append(f"| {name} | {score.planted} | {score.right} | {score.recall:.3f} | {score.precision:.3f} |")
    lines += ["", "| boundary, to a frame | planted | found | more found | F1 |", "|---|---|---|---|---|"]
    for name, score in [*result.joins.items(), ("all", result.cuts)]:
        lines.append(f"| {name} | {score.planted} | {score.right} | {score.wrong} | {score.f1:.3f} |")
    lines += ["", "| codec | F1 of boundaries | good takes | kept |", "|---|---|---|---|"]
    for codec, score in result.codecs.items():
        good = result.good_by_codec[codec]
        lines.append(f"| {codec} | {score.f1:.3f} | {good.planted} | {good.recall:.3f} |")
    good = result.good
    lines.append(f"| all | {result.cuts.f1:.3f} | {good.planted} | {good.recall:.3f} |")
    flashes = result.flashes
    lines += [
        "",
        f"Of {sum(flashes.values())} takes with a flash of light {flashes['kept']} were kept whole, "
        f"{flashes['cut']} rejected for the jump in colour.",
        "",
    ]
    if result.confusions:
        lines += ["Where it went wrong:", "", "| clip | frames | planted | found |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in result.confusions]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    said = read_found(Path(sys.argv[1]))
    shown = {candidate.clip for candidate in said.candidates}
    print(as_markdown(evaluate(said, [clip for clip in BY_ID.values() if clip.id in shown])))
