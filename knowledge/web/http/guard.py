"""Decide which URLs may be fetched and which addresses may be connected to. Pure; nothing else decides it.

A URL is parsed here only, so Kvasir connects to exactly what was checked. Unusual spellings of a host, which two
programs may parse differently, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

from yarl import URL

from knowledge.errors import FetchRefused
from knowledge.web.http.domains import is_within_domains

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = frozenset({80, 443})

_DEFAULT_PORT = {"http": 80, "https": 443}
_MAX_URL_CHARACTERS = 8_000
_MAX_HOST_CHARACTERS = 253
_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.ASCII
)
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
"""Blanks, control and invisible characters, backslashes: programs parse URLs with them differently."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
"""Characters that IDNA treats as a dot."""
_UNESCAPED = "!$%&'()*+,/:;=?@[]~-._"

_METADATA_NAMES = frozenset({
    "metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal",
    "metadata.azure.internal", "metadata.tencentyun.com", "api.metadata.cloud.ibm.com", "metadata.packet.net",
    "metadata.platformequinix.com", "rancher-metadata",
})  # fmt: skip
_INTERNAL_SUFFIXES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "corp",
    "home",
    "private",
    "arpa",
    "svc",
    "consul",
    "docker",
)
"""Endings of names that are never public. A trusted proxy resolves names, so Kvasir can check only their spelling."""

_FORBIDDEN = tuple(
    IPv4Network(network)
    for network in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "168.63.129.16", "100.100.100.200", "192.0.0.192")
)
_FORBIDDEN_6 = tuple(
    IPv6Network(network) for network in ("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/64")
)
"""Forbidden for every host: "this host", link-local, multicast, reserved, and the metadata services of clouds."""
_NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_NOT_PUBLIC_6 = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20"))
"""They are not public, in addition to what ``is_global`` knows in every supported version of Python."""
_PUBLIC_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_EMBEDDED_LOW = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"), _NAT64, _LOCAL_NAT64)
_ISATAP = 0x5EFE
_LOW_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Which hosts and ports may be connected to."""

    ports: frozenset[int] = DEFAULT_PORTS
    """The allowed ports of public hosts."""
    private_hosts: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Hosts that the operator allows to be at private addresses, with their ports (empty: ``ports``)."""
    allowed_domains: frozenset[str] = frozenset()
    """The only domains that may be fetched from; empty for any."""

    def is_private_host(self, host: str) -> bool:
        """Return whether the operator allows this host to be at a private address."""
        return host in self.private_hosts

    def may_be_loopback(self, host: str) -> bool:
        """Return whether a private host may be this machine: it is listed with a port, or as localhost or address."""
        return bool(self.private_hosts.get(host)) or host == "localhost" or _parse_literal(host) is not None

    def allowed_ports(self, host: str) -> frozenset[int]:
        """Return the allowed ports of a host."""
        return self.private_hosts.get(host) or self.ports


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed the check. The addresses of its host are checked when they are resolved."""

    scheme: str
    host: str
    """The host in lower case and ASCII, without a trailing dot; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query in their escaped form."""
    literal: Address | None
    """The host if it is an IP address, which was checked; else None."""

    @property
    def origin(self) -> str:
        """Return scheme, host and port, without the scheme's default port."""
        host = bracket_address(self.host)
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        """Return the URL in its normal form, without a fragment."""
        return self.origin + self.path


def create_unchecked_target(url: URL) -> Target:
    """Return a URL from the configuration as a target, without a check."""
    host = (url.host or "").lower()
    return Target(url.scheme, host, url.port or 0, url.raw_path_qs, _parse_literal(host))


