"""Search by Serper, which uses Google (``POST /search``).

Its answer to a wrong key is not documented, so the error shows any status other than success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from knowledge.language import detect_cjk_language
from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import (
    add_site_operators,
    get_member,
    parse_results,
)

URL: Final = "https://google.serper.dev/search"
_MAX_RESULTS = 10
"""The service charges two searches for more."""


class Serper(ProviderApi):
    """Searches by Serper; the key goes in ``X-API-KEY``."""

    name = "serper"

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        super().__init__(ProviderEndpoint("Serper", url, {"X-API-KEY": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``)."""
        body: dict[str, object] = {
            "q": add_site_operators(query, domains),
            "num": min(limit, _MAX_RESULTS),
            "autocorrect": False,
        }
        if code := detect_cjk_language(query):
            body["hl"] = "zh-cn" if code == "zh" else code
        return parse_results(get_member(await self.post_json(body), "organic"), limit, "link")
