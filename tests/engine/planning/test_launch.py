"""The command line and environment of SGLang: full flag names, no key, no secrets."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from urllib.request import proxy_bypass_environment

import pytest

from engine.planning.catalogue import resolve_model
from engine.planning.launch import Launch, build_environment, build_launch, generate_api_key
from engine.planning.memory import Layout
from engine.planning.plans import LaunchPlan

SMALL_MODEL = LaunchPlan(
    resolve_model("qwen2.5-0.5b"), "cpu", 8192, 16384, 300, memory_fraction=0.3, total_tokens=16384
)
GROUND = {
    "PATH": "/bin",
    "HF_ENDPOINT": "http://mirror",
    "SLACK_BOT_TOKEN": "xoxb",
    "KVASIR_DATABASE_URL": "postgresql://u:p@h/d",
    "WEAVIATE_API_KEY": "w",
    "BRAVE_API_KEY": "b",
    "WIKI_PASSWORD": "p",
    "wiki_token": "t",
    "INCIDENTS_DB": "postgresql://reader:hush@host/database",
    "CACHE": "say redis://:hush@host",
    "WIKI_ENTRY": "hush-hush",
    "USER": "kvasir",
    "HTTP_PROXY": "http://proxy:3128",
    "https_proxy": "http://name:word@proxy:3128",
    "MIRROR": "http://me@mirror:80/a:b",
    "PYTHONPATH": "/x",
    "VIRTUAL_ENV": "/y",
}


def _launch(plan: LaunchPlan, model_path: str) -> Launch:
    return build_launch(
        plan,
        python=Path("/env/bin/python"),
        model_path=model_path,
        port=31000,
        config_file=Path("/home/engine/launch.yaml"),
        api_key="sekret",
        environment=GROUND,
        hidden={"WIKI_ENTRY"},
    )


def test_the_small_model_on_a_cpu() -> None:
    made = _launch(SMALL_MODEL, "/models/small")
    argv = " ".join(made.argv)
    assert argv.startswith("/env/bin/python -I -m sglang.launch_server --config /home/engine/launch.yaml --model-path")
    assert "--served-model-name Qwen2.5-0.5B-Instruct --host 127.0.0.1 --port 31000" in argv
    assert "--max-total-tokens 16384" in argv
    assert "--log-requests" not in argv
    assert "--crash-dump-folder" not in argv
    assert "--log-level" not in argv, "at the level debug, SGLang logs texts"
    assert "--sleep-on-idle" in argv
    assert "--sampling-defaults openai" in argv, "whatever file the model comes with"
    assert "--reasoning-parser" not in argv
    assert "--enable-custom-logit-processor" not in argv, "only a bound on thinking needs it"
    assert made.environment["SGLANG_PLATFORM"] == "kvasir_plain_cpu"
    assert made.environment["OMP_NUM_THREADS"] == made.environment["HF_HUB_OFFLINE"] == "1"
    assert _launch(replace(SMALL_MODEL, threads=4), "/models/small").environment["OMP_NUM_THREADS"] == "4"


def test_a_distill_on_two_cards() -> None:
    made = _launch(
        LaunchPlan(resolve_model("32B"), "cuda", 65536, 285_000, 3600, Layout(tp=2)),
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    )
    argv = " ".join(made.argv)
    assert "--tp-size 2 --context-length 65536" in argv
    assert argv.endswith("--reasoning-parser deepseek-r1 --enable-custom-logit-processor")
    assert "HF_HUB_OFFLINE" not in made.environment
    assert "SGLANG_PLATFORM" not in made.environment
    assert made.environment["HF_ENDPOINT"] == "http://mirror"


def test_key_never_looks_like_a_flag() -> None:
    """SGLang passes the key of its configuration behind ``--api-key`` to its parser."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--api-key")
    keys = [generate_api_key() for _ in range(2_000)]
    assert [parser.parse_args(["--api-key", key]).api_key for key in keys] == keys
    assert len(set(keys)) == 2_000


def test_secrets_are_not_passed_on() -> None:
    """The key is only in the private file; the bot's secrets and interpreter variables are removed."""
    made = _launch(SMALL_MODEL, "/models/small")
    assert "sekret" not in " ".join(made.argv)
    assert "sekret" not in repr(made)
    assert json.loads(made.config) == {"api-key": "sekret"}
    names = {"PATH", "HF_ENDPOINT", "USER", "HTTP_PROXY", "https_proxy", "MIRROR"}
    assert set(made.environment) & set(GROUND) == names


@pytest.mark.parametrize("said", [{}, {"NO_PROXY": "intra"}, {"no_proxy": "intra", "NO_PROXY": ""}])
def test_warm_up_request_uses_no_proxy(said: dict[str, str]) -> None:
    """SGLang sends a warm-up request to its own address, which a company's proxy cannot reach."""
    made = build_environment(SMALL_MODEL, "/models/small", {**GROUND, **said})
    for name in ("no_proxy", "NO_PROXY"):
        assert proxy_bypass_environment("127.0.0.1:31000", {"no": made[name]})
        assert proxy_bypass_environment("intra", {"no": made[name]}) == bool(said)
