"""Share the work of a sync among workers on a Ray cluster, one for each core.

A worker that dies loses nothing: what it was asked is asked of another one, and only this process writes. Cores that
become free, such as those of a new node, get workers during the sync.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from knowledge.concurrent_calls import run_all
from knowledge.defects import describe_defect
from knowledge.errors import ClusterError, KnowledgeError, ParserUnavailable
from knowledge.interfaces import Chunk, DocumentContent, Embedder, ListedDocument, Matrix, SourceKey, Vector
from knowledge.ray_cluster.worker import Failure, OpenNodeEmbedder, RayWorker, WorkerLost, WorkerReport, describe_worker
from knowledge.settings import ClusterSettings
from knowledge.sync.running.workbench import ChunkDocument
from knowledge.sync.signals import Signal, cancel_and_wait

if TYPE_CHECKING:
    from knowledge.ray_cluster.connection import RayConnection

_log = logging.getLogger(__name__)

_REACH_S: Final = 10.0
_START_S: Final = 180.0
_CALL_S: Final = 240.0
"""Time limit for one call, which is more than any document may take; a worker that exceeds it hangs."""
_LOOK_S: Final = 2.0
"""The pause between two looks for free cores."""
_EMPTY_S: Final = 180.0
"""How long a sync waits for a worker when there is none."""
_ATTEMPTS: Final = 5
"""Workers that may die over the same work."""
_AT_ONCE: Final = 2
"""Calls of one kind that a worker has at a time, so that it never waits for the next one."""
_PIECE: Final = 32
"""Passages in one call, so that all workers end at about the same time."""


class _WorkersDied(ClusterError):
    """Several workers died over the same work, which may be the cause."""


class _Worker:
    """A worker that answers."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - Ray has no types
        self.actor = actor
        self.running = Counter[str]()


