"""The workbench of feeds: JSON Feed with texts in the feed itself."""

from __future__ import annotations

import json
from html import escape

from knowledge.interfaces import DocumentContent
from knowledge.web.reading.feeds import read_feed
from tests.sources.contract import Ability
from tests.sources.website.fake_site import Reply
from tests.sources.website.shared_reader import SiteBench


class FeedBench(SiteBench):
    kind = "feed"
    examples = 4
    # A feed's entries are texts, and one that it stops listing stays.
    cannot = frozenset({Ability.BYTES, Ability.RIGHTS, Ability.REMOVE, Ability.MIDWAY, Ability.LIMIT})

    async def open(self) -> None:
        await super().open()
        self.entries: dict[str, str] = {}
        self._publish()

    def options(self) -> dict[str, object]:
        return {"url": f"{self.site.url}/feed.json", "allow_hosts": [self.site.host], "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        self.entries[name] = f"<p>{escape(data.decode())}</p>"
        self._publish()

    def document(self, name: str) -> str:
        feed = {"version": "https://jsonfeed.org/version/1", "items": [{"id": name, "content_text": "x"}]}
        entries = read_feed(json.dumps(feed).encode(), "application/feed+json", "")
        assert entries is not None
        return entries[0].id

    def holds(self, content: DocumentContent, data: bytes) -> bool:
        return content.data.decode() == f"<p>{escape(data.decode())}</p>"

    def _publish(self) -> None:
        items = [
            {"id": name, "url": f"{self.site.url}/{number}", "title": f"About {name}", "content_html": text}
            for number, (name, text) in enumerate(self.entries.items())
        ]
        feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Bench", "items": items}
        self.site.pages["/feed.json"] = Reply(json.dumps(feed), content_type="application/feed+json")


BENCHES = (FeedBench,)
