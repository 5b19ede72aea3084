"""Tests of ``/kb feedback``: who sees which votes."""

from __future__ import annotations

from pathlib import Path

from bot.config.configuration import Access
from bot.storage.feedback import Feedback, Vote, VoteReason
from bot.storage.turns.questions import QuestionKey
from tests.slack.running_bot import RunningBot, get_text, run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
PRIVATE = "C0PRIVATE1"


async def ask_and_rate(
    bot: RunningBot,
    text: str,
    voter: str,
    vote: Vote,
    *reasons: VoteReason,
    channel: str = "#general",
    comment: str = "",
) -> None:
    root = await bot.ask(f"@Kvasir {text}", channel)
    answer = await bot.wait_for_turn(root, channel=channel)
    votes, key = Feedback(bot.ledger.database), QuestionKey(TEAM_ID, answer["channel"], root)
    assert await votes.save_vote(key, voter, vote)
    if reasons or comment:
        assert await votes.save_reasons(key, voter, reasons, comment)


async def run_command(bot: RunningBot, person: str, text: str = "/kb feedback", contains: str = "ote") -> str:
    await bot.sandbox.command(person, "#general", text)
    reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and contains in get_text(m), person=person)
    return str(reply["text"])


async def test_an_owner_sees_counts_and_the_newest_bad_answers(tmp_path: Path) -> None:
    access = {"access": Access(frozenset({BO}))}
    async with run_bot_in_sandbox(tmp_path, dependencies=access) as bot:
        await ask_and_rate(
            bot, "how <many> days?", ADA, Vote.BAD, VoteReason.WRONG, VoteReason.OUTDATED, comment="It is\n30."
        )
        await ask_and_rate(bot, "who?", ADA, Vote.GOOD)
        text = await run_command(bot, "bo")
        assert "*Votes on answers*: 1 good, 1 bad" in text
        assert "|how &lt;many&gt; days?> · 20" in text
        assert "It is wrong, It is outdated · cites docs" in text
        assert "> It is 30." in text
        assert "who?" not in text
        assert "/archives/" in text


async def test_an_owner_sees_nothing_of_conversations_of_others(tmp_path: Path) -> None:
    access = {"access": Access(frozenset({BO}))}
    async with run_bot_in_sandbox(tmp_path, dependencies=access) as bot:
        await bot.sandbox.channel("secret", id=PRIVATE, kind="group", members=["ada", "kvasir"])
        await ask_and_rate(bot, "what of the merger?", ADA, Vote.BAD, comment="the merger", channel=PRIVATE)
        await ask_and_rate(bot, "what is my salary?", ADA, Vote.BAD, comment="my salary", channel="@kvasir")
        text = await run_command(bot, "bo")
        assert "0 good, 2 bad" in text
        assert "2 more are in conversations that you are not in." in text
        assert not any(word in text for word in ("merger", "salary", "archives", PRIVATE))
        own = await run_command(bot, "ada")
        assert "merger" in own
        assert "salary" in own


async def test_everybody_else_sees_their_own_votes(tmp_path: Path) -> None:
    access = {"access": Access(frozenset({"U0NOBODY01"}))}
    async with run_bot_in_sandbox(tmp_path, dependencies=access) as bot:
        await ask_and_rate(bot, "first?", ADA, Vote.GOOD)
        assert "You have not voted on an answer yet." in await run_command(bot, "bo")
        text = await run_command(bot, "ada")
        assert "*Your newest votes*\n👍 <" in text
        assert "first?" in text
        assert "docs" not in text, "the person may not read that source any more"
        await bot.sandbox.leave("ada", "#general")
        await bot.sandbox.wait_delivered()
        await bot.sandbox.command("ada", "@kvasir", "/kb feedback")
        reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"), channel="@kvasir")
        assert "first?" not in get_text(reply)


async def test_the_owner_of_a_source_sees_votes_on_answers_from_it(tmp_path: Path) -> None:
    access = {"access": Access(frozenset({ADA}), {"docs": frozenset({BO}), "wiki": frozenset({CHEN})})}
    async with run_bot_in_sandbox(tmp_path, dependencies=access) as bot:
        await ask_and_rate(bot, "first?", ADA, Vote.BAD)
        owner = await run_command(bot, "bo")
        assert "0 good, 1 bad" in owner
        assert "first?" in owner
        await bot.sandbox.command("chen", "#general", "/kb feedback")
        reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"), person="chen")
        assert "0 good, 0 bad" in get_text(reply) or "0 个好评，0 个差评" in get_text(reply)
        assert "first?" not in get_text(reply)


async def test_the_list_is_in_the_language_of_the_command(bot: RunningBot) -> None:
    await ask_and_rate(bot, "first?", ADA, Vote.BAD, VoteReason.SOURCES)
    assert "缺少来源" in await run_command(bot, "ada", "/kb 评价", "您最近的评价")
