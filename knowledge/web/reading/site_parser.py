"""What strangers' pages, feeds and sitemaps say, read off in a process of its own: hostile ones harm nothing else."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from knowledge.errors import ParseError
from knowledge.parsing import Parser
from knowledge.parsing.wire import Reading
from knowledge.web.http.fetch import FetchedResponse
from knowledge.web.reading.crawled_page import CrawledPage
from knowledge.web.reading.feeds import FeedEntry
from knowledge.web.reading.sitemap import Sitemap

TOO_COMPLEX: Final = "takes more time or memory to be taken apart than there is"
"""What is said of a page or sitemap that raised ``ParseError``."""

_DEADLINE_S = 30.0
"""For one page, feed or sitemap; what is honest takes a fraction of a second."""

_T = TypeVar("_T")

_PAGE: Final = TypeAdapter(CrawledPage)
_FEED: Final = TypeAdapter(list[FeedEntry] | None)
_NAMES: Final = TypeAdapter(list[tuple[str, str]])
_SITEMAP: Final = TypeAdapter(Sitemap | None)


class SiteParser:
    """Reads off what was fetched. The process starts with the first call; ``close`` ends it, and it may start again.

    All methods raise ``ParseError`` for what is refused, takes too long or too much memory, or breaks the process.
    """

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        # What is too large was refused when it was fetched.
        self._parser = Parser(deadline_s=deadline_s)

    async def page(self, found: FetchedResponse) -> CrawledPage:
        """Return what a page tells a robot."""
        told = (found.headers.get("content-type", ""), found.headers.get("x-robots-tag", ""))
        return _validate(_PAGE, await self._parser.read(Reading.PAGE, found.data, found.url, *told), found)

    async def feed(self, found: FetchedResponse) -> list[FeedEntry] | None:
        """Return a feed's entries, None for what is no feed."""
        told = found.headers.get("content-type", "")
        return _validate(_FEED, await self._parser.read(Reading.FEED, found.data, found.url, told), found)

    async def sitemap(self, found: FetchedResponse) -> Sitemap | None:
        """Return what a sitemap names, None for what is none."""
        return _validate(_SITEMAP, await self._parser.read(Reading.SITEMAP, found.data, found.url), found)

    async def names(self, found: FetchedResponse) -> list[tuple[str, str]]:
        """Return where a page's links lead, each with its words."""
        told = found.headers.get("content-type", "")
        return _validate(_NAMES, await self._parser.read(Reading.NAMES, found.data, found.url, told), found)

    async def close(self) -> None:
        """End the process; safe to call twice."""
        await self._parser.close()


def _validate(shape: TypeAdapter[_T], read: object, found: FetchedResponse) -> _T:
    try:
        return shape.validate_python(read)
    except ValidationError:
        # Not chained: such an error quotes what was read.
        raise ParseError(f"{found.url} made its parser misbehave. Leave it out of the source.") from None
