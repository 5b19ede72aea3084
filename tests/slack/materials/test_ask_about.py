"""Tests of the shortcut "Ask Kvasir about this": who may ask about a message, and what is read for the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.config.models import ChannelTable
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.materials.quoted_messages import NEWEST, QuotedMessages
from bot.slack.people.accounts import Company
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.viewers import AudienceRefused
from bot.slack.wire.events import BotUser
from tests.slack.features.profiles.conftest import Ward
from tests.slack.materials.files_bot import FilesBot, run_files_bot
from tests.slack.running_bot import get_text

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"
HIDDEN = "I could not confirm that you and I can both read that message"


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[FilesBot]:
    async with run_files_bot(tmp_path) as files:
        yield files


async def open_modal(files: FilesBot, ts: str, *, channel: str = "#general") -> dict[str, Any]:
    await files.sandbox.shortcut("ada", "ask_about_message", channel=channel, ts=ts)
    return await files.sandbox.wait_for_modal(ADA)


def list_fields(view: dict[str, Any]) -> list[str]:
    return [block["block_id"] for block in view["blocks"] if block["type"] == "input"]


async def submit(files: FilesBot, view: dict[str, Any], question: str) -> None:
    values: dict[str, Any] = {"question": {"question": {"type": "plain_text_input", "value": question or None}}}
    if "summary" in list_fields(view):
        chosen = [] if question else [{"value": "yes"}]
        values["summary"] = {"summary": {"type": "checkboxes", "selected_options": chosen}}
    await files.sandbox.submit("ada", view["id"], values)


async def wait_for_answer(files: FilesBot, count: int) -> dict[str, Any]:
    return await files.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and f"I read {count} files" in get_text(m) and m.get("metadata"), channel="@kvasir"
    )


async def test_question_about_a_message_is_answered_privately_from_it(files: FilesBot) -> None:
    ts = await files.bot.sandbox.say("bo", "#general", "The <https://wiki.example|plan>: we sail in May.")
    view = await open_modal(files, ts)
    assert "> The <https://wiki.example|plan>: we sail in May." in get_text(view)
    assert list_fields(view) == ["question"], "a message without a thread has no summary"
    await submit(files, view, "When do we sail?")
    answer = await wait_for_answer(files, 1)
    (material,) = files.last.materials
    assert material.title.startswith("bo, 20")
    assert (material.is_given, material.chunks[0].text) == (True, "The plan (https://wiki.example): we sail in May.")
    assert (material.url or "").endswith(f"/p{ts.replace('.', '')}")
    assert files.last.text == "When do we sail?"
    assert not [m for m in await files.sandbox.messages("#general") if m.get("bot_id")], "nobody else sees it"
    questions = [m for m in await files.sandbox.messages("@kvasir") if m["ts"] == answer["root"]]
    assert "You asked about" in get_text(questions[0])

    await files.sandbox.say("ada", "@kvasir", "And who said so?", thread_ts=answer["root"])
    await files.sandbox.wait_until(lambda: len(files.bot.answerer.questions) == 2, what="follow-up")
    assert [one.title for one in files.last.materials] == [material.title], "a follow-up reads the message again"


async def test_thread_is_summarised_with_a_passage_for_each_message(files: FilesBot) -> None:
    root = await files.bot.sandbox.say("bo", "#general", "When do we sail?")
    await files.send("In May, see the plan", {"plan.md": b"We sail on 3 May."}, thread_ts=root)
    last = await files.bot.sandbox.say("bo", "#general", "Good.", thread_ts=root)
    view = await open_modal(files, last)
    await submit(files, view, "")
    await wait_for_answer(files, 4)
    assert files.last.text == "Summarise this thread."
    assert [one.chunks[0].text for one in files.last.materials] == [
        "When do we sail?",
        "In May, see the plan",
        "Good.",
        "We sail on 3 May.",
    ]
    links = [one.url or "" for one in files.last.materials[:3]]
    assert links[0].endswith(f"/p{root.replace('.', '')}")
    assert links[1].endswith(f"?thread_ts={root}&cid=C0GENERAL1")


async def test_nothing_to_ask_is_an_error_in_the_modal(files: FilesBot) -> None:
    view = await open_modal(files, await files.bot.sandbox.say("bo", "#general", "Hello"))
    await submit(files, view, "?!")
    while "errors" not in (view := await files.sandbox.wait_for_modal(ADA)):
        pass
    assert "Please write a question." in view["errors"]["question"]


async def test_long_thread_is_read_bounded(files: FilesBot) -> None:
    root = await files.bot.sandbox.say("bo", "#general", "The first message")
    second = await files.bot.sandbox.say("bo", "#general", "The second message", thread_ts=root)
    for number in range(NEWEST + 5):
        await files.bot.sandbox.say("bo", "#general", f"Message {number}", thread_ts=root)
    await submit(files, await open_modal(files, second), "What was decided?")
    await wait_for_answer(files, NEWEST + 2)
    texts = [one.chunks[0].text for one in files.last.materials]
    assert texts[:3] == ["The first message", "The second message", "Message 5"]
    assert texts[-1] == f"Message {NEWEST + 4}"


async def wait_for_error(files: FilesBot, view: dict[str, Any], text: str) -> None:
    """Wait until the form, which stays open with what was typed, says why it is refused."""
    read_view = files.sandbox.view
    await files.sandbox.wait_until(lambda: text in str(read_view(view["id"]).get("errors")), what=text)


async def test_person_who_left_the_channel_gets_a_reason(files: FilesBot) -> None:
    await files.sandbox.channel("secret", id="C0SECRET01", kind="group", members=["ada", "bo", "kvasir"])
    ts = await files.bot.sandbox.say("bo", "C0SECRET01", "The budget is 12.")
    view = await open_modal(files, ts, channel="C0SECRET01")
    await files.sandbox.leave("ada", "secret")
    await submit(files, view, "What is the budget?")
    await wait_for_error(files, view, HIDDEN)
    assert not files.bot.answerer.questions


async def test_follow_up_of_a_person_who_left_the_channel_gets_a_reason(files: FilesBot) -> None:
    await files.sandbox.channel("secret", id="C0SECRET01", kind="group", members=["ada", "bo", "kvasir"])
    ts = await files.bot.sandbox.say("bo", "C0SECRET01", "The budget is 12.")
    await submit(files, await open_modal(files, ts, channel="C0SECRET01"), "What is the budget?")
    answer = await wait_for_answer(files, 1)
    await files.sandbox.leave("ada", "secret")
    await files.sandbox.wait_delivered()
    await files.sandbox.say("ada", "@kvasir", "And who said so?", thread_ts=answer["root"])
    await files.sandbox.wait_for_message(lambda m: HIDDEN in get_text(m), channel="@kvasir")
    assert len(files.bot.answerer.questions) == 1


async def test_deleted_message_gets_a_reason(files: FilesBot) -> None:
    ts = await files.bot.sandbox.say("bo", "#general", "The budget is 12.")
    view = await open_modal(files, ts)
    await files.sandbox.control("POST", "delete", {"person": "bo", "channel": "#general", "ts": ts})
    await submit(files, view, "What is the budget?")
    await files.sandbox.wait_for_message(lambda m: "That message was deleted" in get_text(m), channel="@kvasir")
    assert not files.bot.answerer.questions


@pytest.mark.parametrize(
    ("user", "channel", "may_see"),
    [
        (ADA, "C0GENERAL1", True),
        ("U0MIRA0004", "C0PUBLIC01", True),
        ("U0GUS00005", "C0PROJECT1", True),
        ("U0GUS00005", "C0GENERAL1", False),
        ("U0NOOR0006", "C0PARTNERS", True),
        ("U0NOOR0006", "C0GENERAL1", False),
        ("U0CHEN0003", "C0REORG001", False),
        (ADA, "C0UNKNOWN1", False),
        ("U0UNKNOWN1", "C0GENERAL1", False),
        ("", "C0GENERAL1", False),
    ],
)
async def test_access_to_a_message(files: FilesBot, user: str, channel: str, may_see: bool) -> None:  # noqa: FBT001
    """Members see it, full members of the company that of a public channel, and unknown means no."""
    await files.sandbox.channel("public", id="C0PUBLIC01", kind="channel", members=["ada", "kvasir"])
    api, me = files.bot.app.workspace.api, BotUser("T0SANDBOX1", "U0KVASIR01", "B0KVASIR01")
    directory = SlackDirectory(api, Company("T0SANDBOX1"))
    quoted = QuotedMessages(api, ThreadLoader(api, me), directory, files.reader, me)
    if may_see:
        await quoted.check_access(user, channel)
    else:
        with pytest.raises(AudienceRefused):
            await quoted.check_access(user, channel)


async def test_a_message_of_a_confidential_channel_is_not_asked_about_elsewhere(tmp_path: Path) -> None:
    """Answers in the direct messages are kept."""
    channels = {"C0PROJECT1": ChannelTable(id="C0PROJECT1", profile="ward")}
    async with run_files_bot(tmp_path, channels=channels, guidance={"ward": Ward()}) as files:
        said = await files.sandbox.say("bo", "#project", "The patient in room 4711 has a cough.")
        view = await open_modal(files, said, channel="#project")
        await submit(files, view, "Who coughs?")
        await files.sandbox.wait_for_message(lambda m: "stay in their threads" in get_text(m), channel="@kvasir")
        assert not files.bot.answerer.questions