class RayWorkbench:
    """``Workbench`` of the workers of a cluster; ``open_cluster`` makes it."""

    def __init__(
        self,
        connection: RayConnection,
        address: str,
        open_embedder: OpenNodeEmbedder,
        expected: WorkerReport,
        canary: Vector | None,
        chunk_here: ChunkDocument | None = None,
    ) -> None:
        self.place = f"the Ray cluster at {address}"
        self._connection = connection
        self._open_embedder = open_embedder
        self._expected = expected
        self._canary = canary
        self._chunk_here = chunk_here
        self._workers: list[_Worker] = []
        self._starting: set[asyncio.Task[None]] = set()
        self._changed = Signal()
        self._failure = ""
        """Why no worker will come any more."""
        self._warned: set[str] = set()

    @property
    def workers(self) -> int:
        """Return how many workers there are."""
        return max(1, len(self._workers))

    async def chunk_document(
        self, key: SourceKey, listed: ListedDocument, content: DocumentContent, *, recognises: bool = False
    ) -> tuple[str, Sequence[Chunk]]:
        """Parse and split a document at a worker, as ``Workbench``."""
        if self._chunk_here is not None:
            return await self._chunk_here(key, listed, content, recognises=recognises)
        try:
            chunked: tuple[str, Sequence[Chunk]] = await self._call("chunk_document", key, listed, content)
        except _WorkersDied as error:
            raise ParserUnavailable(f"{listed.document} could not be read: {error}") from error
        return chunked

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages at several workers, as ``Workbench``."""
        vectors: Matrix = np.concatenate(await self._share_texts("embed_passages", texts))
        return vectors

    async def index_terms(self, texts: Sequence[str]) -> Sequence[str]:
        """Make the terms of passages at several workers, as ``Workbench``."""
        return [terms for piece in await self._share_texts("index_terms", texts) for terms in piece]

    async def start_workers(self) -> None:
        """Start a worker on each free core, and wait until all have started.

        Raises:
            ClusterError: there is no free core, a node has another Kvasir or embedder, or no worker started.

        """
        try:
            cores = await self._connection.count_free_cores()
        except (ConnectionError, TimeoutError) as error:
            raise ClusterError(f"{self._subject} does not answer. Look into the log of its head node.") from error
        if not cores:
            raise ClusterError(
                f"{self._subject} has no free core. Add a node, or wait until its other jobs have ended."
            )
        reasons = await run_all(self._try_start() for _ in range(cores))
        if not self._workers:
            raise ClusterError(reasons[0])

    @contextlib.asynccontextmanager
    async def replace_workers(self) -> AsyncIterator[None]:
        """Start workers on cores that become free, within this block."""
        keeping = asyncio.create_task(self._keep_workers(), name="Ray workers")
        try:
            yield
        finally:
            await cancel_and_wait([keeping, *self._starting])

    @property
    def _subject(self) -> str:
        return self.place[:1].upper() + self.place[1:]

    async def _keep_workers(self) -> None:
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while not self._failure:
            await asyncio.sleep(_LOOK_S)
            try:
                free = await self._connection.count_free_cores()
            except Exception as error:  # noqa: BLE001 (whatever Ray raises, the head node is gone)
                _log.warning("The connection to the Ray cluster is lost: %s", describe_defect(error))
                self._failure = f"{self._subject} does not answer any more. Check its head node"
                break
            for _ in range(free - len(self._starting)):
                task = asyncio.create_task(self._replace_worker(), name="Ray worker")
                self._starting.add(task)
                task.add_done_callback(self._starting.discard)
            if self._workers:
                last_s = loop.time()
            elif loop.time() - last_s > _EMPTY_S:
                self._failure = f"{self._subject} had no worker for {_EMPTY_S:.0f} s. Check its nodes"
        self._changed.wake_waiters()

    async def _replace_worker(self) -> None:
        """Start a worker; log a failure, once for each text."""
        try:
            why = await self._try_start()
        except Exception as error:  # noqa: BLE001 (the sync goes on with the other workers)
            why = str(error) if isinstance(error, KnowledgeError) else describe_defect(error)
        if why and why not in self._warned:
            self._warned.add(why)
            _log.warning("%s", why)

    async def _try_start(self) -> str:
        """Start a worker; return why it did not start, "" if it did.

        Raises:
            KnowledgeError: its node cannot be used.

        """
        actor = None
        try:
            async with asyncio.timeout(_START_S):
                actor = await self._connection.start_actor(RayWorker, self._open_embedder, self._canary)
                report = await self._connection.call(actor, "open")
            self._check_report(report)
        except (WorkerLost, ConnectionError, TimeoutError) as error:
            self._kill(actor)
            return f"A worker of {self.place} did not start ({str(error) or 'it took too long'}). Check its nodes."
        except BaseException:
            self._kill(actor)
            raise
        self._workers.append(_Worker(actor))
        self._changed.wake_waiters()
        return ""

    def _check_report(self, report: WorkerReport | Failure) -> None:
        """Refuse a worker that would make other rows, or of a cluster that anybody may use.

        Raises:
            KnowledgeError: the reason.

        """
        if isinstance(report, Failure):
            raise ClusterError(f"A node of {self.place} cannot embed or parse: {report.error}") from report.error
        if not report.has_token:
            raise ClusterError(
                f"{self._subject} asks for no token, so anybody who reaches it could run programs there. Set "
                "RAY_AUTH_MODE=token and a token on all of its nodes."
            )
        expected = self._expected
        if report.code != expected.code:
            raise ClusterError(
                f"The Ray node {report.host} has Kvasir {report.code}, and this process has {expected.code}. Use the "
                "same image of Kvasir for both."
            )
        if (report.embedder, report.tokens) != (expected.embedder, expected.tokens):
            raise ClusterError(
                f"The Ray node {report.host} has the embedder {report.embedder}, and the index needs "
                f"{expected.embedder}, with the same tokenizer. Set the same KVASIR_EMBEDDER_… variables on all nodes."
            )
        for gap in report.jail_gaps:
            if gap not in self._warned:
                self._warned.add(gap)
                _log.warning("The parser is not locked in completely on the Ray node %s: %s", report.host, gap)

    async def _share_texts(self, method: str, texts: Sequence[str]) -> list[Any]:
        """Return the replies of workers, each to a piece of the texts, in their order."""
        starts = range(0, len(texts), _PIECE)
        return await run_all(self._call(method, list(texts[start : start + _PIECE])) for start in starts)

    async def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - as the worker's method
        """Return the reply of a worker; ask another one if it dies or hangs.

        Raises:
            KnowledgeError: of the worker; ``ClusterError`` if no worker answers.

        """
        for _ in range(_ATTEMPTS):
            worker = await self._take_worker(method)
            try:
                async with asyncio.timeout(_CALL_S):
                    reply = await self._connection.call(worker.actor, method, *arguments)
            except (WorkerLost, TimeoutError) as error:
                self._drop_worker(worker, error)
            else:
                if isinstance(reply, Failure):
                    raise reply.error
                return reply
            finally:
                worker.running[method] -= 1
                self._changed.wake_waiters()
        raise _WorkersDied(
            f"{_ATTEMPTS} workers of {self.place} died over the same work. Give its nodes more memory; the next sync "
            "continues from here."
        )

    async def _take_worker(self, method: str) -> _Worker:
        """Return a worker with the least to do, and count a call of it.

        Raises:
            ClusterError: there is none, and none will come.

        """
        await self._changed.wait_until(lambda: self._failure or self._find_free(method))
        if not (free := self._find_free(method)):
            raise ClusterError(f"{self._failure}; the next sync continues from here.")
        worker = min(free, key=lambda one: (one.running[method], one.running.total()))
        worker.running[method] += 1
        return worker

    def _find_free(self, method: str) -> list[_Worker]:
        return [one for one in self._workers if one.running[method] < _AT_ONCE]

    def _drop_worker(self, worker: _Worker, error: Exception) -> None:
        if worker in self._workers:
            _log.warning("A worker of %s is lost (%s). Others continue its work.", self.place, str(error) or "it hangs")
            self._workers.remove(worker)
            self._kill(worker.actor)

    def _kill(self, actor: Any) -> None:  # noqa: ANN401 - Ray has no types
        if actor is not None:
            self._connection.kill_actor(actor)


@contextlib.asynccontextmanager
async def open_cluster(
    settings: ClusterSettings,
    open_embedder: OpenNodeEmbedder,
    embedder: Embedder,
    canary: Vector | None,
    chunk_here: ChunkDocument | None = None,
) -> AsyncIterator[RayWorkbench]:
    """Open a cluster for the length of a block.

    ``embedder`` is that of the index, and ``canary`` its stored vector, if any. The nodes open the same one. With
    ``chunk_here``, this process parses and splits, because nodes recognise no text in images.

    Raises:
        ClusterError: the cluster cannot be reached or used.

    """
    await _check_reachable(settings.address)
    # Ray reads these when it is imported.
    os.environ["RAY_AUTH_MODE"] = "token"
    if settings.token is not None:
        os.environ["RAY_AUTH_TOKEN"] = settings.token
    try:
        from knowledge.ray_cluster.connection import RayConnection  # noqa: PLC0415 - most installations lack Ray
    except ImportError:
        raise ClusterError(
            "Ray is not installed here. Install it into Kvasir's environment: pip install --require-hashes -r "
            "requirements/ray.txt. Or start the sync in a container of Kvasir's image with Ray."
        ) from None
    connection = RayConnection(settings.address)
    try:
        await connection.connect()
        expected = await asyncio.to_thread(describe_worker, embedder)
        bench = RayWorkbench(connection, settings.address, open_embedder, expected, canary, chunk_here)
        await bench.start_workers()
        async with bench.replace_workers():
            yield bench
    finally:
        await connection.close()


async def _check_reachable(address: str) -> None:
    """Refuse an address at once where nothing listens, because Ray tries for half a minute."""
    parts = urlsplit(address)
    try:
        async with asyncio.timeout(_REACH_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 10001)
    except (OSError, TimeoutError, ValueError):
        raise ClusterError(
            f"Nothing answers at {address}. Check the address, the port of the Ray Client server (10001 by default), "
            "and whether the network lets Kvasir reach it."
        ) from None
    writer.close()
