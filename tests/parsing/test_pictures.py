"""Pictures are recognised by their bytes, and the pages of a TIFF are counted without a library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.file_types import MOST_PICTURES, Format, count_pictures, detect_format, name_kind
from tests.parsing import makers
from tests.parsing.hostile import PICTURES

PAGE = makers.draw_lines(["A page."], size=(80, 60))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_picture_is_recognised_by_its_bytes(kind: str) -> None:
    data = makers.save_picture(PAGE, kind)
    for name in ("scan", "scan.txt", "scan.pdf"):
        assert detect_format(name, None, data) is Format.PICTURE
    assert count_pictures(data) == 1


def test_text_that_begins_like_a_bitmap_stays_text() -> None:
    assert detect_format("cars.txt", None, b"BMW builds cars in Munich and elsewhere.") is Format.TEXT


def test_a_picture_has_the_kind_of_its_name() -> None:
    assert [name_kind(Format.PICTURE, name) for name in ("a.JPG", "a.exe", "a")] == ["jpg", "picture", "picture"]


def test_pages_of_a_tiff_are_counted() -> None:
    data = makers.save_picture(PAGE, "TIFF", save_all=True, append_images=[PAGE] * 6)
    assert count_pictures(data) == 7
    assert count_pictures(data[:-20]) in range(1, 8)
    assert count_pictures(PICTURES["own-next.tiff"]()) == MOST_PICTURES + 1


@given(st.sampled_from([b"II*\0", b"MM\0*", b""]), st.binary(max_size=200))
def test_any_bytes_can_be_counted(start: bytes, data: bytes) -> None:
    assert 1 <= count_pictures(start + data) <= MOST_PICTURES + 1
