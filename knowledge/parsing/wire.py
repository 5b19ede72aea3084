"""Encode the messages between Kvasir and its parsing process: frames of JSON and bytes, never pickles.

A hostile document may have taken over the process, so its messages must only become text.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from knowledge.control_characters import clean_name
from knowledge.errors import DocumentEncrypted, DocumentScanned, DocumentTooLarge, ParseError, UnsupportedFormat
from knowledge.interfaces import Document, Section
from knowledge.parsing.file_types import Format

HEADER: Final = struct.Struct(">II")
"""The lengths of the JSON and of the bytes after it."""

_UNTAKEN = re.compile("[\0\ud800-\udfff]")
_ERRORS: Final = {
    error.__name__: error
    for error in (ParseError, DocumentTooLarge, DocumentEncrypted, DocumentScanned, UnsupportedFormat)
}


class ReadingKind(StrEnum):
    """The kinds of web content that are read before there is a document."""

    PAGE = "page"
    ARTICLE = "article"
    FEED = "feed"
    SITEMAP = "sitemap"
    NAMES = "names"


@dataclass(frozen=True, slots=True)
class ParsingTask:
    """A document to parse, or web content to read."""

    kind: Format | ReadingKind
    document: str
    """The document's id, or the address of the web content."""
    media_type: str | None
    deadline_s: float
    robots_tag: str = ""


def encode_task(task: ParsingTask, data_bytes: int) -> bytes:
    """Return the frame that asks to parse a document. The document's bytes follow it."""
    head = json.dumps([task.kind, task.document, task.media_type, task.deadline_s, task.robots_tag]).encode()
    return HEADER.pack(len(head), data_bytes) + head


def decode_task(head: bytes) -> ParsingTask:
    """Return the task in a frame's JSON."""
    kind, document, media_type, deadline_s, robots_tag = json.loads(head)
    task_kind = ReadingKind(kind) if kind in list(ReadingKind) else Format(kind)
    return ParsingTask(task_kind, document, media_type, deadline_s, robots_tag)


def encode_result(result: object) -> tuple[bytes, bytes]:
    """Return the header and the body of the frame that answers a task. The body may be large.

    For a ``ReadingKind``, ``result`` is None or a dataclass of texts, dates, numbers and lists of them.
    """
    body: object = {"read": result}
    if isinstance(result, ParseError):
        body = {"error": type(result).__name__, "text": str(result)}
    elif isinstance(result, Document):
        sections = [[part.headings, part.text, part.page, part.anchor] for part in result.sections]
        body = {"title": result.title, "sections": sections}
    # Halves of surrogate pairs cannot be encoded, so they are dropped.
    encoded = json.dumps(body, ensure_ascii=False, default=_encode_value).encode("utf-8", "ignore")
    return HEADER.pack(0, len(encoded)), encoded


def _encode_value(value: Any) -> object:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, datetime):
        return value.isoformat()
    return {field.name: getattr(value, field.name) for field in fields(value)}


def decode_result(body: str) -> Document:
    """Return the parsed document.

    Raises:
        ParseError: the process answered with this error, as the class that it named.
        ValueError: it answered something else.

    """
    answer = _decode_answer(body)
    return Document(
        clean_name(clean_text(str(answer["title"]))), tuple(_decode_section(*fields) for fields in answer["sections"])
    )


def decode_reading(body: str) -> object:
    """Return the decoded JSON of an answer. The caller converts it.

    Raises:
        ParseError, ValueError, KeyError: as ``decode_result``.

    """
    return _decode_answer(body)["read"]


def _decode_answer(body: str) -> dict[str, Any]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for every malformed answer
    if "error" in answer:
        raise _ERRORS.get(str(answer["error"]), ParseError)(str(answer.get("text")))
    return answer


def clean_text(text: str) -> str:
    """Drop NULs and halves of surrogate pairs, which no database stores and nobody sees."""
    return text if "\0" not in text and text.isascii() else _UNTAKEN.sub("", text)


def _decode_section(headings: list[str], text: str, page: int | None, anchor: str | None) -> Section:
    return Section(
        tuple(clean_name(clean_text(str(heading))) for heading in headings),
        clean_text(str(text)),
        page if isinstance(page, int) else None,
        anchor and clean_text(str(anchor)),
    )
