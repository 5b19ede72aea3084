"""Measure what people see while Kvasir answers: the first sign, the calls of an answer, and Slack's rate limits.

Slack is the sandbox with Slack's exact rate limits. A scripted engine thinks, then writes 600 tokens in sentences. For
comparison with the first sign, a minimal Bolt bot streams each answer with ``chat_stream``.

    scripts/bench_progress.py [--at-once N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.events import AnswerEvent, Finished, Passage, Question, Sources, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.wire.rate_limits import RateLimits
from tests.slack.running_bot import Script, run_bot_in_sandbox
from tests.slack_sandbox import SandboxClient, open_sandbox

FIRST_SIGN_QUESTIONS = 30
TOKENS, TOKENS_PER_SENTENCE, TOKENS_PER_S = 600, 20, 40
THINKING_S = 3.0
SENTENCE = "Every member of staff has thirty days of leave a year, and asks for them in the portal. "
PASSAGE = Passage(1, "docs", "leave.md", "Leave", "Days", "https://docs.example/leave", "Thirty days.", chunks=("c1",))
SIGNS = {
    "agents.sessions.setStatus",
    "assistant.threads.setStatus",
    "chat.startStream",
    "chat.postMessage",
}
"""The calls after which a person sees something."""


def make_script(thinking_s: float = THINKING_S, tokens_per_s: float = TOKENS_PER_S) -> Script:
    """Return an answerer that thinks and writes 600 tokens."""

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Step("is searching the documents…", "search")
        yield Sources((PASSAGE,))
        yield Step("is reading 1 passages…", "read")
        yield Step("is thinking…", "think")
        await asyncio.sleep(thinking_s)
        yield Step("is writing and checking the answer…", "write")
        for number in range(TOKENS // TOKENS_PER_SENTENCE):
            await asyncio.sleep(TOKENS_PER_SENTENCE / tokens_per_s)
            yield Text(f"{SENTENCE}[1] ", (PASSAGE,) if number == 0 else ())
        yield Finished("engine", (PASSAGE,), {"total": 0.0}, reasoning="Let me see.")

    return script


async def add_channels(sandbox: SandboxClient, count: int) -> list[str]:
    """Return the ids of so many channels with Ada."""
    ids = [f"C0BENCH{number:03}" for number in range(count)]
    members = ["U0ADA00001", "U0KVASIR01"]
    await sandbox.world(
        channels=[{"id": id_, "name": f"bench-{id_.lower()}", "kind": "channel", "members": members} for id_ in ids]
    )
    return ids


async def ask_at_once(sandbox: SandboxClient, channels: Sequence[str]) -> list[tuple[str, str]]:
    """Ask one question in each channel; return channels and timestamps."""
    texts = [f"@Kvasir how many days of leave, number {number}?" for number in range(len(channels))]
    questions = await asyncio.gather(
        *(sandbox.say("ada", one, text) for one, text in zip(channels, texts, strict=True))
    )
    return list(zip(channels, questions, strict=True))


async def wait_for_ends(sandbox: SandboxClient, questions: Sequence[tuple[str, str]], within_s: float) -> None:
    """Wait until each question has a complete answer."""
    for channel, ts in questions:
        await sandbox.wait_for_message(
            lambda m, ts=ts: m["root"] == ts and m.get("metadata"), within_s, channel=channel
        )


def find_thread(call: Mapping[str, Any]) -> str:
    return str(call["args"].get("thread_ts") or "")


def compute_first_signs_ms(calls: Sequence[Mapping[str, Any]], questions: Sequence[tuple[str, str]]) -> list[float]:
    """Return the times from the questions to the first calls that show something, sorted."""
    firsts: dict[str, float] = {}
    for call in calls:
        if call["method"] in SIGNS and not call["error"]:
            firsts.setdefault(find_thread(call), call["at"] + call["seconds"])
    return sorted((firsts[ts] - float(ts)) * 1e3 for _, ts in questions)


def summarize(values: Sequence[float]) -> dict[str, float]:
    at = max(0, round(len(values) * 0.95) - 1)
    return {"p50_ms": round(values[len(values) // 2], 1), "p95_ms": round(values[at], 1)}


@contextlib.asynccontextmanager
async def run_minimal_bot(sandbox: SandboxClient) -> AsyncIterator[None]:
    """Run a bot as in Slack's samples: its first call is the stream's start."""
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    app = AsyncApp(client=client, token=sandbox.bot_token, signing_secret="")

    @app.event("app_mention")
    async def mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        stream = await client.chat_stream(
            channel=event["channel"], thread_ts=event["ts"], recipient_user_id=event["user"],
            recipient_team_id=event["team"], buffer_size=1,
        )  # fmt: skip
        await stream.append(markdown_text="Thinking…")
        await stream.stop()

    handler = AsyncSocketModeHandler(app, sandbox.app_token, web_client=client)
    handler.client.web_client = client
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


async def measure_first_sign(folder: Path) -> dict[str, Any]:
    """Return the time to the first sign with many questions at once, for both bots."""
    limits = SlackCapabilities(limits=RateLimits())
    async with run_bot_in_sandbox(folder / "ours", "socket", script=make_script(0.5, 1e6), capabilities=limits,
                                  sandbox_options={"pace": "exact"}) as bot:  # fmt: skip
        channels = await add_channels(bot.sandbox, FIRST_SIGN_QUESTIONS)
        await wait_for_ends(bot.sandbox, await ask_at_once(bot.sandbox, channels[:1]), 60)
        questions = await ask_at_once(bot.sandbox, channels)
        await wait_for_ends(bot.sandbox, questions, 200)
        ours = summarize(compute_first_signs_ms(await bot.sandbox.requests(), questions))
    async with open_sandbox(folder / "minimal") as sandbox, run_minimal_bot(sandbox):
        channels = await add_channels(sandbox, FIRST_SIGN_QUESTIONS)
        await sandbox.wait_connected()
        questions = await ask_at_once(sandbox, channels)
        await asyncio.sleep(5.0)
        minimal = summarize(compute_first_signs_ms(await sandbox.requests(), questions))
    return {"kvasir": ours, "minimal": minimal, "ratio": round(ours["p95_ms"] / minimal["p95_ms"], 2)}


async def measure_calls(folder: Path) -> dict[str, Any]:
    """Return the calls of one answer of 600 tokens, at two speeds."""
    found: dict[str, Any] = {}
    for speed in (TOKENS_PER_S, 15):
        limits = SlackCapabilities(limits=RateLimits())
        async with run_bot_in_sandbox(folder / f"calls{speed}", "socket", script=make_script(0.0, 1e6),
                                      capabilities=limits, sandbox_options={"pace": "exact"}) as bot:  # fmt: skip
            await wait_for_ends(bot.sandbox, [("#general", await bot.ask())], 60)  # the caches are warm now
            await bot.wait_until_idle()
            before = len(await bot.sandbox.requests())
            bot.answerer.script = make_script(THINKING_S, speed)
            await wait_for_ends(bot.sandbox, [("#general", await bot.ask())], 120)
            await bot.wait_until_idle()
            calls = Counter(call["method"] for call in (await bot.sandbox.requests())[before:])
            found[f"{speed}_tokens_per_s"] = {"calls": calls.total(), **calls}
    return found


async def measure_at_once(folder: Path, count: int) -> dict[str, Any]:
    """Return how many calls Slack refuses in many answers at once, half of them in one channel."""
    limits = SlackCapabilities(limits=RateLimits())
    async with run_bot_in_sandbox(folder / "many", "socket", script=make_script(), capabilities=limits,
                                  sandbox_options={"pace": "exact"}) as bot:  # fmt: skip
        channels = await add_channels(bot.sandbox, count // 2 + 1)
        began = time.monotonic()
        questions = await ask_at_once(bot.sandbox, [*channels[1:], *channels[:1] * (count - count // 2)])
        await wait_for_ends(bot.sandbox, questions, 500)
        seconds = time.monotonic() - began
        await bot.wait_until_idle()
        calls = await bot.sandbox.requests()
    refused = Counter(call["method"] for call in calls if call["error"] == "ratelimited")
    return {
        "answers": count,
        "refused": refused.total(),
        **{f"refused {method}": number for method, number in refused.items()},
        "seconds_to_the_last_end": round(seconds, 1),
        "calls_per_answer": round(len(calls) / count, 1),
        "streamed": sum(call["method"] == "chat.startStream" for call in calls),
    }


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("ours", "minimal", f"calls{TOKENS_PER_S}", "calls15", "many"):
            (folder / name).mkdir()
        return {
            "first_sign": await measure_first_sign(folder),
            "calls": await measure_calls(folder),
            "at_once": await measure_at_once(folder, arguments.at_once),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs.configure_logging(sys.stderr)
    print(json.dumps(asyncio.run(main(options)), indent=None if options.json else 2))
