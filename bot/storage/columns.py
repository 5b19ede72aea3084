"""Columns with text from people, and the conditions that rows are found by."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def make_storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot store: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


class StorableText(sa.types.TypeDecorator[str]):
    """Text that people write, which is made storable."""

    impl: type[sa.String] = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's)
        """Return the value for the database."""
        return value and make_storable(value)


class StorableString(StorableText):
    """The same with a length."""

    impl = sa.String
    cache_ok = True


def match_columns(*columns: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that columns equal the parameters ``of_<column>``."""
    return sa.and_(*(column == sa.bindparam(f"of_{column.name}") for column in columns))


def match_rows(one: sa.FromClause, other: sa.FromClause, *names: str) -> sa.ColumnElement[bool]:
    """Return the condition that rows of two tables are equal in some columns."""
    return sa.and_(*(one.c[name] == other.c[name] for name in names))
