"""Tables between stages: Parquet with a schema that is checked on write, whole or absent, the same bytes every time.

Also the one way to say that an item is bad (`Reject`, `REJECTED`) and the tables by which a person overrules it.
"""

import csv
import numbers
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 65_536
_FORMAT: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",
    "data_page_version": "1.0",
    "write_page_checksum": True,
}


def _text(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False)


REJECTED = pa.schema(
    [
        _text("item_id"),
        _text("parent_id"),
        _text("stage"),
        _text("unit"),
        _text("reason"),
        _text("score"),  # name of the score that decided, "" where none did
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        _text("detail"),
    ]
)


class TableError(ValueError):
    """A table that is not what its schema says; the message names file, column and (where there is one) row."""


class Reject(Exception):
    """Raised by item code to quarantine its item: `reason` is one word of the stage's own list, `detail` is for people.

    `score`, `value` and `threshold` say which measurement decided, in that score's unit.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        score: str = "",
        value: float | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.score = score
        self.value = value
        self.threshold = threshold

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.detail, self.score, self.value, self.threshold)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reject) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())


def rejected_row(item_id: str, reject: Reject, *, stage: str, unit: str, parent_id: str = "") -> dict[str, Any]:
    """Return `reject` as a row of `REJECTED`."""
    return {
        "item_id": item_id,
        "parent_id": parent_id,
        "stage": stage,
        "unit": unit,
        "reason": reject.reason,
        "score": reject.score,
        "value": reject.value,
        "threshold": reject.threshold,
        "detail": reject.detail,
    }


def rejected_rows(
    rejects: Mapping[str, Reject], *, stage: str, unit: str, parents: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return rejects by item as rows of `REJECTED`, in the order of their ids; each item has a parent."""
    return [
        rejected_row(item_id, reject, stage=stage, unit=unit, parent_id=parents[item_id])
        for item_id, reject in sorted(rejects.items())
    ]


def write_table(path: str | Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema) -> None:
    """Write `rows` in the given order as Parquet; equal rows give equal bytes, and `path` is whole or not there.

    Each row has exactly the columns of `schema`; None stands for null. Numbers are cast where nothing is lost.
    Raises TableError naming file, column and row for an unknown or missing column, a wrong type, a number that does
    not fit, or a null where the schema allows none.
    """
    path = Path(path)
    table = _checked(path, rows, schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, parquet_bytes(table))


