"""Tests of what asks to read a link that somebody else posted."""

from __future__ import annotations

import pytest

from bot.answering.retrieval.link_requests import asks_to_read_links


@pytest.mark.parametrize(
    "question",
    [
        "summarise the link above", "Summarize that link, please.", "please read the link above",
        "Can you open the links above and tell me what changed?", "Could you look at Bo's link?",
        "read and summarise the url above", "What does the link above say about leave?",
        "what do these links say?", "What is in the link that Bo posted?", "Tell me what the link above says.",
        "Give me a summary of the article above", "According to the link above, how long is it?",
        "translate the page that Bo posted", "Is that right? Check the link above.",
        "I want you to read the link above", "compare the two links above", "what's behind that url?",
        "What does the web page above recommend?", "Use the article linked: how many days?",
        "总结一下上面的链接", "请阅读上面的链接", "上面的链接说了什么？", "打开小王发的链接", "那个网页讲了什么？",
        "根据上面的链接，年假有几天？", "把上面的链接总结一下", "看看这个链接", "翻译一下以上网页",
        "上面链接的主要内容是什么？", "阅读并总结那个链接",
    ],
)  # fmt: skip
def test_question_asks_to_read_a_link(question: str) -> None:
    assert asks_to_read_links(question)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of leave do I get?", "Is Bo right?", "what about that?", "and above?", "Look above.",
        "who posted the link above?", "Why was the link above removed?", "Do not open the link above.",
        "don't read the links above, how long is it?", "Should I open the link above?", "Is it safe to open that link?",
        "How do I open the link above?", "answer without reading: what is the link above?",
        "Never summarise the link above", "What is the link between sickness and leave?",
        "explain the link between the two plans", "Where is the link to the handbook?", "how do I link the accounts?",
        "What does the page on leave say?", "summarise the page", "Who may read the links above?",
        "What does Bo say?", "summarise the thread", "read this", "The link above is broken, whom do I tell?",
        "How do I share the page?", "what does the article of association say?",
        "年假有几天？", "谁发了上面的链接？", "不要打开上面的链接", "别看那个链接，直接回答",
        "为什么上面的链接打不开？",
        "我可以打开上面的链接吗？", "怎么打开上面的链接？", "上面的链接可以打开吗？", "如何在网页上请假？",
        "上面说的对吗？",
        "总结一下上面的讨论", "链接在哪里？",
    ],
)  # fmt: skip
def test_question_does_not_ask_to_read_a_link(question: str) -> None:
    assert not asks_to_read_links(question)
