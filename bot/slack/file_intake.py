"""Files that an owner sends the bot in a direct message become documents: kept, read at once, and told of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.answering.events import AnswerEvent, Finished, Notice, Text
from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.slack import texts
from bot.slack.posting import render
from bot.slack.transport.file_download import FileRefused, download_file
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.questions import QuestionMessage
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sources.uploads.upload_store import UploadResult, parse_document_name

_log = structlog.get_logger("kvasir.intake")

_SYNC_WAIT_S = 600.0
"""How long a sync that is running is waited for."""
_MAX_FILES = 10
"""Files of one message, which is what Slack's own composer takes."""


class FileIntake:
    """Takes files of direct messages in."""

    def __init__(self, api: SlackWebApi, client: AsyncWebClient, adding: DocumentAdditions, access: Access) -> None:
        self._api = api
        self._client = client
        self._adding = adding
        self._access = access

    def takes(self, message: QuestionMessage) -> bool:
        """Tell whether the files of a message become documents."""
        return self.may_be_given(message) and self._access.is_owner(message.user)

    def may_be_given(self, message: QuestionMessage) -> bool:
        """Tell whether files that hang on a message may be meant to be added: it is said to the bot alone."""
        return bool(message.files) and message.is_direct and message.key.channel.startswith("D")

    @property
    def owners(self) -> Collection[str]:
        """Return the ids of those whose files are taken."""
        return self._access.owners

    def refusal(self, names: Mapping[str, str], addressee: texts.Addressee) -> str:
        """Say to somebody who is no owner why files are not added; ``names`` are the owners' by id."""
        if not self._access.owners:
            return texts.NO_OWNERS.to(addressee)
        owners = ", ".join(sorted(names.get(owner, owner) for owner in self._access.owners)[:5])
        return texts.NOT_AN_OWNER.to(addressee).format(owners=owners)

    async def answer(
        self, message: QuestionMessage, text: str, addressee: texts.Addressee
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Add a message's files; yields what the person is told, as it happens.

        Raises:
            SlackError: the message cannot be read.

        """
        kept: dict[str, UploadResult] = {}
        files = await self._files(message)
        for file in files[:_MAX_FILES]:
            try:
                name, put = await self._kept(file, message.user)
            except (FileRefused, KnowledgeError) as error:
                yield Text(f"- {render.escape_markdown(str(error))}\n")
                continue
            kept[name] = put
            yield Text(f"- {texts.FILE_RESULTS[put].to(addressee).format(name=render.escape_markdown(name))}\n")
        if len(files) > _MAX_FILES:
            yield Notice(texts.TOO_MANY_FILES.to(addressee).format(count=_MAX_FILES))
        if kept:
            yield Text(f"\n{await self._taken_in(kept, addressee)}")
        if text:
            yield Notice(texts.TEXT_IGNORED.to(addressee))
        yield Finished("files", (), {})

    async def _files(self, message: QuestionMessage) -> Sequence[Mapping[str, Any]]:
        """Ask Slack for the message's files: a restart, too, finds them so."""
        ts = message.key.ts
        target: dict[str, Any] = {"channel": message.key.channel, "oldest": ts, "latest": ts, "inclusive": "true"}
        if message.opens_thread:
            page = await self._api.call("conversations.history", limit=1, **target)
        else:
            page = await self._api.call("conversations.replies", ts=message.thread_ts, **target)
        found: Mapping[str, Any] = next((m for m in page.get("messages") or () if str(m.get("ts")) == ts), {})
        return [file for file in found.get("files") or () if isinstance(file, dict)]

    async def _kept(self, file: Mapping[str, Any], user: str) -> tuple[str, UploadResult]:
        name = parse_document_name(str(file.get("name") or ""))
        data = await download_file(self._client, file, self._adding.store.max_bytes)
        title = str(file.get("title") or "")
        kept = await self._adding.store_document(name, data, by=user, title=title if title not in {"", name} else None)
        _log.info("document added", user=user, document=kept.name, put=kept.result.value, bytes=len(data))
        return kept.name, kept.result

    async def _taken_in(self, kept: Mapping[str, UploadResult], addressee: texts.Addressee) -> str:
        try:
            failed = await self._adding.sync_documents(kept, patience_s=_SYNC_WAIT_S)
        except SyncRunning:
            return texts.SEARCHABLE_LATER.to(addressee)
        except KnowledgeError as error:
            return f"{texts.SEARCHABLE_LATER.to(addressee)} {render.escape_markdown(str(error))}"
        lines = [f"- {render.escape_markdown(reason)}" for reason in failed.values()]
        found = [name for name in kept if name not in failed]
        if found:
            named = ", ".join(render.escape_markdown(name) for name in found)
            lines.insert(
                0,
                texts.FILES_SEARCHABLE.to(addressee).format(
                    names=named, source=render.escape_markdown(self._adding.source)
                ),
            )
        return "\n".join(lines)
