"""Run the embedder's only thread, which computes batch by batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from knowledge.embedding.local.queue import BatchItem, EmbeddingQueue, EmbeddingRequest, Tokens
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix

Encode = Callable[[Sequence[Tokens]], Matrix]


class EmbeddingWorker:
    """Serves requests from any thread or loop, until closed.

    A request whose future is cancelled is dropped before its next batch. The active batch continues.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._queue = EmbeddingQueue()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve_requests, name="kvasir-embedder", daemon=True)
        self._thread.start()

    def submit(self, request: EmbeddingRequest) -> Future[Matrix]:
        """Queue a request and return its future.

        Raises:
            EmbedderError: the worker is closed.

        """
        with self._changed:
            if self._closing:
                raise EmbedderError("The embedder is closed because Kvasir is stopping. Ask again once it has started.")
            self._queue.add_request(request)
            self._changed.notify()
        return request.vectors

    def close(self) -> None:
        """Finish waiting requests and end the thread. Blocks until then; it is safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _serve_requests(self) -> None:
        try:
            while batch := self._next_batch():
                self._embed_batch(batch)
        finally:
            # Only a defect ends the loop early. Waiting requests must not wait for ever.
            self._abandon_requests()

    def _next_batch(self) -> list[BatchItem]:
        with self._changed:
            while not (batch := self._queue.take_batch()) and not self._closing:
                self._changed.wait()
            return batch

    def _embed_batch(self, batch: list[BatchItem]) -> None:
        try:
            vectors = self._encode([item.tokens for item in batch])
        except EmbedderError as error:
            _fail_requests({item.request for item in batch}, error)
            return
        except BaseException:
            _fail_requests({item.request for item in batch}, EmbedderError(_DEFECT_TEXT))
            raise
        for item, vector in zip(batch, vectors, strict=True):
            _store_vector(item, vector)

    def _abandon_requests(self) -> None:
        with self._changed:
            self._closing = True
            _fail_requests(set(self._queue.take_all()), EmbedderError(_DEFECT_TEXT))


_DEFECT_TEXT = "The embedder's thread ended unexpectedly. Start Kvasir again; the log says what happened."


def _store_vector(item: BatchItem, vector: Matrix) -> None:
    request = item.request
    request.result[item.row] = vector
    request.missing -= 1
    if not request.missing and request.vectors.set_running_or_notify_cancel():
        request.vectors.set_result(request.result)


def _fail_requests(requests: set[EmbeddingRequest], error: EmbedderError) -> None:
    for request in requests:
        request.waiting.clear()
        if not request.vectors.done() and request.vectors.set_running_or_notify_cancel():
            request.vectors.set_exception(error)
