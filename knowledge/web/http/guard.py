"""May this address be asked for, and may that machine be dialled? Pure, and the one place where it is decided.

A URL is taken apart here, and nowhere again: what is dialled is what was judged. Odd spellings of a host, which two
programs may read in two ways, are refused rather than understood.
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
"""What is dialled unless configured otherwise."""

_DEFAULT_PORT = {"http": 80, "https": 443}
_MAX_URL_CHARACTERS = 8_000
_MAX_HOST_CHARACTERS = 253
_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.ASCII
)
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
"""Blanks, controls, the invisible, backslashes: programs disagree about every one of them."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
"""What IDNA takes for a dot."""
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
"""What no public name ends with. A trusted proxy resolves names itself, so that their spelling is all there is."""

_FORBIDDEN = tuple(
    IPv4Network(network)
    for network in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "168.63.129.16", "100.100.100.200", "192.0.0.192")
)
_FORBIDDEN_6 = tuple(
    IPv6Network(network) for network in ("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/64")
)
"""Dialled for nobody: "this host", link-local, multicast, reserved, and where clouds hand out their machines' keys."""
_NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_NOT_PUBLIC_6 = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20"))
"""Beside what ``is_global`` knows in every version of Python that is supported."""
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
    """What may be dialled beyond the public web."""

    ports: frozenset[int] = DEFAULT_PORTS
    """On public hosts."""
    allowed: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Hosts that may be at private addresses too, with their ports (none: ``ports``). See ``may_be_here``."""
    only: frozenset[str] = frozenset()
    """All that is asked for, each with what lies under it; none: anything."""

    def names(self, host: str) -> bool:
        """Say whether the operator named this host."""
        return host in self.allowed

    def may_be_here(self, host: str) -> bool:
        """Say whether a named host may be this very machine: named as such, or with a port."""
        return bool(self.allowed.get(host)) or host == "localhost" or _parse_literal(host) is not None

    def ports_of(self, host: str) -> frozenset[int]:
        """Return the ports of a host that may be dialled."""
        return self.allowed.get(host) or self.ports


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked for, provided that its host is at an address that may be dialled."""

    scheme: str
    host: str
    """In lower case and ASCII, without a trailing dot; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query as they are sent."""
    literal: Address | None
    """The host as an address where it is one; it was judged."""

    @property
    def origin(self) -> str:
        """Return scheme, host and port, without the port that goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        """Return the URL in the one spelling that is dialled, without a fragment."""
        return self.origin + self.path


def create_unchecked_target(url: URL) -> Target:
    """Return an address that an operator has named as a target; it is not judged."""
    host = (url.host or "").lower()
    return Target(url.scheme, host, url.port or 0, url.raw_path_qs, _parse_literal(host))


def build_rules(
    allow_hosts: Collection[str] = (), ports: Collection[int] = DEFAULT_PORTS, only: frozenset[str] = frozenset()
) -> AccessRules:
    """Return the rules with these hosts named: ``host`` or ``host:port``, IPv6 addresses in brackets.

    Raises:
        ValueError: an entry is neither; its text says which.

    """
    allowed: dict[str, frozenset[int]] = {}
    for entry in allow_hosts:
        try:
            host, port = _split_authority(entry.strip())
        except FetchRefused as error:
            raise ValueError(f"{entry!r} is no host: {error.reason}") from None
        allowed[host] = allowed.get(host, frozenset()) | ({port} if port else frozenset())
    return AccessRules(frozenset(ports), allowed, only)


def check_url(url: str, rules: AccessRules) -> Target:
    """Take a URL apart; say no to what may not be asked for.

    Raises:
        FetchRefused: with the exact reason for the log.

    """
    if len(url) > _MAX_URL_CHARACTERS:
        raise FetchRefused(f"the URL has {len(url)} characters, more than {_MAX_URL_CHARACTERS}")
    if unfit := _FORBIDDEN_CHARACTERS.search(url):
        raise FetchRefused(f"the URL holds the character U+{ord(unfit[0]):04X}")
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise FetchRefused("the URL is not http:// or https:// with a host")
    scheme = shape["scheme"].lower()
    host, port = _split_authority(shape["authority"])
    target = Target(
        scheme=scheme,
        host=host,
        port=port or _DEFAULT_PORT[scheme],
        path=_escape(shape["path"] or "/") + _escape(shape["query"] or ""),
        literal=_parse_literal(host),
    )
    _check_target(target, rules)
    return target


def check_linked_url(url: str, source: Target, rules: AccessRules) -> Target:
    """Take apart a URL to which a host leads, by a redirect or in a list of addresses.

    What strangers write does not choose what is asked of hosts that the operator named; those lead to each other.

    Raises:
        FetchRefused: with the exact reason for the log.

    """
    target = check_url(url, rules)
    if rules.names(target.host) and not rules.names(source.host):
        raise FetchRefused(f"{source.host}, where anybody may write, leads to {target.host}")
    return target


def check_domain(host: str, only: Collection[str]) -> None:
    """Say no to a host that is none of these and lies under none; an empty set is no limit.

    Raises:
        FetchRefused: with the exact reason for the log.

    """
    if only and not is_within_domains(host, only):
        raise FetchRefused(f"{host} is not among the sites that may be read")


def leads_to_private_host(url: str, rules: AccessRules) -> bool:
    """Say whether a URL that may be asked for leads to a host that the operator named."""
    try:
        return rules.names(check_url(url, rules).host)
    except FetchRefused:
        return False


def check_address(address: str, host: str, rules: AccessRules) -> None:
    """Say no to an address at which a host may not be dialled.

    Raises:
        FetchRefused: with the exact reason for the log.

    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise FetchRefused(f"{host} is at something that is no address") from None
    if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
        raise FetchRefused(f"{host} is at {address}, which has a zone")
    for form in expand_address(parsed):
        if _is_forbidden(form):
            raise FetchRefused(f"{host} is at {address}, which is dialled for nobody")
        if not rules.names(host) and not _is_public(form):
            raise FetchRefused(f"{host} is at {address}, which is not public")
        if form.is_loopback and not rules.may_be_here(host):
            raise FetchRefused(f"{host} is at {address}, this machine, and is named without a port")


