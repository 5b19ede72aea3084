"""Documents for tests of profiles, without an embedder or with one of word overlap."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from bot.profiles.document_reader import ReadDocument, read_document
from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import Material
from knowledge.materials import MaterialLoader
from knowledge.search.material_passages import MaterialIndex, index_material
from tests.answering.conftest import embed_bag_of_words
from tests.engine.fakes import DONE, USAGE, FakeSglang, delta


class BagOfWords:
    """An embedder of word overlap."""

    async def embed_passages(self, texts: Sequence[str], **_: object) -> NDArray[np.float32]:
        return await embed_bag_of_words(texts)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        return (await embed_bag_of_words([text]))[0]


class PlainLibrary:
    """Reads files as the library does; a long document cannot be searched."""

    def __init__(self) -> None:
        self.materials = MaterialLoader(lambda text: len(text.split()))

    async def index_material(self, material: Material, /) -> MaterialIndex:
        """Fail: no test here has a long document."""
        raise AssertionError(f"{material.title} is long")


class SearchingLibrary(PlainLibrary):
    """A library that searches materials by their words."""

    async def index_material(self, material: Material, /) -> MaterialIndex:
        embedder: Any = BagOfWords()
        return await index_material(embedder, find_calibration(IDENTITY).search, material)


@contextlib.asynccontextmanager
async def open_documents(*texts: str) -> AsyncIterator[list[ReadDocument]]:
    """Read texts as attached files."""
    library = PlainLibrary()
    try:
        yield [await read_document(library, f"lease {n}.md", text.encode()) for n, text in enumerate(texts, 1)]
    finally:
        await library.materials.close()


def answer_in_json(fake: FakeSglang, find_answer: Callable[[str], object]) -> None:
    """Answer each request with what is found for its question."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["messages"][-1]["content"].rpartition("\n")[2]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in (delta(content=json.dumps(find_answer(asked))), delta(finish="stop"), USAGE, DONE):
            await response.write(chunk)
        return response

    fake.chat = chat
