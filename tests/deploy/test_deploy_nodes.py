"""Test the manifest of an R1 across machines in Kubernetes: it is consistent, and agrees with `kvasir fit`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.planning.cards import parse_machine
from engine.planning.catalogue import resolve_model
from engine.planning.fit import fit_variant
from engine.planning.launch import build_manual_commands
from engine.planning.plans import PlanRequirements
from engine.process.flags import find_unknown_flags

ROOT = Path(__file__).parents[2]
LWS_SETS = {"LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "leaderworkerset.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    template = documents[0]["spec"]["leaderWorkerTemplate"]
    return [template["leaderTemplate"]["spec"], template["workerTemplate"]["spec"]]


def _parse_flags(command: list[str]) -> dict[str, str]:
    flags = [at for at, word in enumerate(command) if word.startswith("--")]
    return {
        command[at]: command[at + 1] if at + 1 < len(command) and not command[at + 1].startswith("--") else ""
        for at in flags
    }


def test_the_flags_are_those_of_the_plan(documents: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
    """For two machines with eight 80 GB cards each, except names that Kubernetes gives."""
    plan = fit_variant(resolve_model("R1-0528"), parse_machine("2x8xH100-80GB"), PlanRequirements()).plan
    assert plan is not None
    planned = [_parse_flags(list(command)) for command in build_manual_commands(plan)]
    assert len(planned) == documents[0]["spec"]["leaderWorkerTemplate"]["size"] == 2
    assert [flags["--node-rank"] for flags in planned] == ["0", "1"]
    for pod in pods:
        said = _parse_flags(pod["containers"][0]["command"])
        assert said.pop("--config") == "/etc/kvasir-engine/key.yaml"
        named = {"--nnodes": "$(LWS_GROUP_SIZE)", "--node-rank": "$(LWS_WORKER_INDEX)"}
        named["--dist-init-addr"] = "$(LWS_LEADER_ADDRESS):20000"
        assert said == planned[0] | named
        cards = int(pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        assert cards * 2 == int(said["--tp-size"]) * int(said.get("--pp-size", "1"))


def test_every_flag_is_one_of_sglangs(pods: list[dict[str, Any]]) -> None:
    """Compared with the help of the pinned release, if its environment is on this machine."""
    texts = sorted((Path.home() / ".cache" / "kvasir" / "engine").glob("*/sglang-0.5.23.help.txt"))
    if not texts:
        pytest.skip("the engine's environment was not made here")
    for pod in pods:
        assert find_unknown_flags(pod["containers"][0]["command"], texts[0].read_text(encoding="utf-8")) == {}


def test_ports_variables_volumes_and_secrets_agree(documents: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
    leader = pods[0]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in leader["ports"]}
    command = _parse_flags(leader["command"])
    assert command["--port"] == str(ports["http"])
    assert command["--dist-init-addr"].endswith(f":{ports['ranks']}")
    for probe in ("readinessProbe", "startupProbe"):
        assert leader[probe]["httpGet"] == {"path": "/health", "port": ports["http"]}
    service = documents[1]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    labels = documents[0]["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    for pod in pods:
        container = pod["containers"][0]
        used = set(re.findall(r"\$\((\w+)\)", json.dumps(container["command"])))
        assert used == LWS_SETS
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        key = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "key")
        assert key == {"secretName": "kvasir-engine", "items": [{"key": "key.yaml", "path": "key.yaml"}]}
        shared = next(volume for volume in pod["volumes"] if volume["name"] == "shm")
        assert shared["emptyDir"]["medium"] == "Memory"
        assert pod["tolerations"]
        assert f"sglang=={container['image'].rpartition(':v')[2]}" in (ROOT / "pyproject.toml").read_text()
