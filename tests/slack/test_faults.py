"""What goes wrong between the bot and Slack: nothing is lost, nothing said twice, and people are told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, InLine, Question, Step, Text
from bot.slack.errors import SlackMissingScope, SlackUnauthorized, SlackUnavailable
from bot.slack.manifest import SCOPES
from bot.slack.posting import message_sink
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.settings import SlackSettings
from bot.slack.turns.settings import TurnSettings
from engine.errors import EngineInterrupted
from tests.slack.room import Bot, Held, Script, body, bot_in, finished, house, saying, shown
from tests.slack_sandbox import sandbox

pytestmark = pytest.mark.slow

WHOLE = "You asked: how?"


async def calls(bot: Bot, *methods: str) -> list[str]:
    return [call["method"] for call in await bot.box.requests() if call["method"] in methods and not call["error"]]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "method_not_supported_for_channel_type"])
async def test_without_streams_it_posts_and_updates(socket_bot: Bot, error: str) -> None:
    """And remembers what will never work."""
    bot = socket_bot
    await bot.box.faults({"method": "chat.startStream", "error": error, "times": -1})
    bot.answerer.script = held = Held()
    ts = await bot.ask()
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m) and m.get("bot_id"))
    held.go.set()
    message = await bot.answer(ts, "The first half. The second half.")
    assert len(await bot.answers(ts)) == 1
    assert message["edited"]
    bot.answerer.script = again = Held()
    ts = await bot.ask()
    await bot.box.wait_for_message(lambda m: m["root"] == ts and "The first half." in shown(m))
    again.go.set()
    await bot.answer(ts, "The second half.")
    tried = await bot.box.requests("chat.startStream")
    assert len(tried) == (2 if error.startswith("method_not") else 1)


async def test_without_any_status_it_answers_all_the_same(socket_bot: Bot) -> None:
    await socket_bot.box.faults({"method": "a*.setStatus", "error": "unknown_method", "times": -1})
    await socket_bot.answer(await socket_bot.ask())
    await socket_bot.answer(await socket_bot.ask())
    assert len(await socket_bot.box.requests("agents.sessions.setStatus")) == 1
    assert len(await socket_bot.box.requests("assistant.threads.setStatus")) == 1


async def test_the_legacy_status_stands_in_for_sessions(socket_bot: Bot) -> None:
    await socket_bot.box.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
    await socket_bot.answer(await socket_bot.ask())
    [status, *_] = await socket_bot.box.requests("assistant.threads.setStatus")
    assert status["args"]["status"] == "is searching the documents…"


@pytest.mark.slow
async def test_a_rate_limit_is_waited_out_and_no_text_is_lost(socket_bot: Bot) -> None:
    bot = socket_bot
    await bot.box.faults({"method": "chat.stopStream", "status": 429, "retry_after_s": 1, "times": 1})
    bot.answerer.script = held = Held()
    ts = await bot.ask()
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m) and m.get("bot_id"))
    held.go.set()
    message = await bot.answer(ts, "The first half. The second half.")
    assert message["text"].count("The second half.") == 1


@pytest.mark.slow
async def test_at_slacks_own_pace_a_rush_is_answered_without_hammering(tmp_path: Path) -> None:
    """Those who wait for a limit go one by one when it opens, instead of all at once against it."""
    async with house(tmp_path, "socket", box_options={"pace": "exact"}) as bot:
        asked = [await bot.ask(f"@Kvasir number {n}") for n in range(14)]
        for ts in asked:
            await bot.box.wait_for_message(lambda m, ts=ts: m["root"] == ts and "That is all." in shown(m), 60)
        refused = [call for call in await bot.box.requests("chat.postMessage") if call["error"] == "ratelimited"]
        assert len(refused) <= 14


async def test_where_streams_are_limited_it_posts_instead_of_waiting(socket_bot: Bot) -> None:
    await socket_bot.box.faults({"method": "chat.startStream", "status": 429, "retry_after_s": 30, "times": -1})
    for _ in range(2):
        socket_bot.answerer.script = held = Held()
        ts = await socket_bot.ask()
        await socket_bot.box.wait_for_message(lambda m, ts=ts: m["root"] == ts and "The first half." in shown(m))
        held.go.set()
        await socket_bot.answer(ts, "The first half. The second half.")
    assert len(await socket_bot.box.requests("chat.startStream")) == 1


async def test_text_that_comes_while_a_call_is_out_goes_out_together(socket_bot: Bot) -> None:
    """Three hundred pieces are a few calls, whole and in order."""
    pieces = [f"Piece {n}. " for n in range(300)]
    socket_bot.answerer.script = saying(*pieces)
    ts = await socket_bot.ask()
    message = await socket_bot.answer(ts, "Piece 299.")
    assert body(message).strip() == "".join(pieces).strip()
    assert len(await calls(socket_bot, "chat.startStream", "chat.appendStream", "chat.stopStream")) <= 6


async def test_long_code_goes_on_in_further_messages_each_with_its_fence(socket_bot: Bot) -> None:
    """Streamed, so that each message is filled piece by piece."""
    lines = [f"line_{n} = {n}" for n in range(2_500)]

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("```python\n")
        for line in lines:
            yield Text(f"{line}\n")
            if line.endswith("00"):
                await asyncio.sleep(0.002)
        yield Text("```\nDone.")
        yield finished()

    socket_bot.answerer.script = script
    ts = await socket_bot.ask()
    await socket_bot.answer(ts, "Done.")
    bodies = [body(m) for m in await socket_bot.answers(ts)]
    assert len(bodies) > 3
    assert all(text.startswith("```python\n") and text.count("```") == 2 for text in bodies)
    assert [line for text in bodies for line in text.splitlines() if line.startswith("line_")] == lines


async def test_an_answer_moves_to_a_fresh_message_before_its_stream_dies(tmp_path: Path) -> None:
    """At four minutes; a code fence is closed in the old message and reopened in the new one."""
    now = [0.0]
    capabilities = SlackCapabilities(now=lambda: now[0])
    async with house(tmp_path, "socket", capabilities=capabilities) as bot:
        bot.answerer.script = held = Held("```python\nfirst = 1\n", "second = 2\n```\nDone.")
        ts = await bot.ask()
        await bot.box.wait_for_message(lambda m: "first = 1" in shown(m) and m.get("bot_id"))
        now[0] = 241.0
        held.go.set()
        await bot.answer(ts, "Done.")
        first, second = await bot.answers(ts)
        assert first["text"] == "```python\nfirst = 1\n```"
        assert second["text"] == "```python\nsecond = 2\n```\nDone."


async def test_a_stream_that_dies_takes_no_text_with_it(tmp_path: Path) -> None:
    """Slack ends it after five minutes, whatever we thought of the time."""
    async with house(tmp_path, "socket") as bot:
        bot.answerer.script = held = Held()
        ts = await bot.ask()
        await bot.box.wait_for_message(lambda m: "The first half." in shown(m) and m.get("bot_id"))
        await bot.box.advance(301)
        held.go.set()
        await bot.answer(ts, "The second half.")
        assert [m["text"].strip() for m in await bot.answers(ts)] == ["The first half.", "The second half."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_call_whose_answer_is_lost_is_neither_lost_nor_doubled(socket_bot: Bot, method: str) -> None:
    bot = socket_bot
    await bot.box.faults({"method": method, "lose_reply": True, "times": 1})

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("One. ")
        await bot.box.wait_for_message(lambda m: "One." in shown(m) and m.get("bot_id"))
        yield Text("Two. ")
        await bot.box.wait_until(lambda: _tried("chat.appendStream"))
        yield Text("Three.")
        yield finished()

    async def _tried(wanted: str) -> bool:
        return bool(await bot.box.requests(wanted))

    bot.answerer.script = script
    ts = await bot.ask()
    await bot.answer(ts, "Three.")
    texts = " ".join(m["text"] for m in await bot.answers(ts))
    assert texts.split() == ["One.", "Two.", "Three."]


@pytest.mark.slow
async def test_when_slack_fails_for_a_while_the_answer_comes_later_once(socket_bot: Bot) -> None:
    """Whether the first message was made or not."""
    bot = socket_bot
    await bot.box.faults({"method": "chat.*", "status": 503, "times": 4})
    ts = await bot.ask()
    await bot.answer(ts, WHOLE)
    await bot.settled()
    assert len([m for m in await bot.answers(ts) if WHOLE in m["text"]]) == 1


async def test_a_first_message_whose_answer_is_lost_becomes_the_apology(socket_bot: Bot) -> None:
    """It was made, we were not told its timestamp; it is found in the thread."""
    bot = socket_bot
    await bot.box.faults({"method": "chat.startStream", "lose_reply": True, "times": 1})
    bot.answerer.script = Held()
    ts = await bot.ask()
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m) and m.get("bot_id"))
    bot.answerer.script = saying("The whole answer.")
    await bot.answer(ts, "The whole answer.")
    await bot.settled()
    first, second = await bot.answers(ts)
    assert body(first) == "_ℹ️ I was interrupted here; the answer follows below._"
    assert body(second) == "The whole answer."


async def test_a_whole_answer_whose_posting_was_not_confirmed_is_found(socket_bot: Bot) -> None:
    bot = socket_bot
    await bot.box.faults(
        {"method": "chat.startStream", "error": "unknown_method", "times": -1},
        {"method": "chat.postMessage", "skip": 1, "lose_reply": True, "times": 1},
    )
    await bot.answer(await bot.ask())
    ts = await bot.ask()
    await bot.answer(ts, WHOLE)
    await bot.box.wait_until(lambda: _closed(bot))
    assert len(await bot.answers(ts)) == 1
    assert len(bot.answerer.questions) == 2


@pytest.mark.parametrize("error", ["is_archived", "not_in_channel", "message_not_found", "channel_not_found"])
async def test_where_the_place_is_gone_it_ends_quietly(socket_bot: Bot, error: str) -> None:
    bot = socket_bot
    bot.answerer.script = held = Held()
    await bot.ask()
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m))
    await bot.box.faults({"method": "chat.*", "error": error, "times": -1})
    held.go.set()
    await bot.settled()
    await bot.box.faults(clear=True)
    await asyncio.sleep(0.3)  # a few heartbeats: it is not tried again
    assert len(bot.answerer.questions) == 1
    assert not bot.running.done()


async def test_an_answer_has_a_deadline(tmp_path: Path) -> None:
    async with house(tmp_path, "socket", settings=TurnSettings(deadline_s=0.3, drain_s=0.1, heartbeat_s=0.1)) as bot:
        bot.answerer.script = held = Held()
        ts = await bot.ask()
        message = await bot.answer(ts, "It took too long")
        assert "The first half." in message["text"]
        assert not held.go.is_set()
        assert bot.answerer.closed == 1


async def test_an_engine_that_breaks_off_is_told_in_its_own_words(socket_bot: Bot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("Half. ")
        raise EngineInterrupted("The engine stopped in mid-answer. Ask again in a minute.")

    socket_bot.answerer.script = script
    ts = await socket_bot.ask()
    assert "Ask again in a minute." in shown(await socket_bot.answer(ts, "Half."))


async def test_a_revoked_token_ends_the_run_with_the_next_step_and_the_answer_waits(tmp_path: Path) -> None:
    """The question stays open: with a good token, the next start answers it."""
    async with sandbox(tmp_path) as box:
        async with bot_in(box, tmp_path) as bot:
            bot.answerer.script = held = Held("")
            ts = await bot.ask()
            await held.reached.wait()
            await box.faults(revoke=["bot"])
            held.go.set()
            with pytest.raises(SlackUnauthorized, match=r"copy the token into \.env"):
                await asyncio.wait_for(asyncio.shield(bot.running), 10)
        await box.faults(revoke=[])
        async with bot_in(box, tmp_path) as bot:
            await bot.answer(ts, WHOLE)


async def test_a_wrong_token_is_told_at_the_start(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as box:
        box.bot_token = "xoxb-wrong"
        with pytest.raises(SlackUnauthorized, match="SLACK_BOT_TOKEN") as caught:
            async with bot_in(box, tmp_path):
                pass
        assert "xoxb-wrong" not in str(caught.value)


async def test_a_wrong_app_token_is_told_at_the_start(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as box:
        box.app_token = "xapp-wrong"
        with pytest.raises(SlackUnauthorized, match="SLACK_APP_TOKEN"):
            async with bot_in(box, tmp_path):
                pass


async def test_a_missing_scope_is_named_at_the_start(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as box:
        await box.faults(scopes=sorted(SCOPES.keys() - {"chat:write"}))
        with pytest.raises(SlackMissingScope, match=r"lacks the scope chat:write .*reinstall"):
            async with bot_in(box, tmp_path):
                pass


@pytest.mark.slow
async def test_a_slack_that_cannot_be_reached_is_told_at_the_start(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as box:
        box.api_url = "http://127.0.0.1:9/api/"
        with pytest.raises(SlackUnavailable, match="SLACK_API_URL"):
            async with bot_in(box, tmp_path):
                pass


async def test_a_thread_that_may_not_be_read_is_answered_with_a_notice(socket_bot: Bot) -> None:
    bot = socket_bot
    ts = await bot.ask("The build is red.")
    await bot.box.faults({"method": "conversations.replies", "error": "missing_scope", "times": -1})
    await bot.ask("@Kvasir why?", thread_ts=ts)
    assert "could not read this thread" in shown(await bot.answer(ts, "You asked: why?"))


@pytest.mark.slow
async def test_a_locked_ledger_lets_slack_send_again_and_tells_the_person(tmp_path: Path) -> None:
    """Not acknowledged, so nothing is lost; the person sees why it takes a while."""
    async with house(tmp_path, "socket", box_options={"ack_deadline_s": 0.8, "retry_delays_s": (0.0,) * 20}) as bot:
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("BEGIN IMMEDIATE")
            ts = await bot.ask()
            told = await bot.box.wait_for_message(lambda m: m.get("ephemeral"))
            assert "is locked by another program" in shown(told)
            other.rollback()
        await bot.answer(ts, WHOLE)
        await bot.settled()
        assert len(await bot.answers(ts)) == 1


@pytest.mark.slow
async def test_a_ledger_that_locks_during_an_answer_does_not_stop_it(tmp_path: Path) -> None:
    """The answer is shown; that it is complete is found in the thread once the ledger is back."""
    async with house(tmp_path, "socket") as bot:
        bot.answerer.script = held = Held("")
        ts = await bot.ask()
        await held.reached.wait()
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("BEGIN IMMEDIATE")
            held.go.set()
            await bot.answer(ts, "The second half.")
            await asyncio.sleep(0.7)  # longer than the ledger's patience
            other.rollback()
        await bot.box.wait_until(lambda: _closed(bot))
        assert len(bot.answerer.questions) == 1
        assert len(await bot.answers(ts)) == 1


async def _closed(bot: Bot) -> bool:
    return not await bot.ledger.renew_leases()


def test_settings_do_not_show_their_secrets() -> None:
    settings = SlackSettings(bot_token="xoxb-1234567890", app_token="xapp-1234567890", signing_secret="s3cret-s3cret")
    assert not any(secret in repr(settings) for secret in ("xoxb-1234", "xapp-1234", "s3cret"))


def in_line(*said: str) -> Script:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        for text in (*said, ""):
            yield InLine(text)
            await asyncio.sleep(0.05)
        yield Text("That is all.")
        yield finished()

    return script


async def test_a_place_in_line_is_the_status(socket_bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest is shown, what came in between is passed over, and nothing of it stays in the answer."""
    monkeypatch.setattr(message_sink, "_STATUS_EVERY_S", 0.2)
    await socket_bot.box.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
    await socket_bot.answer(await socket_bot.ask())  # from here on it is known that there are no sessions
    before = len(await socket_bot.box.requests("assistant.threads.setStatus"))
    socket_bot.answerer.script = in_line(*(f"You are number {place} in line." for place in range(20, 0, -1)))
    message = await socket_bot.answer(await socket_bot.ask())
    assert "in line" not in shown(message)
    sent = (await socket_bot.box.requests("assistant.threads.setStatus"))[before:]
    said = [str(call["args"]["status"]) for call in sent]
    places = [int(status.split()[5]) for status in said if status.startswith("is busy. You are number")]
    assert 2 <= len(places) <= 7
    assert places == sorted(places, reverse=True)


