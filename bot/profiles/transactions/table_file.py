"""Reads a table of transactions from a CSV or Parquet file, in batches."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from bot.profiles.profile import ProfileError
from bot.profiles.transactions.payments import ColumnMap, PaymentReader
from knowledge.errors import suggest_nearest

MAX_ROWS: Final = 2_000_000
"""They take about a gigabyte of memory."""
_BLOCK_BYTES: Final = 4 << 20
"""How much text of a CSV file is read at once, which is also the limit of one row."""
_MAX_HEAD_BYTES: Final = 1 << 16
_PARQUET: Final = (".parquet", ".pq")


def read_table_file(path: Path, columns: ColumnMap, max_rows: int = MAX_ROWS) -> PaymentReader:
    """Return the payments of a file: CSV, also compressed (``.csv.gz``), or Parquet.

    Raises:
        ProfileError: the file is missing or damaged, lacks a column, or has too many rows.

    """
    reader = PaymentReader(columns)
    try:
        batches = _read_parquet if path.suffix.lower() in _PARQUET else _read_csv
        for rows in batches(path, reader):
            reader.read_rows(rows)
            check_size(reader, path.name, max_rows)
        reader.skip_broken_rows()
    except (OSError, pa.ArrowException, LookupError) as error:  # a time zone that is unknown is a LookupError
        reason = error.strerror or "" if isinstance(error, OSError) else str(error).partition("\n")[0][:200]
        raise ProfileError(
            f"{path} cannot be read: {reason or error.__class__.__name__}. It should be CSV in UTF-8 with a line of"
            " names, also as .csv.gz, or Parquet."
        ) from None
    return reader


def check_size(reader: PaymentReader, name: str, max_rows: int = MAX_ROWS) -> None:
    """Refuse a table with too many rows.

    Raises:
        ProfileError: it has more.

    """
    if reader.rows > max_rows:
        raise ProfileError(f"{name} has more than {max_rows:,} rows. Give Kvasir a part of it, such as three months.")


def check_columns(columns: ColumnMap, found: list[str], name: str) -> None:
    """Refuse a table without a column that the profile names.

    Raises:
        ProfileError: it names the nearest column.

    """
    for column in columns.names:
        if found.count(column) > 1:
            raise ProfileError(f"{name} has several columns {column!r}. Rename all but one.")
        if column not in found:
            raise ProfileError(
                f"{name} has no column {column!r}.{suggest_nearest(column, found)} Its columns are:"
                f" {', '.join(found[:30])}. Name them under [columns] in a copy of the profile."
            )


def _read_csv(path: Path, reader: PaymentReader) -> Iterator[list[Mapping[str, Any]]]:
    def skip_row(row: pa_csv.InvalidRow) -> str:
        reader.broken_rows.add(row.number - 1)  # the line of names is row 1
        return "skip"

    delimiter, found = _read_head(path)
    check_columns(reader.columns, found, path.name)
    names = reader.columns.names
    parsing = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip_row)
    converting = pa_csv.ConvertOptions(
        include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    reading = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    with pa.input_stream(path) as stream, pa_csv.open_csv(stream, reading, parsing, converting) as batches:
        for batch in batches:
            yield batch.to_pylist()


def _read_head(path: Path) -> tuple[str, list[str]]:
    """Return what separates the columns, and their names."""
    with pa.input_stream(path) as stream:  # it unpacks .gz
        head = bytes(stream.read(_MAX_HEAD_BYTES)).decode("utf-8-sig", errors="replace")
    line = head.partition("\n")[0]
    delimiter = max(",;\t|", key=line.count)
    return delimiter, next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])


def _read_parquet(path: Path, reader: PaymentReader) -> Iterator[list[Mapping[str, Any]]]:
    with pa_parquet.ParquetFile(path) as file:
        check_columns(reader.columns, file.schema_arrow.names, path.name)
        for batch in file.iter_batches(columns=reader.columns.names):
            # Python's times have no nanoseconds.
            fields = [
                one.with_type(pa.timestamp("us", one.type.tz)) if pa.types.is_timestamp(one.type) else one
                for one in batch.schema
            ]
            yield pa.Table.from_batches([batch]).cast(pa.schema(fields), safe=False).to_pylist()
