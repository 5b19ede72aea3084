"""Tells the asker why there is no answer, if Slack does not let the bot post it."""

from __future__ import annotations

from bot.messages.message import render_message
from bot.messages.undelivered import explain_refused_post
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.storage.turns.questions import QuestionMessage

_DELETED_CODES = {"message_not_found", "thread_not_found", "cannot_reply_to_message"}
"""What Slack also says if the question itself was deleted."""


class UndeliveredAnswers:
    """Explains refused posts to askers: in the thread, in the channel, or in their direct messages."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def explain_refusal(
        self, message: QuestionMessage, refusal: SlackGone | SlackRefused, reply: AnswerReply
    ) -> None:
        """Tell the asker the reason and the next step, unless nobody asked or the question is deleted."""
        if message.is_unasked or (refusal.code in _DELETED_CODES and await self._is_deleted(message)):
            return
        text = render_message(explain_refused_post(refusal.code, message.key.channel), reply.language)
        is_thread_visible = bool(reply.replies) or not message.opens_thread
        await self._shared.messenger.reach_person(
            message.key.channel, message.user, text, thread_ts=message.thread_ts if is_thread_visible else None
        )

    async def _is_deleted(self, message: QuestionMessage) -> bool:
        try:
            return (
                await self._shared.threads.fetch_message(message.key.channel, message.thread_ts, message.key.ts) is None
            )
        except SlackError:
            return False
