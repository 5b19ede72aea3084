"""Adds files that an owner sends in a direct message as documents, and reports the result in the reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.answering.events import AnswerEvent, Finished, Notice, Text
from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.messages import files
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.slack.posting import render
from bot.slack.transport.file_download import FileRefused, download_file, is_image
from bot.slack.turns.thread_reader import ThreadReader
from bot.storage.questions import QuestionMessage
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.language import Language
from knowledge.sources.uploads.upload_store import UploadResult, get_plain_name, parse_document_name

_log = structlog.get_logger("kvasir.intake")

_SYNC_WAIT_S = 600.0
"""How long an addition waits for a sync that is running."""
_MAX_FILES = 10
"""Files of one message; Slack's own composer has the same limit."""
_MAX_OWNERS = 5
"""Owners that a refusal names."""


class FileIntake:
    """Adds the files of direct messages as documents."""

    def __init__(
        self, client: AsyncWebClient, adding: DocumentAdditions, access: Access, threads: ThreadReader
    ) -> None:
        self._client = client
        self._adding = adding
        self._access = access
        self._threads = threads

    def accepts(self, message: QuestionMessage) -> bool:
        """Return whether the files of a message become documents."""
        return self.has_uploads(message) and self._access.is_owner(message.user)

    def has_uploads(self, message: QuestionMessage) -> bool:
        """Return whether a message sends files to the bot in a direct message."""
        return bool(message.files) and message.is_direct and message.key.channel.startswith("D")

    async def explain_refusal(self, language: Language) -> str:
        """Return why the files of a person who is not an owner are not added."""
        owners = self._access.owners
        if not owners:
            return render_message(files.NO_OWNERS, language)
        names = await self._threads.find_names(owners)
        listed = ", ".join(sorted(names.get(owner, owner) for owner in owners)[:_MAX_OWNERS])
        return render_message(files.NOT_AN_OWNER, language, owners=listed)

    async def answer(self, message: QuestionMessage, language: Language) -> AsyncGenerator[AnswerEvent, None]:
        """Add a message's files; yield the result of each.

        Raises:
            SlackError: the message cannot be read.

        """
        results: dict[str, UploadResult] = {}
        attached = await self._threads.fetch_files(message)
        for file in attached[:_MAX_FILES]:
            try:
                document, result = await self._save_file(file, message)
            except (FileRefused, KnowledgeError) as error:
                yield Text(f"- {render.escape_markdown(render_message(explain_error(error), language))}\n")
                continue
            results[document] = result
            name = render.escape_markdown(get_plain_name(document))
            yield Text(f"- {render_message(files.RESULTS[result], language, name=name)}\n")
        if len(attached) > _MAX_FILES:
            yield Notice(render_message(files.TOO_MANY, language, count=_MAX_FILES))
        if results:
            yield Text(f"\n{await self._index_files(results, language)}")
            yield Notice(render_message(files.FOR_SENDER, language))
        if await self._threads.read_question(message):
            yield Notice(render_message(files.TEXT_IGNORED, language))
        yield Finished("files" if results else "unknown", (), {})

    async def _save_file(self, file: Mapping[str, Any], message: QuestionMessage) -> tuple[str, UploadResult]:
        if is_image(file):
            raise FileRefused(files.IMAGE_REFUSED.fill(name=str(file.get("name") or "")))
        name = parse_document_name(str(file.get("name") or ""))
        data = await download_file(self._client, file, self._adding.store.max_bytes)
        title = str(file.get("title") or "")
        saved = await self._adding.store_message_file(
            name,
            data,
            sender=message.user,
            origin=format_origin(message.key.channel, message.key.ts),
            title=title if title not in {"", name} else None,
        )
        _log.info(
            "document added", user=message.user, source=self._adding.source, put=saved.result.value, bytes=len(data)
        )
        return saved.name, saved.result

    async def _index_files(self, results: Mapping[str, UploadResult], language: Language) -> str:
        """Wait until search finds the files; return which ones it finds, and the errors of the others."""
        try:
            failed = await self._adding.sync_documents(results, patience_s=_SYNC_WAIT_S)
        except SyncRunning:
            return render_message(files.SEARCHABLE_LATER, language)
        except KnowledgeError as error:
            reason = render.escape_markdown(render_message(explain_error(error), language))
            return f"{render_message(files.SEARCHABLE_LATER, language)} {reason}"
        lines = [f"- {render.escape_markdown(render_message(reason, language))}" for reason in failed.values()]
        searchable = [name for name in results if name not in failed]
        if searchable:
            names = ", ".join(render.escape_markdown(get_plain_name(name)) for name in searchable)
            source = render.escape_markdown(self._adding.source)
            lines.insert(0, render_message(files.SEARCHABLE, language, names=names, source=source))
        return "\n".join(lines)


def format_origin(channel: str, ts: str) -> str:
    """Return the name of a message, as the record of a file has it."""
    return f"{channel}:{ts}"
