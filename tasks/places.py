"""Where a store lies: a folder, or an object storage by fsspec. What is put under a name is whole or not there.

A folder gets this by a file in `partial/` that is synced and renamed; object storages show an object only when all
of it has arrived. So nothing reads `partial/`, and what a killed process left there is swept after a day.
"""

import contextlib
import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

ABANDONED_AFTER_S = 86_400.0
_CHUNK = 1 << 20


class Place:
    """Files under one URL; paths are relative to it, with `/`."""

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self._folder = Path(root) if isinstance(self._fs, LocalFileSystem) else None

    def local(self, path: str) -> Path | None:
        """Return `path` as a file of this machine, None if the place is no folder."""
        return None if self._folder is None else self._folder / path

    def address(self, path: str) -> str:
        """Return the full path or URL, as people and DuckDB write it."""
        return str(self._folder / path) if self._folder is not None else self._fs.unstrip_protocol(self._full(path))

    def list(self, folder: str, suffix: str) -> list[str]:
        """Return the names in `folder` that end in `suffix`; none if there is no such folder."""
        try:
            if self._folder is not None:
                names = [file.name for file in (self._folder / folder).iterdir()]
            else:
                self._fs.invalidate_cache(self._full(folder))
                names = [name.rpartition("/")[2] for name in self._fs.ls(self._full(folder), detail=False)]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.endswith(suffix))

    def exists(self, path: str) -> bool:
        """Say whether there is a file `path`."""
        return (self._folder / path).exists() if self._folder is not None else self._fs.exists(self._full(path))

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises FileNotFoundError."""
        if self._folder is not None:
            return (self._folder / path).open("rb")
        if "memory" in self._fs.protocol:  # its open files share one position
            return io.BytesIO(self._fs.cat_file(self._full(path)))
        return cast(BinaryIO, self._fs.open(self._full(path), "rb"))

    def source(self, path: str) -> Any:
        """Return what pyarrow reads `path` from at its best speed."""
        return str(self._folder / path) if self._folder is not None else self.open(path)

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """Write a file, whole and durable at return."""
        if self._folder is None:
            self._fs.pipe_file(self._full(path), bytes(memoryview(data)))
            return
        with self._partial() as partial:
            _write_synced(partial, iter([data]))
            self._move(partial, self._folder / path)

    def put_by_hash(self, data: bytes | BinaryIO | IO[bytes], path_of: Callable[[str], str]) -> str:
        """Write what `data` holds to `path_of(sha256)`, unless it is there and sound; return the sha256."""
        if isinstance(data, bytes):
            digest = hashlib.sha256(data).hexdigest()
            if not self.is_sound(path_of(digest), digest):
                self.put(path_of(digest), data)
            return digest
        if self._folder is None:
            return self.put_by_hash(data.read(), path_of)
        hasher = hashlib.sha256()
        with self._partial() as partial:
            _write_synced(partial, _chunks(data, hasher.update))
            target = path_of(hasher.hexdigest())
            if not self.is_sound(target, hasher.hexdigest()):
                self._move(partial, self._folder / target)
        return hasher.hexdigest()

    def is_sound(self, path: str, sha256: str) -> bool:
        """Say whether `path` can be read and has this hash. Read whole: a damaged file has its name and size still."""
        hasher = hashlib.sha256()
        try:
            with self.open(path) as file:
                for _ in _chunks(file, hasher.update):
                    pass
        except OSError:  # it is not there, or lies on a bad sector; a new one takes its place
            return False
        return hasher.hexdigest() == sha256

    def set_aside(self, path: str) -> str:
        """Move a damaged file to `damaged/`, where nothing reads it, but people may; return its new address."""
        aside = f"damaged/{path.rpartition('/')[2]}"
        with contextlib.suppress(FileNotFoundError):  # somebody else has done it
            if self._folder is not None:
                self._move(self._folder / path, self._folder / aside)
            else:
                self._fs.mv(self._full(path), self._full(aside))
        return self.address(aside)

    def remove(self, path: str) -> None:
        """Remove a file, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            if self._folder is not None:
                (self._folder / path).unlink()
            else:
                self._fs.rm_file(self._full(path))

    def sweep(self) -> None:
        """Remove what processes that were killed while writing left behind."""
        if self._folder is None or not (self._folder / "partial").is_dir():
            return
        for partial in (self._folder / "partial").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was finished, or swept by somebody else
                if time.time() - partial.stat().st_mtime > ABANDONED_AFTER_S:
                    partial.unlink()

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _partial(self) -> Iterator[Path]:
        assert self._folder is not None
        partial = self._folder / "partial" / uuid.uuid4().hex
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _move(self, partial: Path, target: Path) -> None:
        assert self._folder is not None
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            for folder in target.parents[1:]:
                _sync_folder(folder)
                if folder == self._folder:
                    break
        partial.replace(target)
        _sync_folder(target.parent)


def _write_synced(path: Path, chunks: "Iterator[bytes | pa.Buffer]") -> None:
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _chunks(file: BinaryIO | IO[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        see(chunk)
        yield chunk


def _sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