def expand_address(address: Address) -> Iterator[Address]:
    """Yield an address and every IPv4 address that it embeds; an IPv4-mapped one is nothing but that."""
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
    check_domain(target.host, rules.only)
    if target.port not in rules.ports_of(target.host):
        raise FetchRefused(f"port {target.port} of {target.host} is not among those that are dialled")
    if target.literal is not None:
        check_address(str(target.literal), target.host, rules)
    elif target.host in _METADATA_NAMES:
        raise FetchRefused(f"{target.host} is where a cloud keeps its machines' keys")
    elif not rules.names(target.host) and ("." not in target.host or _has_internal_suffix(target.host)):
        raise FetchRefused(f"{target.host} is no public name")
    if URL(target.url, encoded=True).raw_host != target.host:
        raise FetchRefused(f"the host {target.host!a} can be read in two ways")


def _has_internal_suffix(host: str) -> bool:
    return host.rpartition(".")[2] in _INTERNAL_SUFFIXES


def _split_authority(authority: str) -> tuple[str, int | None]:
    """Return the host in its one spelling, and the port where one is told."""
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
        raise FetchRefused("there is something between the host and the port")
    return host, _parse_port(rest[1:])


def _parse_port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):  # noqa: PLR2004
        raise FetchRefused("the port is no number from 1 to 65535")
    return int(text)


def _parse_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise FetchRefused("the brackets hold no IPv6 address") from None
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
        raise FetchRefused(f"{host[:80]!a} is no host name")
    return host


def _parse_ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError:
        raise FetchRefused(f"{host[:80]!a} is an IPv4 address in an odd spelling") from None


def _encode_idna(host: str) -> str:
    if _NUMBER.fullmatch(_DOTS.split(host)[-1]):
        raise FetchRefused(f"{host[:80]!a} is an IPv4 address in digits of another script")
    try:
        encoded = URL.build(scheme="http", host=host).raw_host
    except (ValueError, UnicodeError):
        encoded = None
    if not encoded or not encoded.isascii() or _NUMBER.fullmatch(encoded.removesuffix(".").rpartition(".")[2]):
        raise FetchRefused(f"{host[:80]!a} is no host name in IDNA")
    return encoded.lower()


def _parse_literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _escape(text: str) -> str:
    """Escape what may not stand in a request; what is escaped already stays as it is."""
    return quote(text, safe=_UNESCAPED)
