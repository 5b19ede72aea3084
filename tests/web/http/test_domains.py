"""Domains and their subdomains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import FetchRefused
from knowledge.web.http.domains import extract_host, intersect_domains, is_within_domains
from knowledge.web.http.guard import build_rules, check_url

NAMES = ["a.example", "b.a.example", "c.b.a.example", "xa.example", "example", "other.test"]


@pytest.mark.parametrize(
    ("host", "under"),
    [("a.example", True), ("b.a.example", True), ("xa.example", False), ("example", False), ("a.example.test", False)],
)
def test_a_domain_includes_its_subdomains(host: str, under: bool) -> None:  # noqa: FBT001 - a table
    assert is_within_domains(host, {"a.example"}) == under


@given(st.frozensets(st.sampled_from(NAMES)), st.frozensets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_the_intersection_of_domains_is_within_both(allowed: frozenset[str], others: frozenset[str], host: str) -> None:
    def may(domains: frozenset[str]) -> bool:
        return not domains or is_within_domains(host, domains)

    both = intersect_domains(allowed, others)
    assert (both is not None and may(both)) == (may(allowed) and may(others))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.Example.:8080/x", "a.example"),
        ("no url", ""),
        ("http://[::1", ""),
        ("https://文档.例子.中国/x", "xn--7dvp7d.xn--fsqu00a.xn--fiqs8s"),
        ("https://BÜCHER.example./", "xn--bcher-kva.example"),
        ("https://\uff41.example/", "a.example"),
    ],
)
def test_the_host_of_a_url_is_extracted(url: str, host: str) -> None:
    assert extract_host(url) == host


def test_the_guard_requests_only_listed_sites() -> None:
    listed = build_rules(["wiki.intra"], allowed_domains=frozenset({"a.example"}))
    assert check_url("https://b.a.example/x", listed).host == "b.a.example"
    for url in ("https://other.test/", "https://a.example.other.test/", "http://wiki.intra/"):
        with pytest.raises(FetchRefused) as caught:
            check_url(url, listed)
        assert "Kvasir may read" in caught.value.reason
