"""A command after ``/kb``: its words, who may run it, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.errors import BotError
from bot.slack.wire.interactions import SlashCommand

_QUOTES = "\"'`“”‘’"


class WrongUsage(BotError):
    """The words after a command are not what it takes; the text is what it takes."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One command after ``/kb``."""

    words: Sequence[str]
    """The words that name it in all languages; the first one is shown in help."""
    run: Callable[[SlashCommand, str], Awaitable[str | None]]
    """Gets the rest of the text and returns the answer as mrkdwn, None if it has shown one. Raises ``WrongUsage``."""
    may_run: Callable[[str, str], bool] = lambda _user, _rest: True
    """Returns whether a person may run it with the rest of the text."""
    timeout_s: float | None = 20.0
    """None for a command that may run for hours and shows its progress."""

    @property
    def name(self) -> str:
        """Return its name."""
        return self.words[0]


def strip_quotes(text: str) -> str:
    """Return a name without the quotation marks around it."""
    return text.strip(_QUOTES)
