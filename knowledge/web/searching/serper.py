"""Serper, which searches by Google (``POST /search``).

What it answers to a wrong key is not documented; any status that is none of success is told with its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.api import Api, Service
from knowledge.web.searching.provider import Found
from knowledge.web.searching.results import Fields, language, member, narrowed, results

URL: Final = "https://google.serper.dev/search"
_MOST = 10
"""More cost two searches."""
_FIELDS = Fields(url="link", published=("date",))


class Serper:
    """Searches by Serper; the key goes in ``X-API-KEY``."""

    name = "serper"
    own = False

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        self._api = Api(Service("Serper", url, {"X-API-KEY": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[Found]:
        """Return what is found (see ``Provider``)."""
        body: dict[str, object] = {"q": narrowed(query, domains), "num": min(limit, _MOST), "autocorrect": False}
        if spoken := language(query):
            body["hl"] = "zh-cn" if spoken == "zh" else spoken
        return results(member(await self._api.post(body), "organic"), _FIELDS, limit, datetime.now(UTC))

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._api.close()
