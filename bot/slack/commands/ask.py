"""``/ask``: a question whose answer only the person who types it sees, in the direct messages."""

from __future__ import annotations

from bot.messages.forms import asking
from bot.messages.message import render_message
from bot.slack.incoming.interactions import SlashCommand
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.private_questions import PrivateQuestions

ASK = "/ask"


class AskCommand:
    """Runs ``/ask``."""

    def __init__(self, questions: PrivateQuestions, messenger: EphemeralMessenger) -> None:
        self._questions = questions
        self._messenger = messenger

    async def run(self, typed: SlashCommand) -> None:
        """Ask the question and say where its answer is.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        text = typed.text.strip()
        if not any(map(str.isalnum, text)):
            await self._messenger.answer(typed, render_message(asking.ASK_USAGE, typed.language))
            return
        head = render_message(asking.YOU_ASKED, typed.language)
        place = await self._questions.ask(typed.user, text, head)
        if not typed.is_direct_message:
            name, link = render_message(asking.DIRECT_MESSAGES, typed.language), await self._questions.find_link(place)
            shown = f"<{link}|{name}>" if link else name
            await self._messenger.answer(typed, render_message(asking.ANSWERING_PRIVATELY, typed.language, place=shown))
