"""A vision model behind a real server: what it is sent, what is shown of its answer, and what happens without it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from bot.answering.answer import Answerer
from bot.answering.events import Question
from bot.answering.vision import VisionModel, VisionSettings, choose_pictures
from engine.interfaces import ChatMessage
from knowledge.interfaces import Material, MaterialOrigin
from knowledge.web.http.settings import ServerAddress
from tests.answering.conftest import RecordedAnswer, Room
from tests.waiting import WAIT_S

KEY = "sk-vision-5ecret"
PICTURE = Material("F1", "chart.png", None, "png", (), (), (), picture=b"\x89PNG chart", is_given=True)
ANSWER = "The chart has three bars. Employees receive 25 days of paid annual leave per calendar year. [1]"
SEEN = "A vision model saw chart.png. What it saw is not verified: check it against the picture."
FAILED = "The vision model did not answer, so I used only the text in chart.png. Ask again later."
UNSEEN = "I read only the text in chart.png; I did not see the picture itself."


@dataclass
class VisionServer:
    """Answers completions with ``answer``, or by ``fault``."""

    url: str = ""
    answer: str = ANSWER
    requests: list[dict[str, Any]] = field(default_factory=list)
    fault: Callable[[], Awaitable[web.StreamResponse]] | None = None

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.requests.append({"key": request.headers.get("Authorization"), **await request.json()})
        if self.fault is not None:
            return await self.fault()
        choice = {"message": {"role": "assistant", "content": self.answer}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})


@pytest.fixture
async def server() -> AsyncIterator[VisionServer]:
    served, app = VisionServer(), web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", served.complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)  # a test may leave a hanging call
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def vision(server: VisionServer) -> AsyncIterator[VisionModel]:
    model = make_vision(server)
    yield model
    await model.close()


def make_vision(server: VisionServer, limit_s: float = WAIT_S) -> VisionModel:
    return VisionModel(VisionSettings(ServerAddress(server.url, KEY), "qwen-vl"), limit_s=limit_s)


async def ask(room: type[Room], vision: VisionModel | None, *materials: Material, text: str = "") -> RecordedAnswer:
    search = room.search([room.hit(room.leave)])
    engine = room.engine(room.words("Employees receive 25 days of paid annual leave per calendar year. [1]"))
    answerer = Answerer(search, engine, room.new_checker, vision=vision)
    question = Question(text or "How many days of leave does the chart show?", id="turn-1", materials=materials)
    return RecordedAnswer([event async for event in answerer.answer(question)])


async def test_the_model_gets_picture_question_and_passages_and_its_answer_is_marked(
    room: type[Room], server: VisionServer, vision: VisionModel
) -> None:
    reply = await ask(room, vision, PICTURE)
    assert reply.text == (
        "The chart has three bars. ⚠ Employees receive 25 days of paid annual leave per calendar year. [1]"
    )
    assert SEEN in reply.notices
    assert (reply.route, reply.finished[0].is_seen) == ("engine", True)
    (request,) = server.requests
    assert (request["key"], request["model"]) == (f"Bearer {KEY}", "qwen-vl")
    picture, prompt = request["messages"][-1]["content"]
    uri = "data:image/png;base64," + base64.b64encode(PICTURE.picture).decode()
    assert picture == {"type": "image_url", "image_url": {"url": uri}}
    assert "25 days of paid annual leave" in prompt["text"]
    assert "never an instruction" in prompt["text"]


async def test_a_chinese_question_is_told_in_chinese(
    room: type[Room], server: VisionServer, vision: VisionModel
) -> None:
    server.answer = "图中有三根柱子。"
    reply = await ask(room, vision, PICTURE, text="图中显示年假有多少天？")
    assert "视觉模型看过 chart.png。它看到的内容未经核实：请对照图片核对。" in reply.notices
    assert "绝不是指令" in server.requests[0]["messages"][-1]["content"][-1]["text"]


async def test_thinking_is_not_shown_and_links_are_those_of_an_answer(
    room: type[Room], server: VisionServer, vision: VisionModel
) -> None:
    server.answer = "<think>Hm, [evil](https://evil.example)</think>See [here](https://evil.example/x) for the chart."
    reply = await ask(room, vision, PICTURE)
    assert "evil.example" not in reply.text
    assert "Hm" not in reply.text


async def respond(status: int = 200, text: str = "") -> web.StreamResponse:
    return web.Response(status=status, text=text)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: respond(503),
        lambda: respond(401),
        lambda: respond(text="not JSON"),
        lambda: respond(text='{"choices": []}'),
        lambda: respond(text='{"choices": [{"message": {"content": null}}]}'),
        lambda: respond(text='{"choices": [{"message": {"content": "<think>only</think>"}}]}'),
    ],
)
async def test_without_its_answer_the_text_is_used_and_the_reader_is_told(
    room: type[Room], server: VisionServer, vision: VisionModel, fault: Callable[[], Awaitable[web.StreamResponse]]
) -> None:
    server.fault = fault
    reply = await ask(room, vision, PICTURE)
    assert reply.text == "Employees receive 25 days of paid annual leave per calendar year. [1]"
    assert FAILED in reply.notices
    assert not reply.finished[0].is_seen


async def test_a_model_that_hangs_has_a_deadline_and_is_left_alone_after_three_failures(
    room: type[Room], server: VisionServer
) -> None:
    async def hang() -> web.StreamResponse:
        await asyncio.sleep(WAIT_S)
        return web.Response()

    server.fault = hang
    hurried = make_vision(server, limit_s=0.2)
    for _ in range(4):
        assert FAILED in (await ask(room, hurried, PICTURE)).notices
    assert len(server.requests) == 3
    await hurried.close()


async def test_a_cancelled_question_ends_the_call(server: VisionServer, vision: VisionModel) -> None:
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> web.StreamResponse:
        arrived.set()
        try:
            await asyncio.sleep(WAIT_S)
        finally:
            ended.set()
        return web.Response()

    server.fault = hang
    call = asyncio.create_task(vision.ask([ChatMessage("user", "What is this?")], [PICTURE], 64))
    await asyncio.wait_for(arrived.wait(), WAIT_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    server.fault = None
    assert await vision.ask([ChatMessage("user", "What is this?")], [PICTURE], 64) is not None


async def test_without_a_model_the_answer_says_that_the_picture_was_not_seen(room: type[Room]) -> None:
    reply = await ask(room, None, replace(PICTURE, picture=b"", recognised_pages=1))
    assert UNSEEN in reply.notices
    assert "Text recognition read chart.png: check figures and names in the original." in reply.notices


async def test_only_given_pictures_of_a_sendable_size_are_shown_to_it() -> None:
    many = [replace(PICTURE, id=f"F{number}") for number in range(6)]
    assert choose_pictures(many) == many[:4]
    assert choose_pictures([replace(PICTURE, is_given=False), replace(PICTURE, picture=b"x" * 10_000_001)]) == []


async def test_a_question_without_passages_is_answered_from_the_picture(
    server: VisionServer, vision: VisionModel, room: type[Room]
) -> None:
    server.answer = "The chart has three bars."
    answerer = Answerer(
        room.search([], answerable=False, related=False), room.engine(), room.new_checker, vision=vision
    )
    events = [event async for event in answerer.answer(Question("What is this?", materials=(PICTURE,)))]
    assert RecordedAnswer(events).text == "The chart has three bars. ⚠"


@pytest.mark.parametrize(
    "place",
    [
        {"url": "https://docs.example/scan.pdf#page=2&viewrect=10,20,300,40"},
        {"url": "https://docs.example/photo.png#xywh=10,20,300,40"},
        {"url": None, "material": MaterialOrigin("pdf", 2, 0, "page=2&viewrect=10,20,300,40")},
    ],
)
async def test_a_cited_passage_of_text_recognition_is_named(room: type[Room], place: dict[str, Any]) -> None:
    search = room.search([room.hit(room.leave, **place)])
    engine = room.engine(room.words("Employees receive 25 days of paid annual leave per calendar year. [1]"))
    answerer = Answerer(search, engine, room.new_checker)
    events = [event async for event in answerer.answer(Question("How many days of annual leave do I get?"))]
    notices = RecordedAnswer(events).notices
    assert any("Text recognition read Leave" in notice for notice in notices), notices
