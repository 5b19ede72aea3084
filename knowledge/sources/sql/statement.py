"""The reading statement of a source, and its forms for a listing and for one row. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUOTED = re.compile(
    r"""(?P<name>\w[\w$]*)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/"""
    r"""|(?P<unclosed>(?:/\*|\$\w*\$).*)""",
    re.DOTALL,
)
"""Quotes, comments and names. A ``name`` may have dollars, which quote nothing. ``unclosed`` is what follows a comment
or quote without end: no statement that a database accepts has it. One match takes all of it, so that no second opening
searches it again."""
_READS = re.compile(r"\s*\(*\s*(select|with|values)\b", re.IGNORECASE)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|into|drop|alter|create|truncate|grant|revoke|call|execute|copy|lock|attach|pragma"
    r"|vacuum|set\s+(transaction|session|local|role))\b",
    re.IGNORECASE,
)
_TABLE = re.compile(r"\w+(\.\w+){0,2}")
_BIND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")


def check_statement(query: str | None, table: str | None) -> str:
    """Return the source's statement, from a query or a table's name.

    Raises:
        ValueError: it is missing, more than one statement, or does more than read; the text says which.

    """
    if (query is None) == (table is None):
        raise ValueError("name either a query or a table")
    if table is not None:
        if not _TABLE.fullmatch(table):
            raise ValueError("table must be a plain name such as schema.table; write a query for any other")
        return f"SELECT * FROM {table}"  # noqa: S608 - a name, checked above
    assert query is not None  # noqa: S101 - one of the two
    statement = query.strip().removesuffix(";").rstrip()
    bare = _QUOTED.sub(lambda part: part["name"] or part["unclosed"] or " '' ", statement)
    if not _READS.match(bare):
        raise ValueError("query must be a SELECT, or WITH … SELECT")
    if ";" in bare:
        raise ValueError("query must be one statement, without a “;”")
    if found := _WRITES.search(bare):
        raise ValueError(f"query may only read, and it says {found[0].upper()} (quote it if it is a name)")
    return statement


def make_columns_statement(statement: str) -> str:
    """Return a statement with the same columns and no rows."""
    return _escape_colons(f"SELECT * FROM (\n{statement}\n) kvasir_rows WHERE 1 = 0")  # noqa: S608 - ours, checked


def make_rows_statement(statement: str, columns: Sequence[str] | None) -> str:
    """Return a statement for every row with these columns (already quoted), or as it is."""
    if columns is None:
        return _escape_colons(statement)
    return _escape_colons(f"SELECT {', '.join(columns)} FROM (\n{statement}\n) kvasir_rows")  # noqa: S608 - as above


def make_fallback_column(moment: str, column: str) -> str:
    """Return a column whose value is sent only if the moment is NULL; both names are already quoted."""
    return f"CASE WHEN {moment} IS NULL THEN {column} END AS {column}"


def make_row_statement(statement: str, key: str) -> str:
    """Return a statement for the rows whose key column (already quoted) equals ``:kvasir_key``."""
    return f"{make_rows_statement(statement, ('*',))} WHERE {key} = :kvasir_key"


def make_keys_statement(statement: str, columns: Sequence[str], key: str) -> str:
    """Return a statement for columns of the rows whose key column equals one of ``:kvasir_keys``; all are quoted."""
    return f"{make_rows_statement(statement, columns)} WHERE {key} IN :kvasir_keys"


def _escape_colons(statement: str) -> str:
    """Escape the colons of a query, as SQLAlchemy takes the one in ``'a:b'`` for a parameter."""
    return _BIND.sub(r"\\:\1", statement)
