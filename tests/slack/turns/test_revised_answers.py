"""Tests of questions that are edited or deleted after their answer, or while it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    echo_question,
    get_markdown,
    get_text,
    make_script,
    run_bot,
    run_bot_in_sandbox,
)
from tests.slack_sandbox import TEAM_ID, open_sandbox
from tests.storage.test_ledger import DEAD

pytestmark = pytest.mark.slow

CHANNEL = "C0GENERAL1"
DM = "@kvasir"
REVISED = "Revised, because the question was edited."


async def ask_and_wait(bot: RunningBot, text: str = "@Kvasir how?", **more: Any) -> tuple[str, dict[str, Any]]:
    """Ask, and return the question's ``ts`` with its answer."""
    ts = await bot.ask(text, **more)
    answer = await bot.wait_for_turn(more.get("thread_ts") or ts, f"You asked: {text.removeprefix('@Kvasir ')}")
    return ts, answer


async def edit(bot: RunningBot, ts: str, text: str) -> None:
    await bot.sandbox.edit("ada", "#general", ts, text)


async def wait_for_no_answer(bot: RunningBot, root: str, channel: str = "#general") -> None:
    async def is_withdrawn() -> bool:
        return not await bot.list_answers(root, channel)

    await bot.sandbox.wait_until(is_withdrawn, what="withdrawal")
    await bot.wait_until_idle()


# ── Edits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_edit_after_answer_revises_it_in_place(bot: RunningBot) -> None:
    ts, before = await ask_and_wait(bot)
    await edit(bot, ts, "@Kvasir why?")
    after = await bot.wait_for_turn(ts, "You asked: why?")
    assert after["ts"] == before["ts"]
    assert REVISED in get_text(after)
    assert "how?" not in get_text(after)
    assert len(await bot.list_answers(ts)) == 1
    assert [session["status"] for session in (await bot.sandbox.state())["sessions"]] == ["active"]


async def test_revised_answer_takes_the_place_of_several_messages(bot: RunningBot) -> None:
    bot.answerer.script = make_script("One line. " * 1_180)
    ts = await bot.ask()
    await bot.wait_for_turn(ts, "One line.")
    first, *others = await bot.list_answers(ts)
    assert others
    bot.answerer.script = make_script("Two words. " * 1_060)
    await edit(bot, ts, "@Kvasir why?")
    await bot.wait_for_turn(ts, "Two words.")
    answers = await bot.list_answers(ts)
    assert answers[0]["ts"] == first["ts"]
    assert sum(get_markdown(m).count("Two words.") for m in answers) == 1_060
    assert not any("One line." in get_text(m) for m in answers)


async def test_follow_up_is_revised_where_it_stands(bot: RunningBot) -> None:
    """What was said later in the thread is not part of its history."""
    root, _ = await ask_and_wait(bot)
    follow_up, answer = await ask_and_wait(bot, "@Kvasir and when?", thread_ts=root)
    await ask_and_wait(bot, "@Kvasir and where?", thread_ts=root)
    await edit(bot, follow_up, "@Kvasir and by whom?")
    revised = await bot.wait_for_turn(root, "You asked: and by whom?")
    assert revised["ts"] == answer["ts"]
    assert [one.question for one in bot.answerer.questions[-1].history] == ["how?"]
    assert len(await bot.list_answers(root)) == 3


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed"])
async def test_answer_that_slack_does_not_change_is_replaced(bot: RunningBot, error: str) -> None:
    ts, before = await ask_and_wait(bot)
    await bot.sandbox.faults({"method": "chat.update", "error": error})
    await edit(bot, ts, "@Kvasir why?")
    after = await bot.wait_for_turn(ts, "You asked: why?")
    assert after["ts"] != before["ts"]
    assert REVISED in get_text(after)
    assert len(await bot.list_answers(ts)) == 1


