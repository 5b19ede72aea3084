"""A row as a document: its id, version, title, text, link and readers. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from knowledge.dates import parse_iso_date, to_utc
from knowledge.errors import SourceError
from knowledge.interfaces import EVERYONE, ListedDocument, intersect_readers
from knowledge.interfaces.audiences import is_single_principal
from knowledge.interfaces.people import normalize_principal
from knowledge.sources.common import FIELD, MAX_MB, fill_link_template

Row = Mapping[str, object]

_SEPARATORS = re.compile(r"[\s,;]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SqlOptions:
    """The keys of a ``[[source]]`` of kind ``sql``, and how a row becomes a document.

    A template holds names of columns in braces.
    """

    url_env: str
    """The variable with the database's address, as SQLAlchemy writes it."""
    key: str
    """The column whose value identifies a row for good."""
    query: str | None = None
    table: str | None = None
    """A whole table or view, instead of a query."""
    title: str | None = None
    """A column or a template."""
    text: str | None = None
    """A column or a template; by default, a line for each column."""
    updated_at: str | None = None
    """A column that changes whenever the row does; without it, every row is read at every sync."""
    link: str | None = None
    """Where a person opens the row: a template, which may also hold ``{key}``."""
    readers_column: str | None = None
    """A column with the readers of the row: a list, or Slack ids separated by commas; nobody if it is NULL."""
    format: str = "text"
    """The format of the text: ``text``, ``markdown`` or ``html``."""
    timeout_s: float = 120.0
    max_mb: float = MAX_MB

    def named_columns(self) -> frozenset[str]:
        """Return the columns that the form names."""
        return self.listing_columns() | _template_columns(self.title) | _template_columns(self.text)

    def text_columns(self, columns: Collection[str]) -> frozenset[str]:
        """Return the columns that make up title and text."""
        return frozenset(columns) if self.text is None else _template_columns(self.title) | _template_columns(self.text)

    def listing_columns(self) -> frozenset[str]:
        """Return the columns that a listing needs if ``updated_at`` is the version."""
        linked = set(FIELD.findall(self.link or "")) - {"key"}
        parts = {self.key, self.updated_at, self.readers_column} - {None}
        return frozenset(str(part) for part in parts | linked)

    def make_listed(self, row: Row, configured: frozenset[str]) -> ListedDocument:
        """Return a row as a listed document.

        Raises:
            SourceError: the key is empty, or cannot be a name.

        """
        document = self.document_id(row)
        text = None if self.updated_at and row[self.updated_at] is not None else self.render_text(row)
        return ListedDocument(
            document=document,
            version=self.make_version(row),
            size_bytes=None if text is None else len(text.encode(errors="replace")),
            modified_at=parse_moment(row[self.updated_at]) if self.updated_at else None,
            url=None
            if self.link is None
            else fill_link_template(
                self.link, **{name: format_value(value) for name, value in row.items()} | {"key": document}
            ),
            readers=self.find_readers(row, configured),
        )

    def document_id(self, row: Row) -> str:
        """Return a row's id: the text of its key."""
        document = format_value(row[self.key])
        if not document or _CONTROL.search(document):
            raise SourceError(
                f"A row has no key in the column {self.key} (it is empty, or holds control characters). Leave such "
                "rows out in the query, or name another column with key."
            )
        return document

    def make_version(self, row: Row) -> str:
        """Return the row's ``updated_at``; a hash of title and text if it has none."""
        if self.updated_at and row[self.updated_at] is not None:
            return f"at {format_value(row[self.updated_at])}"
        said = json.dumps([self.render_title(row), self.render_text(row)])
        return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:32]

    def render_title(self, row: Row) -> str | None:
        """Return a row's title on one line, or None."""
        return " ".join(_render_template(self.title, row).split()) or None if self.title else None

    def render_text(self, row: Row) -> str:
        """Return a row's text."""
        if self.text is not None:
            return _render_template(self.text, row)
        left_out = {self.key, self.title, self.updated_at, self.readers_column}
        parts = ((name, format_value(value)) for name, value in row.items() if name not in left_out)
        return "\n".join(f"{name}: {value}" for name, value in parts if value)

    def find_readers(self, row: Row, configured: frozenset[str]) -> frozenset[str]:
        """Return the readers of a row, among the configured ones; ``*`` stands for all of these."""
        if self.readers_column is None:
            return configured
        named = _parse_readers(row[self.readers_column])
        return intersect_readers(configured, named - EVERYONE | configured if named >= EVERYONE else named)


def format_value(value: object) -> str:  # noqa: PLR0911 - one line for each type
    """Return a value as text; "" for NULL and for bytes that are not text."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return _decode_bytes(bytes(value))
        case dict() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=format_value)
        case _:
            return str(value)


def parse_moment(value: object) -> datetime | None:
    """Return a moment in UTC; one without a zone counts as UTC. None for any other value."""
    if isinstance(value, str):
        return parse_iso_date(value)
    if isinstance(value, datetime):
        return to_utc(value)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None


def check_columns(options: SqlOptions, columns: Collection[str]) -> None:
    """Check that the query has all columns that the options name.

    Raises:
        SourceError: it lacks some.

    """
    if missing := sorted(options.named_columns() - set(columns)):
        raise SourceError(
            f"The query has no column {', '.join(missing)}. Its columns are: {', '.join(columns)}. Correct the "
            "source's keys in kvasir.toml."
        )


def _template_columns(part: str | None) -> frozenset[str]:
    if part is None:
        return frozenset()
    return frozenset(FIELD.findall(part)) if "{" in part else frozenset({part})


def _render_template(part: str, row: Row) -> str:
    if "{" not in part:
        return format_value(row[part])
    return FIELD.sub(lambda field: format_value(row[field[1]]), part)


def _decode_bytes(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _parse_readers(value: object) -> frozenset[str]:
    """Return the readers in a column: a list, or names separated by commas; nobody for NULL."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return frozenset()
    names: Iterable[str] = (
        (format_value(one) for one in value)
        if isinstance(value, (list, tuple, set))
        else _SEPARATORS.split(format_value(value))
    )
    return frozenset(filter(is_single_principal, map(normalize_principal, names)))
