"""The prefix cache: how much of a prompt the engine has read before, in follow-ups and over the same passages.

The real search over our own documentation, the real answering room and the real SGLang on this machine's CPU; only the
engine's status is made to say that it is no stand-in, so that prompts are those that an R1 gets, and answers are cut
after a few tokens, because prompts are what is measured. Shares are ``cached_tokens`` of ``prompt_tokens`` as SGLang
reports them, summed over the questions of a kind; the first question of a conversation is not counted.

    scripts/bench_cache.py [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer, Search
from bot.answering.events import Exchange, Question, Sources
from bot.app import answerer_of, engine_of, library_of
from bot.settings import load
from engine.interfaces import ANYBODY, Asker, Content, Delta, Done, Message, Sampling, State, Status, Usage
from engine.service import Engine
from knowledge.interfaces import SearchResult

ROOT = Path(__file__).parent.parent
TARGET = {"follow-ups": 0.8, "same passages": 0.5}
ANSWER_TOKENS = 8

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
class Watched:
    """The engine as the answering room sees it, with the usage of each request kept."""

    engine: Engine
    used: list[Usage] = field(default_factory=list)

    @property
    def context_tokens(self) -> int:
        """Return the engine's own."""
        return self.engine.context_tokens

    def status(self) -> Status:
        """Return the engine's own, as no stand-in's."""
        return replace(self.engine.status(), stand_in=False)

    def count_tokens(self, text: str) -> int:
        """Count with the engine's own vocabulary."""
        return self.engine.count_tokens(text)

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling, *, request_id: str, asker: Asker = ANYBODY
    ) -> AsyncGenerator[Delta, None]:
        """Stream a short answer; rewrites of questions, which have no passages, go by the rule instead."""
        if request_id.startswith("rewrite-"):
            yield Content("")
            yield Done("stop")
            return
        short = replace(sampling, max_tokens=ANSWER_TOKENS, temperature=0.0)
        async with aclosing(self.engine.stream(messages, short, request_id=request_id, asker=asker)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Done):
                    self.used.append(delta.usage)
                yield delta


async def asked(answerer: Answerer, question: Question) -> str:
    """Ask; return the beginning of the best passage, as what an answer would have said."""
    said = ""
    async with aclosing(answerer.answer(question)) as events:
        async for event in events:
            if isinstance(event, Sources) and event.passages:
                said = event.passages[0].text[:300]
    return said


async def followed(answerer: Answerer, engine: Watched) -> list[Usage]:
    """Hold every conversation; return what its follow-ups used."""
    used: list[Usage] = []
    for number, questions in enumerate(CONVERSATIONS):
        history: list[Exchange] = []
        for turn, text in enumerate(questions):
            before = len(engine.used)
            said = await asked(
                answerer, Question(text, tuple(history), conversation=f"c{number}", id=f"c{number}-{turn}")
            )
            history.append(Exchange(text, said))
            used += engine.used[before:] if turn else []
    return used


async def same_passages(library_search: Search, engine: Watched, embed: object) -> list[Usage]:
    """Ask different questions whose search brings the same eight passages, each time in another order of rank."""
    found: SearchResult | None = None

    async def search(query: str, *, limit: int, readers: Collection[str]) -> SearchResult:
        nonlocal found
        if found is None:
            found = await library_search(query, limit=limit, readers=readers)
        turned = len(engine.used) % len(found.hits)
        return replace(found, hits=(*found.hits[turned:], *found.hits[:turned]))

    answerer = Answerer(search, engine, embed)  # type: ignore[arg-type]
    before = len(engine.used)
    for number, text in enumerate(ON_ONE_SUBJECT):
        await asked(answerer, Question(text, id=f"s{number}"))
    return engine.used[before + 1 :]


def share(used: Sequence[Usage]) -> float:
    """Return how much of the prompts was in the cache."""
    return sum(one.cached_tokens or 0 for one in used) / max(1, sum(one.prompt_tokens or 0 for one in used))


async def measured(scratch: Path) -> dict[str, dict[str, Any]]:
    """Measure both kinds."""
    settings = load({"KVASIR_HOME": str(scratch / "home")}, scratch, docs=ROOT / "docs")
    async with AsyncExitStack() as stack:
        engine = engine_of(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(library_of(settings))
        await library.refresh(None, lambda _: None)
        status = await engine.wait_ready(300)
        if status.state is not State.READY:
            raise SystemExit(f"No engine, no figures: {status.detail}")
        watched = Watched(engine)
        used = {
            "follow-ups": await followed(answerer_of(library, watched), watched),  # type: ignore[arg-type]
            "same passages": await same_passages(library.search, watched, library.embed_queries),
        }
        return {
            kind: {
                "share": round(share(found), 3),
                "questions": len(found),
                "prompt_tokens": sum(one.prompt_tokens or 0 for one in found),
                "each": [round(share([one]), 2) for one in found],
            }
            for kind, found in used.items()
        }


def main() -> int:
    """Measure, print, and fail where a target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--json", action="store_true")
    told = arguments.parse_args()
    logs.configure(secrets=(), level=logs.WARNING)
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        figures = asyncio.run(measured(Path(scratch)))
    if told.json:
        print(json.dumps(figures))
    else:
        for kind, one in figures.items():
            total = f"{one['prompt_tokens']} tokens in {one['questions']} prompts"
            print(f"{kind}: {one['share']:.1%} of {total}, each {one['each']}")
    return int(any(figures[kind]["share"] < least for kind, least in TARGET.items()))


if __name__ == "__main__":
    raise SystemExit(main())
