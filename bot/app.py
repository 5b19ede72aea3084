"""The composition root: open all parts in one stack. Only this module names concrete classes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bot.answering.answer import Answerer
from bot.answering.cache_salts import find_cache_salt
from bot.answering.limits import Limits
from bot.answering.masked_engine import MaskedEngine
from bot.answering.retrieval.retriever import Search
from bot.answering.support.calibration import Calibrations
from bot.answering.support.checker import feature_checkers
from bot.answering.support.judge import Judges
from bot.answering.verified_answers.finder import StoredVerifiedAnswers, VerifiedAnswerFinder
from bot.answering.verified_answers.phrasings import write_phrasings
from bot.answering.verified_answers.verified_answerer import VerifiedAnswerer
from bot.answering.vision import VisionModel
from bot.audit.audited_answerer import AuditedAnswerer
from bot.config.configuration import ADDED_SOURCE
from bot.config.settings import Settings
from bot.document_additions import DocumentAdditions
from bot.errors import WheelError
from bot.http.loopback import is_loopback
from bot.library_opening import (
    build_source_kinds,
    open_guidance,
    open_library_of_kinds,
    open_page_cache,
    uses_slack_source,
)
from bot.off_peak import run_off_peak_work
from bot.page_additions import PageAdditions
from bot.ready_library import ReadyLibrary
from bot.slack.wire.tasks import BackgroundTasks
from bot.storage.processes import name_this_process
from bot.terminal.lines import format_engine_state, format_live_web, format_report, show_progress
from bot.terminal.terminal import Terminal
from bot.wheels import WheelCache
from bot.workspace_page import keep_page_updated
from engine.interfaces import ChatEngine, ClosableEngine, EngineState
from engine.service import Engine
from engine.tasks import cancel_tasks, is_hurried
from knowledge.database.failures import wait_for_database
from knowledge.errors import EmbedderError, KnowledgeError
from knowledge.library import Library
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser

if TYPE_CHECKING:
    from bot.audit.audited_profiles import AuditedProfiles
    from bot.audit.entries import AuditLog
    from bot.health.checks import Health
    from bot.local_workspace import LocalWorkspace
    from bot.slack.turns.dependencies import SlackDependencies
    from bot.slack.wire.settings import SlackSettings
    from bot.slack.workspace.app import SlackApp
    from bot.slack.workspace.installations.app import InstalledApp
    from bot.storage.turns.ledger import Ledger
    from knowledge.database.database import Database
    from knowledge.sync.schedule import Schedule

    AnyApp = SlackApp | InstalledApp

_log = structlog.get_logger("kvasir.app")

_PURGE_FILES = "17 * * * *"  # when old files are deleted: each hour, as old rows are (``PURGE_EVERY_S``)
_LOOK_S = 1.0
_CHECK_SOURCES_S = 60.0
_LEAVE_S = 5.0  # how long requests are taken after readiness has fallen, until load balancers have noticed it
_SETTLED = {EngineState.FAILED, EngineState.ABSENT, EngineState.DEGRADED}


def create_engine(settings: Settings) -> Engine:
    """Return the engine without starting it."""
    wheels = WheelCache(settings.cache / "wheels", settings.engine.hidden_variables)
    return Engine(settings.engine, wheels.unpack_wheel, wheel_error=WheelError)


def mask_prompts(engine: ClosableEngine, settings: Settings) -> ClosableEngine:
    """Return the engine; its prompts get placeholders if it is on another host and the configuration wants them."""
    masking = settings.configuration.masking
    is_elsewhere = not all(map(is_loopback, settings.engine.urls))
    return MaskedEngine(engine, masking.recogniser) if masking.masks_prompts and is_elsewhere else engine


@contextlib.asynccontextmanager
async def open_vision_model(settings: Settings, library: Library) -> AsyncIterator[VisionModel | None]:
    """Yield the model that sees pictures; None without one, or where no personal data may leave this machine.

    A picture has no placeholders, so with masked prompts another host gets none.
    """
    vision = settings.vision
    if vision is None or (settings.configuration.masking.masks_prompts and not is_loopback(vision.address.url)):
        yield None
        return
    library.materials.keeps_pictures = True
    model = VisionModel(vision)
    try:
        yield model
    finally:
        await model.close()


def create_answerer(
    library: Library,
    engine: ChatEngine,
    search: Search | None = None,
    *,
    judges: Judges | None = None,
    limits: Limits | None = None,
    recogniser: Recogniser = DEFAULT_RECOGNISER,
    vision: VisionModel | None = None,
) -> Answerer:
    """Return the answerer; ``search`` replaces the library's search, and ``judges`` judge sentences.

    ``recogniser`` finds what no search engine may get.
    """
    return Answerer(
        search or library.search,
        engine,
        feature_checkers(library.embedder.embed_symmetric, library.calibration.support),
        new_judge=judges.judge_of if judges is not None else None,
        still=library.filter_current,
        contents=library.list_documents,
        compare=library.compare_texts if library.calibration.extract_scale else None,
        limits=limits,
        recogniser=recogniser,
        vision=vision,
    )


def create_verified_finder(
    library: Library, stored: StoredVerifiedAnswers, *, marks: bool = True
) -> VerifiedAnswerFinder:
    """Return what finds the verified answer to a question; without ``marks`` it only reads.

    A command may have other sources than the bot, so it must not decide which answers need review.
    """
    return VerifiedAnswerFinder(
        stored,
        library,
        embed=library.embedder.embed_symmetric,
        thresholds=library.calibration.offers,
        marks=marks,
    )


def create_profiles(
    settings: Settings, library: Library, engine: ChatEngine, judges: Judges, audit: AuditLog
) -> AuditedProfiles:
    """Return what applies profiles to files."""
    from bot.audit.audited_profiles import AuditedProfiles  # noqa: PLC0415 - as in ``serve``
    from bot.profiles.checklist.reviewer import Reviewer  # noqa: PLC0415
    from bot.profiles.extraction.extractor import Extractor  # noqa: PLC0415
    from bot.profiles.notes.writer import NoteWriter  # noqa: PLC0415
    from bot.profiles.registry import Profiles  # noqa: PLC0415

    limits = replace(settings.limits, unsupported="drop")
    note_writer = NoteWriter(
        library, lambda search: create_answerer(library, engine, search, judges=judges, limits=limits)
    )
    profiles = Profiles(settings.configuration.profiles)
    return AuditedProfiles(library, profiles, Extractor(engine), Reviewer(engine), note_writer, audit)


async def serve(settings: Settings, terminal: Terminal) -> None:
    """Run the bot until cancelled, in the Slack workspace of the tokens or in one on this machine.

    Raises:
        BotError, EngineError, KnowledgeError, SlackError: something could not be opened; the text names the next step.

    """
    # Only this command needs Slack's libraries; the others start faster without them.
    from bot.audit.file_log import open_audit_log  # noqa: PLC0415
    from bot.health.probes import open_health  # noqa: PLC0415
    from bot.http.listeners import Listeners  # noqa: PLC0415
    from bot.local_workspace import open_local_workspace  # noqa: PLC0415
    from bot.metrics import MeasuredEngine, Metrics, serve_metrics  # noqa: PLC0415
    from bot.security.audit import SecurityAudit  # noqa: PLC0415
    from bot.slack.turns.dependencies import SlackDependencies, VerifiedTools  # noqa: PLC0415
    from bot.storage.audit_people import AuditPeople  # noqa: PLC0415
    from bot.storage.channels.channel_event_log import ChannelEventLog  # noqa: PLC0415
    from bot.storage.shared_changes import SharedChanges  # noqa: PLC0415
    from bot.storage.verified_answers import VerifiedAnswers  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        workspace, slack, configured, listeners = None, settings.slack, settings.configuration, Listeners()
        guidance = await asyncio.to_thread(open_guidance, configured)
        health = await stack.enter_async_context(open_health(listeners, settings.health_host, settings.health_port))
        if slack is None:
            workspace = await stack.enter_async_context(
                open_local_workspace(settings.home / "sandbox", settings.sandbox_port, _list_document_folders(settings))
            )
            slack = workspace.slack
        answers = settings.role != "sync"
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        if answers:
            await engine.start()
        ledger = await _open_ledger(settings, engine, terminal, stack)
        event_log, changes = ChannelEventLog(ledger.database), SharedChanges(ledger.database)
        audit = await stack.enter_async_context(open_audit_log(settings.audit, AuditPeople(ledger.database, changes)))
        library = await stack.enter_async_context(
            open_library_of_kinds(settings, build_source_kinds(settings, slack, event_log), audit)
        )
        await stack.enter_async_context(library.configurations.announce(name_this_process()))
        metrics = Metrics(
            engine.status,
            engine.collect_stats,
            engine.count_requests,
            lambda: library.identities.failures,
            count_lost=lambda: audit.lost,
            measure_index=lambda: library.index_watch.health.share,
        )
        await wait_for_database(
            library.syncs.leader.lease.check_machine,
            on_wait=lambda error: terminal.print_line(f"database: {error} Trying again …"),
        )
        ready_library = ReadyLibrary(library, workspace, metrics.refused.inc)
        if any(source.synced_at for source in (await library.status()).sources):
            ready_library.first_sync_done.set()
        await stack.enter_async_context(serve_metrics(metrics, listeners, settings.metrics_host, settings.metrics_port))
        measured_engine = mask_prompts(MeasuredEngine(engine, metrics), settings)
        calibrations = Calibrations(settings.home)
        judges = Judges(measured_engine, calibrations.find_calibration)
        answerer = create_answerer(
            library,
            measured_engine,
            ready_library.search,
            judges=judges,
            limits=settings.limits,
            recogniser=configured.masking.recogniser,
            vision=await stack.enter_async_context(open_vision_model(settings, library)),
        )
        verified = VerifiedAnswers(ledger.database, changes)
        finder = create_verified_finder(library, verified)
        deps = SlackDependencies(
            ledger=ledger,
            changes=changes,
            answerer=VerifiedAnswerer(answerer, finder),
            forget=answerer.forget_conversation,
            library=library,
            search=ready_library.search,
            engine_status=engine.status,
            event_log=event_log if uses_slack_source(settings) else None,
            adding=_create_document_additions(settings, library),
            pages=_create_page_additions(settings, library),
            passage=ready_library.read_passage,
            configuration=configured,
            list_named=library.list_named_principals,
            materials=library.materials,
            find_salt=functools.partial(find_cache_salt, library.find_rights_key, slack.cache_key),
            identities=library.identities,
            verified=VerifiedTools(verified, finder, functools.partial(write_phrasings, measured_engine)),
            control=lambda: engine.thinking_control,
            security_audit=SecurityAudit(settings, os.environ, library),
            record_vote=metrics.record_vote,
            audit_log=audit,
            document_profiles=create_profiles(settings, library, measured_engine, judges, audit),
            count_requests=engine.count_requests,
            listeners=listeners,
            guidance=guidance,
        )
        app = await stack.enter_async_context(_open_app(slack, deps, settings.drain_s))
        await stack.enter_async_context(_run_checks(health, ledger.database, library, engine, app, answers=answers))
        do_engine_work = functools.partial(run_off_peak_work, engine, calibrations, library)
        await stack.enter_async_context(_run_local_tasks(settings, do_engine_work))
        if answers:
            await stack.enter_async_context(_answer_people(settings, deps, app, health, ready_library, terminal))
        _print_address(settings, slack, workspace.url if workspace is not None else app.address, terminal)
        await _run_until_stopped(
            app,
            engine,
            ready_library,
            workspace,
            terminal,
            _lead_syncs(ready_library, terminal, functools.partial(_add_leader_tasks, settings, app, deps.adding)),
        )


async def _open_ledger(
    settings: Settings, engine: Engine, terminal: Terminal, stack: contextlib.AsyncExitStack
) -> Ledger:
    """Open the ledger once the database answers, and share the places at the engine with the other replicas."""
    from bot.storage.engine_places import EnginePlaces  # noqa: PLC0415 - as in ``serve``
    from bot.storage.migrations import open_migrated_ledger  # noqa: PLC0415

    urls, confidential = (settings.database_url, settings.migration_url), settings.configuration.confidential_channels
    ledger = await wait_for_database(
        lambda: stack.enter_async_context(open_migrated_ledger(*urls, confidential)),
        on_wait=lambda error: terminal.print_line(f"database: {error} Trying again …"),
    )
    places = EnginePlaces(ledger.database, settings.engine.urls)
    await stack.enter_async_context(engine.share_places(places))
    return ledger


def _print_address(settings: Settings, slack: SlackSettings, where: str, terminal: Terminal) -> None:
    """Print where people find Kvasir, and how to see its state."""
    terminal.finish_bar("live web", format_live_web(settings.configuration.web.everywhere))
    begin = f"Kvasir answers at {where}" if slack.oauth is None else f"People install Kvasir at {where}"
    if settings.role == "sync":
        begin = "Kvasir syncs the documents and answers nobody (KVASIR_ROLE=sync)"
    terminal.print_line(f"{begin} · another terminal: kvasir status --config {settings.config}")


async def _lead_syncs(ready_library: ReadyLibrary, terminal: Terminal, add_tasks: Callable[[Schedule], None]) -> None:
    """Take the lead when it is free. The leader syncs by the clock, after changes, and once when it begins to lead."""
    syncs = ready_library.library.syncs

    @contextlib.asynccontextmanager
    async def run_syncs() -> AsyncIterator[None]:
        first_sync = BackgroundTasks()
        async with syncs.run_schedule() as schedule, syncs.watcher.run_in_background():
            add_tasks(schedule)
            first_sync.start(_run_first_sync(ready_library, terminal), "first sync")
            try:
                yield
            finally:
                await first_sync.close(0.0)

    await syncs.leader.lead(run_syncs)


def _open_app(
    slack: SlackSettings, dependencies: SlackDependencies, drain_s: float
) -> AbstractAsyncContextManager[AnyApp]:
    """Return what opens Slack's side, for one workspace or for many."""
    from bot.slack.turns.settings import TurnSettings  # noqa: PLC0415 - as in ``serve``
    from bot.slack.workspace.app import open_slack_app  # noqa: PLC0415
    from bot.slack.workspace.installations.app import open_installed_app  # noqa: PLC0415

    turns = TurnSettings(retention=dependencies.configuration.retention, drain_s=drain_s)
    if slack.oauth is None:
        return open_slack_app(slack, dependencies, turn_settings=turns)
    return open_installed_app(slack, slack.oauth, dependencies, turn_settings=turns)


