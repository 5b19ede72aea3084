"""The engine of this machine, run by this process: planned, installed, launched, supervised, and told to others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.backends.connection import Connection
from engine.client.client import Endpoint, EngineClient
from engine.client.wire import Loads
from engine.control.lifecycle import Event
from engine.control.runtime_file import RuntimeFile
from engine.errors import EngineError, EngineRefused
from engine.installation.installer import Installer, Report, kind_of
from engine.interfaces import State
from engine.oom.log_diagnosis import Death, finding, trouble
from engine.oom.log_tail import LogFile
from engine.oom.recovery import Climber
from engine.oom.state import ClimbFile, RestartDecision
from engine.planning import fit
from engine.planning.hardware import Machine
from engine.planning.launch import Launch, launch, new_key
from engine.process import flags
from engine.process.supervisor import Job, Policy, Supervisor
from engine.settings import EngineSettings
from engine.weights.availability import obtainable
from engine.weights.store import Weights

_INSTALL_WEIGHT, _FETCH_WEIGHT, _START_WEIGHT = 6.0, 24.0, 3.0
"""How long installing, fetching weights and starting take, roughly, to each other."""
NOT_INSTALLED = "The engine is not installed yet; `kvasir run` installs it."


@dataclass(frozen=True, slots=True)
class Spans:
    """Where installing ends and starting begins on the way from 0 to 1."""

    installed: float
    starting: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the engine's process fares, for whoever measures."""

    starts: int = 0
    """Of the process, since it was last brought up."""
    rungs_down: int = 0
    """Failures for lack of memory that the present plan comes from."""
    rung_up: bool = False
    """Whether the load since the start leaves room to try the rung above again."""
    ready_after_s: float | None = None
    """How long the last start took."""


def spans(*, install: bool, fetch: bool) -> Spans:
    """Return the shares of the way, leaving out what is done already."""
    before = _INSTALL_WEIGHT * install
    after = before + _FETCH_WEIGHT * fetch
    whole = after + _START_WEIGHT
    return Spans(before / whole, after / whole)


