"""Headings become questions in their own language, or none."""

from __future__ import annotations

import pytest

from knowledge.suggestions import question, questions
from knowledge.sync.records import Heading


@pytest.mark.parametrize(
    ("heading", "asked"),
    [
        ("Add a source", "How do I add a source?"),
        ("Adding a source", "How do I add a source?"),
        ("How to add a source", "How do I add a source?"),
        ("Setting Up Slack", "How do I set up Slack?"),
        ("3. Configure `mTLS`", "How do I configure mTLS?"),
        ("What is Kvasir?", "What is Kvasir?"),
        ("如何添加来源", "如何添加来源？"),
        ("添加来源", "如何添加来源？"),
        ("2.1 配置 SSL 证书", "如何配置 SSL 证书？"),
        ("什么是 APISIX？", "什么是 APISIX？"),
    ],
)
def test_a_heading_that_is_a_question_or_a_how_to_is_sure(heading: str, asked: str) -> None:
    assert question(heading) == (asked, True)


@pytest.mark.parametrize(
    ("heading", "asked"),
    [
        ("Security", "What do the documents say about security?"),
        ("API keys", "What do the documents say about API keys?"),
        ("安全", "关于安全，文档是怎么说的？"),
    ],
)
def test_a_noun_is_only_a_topic(heading: str, asked: str) -> None:
    assert question(heading) == (asked, False)


@pytest.mark.parametrize("heading", ["", "-", "x", "4.", "word " * 30, "`--flag`", "…"])
def test_what_names_nothing_asks_nothing(heading: str) -> None:
    assert question(heading) is None


def test_documents_take_turns_and_the_surest_come_first() -> None:
    headings = [
        Heading("a.md", "A", "Overview", "1"),
        Heading("a.md", "A", "Guide › Add a user", "2"),
        Heading("a.md", "A", "Remove a user", "3"),
        Heading("b.md", "Install Kvasir", "", "4"),
        Heading("c.md", "C", "Adding a user", "5"),
    ]
    assert [text for text, _ in questions(headings)] == [
        "How do I add a user?",
        "How do I install Kvasir?",
        "How do I remove a user?",
        "What do the documents say about overview?",
    ]
