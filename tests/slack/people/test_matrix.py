"""Everybody gets an answer or a reason in every kind of conversation, through the real Bolt app and Slack's wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slack.people.world import (
    ADA,
    ANSWER,
    ANYBODY,
    GROUP_DM,
    GUS,
    ORGANIZATION,
    PRIVATE,
    PUBLIC,
    SHARED,
    SIB,
    SIBLING_TEAM,
    SIBS_DM,
    TEAM,
    WORLD_ONLY,
    ask_for_viewers,
    find_person,
    run_company,
)
from tests.slack.running_bot import RunningBot, get_text, wait_for_ephemeral

pytestmark = pytest.mark.slow

CHANNELS = (PUBLIC, PRIVATE, GROUP_DM, SHARED)
DIRECT = {"ada": "D0DIRECT01", "gus": "D0GUS00005"}
NOT_APPROVED = "until an owner allows it with `/kb share on`"
FOREIGN = "I answer people of the company that runs me"
APP = "I answer people, not apps"


async def ask_for_reply(bot: RunningBot, person: str, channel: str) -> str:
    """Ask, and return what the person gets: a reply in the thread, or an ephemeral message."""
    ts = await bot.sandbox.say(person, channel, "@Kvasir how?")
    found = await bot.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and m["ts"] > ts and (m.get("ephemeral") or (m["root"] == ts and m.get("metadata"))),
        channel=channel,
        person=person,
    )
    return get_text(found)


async def test_everybody_gets_an_answer_or_a_reason(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        for person in ("ada", "gus", "sib", "noor"):
            assert (FOREIGN if person == "noor" else ANSWER) in await ask_for_reply(bot, person, "@kvasir")
        for person in ("ada", "gus", "sib"):
            for channel in (PUBLIC, PRIVATE, GROUP_DM):
                assert ANSWER in await ask_for_reply(bot, person, channel), (person, channel)
            assert NOT_APPROVED in await ask_for_reply(bot, person, SHARED)
        assert NOT_APPROVED in await ask_for_reply(bot, "noor", SHARED)
        for channel in CHANNELS:
            ts = await bot.sandbox.say_as_bot("Deploy", channel, "<@U0KVASIR01> how?")
            reply = await bot.sandbox.wait_for_message(lambda m: m["root"] == ts and m["ts"] != ts, channel=channel)  # noqa: B023
            assert APP in get_text(reply)


async def test_foreign_person_in_an_unshared_channel_leaves_only_the_world(tmp_path: Path) -> None:
    """Slack does not allow this, so what Kvasir knows of the channel or the person must be wrong."""
    async with run_company(tmp_path) as bot:
        for channel in (PUBLIC, PRIVATE):
            await bot.sandbox.join("noor", channel)
            await bot.sandbox.wait_delivered()
            assert await ask_for_viewers(bot, "noor", channel) == WORLD_ONLY
            assert "I could not find out who reads this" in await ask_for_reply(bot, "noor", channel)


async def test_audience_of_each_conversation(tmp_path: Path) -> None:
    """A DM is for the asker, a public channel for anybody of the company and its guests, a private one for members."""
    async with run_company(tmp_path) as bot:
        [ada] = (await ask_for_viewers(bot, "ada", DIRECT["ada"])).people
        assert {ADA, "ada@sandbox.example", "*", "world", PRIVATE, f"workspace:{ORGANIZATION}"} <= ada
        [gus] = (await ask_for_viewers(bot, "gus", DIRECT["gus"])).people
        assert {GUS, "gus@weber-studio.example", "guests", PUBLIC, PRIVATE} <= gus
        assert "*" not in gus
        assert not [one for one in gus if one.startswith("workspace:")]
        public = await ask_for_viewers(bot, "ada", PUBLIC)
        assert public.people == {ANYBODY, find_person(public, GUS)}
        for channel in (PRIVATE, GROUP_DM):
            private = await ask_for_viewers(bot, "sib", channel)
            assert len(private.people) == 3
            assert {"*", f"workspace:{SIBLING_TEAM}", channel} <= find_person(private, SIB)
            assert {"guests", channel} <= find_person(private, GUS)


async def test_installation_for_a_whole_organization(tmp_path: Path) -> None:
    """Such a token has no workspace of its own; people of every workspace are colleagues, and nobody else is."""
    async with run_company(tmp_path, org_wide_install=True) as bot:
        for person in ("ada", "sib"):
            [principals] = (await ask_for_viewers(bot, person, DIRECT["ada"] if person == "ada" else SIBS_DM)).people
            assert {"*", f"workspace:{ORGANIZATION}"} <= principals
        assert FOREIGN in await ask_for_reply(bot, "noor", "@kvasir")
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer everybody in this channel", SHARED, "ada")
        assert await ask_for_viewers(bot, "noor", SHARED) == WORLD_ONLY


async def test_installation_for_a_whole_organization_reads_lists_of_all_workspaces(tmp_path: Path) -> None:
    """And each answer is streamed to a person of that person's own workspace."""
    async with run_company(tmp_path, org_wide_install=True) as bot:
        await bot.sandbox.group("S0BOARD001", handle="board", users=[ADA])
        [principals] = (await ask_for_viewers(bot, "ada", DIRECT["ada"])).people
        assert {"S0BOARD001", PUBLIC, PRIVATE} <= principals
        for person in ("ada", "sib"):
            await ask_for_viewers(bot, person, PUBLIC)
        started = [call["args"] for call in await bot.sandbox.requests("chat.startStream")]
        recipients = [(args["recipient_user_id"], args["recipient_team_id"]) for args in started]
        assert recipients[-2:] == [(ADA, TEAM), (SIB, SIBLING_TEAM)]
        posted = await bot.sandbox.requests("chat.postMessage")
        assert posted == [], "no answer fell back to messages that are not streamed"
        for method in ("usergroups.list", "users.conversations"):
            called = [call["args"]["team_id"] for call in await bot.sandbox.requests(method)]
            assert set(called) == {TEAM, SIBLING_TEAM}


async def test_owner_approves_a_shared_channel(tmp_path: Path) -> None:
    """Then everybody in it gets answers from what is open to the world, until the owner withdraws it."""
    async with run_company(tmp_path) as bot:
        await bot.sandbox.command("gus", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "Only an owner may do this", SHARED, "gus")
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer everybody in this channel", SHARED, "ada")
        assert await ask_for_viewers(bot, "noor", SHARED) == WORLD_ONLY
        assert await ask_for_viewers(bot, "ada", SHARED) == WORLD_ONLY
        await bot.sandbox.command("ada", SHARED, "/kb 共享 关")
        await wait_for_ephemeral(bot, "我不再在此频道中作答", SHARED, "ada")
        assert NOT_APPROVED in await ask_for_reply(bot, "noor", SHARED)
        await bot.sandbox.command("ada", PRIVATE, "/kb share on")
        await wait_for_ephemeral(bot, "is not shared with another company", PRIVATE)
