"""What was fetched becomes something to read, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from knowledge.errors import DocumentEncrypted, FetchUnreadable, ParseError, UnsupportedFormat
from knowledge.interfaces import Content
from knowledge.parsing import Parser
from knowledge.parsing.wire import Reading
from knowledge.web.http.fetch import FetchedResponse
from knowledge.web.reading.article import ARTICLE_ADAPTER, Article, clean_article
from knowledge.web.reading.crawled_page import HTML_TYPES

_OFFICE = "application/vnd.openxmlformats-officedocument."
READABLE_TYPES: Final = HTML_TYPES | {
    "application/pdf", "text/plain", "text/markdown", "text/x-markdown", "text/csv",
    f"{_OFFICE}wordprocessingml.document", f"{_OFFICE}presentationml.presentation", f"{_OFFICE}spreadsheetml.sheet",
}  # fmt: skip
"""What is read."""

_PARSE_DEADLINE_S = 10.0
"""For one page; what is honest takes a fraction of a second, a long PDF a few."""
_QUEUE_LIMIT_S = 2.5
"""After so long for its turn a page goes to a second process: one that takes its whole time holds up no other."""


class ArticleReader:
    """Takes pages apart. The processes start with the first pages, and again after a close."""

    def __init__(self) -> None:
        self._desks = [(asyncio.Lock(), Parser(deadline_s=_PARSE_DEADLINE_S)) for _ in range(2)]

    async def article(self, found: FetchedResponse) -> Article:
        """Return what is to be read on a page.

        Raises:
            FetchUnreadable: there is nothing, or it cannot be taken apart.

        """
        async with self._parser() as parser:
            try:
                article = await _parse_article(parser, found)
            except DocumentEncrypted:
                raise FetchUnreadable("it needs a password") from None
            except UnsupportedFormat:
                raise FetchUnreadable("it is of a kind that is not read") from None
            except ParseError as error:
                raise FetchUnreadable("it cannot be taken apart") from error
        if article.unreadable is not None:
            raise FetchUnreadable(article.unreadable)
        if not any(section.text.strip() for section in article.sections):
            raise FetchUnreadable("there is no text on it")
        return article

    async def close(self) -> None:
        """End the processes; safe to call twice."""
        for _, parser in self._desks:
            await parser.close()

    @contextlib.asynccontextmanager
    async def _parser(self) -> AsyncIterator[Parser]:
        turn, parser = self._desks[0]
        try:
            async with asyncio.timeout(_QUEUE_LIMIT_S):
                await turn.acquire()
        except TimeoutError:
            turn, parser = self._desks[1]
            await turn.acquire()
        try:
            yield parser
        finally:
            turn.release()


async def _parse_article(parser: Parser, found: FetchedResponse) -> Article:
    media_type = found.headers.get("content-type", "")
    if found.media_type not in HTML_TYPES:
        document = await parser.parse(_derive_file_name(found.url), Content(found.data, media_type, ""))
        return Article(document.title, document.sections)
    read = await parser.read(Reading.ARTICLE, found.data, found.url, media_type)
    try:
        # A page may have a hundred thousand sections.
        return await asyncio.to_thread(lambda: clean_article(ARTICLE_ADAPTER.validate_python(read)))
    except ValidationError:
        # Not chained: such an error quotes what was read.
        raise ParseError(f"{found.url} made its parser misbehave.") from None


def _derive_file_name(url: str) -> str:
    """Return of an address what a parser makes of a name: its last part, or its host."""
    parts = urlsplit(url)
    return PurePosixPath(unquote(parts.path)).name or parts.netloc
