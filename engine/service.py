"""The engine as the bot sees it: started in the background, asked at any time, stopped with nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from engine.backends.connection import PENDING_STATES, Connection
from engine.backends.external import follow_runtime_file
from engine.backends.local import EngineStats, LocalEngine
from engine.backends.remote import RemoteMonitor, query_remote_engines
from engine.client.client import ONE_TOKEN, EngineClient
from engine.control.commands import CommandRunner
from engine.control.control_socket import EngineAction, EngineCommand, send_command, serve_commands
from engine.control.lifecycle import LifecycleEvent
from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.control.status import StatusBoard
from engine.errors import InstallError
from engine.installation.installer import Installer, UnpackWheel
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    Delta,
    EngineState,
    EngineStatus,
    Requester,
    Sampling,
    ThinkingControl,
)
from engine.planning.hardware import Machine
from engine.planning.machine_probe import probe_machine
from engine.routing.request_queue import QueueCounts, RequestQueue
from engine.settings import EngineSettings
from engine.weights.store import WeightsStore
from engine.weights.wheel_pieces import PieceAssembler

_log = logging.getLogger("kvasir.engine")
_CHARS_PER_TOKEN = 4
"""In a token, about: enough to tell a short prompt from a long one."""


class Engine:
    """A local engine, another process's, or somebody's server, as ``ChatEngine`` and ``ChoosingEngine`` have it."""

    def __init__(
        self,
        settings: EngineSettings,
        unpack_wheel: UnpackWheel,
        *,
        wheel_error: type[Exception] = OSError,
        probe: Callable[[Path], Machine] = probe_machine,
    ) -> None:
        """Take what it needs; nothing is started, claimed or read before ``start``.

        ``wheel_error`` is what ``unpack_wheel`` raises; its text becomes an ``InstallError``.
        """

        async def unpack(name: str, version: str, sha256: str) -> Path:
            try:
                return await unpack_wheel(name, version, sha256)
            except wheel_error as error:
                raise InstallError(str(error)) from error
            except OSError as error:
                raise InstallError(
                    f"{settings.cache} cannot be written ({error.strerror}). Check the disk, or set KVASIR_CACHE."
                ) from error

        self._settings = settings
        self._board = StatusBoard(self._publish_status)
        self._runtime = RuntimeFile(settings.home)
        self._connection = Connection(self._board, unpack)
        installer = Installer(settings.cache)
        assembler = PieceAssembler(unpack, lambda: installer.python_path("cpu"))
        self._local = LocalEngine(
            settings,
            installer,
            WeightsStore(settings.cache, settings.weights_source, assembler),
            self._connection,
            self._runtime,
            probe,
        )
        self._queue = RequestQueue(lambda: self._connection.fleet.people, settings.queue_policy)
        self._commands = CommandRunner(self._board, lambda fresh: self._local.run(install=self._install, fresh=fresh))
        self._install = True
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def read_status(home: Path) -> EngineStatus:
        """Return what a living process of this state directory says of its engine; starts nothing."""
        told = RuntimeFile(home).read()
        return told.status if told is not None else EngineStatus(EngineState.ABSENT, detail="No engine is running.")

    @staticmethod
    async def query_status(settings: EngineSettings) -> EngineStatus:
        """As ``peek``; engines at somebody's addresses are asked once."""
        return await query_remote_engines(settings) if settings.urls else Engine.read_status(settings.home)

    @staticmethod
    async def send_command(home: Path, command: EngineCommand) -> str:
        """Ask the process that runs the engine of a state directory for something; return what it does about it.

        Raises:
            EngineUnavailable: no such process lives.
            EngineRefused: it says why not.

        """
        return await send_command(RuntimeFile(home).folder, command)

    async def restart(self, *, fresh: bool = False) -> None:
        """Begin to start the engine anew, and return at once; ``fresh`` forgets the ladder's rungs.

        Raises:
            EngineRefused: it is not this process's engine.

        """
        self._commands.accept(EngineCommand(EngineAction.RESTART, fresh))

    async def raise_memory_profile(self, max_wait_s: float) -> str | None:
        """Take a rung up if the load since the start leaves room, once nobody is being answered; return why, or None.

        Whoever calls this has chosen a quiet hour.

        Raises:
            TimeoutError: somebody was being answered for all of ``patience_s``.

        """
        return await self._local.raise_memory_profile(max_wait_s)

    def collect_stats(self) -> EngineStats:
        """Return how this process's engine fares; zeros where it is somebody else's."""
        return self._local.collect_stats()

    def count_requests(self) -> QueueCounts:
        """Return how many of this process's questions wait for a turn, and how many are being answered."""
        return self._queue.counts

    async def start(self, *, install: bool = True) -> None:
        """Begin to bring the engine up, in a task of its own, and return at once; a second call does nothing.

        An engine that another process of this state directory runs is used, and taken over when that process ends.
        """
        if self._task is None:
            self._install = install
            self._task = asyncio.create_task(self._run(), name="engine")
            self._task.add_done_callback(self._report_failure)

    async def ensure_running(self, *, install: bool = False) -> EngineStatus:
        """Use a running engine, else start it; return its first settled status.

        With ``install=False`` nothing is installed: the status is then ABSENT and says so.
        """
        await self.start(install=install)
        return await self._wait_for_state(lambda _: True)

    async def wait_until_ready(self, deadline_s: float) -> EngineStatus:
        """Wait until answers can be asked for, or it is sure that they cannot, or the deadline; return the status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._wait_for_state(lambda state: state not in PENDING_STATES)
        return self.status()

    async def stop(self) -> None:
        """End what was started and return when nothing of it is left; safe to call twice."""
        if self._task is None:
            return
        life, self._task = self._task, None
        if self._runtime.is_owner and self._board.status.state is not EngineState.STOPPING:
            self._board.apply_event(LifecycleEvent.STOP, "The engine is stopping.")
        life.cancel()
        try:
            await asyncio.wait([life])
        finally:
            await self._connection.disconnect()
            self._board.set_status(EngineStatus(EngineState.ABSENT, detail="The engine is stopped."))
            self._runtime.release()

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""
        return self._board.status

    def watch_status(self) -> AsyncGenerator[EngineStatus, None]:
        """Yield the status now, then each later one; never ends by itself."""
        return self._board.watch()

    @property
    def context_tokens(self) -> int:
        """Return the context of the model that is up, prompt and answer together; 4096 before one is."""
        return self._connection.context_tokens

    @property
    def thinking_control(self) -> ThinkingControl | None:
        """Return what can be made of a wish for more or less thinking; None before an engine is there."""
        return self._connection.thinking_control

    def count_tokens(self, text: str) -> int:
        """Count tokens of the model that is up; before one is, and for one without known files, never too few."""
        return self._connection.vocabulary.count(text)

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the beginning of ``text`` that ``count_tokens`` counts at most ``max_tokens`` of."""
        return self._connection.vocabulary.truncate(text, max_tokens)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer when its turn comes; see ``engine.interfaces.ChatEngine.stream``."""

        def once(client: EngineClient) -> AsyncGenerator[Delta, None]:
            prompt = self._connection.frame_prompt(client, messages, sampling)
            return client.stream(messages, sampling, request_id=request_id, prompt=prompt)

        def send() -> AsyncGenerator[Delta, None]:
            self._connection.require_client()  # it may have gone while this waited
            return self._connection.fleet.stream(once, requester)

        self._connection.require_client()
        prompt_tokens = sum(len(message.content) for message in messages) // _CHARS_PER_TOKEN
        async with aclosing(self._queue.stream(requester, prompt_tokens, sampling.max_tokens, send)) as deltas:
            async for delta in deltas:
                yield delta

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        thread: str = "",
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.ChoosingEngine.choose``."""
        self._connection.require_client()
        async with self._queue.bound_side_request(timeout_s):
            with self._connection.fleet.borrow_place(thread) as client:
                prompt = self._connection.frame_prompt(client, messages, ONE_TOKEN)
                return await client.score_options(messages, options, request_id=request_id, prompt=prompt)

    async def _wait_for_state(self, wanted: Callable[[EngineState], bool]) -> EngineStatus:
        """Wait for a state that is wanted; one that was never looked into does not count."""
        async with aclosing(self.watch_status()) as changes:
            async for status in changes:
                known = status.state is not EngineState.ABSENT or bool(status.detail)
                if wanted(status.state) and (known or self._task is None):
                    break
        return self.status()

    async def _run(self) -> None:
        if self._settings.urls:
            await RemoteMonitor(self._connection, self._settings).run()
        try:
            while not self._runtime.claim():
                await follow_runtime_file(self._runtime, self._connection, self._settings)
                await asyncio.sleep(self._settings.follow_poll_s)
        except OSError as error:
            self._board.apply_event(
                LifecycleEvent.GIVE_UP, f"{self._settings.home} cannot be written: {error.strerror}. Set KVASIR_HOME."
            )
            return
        async with serve_commands(self._runtime.folder, self._commands.accept):
            await self._commands.run()

    def _report_failure(self, life: asyncio.Task[None]) -> None:
        """Show a fault of our own, which nobody awaits the task to see."""
        if not life.cancelled() and (error := life.exception()) is not None:
            _log.error("the engine's task failed", exc_info=error)
            self._board.set_status(
                EngineStatus(EngineState.FAILED, detail="Kvasir's own care of the engine failed; its log says where.")
            )

    def _publish_status(self, status: EngineStatus) -> None:
        """Tell other processes, while the engine is this one's."""
        if not self._runtime.is_owner:
            return
        endpoint = self._local.endpoint
        try:
            self._runtime.write(
                RuntimeRecord(
                    pid=os.getpid(),
                    state=status.state.value,
                    progress=status.progress,
                    detail=status.detail,
                    url=status.url,
                    model=status.model,
                    small_model=status.small_model,
                    on_cpu=status.on_cpu,
                    api_key=endpoint.api_key if endpoint else None,
                    context_tokens=self._connection.context_tokens,
                    model_path=self._local.model_path,
                    thinks=endpoint.thinks if endpoint else False,
                    opens_think=endpoint.opens_think if endpoint else False,
                    people=self._local.people,
                )
            )
        except OSError as error:
            _log.warning("the engine's status cannot be written for others: %s", error.strerror)
