"""The one list of stores, from which the chosen one is made."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Final, cast

from knowledge.interfaces import Store
from knowledge.settings import KnowledgeSettings


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """The declaration of a store: its name, the function that makes it, and what it needs."""

    name: str
    """As ``KVASIR_STORE`` names it. The names of its variables begin with it: ``WEAVIATE_`` for ``weaviate``."""
    implementation: str
    """``module:function``, imported when the store is used. It gets ``KnowledgeSettings`` and connects to nothing."""
    setting: str = ""
    """The variable that it needs, and that chooses it without ``KVASIR_STORE``; "" if it needs none."""
    secrets: tuple[str, ...] = ()
    """The variables that no log shows and no child process gets."""


STORES: Final = {
    spec.name: spec
    for spec in (
        StoreSpec("lancedb", "knowledge.stores.lancedb.store:make_store"),
        StoreSpec("weaviate", "knowledge.stores.weaviate.store:make_store", "WEAVIATE_URL", ("WEAVIATE_API_KEY",)),
    )
}
"""All stores by name. The first one is used if nothing is configured."""


def make_store(settings: KnowledgeSettings) -> Store:
    """Return the chosen store, which is not open yet."""
    return cast("Store", resolve_name(STORES[settings.store].implementation)(settings))
