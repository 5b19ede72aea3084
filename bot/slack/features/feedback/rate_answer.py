"""The buttons 👍 and 👎 under an answer."""

from __future__ import annotations

from typing import Any

import structlog

from bot.messages.forms import feedback
from bot.messages.message import Message, render_message
from bot.slack.features.feedback.feedback_modal import FeedbackModal
from bot.slack.features.kit.modal import ModalRefused, build_plain_text
from bot.slack.people.refusals import explain_refusal
from bot.slack.posting.buttons import CompleteAnswer
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress
from bot.storage.feedback import Vote
from bot.storage.turns.questions import QuestionKey

_log = structlog.get_logger(__name__)


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
                await self._modal.open(press, question_ts, lambda: self._save_vote(press, vote, question_ts))
            except SlackError as error:  # the vote counts without reasons
                _log.warning("modal not opened", error=str(error))
            else:
                return
        else:
            await self._save_vote(press, vote, question_ts)
        await self._shared.messenger.reply_to_press(press, feedback.THANKS)

    async def _save_vote(self, press: ButtonPress, vote: Vote, question_ts: str) -> None:
        audience = await self._shared.viewers.find_press_audience(press.channel, press.user)
        if audience.refusal is not None:
            raise ModalRefused(explain_refusal(audience.refusal))
        if not await self._shared.feedback.save_vote(
            QuestionKey(self._shared.me.team, press.channel, question_ts), press.user, vote
        ):
            raise ModalRefused(feedback.ANSWER_GONE)
        self._shared.dependencies.record_vote(vote)
