"""Option scores: the request, the reply, the slots they use, and that they delay nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client import wire
from engine.client.client import EngineClient
from engine.client.framing import TokenPrompt
from engine.errors import EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from engine.interfaces import ANONYMOUS, ChatMessage, ContentDelta, Delta, EngineState, Requester, Sampling
from engine.routing.request_queue import RequestQueue
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import DONE, FakeSglang, chosen, delta, fake_sglang, refuse_wheel, until
from tests.waiting import WAIT_S

ASK = [ChatMessage("user", "Is Paris in France? Answer yes or no.")]
MEASURED = (("Yes", -0.4468), ("No", -1.0718), ("yes", -4.9468), ("no", -5.9468), (" Yes", -8.0), ("The", -7.6345))
"""The likeliest first tokens of a real reply, which come in several spellings."""
Make = Callable[..., Engine]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def make(*fakes: FakeSglang, **settings: object) -> Engine:
            urls = ", ".join(fake.url for fake in fakes)
            about = replace(EngineSettings(tmp_path, tmp_path, url=urls, remote_poll_s=0.06), **settings)  # type: ignore[arg-type]
            made = Engine(about, refuse_wheel)
            stack.push_async_callback(made.stop)
            await made.start()
            await until(lambda: made.status().state is EngineState.READY)
            return made

        yield make


async def choose(made: Engine, within_s: float = 5.0, thread: str = "") -> tuple[float, ...]:
    return await made.score_options(
        ASK, ("yes", "no"), request_id="judge-1", timeout_s=within_s, requester=Requester(thread=thread)
    )


def test_spellings_of_an_option_are_added() -> None:
    yes = sum(math.exp(logprob) for text, logprob in MEASURED if text.strip().lower() == "yes")
    no = sum(math.exp(logprob) for text, logprob in MEASURED if text.strip().lower() == "no")
    assert wire.parse_option_scores(chosen(MEASURED), ("yes", "no")) == pytest.approx(
        (yes / (yes + no), no / (yes + no))
    )
    chinese = chosen((("否", -0.65), ("是", -0.78), ("不是", -4.9), (" 是", -8.6)))
    assert wire.parse_option_scores(chinese, ("是", "否"))[0] == pytest.approx(0.4678, abs=1e-3)
    assert wire.parse_option_scores(chosen((("Yes", -0.1),)), ("yes", "no")) == (1.0, 0.0)


@given(st.lists(st.tuples(st.sampled_from(["Yes", " yes", "NO", "no", "The", "是"]), st.floats()), min_size=1))
def test_scores_sum_to_one_or_raise(likeliest: list[tuple[str, float]]) -> None:
    try:
        shares = wire.parse_option_scores(chosen(likeliest), ("yes", "no"))
    except EngineRefused:
        return
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        {"choices": [{"logprobs": None}]},
        {"choices": [{"logprobs": {"content": []}}]},
        {"choices": [{"logprobs": {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": None}]}}]},
        {"choices": [{"logprobs": {"content": [{"top_logprobs": ["Yes", {"token": "Yes", "logprob": "x"}]}]}}]},
        chosen((("The", -0.1), ("I", -3.0))),
    ],
)
def test_reply_without_an_option_is_refused(reply: dict[str, object]) -> None:
    with pytest.raises(EngineRefused, match="probabilities"):
        wire.parse_option_scores(reply, ("yes", "no"))


async def test_requests_one_token_with_alternatives(sglang: FakeSglang, engine: Make) -> None:
    sglang.choose(MEASURED)
    made = await engine(sglang)
    yes, no = await choose(made)
    assert yes > 0.6
    assert yes + no == pytest.approx(1)
    (body,) = sglang.bodies
    assert (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"]) == (1, 0.0, True, 20)
    assert body["messages"] == [{"role": "user", "content": ASK[0].content}]
    assert body["rid"].startswith("judge-1-")
    assert "stream" not in body
    assert "cache_salt" not in body


async def test_salt_of_the_readers_reaches_the_server(sglang: FakeSglang, engine: Make) -> None:
    """An answer and its judgements have the same salt, so the judge finds the answer's prompt in the prefix cache."""
    sglang.stream(delta(content="so", finish="stop"), DONE)
    sglang.choose(MEASURED)
    made = await engine(sglang)
    requester = Requester(thread="t", cache_salt="5a17")
    async with aclosing(made.stream(ASK, Sampling(), request_id="a", requester=requester)) as deltas:
        assert [one async for one in deltas]
    await made.score_options(ASK, ("yes", "no"), request_id="judge-1", timeout_s=5, requester=requester)
    assert [body["cache_salt"] for body in sglang.bodies] == ["5a17", "5a17"]


