"""Several servers over real sockets: failover, breaks during an answer, circuit breaker, queue, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from engine.client.timeouts import RequestTimeouts
from engine.errors import EngineInterrupted, EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from engine.interfaces import (
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    QueuePosition,
    ReasoningDelta,
    Requester,
    Sampling,
    StreamEnd,
    StreamRestart,
)
from engine.routing.request_queue import QueueCounts, QueuePolicy
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import DONE, USAGE, FakeSglang, delta, fake_sglang, refuse_wheel, until
from tests.waiting import WAIT_S

ASK = [ChatMessage("user", "hello")]
END = (delta(finish="stop"), DONE)
NOBODY = "http://127.0.0.1:9"
Make = Callable[..., Engine]


@pytest.fixture
async def pair() -> AsyncIterator[list[FakeSglang]]:
    """Two servers that answer with their own names."""
    async with fake_sglang() as first, fake_sglang() as second:
        for fake, name in ((first, "first"), (second, "second")):
            fake.stream(delta(content=name), *END)
        yield [first, second]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Callable[..., Engine]]:
    async with AsyncExitStack() as stack:

        def make(*urls: str, **settings: object) -> Engine:
            defaults = EngineSettings(tmp_path, tmp_path, url=", ".join(urls), remote_poll_s=0.06)
            made = Engine(replace(defaults, **settings), refuse_wheel)  # type: ignore[arg-type]
            stack.push_async_callback(made.stop)
            return made

        yield make


async def up(made: Engine, *, all_of_them: bool = True) -> Engine:
    await made.start()
    await until(lambda: made.status().state is (EngineState.READY if all_of_them else EngineState.DEGRADED))
    return made


async def answer(made: Engine, requester: Requester | None = None) -> list[Delta]:
    return [one async for one in made.stream(ASK, Sampling(), request_id="r", requester=requester or Requester())]


def homes(pair: list[FakeSglang]) -> tuple[int, int]:
    return len(pair[0].bodies), len(pair[1].bodies)


async def test_conversations_stay_and_other_requests_spread(pair: list[FakeSglang], engine: Make) -> None:
    made = await up(engine(pair[0].url, pair[1].url))
    await until(lambda: made._connection.fleet.people == 32)
    for _ in range(5):
        await answer(made, Requester(thread="one"))
    assert sorted(homes(pair)) == [0, 5]
    for number in range(30):
        await answer(made, Requester(thread=f"thread {number}"))
    assert min(homes(pair)) > 5


async def test_down_server_is_reported_and_the_other_answers(pair: list[FakeSglang], engine: Make) -> None:
    made = await up(engine(NOBODY, pair[1].url), all_of_them=False)
    assert "1 of 2 engines answer" in made.status().detail
    assert NOBODY in made.status().detail
    assert await answer(made) == [ContentDelta("second"), StreamEnd("stop")]


async def test_server_with_another_model_is_not_used(pair: list[FakeSglang], engine: Make) -> None:
    pair[1].model = "another"
    made = await up(engine(pair[0].url, pair[1].url), all_of_them=False)
    assert "serves another and the others serve" in made.status().detail
    for number in range(8):
        await answer(made, Requester(thread=str(number)))
    assert homes(pair) == (8, 0)
    pair[1].model = pair[0].model
    await until(lambda: made.status().state is EngineState.READY)


async def test_all_servers_are_down(engine: Make) -> None:
    made = engine(NOBODY, "http://127.0.0.1:19")
    await made.start()
    assert (await made.wait_until_ready(5)).state is EngineState.FAILED
    with pytest.raises(EngineUnavailable, match="No server answers"):
        await answer(made)


async def test_failing_server_is_skipped(pair: list[FakeSglang], engine: Make) -> None:
    """Before the first delta without a notice; after three failures in a row it gets no request."""
    made = await up(engine(pair[0].url, pair[1].url, remote_poll_s=60.0))
    await until(lambda: made._connection.fleet.people == 32)
    pair[0].refuse(500, {"error": {"message": "boom"}})
    for number in range(40):
        assert (await answer(made, Requester(thread=str(number))))[0] == ContentDelta("second")
    assert homes(pair) == (3, 40)
    breaker = made._connection.fleet._servers[pair[0].url].breaker
    breaker._open_until_s = 0.0  # its rest is over
    pair[0].stream(delta(content="first"), *END)
    said = {str((await answer(made, Requester(thread=str(number))))[0]) for number in range(20)}
    assert said == {str(ContentDelta("first")), str(ContentDelta("second"))}


async def test_full_server_is_no_failure(pair: list[FakeSglang], engine: Make) -> None:
    made = await up(engine(pair[0].url, pair[1].url))
    pair[0].refuse(503, {"error": {"message": "The request queue is full."}})
    for number in range(12):
        await answer(made, Requester(thread=str(number)))
    pair[0].stream(delta(content="first"), *END)
    assert made._connection.fleet._servers[pair[0].url].breaker.allows_request(0.0)


async def test_refused_request_is_not_retried(pair: list[FakeSglang], engine: Make) -> None:
    made = await up(engine(pair[0].url, pair[1].url))
    for fake in pair:
        fake.refuse(400, {"message": "no such field"})
    with pytest.raises(EngineRefused):
        await answer(made)
    assert sum(homes(pair)) == 1


@pytest.mark.parametrize("shown", [False, True])
async def test_connection_lost_during_an_answer(pair: list[FakeSglang], engine: Make, *, shown: bool) -> None:
    """If nothing was shown, another server restarts the answer; otherwise it is interrupted."""
    made = await up(engine(pair[0].url, pair[1].url))
    await until(lambda: made._connection.fleet.people == 32)
    home = pair[0] if await _home(made, pair[0]) else pair[1]
    home.stream(delta(reasoning="Hm."), delta(content="half of"), cut=True)
    got: list[Delta] = []
    stream = made.stream(
        ASK, Sampling(), request_id="r", requester=Requester(thread="t", has_shown_output=lambda: shown)
    )
    if shown:
        with pytest.raises(EngineInterrupted, match="middle of the answer"):
            await _read(stream, got)
        assert got[-1] == ContentDelta("half of")
        return
    await _read(stream, got)
    lost, begun = got.index(StreamRestart()), "second" if home is pair[0] else "first"
    assert got[lost - 1] == ContentDelta("half of")
    assert got[lost + 1 :] == [ContentDelta(begun), StreamEnd("stop")]


@pytest.mark.parametrize("away", [False, True])
async def test_server_hangs_during_an_answer(pair: list[FakeSglang], engine: Make, *, away: bool) -> None:
    """Another server restarts the answer only if the health check fails too; a healthy server is only slow."""
    made = await up(engine(pair[0].url, pair[1].url, request_timeouts=RequestTimeouts(read_s=0.5)))
    await until(lambda: made._connection.fleet.people == 32)
    home = pair[0] if await _home(made, pair[0]) else pair[1]
    home.stream(delta(reasoning="Hm."), asyncio.Event())
    if away:
        home.models_status = 503
    got: list[Delta] = []
    stream = made.stream(
        ASK, Sampling(), request_id="r", requester=Requester(thread="t", has_shown_output=lambda: False)
    )
    if away:
        await _read(stream, got)
        assert got[-3:] == [StreamRestart(), ContentDelta("second" if home is pair[0] else "first"), StreamEnd("stop")]
        return
    with pytest.raises(EngineTimeout):
        await _read(stream, got)


async def _home(made: Engine, fake: FakeSglang) -> bool:
    before = len(fake.bodies)
    await answer(made, Requester(thread="t"))
    return len(fake.bodies) > before


async def _read(stream: AsyncIterator[Delta], got: list[Delta]) -> None:
    async for one in stream:
        got.append(one)  # noqa: PERF401  # what came before an error counts


async def test_loss_of_the_last_server_is_reported(pair: list[FakeSglang], engine: Make) -> None:
    made = await up(engine(pair[0].url, pair[1].url))
    for fake in pair:
        fake.stream(delta(content="half"), cut=True)
    with pytest.raises(EngineInterrupted):
        await answer(made, Requester(has_shown_output=lambda: False))


class Gated:
    """A server that answers each request when the test allows it."""

    def __init__(self, fake: FakeSglang) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.gone: list[str] = []
        fake.chat = self._chat

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        name = str((await request.json())["messages"][0]["content"])
        self.begun.append(name)
        gate = self.gates.setdefault(name, asyncio.Event())
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await gate.wait()
            for piece in (delta(content=name), delta(finish="stop"), USAGE, DONE):
                await response.write(piece)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.append(name)
            raise
        return response

    def let(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()


def asking(made: Engine, name: str, person: str, got: list[Delta] | None = None) -> asyncio.Task[None]:
    stream = made.stream([ChatMessage("user", name)], Sampling(), request_id=name, requester=Requester(person))
    return asyncio.create_task(_read(stream, [] if got is None else got))


async def test_people_take_turns(sglang: FakeSglang, engine: Make) -> None:
    """One person sends six requests, then another sends one: it comes after the first of the six, not after all."""
    made = await up(engine(sglang.url, people=1))
    gated = Gated(sglang)
    tasks = [asking(made, f"a{number}", "a") for number in range(6)]
    await until(lambda: gated.begun == ["a0"])
    got: list[Delta] = []
    tasks.append(asking(made, "b", "b", got))
    await until(lambda: bool(got))
    for name in ("a0", "b", "a1", "a2", "a3", "a4", "a5"):
        gated.let(name)
    await asyncio.gather(*tasks)
    assert gated.begun == ["a0", "a1", "b", "a2", "a3", "a4", "a5"]
    assert isinstance(got[0], QueuePosition)
    assert got[0].position <= 2
    assert QueuePosition(0, 0.0) in got
    assert made.count_requests() == QueueCounts()


async def test_estimate_includes_simultaneous_requests(sglang: FakeSglang, engine: Make) -> None:
    """One person sends six requests and five others one each: the sixth learns at once that it is last."""
    made = await up(engine(sglang.url, people=1))
    gated = Gated(sglang)
    sixth: list[Delta] = []
    tasks = [asking(made, f"a{number}", "a", sixth if number == 5 else None) for number in range(6)]
    tasks += [asking(made, f"b{number}", f"b{number}") for number in range(5)]
    await until(lambda: bool(sixth))
    assert sixth[0] == QueuePosition(10, None)
    for name in ("a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "b2", "b3", "b4"):
        gated.let(name)
    await asyncio.gather(*tasks)
    assert gated.begun[-1] == "a5"


async def test_short_wait_is_not_reported(sglang: FakeSglang, engine: Make) -> None:
    made = await up(engine(sglang.url, people=1, queue_policy=QueuePolicy(first_notice_s=30.0)))
    gated = Gated(sglang)
    got: list[Delta] = []
    tasks = [asking(made, "1", "a"), asking(made, "2", "b", got)]
    await until(lambda: made.count_requests().waiting == 1)
    gated.let("1")
    gated.let("2")
    await asyncio.gather(*tasks)
    assert got == [ContentDelta("2"), StreamEnd("stop", got[-1].usage)]  # type: ignore[union-attr]


async def test_request_cancelled_in_the_queue_is_never_sent(sglang: FakeSglang, engine: Make) -> None:
    """If it is cancelled while it runs, its connection closes at once and the next request starts."""
    made = await up(engine(sglang.url, people=1))
    gated = Gated(sglang)
    first, second, third = asking(made, "1", "a"), asking(made, "2", "b"), asking(made, "3", "c")
    await until(lambda: gated.begun == ["1"] and made.count_requests().waiting == 2)
    second.cancel()
    await until(lambda: made.count_requests().waiting == 1)
    first.cancel()
    await until(lambda: gated.gone == ["1"] and gated.begun == ["1", "3"])
    gated.let("3")
    await third
    await asyncio.gather(first, second, return_exceptions=True)
    assert gated.begun == ["1", "3"]
    assert made.count_requests() == QueueCounts()


async def test_full_queue_and_expired_wait(sglang: FakeSglang, engine: Make) -> None:
    made = await up(
        engine(sglang.url, people=1, queue_policy=QueuePolicy(max_waiting=1, max_wait_s=0.3, notice_interval_s=0.05))
    )
    gated = Gated(sglang)
    first = asking(made, "1", "a")
    await until(lambda: gated.begun == ["1"])
    second = asking(made, "2", "b")
    await until(lambda: made.count_requests().waiting == 1)
    with pytest.raises(EngineOverloaded, match="The engine's queue is full: 1 waiting"):
        await asking(made, "3", "c")
    with pytest.raises(EngineOverloaded, match="busy with other questions"):
        await second
    gated.let("1")
    await first
    assert gated.begun == ["1"]


async def test_lost_engine_fails_the_waiting_requests(sglang: FakeSglang, engine: Make) -> None:
    made = await up(engine(sglang.url, people=1))
    gated = Gated(sglang)
    first, second = asking(made, "1", "a"), asking(made, "2", "b")
    await until(lambda: gated.begun == ["1"] and made.count_requests().waiting == 1)
    sglang.models_status = 503
    await until(lambda: made.status().state is EngineState.STARTING)
    gated.let("1")
    await first  # what is under way goes on
    with pytest.raises(EngineUnavailable):
        await second


async def test_two_hundred_requests_at_once(sglang: FakeSglang, engine: Make) -> None:
    """Twenty people, ten requests each, eight slots: never more than eight at the server, all answered, in rounds."""
    made = await up(engine(sglang.url, people=8))
    at_once = most = 0
    order: list[str] = []

    async def chat(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        order.append(str((await request.json())["messages"][0]["content"]))
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return web.Response(body=delta(content="hi") + delta(finish="stop") + DONE)

    sglang.chat = chat
    names = [f"{person}-{number}" for person in range(20) for number in range(10)]
    answers: list[list[Delta]] = [[] for _ in names]
    await asyncio.gather(
        *(asking(made, name, name.partition("-")[0], got) for name, got in zip(names, answers, strict=True))
    )
    assert most <= 8
    assert all(got[-2:] == [ContentDelta("hi"), StreamEnd("stop")] for got in answers)
    # The first to ask has all eight places while nobody else is there; from then on the others go in rounds.
    rounds = [int(name.partition("-")[2]) for name in order if not name.startswith("0-")]
    assert all(abs(number - place // 19) <= 1 for place, number in enumerate(rounds))
    assert max(order.index("0-8"), order.index("0-9")) < 60


async def test_closed_reader_frees_its_slot(sglang: FakeSglang, engine: Make) -> None:
    made = await up(engine(sglang.url, people=1))
    sglang.stream(delta(reasoning="Hm."), delta(content="first"), asyncio.Event())
    async with aclosing(made.stream(ASK, Sampling(), request_id="r")) as deltas:
        assert isinstance(await anext(deltas), ReasoningDelta | ContentDelta)
        assert made.count_requests().running == 1
    assert made.count_requests().running == 0
    async with asyncio.timeout(WAIT_S):
        await sglang.disconnected.wait()
