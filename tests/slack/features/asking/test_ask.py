"""Tests of questions asked by ``/ask`` and by the shortcut."""

from __future__ import annotations

from typing import Any

import pytest

from tests.slack.running_bot import RunningBot, get_text, wait_for_ephemeral

ADA, CHEN = "U0ADA00001", "U0CHEN0003"


async def wait_for_private_answer(bot: RunningBot, contains: str, person: str = "ada") -> dict[str, Any]:
    return await bot.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and contains in get_text(m) and m.get("metadata"), channel="@kvasir", person=person
    )


async def test_command_is_answered_in_the_direct_messages(bot: RunningBot) -> None:
    await bot.sandbox.command("ada", "#general", "/ask how <long> & why?")
    reply = await wait_for_ephemeral(bot, "our direct messages")
    answer = await wait_for_private_answer(bot, "That is all.")
    assert f"/archives/{answer['channel']}/p{answer['thread_ts'].replace('.', '')}|our direct messages>" in reply
    assert [message for message in await bot.sandbox.messages("#general") if not message.get("ephemeral")] == []
    [question] = bot.answerer.questions
    assert question.text == "how <long> & why?"
    assert ADA in next(iter(question.asker.viewers.people))


@pytest.mark.parametrize("typed", ["/ask", "/ask  ?!"])
async def test_command_without_a_question_explains_itself(bot: RunningBot, typed: str) -> None:
    await bot.sandbox.command("ada", "#general", typed)
    assert "/ask How many days" in await wait_for_ephemeral(bot, "Type your question")
    assert bot.answerer.questions == []


async def test_shortcut_opens_a_modal_in_the_persons_language(bot: RunningBot) -> None:
    await bot.sandbox.shortcut("chen", "ask_anything")
    view = await bot.sandbox.wait_for_modal(CHEN)
    [field] = view["blocks"]
    assert field["label"]["text"] == "您的问题"

    def values(text: str) -> dict[str, Any]:
        return {field["block_id"]: {field["element"]["action_id"]: {"type": "plain_text_input", "value": text}}}

    await bot.sandbox.submit("chen", view["id"], values("  ?"))
    while "errors" not in (view := await bot.sandbox.wait_for_modal(CHEN)):
        pass
    assert "请写下问题" in view["errors"][field["block_id"]]
    await bot.sandbox.submit("chen", view["id"], values("为什么？"))
    await wait_for_private_answer(bot, "You asked: 为什么？", "chen")


async def test_error_in_a_modal_has_the_persons_language_whatever_the_language_of_the_buttons(bot: RunningBot) -> None:
    """Buttons in a language of their own, such as a third one, do not tell it."""
    await bot.sandbox.shortcut("chen", "ask_anything")
    view = await bot.sandbox.wait_for_modal(CHEN)
    await bot.sandbox.person(CHEN, locale="en-US")
    await bot.sandbox.wait_delivered()
    [field] = view["blocks"]
    await bot.sandbox.submit("chen", view["id"], {field["block_id"]: {}})
    while "errors" not in (view := await bot.sandbox.wait_for_modal(CHEN)):
        pass
    assert "Please write a question" in view["errors"][field["block_id"]]
