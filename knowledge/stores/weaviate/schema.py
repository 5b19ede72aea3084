"""Create collections, and check that an existing one has our schema.

Kvasir uses RQ-8 instead of uncompressed vectors. Over 100 000 passages it halves the memory after a restart and the
time to fill. The recall is 0.98 to 0.99 within a pool, and what is missed is at the pool's edge. Kvasir computes the
cosines for the fusion from the full vectors. Texts are tokenised by whitespace or not at all, because the terms are
ready-made.

Kvasir sweeps behind a filter from 30 000 rows on. With a third of 100 000 passages behind the filter, that costs half
of comparing all of them. The server compares all up to 40 000 by default. Sweeping found the ten nearest each time; the
server's ACORN found 98.5 % and was not faster. It looks at five times the pool, as the embedded store does. An older
collection is updated when it opens.

Another ``SCHEMA`` is another index, grown next to the old one. Within one schema, an optional property is added in
place. Copies, shards and tenancy are fixed when a collection is created. A collection that differs from the
configuration is refused.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from knowledge.errors import StoreMisconfigured
from knowledge.stores.common import SCHEMA
from knowledge.stores.weaviate.placement import Placement

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.classes.config import (
        Configure,
        DataType,
        Property,
        Reconfigure,
        StopwordsPreset,
        Tokenization,
        VectorDistances,
        VectorFilterStrategy,
    )
    from weaviate.classes.tenants import Tenant
    from weaviate.exceptions import InsufficientPermissionsError, UnexpectedStatusCodeError, WeaviateBaseError

_K1, _B = 1.2, 0.75
"""BM25's usual constants, as in the embedded store."""

BM25_SCALE = _K1 + 1
"""The formula's constant factor, which the server leaves out. With it both stores score alike."""

_SEARCH: Final[dict[str, Any]] = {
    "filter_strategy": VectorFilterStrategy.SWEEPING,
    "flat_search_cutoff": 30_000,
    "dynamic_ef_factor": 5,
}
"""How vectors are searched. It can be changed for an existing index."""

_PLAIN = ("chunk_id", "document", "title", "heading", "text", "url")


def list_schema_properties() -> list[Property]:
    """Return the properties of a passage."""
    return [
        *(
            Property(name=name, data_type=DataType.TEXT, index_filterable=False, index_searchable=False)
            for name in _PLAIN
        ),
        *(_make_exact_property(name) for name in ("source", "audience", "kind")),
        _make_range_property("modified_s"),
        _make_range_property("modified_us"),
        Property(
            name="terms",
            data_type=DataType.TEXT,
            tokenization=Tokenization.WHITESPACE,
            index_filterable=False,
            index_searchable=True,
        ),
    ]


def _make_exact_property(name: str) -> Property:
    return Property(
        name=name,
        data_type=DataType.TEXT,
        tokenization=Tokenization.FIELD,
        index_filterable=True,
        index_searchable=False,
    )


def _make_range_property(name: str) -> Property:
    return Property(name=name, data_type=DataType.INT, index_filterable=False, index_range_filters=True)


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """The configured collection."""

    name: str
    dimensions: int
    placement: Placement

    @property
    def description(self) -> str:
        """Return the description of one of our collections."""
        return f"Passages of Kvasir (schema {SCHEMA}, {self.dimensions} dimensions)"


async def prepare_collection(client: Any, spec: CollectionSpec) -> None:  # noqa: ANN401 - generic in the client
    """Create the collection and our tenant if missing, add what can be added, and refuse other differences.

    Raises:
        StoreMisconfigured: its schema, its copies, its shards or its tenancy differ.
        WeaviateBaseError: the server is unreachable or refused.

    """
    if not await client.collections.exists(spec.name):
        await _create_collection(client, spec)
    collection = client.collections.use(spec.name)
    config = await collection.config.get()
    _check_schema(spec, config)
    _check_placement(spec, config)
    present = {one.name for one in config.properties}
    for missing in (one for one in list_schema_properties() if one.name not in present):
        await _add_property(collection, missing)
    await _tune_vector_index(collection, config)
    if spec.placement.tenant is not None:
        await _add_tenant(collection, spec.placement.tenant)


async def _create_collection(client: Any, spec: CollectionSpec) -> None:  # noqa: ANN401
    place = spec.placement
    # Kvasir creates a tenant once and on purpose, so that a write to an unknown one is an error.
    tenancy = Configure.multi_tenancy(enabled=True, auto_tenant_creation=False, auto_tenant_activation=True)
    await _change_once(
        client.collections.create(
            spec.name,
            description=spec.description,
            properties=list_schema_properties(),
            inverted_index_config=Configure.inverted_index(
                bm25_k1=_K1, bm25_b=_B, stopwords_preset=StopwordsPreset.NONE
            ),
            vector_config=Configure.Vectors.self_provided(
                quantizer=Configure.VectorIndex.Quantizer.rq(bits=8),
                vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE, **_SEARCH),
            ),
            replication_config=Configure.replication(factor=place.replicas),
            sharding_config=None if place.shards is None else Configure.sharding(desired_count=place.shards),
            multi_tenancy_config=None if place.tenant is None else tenancy,
        ),
        lambda: client.collections.exists(spec.name),
    )


