"""Measure turns: how fast a question in Slack reaches the engine, its answer reaches Slack, and how many fit a second.

Slack is ``scripts/bench_slack.py``. The engine quotes 600 words of its passages at once, each word a chunk
(``scripts/bench_answer.py``). Two minimal Bolt bots run for comparison, written as Slack's own
samples are. One calls Slack for each chunk of the engine, the other uses ``chat_stream`` with its buffer of 256
characters. Neither searches or verifies. All get the same questions and answers, twelve at a time and in turns, and the
ratios are computed within one run. A bot that does not read an answer to its end fails the run.

The rates show what each bot costs on loopback, where a call takes a fraction of a millisecond. With ``--slack-ms`` each
call takes so much longer, as it does over the internet.

``added`` asks one question at a time: how long a turn takes beyond the time of the engine, which is none here.

    scripts/bench_turns.py [--only paths rates burst added] [--rounds N] [--turns N] [--baseline-turns N] [--slack-ms N]
        [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer
from bot.answering.events import AnswerEvent, Question, Text
from bot.answering.support.checker import feature_checkers
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.posting.reply import ANSWER_EVENT
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.wire.rate_limits import RateLimits
from bot.slack.wire.settings import SlackSettings
from bot.slack.workspace.app import open_slack_app
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from engine.interfaces import ChatMessage, ContentDelta, Delta, EngineState, EngineStatus, Sampling
from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import Hit, LiveWebRequest, Matrix, SearchResult, Viewers
from knowledge.library import Library
from scripts.bench_answer import CHUNKS, QuotingEngine
from scripts.bench_slack import ask_questions, run_slack

WINDOW = 12
MEASURES = ("paths", "rates", "burst", "added")
BURST = 36
UNLIMITED = 1_000_000
DOCS = Path(__file__).parent.parent / "docs"
PASSAGE = (DOCS / "using.md").read_text(encoding="utf-8")[:16_000]


# ── The engine and the knowledge ─────────────────────────────────────────────────────────────────────────────────────


async def embed_as_constant(texts: Sequence[str]) -> Matrix:
    return np.full((len(texts), 384), 384**-0.5, np.float32)


class OpenLibrary:
    """A library whose documents everybody may read; ``/kb`` is not used here."""

    async def search(self, query: str, *, limit: int, viewers: Viewers) -> SearchResult:
        return await find_fixed_passage(query, limit=limit, viewers=viewers)

    async def count_readable(self, viewers: Viewers) -> Mapping[str, int]:
        del viewers
        return {}

    async def filter_current(self, chunks: Collection[str], viewers: Viewers) -> frozenset[str]:
        del viewers
        return frozenset(chunks)

    async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
        del query, person, others
        return False

    async def refresh(self, source: str | None = None, *, on_progress: object) -> Any:
        raise NotImplementedError

    async def status(self) -> dict[str, Any]:
        return {}


class RecordingAnswerer:
    """An answerer that records when it yields each text."""

    def __init__(self, inner: Answerer) -> None:
        self._inner = inner
        self.released: list[tuple[float, str]] = []

    async def answer(self, question: Question) -> AsyncIterator[AnswerEvent]:
        async for event in self._inner.answer(question):
            if isinstance(event, Text):
                self.released.append((time.perf_counter(), event.markdown))
            yield event


async def find_fixed_passage(
    query: str, *, limit: int, viewers: Viewers, live: LiveWebRequest | None = None, **_: object
) -> SearchResult:
    del limit, viewers, live
    now = datetime.now(UTC)
    hit = Hit("1", "docs", "using.md", "Using", "Ask", "https://docs.example/using", PASSAGE, 1.0, 1.0, now)
    return SearchResult(query, (hit,), 0.0, answerable=True)


def create_answerer(engine: QuotingEngine) -> Answerer:
    """Return an answerer that always finds one passage, and embeds nothing."""
    return Answerer(find_fixed_passage, engine, feature_checkers(embed_as_constant, find_calibration(IDENTITY).support))


def create_real_answerer(library: Library, engine: QuotingEngine) -> Answerer:
    return Answerer(
        library.search, engine, feature_checkers(library.embedder.embed_symmetric, find_calibration(IDENTITY).support)
    )


# ── The two bots ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def run_kvasir(url: str, answerer: Any) -> AsyncIterator[None]:
    library = OpenLibrary()
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
            open_slack_app(
                SlackSettings("xoxb-bench", app_token="xapp-bench", api_url=f"{url}/api/"),
                SlackDependencies(
                    ledger,
                    SharedChanges(ledger.database),
                    answerer,
                    library,
                    library.search,
                    lambda: EngineStatus(EngineState.READY),
                ),
                # The Slack here has no rate limits, so that the work of a turn counts and not the wait for a limit.
                capabilities=SlackCapabilities(limits=RateLimits(scale=UNLIMITED)),
            ) as app,
        ):
            await app.connect()
            yield


@contextlib.asynccontextmanager
async def run_bolt_bot(url: str, engine: QuotingEngine, *, buffer_size: int | None = None) -> AsyncIterator[None]:
    """Run a bot as in Slack's samples: one call for each chunk, or ``chat_stream`` with a buffer."""
    client = AsyncWebClient(token="xoxb-bench", base_url=f"{url}/api/")
    app = AsyncApp(client=client, token="xoxb-bench", signing_secret="")

    @app.event("app_mention")
    async def mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        place = {"channel": event["channel"], "thread_ts": event["ts"]}
        person = {"recipient_user_id": "U1", "recipient_team_id": "T1"}
        messages = [ChatMessage("user", f"<passage 1: Using>\n{PASSAGE}\n</passage>\n{event['text']}")]
        deltas = engine.stream(messages, Sampling(), request_id="")
        if buffer_size is None:
            await send_chunks(client, place | person, deltas)
        else:
            streamer = await client.chat_stream(buffer_size=buffer_size, **place, **person)
            async for delta in deltas:
                if isinstance(delta, ContentDelta):
                    await streamer.append(markdown_text=delta.text)
            await streamer.stop()

    handler = AsyncSocketModeHandler(app, "xapp-bench", web_client=client)
    handler.client.web_client = client
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


