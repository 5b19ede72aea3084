"""Canonical URLs, and the frontier that visits each page once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.sources.website.frontier import Frontier
from knowledge.web.crawling.canonical_urls import Site

URL = "https://docs.example/guide/page.html"
SITE = Site.from_url("https://docs.example/guide/")


@pytest.mark.parametrize(
    ("link", "document"),
    [
        ("b", "b"), ("b/", "b"), ("b/index.html", "b"), ("./b#part", "b"), ("HTTPS://DOCS.example:443/guide/b", "b"),
        ("http://docs.example/guide/b", "b"), ("//docs.example/guide//b", "b"), ("b?utm_campaign=x&gclid=1", "b"),
        ("b;jsessionid=1A?PHPSESSID=2", "b"), ("%62", "b"), ("b?y=2&x=1", "b?x=1&y=2"), ("文档 1", "文档 1"),
        ("%E6%96%87%E6%A1%A3%201", "文档 1"), ("a%2Fb%3Fc", "a%2Fb%3Fc"), ("..", None), ("../guide", "/"),
        ("../guide-old/b", None), ("../%2e%2e/etc", None), ("//other.example/guide/b", None),
        ("https://docs.example:8443/guide/b", None), ("mailto:a@docs.example", None), ("javascript:void(0)", None),
        ("https://u:p@docs.example/guide/b", None), ("https://[", None),
    ],
)  # fmt: skip
def test_a_page_has_one_name(link: str, document: str | None) -> None:
    address = SITE.normalize_link(link, URL)
    assert (None if address is None else SITE.document_id(address)) == document


@given(st.text(max_size=40), st.text(max_size=20))
def test_normalising_an_address_twice_changes_nothing(path: str, query: str) -> None:
    address = SITE.normalize_link(f"https://docs.example/guide/{path}?{query}", URL)
    if address is not None:
        assert SITE.normalize_link(address, "") == address
        assert address.isascii()
        assert address.startswith("https://docs.example/guide")
        assert not set(address) & set(" \"'<>\\\r\n\t")
        assert SITE.document_id(address).isprintable()


@given(st.lists(st.text("ab/.%2eF?&=#;", max_size=12), max_size=30))
def test_a_frontier_yields_each_page_once(links: list[str]) -> None:
    frontier = Frontier(SITE, lambda _: True, max_pages=10, max_depth=3)
    addresses = [address for link in links if (address := SITE.normalize_link(link, URL))]
    frontier.add_pages(addresses)
    first = frontier.next_level()
    frontier.add_pages(addresses)
    documents = [stop.document for stop in [*first, *frontier.next_level()]]
    assert len(documents) == len(set(documents)) <= 10
