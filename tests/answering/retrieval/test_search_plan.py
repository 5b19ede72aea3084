"""Tests of the search plan for a question of a conversation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.answering.asker import Asker
from bot.answering.events import Exchange, Question
from bot.answering.policy import Policy
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
    **more: str | frozenset[str] | Policy,
) -> SearchPlan:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    question = Question(typed, asker=Asker(**more))  # type: ignore[arg-type]
    return plan_search(typed, question, history or [], rewritten, live=live, documents_s=5.0, now=now)


def test_independent_question_is_searched_unchanged() -> None:
    assert plan("How many days of leave?") == SearchPlan("How many days of leave?", None, 5.0, starts_over=False)


def test_filters_of_question_and_channel_are_combined() -> None:
    planned = plan("type:pdf leave", within="in:handbook")
    assert planned.query == 'in:"handbook" type:pdf leave'
    assert planned.starts_over
    with pytest.raises(InvalidFilter, match="Only in:handbook is searched here"):
        plan("in:wiki leave", within="in:handbook")


def test_rewritten_follow_up_is_searched() -> None:
    assert "leave" in plan("And in Berlin?", BEFORE, "How many days of leave do I get in Berlin?").query


def test_web_search_omits_filters_links_and_colleagues() -> None:
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


@pytest.mark.parametrize("gap", ["\n", "\u00a0", "\u200b", "\u2011"])
def test_withheld_words_have_masks_however_they_are_separated(gap: str) -> None:
    """Also those of an earlier question: the answer shows what a press of the button would search."""
    card = gap.join(["4111", "1111", "1111", "1111"])
    phone = f"my phone is{gap if gap == chr(10) else ' '}5551234567"
    policy = Policy(mode="on", searches=True, private_words="ask")
    for said in (f"Is card {card} valid?", f"{phone}, whose is it?"):
        for typed, history in ((said, []), ("and in Spain?", [Exchange(said, "")])):
            planned = plan(typed, history, live=LIVE, policy=policy)
            assert planned.live is None
            assert "…" in planned.withheld
            assert not any(digits in planned.withheld for digits in ("1111", "5551234567"))


def test_link_without_words_is_read_without_search() -> None:
    planned = plan("https://a.example/x", live=LIVE)
    assert planned.live is not None
    assert not planned.live.search


def test_history_omits_words_that_request_the_web() -> None:
    said = Exchange("web: what is new?\nweb: and elsewhere?", "Nothing.")
    assert [one.question for one in remove_web_wishes([said])] == ["what is new?\nand elsewhere?"]
