"""What the engine is asked about one field, and what its reply says. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bot.answering.events import Passage
from bot.answering.prompt import Budget, CountTokens, format_passage
from bot.answering.quoting import neutralise_control_tokens
from bot.languages.registry import Language, find_pack
from bot.profiles.extraction.profile import ExtractionProfile, Field
from bot.profiles.profile import choose_text
from engine.interfaces import ChatMessage


def build_messages(
    profile: ExtractionProfile,
    field: Field,
    passages: Sequence[Passage],
    language: Language,
    budget: Budget,
    count_tokens: CountTokens,
) -> tuple[ChatMessage, ...]:
    """Return the messages that ask for the values of a field; of the passages, best first, as many as fit."""
    known = language if language in profile.instructions else "en"
    head = [profile.instructions[known].strip(), profile.examples.get(known, "").strip()]
    question = find_pack(known).question_label + neutralise_control_tokens(choose_text(field.question, known))
    return build_passage_prompt(head, passages, question, budget, count_tokens)


def build_passage_prompt(
    head: Sequence[str], passages: Sequence[Passage], question: str, budget: Budget, count_tokens: CountTokens
) -> tuple[ChatMessage, ...]:
    """Return the messages that ask a question; of the passages, best first, as many as fit.

    The order is that of ``bot.answering.prompt``: what is the same for every document, then the passages by their
    numbers, and last the question. So the questions about a short document share all but the last lines.
    """
    left = budget.prompt_tokens - count_tokens("\n\n".join((*head, question)))
    blocks: dict[int, str] = {}
    for passage in passages[: budget.passages]:
        block = format_passage(passage, budget.passage_tokens, count_tokens)
        left -= count_tokens(block)
        if left < 0 and blocks:
            break
        blocks[passage.n] = block
    return (ChatMessage("user", "\n\n".join(filter(None, (*head, *(blocks[n] for n in sorted(blocks)), question)))),)


def parse_reply(text: str) -> list[str] | None:
    """Return the values of a reply; None if it is no such JSON, as where the model's thought used up its tokens."""
    start, end = text.find("{"), text.rfind("}")
    try:
        reply = json.loads(text[start : end + 1])
        values = reply["values"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else None
