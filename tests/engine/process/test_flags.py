"""A renamed flag is found before the start."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import EngineRefused
from engine.installation.installer import Installer
from engine.planning.cards import parse_machine
from engine.planning.catalogue import VARIANTS, resolve_model
from engine.planning.fit import fit_variant
from engine.planning.launch import build_cpu_environment, build_launch, build_manual_commands
from engine.planning.memory import Layout
from engine.planning.plans import LaunchPlan, PlanRequirements
from engine.process.flags import check_flags, find_unknown_flags, read_help, read_registered_flags, read_release

SOURCE = """
class Parallel:
    tp_size: A[int, Arg(help="Use --never-named.", aliases=["--tensor-parallel-size"])] = 1
    nnodes: A[int, "The number of nodes."] = 1
    other: A[bool, Arg(cli_name="--another-name")] = False
    hidden: A[bool, Arg(no_cli=True)] = False
    plain: int = 0

def add_cli_args(parser):
    parser.add_argument("--config", "-c", type=str, help="--not-this-one")
"""
TAKEN = """
import argparse, json, sys
from sglang.srt.server_args import ServerArgs
parser = argparse.ArgumentParser()
ServerArgs.add_cli_args(parser)
for argv in json.load(sys.stdin):
    parser.parse_args(argv)
"""
HELP = "usage: sglang serve [--tp-size N] [--cuda-graph-max-bs-decode N]\n  --attn-dp-size N, --attention-dp N"


def test_flags_are_compared_by_full_name() -> None:
    assert find_unknown_flags(["--tp-size", "2", "--attn-dp-size", "8"], HELP) == {}
    assert find_unknown_flags(["--cuda-graph-max-bs", "8", "--tp"], HELP) == {
        "--cuda-graph-max-bs": "--cuda-graph-max-bs-decode",
        "--tp": "--tp-size",
    }
    assert find_unknown_flags(["--torchao-config"], HELP) == {"--torchao-config": ""}
    assert find_unknown_flags(["--anything"], "") == {}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Create an environment with SGLang 9.9 that counts how often its help is read."""
    (tmp_path / "bin").mkdir()
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "sglang-9.9.dist-info").mkdir(parents=True)
    (packages / "sglang" / "srt").mkdir(parents=True)
    (packages / "sglang" / "srt" / "server_args.py").write_text(SOURCE)
    program = tmp_path / "bin" / "python"
    program.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho '--tp-size --attn-dp-size'\n")
    program.chmod(0o755)
    return program


async def test_renamed_flag_is_refused_with_the_next_step(python: Path) -> None:
    assert read_release(python) == "9.9"
    await check_flags(["--tp-size", "2"], python, os.environ)
    with pytest.raises(EngineRefused, match=r"SGLang 9\.9 does not know --attn-dp .it has --attn-dp-size.*Delete"):
        await check_flags(["--attn-dp", "8"], python, os.environ)


async def test_flags_in_the_source_need_no_help_output(python: Path) -> None:
    assert read_registered_flags(python) == {
        "--tp-size",
        "--tensor-parallel-size",
        "--nnodes",
        "--another-name",
        "--config",
        "-c",
    }
    await check_flags(["--tp-size", "2", "--config", "x"], python, os.environ)
    assert not (python.parent.parent / "asked").exists()
    await check_flags(["--attn-dp-size", "2"], python, os.environ)
    assert (python.parent.parent / "asked").read_text() == "x\n", "its help has the last word"
    (python.parent.parent / "lib" / "python3.11" / "site-packages" / "sglang" / "srt" / "server_args.py").write_text(
        "("
    )
    assert read_registered_flags(python) == set(), "a source that cannot be read: its help is asked"


async def test_failing_help_refuses_nothing(python: Path) -> None:
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'raise SystemExit(3)'\n")
    await check_flags(["--anything"], python, os.environ)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_flag_of_every_plan_is_known_to_the_real_release(cache: Path) -> None:
    """Also those for GPUs: all variants on machines of every kind.

    It takes over a minute: SGLang's own parser reads the commands of hundreds of plans.
    """
    installer = Installer(cache)
    python = await installer.install_environment("cpu", lambda *_: None)
    help_text = await read_help(python, build_cpu_environment(os.environ))
    assert len(help_text) > 10_000
    wishes = (
        PlanRequirements(),
        PlanRequirements(people=1),
        PlanRequirements(people=200),
        PlanRequirements(goal="speed"),
        PlanRequirements(precision="fp8", offload=True),
    )
    machines = [
        parse_machine(said)
        for said in (
            "1x24GB", "1x24GB+128GB", "RTX-4090", "1x80GB", "3xA100-40GB", "8x80GB", "8xH200", "2x8x80GB", "2x8xH100",
            "cpu+64GB",
        )
    ]  # fmt: skip
    plans = [
        found.plan
        for there in machines
        for wish in wishes
        for found in (
            fit_variant(variant, there, wish, find_nearest=False)
            for variant in (*VARIANTS, resolve_model("qwen2.5-0.5b"))
        )
        if found.plan is not None
    ]
    argv = [word for plan in plans for command in build_manual_commands(plan) for word in command]
    for device in ("cpu", "cuda"):
        plan = LaunchPlan(resolve_model("7B"), device, 4096, 8192, 60, Layout(tp=2))
        launch = build_launch(
            plan, python=python, model_path="x", port=1, config_file=Path("/x.yaml"), api_key="k", environment={}
        )
        argv += launch.argv[4:]
    assert {"--attn-dp-size", "--cpu-offload-gb", "--pp-size", "--quantization", "--node-rank"} <= set(argv)
    assert find_unknown_flags(argv, help_text) == {}
    started = [command[3:] for plan in plans for command in build_manual_commands(plan)]
    parser = (str(python), "-I", "-c", TAKEN)
    where, commands = build_cpu_environment(os.environ), json.dumps(started)
    outcome = await asyncio.to_thread(subprocess.run, parser, input=commands, env=where, text=True, check=False)
    assert outcome.returncode == 0, "SGLang's own parser takes every value"
    options = set(re.findall(r"^ {2}(?:-\w(?: \S+)?, )?(--[a-z0-9-]+)", help_text, re.MULTILINE))
    assert len(options) > 300
    assert options - read_registered_flags(python) == {"--help"}
    hidden = find_unknown_flags(read_registered_flags(python), help_text)
    assert len(hidden) < 5, "a few are kept from the help"
