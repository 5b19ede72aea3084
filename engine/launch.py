"""Pure: a plan -> the command line and the environment of SGLang 0.5.23, flags in full."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.fit import Plan

HOST = "127.0.0.1"
_QUEUED_REQUESTS = 256
"""More than these wait in vain; the engine then says that its queue is full."""
_CPU_RUNNING_REQUESTS = 8
"""More at once only make every answer slower: eight reach six times the tokens a second of one."""
_KEPT_FROM_THE_ENGINE = ("SLACK_", "KVASIR_", "WEAVIATE_", "PYTHON", "VIRTUAL_ENV")
"""Beginnings of variables that are none of the engine's business: secrets, and this interpreter's own."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of SGLang."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    """The whole environment, not additions."""
    config_file: Path
    """Where ``config`` must be written, readable by this user alone, before the start."""
    config: str = field(repr=False)
    """Holds the key: a command line could be read by everybody on this machine."""
    url: str


def launch(
    plan: Plan,
    *,
    python: Path,
    model_path: str,
    port: int,
    config_file: Path,
    api_key: str,
    environment: Mapping[str, str],
) -> Launch:
    """Return the start of ``plan`` on ``port``, with ``environment`` (usually ``os.environ``) as the ground."""
    argv = (
        str(python), "-I", "-m", "sglang.launch_server",
        "--config", str(config_file),
        "--model-path", model_path,
        "--served-model-name", plan.variant.name,
        "--host", HOST,
        "--port", str(port),
        "--max-queued-requests", str(_QUEUED_REQUESTS),
        "--enable-cache-report",
        "--enable-metrics",
        "--sleep-on-idle",
        *(_cpu_flags(plan) if plan.device == "cpu" else _cuda_flags(plan)),
        *(("--reasoning-parser", plan.variant.reasoning_parser) if plan.variant.reasoning_parser else ()),
    )  # fmt: skip
    return Launch(
        argv=argv,
        environment=_environment(plan, model_path, environment),
        config_file=config_file,
        config=json.dumps({"api-key": api_key}),  # JSON is YAML, which SGLang reads
        url=f"http://{HOST}:{port}",
    )


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without our secrets and without what tells our own interpreter where it is."""
    return {name: value for name, value in environment.items() if not name.startswith(_KEPT_FROM_THE_ENGINE)}


def _cpu_flags(plan: Plan) -> tuple[str, ...]:
    """Bound the context's memory (12 GB otherwise) and keep an idle engine from burning a core."""
    return (
        "--device", "cpu",
        "--mem-fraction-static", "0.3",
        "--max-total-tokens", str(plan.kv_tokens),
        "--max-running-requests", str(_CPU_RUNNING_REQUESTS),
        "--disable-overlap-schedule",
    )  # fmt: skip


def _cuda_flags(plan: Plan) -> tuple[str, ...]:
    return (
        "--device", "cuda",
        "--tp-size", str(plan.tensor_parallel),
        "--context-length", str(plan.context_tokens),
    )  # fmt: skip


def _environment(plan: Plan, model_path: str, ground: Mapping[str, str]) -> dict[str, str]:
    kept = without_ours(ground)
    if Path(model_path).is_absolute():
        kept |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if plan.device == "cpu":
        # Two OpenMP threads collapse when anything else runs on the same cores.
        kept |= {"OMP_NUM_THREADS": "1", "SGLANG_PLATFORM": "kvasir_plain_cpu", "CUDA_VISIBLE_DEVICES": ""}
    return kept
