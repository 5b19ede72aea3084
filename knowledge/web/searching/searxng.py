"""Search by an own SearXNG, as its Search API documents it (``GET /search?format=json``)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.errors import ProviderFailed
from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import add_site_operators, get_member, parse_results

_SYNTAX = re.compile(r"(?<!\S)[!:<?]+(?=\S)")
"""SearXNG reads ``!engine``, ``:language``, ``<timeout`` and ``?add`` as commands, so they are removed."""
_FORBIDDEN = frozenset({401, 403})


class Searxng(ProviderApi):
    """Searches by a SearXNG without a key; ``is_self_hosted`` says whether the operator runs it."""

    name = "searxng"

    def __init__(self, url: str, fetcher: Fetcher, *, is_self_hosted: bool = False) -> None:
        self.is_self_hosted = is_self_hosted
        endpoint = ProviderEndpoint(
            "SearXNG",
            f"{url.rstrip('/')}/search",
            refusal_statuses=_FORBIDDEN,
            remedy="Its settings.yml must list json under search.formats, and it must not be behind a login.",
        )
        super().__init__(endpoint, fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``).

        Raises:
            ProviderFailed: also if there are no results because its engines do not answer.

        """
        response = await self.get_json({"q": add_site_operators(_SYNTAX.sub("", query), domains), "format": "json"})
        urls = parse_results(get_member(response, "results"), limit)
        unresponsive = get_member(response, "unresponsive_engines")
        if not urls and isinstance(unresponsive, list) and unresponsive:
            raise ProviderFailed(
                f"SearXNG found nothing, because {len(unresponsive)} engines did not answer. Check its statistics."
            )
        return urls
