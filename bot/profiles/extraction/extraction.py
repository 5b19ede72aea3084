"""The values of one document, and how programs and people read them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bot.answering.events import Passage
from bot.answering.outgoing import release_text
from bot.languages.registry import Language
from bot.messages import extraction as texts
from bot.messages.message import Message, render_message
from bot.profiles.extraction.profile import ExtractionProfile, Field
from bot.profiles.spans import Span, normalise_value

FoundBy = Literal["rules", "model", "both"]
COLUMNS: Final = ("file", "field", "text", "normalised", "page", "passage", "start", "end", "found_by")


@dataclass(frozen=True, slots=True)
class Value:
    """A value where it stands. Nothing but the text of the passage is ever its text."""

    field: str
    passage: Passage = dataclasses.field(repr=False)
    span: Span
    """In the passage's text."""
    found_by: FoundBy
    normalised: str = dataclasses.field(default="", repr=False)

    @property
    def text(self) -> str:
        """Return the value as it stands."""
        return self.span.cut(self.passage.text)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a profile takes out of one document."""

    title: str
    profile: ExtractionProfile = dataclasses.field(repr=False)
    values: tuple[Value, ...] = dataclasses.field(repr=False)
    dropped: int = 0
    """Values of the engine that are not in the text."""
    notices: tuple[Message, ...] = ()

    def list_values(self, name: str) -> list[Value]:
        """Return the values of a field, in the order of the text."""
        return [one for one in self.values if one.field == name]


def make_value(field_: Field, passage: Passage, span: Span, found_by: FoundBy) -> Value:
    """Return a value where it stands."""
    return Value(field_.name, passage, span, found_by, normalise_value(span.cut(passage.text), field_.type))


def build_extraction_json(extraction: Extraction) -> dict[str, object]:
    """Return an extraction for programs, with the passages in which its offsets count code points."""
    cited = {one.passage.n: one.passage for one in extraction.values}
    return {
        "file": release_text(extraction.title),
        "profile": extraction.profile.profile.name,
        "values": {
            one.name: [_build_value(value) for value in extraction.list_values(one.name)]
            for one in extraction.profile.fields
        },
        "dropped": extraction.dropped,
        "notices": [render_message(one, "en") for one in list_notices(extraction)],
        "passages": [build_passage(cited[number]) for number in sorted(cited)],
    }


def _build_value(value: Value) -> dict[str, object]:
    return {
        "text": release_text(value.text),
        "normalised": release_text(value.normalised),
        "passage": value.passage.n,
        "start": value.span.start,
        "end": value.span.end,
        "found_by": value.found_by,
    }


def build_passage(passage: Passage) -> dict[str, object]:
    """Return a passage in which offsets count."""
    return {
        "n": passage.n,
        "heading": release_text(passage.heading),
        "page": find_page(passage),
        "text": release_text(passage.text),
    }


def list_notices(extraction: Extraction) -> list[Message]:
    """Return what is to be said about an extraction."""
    dropped = [texts.DROPPED.fill(count=extraction.dropped)] if extraction.dropped else []
    return [*extraction.notices, *dropped, texts.CHECK]


def list_rows(extraction: Extraction) -> Iterator[Mapping[str, object]]:
    """Yield a row for each value, for a file of comma-separated values."""
    for one in extraction.values:
        yield {
            "file": release_text(extraction.title),
            "field": one.field,
            "page": find_page(one.passage) or "",
            **_build_value(one),
        }


def find_page(passage: Passage) -> int | None:
    """Return the page of a passage; None if the format has none."""
    return passage.material.page if passage.material is not None else None


def describe_place(passage: Passage, language: Language) -> str:
    """Return where something of a passage stands, for people."""
    page = find_page(passage)
    where = texts.PLACE_ON_PAGE.fill(page=page, n=passage.n) if page else texts.PLACE.fill(n=passage.n)
    return render_message(where, language)
