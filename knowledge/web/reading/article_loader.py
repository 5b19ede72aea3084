"""Turn fetched pages and files into articles, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from knowledge.errors import DocumentEncrypted, FetchUnreadable, ParseError, UnreadableReason, UnsupportedFormat
from knowledge.interfaces import DocumentContent
from knowledge.parsing import Parser
from knowledge.parsing.wire import ReadingKind
from knowledge.web.http.fetch import FetchedResponse
from knowledge.web.reading.article import ARTICLE_ADAPTER, Article, clean_article
from knowledge.web.reading.crawled_page import HTML_TYPES

_OFFICE = "application/vnd.openxmlformats-officedocument."
READABLE_TYPES: Final = HTML_TYPES | {
    "application/pdf", "text/plain", "text/markdown", "text/x-markdown", "text/csv",
    f"{_OFFICE}wordprocessingml.document", f"{_OFFICE}presentationml.presentation", f"{_OFFICE}spreadsheetml.sheet",
}  # fmt: skip

_PARSE_DEADLINE_S = 10.0
"""The time for one page; an ordinary page takes a fraction of a second, a long PDF a few seconds."""
_QUEUE_LIMIT_S = 2.5
"""After this wait, a page goes to the second process, so that one slow page does not delay the others."""


class ArticleLoader:
    """Parses articles. Its processes start with the first page, also after a close."""

    def __init__(self) -> None:
        self._parsers = [(asyncio.Lock(), Parser(deadline_s=_PARSE_DEADLINE_S)) for _ in range(2)]

    async def read_article(self, response: FetchedResponse) -> Article:
        """Return the article in a response.

        Raises:
            FetchUnreadable: there is no text, or it cannot be parsed.

        """
        async with self._acquire_parser() as parser:
            try:
                article = await _parse_article(parser, response)
            except DocumentEncrypted:
                raise FetchUnreadable(UnreadableReason.ENCRYPTED) from None
            except UnsupportedFormat:
                raise FetchUnreadable(UnreadableReason.FILE_TYPE) from None
            except ParseError as error:
                raise FetchUnreadable(UnreadableReason.BROKEN) from error
        if article.unreadable is not None:
            raise FetchUnreadable(UnreadableReason(article.unreadable))
        if not any(section.text.strip() for section in article.sections):
            raise FetchUnreadable(UnreadableReason.EMPTY)
        return article

    async def close(self) -> None:
        """Stop the processes; safe to call twice."""
        for _, parser in self._parsers:
            await parser.close()

    @contextlib.asynccontextmanager
    async def _acquire_parser(self) -> AsyncIterator[Parser]:
        lock, parser = self._parsers[0]
        try:
            async with asyncio.timeout(_QUEUE_LIMIT_S):
                await lock.acquire()
        except TimeoutError:
            lock, parser = self._parsers[1]
            await lock.acquire()
        try:
            yield parser
        finally:
            lock.release()


async def _parse_article(parser: Parser, response: FetchedResponse) -> Article:
    media_type = response.headers.get("content-type", "")
    if response.media_type not in HTML_TYPES:
        document = await parser.parse(_derive_file_name(response.url), DocumentContent(response.data, media_type, ""))
        return Article(document.title, document.sections)
    raw = await parser.read_content(ReadingKind.ARTICLE, response.data, response.url, media_type)
    try:
        # A page may have a hundred thousand sections.
        return await asyncio.to_thread(lambda: clean_article(ARTICLE_ADAPTER.validate_python(raw)))
    except ValidationError:
        # Not chained, because such an error quotes the page.
        raise ParseError(f"The parser failed on {response.url}.") from None


def _derive_file_name(url: str) -> str:
    """Return a file name for the parser: the last part of the address, or its host."""
    parts = urlsplit(url)
    return PurePosixPath(unquote(parts.path)).name or parts.netloc
