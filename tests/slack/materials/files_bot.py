"""A bot that reads real files, in a sandbox."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.answering.events import AnswerEvent, Passage, Question, Sources, Text
from bot.config.configuration import Access
from knowledge.interfaces import MaterialOrigin
from knowledge.materials import MaterialLoader
from tests.slack.running_bot import RunningBot, get_text, make_finished, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox


async def cite_file(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Answer with the number of files and a citation of the last page of the first one."""
    cited = []
    for material in question.materials[:1]:
        place = len(material.chunks) - 1
        origin = MaterialOrigin(material.kind, material.pages[place], place)
        title = f"{material.title}, page {material.pages[place]}"
        text = material.chunks[place].text
        cited.append(Passage(1, "", material.id, title, "", material.url, text, material=origin))
    yield Sources(tuple(cited))
    yield Text(f"I read {len(question.materials)} files [1]. That is all.", tuple(cited))
    yield replace(make_finished(*cited), search_query=question.text)


class CountingReader(MaterialLoader):
    """A reader that counts the files that it parses."""

    def __init__(self) -> None:
        super().__init__(lambda text: len(text.split()))
        self.parsed: list[str] = []

    async def read_file(self, id_: str, name: str, data: bytes, media_type: str | None = None) -> Any:
        self.parsed.append(name)
        return await super().read_file(id_, name, data, media_type)


class FilesBot:
    def __init__(self, sandbox: SandboxClient, bot: RunningBot, reader: CountingReader) -> None:
        self.sandbox, self.bot, self.reader = sandbox, bot, reader

    async def send(
        self,
        text: str,
        files: Mapping[str, bytes],
        *,
        person: str = "ada",
        channel: str = "#general",
        thread_ts: str | None = None,
    ) -> str:
        encoded = [{"name": name, "base64": base64.b64encode(data).decode()} for name, data in files.items()]
        said = {"person": person, "channel": channel, "text": text, "files": encoded, "thread_ts": thread_ts}
        return str((await self.sandbox.control("POST", "say", said))["ts"])

    async def wait_for_text(self, root: str, contains: str, channel: str = "#general") -> str:
        return get_text(await self.bot.wait_for_answer(root, contains, channel))

    @property
    def last(self) -> Question:
        return self.bot.answerer.questions[-1]

    def list_given(self) -> list[tuple[str, bool]]:
        return [(one.title, one.is_given) for one in self.last.materials]


@contextlib.asynccontextmanager
async def run_files_bot(tmp_path: Path, **more: Any) -> AsyncIterator[FilesBot]:
    reader = CountingReader()
    dependencies = {"materials": reader, "access": Access(frozenset({"U0ADA00001"})), **more}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, script=cite_file, dependencies=dependencies) as bot,
    ):
        yield FilesBot(sandbox, bot, reader)
    await reader.close()
