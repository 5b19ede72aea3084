"""Changes in Slack have their effect on the next answer, and warm answers ask Slack nothing more about people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Step, Text
from bot.answering.policy import Policies, Policy
from knowledge.interfaces import Viewers
from tests.slack.features.answers.test_show_passage import WHOLE, FakePassages, answer_with_extract, list_buttons
from tests.slack.people.world import (
    ADA,
    ANSWER,
    ANYBODY,
    BO,
    BOT,
    GUS,
    PRIVATE,
    PUBLIC,
    SHARED,
    SIB,
    WORLD_ONLY,
    ask_for_viewers,
    build_company,
    find_person,
    run_company,
)
from tests.slack.running_bot import (
    PASSAGE,
    QUICK_TURNS,
    PausedScript,
    RunningBot,
    get_text,
    make_finished,
    run_bot,
    wait_for_ephemeral,
)
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow

ADAS_DM = "D0DIRECT01"
AUDIENCE_METHODS = {
    "users.info", "users.list", "conversations.info", "conversations.members", "usergroups.list", "users.conversations",
}  # fmt: skip


async def count_calls(bot: RunningBot) -> int:
    """Count the calls about people and channels so far."""
    return sum(request["method"] in AUDIENCE_METHODS for request in await bot.sandbox.requests())


async def test_warm_answer_makes_no_call_about_people(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        for channel in (ADAS_DM, PUBLIC, PRIVATE):
            await ask_for_viewers(bot, "ada", channel)
        before = await count_calls(bot)
        for channel in (ADAS_DM, PUBLIC, PRIVATE) * 2:
            await ask_for_viewers(bot, "ada", channel)
        assert await count_calls(bot) == before


async def test_member_who_leaves_or_joins(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        assert len((await ask_for_viewers(bot, "ada", PRIVATE)).people) == 3
        await bot.sandbox.join("bo", PRIVATE)
        await bot.sandbox.wait_delivered()
        assert PRIVATE in find_person(await ask_for_viewers(bot, "ada", PRIVATE), BO)
        await bot.sandbox.leave("bo", PRIVATE)
        await bot.sandbox.wait_delivered()
        assert len((await ask_for_viewers(bot, "ada", PRIVATE)).people) == 3
        [bo] = (await ask_for_viewers(bot, "bo", "D0DIRECT05")).people
        assert PRIVATE not in bo


async def test_member_who_becomes_a_guest_or_is_deactivated(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        assert "*" in find_person(await ask_for_viewers(bot, "ada", PRIVATE), SIB)
        await bot.sandbox.person(SIB, role="guest")
        await bot.sandbox.wait_delivered()
        assert "*" not in find_person(await ask_for_viewers(bot, "ada", PRIVATE), SIB)
        await bot.sandbox.person(SIB, deleted=True)
        await bot.sandbox.wait_delivered()
        assert len((await ask_for_viewers(bot, "ada", PRIVATE)).people) == 2


async def test_user_group_that_gains_and_loses_a_member(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        for users in ([ADA], [BO]):
            await bot.sandbox.group("S0BOARD001", handle="board", users=users)
            await bot.sandbox.wait_delivered()
            [ada] = (await ask_for_viewers(bot, "ada", ADAS_DM)).people
            assert ("S0BOARD001" in ada) == (ADA in users)


async def test_channel_that_becomes_shared(tmp_path: Path) -> None:
    """An answer there needs an approval at once, also in a thread that Kvasir is in."""
    async with run_company(tmp_path) as bot:
        await ask_for_viewers(bot, "ada", PUBLIC)
        await bot.sandbox.channel(PUBLIC, shared_with=["T0PARTNER1"])
        await bot.sandbox.wait_delivered()
        await bot.sandbox.say("ada", PUBLIC, "@Kvasir how?")
        await wait_for_ephemeral(bot, "/kb share on", PUBLIC)
        assert len(bot.answerer.questions) == 1


async def test_lost_event_of_a_shared_channel_is_noticed_in_the_next_message(tmp_path: Path) -> None:
    """A message says whether its channel is shared; with an approval, the answer is for the world."""
    async with run_company(tmp_path) as bot:
        await ask_for_viewers(bot, "ada", PUBLIC)
        await bot.sandbox.world(channels=[{"id": PUBLIC, "shared_with": ["T0PARTNER1"]}], silent=True)
        await bot.sandbox.command("ada", PUBLIC, "/kb share on")
        await bot.sandbox.say("ada", PUBLIC, "@Kvasir first?")
        await bot.sandbox.command("ada", PUBLIC, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer", PUBLIC)
        assert await ask_for_viewers(bot, "ada", PUBLIC) == WORLD_ONLY


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("conversations.info", "missing_scope"),
        ("conversations.members", "internal_error"),
        ("users.info", "user_not_found"),
    ],
)
async def test_failed_call_leaves_only_the_world_and_a_notice(tmp_path: Path, method: str, error: str) -> None:
    async with run_company(tmp_path) as bot:
        await bot.sandbox.faults({"method": method, "error": error, "times": -1})
        ts = await bot.sandbox.say("ada", PRIVATE, "@Kvasir how?")
        answer = await bot.wait_for_answer(ts, channel=PRIVATE)
        assert bot.answerer.questions[-1].asker.viewers == WORLD_ONLY
        assert "I could not find out who reads this" in get_text(answer)


async def test_missing_user_groups_and_channels_only_take_principals_away(tmp_path: Path) -> None:
    """A workspace without paid user groups, or an app without the scope, still answers."""
    async with run_company(tmp_path) as bot:
        await bot.sandbox.faults(
            {"method": "usergroups.list", "error": "paid_teams_only", "times": -1},
            {"method": "users.conversations", "error": "missing_scope", "times": -1},
        )
        [ada] = (await ask_for_viewers(bot, "ada", ADAS_DM)).people
        assert {ADA, "*", "ada@sandbox.example"} <= ada
        before = await count_calls(bot)
        await ask_for_viewers(bot, "ada", ADAS_DM)
        assert await count_calls(bot) == before


async def ask_and_let_gus_join(bot: RunningBot, begun: asyncio.Event, joined: asyncio.Event) -> str:
    """Let Ada ask where only she reads, and Gus join once the answer has begun; return the question."""
    await bot.sandbox.channel("C0HANDBOOK", members=[ADA, BOT])
    await bot.sandbox.wait_delivered()
    ts = await bot.sandbox.say("ada", "C0HANDBOOK", "@Kvasir how?")
    await asyncio.wait_for(begun.wait(), WAIT_S)
    await bot.sandbox.join("gus", "C0HANDBOOK")
    await bot.sandbox.wait_delivered()
    joined.set()
    return ts


async def test_guest_who_joins_before_the_first_word_is_a_viewer(tmp_path: Path) -> None:
    """The search was for others, so the answer starts over for those who will see it."""
    async with run_company(tmp_path) as bot:
        searched, joined = asyncio.Event(), asyncio.Event()

        async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
            yield Step("is searching…")
            yield Sources((PASSAGE,))
            searched.set()
            await joined.wait()
            yield Text(ANSWER, (PASSAGE,))
            yield make_finished(PASSAGE)

        bot.answerer.script = script
        ts = await ask_and_let_gus_join(bot, searched, joined)
        await bot.wait_for_answer(ts, channel="C0HANDBOOK")
        first, second = [question.asker.viewers for question in bot.answerer.questions]
        assert not [one for one in first.people if GUS in one]
        assert GUS in find_person(second, GUS)


async def test_guest_who_joins_during_the_search_sees_no_number_of_passages(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        searching, joined = asyncio.Event(), asyncio.Event()
        readers: list[Viewers] = []

        async def script(question: Question) -> AsyncGenerator[AnswerEvent]:
            searching.set()
            await joined.wait()
            yield Sources((PASSAGE,))
            readers.append(question.asker.viewers)
            yield Step("is reading 1 passage…")
            yield Text(ANSWER, (PASSAGE,))
            yield make_finished(PASSAGE)

        bot.answerer.script = script
        ts = await ask_and_let_gus_join(bot, searching, joined)
        await bot.wait_for_answer(ts, channel="C0HANDBOOK")
        assert readers == [bot.answerer.questions[-1].asker.viewers]


@pytest.mark.parametrize("may_read_all", [False, True])
async def test_guest_who_joins_between_two_words_gets_no_more_than_he_may_read(
    tmp_path: Path, *, may_read_all: bool
) -> None:
    async with run_company(tmp_path) as bot:
        begun, joined = asyncio.Event(), asyncio.Event()

        async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
            yield Sources((replace(PASSAGE, chunks=("c1", "c2")),))
            yield Text("The first half. ")
            begun.set()
            await joined.wait()
            yield Text("The second half.", (PASSAGE,))
            yield make_finished(PASSAGE)

        bot.answerer.script = script
        bot.library.current = frozenset({"c1", "c2"} if may_read_all else {"c1"})
        ts = await ask_and_let_gus_join(bot, begun, joined)
        answer = get_text(await bot.wait_for_answer(ts, "The first half.", channel="C0HANDBOOK"))
        assert ("The second half." in answer) is may_read_all
        assert ("kvasir.toml" in answer) is may_read_all
        assert ("changed while I answered" in answer) is not may_read_all
        assert len(bot.answerer.questions) == bot.answerer.closed == 1


@pytest.mark.parametrize("has_begun", [False, True])
async def test_right_that_is_revoked_while_the_model_thinks(tmp_path: Path, *, has_begun: bool) -> None:
    settings = replace(QUICK_TURNS, recheck_s=0.0)
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, settings=settings) as bot:
        thinking, revoked = asyncio.Event(), asyncio.Event()

        async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
            if len(bot.answerer.questions) > 1:
                yield Text("I do not know.")
                yield make_finished()
                return
            yield Sources((replace(PASSAGE, chunks=("c1",)),))
            if has_begun:
                yield Text("In detail: ")
            thinking.set()
            await revoked.wait()
            yield Text("The secret.", (PASSAGE,))
            yield make_finished(PASSAGE)

        bot.answerer.script = script
        ts = await bot.ask()
        await asyncio.wait_for(thinking.wait(), WAIT_S)
        bot.library.current = frozenset()
        revoked.set()
        answer = get_text(await bot.wait_for_answer(ts, "changed while I answered" if has_begun else "I do not know."))
        assert "secret" not in answer
        assert "kvasir.toml" not in answer
        assert len(bot.answerer.questions) == (1 if has_begun else 2)


async def test_search_is_for_the_person_who_types_it(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        await bot.sandbox.command("gus", PUBLIC, "/kb search how")
        await wait_for_ephemeral(bot, "how", PUBLIC, "gus")
        [gus] = bot.library.viewers[-1].people
        assert "guests" in gus
        assert "*" not in gus


async def test_button_is_for_the_person_who_presses_it(tmp_path: Path) -> None:
    """In a shared channel, the other company sees what is open to the world, and nothing once the approval ends."""
    passages = FakePassages(WHOLE)
    async with run_company(tmp_path, {"passage": passages}) as bot:
        bot.answerer.script = answer_with_extract
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer", SHARED)
        answer = await bot.wait_for_answer(await bot.sandbox.say("ada", SHARED, "@Kvasir how?"), channel=SHARED)
        button = list_buttons(answer)[0]["action_id"]
        for person in ("noor", "gus"):
            await bot.sandbox.press(person, SHARED, answer["ts"], button)
            await wait_for_ephemeral(bot, "hotel | 120", SHARED, person)
        noor, gus = passages.viewers
        assert noor == WORLD_ONLY
        assert GUS in find_person(gus, GUS)
        await bot.sandbox.command("ada", SHARED, "/kb share off")
        await wait_for_ephemeral(bot, "I do not answer in this channel", SHARED)
        await bot.sandbox.press("noor", SHARED, answer["ts"], button)
        await wait_for_ephemeral(bot, "until an owner allows it", SHARED, "noor")
        assert len(passages.viewers) == 2


async def test_channel_that_is_shared_again_needs_another_approval(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer", SHARED)
        for teams in ([], ["T0PARTNER1"]):
            await bot.sandbox.channel(SHARED, shared_with=teams)
            await bot.sandbox.wait_delivered()
        await bot.sandbox.say("noor", SHARED, "@Kvasir how?")
        await wait_for_ephemeral(bot, "until an owner allows it", SHARED, "noor")


@pytest.mark.parametrize("private", [frozenset[str](), frozenset({"wiki.corp"})])
async def test_web_is_for_people_of_the_company(tmp_path: Path, private: frozenset[str]) -> None:
    """Its inner hosts are for full members alone, and other companies get documents that are open to the world."""
    web = Policies(Policy("on", private=private, searches=True))
    async with run_company(tmp_path, {"web": web}) as bot:
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer", SHARED)
        modes = {}
        for person, channel in (("ada", ADAS_DM), ("gus", "D0GUS00005"), ("ada", PUBLIC), ("ada", SHARED)):
            await ask_for_viewers(bot, person, channel)
            modes[person, channel] = bot.answerer.questions[-1].asker.policy.mode
        assert modes["ada", ADAS_DM] == "on"
        assert modes["gus", "D0GUS00005"] == modes["ada", PUBLIC] == ("off" if private else "on")
        assert modes["ada", SHARED] == "off"


async def test_readers_of_a_named_channel_are_found_in_a_larger_one(tmp_path: Path) -> None:
    """One call for each channel that a document names, for every person who asks."""

    async def list_named() -> frozenset[str]:
        return frozenset({PRIVATE, "S0BOARD001", "ada@sandbox.example"})

    async with run_company(tmp_path, {"list_named": list_named}) as bot:
        crowd = [f"U1{number:08}" for number in range(20)]
        await bot.sandbox.world(people=[{"id": one} for one in crowd])
        await bot.sandbox.channel("#private", members=[ADA, GUS, SIB, BOT, *crowd])
        await bot.sandbox.world(
            channels=[{"id": "C0CROWD001", "kind": "group", "name": "crowd", "members": [ADA, BO, BOT, *crowd]}]
        )
        await bot.sandbox.wait_delivered()
        viewers = await ask_for_viewers(bot, "ada", "C0CROWD001")
        assert len(viewers.people) == 22
        assert {PRIVATE, "C0CROWD001"} <= find_person(viewers, crowd[0])
        assert PRIVATE not in find_person(viewers, BO)
        assert not await bot.sandbox.requests("users.conversations")
        await bot.sandbox.leave(crowd[0], PRIVATE)
        await bot.sandbox.wait_delivered()
        assert PRIVATE not in find_person(await ask_for_viewers(bot, "ada", "C0CROWD001"), crowd[0])


async def test_audience_after_a_crash_is_that_of_now(tmp_path: Path) -> None:
    paused = PausedScript("")
    async with open_sandbox(tmp_path) as sandbox:
        await build_company(sandbox)
        async with run_bot(sandbox, tmp_path, script=paused) as bot:
            ts = await sandbox.say("ada", PRIVATE, "@Kvasir how?")
            await asyncio.wait_for(paused.paused.wait(), WAIT_S)
            assert len(bot.answerer.questions[-1].asker.viewers.people) == 3
        await sandbox.join("bo", PRIVATE)
        async with run_bot(sandbox, tmp_path) as bot:
            await bot.wait_for_answer(ts, channel=PRIVATE)
            assert PRIVATE in find_person(bot.answerer.questions[-1].asker.viewers, BO)


async def test_failed_lookup_of_a_person_is_reported(tmp_path: Path) -> None:
    """A search shows what is open to the world, and says that it may be incomplete."""
    async with run_company(tmp_path) as bot:
        await bot.sandbox.faults({"method": "users.info", "error": "internal_error", "times": -1})
        await bot.sandbox.command("ada", PUBLIC, "/kb search how")
        await wait_for_ephemeral(bot, "I could not find out who reads this", PUBLIC)
        assert bot.library.viewers == [WORLD_ONLY]


async def test_salt_is_that_of_the_viewers(tmp_path: Path) -> None:
    async def find_salt(viewers: Viewers) -> str:
        return f"for {len(viewers.people)}"

    async with run_company(tmp_path, {"find_salt": find_salt}) as bot:
        await ask_for_viewers(bot, "ada", PRIVATE)
        assert bot.answerer.questions[-1].asker.cache_salt == "for 3"


async def test_channel_of_5000_members(tmp_path: Path) -> None:
    """All people are listed in pages; a second answer asks nothing, and one guest among them counts."""
    async with open_sandbox(tmp_path) as sandbox:
        crowd = [{"id": f"U1{number:08}"} for number in range(4_999)]
        guest = {"id": "U2GUEST001", "role": "guest"}
        members = [ADA, BOT, guest["id"], *(one["id"] for one in crowd)]
        channel = {"id": "C0CROWD001", "kind": "channel", "name": "crowd", "members": members}
        await sandbox.world(people=[*crowd, guest], channels=[channel], silent=True)
        async with run_bot(sandbox, tmp_path) as bot:
            viewers = await ask_for_viewers(bot, "ada", "C0CROWD001")
            assert len(viewers.people) == 2
            assert "guests" in find_person(viewers, "U2GUEST001")
            assert [one for one in viewers.people if one >= {"*"}]
            calls = await count_calls(bot)
            assert calls <= 20
            await ask_for_viewers(bot, "ada", "C0CROWD001")
            assert await count_calls(bot) == calls


async def test_reconnection_forgets_everything(tmp_path: Path) -> None:
    """Events of the time between may be missing."""
    async with run_company(tmp_path) as bot:
        assert (await ask_for_viewers(bot, "ada", PUBLIC)).people >= {ANYBODY}
        await bot.sandbox.world(people=[{"id": ADA, "role": "guest"}], silent=True)
        connections = len(await bot.sandbox.requests("apps.connections.open"))
        await bot.sandbox.faults(disconnect="refresh_requested")

        async def has_reconnected() -> bool:
            return len(await bot.sandbox.requests("apps.connections.open")) > connections

        await bot.sandbox.wait_until(has_reconnected)
        await bot.sandbox.wait_connected()
        assert ADA in find_person(await ask_for_viewers(bot, "ada", PUBLIC), ADA)


async def test_button_answers_within_seconds_while_slack_limits_calls(tmp_path: Path) -> None:
    async with run_company(tmp_path, {"passage": FakePassages(WHOLE)}) as bot:
        bot.answerer.script = answer_with_extract
        answer = await bot.wait_for_answer(await bot.sandbox.say("ada", PRIVATE, "@Kvasir how?"), channel=PRIVATE)
        await bot.sandbox.faults({"method": "conversations.info", "status": 429, "retry_after_s": 300, "times": -1})
        for archived in (True, False):
            await bot.sandbox.control("POST", "archive", {"channel": PRIVATE, "person": "ada", "archived": archived})
        await bot.sandbox.wait_delivered()
        await bot.sandbox.press("ada", PRIVATE, answer["ts"], list_buttons(answer)[0]["action_id"])
        await wait_for_ephemeral(bot, "I could not find out who reads this", PRIVATE)
