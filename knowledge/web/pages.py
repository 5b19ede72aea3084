"""Pages of the web as something to read: politely asked for, taken apart, and kept for the next one who asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from knowledge.errors import (
    FetchAnswered,
    FetchFailed,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    FetchUnreadable,
    ParseError,
)
from knowledge.interfaces import Content, Document
from knowledge.parsing import Parser
from knowledge.parsing.wire import Reading
from knowledge.web.article import Article, cleaned
from knowledge.web.fetch import Ask, Fetched, Fetcher
from knowledge.web.robots import READ_BYTES, Robots

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_OFFICE = "application/vnd.openxmlformats-officedocument."
TYPES: Final = _HTML | {
    "application/pdf", "text/plain", "text/markdown", "text/x-markdown", "text/csv",
    f"{_OFFICE}wordprocessingml.document", f"{_OFFICE}presentationml.presentation", f"{_OFFICE}spreadsheetml.sheet",
}  # fmt: skip
"""What is read; a page of another type is refused before its body comes."""

_ASK = Ask(accept=TYPES)
_OK, _TOO_MANY = 200, 429
_GONE_ROBOTS = range(400, 500)
_PARSING_S = 10.0
"""For one page; what is honest takes a fraction of a second."""
_ARTICLE: Final = TypeAdapter(Article)


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page as it was read."""

    url: str
    """As it was asked for."""
    final_url: str
    """Where it was in the end, in the one spelling that is dialled."""
    canonical: str | None
    """Where the page says that it is; its word alone."""
    title: str
    author: str | None
    published: datetime | None
    """As the page says; aware, UTC."""
    document: Document = field(repr=False)
    """The main text in its sections."""
    text: str = field(repr=False)
    """The same as one text, with headings as Markdown writes them."""
    fetched_at: datetime
    """When this copy was fetched, or was last found to be as it was; aware, UTC."""
    stale: bool
    """Whether it is an old copy, shown because the site does not answer."""
    status: int


class Pages:
    """Reads pages of the web. Safe from several tasks of one loop; usable again after a close."""

    def __init__(self, fetcher: Fetcher, *, now: Callable[[], float] = time.time) -> None:
        self._fetcher = fetcher
        self._now = now
        self._parser = Parser(deadline_s=_PARSING_S)

    async def read(self, url: str, *, within_s: float) -> WebPage:
        """Read one page.

        Raises:
            FetchRefused: the guard or the site's robots.txt says no.
            FetchUnreadable: there is no text on it for us.
            FetchAnswered: the site answers with a status that is no page.
            FetchError: another of its kinds.

        """
        try:
            async with asyncio.timeout(within_s):
                return await self._read(url)
        except TimeoutError:
            raise FetchTimeout(f"it took over {within_s:g} s") from None

    async def close(self) -> None:
        """End the parsing process; safe to call twice."""
        await self._parser.close()

    async def _read(self, url: str) -> WebPage:
        target = self._fetcher.judge(url)
        robots = await self._robots(target.origin)
        if not robots.allows(target.url):
            raise FetchRefused("its robots.txt does not allow it")
        found = await self._fetcher.fetch(target.url, _ASK)
        if found.status != _OK:
            raise FetchAnswered(found.status)
        return await self._page(url, found)

    async def _robots(self, origin: str) -> Robots:
        """Return an origin's rules; without a robots.txt everything is allowed, out of reach nothing (RFC 9309)."""
        try:
            found = await self._fetcher.fetch(f"{origin}/robots.txt", Ask())
        except FetchTooLarge:
            raise FetchFailed("its robots.txt is far too large") from None
        if found.status == _OK:
            return Robots(found.data[:READ_BYTES])
        if found.status not in _GONE_ROBOTS or found.status == _TOO_MANY:
            raise FetchFailed(f"its robots.txt answers {found.status}")
        return Robots()

    async def _page(self, url: str, found: Fetched) -> WebPage:
        try:
            article = await self._article(found)
        except ParseError as error:
            raise FetchUnreadable("it could not be taken apart") from error
        if article.unreadable is not None:
            raise FetchUnreadable(article.unreadable)
        document = Document(article.title, article.sections)
        return WebPage(
            url=url,
            final_url=found.url,
            canonical=article.canonical,
            title=article.title,
            author=article.author,
            published=article.published,
            document=document,
            text=text_of(document),
            fetched_at=datetime.fromtimestamp(self._now(), UTC),
            stale=False,
            status=found.status,
        )

    async def _article(self, found: Fetched) -> Article:
        media_type = found.headers.get("content-type", "")
        if found.media_type in _HTML:
            read = await self._parser.read(Reading.ARTICLE, found.data, found.url, media_type)
            try:
                return cleaned(_ARTICLE.validate_python(read))
            except ValidationError:
                # Not chained: such an error quotes what was read.
                raise ParseError(f"{found.url} made its parser misbehave.") from None
        document = await self._parser.parse(_name(found.url), Content(found.data, media_type, ""))
        return Article(document.title, document.sections)


def text_of(document: Document) -> str:
    """Return a document as one text, each section after its headings as Markdown writes them."""
    parts: list[str] = []
    before: tuple[str, ...] = ()
    for section in document.sections:
        same = next(
            (n for n, pair in enumerate(zip(before, section.headings, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(section.headings)),
        )
        parts += [f"{'#' * level} {name}" for level, name in enumerate(section.headings[same:], same + 2)]
        parts.append(section.text)
        before = section.headings
    return "\n\n".join(part for part in parts if part)


def _name(url: str) -> str:
    """Return of an address what a parser makes of a name: its last part, or its host."""
    parts = urlsplit(url)
    return PurePosixPath(unquote(parts.path)).name or parts.netloc
