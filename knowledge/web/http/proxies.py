"""Which proxy, if any, Kvasir uses for a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from yarl import URL

from knowledge.web.http.domains import is_within_domains
from knowledge.web.http.guard import Target

SCHEMES = ("http", "socks5", "socks5h", "socks4", "socks4a")
"""Schemes of a proxy's address. ``is_trusted`` decides who resolves names, not the scheme."""

DIRECT = "direct"
"""What a rule says for no proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address, which may contain a password."""

    url: str = field(repr=False)
    is_trusted: bool = False
    """Whether the proxy itself keeps Kvasir out of the internal network.

    Kvasir resolves and checks names for an untrusted proxy, and sends it the address. A trusted proxy gets the name
    and resolves it. This is for networks in which only the proxy can resolve public names.
    """

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: it is not a proxy's address; the text contains no password.

        """
        try:
            url = URL(self.url)
            is_valid = url.scheme in SCHEMES and url.host is not None and url.port is not None
        except ValueError:
            is_valid = False
        if not is_valid:
            kinds = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise ValueError(f"a proxy's address is http://host:port or the like; it may begin with {kinds}")

    @property
    def redacted_url(self) -> str:
        """Return the address without a user's name and password."""
        url = URL(self.url)
        return f"{url.scheme}://{'***@' if url.user or url.password else ''}{url.host}:{url.port}"

    @property
    def is_http(self) -> bool:
        """Return whether the proxy speaks HTTP rather than SOCKS."""
        return URL(self.url).scheme == "http"


@dataclass(frozen=True, slots=True)
class Proxies:
    """All proxies. ``rules`` come first, then ``no_proxy``, then the proxy of the scheme."""

    http: Proxy | None = None
    """The proxy for ``http://`` addresses (``HTTP_PROXY``)."""
    https: Proxy | None = None
    """The proxy for ``https://`` addresses (``HTTPS_PROXY``)."""
    no_proxy: tuple[str, ...] = ()
    """As in ``NO_PROXY``: a domain and its subdomains, an address, a network, each also with ``:port``; or ``*``."""
    rules: Mapping[str, Proxy | None] = field(default_factory=dict)
    """The proxy of a domain and its subdomains, None for no proxy; the longest domain that matches decides."""

    @property
    def all_proxies(self) -> tuple[Proxy, ...]:
        """Return every proxy."""
        return tuple(one for one in (self.http, self.https, *self.rules.values()) if one is not None)

    def choose_proxy(self, target: Target) -> Proxy | None:
        """Return the proxy for a target, None for a direct connection."""
        matching = [domain for domain in self.rules if _is_within_domain(target.host, domain)]
        if matching:
            return self.rules[max(matching, key=len)]
        if any(_matches_exception(entry.strip().lower(), target) for entry in self.no_proxy):
            return None
        return self.https if target.scheme == "https" else self.http


def _is_within_domain(host: str, domain: str) -> bool:
    domain = domain.strip().lower().removeprefix("*").strip(".")
    return bool(domain) and is_within_domains(host, (domain,))


def _matches_exception(entry: str, target: Target) -> bool:
    if entry == "*":
        return True
    if target.literal is not None and _is_in_network(target.host, entry):
        return True
    domain, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        return port == str(target.port) and (
            _is_within_domain(target.host, domain) or domain.strip("[]") == target.host
        )
    return _is_within_domain(target.host, entry)


def _is_in_network(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
