"""Turns: how fast a question in Slack reaches the engine, how fast its answer reaches Slack, and how many fit a second.

Slack is a lean loopback server in a process of its own; the engine answers at once with 300 chunks. Beside Kvasir runs
a minimal Bolt bot, written as Slack's own samples are: a call for each chunk that the engine sends. Both get the same
questions, twelve at a time, and the ratio is taken within one run.

    scripts/bench_turns.py [--turns N] [--baseline-turns N] [--memory-turns N] [--real-turns N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot import logs
from bot.answering.answer import Answerer
from bot.answering.events import AnswerEvent, Question, Text
from bot.answering.verification.verifier import feature_verifiers
from bot.config.settings import load_settings
from bot.error_messages import describe_error
from bot.slack.app import SlackDependencies, open_slack_app
from bot.slack.posting.reply import ANSWER_EVENT
from bot.slack.settings import SlackSettings
from bot.storage.ledger import open_ledger
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    EngineStatus,
    Requester,
    Sampling,
    StreamEnd,
)
from knowledge.interfaces import EVERYONE, Hit, LiveWebRequest, Matrix, SearchResult

WINDOW = 12
CHUNKS = 300
BURST = 36
PASSAGE = (
    "Every member of staff has thirty days of leave a year. Leave is asked for in the portal two weeks before. "
    "The head of the department answers within five days. Leave that was not taken until March is lost. "
)
ANSWER = (PASSAGE.replace(". ", " [1]. ") * 12).split(" ")[:CHUNKS]
NAMES = re.compile(r"bench (\d+)\b")


# ── The loopback Slack ───────────────────────────────────────────────────────────────────────────────────────────────


class Slack:
    """Takes every Web API call, sends questions over Socket Mode, and notes when what arrived."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.sent: dict[str, float] = {}
        self.calls: list[tuple[float, str, str]] = []
        self.ended = asyncio.Event()
        self.open_turns = 0
        self.ending = b""
        """What the call that completes an answer says; an answer may take several messages, streamed or posted."""
        self.ends: list[float] = []
        self.ids = itertools.count(1)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/api/{method}", self.api)
        app.router.add_get("/link", self.link)
        app.router.add_post("/bench", self.bench)
        return app

    async def api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        at = time.perf_counter()
        if method == "apps.connections.open":
            return web.json_response({"ok": True, "url": f"ws://{request.host}/link"})
        if method == "auth.test":
            told = {"ok": True, "team_id": "T1", "team": "Bench", "user_id": "UBOT", "bot_id": "BBOT", "user": "kvasir"}
            return web.json_response(told)
        body = await request.read()
        if method in {"chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update"}:
            self.calls.append((at, method, body.decode(errors="replace")))
        if self.ending in body if self.ending else method == "chat.stopStream":
            self.ended.set()
            self.open_turns -= 1
            self.ends.append(at)
        return web.json_response({"ok": True, "ts": f"{time.time():.6f}", "channel": "C1", "messages": []})

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self.sockets.append(socket)
        async for _ in socket:
            pass
        self.sockets.remove(socket)
        return socket

    async def bench(self, request: web.Request) -> web.Response:
        """Ask ``turns`` questions, ``WINDOW`` at a time; answer with the times once all are answered."""
        asked = await request.json()
        self.sent.clear()
        self.calls.clear()
        self.ends.clear()
        self.open_turns = 0
        self.ending = asked["ending"].encode()
        begun = time.perf_counter()
        for _ in range(asked["turns"]):
            while self.open_turns >= asked["window"]:
                self.ended.clear()
                await self.ended.wait()
            await self.ask(next(self.ids))
            if asked.get("gap_s"):
                await asyncio.sleep(asked["gap_s"])
        while self.open_turns:
            self.ended.clear()
            await self.ended.wait()
        seconds = time.perf_counter() - begun
        told = {"seconds": seconds, "calls": len(self.calls), "sent": self.sent}
        if asked.get("bodies"):
            told |= {"bodies": self.calls, "ends": self.ends}
        return web.json_response(told)

    async def ask(self, number: int) -> None:
        ts = f"{1_700_000_000 + number}.{number:06}"
        event = {
            "type": "app_mention", "user": "U1", "team": "T1", "channel": "C1", "channel_type": "channel",
            "text": f"<@UBOT> how many days of leave, bench {number}", "ts": ts, "event_ts": ts,
        }  # fmt: skip
        payload = {
            "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_id": f"Ev{number}",
            "event_time": int(time.time()), "event": event,
            "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}],
        }  # fmt: skip
        envelope = {
            "type": "events_api",
            "envelope_id": f"e{number}",
            "payload": payload,
            "accepts_response_payload": False,
        }
        self.open_turns += 1
        self.sent[str(number)] = time.perf_counter()
        await self.sockets[0].send_json(envelope)


