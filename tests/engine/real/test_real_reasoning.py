"""A tiny model of each family that thinks, in a real SGLang: as ids, with a budget, without thinking, truncated."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from bot.wheels import WheelError
from engine.client.answer import AnswerDecoder
from engine.client.client import EngineClient
from engine.client.framing import R1, R1_0528, TokenPrompt
from engine.client.reasoning import ReasoningDecoder
from engine.interfaces import (
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    ReasoningDelta,
    Sampling,
    StreamEnd,
    ThinkingControl,
)
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import alive, until
from tests.engine.real.real_model import have_engine, write_tokenizer
from tests.engine.real.test_real_engine import sglang_processes

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[3]
ASK = [ChatMessage("user", "what is the price of bread")]
THOUGHT = "First comes this question itself, then every passage that was found about it."
ANSWER = "The answer is forty-two."


@pytest.fixture(params=["qwen2", "llama", "qwen3"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def model(family: str, cache: Path) -> Path:
    """Train the family's tiny model, once for each version of its script."""
    python = await have_engine(cache)
    script = Path(__file__).with_name("tiny_r1.py")
    folder = cache / "test-models" / f"tiny-{family}-{hashlib.sha256(script.read_bytes()).hexdigest()[:8]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        write_tokenizer(scratch)
        argv = (python, "-I", script, family, scratch, scratch)
        single = {**os.environ, "OMP_NUM_THREADS": "1"}  # two threads collapse when anything else runs
        await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, env=single)
        with contextlib.suppress(OSError):  # another run was first
            scratch.rename(folder)
    return folder


