"""Every regular expression of the product reads every text in linear time, whatever a stranger writes.

Python's ``re`` tries every way to match, so a short text can keep a careless expression busy for hours.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.patterns import Attacks, FoundPattern, find_patterns

LONG = 40_000
"""Characters. With this many, a quadratic search takes a second or more, and a linear one some milliseconds."""
SHORT = 60
"""Enough for an exponential one to run for hours."""
BOUNDED: Mapping[str, int] = {
    "bot.answering.": 8_000,  # a line of an answer has 2,000, a passage fewer
    "bot.answering.markdown.sentences._LINES": 2_000,
    "bot.answering.notices.": LONG,  # these read questions, and Slack accepts 40,000
    "bot.answering.retrieval.": LONG,
    "bot.slack.posting.": 12_000,  # what one message of Slack may have
    "knowledge.parsing.decoding._META_CHARSET": 4_096,  # the beginning of a page
    "knowledge.sources.website.frontier": 8_000,  # an address
    "knowledge.search.identifiers.": 120,  # a name
}
"""Expressions that may need quadratic time, by the beginning of their place, and the longest text that they get."""
UNREAD = ("bot.config", "bot.logs", "bot.cli", "engine", "knowledge.sources.sql", "knowledge.stores")
"""Modules that read only what operators and their servers write."""


class TooSlow(Exception):
    pass


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """Raise ``TooSlow`` after so much processor time; other programs on the machine do not count."""

    def interrupt(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def use(pattern: re.Pattern[Any], how: str, text: Any) -> None:
    if how in {"match", "search", "fullmatch"}:
        getattr(pattern, how)(text)
    else:
        for _ in pattern.finditer(text):
            pass


def is_slow(pattern: re.Pattern[Any], how: str, text: Any, seconds: float) -> bool:
    try:
        with processor_limit(seconds):
            use(pattern, how, text)
    except TooSlow:
        return True
    return False


def find_slow(found: FoundPattern, length: int) -> str | None:
    """Return how an expression is kept busy, None if it is not.

    A quadratic search takes a sixteenth of its time on a quarter of a text. So the whole text is read only if its
    quarter takes that long; timers are coarse, hence half of it.
    """
    limits = [max((at for at in BOUNDED if place.startswith(at)), key=len, default="") for place in found.places]
    limit = min(length, max(BOUNDED.get(at, LONG) for at in limits))
    seconds, parts = (0.5, 4) if length == LONG else (0.1, 1)
    attacks = Attacks(found.pattern)
    for part, text in zip(attacks.make_texts(limit // parts), attacks.make_texts(limit), strict=True):
        for how in found.uses or {"search", "match"}:
            quick = is_slow(found.pattern, how, part, seconds / parts**2 / 2)
            if quick and is_slow(found.pattern, how, text, seconds):
                return f"{', '.join(sorted(found.places))}: {how} of {text[:60]!r}…{text[-4:]!r} ({len(text)})"
    return None


@pytest.mark.slow
def test_all_expressions_are_found() -> None:
    found = find_patterns()
    places = {place for one in found for place in one.places}
    assert len(found) > 400
    assert {"knowledge.parsing.formats.pdf._NUMBERING", "bot.answering.markdown.citations.MARKERS"} <= places


@pytest.mark.parametrize("pattern", [r"(\d+)*x", r"(?:[\dA-Z]+[.)]?)+\s", r"(a|a)*b"])
def test_an_exponential_expression_would_be_noticed(pattern: str) -> None:
    assert find_slow(FoundPattern(re.compile(pattern), {"here"}), SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [r"\s+$", r"<!--.*?-->", r"[\w.]+@"])
def test_a_quadratic_expression_would_be_noticed(pattern: str) -> None:
    assert find_slow(FoundPattern(re.compile(pattern), {"here"}), LONG)


@pytest.mark.slow
def test_no_expression_takes_exponential_time() -> None:
    assert [slow for found in find_patterns() if (slow := find_slow(found, SHORT))] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_expression_takes_linear_time() -> None:
    read = [found for found in find_patterns() if not all(place.startswith(UNREAD) for place in found.places)]
    assert [slow for found in read if (slow := find_slow(found, LONG))] == []
