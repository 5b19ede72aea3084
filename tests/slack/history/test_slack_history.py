"""Threads of public channels as documents: walked through once, then followed by what Slack tells."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.state import wire
from bot.sandbox.state.model import BOT_ID, BOT_USER, TEAM_ID, Message
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import Workspace, build_app_message
from bot.slack.events import BotUser
from bot.slack.history.channel_events import ThreadEligibility, read_channel_event
from bot.slack.history.channel_reader import SyncRate
from bot.slack.history.channel_state import ChannelState, WorkspaceState, apply_events, apply_page
from bot.slack.history.source import SlackSource, make_slack_kind, refuse_without_tokens
from bot.slack.settings import SlackSettings
from bot.slack.transport.web_client import open_web_api
from bot.storage.channel_event_log import (
    ChannelEvent,
    ChannelEventKind,
    ChannelEventLog,
    ConnectionPeriod,
    find_coverage_end,
)
from bot.storage.ledger import open_ledger
from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import EVERYONE, ListedDocument
from tests.slack.room import bot_in
from tests.slack_sandbox import Box, sandbox
from tests.sources.building import build
from tests.sources.contract import listing

GENERAL = "C0GENERAL1"
FAST = SyncRate(burst=10_000, per_s=10_000, page_size=50)


class House:
    """A workspace, a journal, and sources that look at both."""

    def __init__(self, box: Box, folder: Path, event_log: ChannelEventLog) -> None:
        self.box = box
        self.event_log = event_log
        self._folder = folder
        self.kept: dict[str, bytes] = {}

    def source(self, *, kept: dict[str, bytes] | None = None, rate: SyncRate = FAST, **options: object) -> SlackSource:
        box = self.box
        connect = functools.partial(open_web_api, SlackSettings(box.bot_token, box.app_token, api_url=box.api_url))
        kinds = {"slack": make_slack_kind(connect, self.event_log, "test", rate)}
        built = build("slack", self._folder, kept=self.kept if kept is None else kept, others=kinds, **options)
        assert isinstance(built, SlackSource)
        return built

    async def threads(self, **options: Any) -> dict[str, ListedDocument]:
        """List as the next sync would."""
        source = self.source(**options)
        try:
            return await listing(source)
        finally:
            await source.close()

    async def text(self, document: str, **options: Any) -> tuple[str, str]:
        """Read one thread as the next sync would; returns its title and text."""
        source = self.source(**options)
        try:
            content = await source.read((await listing(source))[document])
            return content.title or "", content.data.decode()
        finally:
            await source.close()

    @contextlib.asynccontextmanager
    async def bot(self) -> AsyncIterator[None]:
        """Run the bot, which is told what happens."""
        async with bot_in(self.box, self._folder, deps={"event_log": self.event_log}):
            yield
            await self.box.wait_delivered()

    async def calls(self, method: str) -> int:
        return len(await self.box.requests(method))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with sandbox(tmp_path, pace="off") as box, open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        yield House(box, tmp_path, await ChannelEventLog(ledger).open())


def document(ts: str, channel: str = GENERAL) -> str:
    return f"{channel}/{ts}"


# ── What a document is ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_thread_is_a_document_with_its_replies_its_people_and_its_link(house: House) -> None:
    root = await house.box.say("ada", "#general", "How do we reset the VPN token of https://vpn.example ?")
    await house.box.say("bo", "#general", "Ask @chen, or use the form.\n\nIt takes a day.", root)
    listed = await house.threads()
    assert set(listed) == {document(root)}
    one = listed[document(root)]
    assert one.url == f"{house.box.base_url}/archives/{GENERAL}/p{root.replace('.', '')}"
    assert one.modified_at is not None
    title, text = await house.text(document(root))
    assert title == "How do we reset the VPN token of https://vpn.example ? (#general)"
    first, second = text.split("\n\n")
    assert first.startswith("ada, 20")
    assert first.endswith("token of https://vpn.example ?")
    assert second.endswith("Ask @chen, or use the form.\nIt takes a day.")
    assert second.startswith("bo, 20")


async def test_what_is_said_to_kvasir_by_kvasir_and_by_apps_is_left_out(house: House) -> None:
    asked = await house.box.say("ada", "#general", "@Kvasir how many days of leave?")
    await house.box.api("chat.postMessage", channel=GENERAL, thread_ts=asked, text="Thirty.")
    await house.box.api("chat.postMessage", channel=GENERAL, text="A root of mine.")
    alarm = await house.box.say_as_bot("Pager", "#general", "Disk is full")
    talk = await house.box.say("ada", "#general", "The coffee machine is broken.")
    await house.box.say("bo", "#general", "@Kvasir who repairs it?", talk)
    await house.box.api("chat.postMessage", channel=GENERAL, thread_ts=talk, text="Facility does.")
    await house.box.say("bo", "#general", "Repaired.", talk)
    assert set(await house.threads()) == {document(talk)}
    _, text = await house.text(document(talk))
    assert [part.partition(": ")[2] for part in text.split("\n\n")] == ["The coffee machine is broken.", "Repaired."]
    assert set(await house.threads(kept={}, bots=True)) == {document(talk), document(alarm)}
    await house.box.say("bo", "#general", "I have made room.", alarm)
    assert set(await house.threads(kept={})) == {document(talk), document(alarm)}, "somebody has replied"
    _, text = await house.text(document(alarm), kept={})
    assert "Disk is full" not in text
    assert "I have made room." in text


async def test_private_channels_and_direct_messages_never(house: House) -> None:
    assert house.box.hub is not None
    workspace = house.box.hub.workspace
    await house.box.say("ada", "@kvasir", "a secret in a direct message")
    public = await house.box.say("ada", "#general", "for everybody")
    elsewhere = await house.box.say("ada", "#random", "Kvasir is not here")
    await house.box.say("ada", "#handbook", "soon private")
    await house.box.control("POST", "channel", {"channel": "#handbook", "kind": "group"})
    assert set(await house.threads()) == {document(public)}
    assert set(await house.threads(kept={}, channels=["C0HANDBOOK", GENERAL])) == {document(public)}
    assert set(await house.threads(kept={}, channels=["C0RANDOM01"])) == set()
    await house.box.control("POST", "join", {"member": "kvasir", "channel": "#random"})
    assert set(await house.threads()) == {document(public), document(elsewhere, "C0RANDOM01")}
    assert workspace.channels["C0HANDBOOK"].kind == "group"


async def test_files_are_named(house: House) -> None:
    body = {
        "person": "ada",
        "channel": "#general",
        "text": "The plan",
        "files": [{"name": "plan.pdf", "base64": "eA=="}],
    }
    ts = str((await house.box.control("POST", "say", body))["ts"])
    _, text = await house.text(document(ts))
    assert text.endswith("The plan\n[plan.pdf]")


async def test_threads_from_before_a_day_are_left_out(house: House) -> None:
    await house.box.say("ada", "#general", "today")
    assert len(await house.threads(since="2020-01-01")) == 1
    assert await house.threads(kept={}, since="2999-01-01") == {}
    with pytest.raises(SourceMisconfigured, match="since should be a day"):
        house.source(since="yesterday")


# ── Followed by events ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_what_happens_is_followed_without_walking_again(house: House) -> None:
    old = await house.box.say("ada", "#general", "An old thread")
    doomed = await house.box.say("ada", "#general", "Soon gone")
    edited = await house.box.say("ada", "#general", "Wrong")
    reply = await house.box.say("bo", "#general", "a reply", old)
    async with house.bot():
        before = await house.threads()
        walked = await house.calls("conversations.history")
        new = await house.box.say("bo", "#general", "A new thread")
        await house.box.delete("ada", "#general", doomed)
        await house.box.edit("ada", "#general", edited, "Right")
        await house.box.edit("bo", "#general", reply, "a better reply")
        await house.box.wait_delivered()
        after = await house.threads()
        assert await house.calls("conversations.history") == walked, "a listing is what is remembered and what was told"
        assert set(after) == {document(ts) for ts in (old, edited, new)}
        assert after[document(old)].version != before[document(old)].version
        assert after[document(edited)].version != before[document(edited)].version
        assert "a better reply" in (await house.text(document(old)))[1]
        assert (await house.text(document(edited)))[0] == "Right (#general)"
        assert {d: one.version for d, one in (await house.threads()).items()} == {
            d: o.version for d, o in after.items()
        }
        await house.box.delete("bo", "#general", reply)
        await house.box.wait_delivered()
        assert "better" not in (await house.text(document(old)))[1]


@pytest.mark.slow
async def test_a_question_that_becomes_one_by_an_edit_is_no_document_any_more(house: House) -> None:
    ts = await house.box.say("ada", "#general", "how many days of leave?")
    async with house.bot():
        assert set(await house.threads()) == {document(ts)}
        await house.box.edit("ada", "#general", ts, "@Kvasir how many days of leave?")
        await house.box.wait_delivered()
        assert await house.threads() == {}


@pytest.mark.slow
async def test_leaving_archiving_and_renaming_a_channel(house: House) -> None:
    here = await house.box.say("ada", "#general", "here")
    there = await house.box.say("ada", "#handbook", "there")
    async with house.bot():
        assert len(await house.threads()) == 2
        await house.box.control("POST", "rename", {"channel": "#general", "name": "everybody"})
        assert (await house.text(document(here)))[0] == "here (#everybody)"
        await house.box.control("POST", "leave", {"member": "kvasir", "channel": "#handbook"})
        once_more = await house.threads()
        assert once_more[document(there, "C0HANDBOOK")].readers == frozenset()
        assert once_more[document(here)].readers == EVERYONE
        assert set(await house.threads()) == {document(here)}
        await house.box.control("POST", "join", {"member": "kvasir", "channel": "#handbook"})
        assert set(await house.threads()) == {document(here), document(there, "C0HANDBOOK")}
        assert (await house.threads())[document(there, "C0HANDBOOK")].readers == EVERYONE
        await house.box.control("POST", "archive", {"channel": "#handbook", "person": "ada"})
        assert (await house.threads())[document(there, "C0HANDBOOK")].readers == frozenset()
        assert set(await house.threads()) == {document(here)}


@pytest.mark.slow
async def test_a_source_tells_that_something_was_said(house: House) -> None:
    source = house.source()
    source._sleep = lambda _seconds: asyncio.sleep(0)
    changes = source.changes()
    async with house.bot():
        batches = aiter(source.list())
        await anext(batches)  # a sync is in the middle of its listing, with a connection of its own
        noticed = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0.3)
        assert not noticed.done()
        assert [batch async for batch in batches][-1] == []
        await house.box.say("ada", "#general", "news")
        async with asyncio.timeout(30):
            await noticed
    await changes.aclose()  # type: ignore[attr-defined]


# ── What was missed ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_what_happened_while_nobody_was_there_is_made_up_for(house: House) -> None:
    kept_one = await house.box.say("ada", "#general", "stays")
    reply = await house.box.say("bo", "#general", "a reply", kept_one)
    async with house.bot():
        before = await house.threads()
    house.event_log = await ChannelEventLog(house.event_log._ledger, now=lambda: time.time() + 3_600).open()
    missed = await house.box.say("ada", "#general", "said while the bot was away")
    await house.box.edit("bo", "#general", reply, "an edited reply")
    await house.box.say("bo", "#general", "one more", kept_one)
    source = house.source()
    source._now = lambda: time.time() + 3_600
    after = await listing(source)
    assert set(after) == {document(kept_one), document(missed)}
    assert after[document(kept_one)].version != before[document(kept_one)].version
    content = await source.read(after[document(kept_one)])
    assert b"an edited reply" in content.data
    assert b"one more" in content.data
    await source.close()


@pytest.mark.slow
async def test_a_thread_deleted_while_nobody_was_there_is_gone(house: House) -> None:
    async with house.bot():
        await house.threads()
        ts = await house.box.say("ada", "#general", "soon gone")
        await house.box.wait_delivered()
        assert set(await house.threads()) == {document(ts)}
    await house.box.delete("ada", "#general", ts)
    source = house.source()
    source._now = lambda: time.time() + 3_600
    assert await listing(source) == {}
    await source.close()


async def test_what_is_forgotten_is_walked_again(house: House) -> None:
    """Memory that is lost or damaged, or so old that news since then was purged."""
    ts = await house.box.say("ada", "#general", "something")
    await house.threads()
    for data in (b"", b"{", b'{"version": 1, "held": {"rooms": 3}}', b'{"version": 1, "held": {"team": "T"}}'):
        assert set(await house.threads(kept=dict.fromkeys(house.kept, data))) == {document(ts)}
    source = house.source()
    source._now = lambda: time.time() + 40 * 86_400
    assert set(await listing(source)) == {document(ts)}
    await source.close()


def test_until_when_nothing_was_missed() -> None:
    watches = [ConnectionPeriod(100, 200), ConnectionPeriod(150, 300), ConnectionPeriod(400, 500)]
    assert find_coverage_end(watches, 120, 310) == (300, True)
    assert find_coverage_end(watches, 120, 900) == (300, False)
    assert find_coverage_end(watches, 300, 520) == (300, False), "nobody was there from 300 to 400"
    assert find_coverage_end(watches, 410, 520) == (500, True)
    assert find_coverage_end([], 0, 10_000) == (0, False)


# ── Large, slow, refused ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_thread_of_a_thousand_replies_is_read_page_by_page(house: House) -> None:
    assert house.box.hub is not None
    workspace = house.box.hub.workspace
    root = workspace.say("ada", GENERAL, "A long story").ts
    for n in range(1_000):
        workspace.say("bo", GENERAL, f"chapter {n}", root)
    workspace.take_changes()
    _, text = await house.text(document(root), rate=SyncRate(10_000, 10_000, page_size=400))
    assert [part.rpartition(" ")[2] for part in text.split("\n\n")[1:]] == [str(n) for n in range(1_000)]
    assert await house.calls("conversations.replies") == 3


async def test_single_messages_are_read_a_page_at_a_time(house: House) -> None:
    assert house.box.hub is not None
    for n in range(120):
        house.box.hub.workspace.say("ada", GENERAL, f"message {n}")
    house.box.hub.workspace.take_changes()
    source = house.source()
    listed = await listing(source)
    assert len(listed) == 120
    await source.close()  # what the walk has read is forgotten
    walked = await house.calls("conversations.history")
    assert walked == 4, "three pages of one channel, one of the other"
    contents = [await source.read(one) for one in listed.values()]
    assert {content.data.decode().rpartition(" ")[2] for content in contents} == {str(n) for n in range(120)}
    assert await house.calls("conversations.history") + await house.calls("conversations.replies") <= walked + 4
    await source.close()


async def test_a_walk_that_is_cut_off_goes_on_where_it_was(house: House) -> None:
    assert house.box.hub is not None
    for n in range(260):
        house.box.hub.workspace.say("ada", GENERAL, f"message {n}")
    house.box.hub.workspace.take_changes()
    rate = SyncRate(10_000, 10_000, page_size=10)
    source = house.source(rate=rate)
    batches = aiter(source.list())
    for _ in range(15):
        await anext(batches)
    await batches.aclose()  # type: ignore[attr-defined]
    await source.close()
    assert house.kept, "it was saved on its way"
    before = await house.calls("conversations.history")
    assert len(await house.threads(rate=rate)) == 260
    assert await house.calls("conversations.history") - before <= 26 - 10 + 2
    assert set(await house.threads(rate=rate)) == set(await house.threads(rate=rate, kept={}))


@pytest.mark.slow
async def test_a_rate_limit_is_waited_out(house: House) -> None:
    ts = await house.box.say("ada", "#general", "hello")
    await house.box.faults({"method": "conversations.history", "error": "ratelimited", "retry_after_s": 1, "times": 2})
    started = time.monotonic()
    assert set(await house.threads()) == {document(ts)}
    assert time.monotonic() - started >= 2.0


@pytest.mark.parametrize(
    ("error", "kind"),
    [("invalid_auth", SourceDenied), ("missing_scope", SourceDenied), ("fatal_error", SourceUnavailable),
     ("invalid_arguments", SourceError)],
)  # fmt: skip
async def test_what_slack_refuses_is_said_and_lists_nothing_as_gone(
    house: House, error: str, kind: type[SourceError]
) -> None:
    await house.box.say("ada", "#general", "hello")
    await house.threads()
    await house.box.faults({"method": "users.conversations", "error": error, "times": -1})
    with pytest.raises(kind, match="Source bench: ") as caught:
        await house.threads()
    assert house.box.bot_token not in repr(caught.value)


async def test_without_tokens_it_says_where_to_sync_from(house: House, tmp_path: Path) -> None:
    source = build("slack", tmp_path, others={"slack": make_slack_kind(refuse_without_tokens, house.event_log, "test")})
    with pytest.raises(SourceDenied, match="SLACK_BOT_TOKEN"):
        await listing(source)


async def test_a_thread_that_is_gone_when_it_is_read_says_so(house: House) -> None:
    ts = await house.box.say("ada", "#general", "hello")
    await house.box.say("bo", "#general", "hi", ts)
    source = house.source()
    listed = (await listing(source))[document(ts)]
    for message in [m["ts"] for m in await house.box.messages() if m["ts"] != ts]:
        await house.box.delete("bo", "#general", message)
    await house.box.delete("ada", "#general", ts)
    with pytest.raises(SourceError, match="was deleted in Slack"):
        await source.read(listed)
    await source.close()


# ── The law: what is remembered and what was told is what is there ───────────────────────────────────────────────────

ME = BotUser(TEAM_ID, BOT_USER, BOT_ID)
STEP = st.tuples(
    st.sampled_from(["root", "reply", "reply", "edit", "delete", "bot", "mine", "bot reply"]),
    st.integers(0, 9),
    st.sampled_from(["words", "other words", f"<@{BOT_USER}> a question"]),
)


def _do(workspace: Workspace, step: tuple[str, int, str], said: list[Message]) -> None:
    what, pick, words = step
    target = said[pick % len(said)] if said else None
    match what:
        case "root":
            said.append(workspace.say("ada", GENERAL, words))
        case "reply" if target is not None:
            with contextlib.suppress(RefusedCall):
                said.append(workspace.say("bo", GENERAL, words, target.root))
        case "bot" | "mine" | "bot reply":
            root = (
                target.root if what == "bot reply" and target and workspace.find_message(GENERAL, target.root) else None
            )
            message = build_app_message(GENERAL, workspace.next_ts(), words)
            if what != "mine":
                message = Message(
                    GENERAL, message.ts, "U0PAGER", words, thread_ts=root, bot_id="B0PAGER", subtype="bot_message"
                )
            workspace.post_message(message)
        case "edit" if target is not None:
            with contextlib.suppress(RefusedCall):
                workspace.edit_message(target.user, GENERAL, target.ts, words)
        case "delete" if target is not None:
            with contextlib.suppress(RefusedCall):
                workspace.delete_message(target.user, GENERAL, target.ts)


def _walk(workspace: Workspace, *, bots: bool) -> WorkspaceState:
    remembered = WorkspaceState(channels={GENERAL: ChannelState("general")})
    page = [wire.message_object(workspace, message) for message in workspace.list_history(GENERAL)]
    apply_page(remembered.channels[GENERAL], page, ME, low="0", high=None, bots=bots)
    return remembered


def _listed(remembered: WorkspaceState) -> set[str]:
    return {
        ts for ts, one in remembered.channels[GENERAL].threads.items() if one.eligibility is ThreadEligibility.LISTED
    }


@given(st.lists(STEP, max_size=8), st.lists(STEP, max_size=12), st.booleans())
def test_news_leads_to_the_same_threads_as_a_walk(
    before: list[tuple[str, int, str]],
    after: list[tuple[str, int, str]],
    bots: bool,  # noqa: FBT001
) -> None:
    ticks = itertools.count(1_700_000_000)
    workspace = Workspace(lambda: float(next(ticks)))
    workspace.restore_records([])
    said: list[Message] = []
    for step in before:
        _do(workspace, step, said)
    workspace.take_changes()
    remembered = _walk(workspace, bots=bots)
    for step in after:
        _do(workspace, step, said)
        events = [event for event, _ in workspace.take_changes().events]
        news = [one for event in events if (one := read_channel_event({"event": event}, ME)) is not None]
        unknown = set(apply_events(remembered, news, since=0.0, bots=bots))
        assert not unknown, "every thread was begun before our eyes"
    walked = _walk(workspace, bots=bots)
    assert _listed(remembered) >= _listed(walked)
    # A thread that an app began, and whose only reply was deleted again, stays until the next walk.
    extra = _listed(remembered) - _listed(walked)
    standing = {
        ts: walked.channels[GENERAL].threads[ts].eligibility for ts in extra if ts in walked.channels[GENERAL].threads
    }
    assert set(standing.values()) <= {ThreadEligibility.IF_REPLIED}
    loaded = WorkspaceState.load(remembered.dump())
    assert loaded.dump() == remembered.dump()


def test_news_about_channels_that_are_no_source_changes_nothing() -> None:
    remembered = WorkspaceState(channels={GENERAL: ChannelState("general")})
    news = [
        ChannelEvent("C0OTHER", "1.0", ChannelEventKind.SAID, "1.0"),
        ChannelEvent(GENERAL, "", ChannelEventKind.CHANNEL, "1.0"),
    ]
    assert list(apply_events(remembered, news, since=0.0, bots=False)) == []
    assert remembered.channels[GENERAL].threads == {}
    assert list(
        apply_events(remembered, [ChannelEvent(GENERAL, "5.0", ChannelEventKind.TOUCHED, "9.0")], since=0.0, bots=False)
    ) == [(GENERAL, "5.0")]