@pytest.fixture
def owner(tmp_path: Path, cache: Path, model: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.real.engine_process", str(tmp_path), str(cache), str(model)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


async def _ask(engine: Engine | EngineClient, **sampling: int | None) -> list[Delta]:
    parameters = Sampling(temperature=0.0, **{"max_tokens": 100, **sampling})  # type: ignore[arg-type]
    return [delta async for delta in engine.stream(ASK, parameters, request_id=os.urandom(8).hex())]


def _said(deltas: Sequence[Delta]) -> tuple[str, str]:
    kinds = (ReasoningDelta, ContentDelta)
    thought, answer = ("".join(one.text for one in deltas if isinstance(one, kind)) for kind in kinds)
    assert "think>" not in thought + answer
    return thought, answer


async def test_family_thinks(
    owner: subprocess.Popen[str],
    family: str,
    tmp_path: Path,
    cache: Path,
    unpack_wheel: Callable[[str, str, str], Awaitable[Path]],
) -> None:
    """Users see the same whichever way it was sent; kill -9 of its owner leaves no process."""
    assert owner.stdout is not None
    assert (await asyncio.to_thread(owner.stdout.readline)).startswith("http://127.0.0.1:")
    engine = Engine(EngineSettings(tmp_path, cache), unpack_wheel, wheel_error=WheelError)
    assert (await engine.ensure_running()).state is EngineState.READY
    await _sent_as_ids(engine, family)
    await _bounded(engine)
    await _follows_schema(engine)
    await _framed_by_the_server(engine)
    await _whole_and_in_pieces(engine)
    running = sglang_processes(tmp_path)
    assert len(running) >= 3
    owner.kill()
    await until(lambda: not any(alive(pid) for pid in running), 20)
    await until(lambda: engine.status().state is not EngineState.READY)
    await engine.stop()
    assert Engine.read_status(tmp_path).state is EngineState.ABSENT


async def _sent_as_ids(engine: Engine, family: str) -> None:
    """Check that the server frames our test conversation as we do, and that thinking and answer are separate."""
    framing = engine._connection._framers[engine._connection.require_client().endpoint.url][0]
    assert framing is not None
    assert framing.template is (R1_0528 if family == "qwen3" else R1)
    assert engine.thinking_control is ThinkingControl.BUDGET
    deltas = await _ask(engine)
    assert _said(deltas) == (THOUGHT, ANSWER)
    done = deltas[-1]
    assert isinstance(done, StreamEnd)
    assert done.usage.prompt_tokens == len(framing.frame_conversation(ASK).ids)


async def _bounded(engine: Engine) -> None:
    """Limit the thinking: the answer follows; with 0 it answers at once; a truncated answer is no answer."""
    free = engine.count_tokens(THOUGHT)
    for budget in (3, 6, free + 10):
        thought, answer = _said(await _ask(engine, thinking_tokens=budget))
        assert THOUGHT.startswith(thought.strip())
        assert engine.count_tokens(thought.strip()) <= budget
        assert (thought.strip() == THOUGHT) is (budget > free)
        assert answer == ANSWER
    assert _said(await _ask(engine, thinking_tokens=0)) == ("", ANSWER)
    cut = await _ask(engine, max_tokens=6)
    thought, answer = _said(cut)
    assert THOUGHT.startswith(thought)
    assert answer == ""
    assert isinstance(cut[-1], StreamEnd)
    assert cut[-1].finish_reason == "length"


async def _follows_schema(engine: Engine) -> None:
    """Check that the grammar begins behind the thought, which a budget ends."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}}, "required": ["n"]}
    sampling = Sampling(temperature=0.0, max_tokens=100, thinking_tokens=6, json_schema=schema)
    deltas = [delta async for delta in engine.stream(ASK, sampling, request_id=os.urandom(8).hex())]
    thought, answer = _said(deltas)
    assert thought
    assert answer.lstrip().startswith("{")  # random weights may write blanks in JSON for ever


async def _framed_by_the_server(engine: Engine) -> None:
    """Send messages as to an unknown server, whose own parser separates the thinking."""
    client = EngineClient(engine._connection.require_client().endpoint)
    try:
        assert _said(await _ask(client)) == (THOUGHT, ANSWER)
        assert _said(await _ask(client, thinking_tokens=0)) == ("", ANSWER)
    finally:
        await client.close()


async def _whole_and_in_pieces(engine: Engine) -> None:
    """Decode one answer in 1,000 random chunkings, and compare with the same answer without streaming."""
    prompt = engine._connection.frame_prompt(engine._connection.require_client(), ASK, Sampling())
    assert prompt is not None
    raw, whole = await _recorded(engine, prompt)
    rnd = random.Random(5)
    for _ in range(1_000):
        places = sorted({0, len(raw), *rnd.choices(range(len(raw)), k=rnd.randint(0, 60))})
        decoder = AnswerDecoder(
            ReasoningDecoder(thinks=True, opens_think=prompt.starts_in_thinking, split_by_server=False)
        )
        deltas = [delta for a, b in pairwise(places) for delta in decoder.decode(raw[a:b])]
        assert decoder.is_complete
        assert _said(deltas) == (THOUGHT, ANSWER)
    decoder_ = ReasoningDecoder(thinks=True, opens_think=prompt.starts_in_thinking, split_by_server=False)
    assert _said([*decoder_.decode("", whole), *decoder_.flush("stop")]) == (THOUGHT, ANSWER)


async def _recorded(engine: Engine, prompt: TokenPrompt) -> tuple[bytes, str]:
    client = engine._connection.require_client()
    body = client._build_request(ASK, Sampling(temperature=0.0, max_tokens=100), "recorded", prompt)
    headers = {"Authorization": f"Bearer {client.endpoint.api_key}"}
    async with aiohttp.ClientSession(client.endpoint.url, headers=headers) as session:
        async with session.post("/v1/chat/completions", json=body) as response:
            raw = await response.read()
        unstreamed = {name: value for name, value in body.items() if not name.startswith("stream")} | {"rid": "whole"}
        async with session.post("/v1/chat/completions", json=unstreamed) as response:
            answer = await response.json()
    return raw, answer["choices"][0]["message"]["content"]
