"""Pictures and scanned pages are read by text recognition, in a process that is locked in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from bot.profiles.registry import SHIPPED
from knowledge.errors import DocumentScanned, DocumentTooLarge, ParseError
from knowledge.interfaces import Document, DocumentContent
from knowledge.parsing import Parser, describe_jail
from knowledge.parsing.text_recognition import MAX_PAGES, TextRecognition
from tests.parsing import makers
from tests.parsing.hostile import PICTURES
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LINES = ["The notice period is 14 weeks.", "Contract KX-2026-0815 ends in March."]


def content(data: bytes) -> DocumentContent:
    return DocumentContent(data, None, "1")


def join_text(document: Document) -> str:
    return " ".join(section.text for section in document.sections)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognition() -> AsyncIterator[TextRecognition]:
    opened = TextRecognition(first_s=WAIT_S)  # the machine may be busy
    yield opened
    await opened.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
async def test_each_kind_of_picture_is_read_with_its_box(recognition: TextRecognition, kind: str) -> None:
    document = await recognition.read("a.picture", content(makers.save_picture(makers.draw_lines(LINES), kind)), 1)
    assert all(line in join_text(document).replace("\n", " ") for line in LINES)
    assert (document.recognised_pages, document.unread_pages) == (1, 0)
    (section,) = document.sections
    assert section.page == 1
    assert section.anchor is not None
    left, top, width, height = map(int, section.anchor.removeprefix("xywh=").split(","))
    assert 25 <= left <= 50
    assert 15 <= top <= 45
    assert 400 <= width <= 600
    assert 60 <= height <= 110


async def test_the_shipped_scan_says_what_its_form_says(recognition: TextRecognition) -> None:
    scan, form = SHIPPED / "kyc" / "scan.png", SHIPPED / "kyc" / "sample.md"
    read = join_text(await recognition.read(scan.name, content(scan.read_bytes()), 1))
    assert read.split() == form.read_text(encoding="utf-8").replace("#", "").split()


async def test_a_transparent_picture_is_read_on_white(recognition: TextRecognition) -> None:
    drawn = makers.draw_lines(LINES)
    clear = Image.new("RGBA", drawn.size, (0, 0, 0, 0))
    clear.paste(drawn, mask=drawn.convert("L").point(lambda value: 255 - value))
    assert LINES[0] in join_text(await recognition.read("a.png", content(makers.save_picture(clear)), 1))


async def test_a_scan_of_sixteen_bits_is_read(recognition: TextRecognition) -> None:
    """Scanners write grey levels so; cut to 8 bits, all of them are white."""
    levels = np.asarray(makers.draw_lines(LINES).convert("L"), dtype=np.uint16) * 200 + 4_000
    for kind in ("PNG", "TIFF"):
        data = makers.save_picture(Image.fromarray(levels), kind)
        assert LINES[0] in join_text(await recognition.read(f"a.{kind}", content(data), 1))


async def test_only_pages_without_text_are_recognised(recognition: TextRecognition) -> None:
    scan = makers.draw_lines(LINES)
    data = makers.mixed_pdf(["This page has text.", scan, "The third one, too."])
    parser = Parser()
    parsed = await parser.parse("mixed.pdf", content(data))
    await parser.close()
    assert (parsed.recognised_pages, parsed.unread_pages) == (0, 1)
    document = await recognition.read("mixed.pdf", content(data), parsed.unread_pages)
    assert (document.recognised_pages, document.unread_pages) == (1, 0)
    assert [section.page for section in document.sections] == [1, 2, 3]
    first, second, third = document.sections
    assert (first.text, first.anchor) == ("This page has text.", "page=1")
    assert (third.text, third.anchor) == ("The third one, too.", "page=3")
    assert LINES[1] in second.text.replace("\n", " ")
    assert second.anchor is not None
    assert second.anchor.startswith("page=2&viewrect=")


async def test_a_document_that_is_scanned_throughout_says_how_many_pages() -> None:
    scan = makers.draw_lines(LINES)
    parser = Parser()
    with pytest.raises(DocumentScanned, match=r"KVASIR_OCR=on") as caught:
        await parser.parse("scan.pdf", content(makers.mixed_pdf([scan, scan])))
    assert caught.value.unread_pages == 2
    with pytest.raises(DocumentScanned, match=r"a\.png is a picture"):
        await parser.parse("a.png", content(makers.save_picture(scan)))
    await parser.close()


async def test_a_picture_without_text_has_no_sections(recognition: TextRecognition) -> None:
    noise = makers.make_noise((400, 400))
    for picture in (Image.new("RGB", (300, 200), "navy"), noise):
        document = await recognition.read("a.png", content(makers.save_picture(picture)), 1)
        assert document.sections == ()
        assert document.recognised_pages == 1


async def test_of_a_long_file_the_first_pages_are_read_where_part_is_enough(recognition: TextRecognition) -> None:
    page = makers.draw_lines(LINES[:1])
    data = makers.save_picture(page.convert("1"), "TIFF", save_all=True, append_images=[page.convert("1")] * 200)
    document = await recognition._parser.recognise("long.tiff", content(data), WAIT_S, within_s=1.0)
    assert document.recognised_pages + document.unread_pages == 201
    assert document.unread_pages >= 1
    assert {section.page for section in document.sections} == set(range(1, document.recognised_pages + 1))


async def test_a_document_with_too_many_scanned_pages_is_refused(recognition: TextRecognition) -> None:
    with pytest.raises(DocumentTooLarge, match="Split it"):
        await recognition.read("a.pdf", content(b"%PDF-1.7"), MAX_PAGES + 1)


@pytest.mark.parametrize("name", ["bomb.png", "broken.jpg", "own-next.tiff", "line.png"])
async def test_a_hostile_picture_fails_alone(recognition: TextRecognition, name: str) -> None:
    with pytest.raises(ParseError):
        await recognition.read(name, content(PICTURES[name]()), 1)
    document = await recognition.read("next.png", content(makers.save_picture(makers.draw_lines(LINES))), 1)
    assert LINES[0] in join_text(document)


async def test_the_process_is_locked_in_as_a_parser_is(recognition: TextRecognition) -> None:
    assert await recognition._parser.find_jail_gaps() == await describe_jail()


async def test_a_cancelled_reading_ends_its_process(recognition: TextRecognition) -> None:
    await recognition.read("a.png", content(makers.save_picture(makers.draw_lines(LINES))), 1)
    process = recognition._parser._process
    assert process is not None
    data = content(makers.save_picture(makers.make_noise((1_500, 1_500))))
    reading = asyncio.create_task(recognition.read("noise.png", data, 1))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert process.returncode is not None


async def test_the_process_ends_when_it_is_idle(recognition: TextRecognition) -> None:
    picture = content(makers.save_picture(makers.draw_lines(LINES)))
    await recognition.read("a.png", picture, 1)
    process = recognition._parser._process
    assert process is not None
    recognition._parser.end_idle_process()
    assert await process.wait() == 0
    assert LINES[0] in join_text(await recognition.read("a.png", picture, 1))
