"""A website as the contract sees it: documents that a sitemap names, on loopback."""

from __future__ import annotations

from urllib.parse import quote

from knowledge.web.crawling.canonical_urls import Site
from tests.sources.website.fake_site import TYPES, Reply
from tests.sources.website.shared_reader import SiteBench

NOTHING = '<html><head><meta name="robots" content="noindex"></head><body>Welcome</body></html>'


class WebsiteBench(SiteBench):
    kind = "website"
    examples = 3

    async def open(self) -> None:
        await super().open()
        self.site.pages["/"] = Reply(NOTHING)
        self._map()

    def options(self) -> dict[str, object]:
        return {"url": f"{self.site.url}/", "allow_hosts": [self.site.host], "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        suffix = name[name.rfind(".") :]
        self.site.pages[f"/{quote(name)}"] = Reply(data, content_type=TYPES.get(suffix, "text/plain"))
        self._map()

    async def remove(self, name: str) -> None:
        del self.site.pages[f"/{quote(name)}"]
        self._map()

    async def break_midway(self) -> None:
        for path in sorted(self.site.pages)[5:]:
            if path.endswith(".md"):
                self.site.pages[path] = Reply("busy", 503, headers={"Retry-After": "0"})

    def document(self, name: str) -> str:
        site = Site.from_url(f"{self.site.url}/")
        address = site.normalize_link(f"/{quote(name)}", f"{self.site.url}/")
        assert address is not None
        return site.document_id(address)

    def _map(self) -> None:
        urls = "".join(f"<url><loc>{self.site.url}{path}</loc></url>" for path in self.site.pages if path != "/")
        self.site.pages["/sitemap.xml"] = Reply("", content_type="text/xml")
        names = urls.replace(f"<url><loc>{self.site.url}/sitemap.xml</loc></url>", "")
        self.site.pages["/sitemap.xml"] = Reply(f"<urlset>{names}</urlset>", content_type="application/xml")


BENCHES = (WebsiteBench,)
