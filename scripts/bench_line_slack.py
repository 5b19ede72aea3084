"""Ask many questions at once through Slack: each must get exactly one answer or one reason.

It uses the workspace on this machine with so many people, the bot as `kvasir run` starts it, and this repository's
documentation. The engine is that of this machine (a small model without a GPU). All people post an equal part at the
same moment, each question in its own thread. The printed JSON object has the times, and the numbers of answers and of
other replies with their first words. It also has those of questions without a reply or with several.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil

from bot.sandbox.state.model import SlackPerson
from tests.slack_sandbox import BOT_ID, Json, SandboxClient, open_sandbox

ROOT = Path(__file__).parent.parent
CHANNEL = "#general"
LINE = "in line for the engine"
NOTICE = re.compile(rf"_ℹ️ (?!.*{LINE})")
"""Begins a line with the reason why the engine did not answer."""
ABOUT = (
    "How do I add a source?",
    "Which tokens does Slack need?",
    "Where is the state kept?",
    "How is the engine restarted?",
    "What does /kb do?",
    "How do I set the metrics port?",
)


async def invite_people(box: SandboxClient, people: int) -> None:
    """Add so many people to the channel."""
    assert box.hub is not None
    workspace = box.hub.workspace
    for number in range(people):
        person = SlackPerson(f"U0GUEST{number:03}", f"guest{number}", f"Guest {number}")
        workspace.people[person.id] = person
        workspace.add_member(person.id, workspace.find_channel(CHANNEL).id)


def find_replies(messages: list[Json], roots: set[str]) -> dict[str, list[Json]]:
    """Return the bot's complete replies to each question."""
    found: dict[str, list[Json]] = {root: [] for root in roots}
    for message in messages:
        mine = message["root"] in roots and message.get("bot_id") == BOT_ID and message.get("metadata")
        if mine and message.get("stream") != "streaming":
            found[message["root"]].append(message)
    return found


async def ask_questions(
    box: SandboxClient, process: psutil.Process, questions: int, people: int, deadline_s: float
) -> dict[str, Any]:
    """Post all questions and wait for a reply to each."""
    names = [f"guest{number}" for number in range(people)]
    began, before = time.monotonic(), process.memory_info().rss
    said = [box.say(names[n % people], CHANNEL, f"@Kvasir {ABOUT[n % len(ABOUT)]} ({n})") for n in range(questions)]
    roots = set(await asyncio.gather(*said))
    after: dict[str, float] = {}
    most = before
    while len(after) < questions and time.monotonic() - began < deadline_s:
        for root, found in find_replies(await box.messages(CHANNEL), roots).items():
            if found:
                after.setdefault(root, time.monotonic() - began)
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.5)
    await asyncio.sleep(3.0)  # a second reply would arrive meanwhile
    last = find_replies(await box.messages(CHANNEL), roots)
    texts = [str(found[0].get("text", "")) for found in last.values() if found]
    notices = [[line for line in text.splitlines() if NOTICE.match(line)] for text in texts]
    return {
        "questions": questions,
        "people": people,
        "answered": sum(not said for said in notices),
        "told": dict(Counter(said[-1] for said in notices if said)),
        "was told its place in line": sum(LINE in text for text in texts),
        "without": sum(not found for found in last.values()),
        "twice": sum(len(found) > 1 for found in last.values()),
        "seconds_median": round(statistics.median(after.values()), 1) if after else None,
        "seconds_last": round(max(after.values()), 1) if after else None,
        "bot_mib": {"before": before >> 20, "most": most >> 20, "after": process.memory_info().rss >> 20},
    }


async def measure_rounds(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Start the workspace and the bot, wait for the engine, and ask in rounds."""
    async with open_sandbox(scratch) as box:
        environ = {"KVASIR_HOME": str(scratch / "home"), **os.environ, **box.env}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", "--docs", str(ROOT / "docs"), cwd=ROOT, env=environ,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            waits_for, said = {b"knowledge: docs", b"engine: ready"}, b""
            async with asyncio.timeout(300):
                while waits_for and (line := await process.stderr.readline()):
                    waits_for -= {begins for begins in waits_for if line.startswith(begins) and b"%" not in line}
                    said = (said + line)[-2000:]
            if waits_for:
                raise SystemExit(f"The bot ended before it could be asked:\n{said.decode(errors='replace')}")
            rest = asyncio.create_task(process.stderr.read())
            await invite_people(box, options.people)
            bot = psutil.Process(process.pid)
            found = [
                await ask_questions(box, bot, options.questions, options.people, options.deadline_s)
                for _ in range(options.times)
            ]
            process.terminate()
            await rest
            return found
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--deadline-s", type=float, default=600.0)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as name:
        results = asyncio.run(measure_rounds(options, Path(name)))
    print(json.dumps(results, indent=2, ensure_ascii=False))
    raise SystemExit(int(any(one["without"] or one["twice"] for one in results)))
