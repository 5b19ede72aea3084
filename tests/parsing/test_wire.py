"""What the parsing process sends becomes a document whose names are plain."""

from __future__ import annotations

import pytest

from knowledge.control_characters import clean_name
from knowledge.interfaces import Document, Section
from knowledge.parsing.wire import HEADER, decode_result, encode_result


def test_titles_and_headings_lose_control_characters() -> None:
    hostile = "\x1b[31mSalary\x1b[0m \u202elist\u2066\nof \x9b2026"
    header, body = encode_result(Document(hostile, (Section((hostile, "Two"), f"text {hostile}"),)))
    assert HEADER.unpack(header)[1] == len(body)
    document = decode_result(body.decode())
    assert document.title == "Salary list of 2026"
    assert document.sections[0].headings == ("Salary list of 2026", "Two")
    assert document.sections[0].text == f"text {hostile}", "texts are cleaned where they are shown"


@pytest.mark.parametrize("name", ["Plan  2026 (v2).pdf", "年假制度", "Ä é", "مرحبا"])
def test_ordinary_names_stay(name: str) -> None:
    assert clean_name(name) == name
