"""Test that the files of deploy/ agree with each other, without a container engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.config.environment import Environment
from bot.config.settings import load_settings
from knowledge.interfaces import LiveWebRequest
from knowledge.stores.weaviate.store import WeaviateStore
from knowledge.web.live.live_web import SEARCH_SHARE
from knowledge.web.searching.web_search import PROVIDER_TIME_SHARE
from tests.services import WeaviateServer, weaviate_server
from tests.stores.rows import DIMENSIONS, row

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ROLE = json.loads((DEPLOY / "weaviate-role.json").read_text(encoding="utf-8"))
PINNED = re.compile(r":v?\d+\.\d+[\w.-]*$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_every_service_is_pinned_and_has_a_health_check(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kvasir", "weaviate", "weaviate-role", "postgres", "engine", "searxng"}
    for name, service in compose["services"].items():
        if "build" not in service:
            assert PINNED.search(service["image"]), f"{name}: {service['image']}"
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
    assert "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_services_and_the_code_agree_on_versions(compose: dict[str, Any]) -> None:
    services = (ROOT / "scripts" / "test-services.sh").read_text(encoding="utf-8")
    weaviate = compose["services"]["weaviate"]["image"].rpartition(":")[2]
    assert f"weaviate_version={weaviate}\n" in services
    sglang = compose["services"]["engine"]["image"].rpartition(":v")[2]
    assert f"sglang=={sglang}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_sglang_logs_no_prompts(compose: dict[str, Any]) -> None:
    """Requests are logged or dumped only with a flag."""
    assert not {"--log-requests", "--crash-dump-folder", "--log-level"} & set(compose["services"]["engine"]["command"])


def test_no_secret_is_on_a_command_line(compose: dict[str, Any]) -> None:
    """All users of the machine can read command lines; the engine's key is in a file."""
    for name, service in compose["services"].items():
        assert not re.search(r"KEY|PASSWORD|SECRET|TOKEN", str(service.get("command"))), name
    engine = compose["services"]["engine"]
    (mounted,) = engine["configs"]
    assert engine["command"][engine["command"].index("--config") + 1] == mounted["target"]
    content = yaml.safe_load(compose["configs"][mounted["source"]]["content"])
    assert content == {"api-key": "${KVASIR_ENGINE_API_KEY:?any long random text}"}


def test_compose_sets_only_known_variables(compose: dict[str, Any]) -> None:
    variables = compose["services"]["kvasir"]["environment"]
    assert set(variables) <= set(Environment.model_fields)
    for value in variables.values():
        for variable in re.findall(r"\$\{(\w+)", value):
            complaint, nothing = f"${{{variable}:?", f"${{{variable}:-}}"
            assert complaint in value or nothing == value, f"{variable} has neither a value nor a complaint"
    assert {"BRAVE_API_KEY", "TAVILY_API_KEY", "EXA_API_KEY", "SERPER_API_KEY"} <= set(variables), "what .env may hold"


def test_required_variables_of_the_services_are_documented() -> None:
    """The page names all variables that the services require."""
    required = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    assert [name for name in sorted(required) if name not in page] == []


def test_searxng_answers_in_json_within_the_time_that_it_has(compose: dict[str, Any]) -> None:
    (mount,) = compose["services"]["searxng"]["volumes"]
    settings = yaml.safe_load((DEPLOY / mount.partition(":")[0]).read_text(encoding="utf-8"))
    assert "json" in settings["search"]["formats"]
    assert settings["server"]["limiter"] is False
    first_of_several_s = LiveWebRequest("always").within_s * SEARCH_SHARE * PROVIDER_TIME_SHARE
    assert settings["outgoing"]["max_request_timeout"] < first_of_several_s
    assert compose["services"]["kvasir"]["environment"]["KVASIR_SEARXNG_URL"] == "http://searxng:8080"


def test_kvasirs_key_at_weaviate_is_no_administrators(compose: dict[str, Any]) -> None:
    weaviate, role = compose["services"]["weaviate"]["environment"], compose["services"]["weaviate-role"]
    users = weaviate["AUTHENTICATION_APIKEY_USERS"].split(",")
    keys = weaviate["AUTHENTICATION_APIKEY_ALLOWED_KEYS"].split(",")
    key_of = dict(zip(users, (re.findall(r"\w+", key)[0] for key in keys), strict=True))
    assert key_of == {"admin": "VECTORS_ADMIN_KEY", "kvasir": "WEAVIATE_API_KEY"}
    assert weaviate["AUTHORIZATION_RBAC_ROOT_USERS"] == "admin"
    assert "ADMINLIST" not in str(weaviate)
    assert compose["services"]["kvasir"]["depends_on"]["weaviate-role"] == {
        "condition": "service_completed_successfully"
    }
    assert "VECTORS_ADMIN_KEY" not in compose["services"]["kvasir"]["environment"]
    for mount in role["volumes"]:
        assert (DEPLOY / mount.partition(":")[0]).is_file(), mount


