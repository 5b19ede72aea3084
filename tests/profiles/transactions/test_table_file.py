"""Tables of transactions in real files: CSV, gzip and Parquet; broken rows are counted, and nothing is lost."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.profiles.profile import ProfileError
from bot.profiles.transactions.payments import ColumnMap, Payment, PaymentReader, parse_amount, parse_day
from bot.profiles.transactions.table_file import read_table_file

COLUMNS = ColumnMap("from", "to", "sum", "day", "ref", days_per_number=1)
GOOD = "ref,from,to,sum,day,note\nA,1,2,10.50,3,hi\nB,2,3,7,4,\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD.encode()),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("windows.csv", GOOD.replace("\n", "\r\n").encode()),
        ("semicolon.csv", GOOD.replace(",", ";").encode()),
        ("tab.tsv", GOOD.replace(",", "\t").encode()),
        ("quoted.csv", GOOD.replace("hi", '"a, b\n""c"""').encode()),
    ],
)
def test_the_same_table_in_several_files(tmp_path: Path, name: str, content: bytes) -> None:
    reader = read_table_file(write(tmp_path / name, content), COLUMNS)
    assert reader.payments == [Payment(3, "1", "2", 10.5, "A", "3"), Payment(4, "2", "3", 7, "B", "4")]
    assert (reader.rows, dict(reader.skipped)) == (2, {})


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    table = pa.table(
        {
            "from": [1, 2, None],
            "to": ["x", "y", "z"],
            "sum": [Decimal("10.50"), None, Decimal("7.00")],
            "day": pa.array([moment, moment, moment], pa.timestamp("ms", "UTC")),
            "ref": ["A", "B", "C"],
        }
    )
    pa_parquet.write_table(table, tmp_path / "a.parquet")
    reader = read_table_file(tmp_path / "a.parquet", ColumnMap("from", "to", "sum", "day", "ref"))
    assert [(one.sender, one.amount, one.day) for one in reader.payments] == [("1", 10.5, moment.timestamp() / 86_400)]
    assert (reader.rows, dict(reader.skipped)) == (3, {"sum": 1, "from": 1})


def test_parquet_may_have_nanoseconds(tmp_path: Path) -> None:
    times = pa.array([1_772_409_600_000_000_001, 1_772_409_600_000_000_000], pa.timestamp("ns", "UTC"))
    table = pa.table({"from": ["a", "b"], "to": ["b", "a"], "sum": [1, 2], "day": times})
    pa_parquet.write_table(table, tmp_path / "a.parquet")
    reader = read_table_file(tmp_path / "a.parquet", ColumnMap("from", "to", "sum", "day"))
    assert [one.day for one in reader.payments] == [1_772_409_600 / 86_400] * 2


def test_an_unknown_time_zone_names_the_next_step(tmp_path: Path) -> None:
    table = pa.table({"from": ["a"], "to": ["b"], "sum": [1], "day": pa.array([1], pa.timestamp("us", "Mars/Base"))})
    pa_parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ProfileError, match=r"a\.parquet cannot be read"):
        read_table_file(tmp_path / "a.parquet", ColumnMap("from", "to", "sum", "day"))


def test_a_repeated_row_counts_once(tmp_path: Path) -> None:
    reader = read_table_file(write(tmp_path / "a.csv", GOOD + "A,1,2,10.50,3,again\nA,1,2,10.50,4,later\n"), COLUMNS)
    assert [(one.id, one.time) for one in reader.payments] == [("A", "3"), ("B", "4"), ("A", "4")]
    assert (reader.rows, reader.repeated, dict(reader.skipped)) == (4, 1, {})


