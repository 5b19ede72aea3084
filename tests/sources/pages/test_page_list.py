"""The list of added pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.errors import SourceError
from knowledge.sources.pages.page_list import PageList


@pytest.mark.parametrize(
    "url", ["news", "ftp://news.example/a", "https://ada:hush@news.example/a", "https://", "javascript:alert(1)"]
)
def test_an_invalid_address_is_not_added_and_its_password_not_shown(tmp_path: Path, url: str) -> None:
    pages = PageList(tmp_path)
    with pytest.raises(SourceError) as caught:
        pages.add_page(url, "U1")
    assert "hush" not in str(caught.value)
    assert pages.list_pages() == []


def test_a_forgotten_person_leaves_the_pages(tmp_path: Path) -> None:
    pages = PageList(tmp_path, now=lambda: 7.0)
    pages.add_page("https://docs.example/a", "U1")
    pages.add_page("https://docs.example/b", "U12")
    assert (pages.forget_person("U1"), pages.forget_person("U1")) == (1, 0)
    assert [(page.url, page.added_at, page.added_by) for page in pages.list_pages()] == [
        ("https://docs.example/a", 7.0, ""),
        ("https://docs.example/b", 7.0, "U12"),
    ]
    assert len(list(tmp_path.iterdir())) == 2, "no draft is left"
