"""Says why a person gets no answer, and what to do about it."""

from __future__ import annotations

from bot.errors import BotError
from bot.messages import replies
from bot.messages.message import Message
from bot.slack.people.viewers import Refusal

_MESSAGES = {Refusal.SHARED_CHANNEL: replies.SHARED_CHANNEL, Refusal.FOREIGN_PERSON: replies.FOREIGN_PERSON}


class AudienceRefused(BotError):
    """Nobody may get an answer here; the text says why."""


def explain_refusal(refusal: Refusal) -> Message:
    """Return the reason and the next step."""
    return _MESSAGES[refusal]