def test_rows_that_cannot_be_read_are_counted_with_their_numbers(tmp_path: Path) -> None:
    rows = ["A,1,2,10,3", "B,1,2,ten,3", "C,1,2", "D,,2,10,3", "E,1,2,10,soon", "F,1,2,-4,3", "G,1,2,11,3", "H,9"]
    reader = read_table_file(write(tmp_path / "a.csv", "\n".join(["ref,from,to,sum,day", *rows])), COLUMNS)
    assert [one.id for one in reader.payments] == ["A", "G"]
    assert dict(reader.skipped) == {"sum": 2, "row": 2, "from": 1, "day": 1}
    assert reader.rows == len(rows) == len(reader.payments) + reader.skipped.total()
    assert reader.first_skipped == ["row 2: sum", "row 3: row", "row 4: from", "row 5: day", "row 6: sum"]


def test_a_payment_without_an_id_is_named_by_its_row(tmp_path: Path) -> None:
    columns = ColumnMap("from", "to", "sum", "day", days_per_number=1)
    path = write(tmp_path / "a.csv", "from,to,sum,day\n1,2,3,4\n1,2\n1,2,3,5\n")
    assert [one.id for one in read_table_file(path, columns).payments] == ["row 1", "row 3"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "ref,from,too,sum,day\n", "no column 'to'. Did you mean “too”"),
        ("a.csv", "ref,from,to,to,sum,day\n", "several columns 'to'"),
        ("a.csv", "", "no column 'from'"),
        ("a.csv", b"ref,from,to,sum,day\nA,1,\xff,3,4\n", "UTF-8"),
        ("a.csv.gz", b"no gzip", "cannot be read"),
        ("a.parquet", b"PAR1 no parquet", "cannot be read"),
        ("a.csv", GOOD + "C,1,2,3,4,x\n" * 8, "more than 9 rows"),
    ],
)
def test_a_wrong_file_names_the_next_step(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    with pytest.raises(ProfileError) as raised:
        read_table_file(write(tmp_path / name, content), COLUMNS, max_rows=9)
    assert reason in str(raised.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(ProfileError, match="cannot be read"):
            read_table_file(path, COLUMNS)


@pytest.mark.parametrize(
    ("text", "decimal", "amount"),
    [
        ("1,234.50", ".", 1234.5), ("1.234,50", ",", 1234.5), ("1 234", ".", 1234.0), ("1'234.5", ".", 1234.5),
        ("1,2", ".", None), ("12,34", ".", None), ("0", ".", None), ("-5", ".", None), ("nan", ".", None),
        ("1e5", ".", None), ("", ".", None), ("9" * 400, ".", None), (True, ".", None), (float("inf"), ".", None),
        (10**400, ".", None), (Decimal("NaN"), ".", None), (3, ".", 3.0),
    ],
)  # fmt: skip
def test_amounts(text: object, decimal: str, amount: float | None) -> None:
    assert parse_amount(text, decimal) == amount


@pytest.mark.parametrize(
    ("value", "days_per_number", "day"),
    [
        ("1970-01-02", 0, 1.0),
        ("1970-01-01T12:00", 0, 0.5),
        ("1970-01-02T00:00:00+02:00", 0, 1 - 2 / 24),
        (datetime(1970, 1, 3), 0, 2.0),  # noqa: DTZ001 - as a file without zones has it
        (datetime(1970, 1, 3).date(), 0, 2.0),  # noqa: DTZ001
        ("yesterday", 0, None),
        (5, 0, None),
        ("5", 2, 10.0),
        ("1e999", 1, None),
        (None, 1, None),
    ],
)
def test_times(value: object, days_per_number: float, day: float | None) -> None:
    found = parse_day(value, days_per_number)
    assert found == (None if day is None else pytest.approx(day))


@given(st.lists(st.dictionaries(st.just("sum") | st.just("day") | st.just("to"), st.text() | st.none() | st.floats())))
def test_no_row_is_lost_whatever_it_holds(rows: list[dict[str, object]]) -> None:
    reader = PaymentReader(COLUMNS)
    reader.read_rows({"from": "a", "to": "b", "sum": 1, "day": 1, "ref": "", **row} for row in rows)
    assert reader.rows == len(rows) == len(reader.payments) + reader.skipped.total()
