"""Opening a file of The Well, here or at any address that fsspec reads; what is no whole HDF5 file is told apart."""

import contextlib
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressed files

from tasks.physics.schema import LayoutError

CHUNK_CACHE_BYTES = 64 << 20
REMOTE_BLOCK_BYTES = 8 << 20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CACHE = {"rdcc_nbytes": CHUNK_CACHE_BYTES, "rdcc_nslots": 10_007}


@contextlib.contextmanager
def open_well(location: str) -> Iterator[h5py.File]:
    """Open a path or an fsspec URL for reading, for use in `with`.

    Raises LayoutError for a file that is empty, truncated or no HDF5, OSError with a number for what is the system's.
    """
    with contextlib.ExitStack() as stack:
        source: Any = location
        if is_remote(location):
            source = stack.enter_context(_remote(location))
            _check_head(source)
            source.seek(0)
        else:
            with Path(location).open("rb") as file:
                _check_head(file)
        try:
            opened = h5py.File(source, "r", locking=False, **_CACHE)
        except OSError as error:
            if error.errno is not None:
                raise
            raise _unreadable(str(error)) from error
        yield stack.enter_context(opened)


def is_remote(location: str) -> bool:
    """Say whether this is an address for fsspec and no path."""
    return "://" in location or "::" in location


def identity_of(stat: os.stat_result) -> tuple[int, ...]:
    """Return what shows that a local file was changed: its size, which comes first, inode, device and time."""
    return stat.st_size, stat.st_ino, stat.st_dev, stat.st_mtime_ns


def has_signature(path: Path) -> bool:
    """Say whether a local file begins as HDF5 does."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def told_by_hdf5(error: BaseException) -> bool:
    """Say whether an error came out of h5py, as it tells of damaged metadata, and not from code of ours."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] == "h5py" for frame, _ in frames)


def _remote(location: str) -> Any:
    import fsspec

    return fsspec.open(location, "rb", block_size=REMOTE_BLOCK_BYTES)


def _check_head(file: IO[bytes]) -> None:
    """Raise LayoutError unless the file begins as HDF5 does: with its signature at 0, 512, 1024, 2048, ..."""
    size = file.seek(0, 2)
    if not size:
        raise LayoutError("the file is empty", at="/", remedy="fetch or write it again", code="empty_file")
    place = 0
    while place + len(_SIGNATURE) <= size:
        file.seek(place)
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            return
        place = place * 2 or 512
    file.seek(0)
    head = file.read(64)
    if head == bytes(len(head)):
        what = "nothing but zeros where HDF5 begins: a download that was cut, or a hole"
    elif head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        what = "a web page and no HDF5: a server's answer saved under this name"
    elif head.startswith(b"version https://git-lfs"):
        what = "a pointer of Git LFS and no HDF5"
    else:
        what = f"no HDF5 file: it begins with {head[:16]!r}"
    raise LayoutError(what, at="/", remedy="fetch it again, or remove it", code="not_hdf5")


def _unreadable(told: str) -> LayoutError:
    if "truncated" in told:
        sizes = dict(re.findall(r"(\w+) = (\d+)", told.replace("stored_eof", "stored")))
        what = f"truncated: {sizes.get('eof', '?')} of {sizes.get('stored', '?')} bytes are there"
        return LayoutError(what, at="/", remedy="fetch or write it again, whole", code="truncated")
    what = f"damaged, HDF5 cannot open it ({told})"
    return LayoutError(what, at="/", remedy="fetch or write it again", code="unreadable")
