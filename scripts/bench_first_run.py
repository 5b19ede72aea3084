"""Time the steps of a first `make run`, for one or several revisions of this repository, in turns.

Each start has a fresh clone and a state folder of its own, over the same documents. Packages, models and the engine's
environment are in the caches, which a first, uncounted round fills. Four moments are measured from `make run` on: the
page is open, the documents are read, the first question has its answer, the engine is ready. The question is asked as
soon as the page is open.

    scripts/bench_first_run.py REVISION [REVISION ...] [--docs FOLDER] [--rounds N] [--cache FOLDER] [--filled]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent
DEADLINE_S = 600.0
PAGE = re.compile(r"answers at (http://\S+)")
LINES = {
    "page": PAGE,
    "documents": re.compile(r"^knowledge: .*\b(added|unchanged)\b"),
    "engine": re.compile(r"^engine: ready\b"),
}
STEPS = (*LINES, "answer")
SOURCES = "Sources"
"""The heading of an answer's sources."""


def clone_revision(revision: str, folder: Path) -> None:
    """Clone a revision."""
    git = shutil.which("git") or "git"
    commit = subprocess.run([git, "-C", str(ROOT), "rev-parse", revision], check=True, capture_output=True, text=True)
    subprocess.run([git, "clone", "-q", "--shared", "--no-checkout", str(ROOT), str(folder)], check=True)
    subprocess.run([git, "-C", str(folder), "checkout", "-q", "--detach", commit.stdout.strip()], check=True)


async def first_answer(home: Path, url: str, question: str) -> str:
    """Ask the question; return the complete reply."""
    token = json.loads((home / "sandbox/credentials.json").read_text(encoding="utf-8"))["control_token"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        lines = {"person": "ada", "channel": "#general", "text": f"@Kvasir {question}"}
        async with session.post(f"{url}/sandbox/say", json=lines) as answer:
            ts = (await answer.json())["ts"]
        while True:
            async with session.get(f"{url}/sandbox/messages", params={"channel": "#general"}) as answer:
                messages = (await answer.json())["messages"]
            for message in messages:
                if message["root"] == ts and message.get("bot_id") and message.get("metadata"):
                    return json.dumps(message, ensure_ascii=False)
            await asyncio.sleep(0.1)


@dataclass
class Start:
    """One start: the time of each step, and the printed lines."""

    home: Path
    question: str
    began: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    answer: str = ""

    def record_step(self, step: str) -> None:
        """Record the time of a step, once."""
        self.seconds.setdefault(step, round(time.perf_counter() - self.began, 1))

    async def follow(self, output: asyncio.StreamReader, tasks: asyncio.TaskGroup) -> None:
        """Read printed lines until every step is done."""
        while len(self.seconds) < len(STEPS) and (line := await output.readline()):
            self.lines.append(line.decode())
            for step, pattern in LINES.items():
                if pattern.search(self.lines[-1]):
                    self.record_step(step)
            if results := PAGE.search(self.lines[-1]):
                tasks.create_task(self.ask(results.group(1)))

    async def ask(self, url: str) -> None:
        """Ask the question and wait for the complete answer."""
        self.answer = await first_answer(self.home, url, self.question)
        self.record_step("answer")


async def start_kvasir(clone: Path, home: Path, cache: Path, docs: Path, question: str) -> Start:
    """Run `make run`; return the start when all steps are done."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "KVASIR_"))}
    environ.pop("VIRTUAL_ENV", None)
    environ |= {"KVASIR_HOME": str(home), "KVASIR_CACHE": str(cache), "KVASIR_SANDBOX_PORT": "0"}
    start = Start(home, question)
    process = await asyncio.create_subprocess_exec(
        "make", "run", f"DOCS={docs}", cwd=clone, env=environ, start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            await start.follow(process.stdout, tasks)
    except TimeoutError:
        print("".join(start.lines[-20:]), f"not done after {DEADLINE_S:.0f} s", file=sys.stderr)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        await process.communicate()
    return start


async def measure_revisions(options: argparse.Namespace) -> dict[str, Any]:
    """Start the revisions in turns; return their times."""
    results: dict[str, list[dict[str, Any]]] = {revision: [] for revision in options.revisions}
    for counted in range(options.filled, options.rounds + 1):
        for revision in options.revisions:
            with tempfile.TemporaryDirectory(prefix="kvasir-first-run-") as name:
                folder = Path(name)
                clone_revision(revision, folder / "clone")
                load = os.getloadavg()[0]
                start = await start_kvasir(
                    folder / "clone", folder / "home", options.cache, options.docs, options.question
                )
                one = {**start.seconds, "load_before": round(load, 1), "sources": SOURCES in start.answer}
                results[revision] += [one] if counted else []
                print(revision, "counted" if counted else "filled the caches", json.dumps(one), flush=True)
                if options.verbose:
                    print("".join(start.lines), start.answer, flush=True)
    return results


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revisions", nargs="+")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "kvasir")
    parser.add_argument("--question", default="How do I add a source?")
    parser.add_argument("--filled", action="store_true", help="the caches are: count the first round too")
    parser.add_argument("--verbose", action="store_true")
    asyncio.run(measure_revisions(parser.parse_args()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
