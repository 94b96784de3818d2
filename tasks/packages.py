"""Packages of the package index, as pip is configured to find them: downloaded and read, never built or installed."""

import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel

from tasks.archives import CHUNK, Progress, SourceError, chunks_of, copy, new_file

DEFAULT_INDEX = "https://pypi.org/simple"


def index_archive(source: str, requirement: str, form: str, folder: Path, progress: Progress) -> Path:
    """Download the "sdist" or "wheel" of name==version into `folder` and return its path. `source` is for messages.

    The index, find-links and certificate are pip's own: its variables and configuration files. Raises SourceError for
    a package that is not there or not what the index promised, or no network.
    """
    import httpx2
    from unearth import PackageFinder
    from unearth.fetchers import PyPIClient

    name = requirement.partition("==")[0]
    pip = pip_configuration()
    verify = ssl.create_default_context(cafile=pip.certificate) if pip.certificate else True
    client = PyPIClient(trusted_hosts=pip.trusted_hosts, verify=verify)
    finder = PackageFinder(
        client,  # type: ignore[arg-type]
        index_urls=pip.index_urls,
        find_links=pip.find_links,
        trusted_hosts=pip.trusted_hosts,
        ignore_compatibility=True,
        no_binary=[name] if form == "sdist" else [],
        only_binary=[name] if form == "wheel" else [],
    )
    remedy = "check the network and the index that pip is configured with ('pip config list')"
    try:
        found = next(iter(finder.find_matches(requirement, allow_prereleases=True)), None)
        if found is None:
            raise SourceError(f"source '{source}': no {form} of {requirement} was found: {remedy}")
        target = folder / found.link.filename
        with new_file(target) as (file, hasher), ExitStack() as stack:
            total = 0
            if found.link.is_file:
                chunks = chunks_of(stack.enter_context(found.link.file_path.open("rb")))
            else:
                response = stack.enter_context(client.get_stream(found.link.normalized))
                response.raise_for_status()
                total = int(response.headers.get("content-length") or 0)
                chunks = response.iter_bytes(CHUNK)
            copy(chunks, file, hasher, lambda done: progress(done, total))
            promised = (found.link.hash_option or {}).get("sha256") or []
            if promised and hasher.hexdigest() not in promised:
                raise SourceError(
                    f"source '{source}': {found.link.filename} has sha256 {hasher.hexdigest()}, not what the "
                    f"index promised: fetch it again, and look at the index if that repeats"
                )
        return target
    except httpx2.HTTPError as error:
        raise SourceError(
            f"source '{source}': {requirement} could not be downloaded ({type(error).__name__}): {remedy}"
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
