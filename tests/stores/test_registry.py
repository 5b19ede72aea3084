"""The registry of stores, and the toy that joins it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.config.settings import load_settings, read_cache_folder
from bot.library_opening import open_configured_library
from knowledge.errors import StoreMisconfigured
from knowledge.settings import KnowledgeSettings
from knowledge.stores.registry import STORES, StoreSpec, make_store
from tests.stores.toy_store import TOY, ToyStore

PAGE = "# Leave\n\nEverybody has thirty days of leave.\n"


@pytest.mark.parametrize("spec", STORES.values(), ids=STORES)
def test_each_spec_names_what_makes_its_store(spec: StoreSpec, tmp_path: Path) -> None:
    scheme = "postgresql" if spec.name == "postgresql" else "http"
    variables = {spec.setting: f"{scheme}://127.0.0.1:9/x"} if spec.setting else {}
    store = make_store(KnowledgeSettings(tmp_path, tmp_path, "", store=spec.name, store_variables=variables))
    assert spec.implementation.startswith(f"{type(store).__module__}:")


def test_a_tenant_with_shards_is_refused(tmp_path: Path) -> None:
    variables = {"WEAVIATE_URL": "http://127.0.0.1:9", "WEAVIATE_TENANT": "acme", "WEAVIATE_SHARDS": 2}
    with pytest.raises(StoreMisconfigured, match="WEAVIATE_TENANT and WEAVIATE_SHARDS are both set"):
        make_store(KnowledgeSettings(tmp_path, tmp_path, "", store="weaviate", store_variables=variables))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_registered_store_is_chosen_filled_and_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORES, TOY.name, TOY)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "hr"\nkind = "folder"\npath = "docs"\n')
    cache = str(read_cache_folder(os.environ, tmp_path))
    environ = {"KVASIR_STORE": "toy", "KVASIR_HOME": str(tmp_path / "home"), "KVASIR_CACHE": cache}
    async with open_configured_library(load_settings(environ, tmp_path)) as library:
        assert (await library.refresh()).ok
        assert [hit.document for hit in (await library.search("How many days of leave?")).hits] == ["leave.md"]
        assert (await library.status()).store == "toy"
        assert isinstance(library._indexes.written.store, ToyStore)
