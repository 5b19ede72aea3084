"""Let the engine rewrite a follow-up so that it can be understood alone.

A rewrite is made without thinking and within a short deadline. It is rejected if it has a word that is not in the
conversation. Then, and without an engine, the rules of ``follow_ups`` apply.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from bot.answering.events import Exchange
from bot.answering.quoting import format_quotes, neutralise_control_tokens
from bot.answering.retrieval.follow_ups import WORD, depends_on_history, is_function_word
from bot.languages.registry import choose_language, detect_language, find_pack
from engine.errors import EngineError
from engine.interfaces import (
    ANONYMOUS,
    ChatEngine,
    ChatMessage,
    ContentDelta,
    EngineState,
    ReasoningDelta,
    Requester,
    Sampling,
)
from knowledge.language import IDEOGRAPH
from knowledge.search.query import separate_filters

_TURNS: Final = 3
_ANSWER_CHARS: Final = 300
_QUESTION_CHARS: Final = 500
_LONGEST: Final = 300
_TOKENS: Final = 96
_LABEL = re.compile(
    r"^\W*(?:rewritten question|question|last question|standalone question|改写后的问题|最后一个问题|问题)\s*[:：]\s*",
    re.IGNORECASE,
)
_FUNCTION_CHARACTERS: Final = frozenset(
    "的了吗呢吧啊么是否在和与及或对于从到把被给用以可能会要应该怎样如何什为哪些几多少个这那它们时候里上下中有没不请问关于使进行并且"
)


class Rewriter:
    """Asks the engine to rewrite questions; pauses after a slow reply."""

    def __init__(
        self,
        engine: ChatEngine,
        *,
        rewrite_s: float = 1.5,
        rest_s: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``rewrite_s`` is the deadline; after a late reply, no rewrite is requested for ``rest_s``."""
        self._engine = engine
        self._rewrite_s = rewrite_s
        self._rest_s = rest_s
        self._now = now
        self._rests_until = float("-inf")

    async def rewrite_question(
        self, question: str, history: Sequence[Exchange], requester: Requester = ANONYMOUS
    ) -> str | None:
        """Return the question as it would be asked alone; None if the rules apply.

        They apply if it is no follow-up, or if the engine is not ready, small, slow or failing. They also apply if the
        rewrite has a word that is not in the conversation, or lacks one of the question.
        """
        status = self._engine.status()
        usable = status.state is EngineState.READY and not status.small_model and self._now() >= self._rests_until
        if not history or not usable or not depends_on_history(question):
            return None
        try:
            async with asyncio.timeout(self._rewrite_s):
                written = await self._ask_engine(question, history, requester)
        except TimeoutError:
            self._rests_until = self._now() + self._rest_s
            return None
        except EngineError:
            return None
        return accept_rewrite(written, question, history)

    async def _ask_engine(self, question: str, history: Sequence[Exchange], requester: Requester) -> str:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=_TOKENS, thinking_tokens=0)
        requester = replace(requester, answer_timeout_s=self._rewrite_s)
        name = f"rewrite-{uuid.uuid4().hex}"
        deltas = self._engine.stream(
            build_rewrite_messages(question, history), sampling, request_id=name, requester=requester
        )
        text = ""
        async with aclosing(deltas) as stream:  # type: ignore[type-var]  # an engine's stream is a generator
            async for delta in stream:
                if isinstance(delta, ContentDelta | ReasoningDelta):  # some servers send all as thinking
                    text += delta.text
                if "\n" in text.strip():
                    break
        return text


def build_rewrite_messages(question: str, history: Sequence[Exchange]) -> tuple[ChatMessage, ...]:
    """Return the messages that ask for a rewrite."""
    said = "\n".join(
        f"{_quote_exchange(one)}- {_shorten_text(one.question, _QUESTION_CHARS)}\n"
        f"  {_shorten_text(one.answer, _ANSWER_CHARS)}"
        for one in history[-_TURNS:]
    )
    ask = find_pack(choose_language(question)).rewrite_question
    return (ChatMessage("user", ask.format(said=said, question=_shorten_text(question, _QUESTION_CHARS))),)


def _quote_exchange(exchange: Exchange) -> str:
    """Return what others wrote, up to a limit, as lines before the exchange."""
    quoted = format_quotes(exchange.quotes)[:_QUESTION_CHARS]
    return f"{quoted}\n" if quoted else ""


def _shorten_text(text: str, characters: int) -> str:
    """Return the beginning of a text, without filters and control tokens."""
    return neutralise_control_tokens(separate_filters(text.strip())[0][:characters])


def accept_rewrite(written: str, question: str, history: Sequence[Exchange]) -> str | None:
    """Return the rewrite if it is one question made of words of the conversation, else None."""
    lines = [line for line in written.rpartition("</think>")[2].strip().splitlines() if line.strip()]
    if not lines:
        return None
    rewritten = _LABEL.sub("", lines[0]).strip().strip("\"'“”「」*`").strip()
    if not rewritten or len(rewritten) > _LONGEST or detect_language(rewritten) != detect_language(question):
        return None
    said = " ".join([question, *(f"{one.messages} {one.answer}" for one in history[-_TURNS:])])
    if not set(_list_meaningful_words(rewritten)) <= set(_list_meaningful_words(said)) | _FUNCTION_CHARACTERS:
        return None
    lost = set(_list_meaningful_words(question)) - set(_list_meaningful_words(rewritten)) - _FUNCTION_CHARACTERS
    # Single Chinese characters may be part of a turn of phrase.
    return rewritten if all(map(IDEOGRAPH.fullmatch, lost)) else None


def is_comparable(written: str) -> bool:
    """Return whether ``accept_rewrite`` can compare every word: it sees only ASCII and Chinese letters."""
    return all(char.isascii() or IDEOGRAPH.match(char) for char in written if char.isalnum())


def _list_meaningful_words(text: str) -> Iterator[str]:
    """Yield the words that have a meaning: English ones without an ending, Chinese characters one by one."""
    for word in WORD.findall(text.casefold()):
        if not is_function_word(word):
            yield re.sub(r"(?:'s|s|es|ed|ing)$", "", word.strip("./'-")) or word
    yield from IDEOGRAPH.findall(text)
