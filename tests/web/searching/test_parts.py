"""The pure parts: dates, results, the breaker's table, what may be dialled, one page's many addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import FetchRefused
from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.http.guard import AccessRules, check_address, check_url
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import PROVIDERS, ProviderSpec, SearchSettings
from knowledge.web.searching.circuit_breaker import (
    FIRST_OPEN_S,
    MAX_FAILURES,
    MAX_OPEN_S,
    MAX_RETRY_AFTER_S,
    CircuitBreaker,
)
from knowledge.web.searching.published_dates import parse_published_date
from knowledge.web.searching.registry import build_single_host_rules, create_providers, load_implementation
from knowledge.web.searching.result_parsing import add_site_operators, detect_cjk_language

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ALL = SearchSettings(
    tuple(spec.name for spec in PROVIDERS),
    "http://searxng:8080",
    {name: f"key-of-{name}" for name in ("brave", "tavily", "exa", "serper")},
    ("https://docs.example.com/guide/",),
)


# ── Dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "date"),
    [
        ("2026-03-05T10:11:12Z", datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)),
        ("2026-03-05T10:11:12.000+08:00", datetime(2026, 3, 5, 2, 11, 12, tzinfo=UTC)),
        ("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
        ("Thu, 05 Mar 2026 10:11:12 GMT", datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)),
        ("Mar 5, 2026", datetime(2026, 3, 5, tzinfo=UTC)),
        ("March 5, 2026", datetime(2026, 3, 5, tzinfo=UTC)),
        ("5 Mar. 2026", datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026/3/5", datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026年3月5日", datetime(2026, 3, 5, tzinfo=UTC)),
        ("3 days ago", NOW - timedelta(days=3)),
        ("an hour ago", NOW - timedelta(hours=1)),
        ("2 weeks ago", NOW - timedelta(days=14)),
        ("yesterday", NOW - timedelta(days=1)),
        ("3天前", NOW - timedelta(days=3)),
        ("5 小时前", NOW - timedelta(hours=5)),
        ("2个月前", NOW - timedelta(days=60.8)),
        ("昨天", NOW - timedelta(days=1)),
    ],
)
def test_dates_as_providers_say_them(told: str, date: datetime) -> None:
    assert parse_published_date(told, NOW) == date


@pytest.mark.parametrize(
    "told", ["", "soon", "2026-13-45", "9999-12-31", "2028-01-01", "9999 years ago", "1", None, 3, ["x"], "x" * 100_000]
)
def test_what_is_no_date_of_a_page(told: object) -> None:
    assert parse_published_date(told, NOW) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_dates(told: str) -> None:
    date = parse_published_date(told, NOW)
    assert date is None or date.tzinfo is UTC


# ── Queries and addresses ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_query_is_narrowed_as_search_engines_read_it() -> None:
    assert add_site_operators("a b", frozenset()) == "a b"
    assert add_site_operators("a b", frozenset({"x.org"})) == "a b site:x.org"
    assert add_site_operators("a b", frozenset({"y.org", "x.org"})) == "a b (site:x.org OR site:y.org)"
    assert add_site_operators("a b", frozenset(f"{n}.org" for n in range(9))) == "a b"


def test_services_are_told_the_language_of_a_query_in_chinese_japanese_or_korean() -> None:
    queries = (
        "rate limits",
        "限流怎么配置",
        "レート制限の設定",
        "요청 제한",
        "how is 限 read in a long English question",
    )
    assert [detect_cjk_language(query) for query in queries] == ["", "zh", "ja", "ko", ""]


@given(st.text(max_size=60))
def test_no_address_breaks_the_telling_alike(url: str) -> None:
    build_page_key(url)
    build_page_key(f"https://example.com/{url}")


def test_pages_that_differ_are_told_apart() -> None:
    pages = [
        "https://example.com/a", "https://example.com/b", "https://docs.example.com/a", "https://example.com:8443/a",
        "https://example.com/a?page=2", "https://example.com/a?page=3", "https://example.com/A", "https://example.com/",
    ]  # fmt: skip
    assert len({build_page_key(page) for page in pages}) == len(pages)


# ── The breaker ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_trial_that_fails_doubles_the_rest() -> None:
    now = [0.0]
    breaker = CircuitBreaker(lambda: now[0])
    for _ in range(MAX_FAILURES):
        assert breaker.acquire()
        breaker.record_failure()
    rests = []
    for _ in range(8):
        rests.append(breaker.remaining_open_s)
        now[0] += breaker.remaining_open_s
        assert breaker.acquire()
        breaker.record_failure()
    assert rests[:3] == [FIRST_OPEN_S, 2 * FIRST_OPEN_S, 4 * FIRST_OPEN_S]
    assert rests[-1] == MAX_OPEN_S


@given(st.floats(0, 1e9) | st.none())
def test_patience_has_bounds(asked: float | None) -> None:
    breaker = CircuitBreaker(lambda: 0.0)
    assert breaker.acquire()
    breaker.record_retry_after(asked)
    assert 1 <= breaker.remaining_open_s <= MAX_RETRY_AFTER_S


STEPS = st.lists(st.sampled_from(["ask", "succeed", "fail", "wait", "give up", "later"]), max_size=60)


@given(STEPS)
def test_an_open_breaker_admits_nobody_and_a_half_open_one_a_single_caller(steps: list[str]) -> None:
    now = [0.0]
    breaker = CircuitBreaker(lambda: now[0])
    asking = 0
    for step in steps:
        was_open, trial = breaker.remaining_open_s > 0, breaker._open_until is not None
        if step == "ask":
            if breaker.acquire():
                assert not was_open
                asking += 1
                assert not trial or breaker._on_trial
                assert not breaker.acquire() or not trial
        elif step == "later":
            now[0] += 45
        elif asking:
            asking -= 1
            {
                "succeed": breaker.record_success,
                "fail": breaker.record_failure,
                "wait": lambda: breaker.record_retry_after(20),
                "give up": breaker.release,
            }[step]()
            assert step != "succeed" or breaker.remaining_open_s == 0
            assert step != "wait" or breaker.remaining_open_s == 20


# ── Who is asked, and what they may dial ─────────────────────────────────────────────────────────────────────────────


async def test_providers_come_in_the_order_that_is_configured() -> None:
    made = create_providers(ALL, WebSettings(), AccessRules())
    assert [one.name for one in made] == [spec.name for spec in PROVIDERS]
    for one in made:
        await one.close()
    only_exa = SearchSettings(("exa",), api_keys={"exa": "k"})
    assert [one.name for one in create_providers(only_exa, WebSettings(), AccessRules())] == ["exa"]


@pytest.mark.parametrize("spec", PROVIDERS, ids=lambda spec: spec.name)
def test_each_spec_names_its_implementation(spec: ProviderSpec) -> None:
    assert load_implementation(spec).name == spec.name


@pytest.mark.parametrize("name", [*(spec.name for spec in PROVIDERS), "bing"])
def test_who_lacks_what_it_needs_is_not_made(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        create_providers(SearchSettings((name,)), WebSettings(), AccessRules())


def test_settings_and_providers_show_no_key() -> None:
    assert "key-of" not in repr(ALL)
    assert "key-of" not in repr([vars(one) for one in create_providers(ALL, WebSettings(), AccessRules())])


@pytest.mark.parametrize(
    "address", ["http://10.1.2.3:8080", "http://searxng:8080", "https://[fd12::1]/sx", "http://127.0.0.1"]
)
def test_the_host_that_the_operator_named_may_be_private_and_no_other(address: str) -> None:
    rules = build_single_host_rules(address)
    target = check_url(f"{address}/search", rules)
    check_address("10.9.9.9", target.host, rules)
    for other in (
        "http://10.1.2.4:8080/",
        "http://10.1.2.3:81/",
        "http://searxng:81/",
        "https://example.com/",
    ):
        with pytest.raises(FetchRefused):
            check_url(other, rules)
    with pytest.raises(FetchRefused):
        check_address("169.254.169.254", target.host, rules)