class TableWriter:
    """Writes a table part by part, so that memory holds one part: a row group each, whole or not there at the end.

    For use in `with`. The same parts give the same bytes. Raises TableError as `write_table` does.
    """

    def __init__(self, path: str | Path, schema: pa.Schema) -> None:
        self._path = Path(path)
        self._schema = schema
        self._partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")

    def __enter__(self) -> "TableWriter":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(self._partial, self._schema, **_FORMAT)
        return self

    def write(self, part: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Append rows, in the given order."""
        table = _checked(self._path, part, self._schema)
        if len(table):
            self._file.write_table(table.combine_chunks(), row_group_size=len(table))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
            if kind is None:
                with self._partial.open("rb") as file:
                    os.fsync(file.fileno())
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet file. With `schema`, the file has exactly its columns and types; they come in its order.

    Raises FileNotFoundError, or TableError naming file and column.
    """
    path = Path(path)
    try:
        # ParquetFile, not read_table: that one turns folders named a=b above the file into columns
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise TableError(f"{path}: not readable as Parquet ({error}); run the stage that makes it again") from error
    if schema is None:
        return table
    _check_columns(path, "", table.column_names, schema)
    for field in schema:
        found = table.schema.field(field.name)
        if found.type != field.type:
            raise TableError(f"{path}: column {field.name!r} is {found.type}, expected {field.type}")
    table = table.select(schema.names)
    _check_nulls(path, pa.Table.from_arrays(table.columns, schema=schema))
    return table


def read_parts(path: str | Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a table part by part, as `TableWriter` wrote it: memory holds one part.

    Raises FileNotFoundError, or TableError naming the file.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise TableError(f"{path}: not readable as Parquet ({error}); run the stage that makes it again") from error


def read_overrides(path: str | Path) -> dict[str, str]:
    """Read data/exclude.csv or data/include.csv: a header `id,reason`, then an id or content hash and why.

    Raises FileNotFoundError, or TableError with the line number of a malformed or repeated line.
    """
    path = Path(path)
    found: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(lines, None)
            if [cell.strip() for cell in header or ()] != ["id", "reason"]:
                raise TableError(f"{path}, line 1: the header is {header or 'missing'}, expected id,reason")
            for cells in lines:
                if not cells:
                    continue
                where = f"{path}, line {lines.line_num}"
                if len(cells) != 2:
                    raise TableError(f"{where}: {len(cells)} cells, expected id,reason (quote a reason with commas)")
                item_id, reason = (cell.strip() for cell in cells)
                if not item_id or not reason:
                    raise TableError(f"{where}: an empty {'reason' if item_id else 'id'}")
                if len(item_id) == 64:  # a content hash, which some tools print in capitals
                    item_id = item_id.lower()
                if item_id in found:
                    raise TableError(f"{where}: {item_id!r} is listed twice")
                found[item_id] = reason
        except csv.Error as error:
            raise TableError(f"{path}, line {lines.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise TableError(f"{path}: not UTF-8 ({error})") from error
    return found


def parquet_bytes(table: pa.Table, row_group_rows: int = ROW_GROUP_ROWS) -> pa.Buffer:
    """Return `table` as Parquet: equal tables give equal bytes, however they are chunked; pages carry checksums.

    Only the schema's own metadata is kept where it is not pandas' (which holds versions).
    """
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    table = table.replace_schema_metadata(metadata or None).combine_chunks()
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=row_group_rows,
        **(_FORMAT | _for_pictures(table.schema)),
    )
    return sink.getvalue()


def _for_pictures(schema: pa.Schema) -> dict[str, Any]:
    """Return how tables with pictures are compressed: quickly, for there are many and little is gained."""
    pictures = [f.name for f in schema if pa.types.is_binary(f.type) or pa.types.is_fixed_size_binary(f.type)]
    if not pictures:
        return {}
    return {"compression": {name: "lz4" if name in pictures else "zstd" for name in schema.names}} | {
        "compression_level": {name: 3 for name in schema.names if name not in pictures}
    }


def write_whole(path: Path, data: bytes | pa.Buffer) -> None:
    """Put `data` under `path` so that no reader, and no crash, ever shows a part of it."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o666 & ~_umask())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _checked(path: Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema) -> pa.Table:
    table = _checked_table(path, rows, schema) if isinstance(rows, pa.Table) else _table_of_rows(path, rows, schema)
    _check_nulls(path, table)
    return table


def _check_columns(path: Path, where: str, names: Sequence[str], schema: pa.Schema) -> None:
    for name in names:
        if name not in schema.names:
            raise TableError(f"{path}: unknown column {name!r}{where}; the schema has {', '.join(schema.names)}")
    for name in schema.names:
        if name not in names:
            raise TableError(f"{path}: column {name!r} is missing{where}")
    if len(names) != len(schema.names):
        raise TableError(f"{path}: a column stands twice{where}: {', '.join(names)}")


def _table_of_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    for number, row in enumerate(rows):
        if len(row) != len(schema) or any(name not in row for name in schema.names):
            _check_columns(path, f" in row {number}", list(row), schema)
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        try:
            for value in values if _holds_integers(field.type) else ():
                _refuse_fraction(value, field.type)
            columns.append(pa.array(values, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _named(path, field, values, error) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _named(path: Path, field: pa.Field, values: list[Any], error: Exception) -> TableError:
    for number, value in enumerate(values):
        try:
            _refuse_fraction(value, field.type)
            pa.array([value], field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as reason:
            return TableError(f"{path}: column {field.name!r}, row {number}: {value!r} is no {field.type} ({reason})")
    return TableError(f"{path}: column {field.name!r} is no {field.type} ({error})")


def _holds_integers(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or any(_holds_integers(kind.field(i).type) for i in range(kind.num_fields))


def _refuse_fraction(value: Any, kind: pa.DataType) -> None:
    """Raise ValueError for a fraction where an integer is due: after a first integer Arrow would cut it silently."""
    if pa.types.is_integer(kind):
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and value % 1 != 0:
            raise ValueError("a fraction would be cut")
    elif pa.types.is_struct(kind) and isinstance(value, Mapping):
        for field in kind:
            _refuse_fraction(value.get(field.name), field.type)
    elif pa.types.is_list(kind) and isinstance(value, Iterable):
        for element in value:
            _refuse_fraction(element, kind.value_type)


def _checked_table(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    _check_columns(path, "", table.column_names, schema)
    columns = []
    for field in schema:
        column = table.column(field.name)
        if not _castable(column.type, field.type):
            raise TableError(f"{path}: column {field.name!r} is {column.type}, expected {field.type}")
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowException as error:
            raise _named(path, field, column.to_pylist(), error) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _castable(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Say whether a cast keeps the meaning: numbers stay numbers and text stays text (a cast would parse it)."""
    if found == wanted or pa.types.is_null(found):
        return True
    if pa.types.is_dictionary(found):
        return _castable(found.value_type, wanted)

    def number(kind: pa.DataType) -> bool:
        return pa.types.is_integer(kind) or pa.types.is_floating(kind)

    def text(kind: pa.DataType) -> bool:
        return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)

    if pa.types.is_nested(found) and pa.types.is_nested(wanted):
        inner = [(found.field(i).type, wanted.field(i).type) for i in range(min(found.num_fields, wanted.num_fields))]
        return found.num_fields == wanted.num_fields and all(_castable(a, b) for a, b in inner)
    return (number(found) and number(wanted)) or (text(found) and text(wanted))


def _check_nulls(path: Path, table: pa.Table) -> None:
    for field in table.schema:
        bad = _row_with_null(table.column(field.name).combine_chunks(), field)
        if bad is not None:
            raise TableError(f"{path}: column {field.name!r}, row {bad}: null where the schema allows none")


def _row_with_null(column: pa.Array, field: pa.Field) -> int | None:
    """Return the first row of `column` with a null that `field` or a field within it forbids."""
    if not field.nullable and column.null_count:
        return int(column.is_null().to_numpy(zero_copy_only=False).argmax())
    if not _forbids_inside(field.type):
        return None
    nullable = pa.field(field.name, field.type, nullable=True)
    for row, value in enumerate(column.to_pylist()):
        if value is not None and _null_inside(value, nullable.type):
            return row
    return None


def _forbids_inside(kind: pa.DataType) -> bool:
    return any(
        not kind.field(i).nullable or _forbids_inside(kind.field(i).type)
        for i in range(kind.num_fields)
        if pa.types.is_list(kind) or pa.types.is_struct(kind)
    )


def _null_inside(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        parts = [(value[kind.field(i).name], kind.field(i)) for i in range(kind.num_fields)]
    elif pa.types.is_list(kind):
        parts = [(element, kind.value_field) for element in value]
    else:
        return False
    return any((not f.nullable) if part is None else _null_inside(part, f.type) for part, f in parts)
