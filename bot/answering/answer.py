"""Turn a question into a stream of answer events: search, prompt, engine, support check, and a fallback for each.

Each step is one generator. Closing the outermost one closes them all, down to the engine's stream.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime

from bot.answering.checked_stream import CheckedStream, Evidence
from bot.answering.events import AnswerEvent, InLine, Notice, Passage, Question, Sources, Stage, Step, Text
from bot.answering.extracts.extract import choose_extracts
from bot.answering.extracts.sentence_similarities import CompareTexts, compare_sentences, order_passages
from bot.answering.limits import Limits
from bot.answering.markdown.citations import escape_displayed, format_markers
from bot.answering.notices.answer_notices import (
    describe_queue_position,
    explain_missing_answer,
    explain_search_trouble,
    explain_unavailable_engine,
    introduce_closest_passages,
    list_answer_notices,
    list_recognition_notices,
    list_web_notices,
)
from bot.answering.notices.small_talk import choose_small_talk_reply
from bot.answering.notices.source_overview import Contents, asks_for_sources, describe_sources
from bot.answering.prompt import Budget, ContextTooSmall, Prompt, build_prompt, describe_manner, plan_budget
from bot.answering.retrieval.passage_order import FindReadableChunks
from bot.answering.retrieval.retriever import Retriever, Search
from bot.answering.support.interfaces import Judge, NewChecker, NewJudge
from bot.answering.turn import EngineStream, Turn, join_case, list_unread
from bot.answering.vision import CONTEXT_TOKENS, VisionModel, choose_pictures
from bot.languages.registry import choose_language, find_pack
from bot.messages import answers
from bot.messages.errors import explain_error
from bot.messages.message import Message, join_names, render_message
from engine.errors import EngineError
from engine.interfaces import ChatEngine, ContentDelta, Delta, QueuePosition, Sampling, StreamRestart
from knowledge.errors import KnowledgeError
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser

_STEPS: Mapping[Stage, Message] = {
    "search": answers.SEARCHING,
    "search_web": answers.SEARCHING_WEB,
    "read": answers.READING,
    "think": answers.THINKING,
    "write": answers.WRITING,
}


class Answerer:
    """Answers questions. One object serves all turns at once.

    It remembers which passages each conversation has seen.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        search: Search,
        engine: ChatEngine,
        new_checker: NewChecker,
        *,
        new_judge: NewJudge | None = None,
        still: FindReadableChunks | None = None,
        contents: Contents | None = None,
        compare: CompareTexts | None = None,
        limits: Limits | None = None,
        recogniser: Recogniser = DEFAULT_RECOGNISER,
        vision: VisionModel | None = None,
    ) -> None:
        self._engine = engine
        self._vision = vision
        self._new_checker = new_checker
        self._new_judge = new_judge
        self._contents = contents
        self._compare = compare
        self._limits = limits or Limits()
        self._retriever = Retriever(search, engine, still=still, limits=self._limits, recogniser=recogniser)

    def forget_conversation(self, conversation: str) -> None:
        """Forget which passages a conversation has seen, and its questions; "" for all conversations."""
        self._retriever.places.forget_conversation(conversation)

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the events of an answer: Sources, Text and Notice as they come, Finished last.

        Never raises for what can go wrong with documents, engine or embedder; each becomes a Notice and the best answer
        that is left. Closing the iterator, or cancelling the task that waits for it, closes the engine's stream.
        """
        text = question.text.strip()
        language = question.asker.language or choose_language(text)
        turn = Turn(text[: self._limits.question_chars], question, language, time.monotonic())
        async with aclosing(self._list_events(turn)) as events:
            async for event in events:
                if isinstance(event, Text):
                    turn.timings.setdefault("first_text", time.monotonic() - turn.began)
                    event = turn.cite_new(event)  # noqa: PLW2901 - the same text, with what it cites
                yield event
        for notice in (*list_recognition_notices(turn), *list_web_notices(turn)):
            yield notice
        yield turn.make_finished(time.monotonic())

    async def _list_events(self, turn: Turn) -> AsyncGenerator[AnswerEvent, None]:
        if not any(char.isalnum() for char in turn.question):
            turn.mark_unreadable()
            yield Notice(render_message(answers.EMPTY_QUESTION, turn.language))
            return
        if (courtesy := choose_small_talk_reply(turn.question)) is not None:
            turn.mark_unreadable()
            turn.route = "courtesy"
            yield Text(render_message(courtesy, turn.language))
            return
        if len(turn.asked_question.text.strip()) > self._limits.question_chars:
            yield Notice(render_message(answers.QUESTION_CUT, turn.language, kept=self._limits.question_chars))
        if self._contents is not None and asks_for_sources(turn.question):
            yield await self._describe_sources(turn, self._contents)
            return
        yield _make_step(turn, "search_web" if turn.web.when == "always" else "search")
        failed = await self._retriever.find_passages(turn)
        if turn.trouble:
            yield Notice(explain_search_trouble(turn.trouble, turn.language))
        await self._order_passages(turn)
        warnings = await self._list_warnings(turn)
        if failed is None or turn.passages:
            yield Sources(tuple(replace(one, n=rank) for rank, one in enumerate(turn.passages, 1)))
        for warning in warnings:
            yield warning
        if failed is not None:
            yield failed
            return
        async with aclosing(self._answer_from_passages(turn)) as events:
            async for event in events:
                yield event

    async def _list_warnings(self, turn: Turn) -> list[Text | Notice]:
        """Return what guidelines warn of in this case, in their own words and with their citation."""
        guidance = turn.asked_question.asker.guidance
        # A long file takes a second.
        warnings = await asyncio.to_thread(guidance.find_warnings, join_case(turn.asked_question)) if guidance else ()
        found, unsearched = await self._retriever.find_warnings(turn, warnings)
        texts: list[Text | Notice] = []
        for warning, passage in found:
            turn.warning_passages += (passage,)
            marker = format_markers(turn.numbering.display_passages(passage))
            sentence = f"{escape_displayed(warning)} {marker}"
            text = render_message(answers.WARNING_OF_GUIDELINE, turn.language, sentence=sentence)
            texts.append(Text(f"{text}\n\n", is_extract=True))
        missing = len(warnings) - len(found) - unsearched
        for notice, count in (
            (answers.WARNINGS_WITHOUT_SOURCE, missing),
            (answers.WARNINGS_NOT_SEARCHED, unsearched),
        ):
            if count:
                texts.append(Notice(render_message(notice, turn.language, count=count)))
        if guidance and (unread := list_unread(turn.asked_question)):
            names = join_names(unread, turn.language)
            texts.append(Notice(render_message(answers.UNREAD_BY_RULES, turn.language, names=names)))
        return texts

    async def _answer_from_passages(self, turn: Turn) -> AsyncGenerator[AnswerEvent, None]:
        if self._vision is not None and (pictures := choose_pictures(turn.asked_question.materials)):
            turn.pictures = pictures
            yield _make_step(turn, "read")
            async with aclosing(self._ask_vision_model(turn, self._vision)) as events:
                async for event in events:
                    yield event
            if turn.is_seen:
                return
        if not turn.related or not turn.passages:
            yield Text(render_message(answers.UNKNOWN, turn.language))
            return
        if turn.unmentioned_names:
            yield await self._show_closest(turn)
            return
        yield _make_step(turn, "read")
        if why := explain_unavailable_engine(self._engine.status(), turn.language):
            yield Notice(why)
            yield await self._show_passages(turn)
            return
        async with aclosing(self._ask_engine(turn)) as events:
            async for event in events:
                yield event

    async def _describe_sources(self, turn: Turn, contents: Contents) -> Text | Notice:
        """Say which documents the requester may read."""
        try:
            async with asyncio.timeout(self._limits.search_s):
                found = await contents(turn.asked_question.asker.viewers, turn.asked_question.asker.within)
        except (KnowledgeError, TimeoutError) as error:
            return Notice(render_message(answers.SEARCH_FAILED, turn.language, reason=explain_error(error)))
        turn.route = "sources"
        return Text(describe_sources(found, datetime.now(UTC), turn.language))

    async def _show_passages(self, turn: Turn) -> Text:
        """Return extracts in the place of a model's answer, as the closest passages if none is sure to answer."""
        return await (self._extract_sentences if turn.answerable else self._show_closest)(turn)

    async def _show_closest(self, turn: Turn) -> Text:
        """Return extracts of the best passages where nothing answers the question directly."""
        extracts = await self._extract_sentences(turn, is_sure=False)
        turn.route = "closest"
        return Text(f"{introduce_closest_passages(turn)}\n\n{extracts.markdown}", is_extract=True)

    def _reads_little(self) -> bool:
        """Return whether only the first passages are read, or shown as extracts, so that their order matters."""
        status = self._engine.status()
        return status.small_model or explain_unavailable_engine(status, "en") is not None

    async def _order_passages(self, turn: Turn) -> None:
        """Put the passages that answer best first, where their order matters and the search is not sure of it."""
        if turn.related and not turn.answerable and self._reads_little():
            await self._compare_sentences(turn)
            turn.passages, turn.similarities = order_passages(turn.passages, turn.similarities or {})

    async def _compare_sentences(self, turn: Turn) -> None:
        """Fill ``turn.similarities`` unless that fails or takes too long; shared words still tell what to show."""
        if self._compare is None:
            return
        with suppress(KnowledgeError, TimeoutError):
            async with asyncio.timeout(self._limits.quote_s):
                turn.similarities = await compare_sentences(turn.question, turn.passages, self._compare)

    async def _extract_sentences(self, turn: Turn, *, is_sure: bool = True, answer: str = "") -> Text:
        """Return an extract of the best passages; more of them if it is not sure that one answers.

        ``answer`` is the model's, if the extract is its evidence.
        """
        if turn.similarities is None:
            await self._compare_sentences(turn)
        if not turn.is_shown:
            turn.route = "passages"
            turn.numbering.clear()
            turn.numbering.display_passages(*turn.warning_passages)
        text, turn.extracted_passages = choose_extracts(
            turn.question,
            turn.passages,
            turn.numbering,
            turn.similarities,
            answer=answer,
            is_sure=is_sure and turn.answerable,
        )
        return Text(f"\n\n{text}" if turn.is_shown and text else text, is_extract=True)

    async def _ask_engine(self, turn: Turn) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the model's checked answer, and an extract where it is missing or cut."""
        turn.small_model = self._engine.status().small_model
        try:
            prompt, budget = self._build_prompt(turn, self._engine.context_tokens)
        except ContextTooSmall:
            reason = answers.CONTEXT_TOO_SMALL.fill(tokens=self._engine.context_tokens)
            yield Notice(render_message(answers.ENGINE_FAILED, turn.language, reason=reason))
            yield await self._show_passages(turn)
            return
        if len(prompt.shown_numbers) < len(turn.passages):  # the conversation has grown too long to go on with
            self.forget_conversation(turn.asked_question.asker.conversation)
        judge = self._new_judge(prompt, turn.requester) if self._new_judge else None
        # Of 27 answers of a model without a judgement to questions that the search was unsure of, 4 were right.
        if turn.small_model and not turn.answerable:
            finds = False if judge is None else await judge.finds_answer(turn.question)
            if finds is None:
                yield Notice(render_message(answers.ENGINE_FAILED, turn.language, reason=answers.ENGINE_BUSY))
            if not finds:
                yield await (self._extract_sentences if finds is None else self._show_closest)(turn)
                return
        requester = replace(turn.requester, has_shown_output=lambda: turn.is_shown)
        name = turn.asked_question.id or uuid.uuid4().hex
        deltas = self._engine.stream(
            prompt.messages, _choose_sampling(budget, turn), request_id=name, requester=requester
        )
        async with aclosing(self._show_answer(turn, prompt, judge, deltas)) as events:
            async for event in events:
                yield event

    async def _ask_vision_model(self, turn: Turn, vision: VisionModel) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the checked answer of a model that sees the pictures; nothing if it does not answer."""
        prompt, budget = self._build_prompt(turn, CONTEXT_TOKENS, find_pack(turn.language).picture_line)
        deltas = await vision.ask(prompt.messages, turn.pictures, budget.answer_tokens)
        if deltas is None:
            return
        turn.is_seen = True
        async with aclosing(self._show_answer(turn, prompt, None, deltas)) as events:
            async for event in events:
                yield event

    def _build_prompt(self, turn: Turn, context_tokens: int, line: str = "") -> tuple[Prompt, Budget]:
        """Return the prompt and how many tokens its parts may take; ``line`` follows the question.

        Raises:
            ContextTooSmall: nothing of use fits.

        """
        asker = turn.asked_question.asker
        budget = plan_budget(context_tokens, small_model=turn.small_model, depth=asker.depth, length=asker.length)
        manner = describe_manner(asker.language, asker.tone, choose_language(turn.question))
        prompt = build_prompt(
            turn.question,
            turn.asked_question.history,
            turn.passages,
            budget=budget,
            count_tokens=self._engine.count_tokens,
            manner=" ".join(filter(None, (line, manner))),
        )
        return prompt, budget

    async def _show_answer(
        self, turn: Turn, prompt: Prompt, judge: Judge | None, deltas: AsyncIterator[Delta]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield what a model writes as checked text, and what follows it."""
        prompt_passages: list[Passage] = [passage for passage in turn.passages if passage.n in prompt.shown_numbers]
        checker = self._new_checker(judge)
        preparing = asyncio.create_task(checker.prepare(prompt_passages, turn.question))
        stream = EngineStream(
            preparing,
            lambda: CheckedStream(
                prompt_passages, checker, turn.numbering,
                question=turn.question, language=turn.language, limits=turn.narrow_limits(self._limits),
                said=(turn.asked_question.text, *(one.question for one in turn.asked_question.history)),
                evidence=_choose_evidence(turn, judge),
            ),
        )  # fmt: skip
        failure: Exception | None = None
        try:
            async with aclosing(self._stream_answer(turn, stream, deltas)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        turn.shown_text, turn.route = turn.shown_text + event.markdown, "engine"
                    yield event
        except (EngineError, KnowledgeError, TimeoutError) as error:
            failure = error
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
        async with aclosing(self._finish_answer(turn, stream, failure)) as ending:
            async for event in ending:
                yield event

    async def _stream_answer(
        self, turn: Turn, stream: EngineStream, deltas: AsyncIterator[Delta]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield a model's stream as checked text, and before it the place in the queue.

        Raises:
            EngineError: the engine failed.
            KnowledgeError: the embedder failed.
            TimeoutError: no first delta, or no end, within its deadline.

        """
        stream.ends_at = time.monotonic() + self._limits.answer_s
        async with aclosing(deltas):  # type: ignore[type-var]  # a model's stream is a generator
            while (delta := await _read_next(deltas, self._patience_s(stream), stream)) is not None:
                if isinstance(delta, QueuePosition):
                    stream.waits, stream.ends_at = delta.position > 0, time.monotonic() + self._limits.answer_s
                    yield InLine(describe_queue_position(delta.position, delta.eta_s, turn.language))
                    continue
                if isinstance(delta, StreamRestart):
                    stream.restart()
                    continue
                turn.timings.setdefault("first_token", time.monotonic() - turn.began)
                if (stage := stream.add_delta(delta, self._limits.answer_chars)) is not None:
                    yield _make_step(turn, stage)
                if isinstance(delta, ContentDelta) and stream.checked_stream.feed_text(delta.text):
                    for text in await self._release_text(stream):
                        yield Text(text)
                if stream.checked_stream.ended or stream.stream_end:
                    break
        stream.checked_stream.feed_text(stream.unclosed_thought)
        for text in await self._release_text(stream, last=True):
            yield Text(text)

    def _patience_s(self, stream: EngineStream) -> float | None:
        """Return the timeout of the next delta; None in the queue, which has its own limit."""
        if stream.waits:
            return None
        left_s = stream.ends_at - time.monotonic()
        return left_s if stream.has_begun else min(left_s, self._limits.first_token_s)

    async def _release_text(self, stream: EngineStream, *, last: bool = False) -> list[str]:
        """Return what may be shown of the model's text, once the checker has read the passages."""
        async with asyncio.timeout(max(1.0, stream.ends_at - time.monotonic())):
            await asyncio.shield(stream.preparing)
            return await (
                stream.checked_stream.finish_text(cut=stream.was_cut)
                if last
                else stream.checked_stream.release_sentences()
            )

    async def _finish_answer(
        self, turn: Turn, stream: EngineStream, failure: Exception | None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the rest of the answer once the engine's stream has ended or failed."""
        checked = stream.checked_stream
        turn.reasoning = stream.reasoning
        if isinstance(failure, EngineError | TimeoutError) and turn.is_shown:
            with suppress(KnowledgeError, TimeoutError):
                async with asyncio.timeout(self._limits.quote_s):
                    rest = await checked.finish_text(cut=True)
                turn.shown_text += "".join(rest)
                for text in rest:
                    yield Text(text)
        turn.marked_count, turn.removed_count = checked.marked, checked.contradicted + checked.dropped
        if not turn.is_shown:
            if (why := explain_missing_answer(turn, stream, failure, self._limits)) is not None:
                yield Notice(why)
            if not turn.passages:  # a picture alone, of which nothing may be shown
                yield Text(render_message(answers.UNKNOWN, turn.language))
                return
            yield await (self._show_closest if why is None else self._show_passages)(turn)
            return
        is_long = not failure or checked.shown_chars >= self._limits.little_chars
        is_enough = turn.is_seen or (checked.supported > 0 and is_long)
        if is_enough and turn.small_model:
            evidence = await self._extract_sentences(turn, answer=turn.shown_text)
            if evidence.markdown:
                yield evidence
        for notice in list_answer_notices(turn, stream, failure, self._limits):
            yield notice
        if not is_enough:
            turn.route = turn.route if checked.supported else "passages"
            yield await self._extract_sentences(turn)


def _make_step(turn: Turn, stage: Stage) -> Step:
    return Step(render_message(_STEPS[stage], turn.language, count=len(turn.passages)), stage)


async def _read_next(deltas: AsyncIterator[Delta], within_s: float | None, stream: EngineStream) -> Delta | None:
    """Return the next delta that does more than continue a sentence, None at the end of the stream.

    Text that continues the answer is fed here, because a timeout for each word costs more than the word. So an empty
    delta is returned for the text that completes a sentence.
    """
    async with asyncio.timeout(within_s):
        while (delta := await anext(deltas, None)) is not None:
            if not (isinstance(delta, ContentDelta) and stream.content):
                return delta
            if stream.checked_stream.feed_text(delta.text):
                return ContentDelta("")
    return None


def _choose_evidence(turn: Turn, judge: Judge | None) -> Evidence:
    if not turn.small_model:
        return "none"
    return "needed" if judge is None else "shown"


def _choose_sampling(budget: Budget, turn: Turn) -> Sampling:
    """Return DeepSeek's own settings for R1, and temperature 0 for a small model, which wanders otherwise."""
    if turn.small_model:
        return Sampling(temperature=0.0, top_p=1.0, max_tokens=budget.answer_tokens)
    return Sampling(max_tokens=budget.answer_tokens, thinking_tokens=budget.thinking_tokens)
