"""Which proxy, if any, stands between Kvasir and a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from yarl import URL

from knowledge.web.http.guard import Target

SCHEMES = ("http", "socks5", "socks5h", "socks4", "socks4a")
"""What a proxy's address begins with. The name is resolved where ``trusted`` says, whatever the scheme says."""

DIRECT = "direct"
"""What a rule says for no proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address, which may hold a password."""

    url: str = field(repr=False)
    trusted: bool = False
    """Whether it is the proxy that keeps Kvasir out of the inner network.

    If not, names are resolved here, judged, and the proxy is told the address to dial. If so, it is told the name, and
    the addresses behind names are its own affair: for networks in which only the proxy can resolve the world's names.
    """

    def __post_init__(self) -> None:
        """Refuse what is no proxy.

        Raises:
            ValueError: its text shows no password.

        """
        try:
            url = URL(self.url)
            whole = url.scheme in SCHEMES and url.host is not None and url.port is not None
        except ValueError:
            whole = False
        if not whole:
            kinds = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise ValueError(f"a proxy's address is http://host:port or the like; it may begin with {kinds}")

    @property
    def shown(self) -> str:
        """Return the address without what it may hold of a user's name and password."""
        url = URL(self.url)
        return f"{url.scheme}://{'***@' if url.user or url.password else ''}{url.host}:{url.port}"

    @property
    def is_http(self) -> bool:
        """Say whether it speaks HTTP rather than SOCKS."""
        return URL(self.url).scheme == "http"


@dataclass(frozen=True, slots=True)
class Proxies:
    """Every proxy there is; the first of ``rules``, ``no_proxy`` and the scheme's own that fits a host decides."""

    http: Proxy | None = None
    """For ``http://`` addresses (``HTTP_PROXY``)."""
    https: Proxy | None = None
    """For ``https://`` addresses (``HTTPS_PROXY``)."""
    no_proxy: tuple[str, ...] = ()
    """As in ``NO_PROXY``: a domain with what is below it, an address, a network, any of them with ``:port``; ``*``."""
    rules: Mapping[str, Proxy | None] = field(default_factory=dict)
    """A domain with what is below it, and the proxy for it (None: no proxy); the longest domain that fits decides."""

    def of(self, target: Target) -> Proxy | None:
        """Return the proxy through which a target is dialled, None for none."""
        fitting = [domain for domain in self.rules if _is_within_domain(target.host, domain)]
        if fitting:
            return self.rules[max(fitting, key=len)]
        if any(_matches_exception(entry.strip().lower(), target) for entry in self.no_proxy):
            return None
        return self.https if target.scheme == "https" else self.http


def _is_within_domain(host: str, domain: str) -> bool:
    domain = domain.strip().lower().removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _matches_exception(entry: str, target: Target) -> bool:
    if entry == "*":
        return True
    if target.literal is not None and _is_in_network(entry, target):
        return True
    domain, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        return port == str(target.port) and (
            _is_within_domain(target.host, domain) or domain.strip("[]") == target.host
        )
    return _is_within_domain(target.host, entry)


def _is_in_network(network: str, target: Target) -> bool:
    assert target.literal is not None  # noqa: S101 - the caller looked
    try:
        return ip_address(target.host) in ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
