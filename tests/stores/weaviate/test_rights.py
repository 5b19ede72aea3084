"""The least rights that Kvasir's key needs, on a real server with roles: as many as docs/security.md lists, no more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import weaviate as client_library
from weaviate.classes.init import Auth

from knowledge.errors import StoreError, StoreMisconfigured, StoreReadOnly
from knowledge.interfaces import Scope
from knowledge.stores.weaviate.address import parse_address
from knowledge.stores.weaviate.placement import Placement
from knowledge.stores.weaviate.store import WeaviateStore
from tests.services import ROLES, WeaviateServer, weaviate_server
from tests.stores.rows import DIMENSIONS, row, unit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
OLD, NEW = "kvasir_1a1a1a1a", "kvasir_2b2b2b2b"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    with weaviate_server(tmp_path_factory.mktemp("rights"), ROLES) as server:
        yield server


@pytest.fixture
async def admin(server: WeaviateServer) -> AsyncIterator[client_library.WeaviateAsyncClient]:
    http, grpc = parse_address(server.url, 0), parse_address(server.grpc_url, 0)
    async with client_library.use_async_with_custom(
        http.host, http.port, http_secure=False, grpc_host=grpc.host, grpc_port=grpc.port, grpc_secure=False,
        auth_credentials=Auth.api_key(server.api_key), skip_init_checks=True,
    ) as admin:  # fmt: skip
        yield admin
        await admin.collections.delete_all()


Role = list[dict[str, dict[str, str] | str]]


def role_of(file: str) -> Role:
    return json.loads((ROOT / "deploy" / file).read_text(encoding="utf-8"))["permissions"]


async def give(server: WeaviateServer, role: Role) -> None:
    """Give the reader's key exactly these permissions, by the requests in docs/security.md."""
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with aiohttp.ClientSession(f"{server.url}/v1/authz/", headers=headers, raise_for_status=True) as session:
        await session.delete("roles/kvasir")
        await session.post("roles", json={"name": "kvasir", "permissions": role})
        await session.post("users/reader/assign", json={"roles": ["kvasir"], "userType": "db"})


async def ids(store: WeaviateStore) -> list[str]:
    found = await store.find_candidates(unit(1), "term", pool=9, scope=Scope(frozenset({"docs"})))
    listed = [id_ for batch in [batch async for batch in store.list_ids()] for id_ in batch]
    kept = [one.chunk.id for one in await store.read_rows(listed)]
    assert {one.chunk.id for one in found} == set(listed) == set(kept)
    assert await store.count() == len(listed)
    return sorted(listed)


async def everything(server: WeaviateServer, placement: Placement) -> None:
    """Do everything that Kvasir does, also growing and deleting a second index."""
    old, new = (WeaviateStore(server.url, server.grpc_url, server.reader_key, placement=placement) for _ in range(2))
    try:
        await old.open(OLD, DIMENSIONS)
        await old.write([row("a"), row("b")])
        await old.write([row("b", text="Again.")])
        await old.delete(["a"])
        assert await ids(old) == ["b"]
        await new.open(NEW, DIMENSIONS)
        await new.write([row("b")])
        assert await new.list_indexes() == [OLD, NEW]
        await new.drop_index(OLD)
        assert await new.list_indexes() == [NEW]
        await new.drop_index(NEW)
    finally:
        await old.close()
        await new.close()


@pytest.mark.parametrize(
    ("file", "placement"),
    [("weaviate-role.json", Placement()), ("weaviate-role-tenant.json", Placement(tenant="acme"))],
)
async def test_every_required_permission_is_named_if_missing(
    server: WeaviateServer, admin: client_library.WeaviateAsyncClient, file: str, placement: Placement
) -> None:
    least = role_of(file)
    await give(server, least)
    await everything(server, placement)
    for lacking in least:
        await admin.collections.delete_all()
        await give(server, [right for right in least if right is not lacking])
        with pytest.raises(StoreError, match=f"lacks the permission {lacking['action']} on Kvasir_") as caught:
            await everything(server, placement)
        kind = StoreMisconfigured if str(lacking["action"]).startswith("read_") else StoreReadOnly
        assert type(caught.value) is kind, lacking
        assert "docs/security.md" in str(caught.value)


@pytest.mark.usefixtures("admin")
async def test_the_rights_reach_no_other_collection(server: WeaviateServer) -> None:
    """A key for one namespace cannot touch another's collections, although both are ours."""
    acme = json.loads(json.dumps(role_of("weaviate-role.json")).replace("Kvasir_*", "Kvasir_acme_*"))
    await give(server, acme)
    await everything(server, Placement(namespace="acme"))
    for placement in (Placement(namespace="other"), Placement()):
        with pytest.raises(StoreError, match="lacks the permission"):
            await everything(server, placement)


@pytest.mark.usefixtures("admin")
async def test_a_read_only_key_searches_and_reports_its_limits(server: WeaviateServer) -> None:
    owner = WeaviateStore(server.url, server.grpc_url, server.api_key)
    await owner.open(OLD, DIMENSIONS)
    await owner.write([row("a")])
    role = [right for right in role_of("weaviate-role.json") if str(right["action"]).startswith("read_")]
    await give(server, role)
    reader = WeaviateStore(server.url, server.grpc_url, server.reader_key)
    await reader.open(OLD, DIMENSIONS)
    assert await ids(reader) == ["a"]
    cannot = {
        "create_data|update_data": lambda: reader.write([row("b")]),
        "delete_data": lambda: reader.delete(["a"]),
        "delete_collections": lambda: reader.drop_index(OLD),
        "create_collections": lambda: reader.open(NEW, DIMENSIONS),
    }
    for right, call in cannot.items():
        with pytest.raises(StoreReadOnly, match=rf"lacks the permission ({right}) on Kvasir_"):
            await call()
    assert await ids(owner) == ["a"]
    for one in (owner, reader):
        await one.close()
