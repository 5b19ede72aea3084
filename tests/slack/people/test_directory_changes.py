"""Tests that every process forgets what an event has changed, and that most events are not stored."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.slack.people.accounts import ChannelKind, Status
from bot.slack.people.directory import TTL_S, SlackDirectory
from bot.storage.shared_changes import ChangeKind
from bot.storage.tables import changes
from tests.slack.people.world import ADA, BO, GUS, PRIVATE, PUBLIC, SIB, build_company
from tests.slack.running_bot import RunningBot, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow

Look = Callable[[SlackDirectory], Awaitable[object]]


@contextlib.asynccontextmanager
async def run_replicas(state: Path) -> AsyncIterator[tuple[RunningBot, RunningBot]]:
    """Run two bots in the company, with one database."""
    database = f"sqlite:///{state / 'shared.sqlite3'}"
    async with open_sandbox(state) as sandbox:
        await build_company(sandbox, silent=True)
        async with run_bot(sandbox, state, database=database) as one, run_bot(sandbox, state, database=database) as two:
            yield one, two


async def list_changes(bot: RunningBot) -> list[str]:
    is_ours = changes.c.kind == ChangeKind.DIRECTORY
    return [row.subject for row in await bot.ledger.database.fetch_rows(sa.select(changes).where(is_ours))]


async def find_members(directory: SlackDirectory) -> object:
    return await directory.list_members(PRIVATE)


async def find_status(directory: SlackDirectory) -> object:
    return (await directory.find_accounts([SIB]))[SIB].status


async def find_kind(directory: SlackDirectory) -> object:
    found = await directory.find_channel(PUBLIC)
    return found and found.kind


async def find_groups(directory: SlackDirectory) -> object:
    return (await directory.list_groups()).get(ADA)


async def leave(box: SandboxClient) -> None:
    await box.leave("gus", PRIVATE)


async def restrict(box: SandboxClient) -> None:
    await box.person(SIB, role="guest")


async def share(box: SandboxClient) -> None:
    await box.channel(PUBLIC, shared_with=["T0PARTNER1"])


async def regroup(box: SandboxClient) -> None:
    await box.group("S0BOARD001", handle="board", users=[BO])


async def test_every_replica_knows_a_change_within_seconds(tmp_path: Path) -> None:
    cases: list[tuple[Look, Callable[[SandboxClient], Awaitable[None]], object]] = [
        (find_members, leave, frozenset({ADA, SIB, "U0KVASIR01"})),
        (find_status, restrict, Status.GUEST),
        (find_kind, share, ChannelKind.SHARED),
        (find_groups, regroup, None),
    ]
    async with run_replicas(tmp_path) as replicas:
        sandbox = replicas[0].sandbox
        await sandbox.group("S0BOARD001", handle="board", users=[ADA])
        await sandbox.wait_delivered()
        directories = [bot.app.workspace.directory for bot in replicas]
        for look, change, expected in cases:
            assert [await look(directory) for directory in directories] != [expected] * 2
            await change(sandbox)

            async def is_known(look: Look = look, expected: object = expected) -> bool:
                return all([await look(directory) == expected for directory in directories])

            await sandbox.wait_until(is_known, 0.8 * TTL_S, f"{expected} everywhere")  # no cache forgets it so early


async def test_events_that_change_no_rights_are_not_stored_and_others_are_stored_together(tmp_path: Path) -> None:
    times = 30
    async with run_replicas(tmp_path) as (one, two):
        sandbox = one.sandbox
        for bot in (one, two):
            await bot.app.workspace.directory.find_accounts([ADA])
        for number in range(times):
            await sandbox.person(ADA, name=f"Ada {number}")
            await sandbox.person(BO, name=f"Bo {number}")
        await sandbox.wait_delivered()
        assert await list_changes(one) == []
        for _ in range(times):
            await sandbox.join("gus", PUBLIC)
            await sandbox.leave("gus", PUBLIC)
        await sandbox.wait_delivered()

        async def are_stored() -> bool:
            return bool(await list_changes(one))

        await sandbox.wait_until(are_stored)
        stored = await list_changes(one)
        assert len(stored) < times / 3
        assert GUS in " ".join(stored)
