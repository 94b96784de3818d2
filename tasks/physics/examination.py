"""One file of The Well and the store: examined once, and written anew where that is asked for; kept by its content."""

import contextlib
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.keys import canonical_json, key_of
from tasks.physics.findings import Finding
from tasks.physics.opening import identity_of, is_remote
from tasks.physics.records import EXAMINE, REPACK, examined_value, moments_table, picture_table
from tasks.physics.repack import repack
from tasks.physics.statistics import Examined, examine
from tasks.places import ABANDONED_AFTER_S
from tasks.store import Record, Store
from tasks.tables import Reject
from tasks.workers import reporter

Stored = tuple[Record | None, Record | None]  # of a file: its examination, and the file written anew
_PARTIAL, _SUFFIX = "repack.", ".hdf5.partial"  # between them: machine, process, chance


@dataclass(frozen=True)
class Job:
    """One file for a worker: `identity` of one that was hashed, or `listed` of one from the listing, tell a change."""

    file_id: str
    location: str  # a path, or an fsspec URL
    store_url: str
    repack: str = "none"
    scratch: str = ""  # a folder for the file while it is written anew
    identity: tuple[int, ...] | None = None
    listed: tuple[int, str] | None = None  # bytes and version

    @property
    def bytes(self) -> int:
        """How many bytes the file has."""
        (size, *_) = self.identity or self.listed or (0,)
        return int(size)


def examined_key(file_id: str) -> str:
    """Return the key of a file's examination."""
    return key_of(EXAMINE.name, EXAMINE.version, {}, file_id)


def repacked_key(file_id: str, layout: str) -> str:
    """Return the key of a file written anew."""
    return key_of(REPACK.name, REPACK.version, {"layout": layout}, file_id)


def remote_id(url: str, size: int, version: str) -> str:
    """Return what stands for the content of a remote file: a hash of where it lies and which version it is."""
    return hashlib.sha256(canonical_json([url, size, version]).encode()).hexdigest()


def stored(store: Store, file_ids: Iterable[str], layout: str = "none") -> dict[str, Stored]:
    """Return what the store has of each file whole: its examination, and the file written anew; None for what is due.

    Each segment of the store is opened once, whatever the number of files.
    """
    ids = list(dict.fromkeys(file_ids))
    examined = _whole(store, EXAMINE.name, {one: examined_key(one) for one in ids})
    sound = [one for one in ids if (found := examined[one]) is None or found.value["facts"] is not None]
    keys = {one: repacked_key(one, layout) for one in sound} if layout != "none" else {}
    repacked = _whole(store, REPACK.name, keys)
    return {one: (examined[one], repacked.get(one)) for one in ids}


def is_done(records: Stored, layout: str) -> bool:
    """Say whether nothing is left to do for a file with these records."""
    examined, repacked = records
    return examined is not None and (layout == "none" or examined.value["facts"] is None or repacked is not None)


def _whole(store: Store, function: str, keys: Mapping[str, str]) -> dict[str, Record | None]:
    """Return the record of each key, None where there is none or one of its blobs is gone."""
    found = store.get_whole(function, keys.values()) if keys else {}
    return {name: found.get(key) for name, key in keys.items()}


def examine_file(job: Job) -> int:
    """Do what is missing of one file; return the bytes of it that were read.

    Raises Reject for a file that is no longer what was listed. What is wrong with it is kept as its result.
    """
    store = Store(job.store_url)
    examined, repacked = stored(store, [job.file_id], job.repack)[job.file_id]
    done = 0
    _check_unchanged(job)
    if examined is None:
        done += job.bytes
        if _examine(job, store).rejected:
            return done
    elif examined.value["facts"] is None:
        return done
    if job.repack != "none" and repacked is None:
        _repack(job, store)
        done += job.bytes
    return done


def _examine(job: Job, store: Store) -> Examined:
    found = examine(job.location, reporter())
    _check_unchanged(job)
    if is_remote(job.location):
        _refuse_passing_trouble(job.location, found.findings)
    blobs = []
    if not found.rejected:
        blobs = [store.table_blob(moments_table(found.moments)), store.table_blob(picture_table(found.thumbnail))]
    with store.writer() as writer:
        writer.put(EXAMINE.name, EXAMINE.version, {}, job.file_id, examined_value(found), blobs)
    return found


def _repack(job: Job, store: Store) -> None:
    folder = Path(job.scratch)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{_PARTIAL}{platform.node()}.{os.getpid()}.", suffix=_SUFFIX, dir=folder)
    os.close(handle)
    partial = Path(name)
    try:
        repack(job.location, partial, job.repack)  # type: ignore[arg-type]
        _check_unchanged(job)
        size = partial.stat().st_size
        with partial.open("rb") as file:
            blob = store.put_blob(file)
        with store.writer() as writer:
            writer.put(REPACK.name, REPACK.version, {"layout": job.repack}, job.file_id, {"bytes": size}, [blob])
    finally:
        partial.unlink(missing_ok=True)


def sweep_scratch(folder: Path) -> int:
    """Remove what killed workers left half written; return how many files. One of another machine is given a day."""
    swept = 0
    for partial in folder.glob(f"*{_SUFFIX}"):
        owner, _, _ = partial.name.removeprefix(_PARTIAL).removesuffix(_SUFFIX).rpartition(".")
        host, _, process = owner.rpartition(".")
        with contextlib.suppress(FileNotFoundError):  # it was finished, or swept by somebody else
            if host == platform.node() and process.isdigit():
                abandoned = not psutil.pid_exists(int(process))
            else:
                abandoned = time.time() - partial.stat().st_mtime > ABANDONED_AFTER_S
            if abandoned:
                partial.unlink()
                swept += 1
    return swept


def _refuse_passing_trouble(location: str, findings: Sequence[Finding]) -> None:
    """Raise Reject, which is not kept, for a remote file that could not be read: the network may be at fault."""
    for one in findings:
        if one.severity == "reject" and one.code in ("damaged", "unreadable", "truncated"):
            raise Reject(one.code, f"{location}: {one}, or run it again if the network failed")


def _check_unchanged(job: Job) -> None:
    if job.listed is not None:
        from tasks.physics.listing import describe

        now = describe(job.location)
        if (now.bytes, now.version) != job.listed:
            raise Reject("changed", f"{job.location}: it is not what was listed: run 'headrace sources refresh'")
    elif identity_of(Path(job.location).stat()) != job.identity:
        raise Reject("changed", f"{job.location}: it was written to meanwhile: run it again when it is whole")
