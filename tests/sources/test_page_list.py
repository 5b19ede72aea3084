"""The list of added pages, as several presses of one button write it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from knowledge.sources.page_list import PageList


def test_of_presses_at_once_one_adds_the_page_and_none_fails(tmp_path: Path) -> None:
    pages = PageList(tmp_path / "pages")
    with ThreadPoolExecutor(16) as pool:
        for n in range(20):
            url = f"https://news.example/{n}"
            added = list(pool.map(lambda _, url=url: pages.add(url, "U1"), range(16)))
            assert sum(one is not None for one in added) == 1
    assert len(pages.pages()) == 20
    assert {path.suffix for path in (tmp_path / "pages").iterdir()} == {".json"}, "no draft is left"
