"""The buttons "Answer again" and "Delete this answer"."""

from __future__ import annotations

from typing import Any

from bot.messages.forms import feedback
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import build_plain_text
from bot.slack.features.kit.own_turns import find_own_turn
from bot.slack.features.kit.private_questions import ChangeAnswer
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.storage.turns.questions import QuestionKey, is_app

_MAX_VISIBLE_TO = 10
"""Slack's limit of the people who see an icon."""


class AnswerAgainAction:
    """Answers questions again for those who asked. The new answer takes the place of the old one."""

    action_id = "kvasir:answer-again"

    def __init__(self, shared: SharedParts, regenerate: ChangeAnswer) -> None:
        self._shared = shared
        self._regenerate = regenerate

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button; Slack shows no icon but a trash can, so it has a label."""
        if not answer.is_rated or answer.finished.route == "verified" or is_app(answer.asker):
            return []
        label = render_message(feedback.ANSWER_AGAIN, answer.language)
        return [build_button(self.action_id, label, answer.question_ts)]

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button again.

        Raises:
            InteractionRefused: it is gone, somebody else asked it, or it is being answered.
            DatabaseError: the ledger is out of reach.

        """
        key = QuestionKey(self._shared.me.team, press.channel, press.value)
        await find_own_turn(self._shared, key, press.user)
        if not await self._regenerate(key):
            raise InteractionRefused(feedback.STILL_ANSWERING)


class DeleteAnswerAction:
    """Deletes answers, with the stored texts, for those who asked and for owners."""

    action_id = "kvasir:delete-answer"

    def __init__(self, shared: SharedParts, delete: ChangeAnswer) -> None:
        self._shared = shared
        self._delete = delete

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a trash can that Slack shows only to the asker and to owners."""
        people = dict.fromkeys([*([] if is_app(answer.asker) else [answer.asker]), *sorted(self._shared.access.owners)])
        if not answer.is_rated or not people:
            return []

        def render_text(message: Message) -> dict[str, Any]:
            return build_plain_text(render_message(message, answer.language))

        return [
            {
                "type": "icon_button",
                "icon": "trash",
                "action_id": self.action_id,
                "text": render_text(feedback.DELETE_ANSWER),
                "accessibility_label": render_message(feedback.DELETE_ANSWER, answer.language),
                "value": answer.question_ts,
                "visible_to_user_ids": list(people)[:_MAX_VISIBLE_TO],
                "confirm": {
                    "title": render_text(feedback.CONFIRM_DELETION),
                    "text": render_text(feedback.DELETE_EXPLANATION),
                    "confirm": render_text(feedback.DELETE),
                    "deny": render_text(feedback.KEEP),
                    "style": "danger",
                },
            }
        ]

    async def run(self, press: ButtonPress) -> None:
        """Delete the answer of a button.

        Raises:
            InteractionRefused: it is gone, or the person neither asked nor owns all sources.
            DatabaseError: the ledger is out of reach.

        """
        key = QuestionKey(self._shared.me.team, press.channel, press.value)
        turn = await self._shared.dependencies.ledger.find_turn(key)
        if turn is not None and turn.message.user != press.user and not self._shared.access.is_owner(press.user):
            raise InteractionRefused(feedback.NOT_YOUR_ANSWER)
        if turn is None or not await self._delete(key):
            raise InteractionRefused(feedback.ANSWER_GONE)
