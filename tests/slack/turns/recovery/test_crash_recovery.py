"""Tests of restarts: the thread has one answer, or an apology and the answer after it."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from tests.slack.bot_process import run_bot_process
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    get_markdown,
    get_text,
    make_script,
    run_bot,
    run_bot_in_sandbox,
)
from tests.slack_sandbox import TEAM_ID, SandboxClient, open_sandbox, start_sandbox_process
from tests.storage.test_ledger import DEAD

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
APOLOGY = "I was interrupted here; the answer follows below."


async def leave_dead_turn(url: str, ts: str, *, replies: tuple[str, ...] = (), begun: bool = True) -> None:
    """Leave a turn in the ledger, as a killed process does."""
    question = QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", ts), ts, "U0ADA00001", "<@U0KVASIR01> how?")
    async with open_ledger(url, owner=DEAD) as ledger:
        await ledger.claim_question(question)
        if begun:
            await ledger.begin_turn(question.key)
        await ledger.note_replies(question.key, replies)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxClient]:
    async with open_sandbox(tmp_path) as served:
        yield served


def make_ledger_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


async def ask_dead_bot(sandbox: SandboxClient, tmp_path: Path) -> str:
    """Ask a question that a dead bot has claimed, and return its ``ts``."""
    ts = await sandbox.say("ada", "#general", "@Kvasir how?")
    await leave_dead_turn(make_ledger_url(tmp_path), ts)
    return ts


async def post_partial_answer(sandbox: SandboxClient, ts: str, *, how: str) -> str:
    """Leave a partial answer in the thread, and return its ``ts``."""
    more = {"recipient_user_id": "U0ADA00001", "recipient_team_id": TEAM_ID, "markdown_text": "Half of"}
    if how == "post":
        reply = await sandbox.api("chat.postMessage", channel="C0GENERAL1", thread_ts=ts, text="Half of")
    else:
        reply = await sandbox.api("chat.startStream", channel="C0GENERAL1", thread_ts=ts, **more)
    assert reply["ok"]
    return str(reply["ts"])


@pytest.mark.parametrize("how", ["stream", "post"])
@pytest.mark.parametrize("noted", [True, False])
async def test_partial_answer_becomes_apology_before_new_answer(
    sandbox: SandboxClient, tmp_path: Path, how: str, *, noted: bool
) -> None:
    """The ledger has the timestamp of the partial answer, or the process was killed before storing it."""
    ts = await ask_dead_bot(sandbox, tmp_path)
    half = await post_partial_answer(sandbox, ts, how=how)
    if noted:
        async with open_ledger(make_ledger_url(tmp_path), owner=DEAD) as ledger:
            await ledger.note_replies(QuestionKey(TEAM_ID, "C0GENERAL1", ts), [half])
    async with run_bot(sandbox, tmp_path) as bot:
        await bot.wait_for_turn(ts)
        first, second = await bot.list_answers(ts)
        assert get_markdown(first) == f"_ℹ️ {APOLOGY}_"
        assert "You asked: how?" in get_markdown(second)


async def test_several_partial_messages_leave_one_apology(sandbox: SandboxClient, tmp_path: Path) -> None:
    ts = await ask_dead_bot(sandbox, tmp_path)
    for how in ("post", "post", "stream"):
        await post_partial_answer(sandbox, ts, how=how)
    async with run_bot(sandbox, tmp_path) as bot:
        await bot.wait_for_turn(ts)
        assert [APOLOGY in get_text(m) for m in await bot.list_answers(ts)] == [True, False]


@pytest.mark.parametrize("refused", [1, 2])
async def test_partial_answer_does_not_stay_if_slack_refuses_the_apology(
    sandbox: SandboxClient, tmp_path: Path, refused: int
) -> None:
    """The apology is sent again as plain text; if Slack refuses that, too, the partial answer is deleted."""
    ts = await ask_dead_bot(sandbox, tmp_path)
    await post_partial_answer(sandbox, ts, how="stream")
    await sandbox.faults({"method": "chat.update", "error": "invalid_blocks", "times": refused})
    async with run_bot(sandbox, tmp_path) as bot:
        await bot.wait_for_turn(ts)
        texts = [get_text(message) for message in await bot.list_answers(ts)]
        assert [APOLOGY in text for text in texts] == [True, False][refused - 1 :]
        assert not any("Half of" in text for text in texts)


async def test_complete_answer_is_not_repeated_after_restart(sandbox: SandboxClient, tmp_path: Path) -> None:
    """The process was killed after Slack's last response and before the end of the turn in the ledger."""
    ts = await ask_dead_bot(sandbox, tmp_path)
    mark = {"event_type": "kvasir_answer", "event_payload": {"question": ts}}
    await sandbox.api("chat.postMessage", channel="C0GENERAL1", thread_ts=ts, text="The whole of it.", metadata=mark)
    async with run_bot(sandbox, tmp_path) as bot:
        await sandbox.wait_until(lambda: bot.has_state(ts, TurnState.DONE))
        assert not bot.answerer.questions
        assert [m["text"] for m in await bot.list_answers(ts)] == ["The whole of it."]
        await sandbox.delete("ada", "#general", ts)
        await sandbox.wait_until(lambda: has_no_answers(bot, ts))


