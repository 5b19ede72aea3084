"""A whole installation on OpenSearch and on Elasticsearch: sync, search, loss of the index, erasure and backup."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bot.cli.commands import erase
from bot.library_opening import open_configured_library
from knowledge.errors import IndexLost
from tests.cli.test_backup import ADA, Site, fill, find_passages
from tests.opensearch import SearchServer

pytestmark = pytest.mark.slow
NAMESPACE = {"KVASIR_NAMESPACE": "acme"}


@pytest.fixture(params=["opensearch", "elasticsearch"])
def server(request: pytest.FixtureRequest) -> SearchServer:
    found: SearchServer = request.getfixturevalue(request.param)
    return found


def list_server_indexes(server: SearchServer) -> list[str]:
    return sorted(server.call("GET", "/kvasir_acme_*/_alias"))


@pytest.fixture
def site(server: SearchServer, tmp_path: Path) -> Site:
    for name in list_server_indexes(server):
        server.call("DELETE", f"/{name}")
    return Site(tmp_path, **NAMESPACE, **server.variables)


async def test_a_lost_index_is_built_again(site: Site, server: SearchServer) -> None:
    found = await fill(site)
    assert all(found)
    (name,) = list_server_indexes(server)
    async with open_configured_library(site.settings) as library:
        server.call("DELETE", f"/{name}")
        with pytest.raises(IndexLost):
            await library._indexes.searched.store.check()
        assert (await library.refresh()).ok
        assert await find_passages(library) == found
        (site.folder / "docs" / "mail.md").unlink()
        assert (await library.refresh()).ok
        left = await find_passages(library)
        assert not any(id_ == found[-1][0][0] for passages in left for id_, _ in passages)


async def test_a_backup_has_the_vectors(site: Site, server: SearchServer) -> None:
    found = await fill(site)
    folder = await site.backup("backup")
    (name,) = list_server_indexes(server)
    server.call("DELETE", f"/{name}")
    site.wipe()
    restored = await site.restore(folder)
    assert (restored.differences, restored.problems, restored.vectors) == (0, [], 10)
    async with open_configured_library(site.settings) as library:
        assert await find_passages(library) == found


async def test_the_embedded_store_finds_the_same(site: Site, tmp_path: Path) -> None:
    found = await fill(site)
    (tmp_path / "other").mkdir()
    texts = [[text for _, text in passages] for passages in await fill(Site(tmp_path / "other"))]
    assert [[text for _, text in passages] for passages in found] == texts


async def test_an_erasure_reaches_the_files_of_the_server(
    site: Site, server: SearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in site.environ.items():
        monkeypatch.setenv(variable, value)
    await fill(site)
    (name,) = list_server_indexes(server)
    config = site.folder / "kvasir.toml"
    assert (
        await erase.main(argparse.Namespace(command="erase", subject=ADA, dry_run=False, config=config, json=True)) == 0
    )
    counts = server.call("GET", f"/{name}/_stats/docs")["_all"]["total"]["docs"]
    assert (counts["count"], counts["deleted"]) == (10, 0)  # nine passages, and the document that measures scores
