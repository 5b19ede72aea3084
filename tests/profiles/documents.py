"""Documents for tests of profiles, without an embedder or with one of word overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import Material
from knowledge.materials import MaterialLoader
from knowledge.search.material_passages import MaterialIndex, index_material
from tests.answering.conftest import embed_bag_of_words


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
