"""Finds values by the rules of a profile, without the engine. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bot.profiles.extraction.profile import ExtractionProfile, Field
from bot.profiles.spans import FoldedText, Span, extend_to_number, extend_to_sentences

OPENING_CHARACTERS = 3_000
"""The beginning of a document, where its parties and dates stand."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a passage."""

    passage: int
    """The position of the passage in its document."""
    span: Span

    def overlaps(self, other: Place) -> bool:
        """Return whether two places share a character."""
        return self.passage == other.passage and self.span.overlaps(other.span)


def find_places(
    profile: ExtractionProfile, texts: Sequence[str], is_over: Callable[[], bool] = lambda: False
) -> tuple[dict[str, list[Place]], list[str]]:
    """Return the places that the rules find in the passages of a document, by field, in the order of the text.

    Once ``is_over``, no further passage is read; the second value has the fields that may lack places therefore.
    """
    found, unfinished, folded = dict[str, list[Place]](), list[str](), list(map(FoldedText, texts))
    for one in profile.fields:
        found[one.name] = _find_field_places(one, folded, is_over)
        if one.patterns and is_over():
            unfinished.append(one.name)
    if profile.exclusive:
        found |= _keep_longest({one.name: found[one.name] for one in profile.fields if not one.is_sentence})
    return {one.name: found[one.name][: one.most] for one in profile.fields}, unfinished


def _find_field_places(field: Field, texts: Sequence[FoldedText], is_over: Callable[[], bool]) -> list[Place]:
    places: list[Place] = []
    for pattern in field.patterns:
        read = 0
        for number, text in enumerate(texts):
            if is_over() or (field.opening and read >= OPENING_CHARACTERS):
                break
            read += len(text.original)
            places += [Place(number, span) for span in _find_spans(field, pattern, text)]
        if places and field.most == 1:
            break
    return _drop_overlaps(places)


def _find_spans(field: Field, pattern: re.Pattern[str], folded: FoldedText) -> Iterator[Span]:
    for match in pattern.finditer(folded.text):
        group = "value" if "value" in pattern.groupindex and match["value"] else 0
        span = folded.find_origin(*match.span(group))
        if field.is_sentence:
            span = extend_to_sentences(folded, span)
        elif field.type != "entity":
            span = extend_to_number(folded.original, span, field.type)
        if span.start < span.end and not any(
            one.search(FoldedText(span.cut(folded.original)).text) for one in field.exclude
        ):
            yield span


def _drop_overlaps(places: Iterable[Place]) -> list[Place]:
    """Return the places without those that a longer one covers, in the order of the text."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda one: (one.passage, one.span.start, -one.span.end)):
        if not kept or not place.overlaps(kept[-1]):
            kept.append(place)
    return kept


def _keep_longest(found: dict[str, list[Place]]) -> dict[str, list[Place]]:
    """Return the places of each field without those that a longer place of another field covers."""
    owned = [(place, name) for name, places in found.items() for place in places]
    kept: dict[str, list[Place]] = {name: [] for name in found}
    last: Place | None = None
    for place, name in sorted(owned, key=lambda one: (one[0].passage, one[0].span.start, -one[0].span.end)):
        if last is None or not place.overlaps(last):
            kept[name].append(place)
            last = place
    return kept
