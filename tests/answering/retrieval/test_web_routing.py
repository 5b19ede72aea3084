"""Tests of the decision to use the live web."""

from __future__ import annotations

import pytest

from bot.answering.events import Exchange, Quote
from bot.answering.policy import Policies, Policy, Why
from bot.answering.retrieval.web_routing import decide_web_use, find_links, is_recent, strip_links

ON = Policy("on", searches=True)
LISTED = Policy("listed", frozenset({"example.com"}), searches=True)
OFF = Policy("off", searches=True)


@pytest.mark.parametrize(
    "text",
    [
        "web: who runs it?", "Web： who runs it?", " WEB : who runs it?", "网页：who runs it?", "ｗｅｂ：who runs it?",
        ", web: who runs it?", "：网页：who runs it?", "\u200bweb: who runs it?", "*web:* who runs it?",
    ],
)  # fmt: skip
def test_explicit_request_uses_the_web(text: str) -> None:
    decided = decide_web_use(text, (), ON)
    assert decided.live is not None
    assert (decided.live.when, decided.why, decided.question) == ("always", Why.ASKED, "who runs it?")


def test_prefix_and_button_request_the_web() -> None:
    decided = decide_web_use("who runs it?", (), ON, wish=True)
    assert decided.live is not None
    assert (decided.live.when, decided.why) == ("always", Why.ASKED)


def test_words_that_resemble_prefix_do_not_request_the_web() -> None:
    assert decide_web_use("website: where is it?", (), ON).why is Why.WEAK
    assert decide_web_use("how do I write web: in a question?", (), ON).why is Why.WEAK
    assert decide_web_use("`web:` in compose.yaml, what is it?", (), ON).question.startswith("`web:`")


def test_other_questions_search_documents_first() -> None:
    decided = decide_web_use("how many days of leave do I have?", (), ON)
    assert decided.live is not None
    assert (decided.live.when, decided.why) == ("if_weak", Why.WEAK)


def test_disabled_channel_never_uses_the_web() -> None:
    for text in ("web: who?", "see https://a.example.org/x", "latest news?", "how?"):
        decided = decide_web_use(text, (), OFF, wish=True)
        assert decided.live is None
    assert decide_web_use("see https://a.example.org/x", (), OFF).closed_links == ("https://a.example.org/x",)
    history = [Exchange("see https://a.example.org/x", "I may not.")]
    assert decide_web_use("and how long is it?", history, OFF).closed_links == (), (
        "reported once, with the question that it stood in"
    )


def test_sites_mode_reads_only_listed_sites() -> None:
    decided = decide_web_use("compare https://docs.example.com/a with https://other.example/b", (), LISTED)
    assert decided.live is not None
    assert decided.live.links == ("https://docs.example.com/a",)
    assert decided.live.domains == {"example.com"}
    assert decided.closed_links == ("https://other.example/b",)
    assert decide_web_use("https://notexample.com/", (), LISTED).closed_links == ("https://notexample.com/",)
    chinese = Policy("listed", frozenset({"xn--fsqu00a.xn--fiqs8s"}), searches=True)
    assert decide_web_use("https://文档.例子.中国/a", (), chinese).closed_links == (), (
        "a host is the same in either spelling"
    )
    closed = decide_web_use("compare it with https://other.example/b", (), LISTED)
    assert closed.live is not None
    assert (closed.why, closed.live.search) == (Why.WEAK, True), "what may not be read is no reason not to search"


def test_channel_policy_only_narrows() -> None:
    everywhere = Policies(LISTED, {"COFF": "off", "CON": "on"})
    assert [everywhere.find_policy(channel).mode for channel in ("COFF", "CON", "COTHER")] == [
        "off",
        "listed",
        "listed",
    ]
    assert Policies(OFF, {"CON": "on"}).find_policy("CON").mode == "off"
    assert Policies(ON, {"C1": "listed"}).find_policy("C1").mode == "listed"


def test_question_with_filters_stays_with_documents() -> None:
    assert decide_web_use("in:handbook latest news", (), ON).live is None
    assert decide_web_use("in:handbook latest news", (), ON).why is Why.FILTERED
    assert decide_web_use("in:handbook does https://a.example/x say the same?", (), ON).why is Why.LINK
    assert decide_web_use("web: in:handbook who?", (), ON).why is Why.ASKED


def test_without_providers_only_links_are_read() -> None:
    alone = Policy("on")
    assert decide_web_use("how?", (), alone).live is None
    assert decide_web_use("latest news?", (), alone).live is None
    assert decide_web_use("see https://a.example/x", (), alone).live is not None
    assert decide_web_use("web: who?", (), alone).live is not None, "so that the reason is reported"


# ── Links ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_links_of_question_come_before_latest_of_thread() -> None:
    history = [
        Exchange("see https://one.example/", "It is [1] https://ours.example/cited"),
        Exchange("and https://two.example/?", ""),
    ]
    decided = decide_web_use("which is right, or https://three.example/?", history, ON)
    assert decided.live is not None
    assert decided.live.links == ("https://three.example/", "https://two.example/", "https://one.example/")
    assert decided.why is Why.LINK
    assert decide_web_use("and then?", [Exchange("q", "see https://ours.example/cited")], ON).why is Why.WEAK


