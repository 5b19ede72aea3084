"""Headings become questions in their own language, or none."""

from __future__ import annotations

import pytest

from knowledge.suggestions import ASKED, TO_DO, TOPIC, generate_questions, make_question
from knowledge.sync.manifest.records import DocumentHeading


@pytest.mark.parametrize(
    ("heading", "question", "rank"),
    [
        ("Add a source", "How do I add a source?", TO_DO),
        ("Adding a source", "How do I add a source?", TO_DO),
        ("How to add a source", "How do I add a source?", ASKED),
        ("How to set a route?", "How do I set a route?", ASKED),
        ("What is PubSub", "What is PubSub?", ASKED),
        ("Setting Up Slack", "How do I set up Slack?", TO_DO),
        ("Search the logs", "How do I search the logs?", TO_DO),
        ("Back up the database", "How do I back up the database?", TO_DO),
        ("3. Configure `mTLS`", "How do I configure mTLS?", TO_DO),
        ("What is Kvasir?", "What is Kvasir?", ASKED),
        ("What does /kb do?", "What does /kb do?", ASKED),
        ("如何添加来源", "如何添加来源？", ASKED),
        ("添加来源", "如何添加来源？", TO_DO),
        ("2.1 配置 SSL 证书", "如何配置 SSL 证书？", TO_DO),
        ("什么是 APISIX？", "什么是 APISIX？", ASKED),
    ],
)
def test_question_and_how_to_headings_are_recognised(heading: str, question: str, rank: int) -> None:
    assert make_question(heading) == (question, rank)


@pytest.mark.parametrize(
    ("heading", "question"),
    [
        ("Security", "What do the documents say about security?"),
        ("API keys", "What do the documents say about API keys?"),
        ("Search providers", "What do the documents say about search providers?"),
        ("Logging levels", "What do the documents say about logging levels?"),
        ("安全", "关于安全，文档是怎么说的？"),
        ("配置文件", "关于配置文件，文档是怎么说的？"),
        ("测试环境", "关于测试环境，文档是怎么说的？"),
    ],
)
def test_a_noun_is_only_a_topic(heading: str, question: str) -> None:
    assert make_question(heading) == (question, TOPIC)


@pytest.mark.parametrize(
    "heading",
    [
        "How do I write one?",
        "How is it tried?",
        "What does this mean?",
        "Checking sentences: `make eval`",
        "Can Kvasir read PDFs? Which formats does Kvasir read?",
        "What do I do when …",
        "How to use",
        "How to use?",
        "它是怎么工作的？",
        "如何使用",
        "为什么使用？",
        "以下步骤",
    ],
)
def test_a_heading_that_needs_its_context_makes_no_question(heading: str) -> None:
    assert make_question(heading) is None


@pytest.mark.parametrize("heading", ["", "-", "x", "4.", "word " * 30, "`--flag`", "…"])
def test_a_heading_without_words_makes_no_question(heading: str) -> None:
    assert make_question(heading) is None


def test_documents_take_turns_and_questions_come_first() -> None:
    headings = [
        DocumentHeading("a.md", "A", "Overview", "1"),
        DocumentHeading("d.md", "D", "Who is an owner?", "0"),
        DocumentHeading("a.md", "A", "Guide › Add a user", "2"),
        DocumentHeading("a.md", "A", "Remove a user", "3"),
        DocumentHeading("b.md", "Install Kvasir", "", "4"),
        DocumentHeading("c.md", "C", "Adding a user", "5"),
    ]
    assert [text for text, _ in generate_questions(headings)] == [
        "Who is an owner?",
        "How do I add a user?",
        "How do I install Kvasir?",
        "How do I remove a user?",
        "What do the documents say about overview?",
    ]
