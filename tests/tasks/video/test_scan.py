"""One record for each video and consumer: what is stored is not computed again, and what is not is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tasks.content import content_hash
from tasks.store import Store
from tasks.tables import Reject
from tasks.video import frames, scan
from tests.tasks.video.clips import cut_short, moving, write_clip

SETTINGS = scan.Settings(
    sample_per_s=4, sample_short_side_px=144, strip_per_s=4, strip_short_side_px=256, strip_jpeg_quality=92
)
FLOOR = scan.Floor(min_height_px=100, min_duration_s=0.5)


@pytest.fixture
def job(tmp_path: Path) -> scan.Job:
    clip = write_clip(tmp_path / "clip.mp4", moving(1, 48, 3))
    return scan.Job(content_hash(clip), str(clip), str(tmp_path / "store"), SETTINGS, FLOOR)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the consumers of each decode pass."""
    seen: list[list[str]] = []

    def counting(path: Any, consumers: Sequence[frames.Consumer], **kwargs: Any) -> frames.PassCounts:
        seen.append([consumer.name for consumer in consumers])
        return frames.run_pass(path, consumers, **kwargs)

    monkeypatch.setattr(scan, "run_pass", counting)
    return seen


class Brightest:
    """A consumer that is new."""

    name, version, per_s = "video.brightest", "1", None
    params: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.seen = 0

    def see(self, picture: frames.Picture) -> None:
        self.seen += 1

    def finish(self) -> tuple[dict[str, Any], list[str]]:
        return {"seen": self.seen}, []


def test_a_scanned_video_is_not_decoded_again(job: scan.Job, passes: list[list[str]]) -> None:
    assert scan.scan_video_file(job) == 48
    assert scan.scan_video_file(job) == 0
    assert len(passes) == 1
    records = scan.stored(Store(job.store_url), [job.source_id], SETTINGS)[job.source_id]
    assert scan.is_complete(records, SETTINGS)


def test_a_new_consumer_decodes_once_and_computes_only_itself(
    job: scan.Job, passes: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan.scan_video_file(job)
    before = scan.consumers
    monkeypatch.setattr(scan, "consumers", lambda settings, keep: [*before(settings, keep), Brightest()])
    assert scan.scan_video_file(job) == 48
    assert passes[1] == ["video.brightest"]
    records = scan.stored(Store(job.store_url), [job.source_id], SETTINGS)[job.source_id]
    assert records["video.brightest"].value["summary"] == {"seen": 48}


def test_changed_parameters_compute_only_their_consumers(job: scan.Job, passes: list[list[str]]) -> None:
    scan.scan_video_file(job)
    scan.scan_video_file(replace(job, settings=replace(SETTINGS, strip_jpeg_quality=80)))
    assert passes[1] == ["video.strip"]


def test_the_floor_rejects_before_the_decode_and_is_in_no_key(job: scan.Job, passes: list[list[str]]) -> None:
    with pytest.raises(Reject) as refused:
        scan.scan_video_file(replace(job, floor=replace(FLOOR, min_height_px=181)))
    assert (refused.value.reason, refused.value.value, refused.value.threshold) == ("floor_height", 180, 181)
    with pytest.raises(Reject, match="floor_duration"):
        scan.scan_video_file(replace(job, floor=replace(FLOOR, min_duration_s=2.1)))
    assert passes == []
    assert scan.scan_video_file(job) == 48
    assert scan.keys(job.source_id, SETTINGS) == scan.keys(job.source_id, SETTINGS)


def test_a_truncated_video_is_rejected_and_not_decoded_again(job: scan.Job, passes: list[list[str]]) -> None:
    whole = write_clip(Path(job.path).with_name("whole.mkv"), moving(2, 240, 3))
    torn = cut_short(whole, whole.with_name("torn.mkv"), 0.6)
    torn_job = replace(job, path=str(torn), source_id=content_hash(torn))
    for _ in range(2):
        with pytest.raises(Reject, match="truncated"):
            scan.scan_video_file(torn_job)
            scan.check_whole(*_stored_counts(torn_job))
    assert len(passes) == 1


def _stored_counts(job: scan.Job) -> tuple[dict[str, Any], dict[str, int]]:
    records = scan.stored(Store(job.store_url), [job.source_id], SETTINGS)[job.source_id]
    return records["video.probe"].value, records["video.color_difference"].value["pass"]


def test_records_hold_no_path_and_no_time(job: scan.Job, tmp_path: Path) -> None:
    scan.scan_video_file(job)
    store = Store(job.store_url)
    for function in scan.keys(job.source_id, SETTINGS):
        text = str(store.table(function).to_pylist())
        assert str(tmp_path) not in text


def test_consumers_of_one_rate_share_their_times(job: scan.Job) -> None:
    scan.scan_video_file(job)
    store = Store(job.store_url)
    records = scan.stored(store, [job.source_id], SETTINGS)[job.source_id]
    table = scan.joined(store, [records[n] for n in ("video.luma", "video.motion", "video.difference_hash")])
    assert table.column_names == ["pts", "luma", "motion_px_s", "dhash"]
    assert table.column("pts").to_pylist() == [i * 3072 for i in range(8)]  # each 0.25 s of the 2 s, at 1/12288 s
