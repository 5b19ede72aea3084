"""Reads what comes with a question: its files, those of its thread, and the messages that it is about."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bot.messages import replies
from bot.messages.errors import explain_error
from bot.slack.conversations.thread_loader import ThreadMessage
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import ReadMaterials, ThreadFiles
from bot.slack.wire.errors import SlackError
from bot.storage.turns.questions import QuestionKey, QuestionMessage, Subject

_log = structlog.get_logger("kvasir.materials")


class QuestionMaterials:
    """Reads materials for answers."""

    def __init__(self, files: ThreadFiles, quoted: QuotedMessages) -> None:
        self._files = files
        self.quoted = quoted

    async def read_materials(
        self, message: QuestionMessage, text: str, thread: Sequence[ThreadMessage]
    ) -> ReadMaterials:
        """Return the materials of a question; ``thread`` has the messages before it.

        Raises:
            AudienceRefused: the asker cannot see the message that the question is about.

        """
        subject = message.subject or next((one.subject for one in thread if one.subject), None)
        try:
            read = await self._files.read_files(message, text, thread)
            if subject is None:
                return read
            quoted = await self.quoted.fetch_messages(message.user, subject)
            about = QuestionMessage(message.key, subject.ts, message.user, text)
            attached = await self._files.read_files(about, text, quoted, channel=subject.channel)
            messages = await self.quoted.read_messages(subject, quoted)
        except SlackError as error:
            _log.warning("materials not read", channel=message.key.channel, error=str(error))
            return ReadMaterials((), (explain_error(error),))
        return ReadMaterials(
            (*read.materials, *messages, *attached.materials),
            (*read.notices, *attached.notices),
            (*read.unread, *attached.unread),
        )

    async def read_message(self, user: str, subject: Subject) -> ReadMaterials:
        """Return the files of one message, or its text if it has none, for a person who may see it.

        Raises:
            AudienceRefused: the person cannot see it, or it was deleted.
            SlackError: Slack cannot be reached.

        """
        here = [one for one in await self.quoted.fetch_messages(user, subject) if one.ts == subject.ts]
        if not any(one.files for one in here):
            return ReadMaterials(await self.quoted.read_messages(subject, here))
        key = QuestionKey(self.quoted.team, subject.channel, subject.ts)
        about = QuestionMessage(key, subject.thread_ts, user, "", files=sum(len(one.files) for one in here))
        return await self._files.read_files(about, "", ())


async def read_materials(
    reader: QuestionMaterials | None, message: QuestionMessage, text: str, thread: Sequence[ThreadMessage]
) -> ReadMaterials:
    """Return the materials of a question that has words; without a reader, say that files are ignored.

    Raises:
        AudienceRefused: as ``QuestionMaterials.read_materials``.

    """
    if not text:
        return ReadMaterials()
    if reader is None:
        return ReadMaterials((), (replies.FILES_IGNORED,) if message.files else ())
    return await reader.read_materials(message, text, thread)
