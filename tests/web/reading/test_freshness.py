"""The use of cached responses by RFC 9111: Kvasir's part, and hishel's part with Kvasir's input."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.reading.freshness import (
    CachedResponse,
    apply_not_modified,
    build_revalidation_headers,
    is_cacheable,
    is_fresh,
    may_serve_stale,
)

ASKED = {"user-agent": "Kvasir", "accept": "text/html"}
NOW = 1_800_000_000.0
DAY_S = 86_400


def answer(status: int = 200, *, asked: dict[str, str] | None = None, **headers: str) -> CachedResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CachedResponse(
        "https://docs.example/", status, {"date": at(0)} | named, ASKED if asked is None else asked, NOW
    )


def at(seconds: float) -> str:
    return formatdate(NOW + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("status", "cache_control", "kept"),
    [
        (200, "", True), (200, "no-store", False), (200, "private", False), (200, "max-age=60, No-Store", False),
        (200, "no-cache", True), (301, "", True), (308, "", True), (302, "", False), (302, "max-age=60", True),
        (307, "", False), (404, "", True), (500, "", False), (304, "max-age=60", False),
    ],
)  # fmt: skip
def test_storable_responses_follow_their_headers(status: int, cache_control: str, *, kept: bool) -> None:
    assert is_cacheable(answer(status, cache_control=cache_control)) is kept


@pytest.mark.parametrize(
    ("headers", "fresh_s"),
    [
        ({"cache_control": "max-age=60"}, 60), ({"cache_control": "max-age=60, s-maxage=10"}, 10),
        ({"cache_control": "max-age=60", "age": "45"}, 15), ({"cache_control": "max-age=60", "date": at(-20)}, 40),
        ({"cache_control": "max-age=60", "date": at(3_600)}, 60), ({"expires": at(90)}, 90),
        ({"expires": at(90), "date": at(-10)}, 90), ({"expires": at(3_690), "date": at(3_600)}, 90),
        ({"expires": "0"}, 0), ({"expires": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, 0),
        ({"expires": "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"}, 0), ({"expires": at(-1)}, 0),
        ({"cache_control": "max-age=30", "expires": at(90)}, 30), ({}, 600), ({"last_modified": at(-100)}, 600),
        ({"last_modified": at(-100_000)}, 10_000), ({"last_modified": at(-1_000 * DAY_S)}, DAY_S),
        ({"cache_control": "no-cache"}, 0), ({"cache_control": "public"}, 600),
        ({"cache_control": "max-age=60", "vary": "*"}, 0),
        ({"cache_control": "max-age=60", "vary": "Accept-Encoding, User-Agent"}, 60),
    ],
)  # fmt: skip
def test_the_lifetime_of_a_page_follows_its_headers(headers: dict[str, str], fresh_s: float) -> None:
    page = answer(**headers)
    assert is_fresh(page, ASKED, NOW + fresh_s - 2) is (fresh_s > 2)
    assert not is_fresh(page, ASKED, NOW + fresh_s + 2)
    assert not is_fresh(page, ASKED, NOW - 10), "the clock was set back"


def test_a_varying_response_answers_the_same_request() -> None:
    page = answer(cache_control="max-age=60", vary="User-Agent")
    assert not is_fresh(page, ASKED | {"user-agent": "Other"}, NOW)
    assert is_fresh(page, ASKED | {"accept": "*/*"}, NOW)


@pytest.mark.parametrize(
    ("cache_control", "stands_in_s"),
    [
        ("max-age=60, stale-if-error=100", 160), ("stale-if-error=0, max-age=60", 60),
        ("max-age=60, must-revalidate", 60), ("max-age=60, must-revalidate, stale-if-error=100", 60),
        ("max-age=60, proxy-revalidate", 60), ("s-maxage=60", 60), ("s-maxage=60, stale-if-error=100", 160),
        ("no-cache", 0), ("max-age=0", 7 * DAY_S), ("", 7 * DAY_S + 600),
    ],
)  # fmt: skip
def test_an_old_page_answers_for_a_limited_time(cache_control: str, stands_in_s: float) -> None:
    page = answer(cache_control=cache_control)
    assert (is_fresh(page, ASKED, NOW + stands_in_s - 2) or may_serve_stale(page, ASKED, NOW + stands_in_s - 2)) is (
        stands_in_s > 0
    )
    assert not may_serve_stale(page, ASKED, NOW + stands_in_s + 2)


def test_a_304_updates_its_headers_and_keeps_the_others() -> None:
    page = answer(cache_control="max-age=60", etag='"1"', age="50", vary="accept")
    same = apply_not_modified(page, {"etag": '"1"', "date": at(100), "cache-control": "max-age=500"}, ASKED, NOW + 100)
    assert same is not None
    assert (same.headers["etag"], same.headers["vary"]) == ('"1"', "accept")
    assert is_fresh(same, ASKED, NOW + 598)
    assert not is_fresh(same, ASKED, NOW + 602)
    assert apply_not_modified(page, {"etag": '"2"'}, ASKED, NOW) is None


def test_a_page_is_revalidated_by_its_validators() -> None:
    page = answer(etag='W/"1"', last_modified=at(-50), cache_control="no-cache")
    assert build_revalidation_headers(page, ASKED, NOW) == {"if-none-match": 'W/"1"', "if-modified-since": at(-50)}
    assert build_revalidation_headers(answer(cache_control="no-cache"), ASKED, NOW) == {}


_WORDS = st.sampled_from(
    ["max-age", "s-maxage", "no-cache", "no-store", "private", "stale-if-error", "Expires", "=", '"']
)
_ODD = st.one_of(
    st.lists(st.one_of(_WORDS, st.text(max_size=5), st.integers().map(str)), max_size=8).map(" , ".join),
    st.lists(st.one_of(_WORDS, st.integers().map(str)), max_size=8).map("".join),
    st.floats(-1e12, 1e12).map(lambda moved: _date(NOW + moved)),
    st.sampled_from(
        ["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "9" * 5_000, "٣", "-1", "Sun, 06 Nov 94"]
    ),
)
_NAMES = st.sampled_from(["age", "cache-control", "date", "etag", "expires", "last-modified", "vary"])


def _date(moment: float) -> str:
    try:
        return formatdate(moment, usegmt=True)
    except (ValueError, OverflowError, OSError):
        return str(moment)


@given(st.dictionaries(_NAMES, _ODD), st.floats(-1e10, 1e10), st.dictionaries(_NAMES, _ODD))
def test_any_response_is_handled(headers: dict[str, str], after_s: float, later: dict[str, str]) -> None:
    page = CachedResponse("https://docs.example/", 200, headers, ASKED, NOW)
    fresh = is_fresh(page, ASKED, NOW + after_s)
    may_serve_stale(page, ASKED, NOW + after_s)
    is_cacheable(page)
    build_revalidation_headers(page, ASKED, NOW + after_s)
    apply_not_modified(page, later, ASKED, NOW + after_s)
    assert not (fresh and after_s < -1)


@given(
    lifetime_s=st.integers(0, 10**7), age_s=st.integers(0, 10**7), sent_s=st.integers(-(10**7), 10**7),
    after_s=st.integers(0, 10**7), offset_s=st.integers(-(10**8), 10**8),
)  # fmt: skip
def test_a_page_is_fresh_within_its_lifetime(
    lifetime_s: int, age_s: int, sent_s: int, after_s: int, offset_s: int
) -> None:
    """RFC 9111, 4.2.3, for any difference between the system clock and Kvasir's."""
    received_at = time.time() + offset_s
    headers = {
        "cache-control": f"max-age={lifetime_s}",
        "age": str(age_s),
        "date": formatdate(received_at - sent_s, usegmt=True),
    }
    page = CachedResponse("https://docs.example/", 200, headers, ASKED, received_at)
    age = max(age_s, sent_s, 0) + after_s
    if abs(age - lifetime_s) > 2:
        assert is_fresh(page, ASKED, received_at + after_s) is (age < lifetime_s)