async def send_chunks(client: AsyncWebClient, target: dict[str, str], deltas: AsyncIterator[Delta]) -> None:
    """Stream an answer with one call for each chunk."""
    started = await client.chat_startStream(**target)
    where = {"channel": target["channel"], "ts": started["ts"]}
    async for delta in deltas:
        if isinstance(delta, ContentDelta):
            await client.chat_appendStream(markdown_text=delta.text, **where)
    await client.chat_stopStream(**where)


# ── Measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def ask(url: str, turns: int, *, window: int = WINDOW, ending: str = ANSWER_EVENT) -> dict[str, Any]:
    return await ask_questions(url, turns, window=window, ending=ending)


def compute_percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    p95 = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    return {"p50_ms": round(statistics.median(ordered) * 1e3, 2), "p95_ms": round(p95 * 1e3, 2)}


async def measure_paths(url: str) -> dict[str, Any]:
    """Return the times from envelope to engine and from sentence to Slack, one question at a time."""
    engine = QuotingEngine(pauses=True)
    answerer = RecordingAnswerer(create_answerer(engine))
    async with run_kvasir(url, answerer):
        await ask(url, 20, window=1)
        times = await ask(url, 200, window=1)
        inward = [engine.reached[number] - at for number, at in times["sent"].items()]
        answerer.released.clear()
        times = await ask_questions(url, 100, window=1, ending=ANSWER_EVENT, bodies=True)
    firsts: list[float] = []
    for at, method, _body in times["bodies"]:
        if method == "chat.startStream":
            released = [moment for moment, _ in answerer.released if moment <= at]
            # The first sentence of this answer is the earliest one since the last answer's end.
            since = max((moment for moment in times["ends"] if moment < at), default=0.0)
            firsts.append(at - min(moment for moment in released if moment > since))
    return {"envelope_to_engine": compute_percentiles(inward), "sentence_to_slack": compute_percentiles(firsts)}


@dataclass(frozen=True)
class Contestant:
    """A bot of the comparison."""

    run: Callable[[str, QuotingEngine], contextlib.AbstractAsyncContextManager[None]]
    turns: int
    ending: str = ANSWER_EVENT


