"""The buttons 👍 and 👎 under an answer, and the modal in which a person says why it is bad."""

from __future__ import annotations

from typing import Any

import structlog

from bot.messages.forms import feedback
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import (
    Modal,
    ModalRefused,
    build_checkboxes,
    build_modal,
    build_plain_text,
    build_text_field,
)
from bot.slack.features.kit.opening import open_modal
from bot.slack.posting.buttons import CompleteAnswer
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress, ModalSubmission
from bot.storage.feedback import MAX_COMMENT_CHARACTERS, Vote, VoteReason
from bot.storage.turns.questions import QuestionKey

_log = structlog.get_logger(__name__)

_REASONS = "reasons"
_COMMENT = "comment"


class FeedbackModal(Modal):
    """Asks why an answer is bad, and stores what is submitted."""

    callback_id = "kvasir:feedback"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def build_view(self, press: ButtonPress, question_ts: str) -> dict[str, Any]:
        """Return the modal for the person who voted."""
        names = {word: render_message(name, press.language) for word, name in feedback.REASON_NAMES.items()}
        label, hint = (render_message(one, press.language) for one in (feedback.COMMENT, feedback.COMMENT_HINT))
        return build_modal(
            self.callback_id,
            render_message(feedback.TITLE, press.language),
            [
                build_checkboxes(_REASONS, render_message(feedback.REASONS, press.language), names),
                build_text_field(
                    _COMMENT, label, hint=hint, multiline=True, most=MAX_COMMENT_CHARACTERS, optional=True
                ),
            ],
            submit=render_message(feedback.SEND, press.language),
            close=render_message(feedback.SKIP, press.language),
            metadata=f"{press.channel} {press.thread_ts} {question_ts}",
        )

    async def run(self, submission: ModalSubmission) -> None:
        """Store the reasons, or tell the person that the answer is gone.

        Raises:
            DatabaseError: they cannot be stored.

        """
        channel, thread_ts, question_ts = submission.metadata.split(" ")
        reasons = [VoteReason(value) for value in submission.values.get(_REASONS, ())]
        key = QuestionKey(self._shared.me.team, channel, question_ts)
        if not await self._shared.feedback.save_reasons(key, submission.user, reasons, submission.get_text(_COMMENT)):
            text = render_message(feedback.ANSWER_GONE, submission.language)
            await self._shared.messenger.reach_person(channel, submission.user, text, thread_ts=thread_ts)


class RateAnswerAction:
    """Stores votes. Everybody who sees the answer may vote, once each; a bad vote opens the modal for reasons."""

    action_id = "kvasir:rate"

    def __init__(self, shared: SharedParts, modal: FeedbackModal) -> None:
        self._shared = shared
        self._modal = modal

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the two buttons; the value of each is the vote and the question's ``ts``."""
        if not answer.is_rated:
            return []

        def build_button(vote: Vote, label: Message) -> dict[str, Any]:
            text = build_plain_text(render_message(label, answer.language))
            return {"text": text, "accessibility_label": text["text"], "value": f"{vote} {answer.question_ts}"}

        return [
            {
                "type": "feedback_buttons",
                "action_id": self.action_id,
                "positive_button": build_button(Vote.GOOD, feedback.GOOD_ANSWER),
                "negative_button": build_button(Vote.BAD, feedback.BAD_ANSWER),
            }
        ]

    async def run(self, press: ButtonPress) -> None:
        """Store a vote and thank the person, or ask why the answer is bad.

        Raises:
            ModalRefused: the vote does not count; the text says why.
            DatabaseError: the vote, or the approval of a shared channel, is out of reach.

        """
        word, _, question_ts = press.value.partition(" ")
        vote = Vote(word)
        if vote is Vote.BAD:
            try:
                await open_modal(self._shared.api, press, self._save_bad_vote(press, question_ts))
            except SlackError as error:  # the vote counts without reasons
                _log.warning("modal not opened", error=str(error))
            else:
                return
        else:
            await self._save_vote(press, vote, question_ts)
        await self._shared.messenger.reply_to_press(press, feedback.THANKS)

    async def _save_bad_vote(self, press: ButtonPress, question_ts: str) -> dict[str, Any]:
        await self._save_vote(press, Vote.BAD, question_ts)
        return self._modal.build_view(press, question_ts)

    async def _save_vote(self, press: ButtonPress, vote: Vote, question_ts: str) -> None:
        audience = await self._shared.viewers.find_press_audience(press.channel, press.user)
        if audience.refusal is not None:
            raise ModalRefused(audience.refusal)
        if not await self._shared.feedback.save_vote(
            QuestionKey(self._shared.me.team, press.channel, question_ts), press.user, vote
        ):
            raise ModalRefused(feedback.ANSWER_GONE)
        self._shared.dependencies.record_vote(vote)
