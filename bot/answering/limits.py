"""The limits of an answer, and what happens to its unsupported sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unsupported = Literal["mark", "drop", "show"]
"""Show a sentence that no passage supports with a warning, drop it, or show it without."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an answer, and what happens to its unsupported sentences."""

    question_chars: int = 6000
    hits: int = 8
    search_s: float = 20.0
    searches: int = 12
    """Searches at once; the wait for a free place does not count towards ``search_s``."""
    first_token_s: float = 120.0
    """Seconds from the turn at the engine to the first delta."""
    answer_s: float = 600.0
    """Seconds from the turn at the engine to the last delta."""
    answer_chars: int = 24_000
    """The most characters that the model writes, before the check; no more of a thought is kept, either."""
    quote_s: float = 5.0
    """Seconds for choosing extracts by meaning; afterwards, shared words decide."""
    little_chars: int = 200
    """An answer that was cut before this much was shown gets the best passages as well."""
    unsupported: Unsupported = "mark"
