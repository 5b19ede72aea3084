"""A server that is down when its store opens, and answers later: only ``open`` creates an index."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from knowledge.errors import IndexLost, StoreUnavailable
from knowledge.interfaces import Scope, Store
from knowledge.settings import KnowledgeSettings
from knowledge.stores.registry import STORES, make_store
from tests.services import free_ports
from tests.stores.relays import relay
from tests.stores.rows import DIMENSIONS, row, unit

pytestmark = pytest.mark.slow
INDEX = "kvasir_1a7e1a7e"


def move_ports(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[int, int]]:
    """Return the variables with ports at which nobody listens, and the servers' ports by these."""
    ports = re.findall(r"://[^,/]*:(\d+)", " ".join(variables.values()))
    moved = dict(zip(free_ports(len(ports)), map(int, ports), strict=True))
    changed = dict(variables)
    for new, old in moved.items():
        changed = {name: value.replace(f":{old}", f":{new}") for name, value in changed.items()}
    return changed, moved


@pytest.mark.parametrize("kind", [spec.name for spec in STORES.values() if spec.setting])
async def test_a_late_call_makes_no_index(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The index may be one that another process has replaced and dropped meanwhile."""
    variables = request.getfixturevalue(f"{kind}_variables")
    moved, ports = move_ports(variables)

    def make(variables: Mapping[str, str]) -> Store:
        return make_store(KnowledgeSettings(tmp_path, tmp_path, "", store=kind, store_variables=variables))

    late, other = make(moved), make(variables)
    await late.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreUnavailable):
        await late.count()
    async with contextlib.AsyncExitStack() as relays:
        for near, far in ports.items():
            await relays.enter_async_context(relay(near, far))
        for call in (
            lambda: late.write([row("a")]),
            lambda: late.delete(["a"]),
            lambda: late.find_candidates(unit(1), "term", pool=5, scope=Scope(frozenset({"docs"}))),
            late.check,
        ):
            with pytest.raises(IndexLost):
                await call()
        assert INDEX not in await other.list_indexes()
        await other.open(INDEX, DIMENSIONS)
        await late.write([row("a")])
        assert await other.count() == 1
        await other.drop_index(INDEX)
        for store in (late, other):
            await store.close()
