"""Tests of ``/kb``: only the person sees the answer, with progress in their direct messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.config.models import ChannelTable
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kb.kb_command import KbCommand, StatusRunner
from bot.slack.features.kit.feature import Feature
from bot.slack.features.refreshes import build_subcommands
from bot.slack.features.refreshes.pending_deletions import PendingDeletions
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.posting.ephemeral import EphemeralMessenger, PostToResponseUrl
from bot.slack.wire.interactions import SlashCommand
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import DatabaseError, StoreUnavailable, SyncRunning, UnknownSource
from knowledge.interfaces import Hit, Viewers
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    find_member,
    get_text,
    make_library_status,
    make_source_status,
    refuse_post,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)
from tests.slack_sandbox import open_sandbox

NOW = datetime.now(UTC)


def make_hit(n: int, url: str | None = "https://kb.example/a") -> Hit:
    return Hit(f"{n}", "docs", f"{n}.md", f"Title <{n}>", "Part", url, "A passage. " * 60, 0.9, 0.9, NOW)


def make_progress(done: int, total: int) -> SyncProgress:
    return SyncProgress("docs", listed=total or done, done=done, failed=0, total=total, seconds=1.0, eta_s=12.0)


async def test_search_shows_passages_to_one_person(owned_bot: RunningBot, library: FakeLibrary) -> None:
    library.hits = (make_hit(1), make_hit(2, None))
    await owned_bot.sandbox.command("ada", "#general", "/kb search how do logs rotate")
    text = await wait_for_ephemeral(owned_bot, "how do logs rotate")
    assert "1. <https://kb.example/a|Title &lt;1&gt; › Part> · docs" in text
    assert "2. *Title &lt;2&gt; › Part*" in text
    assert not [m for m in await owned_bot.sandbox.messages("#general", "bo") if "Title" in get_text(m)]


async def test_refresh_names_the_reason_if_its_report_cannot_be_restricted(tmp_path: Path) -> None:
    """Nothing of the report is shown while it is unknown what the person may see."""

    class Library(FakeLibrary):
        async def count_readable(self, viewers: Viewers) -> Mapping[str, int]:
            if self.refreshed:
                raise DatabaseError("The database is down. Start it.")
            return await super().count_readable(viewers)

    async with run_bot_in_sandbox(tmp_path, library=Library()) as bot:
        await bot.sandbox.command("ada", "#general", "/kb refresh")
        assert "docs" not in await wait_for_ephemeral(bot, "The database is down. Start it.")


async def test_search_without_results_says_so(owned_bot: RunningBot) -> None:
    await owned_bot.sandbox.command("ada", "#general", "/kb 搜索 日志")
    await wait_for_ephemeral(owned_bot, "没有找到与“日志”相关的段落。")


async def test_status_and_sources_describe_library(owned_bot: RunningBot) -> None:
    await owned_bot.sandbox.command("ada", "#general", "/kb status")
    text = await wait_for_ephemeral(owned_bot, "*Engine*: ready · r1")
    assert "• *docs*: 7 documents, 1,234 passages · synced 3 h ago" in text
    await owned_bot.sandbox.command("ada", "#general", "/kb sources")
    await wait_for_ephemeral(owned_bot, "folder · /srv/docs")
    await owned_bot.sandbox.command("chen", "#general", "/kb status")  # an English name in a Chinese Slack
    await owned_bot.sandbox.wait_for_message(lambda m: "*引擎*" in get_text(m), person="chen")


@pytest.mark.slow
async def test_refresh_updates_one_direct_message(owned_bot: RunningBot, library: FakeLibrary) -> None:
    """In a channel, the person sees one line; the progress appears in their direct messages."""
    library.progress, library.resume = (make_progress(3, 10), make_progress(7, 10)), asyncio.Event()
    await owned_bot.sandbox.command("ada", "#general", "/kb refresh docs")
    await wait_for_ephemeral(owned_bot, "Refreshing docs … The progress appears in our direct messages.")
    board = await owned_bot.sandbox.wait_for_message(
        lambda m: "*docs*: 7 / 10 · about 12 s left" in m["text"], channel="@kvasir"
    )
    library.resume.set()
    done = await owned_bot.sandbox.wait_for_message(lambda m: "Refreshed in 1.5 s." in m["text"], channel="@kvasir")
    assert done["ts"] == board["ts"]
    assert "5 unchanged, 2 added" in done["text"]
    await wait_for_ephemeral(owned_bot, "Refreshed in 1.5 s.")
    assert library.refreshed == ["docs"]


async def test_refresh_in_direct_message_sends_no_ephemeral_message(
    owned_bot: RunningBot, library: FakeLibrary
) -> None:
    await owned_bot.sandbox.command("ada", "@kvasir", "/kb 刷新")
    await owned_bot.sandbox.wait_for_message(lambda m: "更新完成" in m["text"], channel="@kvasir")
    assert library.refreshed == [None]
    assert not [m for m in await owned_bot.sandbox.messages("@kvasir") if m.get("ephemeral")]


@pytest.mark.parametrize(
    ("failure", "typed", "words"),
    [
        (SyncRunning(), "refresh", "A sync is running already. Wait"),
        (SyncRunning(), "刷新", "更新已在进行中，请等它结束。"),
        (UnknownSource("dosc", ["docs"]), "refresh dosc", "Did you mean “docs”?"),
        (UnknownSource("文件", ["docs"]), "刷新 文件", "没有名为“文件”的来源。现有来源：docs。"),
        (StoreUnavailable("The store is down. Start it."), "refresh", "The store is down. Start it."),
        (StoreUnavailable("The store is down. Start it."), "search logs", "The store is down. Start it."),
        (StoreUnavailable("The store is down. Start it."), "搜索 日志", "文档存储没有响应，请稍后再试。"),
        (ZeroDivisionError("secret"), "search logs", "Something went wrong inside Kvasir"),
    ],
)
async def test_failed_command_explains_error(
    owned_bot: RunningBot, library: FakeLibrary, failure: Exception, typed: str, words: str
) -> None:
    library.failure = failure
    await owned_bot.sandbox.command("ada", "#general", f"/kb {typed}")
    text = await wait_for_ephemeral(owned_bot, words)
    assert "secret" not in text
    for line in text.splitlines():
        assert line.count("Did you mean") + line.count("running already") <= 1, "said once"


async def test_expired_response_url_falls_back_to_ephemeral_message(owned_bot: RunningBot) -> None:
    """``chat.postEphemeral`` sends the answer instead."""
    payload = {"text": "help", "user_id": "U0ADA00001", "channel_id": "C0GENERAL1"}
    url = f"{owned_bot.sandbox.base_url}/commands/none"
    await build_command(owned_bot.library, owned_bot.app.workspace.api, refuse_post).run(
        SlashCommand.from_payload({**payload, "response_url": url})
    )
    await wait_for_ephemeral(owned_bot, "/kb refresh")


def build_command(library: FakeLibrary, api: Any, post: PostToResponseUrl, access: Access | None = None) -> KbCommand:
    access, messenger = access or Access(), EphemeralMessenger(api, post)
    pending = PendingDeletions(library, messenger)
    visible = VisibleSources(library, access, find_member)
    refresh = RefreshRunner(library, pending, api, messenger, visible, lambda _record: contextlib.nullcontext())
    status = StatusRunner(visible, lambda: EngineStatus(EngineState.READY))
    subcommands = [*status.subcommands, *build_subcommands(refresh, pending, access)]
    return KbCommand([Feature(subcommands=subcommands)], messenger, access)


async def test_only_owners_see_error_details() -> None:
    """Details name hosts and accounts; everybody sees that there is a problem."""
    why = "postgresql://kvasir@db.internal:5432 refuses the account. Renew it."
    ill = make_source_status("docs", error=why, watch_trouble="inotify on /srv/secret is used up. Raise it.")
    library = FakeLibrary(state=make_library_status(ill), report=SyncReport({"docs": SourceReport(error=why)}, 1.5))
    looks = ("status", "sources", "状态", "来源")
    for owners, typed in [
        *((frozenset[str](), typed) for typed in (*looks, "refresh", "刷新")),
        *((frozenset({"U0BO000002"}), typed) for typed in looks),
    ]:
        said = await run_command(library, owners, typed, "U0ADA00001")
        assert "db.internal" not in said, typed
        assert "/srv/secret" not in said, typed
        assert "Owners see the reason" in said or "原因只有负责人可以看到" in said, typed
    for typed in (*looks, "refresh", "刷新"):
        assert "db.internal" in await run_command(library, frozenset({"U0BO000002"}), typed, "U0BO000002"), typed


async def test_only_owners_see_places_and_processes() -> None:
    state = replace(make_library_status(make_source_status()), elsewhere="process 4711, since 02:30:00 UTC")
    library = FakeLibrary(state=state)
    for owners in (frozenset[str](), frozenset({"U0ADA00001"})):
        library.failure = None
        said = [await run_command(library, owners, typed, "U0ADA00001") for typed in ("status", "sources")]
        library.failure = SyncRunning(process="process 4711, since 02:30:00 UTC")
        said.append(await run_command(library, owners, "refresh", "U0ADA00001"))
        assert [("/srv/docs" in text, "4711" in text) for text in said] == (
            [(False, True), (True, False), (False, True)] if owners else [(False, False)] * 3
        )
        assert "folder" in said[1]


async def test_unread_documents_that_may_be_restricted_are_not_counted() -> None:
    """All that is read so far may be readable, and the rest restricted."""
    report = SyncReport({"docs": SourceReport(listed=40, unchanged=7, failed=33)}, 1.5)
    unsure = make_source_status(failed=33, syncing=make_progress(7, 40), has_uniform_readers=False)
    library = FakeLibrary(state=make_library_status(unsure), report=report, progress=(make_progress(7, 40),))
    for typed in ("status", "sources", "refresh"):
        said = await run_command(library, frozenset(), typed, "U0ADA00001")
        assert "docs" in said
        assert not [number for number in ("33", "40") if number in said], typed


class FakeWebApi:
    """A Web API that accepts every call."""

    async def call(self, _method: str, **_arguments: Any) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": "D0ADA00001"}, "ts": "1.0"}


async def run_command(
    library: FakeLibrary, owners: frozenset[str], typed: str, user: str, *, board_owner: str = "nobody"
) -> str:
    """Run a command in a channel and return its last answer."""
    answers = []

    async def keep(_url: str, payload: Any) -> bool:
        answers.append(get_text(payload))
        return True

    calls: Any = FakeWebApi()
    command = build_command(library, calls, keep, Access(owners, {"board": frozenset({board_owner})}))
    url = "http://127.0.0.1:9/answer"
    payload = {"text": typed, "user_id": user, "channel_id": "C0GENERAL1", "response_url": url}
    await command.run(SlashCommand.from_payload(payload))
    return answers[-1]


async def test_channel_filters_apply_to_searches_and_questions(tmp_path: Path) -> None:
    library = FakeLibrary(hits=(make_hit(1),), state=make_library_status(make_source_status("handbook")))
    rules = {"channels": {"C0GENERAL1": ChannelTable(id="C0GENERAL1", search="in:handbook")}}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, library=library, dependencies=rules) as bot,
    ):
        await sandbox.command("ada", "#general", "/kb search logs")
        await wait_for_ephemeral(bot, "*“logs”*")
        assert library.searched == ['in:"handbook" logs']
        await sandbox.command("ada", "#general", "/kb search logs in:wiki")
        await wait_for_ephemeral(bot, "Only in:handbook is searched here")
        await sandbox.command("ada", "#handbook", "/kb search elsewhere")
        await wait_for_ephemeral(bot, "“elsewhere”", "#handbook")
        ts = await bot.ask("@Kvasir how?")
        await bot.wait_for_answer(ts)
        assert bot.answerer.questions[-1].asker.within == "in:handbook"
        ts = await bot.ask("@Kvasir how?", "#handbook")
        await bot.wait_for_answer(ts, channel="#handbook")
        assert bot.answerer.questions[-1].asker.within == ""


BOARD = make_source_status(
    "board", root="/srv/lyon", documents=88, chunks=99, error="lyon.internal refuses.", pending_deletions=55
)
MIXED = make_source_status("mixed", documents=77, chunks=66, failed=44, syncing=make_progress(33, 44))


@pytest.mark.parametrize("typed", ["status", "sources", "状态", "来源", "refresh", "刷新", "refresh board"])
async def test_sources_that_a_person_may_not_read_are_neither_named_nor_counted(typed: str) -> None:
    """Of a source that she may read in part, only the documents that she may read are counted."""
    report = SyncReport(
        {
            "board": SourceReport(listed=88, error="lyon.internal refuses."),
            "mixed": SourceReport(listed=77, unchanged=33, failed=44),
            "docs": SourceReport(listed=7, unchanged=5, added=2),
        },
        1.5,
    )
    state = make_library_status(BOARD, MIXED, make_source_status())
    library = FakeLibrary(state=state, report=report, readable={"mixed": 3, "docs": 7})
    said = await run_command(library, frozenset(), typed, "U0ADA00001")
    for secret in ("board", "lyon", "88", "77", "66", "55", "44", "33"):
        assert secret not in said.replace("“board”", ""), typed
    assert "docs" in said
    assert library.refreshed == ([None] if typed in {"refresh", "刷新"} else [])
    if "refresh" not in typed:
        assert "lyon.internal" in await run_command(library, frozenset({"U0ADA00001"}), typed, "U0ADA00001")


async def test_refresh_of_a_hidden_source_is_answered_like_one_that_does_not_exist() -> None:
    library = FakeLibrary(state=make_library_status(BOARD, make_source_status()), readable={"docs": 7})
    answers = [await run_command(library, frozenset(), f"refresh {name}", "U0ADA00001") for name in ("board", "doard")]
    assert answers[0] == answers[1].replace("doard", "board")
    library.failure = SyncRunning(["board", "docs"])
    said = await run_command(library, frozenset(), "refresh", "U0ADA00001")
    assert "docs" in said
    assert "board" not in said


@pytest.mark.parametrize(("readable", "rule"), [({"docs": 7}, "in:board"), ({"docs": 7}, "in:board,docs type:md")])
async def test_the_rule_of_a_channel_does_not_name_hidden_sources(
    tmp_path: Path, readable: dict[str, int], rule: str
) -> None:
    library = FakeLibrary(
        hits=(make_hit(1),), state=make_library_status(BOARD, make_source_status()), readable=readable
    )
    rules = {"channels": {"C0GENERAL1": ChannelTable(id="C0GENERAL1", search=rule)}}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, library=library, dependencies=rules) as bot,
    ):
        for typed in ("logs", "logs in:board", "logs in:wiki"):
            await sandbox.command("ada", "#general", f"/kb search {typed}")
        ts = await bot.ask("@Kvasir how?")
        if "docs" in rule:
            await bot.wait_for_answer(ts)
            assert bot.answerer.questions[-1].asker.within == 'in:"docs" type:markdown type:md type:mdx'
            await wait_for_ephemeral(bot, "*“logs”*")
            await wait_for_ephemeral(bot, "Only in:docs is searched here, and the question asks for in:board")
            await wait_for_ephemeral(bot, "Only in:docs is searched here, and the question asks for in:wiki")
        else:
            await bot.wait_for_answer(ts, "Not everybody here may read them")
            await wait_for_ephemeral(bot, "Not everybody here may read them")
            assert not bot.answerer.questions
            assert not library.searched
        text = " ".join(get_text(m) for m in await sandbox.messages("#general") if m.get("bot_id"))
        assert "board" not in text.replace("asks for in:board", "")


@pytest.mark.parametrize("typed", ["status", "sources", "refresh board"])
async def test_owner_of_one_source_sees_and_refreshes_it_alone(typed: str) -> None:
    """She may read none of its documents, and of the other sources she sees what everybody sees."""
    report = SyncReport({"board": SourceReport(listed=88, unchanged=81, failed=7)}, 1.5)
    state = make_library_status(BOARD, MIXED, make_source_status("docs", error="db.internal refuses."))
    library = FakeLibrary(state=state, report=report, readable={"docs": 7})
    said = await run_command(library, frozenset({"U0CHEN0003"}), typed, "U0ADA00001", board_owner="U0ADA00001")
    assert "board" in said
    assert "mixed" not in said
    assert "db.internal" not in said
    if typed.startswith("refresh"):
        assert library.refreshed == ["board"]
        assert "81 unchanged" in said
        await run_command(library, frozenset({"U0CHEN0003"}), "refresh docs", "U0ADA00001", board_owner="U0ADA00001")
        assert library.refreshed == ["board"]
    else:
        assert "lyon.internal refuses" in said
