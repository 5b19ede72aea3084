"""What is masked on which way out of Kvasir, as ``[masking]`` in ``kvasir.toml`` says it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from bot.answering.policy import PrivateWords
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser

Way = Literal["logs", "audit", "exports", "feedback"]
MASKED_WAYS: Final[tuple[Way, ...]] = get_args(Way)


@dataclass(frozen=True, slots=True)
class Masking:
    """What is masked on which way out."""

    recogniser: Recogniser = DEFAULT_RECOGNISER
    ways: frozenset[Way] = frozenset(MASKED_WAYS)
    private_words: PrivateWords = "mask"
    masks_prompts: bool = False
    """Whether prompts to an engine on another host get placeholders."""

    @property
    def log_recogniser(self) -> Recogniser | None:
        """Return what finds personal data in logs; None if they keep it."""
        return self.recogniser if "logs" in self.ways else None


DEFAULT_MASKING: Final = Masking()
