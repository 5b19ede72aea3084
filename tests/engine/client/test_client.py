"""The client against SGLang's wire: what it yields, how it fails, and that closing it stops the engine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing

import pytest
from aiohttp import web

from engine.client.client import EngineClient, RequestTimeouts, ServerEndpoint
from engine.client.framing import TokenPrompt
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

Connect = Callable[..., EngineClient]
ASK = [ChatMessage("user", "What is the secret word? swordfish")]


async def _all(client: EngineClient) -> list[Delta]:
    return [item async for item in client.stream(ASK, Sampling(max_tokens=64), request_id="turn-1")]


async def _read_into(got: list[Delta], client: EngineClient) -> None:
    async with aclosing(client.stream(ASK, Sampling(), request_id="r")) as deltas:
        async for item in deltas:
            got.append(item)  # noqa: PERF401  # what came before an error counts


async def test_an_answer(sglang: FakeSglang, connect: Connect) -> None:
    """Pieces in order, then the end with what it cost; the request carries what the interface promises."""
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
async def test_a_client_that_is_closed_under_an_answer(sglang: FakeSglang, connect: Connect, *, waits: bool) -> None:
    """Whether somebody waits for the next token just then or not."""
    sglang.stream(delta(content="half"), asyncio.Event())
    client = connect()
    deltas = client.stream(ASK, Sampling(), request_id="r")
    assert await anext(deltas) == ContentDelta("half")
    rest = asyncio.create_task(anext(deltas)) if waits else None  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(EngineInterrupted, match="middle of the answer"):
        await (rest or anext(deltas))


async def test_a_connection_that_the_server_is_about_to_close_is_not_asked_on() -> None:
    """Servers close a kept connection when they like; a question that meets that would be lost, and must not be."""
    models = b'{"data": [{"id": "m", "max_model_len": 8192}]}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        said = models if asked.startswith(b"GET /v1/models") else delta(content="hi") + delta(finish="stop") + DONE
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


async def test_two_requests_never_share_a_name(sglang: FakeSglang, connect: Connect) -> None:
    """SGLang takes a second request of the same name for a mistake."""
    sglang.stream(delta(content="ok"), delta(finish="stop"), DONE)
    client = connect()
    await asyncio.gather(_all(client), _all(client))
    assert len({body["rid"] for body in sglang.bodies}) == 2


async def test_thinking_and_answer_come_apart(sglang: FakeSglang, connect: Connect) -> None:
    sglang.stream(delta(reasoning="Hm"), delta(reasoning=" so."), delta(content="\n\n42"), delta(finish="stop"), DONE)
    deltas = await _all(connect(thinks=True, opens_think=True))
    assert deltas == [ReasoningDelta("Hm"), ReasoningDelta(" so."), ContentDelta("42"), StreamEnd("stop")]


async def test_cut_thinking_gives_no_answer(sglang: FakeSglang, connect: Connect) -> None:
    sglang.stream(delta(reasoning="Hm"), delta(finish="length"), DONE)
    assert await _all(connect(thinks=True, opens_think=True)) == [ReasoningDelta("Hm"), StreamEnd("length")]


async def test_without_a_thought_where_the_server_frames(sglang: FakeSglang, connect: Connect) -> None:
    """A model that thinks goes on behind an empty thought; another one is asked as ever."""
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


async def test_a_conversation_as_ids(sglang: FakeSglang, connect: Connect) -> None:
    """The server is sent ids beside the messages, is told not to split, and what it sends is split here."""
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


async def test_a_lone_surrogate_is_sent_as_a_replacement(sglang: FakeSglang, connect: Connect) -> None:
    """The engine's tokenizer would fail on it, and its server with a 500."""
    sglang.stream(delta(content="ok"), delta(finish="stop"), DONE)
    client = connect()
    _ = [d async for d in client.stream([ChatMessage("user", "a\ud800b")], Sampling(), request_id="r")]
    assert sglang.bodies[0]["messages"][0]["content"] == "a\ufffdb"


async def test_pieces_come_as_they_are_sent(sglang: FakeSglang, connect: Connect) -> None:
    """The first piece is there while the server still holds back the second."""
    gate = asyncio.Event()
    sglang.stream(delta(content="first"), gate, delta(content="second"), delta(finish="stop"), DONE)
    async with aclosing(connect().stream(ASK, Sampling(), request_id="r")) as deltas:
        assert await anext(deltas) == ContentDelta("first")
        gate.set()
        assert await anext(deltas) == ContentDelta("second")


async def test_closing_the_stream_closes_the_connection(sglang: FakeSglang, connect: Connect) -> None:
    """SGLang stops generating when its client is gone."""
    never = asyncio.Event()
    sglang.stream(delta(content="first"), never)
    async with aclosing(connect().stream(ASK, Sampling(), request_id="r")) as deltas:
        await anext(deltas)
    async with asyncio.timeout(5):
        await sglang.disconnected.wait()


@pytest.mark.parametrize("sent", [[], [delta(content="first")]], ids=["before the headers' first event", "mid-answer"])
async def test_cancelling_the_reader_closes_the_connection(
    sglang: FakeSglang, connect: Connect, sent: list[bytes]
) -> None:
    """At each await: while the first token is awaited, and between two."""
    never = asyncio.Event()
    sglang.stream(b": hello\n\n", *sent, never)
    got: list[Delta] = []
    task = asyncio.create_task(_read_into(got, connect()))
    await until(lambda: bool(sglang.bodies) and len(got) == len(sent))
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
        await sglang.disconnected.wait()


