"""A document arrives from the parsing process as it was sent, in frames of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.control_characters import clean_name
from knowledge.errors import ParseError
from knowledge.interfaces import Document, Section
from knowledge.parsing.wire import HEADER, MAX_FRAME_BYTES, DocumentDecoder, clean_text, encode_result


def test_characters_that_databases_refuse_are_dropped() -> None:
    assert decode(encode_result(Document("a\0b\ud800c", ()))).title == "abc"
    frames = [b'{"title": "x\\ud83d\\u0000y"}', b'{"sections": [[["h\\u0000"], "t\\udc00", 1, null], "\\ud800u"]}']
    assert decode(HEADER.pack(0, 0) + one for one in frames) == Document("xy", (Section(("h",), "tu", 1),))


def test_a_section_of_very_many_short_pieces_is_refused() -> None:
    """Each piece is a string, so 100 MB of them would take 1.4 GB of Kvasir's memory."""
    frames = [b'{"title": "x"}', json.dumps({"sections": [[[], "", None, None], *["ab"] * 60_000]}).encode()]
    decode(HEADER.pack(0, 0) + one for one in frames)
    frames.append(json.dumps({"sections": ["ab"] * 60_000}).encode())
    with pytest.raises(ValueError, match="too many"):
        decode(HEADER.pack(0, 0) + one for one in frames)


def decode(frames: Iterable[bytes]) -> Document:
    decoder = DocumentDecoder()
    for frame in frames:
        decoder.decode(frame[HEADER.size :])
    return decoder.finish()


@given(
    st.text(),
    st.lists(
        st.builds(Section, st.lists(st.text(), max_size=3).map(tuple), st.text(), st.none() | st.integers(0, 10_000))
    ),
)
def test_a_document_arrives_as_it_was_sent(title: str, sections: list[Section]) -> None:
    document = Document(title, tuple(sections))
    assert decode(encode_result(document)) == Document(
        clean_name(clean_text(title)), tuple(map(clean_section, sections))
    )


def clean_section(section: Section) -> Section:
    return Section(
        tuple(clean_name(clean_text(one)) for one in section.headings), clean_text(section.text), section.page
    )


@pytest.mark.parametrize("text", ["word ½ " * 1_000_000, "\1" * 3_000_000], ids=["words", "escaped"])
def test_no_frame_of_a_long_document_stops_its_reader_for_long(text: str) -> None:
    document = Document("t", (Section(("h",), text), *[Section((f"{n}",), "x") for n in range(30_000)]))
    frames = list(encode_result(document))
    assert max(map(len, frames)) <= MAX_FRAME_BYTES
    assert decode(frames) == document


def test_titles_and_headings_lose_control_characters() -> None:
    hostile = "\x1b[31mSalary\x1b[0m \u202elist\u2066\nof \x9b2026"
    document = decode(encode_result(Document(hostile, (Section((hostile, "Two"), f"text {hostile}"),))))
    assert document.title == "Salary list of 2026"
    assert document.sections[0].headings == ("Salary list of 2026", "Two")
    assert document.sections[0].text == f"text {hostile}", "texts are cleaned where they are shown"


@pytest.mark.parametrize("name", ["Plan  2026 (v2).pdf", "年假制度", "Ä é", "مرحبا"])
def test_ordinary_names_stay(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize("text", ["\ud800a\0b\x1b[31mc", "d" * 1_000_000, None])
def test_the_text_of_an_error_is_one_short_line_that_databases_store(text: str | None) -> None:
    frame = HEADER.pack(1, 0) + json.dumps({"error": "ParseError", "text": text}).encode()
    with pytest.raises(ParseError) as caught:
        decode([frame])
    assert str(caught.value) in {"abc", "d" * 1_000, "None"}


@pytest.mark.parametrize("page", [-1, 10**30, "1", [1]])
def test_a_process_that_was_taken_over_cannot_send_long_names_or_impossible_pages(page: object) -> None:
    long = "n" * 100_000
    frames = [{"title": long}, {"sections": [[[long] * 100, "t", page, long]]}]
    document = decode(HEADER.pack(0, 0) + json.dumps(one).encode() for one in frames)
    name = "n" * 1_000
    assert document == Document(name, (Section((name,) * 16, "t", None, name),))