def build_rules(
    private_hosts: Collection[str] = (),
    ports: Collection[int] = DEFAULT_PORTS,
    allowed_domains: frozenset[str] = frozenset(),
) -> AccessRules:
    """Return access rules. A private host is ``host`` or ``host:port``, with IPv6 addresses in brackets.

    Raises:
        ValueError: an entry is malformed; the text names it.

    """
    ports_by_host: dict[str, frozenset[int]] = {}
    for entry in private_hosts:
        try:
            host, port = _split_authority(entry.strip())
        except FetchRefused as error:
            raise ValueError(f"{entry!r} is not a host: {error.reason}") from None
        ports_by_host[host] = ports_by_host.get(host, frozenset()) | ({port} if port else frozenset())
    return AccessRules(frozenset(ports), ports_by_host, allowed_domains)


def check_url(url: str, rules: AccessRules) -> Target:
    """Parse a URL and check it against the rules.

    Raises:
        FetchRefused: the URL may not be fetched; the reason is for the log.

    """
    if len(url) > _MAX_URL_CHARACTERS:
        raise FetchRefused(f"the URL has {len(url)} characters, more than {_MAX_URL_CHARACTERS}")
    if character := _FORBIDDEN_CHARACTERS.search(url):
        raise FetchRefused(f"the URL contains the character U+{ord(character[0]):04X}")
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise FetchRefused("the URL is not http:// or https:// with a host")
    scheme = shape["scheme"].lower()
    host, port = _split_authority(shape["authority"])
    target = Target(
        scheme=scheme,
        host=host,
        port=port or _DEFAULT_PORT[scheme],
        path=_escape_text(shape["path"] or "/") + _escape_text(shape["query"] or ""),
        literal=_parse_literal(host),
    )
    _check_target(target, rules)
    return target


def check_linked_url(url: str, source: Target, rules: AccessRules) -> Target:
    """Parse and check a URL that ``source`` redirects or links to.

    Public hosts may not lead to private hosts, because strangers write their content; private hosts may.

    Raises:
        FetchRefused: the URL may not be fetched; the reason is for the log.

    """
    target = check_url(url, rules)
    if rules.is_private_host(target.host) and not rules.is_private_host(source.host):
        raise FetchRefused(f"{source.host}, which is public, leads to the private host {target.host}")
    return target


def check_domain(host: str, allowed_domains: Collection[str]) -> None:
    """Refuse a host outside of the allowed domains; an empty set allows all.

    Raises:
        FetchRefused: the host is outside; the reason is for the log.

    """
    if allowed_domains and not is_within_domains(host, allowed_domains):
        raise FetchRefused(f"{host} is not among the sites that Kvasir may read")


def list_reachable(rules: AccessRules) -> list[str]:
    """Return what the rules allow as ``host:port``: ``*`` is any public host, ``*.example.com`` any below a domain."""
    below = [f"*.{domain}" for domain in rules.allowed_domains if _parse_literal(domain) is None]
    names = sorted({*rules.allowed_domains, *below}) or ["*"]
    own = sorted(rules.private_hosts.keys() - names)
    return [f"{bracket_address(name)}:{port}" for name in (*names, *own) for port in sorted(rules.allowed_ports(name))]


def bracket_address(host: str) -> str:
    """Return a host as an address of the web has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def leads_to_private_host(url: str, rules: AccessRules) -> bool:
    """Return whether a URL passes the check and its host is a private host."""
    try:
        return rules.is_private_host(check_url(url, rules).host)
    except FetchRefused:
        return False


def check_address(address: str, host: str, rules: AccessRules) -> None:
    """Refuse an address to which Kvasir may not connect for a host.

    Raises:
        FetchRefused: the address is refused; the reason is for the log.

    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise FetchRefused(f"{host} resolves to something that is not an address") from None
    if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
        raise FetchRefused(f"{host} resolves to {address}, which has a zone")
    for form in expand_address(parsed):
        if _is_forbidden(form):
            raise FetchRefused(f"{host} resolves to {address}, which is forbidden for every host")
        if not rules.is_private_host(host) and not _is_public(form):
            raise FetchRefused(f"{host} resolves to {address}, which is not public")
        if form.is_loopback and not rules.may_be_loopback(host):
            raise FetchRefused(f"{host} resolves to {address}, this machine, but is listed without a port")


