"""Tests of answering with the real engine client and a server with SGLang's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Question, Text
from bot.answering.thinking import LENGTHS
from engine.client.client import EngineClient, ServerEndpoint
from engine.interfaces import ANONYMOUS, ChatMessage, Delta, EngineState, EngineStatus, Requester, Sampling
from tests.answering.conftest import Room
from tests.engine.fakes import DONE, USAGE, FakeSglang, delta, fake_sglang
from tests.waiting import WAIT_S

GOOD = "Employees receive 25 days of paid annual leave per calendar year."


class Connected:
    """The engine's client with the interface of the engine."""

    context_tokens = 8192

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def status(self) -> EngineStatus:
        return EngineStatus(EngineState.READY)

    def count_tokens(self, text: str) -> int:
        return len(text) // 3 + 1

    def stream(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        request_id: str,
        requester: Requester = ANONYMOUS,  # noqa: ARG002
    ) -> AsyncIterator[Delta]:
        return self._client.stream(messages, sampling, request_id=request_id)


@pytest.fixture
async def wire(room: type[Room]) -> AsyncIterator[tuple[FakeSglang, Answerer]]:
    async with fake_sglang() as fake:
        client = EngineClient(ServerEndpoint(url=fake.url, api_key=None, model=fake.model, thinks=True))
        yield fake, Answerer(room.search([room.hit(room.leave)]), Connected(client), room.new_checker)
        await client.close()


async def test_thinking_and_answer_arrive_over_http(wire: tuple[FakeSglang, Answerer]) -> None:
    fake, answerer = wire
    fake.stream(delta(reasoning="Let me see."), delta(content=f"\n\n{GOOD} [1]"), delta(finish="stop"), USAGE, DONE)
    events = [event async for event in answerer.answer(Question("How many days?", id="t1"))]
    assert [type(event).__name__ for event in events] == [
        "Step", "Sources", "Step", "Step", "Step", "Text", "Finished",
    ]  # fmt: skip
    text = events[-2]
    assert isinstance(text, Text)
    assert (text.markdown, [one.n for one in text.cites]) == (f"{GOOD} [1]", [1])
    assert fake.bodies[0]["messages"][-1]["role"] == "user"
    assert fake.bodies[0]["rid"].startswith("t1-")


async def test_chosen_length_reaches_the_engine(wire: tuple[FakeSglang, Answerer]) -> None:
    """The prompts differ at their end alone, so that the engine's prefix cache serves all of them."""
    fake, answerer = wire
    for length in LENGTHS:
        fake.stream(delta(content=f"{GOOD} [1]"), delta(finish="stop"), USAGE, DONE)
        _ = [
            event
            async for event in answerer.answer(Question("How many days?", asker=Asker(depth="off", length=length)))
        ]
    tokens = [body["max_tokens"] for body in fake.bodies]
    assert tokens == [768, 1_536, 2_730], "a third of the context at most"
    short, normal, long = (body["messages"][0]["content"] for body in fake.bodies)
    assert normal.endswith("How many days?")
    assert short == f"{normal}\n\nAnswer in one or two sentences."
    assert long.startswith(f"{normal}\n\nAnswer in detail")


async def test_broken_connection_keeps_shown_text(wire: tuple[FakeSglang, Answerer]) -> None:
    fake, answerer = wire
    fake.stream(delta(content=f"{GOOD} Up to"), cut=True)
    events = [event async for event in answerer.answer(Question("How many days?"))]
    texts = "".join(event.markdown for event in events if isinstance(event, Text))
    assert texts.startswith(f"{GOOD} [1]")
    assert any("cut off" in getattr(event, "text", "") for event in events)


async def test_refused_request_quotes_passages(wire: tuple[FakeSglang, Answerer]) -> None:
    fake, answerer = wire
    fake.refuse(503, {"object": "error", "message": "The request queue is full.", "code": 503})
    events = [event async for event in answerer.answer(Question("How many days?"))]
    assert events[-1].route == "passages"  # type: ignore[union-attr]
    assert any(isinstance(event, Text) and GOOD in event.markdown.replace("**", "") for event in events)


async def test_close_disconnects_from_engine(wire: tuple[FakeSglang, Answerer]) -> None:
    fake, answerer = wire
    never = asyncio.Event()
    fake.stream(delta(content=f"{GOOD} Up to"), never)
    async with aclosing(answerer.answer(Question("How many days?"))) as events:
        async for event in events:
            if isinstance(event, Text):
                break
    async with asyncio.timeout(WAIT_S):
        await fake.disconnected.wait()
