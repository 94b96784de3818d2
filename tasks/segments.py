"""The records of one function as immutable, sorted Parquet segments: a log-structured merge tree without a log.

After O'Neil et al. 1996, tiers by size: FAN_IN segments of like size become one. There is no manifest: a closed
segment counts by being listed, and its keys are read from it. So writers need no lock, and may be killed.
"""

import logging
import math
import re
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.places import Place
from tasks.tables import parquet_bytes

log = logging.getLogger(__name__)

SEGMENT_BYTES = 64 << 20  # of records in memory: what a merge holds at once, and more than the file has
FAN_IN = 16
ROW_GROUP_ROWS = 1024  # what the lookup of one key decodes
_SMALL_BYTES = 64 << 10  # of a segment that is soon merged: a record or a few
_KEPT = 64  # of such that are kept in memory, so that merging them reads no file
_RETRIES = 50  # of a read that loses segments to merges; each retry means that a merge ended in between

RECORDS = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("key", "function", "version", "params", "input_hash")]
    + [
        pa.field("value", pa.string(), nullable=False),
        pa.field("blobs", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
    ]
)
_NAME = re.compile(r"[0-9a-f]{32}-(\d+)\.parquet")


class StoreError(RuntimeError):
    """The store cannot give what it was asked for; the message names the file and the remedy."""


