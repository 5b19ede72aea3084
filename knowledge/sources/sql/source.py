"""Rows of a SQL query as a source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from knowledge.database.postgresql_url import list_database_addresses
from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.settings import SourceSpec
from knowledge.sources.common import parse_size_limit, too_large_error
from knowledge.sources.registry import EXCLUDE, SourceKind, build_source, refuse_memory
from knowledge.sources.sql.database import Batch, SqlDatabase, parse_database_url
from knowledge.sources.sql.rows import SqlOptions, check_columns
from knowledge.sources.sql.statement import (
    check_statement,
    make_columns_statement,
    make_fallback_column,
    make_keys_statement,
    make_row_statement,
    make_rows_statement,
)

_MEDIA_TYPES = {"text": "text/plain", "markdown": "text/markdown", "html": "text/html"}
_KEY_CONVERTERS: Mapping[type, Callable[[str], object]] = {
    int: int, float: float, UUID: UUID, Decimal: Decimal, datetime: datetime.fromisoformat, date: date.fromisoformat,
}  # fmt: skip


class SqlSource:
    """Lists and reads the rows of one statement, in read-only transactions.

    A document's id is its row's key. Its version is ``updated_at``, or a hash of title and text.
    """

    lists_rights = True

    def __init__(
        self,
        key: SourceKey,
        database: SqlDatabase,
        statement: str,
        options: SqlOptions,
        context: SourceContext,
    ) -> None:
        self.key = key
        self._database = database
        self._statement = statement
        self._form = options
        self._media_type = _MEDIA_TYPES[options.format]
        self._max_bytes = parse_size_limit(context.name, options.max_mb)
        self._readers = context.readers
        self._keys = _KeyValues()

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the rows in batches, in the query's order.

        Raises:
            SourceError: a column is missing, or two rows have the same key; raised after the rows before.
            SourceUnavailable, SourceDenied: the database cannot be reached, is too slow, or refuses.

        """
        statement = make_rows_statement(self._statement, self._listing_columns(await self._fetch_columns()))
        keys = _KeyValues()
        keys_so_far: set[str] = set()
        async with aclosing(self._database.fetch_batches(statement)) as batches:
            async for _, rows in batches:
                batch, error = await asyncio.to_thread(self._make_batch, rows, keys, keys_so_far)
                self._keys = keys
                yield batch
                if error is not None:
                    raise error

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read the current values of one row.

        Raises:
            SourceError: the row is gone, its key is not unique, or its text is too large; a subclass if the
                database cannot be reached.

        """
        key = self._keys.find_value(listed.document)
        statement = make_row_statement(self._statement, self._database.quote_column(self._form.key))
        matches: list[Mapping[str, object]] = []
        async with aclosing(self._database.fetch_batches(statement, key)) as batches:
            async for _, rows in batches:
                matches += rows
                if len(matches) > 1:
                    raise _duplicate_key_error(listed.document, self._form.key)
        if not matches:
            raise SourceError(
                f"{listed.document} is gone from the query. Its row was deleted, or the query no longer returns it."
            )
        check_columns(self._form, matches[0].keys())  # the table may have changed after the listing
        data = self._form.render_text(matches[0]).encode(errors="replace")
        if len(data) > self._max_bytes:
            raise too_large_error(listed.document, len(data), self._max_bytes)
        return DocumentContent(
            data, self._media_type, self._form.make_version(matches[0]), self._form.render_title(matches[0])
        )

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the readers of the rows that the query still returns; nobody for a key that is not unique.

        Raises:
            SourceError: the database cannot be read, or the keys are unknown before the first listing.

        """
        if not self._keys.is_known:
            await self._learn_keys()
        columns = sorted({self._form.key, self._form.readers_column or self._form.key})
        quoted = [self._database.quote_column(column) for column in columns]
        statement = make_keys_statement(self._statement, quoted, self._database.quote_column(self._form.key))
        keys = [self._keys.find_value(one) for one in documents]
        readers: dict[str, frozenset[str]] = {}
        async with aclosing(self._database.fetch_batches(statement, keys)) as batches:
            async for _, rows in batches:
                for row in rows:
                    document = self._form.document_id(row)
                    is_new = document not in readers
                    readers[document] = self._form.find_readers(row, self._readers) if is_new else frozenset()
        return readers

    async def _learn_keys(self) -> None:
        """Learn the type of the keys from the first row, because a listing of this process may be hours away."""
        key = self._form.key
        statement = make_rows_statement(self._statement, [self._database.quote_column(key)])
        async with aclosing(self._database.fetch_batches(statement)) as batches:
            async for _, rows in batches:
                if rows and isinstance(rows[0][key], (str, *_KEY_CONVERTERS)):
                    self._keys.record_value(self._form.document_id(rows[0]), rows[0][key])
                    return
        raise SourceError(f"The keys in the column {key} are unknown before the source is listed. Sync it.")

    async def fetch_rows(self) -> AsyncGenerator[tuple[Sequence[str], Batch], None]:
        """Yield the columns with the rows of the statement in batches, at least once even without rows.

        Raises:
            SourceError: a subclass if the database cannot be reached, is too slow, or refuses.

        """
        async with aclosing(self._database.fetch_batches(make_rows_statement(self._statement, None))) as batches:
            async for batch in batches:
                yield batch

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()

    async def _fetch_columns(self) -> Sequence[str]:
        async with aclosing(self._database.fetch_batches(make_columns_statement(self._statement))) as batches:
            columns, _ = await anext(batches)
        check_columns(self._form, columns)
        return columns

    def _listing_columns(self, columns: Sequence[str]) -> Sequence[str] | None:
        """Return the columns of a listing; texts only for rows without ``updated_at``."""
        if self._form.updated_at is None:
            return None
        light, quoted = self._form.listing_columns(), self._database.quote_column
        heavy = sorted(self._form.text_columns(columns) - light)
        moment = quoted(self._form.updated_at)
        return [*map(quoted, sorted(light)), *(make_fallback_column(moment, quoted(column)) for column in heavy)]

    def _make_batch(
        self, rows: Batch, keys: _KeyValues, keys_so_far: set[str]
    ) -> tuple[Sequence[ListedDocument], SourceError | None]:
        """Return rows as documents up to the first invalid one, and its error."""
        batch: list[ListedDocument] = []
        try:
            for row in rows:
                listed = self._form.make_listed(row, self._readers)
                if listed.document in keys_so_far:
                    raise _duplicate_key_error(listed.document, self._form.key)
                keys_so_far.add(listed.document)
                keys.record_value(listed.document, row[self._form.key])
                batch.append(listed)
        except SourceError as error:
            return batch, error
        return batch, None