def test_links_of_others_are_read_only_on_request() -> None:
    quotes = (Quote("web: see https://one.example/", "Bo"), Quote("or https://two.example/", "Deploy", is_app=True))
    history = [Exchange("look", "Hm, https://ours.example/.", quotes)]
    unasked = decide_web_use("how long is it?", history, ON)
    assert unasked.live is not None
    assert (unasked.why, unasked.live.links) == (Why.WEAK, ())
    web_use = decide_web_use("summarise the links above", history, ON)
    assert web_use.live is not None
    assert (web_use.why, web_use.live.links) == (Why.LINK, ("https://two.example/", "https://one.example/"))
    closed = decide_web_use("总结一下上面的链接", history, LISTED)
    assert closed.closed_links == ("https://two.example/", "https://one.example/"), "the asker reads why"


def test_link_in_thread_is_read_and_documents_are_searched() -> None:
    history = [Exchange("see https://one.example/", "I did.")]
    decided = decide_web_use("what is the weather in Berlin today?", history, ON)
    assert decided.live is not None
    assert (decided.why, decided.live.search, decided.live.links) == (Why.RECENT, True, ("https://one.example/",))
    decided = decide_web_use("how long is it?", history, ON)
    assert decided.live is not None
    assert (decided.why, decided.live.search) == (Why.LINK, False)
    assert decide_web_use("in:handbook how long is it?", history, ON).why is Why.FILTERED


def test_links_beyond_limit_are_reported() -> None:
    own = tuple(f"https://a.example/{n}" for n in range(7))
    history = [Exchange("see https://one.example/", "I did.")]
    decided = decide_web_use(f"compare {' '.join(own)}", history, ON)
    assert decided.live is not None
    assert decided.live.links == own


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<https://a.example/x?y=1|a label> ok", ["https://a.example/x?y=1"]),
        ("a label (https://a.example/x), ok", ["https://a.example/x"]),
        ("https://en.example/wiki/A_(b).", ["https://en.example/wiki/A_(b)"]),
        ("请看 https://a.example/文档。好吗", ["https://a.example/文档"]),
        ("run `curl https://a.example` or\n```\nGET https://b.example\n```", []),
        ("<https://a.example>", ["https://a.example"]),
    ],
)
def test_all_link_forms_are_found(text: str, found: list[str]) -> None:
    assert find_links(text) == found


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:9180/apisix/admin", "http://localhost:8080/x", "https://[::1]/", "https://10.0.0.1/a",
        "https://luarocks.example/luasec-0.9-1.src.rock", "https://a.example/b.zip", "https://a.example/pic.PNG",
        "https://team.slack.com/archives/C1/p1", "https://",
    ],
)  # fmt: skip
def test_addresses_without_page_are_not_links(link: str) -> None:
    assert decide_web_use(f"it says {link} is wrong", (), ON).why is Why.WEAK


def test_named_internal_host_may_be_read() -> None:
    assert decide_web_use("see http://wiki/page", (), ON).why is Why.WEAK
    assert decide_web_use("see http://wiki/page", (), Policy("on", private=frozenset({"wiki"}))).why is Why.LINK


def test_links_are_removed_from_text() -> None:
    assert (
        strip_links("what does <https://a.example/x|the page> say of (https://b.example)?")
        == "what does the page say of ?"
    )


# ── The present of the world ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "question",
    [
        "What is the latest version of Python?", "Any news about Rust?", "What's the weather in Berlin tomorrow?",
        "What is the current price of gold?", "Who is the current CEO of Intel?", "Is GitHub down right now?",
        "What happened in Brussels today?", "What is the exchange rate of the euro?", "Which bills passed this week?",
        "latest on the port strike", "What's new in PostgreSQL 19?", "What is the newest release of SGLang?",
        "Python 最新版本是多少？", "今天有什么新闻？", "目前的欧元汇率是多少？", "北京今天天气怎么样？",
        "最新的显卡价格", "本周有哪些展会？",
        "苹果公司今天的股价是多少？", "昨天的比赛谁赢了？", "目前美国总统是谁？",
        "最新款手机多少钱？", "刚刚发生了什么地震？",
        "What is the latest news on the asylum policy?",
        "What is the US inflation rate today?", "What are recent developments in Geneva?",
        "How does the weather look today?",
    ],
)  # fmt: skip
def test_questions_about_current_events_use_the_web(question: str) -> None:
    assert is_recent(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the latest version of our handbook?", "Who is on call this week?", "Can I take leave today?",
        "What are the latest changes to the expense policy?", "By what date must claims be in at the latest?",
        "What is our current travel policy?", "How do I rotate the current log file?",
        "What does the current runbook say?",
        "How do I get the most recent log lines?", "When does the current key expire?", "What is the latest epoch?",
        "Whose wall is visible even today?", "How do I show today's date in a template of the manual?",
        "目前公司的年假制度是什么？", "最新的报销流程是什么？", "我们今天谁值班？", "今天可以请假吗？",
        "手册的最新版本在哪里？", "如何查看当前配置文档？", "如何查看当前版本？", "怎么切换到当前目录？",
        "当前支持哪些插件？",
        "如何安装最新版本的 APISIX？", "天气插件怎么配置？", "汇率在哪里设置？", "刚刚的报错是什么意思？",
        "当前用户的权限有哪些？",
        "How do I see the currently installed version?", "Which is the currently running version?",
        "How do I upgrade to the latest version of Node?", "What is the latest event id in the stream?",
        "How do I set the exchange rate?", "How do I send the news to a topic?",
        "什么是《工程新闻记录》？",
    ],
)  # fmt: skip
def test_questions_about_the_company_use_documents(question: str) -> None:
    assert not is_recent(question)
