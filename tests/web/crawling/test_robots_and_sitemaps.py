"""robots.txt and sitemaps."""

from __future__ import annotations

import pytest

from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.reading.sitemap import read_sitemap


def test_a_robots_txt_is_read_for_this_robot() -> None:
    robots = RobotsRules(
        b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n\n"
        b"User-agent: Kvasir\nAllow: /a\nDisallow: /*.php$\nCrawl-delay: 2.5\n"
        b"Sitemap: https://docs.example/map.xml\n"
    )
    assert robots.allows_url("https://docs.example/a")
    assert not robots.allows_url("https://docs.example/x.php")
    assert robots.delay_s == 2.5
    assert robots.sitemaps == ("https://docs.example/map.xml",)
    assert RobotsRules(b"User-agent: *\nCrawl-delay: 100000").delay_s == 60
    assert RobotsRules().allows_url("https://docs.example/anything")


@pytest.mark.timeout(60)
def test_no_pattern_of_a_robots_txt_takes_long() -> None:
    rules = RobotsRules(
        b"User-agent: *\n" + b"Disallow: /" + b"*a" * 200 + b"*b\n" + b"Disallow: /*" + b"a*" * 200 + b"b$\n"
    )
    assert rules.allows_url(f"https://x.example/{'a' * 7_000}")
    assert not rules.allows_url(f"https://x.example/{'a' * 7_000}b")


def test_sitemaps_list_only_the_site_and_bombs_are_refused() -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    evil = f'<!DOCTYPE x [{bomb}<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    data = f"<?xml version='1.0'?>{evil}<urlset><url><loc>&x;&a11;</loc></url><url><loc>https://a/</loc></url></urlset>"
    found = read_sitemap(data.encode())
    assert found is None or all(len(url) < 1000 and "root:" not in url for url, _ in found.pages)
    assert read_sitemap(b"https://a.example/1\nhttps://a.example/2\n") is not None
    assert read_sitemap(b"<html><body>not found</body></html>") is None


def test_a_sitemap_is_read_up_to_the_limit_of_the_protocol() -> None:
    links = [f"https://a.test/{number}" for number in range(50_001)]
    for data in ("\n".join(links), f"<urlset>{''.join(f'<url><loc>{link}</loc></url>' for link in links)}</urlset>"):
        sitemap = read_sitemap(data.encode())
        assert sitemap is not None
        assert [link for link, _ in sitemap.pages] == links[:50_000]
