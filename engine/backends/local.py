"""Run the engine of this machine: plan, install, launch, supervise and publish it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.backends.connection import Connection
from engine.client.client import EngineClient, ServerEndpoint
from engine.client.wire import ServerLoad
from engine.control.lifecycle import LifecycleEvent
from engine.control.runtime_file import RuntimeFile
from engine.errors import EngineError, EngineRefused, ModelMisfit
from engine.installation.installer import Installer, ReportProgress, choose_environment_kind
from engine.interfaces import EngineState
from engine.notes import EngineNote, NoteCode
from engine.oom.log_diagnosis import RunEnd, find_known_problem, find_oom
from engine.oom.log_tail import LogFile
from engine.oom.recovery import OomRecovery
from engine.oom.state import LadderFile, RestartDecision
from engine.planning import fit
from engine.planning.hardware import Machine
from engine.planning.launch import Launch, build_launch, generate_api_key
from engine.planning.plans import LaunchPlan
from engine.process import flags
from engine.process.supervisor import EngineJob, Supervisor
from engine.settings import EngineSettings
from engine.weights.store import WeightsStore, choose_obtainable_plan

_log = logging.getLogger("kvasir.engine")
_INSTALL_WEIGHT, _FETCH_WEIGHT, _START_WEIGHT = 6.0, 24.0, 3.0
"""Rough weights of installing, downloading and starting in the progress."""


@dataclass(frozen=True, slots=True)
class ProgressSpans:
    """Where installing ends and starting begins in the progress from 0 to 1."""

    install_end: float
    start_begin: float


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Statistics of the engine's process under its current supervisor; the memory failures led to its current plan."""

    starts: int = 0
    memory_failures: int = 0
    can_raise_memory: bool = False
    startup_s: float | None = None


def compute_spans(*, install: bool, fetch: bool) -> ProgressSpans:
    """Return the spans of the progress, in which completed steps take no part."""
    before = _INSTALL_WEIGHT * install
    after = before + _FETCH_WEIGHT * fetch
    whole = after + _START_WEIGHT
    return ProgressSpans(before / whole, after / whole)