async def test_revised_answer_links_to_one_that_slack_neither_changes_nor_deletes(bot: RunningBot) -> None:
    ts, before = await ask_and_wait(bot)
    await bot.sandbox.faults(
        {"method": "chat.update", "error": "edit_window_closed"},
        {"method": "chat.delete", "error": "cant_delete_message"},
    )
    await edit(bot, ts, "@Kvasir why?")
    after = await bot.wait_for_answer(ts, "You asked: why?")
    assert f"This replaces [my earlier answer]({bot.sandbox.base_url}/archives/{CHANNEL}/p" in get_markdown(after)
    assert before["ts"].replace(".", "") in get_markdown(after)


async def test_edit_during_revision_keeps_the_place(bot: RunningBot) -> None:
    ts, before = await ask_and_wait(bot)
    bot.answerer.script = paused = PausedScript("Half of the second answer. ")
    await edit(bot, ts, "@Kvasir why?")
    await bot.sandbox.wait_for_message(lambda m: "Half of the second" in get_text(m))
    bot.answerer.script = echo_question
    await edit(bot, ts, "@Kvasir when?")
    after = await bot.wait_for_turn(ts, "You asked: when?")
    assert not paused.resume.is_set()
    assert after["ts"] == before["ts"]
    assert len(await bot.list_answers(ts)) == 1


async def test_edit_of_other_things_than_the_text_revises_nothing(bot: RunningBot) -> None:
    ts, _ = await ask_and_wait(bot)
    await bot.sandbox.control("POST", "react", {"person": "bo", "channel": "#general", "ts": ts, "name": "eyes"})
    await edit(bot, ts, "@Kvasir how?")
    await edit(bot, ts, "@Kvasir how?  ")
    await edit(bot, ts, "@Kvasir why?")
    await bot.wait_for_turn(ts, "You asked: why?")
    assert [question.text for question in bot.answerer.questions] == ["how?", "why?"]


async def test_edit_that_arrives_before_its_question_is_answered(bot: RunningBot) -> None:
    await bot.sandbox.faults(event_delays_s=[1.5, 1.5, 0.0, 0.8])  # Slack reports a mention twice
    ts = await bot.ask()
    await edit(bot, ts, "@Kvasir when?")
    await edit(bot, ts, "@Kvasir how?")
    await edit(bot, ts, "@Kvasir why?")
    await bot.wait_for_turn(ts, "You asked: why?")
    assert bot.answerer.questions[-1].text == "why?"
    assert len(await bot.list_answers(ts)) == 1


