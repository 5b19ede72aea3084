"""Tests of questions with files: which files are read for an answer, for how long, and what is said about others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.features.asking.answer_privately import ANSWER_PRIVATELY
from bot.slack.materials import thread_files
from bot.slack.materials.file_loader import FileLoader
from bot.slack.wire.transport.file_download import FileRefused
from bot.slack.wire.transport.web_client import make_web_client
from tests.parsing import makers
from tests.slack.materials.files_bot import CountingReader, FilesBot, run_files_bot
from tests.slack.running_bot import get_text

pytestmark = pytest.mark.slow

TRIP = makers.pdf([["The lighthouse was built in 1890."], ["The lighthouse opens at seven."]])


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[FilesBot]:
    async with run_files_bot(tmp_path) as files:
        yield files


@pytest.mark.parametrize("channel", ["#general", "@kvasir"])
async def test_question_with_a_file_is_answered_from_it(files: FilesBot, channel: str) -> None:
    root = await files.send("@Kvasir when does it open?", {"trip.pdf": TRIP}, channel=channel)
    text = await files.wait_for_text(root, "I read 1 files", channel)
    assert "trip.pdf, page 2" in text
    assert files.list_given() == [("trip.pdf", True)]
    url = files.last.materials[0].url or ""
    assert url.endswith(f"/p{root.replace('.', '')}"), "the citation leads to the message with the file"
    assert [chunk.text for chunk in files.last.materials[0].chunks] == [
        "The lighthouse was built in 1890.",
        "The lighthouse opens at seven.",
    ]


async def test_follow_up_reads_the_file_again_from_memory(files: FilesBot) -> None:
    root = await files.send("@Kvasir when does it open?", {"trip.pdf": TRIP})
    await files.wait_for_text(root, "I read 1 files")
    await files.bot.ask("and what about its age?", thread_ts=root)
    await files.sandbox.wait_until(lambda: len(files.bot.answerer.questions) == 2, what="second question")
    assert files.list_given() == [("trip.pdf", True)]
    await files.bot.ask("how many days of holiday do we have?", thread_ts=root, channel="#general")
    await files.sandbox.wait_until(lambda: len(files.bot.answerer.questions) == 3, what="third question")
    assert files.reader.parsed == ["trip.pdf"]


async def test_file_that_somebody_sent_earlier_is_read(files: FilesBot) -> None:
    root = await files.bot.ask("Has anybody seen the plan?")
    await files.send("Here it is", {"plan.md": b"# Plan\n\nWe sail in May."}, person="bo", thread_ts=root)
    await files.bot.ask("@Kvasir when does the annual summer party begin?", thread_ts=root)
    await files.wait_for_text(root, "I read 1 files")
    assert files.list_given() == [("plan.md", False)], "it answers only if it fits the question"
    await files.bot.ask("@Kvasir what does the file say?", thread_ts=root)
    await files.sandbox.wait_until(lambda: len(files.bot.answerer.questions) == 2, what="second question")
    assert files.list_given() == [("plan.md", True)]


async def test_question_under_a_file_alone_is_about_it(files: FilesBot) -> None:
    root = await files.send("", {"plan.md": b"We sail in May."}, channel="@kvasir", person="ada")
    await files.sandbox.wait_for_message(
        lambda m: m["root"] == root and "What would you like to know" in get_text(m), channel="@kvasir"
    )
    await files.bot.ask("When do we sail?", "@kvasir", thread_ts=root)
    await files.wait_for_text(root, "I read 1 files", "@kvasir")
    assert files.list_given() == [("plan.md", True)]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("screen.png", b"\x89PNG", "I cannot see the image screen.png"),
        ("scan.pdf", makers.scanned_pdf(), "scan.pdf has only images of text"),
        ("locked.pdf", makers.pdf([["x"]], password="secret"), "locked.pdf needs a password"),
        ("broken.pdf", b"%PDF-1.4 nothing", "I could not read broken.pdf"),
        ("film.mkv", b"\x1aE\xdf\xa3\x00\x01", "I do not read this kind of file: film.mkv"),
        ("empty.md", b"", "empty.md"),
    ],
)
async def test_unreadable_file_gets_its_sentence(files: FilesBot, name: str, data: bytes, sentence: str) -> None:
    root = await files.send("@Kvasir what is this about?", {name: data})
    assert sentence in await files.wait_for_text(root, "I read 0 files")


async def test_unreadable_files_of_others_are_left_out_silently(files: FilesBot) -> None:
    root = await files.bot.ask("Look at these")
    await files.send("", {"screen.png": b"\x89PNG", "locked.pdf": b"%PDF-1.4 x"}, person="bo", thread_ts=root)
    await files.bot.ask("@Kvasir what do the files say?", thread_ts=root)
    text = await files.wait_for_text(root, "I read 0 files")
    assert "screen.png" not in text
    assert "locked.pdf" not in text
    assert sorted(files.last.unread) == ["locked.pdf", "screen.png"], "answers from guidelines name them"


async def test_newest_files_of_a_thread_are_read(files: FilesBot) -> None:
    root = await files.bot.ask("The minutes:")
    for number in range(6):
        sent = {f"{number}{part}.md": f"Minutes {number}{part}".encode() for part in "ab"}
        await files.send("more", sent, thread_ts=root)
    await files.bot.ask("@Kvasir summarise the files", thread_ts=root)
    text = await files.wait_for_text(root, f"I read {thread_files.MAX_FILES} files")
    assert "I read the newest 10 files of this thread" in text
    assert "0a.md" not in [one.title for one in files.last.materials]


async def test_prefix_cache_of_a_question_with_files_is_its_own(tmp_path: Path) -> None:
    async def find_salt(_viewers: object) -> str:
        return "same"

    async with run_files_bot(tmp_path, find_salt=find_salt) as files:
        salts = []
        for data in (b"We sail in May.", b"We sail in June.", None):
            sent = {"plan.md": data} if data else {}
            root = await files.send("@Kvasir when do we sail?", sent)
            await files.wait_for_text(root, f"I read {len(sent)} files")
            salts.append(files.last.asker.cache_salt)
        assert len(set(salts)) == 3
        assert salts[2] == "same"


async def test_large_file_is_refused_by_its_size() -> None:
    reader = FileLoader(AsyncWebClient(base_url="https://slack.com/api/"), CountingReader())
    url = "https://files.slack.com/files-pri/T1-F1/download/big.txt"
    with pytest.raises(FileRefused, match=r"big\.txt is larger than the limit of 20 MB"):
        await reader.read_file({"id": "F1", "name": "big.txt", "size": 20_000_001, "url_private_download": url})


async def test_files_are_forgotten(tmp_path: Path) -> None:
    async with run_files_bot(tmp_path) as files:
        root = await files.send("@Kvasir when do we sail?", {"plan.md": b"We sail in May."})
        await files.wait_for_text(root, "I read 1 files")
        (message,) = [m for m in await files.sandbox.messages("#general") if m["ts"] == root]
        client = make_web_client(files.sandbox.api_url, files.sandbox.bot_token, aiohttp.ClientSession())
        reader = FileLoader(client, files.reader, lifetime_s=0.0)
        for _ in range(2):
            assert (await reader.read_file(message["files"][0])).title == "plan.md"
            await asyncio.sleep(0.01)
        assert files.reader.parsed == ["plan.md"] * 3
        await client.session.close()


async def test_deleted_file_is_not_read_from_memory(tmp_path: Path) -> None:
    async with run_files_bot(tmp_path) as files:
        root = await files.send("@Kvasir when do we sail?", {"plan.md": b"We sail in May."})
        await files.wait_for_text(root, "I read 1 files")
        (message,) = [m for m in await files.sandbox.messages("#general") if m["ts"] == root]
        client = make_web_client(files.sandbox.api_url, files.sandbox.bot_token, aiohttp.ClientSession())
        reader = FileLoader(client, files.reader)
        [file] = message["files"]
        assert (await reader.read_file(file)).title == "plan.md"
        with pytest.raises(FileRefused):
            await reader.read_file({"id": file["id"], "mode": "tombstone"})
        await client.session.close()


async def test_private_answer_reads_the_file_of_the_question(tmp_path: Path) -> None:
    async with run_files_bot(tmp_path) as files:
        files.bot.library.more = True
        await files.send("@Kvasir when do we sail?", {"plan.md": b"We sail in May."})
        offer = await files.sandbox.wait_for_message(
            lambda m: any(ANSWER_PRIVATELY in str(block) for block in m.get("blocks") or ())
        )
        (button,) = [
            one for block in offer["blocks"] for one in block.get("elements") or () if one.get("type") == "button"
        ]
        await files.sandbox.press("ada", "#general", offer["ts"], button["action_id"])
        await files.sandbox.wait_for_message(
            lambda m: m.get("metadata") and "I read 2 files" in get_text(m), channel="@kvasir"
        )
        assert [one.chunks[-1].text for one in files.last.materials] == ["@Kvasir when do we sail?", "We sail in May."]