class _KeyValues:
    """The key values behind the ids: a converter for the column's type, and the values that it gets wrong."""

    def __init__(self) -> None:
        self._convert: Callable[[str], object] | None = None
        self._exceptions: dict[str, object] = {}

    @property
    def is_known(self) -> bool:
        """Whether a row was seen, so that texts can be converted."""
        return self._convert is not None

    def record_value(self, document: str, value: object) -> None:
        if self._convert is None:
            # Drivers have subclasses of their own, such as asyncpg's UUID.
            self._convert = next((to for kind, to in _KEY_CONVERTERS.items() if isinstance(value, kind)), str)
        if self.find_value(document) != value:
            self._exceptions[document] = value

    def find_value(self, document: str) -> object:
        if document in self._exceptions:
            return self._exceptions[document]
        try:
            return self._convert(document) if self._convert else document
        except (ValueError, ArithmeticError):
            return document


def build(context: SourceContext, options: SqlOptions) -> SqlSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the address, the query or a column is invalid.

    """
    try:
        statement = check_statement(options.query, options.table)
        url = parse_database_url(context.secrets.get("url", ""), context.base_dir)
    except ValueError as error:
        where = "" if str(error).startswith(("query", "table", "name")) else "the address in the variable of url_env "
        raise SourceMisconfigured(f"Source {context.name}: {where}{error}. Correct it.") from None
    if options.format not in _MEDIA_TYPES:
        raise SourceMisconfigured(f"Source {context.name}: format must be text, markdown or html. Correct it.")
    if not 0 < options.timeout_s < 86_400:  # noqa: PLR2004 - a day
        raise SourceMisconfigured(f"Source {context.name}: timeout_s must be a number of seconds above 0. Correct it.")
    database = SqlDatabase(url, options.timeout_s)
    return SqlSource(SourceKey(context.name, "sql", database.display_url), database, statement, options, context)


async def open_rows(spec: SourceSpec, state: Path) -> AsyncGenerator[tuple[Sequence[str], Batch], None]:
    """Yield the columns with all rows of a source of this kind, for what needs them as a table; then close it.

    Raises:
        SourceError: the source is misconfigured, or the database cannot be read.

    """
    options = {key: value for key, value in spec.options.items() if key != EXCLUDE}
    source = build_source(replace(spec, options=options, rights=()), state, refuse_memory)
    assert isinstance(source, SqlSource)  # noqa: S101 - without patterns and rights, nothing is around it
    try:
        async with aclosing(source.fetch_rows()) as batches:
            async for batch in batches:
                yield batch
    finally:
        await source.close()


KIND = SourceKind(SqlOptions, build, lambda context, _: list_database_addresses(context.secrets.get("url", "")))


def _duplicate_key_error(document: str, column: str) -> SourceError:
    return SourceError(
        f"Two rows have the key {document}. Name a unique column with key ({column} is not), or make the "
        "query return each row once."
    )
