"""The modal of the shortcut "Ask Kvasir about this": a question about a message, answered in the direct messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.languages.registry import Language
from bot.messages.forms import asking
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import Block, build_checkboxes, build_modal, build_text_field
from bot.slack.features.kit.opening import open_view
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import find_permalink
from bot.slack.posting.ephemeral import build_section
from bot.slack.wire.interactions import ModalSubmission, ShortcutUse
from bot.slack.wire.text import render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import Subject

ASK_ABOUT_SHORTCUT = "ask_about_message"
"""The callback id of the message shortcut."""
_QUESTION, _SUMMARY = "question", "summary"
_QUOTED_CHARACTERS = 600
_CUT_SEQUENCE = re.compile(r"[<&][^<>&;]{0,600}\Z")


class AskAboutModal:
    """Opens the modal, and asks what is submitted."""

    callback_id = "kvasir:ask-about"
    shortcut = ASK_ABOUT_SHORTCUT

    def __init__(self, api: SlackWebApi, questions: PrivateQuestions, quoted: QuotedMessages) -> None:
        self._api = api
        self._questions = questions
        self._quoted = quoted

    async def open(self, used: ShortcutUse) -> None:
        """Open the modal for the person who used the shortcut.

        Raises:
            SlackError: Slack refuses it.

        """
        view = _build_view(self.callback_id, used.language, used.channel, used.message)
        await open_view(self._api, used, view)

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Return that there is neither a question nor a wish for a summary."""
        has_text = any(map(str.isalnum, submission.get_text(_QUESTION)))
        is_complete = has_text or bool(submission.get_text(_SUMMARY))
        return {} if is_complete else {_QUESTION: asking.QUESTION_MISSING}

    async def run(self, submission: ModalSubmission) -> None:
        """Ask the question, if the person can see the message.

        Raises:
            AudienceRefused: the person cannot.
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        subject = Subject.decode(submission.metadata)
        if subject is None:
            return
        await self._quoted.check_access(submission.user, subject.channel)
        language, question = submission.language, submission.get_text(_QUESTION)
        summary = render_message(asking.SUMMARISE_QUESTION, language) if submission.get_text(_SUMMARY) else ""
        link = await find_permalink(self._api, subject.channel, subject.ts)
        named = render_message(asking.THIS_MESSAGE, language)
        place = f"<{render.encode_link_target(link)}|{named}>" if link else named
        head = render_message(asking.YOU_ASKED_ABOUT, language, place=place)
        await self._questions.ask_question(submission.user, " ".join(filter(None, (summary, question))), head, subject)


def _build_view(callback_id: str, language: Language, channel: str, message: Mapping[str, Any]) -> dict[str, Any]:
    ts = str(message.get("ts") or "")
    subject = Subject(channel, str(message.get("thread_ts") or ts), ts)
    is_in_thread = bool(message.get("thread_ts"))
    label, hint = render_message(asking.QUESTION, language), render_message(asking.QUESTION_HINT, language)
    field = build_text_field(_QUESTION, label, hint=hint, multiline=True, optional=is_in_thread)
    quote: Block = dict(build_section(_quote_message(str(message.get("text") or ""), language)))
    summary: list[Block] = []
    if is_in_thread:
        option = {"yes": render_message(asking.SUMMARISE, language)}
        summary = [build_checkboxes(_SUMMARY, render_message(asking.THREAD, language), option)]
    return build_modal(
        callback_id,
        render_message(asking.TITLE, language),
        [quote, *summary, field],
        submit=render_message(asking.ASK, language),
        close=render_message(asking.CANCEL, language),
        metadata=subject.encode(),
    )


def _quote_message(text: str, language: Language) -> str:
    """Return a message as quoted mrkdwn. Slack's control sequences stay: a modal pings nobody."""
    cut = text if len(text) <= _QUOTED_CHARACTERS else f"{_CUT_SEQUENCE.sub('', text[:_QUOTED_CHARACTERS])}…"
    return "\n".join(f"> {line}" for line in (cut or render_message(asking.NO_TEXT, language)).splitlines())
