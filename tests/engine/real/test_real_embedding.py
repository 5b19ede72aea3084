"""The clients of an embedder and a reranker against a real SGLang with tiny random models: the protocol, no quality."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from knowledge.embedding.http_api.embedder import HttpEmbedder
from knowledge.embedding.http_api.settings import HttpEmbedderSettings
from knowledge.embedding.http_api.tokens import cut_text, estimate_tokens
from knowledge.errors import EmbedderError, EmbedderUnavailable
from knowledge.search.reranking import HttpReranker
from knowledge.settings import RerankerSettings
from knowledge.web.http.json_server import ServerFailure
from knowledge.web.http.settings import ServerAddress
from tests.engine.real.real_model import have_engine
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(900)]
KEY = "sk-tiny"
START_S = 300
QUESTION = "when does the office open"
TEXTS = ["the office opens at nine", "bread needs flour", "walk to the office", "invoices are paid", "the lift is slow"]
LONG = cut_text("flour " * 400, estimate_tokens)
"""As many tokens as a passage may have by Kvasir's estimate, and over 512 by the tiny model's vocabulary of letters."""
OPTIONS = (
    "--device", "cpu", "--dtype", "float32", "--served-model-name", "tiny", "--host", "127.0.0.1", "--api-key", KEY,
    "--mem-fraction-static", "0.3", "--max-total-tokens", "4096", "--sleep-on-idle", "--disable-overlap-schedule",
    "--is-embedding", "--disable-radix-cache", "--chunked-prefill-size", "-1",
)  # fmt: skip


async def make_model(python: Path, kind: str, folder: Path, texts: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Write a model, and return what transformers computes with it."""
    argv = (python, "-I", Path(__file__).with_name("tiny_bert.py"), kind, folder)
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = await asyncio.to_thread(
        subprocess.run, argv, check=True, capture_output=True, env=single, input=json.dumps(texts).encode()
    )
    return np.asarray(json.loads(done.stdout), np.float32)


@asynccontextmanager
async def serve(python: Path, folder: Path, port: int, *options: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run SGLang with a model until the end of a block, which may kill it."""
    environ = {
        **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
        "SGLANG_PLATFORM": "kvasir_plain_cpu", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    argv = (python, "-m", "sglang.launch_server", "--model-path", folder, "--port", str(port), *OPTIONS, *options)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - a start takes milliseconds
            argv, stdout=log, stderr=log, env=environ, start_new_session=True
        )
    try:
        async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
            while not await _is_ready(session, port):
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        yield process
    finally:
        await asyncio.to_thread(end, process)


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/health") as reply:
            return reply.status == 200
    except aiohttp.ClientError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a server with all of its processes, which are a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])


def make_embedder(port: int, key: str = KEY, dimensions: int | None = None) -> HttpEmbedder:
    address = ServerAddress(f"http://127.0.0.1:{port}", key)
    settings = HttpEmbedderSettings(address, "tiny", batch=3, dimensions=dimensions)
    return HttpEmbedder(settings, estimate_tokens)


async def test_embedder_gets_the_vectors_of_the_model(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes over a minute, because SGLang starts twice."""
    python, port = await have_engine(cache), find_port()
    halves = [LONG[: len(LONG) // 2**times] for times in (1, 2, 3)]
    expected = await make_model(python, "embedder", tmp_path, [*TEXTS, *halves[1:]])
    embedder = make_embedder(port)
    async with serve(python, tmp_path, port) as process:
        await embedder.identify()
        assert embedder.dimensions == expected.shape[1]
        assert np.allclose(await embedder.embed_query(TEXTS[0]), expected[0], atol=1e-4)
        vectors = await embedder.embed_passages([*TEXTS, LONG, *TEXTS])
        assert np.allclose(vectors[: len(TEXTS)], expected[: len(TEXTS)], atol=1e-4)
        assert np.allclose(vectors[len(TEXTS) + 1 :], expected[: len(TEXTS)], atol=1e-4)
        assert "first half of a passage" in caplog.text
        assert any(np.allclose(vectors[len(TEXTS)], row, atol=1e-4) for row in expected[len(TEXTS) :])
        await refuse_wrong_settings(port)
        end(process)
        with pytest.raises(EmbedderUnavailable):
            await embedder.embed_query(TEXTS[1])
    async with serve(python, tmp_path, port), asyncio.timeout(WAIT_S):
        while embedder.trouble:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)
        assert np.allclose(await embedder.embed_query(TEXTS[1]), expected[1], atol=1e-4)
    await embedder.close()


async def refuse_wrong_settings(port: int) -> None:
    for options in ({"key": "sk-wrong"}, {"dimensions": 16}):
        embedder = make_embedder(port, **options)  # type: ignore[arg-type]
        with pytest.raises(EmbedderError) as caught:
            await embedder.identify()
        assert not isinstance(caught.value, EmbedderUnavailable)
        await embedder.close()


async def test_reranker_orders_as_the_model_does(cache: Path, tmp_path: Path) -> None:
    python, port = await have_engine(cache), find_port()
    expected = (await make_model(python, "reranker", tmp_path, [(QUESTION, text) for text in TEXTS]))[:, 0]
    best_first = [int(place) for place in np.argsort(-expected)]
    assert best_first != sorted(best_first)
    reranker, wrong = make_reranker(port), make_reranker(port, "sk-wrong")
    async with serve(python, tmp_path, port) as process:
        assert await reranker.order_texts(QUESTION, TEXTS) == best_first
        with pytest.raises(ServerFailure, match="400"):  # a pair that the model cannot read fails the whole call
            await reranker.order_texts(QUESTION, [*TEXTS, "flour " * 400])
        assert await reranker.order_texts(QUESTION, TEXTS[::-1]) == [len(TEXTS) - 1 - place for place in best_first]
        with pytest.raises(ServerFailure, match="key"):
            await wrong.order_texts(QUESTION, TEXTS)
        end(process)
        with pytest.raises(ServerFailure):
            await reranker.order_texts(QUESTION, TEXTS)
    await reranker.close()
    await wrong.close()


def make_reranker(port: int, key: str = KEY) -> HttpReranker:
    address = ServerAddress(f"http://127.0.0.1:{port}/v1/rerank", key)
    return HttpReranker(RerankerSettings(address, "tiny"), limit_s=WAIT_S)
