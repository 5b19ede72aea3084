"""``kvasir ask``: answer a question, or each line of standard input, without Slack."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from bot.answering.events import AnswerEvent, Finished, InLine, Notice, Passage, Question, Sources, Text
from bot.answering.policy import WebUse
from bot.answering.thinking import describe_thinking_limit
from bot.answering.verification.calibration import Calibrations
from bot.answering.verification.judge import Judges
from bot.app import create_answerer, create_engine, open_configured_library
from bot.cli.command_settings import load_command_settings
from bot.cli.people import find_viewers
from bot.cli.standard_input import answer_each_line, decode_line, parse_question
from bot.messages import live_web
from bot.messages.message import render_message
from bot.ready_library import ReadyLibrary
from bot.terminal.output import print_json, print_note, print_piece, print_result
from bot.terminal.terminal import Terminal
from engine.interfaces import EngineState
from engine.service import Engine
from knowledge.interfaces import WebOrigin

_ENGINE_S = 240.0
"""How long to wait for an engine that is loading."""


@dataclass(slots=True)
class Transcript:
    """The parts of an answer, collected from its events."""

    text: list[str] = field(default_factory=list)
    extracts: list[str] = field(default_factory=list)
    """What of the text the documents say in their own words."""
    notices: list[str] = field(default_factory=list)
    passages: tuple[Passage, ...] = ()
    end: Finished | None = None

    def add_event(self, event: AnswerEvent) -> None:
        """Add one event."""
        match event:
            case Sources(passages):
                self.passages = passages
            case Text(markdown, is_extract=is_extract):
                self.text.append(markdown)
                self.extracts += [markdown] if is_extract else []
            case Notice(text):
                self.notices.append(text)
            case Finished():
                self.end = event

    @property
    def sources(self) -> tuple[Passage, ...]:
        """Return the cited passages, or all passages if none is cited."""
        return (self.end.cited if self.end else ()) or self.passages


async def main(arguments: argparse.Namespace) -> int:
    """Answer one question, or each line of standard input."""
    settings = load_command_settings(arguments)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.ensure_running(install=False)
        library = await stack.enter_async_context(open_configured_library(settings))
        await _wait_for_engine(engine)
        why = describe_thinking_limit(engine.thinking_control) if arguments.think is not None else ""
        depth = arguments.think or settings.configuration.thinking.everywhere
        judges = Judges(engine, Calibrations(settings.home).find_calibration)
        ready_library = ReadyLibrary(library, None)
        ready_library.first_sync_done.set()  # this command runs no sync
        answerer = create_answerer(library, engine, ready_library.search, judges=judges, limits=settings.limits)

        async def start_answer(question: str) -> AsyncGenerator[AnswerEvent, None]:
            request = Question(
                question,
                id="ask",
                viewers=await find_viewers(settings, library.identities, arguments.person),
                depth=depth,
                policy=settings.configuration.web.everywhere,
                wants_web=arguments.web,
            )
            return _prepend_notice(answerer.answer(request), why)

        if arguments.question == "-":

            async def answer_line(line: bytes) -> dict[str, object]:
                return transcript_json(await _collect_answer(await start_answer(parse_question(line)), quiet=True))

            return await answer_each_line(answer_line, lambda line: {"question": decode_line(line)})
        transcript = await _collect_answer(await start_answer(arguments.question), quiet=arguments.json)
    if arguments.json:
        print_json(transcript_json(transcript))
    else:
        _show_sources(transcript.sources)
    return 0


async def _prepend_notice(events: AsyncGenerator[AnswerEvent, None], why: str) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of an answer, after a notice why the model does not think as requested."""
    if why:
        yield Notice(why)
    async with aclosing(events) as answer:
        async for event in answer:
            yield event


async def _collect_answer(events: AsyncGenerator[AnswerEvent, None], *, quiet: bool) -> Transcript:
    transcript = Transcript()
    async with aclosing(events) as answer:
        async for event in answer:
            transcript.add_event(event)
            if not quiet:
                _show_event(event)
    return transcript


async def _wait_for_engine(engine: Engine) -> None:
    """Show the progress of the engine until it is ready or has failed."""
    if engine.status().state is EngineState.READY:
        return
    with Terminal() as terminal:
        waiting = asyncio.create_task(engine.wait_until_ready(_ENGINE_S))
        try:
            while not waiting.done():
                status = engine.status()
                terminal.show_progress("engine", status.progress, status.detail)
                await asyncio.wait([waiting], timeout=0.5)
        finally:
            waiting.cancel()


def _show_event(event: AnswerEvent) -> None:
    match event:
        case Text(markdown, _):
            print_piece(markdown)
        case Notice(text) | InLine(text) if text:
            print_note(text)


def _show_sources(passages: tuple[Passage, ...]) -> None:
    print_result("")
    for passage in passages:
        path = " › ".join(part for part in (passage.title, passage.heading) if part)
        print_result(f"[{passage.n}] {path}  ({passage.url or passage.document}{_describe_freshness(passage)})")


def _describe_freshness(passage: Passage) -> str:
    """Return when a document was last synced; for a page of the web its host, date, and the age of an old copy."""
    as_of = f", as of {passage.as_of:%Y-%m-%d %H:%M} UTC" if passage.as_of else ""
    if passage.web is None:
        return as_of
    published = f", {passage.web.published:%Y-%m-%d}" if passage.web.published else ""
    return f"; web: {passage.web.host}{published}{as_of if passage.web.stale else ''}"


def transcript_json(transcript: Transcript) -> dict[str, object]:
    """Return an answer in the shape that scripts rely on."""
    end = transcript.end
    return {
        "answer": "".join(transcript.text).strip(),
        "extracts": "".join(transcript.extracts).strip(),
        "sources": [
            {
                "n": passage.n,
                "source": passage.source,
                "document": passage.document,
                "title": passage.title,
                "heading": passage.heading,
                "url": passage.url,
                "as_of": passage.as_of.isoformat() if passage.as_of else None,
                "web": _page_json(passage.web),
            }
            for passage in transcript.sources
        ],
        "notices": transcript.notices,
        "marked": end.marked_count if end else 0,
        "removed": end.removed_count if end else 0,
        "route": _route_json(end),
        "web": _web_json(end.web if end else WebUse()),
        "timings": {name: round(seconds, 6) for name, seconds in end.timings.items()} if end else {},
    }


def _page_json(web: WebOrigin | None) -> dict[str, object] | None:
    """Return where on the web a passage comes from; None for a document's passage."""
    if web is None:
        return None
    published = web.published.isoformat() if web.published else None
    return {"host": web.host, "published": published, "fetched_at": web.fetched_at.isoformat(), "stale": web.stale}


def _route_json(end: Finished | None) -> dict[str, object]:
    """Return whether the live web was to be searched, why, and what answered in the end."""
    web = end.web if end else WebUse()
    return {
        "web": web.when,
        "why": web.why.value,
        "policy": web.policy.mode,
        "answered_by": end.route if end else "unknown",
    }


def _web_json(web: WebUse) -> dict[str, object]:
    """Return whether the live web was searched, and the result."""
    look = web.look
    skipped = look.left_out if look else ()
    return {
        "asked": look is not None,
        "provider": look.provider if look else "",
        "read": list(look.read) if look else [],
        "left_out": [{"url": one.url, "why": render_message(live_web.SKIP_REASONS[one.why], "en")} for one in skipped],
        "not_listed": list(web.closed_links),
        "trouble": render_message(live_web.TROUBLES[look.trouble], "en") if look and look.trouble else "",
        "seconds": round(look.seconds, 6) if look else 0.0,
    }
