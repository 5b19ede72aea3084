"""Tests of tokens that expire: one replica refreshes, all of them use the new token, and what is lost is said."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import structlog
from structlog.typing import EventDict

from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.workspace.installations.parts import InstallationParts, open_home_api
from bot.storage.shared_changes import ChangeKind, SharedChanges
from bot.storage.turns.ledger import open_ledger
from tests.slack.workspace.installations.installed_bot import (
    FIRST,
    KEY,
    SECOND,
    InstalledBot,
    Place,
    list_answers,
    open_place,
    run_installed_bot,
    wait_for_answer,
)

pytestmark = pytest.mark.slow


async def count_refreshes(place: Place, number: int = 0, error: str | None = None) -> int:
    """Return how often Slack was asked for a new token of a workspace."""
    calls = await place.boxes[number].requests("oauth.v2.access")
    return sum(call["args"]["grant_type"] == "refresh_token" and call["error"] == error for call in calls)


async def set_due(bot: InstalledBot, team: str) -> None:
    """Let the token of a workspace end in ten minutes, as far as the database knows."""
    change = f"UPDATE bot_installations SET expires_at = {time.time() + 600}, refreshed_at = 1 WHERE team = '{team}'"
    await bot.ledger.database.write(lambda connection: connection.exec_driver_sql(change))


async def make_due(bot: InstalledBot, team: str) -> None:
    """Let the token of a workspace end in ten minutes, as far as Kvasir knows."""
    await set_due(bot, team)
    await SharedChanges(bot.ledger.database).publish_change(ChangeKind.INSTALLATION)


async def test_two_replicas_refresh_a_token_once_and_both_use_it(tmp_path: Path, database: str) -> None:
    async with (
        open_place(tmp_path) as place,
        run_installed_bot(place, tmp_path, database=database) as one,
        run_installed_bot(place, tmp_path, database=database) as other,
    ):
        for team in (FIRST, SECOND):
            await one.install(team)
        for bot in (one, other):
            await bot.wait_until_open(FIRST, SECOND)
        assert place.first.hub is not None
        place.first.hub.tokens.expire_all()
        await make_due(one, FIRST)
        roots = [await place.first.say("ada", "#general", f"@Kvasir after {n}?") for n in range(4)]
        for root in roots:
            await wait_for_answer(place.first, root)
            assert len(await list_answers(place.first, root)) == 1
        refreshes = [call["error"] for call in await place.first.requests("oauth.v2.access")]
        assert refreshes == [None, None]  # the installation, and one refresh
        assert await count_refreshes(place, 1) == 0


async def test_a_token_that_expires_during_a_pause_is_refreshed_by_the_call_that_needs_it(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path) as bot:
        await bot.install(FIRST)
        await bot.wait_until_open(FIRST)
        assert place.first.hub is not None
        place.first.hub.tokens.expire_all()
        database = bot.ledger.database
        await database.write(lambda connection: connection.exec_driver_sql("UPDATE bot_installations SET expires_at=1"))
        root = await place.first.say("ada", "#general", "@Kvasir how?")
        await wait_for_answer(place.first, root)
        assert await count_refreshes(place) == 1
        assert not bot.running.done()


async def test_a_refused_refresh_names_the_next_step_and_a_new_installation_ends_it(tmp_path: Path) -> None:
    """As after a process that died between the refresh and its storage: the stored refresh token is used up."""
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path) as bot:
        for team in (FIRST, SECOND):
            await bot.install(team)
        await bot.wait_until_open(FIRST, SECOND)
        assert place.first.hub is not None
        place.first.hub.tokens._refresh_tokens.clear()
        with structlog.testing.capture_logs() as logs:
            await make_due(bot, FIRST)
            await place.first.wait_until(lambda: _has_refused(place), what="refused refresh")
            root = await place.first.say("ada", "#general", "@Kvasir between?")
            await wait_for_answer(place.first, root)  # the token before still counts
            place.first.hub.tokens.expire_all()
            await place.first.say("ada", "#general", "@Kvasir now?")
            await bot.wait_until_open(SECOND)
            await place.first.wait_until(lambda: _is_closed(logs, FIRST), what="log of the closed workspace")
        [refused] = [one for one in logs if one["event"] == "token not refreshed"]
        assert refused["code"] == "invalid_refresh_token"
        assert f"open {bot.url}/slack/install" in refused["next_step"]
        assert "xox" not in str(logs)
        root = await place.second.say("ada", "#general", "@Kvasir how?")
        await wait_for_answer(place.second, root)
        assert (await bot.install(FIRST))[0] == 200
        await bot.wait_until_open(FIRST, SECOND)
        root = await place.first.say("ada", "#general", "@Kvasir back?")
        await wait_for_answer(place.first, root)


async def _is_closed(logs: list[EventDict], team: str) -> bool:
    return any(one["event"] == "workspace not open" and one["team"] == team for one in logs)


async def _has_refused(place: Place) -> bool:
    return await count_refreshes(place, 0, "invalid_refresh_token") == 1


async def test_a_wrong_client_secret_ends_no_token_once_it_is_corrected(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place:
        async with run_installed_bot(place, tmp_path) as bot:
            await bot.install(FIRST)
            await bot.wait_until_open(FIRST)
            await set_due(bot, FIRST)
        with structlog.testing.capture_logs() as logs:
            async with run_installed_bot(replace(place, client_secret="wrong"), tmp_path) as bot:
                await bot.wait_until_open(FIRST)  # the token still counts
                change = "UPDATE bot_installations SET refresh_until = 0.0"  # as a minute later
                await bot.ledger.database.write(lambda connection: connection.exec_driver_sql(change))
        [refused] = [one for one in logs if one["event"] == "token not refreshed"]
        assert "SLACK_CLIENT_SECRET" in refused["next_step"]
        async with run_installed_bot(place, tmp_path) as bot:
            await bot.wait_until_open(FIRST)
            assert await count_refreshes(place) == 1


async def test_a_revoked_token_closes_its_workspace_alone(tmp_path: Path) -> None:
    async with open_place(tmp_path, token_lifetime_s=0.0) as place, run_installed_bot(place, tmp_path) as bot:
        for team in (FIRST, SECOND):
            await bot.install(team)
        await bot.wait_until_open(FIRST, SECOND)
        assert place.first.hub is not None
        place.first.hub.tokens.revoke_all()
        place.first.hub.tokens.is_installed = True  # the event of the revocation is lost
        await place.first.say("ada", "#general", "@Kvasir how?")
        await bot.wait_until_open(SECOND)
        root = await place.second.say("ada", "#general", "@Kvasir how?")
        await wait_for_answer(place.second, root)


async def test_a_command_uses_the_token_of_the_first_workspace(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place:
        oauth = OAuthSettings(place.client_id, place.client_secret, (KEY,), "http://127.0.0.1:9", (FIRST, SECOND))
        slack = SlackSettings("", app_token="xapp-1", api_url=place.first.api_url, oauth=oauth)
        async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
            with pytest.raises(SlackUnauthorized, match=r"http://127\.0\.0\.1:9/slack/install and install it there"):
                async with open_home_api(slack, oauth, ledger.database):
                    pass
        async with run_installed_bot(place, tmp_path) as bot:
            for team in (SECOND, FIRST):
                await bot.install(team)
            async with open_home_api(slack, oauth, bot.ledger.database) as api:
                assert (await api.call("auth.test"))["team_id"] == FIRST


async def test_a_cancelled_refresh_is_stored_to_its_end(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path) as bot:
        await bot.install(FIRST)
        await bot.wait_until_open(FIRST)
        oauth = OAuthSettings(place.client_id, place.client_secret, (KEY,), bot.url, (FIRST,))
        slack = SlackSettings("", api_url=place.first.api_url, oauth=oauth)
        async with aiohttp.ClientSession() as session:
            parts = InstallationParts(slack, oauth, bot.ledger.database, session)
            [stored] = await parts.installations.list_all()
            due = replace(stored, expires_at=1.0)
            refreshing = asyncio.create_task(parts.refresher.refresh_tokens(due))
            await asyncio.sleep(0.005)
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
            [after] = await parts.installations.list_all()
            assert (await count_refreshes(place) == 1) == (after.version == stored.version + 1)
