"""``/ask``: a question whose answer only the person who types it sees, in the direct messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.messages.forms import asking
from bot.messages.message import render_message
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.people.accounts import Channel
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand

ASK = "/ask"

FindChannel = Callable[[str], Awaitable[Channel | None]]
"""Returns a conversation by its id, None if it is unknown."""


class AskCommand:
    """Runs ``/ask``."""

    def __init__(self, shared: SharedParts, questions: PrivateQuestions) -> None:
        self._shared = shared
        self._questions = questions

    async def run(self, typed: SlashCommand) -> None:
        """Ask the question and say where its answer is.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        text = typed.text.strip()
        if not any(map(str.isalnum, text)):
            await self._shared.messenger.answer_interaction(typed, render_message(asking.ASK_USAGE, typed.language))
            return
        head = render_message(asking.YOU_ASKED, typed.language)
        asked_in = None if typed.is_direct_message else await self._shared.directory.find_channel(typed.channel)
        place = await self._questions.ask_question(typed.user, text, head, asked_in=asked_in)
        if not typed.is_direct_message:
            name, link = render_message(asking.DIRECT_MESSAGES, typed.language), await self._questions.find_link(place)
            place_name = f"<{link}|{name}>" if link else name
            await self._shared.messenger.answer_interaction(
                typed, render_message(asking.ANSWERING_PRIVATELY, typed.language, place=place_name)
            )
