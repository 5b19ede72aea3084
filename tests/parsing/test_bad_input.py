"""Documents that would take all time or memory, or have characters that databases refuse: each fails alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from knowledge.errors import DocumentTooLarge, ParseError, ParserUnavailable
from knowledge.interfaces import DocumentContent
from knowledge.parsing import Parser
from tests.parsing import makers
from tests.parsing.hostile import LAUGHS, SHORT_ROUND, make_content
from tests.parsing.makers import OFFICE, lying_archive, office_package
from tests.waiting import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[Parser]:
    opened = Parser()
    yield opened
    await opened.close()


async def goes_on(parser: Parser) -> bool:
    """Return whether the next document is read as ever."""
    document = await parser.parse("next.md", DocumentContent(b"# Next\n\nfine", None, "1"))
    return (document.title, document.sections[0].text) == ("Next", "fine")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OFFICE)
async def test_an_archive_that_unpacks_to_too_much_is_refused(parser: Parser, kind: str) -> None:
    bomb = office_package(kind, b"<x>" + b"0" * 200_000_000 + b"</x>")
    assert len(bomb) < 1_000_000
    with pytest.raises(DocumentTooLarge, match=rf"big\.{kind} is too large when unpacked: it unpacks to 200 MB"):
        await parser.parse(f"big.{kind}", DocumentContent(bomb, None, "1"))
    many = office_package(kind, b"<x/>", {f"media/{n}.xml": b"0" * 50_000_000 for n in range(9)})
    with pytest.raises(DocumentTooLarge, match="unpacks to 450 MB"):
        await parser.parse(f"big.{kind}", DocumentContent(many, None, "1"))
    assert await goes_on(parser)


@pytest.mark.parametrize("kind", OFFICE)
async def test_an_archive_with_a_wrong_size_is_broken(parser: Parser, kind: str) -> None:
    with pytest.raises(ParseError, match=rf"big\.{kind} is a broken Office file"):
        await parser.parse(
            f"big.{kind}", DocumentContent(lying_archive(office_package(kind, b"<x>" + b"0" * 9_000_000)), None, "1")
        )
    assert await goes_on(parser)


@pytest.mark.parametrize("kind", OFFICE)
async def test_expanding_entities_are_refused(parser: Parser, kind: str) -> None:
    with pytest.raises(ParseError):
        await parser.parse(f"laughs.{kind}", DocumentContent(office_package(kind, LAUGHS), None, "1"))
    assert await goes_on(parser)


@pytest.mark.slow
async def test_five_thousand_pages_are_read_page_by_page(parser: Parser) -> None:
    pages = [[f"Part {n}", f"What is written on page {n} is this and nothing more."] for n in range(5_000)]
    document = await parser.parse("long.pdf", DocumentContent(makers.pdf(pages), None, "1"))
    assert [section.page for section in document.sections][-1] == 5_000
    assert "page 4999 is this" in document.sections[-1].text


@pytest.mark.slow
@pytest.mark.parametrize(
    "html",
    [
        b"<html><body><p>" + b"word. " * 3_400_000 + b"</p></body></html>",
        b"<html><body>" + b"<span>word and</span> <b>x</b>" * 690_000 + b"</body></html>",
        b"<html><body><p>" + b"x" * 20_000_000 + b"</p></body></html>",
    ],
    ids=["words", "elements", "one word"],
)
async def test_twenty_megabytes_of_html_in_one_line_are_read(
    parser: Parser, html: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knowledge.parsing.parser._TEXT_DEADLINE_S", (WAIT_S, 1.0))  # for a busy machine
    assert len(html) > 19_900_000
    document = await parser.parse("line.html", DocumentContent(html, None, "1"))
    assert sum(len(section.text) for section in document.sections) > 6_000_000
    assert await goes_on(parser)


@pytest.mark.parametrize("hurt", ["\0", "\ud83d"], ids=["NUL", "half a surrogate"])
async def test_an_unreadable_title_is_ignored(parser: Parser, hurt: str, with_title: Callable[[str], bytes]) -> None:
    document = await parser.parse("odd.pdf", DocumentContent(with_title(f"Plan{hurt} B"), None, "1"))
    assert document.title in {"Plan B", "Plan", "The text of the page"}
    assert "\0" not in document.title
    document.title.encode()
    assert document.sections[0].text == "The text of the page"


@pytest.fixture(scope="module")
def with_title() -> Callable[[str], bytes]:
    def make(title: str) -> bytes:
        """Make a PDF with exactly this title, which the maker would not write."""
        plain = makers.pdf([["The text of the page"]], title="T")
        written = (b"\xfe\xff" + title.encode("utf-16-be", "surrogatepass")).hex().encode()
        found = re.sub(rb"/Title \([^)]*\)", b"/Title <" + written + b">", plain)
        assert found != plain
        return found

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT_ROUND)
async def test_a_hostile_file_ends_before_its_deadline(parser: Parser, name: str) -> None:
    document, content = make_content(name)
    try:
        await parser.parse(document, content)
    except ParseError as error:
        assert not isinstance(error, ParserUnavailable)  # noqa: PT017
        assert " s to read" not in str(error)  # noqa: PT017
    assert await goes_on(parser)
