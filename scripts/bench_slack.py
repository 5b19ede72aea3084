"""A lean Slack on loopback for benchmarks, in a process of its own, which asks questions and times the replies.

It answers every Web API call and sends mentions over Socket Mode. ``POST /bench`` asks a number of questions and
returns the times. Run as a program, it prints its port; its argument is the seconds that each call takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

WRITES = {"chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update"}

_USER = {"id": "U1", "team_id": "T1", "is_restricted": False, "profile": {"email": "ada@example.com"}}
AUDIENCE: Mapping[str, Mapping[str, object]] = {
    "conversations.info": {"channel": {"id": "C1", "is_channel": True, "is_private": False}},
    "conversations.members": {"members": ["U1"]},
    "users.info": {"user": _USER},
    "users.list": {"members": [_USER]},
    "usergroups.list": {"usergroups": []},
    "users.conversations": {"channels": [{"id": "C1"}]},
}
"""What Slack says about who reads the channel."""


class LoopbackSlack:
    """The server: open sockets, the time of each question, and the calls that came."""

    def __init__(self, call_s: float) -> None:
        self.call_s = call_s
        self.sockets: list[web.WebSocketResponse] = []
        self.sent: dict[str, float] = {}
        self.calls: list[tuple[float, str, str]] = []
        self.ended = asyncio.Event()
        self.open_turns = 0
        self.ending = b""
        """Text in the call that completes an answer: an answer may take several messages, streamed or posted."""
        self.ends: list[float] = []
        self.ids = itertools.count(1)

    def create_app(self) -> web.Application:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/api/{method}", self.answer_call)
        app.router.add_get("/link", self.open_socket)
        app.router.add_post("/bench", self.run_bench)
        return app

    async def answer_call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        at = time.perf_counter()
        if self.call_s:
            await asyncio.sleep(self.call_s)
        if method == "apps.connections.open":
            return web.json_response({"ok": True, "url": f"ws://{request.host}/link"})
        if method == "auth.test":
            bot = {"ok": True, "team_id": "T1", "team": "Bench", "user_id": "UBOT", "bot_id": "BBOT", "user": "kvasir"}
            return web.json_response(bot)
        if method in AUDIENCE:
            return web.json_response({"ok": True, **AUDIENCE[method]})
        body = await request.read()
        if method in WRITES:
            self.calls.append((at, method, body.decode(errors="replace")))
        if self.ending in body if self.ending else method == "chat.stopStream":
            self.ended.set()
            self.open_turns -= 1
            self.ends.append(at)
        return web.json_response({"ok": True, "ts": f"{time.time():.6f}", "channel": "C1", "messages": []})

    async def open_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self.sockets.append(socket)
        async for _ in socket:
            pass
        self.sockets.remove(socket)
        return socket

    async def run_bench(self, request: web.Request) -> web.Response:
        """Ask ``turns`` questions, ``window`` at a time; return the times when all have their answers."""
        options = await request.json()
        self.sent.clear()
        self.calls.clear()
        self.ends.clear()
        self.open_turns = 0
        self.ending = options["ending"].encode()
        start = time.perf_counter()
        for _ in range(options["turns"]):
            await self.wait_for_turns(options["window"] - 1)
            await self.send_mention(next(self.ids))
        await self.wait_for_turns(0)
        times = {"seconds": time.perf_counter() - start, "calls": len(self.calls), "sent": self.sent}
        if options.get("bodies"):
            times |= {"bodies": self.calls, "ends": self.ends}
        return web.json_response(times)

    async def wait_for_turns(self, most: int) -> None:
        """Wait until at most so many turns are open."""
        while self.open_turns > most:
            self.ended.clear()
            await self.ended.wait()

    async def send_mention(self, number: int) -> None:
        ts = f"{1_700_000_000 + number}.{number:06}"
        text = f"<@UBOT> bench {number}: how does Kvasir check who may read an answer in a channel?"
        event = {
            "type": "app_mention", "user": "U1", "team": "T1", "channel": "C1", "channel_type": "channel",
            "text": text, "ts": ts, "event_ts": ts,
        }  # fmt: skip
        payload = {
            "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_id": f"Ev{number}",
            "event_time": int(time.time()), "event": event,
            "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}],
        }  # fmt: skip
        self.open_turns += 1
        self.sent[str(number)] = time.perf_counter()
        await self.sockets[0].send_json(
            {
                "type": "events_api",
                "envelope_id": f"e{number}",
                "payload": payload,
                "accepts_response_payload": False,
            }
        )


async def serve(call_s: float) -> None:
    runner = web.AppRunner(LoopbackSlack(call_s).create_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def run_slack(*, call_s: float = 0.0) -> AsyncIterator[str]:
    """Run the server within this block; yield its address. Each call takes ``call_s`` longer than its work."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).resolve()),
        str(call_s),
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(await child.stdout.readline())}"
    finally:
        child.kill()
        await child.wait()


async def ask_questions(url: str, turns: int, *, window: int, ending: str, bodies: bool = False) -> dict[str, Any]:
    """Have ``turns`` questions asked; ``ending`` is in the call that completes an answer, "" for a stream's stop."""
    options = {"turns": turns, "window": window, "ending": ending, "bodies": bodies}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1800)) as session,
        session.post(f"{url}/bench", json=options) as response,
    ):
        times: dict[str, Any] = await response.json()
        return times


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