class LocalEngine:
    """Owns the engine's process; the lock of the runtime file allows one in a state directory."""

    def __init__(
        self,
        settings: EngineSettings,
        installer: Installer,
        weights: WeightsStore,
        connection: Connection,
        runtime: RuntimeFile,
        probe: Callable[[Path], Machine],
    ) -> None:
        """Read and start nothing before ``run``."""
        self._settings = settings
        self._installer = installer
        self._weights = weights
        self._connection = connection
        self._board = connection.board
        self._folder = runtime.folder
        self._probe = probe
        self.client: EngineClient | None = None
        self._supervisor: Supervisor | None = None
        self._recovery: OomRecovery | None = None
        self.model_path: str | None = None
        self.people: int | None = None

    async def run(self, *, install: bool, fresh: bool = False) -> None:
        """Start the engine and keep it running; return when that fails, with the reason in the status.

        ``fresh`` resets the memory ladder.
        """
        try:
            await self._prepare_and_run(install=install, fresh=fresh)
        except ModelMisfit as misfit:
            _log.error("%s", misfit)
            self._give_up(misfit.note)
        except EngineError as error:
            self._give_up(error.note)
        except OSError as error:
            self._give_up(NoteCode.FILES_NOT_WRITABLE.fill(reason=str(error.strerror)))
        finally:
            await self._replace_client(None)

    def _give_up(self, why: EngineNote) -> None:
        """Show the failure, unless the engine is being stopped."""
        if self._board.status.state is not EngineState.STOPPING:
            self._board.apply_event(LifecycleEvent.GIVE_UP, why)

    def collect_stats(self) -> EngineStats:
        """Return statistics of the engine's process; zeros before the first start."""
        supervisor, recovery = self._supervisor, self._recovery
        return EngineStats(
            starts=supervisor.starts if supervisor is not None else 0,
            memory_failures=recovery.failure_count if recovery is not None else 0,
            can_raise_memory=self._explain_raise() is not None,
            startup_s=supervisor.startup_s if supervisor is not None else None,
        )

    async def raise_memory_profile(self, max_wait_s: float) -> str | None:
        """Retry the larger memory profile if the load leaves memory free, when no request runs; return why, or None.

        Raises:
            TimeoutError: requests were running for all of ``max_wait_s``.

        """
        supervisor, recovery = self._supervisor, self._recovery
        if supervisor is None or recovery is None:
            return None
        if (why := self._explain_raise()) is None:
            if self._board.status.state is EngineState.READY:
                recovery.confirm_profile(supervisor.health.peak_load)
            return None
        async with asyncio.timeout(max_wait_s):
            while (load := await self._fetch_load()) and load.running + load.waiting:  # noqa: ASYNC110  # it is polled
                await asyncio.sleep(self._settings.supervisor_policy.health_interval_s)
        recovery.raise_profile(supervisor.health.peak_load)
        supervisor.restart(why)
        return str(why)

    def _explain_raise(self) -> EngineNote | None:
        """Return why the larger memory profile would be tried now; None if it would not."""
        supervisor, recovery = self._supervisor, self._recovery
        if supervisor is None or recovery is None or self._board.status.state is not EngineState.READY:
            return None
        return recovery.explain_raise(supervisor.health.peak_load)

    async def _prepare_and_run(self, *, install: bool, fresh: bool) -> None:
        machine = await asyncio.to_thread(self._probe, self._settings.cache)
        if (why := fit.explain_unsupported_machine(machine)) is not None:
            self._board.show_progress(why)
            return
        plan = await choose_obtainable_plan(fit.plan_model(self._settings.model, machine), self._weights)
        if plan.device == "xpu" or machine.vendor == "amd":
            raise EngineRefused(NoteCode.OTHER_VENDOR.fill())
        self._show_plan(plan, plan.variant.name, None)
        spans = await asyncio.to_thread(self._compute_spans, plan)
        if spans.start_begin and not install:
            self._board.show_progress(NoteCode.NOT_INSTALLED.fill())
            return
        if spans.install_end:
            self._board.apply_event(LifecycleEvent.INSTALL, NoteCode.INSTALLING.fill(), progress=0.0)
        kind = choose_environment_kind(plan.device)
        python = await self._installer.install_environment(kind, self._scale_report(0.0, spans.install_end))
        environment = self._installer.environment_folder(kind).name
        recovery = self._recovery = OomRecovery(plan, machine, LadderFile(self._folder / "ladder.json"), environment)
        if fresh:
            recovery.reset()
        await self._prepare_model_and_flags(recovery.plan, python, spans)
        notes = (NoteCode.STARTING.fill(), *recovery.list_notes())
        self._board.apply_event(LifecycleEvent.LAUNCH, *notes, progress=spans.start_begin)
        policy = replace(self._settings.supervisor_policy, start_deadline_s=plan.start_deadline_s)
        if plan.device == "cpu":
            policy = replace(policy, max_failed_checks=policy.max_failed_checks_on_cpu)
        self._supervisor = Supervisor(self._build_job(recovery, python, spans), self._board, policy)
        await self._supervisor.run()

    def _compute_spans(self, plan: LaunchPlan) -> ProgressSpans:
        return compute_spans(
            install=not self._installer.is_installed(choose_environment_kind(plan.device)),
            fetch=self._weights.find_folder(plan.weights) is None,
        )

    async def _prepare_model_and_flags(self, plan: LaunchPlan, python: Path, spans: ProgressSpans) -> None:
        """Download the model, and meanwhile check that this SGLang knows every flag."""
        launch = self._build_launch(plan, python, plan.weights.repo, 0, "")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(flags.check_flags(launch.argv[3:], python, launch.environment))
                group.create_task(self._provide_model(plan, spans))
        except* (EngineError, OSError) as group:
            raise group.exceptions[0] from None

    async def _provide_model(self, plan: LaunchPlan, spans: ProgressSpans) -> Path:
        """Return the folder that SGLang loads, so that SGLang downloads nothing."""
        if not await asyncio.to_thread(self._weights.is_ready, plan.weights):
            notes = (NoteCode.DOWNLOADING.fill(model=plan.variant.name), *plan.notes)
            self._board.apply_event(LifecycleEvent.DOWNLOAD, *notes, progress=spans.install_end)
        report = self._scale_report(spans.install_end, spans.start_begin)
        return await self._weights.provide_checkpoint(plan.weights, report)

    def _scale_report(self, begin: float, end: float) -> ReportProgress:
        def report_share(share: float | None, doing: EngineNote) -> None:
            progress = self._board.status.progress if share is None else begin + (end - begin) * share
            self._board.show_progress(doing, progress=progress)

        return report_share

    def _build_job(self, recovery: OomRecovery, python: Path, spans: ProgressSpans) -> EngineJob:
        key = generate_api_key()

        async def prepare_launch(port: int) -> Launch:
            plan = recovery.plan
            variant = plan.variant
            # Another memory profile may use another checkpoint, which is downloaded now.
            self.model_path = str(await self._provide_model(plan, spans))
            if self._board.status.state is EngineState.DOWNLOADING:
                self._board.apply_event(LifecycleEvent.LAUNCH, NoteCode.STARTING.fill(), progress=spans.start_begin)
            launch = self._build_launch(plan, python, self.model_path, port, key)
            thinks = variant.reasoning_parser is not None
            endpoint = ServerEndpoint(launch.url, key, variant.name, thinks, variant.opens_think)
            await self._replace_client(EngineClient(endpoint, self._settings.request_timeouts))
            return launch

        def decide_restart(end: RunEnd) -> RestartDecision | None:
            decision = recovery.decide_restart(end)
            problem = find_known_problem(end.lines) if find_oom(end) is None else None
            if problem is not None and problem.outcome == "damaged":
                self._weights.require_verification(recovery.plan.weights)
            return decision

        return EngineJob(
            prepare_launch=prepare_launch,
            check_health=self._check_health,
            on_ready=lambda launch: self._connect_server(recovery.plan, launch),
            lock_path=self._folder / "process.lock",
            decide_restart=decide_restart,
            fetch_load=self._fetch_load,
            secrets=(key,),
            on_line=LogFile(self._folder / "engine.log").write_line,
            start_progress=spans.start_begin,
            list_notes=recovery.list_notes,
        )

    def _build_launch(self, plan: LaunchPlan, python: Path, model_path: str, port: int, key: str) -> Launch:
        return build_launch(
            plan,
            python=python,
            model_path=model_path,
            port=port,
            config_file=self._folder / "launch.yaml",
            api_key=key,
            environment=os.environ,
            hidden=self._settings.hidden_variables,
        )

    async def _replace_client(self, client: EngineClient | None) -> None:
        former, self.client = self.client, client
        if former is not None:
            await former.close()

    async def _check_health(self, _: str) -> bool:
        return self.client is not None and await self.client.check_health()

    async def _fetch_load(self) -> ServerLoad | None:
        return await self.client.fetch_load() if self.client is not None else None

    async def _connect_server(self, plan: LaunchPlan, launch: Launch) -> None:
        """Query the new server before it receives requests."""
        if self.client is None:
            return
        served = await self.client.fetch_served_model()
        path = self.model_path if self.model_path and Path(self.model_path).is_absolute() else None
        context_tokens = min(served.context_tokens or plan.context_tokens, plan.total_tokens or plan.context_tokens)
        self.people = self._settings.people or plan.running_requests or plan.people
        await self._connection.connect(self.client, context_tokens, path, people=self.people)
        self._show_plan(plan, served.model, launch.url)

    def _show_plan(self, plan: LaunchPlan, model: str, url: str | None) -> None:
        """Show the planned or served model."""
        small_model, on_cpu = plan.variant.small_model, plan.device == "cpu"
        self._board.show_model(model=model, small_model=small_model, on_cpu=on_cpu, url=url)
