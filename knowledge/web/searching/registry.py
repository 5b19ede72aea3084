"""From what is configured to the providers that are asked, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from knowledge.errors import FetchRefused
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import AccessRules, build_rules, check_url
from knowledge.web.http.settings import SearchSettings, WebSettings
from knowledge.web.searching.brave import Brave
from knowledge.web.searching.exa import Exa
from knowledge.web.searching.provider import SearchProvider
from knowledge.web.searching.searxng import Searxng
from knowledge.web.searching.serper import Serper
from knowledge.web.searching.sitemap_search import SitemapSearch
from knowledge.web.searching.tavily import Tavily

KEYED: Final[Mapping[str, Callable[[str, Fetcher], SearchProvider]]] = {
    "brave": Brave, "tavily": Tavily, "exa": Exa, "serper": Serper,
}  # fmt: skip
"""Services, which dial their own host at public addresses alone."""


def create_providers(search: SearchSettings, web: WebSettings, own: AccessRules) -> tuple[SearchProvider, ...]:
    """Return the providers in the order in which they are asked; nothing is opened before the first search.

    ``own`` are the rules by which pages are fetched; by them the ``sitemap`` provider fetches, too.

    Raises:
        ValueError: a name is none of ``PROVIDERS``, an address is none, or what a provider needs is not there.

    """
    return tuple(_create_provider(name, search, web, own) for name in search.order)


def _create_provider(name: str, search: SearchSettings, web: WebSettings, own: AccessRules) -> SearchProvider:
    if name in KEYED and name in search.keys:
        return KEYED[name](search.keys[name], Fetcher(web))
    if name == "searxng" and search.searxng_url:
        fetcher = Fetcher(web, build_single_host_rules(search.searxng_url))
        return Searxng(search.searxng_url, fetcher, own=_is_internal(search.searxng_url, own))
    if name == "sitemap" and search.sites:
        return SitemapSearch(search.sites, Fetcher(web, own))
    raise ValueError(f"the search provider {name} cannot be asked: there is none, or it lacks its key or address")


def build_single_host_rules(address: str) -> AccessRules:
    """Return the rules by which one host that the operator named is dialled, wherever it is, and nothing else.

    Raises:
        ValueError: the address is none.

    """
    url = URL(address)
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError("the address of a search provider begins with http:// or https://")
    host = f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host
    return AccessRules(ports=frozenset(), allowed=build_rules([f"{host}:{url.port}"]).allowed)


def _is_internal(address: str, own: AccessRules) -> bool:
    """Say whether an address shows by itself that it is of the operator's network, or its host is named as such."""
    url = URL(address)
    if own.names(url.raw_host or ""):
        return True
    try:
        check_url(str(url.with_port(None).origin()), AccessRules())
    except FetchRefused:
        return True
    return False
