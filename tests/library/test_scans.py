"""A document with scanned pages is put off at first, then recognised, with links to the places of its text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from knowledge.document_chunking import make_chunking
from knowledge.errors import DocumentScanned, DocumentTooLarge, ParseError, ParserUnavailable
from knowledge.interfaces import Document, DocumentContent, ListedDocument, SourceKey
from knowledge.parsing import Parser
from knowledge.parsing.text_recognition import TextRecognition
from tests.library.library_bench import Words
from tests.parsing import makers
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

KEY = SourceKey("contracts", "folder", "/contracts")
LISTED = ListedDocument("lease.pdf", "1", url="https://files.example/lease.pdf")
SCAN = makers.draw_lines(["The notice period is 14 weeks."])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[Parser]:
    parser = Parser()
    yield parser
    await parser.close()


async def test_a_scan_is_put_off_and_then_recognised(parser: Parser) -> None:
    recognition = TextRecognition(WAIT_S, first_s=WAIT_S)
    split = make_chunking(parser, Words(), recognition)
    content = DocumentContent(makers.mixed_pdf(["This page has text.", SCAN]), None, "1")
    for data in (content.data, makers.mixed_pdf([SCAN]), makers.save_picture(SCAN)):
        with pytest.raises(DocumentScanned):
            await split(KEY, LISTED, DocumentContent(data, None, "1"))
    _, chunks = await split(KEY, LISTED, content, recognises=True)
    assert [chunk.text for chunk in chunks] == ["This page has text.", "The notice period is 14 weeks."]
    assert {chunk.kind for chunk in chunks} == {"pdf"}
    first, second = (chunk.url or "" for chunk in chunks)
    assert first == "https://files.example/lease.pdf#page=1"
    assert re.fullmatch(r"https://files\.example/lease\.pdf#page=2&viewrect=\d+,\d+,\d+,\d+", second)
    await recognition.close()


class BrokenRecognition(TextRecognition):
    """Cannot read any image."""

    error: type[ParseError]

    async def read(self, name: str, _content: DocumentContent, _pages: int) -> Document:
        raise self.error(name)


@pytest.mark.parametrize(("error", "is_later"), [(DocumentTooLarge, False), (ParserUnavailable, True)])
async def test_pages_with_text_are_kept_where_the_images_cannot_be_read(
    parser: Parser, error: type[ParseError], *, is_later: bool
) -> None:
    recognition = BrokenRecognition(WAIT_S)
    recognition.error = error
    split = make_chunking(parser, Words(), recognition)
    content = DocumentContent(makers.mixed_pdf(["This page has text.", SCAN]), None, "1")
    if is_later:
        with pytest.raises(ParserUnavailable):
            await split(KEY, LISTED, content, recognises=True)
    else:
        _, chunks = await split(KEY, LISTED, content, recognises=True)
        assert [chunk.text for chunk in chunks] == ["This page has text."]


async def test_without_recognition_the_pages_with_text_are_read(parser: Parser) -> None:
    split = make_chunking(parser, Words())
    content = DocumentContent(makers.mixed_pdf(["This page has text.", SCAN]), None, "1")
    _, chunks = await split(KEY, LISTED, content)
    assert [chunk.text for chunk in chunks] == ["This page has text."]
