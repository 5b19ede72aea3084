"""Search by Exa, as its OpenAPI description documents it (``POST /search``).

Kvasir requests no page contents, because Exa bills each of them and Kvasir reads pages itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import get_member, parse_results

URL: Final = "https://api.exa.ai/search"
_MAX_RESULTS = 100


class Exa(ProviderApi):
    """Searches by Exa; the key goes in ``x-api-key``."""

    name = "exa"

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        super().__init__(ProviderEndpoint("Exa", url, {"x-api-key": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``)."""
        body: dict[str, object] = {"query": query, "numResults": min(limit, _MAX_RESULTS), "type": "auto"}
        if domains:
            body["includeDomains"] = sorted(domains)
        return parse_results(get_member(await self.post_json(body), "results"), limit)
