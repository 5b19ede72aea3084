"""Open a model from files."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.embedding.local.embedder import LocalEmbedder, count_threads
from knowledge.embedding.onnx_file.settings import OnnxFileSettings
from knowledge.errors import EmbedderError
from knowledge.interfaces.embedding import EmbedderMemory, ReportLine, UnpackWheel

if TYPE_CHECKING:
    from knowledge.embedding.local.session import LocalModel


async def open_onnx_file(
    _cache: Path,
    _unpack_wheel: UnpackWheel,
    *,
    settings: OnnxFileSettings,
    progress: ReportLine | None = None,
    memory: EmbedderMemory | None = None,
) -> LocalEmbedder:
    """Open the embedder. The first time, the model is loaded, and ``memory`` keeps a vector, which has its length.

    If the files cannot be used, ``LocalEmbedder.trouble`` says why.

    Raises:
        DatabaseError: the memory cannot be read or written.
        OSError: a file cannot be read.

    """
    del progress
    identity = await asyncio.to_thread(lambda: settings.identity)  # a checksum of the whole model
    stored = None if memory is None else await memory.load_canary(identity)
    embedder = LocalEmbedder(
        identity,
        functools.partial(_load_model, settings),
        settings.query_prefix,
        settings.passage_prefix,
        0 if stored is None else len(stored),
    )
    try:
        if stored is None:
            with contextlib.suppress(EmbedderError):
                vector = await embedder.embed_query("")
                if memory is not None:
                    await memory.add_canary(identity, vector)
    except BaseException:
        await embedder.close()
        raise
    return embedder


def _load_model(settings: OnnxFileSettings) -> LocalModel:
    from knowledge.embedding.onnx_file.model import FileModel  # noqa: PLC0415 - onnxruntime costs 0.2 s and 20 MB

    return FileModel(settings, count_threads())
