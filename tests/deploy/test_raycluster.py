"""The manifest of the Ray cluster agrees with the pinned Ray, and demands a token."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "raycluster.yaml").read_text(encoding="utf-8")))


def test_the_version_of_ray_is_the_pinned_one(documents: list[dict[str, Any]]) -> None:
    version = documents[0]["spec"]["rayVersion"]
    pinned = (ROOT / "requirements" / "ray.in").read_text(encoding="utf-8").strip()
    assert pinned == f"ray[client]=={version}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["ray"] == [pinned]


def test_all_nodes_demand_the_token_and_report_nothing(documents: list[dict[str, Any]]) -> None:
    spec = documents[0]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        variables = {one["name"]: one for one in container["env"]}
        assert variables["RAY_AUTH_MODE"]["value"] == "token"
        assert variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "kvasir-ray", "key": "token"}
        assert variables["RAY_USAGE_STATS_ENABLED"]["value"] == "0"
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]


def test_the_policy_holds_for_all_pods_of_the_cluster(documents: list[dict[str, Any]]) -> None:
    spec, policy = documents[0]["spec"], documents[1]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == policy["podSelector"]["matchLabels"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