@contextlib.asynccontextmanager
async def _run_checks(
    health: Health, database: Database, library: Library, engine: Engine, app: AnyApp, *, answers: bool
) -> AsyncIterator[None]:
    """Keep up to date within this block what a probe reports; each check says "ok" or a sentence.

    A process that does not answer needs neither Slack's events nor an engine.
    """
    from bot.health import parts  # noqa: PLC0415 - as in ``serve``
    from bot.health.checks import OK, Finding  # noqa: PLC0415

    async def find_leader() -> Finding:
        return parts.find_leader(await library.syncs.leader.lease.find_leader())

    async def find_differences() -> Finding:
        configurations = library.configurations
        return parts.find_differences(configurations.list_differences(await configurations.list_others()))

    async def find_sources() -> Finding:
        state = await library.check()
        names = {source.name for source in (*state.sources, *state.removed)}
        found = parts.list_problems(None, state).items()
        return Finding(" ".join(f"{name}: {one.text}" for name, one in found if name in names) or OK)

    watch = library.index_watch
    health.ask_repeatedly("database", functools.partial(database.read, lambda _: None))
    health.ask_repeatedly("leader", find_leader, needed=False)
    health.ask_repeatedly("configuration", find_differences, needed=False)
    health.ask_repeatedly("sources", find_sources, needed=False, every_s=_CHECK_SOURCES_S)
    health.add_check("store", lambda: parts.find_store(watch.health) if watch.is_running else parts.NOT_OPEN)
    health.add_check("index", lambda: parts.find_index(watch.health) if watch.is_running else parts.NOT_OPEN)
    health.add_check("embedder", lambda: Finding(library.embedder.trouble or OK))
    health.add_check("slack", lambda: Finding() if not answers or app.is_connected else parts.NOT_CONNECTED)
    if answers:
        health.add_check("engine", lambda: parts.find_engine(engine.status()))
    async with watch.run_in_background():
        yield


