"""The judge judged: hand-made tables whose scores are plain to see."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpus.evaluate import Candidate, Found, Result, as_markdown, evaluate, read_found
from tests.corpus.plan import BY_ID, CLIPS, SMALL, Boundary, Clip, boundaries, takes

KINDS = {"cut": "cut", "dissolve": "gradual", "fade": "blank"}
REASONS = {
    "too small": "floor_height",
    "low frame rate": "fps_low",
    "too short": "duration",
    "dark": "dark",
    "bright": "bright",
    "under-exposed": "clipped",
    "over-exposed": "clipped",
    "blurred": "blurred",
    "static": "motion",
    "slide show": "duration",
    "freeze": "frozen",
    "still part": "motion_part",
    "letterbox": "letterbox",
    "logo": "overlay",
    "text": "text",
    "too similar": "ssim_high",
    "incoherent": "psnr_low",
}


def perfect(clips: list[Clip] | tuple[Clip, ...]) -> Found:
    """Return what a curation without a fault says."""
    candidates = []
    for clip in clips:
        for take in takes(clip):
            reason = "near_duplicate" if clip.copy_of else REASONS.get(take.kind, "")
            candidates.append(Candidate(clip.id, take.start, take.end, reason))
    found = {clip.id: [Boundary(b.end, b.start, KINDS[b.how]) for b in boundaries(clip)] for clip in clips}
    return Found(candidates, found)


def judged(names: list[str], *candidates: tuple[str, int, int, str], found: dict[str, list[Boundary]]) -> Result:
    return evaluate(Found([Candidate(*c) for c in candidates], found), [BY_ID[name] for name in names])


def whole(name: str, reason: str = "") -> tuple[str, int, int, str]:
    return name, 0, BY_ID[name].frames, reason


def test_what_is_all_right_has_no_shortfall() -> None:
    for clips in (CLIPS, SMALL):
        result = evaluate(perfect(clips), clips)
        assert result.shortfalls() == []
        assert result.confusions == []
        assert result.cuts.f1 == result.good.recall == 1
        assert all(score.planted == score.right > 0 for score in result.faults.values())
        assert "| near-duplicate |" in as_markdown(result)


def test_a_fault_that_is_kept_costs_recall_and_is_named() -> None:
    found = perfect(SMALL)
    kept = [Candidate(c.clip, c.start, c.end) if c.clip == "blur-mpeg2" else c for c in found.candidates]
    result = evaluate(Found(kept, found.boundaries), SMALL)
    assert result.shortfalls() == ["recall of blurred: 0.000"]
    assert result.confusions == [("blur-mpeg2", f"0-{BY_ID['blur-mpeg2'].frames}", "blurred", "kept")]


def test_a_good_take_that_is_rejected_costs_that_fault_precision() -> None:
    result = judged(["pan-h264", "dark-av1"], whole("pan-h264", "dark"), whole("dark-av1", "dark"), found={})
    dark = result.faults["dark"]
    assert (dark.recall, dark.precision) == (1.0, 0.5)
    assert result.faults["bright"].precision == 1
    assert result.good.recall == 0


def test_a_reason_that_is_not_the_faults_is_wrong() -> None:
    result = judged(["dark-av1"], whole("dark-av1", "text"), found={})
    assert result.faults["dark"].recall == 0
    assert result.faults["text"].precision == 0


def test_one_of_two_copies_is_to_be_kept_whichever() -> None:
    of, copy = "objects-vp9", "copy_flipped-av1"
    for kept, other in ((of, copy), (copy, of)):
        result = judged([of, copy], whole(kept), whole(other, "near_duplicate"), found={})
        duplicates = result.faults["near-duplicate"]
        assert (duplicates.recall, duplicates.precision, result.good.planted, result.good.right) == (1, 1, 1, 1)
    both = judged([of, copy], whole(of), whole(copy), found={})
    assert (both.faults["near-duplicate"].recall, both.good.recall) == (0, 1)
    none = judged([of, copy], whole(of, "near_duplicate"), whole(copy, "near_duplicate"), found={})
    assert (none.faults["near-duplicate"].precision, none.good.recall) == (0.5, 0)


def test_a_take_said_to_be_a_copy_that_is_none_costs_precision() -> None:
    result = judged(["large-h264"], whole("large-h264", "near_duplicate"), found={})
    assert result.faults["near-duplicate"].precision == 0


def test_a_cut_two_frames_off_is_missed_and_another_found() -> None:
    clip = BY_ID["cut-mjpeg"]
    (cut,) = boundaries(clip)
    for off, right in ((0, 1), (1, 1), (-1, 1), (2, 0)):
        found = {clip.id: [Boundary(cut.end + off, cut.start + off, "cut")]}
        score = judged([clip.id], found=found).joins["cut"]
        assert (score.right, score.wrong) == (right, 1 - right)
    spread = {clip.id: [Boundary(cut.end - 8, cut.start + 8, "gradual")]}
    result = judged([clip.id], found=spread)
    assert (result.joins["cut"].right, result.joins["dissolve"].wrong) == (0, 1)


def test_a_dissolve_is_found_anywhere_within_it() -> None:
    clip = BY_ID["dissolve_long-av1"]
    (mix,) = boundaries(clip)
    inside = {clip.id: [Boundary(mix.start, mix.start, "cut")]}
    assert judged([clip.id], found=inside).joins["dissolve"].f1 == 1
    outside = {clip.id: [Boundary(mix.start + 2, mix.start + 3, "gradual")]}
    assert judged([clip.id], found=outside).joins["dissolve"].f1 == 0


def test_two_takes_left_as_one_are_lost_but_rightly_rejected_for_the_cut_between() -> None:
    result = judged(["cut-mjpeg"], whole("cut-mjpeg", "cut"), found={})
    assert (result.good.planted, result.good.right) == (2, 0)
    assert result.faults["incoherent"].precision == 1


def test_a_slide_show_left_whole_is_rejected_for_standing_still() -> None:
    name = "slides_dissolve-vp9"
    result = judged([name], whole(name, "motion"), found={})
    assert result.faults["slide show"].recall == result.faults["static"].precision == 1


def test_a_good_take_cut_in_two_is_not_kept_whole() -> None:
    frames = BY_ID["large-h264"].frames
    halves = [("large-h264", 0, frames // 2, "duration"), ("large-h264", frames // 2, frames, "")]
    result = judged(["large-h264"], *halves, found={"large-h264": [Boundary(frames // 2, frames // 2, "cut")]})
    assert (result.good.recall, result.faults["too short"].precision, result.joins["cut"].wrong) == (0, 0, 1)


def test_a_flash_may_be_kept_or_rejected_for_its_jump_but_is_no_boundary() -> None:
    name = "flash-mjpeg"
    assert judged([name], whole(name), found={}).flashes == {"kept": 1}
    assert judged([name], whole(name, "cut"), found={}).flashes == {"cut": 1}
    split = judged([name], whole(name), found={name: [Boundary(9, 9, "cut")]})
    assert split.cuts.wrong == 1


def test_tables_are_read_by_frame_whatever_the_time_base(tmp_path: Path) -> None:
    clip, small = BY_ID["cut-mjpeg"], BY_ID["small-h264"]
    (cut,) = boundaries(clip)
    pts = [7000 + 3750 * number for number in range(clip.frames)]
    after = 7000 + 3750 * clip.frames
    film, gone = "f" * 64, "0" * 64
    curated = tmp_path / "data/curated"

    def table(path: str, rows: list[dict[str, object]], like: dict[str, object]) -> None:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows) if rows else pa.table({name: [] for name in like}), target)

    sources: list[dict[str, object]] = [
        {"source_id": film, "path": "own/cut-mjpeg.avi"},
        {"source_id": gone, "path": "small-h264.mp4"},
    ]
    table("data/raw/video/manifest.parquet", sources, {})
    table("data/curated/scan/frames.parquet", [{"source_id": film, "pts": at} for at in pts], {})
    spans = [{"start_pts": 7000, "end_pts": pts[cut.end]}, {"start_pts": pts[cut.start], "end_pts": after}]
    ends = ("cut", "end")
    table(
        "data/curated/shots/shots.parquet",
        [{"source_id": film, **s, "ends": e} for s, e in zip(spans, ends, strict=True)],
        {},
    )
    table("data/curated/takes/pretrain/takes.parquet", [{"source_id": film, **spans[0]}], {})
    rejected: dict[str, object] = {"item_id": f"{film[:16]}-{spans[1]['start_pts']}-{after}", "reason": "dark"}
    table("data/curated/takes/pretrain/rejected.parquet", [rejected], {})
    table("data/curated/scan/rejected.parquet", [{"item_id": gone, "reason": "floor_height"}], {})
    table("data/curated/shots/rejected.parquet", [], {"item_id": "", "reason": ""})
    found = read_found(tmp_path)
    assert curated.is_dir()
    assert found.boundaries == {clip.id: [Boundary(cut.end, cut.start, "cut")]}
    assert found.candidates == [
        Candidate(clip.id, 0, cut.end),
        Candidate(clip.id, cut.start, clip.frames, "dark"),
        Candidate(small.id, 0, small.frames, "floor_height"),
    ]
