"""Tests of the filters that a channel adds to its questions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.retrieval.channel_filters import add_filters, restrict_sources
from knowledge.errors import InvalidFilter
from knowledge.search.query import parse_query

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def test_question_without_channel_filter_is_unchanged() -> None:
    assert add_filters("how? in:wiki", "", NOW) == "how? in:wiki"


def test_typed_filters_narrow_channel_filters() -> None:
    query = parse_query(add_filters("how many days?", 'in:"hr docs" type:pdf after:2026-01-01', NOW), NOW)
    assert (query.words, query.sources) == ("how many days?", frozenset({"hr docs"}))
    assert "pdf" in query.kinds
    assert query.after == datetime(2026, 1, 1, tzinfo=UTC)
    query = parse_query(
        add_filters("how? in:HANDBOOK after:2025-06-01 before:2026-02-01", "in:handbook,wiki after:2026-01", NOW), NOW
    )
    assert query.sources == frozenset({"handbook"})
    assert (query.after, query.before) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("question", "rule"),
    [("how? in:wiki", "in:handbook"), ("how? type:md", "type:pdf"), ("怎么办？ in:wiki", "in:handbook")],
)
def test_contradicting_filters_find_nothing_and_say_so(question: str, rule: str) -> None:
    with pytest.raises(InvalidFilter, match="is searched here"):
        add_filters(question, rule, NOW)


def test_too_many_filters_widen_nothing() -> None:
    with pytest.raises(InvalidFilter):
        add_filters("how? " + "after:2026-01-01 " * 300 + "in:wiki", "in:handbook", NOW)


PIECES = st.lists(
    st.sampled_from(
        ["in:wiki", 'in:"wiki"', "in:handbook", "type:pdf", '"', "`", "```", "“", "”", "how", "?", " ", "\n", "，"]
    ),
    max_size=12,
)


@given(PIECES.map("".join))
def test_any_typed_text_keeps_channel_filters(typed: str) -> None:
    try:
        both = parse_query(add_filters(f"how{typed}", "in:handbook", NOW), NOW)
    except InvalidFilter:
        return
    assert both.sources == frozenset({"handbook"})


SOURCES = st.sets(st.sampled_from(["handbook", "wiki", "hr docs"]), max_size=2)
KINDS = st.sets(st.sampled_from(["pdf", "md", "docx"]), max_size=2)
DAYS = st.none() | st.dates(datetime(2020, 1, 1).date(), datetime(2026, 1, 1).date())  # noqa: DTZ001 - days alone


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("", ""),
        ("type:pdf", "type:pdf"),
        ("in:Docs type:pdf", "in:Docs type:pdf"),
        ("in:docs,board before:2026-01-01", 'in:"docs" before:2026-01-01T00:00:00Z'),
        ("in:board", None),
    ],
)
def test_hidden_sources_leave_the_rule(rule: str, left: str | None) -> None:
    assert restrict_sources(rule, {"docs"}, NOW) == left


@st.composite
def filters(draw: st.DrawFn) -> str:
    parts = [f'in:"{name}"' for name in draw(SOURCES)] + [f"type:{kind}" for kind in draw(KINDS)]
    parts += [f"{key}:{day}" for key in ("after", "before") if (day := draw(DAYS)) is not None]
    return " ".join(parts)


@given(filters(), filters())
def test_typed_filters_never_widen_channel_filters(typed: str, rule: str) -> None:
    try:
        both = parse_query(add_filters(f"how? {typed}", rule, NOW), NOW)
    except InvalidFilter:
        return
    allowed = parse_query(f"how? {rule}", NOW)
    assert not allowed.sources or (both.sources and both.sources <= allowed.sources)
    assert not allowed.kinds or (both.kinds and both.kinds <= allowed.kinds)
    assert allowed.after is None or (both.after is not None and both.after >= allowed.after)
    assert allowed.before is None or (both.before is not None and both.before <= allowed.before)


@pytest.mark.parametrize("name", ["HR (intern)", "[board]", "Q=A", "a|b", "C:\\docs", "<new>", "$x", "a\nb"])
def test_a_source_of_any_name_narrows(name: str) -> None:
    """What is no filter by itself must not admit all sources."""
    rule = restrict_sources(f'in:"{name}"', [name, "other"], NOW)
    assert rule is None or parse_query(add_filters("how?", rule, NOW), NOW).sources == {name}
    assert rule is not None or "\n" in name
