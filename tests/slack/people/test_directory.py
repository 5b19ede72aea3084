"""The directory against the real wire, with a clock that a test sets: what has no event ends within a minute."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.slack.people.accounts import Company, Status
from bot.slack.people.directory import TTL_S, SlackDirectory
from bot.slack.people.finder import ViewerFinder
from bot.slack.people.known_person import PersonFinder, PersonNotFound
from bot.slack.wire.errors import SlackUnavailable
from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.transport.web_client import open_web_api
from bot.storage.channels.channel_settings import ApprovedChannels
from bot.storage.turns.ledger import open_ledger
from knowledge.identity.identity_map import IdentityMap
from tests.slack.people.test_fresh_cache import Clock
from tests.slack_sandbox import SandboxClient, open_sandbox

ADA, BO, CHEN, BOT = "U0ADA00001", "U0BO000002", "U0CHEN0003", "U0KVASIR01"
HOME = Company("T0SANDBOX1")


@contextlib.asynccontextmanager
async def open_directory(
    state: Path, clock: Clock, company: Company = HOME
) -> AsyncIterator[tuple[SandboxClient, SlackDirectory]]:
    async with open_sandbox(state) as sandbox:
        settings = SlackSettings(bot_token=sandbox.bot_token, api_url=sandbox.api_url)
        async with open_web_api(settings) as api:
            yield sandbox, SlackDirectory(api, company, now=clock)


async def test_everything_without_an_event_is_new_within_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    async with open_directory(tmp_path, clock) as (sandbox, directory):
        await sandbox.world(groups=[{"id": "S1", "users": [ADA]}], silent=True)
        for expected in (True, False):
            assert ((await directory.find_accounts([ADA]))[ADA].status is Status.MEMBER) is expected
            assert (BO in (await directory.list_members("C0GENERAL1") or ())) is expected
            assert ("S1" in (await directory.list_groups()).get(ADA, ())) is expected
            assert ("C0GENERAL1" in await directory.list_joined_channels(BO)) is expected
            await sandbox.world(
                people=[{"id": ADA, "deleted": True}],
                channels=[{"id": "C0GENERAL1", "members": [ADA]}],
                groups=[{"id": "S1", "users": [BO]}],
                silent=True,
            )
            clock.now += TTL_S
    assert TTL_S < 60


async def test_members_without_the_asker_are_unknown(tmp_path: Path) -> None:
    """The asker writes there, so a list without the asker is wrong, and others may be missing, too."""
    database = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    async with open_directory(tmp_path, Clock()) as (sandbox, directory), open_ledger(database) as ledger:
        finder = ViewerFinder(directory, HOME, IdentityMap([]), ApprovedChannels(ledger.database))
        assert (await finder.find_channel_audience("C0REORG001", ADA)).is_complete
        assert not (await finder.find_channel_audience("C0REORG001", CHEN)).is_complete
        await sandbox.world(channels=[{"id": "C0REORG001", "members": [ADA, CHEN, BOT]}], silent=True)
        found = await finder.find_channel_audience("C0REORG001", CHEN)
        assert found.is_complete, "the list is read again"
        assert len(found.viewers.people) == 2


async def test_people_stay_known_if_the_connection_is_new_meanwhile(tmp_path: Path) -> None:
    """A new connection clears the cache while somebody else is fetched."""
    async with open_directory(tmp_path, Clock()) as (sandbox, directory):
        await directory.find_accounts([ADA])
        await sandbox.faults({"method": "users.info", "hang_s": 0.3})
        finding = asyncio.create_task(directory.find_accounts([ADA, BO]))
        await asyncio.sleep(0.1)
        directory.forget_all()
        assert {account.status for account in (await finding).values()} == {Status.MEMBER}


async def test_many_people_are_listed_at_once(tmp_path: Path) -> None:
    async with open_directory(tmp_path, Clock()) as (sandbox, directory):
        users = [f"U1{number:08}" for number in range(1_500)]
        await sandbox.world(people=[{"id": user} for user in users], silent=True)
        accounts = await directory.find_accounts([*users, "U0NOBODY00"])
        assert {accounts[user].status for user in users} == {Status.MEMBER}
        assert accounts["U0NOBODY00"].status is Status.UNKNOWN
        assert len(await sandbox.requests("users.list")) == 2
        assert len(await sandbox.requests("users.info")) == 1


@pytest.mark.slow
async def test_people_of_a_list_that_breaks_off_are_known(tmp_path: Path) -> None:
    """Otherwise a list that takes longer than an asker waits would never help anybody."""
    async with open_directory(tmp_path, Clock()) as (sandbox, directory):
        users = [f"U1{number:08}" for number in range(1_500)]
        await sandbox.world(people=[{"id": user} for user in users], silent=True)
        await sandbox.faults({"method": "users.list", "error": "internal_error", "skip": 1, "times": -1})
        accounts = await directory.find_accounts(users)
        members = [user for user in users if accounts[user].status is Status.MEMBER]
        assert len(members) > 900


async def test_late_event_does_not_bring_an_old_status_back(tmp_path: Path) -> None:
    """Slack repeats events; the newer account stays."""
    async with open_directory(tmp_path, Clock()) as (sandbox, directory):
        old = dict((await sandbox.api("users.info", user=ADA))["user"])
        await sandbox.person(ADA, role="guest")
        assert (await directory.find_accounts([ADA]))[ADA].status is Status.GUEST
        directory.change_person(old)
        assert (await directory.find_accounts([ADA]))[ADA].status is Status.GUEST
        new = dict((await sandbox.api("users.info", user=ADA))["user"])
        directory.change_person({**new, "updated": new["updated"] + 1, "deleted": True})
        assert (await directory.find_accounts([ADA]))[ADA].status is Status.DEACTIVATED


async def test_people_of_all_workspaces_are_listed_for_an_organization(tmp_path: Path) -> None:
    teams = ("T0SANDBOX1", "T0SANDBOX2")
    async with open_directory(tmp_path, Clock(), Company("E0SANDBOX1", "E0SANDBOX1", teams)) as (sandbox, directory):
        users = {f"U1{number:08}": teams[number % 2] for number in range(100)}
        await sandbox.world(
            organization={"org_wide_install": True},
            people=[{"id": user, "team": team} for user, team in users.items()],
            silent=True,
        )
        accounts = await directory.find_accounts(users)
        assert {user: account.team for user, account in accounts.items()} == users
        assert {account.status for account in accounts.values()} == {Status.MEMBER}
        assert await sandbox.requests("users.info") == []


async def test_a_person_comes_with_the_known_names_and_an_outage_is_no_refusal(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    async with open_directory(tmp_path, Clock()) as (sandbox, directory), open_ledger(database) as ledger:
        viewers = ViewerFinder(directory, HOME, IdentityMap([]), ApprovedChannels(ledger.database))
        finder = PersonFinder(directory._api, viewers, "T0SANDBOX1", directory.names)
        await sandbox.world(people=[{"id": BO, "real_name": "Bo Xu"}], silent=True)
        assert (await finder.find_person(BO)).names.find_names("Who is Bo Xu?")
        with pytest.raises(PersonNotFound):
            await finder.find_person(BOT)
        await sandbox.faults({"method": "users.info", "error": "internal_error", "times": -1})
        with pytest.raises(SlackUnavailable, match="Try again"):
            await finder.find_person(ADA)


async def test_full_names_of_looked_up_people_are_known(tmp_path: Path) -> None:
    """A single word may be part of any question, so it is no name."""
    async with open_directory(tmp_path, Clock()) as (sandbox, directory):
        await sandbox.world(
            people=[{"id": BO, "real_name": "Bo Xu (he/him)"}, {"id": CHEN, "real_name": "Chen"}], silent=True
        )
        await directory.find_accounts([BO, CHEN])
        text = "does Bo Xu know Chen?"
        assert [text[start:end] for start, end in directory.names.find_names(text)] == ["Bo Xu"]
