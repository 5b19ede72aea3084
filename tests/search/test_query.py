"""The filters in a question, as a pure function."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import InvalidFilter, UnknownSource
from knowledge.search.query import ParsedQuery, match_sources, parse_query
from tests.growth import takes_linear_time

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


def day(year: int, month: int = 1, date: int = 1, hour: int = 0) -> datetime:
    return datetime(year, month, date, hour, tzinfo=UTC)


def names(*texts: str) -> frozenset[str]:
    return frozenset(texts)


PDF, WORD, MARKDOWN = names("pdf"), names("docx", "docm", "doc", "word"), names("md", "markdown", "mdx")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("leave days in:handbook", ParsedQuery("leave days", names("handbook"))),
        ("in:handbook leave days", ParsedQuery("leave days", names("handbook"))),
        ("leave in:handbook days?", ParsedQuery("leave days?", names("handbook"))),
        ("leave days in:handbook?", ParsedQuery("leave days?", names("handbook"))),
        ("leave days (in:handbook)", ParsedQuery("leave days ()", names("handbook"))),
        ("IN:Handbook Type:PDF leave", ParsedQuery("leave", names("Handbook"), PDF)),
        ('leave in:"staff handbook" days', ParsedQuery("leave days", names("staff handbook"))),
        ("leave in:“staff handbook” days", ParsedQuery("leave days", names("staff handbook"))),
        ("leave in:'staff handbook'", ParsedQuery("leave", names("staff handbook"))),
        ('leave in:"handbook (staff)"', ParsedQuery("leave", names("handbook (staff)"))),
        ("leave in:handbook in:wiki", ParsedQuery("leave", names("handbook", "wiki"))),
        ("leave in:handbook,wiki, please", ParsedQuery("leave, please", names("handbook", "wiki"))),
        ("leave type:.pdf type:word", ParsedQuery("leave", kinds=PDF | WORD)),
        ("leave type:md,pdf", ParsedQuery("leave", kinds=MARKDOWN | PDF)),
        ("leave after:2026-01-31", ParsedQuery("leave", after=day(2026, 1, 31))),
        ("leave after:2026-01 before:2026/3/5", ParsedQuery("leave", after=day(2026), before=day(2026, 3, 5))),
        ("leave before:2026", ParsedQuery("leave", before=day(2026))),
        ("leave after:2026-05-01T07:00Z", ParsedQuery("leave", after=day(2026, 5, 1, 7))),
        ("leave after:2026-05-01 after:2026-02-01", ParsedQuery("leave", after=day(2026, 2))),
        ("leave before:2026-05-01 before:2026-02-01", ParsedQuery("leave", before=day(2026, 5))),
        ("leave after:yesterday before:TODAY", ParsedQuery("leave", after=day(2026, 11, 23), before=day(2026, 11, 24))),
        ("年假有几天 来源:员工手册", ParsedQuery("年假有几天", names("员工手册"))),
        ("来源：员工手册，年假有几天？", ParsedQuery("，年假有几天？", names("员工手册"))),
        ("类型：pdf 之后：2026年1月31日 年假", ParsedQuery("年假", kinds=PDF, after=day(2026, 1, 31))),
        ("类型：PDF的年假规定", ParsedQuery("的年假规定", kinds=PDF)),
        ("年假 之前：2026年3月 之后:昨天", ParsedQuery("年假", before=day(2026, 3), after=day(2026, 11, 23))),
        ("年假 in：handbook", ParsedQuery("年假", names("handbook"))),
        ("年假 来源：「员工 手册」", ParsedQuery("年假", names("员工 手册"))),
        ('in:"a"in:b leave', ParsedQuery("leave", names("a", "b"))),
        ("leave\ntype:pdf\ndays", ParsedQuery("leave\ndays", kinds=PDF)),
        ("年假 after:２０２６-０１-０１", ParsedQuery("年假", after=day(2026))),
    ],
)
def test_filters_are_removed_and_the_words_stay(question: str, expected: ParsedQuery) -> None:
    assert parse_query(question, NOW) == expected


@pytest.mark.parametrize(
    "question",
    [
        "",
        "what is type: pdf",
        "what is in: the box",
        "what does `type:pdf` mean",
        'error "type:pdf in:foo" in the log',
        "error 'type:pdf' in the log",
        "error “in:handbook” 是什么",
        "错误「类型：pdf」是什么",
        "```\nin:handbook\ntype:pdf\n``` what is this",
        "```\nin:handbook, a fence that never ends",
        "why type:roundrobin and type:chash",
        "what does datatype:pdf mean",
        "see https://example.com/in:handbook?type:pdf&before:2026",
        "{type:pdf}",
        '{"type":"pdf"}',
        "--in:handbook",
        "builtin:handbook",
        "数据来源：国家统计局的年报",
        "部署之后：服务没有启动",
        "之后：服务没有启动，怎么办",
        "for x in:[1,2]",
        "in:f(x) what is it",
        "in: after: type:",
        'in:""',
        "type:pdf2",
        "type:pdf-tools",
        "it's type:roundrobin, isn't it",
        "ın:handbook is Turkish",
        "İN:handbook is Turkish",
    ],
)
def test_a_word_that_looks_like_a_filter_stays_a_word(question: str) -> None:
    assert parse_query(question, NOW) == ParsedQuery(question)


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "2026-13-01",
        "2026-02-30",
        "01.02.2026",
        "2026-1-1-1",
        "0000-01-01",
        "20260101",
        "2026-01-01T25:00",
        "99999",
    ],
)
def test_an_invalid_date_names_the_next_step(value: str) -> None:
    with pytest.raises(InvalidFilter, match=r"not a date.*2026-01-31.*quotes") as caught:
        parse_query(f"leave after:{value}", NOW)
    assert value in str(caught.value)


@pytest.mark.parametrize("question", ["in:handbook", " in:handbook type:pdf ?", "来源：手册"])
def test_a_question_of_only_filters_is_refused(question: str) -> None:
    with pytest.raises(InvalidFilter, match="add what you want to know"):
        parse_query(question, NOW)


def test_sources_match_in_any_case_and_the_nearest_is_suggested() -> None:
    known = ["Handbook", "wiki", "员工手册"]
    assert match_sources(["handbook", "WIKI", "员工手册"], known) == {"Handbook", "wiki", "员工手册"}
    assert match_sources([], known) == frozenset()
    with pytest.raises(
        UnknownSource, match=r"no source “handbok”. Did you mean “Handbook”\? Sources are: Handbook, wiki"
    ):
        match_sources(["wiki", "handbok"], known)
    with pytest.raises(UnknownSource, match="Sources are: none"):
        match_sources(["x"], [])


def test_two_sources_that_differ_in_case_stay_different() -> None:
    assert match_sources(["docs"], ["Docs", "docs"]) == {"docs"}


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_in_our_words(text: str) -> None:
    with contextlib.suppress(InvalidFilter):
        parsed = parse_query(text, NOW)
        assert parsed.has_filters or parsed.words == text
        assert len(parsed.words) <= len(text)


pieces = st.lists(
    st.sampled_from(
        ["leave", "in:a", "type:pdf", "after:2026-01-01", '"', "`", "'", "“", "”", "，", "天", 'in:"b c"', "\n"]
    ),
    max_size=14,
).map(" ".join)


hostile = st.lists(
    st.sampled_from(
        [
            "x",
            " ",
            "\n",
            '"',
            "'",
            "`",
            "```",
            "“",
            "”",
            "「",
            "」",
            "(",
            ",",
            "，",
            "in:a",
            'in:"a"',
            "type:pdf",
            "before:2026",
        ]
    ),
    max_size=16,
).map("".join)


@given(hostile)
def test_the_words_contain_no_filter(text: str) -> None:
    """Otherwise a question could hide a filter from callers that look at the filters first."""
    with contextlib.suppress(InvalidFilter):
        words = parse_query(text, NOW).words
        with contextlib.suppress(InvalidFilter):
            assert parse_query(words, NOW) == ParsedQuery(words)


@given(pieces)
def test_quoted_text_is_never_a_filter(text: str) -> None:
    quoted = 'what is "in:x type:pdf" and `before:2020`'
    assert parse_query(quoted, NOW) == ParsedQuery(quoted)
    try:
        parsed = parse_query(f"{quoted} {text}", NOW)
    except InvalidFilter:
        return
    assert parsed.words.startswith(quoted)
    assert "x" not in parsed.sources
    assert parsed.before is None


@pytest.mark.parametrize("piece", ['"', "“", "`", "'", "in:", "in:'", "```", "type:", "before:2026", "、", " "])
def test_parsing_is_linear_in_the_length_of_a_question(piece: str) -> None:
    def parse(times: int) -> None:
        with contextlib.suppress(InvalidFilter):
            parse_query(piece * times, NOW)

    assert takes_linear_time(parse, 20_000)
