"""What a file is, by its bytes: never by its path or its time alone. A large file is read once and remembered."""

import errno
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.keys import key_of

if TYPE_CHECKING:
    from tasks.store import Store

REMEMBER_FROM_BYTES = 4 << 20  # a smaller file is read faster than its hash is kept
_SETTLED_NS = 2_000_000_000  # a file changed this lately may change again without its time showing it
_CHUNK = 1 << 20


class HashMemory:
    """Remembers hashes in a store by (size, inode, mtime_ns, device), so a renamed file is not read again."""

    FUNCTION, VERSION = "content_hash", "1"

    def __init__(self, store: "Store") -> None:
        self.reads = 0  # files read so far, for whoever counts
        self._store = store

    def recall(self, stat: os.stat_result) -> str | None:
        """Return the hash of the file with this `stat`, if it is known."""
        record = self._store.get(self.FUNCTION, key_of(self.FUNCTION, self.VERSION, {}, _identity(stat)))
        return record.value["sha256"] if record is not None else None

    def remember(self, stat: os.stat_result, sha256: str) -> None:
        """Keep the hash of the file with this `stat`."""
        with self._store.writer() as writer:
            writer.put(self.FUNCTION, self.VERSION, {}, _identity(stat), {"sha256": sha256})


def is_sha256(text: str) -> bool:
    """Say whether `text` looks like a content hash, as `sha256sum` prints it."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def content_hash(path: str | Path, memory: HashMemory | None = None) -> str:
    """Return the sha256, in hex, of the bytes of a file; with `memory`, a large known file is not read.

    Raises OSError where the file cannot be read, or is being written (EBUSY).
    """
    path = Path(path)
    before = path.stat()
    large = before.st_size >= REMEMBER_FROM_BYTES
    if memory is not None and large and (known := memory.recall(before)) is not None:
        return known
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    if _identity(path.stat()) != _identity(before):
        reason = "changed while it was read: when nothing writes to it any more, run again"
        raise OSError(errno.EBUSY, reason, str(path))
    if memory is not None:
        memory.reads += 1
        if large and time.time_ns() - before.st_mtime_ns > _SETTLED_NS:
            memory.remember(before, hasher.hexdigest())
    return hasher.hexdigest()


def _identity(stat: os.stat_result) -> str:
    return f"{stat.st_size} bytes, inode {stat.st_ino} of device {stat.st_dev}, changed {stat.st_mtime_ns} ns"
