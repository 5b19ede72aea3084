"""Fakes for the tests of answering: a scripted engine, search and checker, and an embedder of word overlap."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import AnswerEvent, Exchange, Finished, Notice, Passage, Question, Sources, Text
from bot.answering.limits import Limits
from bot.answering.support.checker import feature_checkers
from bot.answering.support.claims import content_words
from bot.answering.support.embedding_cache import Embed
from bot.answering.support.interfaces import SupportChecker, Verdict
from bot.answering.support.quantities import normalise_text
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    EngineStatus,
    Requester,
    Sampling,
    StreamEnd,
)
from knowledge.embedding import IDENTITY, find_calibration
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Hit, LiveWebRequest, SearchResult, Viewers, WebSearchReport

LEAVE = (
    "Employees receive 25 days of paid annual leave per calendar year. Requests must be entered in the HR portal at "
    "least ten working days before the first day off and need the approval of the line manager. Up to five unused days "
    "may be carried over, but they expire on 31 March of the following year."
)
EXPENSES = (
    "Expense claims are submitted through Ledgerly within 30 days of the purchase. Receipts are required for every "
    "item above 20 euros. Alcohol is not reimbursed."
)

CHINESE_LEAVE = "员工每年享有十五天带薪年假。请假须至少提前五个工作日在系统中申请，由部门经理审批。试用期内不得休年假。"


async def embed_bag_of_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors whose similarity grows with shared words, from 0.75 to 1 as with the real embedder."""
    out = np.zeros((len(texts), 513), np.float32)
    for row, text in enumerate(texts):
        for word in content_words(normalise_text(text)) or {"nothing"}:
            digest = hashlib.sha256(word.encode()).digest()
            out[row, 1 + int.from_bytes(digest[:2], "big") % 512] += 1.0
        out[row] *= 0.5 / max(1e-6, float(np.linalg.norm(out[row])))
        out[row, 0] = 0.75**0.5
    return out


class ScriptedEngine:
    """A ``ChatEngine`` that streams its script of deltas, and raises exceptions in it."""

    def __init__(
        self,
        script: Sequence[Delta | Exception] | Callable[[], AsyncIterator[Delta]] = (),
        *,
        status: EngineStatus | None = None,
        context_tokens: int = 32_768,
    ) -> None:
        self.script = script
        self._status = status or EngineStatus(EngineState.READY, model="scripted")
        self.context_tokens = context_tokens
        self.asked: list[tuple[tuple[ChatMessage, ...], Sampling, str]] = []
        self.askers: list[Requester] = []
        self.streams_open = 0
        self.streams_closed = 0
        self.sent = 0

    def status(self) -> EngineStatus:
        return self._status

    def count_tokens(self, text: str) -> int:
        return len(text.encode()) // 4 + 1

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncIterator[Delta]:
        self.asked.append((tuple(messages), sampling, request_id))
        self.askers.append(requester)
        self.streams_open += 1
        try:
            if callable(self.script):
                async for delta in self.script():
                    self.sent += 1
                    yield delta
                return
            for item in self.script:
                await asyncio.sleep(0)
                if isinstance(item, Exception):
                    raise item
                self.sent += 1
                yield item
        finally:
            self.streams_open -= 1
            self.streams_closed += 1


