"""The parsing process: a document that crashes it fails alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError, ParserUnavailable, UnsupportedFormat
from knowledge.interfaces import DocumentContent
from knowledge.parsing import MAX_DOCUMENT_BYTES, Parser, ParserPool, check_size
from knowledge.parsing.file_types import Format
from knowledge.parsing.parser import compute_deadline_s
from knowledge.parsing.wire import ReadingKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDLESS = b"<p><b>word</b> and " * 2_000_000
"""HTML that takes several seconds to parse."""


def content(data: bytes, media_type: str | None = None) -> DocumentContent:
    return DocumentContent(data, media_type, "1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[Parser]:
    opened = Parser()
    yield opened
    await opened.close()


async def test_parses_in_another_process(parser: Parser) -> None:
    document = await parser.parse("docs/a.md", content("# 标题\n\n## Part\n\ntext ½".encode()))
    assert document.title == "标题"
    assert [(part.headings, part.text, part.anchor) for part in document.sections] == [(("Part",), "text ½", "part")]
    assert parser._process is not None
    assert parser._process.pid != os.getpid()


async def test_errors_keep_their_classes(parser: Parser, make_pdf_with_password: bytes) -> None:
    with pytest.raises(DocumentEncrypted, match="needs a password"):
        await parser.parse("a.pdf", content(make_pdf_with_password))
    with pytest.raises(UnsupportedFormat):
        await parser.parse("a.png", content(b"\x89PNG\0\0"))
    assert (await parser.parse("a.txt", content(b"goes on"))).sections[0].text == "goes on"


async def test_the_process_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    parser = Parser()
    await parser.parse("a.txt", content(b"x"))
    assert parser._process is not None
    environment = await asyncio.to_thread(Path(f"/proc/{parser._process.pid}/environ").read_bytes)
    assert b"xoxb" not in environment
    await parser.close()


@pytest.mark.slow
async def test_a_document_that_takes_too_long_is_named_and_the_next_is_read() -> None:
    parser = Parser(deadline_s=1.0)
    with pytest.raises(ParseError, match=r"long\.html took over 1 s to read\. Split it"):
        await parser.parse("long.html", content(ENDLESS))
    assert (await parser.parse("a.txt", content(b"next"))).sections[0].text == "next"
    await parser.close()


async def test_a_crash_fails_one_document(parser: Parser) -> None:
    await parser.parse("a.txt", content(b"start"))
    assert parser._process is not None
    busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS)))
    waiting = asyncio.create_task(parser.parse("b.txt", content(b"next")))
    await asyncio.sleep(0)
    os.kill(parser._process.pid, signal.SIGSEGV)
    with pytest.raises(ParseError, match=r"long\.html crashed its parser \(SIGSEGV\)"):
        await busy
    assert (await waiting).sections[0].text == "next"


async def test_a_process_that_died_between_documents_is_replaced(parser: Parser) -> None:
    await parser.parse("a.txt", content(b"start"))
    assert parser._process is not None
    parser._process.kill()
    await parser._process.wait()
    assert (await parser.parse("b.txt", content(b"next"))).sections[0].text == "next"


async def test_a_large_document_has_more_time_and_an_office_file_has_most() -> None:
    times_s = [compute_deadline_s(kind, 5_000_000) for kind in (Format.HTML, ReadingKind.FEED, Format.PDF, Format.XLSX)]
    assert times_s == [15.0, 15.0, 25.0, 30.0]


async def test_a_process_that_the_machine_ends_may_read_the_same_bytes_later(parser: Parser) -> None:
    await parser.parse("a.txt", content(b"start"))
    assert parser._process is not None
    busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS)))
    await asyncio.sleep(0)
    parser._process.kill()
    with pytest.raises(ParserUnavailable, match=r"crashed its parser \(SIGKILL\)"):
        await busy


async def find_child(process: asyncio.subprocess.Process | None) -> psutil.Process:
    """Return the process of the document, once it is there."""
    assert process is not None
    while not (found := psutil.Process(process.pid).children()):  # noqa: ASYNC110 - the process is not ours
        await asyncio.sleep(0.01)
    return found[0]


async def test_a_stop_of_the_service_fails_no_document(parser: Parser) -> None:
    await parser.parse("a.txt", content(b"start"))
    busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS[:1_000_000])))
    child = await find_child(parser._process)
    assert parser._process is not None
    for asked in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(child.pid, asked)
        os.kill(parser._process.pid, asked)
    assert (await busy).sections


@pytest.mark.slow
async def test_a_document_that_got_part_of_the_time_may_be_read_later() -> None:
    parser = Parser(deadline_s=1.5)
    await parser.parse("a.html", content(b"<p>start"))
    busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS)))
    child = await find_child(parser._process)
    with contextlib.suppress(psutil.NoSuchProcess):  # a busy machine gives it even less
        while child.cpu_times().user + child.cpu_times().system < 0.9:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        child.suspend()
    with pytest.raises(ParserUnavailable, match="to read"):
        await busy
    await parser.close()


async def test_a_full_sitemap_is_read_and_a_larger_answer_is_not(parser: Parser) -> None:
    def list_pages(length: int) -> bytes:
        return b"".join(b"https://example.com/%0*d\n" % (length, number) for number in range(50_000))

    read = await parser.read_content(ReadingKind.SITEMAP, list_pages(120), "https://example.com/sitemap.txt")
    assert isinstance(read, dict)
    assert len(read["pages"]) == 50_000
    with pytest.raises(DocumentTooLarge, match="when unpacked"):
        await parser.read_content(ReadingKind.SITEMAP, list_pages(300), "https://example.com/sitemap.txt")


async def test_a_process_that_got_no_time_may_read_the_same_bytes_later() -> None:
    parser = Parser()
    await parser.parse("a.txt", content(b"start"))
    assert parser._process is not None
    os.kill(parser._process.pid, signal.SIGSTOP)
    parser._deadline_s, usual_s = 0.2, parser._deadline_s
    with pytest.raises(ParserUnavailable, match="to read"):
        await parser.parse("b.txt", content(b"next"))
    parser._deadline_s = usual_s
    assert (await parser.parse("a.txt", content(b"next"))).sections[0].text == "next"
    await parser.close()


async def test_a_pool_starts_a_second_process_only_while_the_first_is_busy() -> None:
    pool = ParserPool(2, 20.0)
    for _ in range(2):
        async with pool.acquire_parser() as parser:
            await parser.parse("a.txt", content(b"x"))
            first = parser._process
            assert first is not None
    async with pool.acquire_parser() as parser, pool.acquire_parser() as other:
        assert parser._process is first
        assert other._process is None
        busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS)))
        assert (await other.parse("a.txt", content(b"x"))).sections[0].text == "x"
        assert not busy.done()
        busy.cancel()
    await pool.close()


@pytest.mark.slow
async def test_a_document_that_needs_too_much_memory_is_refused() -> None:
    parser = Parser(memory_bytes=400_000_000)
    with pytest.raises(DocumentTooLarge, match=r"big\.html (needs too much memory|is too large when unpacked)"):
        await parser.parse("big.html", content(b"<p>a</p>" * 5_000_000))
    assert (await parser.parse("a.txt", content(b"next"))).sections[0].text == "next"
    await parser.close()


async def test_cancelling_ends_the_process(parser: Parser) -> None:
    await parser.parse("a.txt", content(b"start"))
    process = parser._process
    assert process is not None
    busy = asyncio.create_task(parser.parse("long.html", content(ENDLESS)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    busy.cancel()
    with pytest.raises(asyncio.CancelledError):
        await busy
    assert process.returncode == -signal.SIGKILL
    assert (await parser.parse("a.txt", content(b"next"))).sections[0].text == "next"


async def test_closing_ends_the_process_and_may_be_repeated() -> None:
    parser = Parser()
    await parser.close()
    await parser.parse("a.txt", content(b"x"))
    process = parser._process
    assert process is not None
    await parser.close()
    await parser.close()
    assert process.returncode == 0


async def test_a_document_over_the_limit_is_refused_by_its_size(tmp_path: Path) -> None:
    """A file of 200 MB is refused before anything of it is read."""
    path = tmp_path / "huge.pdf"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(DocumentTooLarge, match=r"huge\.pdf has 200 MB, more than the limit of 50 MB\. Split it"):
        check_size("huge.pdf", path.stat().st_size)
    parser = Parser(max_bytes=10)
    with pytest.raises(DocumentTooLarge):
        await parser.parse("a.txt", content(b"x" * 11))
    assert parser._process is None
    check_size("fits.pdf", MAX_DOCUMENT_BYTES)


@pytest.mark.slow
async def test_twenty_megabytes_on_one_line(parser: Parser) -> None:
    document = await parser.parse("line.html", content(b"<p>" + b"word " * 4_000_000 + b"</p>"))
    assert len(document.sections[0].text) == 20_000_000 - 1
    document = await parser.parse("line.md", content(b"*word " * 3_000_000))
    assert document.sections[0].text.count("word") == 3_000_000


@pytest.mark.slow
async def test_a_document_with_too_much_unpacked_text_is_refused() -> None:
    """Small bytes, much text: a table of one wide row above many narrow ones is filled up."""
    parser = Parser(max_text_bytes=1_000_000)  # reaching the real limit takes a minute
    rows = b"<tr>" + b"<td>a" * 700 + b"</tr>" + b"<tr><td>b</tr>" * 700
    with pytest.raises(DocumentTooLarge, match=r"wide\.html .* more text than the limit when unpacked\. Split it"):
        await parser.parse("wide.html", content(b"<table>" + rows + b"</table>"))
    assert (await parser.parse("a.txt", content(b"next"))).sections[0].text == "next"
    await parser.close()
