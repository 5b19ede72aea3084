"""An engine on another host: it sees placeholders, and the answer has the originals."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from bot.answering.masked_engine import MaskedEngine
from bot.http.loopback import is_loopback
from engine.interfaces import ChatMessage, ContentDelta, Delta, ReasoningDelta, Sampling, StreamEnd, StreamRestart
from knowledge.masking import Recogniser


class RemoteEngine:
    """Streams the given deltas, and keeps what it was asked."""

    def __init__(self, *deltas: Delta) -> None:
        self.deltas = deltas
        self.asked: list[str] = []
        self.closed = False

    context_tokens = 32_768

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def stream(self, messages: Sequence[ChatMessage], *_: Any, **__: Any) -> AsyncGenerator[Delta, None]:
        self.asked += [message.content for message in messages]
        try:
            for delta in self.deltas:
                yield delta
        finally:
            self.closed = True

    async def score_options(self, messages: Sequence[ChatMessage], *_: Any, **__: Any) -> tuple[float, ...]:
        self.asked += [message.content for message in messages]
        return (1.0,)


def mask(engine: RemoteEngine) -> MaskedEngine:
    return MaskedEngine(engine, Recogniser(["Ann Lee"]))  # type: ignore[arg-type]


MESSAGES = [ChatMessage("user", "Ann Lee, ann@example.com: how many days?"), ChatMessage("user", "And Ann Lee?")]


async def test_the_engine_sees_placeholders_and_the_reader_the_originals() -> None:
    engine = RemoteEngine(
        ReasoningDelta("[PER"), ReasoningDelta("SON-1] has 25"),
        ContentDelta("Dear [PERSON"), StreamRestart(),
        ContentDelta("[PERSON-"), ContentDelta("1] has 25 days [1], says [EMAIL-1"), ContentDelta("]. [x"),
        StreamEnd("stop"),
    )  # fmt: skip
    deltas = [one async for one in mask(engine).stream(MESSAGES, Sampling(), request_id="a")]
    assert engine.asked == ["[PERSON-1], [EMAIL-1]: how many days?", "And [PERSON-1]?"]
    after = deltas[deltas.index(StreamRestart()) + 1 :]
    assert "".join(one.text for one in after if isinstance(one, ContentDelta)) == (
        "Ann Lee has 25 days [1], says ann@example.com. [x"
    )
    assert "".join(one.text for one in deltas if isinstance(one, ReasoningDelta)) == "Ann Lee has 25"
    assert deltas[-1] == StreamEnd("stop")


async def test_closing_the_stream_closes_the_engine_s() -> None:
    engine = RemoteEngine(ContentDelta("a"), ContentDelta("b"))
    stream = mask(engine).stream(MESSAGES, Sampling(), request_id="a")
    await anext(stream)
    await stream.aclose()
    assert engine.closed


async def test_a_judge_sees_placeholders_too() -> None:
    engine = RemoteEngine()
    await mask(engine).score_options(MESSAGES, ["yes"], request_id="a", timeout_s=1.0)
    assert "Ann" not in str(engine.asked)


def test_a_part_of_the_context_is_kept_for_placeholders() -> None:
    assert mask(RemoteEngine()).context_tokens == 30_720
    assert mask(RemoteEngine()).count_tokens("Ann Lee has") == 3


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:30000", True),
        ("http://[::1]:30000/v1", True),
        ("http://localhost:1", True),
        ("http://10.0.0.5:30000", False),
        ("https://gpu.example/v1", False),
    ],
)
def test_engines_on_this_machine_are_known(url: str, *, expected: bool) -> None:
    assert is_loopback(url) is expected
