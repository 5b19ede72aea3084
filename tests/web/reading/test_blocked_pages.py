"""Blocked pages are distinguished from readable ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.reading.article import read_article, read_crawled_page
from knowledge.web.reading.blocked_pages import find_blocking_reason
from knowledge.web.reading.crawled_page import LOGIN_REQUIRED
from tests.web.reading.blocked_page_samples import TEXTS, WALLS

URL = "https://docs.example/a"


@pytest.mark.parametrize("name", WALLS)
def test_a_blocked_page_is_recognised_with_its_reason(name: str) -> None:
    reason, html = WALLS[name]
    found = read_article(html.encode(), URL, "text/html; charset=utf-8")
    assert reason in (found.unreadable or "none")
    assert found.sections == ()
    visited = read_crawled_page(html.encode(), URL, "text/html; charset=utf-8")
    if name.endswith("login said"):
        assert visited.unreadable is None, "words alone hide no page of a site"
    else:
        assert f"it {visited.unreadable}" == found.unreadable, "a crawler treats the page alike"


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_not_blocked(name: str) -> None:
    found = read_article(TEXTS[name].encode(), URL, "text/html; charset=utf-8")
    assert found.unreadable is None
    assert found.sections
    assert read_crawled_page(TEXTS[name].encode(), URL, "text/html; charset=utf-8").unreadable is None


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<form>Sign in <input name=u><input type=password></form>", LOGIN_REQUIRED),
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
    assert read_crawled_page(f"<html><body>{html}</body></html>".encode(), URL, "text/html").unreadable == why


VISITING = "<h1>{}</h1><p>" + "The office is open from nine to five, ring twice at the gate. " * 4 + "</p>"
NAV = "".join(f"<li><a href=/{n}>Department of quays and bridges {n}</a></li>" for n in range(36))
BANNER = (
    "<div class=banner>We use cookies to make this site better. <button>Accept all</button><button>Reject all</button>"
    "<a>Manage preferences</a></div>"
)


@pytest.mark.parametrize(
    ("before", "after", "heading"),
    [
        ("<a>Sign in to your account</a>", "", "Visiting us"),
        ("", "Please log in to edit this page", "Visiting us"),
        ("", "Please log in to edit this page", "Login at the terminals in the hall"),
        ("", "Sie müssen angemeldet sein. Bitte melden Sie sich an, um die Seite zu bearbeiten.", "Besuch"),
        ("", "请登录后编辑", "访问我们"),
        ("", "Bitte melden Sie sich bis Freitag an.", "Anmeldung zum Sommerfest"),
        (BANNER, "<a>Cookie settings</a>", "Visiting us"),
    ],
)
def test_navigation_does_not_make_a_short_page_blocked(before: str, after: str, heading: str) -> None:
    """A mistake costs the live web one page, but hides a site's page from everybody."""
    body = f"<header>{before}</header><nav><ul>{NAV}</ul></nav><main>{VISITING}</main><footer>{after}</footer>"
    html = f"<html><head><title>{heading}</title></head><body>{body.format(heading)}</body></html>"
    assert read_crawled_page(html.encode(), URL, "text/html; charset=utf-8").unreadable is None


@pytest.mark.parametrize(
    "html",
    [
        "<title>Sign in to your account</title><form>Email <input name=mail><button>Next</button></form>",
        "<title>Acme</title><h1>Log in</h1><form><input name=u></form><p>Please log in to continue to the wiki.</p>",
        (
            f"<title>Acme</title><nav><ul>{NAV}</ul></nav><main><p>Please log in to see this page.</p>"
            "<form>Name <input> Password <input type=password></form></main>"
        ),
    ],
    ids=["title", "heading", "field"],
)
def test_a_login_page_of_a_site_is_recognised(html: str) -> None:
    assert read_crawled_page(html.encode(), URL, "text/html; charset=utf-8").unreadable == LOGIN_REQUIRED


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_page_is_parsed(html: str, text: str) -> None:
    find_blocking_reason(html, text)
    assert find_blocking_reason(html, text + "One more word of a long text. " * 80) is None
