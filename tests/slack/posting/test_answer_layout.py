"""Tests of the final form of an answer in the sandbox, which refuses what Slack refuses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Text
from tests.slack.running_bot import PASSAGE, RunningBot, get_markdown, make_finished, run_bot_in_sandbox

pytestmark = pytest.mark.slow


async def answer_with_table(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PASSAGE,))
    yield Text("These are the limits:\n\n| Kind | Limit |\n|---|---|\n")
    yield Text("| Hotel | 120 [1] |\n", (PASSAGE,))
    yield Text("| Meal | 40 |\n\nThat is all.")
    yield make_finished(PASSAGE)


async def get_answer(bot: RunningBot, root: str, contains: str = "That is all.") -> dict[str, Any]:
    """Return the only message of an answer once its turn has ended."""
    await bot.wait_for_turn(root, contains)
    [answer] = await bot.list_answers(root)
    return answer


def list_types(answer: dict[str, Any]) -> list[str]:
    return [block["type"] for block in answer["blocks"]]


@pytest.mark.parametrize("scopes", ["with streams", "without streams"])
async def test_a_table_is_a_block_with_its_citations_once_the_answer_is_complete(tmp_path: Path, scopes: str) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_table) as bot:
        if scopes == "without streams":
            await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method"})
        root = await bot.ask("@Kvasir what are the limits?")
        answer = await get_answer(bot, root)
        assert list_types(answer)[:3] == ["markdown", "table", "markdown"]
        assert "context" in list_types(answer), "the sources are under the answer"
        assert [len(row) for row in answer["blocks"][1]["rows"]] == [2, 2, 2]
        assert PASSAGE.url in str(answer["blocks"][1])
        assert "Kind · Limit\nHotel · 120 [1]\nMeal · 40" in answer["text"], "the notification has no Markdown"
        assert str(answer).count("Hotel") == 2, "once in the table, and once in the notification"
        await bot.ask("and a train?", thread_ts=root)
        await bot.wait_for_turn(root, "That is all")
        [exchange] = bot.answerer.questions[-1].history
        assert "| Hotel | 120 |" in exchange.answer


async def test_refused_table_stays_markdown(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_table) as bot:
        await bot.sandbox.faults({"method": "chat.update", "error": "invalid_blocks"})
        answer = await get_answer(bot, await bot.ask("@Kvasir what are the limits?"))
        assert "table" not in list_types(answer)
        assert get_markdown(answer).count("| Meal | 40 |") == 1
        assert bot.answerer.closed == 1


def make_long_text() -> str:
    """Return an answer of more than 12,000 characters with headings, citations and a table."""
    part = "The limit of a hotel is 120 euros a night [1]. " * 90
    table = "| Kind | Limit |\n|---|---|\n| Hotel | 120 [1] |\n"
    return "All limits are **binding** [1].\n\n" + "".join(f"## Part {n}\n\n{part}\n\n{table}\n" for n in range(1, 4))


async def answer_at_length(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PASSAGE,))
    for line in make_long_text().splitlines(keepends=True):
        yield Text(line, (PASSAGE,))
    yield make_finished(PASSAGE)


async def list_files(bot: RunningBot) -> list[dict[str, Any]]:
    return list((await bot.sandbox.state())["files"])


async def read_file(bot: RunningBot, file: dict[str, Any]) -> str:
    """Return what people see of a file or a canvas."""
    async with bot.sandbox.session.get(f"{bot.sandbox.base_url}/docs/{file['id']}") as answer:
        return await answer.text()


async def wait_until_no_file(bot: RunningBot) -> None:
    async def is_gone() -> bool:
        return not await list_files(bot)

    await bot.sandbox.wait_until(is_gone, what="deletion of the documents")


async def test_a_long_answer_is_a_canvas_for_its_channel_and_is_deleted_with_it(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length) as bot:
        root = await bot.ask("@Kvasir what are all limits?")
        answer = await get_answer(bot, root, "Its parts:")
        [canvas] = await list_files(bot)
        assert (canvas["is_canvas"], canvas["channels"], canvas["users"]) == (True, ["C0GENERAL1"], [])
        assert canvas["title"] == "Answer: what are all limits?"
        page = await read_file(bot, canvas)
        assert page.count(f'<a href="{PASSAGE.url}">') == make_long_text().count("[1]") + 1
        assert ">Sources</h2>" in page
        assert f'<li>[1] <a href="{PASSAGE.url}">Adding a source › kvasir.toml</a></li>' in page
        summary = get_markdown(answer)
        assert summary.startswith("All limits are **binding**")
        assert "Its parts:\n- Part 1\n- Part 2\n- Part 3" in summary
        assert f"[Answer: what are all limits?]({bot.sandbox.base_url}/docs/{canvas['id']})" in summary
        assert len(summary) < 1_000
        assert "context" in list_types(answer), "the sources are under the summary, too"
        await bot.sandbox.delete("ada", "#general", root)
        await wait_until_no_file(bot)


async def test_a_canvas_of_a_direct_message_is_for_the_asker(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length) as bot:
        root = await bot.ask("what are all limits?", channel="D0DIRECT01")
        await bot.wait_until_idle()
        assert root
        [canvas] = await list_files(bot)
        assert (canvas["channels"], canvas["users"]) == ([], ["U0ADA00001"])


@pytest.mark.parametrize("method", ["canvases.create", "canvases.access.set"])
async def test_without_canvases_a_long_answer_is_a_file(tmp_path: Path, method: str) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length) as bot:
        await bot.sandbox.faults({"method": method, "error": "free_teams_cannot_create_non_tabbed_canvases"})
        root = await bot.ask("@Kvasir what are all limits?")
        await bot.wait_for_turn(root, "in the file")
        [file] = await list_files(bot)
        assert (file["is_canvas"], file["name"], file["channels"]) == (False, "answer.md", ["C0GENERAL1"])
        answer, shared = await bot.list_answers(root)
        assert "The whole answer is in the file" in get_markdown(answer)
        assert [one["id"] for one in shared["files"]] == [file["id"]]


async def test_without_documents_a_long_answer_stays_in_messages(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length) as bot:
        refused = (
            {"method": one, "error": "missing_scope"} for one in ("canvases.create", "files.getUploadURLExternal")
        )
        await bot.sandbox.faults(*refused)
        root = await bot.ask("@Kvasir what are all limits?")
        await bot.wait_until_idle()
        text = "\n".join(map(get_markdown, await bot.list_answers(root)))
        assert text.count("120 euros") == make_long_text().count("120 euros")
        assert await list_files(bot) == []


async def test_a_refused_summary_leaves_the_answer_and_no_document(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length) as bot:
        await bot.sandbox.faults({"method": "chat.update", "error": "cant_update_message", "times": -1})
        root = await bot.ask("@Kvasir what are all limits?")
        await bot.wait_until_idle()
        text = "\n".join(map(get_markdown, await bot.list_answers(root)))
        assert text.count("120 euros") == make_long_text().count("120 euros")
        assert await list_files(bot) == []


CODE = "".join(f"print({n})  # <@U1>\n" for n in range(80))


async def answer_with_code(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PASSAGE,))
    yield Text(f"Run this [1]:\n\n```python\n{CODE}```\n\nThat is all.", (PASSAGE,))
    yield make_finished(PASSAGE)


async def test_long_code_is_a_file_and_an_edit_replaces_it(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_code) as bot:
        root = await bot.ask("@Kvasir how?")
        await bot.wait_for_turn(root, "All 80 lines")
        [file] = await list_files(bot)
        assert (file["name"], await read_file(bot, file), file["channels"]) == ("code-1.py", CODE, ["C0GENERAL1"])
        answer, shared = await bot.list_answers(root)
        text = get_markdown(answer)
        assert "print(11)" in text
        assert "print(12)" not in text
        assert text.count("```") == 2
        assert text.endswith("That is all.")
        await bot.ask("and now?", thread_ts=root)
        await bot.wait_until_idle()
        assert shared["ts"]
        assert len(bot.answerer.questions[-1].history) == 1, "the file is not an answer of its own"
        await bot.sandbox.edit("ada", "#general", root, "@Kvasir how else?")
        await bot.wait_until_idle()
        assert file["id"] not in [one["id"] for one in await list_files(bot)]


async def test_code_whose_file_is_refused_stays_in_the_text(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_code) as bot:
        await bot.sandbox.faults({"method": "files.completeUploadExternal", "error": "channel_not_found"})
        root = await bot.ask("@Kvasir how?")
        answer = await get_answer(bot, root)
        assert "print(79)" in get_markdown(answer)
