"""Measure a start: ``kvasir --help``, the time until the bot answers without an engine, and memory.

The bot runs as a person runs it, over this repository's documentation and with the workspace on this machine. Its
memory is read after twenty questions, and compared with a process that only searches the same store.

    scripts/bench_startup.py [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).parent.parent
QUESTIONS = 20
_STORE_ALONE = """
import asyncio, sys, numpy as np, psutil
from pathlib import Path
from knowledge.interfaces import Scope
from knowledge.stores.lancedb.store import LanceDBStore
async def main():
    folder = Path(sys.argv[1])
    store = LanceDBStore(folder)
    name = next(path.stem for path in folder.glob("*.lance"))
    await store.open(name, 384)
    for _ in range(20):
        await store.find_candidates(
            np.full(384, 384**-0.5, np.float32), "sourc add", pool=100, scope=Scope(frozenset({sys.argv[2]}))
        )
    print(psutil.Process().memory_info().rss)
asyncio.run(main())
"""


async def time_help(*argv: str) -> float:
    start_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - start_s


async def start_bot(folder: Path) -> tuple[float, asyncio.subprocess.Process, str]:
    """Start the bot; return the seconds until it answers, its process and the page's address."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SLACK_")}
    environ |= {
        "KVASIR_HOME": str(folder / "home"),
        "KVASIR_SANDBOX_PORT": "0",
        "KVASIR_ENGINE_URL": "http://127.0.0.1:9",
    }
    start_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", cwd=folder, env=environ, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if match := re.search(r"answers at (http://\S+)", line.decode()):
            return time.perf_counter() - start_s, process, match.group(1)
    raise RuntimeError("the bot did not start")


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    await process.stderr.read()
    await process.wait()


async def ask_questions(folder: Path, url: str, questions: int) -> None:
    """Ask questions and wait for each answer."""
    token = json.loads((folder / "home/sandbox/credentials.json").read_text(encoding="utf-8"))["control_token"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for n in range(questions):
            body = {"person": "ada", "channel": "#general", "text": f"@Kvasir how do I add a source? ({n})"}
            async with session.post(f"{url}/sandbox/say", json=body) as answer:
                ts = (await answer.json())["ts"]
            while True:
                async with session.get(f"{url}/sandbox/messages", params={"channel": "#general"}) as answer:
                    messages = (await answer.json())["messages"]
                if any(m["root"] == ts and m.get("bot_id") and m.get("metadata") for m in messages):
                    break
                await asyncio.sleep(0.05)


async def measure_store_alone(folder: Path) -> float:
    """Return the resident megabytes of a process that only searches the same store."""
    lance = folder / "home" / "lancedb"
    key = f"docs\x1ffolder\x1f{ROOT / 'docs'}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _STORE_ALONE, str(lance), key, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    out, _ = await process.communicate()
    return int(out) / 1e6


async def main(runs: int) -> dict[str, Any]:
    kvasir = str(Path(sys.executable).with_name("kvasir"))
    helps = [await time_help(kvasir, "--help") for _ in range(runs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kvasir.toml").write_text(f'[[source]]\nname = "docs"\nkind = "folder"\npath = "{ROOT / "docs"}"\n')
        ready, rss = [], 0.0
        for _ in range(runs):
            seconds, process, url = await start_bot(folder)
            ready.append(seconds)
            if len(ready) == runs:
                await ask_questions(folder, url, QUESTIONS)
                rss = psutil.Process(process.pid).memory_info().rss / 1e6
            await stop(process)
        store = await measure_store_alone(folder)
    return {
        "help_s": round(statistics.median(helps), 3),
        "ready_without_engine_s": round(statistics.median(ready), 2),
        "bot_rss_mb": round(rss),
        "store_alone_rss_mb": round(store),
        "beyond_the_store_mb": round(rss - store),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(main(options.runs)), indent=None if options.json else 2))
