"""The engine as the bot sees it: started in the background, asked at any time, stopped with nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from engine.backends.connection import COMING, Connection
from engine.backends.external import follow
from engine.backends.local import LocalEngine, Vitals
from engine.backends.remote import Watch, look
from engine.client.client import ONE_TOKEN, EngineClient
from engine.control.commands import Orders
from engine.control.control_socket import Asked, Order, ask, listening
from engine.control.lifecycle import Event
from engine.control.runtime_file import Runtime, RuntimeFile
from engine.control.status import StatusBoard
from engine.errors import InstallError
from engine.installation.installer import Installer, UnpackWheel
from engine.interfaces import ANYBODY, Asker, Control, Delta, Message, Sampling, State, Status
from engine.planning.hardware import Machine
from engine.planning.machine_probe import probe
from engine.routing.request_queue import Gate, Line
from engine.settings import EngineSettings
from engine.weights.store import Weights
from engine.weights.wheel_pieces import PieceAssembler

_log = logging.getLogger("kvasir.engine")
_TOKEN_CHARS = 4
"""In a token, about: enough to tell a short prompt from a long one."""


class Engine:
    """A local engine, another process's, or somebody's server, as ``ChatEngine`` and ``ChoosingEngine`` have it."""

    def __init__(
        self,
        settings: EngineSettings,
        unpack_wheel: UnpackWheel,
        *,
        wheel_error: type[Exception] = OSError,
        machine: Callable[[Path], Machine] = probe,
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
        self._board = StatusBoard(self._publish)
        self._runtime = RuntimeFile(settings.home)
        self._connection = Connection(self._board, unpack)
        installer = Installer(settings.cache)
        assembler = PieceAssembler(unpack, lambda: installer.python("cpu"))
        self._local = LocalEngine(
            settings,
            installer,
            Weights(settings.cache, settings.weights, assembler),
            self._connection,
            self._runtime,
            machine,
        )
        self._gate = Gate(lambda: self._connection.fleet.people, settings.gate)
        self._orders = Orders(self._board, lambda fresh: self._local.run(install=self._install, fresh=fresh))
        self._install = True
        self._life: asyncio.Task[None] | None = None

    @staticmethod
    def peek(home: Path) -> Status:
        """Return what a living process of this state directory says of its engine; starts nothing."""
        told = RuntimeFile(home).read()
        return told.status if told is not None else Status(State.ABSENT, detail="No engine is running.")

    @staticmethod
    async def look(settings: EngineSettings) -> Status:
        """As ``peek``; engines at somebody's addresses are asked once."""
        return await look(settings) if settings.urls else Engine.peek(settings.home)

    @staticmethod
    async def order(home: Path, asked: Asked) -> str:
        """Ask the process that runs the engine of a state directory for something; return what it does about it.

        Raises:
            EngineUnavailable: no such process lives.
            EngineRefused: it says why not.

        """
        return await ask(RuntimeFile(home).folder, asked)

    async def restart(self, *, fresh: bool = False) -> None:
        """Begin to start the engine anew, and return at once; ``fresh`` forgets the ladder's rungs.

        Raises:
            EngineRefused: it is not this process's engine.

        """
        self._orders.take(Asked(Order.RESTART, fresh))

    async def step_up(self, patience_s: float) -> str | None:
        """Take a rung up if the load since the start leaves room, once nobody is being answered; return why, or None.

        Whoever calls this has chosen a quiet hour.

        Raises:
            TimeoutError: somebody was being answered for all of ``patience_s``.

        """
        return await self._local.step_up(patience_s)

    def vitals(self) -> Vitals:
        """Return how this process's engine fares; zeros where it is somebody else's."""
        return self._local.vitals()

    def line(self) -> Line:
        """Return how many of this process's questions wait for a turn, and how many are being answered."""
        return self._gate.line

    async def start(self, *, install: bool = True) -> None:
        """Begin to bring the engine up, in a task of its own, and return at once; a second call does nothing.

        An engine that another process of this state directory runs is used, and taken over when that process ends.
        """
        if self._life is None:
            self._install = install
            self._life = asyncio.create_task(self._live(), name="engine")
            self._life.add_done_callback(self._ended)

    async def ensure(self, *, install: bool = False) -> Status:
        """Use a running engine, else start it; return its first settled status.

        With ``install=False`` nothing is installed: the status is then ABSENT and says so.
        """
        await self.start(install=install)
        return await self._until(lambda _: True)

    async def wait_ready(self, deadline_s: float) -> Status:
        """Wait until answers can be asked for, or it is sure that they cannot, or the deadline; return the status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._until(lambda state: state not in COMING)
        return self.status()

    async def stop(self) -> None:
        """End what was started and return when nothing of it is left; safe to call twice."""
        if self._life is None:
            return
        life, self._life = self._life, None
        if self._runtime.owned and self._board.status.state is not State.STOPPING:
            self._board.move(Event.STOP, "The engine is stopping.")
        life.cancel()
        try:
            await asyncio.wait([life])
        finally:
            await self._connection.disconnect()
            self._board.show(Status(State.ABSENT, detail="The engine is stopped."))
            self._runtime.release()

    def status(self) -> Status:
        """Return the state now, without I/O."""
        return self._board.status

    def watch(self) -> AsyncGenerator[Status, None]:
        """Yield the status now, then each later one; never ends by itself."""
        return self._board.watch()

    @property
    def context_tokens(self) -> int:
        """Return the context of the model that is up, prompt and answer together; 4096 before one is."""
        return self._connection.context_tokens

    @property
    def control(self) -> Control | None:
        """Return what can be made of a wish for more or less thinking; None before an engine is there."""
        return self._connection.control

    def count_tokens(self, text: str) -> int:
        """Count tokens of the model that is up; before one is, and for one without known files, never too few."""
        return self._connection.vocabulary.count(text)

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the beginning of ``text`` that ``count_tokens`` counts at most ``max_tokens`` of."""
        return self._connection.vocabulary.truncate(text, max_tokens)

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling, *, request_id: str, asker: Asker = ANYBODY
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer when its turn comes; see ``engine.interfaces.ChatEngine.stream``."""

        def once(client: EngineClient) -> AsyncGenerator[Delta, None]:
            prompt = self._connection.framed(client, messages, sampling)
            return client.stream(messages, sampling, request_id=request_id, prompt=prompt)

        def send() -> AsyncGenerator[Delta, None]:
            self._connection.client()  # it may have gone while this waited
            return self._connection.fleet.stream(once, asker)

        self._connection.client()
        prompt_tokens = sum(len(message.content) for message in messages) // _TOKEN_CHARS
        async with aclosing(self._gate.through(asker, prompt_tokens, sampling.max_tokens, send)) as deltas:
            async for delta in deltas:
                yield delta

    async def choose(
        self, messages: Sequence[Message], options: Sequence[str], *, request_id: str, within_s: float, thread: str = ""
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.ChoosingEngine.choose``."""
        self._connection.client()
        async with self._gate.spare_place(within_s):
            with self._connection.fleet.spare(thread) as client:
                prompt = self._connection.framed(client, messages, ONE_TOKEN)
                return await client.choose(messages, options, request_id=request_id, prompt=prompt)

    async def _until(self, wanted: Callable[[State], bool]) -> Status:
        """Wait for a state that is wanted; one that was never looked into does not count."""
        async with aclosing(self.watch()) as changes:
            async for status in changes:
                known = status.state is not State.ABSENT or bool(status.detail)
                if wanted(status.state) and (known or self._life is None):
                    break
        return self.status()

    async def _live(self) -> None:
        if self._settings.urls:
            await Watch(self._connection, self._settings).run()
        try:
            while not self._runtime.claim():
                await follow(self._runtime, self._connection, self._settings)
                await asyncio.sleep(self._settings.follow_poll_s)
        except OSError as error:
            self._board.move(
                Event.GAVE_UP, f"{self._settings.home} cannot be written: {error.strerror}. Set KVASIR_HOME."
            )
            return
        async with listening(self._runtime.folder, self._orders.take):
            await self._orders.carry_out()

    def _ended(self, life: asyncio.Task[None]) -> None:
        """Show a fault of our own, which nobody awaits the task to see."""
        if not life.cancelled() and (error := life.exception()) is not None:
            _log.error("the engine's task failed", exc_info=error)
            self._board.show(Status(State.FAILED, detail="Kvasir's own care of the engine failed; its log says where."))

    def _publish(self, status: Status) -> None:
        """Tell other processes, while the engine is this one's."""
        if not self._runtime.owned:
            return
        endpoint = self._local.published
        try:
            self._runtime.write(
                Runtime(
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
