"""Creates, shares and deletes the canvases and files of answers.

Only the people of the answer's conversation may read them. Each is stored with its question before anybody may read it,
so that it is deleted with the answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.tasks import run_despite_cancellation
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.answer_documents import AnswerDocument, AnswerDocuments, DocumentKind
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

Upload = Callable[[str, bytes], Awaitable[bool]]
"""Sends the content of a file to an address of Slack; returns False if that fails."""

_CLEANUP_TIMEOUT_S = 5.0


class DocumentPublisher:
    """The documents of answers in Slack."""

    def __init__(self, api: SlackWebApi, upload: Upload, documents: AnswerDocuments) -> None:
        self._api = api
        self._upload = upload
        self._documents = documents

    async def list_documents(self, key: QuestionKey) -> list[AnswerDocument]:
        """Return the documents of an answer. Raises ``DatabaseError``."""
        return list(await self._documents.list_documents(key))

    async def publish_canvas(self, message: QuestionMessage, title: str, markdown: str) -> str | None:
        """Return the address of a new canvas that the conversation may read; None if Slack refuses one."""
        document = await self._create_canvas(message.key, title, markdown)
        if document is None:
            return None
        channel = message.key.channel
        readers: dict[str, Any] = {"user_ids": message.user} if channel.startswith("D") else {"channel_ids": channel}
        try:
            await self._api.call("canvases.access.set", canvas_id=document.id, access_level="read", **readers)
            return await self._find_address(document)
        except SlackError as error:
            _log.info("canvas not shared", channel=channel, error=str(error))
            await self.delete_documents(message.key, [document])
            return None

    async def _create_canvas(self, key: QuestionKey, title: str, markdown: str) -> AnswerDocument | None:
        """Create and store a canvas, also if the task is cancelled meanwhile: Slack may have created it."""

        async def create_canvas() -> AnswerDocument | None:
            content = {"type": "markdown", "markdown": markdown}
            try:
                created = await self._api.call("canvases.create", title=title, document_content=content)
            except SlackError as error:
                _log.info("canvas not created", channel=key.channel, error=str(error))
                return None
            document = AnswerDocument(str(created["canvas_id"]), DocumentKind.CANVAS)
            return document if await self._store_document(key, document) else None

        return await run_despite_cancellation(create_canvas(), _CLEANUP_TIMEOUT_S)

    async def _store_document(self, key: QuestionKey, document: AnswerDocument) -> bool:
        """Store a document; delete it and return False if that fails, because nobody would delete it later."""
        try:
            await self._documents.add_document(key, document)
        except DatabaseError as error:
            _log.warning("document not stored", channel=key.channel, error=str(error))
            await self._delete_document(document)
            return False
        return True

    async def publish_file(self, message: QuestionMessage, name: str, text: str) -> str | None:
        """Return the address of a new file in the answer's thread; None if Slack refuses it."""
        data = text.encode()
        try:
            place = await self._api.call("files.getUploadURLExternal", filename=name, length=len(data))
            document = AnswerDocument(str(place["file_id"]), DocumentKind.FILE)
            if not await self._upload(str(place["upload_url"]), data) or not await self._store_document(
                message.key, document
            ):
                return None
            await self._api.call(
                "files.completeUploadExternal",
                files=json.dumps([{"id": document.id, "title": name}]),
                channel_id=message.key.channel,
                thread_ts=message.thread_ts,
            )
            return await self._find_address(document)
        except SlackError as error:
            _log.info("file not shared", channel=message.key.channel, error=str(error))
            return None

    async def _find_address(self, document: AnswerDocument) -> str:
        answer = await self._api.call("files.info", file=document.id)
        return str(answer["file"]["permalink"])

    async def delete_documents(self, key: QuestionKey, documents: Iterable[AnswerDocument]) -> bool:
        """Delete documents of an answer; return False if Slack failed. What failed stays stored."""
        is_complete = True
        for document in documents:
            if await self._delete_document(document):
                await self._documents.remove_document(key, document)
            else:
                is_complete = False
        return is_complete

    async def _delete_document(self, document: AnswerDocument) -> bool:
        try:
            if not await delete_document(self._api, document):
                _log.warning("document stays", kind=document.kind)
        except SlackError as error:
            _log.warning("document not deleted", kind=document.kind, error=str(error))
            return False
        return True


async def delete_document(api: SlackWebApi, document: AnswerDocument) -> bool:
    """Delete a canvas or a file; return False if Slack does not allow it, True also if it was deleted before.

    Raises:
        SlackError: Slack fails.

    """
    try:
        if document.kind is DocumentKind.CANVAS:
            await api.call("canvases.delete", canvas_id=document.id)
        else:
            await api.call("files.delete", file=document.id)
    except (SlackGone, SlackRefused) as error:
        return error.code in {"canvas_not_found", "file_not_found"}
    return True
