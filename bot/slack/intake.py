"""Files that an owner sends the bot in a direct message become documents: kept, read at once, and told of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.answering.events import AnswerEvent, Finished, Notice, Text
from bot.config.configuration import Access
from bot.document_additions import Adding
from bot.slack import words
from bot.slack.posting import render
from bot.slack.transport.calls import Calls
from bot.slack.transport.files import FileRefused, fetch
from bot.storage.questions import Asked
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sources.uploads.upload_store import UploadResult, parse_document_name

_log = structlog.get_logger("kvasir.intake")

_PATIENCE_S = 600.0
"""How long a sync that is running is waited for."""
_AT_ONCE = 10
"""Files of one message, which is what Slack's own composer takes."""


class Intake:
    """Takes files of direct messages in."""

    def __init__(self, calls: Calls, client: AsyncWebClient, adding: Adding, access: Access) -> None:
        self._calls = calls
        self._client = client
        self._adding = adding
        self._access = access

    def takes(self, asked: Asked) -> bool:
        """Tell whether the files of a message become documents."""
        return self.may_be_given(asked) and self._access.is_owner(asked.user)

    def may_be_given(self, asked: Asked) -> bool:
        """Tell whether files that hang on a message may be meant to be added: it is said to the bot alone."""
        return bool(asked.files) and asked.direct and asked.key.channel.startswith("D")

    @property
    def owners(self) -> Collection[str]:
        """Return the ids of those whose files are taken."""
        return self._access.owners

    def refusal(self, names: Mapping[str, str], listener: words.Listener) -> str:
        """Say to somebody who is no owner why files are not added; ``names`` are the owners' by id."""
        if not self._access.owners:
            return words.NO_OWNERS.to(listener)
        owners = ", ".join(sorted(names.get(owner, owner) for owner in self._access.owners)[:5])
        return words.NOT_AN_OWNER.to(listener).format(owners=owners)

    async def answer(self, asked: Asked, text: str, listener: words.Listener) -> AsyncGenerator[AnswerEvent, None]:
        """Add a message's files; yields what the person is told, as it happens.

        Raises:
            SlackError: the message cannot be read.

        """
        kept: dict[str, UploadResult] = {}
        files = await self._files(asked)
        for file in files[:_AT_ONCE]:
            try:
                name, put = await self._kept(file, asked.user)
            except (FileRefused, KnowledgeError) as error:
                yield Text(f"- {render.plain(str(error))}\n")
                continue
            kept[name] = put
            yield Text(f"- {words.KEPT[put].to(listener).format(name=render.plain(name))}\n")
        if len(files) > _AT_ONCE:
            yield Notice(words.TOO_MANY_FILES.to(listener).format(count=_AT_ONCE))
        if kept:
            yield Text(f"\n{await self._taken_in(kept, listener)}")
        if text:
            yield Notice(words.TEXT_BESIDE_FILES.to(listener))
        yield Finished("files", (), {})

    async def _files(self, asked: Asked) -> Sequence[Mapping[str, Any]]:
        """Ask Slack for the message's files: a restart, too, finds them so."""
        ts = asked.key.ts
        place: dict[str, Any] = {"channel": asked.key.channel, "oldest": ts, "latest": ts, "inclusive": "true"}
        if asked.opens_thread:
            page = await self._calls.call("conversations.history", limit=1, **place)
        else:
            page = await self._calls.call("conversations.replies", ts=asked.thread_ts, **place)
        found: Mapping[str, Any] = next((m for m in page.get("messages") or () if str(m.get("ts")) == ts), {})
        return [file for file in found.get("files") or () if isinstance(file, dict)]

    async def _kept(self, file: Mapping[str, Any], user: str) -> tuple[str, UploadResult]:
        name = parse_document_name(str(file.get("name") or ""))
        data = await fetch(self._client, file, self._adding.tray.max_bytes)
        title = str(file.get("title") or "")
        kept = await self._adding.keep(name, data, by=user, title=title if title not in {"", name} else None)
        _log.info("document added", user=user, document=kept.name, put=kept.put.value, bytes=len(data))
        return kept.name, kept.put

    async def _taken_in(self, kept: Mapping[str, UploadResult], listener: words.Listener) -> str:
        try:
            failed = await self._adding.take_in(kept, patience_s=_PATIENCE_S)
        except SyncRunning:
            return words.FOUND_LATER.to(listener)
        except KnowledgeError as error:
            return f"{words.FOUND_LATER.to(listener)} {render.plain(str(error))}"
        lines = [f"- {render.plain(reason)}" for reason in failed.values()]
        found = [name for name in kept if name not in failed]
        if found:
            named = ", ".join(render.plain(name) for name in found)
            lines.insert(0, words.FOUND_NOW.to(listener).format(names=named, source=render.plain(self._adding.source)))
        return "\n".join(lines)
