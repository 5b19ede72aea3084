"""Processes that use one engine never run more requests than it has places, and none of its places is wasted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot.storage.engine_places import EnginePlaces, PlaceClaim, grant_places, share_places
from bot.storage.processes import name_this_process
from bot.storage.turns.ledger import Ledger, open_ledger
from engine.errors import EngineOverloaded
from engine.interfaces import ChatMessage, EngineState, Requester, Sampling
from engine.routing.place_keeper import LEASE_S, PlaceLease
from engine.routing.request_queue import QueueCounts
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import DONE, FakeSglang, delta, fake_sglang, refuse_wheel, until

ASK = [ChatMessage("user", "hello")]
PLACES = 4
URLS = ("http://engine",)

CLAIMS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=6)


def make_claims(values: Sequence[tuple[int, int, int]]) -> list[PlaceClaim]:
    """Return claims that want at least what they hold."""
    return [PlaceClaim(f"p{n}", held, held + more, float(at)) for n, (held, more, at) in enumerate(values)]


@given(CLAIMS, st.integers(1, 20))
def test_all_places_are_shared_and_nobody_gets_more_than_an_equal_part(
    values: Sequence[tuple[int, int, int]], total: int
) -> None:
    claims = make_claims(values)
    shares = share_places(claims, total)
    assert sum(shares.values()) == min(total, sum(claim.wanted for claim in claims))
    assert all(shares[claim.owner] <= claim.wanted for claim in claims)
    lacking = [shares[claim.owner] for claim in claims if shares[claim.owner] < claim.wanted]
    assert all(share <= min(lacking) + 1 for share in shares.values() if lacking)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=40), st.integers(1, 6))
def test_processes_together_never_hold_more_than_all_places(steps: Sequence[tuple[int, int]], total: int) -> None:
    """At each step, one process has another number of requests, and ends as many as it has too many."""
    held, wanted, granted = [0, 0, 0], [0, 0, 0], [0.0, 0.0, 0.0]
    for now, (one, requests) in enumerate(steps, 1):
        running, wanted[one] = min(held[one], requests), requests
        claims = [PlaceClaim(str(n), held[n], wanted[n], granted[n]) for n in range(3)]
        ours = PlaceClaim(str(one), running, requests, granted[one])
        held[one] = grant_places(ours, [claim for claim in claims if claim.owner != str(one)], total)
        granted[one] = now if held[one] > running else granted[one]
        assert running <= held[one] <= max(running, requests)
        assert sum(held) <= total


@given(CLAIMS, st.integers(1, 20))
def test_a_process_alone_gets_all_that_it_wants(values: Sequence[tuple[int, int, int]], total: int) -> None:
    [claim, *_] = make_claims(values)
    assert grant_places(claim, [], total) == max(claim.held, min(claim.wanted, total))


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    async with open_ledger(url, patience_s=30.0) as opened:
        yield opened


async def test_places_of_a_process_that_crashed_come_back(ledger: Ledger) -> None:
    now = [1_000.0]
    ours, theirs = (
        EnginePlaces(ledger.database, URLS, owner=owner, now=lambda: now[0]) for owner in ("a|1|x|y", "b|1|x|y")
    )
    assert await theirs.lease_places(0, 4, PLACES) == PlaceLease(4, 4)
    assert await ours.lease_places(0, 1, PLACES) == PlaceLease(0, 2)
    now[0] += LEASE_S - 1
    assert (await ours.lease_places(0, 1, PLACES) or PlaceLease(9, 9)).held == 0
    now[0] += 2
    assert await ours.lease_places(0, 9, PLACES) == PlaceLease(4, 4)


async def test_places_of_a_dead_process_of_this_machine_come_back_at_once(ledger: Ledger) -> None:
    dead = name_this_process().replace(f"|{os.getpid()}|", f"|{2**22 + 1}|")
    assert await EnginePlaces(ledger.database, URLS, owner=dead).lease_places(0, 4, PLACES) == PlaceLease(4, 4)
    assert await EnginePlaces(ledger.database, URLS).lease_places(0, 3, PLACES) == PlaceLease(3, 4)


async def test_other_engines_have_other_places(ledger: Ledger) -> None:
    for urls in (("http://a", "http://b"), ("http://c",)):
        places = EnginePlaces(ledger.database, urls, owner="elsewhere|1|x|y")
        assert await places.lease_places(0, 4, PLACES) == PlaceLease(4, 4)
    assert await EnginePlaces(ledger.database, ("http://b", "http://a")).lease_places(0, 1, PLACES) == PlaceLease(0, 2)


class CrowdedServer:
    """An engine that counts the requests that run at once, and refuses those that it has no place for."""

    def __init__(self, fake: FakeSglang) -> None:
        self.running = self.most = self.refused = 0
        self.may_end = asyncio.Semaphore(0)
        """How many answers may end."""
        fake.chat = self._answer

    def end_all(self) -> None:
        """Let all answers end."""
        for _ in range(1_000):
            self.may_end.release()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.running >= PLACES:
            self.refused += 1
            return web.Response(status=503)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.may_end.acquire()
        finally:
            self.running -= 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(delta(content="yes") + delta(finish="stop") + DONE)
        return response


@pytest.fixture
async def server() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        yield fake


@pytest.fixture
async def replicas(server: FakeSglang, ledger: Ledger, tmp_path: Path) -> AsyncIterator[list[Engine]]:
    """Three engines of three processes, with the places in one database."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(3):
            folder = tmp_path / str(number)
            engine = Engine(EngineSettings(folder, folder, url=server.url, people=PLACES), refuse_wheel)
            stack.push_async_callback(engine.stop)
            places = EnginePlaces(ledger.database, (server.url,), owner=f"host {number}|1|x|y")
            await stack.enter_async_context(engine.share_places(places))
            await engine.start()
            made.append(engine)
        await until(lambda: all(one.status().state is EngineState.READY for one in made))
        yield made


