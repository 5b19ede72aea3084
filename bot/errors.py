"""The bot's own errors, each with the next step for a person.

BotError
├── InvalidLine       a line of standard input holds no question
├── SettingsError     the configuration is wrong or missing
└── WheelError        a pinned package could not be fetched
"""

from __future__ import annotations


class BotError(Exception):
    """An error whose text is for a person: what happened and the next step. It never holds the value of a secret."""


class InvalidLine(BotError):
    """A line of standard input holds no question."""


class SettingsError(BotError):
    """The configuration is wrong or missing."""


class WheelError(BotError):
    """A pinned package could not be fetched."""
