"""From what is configured to the providers that are asked, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from knowledge.errors import FetchRefused
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import Rules, judge_url, rules
from knowledge.web.http.settings import SearchSettings, WebSettings
from knowledge.web.searching.brave import Brave
from knowledge.web.searching.exa import Exa
from knowledge.web.searching.provider import Provider
from knowledge.web.searching.searxng import Searxng
from knowledge.web.searching.serper import Serper
from knowledge.web.searching.sitemap import Sitemaps
from knowledge.web.searching.tavily import Tavily

KEYED: Final[Mapping[str, Callable[[str, Fetcher], Provider]]] = {
    "brave": Brave, "tavily": Tavily, "exa": Exa, "serper": Serper,
}  # fmt: skip
"""Services, which dial their own host at public addresses alone."""


def providers(search: SearchSettings, web: WebSettings, own: Rules) -> tuple[Provider, ...]:
    """Return the providers in the order in which they are asked; nothing is opened before the first search.

    ``own`` are the rules by which pages are fetched; by them the ``sitemap`` provider fetches, too.

    Raises:
        ValueError: a name is none of ``PROVIDERS``, an address is none, or what a provider needs is not there.

    """
    return tuple(_provider(name, search, web, own) for name in search.order)


def _provider(name: str, search: SearchSettings, web: WebSettings, own: Rules) -> Provider:
    if name in KEYED and name in search.keys:
        return KEYED[name](search.keys[name], Fetcher(web))
    if name == "searxng" and search.searxng_url:
        fetcher = Fetcher(web, only(search.searxng_url))
        return Searxng(search.searxng_url, fetcher, own=_stands_inside(search.searxng_url, own))
    if name == "sitemap" and search.sites:
        return Sitemaps(search.sites, Fetcher(web, own))
    raise ValueError(f"the search provider {name} cannot be asked: there is none, or it lacks its key or address")


def only(address: str) -> Rules:
    """Return the rules by which one host that the operator named is dialled, wherever it is, and nothing else.

    Raises:
        ValueError: the address is none.

    """
    url = URL(address)
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError("the address of a search provider begins with http:// or https://")
    host = f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host
    return Rules(ports=frozenset(), allowed=rules([f"{host}:{url.port}"]).allowed)


def _stands_inside(address: str, own: Rules) -> bool:
    """Say whether an address shows by itself that it is of the operator's network, or its host is named as such."""
    url = URL(address)
    if own.names(url.raw_host or ""):
        return True
    try:
        judge_url(str(url.with_port(None).origin()), Rules())
    except FetchRefused:
        return True
    return False
