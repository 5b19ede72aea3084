"""Read files and messages that come with a question into passages. Nothing is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Final

from knowledge.chunking import chunker
from knowledge.control_characters import clean_name
from knowledge.errors import DocumentScanned, ParseError
from knowledge.interfaces import (
    EVERYONE,
    MATERIAL,
    MESSAGE_KIND,
    PICTURE_KINDS,
    Chunk,
    Document,
    DocumentContent,
    Material,
    Section,
)
from knowledge.lexical import terms

if TYPE_CHECKING:
    from knowledge.parsing import ParserPool
    from knowledge.parsing.text_recognition import TextRecognition

MAX_PAGES: Final = 200
"""Pages, slides or sheets of a file; the rest is not read."""
_MAX_CHARACTERS: Final = 400_000
"""Of a file's text; the rest is not read."""
_DEADLINE_S: Final = 20.0
"""For parsing one file, because a person waits."""
_RECOGNITION_S: Final = 28.0
"""For recognising the text of one file; of a long one, the first pages are read."""
_PARSERS: Final = 2
_PLAIN_KINDS: Final = frozenset({"txt", "md", "log"})
"""Files whose lines people see, and may be named by number."""


class MaterialLoader:
    """Reads materials, with parsers of its own: neither a sync nor the file of another person delays an answer."""

    def __init__(self, count_tokens: Callable[[str], int], *, recognises: bool = False) -> None:
        self._count_tokens = count_tokens
        self._recognises = recognises
        self.keeps_pictures = False
        """Whether the files of pictures are kept for a vision model."""
        self._parsers: ParserPool | None = None
        self._recognition: TextRecognition | None = None

    @property
    def reads_pictures(self) -> bool:
        """Return whether anything of a picture is read."""
        return self._recognises or self.keeps_pictures

    async def read_file(self, id_: str, name: str, data: bytes, media_type: str | None = None) -> Material:
        """Return a file in passages; its title is the file's name.

        Raises:
            ParseError: as ``Parser.parse``.

        """
        from knowledge.parsing import ParserPool  # noqa: PLC0415 - only a question with a file pays for the import
        from knowledge.parsing.decoding import decode_text  # noqa: PLC0415

        self._parsers = self._parsers or ParserPool(_PARSERS, _DEADLINE_S)
        content = DocumentContent(data, media_type, "")
        async with self._parsers.acquire_parser() as parser:
            try:
                document: Document | DocumentScanned = await parser.parse(name, content)
            except DocumentScanned as error:
                document = error
            kind = parser.find_kind(name, content)
        if document.unread_pages and self._recognises:
            try:
                document = await self._recognise(name, content, document.unread_pages)
            except ParseError:
                if isinstance(document, DocumentScanned):
                    raise
        picture = data if self.keeps_pictures and kind in PICTURE_KINDS else b""
        if isinstance(document, DocumentScanned):
            if not picture:
                raise document
            document = Document(name, ())
        material = await asyncio.to_thread(self._split_sections, id_, clean_name(name), kind, document.sections)
        text = await asyncio.to_thread(decode_text, data, media_type=media_type) if kind in _PLAIN_KINDS else ""
        return replace(
            material,
            text=text[:_MAX_CHARACTERS],
            is_cut=material.is_cut or len(text) > _MAX_CHARACTERS,
            recognised_pages=document.recognised_pages,
            unread_pages=document.unread_pages,
            picture=picture,
        )

    async def _recognise(self, name: str, content: DocumentContent, pages: int) -> Document:
        from knowledge.parsing.text_recognition import TextRecognition  # noqa: PLC0415 - as in ``read_file``

        self._recognition = self._recognition or TextRecognition(_RECOGNITION_S, reads_part=True)
        return await self._recognition.read(name, content, pages)

    async def read_message(self, id_: str, title: str, text: str, url: str | None) -> Material:
        """Return a message in passages."""
        material = await asyncio.to_thread(
            self._split_sections, id_, clean_name(title), MESSAGE_KIND, [Section((), text)]
        )
        return replace(material, url=url, text=text)

    def _split_sections(self, id_: str, title: str, kind: str, sections: Sequence[Section]) -> Material:
        pages = takewhile(lambda section: (section.page or 0) <= MAX_PAGES, sections)
        read = chunker.truncate_sections(pages, _MAX_CHARACTERS)
        passages = list(self._iterate_passages(id_, title, kind, read))
        return Material(
            id_,
            title,
            None,
            kind,
            tuple(chunk for _, chunk in passages),
            tuple(terms.index_terms(chunk.searchable_text) for _, chunk in passages),
            tuple(page for page, _ in passages),
            is_central=kind != MESSAGE_KIND,
            is_cut=sum(len(one.text) for one in read) < sum(len(one.text) for one in sections),
        )

    def _iterate_passages(
        self, id_: str, title: str, kind: str, sections: Sequence[Section]
    ) -> Iterator[tuple[int | None, Chunk]]:
        """Yield passages with their pages; no passage goes over a page's end."""
        for page, here in groupby(sections, key=lambda section: section.page):
            for chunk in chunker.chunk_document(
                Document(title, tuple(here)),
                source=MATERIAL,
                document_id=f"{id_}#{page}" if page else id_,
                url=MATERIAL,
                readers=EVERYONE,
                count_tokens=self._count_tokens,
            ):
                yield page, replace(chunk, document=id_, kind=kind)

    async def close(self) -> None:
        """End the processes."""
        for one in (self._parsers, self._recognition):
            if one is not None:
                await one.close()
