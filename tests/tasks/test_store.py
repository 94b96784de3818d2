"""The store: what `put` returned for is there, whoever dies, merges or writes at the same time."""

import hashlib
import io
import json
import logging
import math
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import segments
from tasks.store import Store, StoreError, canonical_json, key_of

SCAN = ("scan_video", "3", {"fps": 4, "width": 256})


@pytest.fixture(params=["folder", "memory"])
def url(request, tmp_path):
    return str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/store"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def put(writer, number: int, function: str = "scan_video") -> str:
    return writer.put(function, *SCAN[1:], f"input {number}", {"number": number, "luma": number / 7})


def key(number: int, function: str = "scan_video") -> str:
    return key_of(function, *SCAN[1:], f"input {number}")


def numbers(store: Store, keys) -> list[int]:
    return sorted(record.value["number"] for record in store.get_many("scan_video", keys).values())


def files(store: Store, function: str = "scan_video") -> list[str]:
    return store._place.list(f"records/{function}", "")


def at_rest(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- keys ---


def test_a_key_is_the_sha256_of_canonical_json():
    text = '{"function":"f","input_hash":"ab","params":{"a":[1,2.5],"b":"\u00e9"},"version":"1"}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert key_of("f", "1", {"b": "\u00e9", "a": [1, 2.5]}, "ab") == expected


def test_everything_that_makes_a_result_changes_its_key():
    keys = {
        key_of("f", "1", {"a": 1}, "ab"),
        key_of("g", "1", {"a": 1}, "ab"),
        key_of("f", "2", {"a": 1}, "ab"),
        key_of("f", "1", {"a": 2}, "ab"),
        key_of("f", "1", {"a": "1"}, "ab"),
        key_of("f", "1", {"a": 1, "b": None}, "ab"),
        key_of("f", "1", {"a": 1}, "ac"),
    }
    assert len(keys) == 7


@pytest.mark.parametrize(
    "value",
    [{"a": math.nan}, {"a": (1, 2)}, {1: "a"}, {"a": np.float32(1)}, {"a": b"x"}, {"a": {1, 2}}, {"a": "\udcff"}],
)
def test_what_json_would_change_is_refused_before_anything_is_written(folder, value):
    with Store(folder).writer() as writer, pytest.raises(ValueError, match="JSON"):
        writer.put(*SCAN, "ab", value)
    with pytest.raises(ValueError, match="JSON"):
        key_of("f", "1", value, "ab")
    assert at_rest(folder) == []


def test_floats_come_back_exactly():
    values = {str(i): math.ldexp(random.Random(i).random(), i * 20 - 500) for i in range(50)}
    assert json.loads(canonical_json(values)) == values


# --- records ---


def test_a_record_comes_back_as_it_was_put(url):
    store = Store(url)
    blob = store.put_blob(b"strip")
    value = {"score": 0.1, "name": "\u00fcber", "none": None, "list": [1, [2.5, "x"]], "deep": {"yes": True}}
    with store.writer() as writer:
        name = writer.put("scan_video", "3", {"fps": 4}, "ab", value, [blob])
    for reader in (store, Store(url)):
        record = reader.get("scan_video", name)
        assert (record.key, record.function, record.version) == (name, "scan_video", "3")
        assert (record.params, record.input_hash, record.value, record.blobs) == ({"fps": 4}, "ab", value, [blob])
        assert reader.has("scan_video", name)
        assert reader.get("scan_video", key(1)) is None
        assert not reader.has("scan_video", key(1))
        assert reader.get("other", name) is None


def test_a_put_is_seen_by_its_own_store_and_by_new_ones_while_the_writer_is_open(url):
    store = Store(url)
    assert not store.has("scan_video", key(1))
    with store.writer() as writer:
        for number in range(40):
            put(writer, number)
            assert store.has("scan_video", key(number))
            assert Store(url).get("scan_video", key(number)).value["number"] == number


def test_a_writer_of_single_records_merges_them_without_reading_them_again(url):
    store = Store(url)
    with store.writer() as writer:
        for number in range(300):
            put(writer, number)
        assert store.opened == 0
        assert len(files(store)) < 50
    assert numbers(Store(url), map(key, range(300))) == list(range(300))


def test_merging_what_others_have_merged_before_loses_nothing(url):
    first, second = Store(url), Store(url)
    with first.writer() as writer:
        for number in range(10):
            put(writer, number)
        second.compact("scan_video")  # the ten are one segment now, which the first writer has not seen
        assert len(files(second)) == 1
        for number in range(10, 20):
            put(writer, number)
    assert numbers(Store(url), map(key, range(20))) == list(range(20))


def test_a_batch_is_one_segment(url):
    store = Store(url)
    with store.writer() as writer:
        keys = writer.put_many(*SCAN, [(f"input {i}", {"number": i}, []) for i in range(1000)])
        assert len(files(store)) == 1
    assert keys == [key(i) for i in range(1000)]
    assert numbers(Store(url), keys) == list(range(1000))


def test_the_same_result_twice_is_one_record(url):
    store = Store(url)
    for _ in range(2):
        with store.writer() as writer:
            writer.put_many(*SCAN, [("input 1", {"number": 1}, [])] * 3)
    assert store.table("scan_video").num_rows == 1


def test_many_puts_leave_few_files_and_a_closed_writer_one(url):
    store = Store(url)
    with store.writer() as writer:
        for number in range(200):
            put(writer, number)
        assert len(files(store)) < 2 * segments.FAN_IN
    assert len(files(store)) == 1
    assert numbers(Store(url), map(key, range(200))) == list(range(200))


def test_many_writers_of_one_record_leave_few_files(url):
    for number in range(100):
        with Store(url).writer() as writer:
            put(writer, number)
    assert len(files(Store(url))) < 2 * segments.FAN_IN
    assert numbers(Store(url), map(key, range(100))) == list(range(100))


def test_a_failed_writer_keeps_what_it_put(url):
    with pytest.raises(KeyError), Store(url).writer() as writer:
        put(writer, 1)
        raise KeyError
    assert Store(url).has("scan_video", key(1))
    with pytest.raises(ValueError, match="closed"):
        put(writer, 2)


def test_no_segment_outgrows_its_limit(url, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 20_000)
    store = Store(url)
    with store.writer() as writer:
        for number in range(300):
            writer.put(*SCAN, f"input {number}", {"number": number, "text": "x" * 300})
    store.compact("scan_video")
    sizes = [pq.read_table(store._place.source(f"records/scan_video/{name}")).nbytes for name in files(store)]
    assert max(sizes) <= 20_000
    assert min(sorted(sizes)[1:]) > 10_000
    assert numbers(Store(url), map(key, range(300))) == list(range(300))


def test_a_batch_beyond_the_limit_becomes_several_segments(folder, monkeypatch):
    monkeypatch.setattr("tasks.store.SEGMENT_BYTES", 20_000)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 20_000)
    store = Store(folder)
    with store.writer() as writer:
        writer.put_many(*SCAN, [(f"input {i}", {"number": i}, []) for i in range(500)])
    assert len(files(store)) > 3
    assert numbers(store, map(key, range(500))) == list(range(500))


