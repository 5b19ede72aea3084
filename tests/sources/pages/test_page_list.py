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
