"""A bot that applies the shipped profiles to real files; only the servers of Slack and of the model are fakes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.answering.answer import Answerer
from bot.answering.limits import Limits
from bot.answering.retrieval.retriever import Search
from bot.audit.audited_profiles import AuditedProfiles
from bot.audit.entries import AuditEntry
from bot.profiles.checklist.reviewer import Reviewer
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.notes.writer import NoteWriter
from bot.profiles.registry import Profiles
from tests.answering.conftest import Room
from tests.engine.fakes import FakeSglang, fake_sglang, ready_engine
from tests.profiles.documents import SearchingLibrary
from tests.slack.materials.files_bot import FilesBot, run_files_bot
from tests.slack.running_bot import get_text

PEOPLE = {"ada": "U0ADA00001", "chen": "U0CHEN0003"}


class AuditList:
    """An audit in memory."""

    lost = 0

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:
        del required
        self.entries.append(entry)


@dataclass
class ProfilesBot:
    """A running bot and what its tests change or read."""

    files: FilesBot
    fake: FakeSglang
    home: Path
    audit: AuditList = field(default_factory=AuditList)

    async def open_modal(self, ts: str, channel: str = "#general", person: str = "ada") -> dict[str, Any]:
        await self.files.sandbox.shortcut(person, "extract_values", channel=channel, ts=ts)
        return await self.files.sandbox.wait_for_modal(PEOPLE[person], "contract")

    async def submit(self, view: dict[str, Any], profile: str = "contract", person: str = "ada") -> None:
        chosen = {"type": "static_select", "selected_option": {"value": profile}}
        await self.files.sandbox.submit(person, view["id"], {"profile": {"profile": chosen}})

    async def use_shortcut(self, ts: str, profile: str = "contract") -> None:
        await self.submit(await self.open_modal(ts), profile)

    async def wait_for_result(self, contains: str, person: str = "ada") -> dict[str, Any]:
        return await self.files.sandbox.wait_for_message(
            lambda m: m.get("bot_id") and contains in get_text(m) + str(m.get("blocks")),
            channel="@kvasir",
            person=person,
        )

    async def wait_for_refusal(self, view: dict[str, Any], refusal: str) -> None:
        """Wait until a modal stays open with a reason."""
        read = self.files.sandbox.view
        await self.files.sandbox.wait_until(lambda: refusal in str(read(view["id"]).get("errors")), what=refusal)


@contextlib.asynccontextmanager
async def run_profiles_bot(tmp_path: Path, model: str = "", **dependencies: Any) -> AsyncIterator[ProfilesBot]:
    """Run the bot; the model is a small one without ``model``."""
    library, audit = SearchingLibrary(), AuditList()
    async with contextlib.AsyncExitStack() as stack:
        fake = await stack.enter_async_context(fake_sglang())
        fake.model = model or fake.model
        engine = await stack.enter_async_context(ready_engine(fake.url, tmp_path / "engine"))

        def create_answerer(search: Search) -> Answerer:
            limits = replace(Limits(), unsupported="drop")
            return Answerer(search, engine, Room.new_checker, limits=limits)

        profiles = AuditedProfiles(
            library,
            Profiles(tmp_path / "profiles"),
            Extractor(engine),
            Reviewer(engine),
            NoteWriter(library, create_answerer),
            audit,
        )
        files = await stack.enter_async_context(run_files_bot(tmp_path, document_profiles=profiles, **dependencies))
        yield ProfilesBot(files, fake, tmp_path, audit)
    await library.materials.close()
