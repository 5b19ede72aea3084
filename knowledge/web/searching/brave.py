"""Search by Brave Search, as its Web Search API documents it (``/res/v1/web/search``)."""

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

URL: Final = "https://api.search.brave.com/res/v1/web/search"
_MAX_RESULTS = 20
_LANGUAGES = {"zh": "zh-hans", "ja": "jp", "ko": "ko"}


class Brave(ProviderApi):
    """Searches by Brave; the key goes in ``X-Subscription-Token``."""

    name = "brave"

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        super().__init__(ProviderEndpoint("Brave Search", url, {"X-Subscription-Token": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``)."""
        parameters = {
            "q": add_site_operators(query, domains),
            "count": str(min(limit, _MAX_RESULTS)),
            "result_filter": "web",
            "text_decorations": "false",
            "spellcheck": "false",  # keep identifiers and error codes as written
        }
        if code := detect_cjk_language(query):
            parameters["search_lang"] = _LANGUAGES[code]  # English by default
        answer = await self.get_json(parameters)
        return parse_results(get_member(answer, "web", "results"), limit)
