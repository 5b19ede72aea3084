"""What the web part is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.web.http.guard import DEFAULT_PORTS
from knowledge.web.http.proxies import Proxies


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may take, its redirects included."""

    total_s: float = 30.0
    """From the call to the last byte."""
    idle_s: float = 10.0
    """Between two bytes, and for a connection to stand."""
    wire_bytes: int = 20_000_000
    """Of the body as it comes, compressed or not."""
    body_bytes: int = 50_000_000
    """Of the body once it is unpacked."""
    headers: int = 100
    header_bytes: int = 8_190
    """Of one header, and of the status line."""
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How Kvasir goes to the web."""

    proxies: Proxies = field(default_factory=Proxies)
    ports: Collection[int] = DEFAULT_PORTS
    """That may be dialled on public hosts."""
    contact: str = ""
    """A page or an address at which a site's owner finds who runs this; it stands in the User-Agent."""
    ca_file: Path | None = None
    """Certificates of a company's own authority (PEM), trusted beside the system's."""
    limits: FetchLimits = field(default_factory=FetchLimits)

    @property
    def user_agent(self) -> str:
        """Return who Kvasir says it is."""
        return f"Kvasir/0.1 ({f'+{self.contact}' if self.contact else 'reads for the search of one company'})"


PROVIDERS = ("searxng", "brave", "tavily", "exa", "serper", "sitemap")
"""Who can be asked to search the web, in the order in which they are asked unless configured otherwise."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Who is asked to search the web; each of ``order`` has what it needs."""

    order: tuple[str, ...] = ()
    """Names of ``PROVIDERS``; none: nobody is asked, and links alone are read."""
    searxng_url: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By the provider's name."""
    sites: tuple[str, ...] = ()
    """Addresses whose sitemaps ``sitemap`` searches."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How the live web is asked. Where it is off there are none, and nothing of it is made."""

    listed: bool = False
    """Whether ``domains`` are all that is ever read."""
    domains: frozenset[str] = frozenset()
    """Hosts in ASCII and small letters, each with what lies under it."""
    private: tuple[str, ...] = ()
    """Hosts, or ``host:port``, that may be at private addresses (``guard.rules``): read for everybody who asks."""
    search: SearchSettings = SearchSettings()
    cache_bytes: int = 256_000_000

    @property
    def only(self) -> frozenset[str]:
        """Return the domains that are all that is ever read; none: any."""
        return self.domains if self.listed else frozenset()
