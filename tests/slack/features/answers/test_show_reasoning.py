"""Tests of the reasoning behind an answer: for its asker alone, for an hour, in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Text
from bot.slack.turns.reasoning_memory import MAX_CHARACTERS, ReasoningMemory
from bot.storage.turns.questions import QuestionKey
from tests.slack.running_bot import PASSAGE, FakeLibrary, RunningBot, make_finished, run_bot, run_bot_in_sandbox
from tests.slack_sandbox import open_sandbox

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"
THOUGHT = "The portal is at https://evil.example/x, so <!channel> and @here must see it."
READ = replace(PASSAGE, chunks=("c1",))


def make_thoughtful_answer(thought: str) -> Any:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((READ,))
        yield Text("That is all. [1]", (READ,))
        yield replace(make_finished(READ), reasoning=thought)

    return script


async def ask_and_press(bot: RunningBot, person: str = "ada") -> str:
    """Ask as Ada, press the button as a person, and return the question's ``ts``."""
    root = await bot.ask()
    answer = await bot.wait_for_turn(root)
    await bot.sandbox.press(person, "#general", answer["ts"], "kvasir:show-reasoning")
    return root


def list_texts(view: dict[str, Any]) -> list[str]:
    return [block["text"]["text"] for block in view["blocks"] if block["type"] == "section"]


@pytest.fixture
async def bot(tmp_path: Path, library: FakeLibrary) -> AsyncIterator[RunningBot]:
    async with run_bot_in_sandbox(tmp_path, library=library) as served:
        served.answerer.script = make_thoughtful_answer(THOUGHT)
        yield served


async def test_asker_sees_reasoning_without_links_and_pings(bot: RunningBot) -> None:
    await ask_and_press(bot)
    view = await bot.sandbox.wait_for_modal(ADA)
    assert view["title"]["text"] == "Unchecked reasoning"
    assert "submit" not in view
    (text,) = list_texts(view)
    assert text.replace("\u2060", "") == THOUGHT
    assert all(ping not in json.dumps(view, ensure_ascii=False) for ping in ("https:", "<!channel", "@here"))
    assert all(block["text"]["type"] == "plain_text" for block in view["blocks"] if block["type"] == "section")


async def test_others_do_not_see_reasoning(bot: RunningBot) -> None:
    root = await bot.ask()
    answer = await bot.wait_for_turn(root)
    await bot.sandbox.press("bo", "#general", answer["ts"], "kvasir:show-reasoning")
    await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and "Only the person" in m["text"], person="bo")
    assert not (await bot.sandbox.state())["modals"]


async def test_reasoning_closes_with_the_rights_to_its_passages(bot: RunningBot, library: FakeLibrary) -> None:
    root = await bot.ask()
    answer = await bot.wait_for_turn(root)
    library.current = frozenset()
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:show-reasoning")
    await wait_for_view(bot, "rights to them have changed, so its reasoning is closed")


async def test_reasoning_closes_with_the_rights_to_earlier_answers(bot: RunningBot, library: FakeLibrary) -> None:
    """The model had read the earlier answers of the thread, too."""
    library.current = frozenset({"c1", "c2"})
    root = await bot.ask()
    await bot.wait_for_answer(root)
    other = replace(READ, chunks=("c2",))

    async def follow_up(question: Question) -> AsyncGenerator[AnswerEvent]:
        assert question.history[0].answer
        yield Sources((other,))
        yield Text("It follows. [1]", (other,))
        yield replace(make_finished(other), reasoning=THOUGHT)

    bot.answerer.script = follow_up
    await bot.ask("@Kvasir and then?", thread_ts=root)
    answer = await bot.wait_for_turn(root, "It follows.")
    library.current = frozenset({"c2"})
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:show-reasoning")
    await wait_for_view(bot, "reasoning is closed")


async def test_long_reasoning_has_pages(bot: RunningBot) -> None:
    lines = [f"Thought number {n} of a long reasoning." for n in range(800)]
    bot.answerer.script = make_thoughtful_answer("\n".join(lines))
    await ask_and_press(bot)
    view = await bot.sandbox.wait_for_modal(ADA)
    texts = list_texts(view)
    pressed = {"person": "ada", "view_id": view["id"], "action_id": "kvasir:show-reasoning:2"}
    await bot.sandbox.control("POST", "press", pressed)
    await bot.sandbox.wait_until(lambda: "Page 2 of 2" in str(bot.sandbox.view(view["id"])))
    texts += list_texts(bot.sandbox.view(view["id"]))
    whole = "\n".join(texts)
    assert whole.splitlines()[0] == lines[0]
    assert whole == "\n".join(lines)[:MAX_CHARACTERS].strip()
    assert "the rest was not kept" in str(bot.sandbox.view(view["id"]))


async def test_deleted_question_erases_reasoning(bot: RunningBot) -> None:
    root = await bot.ask()
    answer = await bot.wait_for_turn(root)
    await bot.sandbox.faults({"method": "chat.delete", "error": "cant_delete_message", "times": -1})
    await bot.sandbox.delete("ada", "#general", root)
    await bot.sandbox.wait_delivered()
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:show-reasoning")
    await wait_for_view(bot, "for an hour, and it is gone now")


async def wait_for_view(bot: RunningBot, text: str) -> None:
    """Wait until Ada's modal has a text, and close it."""
    view = await bot.sandbox.wait_for_modal(ADA)
    await bot.sandbox.wait_until(lambda: text in str(bot.sandbox.view(view["id"])), what=text)
    hub = bot.sandbox.hub
    assert hub is not None
    hub.workspace.close_view(hub.workspace.views[view["id"]])


async def test_each_replica_shows_the_reasoning_that_one_of_them_has(tmp_path: Path) -> None:
    """Slack sends a press to any replica."""
    database, script = f"sqlite:///{tmp_path / 'shared.sqlite3'}", make_thoughtful_answer("Let me think.\n" * 800)
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, script=script, database=database) as bot,
        run_bot(sandbox, tmp_path, script=script, database=database) as other,
    ):
        answer = await bot.wait_for_turn(await bot.ask())
        await other.wait_until_idle()
        for _ in range(2):
            await sandbox.press("ada", "#general", answer["ts"], "kvasir:show-reasoning")
            await wait_for_view(bot, "Let me think.")


async def test_a_later_process_has_no_reasoning(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, script=make_thoughtful_answer(THOUGHT)) as first:
            answer = await first.wait_for_turn(await first.ask())
        async with run_bot(sandbox, tmp_path) as second:
            await sandbox.press("ada", "#general", answer["ts"], "kvasir:show-reasoning")
            await wait_for_view(second, "it is gone now")


async def test_answer_without_reasoning_has_no_button(bot: RunningBot) -> None:
    bot.answerer.script = make_thoughtful_answer("")
    answer = await bot.wait_for_answer(await bot.ask())
    assert "show-reasoning" not in str(answer)


def test_memory_is_bounded_in_time_and_number() -> None:
    now = [0.0]
    memory = ReasoningMemory(lambda: now[0])
    keys = [QuestionKey("T", "C", str(n)) for n in range(1_500)]
    for key in keys:
        memory.keep_reasoning(key, "U1", "x" * (MAX_CHARACTERS + 1), {"c1"})
    assert sum(memory.find_reasoning(key) is not None for key in keys) < 1_000
    reasoning = memory.find_reasoning(keys[-1])
    assert reasoning is not None
    assert (len(reasoning.text), reasoning.is_cut, reasoning.chunks) == (MAX_CHARACTERS, True, {"c1"})
    now[0] = 3_601.0
    assert memory.find_reasoning(keys[-1]) is None
