"""Serves the tools of the Model Context Protocol: ``search``, ``fetch`` and ``ask``, as other assistants expect them.

Each request stands alone (stateless HTTP), and its answer is one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import aclosing
from typing import Any

from aiohttp import web
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import BaseModel

from bot.answering.transcript import Transcript
from bot.api.access import Caller, require_scope
from bot.api.answers import ApiParts, AskedQuestion, answer_caller
from bot.api.errors import translate_error
from bot.api.passages import build_citation, fetch_passage, search_passages
from bot.storage.api_keys import ApiKey, KeyScope

_ASKING = "kvasir.asking"  # under which the scope of a request has its key and its headers
_HITS = 8
_INSTRUCTIONS = (
    "Kvasir knows the documents of this company. `ask` answers a question with citations that were checked. `search` "
    "and `fetch` return passages, for answers of your own."
)


class McpResult(BaseModel):
    """A found passage, as connectors expect it."""

    id: str
    title: str
    url: str


class McpResults(BaseModel):
    """What a search found."""

    results: list[McpResult]
    notices: list[str]


class McpDocument(BaseModel):
    """A passage with its text."""

    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, str]


class McpAnswer(BaseModel):
    """An answer: its text has the numbers of its citations."""

    answer: str
    citations: list[dict[str, Any]]
    notices: list[str]


class McpTools:
    """The tools. A refusal becomes a ``ToolError``, whose text the other assistant reads."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def search(self, query: str, ctx: Context) -> McpResults:
        """Search the company's documents, and return the passages that the person may read, best first."""
        with _translate_errors():
            caller = await self._admit_call(ctx, "search")
            found = await search_passages(self._parts, caller, query, _HITS)
        hits = found.passages if found.related else []
        results = [McpResult(id=one.id, title=_join_title(one.title, one.heading), url=one.url) for one in hits]
        return McpResults(results=results, notices=found.notices)

    async def fetch(self, id: str, ctx: Context) -> McpDocument:  # noqa: A002 - as connectors call it
        """Return the current text of a passage by the id that `search` gave it."""
        with _translate_errors():
            caller = await self._admit_call(ctx, "search")
            one = await fetch_passage(self._parts, caller, id)
        metadata = {"source": one.source, "document": one.document, "heading": one.heading, "as_of": one.as_of}
        title = _join_title(one.title, one.heading)
        return McpDocument(id=one.id, title=title, text=one.text, url=one.url, metadata=metadata)

    async def ask(self, question: str, ctx: Context) -> McpAnswer:
        """Answer a question from the company's documents; each sentence was compared with the passages it cites."""
        transcript = Transcript()
        with _translate_errors():
            caller = await self._admit_call(ctx, "answer")
            async with aclosing(answer_caller(self._parts, caller, AskedQuestion(question))) as events:
                async for event in events:
                    transcript.add_event(event)
        citations = [build_citation(passage) for passage in transcript.end.cited]
        return McpAnswer(answer="".join(transcript.text).strip(), citations=citations, notices=transcript.notices)

    async def _admit_call(self, ctx: Context, scope: KeyScope) -> Caller:
        request: Any = ctx.request_context.request
        key, headers = request.scope[_ASKING]
        require_scope(key, scope)
        return await self._parts.access.admit_request(key, headers, is_question=scope == "answer")


class McpEndpoint:
    """Answers requests for ``/mcp``; ``open_mcp`` makes it."""

    def __init__(self, server: MCPServer) -> None:
        self._server = server

    async def serve_request(self, request: web.Request, key: ApiKey) -> web.Response:
        """Return the response to a request by a key: MCP's application is called by the ASGI standard."""
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.rel_url.raw_path.encode(),
            "root_path": "",
            "query_string": request.query_string.encode(),
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": None,
            "server": None,
            _ASKING: (key, request.headers),
        }
        parts = [{"type": "http.request", "body": await request.read(), "more_body": False}]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            if not parts:
                await asyncio.Event().wait()  # a client that leaves cancels the handler
            return parts.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._server.session_manager.handle_request(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"] if name != b"content-length"}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return web.Response(status=sent[0]["status"], headers=headers, body=body)


@contextlib.asynccontextmanager
async def open_mcp(parts: ApiParts) -> AsyncIterator[McpEndpoint]:
    """Yield the endpoint; calls that run at the end are cancelled."""
    server: MCPServer = MCPServer("Kvasir", instructions=_INSTRUCTIONS, subscriptions=False)
    tools, annotations = McpTools(parts), ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for tool in (tools.search, tools.fetch, tools.ask):
        server.add_tool(tool, annotations=annotations)
    # A key protects each request, whatever its Host. So a proxy may stand before it.
    server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    async with server.session_manager.run():
        yield McpEndpoint(server)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 (the other assistant gets a sentence; a bug is logged)
        raise ToolError(str(translate_error(error))) from None


def _join_title(title: str, heading: str) -> str:
    return " › ".join(part for part in (title, heading) if part)
