"""The one list of stores, from which the chosen one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any, Final, cast

from knowledge.database.postgresql_url import list_database_addresses
from knowledge.errors import StoreMisconfigured
from knowledge.interfaces import Store
from knowledge.settings import KnowledgeSettings
from knowledge.stores.weaviate.address import parse_node_addresses


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
    fallback: str = field(default="", kw_only=True)
    """The variable whose value it uses if ``setting`` has none."""
    list_addresses: Callable[[Mapping[str, Any]], Sequence[str]] = field(kw_only=True)
    """Returns the URLs of all that it may connect to, by its variables."""


def _list_weaviate_addresses(variables: Mapping[str, Any]) -> Sequence[str]:
    nodes = parse_node_addresses(variables["WEAVIATE_URL"], variables.get("WEAVIATE_GRPC_URL"))
    return [str(address) for node in nodes for address in (node.http, node.grpc)]


def _list_urls(variable: str) -> Callable[[Mapping[str, Any]], Sequence[str]]:
    return lambda variables: [url.strip() for url in variables[variable].split(",")]


STORES: Final = {
    spec.name: spec
    for spec in (
        StoreSpec("lancedb", "knowledge.stores.lancedb.store:make_store", list_addresses=lambda _: ()),
        StoreSpec(
            "weaviate",
            "knowledge.stores.weaviate.store:make_store",
            "WEAVIATE_URL",
            ("WEAVIATE_API_KEY",),
            list_addresses=_list_weaviate_addresses,
        ),
        StoreSpec(
            "postgresql",
            "knowledge.stores.postgresql.store:make_store",
            "POSTGRESQL_URL",
            ("POSTGRESQL_URL",),
            fallback="KVASIR_DATABASE_URL",
            list_addresses=lambda variables: list_database_addresses(variables["POSTGRESQL_URL"]),
        ),
        StoreSpec(
            "opensearch",
            "knowledge.stores.opensearch.store:make_opensearch",
            "OPENSEARCH_URL",
            ("OPENSEARCH_API_KEY", "OPENSEARCH_PASSWORD"),
            list_addresses=_list_urls("OPENSEARCH_URL"),
        ),
        StoreSpec(
            "elasticsearch",
            "knowledge.stores.opensearch.store:make_elasticsearch",
            "ELASTICSEARCH_URL",
            ("ELASTICSEARCH_API_KEY", "ELASTICSEARCH_PASSWORD"),
            list_addresses=_list_urls("ELASTICSEARCH_URL"),
        ),
    )
}
"""All stores by name. The first one is used if nothing is configured."""


def make_store(settings: KnowledgeSettings, name: str = "") -> Store:
    """Return the chosen store, or another one by its name. It is not open yet.

    Raises:
        StoreMisconfigured: the other one is unknown, or lacks its address.

    """
    spec = STORES.get(name or settings.store)
    if spec is None or (spec.setting and spec.setting not in settings.store_variables):
        raise StoreMisconfigured(
            f"An index is still in the store {name}, which is not configured. "
            f"Set KVASIR_PREVIOUS_STORE to {name}, with its address, until the new index is complete."
        )
    prefix = f"{spec.name.upper()}_"
    own = {name: value for name, value in settings.store_variables.items() if name.startswith(prefix)}
    return cast("Store", resolve_name(spec.implementation)(replace(settings, store=spec.name, store_variables=own)))


def list_store_addresses(settings: KnowledgeSettings) -> list[str]:
    """Return the URLs of the chosen store, and of the previous one."""
    variables = settings.store_variables
    opened = [spec for spec in STORES.values() if spec.name == settings.store or spec.setting in variables]
    return [address for spec in opened for address in spec.list_addresses(variables)]
