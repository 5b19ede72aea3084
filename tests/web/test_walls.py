"""Pages without a text for us are told from pages with one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.article import read_article
from knowledge.web.walls import wall
from tests.web.walled import TEXTS, WALLS

URL = "https://docs.example/a"


@pytest.mark.parametrize("name", WALLS)
def test_a_wall_is_recognised_with_its_reason(name: str) -> None:
    reason, html = WALLS[name]
    found = read_article(html.encode(), URL, "text/html; charset=utf-8")
    assert reason in (found.unreadable or "none")
    assert found.sections == ()


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_none(name: str) -> None:
    found = read_article(TEXTS[name].encode(), URL, "text/html; charset=utf-8")
    assert found.unreadable is None
    assert found.sections


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_page_says_is_judged(html: str, text: str) -> None:
    wall(html, text)
    assert wall(html, text + "One more word of a long text. " * 80) is None
