"""Tests of one process in several workspaces: who answers where, for whom, and what an uninstallation ends."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from slack_sdk.signature import SignatureVerifier

from bot.config.configuration import Access
from bot.sandbox.state import wire
from bot.storage.channels.channel_event_log import ChannelEventLog
from bot.storage.channels.channel_settings import ApprovedChannels
from bot.storage.shared_changes import ChangeKind, SharedChanges
from bot.storage.tables import tables
from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.workspace_rows import WorkspaceRows
from knowledge.interfaces import EVERYONE, GUESTS, may_read
from tests.services import free_ports
from tests.slack.running_bot import (
    FakeLibrary,
    PausedScript,
    get_text,
    make_library_status,
    make_source_status,
    wait_for_heartbeats,
)
from tests.slack.workspace.installations.installed_bot import (
    FIRST,
    KEY,
    SECOND,
    InstalledBot,
    list_answers,
    open_place,
    run_installed_bot,
    wait_for_answer,
)
from tests.slack_sandbox import SandboxClient

pytestmark = pytest.mark.slow

ORGANIZATION = "E0SANDBOX1"


async def count_rows(ledger: Ledger, team: str) -> int:
    """Return how many rows of all tables are about a workspace."""
    columns = [table.c.team for table in tables.sorted_tables if "team" in table.c]
    rows = [await ledger.database.fetch_rows(sa.select(column).where(column == team)) for column in columns]
    return sum(map(len, rows))


async def rename_table(ledger: Ledger, old: str, new: str) -> None:
    await ledger.database.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}"))


async def _has_retried(box: SandboxClient) -> bool:
    """Return whether Slack has sent an event twice, and waits for a minute."""
    assert box.hub is not None
    return any(envelope.attempt > 1 for envelope in box.hub.outbox.pending.values())


@pytest.mark.parametrize("transport", ["socket", pytest.param("http", marks=pytest.mark.slow)])
async def test_each_workspace_is_answered_once_and_one_may_leave(tmp_path: Path, transport: str) -> None:
    port = free_ports(1)[0]
    over_http = transport == "http"
    events = {"events_url": f"http://127.0.0.1:{port}/slack/events"} if over_http else {}
    async with (
        open_place(tmp_path, **events) as place,
        run_installed_bot(place, tmp_path, port=port, over_http=over_http) as bot,
    ):
        for team, name in ((FIRST, "Sandbox"), (SECOND, "Sandbox 2")):
            status, page = await bot.install(team)
            assert (status, f"<b>{name}</b>" in page) == (200, True)
        await bot.wait_until_open(FIRST, SECOND)
        roots = [await box.say("ada", "#general", f"@Kvasir who asks {n}?") for n, box in enumerate(place.boxes)]
        for n, (box, root) in enumerate(zip(place.boxes, roots, strict=True)):
            assert f"who asks {n}?" in get_text(await wait_for_answer(box, root))
            await box.wait_delivered()
            assert len(await list_answers(box, root)) == 1
            assert await box.requests("chat.startStream")  # a workspace gets the calls with its own token only
        questions = {question.text: question for question in bot.answerer.questions}
        assert len(bot.answerer.questions) == 2
        at_home, elsewhere = (questions[f"who asks {n}?"].asker.viewers for n in range(2))
        assert may_read(at_home, EVERYONE)
        assert may_read(elsewhere, frozenset({f"workspace:{SECOND}"}))
        assert not may_read(elsewhere, EVERYONE | {GUESTS, f"workspace:{FIRST}"})

        assert place.second.hub is not None
        place.second.hub._send_event({"type": "app_uninstalled"}, None, 0.0)  # late, after a new installation
        if over_http:
            await rename_table(bot.ledger, "bot_feedback", "lost")
        await place.first.control("POST", "uninstall", {})
        await bot.wait_until_open(SECOND)
        if over_http:  # what the database refuses is erased when Slack sends the event again
            await place.first.wait_until(lambda: _has_retried(place.first), what="refused event")
            await rename_table(bot.ledger, "lost", "bot_feedback")
            await place.first.advance(60.0)

        async def is_erased() -> bool:
            return await count_rows(bot.ledger, FIRST) == 0

        await place.first.wait_until(is_erased, what="end of the rows")
        assert await count_rows(bot.ledger, SECOND) > 3
        root = await place.second.say("bo", "#general", "@Kvasir still there?")
        await wait_for_answer(place.second, root)
        assert not bot.running.done()
        assert (await bot.install(FIRST))[0] == 200
        await bot.wait_until_open(FIRST, SECOND)


async def test_only_what_slack_has_signed_reaches_a_workspace(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    async with (
        open_place(tmp_path, events_url=f"http://127.0.0.1:{port}/slack/events") as place,
        run_installed_bot(place, tmp_path, port=port, over_http=True) as bot,
    ):
        await bot.install(FIRST)
        await bot.wait_until_open(FIRST)
        calls = len(await place.first.requests("auth.test"))
        slack, stranger = (SignatureVerifier(one) for one in (place.first.signing_secret, "made-up"))
        removal = {"type": "event_callback", "team_id": FIRST, "event": {"type": "app_uninstalled"}}
        check = {"type": "url_verification", "challenge": "hello"}
        for signer, age_s, sent, status in (
            (stranger, 0, removal, 401),
            (stranger, 0, removal | {"ssl_check": "1"}, 401),
            (slack, 600, removal, 401),
            (stranger, 0, check, 401),
            (slack, 0, check, 200),
        ):
            stamp, body = str(int(time.time()) - age_s), json.dumps(sent)
            signature = signer.generate_signature(timestamp=stamp, body=body) or ""
            headers = {
                "Content-Type": "application/json",
                "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": signature,
            }
            async with place.session.post(f"{bot.url}/slack/events", data=body, headers=headers) as answer:
                assert (answer.status, "hello" in await answer.text()) == (status, status == 200), sent
        assert len(await place.first.requests("auth.test")) == calls  # nobody asked whether the app is uninstalled
        await bot.wait_until_open(FIRST)


async def test_commands_home_and_messages_are_for_their_own_workspace(tmp_path: Path) -> None:
    library = FakeLibrary(state=make_library_status(make_source_status("docs", error="The server is down. Check it.")))
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    async with (
        open_place(tmp_path) as place,
        open_ledger(url) as ledger,
        run_installed_bot(
            place,
            tmp_path,
            library=library,
            access=Access(frozenset({"U0ADA00001"})),
            event_log=ChannelEventLog(ledger.database),
        ) as bot,
    ):
        for team in (FIRST, SECOND):
            await bot.install(team)
        await bot.wait_until_open(FIRST, SECOND)
        first, second = place.boxes

        await second.command("ada", "#general", "/think deep")
        await second.wait_for_message(lambda m: m.get("ephemeral"))
        assert not [m for m in await first.messages() if m.get("ephemeral")]
        await second.home("ada")
        await second.wait_until(lambda: _has_called(second, "views.publish"), what="Home")
        assert not await first.requests("views.publish")
        await first.home("ada")
        await first.wait_until(lambda: _has_called(first, "views.publish"), what="Home")
        machines = ["Queue of this replica" in str(await box.home("ada")) for box in place.boxes]
        assert machines == [True, False]  # administrators of other workspaces do not run Kvasir

        message = await first.wait_for_message(lambda m: m.get("bot_id"), channel="@kvasir")
        assert "cannot read the source" in get_text(message)
        await second.wait_until(lambda: _has_called(second, "chat.postMessage"), what="try to tell the owner")
        checks = library.checks
        await second.wait_until(lambda: library.checks > checks + 4, what="looks at the sources")
        assert len(await second.requests("chat.postMessage")) == 1
        await bot.app.run_scheduled("digest")
        assert len([m for m in await first.messages("@kvasir") if m.get("bot_id")]) == 2
        assert not [m for m in await second.messages("@kvasir") if m.get("bot_id")]

        root = await second.say("bo", "@kvasir", "how?")
        answer = await second.wait_for_message(
            lambda m: m["root"] == root and "That is all." in get_text(m) and m.get("metadata"),
            channel="@kvasir",
            person="bo",
        )
        assert answer["user"] == "U0KVASIR01"
        for box in place.boxes:
            await box.say("ada", "#general", "Lunch is at noon.")
            await box.wait_delivered()
        log = ChannelEventLog(ledger.database)
        assert await log.find_last_number(FIRST) > 0
        assert await log.find_last_number(SECOND) == 0  # only the first workspace is a source


async def _has_called(box: SandboxClient, method: str) -> bool:
    return bool(await box.requests(method))


async def test_a_message_in_a_channel_of_two_workspaces_reaches_the_one_that_it_is_for(tmp_path: Path) -> None:
    """Slack sends it once, and names either of them."""
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path) as bot:
        for team in (FIRST, SECOND):
            await bot.install(team)
        await bot.wait_until_open(FIRST, SECOND)
        await ApprovedChannels(bot.ledger.database).set_approved(SECOND, "C1GENERAL1", "U1", approved=True)
        root = await place.second.say("ada", "#general", "Hello all.")
        message = {"type": "message", "channel": "C1GENERAL1", "user": "U1ADA00001", "channel_type": "channel"}
        for number, text in enumerate(("<@U1KVASIR01> how?", "and then?")):
            ts = f"{float(root) + number + 1:.6f}"
            send_shared(place.first, message | {"ts": ts, "event_ts": ts, "thread_ts": root, "text": text})
            asked = functools.partial(lambda count: len(bot.answerer.questions) > count, number)
            await place.first.wait_until(asked, what=text)
        assert [question.text for question in bot.answerer.questions] == ["how?", "and then?"]


def send_shared(box: SandboxClient, event: dict[str, Any]) -> None:
    """Send an event of a channel that companies share to the app of a workspace."""
    assert box.hub is not None
    body = wire.event_callback(box.hub.workspace, event, None, now=0.0, token="")
    box.hub.outbox.send_event(body | {"is_ext_shared_channel": True})


async def test_an_organization_installs_the_app_in_all_its_workspaces(tmp_path: Path) -> None:
    teams = [FIRST, "T0SANDBOX2"]
    organization = {"id": ORGANIZATION, "org_wide_install": True}
    async with (
        open_place(tmp_path) as place,
        run_installed_bot(place, tmp_path, workspaces=[ORGANIZATION, FIRST]) as bot,
    ):
        await bot.install(FIRST)
        await bot.wait_until_open(FIRST)
        await place.first.world(organization=organization | {"teams": teams[:1]}, silent=True)
        status, page = await bot.install(FIRST)
        assert (status, "Sandbox Organization" in page) == (200, True)
        # What is for an organization waits for it, although one of its workspaces is open.
        found = await bot.app.workspaces.find_workspace((ORGANIZATION, FIRST))
        assert found is not None
        assert found.installation.me.workspaces == (FIRST,)
        await bot.wait_until_open(FIRST, ORGANIZATION)  # the workspace has its own installation, too
        root = await place.first.say("ada", "#general", "@Kvasir how?")
        await wait_for_answer(place.first, root)
        await place.first.wait_delivered()
        assert len(await list_answers(place.first, root)) == len(bot.answerer.questions) == 1
        assert may_read(bot.answerer.questions[0].asker.viewers, EVERYONE)
        assert (await bot.install(SECOND))[0] == 403
        await place.first.world(organization=organization | {"teams": teams})
        await place.first.wait_until(lambda: _list_teams(bot) == teams, what="the other workspace")


async def test_a_workspace_of_an_organization_installs_the_app_for_itself_later(tmp_path: Path) -> None:
    """Its questions are no longer the organization's, so only one of the two answers them."""
    organization = {"id": ORGANIZATION, "teams": [FIRST]}
    async with (
        open_place(tmp_path) as place,
        run_installed_bot(place, tmp_path, workspaces=[ORGANIZATION, FIRST]) as bot,
    ):
        await place.first.world(organization=organization | {"org_wide_install": True}, silent=True)
        await bot.install(FIRST)
        await bot.wait_until_open(ORGANIZATION)
        await place.first.world(organization=organization | {"org_wide_install": False}, silent=True)
        await bot.install(FIRST)
        await bot.wait_until_open(FIRST, ORGANIZATION)
        bot.answerer.script = paused = PausedScript("")
        root = await place.first.say("ada", "#general", "@Kvasir how?")
        await paused.paused.wait()
        await wait_for_heartbeats(place.first, 6)  # several of each installation
        paused.resume.set()
        await place.first.wait_for_message(lambda m: m["root"] == root and m.get("metadata"))
        assert len(bot.answerer.questions) == len(await list_answers(place.first, root)) == 1


