"""Tests of files and messages that come with a question: what is read of them, ranked, and not stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from knowledge.errors import DocumentEncrypted, DocumentScanned, ParseError, StoreUnavailable, UnsupportedFormat
from knowledge.interfaces import LiveWebRequest
from knowledge.library import Library
from knowledge.materials import MAX_PAGES, MaterialLoader
from knowledge.parsing.text_recognition import TextRecognition
from knowledge.stores.lancedb.store import LanceDBStore
from tests.library.library_bench import Bench
from tests.parsing import makers
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow

PAGES = [
    ["The lighthouse was built in 1890.", "It stands on a rock."],
    ["The lighthouse opens at seven in summer."],
    ["Boats leave every hour from the old pier."],
]
QUESTION = "when does the lighthouse open"


@pytest.fixture
async def library(bench: Bench, handbook: Any) -> AsyncIterator[Library]:
    async with bench.library(handbook) as library:
        await library.refresh()
        yield library
        await library.materials.close()


async def test_plain_texts_and_messages_keep_their_lines() -> None:
    loader = MaterialLoader(lambda text: len(text.split()))
    try:
        text = "[doctor] Hello.\n\n\n[patient] 你好。\n"
        assert (await loader.read_file("F1", "visit.txt", text.replace("\n", "\r\n").encode("utf-16"))).text == text
        assert (await loader.read_message("M1", "Bo", text, None)).text == text
        assert (await loader.read_file("F2", "trip.pdf", makers.pdf(PAGES))).text == ""
        long = await loader.read_file("F3", "long.txt", b"[doctor] Hello.\n" * 30_000)
        assert (len(long.text), long.is_cut) == (400_000, True)
    finally:
        await loader.close()


async def test_given_file_comes_first_with_its_pages(library: Library) -> None:
    read = await library.materials.read_file("F1", "trip.pdf", makers.pdf(PAGES))
    assert (read.title, read.kind, read.pages, read.is_cut) == ("trip.pdf", "pdf", (1, 2, 3), False)
    material = replace(read, is_given=True, url="https://slack.example/p1")
    found = await library.search(QUESTION, materials=[material])
    assert found.answerable
    best = found.hits[0]
    assert best.material is not None
    assert (best.material.page, best.title, best.url) == (2, "trip.pdf", "https://slack.example/p1")
    assert (best.source, best.chunks, best.web) == ("", (), None)
    assert sorted(hit.material.page or 0 for hit in found.hits if hit.material) == [1, 2, 3]
    assert [hit.source for hit in found.hits if hit.material is None] == [], "documents that do not answer are noise"
    both = await library.search("thirty days of holiday a year", materials=[material])
    assert [hit.source for hit in both.hits if hit.material is None] == ["handbook"]


async def test_other_file_is_used_only_if_it_answers(library: Library) -> None:
    read = await library.materials.read_file("F1", "trip.pdf", makers.pdf(PAGES))
    holiday = await library.search("thirty days of holiday a year", materials=[read])
    assert {hit.source for hit in holiday.hits} == {"handbook"}
    assert (await library.search(QUESTION, materials=[read])).hits[0].material is not None


async def test_search_stores_nothing(bench: Bench, library: Library) -> None:
    files = sorted(path for path in bench.home.rglob("*") if path.suffix == ".lance")
    read = await library.materials.read_file("F1", "trip.pdf", makers.pdf(PAGES))
    await library.search(QUESTION, materials=[replace(read, is_given=True)])
    assert sorted(path for path in bench.home.rglob("*") if path.suffix == ".lance") == files
    assert not [hit for hit in (await library.search(QUESTION)).hits if "lighthouse" in hit.text]


async def test_given_file_keeps_the_question_off_the_web(bench: Bench, handbook: Any) -> None:
    bench.web = object()  # a request would fail
    async with bench.library(handbook) as library:
        await library.refresh()
        message = await library.materials.read_message("1.1", "Ada, today", "Lunch is at twelve.", None)
        material = replace(message, is_given=True)
        found = await library.search("when is lunch", materials=[material], live=LiveWebRequest("if_weak"))
        assert [hit.text for hit in found.hits] == ["Lunch is at twelve."]


class FailingStore(LanceDBStore):
    """A store that is down for searches."""

    async def find_candidates(self, *_: object, **__: object) -> Any:
        raise StoreUnavailable("The store is down. Start it.")


async def test_material_answers_while_the_store_is_down(bench: Bench, handbook: Any) -> None:
    bench.store = FailingStore
    async with bench.library(handbook) as library:
        message = await library.materials.read_message("1.1", "Ada, today", "Lunch is at twelve.", None)
        found = await library.search("when is lunch", materials=[replace(message, is_given=True)])
        assert [hit.text for hit in found.hits] == ["Lunch is at twelve."]
        assert isinstance(found.trouble, StoreUnavailable)


async def test_slides_and_sheets_have_their_numbers(library: Library) -> None:
    def fill_slides(deck: Any) -> None:
        for text in ("We sail in May.", "Costs are 12 euros."):
            slide = deck.slides.add_slide(deck.slide_layouts[1])
            slide.shapes.title.text, slide.placeholders[1].text = "Plan", text

    def fill_sheet(book: Any) -> None:
        book.active.append(["Team", "Budget"])
        book.create_sheet("Plan").append(["Boats", 12])

    slides = await library.materials.read_file("F1", "plan.pptx", makers.slides(fill_slides))
    sheets = await library.materials.read_file("F2", "plan.xlsx", makers.workbook(fill_sheet))
    assert (slides.kind, slides.pages) == ("pptx", (1, 2))
    assert (sheets.kind, sheets.pages) == ("xlsx", (1, 2))


async def test_long_file_is_cut_and_many_passages_fit_the_prompt(library: Library) -> None:
    long = await library.materials.read_file(
        "F1", "long.pdf", makers.pdf([[f"Page number {n} has {' words' * 60}."] for n in range(1, MAX_PAGES + 20)])
    )
    assert long.is_cut
    assert max(page or 0 for page in long.pages) == MAX_PAGES
    found = await library.search("what does page number 150 have", materials=[replace(long, is_given=True)])
    assert sum(len(hit.text.encode()) for hit in found.hits) <= 24_000
    pages = [hit.material.page for hit in found.hits if hit.material]
    assert 1 in pages, "the opening says what the file is about"
    assert 150 in pages


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("scan.pdf", makers.scanned_pdf(), DocumentScanned),
        ("locked.pdf", makers.pdf([["x"]], password="secret"), DocumentEncrypted),
        ("broken.pdf", b"%PDF-1.4 nothing", ParseError),
        ("film.mkv", b"\x1aE\xdf\xa3\x00\x01", UnsupportedFormat),
    ],
)
async def test_unreadable_files_raise_their_own_error(
    library: Library, name: str, data: bytes, error: type[ParseError]
) -> None:
    with pytest.raises(ParseError) as caught:
        await library.materials.read_file("F1", name, data)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.md", b"# Leave\n\nThirty days.", "md"),
        ("a.txt", b"Thirty days.", "txt"),
        ("a.csv", b"Team,Days\nBoats,30\n", "csv"),
        ("a.html", b"<html><body><h1>Leave</h1><p>Thirty days of leave for everybody.</p></body></html>", "html"),
        ("a.docx", makers.word(lambda document: document.add_paragraph("Thirty days.")), "docx"),
    ],
)
async def test_other_formats_are_read_without_pages(library: Library, name: str, data: bytes, kind: str) -> None:
    read = await library.materials.read_file("F1", name, data)
    assert read.kind == kind
    assert read.chunks
    assert set(read.pages) == {None}


async def test_a_picture_is_a_material_whose_text_is_found_and_has_its_box(library: Library) -> None:
    loader = MaterialLoader(library.embedder.count_tokens, recognises=True)
    loader._recognition = TextRecognition(WAIT_S, first_s=WAIT_S)  # the machine may be busy
    loader.keeps_pictures = True
    data = makers.save_picture(makers.draw_lines(["The notice period is 14 weeks."]))
    picture = await loader.read_file("F1", "screen.png", data)
    assert (picture.kind, picture.pages, picture.recognised_pages) == ("png", (1,), 1)
    assert picture.picture == data
    found = await library.search("how long is the notice period", materials=[replace(picture, is_given=True)])
    (hit,) = [hit for hit in found.hits if hit.material is not None]
    assert "14 weeks" in hit.text
    assert hit.material is not None
    assert hit.material.anchor.startswith("xywh=")
    scan = await loader.read_file(
        "F2", "scan.pdf", makers.mixed_pdf(["A page with text.", makers.draw_lines(["Scanned by hand."])])
    )
    assert (scan.pages, scan.recognised_pages, scan.unread_pages, scan.picture) == ((1, 2), 1, 0, b"")
    await loader.close()


async def test_without_recognition_a_picture_is_kept_for_a_vision_model_alone(library: Library) -> None:
    loader = MaterialLoader(library.embedder.count_tokens)
    data = makers.save_picture(makers.draw_lines(["The notice period is 14 weeks."]))
    with pytest.raises(DocumentScanned):
        await loader.read_file("F1", "screen.png", data)
    loader.keeps_pictures = True
    picture = await loader.read_file("F1", "screen.png", data)
    assert (picture.chunks, picture.picture) == ((), data)
    found = await library.search("what is on it", materials=[replace(picture, is_given=True)])
    assert all(hit.material is None for hit in found.hits)
    await loader.close()
