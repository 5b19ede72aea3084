"""Encode the messages between Kvasir and its parsing process: frames of JSON and bytes, never pickles.

A hostile document may have taken over the process, so its messages must only become text.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from knowledge.control_characters import clean_name
from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError, UnsupportedFormat
from knowledge.interfaces import Document, Section
from knowledge.parsing.file_types import Format
from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.outline import MAX_SECTIONS

TASK_HEADER: Final = struct.Struct(">HHII")
"""Begins a task: the place of its kind in ``TASK_KINDS``, whether it needs a page's main text, and the lengths of its
JSON and of the document's bytes."""
HEADER: Final = struct.Struct(">II")
"""Begins a frame of an answer: whether it is the last, and its length."""

RECOGNITION: Final = "recognition"
"""The argument of a process that recognises text."""
NO_ANSWER, NO_MEMORY = 2, 3
"""Exit statuses after a document's process that gave no answer. Python's own is 1, for a fork without memory."""

MAX_TEXT_BYTES: Final = 100_000_000
"""Limit of a document's text. A table repeats its columns' names in each row."""
MAX_FRAME_BYTES: Final = 2_000_000
"""A frame is decoded in one call, which stops everything else in the process that decodes it."""
_PIECE_CHARACTERS: Final = 128_000
"""A longer text is sent in pieces: even escaped, a frame of two of them is within its limit."""
_MAX_NAME_CHARACTERS, _MAX_HEADINGS = 1_000, 16
"""Limits of a title, of a heading, of an anchor and of an error; and of a section's path."""

_UNTAKEN = re.compile("[\0\ud800-\udfff]")
_ERRORS: Final = {
    error.__name__: error for error in (ParseError, DocumentTooLarge, DocumentEncrypted, UnsupportedFormat)
}


class ReadingKind(StrEnum):
    """The kinds of web content that are read before there is a document."""

    PAGE = "page"
    ARTICLE = "article"
    FEED = "feed"
    SITEMAP = "sitemap"
    NAMES = "names"


class RecognitionKind(StrEnum):
    """The kinds of documents whose pages are read by text recognition."""

    PICTURE = "picture of text"
    SCAN = "scanned PDF"


TaskKind = Format | ReadingKind | RecognitionKind


@dataclass(frozen=True, slots=True)
class ParsingTask:
    """A document to parse or to recognise, or web content to read."""

    kind: TaskKind
    document: str
    """The document's id, or the address of the web content."""
    media_type: str | None
    deadline_s: float
    robots_tag: str = ""
    within_s: float = 0.0
    """Text recognition begins no page later than this."""


TASK_KINDS: Final[tuple[TaskKind, ...]] = (*Format, *ReadingKind, *RecognitionKind)


def encode_task(task: ParsingTask, data_bytes: int) -> bytes:
    """Return the beginning of a task. The document's bytes follow it."""
    head = json.dumps([getattr(task, field.name) for field in fields(task)]).encode()
    needs_main_text = task.kind in {ReadingKind.PAGE, ReadingKind.ARTICLE} or MAIN_TEXT in (task.media_type or "")
    return TASK_HEADER.pack(TASK_KINDS.index(task.kind), needs_main_text, len(head), data_bytes) + head


def decode_task(head: bytes) -> ParsingTask:
    """Return the task in its JSON."""
    kind, *others = json.loads(head)
    return ParsingTask(next(one for one in TASK_KINDS if one == kind), *others)


def encode_result(result: object) -> Iterator[bytes]:
    """Return the frames that answer a task, each after its header. A document is sent in several.

    For a ``ReadingKind``, ``result`` is None or a dataclass of texts, dates, numbers and lists of them.
    """
    return _pack_frames(_split_document(result) if isinstance(result, Document) else iter(_split_reading(result)))


def _pack_frames(bodies: Iterator[bytes]) -> Iterator[bytes]:
    body = next(bodies)
    for following in bodies:
        yield HEADER.pack(0, len(body)) + body
        body = following
    yield HEADER.pack(1, len(body)) + body


def _split_reading(result: object) -> list[bytes]:
    """Return the JSON of an error, or of anything but a document, in pieces that are valid together."""
    is_error = isinstance(result, ParseError)
    encoded = _encode_json({"error": type(result).__name__, "text": str(result)} if is_error else {"read": result})
    return [encoded[start : start + MAX_FRAME_BYTES] for start in range(0, len(encoded), MAX_FRAME_BYTES)]


