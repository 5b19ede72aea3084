"""The engine as the bot uses it: a background task starts it, any task can send requests, and ``stop`` ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from engine.backends.addresses import ResolveName, resolve_name
from engine.backends.connection import PENDING_STATES, Connection
from engine.backends.local import EngineStats, LocalEngine
from engine.backends.remote import RemoteMonitor, follow_runtime_file, query_remote_engines
from engine.client.client import ONE_TOKEN, EngineClient
from engine.control.commands import CommandRunner
from engine.control.control_socket import EngineCommand, send_command, serve_commands
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
from engine.notes import NoteCode
from engine.planning.hardware import Machine
from engine.planning.machine_probe import probe_machine
from engine.routing.place_keeper import SharedPlaces
from engine.routing.request_queue import QueueCounts, RequestQueue
from engine.settings import EngineSettings
from engine.weights.store import WeightsStore
from engine.weights.wheel_pieces import PieceAssembler

_log = logging.getLogger("kvasir.engine")
_CHARS_PER_TOKEN = 4
"""Approximate; good enough to tell a short prompt from a long one."""


class Engine:
    """A local engine, one of another process, or remote servers. Implements ``ChatEngine`` and ``OptionScorer``."""

    def __init__(
        self,
        settings: EngineSettings,
        unpack_wheel: UnpackWheel,
        *,
        wheel_error: type[Exception] = OSError,
        probe: Callable[[Path], Machine] = probe_machine,
        resolve: ResolveName = resolve_name,
    ) -> None:
        """Create an engine that does nothing before ``start``.

        ``wheel_error`` is the error that ``unpack_wheel`` raises; its text becomes an ``InstallError``. ``resolve``
        finds the addresses of remote engines.
        """

        async def unpack_engine_wheel(name: str, version: str, sha256: str) -> Path:
            try:
                return await unpack_wheel(name, version, sha256)
            except wheel_error as error:
                raise InstallError(str(error)) from error
            except OSError as error:
                raise InstallError(
                    NoteCode.CACHE_NOT_WRITABLE.fill(folder=str(settings.cache), reason=str(error.strerror))
                ) from error

        self._settings = settings
        self._resolve = resolve
        self._board = StatusBoard(self._publish_status)
        self._runtime = RuntimeFile(settings.home)
        self._connection = Connection(self._board, unpack_engine_wheel)
        installer = Installer(settings.cache, hidden=settings.hidden_variables)
        assembler = PieceAssembler(unpack_engine_wheel, lambda: installer.python_path("cpu"), settings.hidden_variables)
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
        """Return the status that the owner of this state directory published. Start nothing."""
        record = RuntimeFile(home).read()
        return (
            record.status
            if record is not None
            else EngineStatus(EngineState.ABSENT, notes=(NoteCode.NOT_RUNNING.fill(),))
        )

    @staticmethod
    async def query_status(settings: EngineSettings) -> EngineStatus:
        """Return the status of the remote engines if there are any, else that of ``read_status``."""
        return await query_remote_engines(settings) if settings.urls else Engine.read_status(settings.home)

    @staticmethod
    async def send_command(home: Path, command: EngineCommand) -> str:
        """Send a command to the process that runs the engine of a state directory; return its reply.

        Raises:
            EngineUnavailable: no process runs the engine.
            EngineRefused: the process refused the command; the text says why.

        """
        return await send_command(RuntimeFile(home).folder, command)

    async def raise_memory_profile(self, max_wait_s: float) -> str | None:
        """Retry the larger memory profile if the load since the start leaves memory free; return why, or None.

        The engine restarts, so call this at a quiet hour. It waits until no request is running.

        Raises:
            TimeoutError: requests were running for all of ``max_wait_s``.

        """
        return await self._local.raise_memory_profile(max_wait_s)

    def collect_stats(self) -> EngineStats:
        """Return statistics of the engine that this process runs; zeros if it runs none."""
        return self._local.collect_stats()

    def count_requests(self) -> QueueCounts:
        """Return how many requests of this process wait, and how many are running."""
        return self._queue.counts

    @contextlib.asynccontextmanager
    async def share_places(self, places: SharedPlaces) -> AsyncIterator[None]:
        """Share the places of remote engines with other processes during a block.

        An engine that a Kvasir runs is used by processes of its state directory alone, which share nothing.
        """
        async with self._queue.share_places(places) if self._settings.urls else contextlib.nullcontext():
            yield

    async def start(self, *, install: bool = True) -> None:
        """Start the engine in a background task and return at once; a second call does nothing.

        If another process runs the engine of this state directory, its engine is used. This process takes over when
        that process ends.
        """
        if self._task is None:
            self._install = install
            self._task = asyncio.create_task(self._run(), name="engine")
            self._task.add_done_callback(self._report_failure)

    async def ensure_running(self) -> EngineStatus:
        """Use a running engine or start one; return the first known status.

        Nothing is installed: without an installation the status is ABSENT.
        """
        await self.start(install=False)
        return await self._wait_for_state(lambda _: True)

    async def wait_until_ready(self, deadline_s: float) -> EngineStatus:
        """Wait until the engine is ready or has failed, at most ``deadline_s``; return the status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._wait_for_state(lambda state: state not in PENDING_STATES)
        return self.status()

    async def stop(self) -> None:
        """Stop the engine and return when all its processes have ended; safe to call twice."""
        if self._task is None:
            return
        task, self._task = self._task, None
        if self._runtime.is_owner and self._board.status.state is not EngineState.STOPPING:
            self._board.apply_event(LifecycleEvent.STOP, NoteCode.STOPPING.fill())
        task.cancel()
        try:
            await asyncio.wait([task])
        finally:
            await self._connection.disconnect()
            self._board.set_status(EngineStatus(EngineState.ABSENT, notes=(NoteCode.STOPPED.fill(),)))
            self._runtime.release()

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""
        return self._board.status

    def watch_status(self) -> AsyncGenerator[EngineStatus, None]:
        """Yield the current status, then each later one, without end."""
        return self._board.watch_status()

    @property
    def context_tokens(self) -> int:
        """Return the context length for prompt and answer together; 4096 before the engine is ready."""
        return self._connection.context_tokens

    @property
    def thinking_control(self) -> ThinkingControl | None:
        """Return how far the thinking can be controlled; None before the engine is ready."""
        return self._connection.thinking_control

    def count_tokens(self, text: str) -> int:
        """Count tokens with the served model's vocabulary; with an unknown vocabulary, return an upper bound."""
        return self._connection.vocabulary.count_tokens(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer after its turn in the queue; see ``engine.interfaces.ChatEngine.stream``."""

        def send_to(client: EngineClient) -> AsyncGenerator[Delta, None]:
            prompt = self._connection.frame_prompt(client, messages, sampling)
            return client.stream(
                messages, sampling, request_id=request_id, prompt=prompt, cache_salt=requester.cache_salt
            )

        def send_request() -> AsyncGenerator[Delta, None]:
            self._connection.require_client()  # the server may be gone after the wait
            return self._connection.fleet.stream(send_to, requester)

        self._connection.require_client()
        prompt_tokens = sum(len(message.content) for message in messages) // _CHARS_PER_TOKEN
        async with aclosing(self._queue.stream(requester, prompt_tokens, sampling.max_tokens, send_request)) as deltas:
            async for delta in deltas:
                yield delta

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.OptionScorer.score_options``."""
        self._connection.require_client()
        async with self._queue.bound_side_request(timeout_s):
            with self._connection.fleet.borrow_place(requester.thread) as client:
                prompt = self._connection.frame_prompt(client, messages, ONE_TOKEN)
                return await client.score_options(
                    messages, options, request_id=request_id, prompt=prompt, cache_salt=requester.cache_salt
                )

    async def _wait_for_state(self, is_match: Callable[[EngineState], bool]) -> EngineStatus:
        """Wait for a state that ``is_match`` accepts; the initial state without details does not count."""
        async with aclosing(self.watch_status()) as changes:
            async for status in changes:
                has_started = status.state is not EngineState.ABSENT or bool(status.notes)
                if is_match(status.state) and (has_started or self._task is None):
                    break
        return self.status()

    async def _run(self) -> None:
        if self._settings.urls:
            await RemoteMonitor(self._connection, self._settings, self._resolve).run()
        try:
            while not self._runtime.claim():
                await follow_runtime_file(self._runtime, self._connection, self._settings)
                await asyncio.sleep(self._settings.follow_poll_s)
        except OSError as error:
            self._board.apply_event(
                LifecycleEvent.GIVE_UP,
                NoteCode.HOME_NOT_WRITABLE.fill(folder=str(self._settings.home), reason=str(error.strerror)),
            )
            return
        async with serve_commands(self._runtime.folder, self._commands.accept_command):
            await self._commands.run()

    def _report_failure(self, task: asyncio.Task[None]) -> None:
        """Log and show an unexpected error of the background task."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the engine's background task failed", exc_info=error)
            self._board.set_status(EngineStatus(EngineState.FAILED, notes=(NoteCode.FAILED_UNEXPECTEDLY.fill(),)))

    def _publish_status(self, status: EngineStatus) -> None:
        """Write the status for other processes if this process is the owner."""
        if not self._runtime.is_owner:
            return
        endpoint = self._local.client.endpoint if self._local.client else None
        try:
            self._runtime.write(
                RuntimeRecord(
                    pid=os.getpid(),
                    state=status.state,
                    progress=status.progress,
                    detail=status.detail,
                    notes=[note.to_json() for note in status.notes],
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
            _log.warning("cannot publish the engine's status: %s", error.strerror)
