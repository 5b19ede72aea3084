"""The bot's own errors, each with the next step for a person.

BotError
├── InvalidLine       a line of standard input holds no question
├── SettingsError     the configuration is wrong or missing
└── WheelError        a pinned package could not be fetched
"""

from __future__ import annotations

from bot.messages.message import Message, render_message


class BotError(Exception):
    """An error whose text is for a person: what happened and the next step. It never holds the value of a secret.

    ``message`` has the text in every language if a person reads it in Slack.
    """

    def __init__(self, text: str | Message) -> None:
        self.message = text if isinstance(text, Message) else None
        super().__init__(render_message(text, "en") if isinstance(text, Message) else text)


class InvalidLine(BotError):
    """A line of standard input holds no question."""


class SettingsError(BotError):
    """The configuration is wrong or missing."""


class WheelError(BotError):
    """A pinned package could not be fetched."""
