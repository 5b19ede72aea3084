"""One reading process for the sources of all tests: each start of it takes most of a second of processor time."""

from __future__ import annotations

import asyncio
import atexit
import functools
import threading
from pathlib import Path
from typing import Any

from knowledge.interfaces import EVERYONE, Source
from knowledge.sources.feed.source import FeedSource
from knowledge.sources.pages.source import PagesSource
from knowledge.sources.website.source import WebsiteSource
from knowledge.web.reading.site_parser import SiteParser
from tests.sources.contract import Ability, Workbench
from tests.sources.website.fake_site import WebSite


class SharedReader(SiteParser):
    """Parses for the sources of every event loop, in one of its own. Its process ends with that of the tests."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        atexit.register(lambda: asyncio.run_coroutine_threadsafe(self._parser.close(), self._loop).result(60))

    async def _parse_response(self, *arguments: Any) -> Any:
        parsing = asyncio.run_coroutine_threadsafe(super()._parse_response(*arguments), self._loop)
        return await asyncio.wrap_future(parsing)

    async def close(self) -> None:
        """Leave the process to the other sources."""


_share = functools.cache(SharedReader)


def share_reader(source: Source) -> Source:
    """Let a source that has not been used yet read with the process of all tests."""
    assert isinstance(source, WebsiteSource | FeedSource | PagesSource)
    source._reader = _share()
    return source


class SiteBench(Workbench):
    """A workbench with a site."""

    slow = True
    cannot = frozenset({Ability.RIGHTS})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = WebSite()

    async def open(self) -> None:
        await self.site.start()

    async def close(self) -> None:
        await self.site.stop()

    def source(
        self, name: str = "bench", *, readers: frozenset[str] = EVERYONE, kept: dict[str, bytes] | None = None
    ) -> Source:
        return share_reader(super().source(name, readers=readers, kept=kept))

    async def break_down(self) -> None:
        await self.site.stop()
