"""PDF and Office files as real libraries write them."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import struct
import zipfile
from typing import Any

import pytest
from pptx.util import Inches

from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError
from knowledge.interfaces import Document, DocumentContent, Section
from knowledge.parsing import Parser
from knowledge.parsing.file_types import Format, detect_format
from knowledge.parsing.formats.office_archive import MAX_PART_BYTES
from knowledge.parsing.formats.pdf import join_paragraphs, parse_pdf
from knowledge.parsing.formats.sheets import parse_xlsx
from knowledge.parsing.formats.slides import parse_pptx
from knowledge.parsing.formats.word import parse_docx
from tests.parsing.makers import CHINESE_FONT, pdf, scanned_pdf, slides, typeset, word, workbook, zip_bomb


def everything(document: Document) -> str:
    return "\n".join(section.text for section in document.sections)


# ── PDF ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

WRAPPED = [
    "Employees may book trains in second class. Flights over six hours may be booked",
    "in premium economy when the manager approves. Everything else needs an excep-",
    "tion from finance.",
    "City Limit",
    "Berlin 120",
]


def test_pdf_has_title_headings_and_a_link_to_each_page() -> None:
    data = pdf(
        [["Travel policy", *WRAPPED], ["Expenses", "Receipts are needed.", "Deadlines", "Within a month."]],
        title="Travel policy",
        outline=[("Travel policy", 0, 0), ("Expenses", 0, 1), ("Deadlines", 1, 1)],
    )
    document = parse_pdf(data, "policies/travel.pdf")
    assert document.title == "Travel policy"
    assert [(part.headings, part.page, part.anchor) for part in document.sections] == [
        ((), 1, "page=1"),
        (("Expenses",), 2, "page=2"),
        (("Expenses", "Deadlines"), 2, "page=2"),
    ]
    assert document.sections[1].text == "Receipts are needed."
    assert document.sections[2].text == "Within a month."


def test_pdf_joins_lines_that_the_page_broke() -> None:
    text = everything(parse_pdf(pdf([WRAPPED]), "a.pdf"))
    assert "may be booked in premium economy" in text
    assert "an exception from finance." in text
    assert "City Limit\nBerlin 120" in text


def test_pdf_paragraphs_in_chinese_are_joined_without_blanks() -> None:
    lines = ["员工每年有二十五天带薪休假，其中至少十天必须连续使用，具体安排由部门经理", "批准。", "第二段。"]
    assert list(join_paragraphs(lines, 70)) == [
        "员工每年有二十五天带薪休假，其中至少十天必须连续使用，具体安排由部门经理批准。",
        "第二段。",
    ]


def test_pdf_reads_chinese() -> None:
    document = parse_pdf(pdf([["服务器每天凌晨两点自动备份。"]], font=CHINESE_FONT), "备份.pdf")
    assert "服务器每天凌晨两点自动备份" in everything(document)


def test_pdf_running_headers_and_page_numbers_are_dropped() -> None:
    pages = [["ACME handbook", f"Chapter text number {page} stands here.", f"Page {page} of 6"] for page in range(1, 7)]
    text = everything(parse_pdf(pdf(pages, title="Handbook"), "a.pdf"))
    assert "ACME" not in text
    assert "Page 3" not in text
    for page in range(1, 7):
        assert f"Chapter text number {page} stands here." in text


def test_pdf_running_headers_of_a_chapter_are_dropped() -> None:
    pages = [
        [f"{2 if page < 5 else 7} Setting up the servers {page}", f"Text of page {page} as it stands."]
        for page in range(10)
    ]
    pages[4] = ["Chapter 2", "Text of page 4 as it stands."]
    text = everything(parse_pdf(pdf(pages, title="Handbook"), "a.pdf"))
    assert "Setting up" not in text
    assert "Chapter 2" in text


def test_pdf_outline_finds_its_numbered_headings() -> None:
    data = pdf(
        [["1.2 Booking trains", "Second class.", "A. Flights", "Economy."]],
        title="T",
        outline=[("Booking trains", 0, 0), ("Flights", 0, 0)],
    )
    assert [(part.headings, part.text) for part in parse_pdf(data, "a.pdf").sections] == [
        (("Booking trains",), "Second class."),
        (("Flights",), "Economy."),
    ]


def test_pdf_outline_is_found_behind_a_line_of_digits() -> None:
    """A search that tries every way to cut a number would be seen as a test that hangs."""
    data = pdf([["1" * 70 + "x", "Flights", "Economy."]], title="T", outline=[("Flights", 0, 0)])
    assert [part.headings for part in parse_pdf(data, "a.pdf").sections] == [(), ("Flights",)]


@pytest.mark.parametrize("title", [None, r"C:\wp\policy.wpd [PFP#11]", "Untitled", "Microsoft Word - final_v2.docx"])
def test_pdf_title_ignores_those_of_programs(title: str | None) -> None:
    assert parse_pdf(pdf([["Leave policy", "Text."]], title=title), "a.pdf").title == "Leave policy"


def test_pdf_without_outline_uses_large_type_as_headings() -> None:
    body = [("Employees may book trains in second class, and flights over six hours in premium.", 10)] * 4
    pages = [
        [("Travel", 24), ("policy", 24), *body, ("Booking", 16), *body],
        [*body, ("费用", 16), ("Receipts are needed.", 10), ("Late receipts", 13), ("Ask finance.", 10)],
    ]
    document = parse_pdf(typeset(pages), "a.pdf")
    assert document.title == "Travel policy"
    assert [(part.headings, part.page) for part in document.sections] == [
        ((), 1),
        (("Booking",), 1),
        (("Booking",), 2),
        (("费用",), 2),
        (("费用", "Late receipts"), 2),
    ]
    assert document.sections[-1].text == "Ask finance."


def test_pdf_with_only_large_type_has_no_headings() -> None:
    pages = [[("A slide in large type", 30), ("with a small note", 10)] for _ in range(3)]
    document = parse_pdf(typeset(pages), "a.pdf")
    assert {part.headings for part in document.sections} == {()}
    assert everything(document).count("A slide in large type") == 3


def test_pdf_with_a_password_says_so() -> None:
    with pytest.raises(DocumentEncrypted, match=r"plans\.pdf needs a password\. Save a copy"):
        parse_pdf(pdf([["x"]], password="geheim"), "plans.pdf")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5])
def test_a_broken_pdf_says_so(keep: float) -> None:
    whole = pdf([["x"]])
    with pytest.raises(ParseError, match=r"cut\.pdf .*(broken|images)"):
        parse_pdf(whole[: int(len(whole) * keep)] or b"%PDF-1.4", "cut.pdf")


async def test_a_scanned_pdf_asks_for_text_recognition() -> None:
    assert parse_pdf(scanned_pdf(), "scan.pdf").unread_pages == 1
    parser = Parser()
    with pytest.raises(ParseError, match=r"scan\.pdf has only scanned images .*OCR"):
        await parser.parse("scan.pdf", DocumentContent(scanned_pdf(), None, ""))
    await parser.close()


@pytest.mark.slow
def test_a_pdf_of_5000_pages() -> None:
    document = parse_pdf(
        pdf([[f"This is page {page + 1}.", "Same"] for page in range(5_000)], title="Long"), "long.pdf"
    )
    assert len(document.sections) == 5_000
    assert document.sections[4_999] == Section((), "This is page 5000.\nSame", 5_000, "page=5000")


# ── DOCX ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_docx_keeps_headings_lists_and_tables() -> None:
    def fill(document: Any) -> None:
        document.add_heading("Leave policy", 0)
        document.add_paragraph("Everybody has 25 days.")
        document.add_heading("Parents", 1)
        document.add_paragraph("Six months", style="List Bullet")
        document.add_paragraph("Part time", style="List Number")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(
            [cell for row in table.rows for cell in row.cells], ["Kind", "Days", "病假", "10"], strict=True
        ):
            cell.text = text
        document.add_heading("Details", 2)
        document.add_paragraph("Ask HR.")

    document = parse_docx(word(fill), "hr/leave.docx")
    assert document.title == "Leave policy"
    assert [section.headings for section in document.sections] == [(), ("Parents",), ("Parents", "Details")]
    assert document.sections[0].text == "Everybody has 25 days."
    assert document.sections[1].text.startswith("- Six months\n- Part time\n\n| Kind")
    assert "| Kind | Days |\n| --- | --- |\n| 病假 | 10 |" in document.sections[1].text


def test_docx_cells_stand_under_the_names_of_their_columns() -> None:
    def fill(document: Any) -> None:
        table = document.add_table(rows=2, cols=3)
        for cell, text in zip(table.row_cells(0), ["Team", "Port", "Use"], strict=True):
            cell.text = text
        table.cell(1, 0).merge(table.cell(1, 1)).text = "A"
        table.cell(1, 2).text = "x"

    document = parse_docx(word(fill), "ports.docx")
    assert document.sections[0].text == "| Team | Port | Use |\n| --- | --- | --- |\n| A |  | x |"


def test_docx_reads_insertions_links_and_text_boxes_but_nothing_deleted() -> None:
    from docx.oxml import parse_xml  # noqa: PLC0415
    from docx.oxml.ns import nsdecls  # noqa: PLC0415

    body = (
        "<w:p {ns}><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>inserted </w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:t>linked</w:t></w:r></w:hyperlink>"
        "<w:r><w:pict><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></w:pict></w:r></w:p>"
    )
    control = "<w:sdt {ns}><w:sdtContent><w:p><w:r><w:t>controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>"

    def fill(document: Any) -> None:
        for xml in (body, control):
            document.element.body.insert(0, parse_xml(xml.format(ns=nsdecls("w"))))

    text = everything(parse_docx(word(fill), "a.docx"))
    assert text == "controlled\n\nkept inserted linked\nboxed"


def test_docx_footnotes_are_at_their_references() -> None:
    from docx.opc.packuri import PackURI  # noqa: PLC0415
    from docx.opc.part import Part  # noqa: PLC0415
    from docx.oxml import parse_xml  # noqa: PLC0415
    from docx.oxml.ns import nsdecls  # noqa: PLC0415

    paragraph = (
        "<w:p {ns}><w:r><w:t>Five days</w:t></w:r>"
        '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:t>.</w:t></w:r></w:p>'
    )
    notes = (
        '<w:footnotes {ns}><w:footnote w:id="2"><w:p><w:r><w:t>ten in 上海</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"

    def fill(document: Any) -> None:
        document.element.body.insert(0, parse_xml(paragraph.format(ns=nsdecls("w"))))
        blob = notes.format(ns=nsdecls("w")).encode()
        part = Part(PackURI("/word/footnotes.xml"), "application/xml", blob, document.part.package)
        document.part.relate_to(part, relation)

    assert everything(parse_docx(word(fill), "a.docx")) == "Five days (ten in 上海)."


@pytest.mark.parametrize("parse", [parse_docx, parse_pptx, parse_xlsx])
def test_a_broken_office_file_says_so(parse: Any) -> None:
    for data in (b"PK\x03\x04 and then nothing", zip_bomb("[Content_Types].xml", 0), b""):
        with pytest.raises(ParseError, match=r"cut\.office is a broken Office file"):
            parse(data, "cut.office")


OFFICE = [
    pytest.param(parse_docx, lambda: word(lambda document: document.add_paragraph("Tar. " * 999)), id="docx"),
    pytest.param(parse_pptx, lambda: slides(lambda deck: deck.slides.add_slide(deck.slide_layouts[1])), id="pptx"),
    pytest.param(parse_xlsx, lambda: workbook(lambda book: book.active.append(["Tar", 1])), id="xlsx"),
]


@pytest.mark.parametrize(("parse", "make"), OFFICE)
def test_damaged_parts_make_an_office_file_broken(parse: Any, make: Any) -> None:
    """A cut download, a bad disk, a method of packing that is not read: each costs its document, not the process."""
    whole = make()
    for part in zipfile.ZipFile(io.BytesIO(whole)).infolist():
        data = bytearray(whole)
        begin = part.header_offset + 30 + len(part.filename)
        data[begin : begin + 40] = bytes(byte ^ 0xA5 for byte in data[begin : begin + 40])
        with contextlib.suppress(ParseError):  # not every part is read
            parse(bytes(data), "a.office")
    with pytest.raises(ParseError, match=r"a\.office is a broken Office file"):
        parse(_marked(whole, 8, 97), "a.office")


@pytest.mark.parametrize(("parse", "make"), OFFICE)
def test_an_encrypted_archive_is_reported(parse: Any, make: Any) -> None:
    with pytest.raises(DocumentEncrypted, match=r"a\.office needs a password"):
        parse(_marked(make(), 6, 1), "a.office")


def _marked(data: bytes, place: int, value: int) -> bytes:
    """Write a number into the head of each part of an archive, and two bytes later into its directory."""
    marked = bytearray(data)
    for sign, at in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        start = marked.find(sign)
        while start >= 0:
            struct.pack_into("<H", marked, start + at, value)
            start = marked.find(sign, start + 4)
    return bytes(marked)


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = zip_bomb("word/document.xml", MAX_PART_BYTES + (2 << 20))
    assert len(bomb) < 1_000_000
    with pytest.raises(DocumentTooLarge, match=r"bomb\.docx is too large when unpacked: it unpacks to 15\d MB"):
        parse_docx(bomb, "bomb.docx")


# ── PPTX ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pptx_has_a_section_for_each_slide() -> None:
    def fill(deck: Any) -> None:
        first = deck.slides.add_slide(deck.slide_layouts[1])
        first.shapes.title.text = "Roadmap 2027"
        first.placeholders[1].text = "Search\nAnswers"
        first.notes_slide.notes_text_frame.text = "Say this slowly."
        second = deck.slides.add_slide(deck.slide_layouts[6])
        table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
        for place, text in enumerate(["Quarter", "Goal", "Q1", "上线"]):
            table.cell(place // 2, place % 2).text = text
        group = second.shapes.add_group_shape()
        group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "in a group"

    document = parse_pptx(slides(fill), "roadmap.pptx")
    assert document.title == "Roadmap 2027"
    assert document.sections[0] == Section((), "Search\nAnswers\n\nSay this slowly.", 1)
    assert document.sections[1].headings == ("Slide 2",)
    assert document.sections[1].page == 2
    assert "| Quarter | Goal |\n| --- | --- |\n| Q1 | 上线 |" in document.sections[1].text
    assert "in a group" in document.sections[1].text


# ── XLSX ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_xlsx_rows_make_sense_alone() -> None:
    def fill(book: Any) -> None:
        sheet = book.active
        sheet.title = "Offices"
        for row in (["Offices in 2026"], [], ["City", "Seats", "Opened", "Rent"], ["Berlin", 120, None, 10.5]):
            sheet.append(row)
        sheet.append(["上海", 80.0, dt.datetime(2020, 5, 1), 9.25])  # noqa: DTZ001 - cells have no zone
        hidden = book.create_sheet("Hidden")
        hidden.append(["secret"])
        hidden.sheet_state = "hidden"

    document = parse_xlsx(workbook(fill), "offices.xlsx")
    assert document.title == "offices"
    assert document.sections == (
        Section(
            (),
            "Offices in 2026\n+ City: Berlin; Seats: 120; Rent: 10.5\n"
            "+ City: 上海; Seats: 80; Opened: 2020-05-01; Rent: 9.25",
            1,
        ),
    )


def test_xlsx_with_too_many_cells_is_refused() -> None:
    def fill(book: Any) -> None:
        # One cell in the last column makes a row of 16,384.
        for row in range(1, 4):
            book.active.cell(row, 16_384, "x")

    with pytest.raises(DocumentTooLarge, match=r"wide\.xlsx has more than 40,000 cells"):
        parse_xlsx(workbook(fill), "wide.xlsx", max_cells=40_000)


@pytest.mark.parametrize(("name", "held"), [("talk.pptx", Format.PPTX), ("table.xlsx", Format.XLSX)])
def test_an_office_file_within_an_office_file_does_not_hide_it(name: str, held: Format) -> None:
    """A Word document embedded in slides is there as it is, with the names of its parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("ppt/presentation.xml" if held is Format.PPTX else "xl/workbook.xml", "<x/>")
        archive.writestr("embeddings/Document.docx", word(lambda made: made.add_paragraph("inner")))
    assert detect_format(name, None, target.getvalue()) is held