def expand_address(address: Address) -> Iterator[Address]:
    """Yield an address and every IPv4 address embedded in it; of an IPv4-mapped address, the IPv4 address only."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        yield from (IPv4Address(value) for value in _find_embedded_ipv4(address))


def _find_embedded_ipv4(address: IPv6Address) -> Iterator[int]:
    value = int(address)
    if value > 1 and any(address in network for network in _EMBEDDED_LOW):
        yield value & _LOW_32
    if address in _LOCAL_NAT64 and (high := value >> 64 & 0xFFFF):  # RFC 6052 splits it around bits 64 to 71
        yield high << 16 | value >> 40 & 0xFFFF
    if address in _SIX_TO_FOUR:
        yield value >> 80 & _LOW_32
    if address in _TEREDO:
        yield value >> 64 & _LOW_32
        yield ~value & _LOW_32
    if value >> 32 & 0xFDFF_FFFF == _ISATAP:
        yield value & _LOW_32


def _is_forbidden(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _FORBIDDEN)
    return any(address in network for network in _FORBIDDEN_6)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC)
    return address in _NAT64 or (
        address.is_global and address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
    )


# ── A URL's parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_target(target: Target, rules: AccessRules) -> None:
    check_domain(target.host, rules.allowed_domains)
    if target.port not in rules.allowed_ports(target.host):
        raise FetchRefused(f"port {target.port} of {target.host} is not an allowed port")
    if target.literal is not None:
        check_address(str(target.literal), target.host, rules)
    elif target.host in _METADATA_NAMES:
        raise FetchRefused(f"{target.host} is the metadata service of a cloud")
    elif not rules.is_private_host(target.host) and (
        "." not in target.host or target.host.rpartition(".")[2] in _INTERNAL_SUFFIXES
    ):
        raise FetchRefused(f"{target.host} is not a public name")
    if URL(target.url, encoded=True).raw_host != target.host:
        raise FetchRefused(f"the host {target.host!a} is ambiguous")


def _split_authority(authority: str) -> tuple[str, int | None]:
    """Return the host in its normal form, and the port if there is one."""
    if "@" in authority:
        raise FetchRefused("the URL carries credentials")
    if authority.startswith("["):
        inner, bracket, rest = authority[1:].partition("]")
        host = _parse_ipv6(inner if bracket else "")
    else:
        host, _, rest = authority.partition(":")
        rest = f":{rest}" if ":" in authority else ""
        host = _parse_host(host)
    if rest and not rest.startswith(":"):
        raise FetchRefused("there is extra text between the host and the port")
    return host, _parse_port(rest[1:])


def _parse_port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):  # noqa: PLR2004
        raise FetchRefused("the port is not a number from 1 to 65535")
    return int(text)


def _parse_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise FetchRefused("the brackets do not contain an IPv6 address") from None
    if address.scope_id is not None:
        raise FetchRefused("the IPv6 address has a zone")
    return str(address)


def _parse_host(text: str) -> str:
    host = text.lower()
    if not host.isascii():
        host = _encode_idna(host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_ipv4(host)
    if len(host) > _MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchRefused(f"{host[:80]!a} is not a host name")
    return host


def _parse_ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError:
        raise FetchRefused(f"{host[:80]!a} is an IPv4 address in an unusual spelling") from None


def _encode_idna(host: str) -> str:
    if _NUMBER.fullmatch(_DOTS.split(host)[-1]):
        raise FetchRefused(f"{host[:80]!a} is an IPv4 address in digits of another script")
    try:
        encoded = URL.build(scheme="http", host=host).raw_host
    except (ValueError, UnicodeError):
        encoded = None
    if not encoded or not encoded.isascii() or _NUMBER.fullmatch(encoded.removesuffix(".").rpartition(".")[2]):
        raise FetchRefused(f"{host[:80]!a} is not a host name in IDNA")
    return encoded.lower()


def _parse_literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _escape_text(text: str) -> str:
    """Escape characters that a request may not contain; existing escapes stay."""
    return quote(text, safe=_UNESCAPED)
