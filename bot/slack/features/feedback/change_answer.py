"""The buttons "Answer again" and "Delete this answer"."""

from __future__ import annotations

from typing import Any

from bot.messages.errors import explain_error
from bot.messages.forms import feedback
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import build_plain_text
from bot.slack.features.kit.private_questions import ChangeAnswer
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, TurnState, is_app
from knowledge.errors import DatabaseError

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
        """Answer the question of a button again, or tell the person why not."""
        key = QuestionKey(self._shared.me.team, press.channel, press.value)
        try:
            problem = self._find_problem(await self._shared.dependencies.ledger.find_turn(key), press.user)
            if problem is None and not await self._regenerate(key):
                problem = feedback.STILL_ANSWERING
        except DatabaseError as error:
            problem = explain_error(error)
        if problem is not None:
            await self._shared.messenger.reply_to_press(press, problem)

    def _find_problem(self, turn: LedgerTurn | None, user: str) -> Message | None:
        if turn is None or turn.state is TurnState.SUPERSEDED or not turn.message.text:
            return feedback.ANSWER_GONE
        if turn.message.user != user:
            return feedback.NOT_YOUR_ANSWER
        return feedback.STILL_ANSWERING if turn.state in UNFINISHED else None


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
        """Delete the answer of a button, or tell the person why not."""
        key = QuestionKey(self._shared.me.team, press.channel, press.value)
        try:
            problem = await self._delete_answer(key, press.user)
        except DatabaseError as error:
            problem = explain_error(error)
        if problem is not None:
            await self._shared.messenger.reply_to_press(press, problem)

    async def _delete_answer(self, key: QuestionKey, user: str) -> Message | None:
        turn = await self._shared.dependencies.ledger.find_turn(key)
        if turn is not None and turn.message.user != user and not self._shared.access.is_owner(user):
            return feedback.NOT_YOUR_ANSWER
        return None if turn is not None and await self._delete(key) else feedback.ANSWER_GONE
