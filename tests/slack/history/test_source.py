"""Tests of public channels as a source: the first listing reads all pages, later ones follow Slack's events."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.slack.history.channel_reader import SyncRate
from bot.slack.history.source import SlackSource, make_slack_kind, refuse_without_tokens
from bot.slack.settings import SlackSettings
from bot.slack.transport.web_client import open_web_api
from bot.storage.channel_event_log import (
    ChannelEventLog,
)
from bot.storage.ledger import open_ledger
from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import EVERYONE, ListedDocument
from tests.slack.running_bot import run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.sources.building import build
from tests.sources.contract import listing

GENERAL = "C0GENERAL1"


FAST = SyncRate(burst=10_000, per_s=10_000, page_size=50)


class House:
    """A workspace, a journal, and sources that look at both."""

    def __init__(self, sandbox: SandboxClient, folder: Path, event_log: ChannelEventLog) -> None:
        self.sandbox = sandbox
        self.event_log = event_log
        self._folder = folder
        self.kept: dict[str, bytes] = {}

    def source(self, *, kept: dict[str, bytes] | None = None, rate: SyncRate = FAST, **options: object) -> SlackSource:
        sandbox = self.sandbox
        connect = functools.partial(
            open_web_api, SlackSettings(sandbox.bot_token, sandbox.app_token, api_url=sandbox.api_url)
        )
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
        async with run_bot(self.sandbox, self._folder, dependencies={"event_log": self.event_log}):
            yield
            await self.sandbox.wait_delivered()

    async def calls(self, method: str) -> int:
        return len(await self.sandbox.requests(method))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with (
        open_sandbox(tmp_path, pace="off") as sandbox,
        open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger,
    ):
        yield House(sandbox, tmp_path, await ChannelEventLog(ledger).open())


def document(ts: str, channel: str = GENERAL) -> str:
    return f"{channel}/{ts}"


async def test_a_thread_is_a_document_with_its_replies_its_people_and_its_link(house: House) -> None:
    root = await house.sandbox.say("ada", "#general", "How do we reset the VPN token of https://vpn.example ?")
    await house.sandbox.say("bo", "#general", "Ask @chen, or use the form.\n\nIt takes a day.", root)
    listed = await house.threads()
    assert set(listed) == {document(root)}
    one = listed[document(root)]
    assert one.url == f"{house.sandbox.base_url}/archives/{GENERAL}/p{root.replace('.', '')}"
    assert one.modified_at is not None
    title, text = await house.text(document(root))
    assert title == "How do we reset the VPN token of https://vpn.example ? (#general)"
    first, second = text.split("\n\n")
    assert first.startswith("ada, 20")
    assert first.endswith("token of https://vpn.example ?")
    assert second.endswith("Ask @chen, or use the form.\nIt takes a day.")
    assert second.startswith("bo, 20")


async def test_what_is_said_to_kvasir_by_kvasir_and_by_apps_is_left_out(house: House) -> None:
    asked = await house.sandbox.say("ada", "#general", "@Kvasir how many days of leave?")
    await house.sandbox.api("chat.postMessage", channel=GENERAL, thread_ts=asked, text="Thirty.")
    await house.sandbox.api("chat.postMessage", channel=GENERAL, text="A root of mine.")
    alarm = await house.sandbox.say_as_bot("Pager", "#general", "Disk is full")
    talk = await house.sandbox.say("ada", "#general", "The coffee machine is broken.")
    await house.sandbox.say("bo", "#general", "@Kvasir who repairs it?", talk)
    await house.sandbox.api("chat.postMessage", channel=GENERAL, thread_ts=talk, text="Facility does.")
    await house.sandbox.say("bo", "#general", "Repaired.", talk)
    assert set(await house.threads()) == {document(talk)}
    _, text = await house.text(document(talk))
    assert [part.partition(": ")[2] for part in text.split("\n\n")] == ["The coffee machine is broken.", "Repaired."]
    assert set(await house.threads(kept={}, bots=True)) == {document(talk), document(alarm)}
    await house.sandbox.say("bo", "#general", "I have made room.", alarm)
    assert set(await house.threads(kept={})) == {document(talk), document(alarm)}, "somebody has replied"
    _, text = await house.text(document(alarm), kept={})
    assert "Disk is full" not in text
    assert "I have made room." in text


async def test_private_channels_and_direct_messages_never(house: House) -> None:
    assert house.sandbox.hub is not None
    workspace = house.sandbox.hub.workspace
    await house.sandbox.say("ada", "@kvasir", "a secret in a direct message")
    public = await house.sandbox.say("ada", "#general", "for everybody")
    elsewhere = await house.sandbox.say("ada", "#random", "Kvasir is not here")
    await house.sandbox.say("ada", "#handbook", "soon private")
    await house.sandbox.control("POST", "channel", {"channel": "#handbook", "kind": "group"})
    assert set(await house.threads()) == {document(public)}
    assert set(await house.threads(kept={}, channels=["C0HANDBOOK", GENERAL])) == {document(public)}
    assert set(await house.threads(kept={}, channels=["C0RANDOM01"])) == set()
    await house.sandbox.control("POST", "join", {"member": "kvasir", "channel": "#random"})
    assert set(await house.threads()) == {document(public), document(elsewhere, "C0RANDOM01")}
    assert workspace.channels["C0HANDBOOK"].kind == "group"


async def test_files_are_named(house: House) -> None:
    body = {
        "person": "ada",
        "channel": "#general",
        "text": "The plan",
        "files": [{"name": "plan.pdf", "base64": "eA=="}],
    }
    ts = str((await house.sandbox.control("POST", "say", body))["ts"])
    _, text = await house.text(document(ts))
    assert text.endswith("The plan\n[plan.pdf]")


async def test_threads_from_before_a_day_are_left_out(house: House) -> None:
    await house.sandbox.say("ada", "#general", "today")
    assert len(await house.threads(since="2020-01-01")) == 1
    assert await house.threads(kept={}, since="2999-01-01") == {}
    with pytest.raises(SourceMisconfigured, match="since should be a day"):
        house.source(since="yesterday")


@pytest.mark.slow
async def test_what_happens_is_followed_without_walking_again(house: House) -> None:
    old = await house.sandbox.say("ada", "#general", "An old thread")
    doomed = await house.sandbox.say("ada", "#general", "Soon gone")
    edited = await house.sandbox.say("ada", "#general", "Wrong")
    reply = await house.sandbox.say("bo", "#general", "a reply", old)
    async with house.bot():
        before = await house.threads()
        walked = await house.calls("conversations.history")
        new = await house.sandbox.say("bo", "#general", "A new thread")
        await house.sandbox.delete("ada", "#general", doomed)
        await house.sandbox.edit("ada", "#general", edited, "Right")
        await house.sandbox.edit("bo", "#general", reply, "a better reply")
        await house.sandbox.wait_delivered()
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
        await house.sandbox.delete("bo", "#general", reply)
        await house.sandbox.wait_delivered()
        assert "better" not in (await house.text(document(old)))[1]


@pytest.mark.slow
async def test_a_question_that_becomes_one_by_an_edit_is_no_document_any_more(house: House) -> None:
    ts = await house.sandbox.say("ada", "#general", "how many days of leave?")
    async with house.bot():
        assert set(await house.threads()) == {document(ts)}
        await house.sandbox.edit("ada", "#general", ts, "@Kvasir how many days of leave?")
        await house.sandbox.wait_delivered()
        assert await house.threads() == {}


@pytest.mark.slow
async def test_leaving_archiving_and_renaming_a_channel(house: House) -> None:
    here = await house.sandbox.say("ada", "#general", "here")
    there = await house.sandbox.say("ada", "#handbook", "there")
    async with house.bot():
        assert len(await house.threads()) == 2
        await house.sandbox.control("POST", "rename", {"channel": "#general", "name": "everybody"})
        assert (await house.text(document(here)))[0] == "here (#everybody)"
        await house.sandbox.control("POST", "leave", {"member": "kvasir", "channel": "#handbook"})
        once_more = await house.threads()
        assert once_more[document(there, "C0HANDBOOK")].readers == frozenset()
        assert once_more[document(here)].readers == EVERYONE
        assert set(await house.threads()) == {document(here)}
        await house.sandbox.control("POST", "join", {"member": "kvasir", "channel": "#handbook"})
        assert set(await house.threads()) == {document(here), document(there, "C0HANDBOOK")}
        assert (await house.threads())[document(there, "C0HANDBOOK")].readers == EVERYONE
        await house.sandbox.control("POST", "archive", {"channel": "#handbook", "person": "ada"})
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
        await house.sandbox.say("ada", "#general", "news")
        async with asyncio.timeout(30):
            await noticed
    await changes.aclose()  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_what_happened_while_nobody_was_there_is_made_up_for(house: House) -> None:
    kept_one = await house.sandbox.say("ada", "#general", "stays")
    reply = await house.sandbox.say("bo", "#general", "a reply", kept_one)
    async with house.bot():
        before = await house.threads()
    house.event_log = await ChannelEventLog(house.event_log._ledger, now=lambda: time.time() + 3_600).open()
    missed = await house.sandbox.say("ada", "#general", "said while the bot was away")
    await house.sandbox.edit("bo", "#general", reply, "an edited reply")
    await house.sandbox.say("bo", "#general", "one more", kept_one)
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
        ts = await house.sandbox.say("ada", "#general", "soon gone")
        await house.sandbox.wait_delivered()
        assert set(await house.threads()) == {document(ts)}
    await house.sandbox.delete("ada", "#general", ts)
    source = house.source()
    source._now = lambda: time.time() + 3_600
    assert await listing(source) == {}
    await source.close()


async def test_what_is_forgotten_is_walked_again(house: House) -> None:
    """Memory that is lost or damaged, or so old that news since then was purged."""
    ts = await house.sandbox.say("ada", "#general", "something")
    await house.threads()
    for data in (b"", b"{", b'{"version": 1, "held": {"rooms": 3}}', b'{"version": 1, "held": {"team": "T"}}'):
        assert set(await house.threads(kept=dict.fromkeys(house.kept, data))) == {document(ts)}
    source = house.source()
    source._now = lambda: time.time() + 40 * 86_400
    assert set(await listing(source)) == {document(ts)}
    await source.close()


async def test_a_thread_of_a_thousand_replies_is_read_page_by_page(house: House) -> None:
    assert house.sandbox.hub is not None
    workspace = house.sandbox.hub.workspace
    root = workspace.say("ada", GENERAL, "A long story").ts
    for n in range(1_000):
        workspace.say("bo", GENERAL, f"chapter {n}", root)
    workspace.take_changes()
    _, text = await house.text(document(root), rate=SyncRate(10_000, 10_000, page_size=400))
    assert [part.rpartition(" ")[2] for part in text.split("\n\n")[1:]] == [str(n) for n in range(1_000)]
    assert await house.calls("conversations.replies") == 3


async def test_single_messages_are_read_a_page_at_a_time(house: House) -> None:
    assert house.sandbox.hub is not None
    for n in range(120):
        house.sandbox.hub.workspace.say("ada", GENERAL, f"message {n}")
    house.sandbox.hub.workspace.take_changes()
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
    assert house.sandbox.hub is not None
    for n in range(260):
        house.sandbox.hub.workspace.say("ada", GENERAL, f"message {n}")
    house.sandbox.hub.workspace.take_changes()
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
    ts = await house.sandbox.say("ada", "#general", "hello")
    await house.sandbox.faults(
        {"method": "conversations.history", "error": "ratelimited", "retry_after_s": 1, "times": 2}
    )
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
    await house.sandbox.say("ada", "#general", "hello")
    await house.threads()
    await house.sandbox.faults({"method": "users.conversations", "error": error, "times": -1})
    with pytest.raises(kind, match="Source bench: ") as caught:
        await house.threads()
    assert house.sandbox.bot_token not in repr(caught.value)


async def test_without_tokens_it_says_where_to_sync_from(house: House, tmp_path: Path) -> None:
    source = build("slack", tmp_path, others={"slack": make_slack_kind(refuse_without_tokens, house.event_log, "test")})
    with pytest.raises(SourceDenied, match="SLACK_BOT_TOKEN"):
        await listing(source)


async def test_a_thread_that_is_gone_when_it_is_read_says_so(house: House) -> None:
    ts = await house.sandbox.say("ada", "#general", "hello")
    await house.sandbox.say("bo", "#general", "hi", ts)
    source = house.source()
    listed = (await listing(source))[document(ts)]
    for message in [m["ts"] for m in await house.sandbox.messages() if m["ts"] != ts]:
        await house.sandbox.delete("bo", "#general", message)
    await house.sandbox.delete("ada", "#general", ts)
    with pytest.raises(SourceError, match="was deleted in Slack"):
        await source.read(listed)
    await source.close()