async def test_the_status_says_what_is_being_done(socket_bot: Bot) -> None:
    """In words beside the session, which stays until the answer is there."""
    seen: list[tuple[str, str]] = []

    async def shows(text: str) -> bool:
        sessions = (await socket_bot.box.state())["sessions"]
        seen.extend((one["status"], one["text"]) for one in sessions if one["text"] == text)
        return any(one["text"] == text for one in sessions)

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        await socket_bot.box.wait_until(lambda: shows("正在检索文档…"), what="first status")
        yield Step("正在阅读 8 段资料…")
        await socket_bot.box.wait_until(lambda: shows("正在阅读 8 段资料…"), what="second status")
        yield Text("That is all.")
        yield finished()

    socket_bot.answerer.script = script
    await socket_bot.answer(await socket_bot.ask("@Kvasir 年假有多少天？"))
    await socket_bot.settled()
    assert {status for status, _ in seen} == {"processing"}
    (session,) = (await socket_bot.box.state())["sessions"]
    assert (session["status"], session["text"]) == ("active", "")


async def test_the_words_go_where_no_message_takes_them_away(socket_bot: Bot) -> None:
    """As when a question is edited before anything of its answer was said."""
    asked = asyncio.Queue[str]()

    async def script(question: Question) -> AsyncGenerator[AnswerEvent]:
        asked.put_nowait(question.text)
        if "first" in question.text:
            await asyncio.Event().wait()
        yield Text("That is all.")
        yield finished()

    async def words() -> list[object]:
        return [call["args"]["status"] for call in await socket_bot.box.requests("assistant.threads.setStatus")]

    socket_bot.answerer.script = script
    ts = await socket_bot.ask("@Kvasir the first question?")
    await asked.get()
    await socket_bot.box.wait_until(words, what="the first status")
    await socket_bot.box.edit("ada", "#general", ts, "@Kvasir the second question?")
    await socket_bot.answer(ts, "That is all.")
    await socket_bot.settled()
    assert "" in await words()


async def test_without_a_status_the_first_place_is_a_line_over_the_answer(socket_bot: Bot) -> None:
    socket_bot.answerer.script = in_line("You are number 2 in line.", "You are number 1 in line.")
    message = await socket_bot.answer(await socket_bot.ask())
    assert message["text"].count("in line") == 1