def _split_document(document: Document) -> Iterator[bytes]:
    """Yield JSON of the title, then of lists of sections. A text alone continues the section before it."""
    yield _encode_json(
        {
            "title": document.title[:_MAX_NAME_CHARACTERS],
            "pages": [document.recognised_pages, document.unread_pages],
        }
    )
    parts: list[object] = []
    characters = 0
    for section in document.sections:
        headings, anchor = section.headings[:_MAX_HEADINGS], (section.anchor or "")[:_MAX_NAME_CHARACTERS]
        for start in range(0, len(section.text) or 1, _PIECE_CHARACTERS):
            piece = section.text[start : start + _PIECE_CHARACTERS]
            parts.append(piece if start else [headings, piece, section.page, anchor or None])
            characters += len(piece) + len(anchor) + sum(map(len, headings))
            if characters >= _PIECE_CHARACTERS:
                yield _encode_json({"sections": parts})
                parts, characters = [], 0
    yield _encode_json({"sections": parts})


def _encode_json(body: object) -> bytes:
    # Halves of surrogate pairs cannot be encoded, so they are dropped.
    return json.dumps(body, ensure_ascii=False, default=_encode_value).encode("utf-8", "ignore")


def _encode_value(value: Any) -> object:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, datetime):
        return value.isoformat()
    return {field.name: getattr(value, field.name) for field in fields(value)}


class DocumentDecoder:
    """Decodes the frames of a document.

    Both methods raise ``ValueError``, ``TypeError``, ``LookupError`` or ``RecursionError`` if the process did not send
    a document. ``finish`` raises the ``ParseError`` that it sent instead.
    """

    def __init__(self) -> None:
        self._error: ParseError | None = None
        self._title: str | None = None
        self._pages: tuple[int, int] = 0, 0
        self._sections: list[Section] = []
        self._further: list[str] = []  # pieces of the last section's text

    def decode(self, frame: bytes) -> None:
        """Decode the next frame."""
        try:
            answer = _decode_answer(frame)
        except ParseError as error:
            self._error = error
            return
        if self._title is None:
            self._title = clean_label(str(answer["title"]))
            recognised, unread = (min(max(0, int(one)), MAX_SECTIONS) for one in answer.get("pages", (0, 0)))
            self._pages = recognised, unread
            return
        for part in answer["sections"]:
            if isinstance(part, str):
                self._further.append(clean_text(part))
                continue
            self._join_pieces()
            self._sections.append(build_section(*part))
        if max(len(self._sections), len(self._further)) > MAX_SECTIONS:
            raise ValueError("too many sections, or pieces of one")  # A piece takes more memory than it has bytes.

    def finish(self) -> Document:
        """Return the document after the last frame."""
        if self._error is not None:
            raise self._error
        self._join_pieces()
        if self._title is None:
            raise ValueError("no title")
        return Document(self._title, tuple(self._sections), *self._pages)

    def _join_pieces(self) -> None:
        if self._further:
            section = self._sections.pop()
            self._sections.append(replace(section, text="".join((section.text, *self._further))))
            self._further = []


class ReadingDecoder:
    """Decodes the frames of a reading to JSON, which the caller converts. It raises as ``DocumentDecoder`` does."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def decode(self, frame: bytes) -> None:
        """Keep the next frame."""
        self._pieces.append(frame)

    def finish(self) -> object:
        """Return the decoded JSON after the last frame."""
        return _decode_answer(b"".join(self._pieces))["read"]


def _decode_answer(frame: bytes) -> dict[str, Any]:
    answer = json.loads(frame.decode("utf-8", "replace"))
    if not isinstance(answer, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for every malformed answer
    if "error" in answer:
        raise _ERRORS.get(str(answer["error"]), ParseError)(clean_label(str(answer.get("text"))))
    return answer


def clean_text(text: str) -> str:
    """Drop NULs and halves of surrogate pairs, which no database stores and nobody sees."""
    return text if "\0" not in text and text.isascii() else _UNTAKEN.sub("", text)


def clean_label(label: str) -> str:
    """Return a title, a heading or a sentence of the process on one line, and cut a long one."""
    return clean_name(clean_text(label[:_MAX_NAME_CHARACTERS]))


def build_section(headings: Sequence[str], text: str, page: int | None, anchor: str | None) -> Section:
    """Return a section of what the process sent, whatever that is, within the limits."""
    return Section(
        tuple(clean_label(str(heading)) for heading in headings[:_MAX_HEADINGS]),
        clean_text(str(text)),
        page if isinstance(page, int) and page in range(MAX_SECTIONS) else None,
        clean_text(str(anchor or "")[:_MAX_NAME_CHARACTERS]) or None,
    )
