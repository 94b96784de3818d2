"""Where raw data comes from: a file inside a package of the package index, or a URL. Fetched once, checked by sha256.

Packages that only carry data are downloaded and read, never built or installed. A finished download lies under its
hash; a half one never has that name.
"""

import hashlib
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks import env

_CHUNK = 1 << 20
DEFAULT_INDEX = "https://pypi.org/simple"
# Parameters of an address that let whoever reads it in; lower case, with _ for -.
_CREDENTIALS = {"token", "access_token", "auth_token", "sig", "signature", "password", "passwd", "secret"}
_CREDENTIALS |= {"key", "api_key", "apikey", "access_key", "client_secret", "awsaccesskeyid"}
_CREDENTIALS |= {"x_amz_signature", "x_amz_credential", "x_amz_security_token", "x_goog_signature", "x_goog_credential"}

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0: not known)


class SourceError(ValueError):
    """A source that cannot be had; the message names it, the reason and the remedy."""


def without_credentials(location: str) -> str:
    """Return an address as it is. Raises ValueError, which does not repeat it, where it lets in whoever reads it."""
    for part in location.split("::"):  # fsspec chains addresses
        address = urllib.parse.urlsplit(part)
        if "@" in address.netloc:
            raise ValueError("no user or password here, it would be recorded; fsspec reads them from its settings")
        for name, _ in urllib.parse.parse_qsl(address.query, keep_blank_values=True):
            if name.lower().replace("-", "_") in _CREDENTIALS:
                raise ValueError(
                    f"no '{name}=' here, it would be recorded: give an address without it, and the credential in "
                    f"fsspec's settings (~/.config/fsspec) or the environment variables of its service"
                )
    return location


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="what the file is called here")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the file itself")
    licence: str = Field(min_length=1)
    credit: str = Field(min_length=1, description="the line that must go with every copy")
    url: str = Field(description="home page of the work")


class PackageSource(_Source):
    """A file inside a source distribution or wheel of the package index."""

    kind: Literal["package"]
    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$", description="name==version")
    format: Literal["sdist", "wheel"]
    member: tuple[str, ...] = Field(
        min_length=1,
        description="path inside the package (without an sdist's top folder), then inside that archive, ...",
    )

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
    with _source_stream(source, downloads, progress) as stream, _new_file(target) as (file, hasher):
        _copy(stream, file, hasher, lambda done: None)
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

    The index, find-links and certificate are pip's own: its variables and configuration files.
    """
    name, _, version = source.requirement.partition("==")
    folder = downloads / "packages" / f"{re.sub(r'[-_.]+', '-', name).lower()}-{version}-{source.format}"
    if finished := sorted(p for p in folder.glob("*") if not p.name.endswith(".partial")):
        return finished[0]
    import httpx2
    from unearth import PackageFinder
    from unearth.fetchers import PyPIClient

    pip = pip_configuration()
    verify = ssl.create_default_context(cafile=pip.certificate) if pip.certificate else True
    client = PyPIClient(trusted_hosts=pip.trusted_hosts, verify=verify)
    finder = PackageFinder(
        client,  # type: ignore[arg-type]
        index_urls=pip.index_urls,
        find_links=pip.find_links,
        trusted_hosts=pip.trusted_hosts,
        ignore_compatibility=True,
        no_binary=[name] if source.format == "sdist" else [],
        only_binary=[name] if source.format == "wheel" else [],
    )
    remedy = "check the network and the index that pip is configured with ('pip config list')"
    try:
        found = next(iter(finder.find_matches(source.requirement, allow_prereleases=True)), None)
        if found is None:
            raise SourceError(f"source '{source.name}': no {source.format} of {source.requirement} was found: {remedy}")
        target = folder / found.link.filename
        with _new_file(target) as (file, hasher), ExitStack() as stack:
            if found.link.is_file:
                stream = stack.enter_context(found.link.file_path.open("rb"))
                _copy(stream, file, hasher, lambda done: progress(done, 0))
            else:
                response = stack.enter_context(client.get_stream(found.link.normalized))
                response.raise_for_status()
                total, done = int(response.headers.get("content-length") or 0), 0
                for chunk in response.iter_bytes(_CHUNK):
                    file.write(chunk)
                    hasher.update(chunk)
                    done += len(chunk)
                    progress(done, total)
            promised = (found.link.hash_option or {}).get("sha256") or []
            if promised and hasher.hexdigest() not in promised:
                raise SourceError(
                    f"source '{source.name}': {found.link.filename} has sha256 {hasher.hexdigest()}, not what the "
                    f"index promised: fetch it again, and look at the index if that repeats"
                )
        return target
    except httpx2.HTTPError as error:
        raise SourceError(
            f"source '{source.name}': {source.requirement} could not be downloaded ({type(error).__name__}): {remedy}"
        ) from error


class PipConfiguration(BaseModel):
    """What pip is told about where packages lie."""

    index_urls: tuple[str, ...] = (DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    certificate: str = ""


def pip_configuration() -> PipConfiguration:
    """Return pip's own settings: variables (PIP_INDEX_URL, ...) before configuration files, as pip reads them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, timeout=120
    )
    return parse_pip_configuration(listed.stdout if listed.returncode == 0 else "", os.environ)


def parse_pip_configuration(listing: str, environ: Mapping[str, str]) -> PipConfiguration:
    """Read the output of `pip config list`. Sections: variables win over [download], and that over [global]."""
    values: dict[str, str] = {}
    lines = [line.partition("=") for line in listing.splitlines()]
    for section in ("global", "download", ":env:"):
        for key, _, value in lines:
            if key.startswith(f"{section}."):
                values[key.removeprefix(f"{section}.")] = " ".join(shlex.split(value)).replace("\\n", " ")
    for key in ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "no-index"):
        if set_by_user := environ.get(f"PIP_{key.replace('-', '_').upper()}"):
            values[key] = set_by_user
    indexes = [values.get("index-url") or DEFAULT_INDEX, *values.get("extra-index-url", "").split()]
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = []
    return PipConfiguration(
        index_urls=tuple(indexes),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        certificate=values.get("cert", ""),
    )


# --- archives ---------------------------------------------------------------------------------------------------


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
        shutil.copyfileobj(stream, file, _CHUNK)
        file.seek(0)
        yield file


@contextmanager
def _new_file(target: Path) -> "Iterator[tuple[IO[bytes], hashlib._Hash]]":
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


def _copy(stream: IO[bytes], file: IO[bytes], hasher: "hashlib._Hash", progress: Callable[[int], None]) -> None:
    done = 0
    while chunk := stream.read(_CHUNK):
        file.write(chunk)
        hasher.update(chunk)
        done += len(chunk)
        progress(done)


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
