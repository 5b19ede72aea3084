"""Pages that show a wall instead of their text: a login, a consent, a paywall, scripts, cookies, a check for robots.

Pure. A page whose main text is long is no wall, whatever stands beside it; the shorter the text, the less is asked as
evidence. What counts as evidence is in ``blocked_pages.toml``, for pages in English, Chinese and German.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from selectolax.lexbor import LexborHTMLParser

NEEDS_SCRIPTS: Final = "it shows its text by scripts alone"
"""The one reason that needs no word on the page: there is none."""

_LONG = 2_000
_MIDDLE = 900
_SHORT = 350
_EMPTY = 150
_NOTHING = 40
"""Sizes of a text, in letters of an alphabet; a Chinese, Japanese or Korean character counts for three."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CJK_SIZE = 3
_VISIBLE = 4_000
"""Characters of the whole page that are looked at."""
_MARKUP = 300_000
_UNSEEN = ["script", "style", "template", "noscript", "svg"]
_SCRIPT_ROOTS = "#root, #app, #__next, #__nuxt, #svelte, app-root, [ng-app], [data-reactroot]"
"""Where scripts put what they show."""


@dataclass(frozen=True, slots=True)
class _BlockingSigns:
    """What gives a wall away."""

    reason: str
    title: re.Pattern[str] | None
    """How a title or first heading begins; counts where the main text is of less than middle size, and something else
    is there, or the text is next to none: a manual's page may be called "Sign in"."""
    markup: re.Pattern[str] | None
    """Counts as a title does."""
    words: re.Pattern[str]
    """Count where so many different ones are there: ``soon`` where the main text is short, else ``often``."""
    soon: int
    often: int
    words_do: bool
    """Whether words are enough on a page of a source."""
    most: int | None
    """From how much text in all, furniture included, a page of a source is none."""


def find_blocking_reason(html: str, text: str, *, of_source: bool = False) -> str | None:
    """Return why a page has no text to read, given its main text; None where it has.

    More is asked of a page of a source (``of_source``): a miss costs the live web one page, but there it takes a
    document away, and a banner or a footer stands on every page.
    """
    size = measure_text(text)
    if size >= _LONG:
        return None
    seen = _extract_visible_page(html[:_MARKUP])
    taken = (
        one
        for one in _load_signs()
        if _matches(one, size, seen) and (not of_source or _matches_surely(one, size, seen))
    )
    found = next((one.reason for one in taken), None)
    return found or (NEEDS_SCRIPTS if max(size, measure_text(seen.body)) < seen.least else None)


def measure_text(text: str) -> int:
    """Return how much there is to read, in letters of an alphabet."""
    return len(text) + (_CJK_SIZE - 1) * len(_CJK.findall(text))


@dataclass(frozen=True, slots=True)
class _VisiblePage:
    markup: str
    titles: tuple[str, ...]
    body: str
    """What is seen of the page, furniture included."""
    least: int
    """How much text there is at least on a page that scripts do not write."""


def _extract_visible_page(html: str) -> _VisiblePage:
    tree = LexborHTMLParser(html)
    least = _minimum_text(tree)
    tree.strip_tags(_UNSEEN)
    titles = tuple(_join_words(node.text(deep=True)) for node in tree.css("title, h1")[:3])
    body = _join_words(tree.body.text(deep=True, separator=" ")) if tree.body is not None else ""
    return _VisiblePage(html, titles, body[:_VISIBLE], least)


def _minimum_text(tree: LexborHTMLParser) -> int:
    if tree.css_first("script") is None:
        return 0
    told = " ".join(node.text(deep=True) for node in tree.css("noscript"))
    shell = tree.css_first(_SCRIPT_ROOTS) is not None or "javascript" in told.lower()
    return _EMPTY if shell else _NOTHING


def _matches(one: _BlockingSigns, size: int, seen: _VisiblePage) -> bool:
    said = len({found.group().lower() for found in one.words.finditer(seen.body)})
    if said >= (one.soon if size < _SHORT else one.often):
        return True
    if size >= _MIDDLE:
        return False
    titled, marked = _has_title(one, seen), _has_markup(one, seen)
    return titled + marked + (said > 0) + (size < _EMPTY) > 1 and (titled or marked)


def _matches_surely(one: _BlockingSigns, size: int, seen: _VisiblePage) -> bool:
    if one.most is not None and measure_text(seen.body) >= one.most:
        return False
    return one.words_do or _has_markup(one, seen) or (size < _EMPTY and _has_title(one, seen))


def _has_title(one: _BlockingSigns, seen: _VisiblePage) -> bool:
    return one.title is not None and any(one.title.match(title) for title in seen.titles)


def _has_markup(one: _BlockingSigns, seen: _VisiblePage) -> bool:
    return one.markup is not None and one.markup.search(seen.markup) is not None


@cache
def _load_signs() -> tuple[_BlockingSigns, ...]:
    tables = tomllib.loads((Path(__file__).parent / "blocked_pages.toml").read_text(encoding="utf-8"))["wall"]
    return tuple(
        _BlockingSigns(
            table["reason"],
            _compile_any(table.get("title", [])),
            _compile_any(table.get("markup", [])),
            re.compile("|".join(table["words"]), re.IGNORECASE),
            table.get("soon", 1),
            table.get("often", 3),
            table.get("words_do", True),
            table.get("most"),
        )
        for table in tables
    )


def _compile_any(phrases: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(phrases), re.IGNORECASE) if phrases else None


def _join_words(text: str) -> str:
    return " ".join(text.split())
