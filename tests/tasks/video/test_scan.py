"""One video and the store: what is kept is never computed again, and what is not sound is refused with the reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.store import Store, StoreError
from tasks.tables import Reject
from tasks.video import scan
from tasks.video.frames import Consumer, Keep
from tasks.video.scan import Floor, Job, Settings, consumers, is_complete, keys, scan_video_file, stored
from tasks.video.scores import Exposure
from tests.tasks.video import clips

SETTINGS = Settings(
    sample_per_s=4,
    sample_short_side_px=72,
    strip_per_s=4,
    strip_short_side_px=90,
    strip_jpeg_quality=80,
    edges_per_s=2,
    edges_short_side_px=90,
    luma_per_s=0.5,
    luma_jpeg_quality=80,
)
LOW_FLOOR = Floor(min_height_px=1, min_duration_s=0)
SOURCE = "a" * 64


@pytest.fixture(autouse=True)
def every_file_is_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep one name for the content of whatever file a test scans."""
    monkeypatch.setattr(scan, "content_hash", lambda *_: SOURCE)


class ExtraExposure(Exposure):
    """A consumer that came later."""

    name = "test.extra_exposure"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.write_clip(tmp_path / "clip.mp4", clips.moving(1, 48, 4))


def job(path: Path, tmp_path: Path, *, floor: Floor = LOW_FLOOR, settings: Settings = SETTINGS) -> Job:
    return Job(SOURCE, str(path), str(tmp_path / "store"), settings, floor)


def records(tmp_path: Path, settings: Settings = SETTINGS) -> dict[str, Any]:
    return stored(Store(str(tmp_path / "store")), [SOURCE], settings)[SOURCE]


def test_a_video_is_decoded_once_and_then_read_from_the_store(clip: Path, tmp_path: Path) -> None:
    assert scan_video_file(job(clip, tmp_path)) == 48
    assert is_complete(records(tmp_path), SETTINGS)
    clip.unlink()  # not even opened again
    assert scan_video_file(job(clip, tmp_path)) == 0


