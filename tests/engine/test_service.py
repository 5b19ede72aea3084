"""The engine's public face: remote engines by URL, another process's by its file, and no engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.errors import EngineStarting, EngineUnavailable
from engine.interfaces import ChatEngine, ChatMessage, ContentDelta, EngineState, ReasoningDelta, Sampling, StreamEnd
from engine.planning.hardware import Machine
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import DONE, KEY, FakeSglang, delta, refuse_wheel, until
from tests.waiting import WAIT_S

ASK = [ChatMessage("user", "hello")]
LINUX = Machine((), 2, 8 << 30, 8 << 30, 1 << 40, "linux", "x86_64")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Callable[..., Engine]]:
    async with AsyncExitStack() as stack:

        def make(machine: Machine = LINUX, **settings: object) -> Engine:
            defaults = EngineSettings(tmp_path / "home", tmp_path / "cache", remote_poll_s=0.06, follow_poll_s=0.02)
            made = Engine(replace(defaults, **settings), refuse_wheel, probe=lambda _: machine)  # type: ignore[arg-type]
            stack.push_async_callback(made.stop)
            return made

        yield make


async def test_remote_engine(sglang: FakeSglang, engine: Callable[..., Engine], tmp_path: Path) -> None:
    """Its name, context and answers; nothing is written to the state directory."""
    sglang.key, sglang.model, sglang.max_model_len = KEY, "org/some-model", 16384
    sglang.stream(delta(content="hi"), delta(finish="stop"), DONE)
    used: ChatEngine = (made := engine(url=f"{sglang.url}/v1/", api_key=KEY))
    await made.start()
    status = await made.wait_until_ready(5)
    assert (status.state, status.model, status.url) == (EngineState.READY, "org/some-model", sglang.url)
    assert made.context_tokens == 16384
    assert made.count_tokens("héllo") == 6  # bytes: its vocabulary is not known
    assert [d async for d in used.stream(ASK, Sampling(), request_id="r")] == [ContentDelta("hi"), StreamEnd("stop")]
    assert sglang.bodies[0]["model"] == "org/some-model"
    assert not (tmp_path / "home").exists()
    assert (
        await Engine.query_status(EngineSettings(tmp_path, tmp_path, url=sglang.url, api_key=KEY))
    ).state is EngineState.READY


async def test_r1_on_a_server_without_a_parser(sglang: FakeSglang, engine: Callable[..., Engine]) -> None:
    """Its thinking is separated anyway."""
    sglang.model, sglang.info = "casperhansen/deepseek-r1-distill-llama-8b-awq", None
    sglang.stream(
        delta(content="I th"), delta(content="ink.</th"), delta(content="ink>\n\nYes."), delta(finish="stop"), DONE
    )
    made = engine(url=sglang.url)
    await made.start()
    await made.wait_until_ready(5)
    deltas = [d async for d in made.stream(ASK, Sampling(), request_id="r")]
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "I think."
    assert "".join(d.text for d in deltas if isinstance(d, ContentDelta)) == "Yes."


async def test_remote_engine_changes_its_state(sglang: FakeSglang, engine: Callable[..., Engine]) -> None:
    """Loading, wrong key, ready, another name: each is noticed without a restart of Kvasir."""
    sglang.models_status = 503
    made = engine(url=sglang.url, api_key=KEY)
    await made.start()
    await until(lambda: made.status().state is EngineState.STARTING)
    with pytest.raises(EngineStarting, match="loading"):
        await anext(made.stream(ASK, Sampling(), request_id="r"))
    sglang.models_status, sglang.key = 200, "another"
    await until(lambda: made.status().state is EngineState.FAILED)
    assert "KVASIR_ENGINE_API_KEY" in made.status().detail
    assert KEY not in repr(made.status())
    sglang.key = KEY
    await until(lambda: made.status().state is EngineState.READY)
    sglang.model = "another-model"
    await until(lambda: made.status().model == "another-model")


async def test_remote_engine_restarts_with_another_context(sglang: FakeSglang, engine: Callable[..., Engine]) -> None:
    made = engine(url=sglang.url)
    await made.start()
    await made.wait_until_ready(5)
    assert made.context_tokens == 8192
    sglang.max_model_len = 4096
    await until(lambda: made.context_tokens == 4096)


async def test_partly_failed_query_interrupts_no_answer(sglang: FakeSglang, engine: Callable[..., Engine]) -> None:
    """A busy server does not report whether it runs a parser; nothing changes."""
    sglang.model, sglang.info, last = "somebodys-r1", {"reasoning_parser": "deepseek-r1"}, asyncio.Event()
    sglang.stream(delta(reasoning="Hm."), last, delta(content="Yes."), delta(finish="stop"), DONE)
    made = engine(url=sglang.url)
    await made.start()
    await made.wait_until_ready(5)
    deltas = made.stream(ASK, Sampling(), request_id="r")
    assert await anext(deltas) == ReasoningDelta("Hm.")
    sglang.info_status = 503
    await until(lambda: made.status().state is not EngineState.READY)
    sglang.info_status = 200
    await until(lambda: made.status().state is EngineState.READY)
    last.set()
    assert [one async for one in deltas] == [ContentDelta("Yes."), StreamEnd("stop")]


async def test_changing_context_interrupts_no_answer(sglang: FakeSglang, engine: Callable[..., Engine]) -> None:
    """A router reports one worker's context, then another's."""
    last = asyncio.Event()
    sglang.stream(delta(content="On"), last, delta(content="e."), delta(finish="stop"), DONE)
    made = engine(url=sglang.url)
    await made.start()
    await made.wait_until_ready(5)
    deltas = made.stream(ASK, Sampling(), request_id="r")
    assert await anext(deltas) == ContentDelta("On")
    for context_tokens in (4096, 8192):
        sglang.max_model_len = context_tokens
        await until(lambda wanted=context_tokens: made.context_tokens == wanted)  # type: ignore[misc]
    assert made.count_requests().running == 1
    last.set()
    assert [one async for one in deltas] == [ContentDelta("e."), StreamEnd("stop")]


async def test_remote_engine_works_with_an_unwritable_cache(sglang: FakeSglang, tmp_path: Path) -> None:
    """Its vocabulary cannot be unpacked, so tokens are bounded by bytes."""

    async def unpack(name: str, version: str, sha256: str) -> Path:
        raise PermissionError(13, "Read-only file system", f"{name} {version} {sha256[:4]}")

    class OfWheels(Exception):
        """Raised instead of the wheel that cannot be unpacked."""

    sglang.model = "DeepSeek-R1"
    sglang.stream(delta(content="Hm.</think>hi"), delta(finish="stop"), DONE)
    made = Engine(EngineSettings(tmp_path, tmp_path, url=sglang.url), unpack, wheel_error=OfWheels)
    await made.start()
    status = await made.wait_until_ready(5)
    answer = (
        [one async for one in made.stream(ASK, Sampling(), request_id="r")] if status.state is EngineState.READY else []
    )
    await made.stop()
    assert answer == [ReasoningDelta("Hm."), ContentDelta("hi"), StreamEnd("stop")]


async def test_no_server_at_the_url(engine: Callable[..., Engine]) -> None:
    made = engine(url="http://127.0.0.1:9")
    await made.start()
    status = await made.wait_until_ready(5)
    assert (status.state, status.url) == (EngineState.FAILED, "http://127.0.0.1:9")
    with pytest.raises(EngineUnavailable, match="No server answers"):
        await anext(made.stream(ASK, Sampling(), request_id="r"))


async def test_nothing_is_installed_without_a_request(engine: Callable[..., Engine], tmp_path: Path) -> None:
    made = engine()
    status = await made.ensure_running()
    assert status.state is EngineState.ABSENT
    assert "kvasir run" in status.detail
    assert (await made.wait_until_ready(5)) == status
    assert not (tmp_path / "cache").exists()
    with pytest.raises(EngineUnavailable, match="kvasir run"):
        await anext(made.stream(ASK, Sampling(), request_id="r"))


@pytest.mark.parametrize(("system", "architecture"), [("darwin", "arm64"), ("linux", "aarch64")])
async def test_unsupported_machine(engine: Callable[..., Engine], system: str, architecture: str) -> None:
    made = engine(replace(LINUX, system=system, architecture=architecture))
    await made.start()
    status = await made.wait_until_ready(5)
    assert status.state is EngineState.ABSENT
    assert "KVASIR_ENGINE_URL" in status.detail


@pytest.mark.parametrize("model", ["no-such-model", "33B"])
async def test_unavailable_model_fails_with_the_reason(engine: Callable[..., Engine], model: str) -> None:
    made = engine(model=model)
    await made.start()
    status = await made.wait_until_ready(5)
    assert status.state is EngineState.FAILED
    assert "KVASIR_MODEL" in status.detail


async def test_missing_disk_space_fails_with_the_reason(engine: Callable[..., Engine], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    made = engine()
    await made.start()
    assert (await made.wait_until_ready(5)).state is EngineState.FAILED


async def test_unwritable_state_directory(engine: Callable[..., Engine], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file in the way")
    made = engine()
    await made.start()
    status = await made.wait_until_ready(5)
    assert status.state is EngineState.FAILED
    assert "KVASIR_HOME" in status.detail


async def test_another_process_runs_the_engine(
    sglang: FakeSglang, engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """Its progress is shown, its engine is used, and this process takes over when it ends."""
    sglang.key = KEY
    sglang.stream(delta(content="hi"), delta(finish="stop"), DONE)
    other = RuntimeFile(tmp_path / "home")
    assert other.claim()
    other.write(RuntimeRecord(pid=1, state=EngineState.INSTALLING, progress=0.4, detail="Downloading."))
    made = engine()
    status = await made.ensure_running()
    assert (status.state, status.progress) == (EngineState.INSTALLING, 0.4)
    assert (await made.wait_until_ready(0.05)).state is EngineState.INSTALLING
    with pytest.raises(EngineStarting, match="Downloading"):
        await anext(made.stream(ASK, Sampling(), request_id="r"))
    up = RuntimeRecord(1, EngineState.READY, 1.0, "", sglang.url, "a-model", api_key=KEY, context_tokens=2048)
    other.write(up)
    assert (await made.wait_until_ready(5)).state is EngineState.READY
    assert made.context_tokens == 2048
    assert [d async for d in made.stream(ASK, Sampling(), request_id="r")] == [ContentDelta("hi"), StreamEnd("stop")]
    other.release()
    await until(lambda: "kvasir run" in made.status().detail)
    assert made.status().state is EngineState.ABSENT


async def test_owner_without_a_published_status(engine: Callable[..., Engine], tmp_path: Path) -> None:
    """Waiting for it does not block other tasks."""
    other = RuntimeFile(tmp_path / "home")
    assert other.claim()
    made = engine()
    await made.start(install=False)
    async with asyncio.timeout(WAIT_S):
        await asyncio.sleep(0.05)
    other.release()
    await until(lambda: made.status().detail != "")


async def test_stop_is_idempotent(engine: Callable[..., Engine], tmp_path: Path) -> None:
    made = engine()
    await made.stop()
    await made.start()
    await made.start()
    await made.stop()
    await made.stop()
    assert made.status().state is EngineState.ABSENT
    assert Engine.read_status(tmp_path / "home").state is EngineState.ABSENT
    assert RuntimeFile(tmp_path / "home").claim()


async def test_stop_while_another_task_waits(engine: Callable[..., Engine], sglang: FakeSglang) -> None:
    sglang.models_status = 503
    made = engine(url=sglang.url)
    await made.start()
    waiting = asyncio.create_task(made.wait_until_ready(30))
    await until(lambda: made.status().state is EngineState.STARTING)
    await made.stop()
    assert (await waiting).state is EngineState.ABSENT


def test_key_is_not_in_repr(tmp_path: Path) -> None:
    assert KEY not in repr(EngineSettings(tmp_path, tmp_path, url="http://x", api_key=KEY))
