"""The guard: which URLs may be fetched, and which addresses may be connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from knowledge.errors import FetchRefused
from knowledge.web.http.guard import AccessRules, build_rules, check_address, check_url
from tests.web.http.ssrf_vectors import INNER_4, INNER_6, embedded

PUBLIC_ADDRESSES = (
    "93.184.216.34", "1.1.1.1", "223.5.5.5", "2606:4700:4700::1111", "64:ff9b::5db8:d822", "2002:101:101::1",
)  # fmt: skip
URLS = {
    "http://example.com": "http://example.com/",
    "HTTPS://EXAMPLE.com:443/a?b=c#d": "https://example.com/a?b=c",
    "http://example.com./": "http://example.com/",
    "http://example.com:443/": "http://example.com:443/",
    "http://bücher.example/ü?ü": "http://xn--bcher-kva.example/%C3%BC?%C3%BC",
    "http://文档.example/": "http://xn--7dvp7d.example/",
    "http://[2606:4700:4700:0:0:0:0:1111]/": "http://[2606:4700:4700::1111]/",
    "http://example.com/a%2Fb?x=%20": "http://example.com/a%2Fb?x=%20",
    'http://example.com/"<>{}|^`': "http://example.com/%22%3C%3E%7B%7D%7C%5E%60",
}  # fmt: skip


@pytest.mark.parametrize(("url", "sent"), URLS.items())
def test_a_url_gets_one_spelling(url: str, sent: str) -> None:
    assert check_url(url, AccessRules()).url == sent
    assert check_url(sent, AccessRules()).url == sent


def is_connected(address: str) -> bool:
    try:
        check_address(address, "x.example", AccessRules())
    except FetchRefused:
        return False
    return True


def test_no_private_address_is_connected() -> None:
    addresses = [*INNER_4, *INNER_6, *(form for one in INNER_4 for form in embedded(one))]
    assert [address for address in addresses if is_connected(address)] == []


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_connected(address: str) -> None:
    check_address(address, "x.example", AccessRules())


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_is_checked(address: IPv4Address) -> None:
    for form in embedded(str(address)):
        assert is_connected(str(address)) or not is_connected(form), form
    assert is_connected(f"::ffff:{address}") == is_connected(str(address)) == is_connected(f"64:ff9b::{address}")


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_is_public(address: IPv6Address) -> None:
    public = any(address in IPv6Network(network) for network in ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96"))
    assert public or not is_connected(str(address))


@given(st.text(max_size=60), st.sampled_from(["http://", "https://", "http://example.com", "//", ""]))
def test_any_text_is_parsed_or_refused(text: str, start: str) -> None:
    try:
        target = check_url(start + text, AccessRules())
    except FetchRefused as refused:
        assert refused.reason != str(refused)  # noqa: PT017
        return
    assert target.url.isascii()
    assert target.url.isprintable()
    assert not set(target.url) & set(' \\<>"\r\n')
    assert URL(target.url, encoded=True).raw_host == target.host
    assert check_url(target.url, AccessRules()) == target


def test_named_hosts_are_read_as_hosts_and_ports() -> None:
    named = build_rules(["Intranet.Company", "wiki.company:8443", "[FD00::1]", "wiki.company:443", "10.0.0.1"])
    assert named.private_hosts == {
        "intranet.company": frozenset(),
        "wiki.company": frozenset({8443, 443}),
        "fd00::1": frozenset(),
        "10.0.0.1": frozenset(),
    }
    for entry in ("", "a b", "http://x", "0x7f.1", "u@x", "x:99999", "*.company"):
        with pytest.raises(ValueError, match="host"):
            build_rules([entry])
