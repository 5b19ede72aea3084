"""Shared by the engine's tests: a fake SGLang server on loopback, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.control.control_socket import EngineAction, EngineCommand
from engine.installation.installer import Installer
from engine.interfaces import EngineState
from engine.planning.catalogue import resolve_model
from engine.service import Engine
from engine.settings import EngineSettings
from engine.weights.verified_files import VerifiedFiles
from engine.weights.wheel_pieces import compute_revision
from tests.waiting import WAIT_S

Chat = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "key-that-nobody-may-see"
SMALL_MODEL = "Qwen2.5-Coder-0.5B-Instruct"
"""What a machine without a GPU and without a model hub runs."""


def delta(*, content: str | None = None, reasoning: str | None = None, finish: str | None = None) -> bytes:
    """Return one event as SGLang 0.5.23 writes it."""
    choice = {"index": 0, "delta": {"reasoning_content": reasoning, "content": content}, "finish_reason": finish}
    return event({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chosen(likeliest: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return a reply of one token with its likeliest alternatives and their logprobs, as SGLang 0.5.23 writes it."""
    top = [{"token": text, "bytes": list(text.encode()), "logprob": logprob} for text, logprob in likeliest]
    token = {**top[0], "top_logprobs": top}
    message = {"role": "assistant", "content": likeliest[0][0], "reasoning_content": None}
    usage = {
        "prompt_tokens": 39,
        "total_tokens": 40,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 26},
        "reasoning_tokens": 0,
        "completion_tokens_details": None,
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": {"content": [token]},
        "finish_reason": "length",
        "matched_stop": None,
    }
    return {
        "id": "fda30269079847ecac6e9f76a3510804",
        "object": "chat.completion",
        "created": 1795758548,
        "model": "Qwen2.5-Coder-0.5B-Instruct",
        "choices": [choice],
        "usage": usage,
        "metadata": {"weight_version": "default", "weight_versions": [{"version": "default", "start": 0, "end": 1}]},
    }


USAGE = event(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 32,
            "completion_tokens": 8,
            "total_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 30},
            "reasoning_tokens": 5,
            "completion_tokens_details": None,
        },
    }
)
DONE = b"data: [DONE]\n\n"


@dataclass
class FakeSglang:
    """A fake SGLang server; a test sets ``chat`` to answer ``/v1/chat/completions``."""

    url: str = ""
    chat: Chat | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    models_status: int = 200
    model: str = SMALL_MODEL
    max_model_len: int | None = 8192
    info: dict[str, Any] | None = field(default_factory=lambda: {"reasoning_parser": None})
    info_status: int = 200
    server: dict[str, Any] = field(default_factory=dict)
    """What ``/server_info`` says."""
    health_status: int = 200
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    def stream(self, *chunks: bytes | asyncio.Event, cut: bool = False) -> None:
        """Answer chats with these chunks; wait at an event; ``cut`` breaks the connection after the last one."""

        async def chat(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            try:
                for chunk in chunks:
                    if isinstance(chunk, asyncio.Event):
                        await chunk.wait()
                    else:
                        await response.write(chunk)
                if cut and request.transport is not None:
                    request.transport.abort()
            except (asyncio.CancelledError, ConnectionError):
                self.disconnected.set()
                raise
            return response

        self.chat = chat

    def choose(self, likeliest: Sequence[tuple[str, float]], *, before: asyncio.Event | None = None) -> None:
        """Answer chats that are not streamed with one token and its likeliest alternatives, after ``before``."""
        streamed = self.chat

        async def chat(request: web.Request) -> web.StreamResponse:
            if streamed is not None and (await request.json()).get("stream"):
                return await streamed(request)
            try:
                if before is not None:
                    await before.wait()
            except asyncio.CancelledError:
                self.disconnected.set()
                raise
            return web.json_response(chosen(likeliest))

        self.chat = chat

    def allows(self, request: web.Request) -> bool:
        """Return whether a request has the key, if there is one."""
        return self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}"

    def refuse(self, status: int, body: object) -> None:
        async def chat(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status)

        self.chat = chat


@contextlib.asynccontextmanager
async def fake_sglang(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[FakeSglang]:
    """Serve on a port of the loopback interface, a free one without a number, until the block ends."""
    fake = FakeSglang()

    async def chat(request: web.Request) -> web.StreamResponse:
        if not fake.allows(request):
            return web.json_response({"error": "Unauthorized"}, status=401)
        fake.bodies.append(await request.json())
        assert fake.chat is not None
        return await fake.chat(request)

    async def models(request: web.Request) -> web.StreamResponse:
        if not fake.allows(request):
            return web.json_response({"error": "Unauthorized"}, status=401)
        if fake.models_status != 200:
            return web.Response(status=fake.models_status)
        return web.json_response({"data": [{"id": fake.model, "max_model_len": fake.max_model_len}]})

    async def info(_: web.Request) -> web.StreamResponse:
        if fake.info is None or fake.info_status != 200:
            return web.Response(status=404 if fake.info is None else fake.info_status)
        return web.json_response(fake.info)

    async def server(_: web.Request) -> web.StreamResponse:
        return web.json_response(fake.server)

    async def health(_: web.Request) -> web.StreamResponse:
        return web.Response(status=fake.health_status)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/model_info", info)
    app.router.add_get("/server_info", server)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    fake.url = f"http://{host}:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def ready_engine(url: str, folder: Path) -> AsyncIterator[Engine]:
    """Return the engine for a server at an address, once it is ready."""

    async def no_wheel(name: str, version: str, sha256: str) -> Path:
        raise FileNotFoundError(f"{name} {version} {sha256[:4]}")

    made = Engine(EngineSettings(folder, folder, url=url), no_wheel)
    await made.start()
    try:
        await until(lambda: made.status().state is EngineState.READY)
        yield made
    finally:
        await made.stop()


def pretend_installed(cache: Path) -> Path:
    """Put ``fake_server.py`` in the place of the engine's Python; return the folder of its model."""
    python = Installer(cache).python_path("cpu")
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_server.py")} "$@"\n')
    python.chmod(0o755)
    return pretend_fetched(cache)


def pretend_fetched(cache: Path) -> Path:
    """Create the small model's folder, complete for all checks; return it."""
    checkpoint = resolve_model(SMALL_MODEL).checkpoints[0]
    assert checkpoint.pieces is not None
    folder = cache / "weights" / checkpoint.repo.replace("/", "--") / compute_revision(checkpoint.pieces)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    VerifiedFiles(folder / "checked.json", folder).mark_complete(["model.safetensors"])
    return folder


async def until(condition: Callable[[], bool], deadline_s: float = WAIT_S) -> None:
    """Wait until a condition holds, with a deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  # what is waited for is another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def refuse_wheel(name: str, version: str, sha256: str) -> Path:
    """Fail as for a wheel that cannot be downloaded."""
    raise FileNotFoundError(f"{name} {version} {sha256[:4]} cannot be downloaded. Check the network.")


async def restart_engine(home: Path, *, fresh: bool = False) -> None:
    """Restart the engine of a state directory, as ``kvasir engine restart`` does."""
    await Engine.send_command(home, EngineCommand(EngineAction.RESTART, fresh))
