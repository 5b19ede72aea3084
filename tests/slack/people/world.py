"""A company for tests: an organization with a guest, a sibling workspace, and a person of another company."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from bot.config.configuration import Access
from knowledge.interfaces import Viewers
from tests.slack.running_bot import RunningBot, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

ADA, BO, GUS, NOOR, SIB, BOT = "U0ADA00001", "U0BO000002", "U0GUS00005", "U0NOOR0006", "U0SIB00007", "U0KVASIR01"
PUBLIC, PRIVATE, GROUP_DM, SHARED = "C0PROJECT1", "C0PRIVATE1", "C0GROUPDM1", "C0PARTNERS"
NOORS_DM, SIBS_DM = "D0NOOR0001", "D0SIB00007"
ORGANIZATION, TEAM, SIBLING_TEAM = "E0SANDBOX1", "T0SANDBOX1", "T0SANDBOX2"
ANSWER = "That is all."
WORLD_ONLY = Viewers.of(())
ANYBODY = frozenset({"*", "world", PUBLIC, f"workspace:{TEAM}", f"workspace:{ORGANIZATION}"})
"""A full member in the public channel, of whom nothing else is known."""


async def build_company(sandbox: SandboxClient, *, org_wide_install: bool = False, silent: bool = False) -> None:
    """Add the organization, the sibling, and one conversation of each kind; ``silent`` for no events."""
    await sandbox.world(
        organization={"id": ORGANIZATION, "teams": [TEAM, SIBLING_TEAM], "org_wide_install": org_wide_install},
        people=[{"id": SIB, "name": "sib", "team": SIBLING_TEAM, "email": "sib@sandbox.example"}],
        channels=[
            {"id": PUBLIC, "members": [ADA, BO, GUS, SIB, BOT]},
            {"id": PRIVATE, "kind": "group", "name": "private", "members": [ADA, GUS, SIB, BOT]},
            {"id": GROUP_DM, "kind": "mpim", "name": "mpdm", "members": [ADA, GUS, SIB, BOT]},
            {"id": SHARED, "members": [ADA, GUS, SIB, NOOR, BOT]},
            {"id": NOORS_DM, "kind": "im", "name": "", "members": [NOOR, BOT]},
            {"id": SIBS_DM, "kind": "im", "name": "", "members": [SIB, BOT]},
        ],
        silent=silent,
    )


@contextlib.asynccontextmanager
async def run_company(
    state: Path, dependencies: Mapping[str, Any] | None = None, **options: bool
) -> AsyncIterator[RunningBot]:
    """Run the bot in the company; Ada is an owner."""
    async with open_sandbox(state) as sandbox:
        await build_company(sandbox, **options)
        with_access = {"access": Access(frozenset({ADA})), **(dependencies or {})}
        async with run_bot(sandbox, state, dependencies=with_access) as bot:
            yield bot


async def ask_for_viewers(bot: RunningBot, person: str, channel: str, text: str = "@Kvasir how?") -> Viewers:
    """Ask, and return for which viewers the bot has answered."""
    ts = await bot.sandbox.say(person, channel, text)
    await bot.wait_for_answer(ts, channel=channel)
    return bot.answerer.questions[-1].asker.viewers


def find_person(viewers: Viewers, user: str) -> frozenset[str]:
    """Return the principals of the one viewer with this id."""
    [found] = [principals for principals in viewers.people if user in principals]
    return found
