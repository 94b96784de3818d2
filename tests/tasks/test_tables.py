"""Tables: what the schema says is what is in the file, bytes repeat, and mistakes are named."""

import pickle
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.tables import (
    REJECTED,
    Reject,
    TableError,
    TableWriter,
    read_overrides,
    read_table,
    rejected_row,
    write_table,
)

SCHEMA = pa.schema(
    [
        pa.field("take_id", pa.string(), nullable=False),
        pa.field("start_pts", pa.int64(), nullable=False),
        pa.field("flow_px_s", pa.float64()),
        pa.field("keyframe_pts", pa.list_(pa.field("element", pa.int64(), nullable=False))),
    ]
)


def row(**changes):
    return {"take_id": "a", "start_pts": 3, "flow_px_s": 1.5, "keyframe_pts": [1, 2], **changes}


def test_rows_come_back_in_the_order_in_which_they_were_given(tmp_path):
    rows = [row(take_id=name, flow_px_s=None) for name in ("c", "a", "b")]
    write_table(tmp_path / "takes.parquet", rows, SCHEMA)
    assert read_table(tmp_path / "takes.parquet", SCHEMA).to_pylist() == rows


def test_duckdb_reads_the_same_values(tmp_path):
    write_table(tmp_path / "takes.parquet", [row(), row(take_id="b", keyframe_pts=[])], SCHEMA)
    rows = duckdb.sql(f"select take_id, start_pts, flow_px_s, keyframe_pts from '{tmp_path}/takes.parquet'").fetchall()
    assert rows == [("a", 3, 1.5, [1, 2]), ("b", 3, 1.5, [])]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({**row(), "extra": 1}, ["'extra'", "row 1"]),
        ({"take_id": "a"}, ["'start_pts'", "missing", "row 1"]),
        (row(start_pts=1.5), ["'start_pts'", "row 1", "1.5"]),
        (row(start_pts="7"), ["'start_pts'", "row 1", "'7'"]),
        (row(start_pts=2**70), ["'start_pts'", "row 1"]),
        (row(start_pts=float("nan")), ["'start_pts'", "row 1"]),
        (row(take_id=7), ["'take_id'", "row 1"]),
        (row(flow_px_s="fast"), ["'flow_px_s'", "row 1"]),
        (row(keyframe_pts=[1, 2.5]), ["'keyframe_pts'", "row 1"]),
        (row(take_id=None), ["'take_id'", "row 1", "null"]),
        (row(keyframe_pts=[1, None]), ["'keyframe_pts'", "row 1", "null"]),
    ],
)
def test_a_wrong_row_is_named_with_file_and_column_and_nothing_is_written(tmp_path, bad, said):
    with pytest.raises(TableError) as error:
        write_table(tmp_path / "takes.parquet", [row(), bad, row()], SCHEMA)
    for words in ["takes.parquet", *said]:
        assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_lose_nothing_are_cast(tmp_path):
    write_table(tmp_path / "takes.parquet", [row(start_pts=np.int32(4), flow_px_s=2, keyframe_pts=[3.0])], SCHEMA)
    assert read_table(tmp_path / "takes.parquet", SCHEMA).to_pylist() == [
        row(start_pts=4, flow_px_s=2.0, keyframe_pts=[3])
    ]


def test_an_arrow_table_is_checked_as_rows_are(tmp_path):
    good = pa.table({"keyframe_pts": [[1]], "flow_px_s": [1], "start_pts": [2.0], "take_id": ["a"]})
    write_table(tmp_path / "t.parquet", good, SCHEMA)
    assert read_table(tmp_path / "t.parquet", SCHEMA).schema.equals(SCHEMA)
    for column, values in {"start_pts": [2.5], "take_id": [7], "flow_px_s": ["1"]}.items():
        at = good.schema.get_field_index(column)
        with pytest.raises(TableError, match=column):
            write_table(tmp_path / "t.parquet", good.set_column(at, column, pa.array(values)), SCHEMA)
    with pytest.raises(TableError, match="'other'"):
        write_table(tmp_path / "t.parquet", good.append_column("other", pa.array([1])), SCHEMA)
    with pytest.raises(TableError, match="'take_id' is missing"):
        write_table(tmp_path / "t.parquet", good.drop_columns("take_id"), SCHEMA)


def test_equal_rows_give_equal_bytes_in_any_process_and_chunking(tmp_path):
    rows = [row(take_id=f"take {i}", start_pts=i, flow_px_s=i / 7) for i in range(5000)]
    write_table(tmp_path / "rows.parquet", rows, SCHEMA)
    whole = read_table(tmp_path / "rows.parquet")
    write_table(tmp_path / "chunks.parquet", pa.concat_tables([whole.slice(0, 77), whole.slice(77)]), SCHEMA)
    write_table(tmp_path / "pandas.parquet", whole.replace_schema_metadata({"pandas": "3"}), SCHEMA)
    again = (
        "import sys; from tests.tasks.test_tables import *; "
        "rows = [row(take_id=f'take {i}', start_pts=i, flow_px_s=i / 7) for i in range(5000)]; "
        "write_table(sys.argv[1], rows, SCHEMA)"
    )
    subprocess.run([sys.executable, "-c", again, tmp_path / "process.parquet"], check=True)
    assert len({path.read_bytes() for path in tmp_path.glob("*.parquet")}) == 1
    assert pq.read_schema(tmp_path / "pandas.parquet").metadata is None


