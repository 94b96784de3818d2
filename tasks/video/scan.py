"""What a scan keeps of one video: its facts, and one record for each consumer of the decode pass.

A video is decoded at most once: only for the consumers whose result is not stored yet, all in one pass.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.content import HashMemory, content_hash
from tasks.keys import StoredFunction, key_of
from tasks.store import Record, Store
from tasks.tables import Reject
from tasks.video import probe
from tasks.video.frames import Consumer, Keep, run_pass
from tasks.video.letterbox import Letterbox
from tasks.video.overlay import EdgeMaps
from tasks.video.scores import Exposure, Motion
from tasks.video.sharpness import Sharpness
from tasks.video.strip import LumaPictures, Strip
from tasks.video.thumbnails import ColorDifference, Thumbnails
from tasks.workers import reporter

LIBRARIES = ("av", "numpy", "opencv-python-headless")  # what the numbers depend on besides our own code
WHOLE = 0.98  # of the source frames: a file that gives fewer is truncated
SOUND = 0.98  # of the decoded frames: whole, and with a time of their own; below it the file is damaged


@dataclass(frozen=True)
class Settings:
    """How consumers see a video. Rates in frames a second, sides in pixels."""

    sample_per_s: float
    sample_short_side_px: int
    strip_per_s: float
    strip_short_side_px: int
    strip_jpeg_quality: int
    edges_per_s: float
    edges_short_side_px: int
    luma_per_s: float
    luma_jpeg_quality: int


@dataclass(frozen=True)
class Floor:
    """What a video must have to be decoded at all. Gates, so in no key."""

    min_height_px: int  # as in "720p": the shorter side as displayed
    min_duration_s: float


@dataclass(frozen=True)
class Job:
    """One video for a worker."""

    source_id: str
    path: str
    store_url: str
    settings: Settings
    floor: Floor


def consumers(settings: Settings, keep: Keep) -> list[Consumer]:
    """Return all consumers of the pass. A new one is added here; it alone is computed for the videos scanned before."""
    rate, side = settings.sample_per_s, settings.sample_short_side_px
    return [
        ColorDifference(keep),
        Thumbnails(keep),
        Exposure(keep, per_s=rate, short_side_px=side),
        Sharpness(keep, per_s=rate),
        Letterbox(keep, per_s=rate, short_side_px=side),
        Motion(keep, per_s=rate, short_side_px=side),
        Strip(
            keep,
            per_s=settings.strip_per_s,
            short_side_px=settings.strip_short_side_px,
            jpeg_quality=settings.strip_jpeg_quality,
        ),
        EdgeMaps(keep, per_s=settings.edges_per_s, short_side_px=settings.edges_short_side_px),
        LumaPictures(keep, per_s=settings.luma_per_s, jpeg_quality=settings.luma_jpeg_quality),
    ]


SAMPLED = (Exposure, Sharpness, Letterbox, Motion)  # which make the columns of samples, of the same frames


def _no_keep(table: pa.Table) -> str:
    raise AssertionError("only for the names and parameters of consumers")


def keys(source_id: str, settings: Settings) -> dict[str, str]:
    """Return the store's key of each record that a scanned video has, by function; the probe's first."""
    named = [(c.name, c.version, c.params) for c in consumers(settings, _no_keep)]
    probed = (probe.NAME, probe.VERSION, dict[str, Any]())
    return {name: key_of(name, version, params, source_id) for name, version, params in [probed, *named]}


def stored_functions() -> list[StoredFunction]:
    """Return the probe and all consumers, for the table of versions."""
    some = Settings(4, 144, 2, 256, 92, 2, 90, 0.5, 80)
    named = [(c.name, c.version, type(c).__module__) for c in consumers(some, _no_keep)]
    return [StoredFunction(*n, libraries=LIBRARIES) for n in [(probe.NAME, probe.VERSION, probe.__name__), *named]]


def stored(store: Store, source_ids: Iterable[str], settings: Settings) -> dict[str, dict[str, Record]]:
    """Return what the store has of each source: source_id -> function -> record."""
    found: dict[str, dict[str, Record]] = {source_id: {} for source_id in source_ids}
    by_key: dict[str, dict[str, str]] = {}
    for source_id in found:
        for function, key in keys(source_id, settings).items():
            by_key.setdefault(function, {})[key] = source_id
    for function, sources in by_key.items():
        for key, record in store.get_whole(function, sources).items():
            found[sources[key]][function] = record
    return found


def is_complete(records: Mapping[str, Record], settings: Settings) -> bool:
    """Say whether a video with these records needs no worker."""
    return len(records) == 1 + len(consumers(settings, _no_keep))


def scan_video_file(job: Job) -> int:
    """Do what is missing of one video; return how many frames were decoded for it (0: nothing was missing).

    Raises Reject: see `check_floor`, `check_whole`, and `tasks.video.probe`.
    """
    store = Store(job.store_url)
    records = stored(store, [job.source_id], job.settings)[job.source_id]
    missing = [c for c in consumers(job.settings, store.table_blob) if c.name not in records]
    if probe.NAME in records:
        check_floor(records[probe.NAME].value, job.floor)
        if not missing:
            return 0
    before = Path(job.path).stat()
    if content_hash(job.path, HashMemory(store)) != job.source_id:
        raise Reject("changed", "its bytes are not those that fetch_video listed: run it again")
    with store.writer() as writer:
        if probe.NAME in records:
            facts = records[probe.NAME].value
        else:
            facts = probe.probe(job.path)
            writer.put(probe.NAME, probe.VERSION, {}, job.source_id, facts)
        check_floor(facts, job.floor)
        report = reporter()
        length_s = facts["duration_s"] or 1.0
        counts = run_pass(
            job.path,
            missing,
            frame_s=1 / facts["fps"] if facts["fps"] else 0.04,
            progress=lambda done_s: report(done_s / length_s),
        )
        pass_value = {name: int(getattr(counts, name)) for name in counts.__dataclass_fields__}
        if _identity(Path(job.path).stat()) != _identity(before):
            raise Reject("changed", "it was written to while it was decoded: run it again when it is whole")
        for consumer in missing:
            summary, blobs = consumer.finish() if counts.decoded_frames else ({}, [])
            value = {"pass": pass_value, "summary": summary}
            writer.put(consumer.name, consumer.version, consumer.params, job.source_id, value, blobs)
    check_whole(facts, pass_value)
    return counts.decoded_frames


def _identity(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_size, stat.st_ino, stat.st_dev, stat.st_mtime_ns


def check_floor(facts: Mapping[str, Any], floor: Floor) -> None:
    """Raise Reject if a video is not worth decoding."""
    height = probe.short_side_px(dict(facts))
    if height < floor.min_height_px:
        raise Reject("floor_height", "too small to be decoded", "height_px", height, floor.min_height_px)
    duration = facts["duration_s"]
    if duration < floor.min_duration_s:
        raise Reject("floor_duration", "too short to be decoded", "duration_s", duration, floor.min_duration_s)


def check_whole(facts: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Raise Reject if the decode gave too few of the frames that the file says it has."""
    if not counts["decoded_frames"]:
        raise Reject("no_frames", f"none of {facts['source_frames']} frames can be decoded")
    share = counts["decoded_frames"] / max(facts["source_frames"], 1)
    if share < WHOLE:
        detail = f"{counts['decoded_frames']} of {facts['source_frames']} frames can be decoded"
        raise Reject("truncated", detail, "decoded_share", share, WHOLE)
    unsound = {"damaged": "corrupt_frames", "bad_timestamps": "repaired_pts", "mixed_shapes": "reshaped_frames"}
    for reason, count in unsound.items():
        sound = 1 - counts[count] / counts["decoded_frames"]
        if sound < SOUND:
            detail = f"{count.replace('_', ' ')}: {counts[count]} of {counts['decoded_frames']}"
            raise Reject(reason, detail, "sound_share", sound, SOUND)
    promised_s = facts["declared_s"]
    if promised_s and facts["duration_s"] < WHOLE * promised_s:
        detail = f"ends after {facts['duration_s']:.1f} of {promised_s:.1f} s"
        raise Reject("truncated", detail, "duration_share", facts["duration_s"] / promised_s, WHOLE)


def joined(store: Store, records: Sequence[Record]) -> pa.Table:
    """Return the tables of consumers that sampled alike as one: pts, and the columns of each."""
    tables = [pa.concat_tables([store.read_table_blob(name) for name in record.blobs]) for record in records]
    first = tables[0]
    for table in tables[1:]:
        assert table.column("pts").equals(first.column("pts")), "consumers of one rate see the same frames"
        for name in table.column_names[1:]:
            first = first.append_column(name, table.column(name))
    return first


def path_of(row: Mapping[str, Any], roots: Mapping[str, os.PathLike[str]]) -> str:
    """Return where the file of a manifest's row lies."""
    return os.path.join(roots[row["root"]], row["path"])  # noqa: PTH118  a name for FFmpeg, not a Path
