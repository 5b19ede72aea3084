"""Creates the reply to a question, and tells the asker why Slack does not let the bot post it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bot.languages.registry import choose_language
from bot.messages.forms import channel_settings as texts
from bot.messages.message import render_message
from bot.messages.undelivered import explain_refused_post
from bot.slack.posting.buttons import AnswerButton
from bot.slack.posting.message_sink import ReplyTarget
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.events import make_readable
from bot.storage.turns.questions import LedgerTurn, QuestionMessage
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")


_DELETED_CODES = {"message_not_found", "thread_not_found", "cannot_reply_to_message"}
"""What Slack also says if the question itself was deleted."""


class ReplyFactory:
    """Creates replies that store the timestamps of their messages in the ledger."""

    def __init__(self, shared: SharedParts, buttons: Sequence[AnswerButton]) -> None:
        self._shared = shared
        self._buttons = buttons

    async def create_reply(self, turn: LedgerTurn) -> AnswerReply:
        """Return the reply to a question, in the language of the channel or of the question.

        Raises:
            DatabaseError: the settings of the channel, or where the answer may be shared, cannot be read.

        """
        message, key = turn.message, turn.message.key
        rule = await self._shared.rules.find_rule(key.channel)

        async def save_replies(replies: Sequence[str]) -> None:
            try:
                await self._shared.dependencies.ledger.note_replies(key, replies)
            except DatabaseError as error:  # after a crash, recovery finds the messages in the thread itself
                _log.warning("reply not noted", channel=key.channel, ts=key.ts, error=str(error))

        target = ReplyTarget(
            self._shared.api,
            self._shared.capabilities,
            key.channel,
            message.thread_ts,
            key.ts,
            message.user,
            self._shared.directory.find_workspace,
            language=rule.language or choose_language(make_readable(message.text, {}, me=self._shared.me.user)),
            revision=turn.revision,
            earlier=turn.replies if turn.revises else (),
            regenerates=turn.regenerates,
            is_unasked=message.is_unasked,
            share_name=await self._find_share_name(message),
            is_confidential=rule.guidance is not None,
        )
        reply = AnswerReply(target, self._buttons, save_replies=save_replies)
        if message.is_unasked:
            reply.add_notice(render_message(texts.UNASKED, target.language))
        return reply

    async def _find_share_name(self, message: QuestionMessage) -> str:
        """Return the name of the channel in which an answer may be shared, "" for none."""
        if not (message.is_direct and message.opens_thread):
            return ""
        share = await self._shared.shares.find_share(message.key)
        return share.target_name if share is not None else ""

    async def explain_refusal(
        self, message: QuestionMessage, refusal: SlackGone | SlackRefused, reply: AnswerReply
    ) -> None:
        """Tell the asker why there is no answer: in the thread, in the channel, or in the direct messages.

        Nobody is told if nobody asked, or if the question is deleted.
        """
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
