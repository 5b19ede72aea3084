"""``/kb``, as it is typed and as it is answered: to the one person, with progress in their direct messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.slack.actions.approve_deletion import ApproveDeletionAction
from bot.slack.commands import kb_texts, status_texts
from bot.slack.commands.kb import KbCommand
from bot.slack.commands.pending_deletions import APPROVE_DELETION, PendingDeletions, build_delete_button
from bot.slack.commands.refresh import RefreshRunner
from bot.slack.interactions import ButtonPress, SlashCommand
from bot.slack.posting.ephemeral import EphemeralMessenger, PostToResponseUrl, build_sections
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import StoreUnavailable, SyncRunning, UnknownSource
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import IndexGrowth, LastRepair, PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport
from tests.slack.room import Bot, Shelf, bot_in, house, shown, source
from tests.slack_sandbox import sandbox

NOW = datetime.now(UTC)


def hit(n: int, url: str | None = "https://kb.example/a") -> Hit:
    return Hit(f"{n}", "docs", f"{n}.md", f"Title <{n}>", "Part", url, "A passage. " * 60, 0.9, 0.9, NOW)


def progress(done: int, total: int) -> SyncProgress:
    return SyncProgress("docs", listed=total or done, done=done, failed=0, total=total, seconds=1.0, eta_s=12.0)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def desk(tmp_path: Path, shelf: Shelf) -> AsyncIterator[Bot]:
    """Run a bot whose one owner is Ada."""
    async with house(tmp_path, "socket", shelf=shelf, deps={"access": Access(frozenset({"U0ADA00001"}))}) as bot:
        yield bot


async def told(bot: Bot, contains: str, channel: str = "#general") -> str:
    found = await bot.box.wait_for_message(lambda m: m.get("ephemeral") and contains in shown(m), channel=channel)
    return shown(found)


async def test_search_shows_the_best_passages_to_the_one_person(desk: Bot, shelf: Shelf) -> None:
    shelf.hits = (hit(1), hit(2, None))
    await desk.box.command("ada", "#general", "/kb search how do logs rotate")
    text = await told(desk, "how do logs rotate")
    assert "1. <https://kb.example/a|Title &lt;1&gt; › Part> · docs" in text
    assert "2. *Title &lt;2&gt; › Part*" in text
    assert not [m for m in await desk.box.messages("#general", "bo") if "Title" in shown(m)]


async def test_search_that_finds_nothing_says_so(desk: Bot) -> None:
    await desk.box.command("ada", "#general", "/kb 搜索 日志")
    await told(desk, "没有找到与“日志”相关的段落。")


async def test_status_and_sources(desk: Bot) -> None:
    await desk.box.command("ada", "#general", "/kb status")
    text = await told(desk, "*Engine*: ready · r1")
    assert "• *docs*: 7 documents, 1,234 passages · synced 3 h ago" in text
    await desk.box.command("ada", "#general", "/kb sources")
    await told(desk, "*docs* · folder · /srv/docs")


@pytest.mark.slow
async def test_refresh_reports_in_one_direct_message(desk: Bot, shelf: Shelf) -> None:
    """Typed in a channel: a line there for the person alone, the progress in their direct messages."""
    shelf.progress, shelf.go = (progress(3, 10), progress(7, 10)), asyncio.Event()
    await desk.box.command("ada", "#general", "/kb refresh docs")
    await told(desk, "Refreshing docs … The progress appears in our direct messages.")
    board = await desk.box.wait_for_message(
        lambda m: "*docs*: 7 / 10 · about 12 s left" in m["text"], channel="@kvasir"
    )
    shelf.go.set()
    done = await desk.box.wait_for_message(lambda m: "Refreshed in 1.5 s." in m["text"], channel="@kvasir")
    assert done["ts"] == board["ts"]
    assert "5 unchanged, 2 added" in done["text"]
    await told(desk, "Refreshed in 1.5 s.")
    assert shelf.refreshed == ["docs"]


async def test_refresh_in_the_direct_message_is_that_message(desk: Bot, shelf: Shelf) -> None:
    await desk.box.command("ada", "@kvasir", "/kb 刷新")
    await desk.box.wait_for_message(lambda m: "更新完成" in m["text"], channel="@kvasir")
    assert shelf.refreshed == [None]
    assert not [m for m in await desk.box.messages("@kvasir") if m.get("ephemeral")]


@pytest.mark.parametrize(
    ("failure", "typed", "words"),
    [
        (SyncRunning("A sync is running already. Wait."), "refresh", "A sync is running already. Wait."),
        (SyncRunning("A sync is running already. Wait."), "刷新", "更新已在进行中，请等它结束。"),
        (UnknownSource("There is no source “dosc”. Did you mean “docs”?"), "refresh dosc", "Did you mean “docs”?"),
        (UnknownSource("There is no source “文件”."), "刷新 文件", "没有名为“文件”的来源。用 /kb 来源 查看所有来源。"),
        (StoreUnavailable("The store is down. Start it."), "refresh", "The store is down. Start it."),
        (StoreUnavailable("The store is down. Start it."), "search logs", "The store is down. Start it."),
        (ZeroDivisionError("secret"), "search logs", "Something went wrong inside Kvasir"),
    ],
)
async def test_what_goes_wrong_is_told(desk: Bot, shelf: Shelf, failure: Exception, typed: str, words: str) -> None:
    shelf.failure = failure
    await desk.box.command("ada", "#general", f"/kb {typed}")
    text = await told(desk, words)
    assert "secret" not in text
    for line in text.splitlines():
        assert line.count("Did you mean") + line.count("running already") <= 1, "said once"


async def test_a_response_url_that_is_used_up_is_no_end(desk: Bot) -> None:
    """The answer goes by ``chat.postEphemeral`` instead."""
    payload = {"text": "help", "user_id": "U0ADA00001", "channel_id": "C0GENERAL1"}
    url = f"{desk.box.base_url}/commands/none"
    await _build_command(desk.shelf, desk.app._api, _refuse).run(
        SlashCommand.from_payload({**payload, "response_url": url})
    )
    await told(desk, "/kb refresh")


def _build_command(shelf: Shelf, api: Any, post: PostToResponseUrl, access: Access | None = None) -> KbCommand:
    access, messenger = access or Access(), EphemeralMessenger(api, post)
    pending = PendingDeletions(shelf, messenger)
    refresh = RefreshRunner(shelf, pending, api, messenger, access, str)
    engine = EngineStatus(EngineState.READY)
    return KbCommand(shelf, lambda: engine, pending, refresh, messenger, apology=str, access=access, channels={})


async def _refuse(_url: str, _payload: Any) -> bool:
    return False


# ── Approving ────────────────────────────────────────────────────────────────────────────────────────────────────────

HELD = source(
    "docs",
    pending_deletions=30,
    approval_mark="thirty",
    first_pending_deletions=tuple(PendingDeletion(f"{n}.md", f"{n}", None) for n in range(5)),
)


def holding(*sources: Any) -> LibraryStatus:
    return LibraryStatus("lancedb", indexing=False, sources=sources)


async def shown_held(bot: Bot, contains: str = "30 documents are missing") -> dict[str, Any]:
    return await bot.box.wait_for_message(lambda m: m.get("ephemeral") and contains in shown(m), channel="#general")


async def test_what_is_held_is_shown_and_goes_when_a_person_says_so(desk: Bot, shelf: Shelf) -> None:
    shelf.state = holding(HELD, source("other"))
    shelf.report = SyncReport({"docs": SourceReport(listed=7, unchanged=7, deleted=30)}, 1.5)
    await desk.box.command("ada", "#general", "/kb approve docs")
    asked = await shown_held(desk)
    assert all(words in shown(asked) for words in ("0.md", "4.md", "and 25 more", "still missing"))
    assert shelf.approved == shelf.refreshed == []
    await desk.box.press("ada", "#general", asked["ts"], APPROVE_DELETION)
    await told(desk, "30 deleted")
    assert (shelf.approved, shelf.refreshed) == (["docs"], [])


async def test_without_a_source_all_that_is_held_is_shown(desk: Bot, shelf: Shelf) -> None:
    shelf.state = holding(
        HELD,
        source("wiki", pending_deletions=12, first_pending_deletions=(PendingDeletion("home", "Home", None),)),
        source("other"),
    )
    await desk.box.command("ada", "#general", "/kb 批准")
    asked = await shown_held(desk, "30 篇文档不在最近的列表里")
    buttons = [e["value"] for block in asked["blocks"] if block["type"] == "actions" for e in block["elements"]]
    assert [name in value for name, value in zip(("docs", "wiki"), buttons, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("approve", "There are no pending deletions."),
        ("approve docs", "There are no pending deletions in “docs”."),
        ("批准 docs", "来源“docs”没有待批准的删除"),
        ("approve dosc", "There is no source “dosc”"),
    ],
)
async def test_nothing_to_approve_is_said(desk: Bot, shelf: Shelf, typed: str, words: str) -> None:
    await desk.box.command("ada", "#general", f"/kb {typed}")
    await told(desk, words)
    assert shelf.approved == []


async def test_what_a_person_was_not_shown_is_shown_first(desk: Bot, shelf: Shelf) -> None:
    """Between the question and the button, a sync held others, as many as before."""
    shelf.state = holding(HELD)
    await desk.box.command("ada", "#general", "/kb approve docs")
    asked = await shown_held(desk)
    shelf.state = holding(
        replace(HELD, approval_mark="others", first_pending_deletions=(PendingDeletion("other.md", "Other", None),))
    )
    await desk.box.press("ada", "#general", asked["ts"], APPROVE_DELETION)
    again = await shown_held(desk, "other.md")
    assert shelf.approved == []
    await desk.box.press("ada", "#general", again["ts"], APPROVE_DELETION)
    await told(desk, "Refreshed in")
    assert shelf.approved == ["docs"]


async def test_what_a_sync_held_after_the_button_was_pressed_is_shown_first(desk: Bot, shelf: Shelf) -> None:
    """The sync came between the look and the approval: the library refuses, and the person is asked again."""
    shelf.state = holding(HELD)
    await desk.box.command("ada", "#general", "/kb approve docs")
    asked = await shown_held(desk)
    status = shelf.status

    async def looked_at() -> LibraryStatus:
        state = await status()
        shelf.state = holding(
            replace(HELD, approval_mark="others", first_pending_deletions=(PendingDeletion("other.md", "Other", None),))
        )
        return state

    shelf.status = looked_at  # type: ignore[method-assign]
    await desk.box.press("ada", "#general", asked["ts"], APPROVE_DELETION)
    await shown_held(desk, "other.md")
    await told(desk, "What is held has changed.")


async def test_only_owners_manage_where_there_are_owners(tmp_path: Path) -> None:
    shelf = Shelf(state=holding(HELD))
    access = Access(frozenset({"U0BO000002"}))
    async with sandbox(tmp_path) as box, bot_in(box, tmp_path, shelf=shelf, deps={"access": access}) as bot:
        for typed in ("refresh", "approve docs"):
            await box.command("ada", "#general", f"/kb {typed}")
        await told(bot, "Only an owner may do this. Ask <@U0BO000002>.")
        await box.command("ada", "#general", "/kb 更新")
        await told(bot, "只有负责人可以这样做")
        await box.command("ada", "#general", "/kb status")
        await told(bot, "*Engine*")
        await box.command("bo", "#general", "/kb approve docs")
        asked = await box.wait_for_message(
            lambda m: m.get("ephemeral") and "are missing" in shown(m), channel="#general", person="bo"
        )
        await box.press("bo", "#general", asked["ts"], APPROVE_DELETION)
        await box.wait_until(lambda: shelf.approved == ["docs"])
        assert shelf.refreshed == []


async def test_without_owners_deletions_are_approved_at_the_terminal_alone(tmp_path: Path) -> None:
    """Reading again takes nothing away and stays open; a button from when there were owners does nothing either."""
    shelf = Shelf(state=holding(HELD))
    async with sandbox(tmp_path) as box, bot_in(box, tmp_path, shelf=shelf) as bot:
        await box.command("ada", "#general", "/kb approve docs")
        text = await told(bot, "No owner is configured")
        assert "`kvasir sync --approve SOURCE`" in text
        assert 'owners = ["U0ADA00001"]' in text
        await box.command("ada", "#general", "/kb 批准 docs")
        await told(bot, "尚未指定负责人")
        await box.command("ada", "@kvasir", "/kb refresh docs")
        await box.wait_until(lambda: shelf.refreshed == ["docs"])
        with_button = {"user": {"id": "U0ADA00001"}, "channel": {"id": "C0GENERAL1"}}
        messenger = EphemeralMessenger(bot.app._api, _refuse)
        pending = PendingDeletions(shelf, messenger)
        refresh = RefreshRunner(shelf, pending, bot.app._api, messenger, Access(), str)
        approve = ApproveDeletionAction(pending, refresh, Access(), messenger, str)
        await approve.run(ButtonPress.from_payload(with_button, build_delete_button(HELD, chinese=False)))
    assert shelf.approved == []


async def test_only_owners_read_why_a_source_is_in_trouble() -> None:
    """Such a reason names hosts and accounts; that there is trouble is told to everybody, wherever it is shown."""
    why = "postgresql://kvasir@db.internal:5432 refuses the account. Renew it."
    ill = source("docs", error=why, watch_trouble="inotify on /srv/secret is used up. Raise it.")
    shelf = Shelf(state=holding(ill), report=SyncReport({"docs": SourceReport(error=why)}, 1.5))
    looks = ("status", "sources", "状态", "来源", "home")
    for owners, typed in [
        *((frozenset[str](), typed) for typed in (*looks, "refresh", "刷新")),
        *((frozenset({"U0BO000002"}), typed) for typed in looks),
    ]:
        said = await _said(shelf, owners, typed, "U0ADA00001")
        assert "db.internal" not in said, typed
        assert "/srv/secret" not in said, typed
        assert "Owners see the reason" in said or "原因只有负责人可以看到" in said, typed
    for typed in (*looks, "refresh", "刷新"):
        assert "db.internal" in await _said(shelf, frozenset({"U0BO000002"}), typed, "U0BO000002"), typed


class _Calls:
    """Takes every call of the Web API."""

    async def call(self, _method: str, **_arguments: Any) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": "D0ADA00001"}, "ts": "1.0"}


async def _said(shelf: Shelf, owners: frozenset[str], typed: str, user: str) -> str:
    """Return what a person is told last of a command that was typed in a channel."""
    answers = []

    async def keep(_url: str, payload: Any) -> bool:
        answers.append(shown(payload))
        return True

    calls: Any = _Calls()
    command = _build_command(shelf, calls, keep, Access(owners))
    if typed == "home":
        return await command.describe_status(user)
    url = "http://127.0.0.1:9/answer"
    await command.run(SlashCommand(text=typed, user=user, channel="C0GENERAL1", response_url=url))
    return answers[-1]


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_texts_of_a_status() -> None:
    now = datetime.now(UTC)
    at = now.timestamp()
    failures = (QuarantinedDocument("a.pdf", "needs a password", at + 7_200), QuarantinedDocument("b.pdf", "broken"))
    sources = (
        source("new", hours=None),
        source(
            "ill", hours=51, failed=2, failures=failures, pending_deletions=3, error="It is away.",
            max_age_s=26 * 3_600.0,
            first_pending_deletions=(PendingDeletion("one.md", "One", at), PendingDeletion("two.md", "Two", at)),
        ),
        source("now", hours=-0.001, next_at=now + timedelta(days=3), watched=True),
        source("busy", syncing=SyncProgress("busy", listed=9, done=3, failed=1, total=9, seconds=9.0, eta_s=150.0)),
        source("added", kind="push", hours=None, documents=0),
    )  # fmt: skip
    state = LibraryStatus(
        "weaviate", indexing=True, sources=sources, growth=IndexGrowth(42, 100, 180.0, dense=True),
        repaired=LastRepair(at - 7_200, 2, 2), elsewhere="process 12, since 02:30:00 UTC",
    )  # fmt: skip
    engine = EngineStatus(EngineState.DOWNLOADING, progress=0.42, detail="weights <1 of 2>")
    english = status_texts.format_status(engine, state, chinese=False)
    for words in (
        "*Engine*: downloading 42% · weights &lt;1 of 2&gt;",
        "*Store*: weaviate · checked 2 h ago, repaired 2 passages",
        "*New index*: 42%, about 3 min left; answers use the old one until it is complete",
        "Another process is syncing (process 12, since 02:30:00 UTC)",
        "never synced",
        "synced 2 d ago, *stale* (target 26 h)",
        ":warning: It is away.",
        "3 pending deletions: these documents are missing from the source and still used in answers",
        "answers: one.md, two.md, 1 more. To delete them, type `/kb approve ill`",
        "a.pdf: needs a password (next attempt after ",
        "b.pdf: broken\n",
        "synced just now · next ",
        " · watched for changes",
        "*busy*: 3 / 9 · 1 failed · about 2 min left",
    ):
        assert words in english, (words, english)
    assert "added" not in english, "a source that nobody has filled is not worth a line"
    chinese = status_texts.format_status(engine, state, chinese=True)
    for words in ("尚未同步", "2 天前同步，*已过期*（目标 26 小时）", "3 篇文档待删除", "`/kb 批准 ill`",
                  "另一进程正在同步",
                  "*新索引*: 42%，约剩 3 分钟", "2 段不一致，已修复", "2 篇无法读取", "之后重试"):  # fmt: skip
        assert words in chinese, (words, chinese)


def test_texts_of_a_report() -> None:
    failures = tuple(QuarantinedDocument(f"{n}.pdf", "needs a password") for n in range(5))
    report = SyncReport({"docs": SourceReport(listed=9, failed=5, failures=failures, error="It broke off.")}, 2.0)
    text = kb_texts.format_report(report, chinese=False)
    assert "5 failed" in text
    assert text.count("needs a password") == 3
    assert ":warning: It broke off." in text
    assert "with failures" in text
    assert "Refreshed" not in text, "failures never read like plain success"
    assert "但有失败" in kb_texts.format_report(report, chinese=True)
    held = SyncReport({"docs": SourceReport(pending_deletions=30), "added": SourceReport()}, 2.0)
    assert "`/kb approve docs`" in kb_texts.format_report(held, chinese=False)
    assert "`/kb 批准 docs`" in kb_texts.format_report(held, chinese=True)
    assert "added" not in kb_texts.format_report(held, chinese=False)
    assert "5 失败" in kb_texts.format_report(report, chinese=True)


def test_nothing_configured_is_told() -> None:
    assert "kvasir.toml" in status_texts.format_sources(
        LibraryStatus("lancedb", indexing=False, sources=()), chinese=False
    )
    assert status_texts.format_progress(progress(3, 0), chinese=False) == "*docs*: 3 listed"


def test_a_search_text_fits_slack() -> None:
    text = kb_texts.format_search_results(
        SearchResult("q" * 5_000, tuple(hit(n) for n in range(5)), 0.1, answerable=True), chinese=False
    )
    pieces = [str(section["text"]["text"]) for section in build_sections(text)]
    assert all(len(piece) <= 3_000 for piece in pieces)
    assert "".join(pieces) == text


async def test_a_channel_s_own_filters_narrow_whatever_is_searched_in_it(tmp_path: Path) -> None:
    shelf = Shelf(hits=(hit(1),))
    rules = {"channels": {"C0GENERAL1": "in:handbook"}}
    async with sandbox(tmp_path) as box, bot_in(box, tmp_path, shelf=shelf, deps=rules) as bot:
        await box.command("ada", "#general", "/kb search logs")
        await told(bot, "*“logs”*")
        assert shelf.searched == ['in:"handbook" logs']
        await box.command("ada", "#general", "/kb search logs in:wiki")
        await told(bot, "In this channel only in:handbook is searched")
        await box.command("ada", "#handbook", "/kb search elsewhere")
        await told(bot, "“elsewhere”", "#handbook")
        ts = await bot.ask("@Kvasir how?")
        await bot.answer(ts)
        assert bot.answerer.questions[-1].within == "in:handbook"
        ts = await bot.ask("@Kvasir how?", "#handbook")
        await bot.answer(ts, channel="#handbook")
        assert bot.answerer.questions[-1].within == ""
