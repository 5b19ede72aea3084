"""What a real Weaviate says of Kvasir's key."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.config.settings import load_settings
from bot.security.probes import list_probes
from tests.services import ADMIN_LIST, ROLES, WeaviateServer, weaviate_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ANONYMOUS = {
    **ADMIN_LIST,
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
    "AUTHORIZATION_ADMINLIST_ENABLED": "false",
}


async def ask(folder: Path, server: WeaviateServer, key: str) -> dict[str, bool]:
    """Return whether each check finds a problem."""
    (folder / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n')
    variables = {**server.variables, "WEAVIATE_API_KEY": key, "KVASIR_HOME": str(folder)}
    probes = list_probes(load_settings(variables, folder), None)
    found = {}
    for name in ("weaviate-anonymous", "weaviate-administrator"):
        probe = probes[name]
        assert probe is not None
        places = await probe()
        assert list(places) in ([], [server.url])
        found[name] = bool(places)
    return found


def give_role(server: WeaviateServer) -> None:
    """Give the reader's key the role of deploy/, as docs/security.md does it."""
    call(server, "roles", json.loads((ROOT / "deploy" / "weaviate-role.json").read_text(encoding="utf-8")))
    call(server, "users/reader/assign", {"roles": ["kvasir"], "userType": "db"})


def call(server: WeaviateServer, path: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/authz/{path}", json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"},
    )  # fmt: skip
    urllib.request.urlopen(request, timeout=30).close()


async def test_the_role_of_deploy_is_neither_open_nor_too_wide(tmp_path: Path) -> None:
    with weaviate_server(tmp_path, ROLES) as server:
        give_role(server)
        assert await ask(tmp_path, server, server.reader_key) == {
            "weaviate-anonymous": False, "weaviate-administrator": False
        }  # fmt: skip
        assert await ask(tmp_path, server, server.api_key) == {
            "weaviate-anonymous": False, "weaviate-administrator": True
        }  # fmt: skip


async def test_an_administrator_by_a_list_is_named(tmp_path: Path) -> None:
    with weaviate_server(tmp_path, ADMIN_LIST) as server:
        assert (await ask(tmp_path, server, server.api_key))["weaviate-administrator"]


async def test_a_server_without_authentication_is_named(tmp_path: Path) -> None:
    with weaviate_server(tmp_path, ANONYMOUS) as server:
        assert (await ask(tmp_path, server, server.api_key))["weaviate-anonymous"]
