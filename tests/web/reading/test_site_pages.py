"""What a page and a robots.txt say, how an address is spelled, and what the main text of a page is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.formats.web_page import parse_html
from knowledge.sources.website.frontier import Frontier
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.robots import RobotsRules, parse_robots_directives
from knowledge.web.reading.crawled_page import is_login_url, read_page
from knowledge.web.reading.sitemap import read_sitemap

URL = "https://docs.example/guide/page.html"
SITE = Site.from_url("https://docs.example/guide/")


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("link", "document"),
    [
        ("b", "b"),
        ("b/", "b"),
        ("b/index.html", "b"),
        ("./b#part", "b"),
        ("HTTPS://DOCS.example:443/guide/b", "b"),
        ("http://docs.example/guide/b", "b"),
        ("//docs.example/guide//b", "b"),
        ("b?utm_campaign=x&gclid=1", "b"),
        ("b;jsessionid=1A?PHPSESSID=2", "b"),
        ("%62", "b"),
        ("b?y=2&x=1", "b?x=1&y=2"),
        ("文档 1", "文档 1"),
        ("%E6%96%87%E6%A1%A3%201", "文档 1"),
        ("a%2Fb%3Fc", "a%2Fb%3Fc"),
        ("..", None),
        ("../guide", "/"),
        ("../guide-old/b", None),
        ("../%2e%2e/etc", None),
        ("//other.example/guide/b", None),
        ("https://docs.example:8443/guide/b", None),
        ("mailto:a@docs.example", None),
        ("javascript:void(0)", None),
        ("https://u:p@docs.example/guide/b", None),
        ("https://[", None),
    ],
)
def test_a_page_has_one_name(link: str, document: str | None) -> None:
    address = SITE.normalize_link(link, URL)
    assert (None if address is None else SITE.document_id(address)) == document


@given(st.text(max_size=40), st.text(max_size=20))
def test_an_address_stays_as_it_is_once_it_is_spelled(path: str, query: str) -> None:
    address = SITE.normalize_link(f"https://docs.example/guide/{path}?{query}", URL)
    if address is not None:
        assert SITE.normalize_link(address, "") == address
        assert address.isascii()
        assert address.startswith("https://docs.example/guide")
        assert not set(address) & set(" \"'<>\\\r\n\t")
        assert SITE.document_id(address).isprintable()


@given(st.lists(st.text("ab/.%2eF?&=#;", max_size=12), max_size=30))
def test_a_frontier_looks_at_each_page_once(links: list[str]) -> None:
    frontier = Frontier(SITE, lambda _: True, max_pages=10, max_depth=3)
    addresses = [address for link in links if (address := SITE.normalize_link(link, URL))]
    frontier.add(addresses)
    first = frontier.next_level()
    frontier.add(addresses)
    documents = [stop.document for stop in [*first, *frontier.next_level()]]
    assert len(documents) == len(set(documents)) <= 10


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_links_are_absolute_and_those_that_are_not_to_be_followed_are_left_out() -> None:
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
    RobotsRules(data).allows(URL)


# ── robots.txt, sitemaps ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_robots_txt_is_read_for_this_robot() -> None:
    robots = RobotsRules(
        b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n\n"
        b"User-agent: Kvasir\nAllow: /a\nDisallow: /*.php$\nCrawl-delay: 2.5\n"
        b"Sitemap: https://docs.example/map.xml\n"
    )
    assert robots.allows("https://docs.example/a")
    assert not robots.allows("https://docs.example/x.php")
    assert robots.delay_s == 2.5
    assert robots.sitemaps == ("https://docs.example/map.xml",)
    assert RobotsRules(b"User-agent: *\nCrawl-delay: 100000").delay_s == 60
    assert RobotsRules().allows("https://docs.example/anything")


@pytest.mark.timeout(20)
def test_no_pattern_of_a_robots_txt_takes_long() -> None:
    rules = RobotsRules(
        b"User-agent: *\n" + b"Disallow: /" + b"*a" * 200 + b"*b\n" + b"Disallow: /*" + b"a*" * 200 + b"b$\n"
    )
    assert rules.allows(f"https://x.example/{'a' * 7_000}")
    assert not rules.allows(f"https://x.example/{'a' * 7_000}b")


def test_sitemaps_bring_nothing_from_elsewhere_and_no_bomb() -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    evil = f'<!DOCTYPE x [{bomb}<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    data = f"<?xml version='1.0'?>{evil}<urlset><url><loc>&x;&a11;</loc></url><url><loc>https://a/</loc></url></urlset>"
    found = read_sitemap(data.encode())
    assert found is None or all(len(url) < 1000 and "root:" not in url for url, _ in found.pages)
    assert read_sitemap(b"https://a.example/1\nhttps://a.example/2\n") is not None
    assert read_sitemap(b"<html><body>not found</body></html>") is None


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


def test_furniture_inside_what_a_page_marks_as_its_main_text_is_left_out() -> None:
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
def test_a_main_text_that_stands_in_what_is_furniture_elsewhere_is_found(tag: str) -> None:
    wrapped = UNMARKED.replace("<body>", f"<body><{tag} id=aspnetForm>").replace("</body>", f"</{tag}></body>")
    assert "thirty days" in _text_of(wrapped)
    marked = f"<main>{'Accept. ' * 40}</main>"
    assert "thirty days" in _text_of(wrapped.replace(f"<{tag} ", f"{marked}<{tag} "))
