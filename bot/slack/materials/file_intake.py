"""Offers owners to store the files of their direct messages, and stores them once the owner has chosen for whom."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.answering.events import AnswerEvent, Finished, Notice, Text
from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.languages.registry import Language
from bot.messages.errors import explain_error
from bot.messages.forms import files
from bot.messages.message import Message, join_names, render_message
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.wire.text import render
from bot.slack.wire.transport.file_download import FileRefused, download_file, is_image
from bot.storage.turns.questions import QuestionMessage
from knowledge.control_characters import clean_name
from knowledge.errors import KnowledgeError
from knowledge.sources.uploads.upload_store import parse_document_name

_log = structlog.get_logger("kvasir.intake")

_MAX_FILES = 10
"""Files of one message; Slack's own composer has the same limit."""
_MENTION = re.compile(r"<@[A-Z0-9]+>")


class FileIntake:
    """Stores the files of direct messages as documents."""

    def __init__(
        self,
        client: AsyncWebClient,
        adding: DocumentAdditions,
        access: Access,
        threads: ThreadLoader,
        *,
        reads_pictures: bool = False,
    ) -> None:
        """``reads_pictures``: whether a question about a picture is answered; pictures are never stored."""
        self._reads_pictures = reads_pictures
        self._client = client
        self._adding = adding
        self._access = access
        self._threads = threads

    def accepts_message(self, message: QuestionMessage) -> bool:
        """Return whether a message has only files, and its sender may store them."""
        is_file_alone = bool(message.files) and not _MENTION.sub("", message.text).strip()
        is_direct = message.is_direct and message.key.channel.startswith("D")
        return is_file_alone and is_direct and self._access.is_owner(message.user)

    async def ask_for_readers(self, message: QuestionMessage, language: Language) -> AsyncGenerator[AnswerEvent, None]:
        """Ask what the sender wants of the files; the buttons under it store them.

        Raises:
            SlackError: the message cannot be read.

        """
        attached = await self._threads.fetch_files(message)
        readable = [_get_name(file) for file in attached if not is_image(file)]
        for file in attached:
            if is_image(file):
                text = files.PICTURE_NOT_STORED if self._reads_pictures else files.IMAGE_REFUSED
                refusal = text.fill(name=_get_name(file))
                yield Text(f"- {render.escape_markdown(render_message(refusal, language))}\n")
        if readable:
            names = render.escape_markdown(join_names(readable[:_MAX_FILES], language))
            yield Text(render_message(files.OFFER, language, names=names))
        if len(readable) > _MAX_FILES:
            yield Notice(render_message(files.TOO_MANY, language, count=_MAX_FILES))
        yield Finished("files" if readable else "unknown", (), {})

    async def store_files(self, channel: str, thread_ts: str, ts: str, user: str) -> Sequence[Message]:
        """Store the files of a person's message for that person alone; return what is to be said about them.

        Raises:
            SlackError: the message cannot be read.

        """
        message = await self._threads.fetch_message(channel, thread_ts, ts)
        if message is None or message.user != user or message.app:
            return [files.NOT_YOURS]
        if not self._access.is_owner(user):
            return [files.OWNERS_ADD]
        remarks: list[Message] = []
        for file in [file for file in message.files if not is_image(file)][:_MAX_FILES]:
            try:
                remarks += await self._store_file(file, user, format_origin(channel, ts))
            except (FileRefused, KnowledgeError) as error:
                remarks.append(explain_error(error))
        return remarks

    async def _store_file(self, file: Mapping[str, Any], user: str, origin: str) -> Sequence[Message]:
        name = parse_document_name(_get_name(file))
        if await asyncio.to_thread(self._is_sent_again, name, user, origin):
            return [files.NOT_YOURS]
        data = await download_file(self._client, file, self._adding.store.max_bytes)
        title = clean_name(str(file.get("title") or ""))
        saved = await self._adding.store_message_file(
            name, data, sender=user, origin=origin, title=title if title not in {"", name} else None
        )
        _log.info("document added", user=user, source=self._adding.source, put=saved.result.value, bytes=len(data))
        remark = files.RESULTS.get(saved.result)
        return [] if remark is None else [remark.fill(name=name)]

    def _is_sent_again(self, name: str, user: str, origin: str) -> bool:
        """Return whether a person has stored a file of this name from a newer message."""
        records = self._adding.store.list_records()
        mine = [one.origin or "" for one in records if (one.plain_name, one.added_by) == (name, user)]
        return any(one.rpartition(":")[0] == origin.rpartition(":")[0] and one > origin for one in mine)


def _get_name(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or "")


def format_origin(channel: str, ts: str) -> str:
    """Return the name of a message, as the record of a file has it."""
    return f"{channel}:{ts}"
