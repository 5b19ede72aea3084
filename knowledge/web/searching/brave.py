"""Brave Search, as its documentation of the Web Search API has it (``/res/v1/web/search``)."""

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

URL: Final = "https://api.search.brave.com/res/v1/web/search"
_MOST = 20
_LANGUAGES = {"zh": "zh-hans", "ja": "jp", "ko": "ko"}
_FIELDS = ResultFields(snippet="description", published=("page_age", "age"))


class Brave:
    """Searches by Brave; the key goes in ``X-Subscription-Token``."""

    name = "brave"
    own = False

    def __init__(self, key: str, fetcher: Fetcher, url: str = URL) -> None:
        self._api = ProviderApi(ProviderEndpoint("Brave Search", url, {"X-Subscription-Token": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return what is found (see ``Provider``)."""
        parameters = {
            "q": add_site_operators(query, domains),
            "count": str(min(limit, _MOST)),
            "result_filter": "web",
            "text_decorations": "false",
            "spellcheck": "false",  # identifiers and error codes are meant as they are written
        }
        if spoken := detect_cjk_language(query):
            parameters["search_lang"] = _LANGUAGES[spoken]  # English without it
        answer = await self._api.get(parameters)
        return parse_results(get_member(answer, "web", "results"), _FIELDS, limit, datetime.now(UTC))

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._api.close()
