"""Search by Tavily, as its API reference documents it (``POST /search``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import get_member, parse_results

URL: Final = "https://api.tavily.com/search"
_MAX_RESULTS = 20
_MAX_DOMAINS = 300
_PLAN_USED_UP = frozenset({432, 433})


class Tavily(ProviderApi):
    """Searches by Tavily; the key goes in ``Authorization``."""

    name = "tavily"

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        keys = {"Authorization": f"Bearer {key}"}
        super().__init__(ProviderEndpoint("Tavily", url, keys, frozenset({401, 402, 403}) | _PLAN_USED_UP), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``)."""
        body: dict[str, object] = {"query": query, "max_results": min(limit, _MAX_RESULTS), "search_depth": "basic"}
        if domains:
            body["include_domains"] = sorted(domains)[:_MAX_DOMAINS]
        return parse_results(get_member(await self.post_json(body), "results"), limit)
