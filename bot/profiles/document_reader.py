"""Reads one document into passages that many questions search. Nothing of it is stored."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bot.answering.cache_salts import mix_salt
from bot.answering.events import Passage
from bot.answering.outgoing import release_text
from bot.languages.registry import Language, choose_language
from knowledge.interfaces import Material, MaterialOrigin
from knowledge.materials import MaterialLoader
from knowledge.search.material_passages import MaterialIndex

_LANGUAGE_CHARACTERS: Final = 4_000


class MaterialLibrary(Protocol):
    """What reading a document needs of the library; ``knowledge.library`` has the real one."""

    @property
    def materials(self) -> MaterialLoader:
        """Return what reads files."""

    async def index_material(self, material: Material, /) -> MaterialIndex:
        """Return a file that is searched for many questions."""


@dataclass
class ReadDocument:
    """A document in passages; their numbers begin at 1, in the order of the text."""

    title: str
    passages: tuple[Passage, ...] = field(repr=False)
    is_cut: bool
    """Whether the end was too long and is missing."""
    _library: MaterialLibrary = field(repr=False)
    _material: Material = field(repr=False)
    _index: MaterialIndex | None = field(default=None, repr=False)
    _indexing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def language(self) -> Language:
        """Return the language of its beginning."""
        return choose_language(" ".join(one.text for one in self.passages)[:_LANGUAGE_CHARACTERS])

    @property
    def texts(self) -> Sequence[str]:
        """Return the texts of all passages."""
        return [one.text for one in self.passages]

    @property
    def text(self) -> str:
        """Return the whole text with its lines; "" if the format has none."""
        return self._material.text

    def mix_salt(self, salt: str) -> str:
        """Return the salt of the engine's prefix cache for prompts with passages, "" without any separation."""
        return mix_salt(salt, [self._material])

    async def find_passages(self, question: str, most: int) -> tuple[Passage, ...]:
        """Return the passages that answer a question, best first; a short document has them all, in order.

        Raises:
            EmbedderError: the passages or the question cannot be embedded.

        """
        if len(self.passages) <= most:
            return self.passages
        async with self._indexing:
            self._index = self._index or await self._library.index_material(self._material)
        hits = await self._index.search(question)
        places = [hit.material.place for hit in hits[:most] if hit.material is not None]
        return tuple(self.passages[place] for place in places)


async def read_document(library: MaterialLibrary, name: str, data: bytes) -> ReadDocument:
    """Return a file in passages.

    Raises:
        ParseError: the file cannot be read; the text says why.

    """
    return open_material(library, await library.materials.read_file(uuid.uuid4().hex, name, data))


def open_material(library: MaterialLibrary, material: Material) -> ReadDocument:
    """Return a file or a message, which was read before, for many questions.

    Its texts have passed ``release_text``, so that offsets in them stay right where they are shown.
    """
    passages = tuple(
        Passage(
            number,
            "",
            chunk.document,
            material.title,
            chunk.heading,
            material.url,
            release_text(chunk.text),
            material=MaterialOrigin(material.kind, page, number - 1),
        )
        for number, (chunk, page) in enumerate(zip(material.chunks, material.pages, strict=True), 1)
    )
    return ReadDocument(material.title, passages, material.is_cut, library, material)
