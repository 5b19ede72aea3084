"""Read pictures and scanned pages by text recognition, if its package is installed (the extra ``ocr``)."""

from __future__ import annotations

import asyncio
from typing import Final

from knowledge.errors import DocumentTooLarge
from knowledge.interfaces import Document, DocumentContent
from knowledge.parsing.parser import Parser

MAX_PAGES: Final = 500
"""Pages of one document that are recognised."""
_FIRST_S: Final = 15.0
_PAGE_S: Final = 12.0
"""A page takes 3 s with AVX-512, and 8 to 14 s without."""
LONGEST_S: Final = _FIRST_S + _PAGE_S * MAX_PAGES
_MEMORY_BYTES = 3_000_000_000
"""Address space of the process; the models take most of it."""
_IDLE_S = 120.0
"""The process, which keeps the models in memory, ends after so long without a document."""
_BEGIN_SHARE = 0.6
"""Where part of a document is enough, no page is begun after this share of the time."""


class TextRecognition:
    """Reads documents one at a time, in a process of its own that is locked in as a parser's.

    ``deadline_s`` is the longest time for one document, and ``first_s`` what each has besides the time for its pages.
    With ``reads_part``, a document for which that is too little has its first pages.
    """

    def __init__(self, deadline_s: float = LONGEST_S, *, first_s: float = _FIRST_S, reads_part: bool = False) -> None:
        self._parser = Parser(deadline_s=deadline_s, memory_bytes=_MEMORY_BYTES, recognises=True)
        self._deadline_s = deadline_s
        self._first_s = first_s
        self._reads_part = reads_part
        self._idle: asyncio.TimerHandle | None = None

    async def read(self, document: str, content: DocumentContent, pages: int) -> Document:
        """Read a picture, or a PDF of which so many pages have only images of text.

        Raises:
            DocumentTooLarge: it has more than ``MAX_PAGES`` such pages, or too many pixels.
            ParseError: it is broken, took too long, or needs too much memory.

        """
        if pages > MAX_PAGES:
            raise DocumentTooLarge(f"{document} has {pages:,} scanned pages; the limit is {MAX_PAGES:,}. Split it.")
        deadline_s = min(self._deadline_s, self._first_s + _PAGE_S * max(1, pages))
        within_s = _BEGIN_SHARE * deadline_s if self._reads_part else deadline_s
        if self._idle is not None:
            self._idle.cancel()
        try:
            return await self._parser.recognise(document, content, deadline_s, within_s)
        finally:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self._parser.end_idle_process)

    async def close(self) -> None:
        """End the process. It is safe to call twice."""
        if self._idle is not None:
            self._idle.cancel()
        await self._parser.close()