async def test_revision_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The first process had changed the old answer and posted more when it was killed."""
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path) as bot:
            ts, before = await ask_and_wait(bot)
        key = QuestionKey(TEAM_ID, CHANNEL, ts)
        edited = QuestionMessage(key, ts, "U0ADA00001", "<@U0KVASIR01> why?")
        async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", owner=DEAD) as ledger:
            await ledger.edit_question(edited, f"{float(ts) + 60:.6f}")
            await ledger.begin_turn(key)
        await sandbox.api("chat.update", channel=CHANNEL, ts=before["ts"], text="Half of")
        await sandbox.api("chat.postMessage", channel=CHANNEL, thread_ts=ts, text="more of the half")
        async with run_bot(sandbox, tmp_path) as bot:
            after = await bot.wait_for_turn(ts, "You asked: why?")
            assert after["ts"] == before["ts"]
            assert REVISED in get_text(after)
            assert len(await bot.list_answers(ts)) == 1


async def test_complete_revision_is_not_repeated_after_a_restart(tmp_path: Path) -> None:
    """The process was killed after Slack's last response, as the answer's metadata shows."""
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path) as bot:
            ts, before = await ask_and_wait(bot)
        key = QuestionKey(TEAM_ID, CHANNEL, ts)
        async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", owner=DEAD) as ledger:
            await ledger.edit_question(
                QuestionMessage(key, ts, "U0ADA00001", "<@U0KVASIR01> why?"), f"{float(ts) + 60:.6f}"
            )
            await ledger.begin_turn(key)
        mark = {"event_type": "kvasir_answer", "event_payload": {"question": ts, "revision": 1}}
        await sandbox.api("chat.update", channel=CHANNEL, ts=before["ts"], text="All of it.", metadata=mark)
        async with run_bot(sandbox, tmp_path) as bot:
            await sandbox.wait_until(lambda: bot.has_state(ts, TurnState.DONE))
            assert not bot.answerer.questions


# ── Deletions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channel", ["#general", DM])
async def test_deletion_withdraws_the_answer_and_erases_the_text(tmp_path: Path, channel: str) -> None:
    forgotten: list[str] = []
    async with run_bot_in_sandbox(tmp_path, dependencies={"forget": forgotten.append}) as bot:
        ts = await bot.ask("@Kvasir the secret 4711?", channel=channel)
        await bot.wait_for_turn(ts, "You asked:", channel=channel)
        await bot.sandbox.delete("ada", channel, ts)
        await wait_for_no_answer(bot, ts, channel)
        rows = await bot.ledger.database.fetch_rows(sa.text("SELECT * FROM bot_turns"))
        assert len(rows) == 1
        assert "4711" not in str(rows)
        await bot.wait_for_changes()  # also its own
        assert len(forgotten) == 1
        assert forgotten[0].endswith(ts)


async def test_deletion_of_one_question_leaves_the_others(bot: RunningBot) -> None:
    root, first = await ask_and_wait(bot)
    follow_up, _ = await ask_and_wait(bot, "@Kvasir and when?", thread_ts=root)
    await bot.sandbox.delete("ada", "#general", follow_up)
    await bot.sandbox.wait_until(lambda: has_answers(bot, root, [first["ts"]]))
    await ask_and_wait(bot, "@Kvasir and where?", thread_ts=root)
    assert "when" not in str(bot.answerer.questions[-1].history)


async def has_answers(bot: RunningBot, root: str, expected: list[str]) -> bool:
    return [m["ts"] for m in await bot.list_answers(root)] == expected


async def test_withdrawal_that_slack_interrupts_goes_on(bot: RunningBot) -> None:
    ts, _ = await ask_and_wait(bot)
    await bot.sandbox.faults({"method": "chat.delete", "status": 503, "times": 4})
    await bot.sandbox.delete("ada", "#general", ts)
    await wait_for_no_answer(bot, ts)


async def test_withdrawal_deletes_a_message_that_another_process_notes_meanwhile(bot: RunningBot) -> None:
    """The other process had posted it when the question was deleted here."""
    ts, first = await ask_and_wait(bot)
    second = await bot.sandbox.api("chat.postMessage", channel=CHANNEL, thread_ts=ts, text="the other half")
    await bot.sandbox.faults({"method": "chat.delete", "hang_s": 2.0})
    await bot.sandbox.delete("ada", "#general", ts)
    await bot.sandbox.wait_until(lambda: bot.has_state(ts, TurnState.SUPERSEDED))
    await bot.sandbox.wait_for_faults()  # Slack deletes the first message now
    other = Ledger(bot.ledger.database, owner="another process")
    await other.note_replies(QuestionKey(TEAM_ID, CHANNEL, ts), [first["ts"], second["ts"]])
    await wait_for_no_answer(bot, ts)


async def test_withdrawal_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path) as bot:
            ts, _ = await ask_and_wait(bot)
        async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", owner=DEAD) as ledger:
            await ledger.withdraw_question(QuestionKey(TEAM_ID, CHANNEL, ts), None)
        async with run_bot(sandbox, tmp_path) as bot:
            await wait_for_no_answer(bot, ts)


async def test_deleted_question_is_not_revised_and_edited_one_can_be_deleted(bot: RunningBot) -> None:
    ts, _ = await ask_and_wait(bot)
    bot.answerer.script = held = PausedScript()
    await edit(bot, ts, "@Kvasir why?")
    await bot.sandbox.wait_for_message(lambda m: "The first half." in get_text(m))
    await bot.sandbox.delete("ada", "#general", ts)
    await wait_for_no_answer(bot, ts)
    assert not held.resume.is_set()
    assert bot.answerer.closed == 2


async def test_message_that_was_no_question_leaves_no_trace(bot: RunningBot) -> None:
    ts = await bot.ask("lunch at 12?")
    await edit(bot, ts, "lunch at 13?")
    await bot.sandbox.delete("ada", "#general", ts)
    await bot.wait_until_idle()
    assert await bot.ledger.database.fetch_rows(sa.text("SELECT * FROM bot_turns")) == []
