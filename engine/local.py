"""The engine of this machine, run by this process: planned, installed, launched, supervised, and told to others."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine import fit, flags
from engine.client import Endpoint, EngineClient
from engine.connection import Connection
from engine.errors import EngineError, EngineRefused
from engine.hardware import Machine
from engine.install import Installer, Kind, Report
from engine.launch import Launch, launch
from engine.lifecycle import Event
from engine.logtail import LogFile
from engine.runtime import RuntimeFile
from engine.settings import EngineSettings
from engine.supervisor import Job, Policy, Supervisor

_INSTALL_WEIGHT, _MODEL_WEIGHT, _START_WEIGHT = 6.0, 2.0, 3.0
"""How long installing, converting and starting take, roughly, to each other."""
NOT_INSTALLED = "The engine is not installed yet; `kvasir run` installs it."


@dataclass(frozen=True, slots=True)
class Spans:
    """Where installing ends and starting begins on the way from 0 to 1."""

    installed: float
    starting: float


def spans(*, install: bool, convert: bool) -> Spans:
    """Return the shares of the way, leaving out what is done already."""
    before = _INSTALL_WEIGHT * install
    after = before + _MODEL_WEIGHT * convert
    whole = after + _START_WEIGHT
    return Spans(before / whole, after / whole)


def _environment(plan: fit.Plan) -> Kind:
    """Return which of the engine's environments a plan runs in."""
    return "cpu" if plan.device == "cpu" else "cuda"


class LocalEngine:
    """Owns the engine's process; at most one in a state directory, by the lock of its runtime file."""

    def __init__(
        self,
        settings: EngineSettings,
        installer: Installer,
        connection: Connection,
        runtime: RuntimeFile,
        probe: Callable[[Path], Machine],
    ) -> None:
        """Take its collaborators; nothing is looked at before ``run``."""
        self._settings = settings
        self._installer = installer
        self._connection = connection
        self._board = connection.board
        self._folder = runtime.folder
        self._probe = probe
        self._client: EngineClient | None = None
        self.published: Endpoint | None = None
        self.model_path: str | None = None

    async def run(self, *, install: bool) -> None:
        """Bring the engine up and keep it up; returns when that cannot be, with the reason on the board."""
        try:
            await self._run(install=install)
        except EngineError as error:
            self._board.move(Event.GAVE_UP, str(error))
        except OSError as error:
            self._board.move(Event.GAVE_UP, f"The engine's files cannot be written: {error.strerror}. Check the disk.")
        finally:
            if self._client is not None:
                await self._client.close()

    async def _run(self, *, install: bool) -> None:
        machine = await asyncio.to_thread(self._probe, self._settings.cache)
        if (why := fit.why_no_engine(machine)) is not None:
            self._board.note(why)
            return
        plan = fit.chosen(self._settings.model, machine)
        if plan.device == "xpu" or machine.vendor == "amd":
            raise EngineRefused(plan.note)
        self._board.describe(model=plan.variant.name, stand_in=plan.variant.stand_in, url=None)
        share = self._spans(plan)
        if share.starting and not install:
            self._board.note(NOT_INSTALLED)
            return
        python = await self._install(plan, share)
        self.model_path = await self._model_and_flags(plan, python, share)
        note = f" {plan.note}" if plan.note else ""
        self._board.move(Event.LAUNCH, f"The engine is starting.{note}", progress=share.starting)
        await Supervisor(self._job(plan, python, share), self._board, self._policy(plan)).run()

    def _spans(self, plan: fit.Plan) -> Spans:
        return spans(
            install=not self._installer.installed(_environment(plan)),
            convert=plan.variant.stand_in and not self._installer.has_stand_in(),
        )

    async def _install(self, plan: fit.Plan, share: Spans) -> Path:
        if share.installed:
            self._board.move(Event.INSTALL, "The engine is being installed (once).", progress=0.0)
        return await self._installer.install(_environment(plan), self._report(0.0, share.installed))

    async def _model_and_flags(self, plan: fit.Plan, python: Path, share: Spans) -> str:
        """Fetch the model and meanwhile see that this SGLang knows every flag; return where the model is."""
        made = self._launch(plan, python, plan.weights.repo, 0, "")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(flags.check(made.argv[3:], python, made.environment))
                model = both.create_task(self._model(plan, share))
        except* EngineError as group:
            raise group.exceptions[0] from None
        return model.result()

    async def _model(self, plan: fit.Plan, share: Spans) -> str:
        if not plan.variant.stand_in:
            return plan.weights.repo
        if share.starting > share.installed:
            self._board.move(Event.DOWNLOAD, "The stand-in model is being fetched (once).", progress=share.installed)
        return str(await self._installer.install_stand_in(self._report(share.installed, share.starting)))

    def _report(self, begin: float, end: float) -> Report:
        def report(share: float | None, doing: str) -> None:
            known = self._board.status.progress if share is None else begin + (end - begin) * share
            self._board.note(doing, progress=known)

        return report

    def _policy(self, plan: fit.Plan) -> Policy:
        return replace(self._settings.policy, start_deadline_s=plan.start_deadline_s)

    def _job(self, plan: fit.Plan, python: Path, share: Spans) -> Job:
        key = secrets.token_urlsafe(32)
        variant = plan.variant

        async def start(port: int) -> Launch:
            made = self._launch(plan, python, self.model_path or plan.weights.repo, port, key)
            await self._point_to(
                Endpoint(made.url, key, variant.name, variant.reasoning_parser is not None, variant.opens_think)
            )
            return made

        return Job(
            launch=start,
            healthy=self._healthy,
            ready=lambda made: self._ready(plan, made),
            lock=self._folder / "process.lock",
            secrets=(key,),
            on_line=LogFile(self._folder / "engine.log").write,
            progress_from=share.starting,
            note=plan.note,
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
        )

    async def _point_to(self, endpoint: Endpoint) -> None:
        former, self._client = self._client, EngineClient(endpoint, self._settings.deadlines)
        self.published = endpoint
        if former is not None:
            await former.close()

    async def _healthy(self, _: str) -> bool:
        return self._client is not None and await self._client.healthy()

    async def _ready(self, plan: fit.Plan, made: Launch) -> None:
        """Ask the new server what it serves before anybody is sent to it."""
        if self._client is None:
            return
        served = await self._client.served()
        path = self.model_path if self.model_path and Path(self.model_path).is_absolute() else None
        await self._connection.connect(self._client, served.context_tokens or plan.context_tokens, path)
        self._board.describe(model=served.model, stand_in=plan.variant.stand_in, url=made.url)
