"""Publication dates of search results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.searching.published_dates import parse_published_date

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
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
def test_dates_of_providers_are_parsed(text: str, date: datetime) -> None:
    assert parse_published_date(text, NOW) == date


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 mın ago",
        "2 ſeconds ago",
        "soon",
        "2026-13-45",
        "9999-12-31",
        "2028-01-01",
        "9999 years ago",
        "1",
        None,
        3,
        ["x"],
        "x" * 100_000,
    ],
)
def test_an_implausible_date_is_ignored(text: object) -> None:
    assert parse_published_date(text, NOW) is None


@given(st.text(max_size=80))
def test_any_text_is_safe_as_a_date(text: str) -> None:
    date = parse_published_date(text, NOW)
    assert date is None or date.tzinfo is UTC
