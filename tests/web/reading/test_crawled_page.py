"""Pages of a site: links, directives, dates and the main text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.formats.web_page import parse_html
from knowledge.web.crawling.robots import RobotsRules, parse_robots_directives
from knowledge.web.reading.crawled_page import is_login_url, read_page
from knowledge.web.reading.sitemap import read_sitemap

URL = "https://docs.example/guide/page.html"


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_links_are_absolute_and_nofollow_is_obeyed() -> None:
    found = read_page(
        b"<base href=/other/><a href=a>1</a><a href='b#c'>2</a><a rel='external nofollow' href=d>3</a>"
        b"<a href='mailto:x'>4</a><area href=//e.example/f><a href='https://[bad'>5</a><a href=a>again</a>",
        URL, "text/html",
    )  # fmt: skip
    assert found.links == ("https://docs.example/other/a", "https://docs.example/other/b", "https://e.example/f")


@pytest.mark.parametrize(
    ("tags", "asked"),
    [
        (["noindex, nofollow"], {"noindex", "nofollow"}),
        (["none"], {"none", "noindex", "nofollow"}),
        (["googlebot: noindex"], set()),
        (["kvasir: noindex"], {"noindex"}),
        (["googlebot: noindex, nofollow"], set()),
        (["unavailable_after: 25 Jun 2026, noarchive"], {"unavailable_after: 25 jun 2026", "noarchive"}),
        ([""], set()),
    ],
)
def test_directives_for_this_robot(tags: list[str], asked: set[str]) -> None:
    assert parse_robots_directives(tags) - {""} == asked


def test_dates_and_titles() -> None:
    found = read_page(
        b'<title> A \n b </title><meta property="article:modified_time" content="2026-01-02T03:04:05+01:00">',
        URL, "text/html",
    )  # fmt: skip
    assert found.title == "A b"
    assert found.modified_at == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)


def test_addresses_of_logins_are_recognised() -> None:
    assert is_login_url("https://sso.company/oauth2/authorize?x=1")
    assert is_login_url("https://x.example/wp-login.php?redirect=1")
    assert not is_login_url("https://x.example/docs/authors/blog")
    assert not is_login_url("https://login.example/docs")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page(data: bytes) -> None:
    read_page(data, URL, "text/html")
    parse_html(data, "x.html")
    read_sitemap(data)
    RobotsRules(data).allows_url(URL)


# ── The main text ────────────────────────────────────────────────────────────────────────────────────────────────────

SENTENCE = "Every employee has thirty days of annual leave, which must be taken until March of the next year. "
UNMARKED = f"""<html><head><title>Leave - Company</title></head><body>
<div class=menu><a href=/>Home</a> <a href=/x>Products</a> <a href=/y>Imprint</a></div>
<div class=content><h1>Leave</h1><p>{SENTENCE * 3}</p><h2 id=carry>Carry over</h2><p>{SENTENCE * 2}</p>
<table><tr><th>Grade</th><th>Days</th></tr><tr><td>A</td><td>30</td></tr></table>
<pre><code>kubectl get pods</code></pre></div>
<div class=related><a href=/z>You may also like this</a></div></body></html>"""


def test_the_main_text_of_a_page_that_does_not_mark_it() -> None:
    plain = parse_html(UNMARKED.encode(), "x", "text/html; charset=utf-8")
    found = parse_html(UNMARKED.encode(), "x", f"text/html; charset=utf-8; {MAIN_TEXT}")
    text = "\n".join(section.text for section in found.sections)
    assert "You may also like" in "\n".join(section.text for section in plain.sections)
    assert "You may also like" not in text
    assert "Imprint" not in text
    assert all(part in text for part in ("thirty days", "| A | 30 |", "kubectl get pods"))
    assert found.title == "Leave"
    assert [(section.headings, section.anchor) for section in found.sections][-1] == (("Carry over",), "carry")


def _text_of(html: str) -> str:
    return "\n".join(section.text for section in parse_html(html.encode(), "x", f"text/html; {MAIN_TEXT}").sections)


TEASERS = "".join(f"<a href=/{n}><b>Another story {n}</b></a> <span>3 comments</span><br>" for n in range(9))


def test_navigation_within_the_marked_main_text_is_dropped() -> None:
    marked = UNMARKED.replace("<div class=content>", "<main>").replace(
        "</pre></div>", f"</pre><div class=comments><h2>More of it</h2>{TEASERS}</div></main>"
    )
    text = _text_of(marked)
    assert "Another story" not in text
    assert all(part in text for part in ("thirty days", "| A | 30 |", "kubectl get pods"))


def test_code_is_kept_whole_over_its_blank_lines() -> None:
    code = "def f():\n    return 1\n\n\ndef g():\n    return 2"
    listing = f"<figure><pre><code>{code}</code></pre></figure>"  # which trafilatura leaves out
    text = _text_of(UNMARKED.replace("<pre><code>kubectl get pods</code></pre>", listing))
    assert f"```\n{code}\n```" in text


@pytest.mark.parametrize("tag", ["form", "aside", "header"])
def test_a_main_text_within_an_aside_is_found(tag: str) -> None:
    wrapped = UNMARKED.replace("<body>", f"<body><{tag} id=aspnetForm>").replace("</body>", f"</{tag}></body>")
    assert "thirty days" in _text_of(wrapped)
    marked = f"<main>{'Accept. ' * 40}</main>"
    assert "thirty days" in _text_of(wrapped.replace(f"<{tag} ", f"{marked}<{tag} "))
