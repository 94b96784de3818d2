"""Packages of an npm registry: their archive as it was published, downloaded and checked; nothing of it is run.

Neither npm nor node is needed: their settings (.npmrc files, npm_config_ variables) are read as npm's own
@npmcli/config and npm-registry-fetch read them.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import shutil
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.archives import CHUNK, Progress, SourceError, copy, new_file

PUBLIC_REGISTRY = "https://registry.npmjs.org/"
# what `npm install` asks for: the short form of a package's document
_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
_HASHES = ("sha512", "sha384", "sha256", "sha1")  # of an integrity, the strongest first
_NO_PROXY = ("", "null", "false")
_REMEDY = "check the network and npm's settings (registry, proxy, cafile ... in .npmrc or npm_config_ variables)"


@dataclass(frozen=True)
class NpmSettings:
    """npm's settings by their names in .npmrc, e.g. registry, @scope:registry, //host/:_authToken."""

    values: Mapping[str, str]
    places: Mapping[str, str] = field(default_factory=dict)  # where a setting stands: a file, or a variable

    def named(self, key: str) -> str:
        """Return a setting as messages name it, with the place where it is to be corrected."""
        return f"npm's setting {key} ({self.places[key]})" if key in self.places else f"npm's setting {key}"

    def registry(self, package: str) -> str:
        """Return the address of the registry of a package, with a slash at its end."""
        scope = package.partition("/")[0] if package.startswith("@") else ""
        address = self.values.get(f"{scope}:registry") if scope else None
        return (address or self.values.get("registry") or PUBLIC_REGISTRY).rstrip("/") + "/"

    def authorization(self, address: str, registry: str) -> str | None:
        """Return the header that lets us in at `address`, or None.

        Settings hold for all below //host/path; what a registry serves on its own host is asked for as the registry.
        """
        header = self._below(address)
        same_host = urllib.parse.urlsplit(address)[:2] == urllib.parse.urlsplit(registry)[:2]
        return header or (self._below(registry) if same_host else None)

    def _below(self, address: str) -> str | None:
        parts = urllib.parse.urlsplit(address)
        key = f"//{parts.netloc.rpartition('@')[2]}{parts.path}"
        while len(key) > len("//"):
            found = {n: self.values.get(f"{key}:{n}") for n in ("_authToken", "_auth", "username", "_password")}
            for name, kind in (("_authToken", "Bearer"), ("_auth", "Basic")):
                if value := found[name]:
                    if not all(" " <= character <= "~" for character in value):
                        raise SourceError(f"{self.named(f'{key}:{name}')} has signs that none has: set it anew")
                    return f"{kind} {value}"
            if found["username"] and found["_password"]:
                try:
                    password = base64.b64decode(found["_password"]).decode()
                except (binascii.Error, ValueError):
                    named = self.named(f"{key}:_password")
                    raise SourceError(f"{named} is not base64: set it by 'npm login'") from None
                pair = f"{found['username']}:{password}"
                return f"Basic {base64.b64encode(pair.encode()).decode()}"
            key = re.sub(r"([^/]+|/)$", "", key)
        return None

    def moved(self, tarball: str, registry: str) -> str:
        """Return where an archive lies: an address of the public registry means the registry in use (a mirror)."""
        rule = self.values.get("replace-registry-host", "npmjs")
        host = {"npmjs": "registry.npmjs.org"}.get(rule, rule)
        parts = urllib.parse.urlsplit(tarball)
        if rule != "always" and parts.netloc != host:
            return tarball
        base = urllib.parse.urlsplit(registry)
        path = parts.path if parts.path.startswith(base.path) else base.path + parts.path.lstrip("/")
        return urllib.parse.urlunsplit((base.scheme, base.netloc, path, parts.query, ""))

    def verify(self, extra: str | None = None) -> ssl.SSLContext | bool:
        """Return how certificates are checked; `extra` is a file of further ones, as NODE_EXTRA_CA_CERTS names it."""
        if self.values.get("strict-ssl") == "false":
            return False
        file, inline = self.values.get("cafile"), self.values.get("ca", "").replace("\\n", "\n")
        if not (file or inline or extra):
            return True
        try:
            context = ssl.create_default_context(cafile=file or None, cadata=inline or None)
        except (OSError, ValueError, TypeError) as error:  # TypeError: of an inline one that is not ASCII
            named = f"{self.named('cafile')} = {file}" if file else self.named("ca")
            raise SourceError(f"{named} cannot be used ({_said(error)}): correct it there") from None
        if extra and Path(extra).is_file():  # node too only warns of one that is missing
            try:
                context.load_verify_locations(extra)
            except (OSError, ValueError) as error:
                raise SourceError(
                    f"NODE_EXTRA_CA_CERTS={extra} cannot be used ({_said(error)}): set it to a PEM file, or unset it"
                ) from None
        return context

    def proxies(self) -> dict[str, Any]:
        """Return the arguments of an HTTP client that say what goes through which proxy.

        Without npm's own settings those of the environment count (HTTPS_PROXY, NO_PROXY ...).
        """
        key = next((key for key in ("https-proxy", "proxy") if self.values.get(key, "null") not in _NO_PROXY), None)
        if key is None:
            return {}
        import httpx2

        excepted = self.values.get("noproxy") or os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")
        hosts = re.split(r"[\s,]+", excepted)
        try:
            proxy = httpx2.Proxy(self.values[key])
            mounts = {f"all://{'' if _is_numeric(host) else '*'}{host.lstrip('*.')}": None for host in hosts if host}
        except (ValueError, httpx2.InvalidURL):
            raise SourceError(f"{self.named(key)} is no address of a proxy: correct it there") from None
        return {"proxy": proxy, "mounts": mounts}