class Segments:
    """The segments in one folder of a place, and in memory the sorted keys of each."""

    def __init__(self, place: Place, folder: str) -> None:
        self.opened = 0  # segment files opened so far, for whoever counts
        self.damaged: dict[str, str] = {}  # address of a segment -> what is wrong with it
        self._place = place
        self._folder = folder
        self._keys: dict[str, np.ndarray] | None = None  # None until first asked
        self._small: dict[str, pa.Table] = {}  # the newest small ones that were written here
        self._lock = threading.RLock()

    def refresh(self) -> list[str]:
        """Take in what is listed now, reading the keys of new segments only; return the names."""
        with self._lock:
            while True:
                known = self._keys or {}
                fresh: dict[str, np.ndarray] = {}
                lost = False
                for name in self._list():
                    keys = known[name] if name in known else self._reading(name, self._read_keys)
                    if keys is not None:
                        fresh[name] = keys
                    lost = lost or (keys is None and self._address(name) not in self.damaged)
                self._keys = fresh
                if not lost:
                    return list(fresh)

    def has(self, key: str) -> bool:
        """Say whether a segment in the index has `key`."""
        return bool(self._locate(_key_array([key])))

    def rows(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Return the rows of those `keys` that are there; each segment that has some is opened once."""
        wanted = np.unique(_key_array(keys))
        found: list[dict[str, Any]] = []
        for _ in range(_RETRIES):
            missed = []
            for name, (hits, rows) in self._locate(wanted).items():
                read = self._reading(name, lambda file, rows=rows: _read_rows(file, rows))
                if read is None:
                    missed.append(hits)
                else:
                    found += read
            if not missed:
                return found
            wanted = np.concatenate(missed)
            wanted.sort()
            self.refresh()
        raise self._restless()

    def table(self) -> pa.Table:
        """Return all rows as they are listed now, one for each key, sorted by key."""
        for _ in range(_RETRIES):
            tables = {name: self._reading(name, pq.ParquetFile.read) for name in self.refresh()}
            if all(table is not None or self._address(name) in self.damaged for name, table in tables.items()):
                return _sorted_unique([table for table in tables.values() if table is not None])
        raise self._restless()

    def add(self, rows: pa.Table) -> str:
        """Write rows of `RECORDS` as one closed segment, durable at return; return its name."""
        rows = _sorted_unique([rows])
        name = f"{uuid.uuid4().hex}-{rows.nbytes}.parquet"
        is_small = rows.nbytes <= _SMALL_BYTES
        self._place.put(
            f"{self._folder}/{name}", _plain_parquet(rows) if is_small else parquet_bytes(rows, ROW_GROUP_ROWS)
        )
        with self._lock:
            if self._keys is not None:
                self._keys[name] = _key_array(rows.column("key"))
            if is_small:
                self._small[name] = rows
                while len(self._small) > _KEPT:
                    del self._small[next(iter(self._small))]
        return name

    def merge(self, names: Iterable[str]) -> list[str]:
        """Replace `names` by fewer segments of at most SEGMENT_BYTES; return what stands for them now.

        An input is removed only after all its rows stand in a closed segment of a new name, so whoever merges the
        same inputs at the same time, and whoever is killed on the way, can cause duplicates but no loss.
        """
        result: list[str] = []
        for batch in _batches(names):
            if len(batch) == 1:
                result += batch
                continue
            read = {name: self._table_of(name) for name in batch}
            tables = {name: table for name, table in read.items() if table is not None}  # others merged the rest
            if len(tables) < 2:
                result += tables
                continue
            result.append(self.add(_concat(tables.values())))
            for name in tables:
                self._place.remove(f"{self._folder}/{name}")
                self._forget(name)
        return result

    def merge_tiers(self, names: Iterable[str]) -> list[str]:
        """Merge size tiers until none of them has FAN_IN of `names`; return what stands for them now."""
        rest = list(names)
        while True:
            tiers: dict[int, list[str]] = {}
            for name in filter(_is_small, rest):
                tiers.setdefault(_tier(name), []).append(name)
            crowded = min((tier for tier, members in tiers.items() if len(members) >= FAN_IN), default=None)
            if crowded is None:
                return rest
            members = set(tiers[crowded])
            rest = [name for name in rest if name not in members] + self.merge(tiers[crowded])

    # --- inside ---

    def _list(self) -> list[str]:
        """List the folder. A merge adds its output before it removes its inputs, but a listing is no instant: one
        that runs beside a merge may miss both. So list until all that was seen is seen again."""
        names = self._place.list(self._folder, ".parquet")
        while True:
            again = self._place.list(self._folder, ".parquet")
            if set(names) <= set(again):
                return again
            names = again

    def _locate(self, wanted: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return, by segment, the keys to take from it and their rows; a key is taken from one segment only."""
        with self._lock:
            if self._keys is None:
                self.refresh()
            assert self._keys is not None
            segments = list(self._keys.items())
        places = {}
        for name, keys in segments:
            if not len(wanted):
                break
            rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            hit = keys[rows] == wanted
            if hit.any():
                places[name] = (wanted[hit], rows[hit])
                wanted = wanted[~hit]
        return places

    def _table_of(self, name: str) -> pa.Table | None:
        """Return the rows of a segment, as `_reading` does; those of a small one of ours are here."""
        kept = self._small.get(name)
        if kept is not None and self._place.exists(f"{self._folder}/{name}"):  # others may have merged it
            return kept
        return self._reading(name, pq.ParquetFile.read)

    def _reading(self, name: str, read: Any) -> Any:
        """Return `read(file)` of an opened segment; None if it was merged away, or is damaged and so set aside."""
        if self._address(name) in self.damaged:
            return None
        self.opened += 1
        try:
            source = self._place.source(f"{self._folder}/{name}")
            with closing(pq.ParquetFile(source, page_checksum_verification=True)) as file:
                return read(file)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the system's trouble (rights, a bad disk), not the file's content
            self.damaged[self._address(name)] = str(error)
            self._forget(name)
            log.warning(
                "%s: damaged segment left out (%s); its items are computed again. Delete the file to end this warning.",
                self._address(name),
                error,
            )
            return None

    @staticmethod
    def _read_keys(file: pq.ParquetFile) -> np.ndarray:
        if not file.schema_arrow.equals(RECORDS):
            raise ValueError("its columns are not those of records")
        keys = _key_array(file.read(columns=["key"]).column("key"))
        if not len(keys) or (keys[1:] <= keys[:-1]).any():
            raise ValueError("its keys are not in order")
        return keys

    def _forget(self, name: str) -> None:
        with self._lock:
            self._small.pop(name, None)
            if self._keys is not None:
                self._keys.pop(name, None)

    def _address(self, name: str) -> str:
        return self._place.address(f"{self._folder}/{name}")

    def _restless(self) -> StoreError:
        where = self._place.address(self._folder)
        return StoreError(f"{where}: segments vanish as fast as they are listed; is something deleting the store?")


def _key_array(keys: Iterable[str] | pa.ChunkedArray) -> np.ndarray:
    """Return keys (64 hex digits each) as an array of bytes, which sorts and searches without Python objects."""
    if not isinstance(keys, pa.ChunkedArray):
        return np.array(list(keys), dtype="S64")
    if len(keys) and not pc.all(pc.equal(pc.binary_length(keys), 64)).as_py():
        raise ValueError("a key is no sha256")
    return np.frombuffer(pc.cast(keys, pa.binary()).cast(pa.binary(64)).combine_chunks().buffers()[1], dtype="S64")


def _read_rows(file: pq.ParquetFile, rows: np.ndarray) -> list[dict[str, Any]]:
    starts = np.cumsum([0] + [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
    groups = np.searchsorted(starts, rows, side="right") - 1
    found: list[dict[str, Any]] = []
    for group in np.unique(groups):
        found += file.read_row_group(int(group)).take(pa.array(rows[groups == group] - starts[group])).to_pylist()
    return found


def _plain_parquet(rows: pa.Table) -> pa.Buffer:
    """Return rows as Parquet in a third of the time: what makes large files small does little for a few rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows, sink, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    return sink.getvalue()


def _concat(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([RECORDS.empty_table(), *tables])


def _sorted_unique(tables: Iterable[pa.Table]) -> pa.Table:
    table = _concat(tables)
    if len(table) < 2:
        return table
    table = table.take(pc.sort_indices(table, sort_keys=[("key", "ascending")]))
    keys = _key_array(table.column("key"))
    first = np.concatenate([[True], keys[1:] != keys[:-1]])
    return table if first.all() else table.filter(pa.array(first))


@lru_cache(maxsize=4096)
def _bytes_of(name: str) -> int | None:
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def _is_small(name: str) -> bool:
    """Say whether a segment may still be merged: it is ours, by its name, and two like it fit into one."""
    size = _bytes_of(name)
    return size is not None and size <= SEGMENT_BYTES // 2


def _tier(name: str) -> int:
    return int(math.log(max(_bytes_of(name) or 1, 1), FAN_IN))


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Group small segments, smallest first, so that each group fits into one; full ones stay alone."""
    batch: list[str] = []
    held = 0
    for name in sorted(names, key=lambda name: (_bytes_of(name) or 0, name)):
        if not _is_small(name):
            yield [name]
            continue
        size = _bytes_of(name) or 0
        if held + size > SEGMENT_BYTES:
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += size
    if batch:
        yield batch