def test_a_refresh_reads_new_segments_only(url):
    with Store(url).writer() as writer:
        put(writer, 1)
    reader = Store(url)
    assert reader.has("scan_video", key(1))
    with Store(url).writer() as writer:
        put(writer, 2)
    assert not reader.has("scan_video", key(2))
    opened = reader.opened
    reader.refresh()
    assert reader.opened == opened + 1
    assert reader.has("scan_video", key(2))


def test_a_reader_finds_what_was_merged_behind_its_back(url):
    store = Store(url)
    with pytest.raises(KeyError), store.writer() as writer:
        for number in range(10):
            put(writer, number)
        raise KeyError
    reader = Store(url)
    assert reader.has("scan_video", key(3))
    assert store.compact("scan_video") == 1
    assert reader.get("scan_video", key(3)).value["number"] == 3
    assert numbers(reader, map(key, range(10))) == list(range(10))
    assert reader.table("scan_video").num_rows == 10


def test_a_listing_that_misses_both_sides_of_a_merge_is_not_believed(folder, monkeypatch):
    store = Store(folder)
    with store.writer() as writer:
        put(writer, 1)
    true = store._place.list
    # what readdir may answer when old names go and a new one comes in the midst of it
    answers = iter([[f"{uuid.uuid4().hex}-500.parquet"], []])
    reader = Store(folder)
    monkeypatch.setattr(reader._place, "list", lambda *asked: next(answers, None) or true(*asked))
    assert reader.has("scan_video", key(1))


def test_a_merge_whose_inputs_somebody_else_merges_loses_nothing(folder):
    first, second = Store(folder), Store(folder)
    with pytest.raises(KeyError), first.writer() as writer:
        for number in range(6):
            put(writer, number)
        raise KeyError
    stale = first._segments("scan_video").refresh()
    second.compact("scan_video")
    assert first._segments("scan_video").merge(stale) == []
    assert numbers(Store(folder), map(key, range(6))) == list(range(6))


