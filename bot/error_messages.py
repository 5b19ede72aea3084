"""The message for an error: one sentence and the next step."""

from __future__ import annotations

from bot.errors import BotError
from engine.errors import EngineError
from knowledge.errors import KnowledgeError


def describe_error(error: BaseException) -> str:
    """Return the message for a person, without traceback, secrets and texts of libraries."""
    if isinstance(error, (BotError, EngineError, KnowledgeError)) and str(error):
        return str(error)
    if isinstance(error, TimeoutError):
        return "It took too long and was stopped. Please try again."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"The operating system reports: {error.strerror}{where}. Fix that and try again."
    return f"Something went wrong inside Kvasir ({type(error).__name__}). The log has the details; please try again."