# --- settings ---------------------------------------------------------------------------------------------------


def npm_settings(environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> NpmSettings:
    """Read the settings that npm would use in `folder` (default: the working directory).

    Variables win over the project's .npmrc, that over the user's, and that over the one of the installation.
    """
    by_variable = settings_of_variables(environ)
    home = Path(environ.get("HOME") or Path.home())
    user_file = Path(by_variable.get("userconfig") or home / ".npmrc")
    user = _settings_of_file(user_file, environ)
    prefix = by_variable.get("prefix") or user.get("prefix") or environ.get("PREFIX")
    node = shutil.which("node", path=environ.get("PATH"))
    if not prefix:  # npm's default: the folder above that of node
        prefix = str(Path(node).resolve().parent.parent) if node else "/usr/local"
    shared_file = by_variable.get("globalconfig") or user.get("globalconfig") or Path(prefix) / "etc" / "npmrc"
    project_file = _project(folder or Path.cwd()) / ".npmrc"
    project = {} if _same(project_file, user_file) else _settings_of_file(project_file, environ)
    layers: list[tuple[str, Mapping[str, str]]] = [
        (str(shared_file), _settings_of_file(Path(shared_file), environ)),
        (str(user_file), user),
        (str(project_file), project),
        ("its npm_config_ variable", by_variable),
    ]
    values = {key: value for _, layer in layers for key, value in layer.items()}
    if values.get("cafile", "").startswith("~/"):
        values["cafile"] = str(home / values["cafile"][2:])
    return NpmSettings(values, {key: place for place, layer in layers for key in layer})


def settings_of_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in npm_config_ variables, in upper or lower case; an empty one is none."""
    found = {}
    for name, value in environ.items():
        key = name[len("npm_config_") :]
        if name.lower().startswith("npm_config_") and value:
            found[key if key.startswith("//") else key[:1].lower() + key[1:].replace("_", "-").lower()] = value
    return found


def parse_npmrc(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Read an .npmrc file: lines of `key = value`, comments after ; or #, ${NAME} from the environment.

    Values of a list (`ca[] = ...`) are joined by line feeds. What stands below a [section] is no setting of npm's.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            break
        if not line or line[0] in ";#":
            continue
        key, equals, value = line.partition("=")
        key = _expanded(_unquoted(key), environ)
        value = _expanded(_unquoted(value), environ) if equals else "true"
        if key.endswith("[]"):
            key = key[:-2]
            value = f"{found[key]}\n{value}" if key in found else value
        found[key] = value
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        try:
            return str(json.loads(text if text[0] == '"' else f'"{text[1:-1]}"'))
        except ValueError:
            return text[1:-1]
    plain = re.match(r"(?:\\.|[^;#\\]|\\$)*", text)
    assert plain is not None, "an empty match is a match"
    return re.sub(r"\\([;#\\])", r"\1", plain[0]).strip()


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    """Put the values of variables for ${NAME}; one that is not set stays as written, and ${NAME?} is then empty."""

    def value(match: re.Match[str]) -> str:
        name, optional = match[1], match[2]
        return environ.get(name, "" if optional else match[0])

    return re.sub(r"(?<!\\)\$\{([^${}?]+)(\?)?\}", value, text)


def _settings_of_file(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    try:
        return parse_npmrc(file.read_text(encoding="utf-8-sig"), environ)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"npm's settings {file} cannot be read ({error}): mend or remove it") from None


def _project(folder: Path) -> Path:
    """Return npm's project: the nearest folder with a package.json or node_modules, else `folder`."""
    above = (folder, *folder.parents)
    return next((f for f in above if (f / "package.json").exists() or (f / "node_modules").is_dir()), folder)


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_numeric(host: str) -> bool:
    return re.fullmatch(r"[\d.]+", host) is not None


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


# --- archives ---------------------------------------------------------------------------------------------------


def npm_archive(source: str, requirement: str, folder: Path, progress: Progress) -> Path:
    """Download the archive of name==version into `folder` and return its path. `source` is for messages.

    Raises SourceError for a package or version that is not there, an archive that is not what the registry promised,
    a refusal, or no network.
    """
    import httpx2

    name, _, version = requirement.partition("==")
    where = f"source '{source}': {requirement} (npm)"
    try:
        settings = npm_settings()
        registry, verify = settings.registry(name), settings.verify(os.environ.get("NODE_EXTRA_CA_CERTS"))
        with httpx2.Client(verify=verify, follow_redirects=True, timeout=30, **settings.proxies()) as client:

            def get(address: str, accept: str) -> Any:
                headers = {"accept": accept, "accept-encoding": "identity"}  # an archive is checked as it was packed
                if header := settings.authorization(address, registry):
                    headers["authorization"] = header
                return client.stream("GET", address, headers=headers)

            with get(registry + name.replace("/", "%2f"), _ACCEPT) as response:
                _check(response.status_code, where, f"the registry has no package {name}")
                dist = _dist(response.read(), version, where)
            target = folder / f"{name.rpartition('/')[2]}-{version}.tgz"
            try:
                address = settings.moved(dist["tarball"], registry)
            except ValueError:
                raise SourceError(f"{where}: the registry tells no address of its archive: {_REMEDY}") from None
            promise = _Promise(dist)
            with new_file(target) as (file, sha256), get(address, "*/*") as response:
                _check(response.status_code, where, "the registry does not have its archive")
                total = int(response.headers.get("content-length") or 0)
                copy(response.iter_bytes(CHUNK), file, promise.hasher or sha256, lambda done: progress(done, total))
                promise.check(where)
        return target
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SourceError(f"{where} could not be downloaded ({type(error).__name__}): {_REMEDY}") from None
    except SourceError as error:
        if str(error).startswith("source '"):
            raise
        raise SourceError(f"{where}: {error}") from None
    except ValueError as error:  # its text may repeat what nobody may read
        told = f"npm's settings name a registry that is no address ({type(error).__name__})"
        raise SourceError(f"{where}: {told}: {_REMEDY}") from None


def _check(status: int, where: str, missing: str) -> None:
    if status in (401, 403):
        raise SourceError(
            f"{where} was refused (HTTP {status}): log in to the registry ('npm login', or //host/:_authToken in the "
            f"user's .npmrc)"
        )
    if status == 404:
        raise SourceError(f"{where}: {missing}: correct 'requirement' in params.yaml, or {_REMEDY}")
    if status != 200:
        raise SourceError(f"{where} could not be downloaded (HTTP {status}): {_REMEDY}")


def _dist(document: bytes, version: str, where: str) -> dict[str, str]:
    """Return what the registry says of a version's archive: tarball, integrity, shasum."""
    try:
        dist = json.loads(document)["versions"].get(version, {"dist": {}})["dist"]
        found = {key: dist[key] for key in ("tarball", "integrity", "shasum") if isinstance(dist.get(key), str)}
        bytes.fromhex(found.get("shasum", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(f"{where}: the answer is not that of an npm registry: {_REMEDY}") from None
    if "tarball" not in found:
        raise SourceError(f"{where}: the registry has no version {version}: correct 'requirement' in params.yaml")
    return found


class _Promise:
    """The hash that a registry promised of an archive, and `hasher` for the bytes that come."""

    def __init__(self, dist: Mapping[str, str]) -> None:
        entries = [entry.partition("?")[0].partition("-") for entry in dist.get("integrity", "").split()]
        promised: dict[str, set[str]] = {}
        for kind, _, digest in entries:
            promised.setdefault(kind, set()).add(digest)
        if not promised.keys() & set(_HASHES) and "shasum" in dist:
            promised = {"sha1": {base64.b64encode(bytes.fromhex(dist["shasum"])).decode()}}
        self._kind = next((kind for kind in _HASHES if kind in promised), None)
        self._promised = promised.get(self._kind or "", set())
        self.hasher = hashlib.new(self._kind) if self._kind else None

    def check(self, where: str) -> None:
        if self.hasher is None:
            return  # an old registry promises nothing; the file itself is still checked by sha256
        came = base64.b64encode(self.hasher.digest()).decode()
        if came not in self._promised:
            raise SourceError(
                f"{where}: its archive has {self._kind} {came}, not what the registry promised: fetch it again, and "
                f"look at the registry if that repeats"
            )
