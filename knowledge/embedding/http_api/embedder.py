"""Embed by a server. Questions are sent at once, and passages in batches, a few at a time.

The first vector of a fixed text, the canary, is stored by the embedder's identity. Each call with passages has that
text among them. A question has it if the last check was a minute ago, or if a call has failed since. A server that
returns another vector for it has another model, or pools otherwise. Its vectors are refused, because they do not
compare with those of the index.

A failure pauses what a person waits for: questions and pages of an answer are refused at once, and words alone answer.
Meanwhile a task asks for the canary, ever more rarely. Passages of a sync are sent all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from knowledge.concurrent_calls import run_all
from knowledge.defects import describe_defect
from knowledge.embedding.http_api import wire
from knowledge.embedding.http_api.settings import HttpEmbedderSettings
from knowledge.embedding.http_api.tokens import CountTokens, cut_text, estimate_tokens, load_counter
from knowledge.embedding.http_api.turns import PriorityTurns
from knowledge.errors import EmbedderError, EmbedderUnavailable, KnowledgeError
from knowledge.interfaces import Matrix, Priority, Vector
from knowledge.interfaces.embedding import EmbedderMemory, ReportLine, UnpackWheel
from knowledge.web.http.json_server import JsonServer, ServerFailure

CANARY: Final = "Kvasir compares the vector of this sentence, 以确认模型没有改变。"
_LEAST_COSINE: Final = 0.999
"""The same model in half precision, in another batch or on another card stays above it."""
_LEAST_IN_BATCH: Final = 0.97
"""A model that is quantised for each batch gives other vectors in other company: 0.988 was seen of a MiniLM in 8 bits,
and 0.56 with another pooling. Below 0.999 the canary is sent alone, too."""
_LONE_CHECKS: Final = 4
"""So often it is sent alone then. Of a balancer's two models, one could answer a single call by chance."""
_CHECK_S: Final = 60.0
_FIRST_WAIT_S: Final = 0.5
_MOST_WAIT_S: Final = 30.0
_PARSED_IN_PLACE_BYTES: Final = 500_000
_TOO_LONG: Final = frozenset({400, 413, 422})
"""With these statuses vLLM, SGLang and TEI refuse texts that are too long, and batches that are too large."""
_SHORTEST: Final = 120
"""A text of fewer characters is not too long for any model."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of one call with its repetitions."""

    attempts: int
    call_s: float
    total_s: float


LIMITS: Final = {
    Priority.QUERY: CallLimits(attempts=2, call_s=5.0, total_s=10.0),
    Priority.ANSWER: CallLimits(attempts=3, call_s=10.0, total_s=20.0),
    Priority.BACKGROUND: CallLimits(attempts=9, call_s=60.0, total_s=240.0),
}


class _TextsRefused(EmbedderError):
    """The server may accept fewer or shorter texts."""


