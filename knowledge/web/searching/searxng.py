"""An own SearXNG, as its Search API has it (``GET /search?format=json``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from knowledge.errors import ProviderFailed
from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider import SearchHit
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import ResultFields, add_site_operators, get_member, parse_results

_FIELDS = ResultFields(snippet="content", published=("publishedDate", "pubdate"))
_SYNTAX = re.compile(r"(?<!\S)[!:<?]+(?=\S)")
"""``!engine``, ``:language``, ``<timeout`` and ``?add`` are commands there, and a question's words are none."""
_FORBIDDEN = frozenset({401, 403})


class Searxng:
    """Searches by a SearXNG, which is told no key; ``own`` says whether the operator runs it."""

    name = "searxng"

    def __init__(self, url: str, fetcher: Fetcher, *, own: bool = False) -> None:
        self.own = own
        service = ProviderEndpoint(
            "SearXNG",
            f"{url.rstrip('/')}/search",
            refusals=_FORBIDDEN,
            remedy="Its settings.yml must list json under search.formats, and no login may stand before it.",
        )
        self._api = ProviderApi(service, fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return what is found (see ``Provider``).

        Raises:
            ProviderFailed: also where nothing is found because its engines do not answer it.

        """
        answer = await self._api.get({"q": add_site_operators(_SYNTAX.sub("", query), domains), "format": "json"})
        found = parse_results(get_member(answer, "results"), _FIELDS, limit, datetime.now(UTC))
        silent = get_member(answer, "unresponsive_engines")
        if not found and isinstance(silent, list) and silent:
            raise ProviderFailed(
                f"SearXNG found nothing, as {len(silent)} of its engines gave no answer. Look at its statistics."
            )
        return found

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._api.close()