async def test_the_next_start_continues_the_questions_of_both_workspaces(tmp_path: Path) -> None:
    """Each question is continued by its own workspace alone."""
    async with open_place(tmp_path) as place:
        async with run_installed_bot(place, tmp_path) as bot:
            for team in (FIRST, SECOND):
                await bot.install(team)
            await bot.wait_until_open(FIRST, SECOND)
            bot.answerer.script = held = PausedScript("")
            roots = [await box.say("ada", "#general", f"@Kvasir open {n}?") for n, box in enumerate(place.boxes)]
            await held.paused.wait()
            await place.first.wait_until(lambda: len(bot.answerer.questions) == 2, what="both turns")
        async with run_installed_bot(place, tmp_path) as bot:
            for n, (box, root) in enumerate(zip(place.boxes, roots, strict=True)):
                assert f"open {n}?" in get_text(await wait_for_answer(box, root))
                assert len([m for m in await list_answers(box, root) if m.get("metadata")]) == 1
            assert len(bot.answerer.questions) == 2


async def test_another_replica_opens_and_closes_the_workspace_too(tmp_path: Path, database: str) -> None:
    async with (
        open_place(tmp_path) as place,
        run_installed_bot(place, tmp_path, database=database) as one,
        run_installed_bot(place, tmp_path, database=database) as other,
    ):
        replicas: list[InstalledBot] = [one, other]
        await one.install(FIRST)
        await other.install(SECOND)
        for bot in replicas:
            await bot.wait_until_open(FIRST, SECOND)
        await place.second.control("POST", "uninstall", {})
        for bot in replicas:
            await bot.wait_until_open(FIRST)
        roots = [await place.first.say("ada", "#general", f"@Kvasir again {n}?") for n in range(6)]
        for root in roots:
            await wait_for_answer(place.first, root)
            assert len(await list_answers(place.first, root)) == 1
        await asyncio.sleep(0.1)
        assert await count_rows(one.ledger, SECOND) == 0

        await one.install(SECOND)
        for bot in replicas:
            await bot.wait_until_open(FIRST, SECOND)
        await WorkspaceRows(one.ledger.database, SECOND).erase_workspace()  # by a third replica
        await rename_table(one.ledger, "bot_feedback", "lost")
        await ApprovedChannels(one.ledger.database).set_approved(SECOND, "C1", "U1", approved=True)  # by a last turn
        for bot in replicas:
            await bot.wait_until_open(FIRST)
        await asyncio.sleep(0.2)
        await rename_table(one.ledger, "lost", "bot_feedback")
        await SharedChanges(one.ledger.database).publish_change(ChangeKind.INSTALLATION)

        async def is_erased() -> bool:
            return await count_rows(one.ledger, SECOND) == 0

        await place.first.wait_until(is_erased, what="end of the rows")


