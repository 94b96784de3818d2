"""Files that are written whole or not at all, and files that are read out of tar and zip archives.

An archive is read member by member, through archives within it; nothing is unpacked, nothing of it is run.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

CHUNK = 1 << 20

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0: not known)


class SourceError(ValueError):
    """A source that cannot be had; the message names it, the reason and the remedy."""


@contextmanager
def new_file(target: Path) -> "Iterator[tuple[IO[bytes], hashlib._Hash]]":
    """Write a file that gets its name when the block ends well, and is gone otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, hashlib.sha256()
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o444)
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def copy(chunks: Iterable[bytes], file: IO[bytes], hasher: "hashlib._Hash", progress: Callable[[int], None]) -> None:
    """Write `chunks` to `file` and into `hasher`; `progress` gets the bytes done."""
    done = 0
    for chunk in chunks:
        file.write(chunk)
        hasher.update(chunk)
        done += len(chunk)
        progress(done)


def chunks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what is left of an open file, a mebibyte at a time."""
    while chunk := stream.read(CHUNK):
        yield chunk


@contextmanager
def open_member(archive: Path, member: Sequence[str], name: str = "") -> Iterator[IO[bytes]]:
    """Open one file inside a tar or zip archive, through archives within it, for reading; nothing else is unpacked.

    An sdist's single top folder may be left out. Raises SourceError where an archive or member is missing.
    """
    with ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(archive.open("rb"))
        label = archive.name
        for depth, path in enumerate(member):
            stream = stack.enter_context(_member(stream, path, label, name))
            label = path
            if depth + 1 < len(member) and not stream.seekable():
                stream = stack.enter_context(_spooled(stream))
        yield stream


@contextmanager
def _member(stream: IO[bytes], path: str, label: str, name: str) -> Iterator[IO[bytes]]:
    wanted = PurePosixPath(path).as_posix()
    missing = SourceError(f"source '{name}': {label} holds no file {path}: correct 'member' in params.yaml")
    if zipfile.is_zipfile(stream):
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            found = _pick([info.filename for info in archive.infolist() if not info.is_dir()], wanted)
            if found is None:
                raise missing
            with archive.open(found) as opened:
                yield opened
        return
    stream.seek(0)
    try:
        tar = tarfile.open(fileobj=stream, mode="r:*")  # noqa: SIM115  closed below
    except tarfile.TarError:
        raise SourceError(f"source '{name}': {label} is neither a tar nor a zip archive") from None
    with tar:
        for info in tar:  # in order: a compressed tar is read only as far as the file
            if info.isfile() and _pick([info.name], wanted) is not None:
                opened_member = tar.extractfile(info)
                assert opened_member is not None, "a regular file has bytes"
                yield opened_member
                return
    raise missing


def _pick(names: Sequence[str], wanted: str) -> str | None:
    """Return the name that is `wanted`, or that is it below one top folder."""
    return next((n for n in names if n == wanted or n.partition("/")[2] == wanted), None)


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file, CHUNK)
        file.seek(0)
        yield file
