"""What the engine is asked about one statement, and what its reply says. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.answering.events import Passage
from bot.answering.prompt import Budget, CountTokens
from bot.answering.quoting import neutralise_control_tokens
from bot.languages.registry import Language
from bot.profiles.checklist.profile import Checklist, Side, Statement
from bot.profiles.extraction.prompt import build_passage_prompt
from bot.profiles.extraction.rules import Place
from bot.profiles.profile import choose_text
from engine.interfaces import ChatMessage

_LABELS: Final[Mapping[str, Side | None]] = {
    "entailed": "entailed",
    "contradicted": "contradicted",
    "not mentioned": None,
}
_MAX_QUOTES: Final = 3
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "label": {"enum": list(_LABELS)},
        "quotes": {"type": "array", "maxItems": _MAX_QUOTES, "items": {"type": "string"}},
    },
    "required": ["label", "quotes"],
    "additionalProperties": False,
}
"""The JSON schema of the engine's reply about one statement."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the engine says of a statement."""

    side: Side | None
    """None if the contract does not mention it."""
    quotes: tuple[str, ...]
    places: tuple[Place, ...] = ()
    """The clauses of the quotes that the text has."""
    dropped: int = 0


def parse_judgement(text: str) -> Judgement | None:
    """Return what a reply says; None if it is no such JSON."""
    start, end = text.find("{"), text.rfind("}")
    try:
        reply = json.loads(text[start : end + 1])
        side, quotes = _LABELS[reply["label"]], [one for one in reply["quotes"] if isinstance(one, str)]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return Judgement(side, tuple(dict.fromkeys(quotes))[:_MAX_QUOTES] if side else ())


def build_messages(
    checklist: Checklist,
    statement: Statement,
    passages: Sequence[Passage],
    language: Language,
    budget: Budget,
    count_tokens: CountTokens,
) -> tuple[ChatMessage, ...]:
    """Return the messages that ask for the answer to a statement, which is the last line."""
    known = language if language in checklist.instructions else "en"
    text = neutralise_control_tokens(choose_text(statement.text, known))
    return build_passage_prompt([checklist.instructions[known].strip()], passages, text, budget, count_tokens)
