"""What strangers' pages, feeds and sitemaps say, read off in a process of its own: hostile ones harm nothing else."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from knowledge.errors import ParseError
from knowledge.parsing import Parser
from knowledge.parsing.wire import Reading
from knowledge.web.http.fetch import Fetched
from knowledge.web.reading.feeds import Entry
from knowledge.web.reading.page import Page
from knowledge.web.reading.sitemap import Sitemap

TOO_HARD: Final = "takes more time or memory to be taken apart than there is"
"""What is said of a page or sitemap that raised ``ParseError``."""

_DEADLINE_S = 30.0
"""For one page, feed or sitemap; what is honest takes a fraction of a second."""

_One = TypeVar("_One")

_PAGE: Final = TypeAdapter(Page)
_FEED: Final = TypeAdapter(list[Entry] | None)
_NAMES: Final = TypeAdapter(list[tuple[str, str]])
_SITEMAP: Final = TypeAdapter(Sitemap | None)


class Reader:
    """Reads off what was fetched. The process starts with the first call; ``close`` ends it, and it may start again.

    All methods raise ``ParseError`` for what is refused, takes too long or too much memory, or breaks the process.
    """

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        # What is too large was refused when it was fetched.
        self._parser = Parser(deadline_s=deadline_s)

    async def page(self, found: Fetched) -> Page:
        """Return what a page tells a robot."""
        told = (found.headers.get("content-type", ""), found.headers.get("x-robots-tag", ""))
        return _made(_PAGE, await self._parser.read(Reading.PAGE, found.data, found.url, *told), found)

    async def feed(self, found: Fetched) -> list[Entry] | None:
        """Return a feed's entries, None for what is no feed."""
        told = found.headers.get("content-type", "")
        return _made(_FEED, await self._parser.read(Reading.FEED, found.data, found.url, told), found)

    async def sitemap(self, found: Fetched) -> Sitemap | None:
        """Return what a sitemap names, None for what is none."""
        return _made(_SITEMAP, await self._parser.read(Reading.SITEMAP, found.data, found.url), found)

    async def names(self, found: Fetched) -> list[tuple[str, str]]:
        """Return where a page's links lead, each with its words."""
        told = found.headers.get("content-type", "")
        return _made(_NAMES, await self._parser.read(Reading.NAMES, found.data, found.url, told), found)

    async def close(self) -> None:
        """End the process; safe to call twice."""
        await self._parser.close()


def _made(shape: TypeAdapter[_One], read: object, found: Fetched) -> _One:
    try:
        return shape.validate_python(read)
    except ValidationError:
        # Not chained: such an error quotes what was read.
        raise ParseError(f"{found.url} made its parser misbehave. Leave it out of the source.") from None
