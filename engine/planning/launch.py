"""Pure: build the command line and the environment of SGLang 0.5.23 for a plan."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.planning.plans import LaunchPlan

HOST = "127.0.0.1"
_QUEUED_REQUESTS = 256
"""SGLang refuses more waiting requests than this."""
_HIDDEN_PREFIXES = ("SLACK_", "KVASIR_", "HF_TOKEN", "AWS_", "PYTHON", "VIRTUAL_ENV")
"""Prefixes of variables that no child process gets: Kvasir's own, secrets of weights, and those of this interpreter."""
_SECRET_NAME = re.compile(r"(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_FILE)?$", re.IGNORECASE)
"""Endings of names of secrets, also of other programs'."""
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_PROXY = "_proxy"
"""The ending of names whose URL may contain a password: the engine needs its proxy."""
_NO_PROXY = ("no_proxy", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of SGLang."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    """The whole environment, not additions."""
    config_file: Path
    """Write ``config`` there before the start, readable only by this user."""
    config: str = field(repr=False)
    """The API key, because all users can read a command line."""
    url: str

    @property
    def port(self) -> int:
        """Return the port that SGLang will listen on."""
        return int(self.url.rpartition(":")[2])


def build_launch(
    plan: LaunchPlan,
    *,
    python: Path,
    model_path: str,
    port: int,
    config_file: Path,
    api_key: str,
    environment: Mapping[str, str],
    hidden: Collection[str] = (),
) -> Launch:
    """Return the launch of ``plan`` on ``port``, based on ``environment`` (usually ``os.environ``).

    The variables ``hidden`` are removed.
    """
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
        *build_plan_flags(plan),
        # Allows limits of thinking. The holder of the key could also send code; the key never leaves this machine.
        *(("--enable-custom-logit-processor",) if plan.variant.reasoning_parser else ()),
    )  # fmt: skip
    return Launch(
        argv=argv,
        environment=build_environment(plan, model_path, environment, hidden),
        config_file=config_file,
        config=json.dumps({"api-key": api_key}),  # JSON is YAML, which SGLang reads
        url=f"http://{HOST}:{port}",
    )


def generate_api_key() -> str:
    """Return a random API key of hexadecimal digits: SGLang would take a leading dash for a flag."""
    return secrets.token_hex(32)


def remove_own_variables(environment: Mapping[str, str], hidden: Collection[str] = ()) -> dict[str, str]:
    """Return the environment without ``hidden``, other secrets of Kvasir, and the variables of this interpreter."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_HIDDEN_PREFIXES) and name not in hidden
    }


def build_plan_flags(plan: LaunchPlan) -> tuple[str, ...]:
    """Return the flags that the plan decides; values that SGLang should choose are left out."""
    layout = plan.layout
    pairs: tuple[tuple[str, object], ...] = (
        ("--device", plan.device),
        ("--tp-size", layout.tp if plan.device != "cpu" else None),
        ("--pp-size", layout.pp if layout.pp > 1 else None),
        ("--dp-size", layout.dp if layout.dp > 1 else None),
        ("--attn-dp-size", layout.attn_dp if layout.attn_dp > 1 else None),
        ("--ep-size", layout.ep if layout.ep > 1 else None),
        ("--context-length", plan.context_tokens),
        ("--quantization", plan.weights.quantization),
        ("--kv-cache-dtype", None if plan.kv_dtype == "auto" else plan.kv_dtype),
        ("--mem-fraction-static", plan.memory_fraction),
        ("--chunked-prefill-size", plan.chunk_tokens),
        ("--cuda-graph-max-bs-decode", plan.decode_batch),
        ("--max-total-tokens", plan.total_tokens),
        ("--max-running-requests", plan.running_requests),
        ("--cpu-offload-gb", math.ceil(plan.offload_gib) or None),  # SGLang takes whole GiB
        ("--reasoning-parser", plan.variant.reasoning_parser),
        # Qwen's own file penalises repetition, and so the words of a passage.
        ("--sampling-defaults", "openai" if plan.variant.small_model else None),
    )
    # On a CPU, no device works while the scheduler does.
    overlap = ("--disable-overlap-schedule",) if plan.device == "cpu" else ()
    return (*(part for flag, value in pairs if value is not None for part in (flag, str(value))), *overlap)


def build_manual_commands(plan: LaunchPlan) -> tuple[tuple[str, ...], ...]:
    """Return the commands for a start by hand, one for each node; several nodes need the first one's address."""
    common = (
        "python", "-m", "sglang.launch_server",
        "--model-path", plan.weights.repo,
        "--served-model-name", plan.variant.name,
        "--host", "0.0.0.0",  # noqa: S104  # other machines use it; the page says how to add a key
        "--port", "30000",
        "--max-queued-requests", str(_QUEUED_REQUESTS),
        "--enable-cache-report",
        "--enable-metrics",
        *build_plan_flags(plan),
    )  # fmt: skip
    nodes = plan.layout.nodes
    if nodes == 1:
        return (common,)
    address = ("--dist-init-addr", "FIRST_NODE:20000", "--nnodes", str(nodes))
    return tuple((*common, *address, "--node-rank", str(rank)) for rank in range(nodes))


def build_environment(
    plan: LaunchPlan, model_path: str, environment: Mapping[str, str], hidden: Collection[str] = ()
) -> dict[str, str]:
    """Return the whole environment of the engine's process."""
    result = {
        name: value for name, value in remove_own_variables(environment, hidden).items() if not _is_secret(name, value)
    }
    direct = next(filter(None, map(result.get, _NO_PROXY)), None)
    # Its first request is to itself, with the key.
    result |= dict.fromkeys(_NO_PROXY, ",".join(filter(None, (direct, HOST, "localhost"))))
    if Path(model_path).is_absolute():
        result |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if plan.device == "cuda":
        result.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # so that numbers mean the same as in the plan
    if plan.visible_cards:
        result["CUDA_VISIBLE_DEVICES"] = ",".join(plan.visible_cards)
    return build_cpu_environment(result, plan.threads) if plan.device == "cpu" else result


def _is_secret(name: str, value: str) -> bool:
    has_password = _PASSWORD.search(value) is not None and not name.lower().endswith(_PROXY)
    return has_password or _SECRET_NAME.search(name) is not None


def build_cpu_environment(environment: Mapping[str, str], threads: int = 1) -> dict[str, str]:
    """Return the environment in which SGLang runs on a CPU."""
    own = {"OMP_NUM_THREADS": str(threads), "SGLANG_PLATFORM": "kvasir_plain_cpu", "CUDA_VISIBLE_DEVICES": ""}
    return {**remove_own_variables(environment), **own}