@contextlib.asynccontextmanager
async def _answer_people(
    settings: Settings,
    dependencies: SlackDependencies,
    app: AnyApp,
    health: Health,
    ready_library: ReadyLibrary,
    terminal: Terminal,
) -> AsyncIterator[None]:
    """Take questions within this block; at its end, running answers end first."""
    # This loads the model, for which the first question would wait otherwise.
    try:
        await ready_library.library.embedder.embed_query("")
    except EmbedderError as error:
        _log.warning("embedder not ready", why=str(error))
    async with contextlib.AsyncExitStack() as stack:
        await app.connect()
        drain = _Drain(app, health, terminal)
        stack.push_async_callback(drain.finish)
        await stack.enter_async_context(_serve_api(settings, dependencies, app, ready_library, terminal))
        has_listeners = settings.api_port is not None or (
            settings.slack is not None and settings.slack.app_token is None
        )
        is_balanced = settings.health_port is not None and has_listeners
        stack.push_async_callback(drain.start, _LEAVE_S if is_balanced else 0.0)
        yield


class _Drain:
    """The end of the bot. Slack's side ends in the background, so that the API's answers end at the same time."""

    def __init__(self, app: AnyApp, health: Health, terminal: Terminal) -> None:
        self._app = app
        self._health = health
        self._terminal = terminal
        self._task: asyncio.Task[None] | None = None

    async def start(self, leave_s: float) -> None:
        """Let readiness fall, and take no more questions after ``leave_s``."""
        self._health.is_draining = True
        self._terminal.print_line("Kvasir ends the answers that it has begun. A second Ctrl-C or SIGTERM stops them.")
        await asyncio.sleep(leave_s)
        self._task = asyncio.create_task(self._app.drain(), name="drain")

    async def finish(self) -> None:
        """Wait until running answers have ended; a cancellation ends them at once."""
        try:
            if self._task is not None and not is_hurried():
                await asyncio.wait([self._task])
        finally:
            await cancel_tasks(self._task)