async def has_no_answers(bot: RunningBot, ts: str) -> bool:
    return not await bot.list_answers(ts)


async def test_recovery_keeps_earlier_answers_of_thread(sandbox: SandboxClient, tmp_path: Path) -> None:
    async with run_bot(sandbox, tmp_path) as bot:
        root = await bot.ask("@Kvasir first")
        await bot.wait_for_turn(root)
    ts = await sandbox.say("ada", "#general", "@Kvasir how?", root)
    question = QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", ts), root, "U0ADA00001", "<@U0KVASIR01> how?")
    async with open_ledger(make_ledger_url(tmp_path), owner=DEAD) as ledger:
        await ledger.claim_question(question)
        await ledger.begin_turn(question.key)
    async with run_bot(sandbox, tmp_path) as bot:
        await bot.wait_for_turn(root, "You asked: how?")
        assert ["You asked: first" in get_markdown(m) for m in await bot.list_answers(root)] == [True, False]


async def test_event_repeated_after_restart_is_not_answered_again(tmp_path: Path) -> None:
    """Slack got no acknowledgement and sends the event to the new process."""
    async with open_sandbox(tmp_path, ack_deadline_s=0.3, retry_delays_s=(0.5,) * 20) as sandbox:
        async with run_bot(sandbox, tmp_path) as bot:
            await sandbox.faults(drop_acks=1_000)
            ts = await bot.ask()
            await bot.wait_for_answer(ts)
        await sandbox.faults(drop_acks=0)
        assert (await sandbox.state())["pending"], "the new process gets the event again"
        async with run_bot(sandbox, tmp_path) as bot:
            await bot.wait_until_idle()
            assert not bot.answerer.questions
            assert len(await bot.list_answers(ts)) == 1


async def test_question_that_crashes_repeatedly_gets_apology(sandbox: SandboxClient, tmp_path: Path) -> None:
    ts = await ask_dead_bot(sandbox, tmp_path)
    for _ in range(3):
        async with open_ledger(make_ledger_url(tmp_path), owner=DEAD) as ledger:
            await ledger.list_unfinished()
            await ledger.begin_turn(QuestionKey(TEAM_ID, "C0GENERAL1", ts))
    async with run_bot(sandbox, tmp_path) as bot:
        await bot.wait_for_turn(ts, "I was interrupted several times")
        assert not bot.answerer.questions


