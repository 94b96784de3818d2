"""Files that lie elsewhere, behind a folder, a glob or an fsspec URL: listed once, in a file that DVC watches.

`python -m tasks.physics.listing` writes data/listings/physics.csv anew, from `ingest_well.sources` of params.yaml. So a
run reads no index of a server, and one that found something new there shows as a changed file.
"""

import csv
import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.sources import SourceError, without_credentials
from tasks.tables import write_whole

SUFFIXES = (".hdf5", ".h5", ".hdf", ".he5")
PATH = "data/listings/physics.csv"
_HEADER = ("source", "url", "bytes", "version")
_VERSIONS = ("etag", "ETag", "sha256", "checksum", "blob_id", "md5Hash", "last_modified", "LastModified", "mtime")


@dataclass(frozen=True, order=True)
class Listed:
    """A file at an address; `version` changes when its content does, as far as its server tells."""

    url: str
    bytes: int
    version: str


def describe(url: str) -> Listed:
    """Ask the server about one file. Raises SourceError."""
    fs, path = _filesystem(url)
    try:
        return _listed(fs, path, url, fs.info(path))
    except SourceError:
        raise
    except Exception as error:
        raise _cannot(url, error) from error


def list_source(location: str) -> list[Listed]:
    """List the HDF5 files behind a file, a folder or a glob of fsspec (hf://, https://, s3://, a path), sorted.

    Raises SourceError where there are none, or the server does not answer.
    """
    fs, path = _filesystem(location)
    try:
        if any(sign in path for sign in "*?["):
            names = fs.glob(path)
        elif path.lower().endswith(SUFFIXES) and not fs.isdir(path):
            names = [path]
        else:
            fs.invalidate_cache()
            names = fs.find(path)
        names = sorted(name for name in names if name.lower().endswith(SUFFIXES))
        found = [_listed(fs, name, _url(fs, name, location), fs.info(name)) for name in names]
    except SourceError:
        raise
    except Exception as error:
        raise _cannot(location, error) from error
    if not found:
        endings = ", ".join(SUFFIXES)
        remedy = "correct ingest_well.sources of params.yaml, or see whether its server answers"
        raise SourceError(f"{location}: no file there ends in {endings}: {remedy}")
    return sorted(found)


def _filesystem(location: str) -> tuple[Any, str]:
    import fsspec

    if location.startswith("hf://") and os.environ.get("HF_HUB_OFFLINE") == "1":
        raise SourceError(f"{location}: set HF_HUB_OFFLINE=0, which keeps the Hub's library from the network")
    try:
        without_credentials(location)
    except ValueError as error:
        raise SourceError(f"an address of ingest_well.sources: {error}") from error
    try:
        return fsspec.core.url_to_fs(location)
    except (ValueError, ImportError) as error:
        raise SourceError(f"{location}: no address that fsspec opens ({error})") from error


def _url(fs: Any, name: str, location: str) -> str:
    return name if "://" in name else fs.unstrip_protocol(name) if "://" in location else str(Path(name))


def _listed(fs: Any, path: str, url: str, info: dict[str, Any]) -> Listed:
    size = info.get("size")
    if size is None:
        raise SourceError(f"{url}: its server does not tell its size: download it into data/own/physics")
    lfs = info.get("lfs") or {}
    known = [str(info[name]) for name in _VERSIONS if info.get(name)]
    version = str(lfs["sha256"]) if isinstance(lfs, dict) and lfs.get("sha256") else next(iter(known), "")
    return Listed(url, int(size), version)


def _cannot(location: str, error: Exception) -> SourceError:
    told = " ".join(str(error).split()) or "no message"
    return SourceError(f"{location} cannot be listed ({type(error).__name__}: {told:.200}): check address and network")


def write_listing(path: Path, found: Iterable[tuple[str, Listed]]) -> None:
    """Write what was listed, (source, file) each, sorted: equal listings give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows((source, one.url, one.bytes, one.version) for source, one in sorted(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())


def read_listing(path: Path, sources: Sequence[str]) -> dict[str, list[Listed]]:
    """Return the files of each source. Raises SourceError for a source that was not listed, or a damaged listing."""
    found: dict[str, list[Listed]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != _HEADER:
            raise SourceError(f"{path}: the header is not {','.join(_HEADER)}: run 'headrace sources refresh'")
        for cells in lines:
            if len(cells) != len(_HEADER) or not cells[2].isdigit():
                raise SourceError(f"{path}, line {lines.line_num}: damaged: run 'headrace sources refresh'")
            found.setdefault(cells[0], []).append(Listed(cells[1], int(cells[2]), cells[3]))
    for source in sources:
        if source not in found:
            raise SourceError(f"{path} does not list {source}: run 'headrace sources refresh', which asks its server")
    return {source: found[source] for source in sources}


def refresh(root: Path) -> int:
    """List all sources of params.yaml anew; return how many files they have."""
    from tasks.lineage import read_params_file

    section = read_params_file(root).get("ingest_well", {})
    sources = [one["location"] for one in section.get("sources", [])]
    found = [(source, one) for source in sources for one in list_source(source)]
    write_listing(root / PATH, found)
    return len(found)


if __name__ == "__main__":
    from tasks import env

    here = env.checkout_root()
    try:
        print(f"{PATH}: {refresh(here)} files listed")
    except SourceError as problem:
        sys.exit(f"sources refresh: failed: {problem}")
