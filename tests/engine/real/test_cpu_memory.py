"""The context that SGLang reports on this machine's CPU, compared with the prediction, for shapes of models.

All shapes: ``KVASIR_TEST_SHAPES="qwen2 llama mla" .venv/bin/python -m pytest tests/engine/real/test_cpu_memory.py``.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engine.oom.log_tail import LogTail, summarize_failure
from engine.planning import fit
from engine.planning.launch import build_cpu_environment, build_launch
from engine.planning.machine_probe import probe_machine
from engine.planning.memory import GIB, compute_cpu_fraction, estimate_cpu_kv_tokens
from engine.planning.model_folder import describe_model_folder
from engine.planning.plans import LaunchPlan
from engine.process.sglang_process import SglangProcess, find_free_port
from tests.engine.real.real_model import have_engine, write_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]
WANTED_GIB = 3.0
"""Of context. SGLang counts all free memory, so a small pool on a large machine would only measure what others do."""
START_S = 150.0
ATTEMPTS = 4
"""SGLang counts what is free at that moment: another process that starts or ends meanwhile is worth another try."""
_REPORTED = re.compile(r"\bmax_total_num_tokens=(\d+), ")
_SCRIPT = Path(__file__).with_name("tiny_shapes.py")


async def _reported(python: Path, folder: Path, made: LaunchPlan) -> int:
    """Start SGLang as Kvasir does and return its log; its warden ends it, however this process ends."""
    start = build_launch(
        made,
        python=python,
        model_path=str(folder),
        port=find_free_port(),
        config_file=folder / "launch.yaml",
        api_key="a-key",
        environment=os.environ,
    )
    max_tokens: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    tail = LogTail()

    def look(line: str) -> None:
        if not max_tokens.done() and (found := _REPORTED.search(line)):
            max_tokens.set_result(int(found[1]))

    process = await SglangProcess.start(start, lock=folder / "lock", tail=tail, on_line=look, grace_s=5.0)
    end = asyncio.create_task(process.wait())
    try:
        await asyncio.wait([max_tokens, end], timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await process.stop()
        await end
    assert max_tokens.done(), summarize_failure(tail.lines)
    return max_tokens.result()


@pytest.mark.parametrize("shape", os.environ.get("KVASIR_TEST_SHAPES", "qwen2 mla").split())
async def test_predicted_context_equals_the_reported_one(shape: str, cache: Path, tmp_path: Path) -> None:
    python = await have_engine(cache)
    source = tmp_path / "tokenizer"
    source.mkdir()
    write_tokenizer(source)
    command = (python, "-I", _SCRIPT, shape, source, tmp_path)
    await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, env=build_cpu_environment(os.environ)
    )
    variant = describe_model_folder(tmp_path)
    tokens = int(WANTED_GIB * GIB / variant.kv_bytes_per_token)
    for _ in range(ATTEMPTS):
        machine = probe_machine(cache)
        free_gib = machine.memory_free_bytes / GIB
        fraction = compute_cpu_fraction(variant, free_gib, tokens, machine.numa_nodes)
        predicted = estimate_cpu_kv_tokens(variant, free_gib, fraction, machine.numa_nodes)
        made = replace(fit.plan_variant(variant, machine), memory_fraction=fraction, total_tokens=None)
        reported = await _reported(python, tmp_path, made)
        print(f"{shape}: predicted {predicted}, reported {reported}")  # noqa: T201  # the figures of the benchmarks' page
        assert tokens <= predicted < 1.05 * tokens
        if predicted == pytest.approx(reported, rel=0.05):
            return
    assert predicted == pytest.approx(reported, rel=0.05)