def test_a_new_consumer_decodes_once_and_computes_only_itself(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_video_file(job(clip, tmp_path))
    shown: list[str] = []
    run_pass = scan.run_pass

    def watched(path: Any, taking_part: list[Consumer], **options: Any) -> Any:
        shown.extend(c.name for c in taking_part)
        return run_pass(path, taking_part, **options)

    def one_more(settings: Settings, keep: Keep) -> list[Consumer]:
        return [*consumers(settings, keep), ExtraExposure(keep, per_s=2, short_side_px=72)]

    monkeypatch.setattr(scan, "run_pass", watched)
    monkeypatch.setattr(scan, "consumers", one_more)
    assert scan_video_file(job(clip, tmp_path)) == 48
    assert shown == ["test.extra_exposure"]


def test_a_changed_setting_computes_only_what_it_concerns(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_video_file(job(clip, tmp_path))
    other = Settings(**{**SETTINGS.__dict__, "strip_jpeg_quality": 60})
    changed = {name for name, key in keys(SOURCE, other).items() if key != keys(SOURCE, SETTINGS)[name]}
    assert changed == {"video.strip"}
    assert set(records(tmp_path, other)) == set(records(tmp_path)) - changed


def test_the_floor_is_in_no_key_and_stops_before_the_decode(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(scan, "run_pass", lambda *a, **k: pytest.fail("decoded"))
        for floor, reason in ((Floor(181, 0), "floor_height"), (Floor(1, 2.5), "floor_duration")):
            with pytest.raises(Reject) as caught:
                scan_video_file(job(clip, tmp_path, floor=floor))
            assert caught.value.reason == reason
            assert caught.value.value is not None
            assert caught.value.threshold is not None
            assert caught.value.value < caught.value.threshold
    assert scan_video_file(job(clip, tmp_path, floor=Floor(180, 2))) == 48


def spoiled(path: Path, target: Path) -> Path:
    """Copy a clip with a few wrong bytes in three frames, its index intact."""
    data = bytearray(path.read_bytes())
    for part in (3, 5, 7):
        for place in range(len(data) * part // 9, len(data) * part // 9 + 5):
            data[place] ^= 0x5A
    target.write_bytes(data)
    return target


def test_unsound_files_are_refused_with_reason_value_and_threshold(tmp_path: Path) -> None:
    images = clips.moving(2, 96, 4)
    whole = clips.write_clip(tmp_path / "whole.mp4", images, container_options={"movflags": "faststart"})
    files = {
        "truncated": [clips.cut_short(whole, tmp_path / "torn.mp4", 0.6)],
        "damaged": [spoiled(clips.write_clip(tmp_path / "plain.mp4", images), tmp_path / "spoiled.mp4")],
        "bad_timestamps": [
            clips.write_clip(tmp_path / "bare.h264", images),
            clips.write_clip(tmp_path / "guessed.avi", images, options={"bf": "3"}),
        ],
    }
    for reason, paths in files.items():
        for number, path in enumerate(paths):
            with pytest.raises(Reject) as caught:
                scan_video_file(job(path, tmp_path / f"{reason}{number}"))
            assert (path.name, caught.value.reason) == (path.name, reason)
            assert caught.value.value is not None
            assert caught.value.threshold is not None
            assert caught.value.value < caught.value.threshold


@pytest.mark.parametrize(
    "suffix, codec", [(".mkv", "libx264"), (".ts", "libx264"), (".webm", "libvpx"), (".avi", "mpeg4")]
)
def test_sound_files_of_other_kinds_are_kept(tmp_path: Path, suffix: str, codec: str) -> None:
    options = {"deadline": "realtime", "auto-alt-ref": "1", "lag-in-frames": "16"} if codec == "libvpx" else {}
    path = clips.write_clip(tmp_path / f"clip{suffix}", clips.moving(3, 60, 4), codec=codec, options=options)
    assert scan_video_file(job(path, tmp_path)) == 60


def test_uneven_frames_that_do_not_begin_at_zero_are_not_taken_for_a_torn_file(tmp_path: Path) -> None:
    times = [500 + 90 * i + 30 * (i % 3) for i in range(40)]
    path = clips.write_clip(tmp_path / "clip.mkv", clips.moving(4, 40, 4), pts=times)
    assert scan_video_file(job(path, tmp_path)) == 40


def test_a_file_that_is_no_longer_what_was_listed_is_not_stored_under_the_old_hash(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(Reject, match="changed"):
        scan_video_file(replace(job(clip, tmp_path), source_id="b" * 64))
    assert stored(Store(str(tmp_path / "store")), ["b" * 64], SETTINGS)["b" * 64] == {}


def test_a_file_that_changes_under_the_decode_is_not_stored(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_pass = scan.run_pass

    def growing(path: Any, taking_part: list[Consumer], **options: Any) -> Any:
        counts = run_pass(path, taking_part, **options)
        with Path(path).open("ab") as file:
            file.write(b"more")
        return counts

    monkeypatch.setattr(scan, "run_pass", growing)
    with pytest.raises(Reject, match="changed"):
        scan_video_file(job(clip, tmp_path))
    assert set(records(tmp_path)) == {"video.probe"}


def test_a_lost_or_damaged_blob_is_named_and_computed_again(clip: Path, tmp_path: Path) -> None:
    scan_video_file(job(clip, tmp_path))
    store = Store(str(tmp_path / "store"))
    strip = records(tmp_path)["video.strip"]
    blob = store.blob_path(strip.blobs[0])
    assert blob is not None
    blob.unlink()
    assert set(records(tmp_path)) == set(keys(SOURCE, SETTINGS)) - {"video.strip"}
    assert scan_video_file(job(clip, tmp_path)) == 48
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-50] + b"x" * 50)
    with pytest.raises(StoreError, match=r"is damaged .*run again"):
        store.read_table_blob(strip.blobs[0])
    assert set(records(tmp_path)) == set(keys(SOURCE, SETTINGS)) - {"video.strip"}
    assert scan_video_file(job(clip, tmp_path)) == 48
    assert store.read_table_blob(strip.blobs[0]).num_rows
