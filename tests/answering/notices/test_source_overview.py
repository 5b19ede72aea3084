"""Tests of the question which documents Kvasir has, which is answered without a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Finished, Notice, Question, Text
from bot.answering.notices.source_overview import asks_for_sources, describe_sources
from knowledge.errors import DatabaseError, KnowledgeError
from knowledge.interfaces import Viewers
from knowledge.readable import SourceDocuments
from tests.answering.conftest import Room
from tests.growth import takes_linear_time
from tests.viewers import make_members

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "question",
    [
        "Which documents do you answer from?", "which sources do you have", "And what documents do you use to answer?",
        "What do you know about?", "what do you know", "Which files can you search?", "What are your sources?",
        "What’s in your knowledge base?", "How many documents do you know?", "how up to date are your documents?",
        "Where do your answers come from?", "Where do you get your information from?", "What can I ask you?",
        "List the documents you have.", "Can you tell me what documents you have?", "What questions can you answer?",
        "On which documents are your answers based?", "你根据哪些文档回答？", "你根据哪些文档回答问题",
        "请问你有哪些资料？", "你是根据什么资料回答问题的？", "你的资料来源是什么？", "你的信息来源是什么？",
        "你的回答来自哪里？", "你的答案是从哪里来的？", "你知道什么？", "你都知道些什么", "你能回答哪些问题？",
        "我可以问你什么问题？", "列出你的文档", "你的文档有哪些？", "你有多少文档？",
    ],
)  # fmt: skip
def test_question_about_sources_is_recognized(question: str) -> None:
    assert asks_for_sources(question)


@pytest.mark.parametrize(
    "question",
    [
        "which documents do I need for a visa?", "Which documents do you need for a visa?",
        "which documents do you have about visas?", "What do you know about limit-count?",
        "what documents do you answer from in the legal team handbook?", "Which sources does Kvasir read?",
        "which sources can I add?", "What are the sources of revenue?", "What can I ask HR?",
        "How do I list the documents of a source?", "How fresh are the vegetables?", "where does the data come from",
        "What files do I need?", "What is your refund policy?", "what data do you send to the hub?",
        "how many documents do you need to apply?", "报销需要哪些文档？", "你知道年假有多少天吗？",
        "你知道什么是 SSL 吗？", "根据哪些文件可以报销？", "你们的文档里有哪些报销规定？", "哪些文档没有更新？",
        "我可以问人事什么问题？", "数据来自哪里？", "", "?",
    ],
)  # fmt: skip
def test_other_questions_are_searched(question: str) -> None:
    assert not asks_for_sources(question)


@given(st.text(alphabet="which documents do you answer from?你根据哪些文档回答 know have about", max_size=300))
def test_any_text_is_classified(text: str) -> None:
    assert asks_for_sources(text) == asks_for_sources(f" {text.upper()} ")


@given(st.sampled_from(["of Spain", "for a visa", "about leave", "in the handbook", "since May"]))
def test_question_about_sources_with_subject_is_searched(subject: str) -> None:
    assert not asks_for_sources(f"Which documents do you have {subject}?")


def contents(documents: int = 7, titles: tuple[str, ...] = ("Add a source", "*Operating* [Kvasir]")) -> SourceDocuments:
    return SourceDocuments("docs", "folder", documents, NOW - timedelta(minutes=5), titles)


def test_overview_uses_language_of_question() -> None:
    assert describe_sources([contents()], NOW, "en") == (
        "I answer from these documents:\n\n"
        "- **docs** (a folder): 7 documents, read 5 min ago. Titles: “Add a source”, “Operating Kvasir”, …"
    )
    assert describe_sources([contents(2)], NOW, "zh") == (
        "我根据以下文档回答：\n\n- **docs**（文件夹）：2 篇文档，5 分钟前读取。"
        "标题：《Add a source》、《Operating Kvasir》"
    )


def test_overview_names_unread_documents() -> None:
    first = SourceDocuments("wiki", "own-kind", 1, None, ())
    assert describe_sources([first], NOW, "en").endswith("- **wiki** (own-kind): 1 document, not read completely yet.")
    assert "kvasir.toml" in describe_sources([], NOW, "en")
    assert "kvasir.toml" in describe_sources([], NOW, "zh")


def test_overview_lists_only_first_sources() -> None:
    assert len(describe_sources([contents()] * 100, NOW, "en").splitlines()) < 30


# ── In an answer ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def answered(
    room: type[Room], question: Question, found: Sequence[SourceDocuments] | KnowledgeError
) -> tuple[Any, Any]:
    requests: list[tuple[Viewers, str]] = []

    async def contents(readers: Viewers, within: str) -> Sequence[SourceDocuments]:
        requests.append((readers, within))
        if isinstance(found, KnowledgeError):
            raise found
        return found

    engine, search = room.engine([]), room.search([room.hit(room.leave)])
    answerer = Answerer(search, engine, room.new_checker, contents=contents)
    async with aclosing(answerer.answer(question)) as events:
        all_events = [event async for event in events]
    assert (engine.asked, search.queries) == ([], [])
    return all_events, requests


async def test_overview_respects_viewers_and_needs_no_engine(room: type[Room]) -> None:
    question = Question(
        "Which documents do you answer from?", asker=Asker(viewers=make_members("U1"), within="in:docs")
    )
    all_events, requests = await answered(room, question, [contents()])
    assert [type(event) for event in all_events] == [Text, Finished]
    assert "- **docs** (a folder): 7 documents" in all_events[0].markdown
    assert (all_events[1].route, all_events[1].cited) == ("sources", ())
    assert requests == [(make_members("U1"), "in:docs")]


async def test_overview_reports_failed_manifest(room: type[Room]) -> None:
    all_events, _ = await answered(
        room, Question("你根据哪些文档回答？"), DatabaseError("The database is away: start it.")
    )
    assert [type(event) for event in all_events] == [Notice, Finished]
    assert "The database is away" in all_events[0].text
    assert all_events[1].route == "unknown"


@pytest.mark.parametrize(
    ("before", "repeated", "after"),
    [("列出你", "所有的", ""), ("列出你", "全部的", "吗"), ("你们的", "知道的", ""), ("", "which documents ", "")],
)
def test_classification_takes_linear_time(before: str, repeated: str, after: str) -> None:
    assert not asks_for_sources(before + repeated * 60 + after)
    assert takes_linear_time(lambda size: asks_for_sources(before + repeated * size + after), 400)