async def ask(engine: Engine, person: str) -> int:
    requester = Requester(person=person)
    async with aclosing(engine.stream(ASK, Sampling(), request_id="r", requester=requester)) as deltas:
        return len([one async for one in deltas])


async def test_three_replicas_never_use_more_places_than_the_engine_has(
    server: FakeSglang, replicas: list[Engine]
) -> None:
    crowd = CrowdedServer(server)
    questions = [asyncio.create_task(ask(replicas[number % 3], f"person {number % 7}")) for number in range(60)]
    for left in range(60, 0, -PLACES):
        await until(lambda left=left: crowd.running == PLACES and sum(not one.done() for one in questions) == left)
        for _ in range(PLACES):
            crowd.may_end.release()
    assert all(await asyncio.gather(*questions))
    assert (crowd.refused, crowd.most) == (0, PLACES)
    assert crowd.running == 0


async def test_one_busy_replica_uses_all_places_and_shares_them_when_others_need_some(
    server: FakeSglang, replicas: list[Engine]
) -> None:
    crowd = CrowdedServer(server)
    questions = [asyncio.create_task(ask(replicas[0], "ada")) for _ in range(20)]
    await until(lambda: crowd.running == PLACES)
    late = asyncio.create_task(ask(replicas[1], "bo"))
    await until(lambda: replicas[1].count_requests().waiting == 1)
    crowd.may_end.release()
    await until(lambda: replicas[1].count_requests().running == 1)
    await until(lambda: crowd.running == PLACES)
    assert replicas[0].count_requests() == QueueCounts(waiting=16, running=3)
    crowd.end_all()
    assert all(await asyncio.gather(late, *questions))
    assert crowd.refused == 0


async def test_a_judge_needs_a_free_place(server: FakeSglang, replicas: list[Engine]) -> None:
    def judge(engine: Engine) -> asyncio.Task[tuple[float, ...]]:
        scores = engine.score_options(ASK, ("yes", "no"), request_id="j", timeout_s=60.0)
        return asyncio.create_task(scores)

    server.choose([("yes", -0.1), ("no", -2.0)])
    assert len(await judge(replicas[1])) == 2
    crowd = CrowdedServer(server)
    questions = [asyncio.create_task(ask(replicas[0], "ada")) for _ in range(PLACES)]
    await until(lambda: crowd.running == PLACES)
    with pytest.raises(EngineOverloaded):
        await judge(replicas[1])
    crowd.end_all()
    await asyncio.gather(*questions)
    server.choose([("yes", -0.1), ("no", -2.0)])
    assert len(await judge(replicas[0])) == 2


async def test_a_cancelled_judge_gives_its_place_back(server: FakeSglang, replicas: list[Engine]) -> None:
    crowd = CrowdedServer(server)
    judges = [
        asyncio.create_task(replicas[0].score_options(ASK, ("yes", "no"), request_id="j", timeout_s=60.0))
        for _ in range(PLACES)
    ]
    await until(lambda: crowd.running == PLACES)
    for one in judges:
        one.cancel()
    await asyncio.gather(*judges, return_exceptions=True)
    crowd.end_all()
    await until(lambda: crowd.running == 0)
    assert all(await asyncio.gather(*(ask(replicas[1], "bo") for _ in range(PLACES))))
    assert crowd.refused == 0
