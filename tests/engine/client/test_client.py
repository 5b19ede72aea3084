"""The client against SGLang's HTTP interface: deltas, errors, and that closing a stream stops the generation."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing

import pytest
from aiohttp import web

from engine.client.client import EngineClient, ServerEndpoint
from engine.client.framing import TokenPrompt
from engine.client.timeouts import RequestTimeouts
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineOverloaded,
    EngineRefused,
    EngineStarting,
    EngineTimeout,
    EngineUnauthorized,
    EngineUnavailable,
    PromptTooLong,
)
from engine.interfaces import ChatMessage, ContentDelta, Delta, ReasoningDelta, Sampling, StreamEnd, Usage
from tests.engine.fakes import DONE, KEY, SMALL_MODEL, USAGE, FakeSglang, delta, event, until
from tests.waiting import WAIT_S

Connect = Callable[..., EngineClient]
ASK = [ChatMessage("user", "What is the secret word? swordfish")]


async def _all(client: EngineClient) -> list[Delta]:
    return [item async for item in client.stream(ASK, Sampling(max_tokens=64), request_id="turn-1")]


async def _read_into(got: list[Delta], client: EngineClient) -> None:
    async with aclosing(client.stream(ASK, Sampling(), request_id="r")) as deltas:
        async for item in deltas:
            got.append(item)  # noqa: PERF401  # what came before an error counts


async def test_streams_an_answer(sglang: FakeSglang, connect: Connect) -> None:
    """Deltas come in order, then the end with its usage; the request has all promised fields."""
    sglang.key = KEY
    sglang.stream(
        delta(content=""), delta(content="Hel"), delta(content="lo\u2028世"), delta(finish="stop"), USAGE, DONE
    )
    assert await _all(connect()) == [
        ContentDelta("Hel"),
        ContentDelta("lo\u2028世"),
        StreamEnd("stop", Usage(prompt_tokens=32, completion_tokens=8, reasoning_tokens=5, cached_tokens=30)),
    ]
    (body,) = sglang.bodies
    assert body["messages"] == [{"role": "user", "content": ASK[0].content}]
    assert body["rid"].startswith("turn-1-")
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (64, 0.6, 0.95)
    assert body["stream"] is True
    assert body["separate_reasoning"] is True


@pytest.mark.parametrize("waits", [True, False])
async def test_client_closed_during_an_answer(sglang: FakeSglang, connect: Connect, *, waits: bool) -> None:
    """With and without a reader that waits for the next token."""
    sglang.stream(delta(content="half"), asyncio.Event())
    client = connect()
    deltas = client.stream(ASK, Sampling(), request_id="r")
    assert await anext(deltas) == ContentDelta("half")
    rest = asyncio.create_task(anext(deltas)) if waits else None  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(EngineInterrupted, match="middle of the answer"):
        await (rest or anext(deltas))


async def test_connections_are_not_reused() -> None:
    """A server may close an idle connection at any time, and a request on it would be lost."""
    models = b'{"data": [{"id": "m", "max_model_len": 8192}]}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        said = models if request.startswith(b"GET /v1/models") else delta(content="hi") + delta(finish="stop") + DONE
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
        writer.write(head.encode() + said)
        await writer.drain()
        await reader.read(1)  # the next question on this connection: closed, without a word
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = EngineClient(ServerEndpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        assert (await client.fetch_load()) is None
        assert await _all(client) == [ContentDelta("hi"), StreamEnd("stop")]
        await client.close()


async def test_request_ids_are_unique(sglang: FakeSglang, connect: Connect) -> None:
    """SGLang refuses the id of a running request."""
    sglang.stream(delta(content="ok"), delta(finish="stop"), DONE)
    client = connect()
    await asyncio.gather(_all(client), _all(client))
    assert len({body["rid"] for body in sglang.bodies}) == 2


async def test_thinking_is_separated_from_the_answer(sglang: FakeSglang, connect: Connect) -> None:
    sglang.stream(delta(reasoning="Hm"), delta(reasoning=" so."), delta(content="\n\n42"), delta(finish="stop"), DONE)
    deltas = await _all(connect(thinks=True, opens_think=True))
    assert deltas == [ReasoningDelta("Hm"), ReasoningDelta(" so."), ContentDelta("42"), StreamEnd("stop")]


async def test_truncated_thinking_gives_no_answer(sglang: FakeSglang, connect: Connect) -> None:
    sglang.stream(delta(reasoning="Hm"), delta(finish="length"), DONE)
    assert await _all(connect(thinks=True, opens_think=True)) == [ReasoningDelta("Hm"), StreamEnd("length")]


async def test_no_thinking_where_the_server_frames(sglang: FakeSglang, connect: Connect) -> None:
    """A model that thinks continues after an empty thought; another model gets an ordinary request."""
    for thinks, tokens, begun in ((True, 0, True), (True, None, False), (True, 500, False), (False, 0, False)):
        sglang.stream(delta(content="Madrid."), delta(finish="stop"), DONE)
        client = connect(thinks=thinks, opens_think=True, split_by_server=False)
        sampling = Sampling(thinking_tokens=tokens)
        answer = [item async for item in client.stream(ASK, sampling, request_id="r")]
        body = sglang.bodies[-1]
        assert body.get("continue_final_message", False) is begun
        assert [message["role"] for message in body["messages"]] == ["user"] + ["assistant"] * begun
        assert isinstance(answer[0], ReasoningDelta) is (thinks and not begun)
        assert "custom_logit_processor" not in body


async def test_sends_a_conversation_as_token_ids(sglang: FakeSglang, connect: Connect) -> None:
    """The request has ids next to the messages, and the client separates the thinking."""
    bound = {"custom_params": {"thinking_budget": 9}}
    for inside, said in ((True, "Hm.</think>\n\n42"), (False, "<think>Hm.</think>\n\n42")):
        sglang.stream(delta(content=said), delta(finish="stop"), DONE)
        client = connect(thinks=True, opens_think=not inside)
        prompt = TokenPrompt([1, 2, 3], inside, bound)
        deltas = [item async for item in client.stream(ASK, Sampling(), request_id="r", prompt=prompt)]
        assert deltas == [ReasoningDelta("Hm."), ContentDelta("42"), StreamEnd("stop")]
        body = sglang.bodies[-1]
        assert (body["input_ids"], body["separate_reasoning"], body["custom_params"]) == (
            [1, 2, 3],
            False,
            *bound.values(),
        )
        assert body["messages"][-1]["content"] == ASK[0].content


async def test_lone_surrogate_in_a_request_is_replaced(sglang: FakeSglang, connect: Connect) -> None:
    """SGLang would answer it with HTTP 500."""
    sglang.stream(delta(content="ok"), delta(finish="stop"), DONE)
    client = connect()
    _ = [d async for d in client.stream([ChatMessage("user", "a\ud800b")], Sampling(), request_id="r")]
    assert sglang.bodies[0]["messages"][0]["content"] == "a\ufffdb"


async def test_deltas_arrive_immediately(sglang: FakeSglang, connect: Connect) -> None:
    """The first delta arrives while the server still holds back the second."""
    gate = asyncio.Event()
    sglang.stream(delta(content="first"), gate, delta(content="second"), delta(finish="stop"), DONE)
    async with aclosing(connect().stream(ASK, Sampling(), request_id="r")) as deltas:
        assert await anext(deltas) == ContentDelta("first")
        gate.set()
        assert await anext(deltas) == ContentDelta("second")


async def test_closing_the_stream_closes_the_connection(sglang: FakeSglang, connect: Connect) -> None:
    """SGLang stops generating when its client disconnects."""
    never = asyncio.Event()
    sglang.stream(delta(content="first"), never)
    async with aclosing(connect().stream(ASK, Sampling(), request_id="r")) as deltas:
        await anext(deltas)
    async with asyncio.timeout(WAIT_S):
        await sglang.disconnected.wait()


@pytest.mark.parametrize("sent", [[], [delta(content="first")]], ids=["before the headers' first event", "mid-answer"])
async def test_cancelling_the_reader_closes_the_connection(
    sglang: FakeSglang, connect: Connect, sent: list[bytes]
) -> None:
    """Before the first token, and between two tokens."""
    never = asyncio.Event()
    sglang.stream(b": hello\n\n", *sent, never)
    got: list[Delta] = []
    task = asyncio.create_task(_read_into(got, connect()))
    await until(lambda: bool(sglang.bodies) and len(got) == len(sent))
    task.cancel()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(asyncio.CancelledError):
            await task
        await sglang.disconnected.wait()


async def test_cancelling_before_the_server_answers(sglang: FakeSglang, connect: Connect) -> None:
    gone, has_arrived = asyncio.Event(), asyncio.Event()

    async def chat(_: web.Request) -> web.StreamResponse:
        has_arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    sglang.chat = chat
    task = asyncio.create_task(_all(connect()))
    async with asyncio.timeout(WAIT_S):
        await has_arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": "Unauthorized"}, EngineUnauthorized),
        (403, {"error": "Forbidden"}, EngineUnauthorized),
        (
            400,
            {"message": "The input (9031 tokens) is longer than the model's context length (8192 tokens)."},
            PromptTooLong,
        ),
        (
            400,
            {"message": "Requested token count exceeds the model's maximum context length of 8192 tokens."},
            PromptTooLong,
        ),
        (413, "", PromptTooLong),
        (400, {"message": "[{'input': 'swordfish', 'msg': 'wrong field'}]"}, EngineRefused),
        (404, {"detail": "Not Found"}, EngineRefused),
        (422, {"detail": [{"input": "swordfish"}]}, EngineRefused),
        (429, {"error": {"message": "slow down"}}, EngineOverloaded),
        (503, {"message": "The request queue is full."}, EngineOverloaded),
        (503, "", EngineStarting),
        (500, {"message": "Out of memory even after retracting all other requests"}, PromptTooLong),
        (502, "<html>bad gateway", EngineUnavailable),
    ],
)
async def test_http_errors_are_mapped(
    sglang: FakeSglang, connect: Connect, status: int, body: object, error: type[EngineError]
) -> None:
    """Each status becomes the error with its next step, without the question and the key."""
    sglang.refuse(status, body)
    with pytest.raises(error) as caught:
        await _all(connect())
    assert type(caught.value) is error
    assert "swordfish" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert str(caught.value).endswith(".")


async def test_prompt_too_long_has_the_numbers(sglang: FakeSglang, connect: Connect) -> None:
    sglang.refuse(400, {"message": "The input (9031 tokens) is longer than the model's context length (8192 tokens)."})
    with pytest.raises(PromptTooLong, match="9031 tokens, 8192 fit"):
        await _all(connect())


async def test_no_server_at_the_address() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        client = EngineClient(ServerEndpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY))
        with pytest.raises(EngineUnavailable, match="kvasir status"):
            await _all(client)
        assert not await client.check_health()
        await client.close()


@pytest.mark.parametrize("url", ["gpu-1:30000", "http://", "nonsense"])
async def test_invalid_url(url: str) -> None:
    client = EngineClient(ServerEndpoint(url))
    with pytest.raises(EngineUnavailable):
        await _all(client)
    await client.close()


@pytest.mark.parametrize(
    "chunks",
    [
        [delta(content="half")],
        [delta(content="half"), b'data: {"error": {"message": "worker died", "code": 500}}\n\n', DONE],
        [delta(content="half"), b"data: {broken\n\n"],
        [delta(content="half"), b"data: [1]\n\n"],
        [delta(content="half"), DONE],
        [delta(content="half"), b"data: " + b"x" * (1 << 21)],
    ],
    ids=["cut", "router's error", "broken JSON", "no object", "no finish", "endless line"],
)
async def test_connection_breaks_during_an_answer(sglang: FakeSglang, connect: Connect, chunks: list[bytes]) -> None:
    """The earlier deltas stay; the error differs from that of a server that never replied."""
    sglang.stream(*chunks, cut=True)
    got: list[Delta] = []
    with pytest.raises(EngineInterrupted):
        await _read_into(got, connect())
    assert got == [ContentDelta("half")]
    assert len(sglang.bodies) == 1  # asked once: never again after the first delta


async def test_stream_error_before_the_first_token_is_mapped_by_its_code(sglang: FakeSglang, connect: Connect) -> None:
    sglang.stream(event({"error": {"message": "The request queue is full.", "code": 503}}), DONE)
    with pytest.raises(EngineOverloaded):
        await _all(connect())


async def test_end_without_done_marker(sglang: FakeSglang, connect: Connect) -> None:
    """Some routers omit the last line of a complete answer."""
    sglang.stream(delta(content="whole"), delta(finish="stop"))
    assert await _all(connect()) == [ContentDelta("whole"), StreamEnd("stop")]


@pytest.mark.parametrize(
    ("deadlines", "chunks"),
    [
        (RequestTimeouts(first_token_s=0.1), []),
        (RequestTimeouts(read_s=0.1), [delta(content="a")]),
        (RequestTimeouts(answer_s=0.1), [delta(content="a")]),
    ],
    ids=["first token", "next token", "whole answer"],
)
async def test_timeouts(sglang: FakeSglang, connect: Connect, deadlines: RequestTimeouts, chunks: list[bytes]) -> None:
    """Each has its own error, and closes the connection."""
    sglang.stream(b": hello\n\n", *chunks, asyncio.Event())
    with pytest.raises(EngineTimeout):
        await _all(connect(deadlines))
    async with asyncio.timeout(WAIT_S):
        await sglang.disconnected.wait()


async def test_fetches_the_served_model(sglang: FakeSglang, connect: Connect) -> None:
    served = await connect().fetch_served_model()
    assert (served.model, served.context_tokens, served.split_by_server) == (SMALL_MODEL, 8192, False)
    sglang.info = {"reasoning_parser": "deepseek-r1", "tokenizer_path": "/models/r1"}
    served = await connect().fetch_served_model()
    assert (served.split_by_server, served.tokenizer_path) == (True, "/models/r1")
    sglang.info = None  # a router
    assert (await connect().fetch_served_model()).split_by_server is None


async def test_wrong_key_differs_from_a_loading_server(sglang: FakeSglang, connect: Connect) -> None:
    sglang.key = "another"
    with pytest.raises(EngineUnauthorized):
        await connect().fetch_served_model()
    sglang.key, sglang.models_status = None, 503
    with pytest.raises(EngineStarting):
        await connect().fetch_served_model()


async def test_key_does_not_follow_a_redirect(sglang: FakeSglang, connect: Connect) -> None:
    followed = asyncio.Event()

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        followed.set()
        return web.Response()

    async def chat(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"http://127.0.0.1:{runner.addresses[0][1]}/")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sglang.chat = chat
    try:
        with pytest.raises(EngineRefused, match="307"):
            await _all(connect())
        assert not followed.is_set()
    finally:
        await runner.cleanup()


async def test_other_program_at_the_address(connect: Connect) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>a page</html>")

    app = web.Application()
    app.router.add_get("/{tail:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with pytest.raises(EngineRefused, match="is not SGLang"):
            await connect(url=f"http://127.0.0.1:{runner.addresses[0][1]}").fetch_served_model()
    finally:
        await runner.cleanup()


async def test_health(sglang: FakeSglang, connect: Connect) -> None:
    client = connect()
    assert await client.check_health()
    sglang.health_status = 503
    assert not await client.check_health()


def test_key_is_not_in_repr() -> None:
    assert KEY not in repr(ServerEndpoint("http://x", KEY))


async def test_close_is_idempotent(connect: Connect) -> None:
    client = connect()
    await client.close()
    await client.close()


async def test_lone_surrogate_in_an_answer_is_replaced(sglang: FakeSglang, connect: Connect) -> None:
    """No encoding can represent it, so it could not be stored or sent."""
    sglang.stream(b'data: {"choices": [{"delta": {"content": "a\\ud800b"}}]}\n\n', delta(finish="stop"), DONE)
    assert await _all(connect()) == [ContentDelta("a\ufffdb"), StreamEnd("stop")]


async def test_deeply_nested_json_is_an_invalid_answer(sglang: FakeSglang, connect: Connect) -> None:
    """It must not raise ``RecursionError``."""
    sglang.stream(b"data: " + b"[" * 100_000 + b"\n\n")
    with pytest.raises(EngineInterrupted, match="an invalid answer"):
        await _all(connect())

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b"[" * 100_000)

    sglang.chat = refuse
    with pytest.raises(EngineRefused):
        await _all(connect())


async def test_comments_do_not_extend_the_token_timeout(sglang: FakeSglang, connect: Connect) -> None:
    """Servers send comments to keep a connection open."""

    async def chat(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(delta(content="first"))
        while True:
            await response.write(b": still here\n\n")
            await asyncio.sleep(0.02)

    sglang.chat = chat
    got: list[Delta] = []
    with pytest.raises(EngineTimeout, match="no next token"):
        async with asyncio.timeout(WAIT_S):
            await _read_into(got, connect(RequestTimeouts(read_s=0.3)))
    assert got == [ContentDelta("first")]
