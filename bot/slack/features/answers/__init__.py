"""The buttons under an answer that show more of it: passages, reasoning, the web, mute."""

from __future__ import annotations

from typing import Any

from bot.messages import threads
from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.features.answers.show_passage import ShowPassageAction
from bot.slack.features.answers.show_reasoning import ShowReasoningAction
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.repeat_question import RepeatQuestionAction
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress


class SearchWebAction(RepeatQuestionAction):
    """Answers the same question again, with the live web."""

    action_id = "kvasir:look"
    prefix = "web: "
    already_asked = buttons.WEB_ALREADY_SEARCHED

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button under an answer without the web; its value is the question's ``ts``."""
        if answer.finished.route in {"files", "sources"} or not answer.finished.web.may_look:
            return []
        return [build_button(self.action_id, render_message(buttons.SEARCH_WEB, answer.language), answer.question_ts)]


class SendWordsAction(RepeatQuestionAction):
    """Answers the same question again, with a search of the web for exactly the words that the answer shows."""

    action_id = "kvasir:send-words"
    prefix = "web: "
    already_asked = buttons.WEB_ALREADY_SEARCHED

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button under an answer whose search was withheld; its value has the question's ``ts`` and words."""
        web = answer.finished.web
        if web.policy.private_words != "ask" or not any(map(str.isalnum, web.withheld)):
            return []
        label = render_message(buttons.SEND_WORDS, answer.language)
        return [build_button(self.action_id, label, f"{answer.question_ts} {web.withheld}")]

    async def run(self, press: ButtonPress) -> None:
        """Answer the question again for the person who asked it.

        Raises:
            InteractionRefused: another person pressed, or as ``RepeatQuestionAction``.
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack does not return the thread.

        """
        ts, _, words = press.value.partition(" ")
        await self.repeat_question(press, ts, approved_words=words)


class MuteThreadAction:
    """Mutes threads. Answers to follow-ups have the button: only there does Kvasir answer without a mention."""

    action_id = "kvasir:mute"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under an answer to a follow-up in a channel or a group message."""
        if answer.channel.startswith("D") or answer.thread_ts == answer.question_ts:
            return []
        return [build_button(self.action_id, render_message(threads.MUTE_THREAD, answer.language), answer.thread_ts)]

    async def run(self, press: ButtonPress) -> None:
        """Mute the thread of a button.

        Raises:
            DatabaseError: that cannot be stored.

        """
        label = render_message(threads.MUTE_THREAD, press.language)
        await self._shared.attention.mute_thread(press.channel, press.value, press.user, label)


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons."""
    shared, find_passage = tools.shared, tools.shared.dependencies.passage
    passages = [] if find_passage is None else [ShowPassageAction(shared, find_passage)]
    return Feature(
        answer_buttons=[
            *passages,
            SearchWebAction(shared, tools.submit),
            SendWordsAction(shared, tools.submit),
            ShowReasoningAction(shared),
            MuteThreadAction(shared),
        ]
    )
