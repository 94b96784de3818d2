"""Files elsewhere: listed once through fsspec, read in place, and told when they are no longer what was listed."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.physics.ingest_well import WellSource
from tasks.physics.listing import Listed, list_source, read_listing, write_listing
from tasks.physics.statistics import examine
from tasks.sources import SourceError
from tests.tasks.physics import well_files
from tests.tasks.physics.desk import Desk
from tests.tasks.physics.test_ingest_well import rows


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with its index, and parts of files, as servers of data do."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last or len(data) - 1) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    well_files.write_dataset(folder, parameter_sets=({"Re": 100.0},))
    handler = functools.partial(_Ranges, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()


def test_a_folder_a_glob_and_a_file_are_listed_on_disk_and_over_http(server: tuple[str, Path]) -> None:
    address, folder = server
    assert len(list_source(str(folder))) == 3
    assert len(list_source(f"{folder}/noise/data/t*/*.hdf5")) == 2
    assert len(list_source(f"file://{folder}")) == 3
    (one,) = list_source(f"{address}/noise/data/train/noise_Re_100.hdf5")
    assert one.bytes == (folder / "noise/data/train/noise_Re_100.hdf5").stat().st_size
    found = list_source(f"{address}/noise/data/*/*.hdf5")
    assert [one.url for one in found] == sorted(
        f"{address}/noise/data/{s}/noise_Re_100.hdf5" for s in ("train", "valid", "test")
    )


def test_what_cannot_be_listed_is_named_with_a_remedy(tmp_path: Path) -> None:
    for location, told in {
        f"{tmp_path}/nothing/*.hdf5": "no file there ends in",
        "gopher://somewhere/a.hdf5": "no address that fsspec opens",
        "https://me:secret@somewhere/a.hdf5": "no user or password",
        "simplecache::https://me:secret@somewhere/a.hdf5": "no user or password",
        "https://somewhere/a.hdf5?X-Amz-Signature=secret": "no 'X-Amz-Signature='",
        "http://127.0.0.1:1/a.hdf5": "check address and network",
    }.items():
        with pytest.raises(SourceError, match=told) as caught:
            list_source(location)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("location", ["s3://me:secret@bucket/a", "https://somewhere/a.h5?token=secret"])
def test_a_source_with_a_credential_is_refused_where_parameters_are_read(location: str) -> None:
    with pytest.raises(ValidationError, match="it would be recorded"):
        WellSource(location=location, licence="x", credit="y", url="z")


def test_the_hub_needs_the_network_that_its_library_is_kept_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE=0"):
        list_source("hf://datasets/polymathic-ai/active_matter/data")


def test_a_listing_is_read_as_written_and_a_source_that_it_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "listing.csv"
    listed = [("b", Listed("u2", 2, "v,1")), ("a", Listed("u1", 1, ""))]
    write_listing(path, listed)
    assert read_listing(path, ["a", "b"]) == {"a": [listed[1][1]], "b": [listed[0][1]]}
    with pytest.raises(SourceError, match="does not list c: run 'headrace sources refresh'"):
        read_listing(path, ["c"])
    path.write_text("source,url,bytes,version\na,u,many,\n")
    with pytest.raises(SourceError, match="line 2"):
        read_listing(path, ["a"])


def test_remote_files_are_ingested_in_place_and_repacked(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    source = f"{address}/noise/data/*/*.hdf5"
    desk = Desk(tmp_path / "desk")
    write_listing(desk.root / "data/listings/physics.csv", [(source, one) for one in list_source(source)])
    terms = {"location": source, "licence": "CC-BY-4.0", "credit": "the authors", "url": address}
    guessed = desk.plan(sources=[terms], repack="contiguous").disk_needed_bytes
    report = desk.ingest(sources=[terms])
    assert (report.items_in, report.kept) == (3, 3)
    for row in rows(desk, "files"):
        assert (row["root"], row["licence"], row["credit"]) == ("remote", "CC-BY-4.0", "the authors")
        assert row["path"].startswith(address)
    train = folder / "noise/data/train/noise_Re_100.hdf5"
    assert examine(f"{address}/noise/data/train/{train.name}").moments == examine(str(train)).moments
    desk.ingest(sources=[terms], repack="contiguous")
    assert {row["root"] for row in rows(desk, "files")} == {"curated"}
    assert guessed > sum(row["bytes"] for row in rows(desk, "files"))
    assert {row["origin_path"] for row in rows(desk, "files")} == {one.url for one in list_source(source)}


@pytest.mark.parametrize("address", ["{folder}", "file://{folder}"])
def test_a_folder_of_this_machine_is_a_source_and_a_file_that_changed_there_is_told(
    server: tuple[str, Path], tmp_path: Path, address: str
) -> None:
    _, folder = server
    source = address.format(folder=folder / "noise/data/*/*.hdf5")
    desk = Desk(tmp_path / "desk")
    write_listing(desk.root / "data/listings/physics.csv", [(source, one) for one in list_source(source)])
    terms = {"location": source, "licence": "CC-BY-4.0", "credit": "the authors", "url": ""}
    report = desk.ingest(sources=[terms])
    assert (report.kept, report.rejected) == (3, {})
    assert {row["root"] for row in rows(desk, "files")} == {"remote"}
    train = folder / "noise/data/train/noise_Re_100.hdf5"
    os.utime(train, (1, 1))
    report = desk.ingest(sources=[terms], repack="contiguous")
    assert (report.kept, report.rejected) == (2, {"changed": 1})


def test_a_remote_file_that_changed_since_it_was_listed_is_rejected(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    source = f"{address}/noise/data/train/noise_Re_100.hdf5"
    desk = Desk(tmp_path / "desk")
    write_listing(desk.root / "data/listings/physics.csv", [(source, one) for one in list_source(source)])
    with (folder / "noise/data/train/noise_Re_100.hdf5").open("ab") as file:
        file.write(b"more")
    desk.ingest(sources=[{"location": source, "licence": "x", "credit": "y", "url": "z"}])
    (row,) = rows(desk, "rejected")
    assert row["reason"] == "changed"
    assert "headrace sources refresh" in row["detail"]


def test_a_remote_file_that_cannot_be_read_is_tried_again_the_next_time(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = server
    path = folder / "noise/data/train/noise_Re_100.hdf5"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    source = f"{address}/noise/data/train/noise_Re_100.hdf5"
    desk = Desk(tmp_path / "desk")
    write_listing(desk.root / "data/listings/physics.csv", [(source, one) for one in list_source(source)])
    for _ in range(2):
        report = desk.ingest(sources=[{"location": source, "licence": "x", "credit": "y", "url": "z"}])
        assert report.rejected == {"truncated": 1}
        assert len(desk.worked_on) == 1
