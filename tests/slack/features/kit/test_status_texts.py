"""Tests of the texts of ``/kb``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.slack.features.kit import kb_texts, status_texts
from bot.slack.posting.ephemeral import build_sections
from engine.interfaces import EngineState, EngineStatus
from engine.notes import NoteCode
from knowledge.errors import EmbedderUnavailable, ErrorCode
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import IndexGrowth, LastRepair, PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport
from tests.slack.running_bot import make_source_status

NOW = datetime.now(UTC)


def make_hit(n: int, url: str | None = "https://kb.example/a") -> Hit:
    return Hit(f"{n}", "docs", f"{n}.md", f"Title <{n}>", "Part", url, "A passage. " * 60, 0.9, 0.9, NOW)


def make_progress(done: int, total: int) -> SyncProgress:
    return SyncProgress("docs", listed=total or done, done=done, failed=0, total=total, seconds=1.0, eta_s=12.0)


def test_status_text_describes_all_sources() -> None:
    now = datetime.now(UTC)
    at = now.timestamp()
    failures = (
        QuarantinedDocument("a.pdf", "needs a password", at + 7_200, code=ErrorCode.ENCRYPTED),
        QuarantinedDocument("b.pdf", "broken"),
    )
    sources = (
        make_source_status("new", hours=None),
        make_source_status(
            "ill", hours=51, failed=2, failures=failures, pending_deletions=3, error="It is away.",
            error_code=ErrorCode.UNAVAILABLE,
            max_age_s=26 * 3_600.0,
            first_pending_deletions=(PendingDeletion("one.md", "One", at), PendingDeletion("two.md", "Two", at)),
        ),
        make_source_status("now", hours=-0.001, next_at=now + timedelta(days=3), is_watched=True),
        make_source_status(
            "busy", syncing=SyncProgress("busy", listed=9, done=3, failed=1, total=9, seconds=9.0, eta_s=150.0)
        ),
        make_source_status("added", kind="push", hours=None, documents=0),
    )  # fmt: skip
    state = LibraryStatus(
        "weaviate", indexing=True, sources=sources, growth=IndexGrowth(42, 100, 180.0, dense=True),
        last_repair=LastRepair(at - 7_200, 2, 2), elsewhere="process 12, since 02:30:00 UTC",
    )  # fmt: skip
    engine = EngineStatus(EngineState.DOWNLOADING, progress=0.42, notes=(NoteCode.ERROR.fill(text="weights <1 of 2>"),))
    english = status_texts.format_status(engine, state, "en")
    for words in (
        "*Engine*: downloading 42% · weights &lt;1 of 2&gt;",
        "*Store*: weaviate · checked 2 h ago, repaired 2 passages",
        "*New index*: 42%, about 3 min left; answers use the old one until it is complete",
        "Another process is syncing (process 12, since 02:30:00 UTC)",
        "never synced",
        "synced 2 d ago, *stale* (target 26 h)",
        ":warning: It is away.",
        (
            "3 pending deletions: these documents are missing from the source: one.md, two.md, 1 more. "
            "To delete them, type `/kb approve ill`"
        ),
        "a.pdf: needs a password (next attempt after ",
        "b.pdf: broken\n",
        "synced just now · next ",
        " · watched for changes",
        "*busy*: 3 / 9 · 1 failed · about 2 min left",
    ):
        assert words in english, (words, english)
    assert "added" not in english, "an empty source of uploads is not listed"
    chinese = status_texts.format_status(engine, state, "zh")
    for words in ("尚未同步", "2 天前同步，*已过期*（目标 26 小时）", "3 篇文档待删除", "`/kb 批准 ill`",
                  "另一进程正在同步",
                  "*新索引*: 42%，约剩 3 分钟", "2 段不一致，已修复", "2 篇无法读取", "之后重试",
                  "暂时无法连接来源。（It is away.）",
                  "a.pdf: 文档需要密码，无法读取。（needs a password）"):  # fmt: skip
        assert words in chinese, (words, chinese)


def test_report_text_lists_failures_and_deletions() -> None:
    failures = tuple(QuarantinedDocument(f"{n}.pdf", "needs a password") for n in range(5))
    report = SyncReport({"docs": SourceReport(listed=9, failed=5, failures=failures, error="It broke off.")}, 2.0)
    text = kb_texts.format_report(report, "en")
    assert "5 failed" in text
    assert text.count("needs a password") == 3
    assert ":warning: It broke off." in text
    assert "with failures" in text
    assert "Refreshed" not in text, "a report with failures does not look like success"
    assert "但有失败" in kb_texts.format_report(report, "zh")
    twice = QuarantinedDocument("a <b>.pdf", "a <b>.pdf crashed its parser.")
    assert list(status_texts.format_failures([twice], "en")) == ["   ◦ a &lt;b&gt;.pdf crashed its parser."]
    held = SyncReport({"docs": SourceReport(pending_deletions=30), "added": SourceReport()}, 2.0)
    assert "`/kb approve docs`" in kb_texts.format_report(held, "en")
    assert "`/kb 批准 docs`" in kb_texts.format_report(held, "zh")
    assert "added" not in kb_texts.format_report(held, "en")
    assert "5 失败" in kb_texts.format_report(report, "zh")


def test_sources_text_without_sources_names_kvasir_toml() -> None:
    assert "kvasir.toml" in status_texts.format_sources(LibraryStatus("lancedb", indexing=False, sources=()), "en")
    assert status_texts.format_progress(make_progress(3, 0), "en") == "*docs*: 3 listed"


def test_search_results_show_rows_without_the_marks_of_the_table() -> None:
    hit = replace(make_hit(1), text="| service | port |\n| --- | --- |\n| metrics | 9464 |")
    text = kb_texts.format_search_results(SearchResult("ports", (hit,), 0.1, answerable=True), "en")
    assert text.endswith("\n> - service: metrics; port: 9464")


@pytest.mark.parametrize("hits", [(make_hit(1),), ()])
def test_search_results_say_that_words_alone_found_them(hits: tuple[Hit, ...]) -> None:
    trouble = EmbedderUnavailable("The embedder toy at <host> cannot be reached.")
    text = kb_texts.format_search_results(SearchResult("ports", hits, 0.1, answerable=True, trouble=trouble), "en")
    assert text.startswith("Passages were found by their words alone, so some may be missing. ")
    assert "<host>" not in text


def test_search_results_fit_section_blocks() -> None:
    text = kb_texts.format_search_results(
        SearchResult("q" * 5_000, tuple(make_hit(n) for n in range(5)), 0.1, answerable=True), "en"
    )
    pieces = [str(section["text"]["text"]) for section in build_sections(text)]
    assert all(len(piece) <= 3_000 for piece in pieces)
    assert "".join(pieces) == text
