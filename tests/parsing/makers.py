"""Files of every binary format, made by the libraries that make them for people."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import docx
import numpy as np
import openpyxl
import pptx
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LINE_POINTS = 14
OFFICE = {
    "docx": ("word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"),
    "xlsx": ("xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"),
    "pptx": (
        "ppt/presentation.xml",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
    ),
}  # fmt: skip
CHINESE_FONT = "STSong-Light"


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    outline: Sequence[tuple[str, int, int]] = (),
    password: str | None = None,
    font: str = "Helvetica",
) -> bytes:
    """Make a PDF of lines; ``outline`` has titles, levels and 0-based pages."""
    if font == CHINESE_FONT:
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE_FONT))
    target = io.BytesIO()
    encrypt = StandardEncryption(password, canPrint=0) if password else None
    canvas = Canvas(target, pagesize=A4, encrypt=encrypt)
    if title:
        canvas.setTitle(title)
    for number, lines in enumerate(pages):
        canvas.setFont(font, 11)
        for row, line in enumerate(lines):
            canvas.drawString(60, 780 - row * LINE_POINTS, line)
        for entry, level, page in outline:
            if page == number:
                canvas.bookmarkPage(entry)
                canvas.addOutlineEntry(entry, entry, level)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def typeset(pages: Sequence[Sequence[tuple[str, float]]]) -> bytes:
    """Make a PDF without outline, of lines with their sizes in points."""
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE_FONT))
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4)
    for lines in pages:
        y = 800.0
        for line, size in lines:
            y -= 1.5 * size
            canvas.setFont("Helvetica" if line.isascii() else CHINESE_FONT, size)
            canvas.drawString(60, y, line)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def scanned_pdf() -> bytes:
    """Make a PDF that has a drawing where text should be."""
    target = io.BytesIO()
    canvas = Canvas(target)
    canvas.rect(100, 100, 200, 200, fill=1)
    canvas.showPage()
    canvas.save()
    return target.getvalue()


def draw_lines(lines: Sequence[str], *, size: tuple[int, int] = (800, 300)) -> Image.Image:
    """Draw lines of text, as a screenshot has them: the first one 30 pixels from the top, the others 50 apart."""
    picture = Image.new("RGB", size, "white")
    for row, line in enumerate(lines):
        ImageDraw.Draw(picture).text((40, 30 + 50 * row), line, fill="black", font=ImageFont.load_default(28))
    return picture


def save_picture(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def mixed_pdf(pages: Sequence[str | Image.Image]) -> bytes:
    """Make a PDF of pages with a line of text, and of pages with a picture in their upper half."""
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4)
    for page in pages:
        if isinstance(page, str):
            canvas.drawString(60, 780, page)
        else:
            width = 500.0
            height = width * page.height / page.width
            canvas.drawImage(ImageReader(page), 40, 800 - height, width, height)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def make_noise(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def _saved(document: Any) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def word(fill: Callable[[Any], None]) -> bytes:
    document = docx.Document()
    fill(document)
    return _saved(document)


def slides(fill: Callable[[Any], None]) -> bytes:
    deck = pptx.Presentation()
    fill(deck)
    return _saved(deck)


def workbook(fill: Callable[[Any], None]) -> bytes:
    book = openpyxl.Workbook()
    fill(book)
    return _saved(book)


def zip_bomb(part: str, unpacked_bytes: int) -> bytes:
    """Make an archive of zeros that claims, truly, to unpack to much."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(part, "w", force_zip64=True) as member,
    ):
        block = bytes(1 << 20)
        for _ in range(unpacked_bytes >> 20):
            member.write(block)
    return target.getvalue()


def office_package(
    kind: str, main: bytes, others: dict[str, bytes] | None = None, types: dict[str, str] | None = None
) -> bytes:
    """Make an Office file by hand, of its main part and others with their types."""
    part, media_type = OFFICE[kind]
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{one}"/>'
        for name, one in ({part: media_type} | (types or {})).items()
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        )
        archive.writestr(
            "_rels/.rels",
            '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
            f'officeDocument" Target="{part}"/></Relationships>',
        )
        for name, data in {part: main, **(others or {})}.items():
            archive.writestr(name, data)
    return target.getvalue()


def lying_archive(data: bytes) -> bytes:
    """Make the archive state that every part unpacks to ten bytes."""
    changed = bytearray(data)
    for mark, place in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        for found in re.finditer(re.escape(mark), data):
            changed[found.start() + place : found.start() + place + 4] = (10).to_bytes(4, "little")
    return bytes(changed)
