"""A question becomes a stream of answer events: search, prompt, engine, check, and what to do when one of them fails.

Each step is one generator. Closing the outermost one closes them all, down to the engine's stream.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime

from bot.answering.about import Contents, asks_for_sources, describe_sources
from bot.answering.answer_notices import obstacle, of_answer, of_web, unknown, why_nothing
from bot.answering.events import AnswerEvent, InLine, Notice, Question, Sources, Step, Text, Thinking
from bot.answering.extract import CONSIDERED, extract
from bot.answering.language import tongue_for
from bot.answering.limits import Limits
from bot.answering.notices import Say, in_line, say
from bot.answering.passage_order import Still
from bot.answering.prompt import Budget, ContextTooSmall, Prompt, budget_for, build_prompt
from bot.answering.retrieval import Finder, Search
from bot.answering.sentences import Piece
from bot.answering.small_talk import small_talk
from bot.answering.turn import Stream, Turn
from bot.answering.verification.interfaces import NewJudge, NewVerifier
from bot.answering.verified_stream import Release
from engine.errors import EngineError
from engine.interfaces import (
    Again,
    Asker,
    ChatEngine,
    Content,
    Delta,
    Done,
    Reasoning,
    Sampling,
    Waiting,
)
from knowledge.errors import KnowledgeError


class Answerer:
    """Answers questions. One object serves all turns at once.

    Between them it keeps which passages a conversation has been shown.
    """

    def __init__(
        self,
        search: Search,
        engine: ChatEngine,
        new_verifier: NewVerifier,
        *,
        new_judge: NewJudge | None = None,
        still: Still | None = None,
        contents: Contents | None = None,
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._new_verifier = new_verifier
        self._new_judge = new_judge
        self._contents = contents
        self._limits = limits or Limits()
        self._now = now
        self._finder = Finder(search, engine, still=still or _nothing, limits=self._limits, now=now)

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the events of an answer: Sources, Thinking, Text and Notice as they come, Finished last.

        Never raises for what can go wrong with documents, engine or embedder; each becomes a Notice and the best answer
        that is left. Closing the iterator, or cancelling the task that waits for it, closes the engine's stream.
        """
        text = question.text.strip()
        turn = Turn(text[: self._limits.question_chars], question, tongue_for(text), self._now())
        async with aclosing(self._events(turn)) as events:
            async for event in events:
                if isinstance(event, Text):
                    turn.timings.setdefault("first_text", self._now() - turn.began)
                    event = turn.citing(event)  # noqa: PLW2901 - the same text, with what it cites
                yield event
        for notice in of_web(turn):
            yield notice
        yield turn.finished(self._now())

    async def _events(self, turn: Turn) -> AsyncGenerator[AnswerEvent, None]:
        if not any(char.isalnum() for char in turn.question):
            turn.unreadable()
            yield Notice(say(Say.EMPTY_QUESTION, turn.tongue))
            return
        if (courtesy := small_talk(turn.question)) is not None:
            turn.unreadable()
            turn.route = "courtesy"
            yield Text(say(courtesy, turn.tongue))
            return
        if len(turn.asked.text.strip()) > self._limits.question_chars:
            yield Notice(say(Say.QUESTION_CUT, turn.tongue, kept=self._limits.question_chars))
        if self._contents is not None and asks_for_sources(turn.question):
            yield await self._about_sources(turn, self._contents)
            return
        on_web = turn.to_web.live is not None and turn.to_web.live.when == "always"
        yield Step(say(Say.SEARCHING_WEB if on_web else Say.SEARCHING, turn.tongue))
        if (failed := await self._finder.find(turn)) is not None:
            yield failed
            return
        if turn.trouble:
            yield Notice(say(Say.SEARCH_FAILED, turn.tongue, reason=turn.trouble))
        yield Sources(tuple(replace(passage, n=rank) for rank, passage in enumerate(turn.passages, 1)))
        if not turn.answerable or not turn.passages:
            yield unknown(turn)
            return
        yield Step(say(Say.READING, turn.tongue, count=len(turn.passages)))
        why = obstacle(self._engine.status(), turn.tongue)
        events = self._quoted(turn, why) if why else self._from_engine(turn)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _about_sources(self, turn: Turn, contents: Contents) -> Text | Notice:
        """Say which documents the asker may read."""
        try:
            async with asyncio.timeout(self._limits.search_s):
                found = await contents(turn.asked.readers, turn.asked.within)
        except (KnowledgeError, TimeoutError) as error:
            return Notice(say(Say.SEARCH_FAILED, turn.tongue, reason=error))
        turn.route = "sources"
        return Text(describe_sources(found, datetime.now(UTC), turn.tongue))

    async def _quoted(self, turn: Turn, why: str | None) -> AsyncGenerator[AnswerEvent, None]:
        """Yield a notice and what the best passages say in their own words."""
        if why:
            yield Notice(why)
        similarities = None
        # Without the embedder, shared words still tell which sentences to show.
        with suppress(KnowledgeError, TimeoutError):
            async with asyncio.timeout(self._limits.quote_s):
                verifier = self._new_verifier()
                similarities = await verifier.sentence_similarities(turn.question, turn.passages[:CONSIDERED])
        if not turn.shown:
            turn.route = "passages"
            turn.numbering.clear()
        text, turn.extracted = extract(turn.question, turn.passages, turn.numbering, similarities)
        yield Text(f"\n\n{text}" if turn.shown else text)

    async def _from_engine(self, turn: Turn) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the model's answer, verified; what is missing of it is made up for by passages."""
        status = self._engine.status()
        turn.small_model = status.small_model
        try:
            budget = budget_for(self._engine.context_tokens, small_model=status.small_model, depth=turn.asked.depth)
            prompt = build_prompt(
                turn.question, turn.asked.history, turn.passages, budget=budget, count_tokens=self._engine.count_tokens
            )
        except ContextTooSmall as error:
            events = self._quoted(turn, say(Say.ENGINE_FAILED, turn.tongue, reason=error))
        else:
            if len(prompt.shown) < len(turn.passages):  # the conversation has grown too long to go on with
                self._finder.forget(turn.asked.conversation)
            events = self._verified(turn, prompt, _sampling(budget, small_model=status.small_model))
        async with aclosing(events):
            async for event in events:
                yield event

    async def _verified(self, turn: Turn, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[AnswerEvent, None]:
        shown = [passage for passage in turn.passages if passage.n in prompt.shown]
        judge = self._new_judge(prompt, turn.asked.conversation) if self._new_judge else None
        verifier = self._new_verifier(judge)
        said = Stream(
            lambda: Release(
                shown, verifier, turn.numbering,
                question=turn.question, tongue=turn.tongue, limits=self._limits, said=turn.said,
            )
        )  # fmt: skip
        preparing = asyncio.create_task(verifier.prepare(shown, turn.question))
        failure: Exception | None = None
        events = self._streamed(turn, said, prompt, sampling, preparing)
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Text) and not turn.shown:
                        turn.shown, turn.route = True, "engine"
                    yield event
        except (EngineError, KnowledgeError, TimeoutError) as error:
            failure = error
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
        ending = self._ending(turn, said, failure)
        async with aclosing(ending):
            async for event in ending:
                yield event

    async def _streamed(
        self,
        turn: Turn,
        said: Stream,
        prompt: Prompt,
        sampling: Sampling,
        preparing: asyncio.Task[None],
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the engine's stream as thinking and verified text.

        Raises:
            EngineError: the engine failed.
            KnowledgeError: the embedder failed.
            TimeoutError: no first delta, or no end, within its deadline.

        """
        async with aclosing(self._heard(turn, said, prompt, sampling)) as heard:
            async for delta in heard:
                if isinstance(delta, InLine | Step):
                    yield delta
                elif isinstance(delta, Done):
                    said.done = delta
                elif isinstance(delta, Reasoning):
                    if said.think(delta.text, self._limits.thinking_chars):
                        yield Thinking(delta.text)
                else:
                    said.content = said.content or bool(delta.text.strip())
                    for text in await self._let_out(said, said.release.take(delta.text), preparing):
                        yield Text(text)
                if said.release.ended or said.done:
                    break
        # R1 that never closes its thought has answered in it, unless it was cut.
        rest = "" if said.content or said.cut else "".join(said.reasoning)
        for text in await self._let_out(said, said.release.take(rest), preparing):
            yield Text(text)
        for text in await self._let_out(said, said.release.last(cut=said.cut), preparing):
            yield Text(text)

    async def _heard(
        self, turn: Turn, said: Stream, prompt: Prompt, sampling: Sampling
    ) -> AsyncGenerator[InLine | Step | Reasoning | Content | Done, None]:
        """Yield what the engine says, each piece within its deadline, and before it how the turn comes nearer.

        Raises:
            EngineError: the engine failed.
            TimeoutError: no first delta, or no end, within its deadline.

        """
        asker = Asker(turn.asked.person, turn.asked.conversation, shown=lambda: turn.shown)
        name = turn.asked.id or uuid.uuid4().hex
        deltas = self._engine.stream(prompt.messages, sampling, request_id=name, asker=asker)
        said.ends_at = self._now() + self._limits.answer_s
        try:
            while (delta := await _next(deltas, self._patience_s(said))) is not None:
                if isinstance(delta, Waiting):
                    said.waits, said.ends_at = delta.position > 0, self._now() + self._limits.answer_s
                    yield InLine(in_line(delta.position, delta.eta_s, turn.tongue) if said.waits else "")
                elif isinstance(delta, Again):
                    said.again()
                else:
                    turn.timings.setdefault("first_token", self._now() - turn.began)
                    said.begun = True
                    if (step := said.step(delta)) is not None:
                        yield Step(say(step, turn.tongue))
                    yield delta
        finally:
            await _close(deltas)

    def _patience_s(self, said: Stream) -> float | None:
        """Return how long the next delta is waited for; the queue before the engine has a limit of its own."""
        if said.waits:
            return None
        left_s = said.ends_at - self._now()
        return left_s if said.begun else min(left_s, self._limits.first_token_s)

    async def _let_out(self, said: Stream, pieces: Sequence[Piece], preparing: asyncio.Task[None]) -> list[str]:
        """Check complete sentences and return what may be shown of them."""
        if not pieces:
            said.release.settle()
            return []
        async with asyncio.timeout(max(1.0, said.ends_at - self._now())):
            if not preparing.done():
                await asyncio.shield(preparing)
            preparing.result()
            return await said.release.check(pieces)

    async def _ending(self, turn: Turn, said: Stream, failure: Exception | None) -> AsyncGenerator[AnswerEvent, None]:
        """Yield what is left to say once the engine's stream has ended, one way or another."""
        if isinstance(failure, EngineError | TimeoutError) and turn.shown:
            with suppress(KnowledgeError):
                for text in await said.release.check(said.release.last(cut=True)):
                    yield Text(text)
        release = said.release
        turn.marked, turn.removed = release.marked, release.contradicted + release.dropped
        if not turn.shown and release.refused and failure is None:
            yield unknown(turn)
            return
        if not turn.shown:
            why = why_nothing(turn, said, failure, self._limits)
        else:
            for notice in of_answer(turn, said, failure, self._limits):
                yield notice
            if release.supported and not (failure and release.shown_chars < self._limits.little_chars):
                return
            turn.route = turn.route if release.supported else "passages"
            why = None
        async with aclosing(self._quoted(turn, why)) as events:
            async for event in events:
                yield event


async def _next(deltas: AsyncIterator[Delta], within_s: float | None) -> Delta | None:
    """Return the next delta, None at the end of the stream."""
    async with asyncio.timeout(within_s):
        return await anext(deltas, None)


async def _close(deltas: AsyncIterator[Delta]) -> None:
    """Close a stream, which cancels it in the engine; a stream that has ended does not mind."""
    close = getattr(deltas, "aclose", None)
    if close is not None:
        await close()


async def _nothing(_: Collection[str], __: Collection[str]) -> frozenset[str]:
    return frozenset()


def _sampling(budget: Budget, *, small_model: bool) -> Sampling:
    """Return DeepSeek's own settings for R1, and temperature 0 for a small model, which wanders otherwise."""
    if small_model:
        return Sampling(temperature=0.0, top_p=1.0, max_tokens=budget.answer_tokens)
    return Sampling(max_tokens=budget.answer_tokens, thinking_tokens=budget.thinking_tokens)
