"""One row of a table of transactions, and how its texts become a payment. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

_DAY_S: Final = 86_400.0
_MAX_FIRST_ROWS: Final = 5
_AMOUNTS: Final = {
    ".": re.compile(r"\+?\d{1,3}(?:[ ,'’]\d{3})*(?:\.\d+)?|\+?\d+(?:\.\d+)?"),
    ",": re.compile(r"\+?\d{1,3}(?:[ .'’]\d{3})*(?:,\d+)?|\+?\d+(?:,\d+)?"),
}
"""What an amount looks like, by the sign before its decimals."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a table hold what, and how its numbers are written."""

    sender: str = "sender"
    receiver: str = "receiver"
    amount: str = "amount"
    time: str = "time"
    id: str = ""
    """The column with the name of a transaction; "" for the number of the row."""
    decimal: Literal[".", ","] = "."
    """The sign before the decimals of an amount: a point or a comma."""
    days_per_number: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How many days lie between times that are written as 1 and 2; 0 if times are dates."""

    @property
    def names(self) -> list[str]:
        """Return the names of the columns that are read."""
        return list(dict.fromkeys(filter(None, (self.sender, self.receiver, self.amount, self.time, self.id))))


@dataclass(frozen=True, slots=True, order=True)
class Payment:
    """A transaction; the order is that of time, and then of what it says."""

    day: float
    """Days since the epoch, or since the 0 of the table."""
    sender: str
    receiver: str
    amount: float
    id: str
    time: str = field(compare=False)
    """The time as the table writes it."""


@dataclass(slots=True)
class PaymentReader:
    """Makes payments of rows, and counts the rows that it cannot read, with the first of them."""

    columns: ColumnMap
    payments: list[Payment] = field(default_factory=list)
    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """How many rows were left out, by the column that cannot be read, or ``row`` for the whole row."""
    broken_rows: set[int] = field(default_factory=set)
    """The numbers of rows that have too few or too many columns; ``read_rows`` does not get these."""
    repeated: int = 0
    """How many rows say again what another one says, with the same name of the transaction."""
    _named: set[Payment] = field(default_factory=set)
    first_skipped: list[str] = field(default_factory=list)
    """The first rows that were left out, as "row 7: amount"."""

    def read_rows(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add rows of the table."""
        for row in rows:
            self.skip_broken_rows()
            self.rows += 1
            made = self._read_row(row)
            if not isinstance(made, Payment):
                self._skip_row(made)
            elif made in self._named:
                self.repeated += 1
            else:
                self.payments.append(made)
                if self.columns.id:
                    self._named.add(made)

    def skip_broken_rows(self) -> None:
        """Count the broken rows that come next."""
        while self.rows + 1 in self.broken_rows:
            self.rows += 1
            self._skip_row("row")

    def _skip_row(self, column: str) -> None:
        self.skipped[column] += 1
        if len(self.first_skipped) < _MAX_FIRST_ROWS:
            self.first_skipped.append(f"row {self.rows}: {column}")

    def _read_row(self, row: Mapping[str, object]) -> Payment | str:
        """Return the payment, or the name of the column that cannot be read."""
        names = self.columns
        sender, receiver = (_read_name(row[name]) for name in (names.sender, names.receiver))
        amount, day = parse_amount(row[names.amount], names.decimal), parse_day(row[names.time], names.days_per_number)
        for name, value in ((names.sender, sender), (names.receiver, receiver)):
            if not value:
                return name
        if amount is None or day is None:
            return names.amount if amount is None else names.time
        id_ = _read_name(row[names.id]) if names.id else ""
        return Payment(day, sender, receiver, amount, id_ or f"row {self.rows}", _read_name(row[names.time]))


def parse_amount(value: object, decimal: str = ".") -> float | None:
    """Return an amount above 0; None if the value is none."""
    if isinstance(value, str):
        text = value.strip()
        if not _AMOUNTS[decimal].fullmatch(text):
            return None
        group = "," if decimal == "." else "."
        value = float(re.sub(rf"[ {group}'’+]", "", text).replace(decimal, "."))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0 < number < math.inf else None


def parse_day(value: object, days_per_number: float) -> float | None:
    """Return a time in days; None if the value is none. A time without a zone is in UTC."""
    if days_per_number:
        try:
            number = float(value) * days_per_number if isinstance(value, str | int | float | Decimal) else math.inf
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        if not isinstance(moment, datetime):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / _DAY_S
    except (ValueError, OverflowError):
        return None


def _read_name(value: object) -> str:
    return "" if value is None else str(value).strip()


class PaymentTable:
    """The payments in the order of time, by their accounts."""

    def __init__(self, payments: Iterable[Payment]) -> None:
        self.payments: Sequence[Payment] = sorted(payments)
        self.by_sender: dict[str, list[Payment]] = {}
        self.by_receiver: dict[str, list[Payment]] = {}
        for one in self.payments:
            self.by_sender.setdefault(one.sender, []).append(one)
            self.by_receiver.setdefault(one.receiver, []).append(one)

    @property
    def accounts(self) -> set[str]:
        """Return all accounts."""
        return {*self.by_sender, *self.by_receiver}
