"""A real server for each store of the registry, for tests and scripts that run over all stores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.opensearch import elasticsearch_server, opensearch_server
from tests.postgres import find_vector_programs, postgres_server
from tests.services import weaviate_server

_SERVERS = {"weaviate": weaviate_server, "opensearch": opensearch_server, "elasticsearch": elasticsearch_server}


@contextlib.contextmanager
def store_server(kind: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Run what a store needs, with its data in ``folder``, and give the variables with which Kvasir uses it.

    Raises:
        RuntimeError: there is no server program, or it did not become ready.

    """
    if kind == "lancedb":
        yield {}
    elif kind == "postgresql":
        with postgres_server(programs=find_vector_programs()) as url:
            yield {"POSTGRESQL_URL": url}
    else:
        with _SERVERS[kind](folder) as server:
            yield server.variables
