"""Create the configured search providers from their specs."""

from __future__ import annotations

from pkgutil import resolve_name

from yarl import URL

from knowledge.errors import FetchRefused
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import AccessRules, build_rules, check_url
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import PROVIDERS, ProviderSpec, SearchSettings
from knowledge.web.searching.provider import SearchProvider


def create_providers(search: SearchSettings, web: WebSettings, page_rules: AccessRules) -> tuple[SearchProvider, ...]:
    """Return the configured providers in order; they open nothing before the first search.

    ``page_rules`` are the access rules for pages. The provider ``sitemap`` fetches under them too.

    Raises:
        ValueError: an address is malformed.

    """
    return tuple(_create_provider(PROVIDERS[name], search, web, page_rules) for name in search.provider_order)


def _create_provider(
    spec: ProviderSpec, search: SearchSettings, web: WebSettings, page_rules: AccessRules
) -> SearchProvider:
    """Create a provider. Services with a key may connect to public addresses only."""
    implementation = resolve_name(spec.implementation)
    provider: SearchProvider
    match spec.needs:
        case "key":
            provider = implementation(search.api_keys[spec.name], Fetcher(web))
        case "address":
            address = search.searxng_url or ""
            fetcher = Fetcher(web, build_single_host_rules(address))
            provider = implementation(address, fetcher, is_self_hosted=_is_internal(address, page_rules))
        case "sites":
            provider = implementation(search.sites, Fetcher(web, page_rules))
    return provider


def build_single_host_rules(address: str) -> AccessRules:
    """Return rules that allow only the host and port of an address, wherever it is.

    Raises:
        ValueError: the address is malformed.

    """
    url = URL(address)
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError("the address of a search provider begins with http:// or https://")
    host = f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host
    return AccessRules(ports=frozenset(), private_hosts=build_rules([f"{host}:{url.port}"]).private_hosts)


def _is_internal(address: str, page_rules: AccessRules) -> bool:
    """Return whether an address is in the operator's network: a private host, or not a public name or address."""
    url = URL(address)
    if page_rules.is_private_host(url.raw_host or ""):
        return True
    try:
        check_url(str(url.with_port(None).origin()), AccessRules())
    except FetchRefused:
        return True
    return False
