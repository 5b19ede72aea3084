"""Compare Kvasir's throughput with SGLang's own benchmark client, on the same worker and prompts.

The worker is the real SGLang on this machine's CPU with the small model. Both clients send the same questions in the
same order and with the same concurrency, and each answer has the same number of tokens. They take turns after a round
that warms the prefix cache for both. Kvasir's questions go the whole way: queue, framing, wire, splitting of thinking
and answer. The figures are output tokens a second over all rounds, their ratio, and the client's CPU for each token.
The server counts the tokens. The start of SGLang's client is not timed. With ``KVASIR_HOME`` of a running Kvasir, its
engine is used.

    scripts/bench_engine.py [--at-once N ...] [--each N] [--tokens N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.app import create_engine
from bot.config.settings import load_settings
from engine.client import wire
from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.installation.installer import Installer
from engine.interfaces import ChatMessage, EngineState, Sampling, StreamEnd
from engine.planning.launch import build_cpu_environment
from engine.service import Engine

ROOT = Path(__file__).parent.parent
TARGET = 0.97
ROUND_S = 300.0
"""The deadline of a round."""
# SGLang's client as it is, kept up between its rounds: each runs when a line comes in. It imports ``datasets`` for
# questions about pictures, which are not asked here, and the engine does without it: an empty module stands there.
THEIR_CLIENT = """
import json, sys, time, types
sys.modules["datasets"] = types.SimpleNamespace(load_dataset=None)
from sglang.benchmark import serving
once = serving.benchmark
async def benchmark(*given, **named):
    print("READY", file=sys.stderr, flush=True)
    for _ in sys.stdin:
        began_s = time.process_time()
        figures = await once(*given, **named)
        counts = {name: figures[name] for name in ("completed", "total_output_tokens", "duration")}
        print("ROUND", json.dumps({**counts, "cpu_s": time.process_time() - began_s}), file=sys.stderr, flush=True)
    sys.exit(0)
serving.benchmark = benchmark
serving.cli_main()
"""


@dataclass(frozen=True, slots=True)
class RoundCost:
    """The cost of one round or several."""

    tokens: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """CPU seconds of the client's process."""

    def __add__(self, other: RoundCost) -> RoundCost:
        """Return the sum."""
        return RoundCost(self.tokens + other.tokens, self.seconds + other.seconds, self.cpu_s + other.cpu_s)

    @property
    def rate(self) -> float:
        """Return output tokens a second."""
        return self.tokens / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Return the client's CPU time for a token in ms."""
        return 1000 * self.cpu_s / self.tokens


def make_prompts(count: int) -> list[str]:
    """Return questions of different lengths and subjects."""
    words = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8").split()
    return [f"Tell me at length what this means: {' '.join(words[n * 29 : n * 29 + 40 + n])}" for n in range(count)]


async def run_kvasir_round(engine: Engine, questions: list[str], tokens: int, at_once: int) -> RoundCost:
    """Ask the questions through Kvasir."""
    gate, tokens_written = asyncio.Semaphore(at_once), 0

    async def one(number: int, text: str) -> None:
        nonlocal tokens_written
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=tokens)
        stream = engine.stream([ChatMessage("user", text)], sampling, request_id=f"bench-{number}")
        async with gate, aclosing(stream) as deltas:
            async for delta in deltas:
                tokens_written += (delta.usage.completion_tokens or 0) if isinstance(delta, StreamEnd) else 0

    began, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(number, text) for number, text in enumerate(questions)))
    return RoundCost(tokens_written, time.perf_counter() - began, time.process_time() - cpu_s)


