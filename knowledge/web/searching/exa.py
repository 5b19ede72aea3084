"""Search by Exa, as its OpenAPI description documents it (``POST /search``).

Kvasir requests no page contents, because Exa bills each of them and Kvasir reads pages itself. So hits have no
snippets.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider import SearchHit
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import ResultFields, get_member, parse_results

URL: Final = "https://api.exa.ai/search"
_MAX_RESULTS = 100
_FIELDS = ResultFields(snippet="summary", published_fields=("publishedDate",))


class Exa:
    """Searches by Exa; the key goes in ``x-api-key``."""

    name = "exa"
    is_self_hosted = False

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        self._api = ProviderApi(ProviderEndpoint("Exa", url, {"x-api-key": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return the hits (see ``SearchProvider``)."""
        body: dict[str, object] = {"query": query, "numResults": min(limit, _MAX_RESULTS), "type": "auto"}
        if domains:
            body["includeDomains"] = sorted(domains)
        return parse_results(get_member(await self._api.post_json(body), "results"), _FIELDS, limit, datetime.now(UTC))

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        await self._api.close()
