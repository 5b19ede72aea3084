"""The button "Search the web": answers the same question again, with the live web."""

from __future__ import annotations

from typing import Any

from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.features.kit.repeat_question import RepeatQuestionAction
from bot.slack.posting.buttons import CompleteAnswer, build_button


class SearchWebAction(RepeatQuestionAction):
    """Answers questions with the web."""

    action_id = "kvasir:look"
    prefix = "web: "
    already_asked = buttons.WEB_ALREADY_SEARCHED

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button under an answer without the web; its value is the question's ``ts``."""
        if answer.finished.route in {"files", "sources"} or not answer.finished.web.may_look:
            return []
        return [build_button(self.action_id, render_message(buttons.SEARCH_WEB, answer.language), answer.question_ts)]