class LocalEngine:
    """Owns the engine's process; at most one in a state directory, by the lock of its runtime file."""

    def __init__(
        self,
        settings: EngineSettings,
        installer: Installer,
        weights: Weights,
        connection: Connection,
        runtime: RuntimeFile,
        probe: Callable[[Path], Machine],
    ) -> None:
        """Take its collaborators; nothing is looked at before ``run``."""
        self._settings = settings
        self._installer = installer
        self._weights = weights
        self._connection = connection
        self._board = connection.board
        self._folder = runtime.folder
        self._probe = probe
        self._client: EngineClient | None = None
        self._supervisor: Supervisor | None = None
        self._climber: Climber | None = None
        self.published: Endpoint | None = None
        self.model_path: str | None = None
        self.people: int | None = None

    async def run(self, *, install: bool, fresh: bool = False) -> None:
        """Bring the engine up and keep it up; returns when that cannot be, with the reason on the board.

        ``fresh`` forgets the rungs that earlier failures led to.
        """
        try:
            await self._run(install=install, fresh=fresh)
        except EngineError as error:
            self._give_up(str(error))
        except OSError as error:
            self._give_up(f"The engine's files cannot be written: {error.strerror}. Check the disk.")
        finally:
            former, self._client, self.published = self._client, None, None
            if former is not None:
                await former.close()

    def _give_up(self, why: str) -> None:
        """Show why; what fails while it is being stopped is nobody's concern."""
        if self._board.status.state is not State.STOPPING:
            self._board.move(Event.GAVE_UP, why)

    def vitals(self) -> Vitals:
        """Return how the engine's process fares; zeros before the first start."""
        supervisor, climber = self._supervisor, self._climber
        return Vitals(
            starts=supervisor.starts if supervisor is not None else 0,
            rungs_down=climber.rungs_down if climber is not None else 0,
            rung_up=self._rung_up() is not None,
            ready_after_s=supervisor.ready_after_s if supervisor is not None else None,
        )

    async def step_up(self, patience_s: float) -> str | None:
        """Take a rung up if the load since the start leaves room, once nobody is being answered; return why, or None.

        Raises:
            TimeoutError: somebody was being answered all the time.

        """
        supervisor, climber = self._supervisor, self._climber
        if supervisor is None or climber is None:
            return None
        if (why := self._rung_up()) is None:
            if self._board.status.state is State.READY:
                climber.settle(supervisor.watchman.load)
            return None
        async with asyncio.timeout(patience_s):
            while await self._busy():  # noqa: ASYNC110  # another process is asked
                await asyncio.sleep(self._settings.policy.health_every_s)
        climber.step_up(supervisor.watchman.load)
        supervisor.restart(why)
        return why

    def _rung_up(self) -> str | None:
        """Return why a rung up would be taken now; None where there is none."""
        supervisor, climber = self._supervisor, self._climber
        if supervisor is None or climber is None or self._board.status.state is not State.READY:
            return None
        return climber.would_step_up(supervisor.watchman.load)

    async def _busy(self) -> bool:
        loads = await self._loads()
        return loads is not None and loads.running + loads.waiting > 0

    async def _run(self, *, install: bool, fresh: bool) -> None:
        machine = await asyncio.to_thread(self._probe, self._settings.cache)
        if (why := fit.why_no_engine(machine)) is not None:
            self._board.note(why)
            return
        plan = await obtainable(fit.chosen(self._settings.model, machine), self._weights)
        if plan.device == "xpu" or machine.vendor == "amd":
            raise EngineRefused(plan.note)
        self._describe(plan, plan.variant.name, None)
        share = await asyncio.to_thread(self._spans, plan)
        if share.starting and not install:
            self._board.note(NOT_INSTALLED)
            return
        python = await self._install(plan, share)
        environment = self._installer.environment(kind_of(plan.device)).name
        climber = self._climber = Climber(plan, machine, ClimbFile(self._folder / "ladder.json"), environment)
        if fresh:
            climber.forget()
        await self._model_and_flags(climber.plan, python, share)
        note = f" {climber.note()}" if climber.note() else ""
        self._board.move(Event.LAUNCH, f"The engine is starting.{note}", progress=share.starting)
        self._supervisor = Supervisor(self._job(climber, python, share), self._board, self._policy(plan))
        await self._supervisor.run()

    def _spans(self, plan: fit.Plan) -> Spans:
        return spans(
            install=not self._installer.installed(kind_of(plan.device)),
            fetch=self._weights.to_fetch(plan.weights),
        )

    async def _install(self, plan: fit.Plan, share: Spans) -> Path:
        if share.installed:
            self._board.move(Event.INSTALL, "The engine is being installed (once).", progress=0.0)
        return await self._installer.install(kind_of(plan.device), self._report(0.0, share.installed))

    async def _model_and_flags(self, plan: fit.Plan, python: Path, share: Spans) -> None:
        """Fetch the model and meanwhile see that this SGLang knows every flag."""
        made = self._launch(plan, python, plan.weights.repo, 0, "")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(flags.check(made.argv[3:], python, made.environment))
                both.create_task(self._model(plan, share))
        except* (EngineError, OSError) as group:
            raise group.exceptions[0] from None

    async def _model(self, plan: fit.Plan, share: Spans) -> Path:
        """Return the folder that SGLang loads, so that it fetches nothing itself."""
        if not await self._at_hand(plan):
            doing = f"The weights of {plan.variant.name} are being fetched and checked (once)."
            self._board.move(Event.DOWNLOAD, doing, progress=share.installed)
        report = self._report(share.installed, share.starting)
        return await self._weights.provide(plan.weights, report)

    async def _at_hand(self, plan: fit.Plan) -> bool:
        return await asyncio.to_thread(self._weights.at_hand, plan.weights)

    def _report(self, begin: float, end: float) -> Report:
        def report(share: float | None, doing: str) -> None:
            known = self._board.status.progress if share is None else begin + (end - begin) * share
            self._board.note(doing, progress=known)

        return report

    def _policy(self, plan: fit.Plan) -> Policy:
        return replace(self._settings.policy, start_deadline_s=plan.start_deadline_s)

    def _job(self, climber: Climber, python: Path, share: Spans) -> Job:
        key = new_key()

        async def start(port: int) -> Launch:
            plan = climber.plan
            variant = plan.variant
            # A rung may lead to another checkpoint, which is fetched now.
            self.model_path = str(await self._model(plan, share))
            if self._board.status.state is State.DOWNLOADING:
                self._board.move(Event.LAUNCH, "The engine is starting.", progress=share.starting)
            made = self._launch(plan, python, self.model_path, port, key)
            await self._point_to(
                Endpoint(made.url, key, variant.name, variant.reasoning_parser is not None, variant.opens_think)
            )
            return made

        def judge(death: Death) -> RestartDecision | None:
            verdict = climber.judge(death)
            known = trouble(death.lines) if finding(death) is None else None
            if known is not None and known.damaged:
                self._weights.doubt(climber.plan.weights)
            return verdict

        return Job(
            launch=start,
            healthy=self._healthy,
            ready=lambda made: self._ready(climber.plan, made),
            lock=self._folder / "process.lock",
            judge=judge,
            loads=self._loads,
            secrets=(key,),
            on_line=LogFile(self._folder / "engine.log").write,
            progress_from=share.starting,
            note=climber.note,
        )

    def _launch(self, plan: fit.Plan, python: Path, model_path: str, port: int, key: str) -> Launch:
        return launch(
            plan,
            python=python,
            model_path=model_path,
            port=port,
            config_file=self._folder / "launch.yaml",
            api_key=key,
            environment=os.environ,
            secrets=self._settings.secrets,
        )

    async def _point_to(self, endpoint: Endpoint) -> None:
        former, self._client = self._client, EngineClient(endpoint, self._settings.deadlines)
        self.published = endpoint
        if former is not None:
            await former.close()

    async def _healthy(self, _: str) -> bool:
        return self._client is not None and await self._client.healthy()

    async def _loads(self) -> Loads | None:
        return await self._client.loads() if self._client is not None else None

    async def _ready(self, plan: fit.Plan, made: Launch) -> None:
        """Ask the new server what it serves before anybody is sent to it."""
        if self._client is None:
            return
        served = await self._client.served()
        path = self.model_path if self.model_path and Path(self.model_path).is_absolute() else None
        context_tokens = min(served.context_tokens or plan.context_tokens, plan.total_tokens or plan.context_tokens)
        self.people = self._settings.people or plan.running_requests or plan.people
        await self._connection.connect(self._client, context_tokens, path, people=self.people)
        self._describe(plan, served.model, made.url)

    def _describe(self, plan: fit.Plan, model: str, url: str | None) -> None:
        """Show what is planned or served."""
        small_model, on_cpu = plan.variant.small_model, plan.device == "cpu"
        self._board.describe(model=model, small_model=small_model, on_cpu=on_cpu, url=url)