def test_threads_may_share_a_store_and_a_writer(url):
    store = Store(url)
    errors: list[Exception] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 30):
                put(writer, number)
                assert store.get("scan_video", key(number)).value["number"] == number
        except Exception as error:
            errors.append(error)
            raise

    with store.writer() as writer:
        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert store.table("scan_video").num_rows == 90


def test_a_store_can_be_sent_to_another_process(folder):
    with Store(folder).writer() as writer:
        put(writer, 1)
    assert pickle.loads(pickle.dumps(Store(folder))).has("scan_video", key(1))  # noqa: S301


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a*"])
def test_a_function_name_cannot_leave_its_folder(folder, name):
    with pytest.raises(ValueError, match="function"):
        Store(folder).get(name, key(1))


# --- death and company ---

PUTTING = """
import sys
from tasks.store import Store
start, url = int(sys.argv[1]), sys.argv[2]
store = Store(url)
number = start
with store.writer() as writer:
    while number < start + int(sys.argv[3]):
        writer.put("scan_video", "3", {"fps": 4, "width": 256}, f"input {number}", {"number": number})
        print(number, flush=True)
        number += 1
"""
COMPACTING = """
import sys
from tasks.store import Store
while True:
    Store(sys.argv[1]).compact("scan_video")
    print("compacted", flush=True)
"""
# dies at the n-th time that it is about to change the folder: sync, rename, remove; else says how often it did
DYING = """
import atexit, os, signal, sys
from pathlib import Path
steps = 0
def counted(original):
    def call(*args, **kwargs):
        global steps
        steps += 1
        if steps == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    return call
os.fsync = counted(os.fsync)
Path.replace = counted(Path.replace)
Path.unlink = counted(Path.unlink)
atexit.register(lambda: print(-steps, flush=True))
"""


def start(code: str, *args) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


def test_killed_at_any_step_a_writer_loses_nothing_that_put_returned_for(folder):
    # 20 puts: the 16th starts a merge, and closing one more
    total = -int(start(DYING + PUTTING, 0, folder / "whole", 20, 0).communicate(timeout=60)[0].split()[-1])
    assert total > 80
    steps = [1, 2, 3, 4, *range(total - 46, total - 2, 5), total]
    for pair in zip(steps[::2], steps[1::2], strict=True):
        running = {step: start(DYING + PUTTING, 0, folder / str(step), 20, step) for step in pair}
        for step, process in running.items():
            said = {int(line) for line in process.communicate(timeout=60)[0].split()}
            assert process.returncode == -signal.SIGKILL
            store = Store(folder / str(step))
            assert said <= set(numbers(store, map(key, range(20))))
            assert store.damaged == {}
            with store.writer() as writer:  # and the next run goes on
                for number in range(20):
                    if not store.has("scan_video", key(number)):
                        put(writer, number)
            assert store.compact("scan_video") == 1
            assert numbers(Store(folder / str(step)), map(key, range(20))) == list(range(20))


def test_writers_killed_in_loops_beside_a_compactor_and_a_reader_lose_nothing(folder):
    chance = random.Random(5)
    reader = Store(folder)
    said: set[int] = set()
    compactor = start(COMPACTING, folder)
    try:
        for loop in range(4):
            writers = [start(PUTTING, loop * 10_000 + i * 5_000, folder, 5_000) for i in range(2)]
            for writer in writers:
                writer.stdout.readline()  # it is at work
            until = time.monotonic() + 0.3 + chance.random()
            while time.monotonic() < until:
                seen = set(numbers(reader, map(key, said)))
                assert seen == said
                reader.refresh()
            for writer in writers:
                writer.kill()
                first = int(loop * 10_000 + writers.index(writer) * 5_000)
                said |= {first, *(int(line) for line in writer.communicate()[0].split("\n")[:-1] if line)}
            reader.refresh()
            assert set(numbers(reader, map(key, said))) == said
        assert compactor.poll() is None
    finally:
        compactor.kill()
        compactor.communicate()
    assert len(said) > 50
    assert set(numbers(Store(folder), map(key, said))) == said
    assert Store(folder).damaged == reader.damaged == {}
    assert Store(folder).compact("scan_video") == 1
    assert set(numbers(reader, map(key, said))) == said


def test_processes_that_write_the_same_records_at_once_end_with_one_of_each(folder):
    writers = [start(PUTTING, first, folder, 60) for first in (0, 0, 30)]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    store = Store(folder)
    assert numbers(store, map(key, range(90))) == list(range(90))
    assert store.table("scan_video").num_rows == 90
    assert store.compact("scan_video") == 1


