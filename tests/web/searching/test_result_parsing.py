"""Queries, and page keys that recognize one page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.searching.result_parsing import add_site_operators


def test_a_query_is_narrowed_as_search_engines_read_it() -> None:
    assert add_site_operators("a b", frozenset()) == "a b"
    assert add_site_operators("a b", frozenset({"x.org"})) == "a b site:x.org"
    assert add_site_operators("a b", frozenset({"y.org", "x.org"})) == "a b (site:x.org OR site:y.org)"
    assert add_site_operators("a b", frozenset(f"{n}.org" for n in range(9))) == "a b"


@given(st.text(max_size=60))
def test_any_addresses_can_be_compared(url: str) -> None:
    build_page_key(url)
    build_page_key(f"https://example.com/{url}")


def test_different_pages_have_different_keys() -> None:
    pages = [
        "https://example.com/a", "https://example.com/b", "https://docs.example.com/a", "https://example.com:8443/a",
        "https://example.com/a?page=2", "https://example.com/a?page=3", "https://example.com/A", "https://example.com/",
    ]  # fmt: skip
    assert len({build_page_key(page) for page in pages}) == len(pages)
