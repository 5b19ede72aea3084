"""Parse pages, feeds and sitemaps of sites in a process of its own, so that hostile ones harm nothing else."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from knowledge.errors import ParseError
from knowledge.parsing import Parser
from knowledge.parsing.wire import ReadingKind
from knowledge.web.http.fetch import FetchedResponse
from knowledge.web.reading.crawled_page import CrawledPage
from knowledge.web.reading.feeds import FeedEntry
from knowledge.web.reading.sitemap import Sitemap

TOO_COMPLEX: Final = "takes too much time or memory to parse"
"""The reason given for a page or sitemap that raised ``ParseError``."""

_DEADLINE_S = 30.0
"""The time for one page, feed or sitemap; an ordinary one takes a fraction of a second."""

_T = TypeVar("_T")

_PAGE: Final = TypeAdapter(CrawledPage)
_FEED: Final = TypeAdapter(list[FeedEntry] | None)
_LINK_TEXTS: Final = TypeAdapter(list[tuple[str, str]])
_SITEMAP: Final = TypeAdapter(Sitemap | None)


class SiteParser:
    """Parses responses. The process starts with the first call, also after ``close``.

    All methods raise ``ParseError`` if the parser refuses the content, exceeds its time or memory, or crashes.
    """

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        # The fetcher has refused bodies that are too large.
        self._parser = Parser(deadline_s=deadline_s)

    async def parse_page(self, response: FetchedResponse) -> CrawledPage:
        """Return what a crawler needs of a page."""
        content_type, robots_tag = response.headers.get("content-type", ""), response.headers.get("x-robots-tag", "")
        return await self._parse_response(_PAGE, ReadingKind.PAGE, response, content_type, robots_tag)

    async def parse_feed(self, response: FetchedResponse) -> list[FeedEntry] | None:
        """Return a feed's entries, None if it is not a feed."""
        return await self._parse_response(_FEED, ReadingKind.FEED, response, response.headers.get("content-type", ""))

    async def parse_sitemap(self, response: FetchedResponse) -> Sitemap | None:
        """Return a sitemap, None if it is not one."""
        return await self._parse_response(_SITEMAP, ReadingKind.SITEMAP, response)

    async def parse_link_texts(self, response: FetchedResponse) -> list[tuple[str, str]]:
        """Return the address and the text of each link on a page."""
        return await self._parse_response(
            _LINK_TEXTS, ReadingKind.NAMES, response, response.headers.get("content-type", "")
        )

    async def close(self) -> None:
        """Stop the process; safe to call twice."""
        await self._parser.close()

    async def _parse_response(
        self, adapter: TypeAdapter[_T], reading: ReadingKind, response: FetchedResponse, *arguments: str
    ) -> _T:
        raw = await self._parser.read_content(reading, response.data, response.url, *arguments)
        try:
            return await asyncio.to_thread(adapter.validate_python, raw)
        except ValidationError:
            # Not chained, because such an error quotes the content.
            raise ParseError(f"The parser failed on {response.url}. Exclude it from the source.") from None