async def test_thinking_is_closed(sglang: FakeSglang, connect: Callable[..., EngineClient]) -> None:
    """By token ids if the vocabulary is known, else by the beginning of the reply."""
    sglang.choose(MEASURED)
    client = connect(thinks=True, opens_think=True)
    await client.score_options(ASK, ("yes", "no"), request_id="r")
    await client.score_options(
        ASK, ("yes", "no"), request_id="r", prompt=TokenPrompt([1, 2, 3], starts_in_thinking=False)
    )
    text, ids = sglang.bodies
    assert text["messages"][-1] == {"role": "assistant", "content": "<think>\n\n</think>\n\n"}
    assert text["continue_final_message"] is True
    assert (ids["input_ids"], ids["separate_reasoning"]) == ([1, 2, 3], False)


async def test_late_and_unneeded_requests_are_cancelled(sglang: FakeSglang, engine: Make) -> None:
    sglang.choose(MEASURED, before=asyncio.Event())
    made = await engine(sglang)
    with pytest.raises(EngineTimeout, match="within"):
        await choose(made, within_s=0.1)
    await asyncio.wait_for(sglang.disconnected.wait(), WAIT_S)
    sglang.disconnected.clear()
    left = asyncio.create_task(choose(made))
    await until(lambda: len(sglang.bodies) == 2)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    await asyncio.wait_for(sglang.disconnected.wait(), WAIT_S)


async def test_no_scores_while_people_wait(sglang: FakeSglang, engine: Make) -> None:
    """A running request ends when a person starts to wait; none uses an answer's slot; answers are not delayed."""
    go = asyncio.Event()
    sglang.stream(delta(content="so"), go, delta(finish="stop"), DONE)
    sglang.choose(MEASURED, before=asyncio.Event())
    made = await engine(sglang, people=2)
    async with aclosing(made.stream(ASK, Sampling(), request_id="a")) as first:
        assert await anext(first) == ContentDelta("so")
        judgement = asyncio.create_task(choose(made))
        await until(lambda: len(sglang.bodies) == 2)
        with pytest.raises(EngineOverloaded, match="places"):
            await choose(made)
        async with aclosing(made.stream(ASK, Sampling(), request_id="b")) as second:
            assert await anext(second) == ContentDelta("so"), "it takes a place all the same"
            assert not judgement.done()
            waits = asyncio.create_task(_read(made))
            with pytest.raises(EngineOverloaded, match="wait"):
                await judgement
            await until(lambda: made.count_requests().waiting == 1)
            with pytest.raises(EngineOverloaded, match="wait"):
                await choose(made)
            go.set()
            assert [one async for one in second]
        await waits
    assert made.count_requests() == replace(made.count_requests(), waiting=0, running=0)


async def test_person_who_waited_briefly_still_cancels_it() -> None:
    """The error is not a timeout, after which the bot would pause its judgements."""
    gate, end = RequestQueue(lambda: 1), asyncio.Event()

    async def answer() -> AsyncGenerator[Delta, None]:
        await end.wait()
        yield ContentDelta("so")

    async def ask() -> None:
        async with aclosing(gate.stream(ANONYMOUS, 1, 1, answer)) as deltas:
            async for _ in deltas:
                pass

    async def judge() -> None:
        async with gate.bound_side_request(60):
            await asyncio.Event().wait()

    first, judgement = asyncio.create_task(ask()), asyncio.create_task(judge())
    await until(lambda: gate.counts.running == 1)
    second = asyncio.create_task(ask())
    await asyncio.sleep(0)
    assert gate.counts.waiting == 1
    second.cancel()
    with pytest.raises(EngineOverloaded):
        await judgement
    assert gate.counts.waiting == 0
    end.set()
    await first


async def _read(made: Engine) -> None:
    async for _ in made.stream(ASK, Sampling(), request_id="c"):
        pass


async def test_uses_the_server_of_the_conversations_answer(engine: Make) -> None:
    """Also if that answer runs on another server, because the conversation's own was full."""
    async with fake_sglang() as one, fake_sglang() as other:
        for fake in (one, other):
            fake.stream(delta(content="so"), asyncio.Event())
            fake.choose(MEASURED)
        made = await engine(one, other, people=2)
        for thread in ("a", "b", "c", "d"):
            async with aclosing(
                made.stream(ASK, Sampling(), request_id="r", requester=Requester(thread=thread))
            ) as deltas:
                before = len(one.bodies)
                await anext(deltas)
                home = one if len(one.bodies) > before else other
                counts = len(home.bodies)
                await choose(made, thread=thread)
                assert len(home.bodies) == counts + 1


async def test_without_an_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        await choose(Engine(EngineSettings(tmp_path, tmp_path), refuse_wheel))
