"""Settings of the live web, and the one list of search providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from knowledge.masking import DEFAULT_RECOGNISER, Recogniser


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """The declaration of a search provider: its name, what it needs, and the class that searches."""

    name: str
    """The name for ``[web] search`` in ``kvasir.toml``."""
    needs: Literal["key", "address", "sites"]
    """What must be configured before it can search."""
    setting: str
    """Where that is configured: an environment variable, or a key of ``[web]``."""
    implementation: str
    """``module:class``, imported with the first search."""
    address: str = field(kw_only=True)
    """The service's URL; "" if the operator names it."""


PROVIDERS: Final = {
    spec.name: spec
    for spec in (
        ProviderSpec("searxng", "address", "KVASIR_SEARXNG_URL", "knowledge.web.searching.searxng:Searxng", address=""),
        ProviderSpec(
            "brave",
            "key",
            "BRAVE_API_KEY",
            "knowledge.web.searching.brave:Brave",
            address="https://api.search.brave.com",
        ),
        ProviderSpec(
            "tavily", "key", "TAVILY_API_KEY", "knowledge.web.searching.tavily:Tavily", address="https://api.tavily.com"
        ),
        ProviderSpec("exa", "key", "EXA_API_KEY", "knowledge.web.searching.exa:Exa", address="https://api.exa.ai"),
        ProviderSpec(
            "serper",
            "key",
            "SERPER_API_KEY",
            "knowledge.web.searching.serper:Serper",
            address="https://google.serper.dev",
        ),
        ProviderSpec("sitemap", "sites", "sites", "knowledge.web.searching.sitemap_search:SitemapSearch", address=""),
    )
}
"""All search providers by name, in the default order."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Which providers search the web."""

    provider_order: tuple[str, ...] = ()
    """Names of ``PROVIDERS``, each with what it needs. If empty, Kvasir reads links but searches nothing."""
    searxng_url: str | None = None
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The keys by the provider's name."""
    sites: tuple[str, ...] = ()
    """Addresses of the sites whose sitemaps the provider ``sitemap`` searches."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the URLs of the providers, of which ``sitemap`` has none: it reads pages."""
        specs = (PROVIDERS[name] for name in self.provider_order)
        found = (self.searxng_url if spec.needs == "address" else spec.address for spec in specs)
        return tuple(address for address in found if address)

    def has_what_it_needs(self, spec: ProviderSpec) -> bool:
        """Return whether a provider's key, address or sites are configured."""
        configured = {"key": spec.name in self.api_keys, "address": bool(self.searxng_url), "sites": bool(self.sites)}
        return configured[spec.needs]


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How Kvasir uses the live web. If it is disabled, there are no such settings."""

    listed_only: bool = False
    """Whether ``domains`` are the only ones that Kvasir reads."""
    domains: frozenset[str] = frozenset()
    """Hosts in ASCII and lower case, each with its subdomains."""
    private_hosts: tuple[str, ...] = ()
    """``host`` or ``host:port`` that may be at private addresses (``guard.build_rules``); anybody may ask for them."""
    search: SearchSettings = SearchSettings()
    cache_bytes: int = 256_000_000
    recogniser: Recogniser = field(default=DEFAULT_RECOGNISER, repr=False)
    """Finds what no search engine may get."""
    withholds_private: bool = False
    """Whether a query in which it finds something is not sent at all, instead of with masks."""

    @property
    def allowed_domains(self) -> frozenset[str]:
        """Return the only domains that Kvasir reads; empty for any."""
        return self.domains if self.listed_only else frozenset()
