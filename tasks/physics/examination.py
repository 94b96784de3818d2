"""One file of The Well and the store: examined once, and written anew where that is asked for; kept by its content."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.keys import canonical_json, key_of
from tasks.physics.findings import Finding
from tasks.physics.opening import identity_of, is_remote, open_well
from tasks.physics.records import EXAMINE, REPACK, examined_value, moments_table, picture_table
from tasks.physics.repack import repack
from tasks.physics.schema import WellFile
from tasks.physics.statistics import examine
from tasks.store import Record, Store
from tasks.tables import Reject
from tasks.workers import reporter


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


def stored(store: Store, file_id: str, layout: str = "none") -> tuple[Record | None, Record | None]:
    """Return what the store has of a file whole: its examination, and the file written anew; None for what is due."""
    examined = _whole(store, store.get(EXAMINE.name, examined_key(file_id)))
    if layout == "none" or (examined is not None and examined.value["facts"] is None):
        return examined, None
    return examined, _whole(store, store.get(REPACK.name, repacked_key(file_id, layout)))


def is_done(records: tuple[Record | None, Record | None], layout: str) -> bool:
    """Say whether nothing is left to do for a file with these records."""
    examined, repacked = records
    return examined is not None and (layout == "none" or examined.value["facts"] is None or repacked is not None)


def _whole(store: Store, record: Record | None) -> Record | None:
    return record if record is not None and all(store.has_blob(name) for name in record.blobs) else None


def examine_file(job: Job) -> int:
    """Do what is missing of one file; return the bytes of it that were read.

    Raises Reject for a file that is no longer what was listed. What is wrong with it is kept as its result.
    """
    store = Store(job.store_url)
    examined, repacked = stored(store, job.file_id, job.repack)
    done = 0
    _check_unchanged(job)
    if examined is None:
        report = reporter()
        found = examine(job.location, report)
        _check_unchanged(job)
        if is_remote(job.location):
            _refuse_passing_trouble(job.location, found.findings)
        scalars = _scalar_values(job.location, found.layout) if found.layout is not None else {}
        blobs = [store.table_blob(moments_table(found.moments)), store.table_blob(picture_table(found.thumbnail))]
        value = examined_value(found, scalars)
        with store.writer() as writer:
            writer.put(EXAMINE.name, EXAMINE.version, {}, job.file_id, value, blobs if not found.rejected else [])
        done += job.bytes
        if found.rejected:
            return done
    elif examined.value["facts"] is None:
        return done
    if job.repack != "none" and repacked is None:
        _repack(job, store)
        _check_unchanged(job)
        done += job.bytes
    return done


def _repack(job: Job, store: Store) -> None:
    folder = Path(job.scratch)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".hdf5.partial", dir=folder)
    os.close(handle)
    partial = Path(name)
    try:
        repack(job.location, partial, job.repack)  # type: ignore[arg-type]
        with partial.open("rb") as file:
            blob = store.put_blob(file)
        with store.writer() as writer:
            size = partial.stat().st_size
            writer.put(REPACK.name, REPACK.version, {"layout": job.repack}, job.file_id, {"bytes": size}, [blob])
    finally:
        partial.unlink(missing_ok=True)


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


def _scalar_values(location: str, layout: WellFile) -> dict[str, np.ndarray]:
    """Return the values of the scalars that do not vary in time."""
    with contextlib.ExitStack() as stack:
        wanted = [one for one in layout.scalars if not one.time_varying]
        file: Any = stack.enter_context(open_well(location)) if wanted else {}
        return {one.name: np.asarray(file[one.path][()], np.float64) for one in wanted}