async def _add_property(collection: Any, missing: Property) -> None:  # noqa: ANN401
    async def is_present() -> bool:
        return missing.name in {one.name for one in (await collection.config.get()).properties}

    await _change_once(collection.config.add_property(missing), is_present)


async def _tune_vector_index(collection: Any, config: Any) -> None:  # noqa: ANN401
    """Apply the measured vector search settings. If the key may not change them, leave them."""
    ((name, vectors),) = config.vector_config.items()
    if all(getattr(vectors.vector_index_config, setting) == value for setting, value in _SEARCH.items()):
        return
    index = Reconfigure.VectorIndex.hnsw(**_SEARCH)
    with contextlib.suppress(InsufficientPermissionsError):
        await collection.config.update(vector_config=Reconfigure.Vectors.update(name=name, vector_index_config=index))


async def _add_tenant(collection: Any, tenant: str) -> None:  # noqa: ANN401
    async def is_present() -> bool:
        return await has_tenant(collection, tenant)

    if not await is_present():
        await _change_once(collection.tenants.create(Tenant(name=tenant)), is_present)


async def has_tenant(collection: Any, tenant: str) -> bool:  # noqa: ANN401 - generic in the client
    """Return whether a collection has a tenant, by a call whose refusal names the missing permission."""
    return await collection.tenants.get_by_name(tenant) is not None


async def lacks_tenant(collection: Any, tenant: str) -> bool:  # noqa: ANN401 - generic in the client
    """Return whether a collection has tenants, and not this one; ``prepare_collection`` refuses one without tenants."""
    try:
        return not await has_tenant(collection, tenant)
    except UnexpectedStatusCodeError:
        return False


async def _change_once(change: Awaitable[object], there: Callable[[], Awaitable[bool]]) -> None:
    """Make a change, or accept that another process made it first."""
    try:
        await change
    except InsufficientPermissionsError:
        raise
    except WeaviateBaseError:
        if not await there():
            raise


def _check_schema(spec: CollectionSpec, config: Any) -> None:  # noqa: ANN401 - the client's own class
    """Refuse a collection that another program, or the server's automatic schema, created or changed."""
    ours = {one.name: _normalise_tokenization(one.dataType, one.tokenization) for one in list_schema_properties()}
    present = {one.name: _normalise_tokenization(one.data_type, one.tokenization) for one in config.properties}
    right = (
        config.description == spec.description
        and all(present.get(name, shape) == shape for name, shape in ours.items())
        and config.inverted_index_config.stopwords.preset == StopwordsPreset.NONE
    )
    if not right:
        raise StoreMisconfigured(
            f"The Weaviate collection {spec.name} is not as Kvasir makes it for {spec.dimensions} dimensions: "
            "delete it, then run `kvasir sync` to build it again."
        )


def _normalise_tokenization(
    data_type: DataType, tokenization: Tokenization | None
) -> tuple[DataType, Tokenization | None]:
    """Return the part that must be equal. Properties without an index always read as tokenised by word."""
    return data_type, None if tokenization is Tokenization.WORD else tokenization


def _check_placement(spec: CollectionSpec, config: Any) -> None:  # noqa: ANN401
    """Refuse a collection whose copies, shards or tenancy differ from the configuration."""
    place, tenancy = spec.placement, config.multi_tenancy_config.enabled
    if config.replication_config.factor != place.replicas:
        raise _make_placement_error(spec, f"keeps {config.replication_config.factor} copies of each passage",
                                f"WEAVIATE_REPLICAS asks for {place.replicas}")  # fmt: skip
    if tenancy != (place.tenant is not None):
        raise _make_placement_error(
            spec,
            "is divided by tenants" if tenancy else "is not divided by tenants",
            "WEAVIATE_TENANT is set" if place.tenant else "WEAVIATE_TENANT is not set",
        )
    shards = None if config.sharding_config is None else config.sharding_config.desired_count
    if place.shards not in {None, shards}:
        raise _make_placement_error(spec, f"has {shards} shards", f"WEAVIATE_SHARDS asks for {place.shards}")


def _make_placement_error(spec: CollectionSpec, actual: str, configured: str) -> StoreMisconfigured:
    return StoreMisconfigured(
        f"The Weaviate collection {spec.name} {actual}, but {configured}, and a collection cannot change that: set "
        "it back, or delete the collection and run `kvasir sync` to build a new one."
    )
