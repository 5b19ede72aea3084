"""Store each index on OpenSearch or Elasticsearch, searched by two concurrent queries.

Rows are written through an alias that exists only with the index, so that the server never makes an index of its own
for them.

The servers' versions differ in the scale of BM25. Each index has a document whose score is known, by which the store
measures the scale when it opens.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from knowledge.errors import IndexLost, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import (
    INDEX_PREFIX,
    SCHEMA,
    check_rows,
    enforce_deadline,
    keep_last_rows,
    merge_legs,
    run_both,
    slice_values,
)
from knowledge.stores.opensearch.api import Login, ServerApi, ServerCall
from knowledge.stores.opensearch.dialects import ELASTICSEARCH, MAX_POOL, OPENSEARCH, Dialect, Json
from knowledge.stores.opensearch.errors import IndexExists, ServerErrors
from knowledge.stores.opensearch.rows import (
    SEARCH_FIELDS,
    VECTOR_COPY,
    list_hits,
    make_bulks,
    make_document,
    make_document_id,
    make_filters,
    make_lexical_query,
    read_candidate,
    read_row,
)
from knowledge.stores.server_store import ServerStore
from knowledge.web.http.settings import WebSettings

_ROWS = ".rows"
"""The end of the alias through which rows are written."""
_PROBE: Final = "probe"
_PROBE_SCORE: Final = math.log(4 / 3)
"""The score of the one document that has a field, by the textbook."""
_WHOLE = (("allow_partial_search_results", "false"),)
"""A search without all parts of the index fails, because rows that it lacks would look like none."""
_COUNTED = (("search_type", "dfs_query_then_fetch"), *_WHOLE)
"""Terms are counted in all parts of the index before rows are scored."""
_ALL_ROWS: Final = {"exists": {"field": "id"}}
_K1: Final = 1.2
_SCRUB_PAUSE_S: Final = 5.0
_MOST_CLASSES: Final = 1_000_000
"""The audience classes of one filter; the servers' default is 65,536."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+){1,2}")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Deadlines in seconds, and batch sizes."""

    open_s: float = 10.0
    read_s: float = 8.0
    write_s: float = 60.0
    """The time for one batch. Within it, a server that is starting or overloaded is asked again."""
    scrub_s: float = 1800.0
    batch_rows: int = 500
    batch_bytes: int = 8_000_000
    """Far below what servers accept by default, which is 100 MB."""


@dataclass(frozen=True, slots=True)
class _OpenIndex:
    name: str
    dimensions: int