class SglangClient:
    """SGLang's own benchmark client, in the engine's environment."""

    def __init__(self, process: asyncio.subprocess.Process, count: int) -> None:
        self._process = process
        self._count = count

    @classmethod
    @asynccontextmanager
    async def up(
        cls, python: Path, record: RuntimeRecord, scratch: Path, count: int, tokens: int, at_once: int
    ) -> AsyncGenerator[SglangClient]:
        """Start the client, wait until it is ready, and end it after this block."""
        argv = (
            str(python), "-I", "-c", THEIR_CLIENT,
            "--backend", "sglang-oai-chat", "--base-url", str(record.url), "--model", str(record.model),
            "--tokenizer", str(record.model_path), "--dataset-name", "openai",
            "--dataset-path", str(scratch / "asked.jsonl"), "--output-file", str(scratch / "theirs.jsonl"),
            "--num-prompts", str(count), "--sharegpt-output-len", str(tokens), "--max-concurrency", str(at_once),
            "--warmup-requests", "0", "--disable-tqdm", "--extra-request-body", '{"temperature": 0.0, "top_p": 1.0}',
        )  # fmt: skip
        environment = {
            **build_cpu_environment(os.environ),
            "HF_HUB_OFFLINE": "1",
            "OPENAI_API_KEY": record.api_key or "",
        }
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *argv, env=environment, cwd=scratch, stdin=pipe, stdout=nothing, stderr=pipe
        )
        try:
            client = cls(process, count)
            await client._read_value("READY")
            yield client
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def ask(self) -> RoundCost:
        """Run one round."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"again\n")
        figures = json.loads(await self._read_value("ROUND"))
        if figures["completed"] != self._count:
            raise SystemExit(f"SGLang's client got {figures['completed']} of {self._count} answers.")
        return RoundCost(int(figures["total_output_tokens"]), float(figures["duration"]), float(figures["cpu_s"]))

    async def _read_value(self, word: str) -> str:
        """Return the rest of the next line that begins with a word."""
        assert self._process.stderr is not None
        lines: list[str] = []
        async with asyncio.timeout(ROUND_S):
            async for line in self._process.stderr:
                lines.append(line.decode(errors="replace"))
                if lines[-1].startswith(word):
                    return lines[-1].removeprefix(word)
        raise SystemExit("SGLang's client failed:\n" + "".join(lines[-20:]))


async def measure_in_turns(
    engine: Engine, python: Path, record: RuntimeRecord, scratch: Path, at_once: int, options: Any
) -> Any:
    """Measure both clients in turns, with so many questions at once."""
    questions = make_prompts(options.each * at_once)
    rows = [json.dumps({"messages": [{"role": "user", "content": text}]}) for text in questions]
    (scratch / "asked.jsonl").write_text("\n".join(rows), encoding="utf-8")
    rounds: list[tuple[RoundCost, RoundCost]] = []
    async with SglangClient.up(python, record, scratch, len(questions), options.tokens, at_once) as client:
        await run_kvasir_round(engine, questions, options.tokens, at_once)
        for _ in range(options.rounds):
            mine = await run_kvasir_round(engine, questions, options.tokens, at_once)
            rounds.append((mine, await client.ask()))
    us, them = (sum(side, RoundCost()) for side in zip(*rounds, strict=True))
    return {
        "ratio": round(us.rate / them.rate, 3),
        "median_of_the_rounds": round(statistics.median(one.rate / other.rate for one, other in rounds), 3),
        "tokens": us.tokens if us.tokens == them.tokens else [us.tokens, them.tokens],
        "tokens_a_second": {"ours": round(us.rate, 1), "theirs": round(them.rate, 1)},
        "rounds": [[round(one.rate, 1), round(other.rate, 1)] for one, other in rounds],
        "client_cpu_ms_a_token": {"ours": round(us.cpu_ms, 2), "theirs": round(them.cpu_ms, 2)},
    }


async def measure_throughput(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Start the engine and measure."""
    settings = load_settings({"KVASIR_HOME": str(scratch / "home"), **os.environ}, scratch, docs=ROOT / "docs")
    engine = create_engine(settings)
    try:
        await engine.start()
        status = await engine.wait_until_ready(300)
        record = RuntimeFile(settings.home).read()
        if status.state is not EngineState.READY or record is None:
            raise SystemExit(f"No engine, no figures: {status.detail}")
        python = Installer(settings.cache).python_path("cpu")
        return {
            str(at_once): await measure_in_turns(engine, python, record, scratch, at_once, options)
            for at_once in options.at_once
        }
    finally:
        await engine.stop()


async def _no_wheel(name: str, version: str, sha256: str) -> Path:
    raise SystemExit(f"{name} {version} ({sha256[:8]}) should have been there.")


def write_past_the_end() -> None:
    """Make Kvasir's requests ignore the model's end token, as SGLang's client does, for answers of equal length."""
    build_request = wire.build_chat_request

    def chat_request(
        model: str, messages: Sequence[ChatMessage], sampling: Sampling, request_id: str
    ) -> dict[str, Any]:
        return {**build_request(model, messages, sampling, request_id), "ignore_eos": True}

    wire.build_chat_request = chat_request


def main() -> int:
    """Measure and print; the exit status is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--each", type=int, default=2, help="questions for each of those at once")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs.configure_logging(secrets=(), level=logs.WARNING)
    write_past_the_end()
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        figures = asyncio.run(measure_throughput(options, Path(scratch)))
    print(json.dumps(figures, indent=None if options.json else 2))
    return int(any(one["ratio"] < TARGET for one in figures.values()))


if __name__ == "__main__":
    raise SystemExit(main())
