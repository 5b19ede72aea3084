"""The buttons under a file: its sender chooses who may find it, which stores it as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.messages.errors import explain_error
from bot.messages.forms import buttons, files
from bot.messages.message import Message, render_message
from bot.slack.materials.file_intake import FileIntake, format_origin
from bot.slack.people.accounts import ChannelKind
from bot.slack.people.directory import SlackDirectory
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sources.uploads.upload_store import get_plain_name

_log = structlog.get_logger("kvasir.intake")

_SYNC_WAIT_S = 600.0
"""How long a change waits for a sync that is running."""
_EVERYBODY = "everybody"


class FileReadersAction:
    """Stores the files of a message for some readers, or changes the readers of stored ones.

    The record of a file names its sender and its message.
    """

    action_id = "kvasir:file-readers"

    def __init__(
        self,
        adding: DocumentAdditions,
        intake: FileIntake,
        access: Access,
        directory: SlackDirectory,
        messenger: EphemeralMessenger,
    ) -> None:
        self._adding = adding
        self._intake = intake
        self._access = access
        self._directory = directory
        self._messenger = messenger

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the buttons and the menu of channels under files that may be stored."""
        if answer.finished.route != "files":
            return []
        ts, language = answer.question_ts, answer.language
        placeholder = {"type": "plain_text", "text": render_message(buttons.A_CHANNEL, language)}
        return [
            build_button(f"{self.action_id}:1", render_message(buttons.ONLY_ME, language), ts),
            {
                "type": "conversations_select",
                "action_id": f"{self.action_id}:{ts.replace('.', '')}",
                "placeholder": placeholder,
                "filter": {"include": ["public", "private"], "exclude_bot_users": True},
            },
            build_button(f"{self.action_id}:2", render_message(buttons.EVERYBODY, language), f"{_EVERYBODY} {ts}"),
        ]

    async def run(self, press: ButtonPress) -> None:
        """Store the files, or change their readers; tell the person what counts now, or why nothing changes."""
        try:
            outcome = await self._change_readers(press)
        except SyncRunning:
            outcome = files.CHANGED_LATER
        except (KnowledgeError, SlackError) as error:
            outcome = explain_error(error)
        await self._messenger.reply_to_press(press, outcome)

    async def _change_readers(self, press: ButtonPress) -> Message:
        user, channel = press.user, press.conversation
        is_for_all = press.value.startswith(_EVERYBODY)
        if is_for_all and not self._access.is_owner(user):
            return files.OWNERS_OPEN
        if channel and not await self._is_member(channel, user):
            return files.NOT_IN_CHANNEL
        ts = f"{press.value[:-6]}.{press.value[-6:]}" if channel else press.value.rpartition(" ")[2]
        readers = None if is_for_all else [user, channel] if channel else [user]
        origin = format_origin(press.channel, ts)
        names, remarks = await self._adding.change_readers(origin, sender=user, readers=readers), []
        if not names:
            remarks = list(await self._intake.store_files(press.channel, press.thread_ts, ts, user))
            names = await self._adding.change_readers(origin, sender=user, readers=readers)
        if not names:
            return _join_messages(remarks or [files.NOT_YOURS])
        _log.info("readers changed", user=user, documents=len(names), channel=channel, everybody=is_for_all)
        failed = await self._adding.sync_documents(names, patience_s=_SYNC_WAIT_S)
        if failed:
            return _join_messages([*remarks, *failed.values()])
        outcome = files.NOW_FOR_EVERYBODY if is_for_all else files.NOW_FOR_CHANNEL if channel else files.NOW_FOR_SENDER
        plain_names = ", ".join(get_plain_name(name) for name in names)
        return _join_messages([*remarks, outcome.fill(names=plain_names, source=self._adding.source)])

    async def _is_member(self, channel: str, user: str) -> bool:
        found = await self._directory.find_channel(channel)
        if found is None or found.kind not in {ChannelKind.PUBLIC, ChannelKind.PRIVATE}:
            return False
        return user in (await self._directory.list_members(channel) or ())


def _join_messages(messages: Sequence[Message]) -> Message:
    """Return several sentences as one text."""
    first, *others = messages
    for other in others:
        first = Message("{first} {other}", "{first}{other}").fill(first=first, other=other)
    return first
