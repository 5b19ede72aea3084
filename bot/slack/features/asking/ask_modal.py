"""The modal of the shortcut "Ask Kvasir": a question that is answered in the direct messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.languages.registry import Language
from bot.messages.forms import asking
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import build_modal, build_text_field
from bot.slack.features.kit.opening import open_view
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.wire.interactions import ModalSubmission, ShortcutUse
from bot.slack.wire.transport.web_api import SlackWebApi

ASK_SHORTCUT = "ask_anything"
"""The callback id of the global shortcut."""
_QUESTION = "question"


class AskModal:
    """Opens the modal, and asks what is submitted."""

    callback_id = "kvasir:ask"
    shortcut = ASK_SHORTCUT

    def __init__(self, api: SlackWebApi, questions: PrivateQuestions) -> None:
        self._api = api
        self._questions = questions

    async def open(self, used: ShortcutUse) -> None:
        """Open the modal for the person who used the shortcut.

        Raises:
            SlackError: Slack refuses it.

        """
        await open_view(self._api, used, _build_view(self.callback_id, used.language))

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Return that a question has no letters."""
        has_text = any(map(str.isalnum, submission.get_text(_QUESTION)))
        return {} if has_text else {_QUESTION: asking.QUESTION_MISSING}

    async def run(self, submission: ModalSubmission) -> None:
        """Ask the question.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        head = render_message(asking.YOU_ASKED, submission.language)
        await self._questions.ask_question(submission.user, submission.get_text(_QUESTION), head)


def _build_view(callback_id: str, language: Language) -> dict[str, Any]:
    label, hint = render_message(asking.QUESTION, language), render_message(asking.QUESTION_HINT, language)
    return build_modal(
        callback_id,
        render_message(asking.TITLE, language),
        [build_text_field(_QUESTION, label, hint=hint, multiline=True)],
        submit=render_message(asking.ASK, language),
        close=render_message(asking.CANCEL, language),
    )
