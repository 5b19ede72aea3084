"""What is searched for a question of a conversation, as a pure plan."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.answering.events import Exchange, Question
from bot.answering.retrieval.search_plan import SearchPlan, plan_search, remove_web_wishes
from knowledge.errors import InvalidFilter
from knowledge.interfaces import LiveWebRequest

LIVE = LiveWebRequest("if_weak", within_s=12.0)
BEFORE = [Exchange("How many days of leave do I get?", "25 days.")]


def plan(
    typed: str,
    history: list[Exchange] | None = None,
    rewritten: str | None = None,
    live: LiveWebRequest | None = None,
    **more: str | frozenset[str],
) -> SearchPlan:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    question = Question(typed, **more)  # type: ignore[arg-type]
    return plan_search(typed, question, history or [], rewritten, live=live, documents_s=5.0, now=now)


def test_a_question_that_stands_alone_is_searched_as_it_is() -> None:
    assert plan("How many days of leave?") == SearchPlan("How many days of leave?", None, 5.0, starts_over=False)


def test_filters_of_the_question_and_the_channel_narrow_it_together() -> None:
    planned = plan("type:pdf leave", within="in:handbook")
    assert planned.query == 'in:"handbook" type:pdf leave'
    assert planned.starts_over
    with pytest.raises(InvalidFilter, match="In this channel"):
        plan("in:wiki leave", within="in:handbook")


def test_a_follow_up_is_searched_as_the_engine_rewrote_it() -> None:
    assert "leave" in plan("And in Berlin?", BEFORE, "How many days of leave do I get in Berlin?").query


def test_the_web_is_searched_without_filters_links_and_names_of_colleagues() -> None:
    planned = plan(
        "type:pdf What did @Ada Lovelace write on https://a.example/x about leave?",
        live=LIVE,
        people=frozenset({"Ada Lovelace"}),
    )
    assert planned.live is not None
    assert planned.live.search
    assert "leave" in planned.live.words
    assert not any(part in planned.live.words for part in ("type:", "Ada", "a.example"))
    assert planned.within_s == 17.0


def test_a_link_alone_is_read_and_nothing_is_searched() -> None:
    planned = plan("https://a.example/x", live=LIVE)
    assert planned.live is not None
    assert not planned.live.search


def test_words_that_ask_for_the_web_are_no_part_of_the_history() -> None:
    said = Exchange("web: what is new?\nweb: and elsewhere?", "Nothing.")
    assert [one.question for one in remove_web_wishes([said])] == ["what is new?\nand elsewhere?"]
