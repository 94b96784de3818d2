"""The edit list of an MP4 or QuickTime track (ISO 14496-12, 8.6.6): what the container says is to be shown, and how.

FFmpeg follows a delay and one cut. It plays edits at another speed at the usual one, and times what follows a
second edit some frames wrong, so whoever needs times has to ask here first.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_EDITS_KEPT = 1000  # of a list: enough to judge it by


class Edit(NamedTuple):
    """A stretch of the presentation: `length` in the movie's ticks, `start` in the media's (-1: nothing is shown)."""

    length: int
    start: int
    rate: float


def edits(path: os.PathLike[str] | str, track_id: int) -> list[Edit]:
    """Return the edit list of a track, [] where it has none or the file is not of boxes."""
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for movie in _boxes(file, b"moov", 0, size):
            for track in _boxes(file, b"trak", *movie):
                heads = [_track_id(file, head) for head in _boxes(file, b"tkhd", *track)]
                if heads != [track_id]:
                    continue
                for holder in _boxes(file, b"edts", *track):
                    for start, _ in _boxes(file, b"elst", *holder):
                        return _list(file, start)
    return []


def _boxes(file: BinaryIO, kind: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the contents of each box of a kind begin and end, up to what is no box."""
    while start + 8 <= end:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            long = file.read(8)
            size, head = int.from_bytes(long, "big"), 16
        elif size == 0:
            size = end - start
        if size < head:
            return
        if name == kind:
            yield start + head, min(start + size, end)
        start += size


def _track_id(file: BinaryIO, head: tuple[int, int]) -> int:
    file.seek(head[0])
    version = file.read(4)[:1]
    file.read(16 if version == b"\x01" else 8)
    return int.from_bytes(file.read(4), "big")


def _list(file: BinaryIO, start: int) -> list[Edit]:
    file.seek(start)
    head = file.read(8)
    form = ">QqhH" if head[:1] == b"\x01" else ">IihH"
    count = min(int.from_bytes(head[4:8], "big"), _EDITS_KEPT)
    data = file.read(count * struct.calcsize(form))
    whole = len(data) - len(data) % struct.calcsize(form)
    return [Edit(length, at, rate + part / 65536) for length, at, rate, part in struct.iter_unpack(form, data[:whole])]
