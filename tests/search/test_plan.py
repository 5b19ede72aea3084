"""The pure plan of a search: its words and its scope."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from knowledge.errors import UnknownSource
from knowledge.interfaces import ANY_MEMBER, Scope
from knowledge.search.plan import QUERY_CHARACTERS, QueryPlan, plan_query, plan_words
from tests.viewers import make_members

SOURCES = {"handbook": "handbook\x1ffolder\x1f/srv", "wiki": "wiki\x1fwebsite\x1fhttps://wiki"}
NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def plan(question: str, **options: object) -> QueryPlan:
    return plan_query(question, SOURCES, NOW, **options)  # type: ignore[arg-type]


def test_a_plain_question_is_searched_everywhere() -> None:
    planned = plan("  How do I fix E-1042? ")
    assert (planned.question, planned.words) == ("  How do I fix E-1042? ", "How do I fix E-1042?")
    assert planned.scope == Scope(frozenset(SOURCES.values()), ANY_MEMBER)
    assert "fix" in planned.terms.split()
    assert [name.name for name in planned.names] == ["E-1042"]
    assert not planned.is_empty


def test_filters_leave_the_words_and_narrow_the_scope() -> None:
    planned = plan("in:Wiki type:pdf after:yesterday leave", viewers=make_members("U1"), limit=3, join=False)
    assert (planned.words, planned.limit, planned.join) == ("leave", 3, False)
    assert planned.scope == Scope(
        frozenset({SOURCES["wiki"]}), make_members("U1"), frozenset({"pdf"}), datetime(2026, 11, 26, tzinfo=UTC)
    )


def test_a_source_that_is_not_allowed_is_unknown() -> None:
    with pytest.raises(UnknownSource, match="handbook, wiki"):
        plan("in:salaries who earns most")


@pytest.mark.parametrize(
    ("words", "scope", "limit"),
    [("  ", Scope(frozenset(SOURCES.values())), 8), ("a", Scope(frozenset()), 8), ("a", Scope(frozenset({"x"})), 0)],
)
def test_a_plan_without_words_sources_or_places_is_empty(words: str, scope: Scope, limit: int) -> None:
    assert plan_words(words, scope, limit=limit).is_empty


def test_the_beginning_and_end_of_a_long_question_are_searched() -> None:
    planned = plan(f"first {'word ' * QUERY_CHARACTERS} last")
    assert len(planned.words) <= QUERY_CHARACTERS + 1
    assert planned.words.startswith("first ")
    assert planned.words.endswith(" last")