async def test_shutdown_cancels_slow_answer_and_restart_answers(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        held = PausedScript()
        async with run_bot(sandbox, tmp_path, script=held) as bot:
            ts = await bot.ask()
            await sandbox.wait_for_message(lambda m: "The first half." in get_text(m))
        assert bot.answerer.closed == 1
        async with run_bot(sandbox, tmp_path, script=make_script("All of it.")) as bot:
            await bot.wait_for_turn(ts, "All of it.")
            assert [APOLOGY in get_text(m) for m in await bot.list_answers(ts)] == [True, False]


# ── Real processes, really killed ────────────────────────────────────────────────────────────────────────────────────


async def test_killed_process_answers_after_restart(tmp_path: Path) -> None:
    async with start_sandbox_process(tmp_path, "--pace", "off") as sandbox:
        async with run_bot_process(sandbox, tmp_path, PAUSE_S="0.3"):
            await sandbox.wait_connected(60)
            ts = await sandbox.say("ada", "#general", "@Kvasir how?")
            await sandbox.wait_for_message(lambda m: "Part 3." in get_text(m))
        async with run_bot_process(sandbox, tmp_path):
            message = await sandbox.wait_for_message(lambda m: m["root"] == ts and "Part 19." in get_text(m), 60)
            await sandbox.wait_delivered()
        answers = [m for m in await sandbox.messages() if m["root"] == ts and m.get("bot_id")]
        assert [APOLOGY in get_text(m) for m in answers] == [True, False]
        assert get_markdown(message).split() == " ".join(f"Part {n}." for n in range(20)).split()


async def test_two_processes_share_ledger_and_take_over_turns(empty_postgres: str, tmp_path: Path) -> None:
    """Slack gives each event to one of two connections, and the ledger prevents a second answer.

    The first process is killed in the middle of its answer to the first question.
    """
    url = empty_postgres
    async with (
        start_sandbox_process(tmp_path, "--pace", "off") as sandbox,
        run_bot_process(sandbox, tmp_path, DATABASE_URL=url, PAUSE_S="3") as one,
    ):
        await sandbox.wait_until(lambda: has_connections(sandbox, 1), 60)
        first = await sandbox.say("ada", "#general", "@Kvasir the first question")
        await sandbox.wait_for_message(lambda m: m["root"] == first and "Part 0." in get_text(m), 30)
        async with run_bot_process(sandbox, tmp_path, DATABASE_URL=url, PAUSE_S="0.1"):
            await sandbox.wait_until(lambda: has_connections(sandbox, 2), 50)
            await sandbox.faults(duplicate_events=3)
            ids = [await sandbox.say("ada", "#general", f"@Kvasir question {n}") for n in range(8)]
            await sandbox.wait_for_message(lambda m: m["root"] in ids and "Part 0." in get_text(m))
            one.send_signal(signal.SIGKILL)
            for ts in (first, *ids):
                await sandbox.wait_for_message(lambda m, ts=ts: m["root"] == ts and "Part 19." in get_text(m), 60)
            messages = [m for m in await sandbox.messages() if m.get("bot_id")]
            apologies = {ts: [APOLOGY in get_text(m) for m in messages if m["root"] == ts] for ts in (first, *ids)}
            assert apologies.pop(first) == [True, False], "the killed process began it, and the other one answered"
            # Slack chooses which process gets the other questions.
            assert all(mine in ([False], [True, False]) for mine in apologies.values()), apologies


async def has_connections(sandbox: SandboxClient, count: int) -> bool:
    return int((await sandbox.state())["connections"]) == count


@pytest.mark.timeout(900)
async def test_five_hundred_questions_are_answered_in_order(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, sandbox_options={"pace": "off"}, patience_s=2.0) as bot:
        ids = await asyncio.gather(*(bot.ask(f"@Kvasir number {n}") for n in range(500)))
        await bot.sandbox.wait_until(lambda: len(bot.answerer.questions) == 500, 500)
        await bot.wait_until_idle()
        answers = [m for m in await bot.sandbox.messages() if m.get("bot_id")]
        assert sorted(m["root"] for m in answers) == sorted(ids)
        order = [question.id.partition("-")[2] for question in bot.answerer.questions]
        assert sum(one > other for one, other in itertools.pairwise(order)) < 25
