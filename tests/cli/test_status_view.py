"""Test ``kvasir status`` on a wide terminal, on a narrow one, and through a pipe."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from bot.answering.policy import Policy
from bot.cli.commands.knowledge.sync import report_json
from bot.cli.status_view import build_view, show_status
from bot.messages.durations import format_age, format_due_time, format_duration
from bot.terminal.lines import format_report
from bot.terminal.terminal import Terminal
from engine.interfaces import EngineState, EngineStatus
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.lease import LeaderState
from knowledge.sync.manifest.records import IndexGrowth, LastRepair, PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport
from tests.slack.running_bot import make_source_status

NOW = datetime.now(UTC)
READY = EngineStatus(EngineState.READY, model="R1")
ILL = make_source_status(
    "wiki", hours=51, max_age_s=93_600.0,
    pending_deletions=30, first_pending_deletions=(PendingDeletion("home", "Home", None),),
    error="It is away. Look.",
    failed=7,
    failures=(
        QuarantinedDocument("a.pdf", "a.pdf needs a password.", NOW.timestamp() + 7_200),
        QuarantinedDocument("b.md", "It is broken."),
    ),
)  # fmt: skip
SYNCING = make_source_status("shares", syncing=SyncProgress("shares", 900, 300, 1, 900, 10.0, 150.0), is_watched=True)


def shown(*sources: SourceStatus, width: int = 120, **more: object) -> str:
    stream = io.StringIO()
    state = LibraryStatus("lancedb", indexing=False, sources=sources, **more)  # type: ignore[arg-type]
    show_status(READY, state, Policy(), stream, width=width)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_all_problems_are_shown_at_every_width(width: int) -> None:
    text = shown(make_source_status(), ILL, SYNCING, width=width)
    words = " ".join(text.split())
    for problem in (
        "It is away. Look.", "kvasir sync --approve wiki",
        "30 documents are pending deletion", "home", "and 29 more",
        "7 documents could not be read", "a.pdf needs a password. Next attempt after",
        "b.md: It is broken.", "and 5 more",
        "It is stale: 2 d",
        "syncing 33%",
    ):  # fmt: skip
        assert problem in words, (problem, text)
    assert max(map(len, text.splitlines())) <= width
    assert "a.pdf: a.pdf" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "\x1b" not in text, "no colours through a pipe"


def test_a_status_without_problems_says_so() -> None:
    unused = [make_source_status(kind, kind=kind, documents=0, hours=None) for kind in ("push", "pages")]
    leader = LeaderState("process 12 on db1", NOW.timestamp(), is_this_process=False, progress={})
    text = shown(make_source_status("docs", next_at=NOW + timedelta(days=2)), *unused, leader=leader)
    assert "No problems" not in shown(make_source_status()), "no process leads"
    assert "No problems." in text
    assert "push" not in text
    assert "pages" not in text


def test_a_live_web_that_is_off_names_the_table_that_turns_it_on() -> None:
    assert "a table [web] in kvasir.toml turns it on" in shown(make_source_status(), width=200)


def test_documents_that_nobody_can_be_shown_are_a_problem() -> None:
    text = shown(make_source_status("wiki", unreachable=12, unreachable_readers=("confluence:role:x",)), width=200)
    assert "12 documents can be shown to nobody: no person is one of their readers, such as confluence:role:x" in text


def test_removed_sources_and_other_configurations_are_problems() -> None:
    removed = make_source_status("old wiki", kind="confluence", documents=3, is_removed=True, listed_by=("host-b",))
    text = shown(make_source_status(), removed=(removed,), other_configurations={"host-b": ["wiki"]}, width=200)
    assert "its 3 documents are pending deletion" in text
    assert "Its documents answer nobody here. Another process lists it: host-b." in text
    assert "To delete them: kvasir sync --approve 'old wiki'" in text
    assert "Replicas have another kvasir.toml. These sources differ by host: host-b: wiki." in text
    assert "No problems" not in text


def test_index_store_and_other_processes() -> None:
    text = shown(
        make_source_status("new", hours=None), growth=IndexGrowth(42, 100, 180.0, dense=True),
        elsewhere="process 12, since 02:30:00 UTC",
        last_repair=LastRepair(NOW.timestamp() - 7_200, 3, 2),
    )  # fmt: skip
    assert "a new one is at 42%, about 3 min left" in text
    assert "another process (process 12, since 02:30:00 UTC)" in text
    assert "2 h ago, 3 passages differed, 2 repaired, 1 to be read again" in text
    assert "It has never been synced. To sync it: kvasir sync new" in text
    assert "no differences" in shown(make_source_status(), last_repair=LastRepair(NOW.timestamp(), 0, 0))


def test_the_leader_is_named_and_its_absence_too() -> None:
    leader = LeaderState("process 12 on db1", datetime.now(UTC).timestamp() - 7_200, is_this_process=False, progress={})
    assert "process 12 on db1, which took over 2 h ago" in shown(make_source_status(), leader=leader)
    assert "none, so nothing is synced by the clock; kvasir run starts one" in shown(make_source_status(), width=200)


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [(0, "0 s", "0 秒"), (59.4, "59 s", "59 秒"), (61, "1 min", "1 分钟"), (7_200, "2 h", "2 小时"),
     (93_600, "26 h", "26 小时"), (172_800, "2 d", "2 天")],
)  # fmt: skip
def test_durations(seconds: float, english: str, chinese: str) -> None:
    assert (format_duration(seconds), format_duration(seconds, "zh")) == (english, chinese)


def test_due_times() -> None:
    assert (format_age(3), format_age(3, "zh"), format_age(300)) == ("just now", "刚刚", "5 min ago")
    at = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
    assert format_due_time(at, at) == f"{at.astimezone():%H:%M}"
    assert format_due_time(at + timedelta(days=3), at).startswith("Mar ")
    assert format_due_time(at + timedelta(days=3), at, "zh").startswith("3月")


def test_names_and_reasons_cannot_control_the_terminal() -> None:
    name = "a\x1b[31m\x9b.pdf"
    ill = make_source_status(
        "wiki", pending_deletions=1, first_pending_deletions=(PendingDeletion(name, "", None),),
        failed=1, failures=(QuarantinedDocument(name, f"{name} is broken."),),
        error=f"{name} is away.", watch_trouble=f"{name} is gone.",
    )  # fmt: skip
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=100)
    console.print(
        build_view(READY, LibraryStatus("lancedb", indexing=False, sources=(ill,)), Policy(), NOW, narrow=False)
    )
    for text in (stream.getvalue(), shown(ill)):
        assert text.count("a.pdf") == 4
        assert not {"\x1b", "\x9b"} & set(text)


def test_progress_lines_cannot_control_the_terminal() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.show_progress("knowledge", 0.5, "a\x1b[31m.pdf")
    terminal.finish_bar("knowledge", "b\x1b]0;owned\x07.pdf: it is broken")
    assert stream.getvalue() == "knowledge:  50% a.pdf\nknowledge: b.pdf: it is broken\n"


def test_a_report_counts_pending_deletions_and_keeps_the_key_of_scripts() -> None:
    report = SyncReport({"wiki": SourceReport(listed=3, unchanged=3, pending_deletions=30, seconds=1.0)}, 1.0)
    assert format_report(report) == ["wiki: 3 unchanged, 30 pending deletion in 1.0 s"]
    sources = report_json(report)["sources"]
    assert isinstance(sources, dict)
    assert sources["wiki"]["held"] == 30
    assert "pending_deletions" not in sources["wiki"]
