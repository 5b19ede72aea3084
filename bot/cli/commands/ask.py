"""``kvasir ask``: answer a question, or each line of standard input, without Slack."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import UTC, datetime

from bot.answering.asker import ALL_TEAMS, Asker, restrict_to_guidelines
from bot.answering.events import AnswerEvent, InLine, Notice, Offer, Passage, Question, Text
from bot.answering.retrieval.channel_filters import restrict_sources
from bot.answering.retrieval.web_routing import strip_documents_prefix
from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.answering.thinking import describe_thinking_limit
from bot.answering.transcript import Transcript, build_transcript_json, describe_offer
from bot.answering.verified_answers.verified_answerer import VerifiedAnswerer
from bot.app import create_answerer, create_engine, create_verified_finder, mask_prompts
from bot.audit.audited_answerer import AuditedAnswerer
from bot.audit.file_log import open_audit_log
from bot.cli.command_settings import load_command_settings
from bot.cli.engine_waiting import wait_for_engine
from bot.cli.people import find_person
from bot.cli.standard_input import answer_each_line, decode_line, parse_question
from bot.errors import SettingsError
from bot.library_opening import find_guidance, open_configured_library
from bot.ready_library import ReadyLibrary
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.storage.verified_answers import VerifiedAnswers
from bot.terminal.output import print_json, print_note, print_piece, print_result


async def main(arguments: argparse.Namespace) -> int:
    """Answer one question, or each line of standard input."""
    settings = load_command_settings(arguments)
    profile = None if arguments.profile is None else find_guidance(settings.configuration, arguments.profile)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.ensure_running()
        library = await stack.enter_async_context(open_configured_library(settings))
        ledger = await stack.enter_async_context(open_ledger(settings.database_url))
        await wait_for_engine(engine)
        why = describe_thinking_limit(engine.thinking_control) if arguments.think is not None else ""
        depth = arguments.think or settings.configuration.thinking.everywhere
        asked = mask_prompts(engine, settings)
        judges = Judges(asked, Calibrations(settings.home).find_calibration)
        ready_library = ReadyLibrary(library, None)
        ready_library.first_sync_done.set()  # this command runs no sync
        changes = SharedChanges(ledger.database)
        stored = VerifiedAnswers(ledger.database, changes)
        people = AuditPeople(ledger.database, changes)
        answerer = AuditedAnswerer(
            VerifiedAnswerer(
                create_answerer(
                    library,
                    asked,
                    ready_library.search,
                    judges=judges,
                    limits=settings.limits,
                    recogniser=settings.configuration.masking.recogniser,
                ),
                create_verified_finder(library, stored, marks=False),
            ),
            await stack.enter_async_context(open_audit_log(settings.audit, people)),
        )

        async def list_events(typed: str) -> AsyncGenerator[AnswerEvent, None]:
            question, wants_documents = strip_documents_prefix(typed)
            asker = Asker(team=ALL_TEAMS, policy=settings.configuration.web.everywhere, depth=depth)
            if arguments.person is not None:
                person = await find_person(settings, library.identities, arguments.person)
                asker = replace(asker, person=person.id, team=person.team, viewers=person.viewers)
            if profile is not None:
                asker = restrict_to_guidelines(asker, profile, datetime.now(UTC))
                readable = await library.count_readable(asker.viewers)
                within = restrict_sources(asker.within, readable, datetime.now(UTC))
                if within is None:
                    raise SettingsError("This person may read no guideline. Name somebody with --as who may.")
                asker = replace(asker, within=within)
            request = Question(
                question, asker=asker, id="ask", wants_documents=wants_documents, wants_web=arguments.web
            )
            if why:
                yield Notice(why)
            async with aclosing(answerer.answer(request)) as events:
                async for event in events:
                    yield event

        if arguments.question == "-":

            async def answer_line(line: bytes) -> dict[str, object]:
                return build_transcript_json(await _collect_answer(list_events(parse_question(line)), quiet=True))

            return await answer_each_line(answer_line, lambda line: {"question": decode_line(line)})
        transcript = await _collect_answer(list_events(arguments.question), quiet=arguments.json)
    if arguments.json:
        print_json(build_transcript_json(transcript))
    else:
        _show_sources(transcript.sources)
    return 0


async def _collect_answer(events: AsyncGenerator[AnswerEvent, None], *, quiet: bool) -> Transcript:
    transcript, is_open = Transcript(), False
    async with aclosing(events) as answer:
        async for event in answer:
            transcript.add_event(event)
            if not quiet:
                is_open = _show_event(event, is_open=is_open)
    return transcript


def _show_event(event: AnswerEvent, *, is_open: bool) -> bool:
    """Print an event, a notice on a line of its own. Return whether a line of the answer is open, as ``is_open``."""
    match event:
        case Text(markdown, _):
            print_piece(markdown)
            return not markdown.endswith("\n")
        case Notice(text) | InLine(text) if text:
            note = text
        case Offer(_, question):
            note = describe_offer(question)
        case _:
            return is_open
    if is_open:
        print_result("")
    print_note(note)
    return False


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
