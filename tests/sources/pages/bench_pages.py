"""Added pages as the contract sees them: on loopback, each added by its address."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from knowledge.interfaces import Source
from knowledge.sources.pages.page_list import PageList, normalize_page_url
from tests.sources.contract import Ability, Workbench
from tests.sources.website.fake_site import TYPES, Reply, WebSite
from tests.sources.website.shared_reader import share_reader


class PagesBench(Workbench):
    kind = "pages"
    # A page that does not answer is listed as the others are.
    cannot = frozenset({Ability.MIDWAY, Ability.RIGHTS, Ability.MEMORY})
    slow = True

    async def open(self) -> None:
        self.site = WebSite()
        await self.site.start()
        (self.folder / "pages").mkdir()
        self.list = PageList(self.folder / "pages")

    async def close(self) -> None:
        await self.site.stop()

    def options(self) -> dict[str, object]:
        return {"allow_hosts": [self.site.host], "max_mb": 0.1}

    def source(self, name: str = "bench", **more: Any) -> Source:
        """Build the source. Each name has a folder of its own, which shows the one list."""
        shown = self.folder / "state" / name / "pages"
        shown.parent.mkdir(parents=True, exist_ok=True)
        if not shown.exists():
            shown.symlink_to(self.folder / "pages")
        return share_reader(super().source(name, **more))

    async def put(self, name: str, data: bytes) -> None:
        suffix = name[name.rfind(".") :]
        self.site.pages[f"/{quote(name)}"] = Reply(data, content_type=TYPES.get(suffix, "text/plain"))
        await asyncio.to_thread(self.list.add_page, self._url(name), "ada")

    async def remove(self, name: str) -> None:
        assert await asyncio.to_thread(self.list.remove_page, self._url(name))

    async def break_down(self) -> None:
        """Spoil the list: a site that is down is its own pages' trouble."""
        (self.folder / "pages" / "spoilt.json").write_bytes(b"{")

    def document(self, name: str) -> str:
        return normalize_page_url(self._url(name)).partition("://")[2]

    def _url(self, name: str) -> str:
        return f"{self.site.url}/{quote(name)}"


BENCHES = (PagesBench,)
