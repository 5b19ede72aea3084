"""A model that repeats everything that it reads."""

from __future__ import annotations

import re

from aiohttp import web

from tests.engine.fakes import DONE, USAGE, FakeSglang, chosen, delta

_FRAME = re.compile(r"<passage (\d+): ([^\n>]*)>\n(.*?)\n</passage>", re.DOTALL)
_SECRET = re.compile(r"\b(?:tev|tiv|fiv|sov)[a-z]{8}\b")


class Parrot:
    """A model that repeats every passage, title and secret of its prompt."""

    def __init__(self, server: FakeSglang) -> None:
        self._server = server
        self.works = True
        server.chat = self._chat

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not self.works:
            return web.json_response({"error": "The queue is full."}, status=503)
        if not body.get("stream"):
            return web.json_response(chosen([("yes", -0.1), ("no", -2.4)]))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        for chunk in (delta(content=_repeat(prompt)), delta(finish="stop"), USAGE, DONE):
            await response.write(chunk)
        return response


def _repeat(prompt: str) -> str:
    lines = [
        f"{' '.join(line.split())} [{number}]"
        for number, path, text in _FRAME.findall(prompt)
        for line in (*text.splitlines(), f"The title is {path}.")
        if line.strip()
    ]
    rest = _SECRET.findall(_FRAME.sub("", prompt))
    return "\n\n".join([*lines, *(f"The word was {word}." for word in dict.fromkeys(rest))]) or "I found nothing."
