"""Tests of the button "Show passage", which shows one person the current passage of an extract."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.answering.events import AnswerEvent, Finished, Question, Sources, Text
from knowledge.errors import StoreError
from knowledge.interfaces import Hit, Viewers
from tests.slack.running_bot import PASSAGE, RunningBot, get_text, run_bot, run_bot_in_sandbox
from tests.slack_sandbox import open_sandbox

EXTRACTED = replace(PASSAGE, chunks=("c1", "c2"))
WEB = replace(PASSAGE, n=2, chunks=())
WHOLE = Hit(
    "c1", "docs", "sources.md", "Adding a source", "kvasir.toml", "https://kb.example/sources",
    "| kind | limit |\n| --- | --- |\n| hotel | 120 |\n\n<!channel>\n\n```toml\n[[source]]",
    1.0, 1.0, datetime.now(UTC),
)  # fmt: skip


async def answer_with_extract(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PASSAGE, WEB))
    yield Text("**Adding a source** [1]\n> | hotel | **120** |\n\nThat is all.", (EXTRACTED, WEB))
    yield Finished("passages", (EXTRACTED, WEB), {}, extracted_passages=(EXTRACTED, WEB))


class FakePassages:
    """A library with one passage or none, or one that fails."""

    def __init__(self, found: Hit | Exception | None) -> None:
        self.found = found
        self.questions: list[list[str]] = []
        self.viewers: list[Viewers] = []

    async def __call__(self, chunks: Sequence[str], viewers: Viewers) -> Hit | None:
        self.questions.append([*chunks])
        self.viewers.append(viewers)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def list_buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    elements = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return [one for one in elements if one["action_id"] != "kvasir:answer-again"]


async def press_button(bot: RunningBot, message: dict[str, Any], says: str, person: str = "bo") -> dict[str, Any]:
    """Press the button as a person, and return the message that only this person sees."""
    await bot.sandbox.press(person, "#general", message["ts"], list_buttons(message)[0]["action_id"])
    return await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and says in get_text(m), person=person)


async def test_button_shows_whole_passage_to_one_person(tmp_path: Path) -> None:
    passages = FakePassages(WHOLE)
    async with run_bot_in_sandbox(tmp_path, script=answer_with_extract, dependencies={"passage": passages}) as bot:
        root = await bot.ask("@Kvasir what is the limit?")
        answer = await bot.wait_for_answer(root)
        assert [one["text"]["text"] for one in list_buttons(answer)] == ["Show passage [1]"], (
            "a web page has a link instead"
        )
        reply = await press_button(bot, answer, "hotel | 120")
        assert passages.questions == [["c1", "c2"]]
        [viewer] = passages.viewers[0].people
        assert "U0BO000002" in viewer, "the person who presses, not the one who asked"
        path, whole = reply["blocks"]
        assert path["elements"][0]["text"] == "<https://kb.example/sources|Adding a source › kvasir.toml>"
        assert whole["type"] == "markdown"
        assert "<!channel>" not in whole["text"], "the passage pings nobody"
        assert whole["text"].count("```") == 2
        assert reply["root"] == root


async def test_long_passage_says_that_it_continues(tmp_path: Path) -> None:
    long = replace(WHOLE, text="The limit is 120.\n\n" * 1_000)
    async with run_bot_in_sandbox(
        tmp_path, script=answer_with_extract, dependencies={"passage": FakePassages(long)}
    ) as bot:
        reply = await press_button(bot, await bot.wait_for_answer(await bot.ask()), "The limit is 120.")
        assert [block["type"] for block in reply["blocks"]] == ["context", "markdown", "context"]
        assert "continues in its document" in get_text(reply)


async def test_long_table_says_how_many_rows_are_left_out(tmp_path: Path) -> None:
    rows = [f"| hotel {n} | 120 |\n" for n in range(1_500)]
    long = replace(WHOLE, text=f"| kind | limit |\n| --- | --- |\n{''.join(rows)}")
    async with run_bot_in_sandbox(
        tmp_path, script=answer_with_extract, dependencies={"passage": FakePassages(long)}
    ) as bot:
        reply = await press_button(bot, await bot.wait_for_answer(await bot.ask()), "hotel 0 | 120")
    row_count = sum(row in get_text(reply) for row in rows)
    assert 0 < row_count < len(rows)
    assert f"{len(rows) - row_count} more rows of this table are in its document." in get_text(reply)


async def test_deleted_passage_is_reported_after_restart(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(
            sandbox, tmp_path, script=answer_with_extract, dependencies={"passage": FakePassages(WHOLE)}
        ) as bot:
            answer = await bot.wait_for_answer(await bot.ask("@Kvasir 上限是多少？"))
            assert list_buttons(answer)[0]["text"]["text"] == "显示原文 [1]"
        other = tmp_path / "another"
        other.mkdir()
        gone = FakePassages(None)
        async with run_bot(sandbox, other, script=answer_with_extract, dependencies={"passage": gone}) as bot:
            english, chinese = "no longer exists", "已不存在"
            assert chinese not in get_text(await press_button(bot, answer, english)), "bo's Slack is in English"
            assert english not in get_text(await press_button(bot, answer, chinese, "chen"))
            gone.found = StoreError("The store is down. Start it.")
            await press_button(bot, answer, "The store is down.")


async def test_passage_button_needs_library(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_extract) as bot:
        assert list_buttons(await bot.wait_for_answer(await bot.ask())) == []
