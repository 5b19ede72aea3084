"""Serper, which searches by Google (``POST /search``).

What it answers to a wrong key is not documented; any status that is none of success is told with its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider import SearchHit
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import (
    ResultFields,
    add_site_operators,
    detect_cjk_language,
    get_member,
    parse_results,
)

URL: Final = "https://google.serper.dev/search"
_MOST = 10
"""More cost two searches."""
_FIELDS = ResultFields(url="link", published=("date",))


class Serper:
    """Searches by Serper; the key goes in ``X-API-KEY``."""

    name = "serper"
    own = False

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        self._api = ProviderApi(ProviderEndpoint("Serper", url, {"X-API-KEY": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return what is found (see ``Provider``)."""
        body: dict[str, object] = {
            "q": add_site_operators(query, domains),
            "num": min(limit, _MOST),
            "autocorrect": False,
        }
        if spoken := detect_cjk_language(query):
            body["hl"] = "zh-cn" if spoken == "zh" else spoken
        return parse_results(get_member(await self._api.post(body), "organic"), _FIELDS, limit, datetime.now(UTC))

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._api.close()