def test_what_a_killed_writer_left_half_written_is_never_read_and_swept_when_old(folder):
    store = Store(folder)
    with store.writer() as writer:
        put(writer, 1)
    for name, age_s in (("young", 60), ("old", 100_000)):
        half = folder / "partial" / name
        half.write_bytes(b"PAR1 half a segment")
        os.utime(half, (time.time() - age_s,) * 2)
    reader = Store(folder)
    assert numbers(reader, [key(1)]) == [1]
    reader.compact("scan_video")
    assert [path.name for path in (folder / "partial").iterdir()] == ["young"]


def test_a_full_disk_is_an_error_and_leaves_no_trace(folder, monkeypatch):
    store = Store(folder)
    with store.writer() as writer:
        put(writer, 1)
    before = at_rest(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"), store.writer() as writer:
        put(writer, 2)
    with pytest.raises(OSError, match="No space"):
        store.put_blob(b"x")
    assert at_rest(folder) == before
    assert not store.has("scan_video", key(2))


# --- damage ---


def spread(folder: Path, count: int = 3) -> list[Path]:
    """Write `count` segments of ten records each and return their files in that order."""
    made: list[Path] = []
    for number in range(count):
        with pytest.raises(KeyError), Store(folder).writer() as writer:
            rows = range(number * 10, number * 10 + 10)
            writer.put_many(*SCAN, [(f"input {i}", {"number": i, "luma": i / 7}, []) for i in rows])
            raise KeyError
        made += sorted(set((folder / "records" / "scan_video").iterdir()) - set(made))
    return made


def flip_last_value(path: Path) -> None:
    column = pq.read_metadata(path).row_group(0).column(5)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 40] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_table(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def unsorted(path: Path) -> None:
    pq.write_table(pq.read_table(path).take([1, 0]), path)


@pytest.mark.parametrize("damage", [truncate, empty, other_table, unsorted, flip_last_value])
def test_a_damaged_segment_is_named_once_and_only_its_items_are_done_again(folder, caplog, damage):
    torn = spread(folder)[1]
    damage(torn)
    store = Store(folder)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert numbers(store, map(key, range(30))) == [*range(10), *range(20, 30)]
            assert store.table("scan_video").num_rows == 20
            store.refresh()
    assert len(caplog.records) == 1
    assert str(torn) in caplog.text
    assert "Delete the file" in caplog.text
    assert list(store.damaged) == [str(torn)]
    with store.writer() as writer:
        for number in range(10, 20):
            put(writer, number)
    assert numbers(store, map(key, range(30))) == list(range(30))
    store.compact("scan_video")
    assert torn.exists()
    assert numbers(Store(folder), map(key, range(30))) == list(range(30))


def test_trouble_of_the_disk_is_not_taken_for_damage(folder, monkeypatch):
    spread(folder)
    store = Store(folder)

    def sick(path):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(store._place, "source", sick)
    with pytest.raises(OSError, match="Input/output"):
        store.get("scan_video", key(1))


# --- scale ---


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_million_records_take_few_files_and_a_lookup_opens_one(folder, count):
    store = Store(folder)
    with store.writer() as writer:
        for begin in range(0, count, 10_000):
            rows = range(begin, begin + 10_000)
            writer.put_many("scores", "1", {}, [(str(i), {"number": i}, []) for i in rows])
    segment_count = len(files(store, "scores"))
    assert segment_count < 40
    reader = Store(folder)
    wanted = key_of("scores", "1", {}, "77777")
    assert reader.has("scores", wanted)
    assert reader.opened == segment_count  # once for its keys
    assert reader.get("scores", wanted).value == {"number": 77_777}
    assert reader.opened == segment_count + 1
    some = {key_of("scores", "1", {}, str(i)): i for i in range(0, count, 503)}
    found = reader.get_many("scores", [*some, key(1)])
    assert {name: record.value["number"] for name, record in found.items()} == some
    assert reader.opened <= 2 * segment_count + 1


# --- blobs ---


def test_a_blob_is_named_by_its_sha256_and_kept_once(url):
    store = Store(url)
    data = random.Random(1).randbytes(3_000_000)
    name = store.put_blob(data)
    assert name == hashlib.sha256(data).hexdigest()
    assert store.put_blob(io.BytesIO(data)) == name
    assert store.has_blob(name)
    with Store(url).open_blob(name) as file:
        assert file.read() == data
    assert store._place.list(f"blobs/{name[:2]}", "") == [name]


def test_a_blob_is_a_file_where_the_store_is_a_folder(folder):
    name = Store(folder).put_blob(b"film")
    assert Store(folder).blob_path(name).read_bytes() == b"film"
    assert at_rest(folder) == [folder / "blobs" / name[:2] / name]
    assert Store("memory://x").blob_path(name) is None


def test_a_missing_blob_is_named_with_a_remedy(url):
    name = hashlib.sha256(b"gone").hexdigest()
    with pytest.raises(StoreError, match=f"{name}.*bring it back"):
        Store(url).open_blob(name)
    assert not Store(url).has_blob(name)
    with pytest.raises(ValueError, match="no name of a blob"):
        Store(url).open_blob("../../etc/passwd")


def test_a_blob_that_breaks_off_is_not_visible(folder):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 2_000_000:
                raise OSError("the network went away")
            return super().read(size)

    with pytest.raises(OSError, match="went away"):
        Store(folder).put_blob(Broken(bytes(5_000_000)))
    assert at_rest(folder) == []


def test_a_blob_that_lost_its_end_is_put_right_by_the_next_put(folder):
    store = Store(folder)
    path = store.blob_path(store.put_blob(b"whole"))
    path.write_bytes(b"who")
    store.put_blob(b"whole")
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("as_file", [False, True])
def test_a_blob_damaged_at_its_size_is_put_right_by_the_next_put(url, as_file):
    store, data = Store(url), b"whole" * 1000
    name = store.put_blob(data)
    store._place.put(f"blobs/{name[:2]}/{name}", b"where" * 1000)
    assert store.put_blob(io.BytesIO(data) if as_file else data) == name
    with store.open_blob(name) as file:
        assert file.read() == data


def some_table() -> pa.Table:
    return pa.table({"pts": np.arange(1000), "luma": np.arange(1000, dtype=np.float32) / 7})


@pytest.mark.parametrize("begin", [0, 500, -200])
def test_a_damaged_table_is_set_aside_so_that_it_is_made_anew(url, begin):
    store = Store(url)
    name = store.table_blob(some_table())
    path = f"blobs/{name[:2]}/{name}"
    data = bytearray(store.open_blob(name).read())
    data[begin : begin + 20 or None] = b"x" * 20
    store._place.put(path, bytes(data))
    with pytest.raises(StoreError, match=rf"{name} is damaged .* set aside as .*damaged/{name}: .* run again"):
        store.read_table_blob(name)
    assert not store.has_blob(name)
    with store._place.open(f"damaged/{name}") as file:
        assert file.read() == data
    with pytest.raises(StoreError, match="no such blob"):
        store.read_table_blob(name)
    assert store.table_blob(some_table()) == name
    assert store.read_table_blob(name).equals(some_table())


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), pa.ArrowMemoryError("malloc failed")])
def test_a_sound_table_that_cannot_be_read_now_stays_where_it_is(folder, monkeypatch, error):
    store = Store(folder)
    name = store.table_blob(some_table())
    with monkeypatch.context() as patched, pytest.raises(type(error)):

        def sick(*_, **__):
            raise error

        patched.setattr(pq.ParquetFile, "read", sick)
        store.read_table_blob(name)
    assert store.read_table_blob(name).equals(some_table())


