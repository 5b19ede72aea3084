"""Sixty planted secrets and identifiers: none is in a log, an error, a metric, the audit or the list of processes."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.e2e.conftest import Place, Running
from tests.masking.planted import CHECKED, CONTEXT, HELD_OUT, list_planted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMANDS = (
    ("status", "--json"), ("doctor", "--json"), ("doctor", "--security", "--json"), ("doctor", "--egress"),
    ("sync",), ("keys", "list"), ("audit", "export"), ("audit", "report"), ("audit", "verify"), ("engine", "status"),
    ("search", "leave"), ("ask", "leave?"), ("fetch", "http://127.0.0.1:9/"), ("access", "explain", "docs", "a.md"),
)  # fmt: skip


def make_secrets() -> Mapping[str, str]:
    """Return variables that hold a secret each, by their names."""
    rng = random.Random(23)
    made = {
        name: f"Sec{rng.randrange(16**20):020x}"
        for name in (
            "HF_TOKEN", "KVASIR_ENGINE_API_KEY", "BRAVE_API_KEY", "TAVILY_API_KEY", "EXA_API_KEY", "SERPER_API_KEY",
            "WIKI_TOKEN", "WIKI_SECRET", "TEAM_TOKEN", "FEED_TOKEN",
        )
    }  # fmt: skip
    passwords = [f"Pass{rng.randrange(16**16):016x}" for _ in range(4)]
    made["HTTP_PROXY"], made["HTTPS_PROXY"], made["ALL_PROXY"] = (
        f"http://proxy:{one}@127.0.0.1:9" for one in passwords[:3]
    )
    made["KVASIR_PROXY_RULES"] = f"partner.com=http://proxy:{passwords[3]}@127.0.0.1:9"
    return made


def list_values(secrets: Mapping[str, str]) -> list[str]:
    """Return what must be nowhere: the secrets, of addresses the passwords."""
    return [one.rpartition("@")[0].rpartition(":")[2] if "@" in one else one for one in secrets.values()]


def find_leaks(output: str, values: Iterable[str]) -> list[str]:
    return [one for one in values if one in output or json.dumps(one)[1:-1] in output]


async def test_no_output_has_a_planted_value(tmp_path: Path, cache_without_engine: str) -> None:
    place = Place(tmp_path)
    (place.folder / "docs").mkdir()
    (place.folder / "docs" / "a.md").write_text("# Leave\n\nEmployees have thirty days of leave a year.\n")
    (place.folder / "kvasir.toml").write_text(
        '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n'
        '[[source]]\nname = "wiki"\nkind = "website"\nurl = "http://127.0.0.1:9/"\nallow_hosts = ["127.0.0.1:9"]\n'
        'authorization_env = "WIKI_TOKEN"\n'
        '[web]\nmode = "on"\n'
    )
    secrets = make_secrets()
    questions = random.Random(5).sample(list(list_planted({**CHECKED, **CONTEXT}, HELD_OUT, 2)), 46)
    values = [*list_values(secrets), *(one.value for one in questions)]
    assert len(values) == 60
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environ = {**secrets, "KVASIR_ENGINE_URL": "http://127.0.0.1:9", "KVASIR_CACHE": cache_without_engine}
    outputs: dict[str, str] = {}
    async with place.run(**environ, KVASIR_METRICS_PORT=port) as run:
        for number, one in enumerate(questions):  # two people, because each may ask 30 times in a minute
            ts = await run.box.say(("ada", "bo")[number % 2], "#general", f"@Kvasir {one.text}")
            await run.box.wait_for_message(lambda m, ts=ts: m["root"] == ts and m.get("bot_id"), deadline_s=120.0)
        for arguments in COMMANDS:
            _, out, err = await place.fork_command(*arguments, **environ)
            outputs[" ".join(arguments)] = out + err
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            outputs["metrics"] = await answer.text()
        outputs["processes"] = list_processes(run)
    outputs["run"] = "\n".join(run.lines)
    _, outputs["broken table"], outputs["wrong"] = await place.fork_command("status", **environ, BRAVE_API_KEYS="x")
    for folder in ("audit", "security"):
        for path in (place.home / folder).rglob("*"):
            outputs[str(path)] = path.read_text(errors="replace") if path.is_file() else ""
    for path in place.home.glob("*.log*"):
        outputs[path.name] = path.read_text(errors="replace")
    assert any(name.endswith(".jsonl") for name in outputs)
    assert '"question"' in outputs["audit export"]
    assert {name: leaks for name, output in outputs.items() if (leaks := find_leaks(output, values))} == {}


def list_processes(run: Running) -> str:
    """Return the arguments of all processes of Kvasir, and what those that it started have in their environment."""
    parts = []
    for process in run.family():
        parts.append(" ".join(process.cmdline()))
        if process.pid != run.process.pid:
            try:
                parts.append(repr(process.environ()))
            except psutil.AccessDenied:
                continue
    return "\n".join(parts)
