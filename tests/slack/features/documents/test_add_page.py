"""Tests of the button "Add this page", with which an owner makes a cited page a document."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.answering.events import AnswerEvent, Finished, Passage, Question, Sources, Text
from bot.config.configuration import Access
from bot.languages.registry import LANGUAGES
from bot.page_additions import PageAdditions
from bot.slack.features.documents.add_page import build_page_buttons
from knowledge.interfaces import WebOrigin
from knowledge.settings import SourceSpec
from knowledge.sync.report import SourceReport, SyncReport
from tests.slack.running_bot import (
    FakeLibrary,
    make_library_status,
    make_source_status,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)
from tests.slack_sandbox import open_sandbox

URL = "https://news.example/port"
ON = WebOrigin("news.example", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC), stale=False)
PAGE = Passage(1, "", URL, "Port", "", URL, "The strike ends.", web=ON)
BESIDE = Passage(2, "", URL, "Port", "Ferries", URL, "Ferries run.", web=ON)


async def answer_with_pages(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PAGE, BESIDE))
    yield Text("The strike ends [1]. Ferries run [2]. That is all.", (PAGE, BESIDE))
    yield Finished("engine", (PAGE, BESIDE), {})


def list_buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    elements = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return [one for one in elements if one["action_id"] != "kvasir:answer-again"]


def make_page_library() -> FakeLibrary:
    library = FakeLibrary(report=SyncReport({"pages": SourceReport(listed=1, added=1)}, 0.1))
    library.state = make_library_status(make_source_status("pages", kind="pages"))
    return library


class RefreshedLibrary:
    """The methods of a library that ``PageAdditions`` uses."""

    def __init__(self, library: FakeLibrary) -> None:
        self._shelf = library

    async def refresh(self, source: str | None = None, on_progress: Any = None, *, approve: Any = None) -> SyncReport:
        return await self._shelf.refresh(source, on_progress=on_progress or print, approve=approve)

    async def status(self) -> Any:
        return await self._shelf.status()


@pytest.mark.parametrize("owner", ["U0ADA00001", "U0BO000002"])
async def test_only_owner_adds_cited_page(tmp_path: Path, owner: str) -> None:
    library = make_page_library()
    adding = PageAdditions(SourceSpec("pages", "pages", {}, tmp_path), tmp_path, RefreshedLibrary(library))
    dependencies = {"pages": adding, "access": Access(frozenset({owner}))}
    async with run_bot_in_sandbox(
        tmp_path, script=answer_with_pages, library=library, dependencies=dependencies
    ) as bot:
        root = await bot.ask("@Kvasir when?")
        message = await bot.wait_for_answer(root)
        (button,) = list_buttons(message)
        assert (button["text"]["text"], button["value"]) == ("Add this page [1]: news.example", URL)
        await bot.sandbox.press("ada", "#general", message["ts"], button["action_id"])
        reply = "Answers can now use" if owner == "U0ADA00001" else "Only an owner"
        await wait_for_ephemeral(bot, reply)
        urls = [page.url for page in await adding.list_pages()]
        assert urls == ([URL] if owner == "U0ADA00001" else [])
        if urls:
            await bot.sandbox.press("ada", "#general", message["ts"], button["action_id"])
            await wait_for_ephemeral(bot, "is already a document")
            assert library.refreshed == ["pages"]


async def test_page_button_needs_owners(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_pages) as bot:
        assert list_buttons(await bot.wait_for_answer(await bot.ask("@Kvasir when?"))) == []


def test_long_host_shows_its_end() -> None:
    """Slack's limit is 75 characters, and the owner of a domain chooses its subdomains."""
    host = f"bank.example.{'a' * 60}.evil.example"
    page = replace(PAGE, n=24, url=f"https://{host}/", web=replace(ON, host=host))
    for language in LANGUAGES:
        (button,) = build_page_buttons(Finished("engine", (page,), {}), language)
        assert len(button["text"]["text"]) <= 75
        assert button["text"]["text"].endswith("aaa.evil.example")
        assert "bank" not in button["text"]["text"]


async def test_log_of_added_page_omits_address(tmp_path: Path) -> None:
    url = f"{URL}?key=4711"
    page = replace(PAGE, url=url)

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("The strike ends [1]. That is all.")
        yield Finished("engine", (page,), {})

    library = make_page_library()
    adding = PageAdditions(SourceSpec("pages", "pages", {}, tmp_path), tmp_path, RefreshedLibrary(library))
    dependencies = {"pages": adding, "access": Access(frozenset({"U0ADA00001"}))}
    with capture_logs() as logged:
        async with run_bot_in_sandbox(tmp_path, script=script, library=library, dependencies=dependencies) as bot:
            message = await bot.wait_for_answer(await bot.ask("@Kvasir when?"))
            await bot.sandbox.press("ada", "#general", message["ts"], list_buttons(message)[0]["action_id"])
            await wait_for_ephemeral(bot, "Answers can now use")
    (line,) = [one for one in logged if one["event"] == "page added"]
    assert (line["user"], line["source"], line["new"]) == ("U0ADA00001", "pages", True)
    assert URL not in str(logged)


async def test_button_of_an_earlier_configuration_explains_itself(tmp_path: Path) -> None:
    adding = PageAdditions(SourceSpec("pages", "pages", {}, tmp_path), tmp_path, RefreshedLibrary(make_page_library()))
    dependencies = {"pages": adding, "access": Access(frozenset({"U0ADA00001"}))}
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, script=answer_with_pages, dependencies=dependencies) as bot:
            message = await bot.wait_for_answer(await bot.ask("@Kvasir when?"))
            (button,) = list_buttons(message)
            await bot.wait_until_idle()
        async with run_bot(sandbox, tmp_path) as bot:
            await sandbox.press("ada", "#general", message["ts"], button["action_id"])
            await wait_for_ephemeral(bot, "This button does not work any more")