class ScriptedChecker:
    """A ``SupportChecker`` with a verdict for each text that a sentence contains, and ``other`` for the rest."""

    def __init__(self, verdicts: Mapping[str, Verdict] | None = None, other: Verdict | None = None) -> None:
        self._verdicts = verdicts or {}
        self._other = other or Verdict("supported", (1,), score=1.0)
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    async def prepare(self, passages: Sequence[Passage], question: str = "") -> None:
        del passages, question

    async def check_sentence(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        self.asked.append((sentence, tuple(cited)))
        return next((verdict for words, verdict in self._verdicts.items() if words in sentence), self._other)


def words(text: str, *, finish: Any = "stop", size: int = 4) -> list[Delta]:
    """Return a model's answer in small deltas."""
    return [*(ContentDelta(text[i : i + size]) for i in range(0, len(text), size)), StreamEnd(finish)]


def hit(text: str, name: str = "leave", **kwargs: Any) -> Hit:
    folder = "hr" if name == "leave" else "money"  # so that leave's place is the first
    values: dict[str, Any] = {
        "id": name, "source": "docs", "document": f"{folder}/{name}.md", "title": name.capitalize(), "heading": "",
        "url": f"https://docs.example/{name}", "text": text, "score": 0.9, "confidence": 0.9,
        "synced_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Hit(**(values | kwargs))


class ScriptedSearch:
    """A search that returns its hits, or raises its error."""

    def __init__(
        self,
        hits: Sequence[Hit],
        *,
        answerable: bool = True,
        error: Exception | None = None,
        web: WebSearchReport | None = None,
        trouble: KnowledgeError | None = None,
        related: bool = True,
    ) -> None:
        self.hits, self.answerable, self.error, self.trouble = tuple(hits), answerable, error, trouble
        self.related = related
        self.queries: list[tuple[str, Viewers]] = []
        self.lives: list[LiveWebRequest | None] = []
        self.web = web

    async def __call__(
        self, query: str, *, limit: int, viewers: Viewers, live: LiveWebRequest | None = None, **_: object
    ) -> SearchResult:
        self.queries.append((query, viewers))
        self.lives.append(live)
        if self.error:
            raise self.error
        hits = self.hits[:limit]
        return SearchResult(query, hits, 0.01, self.answerable, self.web, self.trouble, related=self.related)

    def get_request(self, number: int) -> LiveWebRequest:
        """Return what a search, counted from 0, asked of the web."""
        request = self.lives[number]
        assert request is not None
        return request


class RecordedAnswer:
    """The events of one answer by kind."""

    def __init__(self, events: Sequence[AnswerEvent]) -> None:
        self.events = list(events)
        self.text = "".join(event.markdown for event in events if isinstance(event, Text))
        self.notices = [event.text for event in events if isinstance(event, Notice)]
        self.sources = [event for event in events if isinstance(event, Sources)]
        self.finished = [event for event in events if isinstance(event, Finished)]

    @property
    def route(self) -> str:
        return self.finished[0].route

    @property
    def cited(self) -> list[int]:
        return [passage.n for passage in self.finished[0].cited]


class Ask(Protocol):
    """Answers a question with fakes and records the events; ``more`` has fields of ``Asker`` and ``Question``."""

    async def __call__(
        self,
        engine: ScriptedEngine | None = None,
        *,
        question: str = ...,
        search: ScriptedSearch | None = None,
        history: Sequence[Exchange] = (),
        limits: Limits | None = None,
        embed: Embed = ...,
        checker: SupportChecker | None = None,
        **more: Any,
    ) -> RecordedAnswer: ...


class Room:
    """The helpers of this module, for tests that build their own fakes."""

    engine = ScriptedEngine
    checker = ScriptedChecker
    search = ScriptedSearch
    embed = staticmethod(embed_bag_of_words)
    new_checker = staticmethod(feature_checkers(embed_bag_of_words, find_calibration(IDENTITY).support))
    words = staticmethod(words)
    hit = staticmethod(hit)
    absent = EngineStatus(EngineState.ABSENT)
    leave, expenses, chinese_leave = LEAVE, EXPENSES, CHINESE_LEAVE


@pytest.fixture
def ask() -> Ask:
    """Return a function that answers a question with fakes and records the events."""

    async def run(
        engine: ScriptedEngine | None = None,
        *,
        question: str = "How many days of annual leave do I get?",
        search: ScriptedSearch | None = None,
        history: Sequence[Exchange] = (),
        limits: Limits | None = None,
        embed: Embed = embed_bag_of_words,
        checker: SupportChecker | None = None,
        **more: Any,
    ) -> RecordedAnswer:
        search = search or ScriptedSearch([hit(LEAVE), hit(EXPENSES, "expenses")])
        made = feature_checkers(embed, find_calibration(IDENTITY).support)
        answerer = Answerer(
            search, engine or ScriptedEngine(), made if checker is None else lambda _judge=None: checker, limits=limits
        )
        asker = Asker(**{one.name: more.pop(one.name) for one in fields(Asker) if one.name in more})
        asked = Question(question, history=tuple(history), asker=asker, id="turn-1", **more)
        return RecordedAnswer([event async for event in answerer.answer(asked)])

    return run


@pytest.fixture(scope="session")
def room() -> type[Room]:
    """Return the helpers of this module."""
    return Room
