"""The routes of the API, on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from bot.answering.events import AnswerEvent, InLine, Notice, Step, Text
from bot.answering.transcript import Transcript, build_transcript_json
from bot.api.answers import ApiParts, AskedQuestion, answer_caller
from bot.api.chat import MODEL, Completion, read_question, repeat_text
from bot.api.client_tasks import answer_client_task
from bot.api.document_profiles import MAX_FILE_BYTES, PROFILE_KINDS, apply_profile
from bot.api.errors import encode_json, translate_error
from bot.api.mcp_server import McpEndpoint, open_mcp
from bot.api.openapi import build_document
from bot.api.passages import build_citation, search_passages
from bot.api.requests import AnswerRequest, ChatRequest, ProfileQuery, SearchRequest, read_body, read_query
from bot.api.streams import EventStream, open_stream
from bot.http.listeners import Listeners
from bot.storage.api_keys import ApiKey, KeyScope

_DEADLINE_S: Final = 900.0  # of one answer, as in Slack; a model may think for minutes
_DOCUMENT_PATH: Final = "/openapi.json"
_SCOPES: Final[Mapping[str, KeyScope]] = {
    "/v1/answers": "answer",
    "/v1/search": "search",
    "/v1/chat/completions": "answer",
    **dict.fromkeys(PROFILE_KINDS, "answer"),
}
_KEY: Final = web.RequestKey("key", ApiKey)  # under which a request has its key


@contextlib.asynccontextmanager
async def open_api(
    parts: ApiParts, listeners: Listeners, host: str, port: int, *, drain_s: float = 5.0
) -> AsyncIterator[str]:
    """Serve the API within this block, and yield its address; at its end, running requests get ``drain_s``.

    Raises:
        PortUnavailable: another program uses the port.

    """
    async with open_mcp(parts) as mcp:
        routes = ApiRoutes(parts, mcp)
        listening = listeners.listen(
            list(routes.list_routes()),
            host,
            port,
            variable="KVASIR_API_PORT",
            middlewares=[_render_errors],
            admit=routes.check_key,
            cancels_handlers=True,
            shutdown_s=drain_s,
            larger_bodies=dict.fromkeys(PROFILE_KINDS, MAX_FILE_BYTES),
        )
        async with listening as bound:
            yield f"http://{host}:{bound}"


class ApiRoutes:
    """Answers the requests. An error becomes a response in OpenAI's format."""

    def __init__(self, parts: ApiParts, mcp: McpEndpoint) -> None:
        self._parts = parts
        self._mcp = mcp
        self._document = encode_json(build_document())

    def list_routes(self) -> Iterator[web.RouteDef]:
        """Yield the routes."""
        yield web.get(_DOCUMENT_PATH, self._show_document, allow_head=False)
        yield web.get("/v1/models", self._list_models, allow_head=False)
        yield web.post("/v1/answers", self._answer_question)
        yield web.post("/v1/search", self._search_documents)
        yield from (web.post(path, self._apply_profile) for path in PROFILE_KINDS)
        yield web.post("/v1/chat/completions", self._complete_chat)
        yield web.post("/mcp", self._serve_mcp)

    async def check_key(self, request: web.Request) -> None:
        """Find the key of a request, which only the document needs not; raise ``ApiError`` without one."""
        if request.path != _DOCUMENT_PATH:
            request[_KEY] = await self._parts.access.find_key(request.headers, _SCOPES.get(request.path))

    async def _show_document(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    async def _list_models(self, request: web.Request) -> web.Response:
        model = {"id": MODEL, "object": "model", "created": int(request[_KEY].created_at), "owned_by": MODEL}
        return _render_json({"object": "list", "data": [model]})

    async def _search_documents(self, request: web.Request) -> web.Response:
        access, key = self._parts.access, request[_KEY]
        body = await read_body(request, SearchRequest)
        with access.hold_place(key):
            caller = await access.admit_request(key, request.headers, body.user, is_question=False)
            found = await search_passages(self._parts, caller, body.query, body.limit)
        return _render_json(found.model_dump())

    async def _apply_profile(self, request: web.Request) -> web.Response:
        access, key = self._parts.access, request[_KEY]
        asked, data = read_query(request, ProfileQuery), await request.read()
        with access.hold_place(key):
            caller = await access.admit_request(key, request.headers, asked.user, is_question=True)
            async with asyncio.timeout(_DEADLINE_S):
                result = await apply_profile(self._parts, caller, PROFILE_KINDS[request.path], asked, data)
        return _render_json(result)

    async def _answer_question(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, AnswerRequest)
        asked = AskedQuestion(body.question, body.history, body.web, body.profile)
        transcript = Transcript()

        def build_result() -> dict[str, object]:
            reasoning = {"reasoning": transcript.end.reasoning} if body.reasoning else {}
            sources = {"sources": [build_citation(passage) for passage in transcript.sources]}
            return build_transcript_json(transcript) | sources | reasoning

        async with self._open_answer(request, asked, body.user) as events:
            if not body.stream:
                async with asyncio.timeout(_DEADLINE_S):
                    async for event in events:
                        transcript.add_event(event)
                return _render_json(build_result())
            async with open_stream(request, error_event="error") as stream, asyncio.timeout(_DEADLINE_S):
                async for event in events:
                    transcript.add_event(event)
                    await _send_event(stream, event)
                await stream.send(build_result(), "done")
            return stream.response

    async def _complete_chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, ChatRequest)
        asked, completion = read_question(body), Completion(body.include_reasoning)
        text = answer_client_task(asked.text)
        opening = self._open_answer(request, asked, body.user) if text is None else aclosing(repeat_text(text))
        async with opening as events:
            if not body.stream:
                async with asyncio.timeout(_DEADLINE_S):
                    texts = [completion.read_event(event) async for event in events]
                return _render_json(completion.build_whole("".join(texts)))
            async with open_stream(request) as stream, asyncio.timeout(_DEADLINE_S):
                await stream.send(completion.build_part({"role": "assistant", "content": ""}))
                async for event in events:
                    if part := completion.read_event(event):
                        await stream.send(completion.build_part({"content": part}))
                await stream.send(completion.build_part({}, ends=True))
                await stream.send_raw(b"[DONE]")
            return stream.response

    async def _serve_mcp(self, request: web.Request) -> web.Response:
        key = request[_KEY]
        with self._parts.access.hold_place(key):
            async with asyncio.timeout(_DEADLINE_S):
                return await self._mcp.serve_request(request, key)

    @contextlib.asynccontextmanager
    async def _open_answer(
        self, request: web.Request, asked: AskedQuestion, named: str | None
    ) -> AsyncIterator[AsyncGenerator[AnswerEvent, None]]:
        """Yield the events of an answer to the caller, within the caller's limits."""
        access, key = self._parts.access, request[_KEY]
        with access.hold_place(key):
            caller = await access.admit_request(key, request.headers, named, is_question=True)
            async with aclosing(answer_caller(self._parts, caller, asked)) as events:
                yield events


async def _send_event(stream: EventStream, event: AnswerEvent) -> None:
    match event:
        case Text(markdown, cites):
            await stream.send({"text": markdown, "citations": list(map(build_citation, cites))}, "text")
        case Notice(text) if text:
            await stream.send({"text": text}, "notice")
        case Step(text) | InLine(text):
            await stream.send({"text": text}, "step")


def _render_json(value: object) -> web.Response:
    return web.Response(body=encode_json(value), content_type="application/json")


@web.middleware
async def _render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 (any error is a response; a bug is logged)
        response = translate_error(error).build_response()
        if isinstance(error, web.HTTPException) and hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
