"""Handles the files of a message, and a message that has no text."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from bot.answering.events import AnswerEvent
from bot.languages.registry import Language
from bot.messages import replies
from bot.messages.forms import files
from bot.messages.message import render_message
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.text import render
from bot.slack.wire.transport.file_download import is_image
from bot.storage.turns.questions import QuestionMessage


class MessageFiles:
    """Offers owners to store their files, and explains how to ask about a file."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def offer_storage(self, message: QuestionMessage, language: Language) -> AsyncGenerator[AnswerEvent, None] | None:
        """Return the answer that offers to store a message's files; None if it asks something or may not store them."""
        if self._shared.intake is None or not self._shared.intake.accepts_message(message):
            return None
        return self._shared.intake.ask_for_readers(message, language)

    async def explain_missing_text(self, message: QuestionMessage, reply: AnswerReply) -> None:
        """Say how to ask, or what files without text lack: to all in a direct message, else to the asker alone.

        Raises:
            SlackError: Slack refuses it.

        """
        if not message.files:
            await reply.show_sentence(render_message(replies.EMPTY_QUESTION, reply.language))
            return
        sentence = await self._explain_files(message, reply)
        if message.key.channel.startswith("D") or not await self._send_sentence(message, sentence):
            await reply.show_sentence(sentence)
        else:
            await reply.clear_status()

    async def _send_sentence(self, message: QuestionMessage, sentence: str) -> bool:
        """Send a sentence to the asker alone; return False if Slack refuses it."""
        key, thread_ts = message.key, None if message.opens_thread else message.thread_ts
        try:
            await self._shared.messenger.send_message(
                key.channel, message.user, render.escape_mrkdwn(sentence), thread_ts=thread_ts
            )
        except SlackError:
            return False
        return True

    async def _explain_files(self, message: QuestionMessage, reply: AnswerReply) -> str:
        try:
            attached = await self._shared.threads.fetch_files(message)
        except SlackError:  # the kind of the files only chooses the words
            attached = []
        are_images = attached and not self._shared.reads_pictures and all(is_image(file) for file in attached)
        return render_message(files.IMAGE_ALONE if are_images else files.FILE_ALONE, reply.language)
