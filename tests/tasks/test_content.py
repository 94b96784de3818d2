"""A file is its bytes; a large one is read once however it is renamed."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from tasks import content
from tasks.store import HashMemory, Store, content_hash
from tasks.workers import is_trouble

LARGE = content.REMEMBER_FROM_BYTES


@pytest.fixture
def memory(tmp_path):
    return HashMemory(Store(tmp_path / "store"))


def film(path: Path, fill: bytes = b"a", size: int = LARGE, age_s: float = 3600) -> Path:
    path.write_bytes(fill * size)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_hash_is_the_sha256_of_the_bytes(tmp_path):
    path = film(tmp_path / "film.mp4", size=LARGE + 3)
    assert content_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert content_hash(film(tmp_path / "empty", size=0)) == hashlib.sha256(b"").hexdigest()


def test_a_large_file_is_read_once_even_by_the_next_process(tmp_path, memory):
    path = film(tmp_path / "film.mp4")
    first = content_hash(path, memory)
    again = HashMemory(Store(tmp_path / "store"))
    assert content_hash(path, memory) == content_hash(path, again) == first
    assert (memory.reads, again.reads) == (1, 0)


def test_a_renamed_file_keeps_its_hash_without_being_read(tmp_path, memory):
    path = film(tmp_path / "film.mp4")
    first = content_hash(path, memory)
    (tmp_path / "other").mkdir()
    assert content_hash(path.rename(tmp_path / "other" / "name.mkv"), memory) == first
    assert memory.reads == 1


def test_changed_bytes_are_read_again(tmp_path, memory):
    path = film(tmp_path / "film.mp4")
    first = content_hash(path, memory)
    with path.open("r+b") as file:
        file.write(b"b")
    changed = content_hash(path, memory)
    assert changed == hashlib.sha256(path.read_bytes()).hexdigest() != first
    assert memory.reads == 2


def test_another_file_of_the_same_path_time_and_size_is_read(tmp_path, memory):
    path = film(tmp_path / "film.mp4")
    stat = path.stat()
    first = content_hash(path, memory)
    other = film(tmp_path / "other.mp4", b"b")
    os.utime(other, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert content_hash(path, memory) == hashlib.sha256(b"b" * LARGE).hexdigest() != first


def test_a_file_that_was_just_written_is_not_trusted_to_stay(tmp_path, memory):
    path = film(tmp_path / "film.mp4", age_s=0)
    stat = path.stat()
    content_hash(path, memory)
    with path.open("r+b") as file:  # a change within the clock's grain
        file.write(b"b")
    os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert content_hash(path, memory) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, memory, monkeypatch):
    path = film(tmp_path / "film.mp4")

    class HashWhileSomebodyWrites:
        def update(self, data):
            path.write_bytes(b"short")

    monkeypatch.setattr(content.hashlib, "sha256", HashWhileSomebodyWrites)
    with pytest.raises(OSError, match=r"changed while it was read.*run again.*film\.mp4") as raised:
        content_hash(path)
    assert is_trouble(raised.value)  # of the moment: the file is not bad


def test_small_files_take_no_room_in_the_store(tmp_path, memory):
    path = film(tmp_path / "note.txt", size=100)
    content_hash(path, memory)
    assert not (tmp_path / "store").exists()