@contextlib.asynccontextmanager
async def open_knowledge() -> AsyncIterator[Library]:
    """Open a library with this repository's documentation."""
    with tempfile.TemporaryDirectory() as folder:
        config = f'[[source]]\nname = "docs"\nkind = "folder"\npath = "{DOCS}"\n'
        (Path(folder) / "kvasir.toml").write_text(config, encoding="utf-8")
        environ = {**os.environ, "KVASIR_HOME": f"{folder}/home"}
        async with open_configured_library(load_settings(environ, Path(folder))) as library:
            await library.refresh()
            yield library


async def measure_rates(rounds: int, turns: int, baseline_turns: int, slack_ms: int) -> dict[str, Any]:
    """Return turns a second of the bots, which answer in turns, and the medians of the ratios of each round."""
    async with open_knowledge() as library:
        contestants = {
            "one_call_a_chunk": Contestant(run_bolt_bot, baseline_turns, ""),
            "chat_stream_256": Contestant(partial(run_bolt_bot, buffer_size=256), turns, ""),
            "kvasir": Contestant(lambda url, engine: run_kvasir(url, create_real_answerer(library, engine)), turns),
            "kvasir_fixed_passage": Contestant(lambda url, engine: run_kvasir(url, create_answerer(engine)), turns),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        calls: dict[str, float] = {}
        for _ in range(rounds):
            for name, one in contestants.items():
                engine = QuotingEngine()
                async with run_slack(call_s=slack_ms / 1000) as url, one.run(url, engine):
                    await ask(url, WINDOW, ending=one.ending)
                    times = await ask(url, one.turns, ending=one.ending)
                if engine.read != WINDOW + one.turns:
                    raise RuntimeError(f"{name} read {engine.read} of {WINDOW + one.turns} answers to their end")
                rates[name].append(one.turns / times["seconds"])
                calls[name] = round(times["calls"] / one.turns, 1)
    ratios = {
        f"{ours}_to_{theirs}": round(
            statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True)), 2
        )
        for ours in ("kvasir", "kvasir_fixed_passage")
        for theirs in ("one_call_a_chunk", "chat_stream_256")
    }
    rounded = {name: [round(rate, 1) for rate in found] for name, found in rates.items()}
    return {
        "turns_per_s": rounded,
        "calls_per_turn": calls,
        "ratios": ratios,
        "chunks": CHUNKS,
        "slack_ms": slack_ms,
    }


async def measure_burst(turns: int) -> dict[str, Any]:
    """Return turns a second with real retrieval and verification: in the first burst, then steadily."""
    async with open_knowledge() as library, run_slack() as url:
        answerer = create_real_answerer(library, QuotingEngine())
        async with run_kvasir(url, answerer):
            await ask(url, 2)
            burst = await ask(url, BURST)
            cpu_s = time.process_time()
            steady = await ask(url, turns)
            cpu_s = time.process_time() - cpu_s
    return {
        "burst_turns_per_s": round(BURST / burst["seconds"], 2),
        "steady_turns_per_s": round(turns / steady["seconds"], 2),
        "steady_cpu_ms_per_turn": round(cpu_s / turns * 1e3, 1),
    }


async def measure_added(turns: int) -> dict[str, Any]:
    """Return the time of a turn with real retrieval and verification, from its envelope to the end of its answer."""
    async with (
        open_knowledge() as library,
        run_slack() as url,
        run_kvasir(url, create_real_answerer(library, QuotingEngine(pauses=True))),
    ):
        await ask(url, 20, window=1)
        times = await ask_questions(url, turns, window=1, ending=ANSWER_EVENT, bodies=True)
    return compute_percentiles([end - at for at, end in zip(times["sent"].values(), times["ends"], strict=True)])


async def measure_all_paths() -> dict[str, Any]:
    async with run_slack() as url:
        return await measure_paths(url)


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    measures = {
        "paths": measure_all_paths,
        "rates": partial(
            measure_rates, arguments.rounds, arguments.turns, arguments.baseline_turns, arguments.slack_ms
        ),
        "burst": partial(measure_burst, arguments.turns),
        "added": partial(measure_added, arguments.turns),
    }
    return {name: await measure() for name, measure in measures.items() if name in arguments.only}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--baseline-turns", type=int, default=36)
    parser.add_argument("--slack-ms", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs.configure_logging(sys.stderr)
    print(json.dumps(asyncio.run(main(options)), indent=None if options.json else 2))
