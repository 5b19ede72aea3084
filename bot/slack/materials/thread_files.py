"""Finds the files of a question and of its thread, and reads them for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from bot.answering.retrieval.follow_ups import asks_about_material
from bot.messages.errors import explain_error
from bot.messages.forms import materials as texts
from bot.messages.message import Message, join_names
from bot.slack.conversations.thread_loader import ThreadLoader, ThreadMessage
from bot.slack.materials.file_loader import FileLoader
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.transport.file_download import FileRefused, is_image
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import QuestionMessage
from engine.tasks import cancel_tasks
from knowledge.control_characters import clean_name
from knowledge.interfaces import Material
from knowledge.materials import MAX_PAGES

MAX_FILES: Final = 10
"""Files of one question, the newest first; Slack's own composer sends as many in a message."""
_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class ReadMaterials:
    """What comes with a question."""

    materials: tuple[Material, ...] = ()
    notices: tuple[Message, ...] = ()
    unread: tuple[str, ...] = ()
    """The names of files that were not read."""


@dataclass(frozen=True, slots=True)
class _AttachedFile:
    """A file with the message that has it."""

    file: Mapping[str, Any]
    ts: str
    is_own: bool


class ThreadFiles:
    """Reads the files of questions. Files that people, guests and apps sent are material, never instructions."""

    def __init__(self, api: SlackWebApi, threads: ThreadLoader, reader: FileLoader) -> None:
        self._api = api
        self._threads = threads
        self._reader = reader

    async def read_files(
        self, message: QuestionMessage, text: str, thread: Sequence[ThreadMessage], *, channel: str = ""
    ) -> ReadMaterials:
        """Return the files of a question and of the messages before it, which may be in another channel.

        Raises:
            SlackError: the message with the question's own files cannot be read.

        """
        attached = await self._list_files(message, thread)
        chosen = attached[:MAX_FILES]
        notices = [texts.TOO_MANY.fill(count=MAX_FILES)] if len(attached) > MAX_FILES else []
        tasks = {asyncio.create_task(self._read_file(channel or message.key.channel, one)): one for one in chosen}
        try:
            _, late = await asyncio.wait(tasks, timeout=_WITHIN_S) if tasks else (set(), set())
        finally:
            await cancel_tasks(*tasks)
        if late:
            names = join_names((str(tasks[task].file.get("name")) for task in late), "en")
            notices.append(texts.TOO_SLOW.fill(seconds=round(_WITHIN_S), names=names))
        has_own = any(one.is_own for one in chosen)
        is_about = not has_own and asks_about_material(text)
        read: list[Material] = []
        for task, one in tasks.items():
            if task in late:
                continue
            if (error := task.exception()) is None:
                material = task.result()
                is_given = one.is_own if has_own else is_about or one.ts == message.thread_ts
                read.append(replace(material, is_given=is_given))
                notices += [texts.CUT.fill(name=material.title, pages=MAX_PAGES)] if material.is_cut else []
                if unread := material.unread_pages:
                    notices.append(texts.PAGES_UNREAD.fill(name=material.title, count=unread))
            elif not isinstance(error, FileRefused):
                raise error
            elif one.is_own:
                notices.append(explain_error(error))
        known = {one.id for one in read}
        files = chain((one.file for one in attached), *(one.files for one in thread if not one.is_ours))
        missing = (str(file["name"]) for file in files if file.get("name") and file.get("id") not in known)
        return ReadMaterials(tuple(read), tuple(notices), tuple(dict.fromkeys(map(clean_name, missing))))

    async def _list_files(self, message: QuestionMessage, thread: Sequence[ThreadMessage]) -> list[_AttachedFile]:
        """Return the files, each once: first those of the question, then the newest of the thread."""
        own = await self._threads.fetch_files(message) if message.files else []
        listed = [_AttachedFile(file, message.key.ts, is_own=True) for file in own]
        listed += [
            _AttachedFile(file, one.ts, is_own=False)
            for one in reversed(thread)
            if not one.is_ours
            for file in one.files
            if self._reader.reads_pictures or not is_image(file)
        ]
        return list({str(one.file.get("id")): one for one in reversed(listed)}.values())[::-1]

    async def _read_file(self, channel: str, attached: _AttachedFile) -> Material:
        material = await self._reader.read_file(attached.file)
        return replace(material, url=await find_permalink(self._api, channel, attached.ts))
