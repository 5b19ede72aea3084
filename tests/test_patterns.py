"""Every regular expression of the product reads every text in linear time, whatever a stranger writes.

Python's ``re`` tries every way to match, so a short text can keep a careless expression busy for hours.
"""

from __future__ import annotations

import math
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from tests.growth import FLOOR_S, LINEAR, QUADRATIC
from tests.patterns import Attacks, FoundPattern, find_patterns

LONG = 40_000
"""Characters. With this many, a quadratic search takes hundreds of milliseconds, and a linear one some."""
SHORT = 60
"""Enough for an exponential one to run for hours."""
STEADY = 5 / 8
"""If no shorter text grows by more than this share of the limit, the whole text does not exceed the limit.

Linear work with a quadratic part may take 5 times as long in a text four times as long. Then that part is under a tenth
in the shorter text, and about a quarter in the longer one. The next text takes 7 times as long, where the limit is 8.
"""
HANG_S = 10.0
"""Processor time after which even a short text hangs."""
BOUNDED: Mapping[str, int] = {
    "bot.answering.": 8_000,  # a line of an answer has 2,000, a passage fewer
    "bot.answering.markdown.sentences._LINES": 2_000,
    "bot.answering.notices.": LONG,  # these read questions, and Slack accepts 40,000: no quadratic time
    "bot.answering.retrieval.": LONG,
    "bot.slack.wire.text.": 12_000,  # what one message of Slack may have
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


def measure_s(pattern: re.Pattern[Any], how: str, text: Any, limit_s: float) -> float:
    """Return the processor time of one use, infinity if it exceeds the limit."""
    began_s = time.thread_time()
    try:
        with processor_limit(limit_s):
            use(pattern, how, text)
    except TooSlow:
        return math.inf
    return time.thread_time() - began_s


def grows_faster(pattern: re.Pattern[Any], how: str, texts: Sequence[Any], most: int) -> bool:
    """Return whether a text takes more than ``most`` times as long as the one before, a quarter of it.

    The shortest texts show expressions such as ``[^ ]{0,2000}``, which are quadratic up to their limit. The whole text
    is read only if the growth up to its quarter is not steady.
    """
    times = [measure_s(pattern, how, texts[0], HANG_S)]
    for text in texts[1:]:
        if math.isinf(times[-1]):
            return True
        if text is texts[-1] and has_grown_at_most(STEADY * most, times):
            return False
        times.append(measure_s(pattern, how, text, max(FLOOR_S, most * times[-1])))
    return times[-1] >= FLOOR_S and not has_grown_at_most(most, times)


def has_grown_at_most(most: float, times: Sequence[float]) -> bool:
    return all(longer <= most * shorter for shorter, longer in pairwise(times))


def find_slow(found: FoundPattern, length: int) -> str | None:
    """Return how an expression is kept busy, None if it is not.

    The whole text is read only if its quarter takes so long that the whole one might reach the floor. A busy machine
    can disturb one measurement, so several have to agree.
    """
    limits = [max((at for at in BOUNDED if place.startswith(at)), key=len, default="") for place in found.places]
    bound = max(BOUNDED.get(at, LONG) for at in limits)
    limit, most = min(length, bound), LINEAR if bound == LONG else QUADRATIC
    attacks, parts = Attacks(found.pattern), 4 if length == LONG else 1
    lengths = (limit // 64, limit // 16, limit // 4, limit)
    for texts in zip(*map(attacks.make_texts, lengths), strict=True):
        first = texts[-2] if length == LONG else texts[-1]
        for how in found.uses or {"search", "match"}:
            if measure_s(found.pattern, how, first, FLOOR_S) < FLOOR_S / parts**2:
                continue
            if all(grows_faster(found.pattern, how, texts, most) for _ in range(3)):
                text = texts[-1]
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
@pytest.mark.parametrize("pattern", [r"\s+$", r"<!--.*?-->", r"[\w.]+@", r"a*a*b", r"//[^\s'\"]{0,2000}@"])
def test_an_expression_slower_than_linear_would_be_noticed(pattern: str) -> None:
    assert find_slow(FoundPattern(re.compile(pattern), {"here"}), LONG)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [r"a[^b]{0,300}c", r"(?:(?=[ab]{0,200})[ab])*"])
def test_a_linear_expression_passes_however_long_it_takes(pattern: str) -> None:
    found = FoundPattern(re.compile(pattern), {"here"}, {"search", "findall"})
    texts = list(Attacks(found.pattern).make_texts(LONG))
    assert max(measure_s(found.pattern, how, text, HANG_S) for text in texts for how in found.uses) > FLOOR_S / 16
    assert find_slow(found, LONG) is None


@pytest.mark.slow
def test_an_expression_for_short_texts_may_be_quadratic_and_not_cubic() -> None:
    place = {"bot.answering.quoting.HERE"}
    assert find_slow(FoundPattern(re.compile(r"[\w.]+@"), place), LONG) is None
    assert find_slow(FoundPattern(re.compile(r"\w*\w*@"), place), LONG)


@pytest.mark.slow
def test_no_expression_takes_exponential_time() -> None:
    assert [slow for found in find_patterns() if (slow := find_slow(found, SHORT))] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_expression_takes_linear_time() -> None:
    read = [found for found in find_patterns() if not all(place.startswith(UNREAD) for place in found.places)]
    assert [slow for found in read if (slow := find_slow(found, LONG))] == []
