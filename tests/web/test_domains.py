"""Which hosts may be read: a domain with what lies under it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import FetchRefused
from knowledge.web.http.domains import host_of, in_both, lies_under
from knowledge.web.http.guard import judge_url, rules

NAMES = ["a.example", "b.a.example", "c.b.a.example", "xa.example", "example", "other.test"]


@pytest.mark.parametrize(
    ("host", "under"),
    [("a.example", True), ("b.a.example", True), ("xa.example", False), ("example", False), ("a.example.test", False)],
)
def test_a_domain_stands_for_itself_and_what_lies_under_it(host: str, under: bool) -> None:  # noqa: FBT001 - a table
    assert lies_under(host, {"a.example"}) == under


@given(st.frozensets(st.sampled_from(NAMES)), st.frozensets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_what_lies_under_both_lies_under_what_is_left(
    allowed: frozenset[str], wanted: frozenset[str], host: str
) -> None:
    def may(domains: frozenset[str]) -> bool:
        return not domains or lies_under(host, domains)

    both = in_both(allowed, wanted)
    assert (both is not None and may(both)) == (may(allowed) and may(wanted))


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
def test_a_url_s_host(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_guard_asks_for_nothing_that_is_not_listed() -> None:
    listed = rules(["wiki.intra"], only=frozenset({"a.example"}))
    assert judge_url("https://b.a.example/x", listed).host == "b.a.example"
    for url in ("https://other.test/", "https://a.example.other.test/", "http://wiki.intra/"):
        with pytest.raises(FetchRefused) as caught:
            judge_url(url, listed)
        assert "may be read" in caught.value.reason
