"""Recognise the text of pictures and scanned pages, with the models of RapidOCR in one thread."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pypdfium2 import PdfDocument, PdfPage
from rapidocr import RapidOCR

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.interfaces import Document
from knowledge.parsing.formats.pdf import add_recognised_page, parse_pdf
from knowledge.parsing.formats.recognised_lines import RecognisedLine, arrange_lines
from knowledge.parsing.outline import Outline, make_title_from_name

Pixels = NDArray[np.uint8]

PAGE_CPU_S = 28.0
"""Processor time for one page; Linux ends a process that takes longer."""
_MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is unpacked."""
_READ_PIXELS = 2_200_000
"""A larger picture is scaled down: an A4 page has then 150 dots per inch. A picture as long as several has more."""
_PAGE_ASPECT, _MOST_PAGES = 1.5, 3.0
_MAX_SCALE = 4.0
_SHORT_SIDE = 736
"""The models enlarge a picture until its short side has so many pixels, so a narrow one gets a margin."""
_LEAST_SCORE = 0.6
"""A line of which the model is less sure is dropped."""


@cache
def load_models() -> RapidOCR:
    """Return the models, which have read one picture: they are loaded for the first one, and the jail has no files."""
    cv2.setNumThreads(0)
    threads = {f"EngineConfig.onnxruntime.{each}_op_num_threads": 1 for each in ("intra", "inter")}
    limits = {"Global.max_side_len": 20_000, "Global.text_score": _LEAST_SCORE, "Global.log_level": "critical"}
    # The classifier, which finds lines that stand on their head, takes some long lines for such and spoils them.
    models = RapidOCR(params={**threads, **limits, "Global.use_cls": False})
    sample = np.full((320, 320, 3), 255, np.uint8)
    cv2.putText(sample, "Kvasir", (40, 180), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 3)
    models(sample)
    return models


def recognise_picture(data: bytes, document: str, within_s: float) -> Document:
    """Read a picture, and each page of a TIFF; no page is begun after ``within_s``.

    Raises:
        DocumentTooLarge: it has too many pixels.
        ParseError: it is broken.

    """
    may_begin = _make_clock(within_s)
    outline = Outline()
    read = 0
    try:
        with Image.open(BytesIO(data)) as picture:
            pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
            while read < pages and may_begin():
                picture.seek(read)
                if picture.width * picture.height > _MAX_PIXELS:
                    raise DocumentTooLarge(
                        f"{document} has {picture.width:,} × {picture.height:,} pixels. Make it smaller, or exclude it."
                    )
                read += 1
                add_recognised_page(outline, read, _recognise_frame(picture), "xywh={:.0f},{:.0f},{:.0f},{:.0f}")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ParseError(f"{document} is a broken picture. Open it and save it again, or exclude it.") from error
    title = make_title_from_name(document)
    return Document(title, outline.list_sections(), recognised_pages=read, unread_pages=pages - read)


def recognise_scan(data: bytes, document: str, within_s: float) -> Document:
    """Read a PDF as ``parse_pdf`` does, and the pages without text by their pictures; none is begun after ``within_s``.

    Raises:
        DocumentEncrypted, DocumentTooLarge, ParseError: as ``parse_pdf``.

    """
    may_begin = _make_clock(within_s)

    def recognise_page(pdf: PdfDocument, index: int) -> list[RecognisedLine] | None:
        return _recognise_pdf_page(pdf[index]) if may_begin() else None

    return parse_pdf(data, document, recognise_page)


def _make_clock(within_s: float) -> Callable[[], bool]:
    """Return a function that says whether another page may begin, and gives it its processor time."""
    ends_at = time.monotonic() + within_s

    def may_begin() -> bool:
        signal.setitimer(signal.ITIMER_PROF, PAGE_CPU_S)
        return time.monotonic() < ends_at

    return may_begin


def _choose_scale(width: float, height: float) -> float:
    """Return the factor by which a page of this size has as many pixels as are read."""
    short, long = sorted((max(1.0, width), max(1.0, height)))
    pages = min(_MOST_PAGES, max(1.0, long / short / _PAGE_ASPECT))
    return math.sqrt(pages * _READ_PIXELS / (short * long))


def _recognise_pdf_page(page: PdfPage) -> list[RecognisedLine]:
    scale = min(_MAX_SCALE, _choose_scale(*page.get_size()))
    pixels = page.render(scale=scale).to_numpy()
    page.close()
    return recognise_lines(pixels[:, :, :3], scale)


def _recognise_frame(picture: Image.Image) -> list[RecognisedLine]:
    scale = min(1.0, _choose_scale(picture.width, picture.height))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture.draft("RGB", size)
    is_clear, is_deep = picture.has_transparency_data, picture.mode.startswith(("I", "F"))
    plain = picture.convert("F" if is_deep else "RGBA" if is_clear else "L" if picture.mode == "1" else "RGB")
    small = ImageOps.exif_transpose(plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    if is_deep:
        small = _reduce_depth(small)
    page = Image.new("RGB", small.size, "white")
    page.paste(small, mask=small.getchannel("A") if small.mode == "RGBA" else None)
    return recognise_lines(np.asarray(page)[:, :, ::-1], scale)


def _reduce_depth(picture: Image.Image) -> Image.Image:
    """Return a picture of 16 bits or of floats in 8 bits, from its darkest to its brightest pixel."""
    pixels = np.nan_to_num(np.asarray(picture))
    darkest = pixels.min()
    return Image.fromarray(((pixels - darkest) * (255 / max(pixels.max() - darkest, 1e-9))).astype(np.uint8))


def recognise_lines(pixels: Pixels, scale: float) -> list[RecognisedLine]:
    """Return the lines of a page in reading order. A unit of their boxes has ``scale`` pixels."""
    height, width = pixels.shape[:2]
    least = min(_SHORT_SIDE, max(height, width) // 4)
    margins = 0, max(0, least - height), 0, max(0, least - width)
    padded = cv2.copyMakeBorder(
        np.ascontiguousarray(pixels), *margins, borderType=cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    found: Any = load_models()(padded)
    if not getattr(found, "txts", None):  # it found no text, or could read none
        return []
    corners: Any = np.asarray(found.boxes, dtype=float) / scale
    words = [
        RecognisedLine(text, (box[:, 0].min(), box[:, 1].min(), box[:, 0].max(), box[:, 1].max()))
        for text, box in zip(found.txts, corners, strict=True)
    ]
    return arrange_lines(words, _measure_slope(corners))


def _measure_slope(corners: Any) -> float:  # noqa: ANN401 - an array
    """Return how far the lines of a crooked page sink for each step to the right."""
    # The angle of a short line is too rough.
    across, down = (corners[:, 1] - corners[:, 0]).T
    wide = across > 3 * np.abs(corners[:, 3, 1] - corners[:, 0, 1])
    return float(np.median(down[wide] / across[wide])) if wide.any() else 0.0