def test_equal_tables_are_one_blob_and_come_back_equal(url):
    store = Store(url)
    table = pa.table({"pts": np.arange(1000), "luma": np.arange(1000, dtype=np.float32) / 7})
    name = store.table_blob(table)
    assert store.table_blob(pa.concat_tables([table.slice(0, 300), table.slice(300)])) == name
    assert store.read_table_blob(name).equals(table)


# --- DuckDB ---


def test_duckdb_reads_records_by_relation_and_by_glob(url):
    store = Store(url)
    for start_at in (0, 50):  # ten of them in two segments
        with store.writer() as writer:
            for number in range(start_at, start_at + 60, 2):
                put(writer, number)
    con = duckdb.connect()
    expected = (55, sum(range(0, 110, 2)))
    query = "select count(*), sum((value->>'number')::int) from"
    records = store.relation(con, "scan_video")
    assert records.query("records", f"{query} records").fetchall() == [expected]
    if url.startswith("memory"):
        con.register_filesystem(fsspec.filesystem("memory"))
    glob = store.sql_glob("scan_video")
    assert con.sql(f"{query} (select distinct on (key) * from read_parquet('{glob}'))").fetchall() == [expected]


def test_a_function_without_records_is_an_empty_relation(url):
    relation = Store(url).relation(duckdb.connect(), "scan_video")
    assert relation.columns == segments.RECORDS.names
    assert relation.fetchall() == []


def test_worker_processes_write_to_the_store_they_are_given(folder):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(put_one, [(Store(folder), number) for number in range(6)])
    assert numbers(Store(folder), map(key, range(6))) == list(range(6))


def put_one(store: Store, number: int) -> None:
    with store.writer() as writer:
        put(writer, number)
