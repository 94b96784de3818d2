"""Members of tars that are the same for the same content: no time, no owner."""

import tarfile
from typing import IO


def add_member(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    """Add what `content` holds, so many bytes of it."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, content)
