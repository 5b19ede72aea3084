"""Files that would take all time, memory or stack of a parser; ``python -m tests.parsing.hostile`` parses each.

Each is made when it is asked for, is the same each time, and has at most 10 MB.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Final

from knowledge.errors import ParseError
from knowledge.interfaces import DocumentContent
from knowledge.parsing import Parser
from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.text_recognition import TextRecognition
from tests.parsing.makers import lying_archive, make_noise, office_package, save_picture

_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_WORD = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_SLIDES = (
    b'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    b'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
LAUGHS: Final = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "'
    + b"ha" * 5000
    + b'">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(8))
    + b"]><x>&i;</x>"
)


def _number(pattern: bytes, count: int) -> bytes:
    return b"".join(pattern % number for number in range(count))


def _noise(size_bytes: int, seed: int) -> bytes:
    return Random(seed).randbytes(size_bytes)


def _indented_list(levels: int) -> bytes:
    return b"".join(b"  " * level + b"- a\n" for level in range(levels))


def _wide_table(columns: int, rows: int) -> bytes:
    return b"<table><tr>" + b"<td>a" * columns + b"</tr>" + b"<tr><td>b</tr>" * rows + b"</table>"


def raw_pdf(objects: Mapping[int, bytes]) -> bytes:
    """Write the objects of a PDF as they are; object 1 is the catalog."""
    parts, places = [b"%PDF-1.7\n"], dict[int, int]()
    for number, body in objects.items():
        places[number] = sum(map(len, parts)) if len(parts) < 2 else places[number - 1] + len(parts[-1])
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = sum(map(len, parts))
    table = b"".join(b"%010d 00000 n \n" % place for place in places.values())
    size = len(places) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, start))
    return b"".join(parts)


def _stream(data: bytes, extra: bytes = b"") -> bytes:
    packed = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(packed), extra, packed)


def _page(contents: int, resources: bytes = b"<< /Font << /F 4 0 R >> >>", parent: int = 2) -> bytes:
    return b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 600 800] /Contents %d 0 R /Resources %s >>" % (
        parent, contents, resources,
    )  # fmt: skip


_CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def _one_page(content: bytes, others: Mapping[int, bytes] | None = None, resources: bytes | None = None) -> bytes:
    page = _page(5, resources) if resources else _page(5)
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return raw_pdf({1: _CATALOG, 2: pages, 3: page, 4: _FONT, 5: _stream(content), **(others or {})})


def _many_pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (6 + number) for number in range(count))
    pages = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    text = _stream(b"BT /F 12 Tf 50 700 Td (A page) Tj ET")
    first = {1: _CATALOG, 2: pages, 3: b"null", 4: _FONT, 5: text}
    return raw_pdf(first | {6 + number: _page(5) for number in range(count)})


def _page_tree(levels: int) -> bytes:
    nodes = {
        5 + level: b"<< /Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R >>" % (6 + level, 4 + level)
        for level in range(levels)
    }
    top = b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>"
    return raw_pdf({1: _CATALOG, 2: top, 3: b"null", 4: _FONT} | nodes | {5 + levels: _page(5)})


def _bookmarks(count: int) -> bytes:
    """Return a PDF whose bookmarks follow each other in a circle."""
    items = {
        7 + n: b"<< /Title (B%d) /Parent 6 0 R /Next %d 0 R /Dest [3 0 R /Fit] >>" % (n, 7 + (n + 1) % count)
        for n in range(count)
    }
    roots = {1: b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>", 2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"}
    outline = {6: b"<< /First 7 0 R /Last %d 0 R >>" % (6 + count)}
    page = {3: _page(5), 4: _FONT, 5: _stream(b"BT /F 12 Tf (A) Tj ET")}
    return raw_pdf(roots | page | outline | items)


def workbook_package(sheets: Iterable[bytes], strings: bytes = b"") -> bytes:
    """Write a workbook by hand: the rows of each sheet, and the shared strings."""
    written = list(sheets)
    names = "".join(f'<sheet name="S{n}" sheetId="{n + 1}" r:id="r{n}"/>' for n in range(len(written)))
    links = "".join(
        f'<Relationship Id="r{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(len(written))
    )
    main = f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATIONS}"><sheets>{names}</sheets></workbook>'
    relations = f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}'
    others = {"xl/_rels/workbook.xml.rels": f"{relations}</Relationships>".encode()}
    for number, rows in enumerate(written):
        sheet = b'<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (_SHEET.encode(), rows)
        others[f"xl/worksheets/sheet{number}.xml"] = sheet
    types = {f"xl/worksheets/sheet{n}.xml": f"{_SHEET_TYPE}.worksheet+xml" for n in range(len(written))}
    if strings:
        others["xl/sharedStrings.xml"] = b'<sst xmlns="%s">%s</sst>' % (_SHEET.encode(), strings)
        types["xl/sharedStrings.xml"] = f"{_SHEET_TYPE}.sharedStrings+xml"
    return office_package("xlsx", main.encode(), others, types)


def _rows(cells: bytes, count: int) -> bytes:
    return (b"<row>" + cells + b"</row>") * count


def _word(body: bytes) -> bytes:
    return office_package("docx", b"<w:document %s><w:body>%s</w:body></w:document>" % (_WORD, body))


def _slide(shapes: bytes) -> bytes:
    relations = (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/slide" Target="slides/slide1.xml"/>'
        b"</Relationships>"
    )
    main = (
        b'<p:presentation %s xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        b'<p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>' % _SLIDES
    )
    slide = b"<p:sld %s><p:cSld><p:spTree>%s</p:spTree></p:cSld></p:sld>" % (_SLIDES, shapes)
    others = {"ppt/_rels/presentation.xml.rels": relations, "ppt/slides/slide1.xml": slide}
    types = {"ppt/slides/slide1.xml": "application/vnd.openxmlformats-officedocument.presentationml.slide+xml"}
    return office_package("pptx", main, others, types)


_OWN_FORM = b"/Type /XObject /Subtype /Form /Resources << /XObject << /X 6 0 R >> >>"
_GROUP = b'<p:grpSp><p:nvGrpSpPr><p:cNvPr id="2" name="g"/></p:nvGrpSpPr>'
_SHAPE = (
    b'<p:sp><p:nvSpPr><p:cNvPr id="3" name="s"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
    b"<p:txBody><a:p><a:r><a:t>a</a:t></a:r></a:p></p:txBody></p:sp>"
)

FILES: Final[dict[str, Callable[[], bytes]]] = {
    "nested-div.html": lambda: b"<div>" * 1_000_000,
    "nested-list.html": lambda: b"<ul><li>" * 112_500,
    "attributes.html": lambda: b"<p " + _number(b"a%d=1 ", 500_000) + b">x",
    "nested-span.html": lambda: b"<span>" * 800_000 + b"x",
    "nested-table.html": lambda: b"<table><tr><td>" * 100_000 + b"x",
    "formatting.html": lambda: _number(b"<b id=%d>", 50_000) + b"<p>x" * 50_000,
    "formatting-in-blocks.html": lambda: _number(b"<div><i id=%d>a</div>", 100_000),
    "nested-and-closed.html": lambda: b"<blockquote>" * 200_000 + b"x" + b"</blockquote>" * 200_000,
    "comments.html": lambda: b"<!--" * 2_000_000,
    "open-tags.html": lambda: b"<" * 5_000_000,
    "tags-without-end.html": lambda: b"<a " * 2_000_000,
    "quotes.html": lambda: b"<p a=\"b='" * 500_000,
    "objects.html": lambda: b"<div><object></div></object>" * 200_000,
    "drawings.html": lambda: b"<svg><g>" * 300_000,
    "templates.html": lambda: b"<template><div>" * 200_000,
    "buttons.html": lambda: b"<button><section>" * 200_000,
    "whole-tags.html": lambda: b"<div/>" * 800_000,
    "spans-of-cells.html": lambda: b"<table>" + b"<tr><td rowspan=100 colspan=100>x" * 30_000,
    "wide-table.html": lambda: _wide_table(5_000, 20_000),
    "hidden.html": lambda: b"<div hidden>" * 20_000 + b"<p hidden>x</p>" * 20_000,
    "headings.html": lambda: b"<h1>x</h1>y" * 400_000,
    "long-title.html": lambda: b"<title>" + b"x " * 2_000_000 + b"</title><p>y",
    "paragraph-ends.html": lambda: b"</p>" * 2_000_000,
    "deep-paragraphs.html": lambda: b"<div>" * 10_000 + b"<p>x</p>" * 300_000,
    "item-ends.html": lambda: b"<div>" * 5_000 + b"</li>" * 1_000_000,
    "entities.html": lambda: b"&CounterClockwiseContourIntegral;" * 250_000,
    "article.page": lambda: b"<article>" + b"<p>some <b>words</b> of text.</p>" * 90_000,
    "nested-article.page": lambda: b"<div><p>" * 150_000 + b"some text",
    "headings.md": lambda: b"# a\n" * 1_500_000,
    "indented-list.md": lambda: _indented_list(950),
    "nested-list.md": lambda: (b"- " * 10_000 + b"a\n\n") * 20,
    "nested-quotes.md": lambda: (b">" * 20_000 + b"a\n\n") * 20,
    "brackets.md": lambda: (b"[" * 40_000 + b"\n\n") * 20,
    "emphasis.md": lambda: (b"*a _b **c " * 4_000 + b"\n\n") * 40,
    "references.md": lambda: _number(b"[a%d]: /b\n", 60_000) + b"[a0] " * 9_000,
    "backticks.md": lambda: b"\n\n".join(b" ".join(b"`" * n for n in range(300)) for _ in range(40)),
    "fences.md": lambda: b"```\n" * 400_000,
    "html-blocks.md": lambda: b"<div><b>\n\n" * 60_000,
    "table.md": lambda: b"|a" * 5_000 + b"|\n" + b"|-" * 5_000 + b"|\n" + b"|b|\n" * 20_000,
    "long-names.csv": lambda: b",".join(b"n" * 119 + b"%d" % n for n in range(2_000)) + b"\n" + b"1," * 2_000 * 500,
    "open-quote.csv": lambda: b'a,"' + b"b\n" * 4_000_000,
    "empty-cells.csv": lambda: b";" * 8_000_000,
    "one-line.txt": lambda: b"word " * 2_000_000,
    "blank-lines.txt": lambda: b"\n" * 9_000_000,
    "noise.txt": lambda: _noise(3_000_000, 1).replace(b"\0", b"a"),
    "pages.pdf": lambda: _many_pages(20_000),
    "deep-tree.pdf": lambda: _page_tree(20_000),
    "own-parent.pdf": lambda: raw_pdf({1: _CATALOG, 2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"}),
    "bookmarks.pdf": lambda: _bookmarks(20_000),
    "unpacked.pdf": lambda: _one_page(b"BT /F 12 Tf " + b"(word) Tj 0 -9 Td " * 4_000_000 + b"ET"),
    "forms.pdf": lambda: _one_page(b"/X Do", {6: _stream(b"/X Do /X Do", _OWN_FORM)}, b"<< /XObject << /X 6 0 R >> >>"),
    "arrays.pdf": lambda: raw_pdf({1: b"<< /Type /Catalog /Pages 2 0 R /A " + b"[" * 2_000_000 + b" >>"}),
    "cells.xlsx": lambda: workbook_package([_rows(b"<c><v>1</v></c>" * 1_000, 3_000)]),
    "strings.xlsx": lambda: workbook_package(
        [_rows(b'<c t="s"><v>0</v></c>' * 10, 9_000)], b"<si><t>" + b"long text " * 90_000 + b"</t></si>"
    ),
    "sheets.xlsx": lambda: workbook_package([_rows(b"<c><v>1</v></c>", 1)] * 3_000),
    "paragraphs.docx": lambda: _word(b"<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 1_500_000),
    "nested-tables.docx": lambda: _word(b"<w:tbl><w:tr><w:tc>" * 80 + b"<w:p/>" + b"</w:tc></w:tr></w:tbl>" * 80),
    "groups.pptx": lambda: _slide(_GROUP * 200 + _SHAPE * 30_000 + b"</p:grpSp>" * 200),
    "laughs.docx": lambda: office_package("docx", LAUGHS),
    "wrong-sizes.xlsx": lambda: lying_archive(workbook_package([_rows(b"<c><v>1</v></c>" * 1_000, 300)])),
}  # fmt: skip


def _flat_png(width: int, height: int) -> bytes:
    """Return a PNG of one colour, with a bit for a pixel."""
    packer, row = zlib.compressobj(9), b"\0" + b"\xff" * ((width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""),
        )
    )  # fmt: skip


def _picture_page(width: int, height: int) -> bytes:
    """Return a PDF of one page with a picture of one colour."""
    picture = b"/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 1 /Width %d /Height %d"
    data = b"\xff" * ((width + 7) // 8 * height)
    draw = b"600 0 0 800 0 0 cm /X Do"
    return _one_page(draw, {6: _stream(data, picture % (width, height))}, b"<< /XObject << /X 6 0 R >> >>")


PICTURES: Final[dict[str, Callable[[], bytes]]] = {
    "bomb.png": lambda: _flat_png(50_000, 50_000),
    "largest.png": lambda: _flat_png(10_000, 10_000),
    "line.png": lambda: _flat_png(90_000_000, 1),
    "column.png": lambda: _flat_png(3, 30_000_000),
    "noise.png": lambda: save_picture(make_noise((1_700, 1_700))),
    "broken.jpg": lambda: b"\xff\xd8\xff\xe0" + _noise(1_000_000, 2),
    "cut.png": lambda: _flat_png(5_000, 5_000)[:-900],
    "own-next.tiff": lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "bomb.pdf": lambda: _picture_page(30_000, 30_000),
    "strokes.pdf": lambda: _one_page(b"9 9 m 500 700 l S " * 3_000_000),
    "curves.pdf": lambda: _one_page(b"9 w [1 1] 0 d " + b"9 9 m 0 900 900 0 500 700 c S " * 400_000),
}
"""Files that would take as much of text recognition; ``python -m tests.parsing.hostile pictures`` reads each."""

SHORT_ROUND: Final = (
    "nested-div.html", "nested-list.html", "attributes.html", "formatting.html", "objects.html", "headings.md",
    "indented-list.md", "long-names.csv", "pages.pdf", "own-parent.pdf", "cells.xlsx", "paragraphs.docx",
)  # fmt: skip
"""The files that the tests parse each time."""


def make_content(name: str) -> tuple[str, DocumentContent]:
    """Return a document's name and bytes. A ``page`` is a page of the web of which the main text counts."""
    if name.endswith(".page"):
        return f"{name}.html", DocumentContent(FILES[name](), f"text/html; {MAIN_TEXT}", "1")
    return name, DocumentContent((FILES | PICTURES)[name](), None, "1")


async def main(names: Iterable[str]) -> None:
    """Parse files, and print for each its size, the time, and what became of it."""
    parser, recognition = Parser(), TextRecognition()
    for name in names:
        document, content = make_content(name)
        began = time.monotonic()
        try:
            parsed = await (recognition.read(name, content, 1) if name in PICTURES else parser.parse(document, content))
            outcome = f"{len(parsed.sections)} sections, {sum(len(one.text) for one in parsed.sections)} characters"
        except ParseError as error:
            outcome = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        print(f"{name:28} {len(content.data) / 1e6:6.2f} MB {seconds:6.1f} s  {outcome}", flush=True)  # noqa: T201
    await parser.close()
    await recognition.close()


if __name__ == "__main__":
    asyncio.run(main(PICTURES if sys.argv[1:] == ["pictures"] else sys.argv[1:] or FILES))