async def serve_slack() -> None:
    runner = web.AppRunner(Slack().app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]  # noqa: SLF001
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def slack() -> AsyncIterator[str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).resolve()),
        "--slack",
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(await child.stdout.readline())}"
    finally:
        child.kill()
        await child.wait()


# ── The engine and the knowledge ─────────────────────────────────────────────────────────────────────────────────────


class ZeroLatency:
    """A ChatEngine that has its 300 chunks at once; it notes when each question reached it."""

    context_tokens = 32_768

    def __init__(self) -> None:
        self.reached: dict[str, float] = {}

    def status(self) -> EngineStatus:
        return EngineStatus(EngineState.READY, model="bench")

    def count_tokens(self, text: str) -> int:
        return len(text) // 4

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        request_id: str,
        requester: Requester = ANONYMOUS,  # noqa: ARG002
    ) -> AsyncIterator[Delta]:
        at = time.perf_counter()
        del sampling, request_id
        if found := NAMES.findall(messages[-1].content):
            self.reached[found[-1]] = at
        for word in ANSWER:
            yield ContentDelta(f"{word} ")
        yield StreamEnd("stop")


async def fixed_search(
    query: str, *, limit: int, readers: Collection[str], live: LiveWebRequest | None = None
) -> SearchResult:
    del limit, readers, live
    now = datetime.now(UTC)
    hit = Hit("1", "docs", "leave.md", "Leave", "Days", "https://docs.example/leave", PASSAGE, 1.0, 1.0, now)
    return SearchResult(query, (hit,), 0.0, answerable=True)


async def no_embedder(texts: Sequence[str]) -> Matrix:
    return np.full((len(texts), 384), 384**-0.5, np.float32)


class NoShelf:
    """Knowledge for ``/kb``, which nobody types here."""

    async def search(self, query: str, *, limit: int) -> SearchResult:
        return await fixed_search(query, limit=limit, readers=EVERYONE)

    async def refresh(self, source: str | None = None, *, on_progress: object) -> Any:
        raise NotImplementedError

    async def status(self) -> dict[str, Any]:
        return {}


class Noting:
    """An answerer that notes when each text is released."""

    def __init__(self, inner: Answerer, gap_s: float = 0.0) -> None:
        self._inner = inner
        self._gap_s = gap_s
        self.released: list[tuple[float, str]] = []

    async def answer(self, question: Question) -> AsyncIterator[AnswerEvent]:
        async for event in self._inner.answer(question):
            if isinstance(event, Text):
                if self._gap_s:
                    await asyncio.sleep(self._gap_s)
                self.released.append((time.perf_counter(), event.markdown))
            yield event


# ── The two bots ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def kvasir(url: str, answerer: Any) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_ledger(f"sqlite+aiosqlite:///{folder}/ledger.db") as ledger,
            open_slack_app(
                SlackSettings("xoxb-bench", app_token="xapp-bench", api_url=f"{url}/api/"),
                SlackDependencies(ledger, answerer, NoShelf(), lambda: EngineStatus(EngineState.READY), describe_error),
            ) as app,
        ):
            await app.connect()
            yield


@contextlib.asynccontextmanager
async def minimal_bot(url: str) -> AsyncIterator[None]:
    """A bot as the samples write it: each chunk that the engine sends is a call."""
    engine = ZeroLatency()
    client = AsyncWebClient(token="xoxb-bench", base_url=f"{url}/api/")
    app = AsyncApp(client=client, token="xoxb-bench", signing_secret="")

    @app.event("app_mention")
    async def mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        started = await client.chat_startStream(
            channel=event["channel"], thread_ts=event["ts"], recipient_user_id="U1", recipient_team_id="T1"
        )
        where = {"channel": event["channel"], "ts": started["ts"]}
        messages = [ChatMessage("user", f"{PASSAGE}\n{event['text']}")]
        async for delta in engine.stream(messages, Sampling(), request_id=""):
            if isinstance(delta, ContentDelta):
                await client.chat_appendStream(markdown_text=delta.text, **where)
        await client.chat_stopStream(**where)

    handler = AsyncSocketModeHandler(app, "xapp-bench", web_client=client)
    handler.client.web_client = client
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


# ── Measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def bench(
    url: str, turns: int, *, window: int = WINDOW, ending: str = ANSWER_EVENT, **options: Any
) -> dict[str, Any]:
    """Have ``turns`` questions asked; ``ending`` is in the call that completes an answer, "" for a stream's stop."""
    timeout = aiohttp.ClientTimeout(total=1800)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{url}/bench", json={"turns": turns, "window": window, "ending": ending, **options}) as answer,
    ):
        told: dict[str, Any] = await answer.json()
        return told


def percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    p95 = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    return {"p50_ms": round(statistics.median(ordered) * 1e3, 2), "p95_ms": round(p95 * 1e3, 2)}


async def paths(url: str) -> dict[str, Any]:
    """One question at a time: envelope → engine, and sentence → Slack."""
    engine = ZeroLatency()
    answerer = Noting(Answerer(fixed_search, engine, feature_verifiers(no_embedder)), gap_s=0.0)
    async with kvasir(url, answerer):
        await bench(url, 20, window=1)
        told = await bench(url, 200, window=1)
        inward = [engine.reached[number] - at for number, at in told["sent"].items()]
        answerer.released.clear()
        told = await bench(url, 100, window=1, bodies=True)
    firsts: list[float] = []
    for at, method, _body in told["bodies"]:
        if method == "chat.startStream":
            released = [moment for moment, _ in answerer.released if moment <= at]
            # The first sentence of this answer is the earliest one since the last answer's end.
            since = max((moment for moment in told["ends"] if moment < at), default=0.0)
            firsts.append(at - min(moment for moment in released if moment > since))
    return {"envelope_to_engine": percentiles(inward), "sentence_to_slack": percentiles(firsts)}


async def rates(turns: int, baseline_turns: int) -> dict[str, Any]:
    """Turns a second of both bots, on the same loopback Slack."""
    async with slack() as url:
        answerer = Answerer(fixed_search, ZeroLatency(), feature_verifiers(no_embedder))
        async with kvasir(url, answerer):
            await bench(url, WINDOW)
            ours = await bench(url, turns)
    async with slack() as url, minimal_bot(url):
        await bench(url, 2, ending="")
        theirs = await bench(url, baseline_turns, ending="")
    ours_rate, their_rate = turns / ours["seconds"], baseline_turns / theirs["seconds"]
    return {
        "kvasir_turns_per_s": round(ours_rate, 2),
        "minimal_turns_per_s": round(their_rate, 2),
        "ratio": round(ours_rate / their_rate, 1),
        "kvasir_calls_per_turn": round(ours["calls"] / turns, 1),
        "minimal_calls_per_turn": round(theirs["calls"] / baseline_turns, 1),
    }


async def memory(turns: int) -> dict[str, Any]:
    """Resident memory of this process over many turns."""
    process = psutil.Process()
    seen: list[float] = []
    async with slack() as url, kvasir(url, Answerer(fixed_search, ZeroLatency(), feature_verifiers(no_embedder))):
        await bench(url, min(500, turns))
        for _ in range(10):
            seen.append(process.memory_info().rss / 1e6)
            await bench(url, turns // 10)
        seen.append(process.memory_info().rss / 1e6)
    return {"turns": turns, "rss_mb": [round(value) for value in seen], "growth_mb": round(seen[-1] - seen[0], 1)}


async def with_knowledge(turns: int) -> dict[str, Any]:
    """Turns a second with real retrieval over the documentation and verification: in the first burst, then steadily."""
    from bot.app import open_configured_library  # noqa: PLC0415

    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kvasir.toml"
        config.write_text(f'[[source]]\nname = "docs"\nkind = "folder"\npath = "{root / "docs"}"\n', encoding="utf-8")
        environ = {**os.environ, "KVASIR_HOME": f"{folder}/home"}
        async with open_configured_library(load_settings(environ, Path(folder))) as library, slack() as url:
            await library.refresh()
            async with kvasir(url, Answerer(library.search, ZeroLatency(), feature_verifiers(library.embed_symmetric))):
                await bench(url, 2)
                burst = await bench(url, BURST)
                cpu_s = time.process_time()
                steady = await bench(url, turns)
                cpu_s = time.process_time() - cpu_s
    return {
        "burst_turns_per_s": round(BURST / burst["seconds"], 2),
        "steady_turns_per_s": round(turns / steady["seconds"], 2),
        "steady_cpu_ms_per_turn": round(cpu_s / turns * 1e3, 1),
        "chunks": CHUNKS,
    }


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    async with slack() as url:
        told: dict[str, Any] = {"paths": await paths(url)}
    told["rates"] = await rates(arguments.turns, arguments.baseline_turns)
    told["real"] = await with_knowledge(arguments.real_turns)
    told["memory"] = await memory(arguments.memory_turns)
    return told


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--slack", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--turns", type=int, default=600)
    options.add_argument("--baseline-turns", type=int, default=36)
    options.add_argument("--real-turns", type=int, default=200)
    options.add_argument("--memory-turns", type=int, default=10_000)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if given.slack:
        asyncio.run(serve_slack())
    else:
        logs.configure_logging(sys.stderr)
        print(json.dumps(asyncio.run(main(given)), indent=None if given.json else 2))