async def test_a_key_that_opens_one_workspace_only(tmp_path: Path) -> None:
    """The other workspace stays closed, and a start with the right keys opens it."""
    other = Fernet.generate_key().decode()
    async with open_place(tmp_path) as place:
        async with run_installed_bot(place, tmp_path) as bot:
            await bot.install(FIRST)
        async with run_installed_bot(place, tmp_path, keys=[other]) as bot:
            await bot.install(SECOND)
            await bot.wait_until_open(SECOND)
            root = await place.second.say("ada", "#general", "@Kvasir how?")
            await wait_for_answer(place.second, root)
        async with run_installed_bot(place, tmp_path, keys=[KEY, other], workspaces=[FIRST]) as bot:
            await bot.wait_until_open(FIRST)  # the second one has left the list
            await place.second.say("ada", "#general", "@Kvasir and now?")
            await place.second.wait_delivered()
            assert bot.answerer.questions == []
        async with run_installed_bot(place, tmp_path, keys=[KEY, other]) as bot:
            await bot.wait_until_open(FIRST, SECOND)
        async with run_installed_bot(place, tmp_path, keys=[KEY]) as bot:  # the start before sealed everything again
            await bot.wait_until_open(FIRST, SECOND)


def _list_teams(bot: InstalledBot) -> list[str]:
    return [team for one in bot.app.workspaces.workspaces.values() for team in one.installation.me.workspaces]
