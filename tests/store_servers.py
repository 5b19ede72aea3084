"""A real server for each store of the registry, for tests and scripts that run over all stores."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.opensearch import elasticsearch_server, opensearch_server
from tests.postgres import find_vector_programs, postgres_server
from tests.services import weaviate_server

_SERVERS = {"weaviate": weaviate_server, "opensearch": opensearch_server, "elasticsearch": elasticsearch_server}


@functools.cache
def share_server(kind: str) -> Any:
    """Return a server that lives as long as the process, for tests that delete only what they have made there."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"kvasir-{kind}-"))
    return stack.enter_context(_SERVERS[kind](Path(folder)))


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
