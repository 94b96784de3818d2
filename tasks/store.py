"""Item results kept by content, so that a killed run resumes and a hundred-and-first video costs one video.

A record is keyed by (function, version, parameters, content hash of the input); bulk bytes lie beside the records
under their sha256. There is no other index: it is read from the segments, so it can be rebuilt at will.

    <url>/records/<function>/<segment>.parquet        <url>/blobs/<aa>/<sha256>
"""

import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.content import HashMemory, content_hash
from tasks.keys import canonical_json, key_of, key_of_json
from tasks.places import Place
from tasks.segments import RECORDS, SEGMENT_BYTES, Segments, StoreError
from tasks.tables import parquet_bytes

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "HashMemory",
    "Record",
    "Store",
    "StoreError",
    "Writer",
    "canonical_json",
    "content_hash",
    "key_of",
]

_FUNCTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Record:
    """One kept result. `params` and `value` are equal to what was put; `blobs` are names for `Store.open_blob`."""

    key: str
    function: str
    version: str
    params: dict[str, Any]
    input_hash: str
    value: dict[str, Any]
    blobs: list[str]


class Store:
    """Records and blobs under `url`: a folder, `memory://...`, or the fsspec URL of an object storage.

    Any number of processes may read, write and compact one store at the same time, and be killed. An instance may
    be shared by threads, and sent to worker processes (there it opens the URL anew).
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self._place = Place(self.url)
        self._functions: dict[str, Segments] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.url,)

    @property
    def opened(self) -> int:
        """How many segment files this instance has opened."""
        return sum(segments.opened for segments in list(self._functions.values()))

    @property
    def damaged(self) -> dict[str, str]:
        """The damaged segments met so far, by address, and what is wrong with each. They are left out and logged."""
        return {name: why for segments in list(self._functions.values()) for name, why in segments.damaged.items()}

    # --- records ---

    def get(self, function: str, key: str) -> Record | None:
        """Return the record of `key`, or None. For many keys, `get_many` opens far fewer files."""
        return self.get_many(function, [key]).get(key)

    def get_many(self, function: str, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records of those `keys` that the store has; each segment is opened at most once.

        It knows what this instance wrote, and what others had written at the last `refresh` (or first use).
        """
        return {row["key"]: _record(row) for row in self._segments(function).rows(keys)}

    def get_whole(self, function: str, keys: Iterable[str]) -> dict[str, Record]:
        """Return the same without records of which a blob is gone: these are to be made again."""
        found = self.get_many(function, keys)
        return {key: record for key, record in found.items() if all(self.has_blob(name) for name in record.blobs)}

    def has(self, function: str, key: str) -> bool:
        """Say whether the store has `key`, without opening a segment."""
        return self._segments(function).has(key)

    def refresh(self, function: str | None = None) -> None:
        """Take in what other processes have written, of one function or all used so far; only new segments are read."""
        for name in [function] if function is not None else list(self._functions):
            self._segments(name).refresh()

    def writer(self) -> "Writer":
        """Return a writer, for use in `with`."""
        return Writer(self)

    def compact(self, function: str) -> int:
        """Merge what dead writers left behind; return the number of segments. Safe beside any reader or writer."""
        segments = self._segments(function)
        segments.merge(segments.refresh())
        self._place.sweep()
        return len(segments.refresh())

    def table(self, function: str) -> pa.Table:
        """Return all records of `function` as they are now, one row for each key, sorted by key.

        Columns: key, function, version, params, input_hash, value (text; params and value are JSON), blobs (list).
        """
        return self._segments(function).table()

    def relation(self, con: "duckdb.DuckDBPyConnection", function: str) -> "duckdb.DuckDBPyRelation":
        """Return `table(function)` as a relation of a DuckDB connection."""
        return con.from_arrow(self.table(function))

    def sql_glob(self, function: str) -> str:
        """Return the glob by which DuckDB's read_parquet reads `function` in place, in a store at rest.

        A key may stand in two segments: `SELECT DISTINCT ON (key) ...`. Where the store is no folder, first
        `con.register_filesystem(...)` of fsspec.
        """
        return self._place.address(f"{_folder(function)}/*.parquet")

    # --- blobs ---

    def put_blob(self, data: bytes | BinaryIO | IO[bytes]) -> str:
        """Keep bytes, or what an open binary file still yields; return their name, the sha256. Durable at return.

        The same bytes are kept once. A folder takes a file of any size; elsewhere it passes through memory.
        """
        return self._place.put_by_hash(data, _blob_path)

    def open_blob(self, name: str, *, checked: bool = False) -> BinaryIO:
        """Open a blob for reading. Raises StoreError where the store has none of that name.

        `checked`: its bytes are hashed before. A damaged one is then set aside, as by `read_table_blob`.
        """
        if checked and self.has_blob(name) and not self._place.is_sound(_blob_path(name), name):
            raise self._set_aside(name, "its bytes are not those of its name")
        try:
            return self._place.open(_blob_path(name))
        except FileNotFoundError as error:
            raise self._no_blob(name) from error

    def has_blob(self, name: str) -> bool:
        """Say whether the store has the blob."""
        return self._place.exists(_blob_path(name))

    def blob_path(self, name: str) -> Path | None:
        """Return the blob as a local file, for libraries that want one; None where the store is no folder."""
        path = self._place.local(_blob_path(name))
        if path is not None and not path.exists():
            raise self._no_blob(name)
        return path

    def table_blob(self, table: pa.Table) -> str:
        """Keep an Arrow table as a Parquet blob (the way to keep arrays); equal tables have one name."""
        return self.put_blob(parquet_bytes(table).to_pybytes())

    def read_table_blob(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return a table kept by `table_blob`, or some columns. Raises StoreError where it is gone or damaged.

        A damaged one is set aside: then the store lacks it, and its item is done again when its stage runs.
        """
        try:
            with self.open_blob(name) as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
                return parquet.read(columns=columns)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None or self._place.is_sound(_blob_path(name), name):
                raise  # the system's trouble (rights, a bad disk, memory), not the file's content
            raise self._set_aside(name, " ".join(str(error).split())) from error

    def _set_aside(self, name: str, why: str) -> StoreError:
        where, aside = self._place.address(_blob_path(name)), self._place.set_aside(_blob_path(name))
        return StoreError(f"{where} is damaged ({why}) and set aside as {aside}: its stage, run again, makes it anew")

    def _no_blob(self, name: str) -> StoreError:
        where = self._place.address(_blob_path(name))
        return StoreError(f"{where}: no such blob; bring it back, or remove records/ so that its item is done again")

    def _segments(self, function: str) -> Segments:
        with self._lock:
            if function not in self._functions:
                self._functions[function] = Segments(self._place, _folder(function))
            return self._functions[function]


class Writer:
    """Puts records into a store. Each `put` is durable when it returns; the files that makes are merged as they grow.

    Leaving `with` merges what was written into one segment, and what other writers left when they have left much.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mine: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def put(
        self,
        function: str,
        version: str,
        params: Mapping[str, Any],
        input_hash: str,
        value: Mapping[str, Any],
        blobs: Sequence[str] = (),
    ) -> str:
        """Keep one result and return its key. Bulk numbers go into a blob (`table_blob`), not into `value`.

        `function` names what computed it, `version` is bumped when its results change, `params` are those that it
        uses, `input_hash` is the content hash of what it read. Raises ValueError for a value that is not plain JSON.
        """
        return self.put_many(function, version, params, [(input_hash, value, blobs)])[0]

    def put_many(
        self,
        function: str,
        version: str,
        params: Mapping[str, Any],
        results: Iterable[tuple[str, Mapping[str, Any], Sequence[str]]],
    ) -> list[str]:
        """Keep many (input_hash, value, blobs) at once, as one segment (more beyond 64 MB); return their keys."""
        params_json = canonical_json(dict(params))
        keys: list[str] = []
        rows: list[dict[str, Any]] = []
        held = 0
        for input_hash, value, blobs in results:
            key = key_of_json(function, version, params_json, input_hash)
            text = canonical_json(dict(value))
            keys.append(key)
            rows.append(
                {
                    "key": key,
                    "function": function,
                    "version": version,
                    "params": params_json,
                    "input_hash": input_hash,
                    "value": text,
                    "blobs": [_checked_name(blob) for blob in blobs],
                }
            )
            held += len(text) + len(params_json) + 300
            if held > SEGMENT_BYTES:
                self._write(function, rows)
                rows, held = [], 0
        if rows:
            self._write(function, rows)
        return keys

    def close(self) -> None:
        """Merge what was written; no `put` after this."""
        with self._lock:
            self._closed = True
            for function, names in self._mine.items():
                segments = self._store._segments(function)
                segments.merge(names)
                segments.merge_tiers(segments.refresh())
            self._mine.clear()
        self._store._place.sweep()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._closed = True  # all is durable; somebody else merges it, and an interrupt is answered at once

    def _write(self, function: str, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            if self._closed:
                raise ValueError("this writer is closed: open another with store.writer()")
            segments = self._store._segments(function)
            mine = self._mine.setdefault(function, [])
            mine.append(segments.add(pa.Table.from_pylist(rows, schema=RECORDS)))
            mine[:] = segments.merge_tiers(mine)


def _record(row: dict[str, Any]) -> Record:
    return Record(**{**row, "params": json.loads(row["params"]), "value": json.loads(row["value"])})


def _folder(function: str) -> str:
    if not _FUNCTION.fullmatch(function):
        raise ValueError(f"function is {function!r}: a name of letters, digits and _ . @ - is expected")
    return f"records/{function}"


def _checked_name(name: str) -> str:
    if not _SHA256.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a blob: 64 hex digits are expected")
    return name


def _blob_path(name: str) -> str:
    return f"blobs/{_checked_name(name)[:2]}/{name}"
