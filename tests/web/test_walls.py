"""Pages without a text for us are told from pages with one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.article import read_article, read_visited
from knowledge.web.page import LOGIN
from knowledge.web.walls import wall
from tests.web.walled import TEXTS, WALLS

URL = "https://docs.example/a"


@pytest.mark.parametrize("name", WALLS)
def test_a_wall_is_recognised_with_its_reason(name: str) -> None:
    reason, html = WALLS[name]
    found = read_article(html.encode(), URL, "text/html; charset=utf-8")
    assert reason in (found.unreadable or "none")
    assert found.sections == ()
    visited = read_visited(html.encode(), URL, "text/html; charset=utf-8")
    assert f"it {visited.unreadable}" == found.unreadable, "a site that is walked through is looked at alike"


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_none(name: str) -> None:
    found = read_article(TEXTS[name].encode(), URL, "text/html; charset=utf-8")
    assert found.unreadable is None
    assert found.sections
    assert read_visited(TEXTS[name].encode(), URL, "text/html; charset=utf-8").unreadable is None


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<form>Sign in <input name=u><input type=password></form>", LOGIN),
        ("<div id=root></div><script src=a.js></script>", "shows its text by scripts alone"),
        (
            "<noscript>You need to enable JavaScript to run this app.</noscript><script>1</script>",
            "shows its text by scripts alone",
        ),
        (
            "<p>We use cookies. Cookie settings. Give your consent to cookies.</p><button>Accept</button>",
            "shows its text after a consent alone",
        ),
        ("<p>Short, but a page.</p>", None),
        ("<p>Short, with something that counts its visitors.</p><script>1</script>", None),
        (f"<div id=root><p>{'Rendered on the server. ' * 20}</p></div><script>1</script>", None),
        (f"<p>{'How to change your password. ' * 80}</p><input type=password>", None),
        (f"<h1>Sign in to the VPN</h1><p>{'Open the client, then choose the office that is nearest. ' * 8}</p>", None),
        (f"<h1>Security check of a laptop</h1><p>{'Look whether the disk is encrypted. ' * 12}</p>", None),
        (f"<h1>登录指南</h1><p>{'打开客户端，选择最近的办公室，然后输入动态口令。' * 6}</p>", None),
    ],
)
def test_pages_of_a_site_without_a_text_are_recognised(html: str, why: str | None) -> None:
    assert read_visited(f"<html><body>{html}</body></html>".encode(), URL, "text/html").unreadable == why


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_page_says_is_judged(html: str, text: str) -> None:
    wall(html, text)
    assert wall(html, text + "One more word of a long text. " * 80) is None
