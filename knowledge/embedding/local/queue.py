"""Choose the texts to embed next, without threads or clocks.

Questions come first, then passages that an answer waits for, then all others. Requests of the same priority take turns,
so one of 10 000 passages does not delay one of three. Other requests fill the free room in a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from knowledge.interfaces import Matrix, Priority

Tokens = NDArray[np.int32]
"""One text, shape ``(tokens,)``, with its special tokens."""

BATCH_TOKENS = 512
"""Padded tokens of one batch. A question waits for at most one batch, about 60 ms on two cores. Batches of 4 096 tokens
are not faster (measured) and take 250 MB more."""

_MAX_PADDING = 1.25
"""The most padded tokens per real token if texts of different requests share a batch."""


@dataclass(slots=True, eq=False)
class EmbeddingRequest:
    """The texts of one call, until all are embedded."""

    priority: Priority
    texts: Sequence[Tokens]
    result: Matrix
    """Filled row by row."""
    vectors: Future[Matrix] = field(default_factory=Future)
    waiting: deque[int] = field(init=False)
    """Rows not yet in a batch, the longest text first."""
    missing: int = field(init=False)
    """Rows not yet embedded."""

    def __post_init__(self) -> None:
        order = np.argsort([-len(text) for text in self.texts], kind="stable")
        self.waiting = deque(int(row) for row in order)
        self.missing = len(self.texts)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One text in a batch."""

    request: EmbeddingRequest
    row: int

    @property
    def tokens(self) -> Tokens:
        """Return the text's tokens."""
        return self.request.texts[self.row]


class EmbeddingQueue:
    """Waiting requests by priority. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._waiting: dict[Priority, deque[EmbeddingRequest]] = {priority: deque() for priority in Priority}

    def add_request(self, request: EmbeddingRequest) -> None:
        """Append a request to its priority's queue."""
        self._waiting[request.priority].append(request)

    def take_batch(self) -> list[BatchItem]:
        """Remove and return the next batch; empty if nothing waits."""
        for priority in Priority:
            requests = self._waiting[priority]
            self._drop_abandoned(requests)
            if requests:
                return _fill_batch(requests)
        return []

    def take_all(self) -> list[EmbeddingRequest]:
        """Remove and return every waiting request."""
        requests = [request for priority in Priority for request in self._waiting[priority]]
        for priority in Priority:
            self._waiting[priority].clear()
        return requests

    @staticmethod
    def _drop_abandoned(requests: deque[EmbeddingRequest]) -> None:
        alive = [request for request in requests if request.waiting and not request.vectors.done()]
        requests.clear()
        requests.extend(alive)


def _fill_batch(requests: deque[EmbeddingRequest]) -> list[BatchItem]:
    """Fill a batch from the first request, then from the others while padding allows; move the first one last."""
    batch: list[BatchItem] = []
    first = requests.popleft()
    for request in (first, *requests):
        batch.extend(_take_fitting(request, batch))
    requests.append(first)
    served = [request for request in requests if request.waiting]
    requests.clear()
    requests.extend(served)
    return batch


def _take_fitting(request: EmbeddingRequest, batch: Sequence[BatchItem]) -> list[BatchItem]:
    """Remove and return the request's texts that still fit the batch; at least one if the batch is empty."""
    width = max((len(item.tokens) for item in batch), default=0)
    real, count = sum(len(item.tokens) for item in batch), len(batch)
    items: list[BatchItem] = []
    while request.waiting:
        length = len(request.texts[request.waiting[0]])
        padded = (count + 1) * max(width, length)
        if count and (padded > BATCH_TOKENS or padded > _MAX_PADDING * (real + length)):
            break
        items.append(BatchItem(request, request.waiting.popleft()))
        width, real, count = max(width, length), real + length, count + 1
    return items
