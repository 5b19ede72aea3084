"""One reading process for many sources of a test: each start of it takes most of a second of processor time."""

from __future__ import annotations

from pathlib import Path

from knowledge.interfaces import EVERYONE, Source
from knowledge.sources.feed.source import FeedSource
from knowledge.sources.pages.source import PagesSource
from knowledge.sources.website.source import WebsiteSource
from knowledge.web.reading.site_parser import SiteParser
from tests.sources.contract import Ability, Workbench
from tests.sources.website.fake_site import WebSite


class SharedReader(SiteParser):
    """Parses for every source that it is lent to. Its process ends with ``end``, not with the first of them."""

    def lend(self, source: Source) -> Source:
        """Let a source that has not been used yet read with this process."""
        assert isinstance(source, WebsiteSource | FeedSource | PagesSource)
        source._reader = self
        return source

    async def close(self) -> None:
        """Leave the process to the other sources."""

    async def end(self) -> None:
        """End the process."""
        await super().close()


class SiteBench(Workbench):
    """A workbench with a site. Only sources whose memory the test keeps share a process."""

    slow = True
    cannot = frozenset({Ability.RIGHTS})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = WebSite()
        self.reader = SharedReader()

    async def open(self) -> None:
        await self.site.start()

    async def close(self) -> None:
        await self.site.stop()
        await self.reader.end()

    def source(
        self, name: str = "bench", *, readers: frozenset[str] = EVERYONE, kept: dict[str, bytes] | None = None
    ) -> Source:
        source = super().source(name, readers=readers, kept=kept)
        return source if kept is None else self.reader.lend(source)

    async def break_down(self) -> None:
        await self.site.stop()
