"""Tests of what Weaviate's messages mean."""

from __future__ import annotations

import pytest

from knowledge.errors import StoreError, StoreReadOnly, StoreUnavailable
from knowledge.stores.weaviate.address import parse_node_addresses
from knowledge.stores.weaviate.errors import WeaviateErrors

BUSY = 'vector index configs update: shard "03GS": store is read-only due to: UpdateVectorIndexConfigs: [default]'


@pytest.mark.parametrize(
    ("message", "kind"),
    [("store is read-only due to: disk usage too high", StoreReadOnly), (BUSY, StoreUnavailable)],
)
def test_a_shard_whose_index_is_being_changed_accepts_writes_later(message: str, kind: type[StoreError]) -> None:
    errors = WeaviateErrors(parse_node_addresses("http://127.0.0.1:8080"))
    assert type(errors.translate_rows(1, [message])) is kind