class HttpEmbedder:
    """``knowledge.interfaces.Embedder`` over ``/v1/embeddings``. ``open_http_embedder`` makes it."""

    def __init__(
        self,
        settings: HttpEmbedderSettings,
        count_tokens: CountTokens,
        memory: EmbedderMemory | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``memory`` keeps the canary's vector for all processes; without it, only this one compares."""
        self.identity = settings.identity
        self.count_tokens = count_tokens
        self.trouble = ""
        self._settings = settings
        self._server = JsonServer(settings.address)
        self._turns = PriorityTurns(settings.concurrency)
        self._batch = settings.batch - 1
        self._memory = memory
        self._canary: Vector | None = None
        self._checked_at = -math.inf
        self._failure: EmbedderError | None = None  # not if the server refused the texts alone
        self._recovery: asyncio.Task[None] | None = None
        self._is_closed = False
        self._sleep = sleep
        self._now = now

    @property
    def dimensions(self) -> int:
        """Return the length of a vector; 0 before the server has said it."""
        return len(self._canary) if self._canary is not None else self._settings.dimensions or 0

    async def embed_query(self, text: str) -> Vector:
        """Embed one question at once, within the limit of all calls for it together."""
        check, total_s = self._now() - self._checked_at > _CHECK_S, LIMITS[Priority.QUERY].total_s
        try:
            async with asyncio.timeout(total_s):
                vectors = await self._embed([text], self._settings.query_prefix, Priority.QUERY, check=check)
        except TimeoutError:
            with self._record_trouble():
                raise self._make_error(f"gave no answer within {total_s:g} s. {_WAIT}", EmbedderUnavailable) from None
        vector: Vector = vectors[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Embed passages in batches. Calls of the same priority take turns."""
        size = self._batch
        rows: dict[int, Matrix] = {}
        starts = iter(range(0, len(texts), size))

        async def embed_batches() -> None:
            for start in starts:
                rows[start] = await self._embed_passages(texts[start : start + size], priority)

        workers = min(self._settings.concurrency, -(-len(texts) // size))
        await run_all(embed_batches() for _ in range(workers))
        return (
            np.concatenate([rows[start] for start in sorted(rows)])
            if rows
            else np.empty((0, self.dimensions), np.float32)
        )

    async def _embed_passages(self, texts: Sequence[str], priority: Priority) -> Matrix:
        """Return the vectors of one batch. If the server refuses it, it gets halves of it, then halves of a text."""
        try:
            return await self._embed(texts, self._settings.passage_prefix, priority, in_turns=True)
        except _TextsRefused as error:
            if len(texts) == 1 and len(texts[0]) < _SHORTEST:
                raise
            why = str(error)
        if len(texts) == 1:
            _log.warning("Only the first half of a passage of %d characters is embedded. %s", len(texts[0]), why)
            return await self._embed_passages([texts[0][: len(texts[0]) // 2]], priority)
        middle = len(texts) // 2
        first = await self._embed_passages(texts[:middle], priority)
        return np.concatenate([first, await self._embed_passages(texts[middle:], priority)])

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Embed short texts for a comparison with each other, with the prefix of passages, as urgent as a question."""
        prefix, size = self._settings.passage_prefix, self._batch
        rows = [
            await self._embed(texts[start : start + size], prefix, Priority.QUERY)
            for start in range(0, len(texts), size)
        ]
        return np.concatenate(rows) if rows else np.empty((0, self.dimensions), np.float32)

    async def identify(self) -> None:
        """Compare the server's vector of the canary with the stored one, or store it the first time.

        Raises:
            EmbedderError: the server gave none, or another one.
            DatabaseError: the stored one cannot be read or written.

        """
        limits = LIMITS[Priority.QUERY]
        if self._canary is None and self._memory is not None:
            self._canary = await self._memory.load_canary(self.identity)
        with self._record_trouble():
            vector: Vector = (await self._call_server([CANARY], limits))[0]
            if self._canary is None:
                # Another process may have stored that of another server meanwhile.
                memory = self._memory
                self._canary = vector if memory is None else await memory.add_canary(self.identity, vector)
            await self._check_canary(vector, limits)

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._is_closed = True
        if self._recovery is not None:
            self._recovery.cancel()
        await self._server.close()
        if self._recovery is not None:
            await asyncio.wait([self._recovery])

    async def _embed(
        self, texts: Sequence[str], prefix: str, priority: Priority, *, check: bool = True, in_turns: bool = False
    ) -> Matrix:
        """Return the vectors of one batch, and compare the canary's among them if ``check``.

        ``in_turns`` sends it when its priority has a turn.
        """
        if self._failure is not None and priority < Priority.BACKGROUND:
            raise type(self._failure)(str(self._failure))
        if self._canary is None:
            await self.identify()
        if len(texts) == 1:  # a question does not wait for the threads, which chunks may occupy
            inputs = self._prepare_texts(texts, prefix)
        else:
            inputs = await asyncio.to_thread(self._prepare_texts, texts, prefix)
        inputs += [CANARY] if check else []
        with self._record_trouble():
            vectors = await self._call_server(inputs, LIMITS[priority], priority if in_turns else None)
            if check:
                await self._check_canary(vectors[-1], LIMITS[priority])
        if not check and self._checked_at == -math.inf:  # a call has failed meanwhile
            return await self._embed(texts, prefix, priority)
        return vectors[: len(texts)]

    @contextlib.contextmanager
    def _record_trouble(self) -> Iterator[None]:
        try:
            yield
        except EmbedderError as error:
            self.trouble = str(error)
            self._checked_at = -math.inf  # the next question is checked, too
            if not self._is_closed and not isinstance(error, _TextsRefused):
                self._pause_questions(error)
            raise
        self.trouble, self._failure = "", None

    def _pause_questions(self, error: EmbedderError) -> None:
        if self._failure is None:
            _log.warning("%s", error)
        self._failure = error
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._await_recovery(), name="recover embedder")

    async def _await_recovery(self) -> None:
        """Ask for the canary until the server gives the right vector, or another call got vectors."""
        wait_s = _FIRST_WAIT_S
        while self._failure is not None:
            await self._sleep(wait_s)
            wait_s = min(_MOST_WAIT_S, 2 * wait_s)
            try:
                await self.identify()
            except KnowledgeError:
                continue
            except Exception as error:  # noqa: BLE001 (questions wait for this task)
                _log.error("The check of the embedder met a defect: %s", describe_defect(error))
        _log.info("The embedder %s answers again.", self._settings.model)

    def _prepare_texts(self, texts: Sequence[str], prefix: str) -> list[str]:
        return [prefix + cut_text(text, self.count_tokens) for text in texts]

    async def _call_server(self, inputs: Sequence[str], limits: CallLimits, priority: Priority | None = None) -> Matrix:
        """Return the vectors of the inputs; temporary failures are repeated within the limits.

        With a ``priority``, each attempt waits for its turn. Between two attempts others have theirs.
        """
        body = wire.build_request(self._settings.model, inputs, self._settings.dimensions)
        ends = math.inf
        for attempt in range(1, limits.attempts + 1):
            if self._is_closed:
                raise EmbedderError("The embedder is closed because Kvasir is stopping. Ask again once it has started.")
            turn = contextlib.nullcontext() if priority is None else self._turns.take_turn(priority)
            try:
                async with turn:
                    ends = min(ends, self._now() + limits.total_s)
                    reply = await self._server.post(wire.PATH, body, within_s=limits.call_s)
                if len(reply) < _PARSED_IN_PLACE_BYTES:
                    return wire.parse_vectors(reply, len(inputs), self.dimensions or None)
                return await asyncio.to_thread(wire.parse_vectors, reply, len(inputs), self.dimensions or None)
            except wire.UnusableReply as error:
                raise self._make_error(f"{error}. {_CHECK}") from None
            except ServerFailure as error:
                self._checked_at = -math.inf  # another server may take over
                wait_s = error.retry_after_s or min(_MOST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1))
                wait_s *= 1 + random.random() / 4  # noqa: S311 - jitter
                is_last = attempt == limits.attempts or self._now() + wait_s > ends
                if is_last or not error.is_temporary:
                    kind, next_step = (EmbedderUnavailable, _WAIT) if error.is_temporary else (EmbedderError, _CHECK)
                    kind = _TextsRefused if error.status in _TOO_LONG and inputs != [CANARY] else kind
                    raise self._make_error(f"{error}. {next_step}", kind) from None
            await self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _check_canary(self, vector: Vector, limits: CallLimits) -> None:
        """Compare the canary's vector, as it is among other texts, with the expected one."""
        cosine = self._compare_canary(vector)
        if _LEAST_IN_BATCH <= cosine < _LEAST_COSINE:
            for _ in range(_LONE_CHECKS):
                lone = self._compare_canary((await self._call_server([CANARY], limits))[0])
                if lone < _LEAST_COSINE:
                    raise self._make_error(
                        f"has another model than the index was made with, or several: the cosine of the same sentence "
                        f"is {cosine:.3f} in a batch and {lone:.3f} alone. {_SERVE_EARLIER}"
                    )
        elif cosine < _LEAST_COSINE:
            raise self._make_error(
                f"has another model than the index was made with: the cosine of the same sentence is {cosine:.3f}. "
                f"{_SERVE_EARLIER}"
            )
        self._checked_at = self._now()

    def _compare_canary(self, vector: Vector) -> float:
        return 1.0 if self._canary is None else float(vector @ self._canary)

    def _make_error(self, what: str, kind: type[EmbedderError] = EmbedderError) -> EmbedderError:
        return kind(f"The embedder {self._settings.model} at {self._settings.address.host} {what}")


async def open_http_embedder(
    _cache: Path,
    _unpack_wheel: UnpackWheel,
    *,
    settings: HttpEmbedderSettings,
    progress: ReportLine | None = None,
    memory: EmbedderMemory | None = None,
) -> HttpEmbedder:
    """Open the embedder, and compare its canary with the stored one, or store it the first time.

    If the server is down or has another model, ``HttpEmbedder.trouble`` says so until it gives the right vectors.

    Raises:
        EmbedderError: the file with the vocabulary cannot be read.
        DatabaseError: the stored canary cannot be read or written.

    """
    del progress
    count_tokens = estimate_tokens if settings.tokenizer is None else await load_counter(settings.tokenizer)
    embedder = HttpEmbedder(settings, count_tokens, memory)
    try:
        with contextlib.suppress(EmbedderError):
            await embedder.identify()
    except BaseException:
        await embedder.close()
        raise
    return embedder


_WAIT = "Start that server, or wait until it is less busy; what was not embedded is tried again."
_CHECK = "Check the address, the model and the key (KVASIR_EMBEDDER_…) and the limits of that server."
_SERVE_EARLIER = "Serve the earlier model again, or set KVASIR_EMBEDDER_REVISION to a new word to build a new index."