class OpenSearchStore(ServerStore[_OpenIndex]):
    """``Store`` on OpenSearch or Elasticsearch.

    Args:
        dialect: which of them it is.
        urls: the addresses, ``http://host:9200``. The first one that answers is used.
        login: the key, or the user with the password.
        shards: the parts of a new index.
        namespace: part of our indexes' names, so that two installations on one server have separate indexes.
        limits: deadlines and batch sizes.
        web: names the certificates of a company's own authority.

    """

    def __init__(
        self,
        dialect: Dialect,
        urls: Sequence[str],
        login: Login,
        *,
        shards: int = 1,
        namespace: str = "",
        limits: ServerLimits | None = None,
        web: WebSettings | None = None,
    ) -> None:
        self._dialect = dialect
        self._shards = shards
        self._namespace = namespace
        self._limits = limits or ServerLimits()
        self._errors = ServerErrors(dialect, urls)
        self._api = ServerApi(urls, login, self._errors, web or WebSettings())
        self._bm25_scale = 1.0
        """What makes the server's scores those of the textbook, once the index is checked."""
        super().__init__(dialect.name, self._errors.make_timeout_text)

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index, and create it if missing. If the server does not answer, do it later.

        Raises:
            StoreMisconfigured: the key is refused or lacks a permission, the server is another one or too old, or
                the index is not as Kvasir makes it.
            StoreReadOnly: the key may not create the index.

        """
        await self._open_index(_OpenIndex(make_index_name(index, self._namespace), dimensions), self._limits.open_s)

    async def close(self) -> None:
        """Close the connections."""
        self._index = None
        await self._api.close()

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows in batches. A failed batch may be half written, and can be sent again.

        Raises:
            StoreMisconfigured: a vector has another length or is not finite. StoreReadOnly: the server or the key
            accepts no writes. StoreError: the index is gone, or the server refused some rows.

        """
        check_rows(rows, self._get_index().dimensions)
        kept = keep_last_rows(rows)
        await self._change_rows(
            ({"index": {"_id": make_document_id(row.chunk.id)}}, make_document(row)) for row in kept
        )

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id."""
        await self._change_rows(({"delete": {"_id": make_document_id(id_)}},) for id_ in sorted(set(ids)))

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids in batches, in their order. Rows written meanwhile may be missed."""
        body: Json = {"query": _ALL_ROWS, "size": 1000, "sort": [{"id": "asc"}], "_source": False}
        while hits := await self._search(body, _WHOLE):
            yield [hit["sort"][0] for hit in hits]
            body["search_after"] = hits[-1]["sort"]

    async def count(self) -> int:
        """Return the number of rows."""
        body = {"query": _ALL_ROWS, "size": 0, "track_total_hits": True}
        answer = await self._read_index("/_search", body, _WHOLE)
        return int(answer["hits"]["total"]["value"])

    async def check(self, *, heal: bool = False) -> None:  # noqa: ARG002 - its server heals it
        """Return if the index exists as Kvasir made it, and all parts of it can be searched.

        Raises:
            IndexLost: it was deleted, or another one has its name.

        """
        answer = await self._read_index("/_mapping", None)
        if self._find_meta(answer) != self._make_meta():
            raise self._errors.make_gone()
        await self.count()

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        rows: list[StoredChunk] = []
        for some in slice_values(sorted(set(ids)), 200):
            query = {"ids": {"values": [make_document_id(id_) for id_ in some]}}
            hits = await self._search({"query": query, "size": len(some)}, _WHOLE)
            rows += [read_row(hit["_source"]) for hit in hits]
        return rows

    # ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        """Run both legs concurrently with one filter; see ``Store.find_candidates``."""
        if scope.is_empty:
            return ()
        await self._wait_until_ready(self._limits.read_s)
        size, filters = min(pool, MAX_POOL), make_filters(scope)
        fields = [*SEARCH_FIELDS, *([] if vector is None else [VECTOR_COPY])]
        options: Json = {"size": size, "_source": fields, "track_total_hits": False}
        legs = await run_both(
            self._search_lexical(terms, vector, filters, options), self._search_dense(vector, filters, options)
        )
        return merge_legs(*legs)

    async def _search_lexical(
        self, terms: str, vector: Vector | None, filters: Sequence[Json], options: Json
    ) -> list[Candidate]:
        query = make_lexical_query(terms, filters)
        hits = await self._search({**query, **options}, _COUNTED) if query is not None else []
        return [read_candidate(hit, self._bm25_scale * hit["_score"], vector) for hit in hits]

    async def _search_dense(self, vector: Vector | None, filters: Sequence[Json], options: Json) -> list[Candidate]:
        if vector is None:
            return []
        nearest = self._dialect.make_nearest(vector.tolist(), options["size"], filters)
        hits = await self._search({**nearest, **options}, _WHOLE)
        return [read_candidate(hit, 0.0, vector) for hit in hits]

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_indexes(self) -> Sequence[str]:
        """Return our indexes on the server."""
        prefix = f"{INDEX_PREFIX}{self._namespace}_" if self._namespace else INDEX_PREFIX
        call = ServerCall("GET", f"/{prefix}*/_alias")
        names = await self._api.call(call, self._limits.read_s)
        return sorted(filter(None, (parse_index_name(name, self._namespace) for name in names)))

    async def drop_index(self, index: str) -> None:
        """Delete an index."""
        path = f"/{make_index_name(index, self._namespace)}"
        await self._api.call(ServerCall("DELETE", path, None, (("ignore_unavailable", "true"),)), self._limits.write_s)

    async def maintain(self) -> None:
        """Do nothing, because the server compacts and indexes by itself."""

    async def scrub(self) -> None:
        """Have the server rewrite the files that hold deleted rows, until none is left.

        It keeps them for other copies of the index for about half a minute, even where there is no copy.
        """
        late = f"{self._errors.place} did not remove deleted passages within {self._limits.scrub_s:g} s: try again."
        async with enforce_deadline(self._limits.scrub_s, late):
            while await self._expunge_rows():  # noqa: ASYNC110 - the server is asked, not another task
                await asyncio.sleep(_SCRUB_PAUSE_S)
            # Searches and the last commit may still use the old files.
            for end in ("/_refresh", "/_flush?force=true"):
                await self._api.call(ServerCall("POST", f"/{self._get_index().name}{end}"), self._limits.write_s)

    async def _expunge_rows(self) -> int:
        """Rewrite the files that hold deleted rows, and return how many are left."""
        await self._wait_until_ready(self._limits.open_s)
        name, seconds = self._get_index().name, self._limits.scrub_s
        await self._api.call(ServerCall("POST", f"/{name}/_flush"), seconds)
        merge = ServerCall("POST", f"/{name}/_forcemerge", None, (("only_expunge_deletes", "true"),))
        await self._api.call(merge, seconds)
        counted = await self._api.call(ServerCall("GET", f"/{name}/_stats/docs"), seconds)
        return int(counted["_all"]["total"]["docs"]["deleted"])

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _search(self, body: Json, parameters: tuple[tuple[str, str], ...]) -> list[Any]:
        answer = await self._read_index("/_search", body, parameters)
        if answer["timed_out"]:  # by a limit of the cluster, so rows are missing
            raise self._errors.make_unwell()
        return list_hits(answer)

    async def _read_index(self, path: str, body: Json | None, parameters: tuple[tuple[str, str], ...] = ()) -> Json:
        await self._wait_until_ready(self._limits.read_s)
        call = ServerCall("GET" if body is None else "POST", f"/{self._get_index().name}{path}", body, parameters)
        return await self._api.call(call, self._limits.read_s)

    async def _change_rows(self, changes: Iterable[Sequence[Json]]) -> None:
        """Write or delete rows in batches, so that the next search sees it."""
        bodies = make_bulks(changes, self._limits.batch_rows, self._limits.batch_bytes)
        while body := await asyncio.to_thread(next, bodies, b""):
            await self._wait_until_ready(self._limits.open_s)
            await self._send_bulk(body)

    async def _send_bulk(self, body: bytes) -> None:
        path = f"/{self._get_index().name}{_ROWS}/_bulk"
        call = ServerCall("POST", path, body, (("refresh", "true"), ("require_alias", "true")))
        await self._api.change(call, self._limits.write_s, self._check_actions)

    def _check_actions(self, answer: Json) -> None:
        """Raise an error if the server refused a row, preferably one after which another attempt is useless."""
        results = [one for item in answer["items"] for one in item.values()] if answer["errors"] else []
        refused = [one for one in results if "error" in one and one["status"] != HTTPStatus.CONFLICT]
        failures = [self._errors.translate(one["status"], one["error"]) for one in refused]
        if failures:
            raise min(failures, key=lambda one: isinstance(one, StoreUnavailable))

    async def _prepare_index(self, index: _OpenIndex, seconds: float, *, creates: bool) -> None:
        await self._check_version(seconds)
        await self._find_index(index, seconds, creates=creates)
        self._bm25_scale = await self._measure_scale(index, seconds)

    async def _check_version(self, seconds: float) -> None:
        answer = await self._api.call(
            ServerCall("GET", "/_nodes", None, (("filter_path", "nodes.*.version"),)), seconds
        )
        versions = [parse_version(node["version"]) for node in answer.get("nodes", {}).values()]
        if not versions:
            raise self._errors.make_foreign()
        oldest, needed = min(versions), self._dialect.oldest
        if oldest < needed:
            raise StoreMisconfigured(
                f"{self._errors.place} has version {oldest[0]}.{oldest[1]}, and Kvasir needs {needed[0]}.{needed[1]} "
                "or newer: update it, then start Kvasir again."
            )

    async def _find_index(self, index: _OpenIndex, seconds: float, *, creates: bool) -> None:
        """Check that the index is Kvasir's, and create it before if it is missing and ``creates`` says so."""
        find = ServerCall("GET", f"/{index.name}/_mapping")
        try:
            found = await self._api.call(find, seconds)
        except IndexLost:
            if not creates:
                raise
            with contextlib.suppress(IndexExists):
                await self._api.call(ServerCall("PUT", f"/{index.name}", self._make_definition(index)), seconds)
            found = await self._api.call(find, seconds)
        if self._find_meta(found) != self._make_meta():
            raise StoreMisconfigured(
                f"The index {index.name} in {self._errors.place} is not as Kvasir makes it for {index.dimensions} "
                "dimensions: delete it, then run `kvasir sync` to build it again."
            )

    def _make_definition(self, index: _OpenIndex) -> Json:
        exact = {"type": "keyword", "doc_values": False}
        # The terms are ready-made, so the server must not change or split them.
        ready = {"type": "text", "analyzer": "keyword", "index_options": "freqs"}
        settings = {
            "number_of_shards": self._shards,
            "auto_expand_replicas": "0-1",
            "max_terms_count": _MOST_CLASSES,
            "merge.policy.expunge_deletes_allowed": 0,  # so that ``scrub`` leaves no deleted row
            "similarity": {"default": {"type": "BM25", "k1": _K1, "b": 0.75}},
            **self._dialect.index_settings,
        }
        properties = {
            "id": {"type": "keyword"},
            **dict.fromkeys(("source", "audience", "kind"), exact),
            "modified_at": {"type": "long", "doc_values": False},
            **dict.fromkeys(("terms", _PROBE), ready),
            "vector": self._dialect.make_vector_field(index.dimensions),
        }
        # Other fields are stored and not searched.
        source = {"excludes": ["vector"]}
        mappings = {"dynamic": False, "_meta": self._make_meta(), "_source": source, "properties": properties}
        return {"settings": {"index": settings}, "mappings": mappings, "aliases": {f"{index.name}{_ROWS}": {}}}

    def _make_meta(self) -> Json:
        return {"kvasir": {"schema": SCHEMA, "dimensions": self._get_index().dimensions}}

    def _find_meta(self, answer: Json) -> Any:  # noqa: ANN401 - JSON of another program
        """Return what the definition of the index says of itself; None if an alias has its name."""
        found = answer.get(self._get_index().name, {})
        return found.get("mappings", {}).get("_meta")

    async def _measure_scale(self, index: _OpenIndex, seconds: float) -> float:
        """Return the factor that makes the server's scores those of the textbook.

        Newer versions of Lucene leave a constant out.

        Raises:
            StoreMisconfigured: the server scores by another formula.

        """
        body = {"query": {"term": {_PROBE: _PROBE}}, "size": 1, "_source": False}
        search = ServerCall("POST", f"/{index.name}/_search", body, _COUNTED)
        hits = list_hits(await self._api.call(search, seconds))
        if not hits:
            # A second probe, or a rewritten one, would change the score. So one that is there stays.
            await self._send_bulk(b"".join(make_bulks([({"create": {"_id": _PROBE}}, {_PROBE: [_PROBE]})], 1, 0)))
            hits = list_hits(await self._api.call(search, seconds))
        scale = _PROBE_SCORE / (hits[0]["_score"] or math.nan) if hits else math.nan
        if not any(math.isclose(scale, one, rel_tol=0.01) for one in (1.0, _K1 + 1)):
            raise StoreMisconfigured(
                f"{self._errors.place} does not score by BM25 as Kvasir needs it: report the version of the server, "
                "and use another store."
            )
        return scale