def test_a_failing_write_leaves_the_old_table_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "takes.parquet"
    write_table(path, [row()], SCHEMA)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_table(path, [row(take_id="b")], SCHEMA)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_written_in_parts_is_the_table_of_all_rows_and_repeats(tmp_path):
    rows = [row(take_id=f"take {i}", start_pts=i) for i in range(10)]
    for name in ("a", "b"):
        with TableWriter(tmp_path / name, SCHEMA) as table:
            table.write(rows[:4])
            assert not (tmp_path / name).exists()
            table.write([])
            table.write(pa.Table.from_pylist(rows[4:], schema=SCHEMA))
    assert read_table(tmp_path / "a", SCHEMA).to_pylist() == rows
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_parts_are_checked_and_a_failing_one_leaves_nothing(tmp_path):
    with pytest.raises(TableError, match="'start_pts', row 0"), TableWriter(tmp_path / "takes", SCHEMA) as table:
        table.write([row()])
        table.write([row(start_pts=1.5)])
    assert list(tmp_path.iterdir()) == []


def test_reading_names_file_and_column_that_differ(tmp_path):
    path = tmp_path / "takes.parquet"
    pq.write_table(pa.table({"take_id": ["a"], "start_pts": [1.5]}), path)
    with pytest.raises(TableError, match=r"takes\.parquet: column 'flow_px_s' is missing"):
        read_table(path, SCHEMA)
    two = pa.schema([SCHEMA.field("take_id"), SCHEMA.field("start_pts")])
    with pytest.raises(TableError, match=r"takes\.parquet: column 'start_pts' is double, expected int64"):
        read_table(path, two)
    with pytest.raises(TableError, match="unknown column 'start_pts'"):
        read_table(path, pa.schema([SCHEMA.field("take_id")]))
    pq.write_table(pa.table({"take_id": ["a", None], "start_pts": [1, 2]}), path)
    with pytest.raises(TableError, match="'take_id', row 1: null"):
        read_table(path, two)


def test_a_damaged_file_is_named_with_a_remedy(tmp_path):
    path = tmp_path / "takes.parquet"
    write_table(path, [row()], SCHEMA)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"takes\.parquet.*run the stage"):
        read_table(path)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.parquet")


def test_a_flipped_bit_in_the_values_is_noticed(tmp_path):
    path = tmp_path / "takes.parquet"
    write_table(path, [row(flow_px_s=i / 7) for i in range(100)], SCHEMA)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(2)
    data[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(TableError):
        read_table(path)


def test_folders_named_like_partitions_add_no_column(tmp_path):
    (tmp_path / "seed=3").mkdir()
    write_table(tmp_path / "seed=3" / "takes.parquet", [row()], SCHEMA)
    assert read_table(tmp_path / "seed=3" / "takes.parquet").column_names == SCHEMA.names


def test_a_table_without_rows_keeps_its_schema(tmp_path):
    write_table(tmp_path / "rejected.parquet", [], REJECTED)
    assert read_table(tmp_path / "rejected.parquet", REJECTED).schema.equals(REJECTED)


def test_a_rejection_becomes_a_row_and_survives_pickling(tmp_path):
    reject = pickle.loads(pickle.dumps(Reject("static", "hardly moves", "flow_px_s", 0.4, 1.0)))  # noqa: S301
    rows = [rejected_row("v1", reject, stage="scan_video", unit="take", parent_id="film")]
    rows.append(rejected_row("v2", Reject("unreadable"), stage="scan_video", unit="video"))
    write_table(tmp_path / "rejected.parquet", rows, REJECTED)
    assert read_table(tmp_path / "rejected.parquet", REJECTED).to_pylist() == [
        {
            "item_id": "v1",
            "parent_id": "film",
            "stage": "scan_video",
            "unit": "take",
            "reason": "static",
            "score": "flow_px_s",
            "value": 0.4,
            "threshold": 1.0,
            "detail": "hardly moves",
        },
        {
            "item_id": "v2",
            "parent_id": "",
            "stage": "scan_video",
            "unit": "video",
            "reason": "unreadable",
            "score": "",
            "value": None,
            "threshold": None,
            "detail": "",
        },
    ]


def overrides(folder: Path, text: str) -> Path:
    path = folder / "exclude.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_are_read_as_id_and_reason(tmp_path):
    path = overrides(tmp_path, '\ufeffid,reason\nabc,"a logo, burnt in"\n\n d , credits \n')
    assert read_overrides(path) == {"abc": "a logo, burnt in", "d": "credits"}
    assert read_overrides(overrides(tmp_path, "id,reason\n")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the header"),
        ("id;reason\n", "line 1: the header"),
        ("id,reason\na,b\nc\n", "line 3: 1 cells"),
        ("id,reason\na,b,c\n", "line 2: 3 cells"),
        ("id,reason\n,b\n", "line 2: an empty id"),
        ("id,reason\na, \n", "line 2: an empty reason"),
        ("id,reason\na,b\na,c\n", "line 3: 'a' is listed twice"),
        ('id,reason\na,"b\n', "line 2"),
    ],
)
def test_a_malformed_override_is_named_by_its_line(tmp_path, text, said):
    with pytest.raises(TableError, match=r"exclude\.csv") as error:
        read_overrides(overrides(tmp_path, text))
    assert said in str(error.value)
