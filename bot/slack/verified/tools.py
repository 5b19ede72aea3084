"""What the bot passes to the Slack side, to compare questions."""

from __future__ import annotations

from dataclasses import dataclass

from bot.answering.verification.embedding_cache import Embed
from bot.answering.verified_answers.finder import SameJudge
from bot.slack.modals.verify import WritePhrasings


@dataclass(frozen=True, slots=True)
class VerifiedTools:
    """What compares questions and writes phrasings; without it, only the same words get a verified answer."""

    embed: Embed | None = None
    embedder: str = ""
    """``Embedder.identity``."""
    judge: SameJudge | None = None
    write_phrasings: WritePhrasings | None = None
