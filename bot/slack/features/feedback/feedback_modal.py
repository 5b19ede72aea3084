"""The modal in which a person says why an answer is bad."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.messages.forms import feedback
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import build_checkboxes, build_modal, build_text_field
from bot.slack.features.kit.opening import open_modal
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, ModalSubmission
from bot.storage.feedback import MAX_COMMENT_CHARACTERS, VoteReason
from bot.storage.turns.questions import QuestionKey

_REASONS = "reasons"
_COMMENT = "comment"


class FeedbackModal:
    """Opens the modal for a bad vote, and stores what is submitted."""

    callback_id = "kvasir:feedback"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def open(self, press: ButtonPress, question_ts: str, save_vote: Callable[[], Awaitable[None]]) -> None:
        """Save the vote, and open the modal for the person who pressed the button.

        Raises:
            SlackError: Slack refuses it, and the vote is saved.
            Exception: what ``save_vote`` raises.

        """

        async def build_after_vote() -> dict[str, Any]:
            await save_vote()
            return self._build_view(press, question_ts)

        await open_modal(self._shared.api, press, build_after_vote())

    def _build_view(self, press: ButtonPress, question_ts: str) -> dict[str, Any]:
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

    def find_errors(self, _submission: ModalSubmission) -> Mapping[str, Message]:
        """Return nothing: every field may stay empty."""
        return {}

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
