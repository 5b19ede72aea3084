"""Choosing the texts to embed next, as pure bookkeeping."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.embedding.local.queue import BATCH_TOKENS, BatchItem, EmbeddingQueue, EmbeddingRequest, Tokens
from knowledge.embedding.local.worker import EmbeddingWorker
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix, Priority


def request(priority: Priority, lengths: Sequence[int]) -> EmbeddingRequest:
    texts = [np.ones(length, np.int32) for length in lengths]
    return EmbeddingRequest(priority, texts, np.empty((len(texts), 1), np.float32))


def batches(queue: EmbeddingQueue) -> list[list[BatchItem]]:
    result = []
    while batch := queue.take_batch():
        result.append(batch)
    return result


LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=30)


@given(st.lists(st.tuples(st.sampled_from(Priority), LENGTHS), max_size=6))
def test_every_text_is_served_once_in_bounded_batches(calls: list[tuple[Priority, list[int]]]) -> None:
    queue = EmbeddingQueue()
    requests = [request(priority, lengths) for priority, lengths in calls]
    for each in requests:
        queue.add_request(each)
    all_batches = batches(queue)
    served = [(id(item.request), item.row) for batch in all_batches for item in batch]
    assert sorted(served) == sorted((id(each), row) for each in requests for row in range(len(each.texts)))
    for batch in all_batches:
        assert len(batch) * max(len(item.tokens) for item in batch) <= max(BATCH_TOKENS, 512)
    lanes = [batch[0].request.priority for batch in all_batches]
    assert lanes == sorted(lanes)


def test_requests_take_turns() -> None:
    """A request of one text does not wait for a request of a hundred."""
    queue = EmbeddingQueue()
    large, small = request(Priority.BACKGROUND, [400] * 100), request(Priority.BACKGROUND, [300])
    queue.add_request(large)
    queue.add_request(small)
    first, second, *_ = batches(queue)
    assert [item.request for item in first] == [large]
    assert [item.request for item in second] == [small]


def test_short_texts_of_several_requests_share_a_batch() -> None:
    queue = EmbeddingQueue()
    for _ in range(5):
        queue.add_request(request(Priority.QUERY, [20]))
    assert [len(batch) for batch in batches(queue)] == [5]


def test_a_cancelled_request_is_dropped() -> None:
    queue = EmbeddingQueue()
    gone, kept = request(Priority.BACKGROUND, [500] * 9), request(Priority.BACKGROUND, [5])
    queue.add_request(gone)
    queue.add_request(kept)
    gone.vectors.cancel()
    assert [[item.request for item in batch] for batch in batches(queue)] == [[kept]]


def length_of(batch: Sequence[Tokens]) -> Matrix:
    return np.array([[len(tokens)] for tokens in batch], np.float32)


def test_rows_come_back_in_the_callers_order() -> None:
    worker = EmbeddingWorker(length_of)
    result = worker.submit(request(Priority.BACKGROUND, [3, 500, 7, 400, 1])).result(10)
    assert result[:, 0].tolist() == [3, 500, 7, 400, 1]
    worker.close()


def test_an_error_fails_only_its_batch() -> None:
    def encode(batch: Sequence[Tokens]) -> Matrix:
        if any(len(tokens) == 13 for tokens in batch):
            raise EmbedderError("no memory for 13")
        return length_of(batch)

    worker = EmbeddingWorker(encode)
    bad = worker.submit(request(Priority.BACKGROUND, [13, 500, 500, 500]))
    with pytest.raises(EmbedderError, match="13"):
        bad.result(10)
    assert worker.submit(request(Priority.BACKGROUND, [2])).result(10)[0, 0] == 2
    worker.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_fails_waiting_requests() -> None:
    started, fail = threading.Event(), threading.Event()

    def encode(_batch: Sequence[Tokens]) -> Matrix:
        started.set()
        fail.wait(10)
        raise ZeroDivisionError

    worker = EmbeddingWorker(encode)
    running = worker.submit(request(Priority.BACKGROUND, [500]))
    assert started.wait(10)
    waiting = worker.submit(request(Priority.BACKGROUND, [500]))
    fail.set()
    for future in (running, waiting):
        with pytest.raises(EmbedderError, match="Start Kvasir again"):
            future.result(10)
    worker.close()
    with pytest.raises(EmbedderError):
        worker.submit(request(Priority.BACKGROUND, [1]))


def test_cancelling_an_active_computation_is_safe() -> None:
    started, go_on = threading.Event(), threading.Event()

    def encode(batch: Sequence[Tokens]) -> Matrix:
        started.set()
        go_on.wait(10)
        return length_of(batch)

    worker = EmbeddingWorker(encode)
    cancelled = worker.submit(request(Priority.BACKGROUND, [9]))
    assert started.wait(10)
    assert cancelled.cancel()
    go_on.set()
    assert worker.submit(request(Priority.BACKGROUND, [4])).result(10)[0, 0] == 4
    with pytest.raises(CancelledError):
        cancelled.result(0)
    worker.close()