@pytest.mark.slow
async def test_the_role_is_given_and_is_enough(compose: dict[str, Any], tmp_path: Path) -> None:
    """With the variables of the compose file; a second run changes nothing."""
    rights = {
        name: value for name, value in compose["services"]["weaviate"]["environment"].items() if "RBAC" in name
    } | {"AUTHENTICATION_APIKEY_USERS": "admin,kvasir"}
    with weaviate_server(tmp_path, rights) as server:
        environ = {"PATH": os.environ["PATH"], "WEAVIATE_URL": server.url, "VECTORS_ADMIN_KEY": server.api_key}
        argv = [sys.executable, str(DEPLOY / "weaviate_role.py")]
        wide = {"action": "read_data", "data": {"collection": "*", "tenant": "*", "object": "*"}}
        for name, permissions in {"kvasir": [wide, *ROLE["permissions"][1:]], "wide": [wide]}.items():
            ask_weaviate(server, "roles", {"name": name, "permissions": permissions})
        ask_weaviate(server, "users/kvasir/assign", {"roles": ["wide"], "userType": "db"})
        for _ in range(2):
            await asyncio.to_thread(subprocess.run, argv, check=True, env=environ, timeout=60)
            assert [one["name"] for one in ask_weaviate(server, "users/kvasir/roles/db")] == ["kvasir"]
            given = ask_weaviate(server, "roles/kvasir")["permissions"]
            assert sorted(given, key=lambda one: one["action"]) == sorted(
                ROLE["permissions"], key=lambda one: one["action"]
            )
        store = WeaviateStore(server.url, server.grpc_url, server.reader_key)
        await store.open("kvasir_1a1a1a1a", DIMENSIONS)
        await store.write([row("a")])
        assert await store.count() == 1
        await store.close()
        wrong = {**environ, "VECTORS_ADMIN_KEY": "wrong"}
        refused = await asyncio.to_thread(subprocess.run, argv, check=False, env=wrong, timeout=60)
        assert refused.returncode == 1


def ask_weaviate(server: WeaviateServer, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        f"{server.url}/v1/authz/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


def test_a_weaviate_that_is_down_is_named_with_a_next_step() -> None:
    environ = {"PATH": os.environ["PATH"], "WEAVIATE_URL": "http://127.0.0.1:1", "VECTORS_ADMIN_KEY": "hush-hush"}
    argv = [sys.executable, str(DEPLOY / "weaviate_role.py")]
    refused = subprocess.run(argv, check=False, env=environ, timeout=60, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Weaviate at http://127.0.0.1:1 does not answer")
    assert "Traceback" not in refused.stderr


def test_every_volume_is_declared(compose: dict[str, Any]) -> None:
    used = {
        mount.partition(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", [])
        if not mount.startswith(("$", ".", "/"))
    }
    assert used == set(compose["volumes"])


def test_the_image_never_opens_a_workspace_of_its_own() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert 'ENTRYPOINT ["kvasir"]' in lines
    assert 'CMD ["run", "--no-sandbox"]' in lines
    for image in (line.split()[1] for line in lines if line.startswith("FROM")):
        assert PINNED.search(image), image
    copied = [part for line in lines if line.startswith("COPY") and "--from" not in line for part in line.split()[1:-1]]
    for part in copied:
        assert (ROOT / part).exists(), part


def test_the_example_configuration_loads(tmp_path: Path) -> None:
    (tmp_path / "kvasir.toml").write_text((DEPLOY / "kvasir.example.toml").read_text(encoding="utf-8"))
    assert [source.name for source in load_settings({}, tmp_path).knowledge.sources] == ["handbook", "added"]


def test_yaml_is_tidy() -> None:
    rules = "{extends: relaxed, rules: {line-length: {max: 120}}}"
    subprocess.run(
        [sys.executable, "-m", "yamllint", "-s", "-d", rules, str(DEPLOY)], check=True, cwd=ROOT, timeout=120
    )


@pytest.mark.parametrize(
    "script", [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"], ids=lambda p: p.name
)
def test_scripts_are_plain_sh(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=120)


@pytest.mark.parametrize(
    "requirements",
    sorted(ROOT.glob("*/requirements/*.txt")) + sorted(ROOT.glob("requirements/*.txt")),
    ids=lambda p: p.name,
)
def test_requirements_are_pinned_by_hash_and_name_no_host(requirements: Path) -> None:
    text = requirements.read_text(encoding="utf-8")
    assert "--index-url" not in text
    assert not re.search(r"https?://", text)
    for block in re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)):
        if "==" in block:
            assert "--hash=sha256:" in block, block[:80]