def make_index_name(index: str, namespace: str = "") -> str:
    """Return an index's name on the server: ``kvasir_1a2b``, or ``kvasir_acme_1a2b`` in a namespace.

    Namespaces have no underscore, nor has an index after its prefix. So two installations on one server never confuse
    each other's indexes.

    Raises:
        StoreMisconfigured: it is not a plain name.

    """
    prefix, _, rest = index.partition("_")
    name = "_".join((prefix, namespace, rest) if namespace else (prefix, rest))
    if not _NAME.fullmatch(name):
        raise StoreMisconfigured("An index's name must be small ASCII letters, digits and one underscore.")
    return name


def parse_index_name(name: str, namespace: str = "") -> str | None:
    """Return the index of a name on the server, or None if it is not one of Kvasir in this namespace."""
    prefix, *parts = name.split("_")
    if f"{prefix}_" != INDEX_PREFIX or len(parts) != (2 if namespace else 1) or (namespace and parts[0] != namespace):
        return None
    return f"{INDEX_PREFIX}{parts[-1]}"


def parse_version(text: str) -> tuple[int, int]:
    """Return the two numbers that begin a version."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def make_opensearch(settings: KnowledgeSettings) -> OpenSearchStore:
    """Return the store on OpenSearch that the variables describe."""
    return _make_store(OPENSEARCH, settings)


def make_elasticsearch(settings: KnowledgeSettings) -> OpenSearchStore:
    """Return the store on Elasticsearch that the variables describe."""
    return _make_store(ELASTICSEARCH, settings)


def _make_store(dialect: Dialect, settings: KnowledgeSettings) -> OpenSearchStore:
    options = {
        name.removeprefix(f"{dialect.prefix}_").lower(): value for name, value in settings.store_variables.items()
    }
    urls, shards = [url.strip() for url in options.pop("url").split(",")], options.pop("shards", 1)
    login = Login(dialect, **options)
    return OpenSearchStore(dialect, urls, login, shards=shards, namespace=settings.namespace, web=settings.web)