def _add_leader_tasks(settings: Settings, app: AnyApp, adding: DocumentAdditions | None, schedule: Schedule) -> None:
    """Add what only the leader does at fixed times and is no sync."""
    configured = settings.configuration
    schedule.add_task("retention", _PURGE_FILES, functools.partial(delete_old_uploads, settings, adding))
    for name, at in {"digest": configured.digest, "audit": configured.security.audit}.items():
        if at:
            schedule.add_task(name, at, functools.partial(app.run_scheduled, name))


@contextlib.asynccontextmanager
async def _run_local_tasks(settings: Settings, do_engine_work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do at fixed times what each process does for itself: its cache of pages and its judge's calibration are files."""
    from knowledge.sync.schedule import Schedule  # noqa: PLC0415 - as in ``serve``

    schedule = Schedule()
    schedule.add_task("cache", _PURGE_FILES, functools.partial(delete_old_pages, settings))
    if settings.configuration.quiet_hour is not None and settings.role != "sync":
        schedule.add_task("engine", settings.configuration.quiet_hour, do_engine_work)
    schedule.start()
    try:
        yield
    finally:
        await schedule.stop()


async def delete_old_uploads(settings: Settings, adding: DocumentAdditions | None) -> None:
    """Delete added documents after their retention; the next hour tries what failed again."""
    from bot.storage.retention import find_cut_offs  # noqa: PLC0415 - as in ``serve``

    try:
        before = find_cut_offs(settings.configuration.retention, time.time()).uploads
        if adding is not None and (count := await adding.remove_older(before)):
            _log.info("old documents deleted", documents=count, source=adding.source)
    except KnowledgeError as error:
        _log.warning("old documents not deleted yet", error=str(error))


async def delete_old_pages(settings: Settings) -> None:
    """Delete cached pages after their retention; the next hour tries what failed again."""
    from bot.storage.retention import find_cut_offs  # noqa: PLC0415 - as in ``serve``

    cache = open_page_cache(settings)
    try:
        await cache.delete_pages(find_cut_offs(settings.configuration.retention, time.time()).web_cache)
    except KnowledgeError as error:
        _log.warning("old pages not deleted yet", error=str(error))
    finally:
        await cache.close()


@contextlib.asynccontextmanager
async def _serve_api(
    settings: Settings, deps: SlackDependencies, app: AnyApp, ready_library: ReadyLibrary, terminal: Terminal
) -> AsyncIterator[None]:
    """Serve the HTTP API over the parts that Slack uses, too; nothing without a port for it."""
    if settings.api_port is None:
        yield
        return
    from bot.api.access import ApiAccess  # noqa: PLC0415 - only where the API is on
    from bot.api.answers import ApiParts  # noqa: PLC0415
    from bot.api.server import open_api  # noqa: PLC0415
    from bot.storage.api_keys import ApiKeys  # noqa: PLC0415
    from bot.storage.preferences import PersonalPreferences  # noqa: PLC0415
    from bot.storage.turns.question_counts import QuestionCounts  # noqa: PLC0415

    database, limits = deps.ledger.database, deps.configuration.question_limits
    parts = ApiParts(
        ApiAccess(ApiKeys(database), app.find_person, QuestionCounts(database), limits.person),
        AuditedAnswerer(deps.answerer, deps.audit_log),
        ready_library.library,
        ready_library.search,
        ready_library.read_passage,
        deps.find_salt,
        PersonalPreferences(database, deps.changes),
        deps.configuration,
        deps.audit_log,
        deps.guidance,
        deps.document_profiles,
    )
    where = settings.api_host, settings.api_port
    async with open_api(parts, deps.listeners, *where, drain_s=settings.drain_s) as address:
        terminal.print_line(f"The API listens at {address} · kvasir keys create makes a key (docs/api.md)")
        yield


def _create_document_additions(settings: Settings, library: Library) -> DocumentAdditions | None:
    """Return the store of owners' files: the source ``added``, else the first of kind push; None without one."""
    push_sources = {spec.name: spec for spec in settings.knowledge.sources if spec.kind == "push"}
    if not push_sources:
        return None
    return DocumentAdditions(
        push_sources.get(ADDED_SOURCE) or next(iter(push_sources.values())), settings.home, library, library.content
    )


def _create_page_additions(settings: Settings, library: Library) -> PageAdditions | None:
    """Return the store of owners' web pages; None without a source of kind pages."""
    spec = next((spec for spec in settings.knowledge.sources if spec.kind == "pages"), None)
    return None if spec is None else PageAdditions(spec, settings.home, library, library.content)


def _list_document_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of folder sources, whose documents the workspace on this machine may open."""
    return {
        spec.name: spec.base_dir / str(spec.options["path"])
        for spec in settings.knowledge.sources
        if spec.kind == "folder" and "path" in spec.options
    }


async def _run_until_stopped(
    app: AnyApp,
    engine: Engine,
    ready_library: ReadyLibrary,
    workspace: LocalWorkspace | None,
    terminal: Terminal,
    leading: Coroutine[None, None, None],
) -> None:
    """Run until cancelled, revoked, or the workspace on this machine ends. Display tasks may fail."""
    display = BackgroundTasks()
    display.start(_show_engine(engine, terminal), "show engine")
    display.start(_wait_for_first_sync(ready_library), "wait for the first sync")
    try:
        async with asyncio.TaskGroup() as group:
            leader = group.create_task(leading, name="leader")
            if workspace is not None:
                display.start(keep_page_updated(workspace.publish_status, engine, ready_library.library), "show page")
                group.create_task(workspace.raise_when_ended(), name="workspace")
            try:
                await app.run_until_revoked()
            finally:
                leader.cancel()
    finally:
        await display.close(0.0)


async def _wait_for_first_sync(ready_library: ReadyLibrary) -> None:
    """Wait until another process that leads has tried to read every source."""
    while not ready_library.first_sync_done.is_set():
        with contextlib.suppress(KnowledgeError):
            state = await ready_library.library.status()
            is_elsewhere = state.leader is not None and not state.leader.is_this_process
            if is_elsewhere and all(one.synced_at or one.error for one in state.sources):
                ready_library.first_sync_done.set()
        await asyncio.sleep(_LOOK_S)


async def _run_first_sync(ready_library: ReadyLibrary, terminal: Terminal) -> None:
    """Sync every source once at the start and print failures; the bot runs with the documents that it has."""
    try:
        report = await ready_library.library.refresh(on_progress=lambda progress: show_progress(terminal, progress))
    except KnowledgeError as error:
        terminal.finish_bar("knowledge", str(error))
        return
    finally:
        ready_library.first_sync_done.set()
    for line in format_report(report):
        terminal.finish_bar("knowledge", line)


async def _show_engine(engine: Engine, terminal: Terminal) -> None:
    async with aclosing(engine.watch_status()) as changes:
        async for status in changes:
            if status.state is EngineState.READY or (status.state in _SETTLED and status.detail):
                terminal.finish_bar("engine", format_engine_state(status))
            elif status.detail:
                terminal.show_progress("engine", status.progress, status.detail)