async def test_cancelling_before_the_server_answers(sglang: FakeSglang, connect: Connect) -> None:
    gone, asked = asyncio.Event(), asyncio.Event()

    async def chat(_: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    sglang.chat = chat
    task = asyncio.create_task(_all(connect()))
    async with asyncio.timeout(5):
        await asked.wait()
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
async def test_refusals(
    sglang: FakeSglang, connect: Connect, status: int, body: object, error: type[EngineError]
) -> None:
    """Each status is the error that names its next step, and holds neither the question nor the key."""
    sglang.refuse(status, body)
    with pytest.raises(error) as caught:
        await _all(connect())
    assert type(caught.value) is error
    assert "swordfish" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert str(caught.value).endswith(".")


async def test_too_long_says_by_how_much(sglang: FakeSglang, connect: Connect) -> None:
    sglang.refuse(400, {"message": "The input (9031 tokens) is longer than the model's context length (8192 tokens)."})
    with pytest.raises(PromptTooLong, match="9031 tokens, 8192 fit"):
        await _all(connect())


async def test_nothing_at_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        client = EngineClient(ServerEndpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", KEY))
        with pytest.raises(EngineUnavailable, match="kvasir status"):
            await _all(client)
        assert not await client.check_health()
        await client.close()


@pytest.mark.parametrize("url", ["gpu-1:30000", "http://", "nonsense"])
async def test_an_address_that_is_none(url: str) -> None:
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
async def test_broken_mid_answer(sglang: FakeSglang, connect: Connect, chunks: list[bytes]) -> None:
    """What was said stays said; then one error that tells it from an engine that never began."""
    sglang.stream(*chunks, cut=True)
    got: list[Delta] = []
    with pytest.raises(EngineInterrupted):
        await _read_into(got, connect())
    assert got == [ContentDelta("half")]
    assert len(sglang.bodies) == 1  # asked once: never again after the first delta


async def test_the_servers_error_before_the_first_token_is_told_by_its_code(
    sglang: FakeSglang, connect: Connect
) -> None:
    sglang.stream(event({"error": {"message": "The request queue is full.", "code": 503}}), DONE)
    with pytest.raises(EngineOverloaded):
        await _all(connect())


async def test_an_end_without_done_is_an_end(sglang: FakeSglang, connect: Connect) -> None:
    """Some routers drop the last line; the model had finished."""
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
async def test_deadlines(sglang: FakeSglang, connect: Connect, deadlines: RequestTimeouts, chunks: list[bytes]) -> None:
    """Each has a name of its own, and the connection does not outlive it."""
    sglang.stream(b": hello\n\n", *chunks, asyncio.Event())
    with pytest.raises(EngineTimeout):
        await _all(connect(deadlines))
    async with asyncio.timeout(5):
        await sglang.disconnected.wait()


async def test_asking_what_is_served(sglang: FakeSglang, connect: Connect) -> None:
    served = await connect().fetch_served_model()
    assert (served.model, served.context_tokens, served.split_by_server) == (SMALL_MODEL, 8192, False)
    sglang.info = {"reasoning_parser": "deepseek-r1", "tokenizer_path": "/models/r1"}
    served = await connect().fetch_served_model()
    assert (served.split_by_server, served.tokenizer_path) == (True, "/models/r1")
    sglang.info = None  # a router
    assert (await connect().fetch_served_model()).split_by_server is None


async def test_a_key_that_is_refused_is_told_from_a_server_that_loads(sglang: FakeSglang, connect: Connect) -> None:
    sglang.key = "another"
    with pytest.raises(EngineUnauthorized):
        await connect().fetch_served_model()
    sglang.key, sglang.models_status = None, 503
    with pytest.raises(EngineStarting):
        await connect().fetch_served_model()


async def test_the_key_does_not_follow_a_redirect(sglang: FakeSglang, connect: Connect) -> None:
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


async def test_something_else_at_the_address(connect: Connect) -> None:
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


def test_the_key_is_in_no_representation() -> None:
    assert KEY not in repr(ServerEndpoint("http://x", KEY))


async def test_closing_twice_is_fine(connect: Connect) -> None:
    client = connect()
    await client.close()
    await client.close()


async def test_a_lone_surrogate_in_an_answer_is_replaced(sglang: FakeSglang, connect: Connect) -> None:
    """No encoding can carry it, so that nobody further on could store or send the answer."""
    sglang.stream(b'data: {"choices": [{"delta": {"content": "a\\ud800b"}}]}\n\n', delta(finish="stop"), DONE)
    assert await _all(connect()) == [ContentDelta("a\ufffdb"), StreamEnd("stop")]


async def test_events_and_bodies_that_nest_without_end(sglang: FakeSglang, connect: Connect) -> None:
    """They are no answer; they are not a fault of ours either."""
    sglang.stream(b"data: " + b"[" * 100_000 + b"\n\n")
    with pytest.raises(EngineInterrupted, match="an invalid answer"):
        await _all(connect())

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b"[" * 100_000)

    sglang.chat = refuse
    with pytest.raises(EngineRefused):
        await _all(connect())


async def test_signs_of_life_are_no_tokens(sglang: FakeSglang, connect: Connect) -> None:
    """Comments that keep a connection open do not put the deadline of the next token off."""

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
        async with asyncio.timeout(10):
            await _read_into(got, connect(RequestTimeouts(read_s=0.3)))
    assert got == [ContentDelta("first")]
